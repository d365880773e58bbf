"""Convolutions, and their adjoints, the transposed ones.

Three private operations for any number of dimensions stand behind them all. In each, element `k`
of window `o` is the input's element ``o * stride + k * dilation - padding``, or 0 if there is none.
All sizes are given, so that the gradients of each of the three are the two others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product as tuples
from operator import index
from typing import Any

from devtensor.op import composite, derivative, op
from devtensor.ops.elementwise import half
from devtensor.ops.linalg import kind_of
from devtensor.tensor import Tensor

Sizes = tuple[int, ...]
NUMBERS = ("float", "complex", "int")


def params(
    size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int = 1
) -> dict[str, Any]:
    """The parameters of the three operations."""
    return {
        "size": size, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
    }  # fmt: skip


PLAIN = params((6,), (1,), (1,), (1,))
GROUPED = params((2, 3), (2, 1), (0, 1), (1, 1), 2)


# ---- the three operations


@op(
    public=False,
    promotes=None,
    accepts=NUMBERS,
    node="ConvolutionBackward0",
    examples=[
        ((2, 3, 6), (4, 3, 3), (4,), PLAIN),
        ((2, 2, 5, 4), (4, 1, 2, 4), None, GROUPED),
        (
            (1, 2, 3, 3, 4),
            (2, 2, 2, 2, 2),
            (2,),
            params((2, 2, 2), (1, 1, 1), (0, 0, 0), (1, 1, 2)),
        ),
    ],
    oracle=None,
)
def convolution(xp, input, weight, bias=None, /, *, size, stride, padding, dilation, groups):
    """Products of the weight with windows of the input, summed over channels and window.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, *sizes)``.
    weight : Tensor
        Shape ``(outputs, channels / groups, *kernel)``.
    bias : Tensor, optional
        Shape ``(outputs,)``.
    size, stride, padding, dilation : tuple of int
        To each dimension: how many windows, the step between two, how far the first starts before
        the input, and the step between two elements of a window.
    groups : int
        How many parts of the channels see only themselves.
    """
    if half(input):
        wide = single(xp, input, weight, bias)
        found = convolution.kernel(xp, *wide, **params(size, stride, padding, dilation, groups))
        return xp.astype(found, input.dtype)
    outputs, kernel = weight.shape[0], weight.shape[2:]
    matrix = xp.reshape(weight, (groups, outputs // groups, math.prod(weight.shape[1:])))
    parts = []
    for some in shares(input.shape, kernel, size):
        columns = windows(xp, input[some, ...], kernel, size, stride, padding, dilation, groups)
        found = xp.matmul(matrix, columns)
        parts.append(xp.reshape(found, (found.shape[0], outputs, *size)))
    return with_bias(xp, joined(xp, parts), bias)


@op(
    public=False,
    promotes=None,
    accepts=NUMBERS,
    node="ConvolutionBackward0",
    examples=[
        ((2, 4, 6), (4, 3, 3), (3,), PLAIN),
        ((2, 4, 2, 4), (4, 1, 3, 2), None, GROUPED | {"size": (6, 3)}),
    ],
    oracle=None,
)
def convolution_spread(
    xp, input, weight, bias=None, /, *, size, stride, padding, dilation, groups
):  # fmt: skip
    """The adjoint of `convolution`: windows that the weight makes of the input, added up.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, outputs, *places)``, as a convolution's result.
    weight : Tensor
        Shape ``(outputs, channels / groups, *kernel)``.
    bias : Tensor, optional
        Shape ``(channels,)``.
    size : tuple of int
        The result has the shape ``(batch, channels, *size)``.
    stride, padding, dilation, groups
        As of `convolution`.
    """
    if half(input):
        wide = single(xp, input, weight, bias)
        found = convolution_spread.kernel(
            xp, *wide, **params(size, stride, padding, dilation, groups)
        )
        return xp.astype(found, input.dtype)
    outputs, out = input.shape[1], input.shape[2:]
    many, kernel = weight.shape[1], weight.shape[2:]
    channels, elements = many * groups, math.prod(kernel)
    matrix = xp.reshape(weight, (groups, outputs // groups, many * elements))
    matrix = xp.permute_dims(matrix, (0, 2, 1))
    parts = []
    for some in shares((input.shape[0], channels), kernel, out):
        g = input[some, ...]
        g = xp.reshape(g, (g.shape[0], groups, outputs // groups, math.prod(out)))
        columns = xp.reshape(xp.matmul(matrix, g), (g.shape[0], channels, elements, *out))
        whole = xp.zeros(
            (g.shape[0], channels, *extent(kernel, out, stride, dilation)), dtype=input.dtype
        )
        for k, key in enumerate(keys(kernel, out, stride, dilation)):
            whole[key] += columns[:, :, k, ...]
        parts.append(moved(xp, whole, size, [-before for before in padding]))
    return with_bias(xp, joined(xp, parts), bias)


@op(
    public=False,
    promotes=None,
    accepts=NUMBERS,
    node="ConvolutionBackward0",
    examples=[
        ((2, 3, 6), (2, 4, 6), PLAIN | {"size": (3,)}),
        ((2, 2, 5, 4), (2, 4, 2, 4), GROUPED | {"size": (3, 2)}),
    ],
    oracle=None,
)
def convolution_weight(xp, input, grad, /, *, size, stride, padding, dilation, groups):
    """The gradient of a convolution's weight, whose windows have `size`.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, *sizes)``.
    grad : Tensor
        Shape ``(batch, outputs, *places)``.
    size, stride, padding, dilation, groups
        As of `convolution`; the result has the shape ``(outputs, channels / groups, *size)``.
    """
    if half(input):
        wide = single(xp, input, grad)
        found = convolution_weight.kernel(
            xp, *wide, **params(size, stride, padding, dilation, groups)
        )
        return xp.astype(found, input.dtype)
    outputs, out = grad.shape[1], grad.shape[2:]
    total: Any = 0
    for some in shares(input.shape, size, out):
        columns = windows(xp, input[some, ...], size, out, stride, padding, dilation, groups)
        g = grad[some, ...]
        g = xp.reshape(g, (g.shape[0], groups, outputs // groups, math.prod(out)))
        found = xp.matmul(g, xp.permute_dims(columns, (0, 1, 3, 2)))
        total = total + xp.sum(found, axis=0, dtype=input.dtype)
    return xp.reshape(total, (outputs, input.shape[1] // groups, *size))


@op(public=False, promotes=None, examples=[((2, 3),), ((4, 2, 3),)], oracle=None)
def channel_sum(xp, input, /):
    """Sum over all dimensions but the second: the gradient of a convolution's bias."""
    dims = tuple([d for d in range(input.ndim) if d != 1])
    if half(input):
        return xp.astype(xp.sum(input, axis=dims, dtype=xp.float32), input.dtype)
    return xp.sum(input, axis=dims, dtype=input.dtype)


def along_channels(xp: Any, x: Any, ndim: int) -> Any:
    """Numbers to each channel, in a shape that broadcasts with images."""
    return xp.reshape(x, (1, x.shape[0], *(1,) * (ndim - 2)))


derivative(
    channel_sum,
    input=lambda xp, g, input_shape: xp.broadcast_to(
        along_channels(xp, g, len(input_shape)), input_shape
    ),
)
derivative(
    convolution,
    input=lambda xp, g, weight, input_shape, stride, padding, dilation, groups: (
        xp.convolution_spread(
            g, weight, **params(input_shape[2:], stride, padding, dilation, groups)
        )
    ),
    weight=lambda xp, g, input, weight_shape, stride, padding, dilation, groups: (
        xp.convolution_weight(
            input, g, **params(weight_shape[2:], stride, padding, dilation, groups)
        )
    ),
    bias=lambda xp, g: xp.channel_sum(g),
)
derivative(
    convolution_spread,
    input=lambda xp, g, weight, input_shape, stride, padding, dilation, groups: xp.convolution(
        g, weight, **params(input_shape[2:], stride, padding, dilation, groups)
    ),
    weight=lambda xp, g, input, weight_shape, stride, padding, dilation, groups: (
        xp.convolution_weight(
            g, input, **params(weight_shape[2:], stride, padding, dilation, groups)
        )
    ),
    bias=lambda xp, g: xp.channel_sum(g),
)
derivative(
    convolution_weight,
    input=lambda xp, g, grad, input_shape, stride, padding, dilation, groups: xp.convolution_spread(
        grad, g, **params(input_shape[2:], stride, padding, dilation, groups)
    ),
    grad=lambda xp, g, input, grad_shape, stride, padding, dilation, groups: xp.convolution(
        input, g, **params(grad_shape[2:], stride, padding, dilation, groups)
    ),
)


# ---- windows of arrays

COLUMNS = 1 << 26  # Elements of the windows that are laid out at a time.


def single(xp: Any, *arrays: Any) -> list[Any]:
    """Arrays in single precision."""
    return [x if x is None else xp.astype(x, xp.float32) for x in arrays]


def shares(shape: Sequence[int], kernel: Sizes, out: Sizes) -> Iterator[slice]:
    """Parts of a batch of images whose windows fit into memory, one at least."""
    each = math.prod(shape[1:2]) * math.prod(kernel) * math.prod(out)
    step = max(1, COLUMNS // max(1, each))
    for start in range(0, max(1, shape[0]), step):
        yield slice(start, min(start + step, shape[0]))


def joined(xp: Any, parts: list[Any]) -> Any:
    """Parts of a batch as one."""
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)


def with_bias(xp: Any, x: Any, bias: Any) -> Any:
    """Images with a number to each channel added."""
    return x if bias is None else x + along_channels(xp, bias, x.ndim)


def extent(kernel: Sizes, out: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How far windows reach from the start of the first one."""
    return tuple(
        [
            (o - 1) * step + (k - 1) * gap + 1
            for k, o, step, gap in zip(kernel, out, stride, dilation, strict=True)
        ]
    )


def keys(
    kernel: Sizes, out: Sizes, stride: Sizes, dilation: Sizes
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """For each element of a window, where it is in all of them."""
    for place in tuples(*map(range, kernel)):
        starts = [k * gap for k, gap in zip(place, dilation, strict=True)]
        yield (
            ...,
            *[
                slice(start, start + (o - 1) * step + 1, step)
                for start, o, step in zip(starts, out, stride, strict=True)
            ],
        )


def moved(xp: Any, x: Any, size: Sizes, before: Sequence[int]) -> Any:
    """Images in a frame of `size`, that many places from its start; zeros around them."""
    outer, sizes = x.shape[: -len(size)], x.shape[-len(size) :]
    if tuple(sizes) == tuple(size) and not any(before):
        return x
    whole = xp.zeros((*outer, *size), dtype=x.dtype)
    here: list[Any] = [...]
    there: list[Any] = [...]
    for n, m, shift in zip(sizes, size, before, strict=True):
        low, high = max(0, shift), min(m, n + shift)
        if low >= high:
            return whole
        there.append(slice(low, high))
        here.append(slice(low - shift, high - shift))
    whole[tuple(there)] = x[tuple(here)]
    return whole


def windows(
    xp: Any, images: Any, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes, groups: int,
) -> Any:  # fmt: skip
    """All windows, of shape (batch, groups, channels / groups * elements, places)."""
    n, channels = images.shape[:2]
    elements = math.prod(kernel)
    images = moved(xp, images, extent(kernel, out, stride, dilation), padding)
    columns = xp.stack([images[key] for key in keys(kernel, out, stride, dilation)], axis=2)
    return xp.reshape(columns, (n, groups, channels // groups * elements, math.prod(out)))


# ---- what PyTorch accepts


def numbers(function: str, name: str, value: Any, dims: int) -> Sizes:
    """A parameter's numbers, to each dimension; TypeError if they are no integers."""
    try:
        if not isinstance(value, (tuple, list)):
            return (index(value),) * dims
        found = tuple(map(index, value))
    except TypeError:
        given = type(value[0] if isinstance(value, (tuple, list)) else value).__name__
        raise TypeError(
            f"{function}() received an invalid combination of arguments: {name} must be int or "
            f"tuple of ints, not {given}"
        ) from None
    return found * dims if len(found) == 1 else found


C_NAMES = {
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short int",
    "int32": "int",
    "int64": "long int",
}


def require_same(name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise TypeError unless all are tensors, and RuntimeError unless they have one dtype."""
    for what, x in (("input", input), ("weight", weight), ("bias", bias)):
        if not isinstance(x, Tensor) and (x is not None or what != "bias"):
            raise TypeError(
                f"{name}() received an invalid combination of arguments: {what} must be Tensor, "
                f"not {type(x).__name__}"
            )
    if bias is not None and bias.dtype is not input.dtype:
        names = [C_NAMES.get(x.dtype.name, x.dtype.name) for x in (input, bias)]
        raise RuntimeError(f"Input type ({names[0]}) and bias type ({names[1]}) should be the same")
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {kind_of(input).legacy} but found {kind_of(weight).legacy}: "
            "input and weight must have the same dtype"
        )


def require_numbers(
    weight: Sizes, groups: int, stride: Sizes, padding: Sizes, dilation: Sizes,
    output_padding: Sizes,
) -> None:  # fmt: skip
    """Raise RuntimeError for a weight or parameters that no input would suit."""
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if len(weight) < 3:
        raise RuntimeError("weight should have at least three dimensions")
    given = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "output_padding": output_padding,
    }
    for name, value in given.items():
        if len(value) != len(weight) - 2:
            raise RuntimeError(
                f"expected {name} to be a single integer value or a list of {len(weight) - 2} "
                f"values to match the convolution dimensions, but got {name}={list(value)}"
            )
    if min(padding) < 0:
        raise RuntimeError(f"negative padding is not supported, got {list(padding)}")
    if min(output_padding) < 0:
        raise RuntimeError(f"negative output_padding is not supported, got {list(output_padding)}")
    if min(stride) <= 0:
        raise RuntimeError(f"non-positive stride is not supported, got {list(stride)}")
    if min(dilation) <= 0:
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")


def require_groups(weight: Sizes, groups: int) -> None:
    """Raise RuntimeError unless the weight's first dimension can be divided."""
    if weight[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, "
            f"but got weight of size {list(weight)} instead"
        )
    if weight[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{list(weight)}] instead"
        )


def require_channels(
    start: str, input: Sizes, weight: Sizes, bias: Sizes | None, channels: int, outputs: int
) -> None:
    """Raise RuntimeError unless the input's channels and the bias suit the weight."""
    if input[1] != channels:
        raise RuntimeError(
            f"Given {start}, weight of size {list(weight)}, expected input{list(input)} to have "
            f"{channels} channels, but got {input[1]} channels instead"
        )
    if bias is not None and bias != (outputs,):
        start = f"{start}, weight" if start.startswith("transposed") else "weight"
        raise RuntimeError(
            f"Given {start} of size {list(weight)}, expected bias to be 1-dimensional with "
            f"{outputs} elements, but got bias of size {list(bias)} instead"
        )


def require_sizes(input: Sizes, kernel: Sizes) -> None:
    """Raise RuntimeError for windows, or images, of size 0."""
    if 0 in kernel:
        names = ("depth", "height", "width")[3 - max(2, len(kernel)) :]
        sizes = (1, *kernel) if len(kernel) == 1 else kernel
        listed = " ".join(f"kernel_{n}: {k}" for n, k in zip(names, sizes, strict=False))
        raise RuntimeError(f"kernel size should be greater than zero, but got {listed}")
    if 0 in input[2:]:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(input)}"
        )


def by(sizes: Sequence[int]) -> str:
    """Sizes as text."""
    return "(" + " x ".join(map(str, sizes)) + ")"


@lru_cache(1024)
def places(
    input: Sizes, weight: Sizes, bias: Sizes | None, stride: Sizes, padding: Sizes | str,
    dilation: Sizes, groups: int,
) -> dict[str, Any]:  # fmt: skip
    """The parameters of `convolution`; RuntimeError if it is not defined for the shapes."""
    none = (0,) * (len(input) - 2)
    same = padding == "same"
    if same and set(stride) != {1}:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    before = none if isinstance(padding, str) else padding
    require_numbers(weight, groups, stride, before, dilation, none)
    require_groups(weight, groups)
    require_channels(f"groups={groups}", input, weight, bias, weight[1] * groups, weight[0])
    kernel = weight[2:]
    reach = tuple([gap * (k - 1) + 1 for k, gap in zip(kernel, dilation, strict=True)])
    if same:
        require_sizes(input, kernel)
        return params(input[2:], stride, tuple([(r - 1) // 2 for r in reach]), dilation, groups)
    padded = tuple([n + 2 * p for n, p in zip(input[2:], before, strict=True)])
    if any(n < r for n, r in zip(padded, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: {by(padded)}. Kernel size: {by(reach)}. "
            "Kernel size can't be greater than actual input size"
        )
    require_sizes(input, kernel)
    size = tuple([(n - r) // step + 1 for n, r, step in zip(padded, reach, stride, strict=True)])
    return params(size, stride, before, dilation, groups)


@lru_cache(1024)
def transposed_places(
    input: Sizes, weight: Sizes, bias: Sizes | None, stride: Sizes, padding: Sizes,
    output_padding: Sizes, groups: int, dilation: Sizes,
) -> dict[str, Any]:  # fmt: skip
    """The parameters of `convolution_spread`; RuntimeError if it is not defined for the shapes."""
    require_numbers(weight, groups, stride, padding, dilation, output_padding)
    require_groups(weight, groups)
    require_channels("transposed=1", input, weight, bias, weight[0], weight[1] * groups)
    kernel = weight[2:]
    require_sizes(input, kernel)
    for extra, step, gap in zip(output_padding, stride, dilation, strict=True):
        if extra >= step and extra >= gap:
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                f"output_padding={output_padding}, stride={stride}, dilation={dilation}"
            )
    reach = extent(kernel, input[2:], stride, dilation)
    size = tuple(
        [r - 2 * p + extra for r, p, extra in zip(reach, padding, output_padding, strict=True)]
    )
    if min(size) < 1:
        raise RuntimeError(
            f"Given input size per channel: {by(input[2:])}. Calculated output size per channel: "
            f"{by(size)}. Output size is too small"
        )
    return params(size, stride, padding, dilation, groups)


def batched(name: str, input: Tensor, dims: int) -> Tensor:
    """The input, with a first dimension of size 1 if it is a single image."""
    if input.ndim == dims + 2:
        return input
    if input.ndim == dims + 1:
        return input.unsqueeze(0)
    raise RuntimeError(
        f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got "
        f"input of size: {list(input.shape)}"
    )


def convolve(
    dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any,
    dilation: Any, groups: int,
) -> Tensor:  # fmt: skip
    """A convolution as PyTorch defines it."""
    name = f"conv{dims}d"
    require_same(name, input, weight, bias)
    images = batched(name, input, dims)
    if not isinstance(padding, str):
        padding = numbers(name, "padding", padding, dims)
    elif padding not in ("same", "valid"):
        raise RuntimeError(f"Invalid padding string: {padding!r}; use 'same' or 'valid'")
    found = places(
        tuple(images.shape),
        tuple(weight.shape),
        None if bias is None else tuple(bias.shape),
        numbers(name, "stride", stride, dims),
        padding,
        numbers(name, "dilation", dilation, dims),
        index(groups),
    )
    result: Tensor = convolution(images, weight, bias, **found)
    return result if images is input else result.squeeze(0)


def convolve_transposed(
    dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any,
    output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    """A transposed convolution as PyTorch defines it."""
    name = f"conv_transpose{dims}d"
    require_same(name, input, weight, bias)
    images = batched(name, input, dims)
    found = transposed_places(
        tuple(images.shape),
        tuple(weight.shape),
        None if bias is None else tuple(bias.shape),
        numbers(name, "stride", stride, dims),
        numbers(name, "padding", padding, dims),
        numbers(name, "output_padding", output_padding, dims),
        index(groups),
        numbers(name, "dilation", dilation, dims),
    )
    result: Tensor = convolution_spread(images, weight, bias, **found)
    return result if images is input else result.squeeze(0)


@composite(
    examples=[
        ((2, 3, 7), (4, 3, 3), (4,)),
        ((3, 7), (4, 3, 3)),
        ((2, 4, 7), (4, 2, 3), (4,), 2, 1, 2, 2),
        ((2, 3, 7), (4, 3, 4), {"padding": "same"}),
    ],
)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve sequences: products of the weight with every window, summed.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    weight : Tensor
        Shape ``(outputs, channels / groups, width)``.
    bias : Tensor, optional
        Shape ``(outputs,)``.
    stride, padding, dilation : int or tuple of int, optional
        The step between windows, the zeros around the input, the step within a window. `padding`
        may be ``"valid"`` (none) or ``"same"`` (as many windows as there are places).
    groups : int, optional
        How many parts of the channels see only themselves.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, windows)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


@composite(
    examples=[
        ((2, 3, 5, 6), (4, 3, 3, 3), (4,)),
        ((3, 5, 6), (4, 3, 3, 2)),
        ((2, 4, 5, 6), (4, 2, 3, 2), (4,), 2, (1, 0), (1, 2), 2),
        ((2, 3, 5, 6), (4, 3, 2, 3), {"padding": "same"}),
    ],
)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images: products of the weight with every window, summed.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    weight : Tensor
        Shape ``(outputs, channels / groups, height, width)``.
    bias, stride, padding, dilation, groups
        As of `conv1d`.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, height, width)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


@composite(
    examples=[
        ((2, 2, 4, 3, 5), (3, 2, 2, 3, 2), (3,)),
        ((2, 2, 4, 3, 5), (2, 1, 2, 3, 2), None, 2, 1, 1, 2),
    ],
)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve volumes: products of the weight with every window, summed.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    weight : Tensor
        Shape ``(outputs, channels / groups, depth, height, width)``.
    bias, stride, padding, dilation, groups
        As of `conv1d`.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, depth, height, width)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


@composite(
    examples=[
        ((2, 4, 5), (4, 3, 3), (3,)),
        ((4, 5), (4, 3, 3)),
        ((2, 4, 5), (4, 3, 3), (6,), 2, 1, 1, 2, 2),
    ],
)
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Make longer sequences: every element weighs a window of the result, and windows add up.

    It is the gradient of `conv1d` with regard to its input.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    weight : Tensor
        Shape ``(channels, outputs / groups, width)``.
    bias : Tensor, optional
        Shape ``(outputs,)``.
    stride, padding, dilation : int or tuple of int, optional
        The step between windows, the places cut off on both sides, the step within a window.
    output_padding : int or tuple of int, optional
        Places added at the end, fewer than `stride` or `dilation`.
    groups : int, optional
        How many parts of the channels see only themselves.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, length)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve_transposed(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@composite(
    examples=[
        ((2, 4, 3, 2), (4, 3, 3, 2), (3,)),
        ((4, 3, 2), (4, 3, 3, 2)),
        ((2, 4, 3, 2), (4, 1, 3, 2), (2,), 2, (1, 0), (1, 0), 2),
    ],
)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Make larger images: every element weighs a window of the result, and windows add up.

    It is the gradient of `conv2d` with regard to its input.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    weight : Tensor
        Shape ``(channels, outputs / groups, height, width)``.
    bias, stride, padding, output_padding, groups, dilation
        As of `conv_transpose1d`.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, height, width)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve_transposed(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@composite(
    examples=[
        ((2, 2, 2, 3, 2), (2, 3, 2, 1, 2), (3,)),
        ((2, 2, 2, 3, 2), (2, 1, 2, 1, 2), None, 2, 0, 1, 2),
    ],
)
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Make larger volumes: every element weighs a window of the result, and windows add up.

    It is the gradient of `conv3d` with regard to its input.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    weight : Tensor
        Shape ``(channels, outputs / groups, depth, height, width)``.
    bias, stride, padding, output_padding, groups, dilation
        As of `conv_transpose1d`.

    Returns
    -------
    Tensor
        Shape ``(batch, outputs, depth, height, width)``, or without `batch`.

    Raises
    ------
    RuntimeError
        If shapes, dtypes or parameters do not fit.
    """
    return convolve_transposed(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@composite(examples=[((5, 2, 3), (3, 3, 4), (4,)), ((5, 2, 3), (2, 3, 4), (4,), 1)])
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolve sequences whose first dimension is time and whose last one is the channel.

    Parameters
    ----------
    input : Tensor
        Shape ``(time, batch, channels)``.
    weight : Tensor
        Shape ``(width, channels, outputs)``.
    bias : Tensor
        Shape ``(outputs,)``.
    pad : int, optional
        Zeros before and after.

    Returns
    -------
    Tensor
        Shape ``(windows, batch, outputs)``.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    if input.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if bias.shape[0] != weight.shape[2]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    result = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return result.permute(2, 0, 1).contiguous()
