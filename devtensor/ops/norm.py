"""Normalization: numbers brought to mean 0 and variance 1, over samples, channels or groups.

Every form sees its input in a layout in which means run over some dimensions and a factor along
others: rows ``(r, n)``, channels ``(n, c, l)``, groups ``(n, g, k, l)``. So all share the formula
of the way back, the operation `norm_slopes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from devtensor.dtype import float32, of
from devtensor.example import positive
from devtensor.halves import apart
from devtensor.limits import finfo
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import written_by
from devtensor.ops.elementwise import back_to, half

if TYPE_CHECKING:
    from devtensor.tensor import Tensor

STATISTICS = ("output", "mean", "rstd")


# ---- what all forms share


def widened(xp: Any, x: Any) -> Any:
    """`x` in the type in which it is calculated with: float32 for two-byte floats."""
    return xp.astype(x, xp.float32) if half(x) else x


def standardized(
    xp: Any, x: Any, weight: Any, bias: Any, over: tuple[int, ...], eps: float, short: bool = False
) -> tuple[Any, Any, Any, Any]:
    """`x` normalized, and the mean, the reciprocal deviation and the variance used for it.

    With `short` mean and reciprocal deviation are rounded to two bytes if all is of such numbers.
    """
    dtype, x = x.dtype, widened(xp, x)
    each = 1 / max(1, math.prod([x.shape[d] for d in over]))
    mean = xp.sum(x, axis=over, keepdims=True) * each
    away = x - mean
    var = xp.sum(away * away, axis=over, keepdims=True) * each
    rstd = 1 / xp.sqrt(var + eps)
    if short and x.dtype != dtype and (weight is None or half(weight)):
        mean, rstd = shortened(xp, mean, dtype), shortened(xp, rstd, dtype)
        away = x - mean
    return affine(xp, away * rstd, weight, bias, dtype), mean, rstd, var


def shortened(xp: Any, x: Any, dtype: Any) -> Any:
    """`x` rounded to another type, in its own."""
    return xp.astype(xp.astype(x, dtype), x.dtype)


def of_short_statistics(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for numbers of two bytes: what PyTorch saves is rounded unless the factor is not."""

    def call(xp: Any, gs: Any, input: Any, weight: Any, mean: Any, rstd: Any, *more: Any) -> Any:
        if half(input) and (weight is None or half(weight)):
            mean, rstd = [shortened(xp, x, input.dtype) for x in (mean, rstd)]
        return rule(xp, gs, input, weight, mean, rstd, *more)

    return call


def affine(xp: Any, x: Any, weight: Any, bias: Any, dtype: Any) -> Any:
    """``x * weight + bias`` as `dtype`."""
    if weight is not None:
        x = x * back_to(xp, weight, x.dtype)
    if bias is not None:
        x = x + back_to(xp, bias, x.dtype)
    return back_to(xp, x, dtype)


def shaped(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """`x` in another shape, if there is an `x`."""
    return None if x is None else xp.reshape(x, shape)


def reduced(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """`x` summed over the dimensions in which `shape` has 1, which stay."""
    over = tuple([d for d, n in enumerate(shape) if n == 1 and x.shape[d] != 1])
    return xp.sum(x, axis=over, keepdims=True) if over else x


@op(
    public=False,
    promotes=None,
    outputs=("input_slope", "weight_slope", "bias_slope"),
    examples=[
        ((3, 4), (3, 4), positive(3, 1), (3, 1), (1, 4), {"over": (1,)}),
        ((3, 4), (3, 4), positive(3, 1), None, (1, 4), {"over": (1,)}),
        ((2, 3, 4), (2, 3, 4), positive(1, 3, 1), (1, 3, 1), (1, 3, 1), {"over": (0, 2)}),
        ((2, 2, 3, 2), (2, 2, 3, 2), positive(2, 2, 1, 1), (2, 2, 1, 1), {"over": (2, 3)}),
    ],
)
def norm_slopes(
    xp, slope, input, rstd, mean=None, weight=None, /, *, over, wanted=(True, True, True)
):
    """The gradients of a normalization in its layout.

    Parameters
    ----------
    slope, input : Tensor
        The gradient of the result, and what was normalized.
    rstd, mean : Tensor
        The statistics, with dimensions of length 1; without a mean nothing was subtracted.
    weight : Tensor, optional
        With dimensions of length 1, too.
    over : tuple of int
        The dimensions over which the statistics were taken.
    wanted : tuple of bool
        Which gradients are: those of the input, in its type, and of factor and shift, in that of
        the statistics.
    """
    dtype, exact = input.dtype, rstd.dtype
    slope, input = back_to(xp, slope, exact), back_to(xp, input, exact)
    normal = (input if mean is None else input - mean) * rstd
    inner = outer = shift = None
    if wanted[0]:
        pulled = slope if weight is None else slope * back_to(xp, weight, exact)
        inner = back_to(xp, projected(xp, pulled, normal, over, mean is not None) * rstd, dtype)
    if wanted[1]:
        outer = reduced(xp, slope * normal, factor_shape(input, weight))
    if wanted[2]:
        shift = reduced(xp, slope, factor_shape(input, weight))
    return inner, outer, shift


def factor_shape(x: Any, weight: Any) -> tuple[int, ...]:
    """The shape of a factor in the layout of `x`."""
    if weight is not None:
        return tuple(weight.shape)
    if x.ndim == 2:
        return (1, x.shape[1])
    return (1, *x.shape[1:-1], 1)


def projected(xp: Any, x: Any, normal: Any, over: tuple[int, ...], centred: bool) -> Any:
    """`x` without its mean and without its part along `normal`, which cannot change the result."""
    each = 1 / max(1, math.prod([x.shape[d] for d in over]))
    part = xp.sum(x * normal, axis=over, keepdims=True) * each
    left = x - normal * part
    return left - xp.sum(x, axis=over, keepdims=True) * each if centred else left


def norm_slopes_rule(xp, gs, slope, input, rstd, mean, weight, over):
    """The gradients of the gradients, in terms of operations that have gradients themselves."""
    dtypes = [None if x is None else x.dtype for x in (slope, input, rstd, mean, weight)]
    exact = rstd.dtype
    g, g_weight, g_bias = [None if x is None else back_to(xp, x, exact) for x in gs]
    slope, input = back_to(xp, slope, exact), back_to(xp, input, exact)
    weight = None if weight is None else back_to(xp, weight, exact)
    each = 1 / max(1, math.prod([input.shape[d] for d in over]))
    away = input if mean is None else input - mean
    normal = away * rstd
    to_slope = to_weight = to_rstd = None
    to_normal = 0
    if g is not None:
        pulled = slope if weight is None else slope * weight
        inner = projected(xp, g, normal, over, mean is not None) * rstd
        to_slope = inner if weight is None else inner * weight
        to_weight = None if weight is None else reduced(xp, slope * inner, tuple(weight.shape))
        along = xp.sum(pulled * normal, axis=over, keepdims=True) * each
        across = xp.sum(g * normal, axis=over, keepdims=True) * each
        to_normal = -(g * along + pulled * across) * rstd
        result = projected(xp, pulled, normal, over, mean is not None)
        to_rstd = xp.sum(g * result, axis=over, keepdims=True)
    if g_weight is not None:
        part = normal * g_weight
        to_slope = part if to_slope is None else to_slope + part
        to_normal = to_normal + slope * g_weight
    if g_bias is not None:
        part = g_bias + xp.zeros_like(slope)
        to_slope = part if to_slope is None else to_slope + part
    if g is None and g_weight is None:
        found = [to_slope, None, None, None, None]
    else:
        part = xp.sum(to_normal * away, axis=over, keepdims=True)
        to_rstd = part if to_rstd is None else to_rstd + part
        to_input = to_normal * rstd
        to_mean = None if mean is None else -xp.sum(to_input, axis=over, keepdims=True)
        found = [to_slope, to_input, to_rstd, to_mean, to_weight]
    return tuple(
        [x if x is None else back_to(xp, x, t) for x, t in zip(found, dtypes, strict=True)]
    )


derivative(norm_slopes, together=norm_slopes_rule)


def slopes(
    xp: Any,
    gs: Sequence[Any],
    x: Any,
    rstd: Any,
    mean: Any,
    weight: Any,
    over: tuple[int, ...],
    needs: Sequence[bool],
    layout: tuple[int, ...],
    factor: tuple[int, ...],
    bias: tuple[Any, Any],
) -> tuple[Any, ...]:
    """The gradients of input, factor and shift, from those of the result and of the statistics.

    `bias` is the shape and the type of the shift.
    """
    g, g_rstd, g_mean = gs
    shape = tuple(x.shape)
    x = xp.reshape(x, layout)
    inner = outer = shift = None
    if g is not None:
        wanted = (needs[0], len(needs) > 1 and needs[1], len(needs) > 2 and needs[2])
        inner, outer, shift = xp.norm_slopes(
            xp.reshape(g, layout), x, rstd, mean, shaped(xp, weight, factor),
            over=over, wanted=wanted,
        )  # fmt: skip
        if outer is not None:
            outer = back_to(xp, xp.reshape(outer, weight.shape), weight.dtype)
        if shift is not None:
            shift = back_to(xp, xp.reshape(shift, bias[0]), bias[1])
    if needs[0] and not (g_rstd is None and g_mean is None):
        extra = statistics_slope(xp, x, rstd, mean, g_rstd, g_mean, over)
        inner = extra if inner is None else inner + extra
    return shaped(xp, inner, shape), outer, shift


def statistics_slope(
    xp: Any, x: Any, rstd: Any, mean: Any, g_rstd: Any, g_mean: Any, over: tuple[int, ...]
) -> Any:
    """The gradient of the input from those of its statistics, as second derivatives need it."""
    each = 1 / max(1, math.prod([x.shape[d] for d in over]))
    result: Any = xp.zeros_like(x)
    if g_rstd is not None:
        away = x if mean is None else x - mean
        result = result - away * (g_rstd * rstd * rstd * rstd * each)
    if g_mean is not None:
        result = result + g_mean * each
    return back_to(xp, result, x.dtype)


def fitting(dtype: Any, size: tuple[int, ...], *tensors: Tensor | None) -> bool:
    """Whether all tensors given have this type and shape, so that nothing is left to check."""
    return all(x is None or (x.dtype is dtype and x.shape == size) for x in tensors)


def require_parameter_types(input: Tensor, *parameters: Tensor | None) -> None:
    """Raise RuntimeError unless factors and shifts have the type of the input, or may be wider."""
    for x in parameters:
        if (
            x is not None
            and x.dtype is not input.dtype
            and not (half(input) and x.dtype is float32)
        ):
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of Float, or the input's: "
                f"got {x.dtype} beside {input.dtype}"
            )
    given = [x.dtype for x in parameters if x is not None]
    if any(t is not given[0] for t in given):
        name = of(input.dtype).legacy
        raise RuntimeError(
            f"expected scalar type {name} but found Float: factor and shift must be of one type"
        )


# ---- rows: layer_norm, rms_norm


def rows(x: Any, dims: int) -> tuple[int, int]:
    """The layout in which the last `dims` dimensions are one."""
    split = x.ndim - dims
    return math.prod(x.shape[:split]), math.prod(x.shape[split:])


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=STATISTICS,
    examples=[
        ((3, 4), (4,), (4,), {"dims": 1}),
        ((2, 3, 4), None, None, {"dims": 2}),
        ((2, 3, 4), (3, 4), None, {"dims": 2, "eps": 0.1}),
    ],
)
def native_layer_norm(xp, input, weight=None, bias=None, /, dims=1, eps=1e-5):
    """Normalize over the last `dims` dimensions; also the mean and reciprocal deviation."""
    layout = rows(input, dims)
    factor = (1, layout[1])
    weight, bias = shaped(xp, weight, factor), shaped(xp, bias, factor)
    out, mean, rstd, _ = standardized(
        xp, xp.reshape(input, layout), weight, bias, over=(1,), eps=eps
    )
    return xp.reshape(out, input.shape), mean, rstd


def layer_norm_rule(xp, gs, input, weight, mean, rstd, bias_shape, bias_dtype, dims, needs):
    layout = rows(input, dims)
    gs, factor, bias = (gs[0], gs[2], gs[1]), (1, layout[1]), (bias_shape, bias_dtype)
    return slopes(xp, gs, input, rstd, mean, weight, (1,), needs, layout, factor, bias)


derivative(native_layer_norm, together=apart(layer_norm_rule, of_short_statistics(layer_norm_rule)))


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=("output", "rstd"),
    node="FusedRmsNormBackward0",
    examples=[((3, 4), (4,), {"dims": 1}), ((2, 3, 4), {"dims": 2, "eps": 0.1})],
)
def fused_rms_norm(xp, input, weight=None, /, dims=1, eps=1e-5):
    """Divide by the root mean square over the last `dims` dimensions; also its reciprocal."""
    layout = rows(input, dims)
    x = widened(xp, xp.reshape(input, layout))
    mean = xp.sum(x * x, axis=(1,), keepdims=True) * (1 / max(1, layout[1]))
    rstd = 1 / xp.sqrt(mean + eps)
    out = affine(xp, x * rstd, shaped(xp, weight, (1, layout[1])), None, input.dtype)
    return xp.reshape(out, input.shape), rstd


def rms_norm_rule(xp, gs, input, weight, rstd, dims, needs):
    layout = rows(input, dims)
    gs, factor = (gs[0], gs[1], None), (1, layout[1])
    return slopes(xp, gs, input, rstd, None, weight, (1,), needs, layout, factor, ((), None))[:2]


derivative(fused_rms_norm, together=rms_norm_rule)


@composite(
    home="nn",
    examples=[
        ((3, 4), (4,)),
        ((2, 3, 4), (3, 4), positive(3, 4), positive(3, 4)),
        ((2, 3, 4), (4,), positive(4), {"eps": 0.1}),
        ((0, 4), (4,)),
    ],
)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize over the last dimensions to mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
        Of floats.
    normalized_shape : sequence of int
        The lengths of those dimensions.
    weight, bias : Tensor, optional
        Factor and shift of that shape.
    eps : float, optional
        Added to the variance.

    Raises
    ------
    NotImplementedError
        If the input does not hold floats.
    RuntimeError
        If shapes or types do not fit.
    TypeError
        If `normalized_shape` is no sequence.
    """
    if (
        not isinstance(normalized_shape, tuple)
        or input.shape[-len(normalized_shape) :] != normalized_shape
        or not fitting(input.dtype, normalized_shape, weight, bias)
    ):
        parameters = {"weight": weight, "bias": bias}
        normalized_shape = require_normalized(
            "layer_norm", input, normalized_shape, "[*, ", parameters
        )
        require_parameter_types(input, weight, bias)
    found = native_layer_norm(input, weight, bias, len(normalized_shape), eps)
    result: Tensor = found[0]
    return result


def require_normalized(
    name: str, input: Tensor, sizes: Any, opening: str, parameters: dict[str, Tensor | None]
) -> tuple[int, ...]:
    """`normalized_shape` as a tuple, after checks that PyTorch makes."""
    if isinstance(sizes, int):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    size = tuple(sizes)
    if not size:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    for key, x in parameters.items():
        if x is not None and tuple(x.shape) != size:
            raise RuntimeError(
                f"Expected {key} to be of same shape as normalized_shape, but got {key} of shape "
                f"{list(x.shape)} and normalized_shape = {list(size)}"
            )
    if tuple(input.shape)[-len(size) :] != size:
        inside = ", ".join(map(str, size))
        raise RuntimeError(
            f"Given normalized_shape={list(size)}, expected input with shape {opening}{inside}], "
            f"but got input of size{list(input.shape)}"
        )
    return size


@composite(
    home="nn",
    examples=[
        ((3, 4), (4,)),
        ((2, 3, 4), (3, 4), positive(3, 4)),
        ((2, 3, 4), (4,), positive(4), {"eps": 0.1}),
    ],
)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions.

    Parameters
    ----------
    input : Tensor
    normalized_shape : sequence of int
        The lengths of those dimensions.
    weight : Tensor, optional
        Factor of that shape.
    eps : float, optional
        Added to the mean square; by default the smallest step from 1 of the type calculated in.

    Raises
    ------
    NotImplementedError
        If the input holds integers.
    RuntimeError
        If shapes do not fit.
    ValueError
        If the input has no dimension.
    """
    if input.ndim == 0:
        raise ValueError("Input tensor must have at least 1 dimensions, but got 0")
    size = require_normalized("rms_norm", input, normalized_shape, "[*", {"weight": weight})
    kind = of(input.dtype).kind
    if kind not in ("float", "complex"):
        raise NotImplementedError(
            f"\"rms_norm\" not implemented for '{of(input.dtype).legacy}': convert with .float()"
        )
    if eps is None:
        eps = finfo(float32 if half(input) else input.dtype).eps
    result: Tensor
    if kind == "complex":
        mean = (input * input).mean(tuple(range(-len(size), 0)), keepdim=True)
        result = input * (mean + eps).rsqrt()
        return result if weight is None else (result * weight).to(input.dtype)
    if weight is not None and not half(input) and weight.dtype is not input.dtype:
        result = fused_rms_norm(input, None, len(size), eps)[0]
        return (result * weight).to(input.dtype)
    result = fused_rms_norm(input, weight, len(size), eps)[0]
    return result


# ---- groups of channels: group_norm


def grouped(x: Any, groups: int) -> tuple[int, int, int, int]:
    """The layout (samples, groups, channels of a group, places)."""
    batch, channels = x.shape[:2]
    return batch, groups, channels // groups, math.prod(x.shape[2:])


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=STATISTICS,
    examples=[
        ((2, 4, 3), (4,), (4,), {"groups": 2}),
        ((2, 4), None, None, {"groups": 2}),
        ((2, 3, 2, 2), (3,), None, {"groups": 3, "eps": 0.1}),
    ],
)
def native_group_norm(xp, input, weight=None, bias=None, /, groups=1, eps=1e-5):
    """Normalize each group of channels of each sample; also mean and reciprocal deviation."""
    layout = grouped(input, groups)
    factor = (1, *layout[1:3], 1)
    weight, bias = shaped(xp, weight, factor), shaped(xp, bias, factor)
    out, mean, rstd, _ = standardized(
        xp, xp.reshape(input, layout), weight, bias, over=(2, 3), eps=eps
    )
    return xp.reshape(out, input.shape), mean, rstd


def group_norm_rule(xp, gs, input, weight, mean, rstd, bias_shape, bias_dtype, groups, needs):
    layout = grouped(input, groups)
    gs, factor, bias = (gs[0], gs[2], gs[1]), (1, *layout[1:3], 1), (bias_shape, bias_dtype)
    return slopes(xp, gs, input, rstd, mean, weight, (2, 3), needs, layout, factor, bias)


derivative(native_group_norm, together=apart(group_norm_rule, of_short_statistics(group_norm_rule)))


@composite(
    home="nn",
    examples=[
        ((2, 4, 3), 2),
        ((2, 6, 3, 2), 3, positive(6), positive(6)),
        ((2, 4), 2, positive(4), {"eps": 0.1}),
    ],
)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize groups of channels of each sample to mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, c, ...)``, of floats.
    num_groups : int
        Channels are divided into so many groups.
    weight, bias : Tensor, optional
        Factor and shift of each channel, shape ``(c,)``.
    eps : float, optional
        Added to the variance.

    Raises
    ------
    NotImplementedError
        If the input does not hold floats.
    RuntimeError
        If shapes or types do not fit.
    ValueError
        If there is one value to each group only.
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    require_several([shape[0] * shape[1] // num_groups, num_groups, *shape[2:]])
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={num_groups}"
        )
    if not fitting(input.dtype, shape[1:2], weight, bias):
        for name, x in (("weight", weight), ("bias", bias)):
            if x is not None and tuple(x.shape) != shape[1:2]:
                raise RuntimeError(
                    f"Expected {name} to be a vector of size equal to the number of channels in "
                    f"input, but got {name} of shape {list(x.shape)} and input of shape "
                    f"{list(shape)}"
                )
        require_parameter_types(input, weight, bias)
    result: Tensor = native_group_norm(input, weight, bias, num_groups, eps)[0]
    return result


def require_several(size: Sequence[int], shown: Any = None) -> None:
    """Raise ValueError if there is one value only to each of ``size[1]`` channels."""
    if size[0] * math.prod(size[2:]) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(size) if shown is None else shown}"
        )


# ---- channels over the batch: batch_norm, instance_norm


def channels(x: Any) -> tuple[int, int, int]:
    """The layout (samples, channels, places)."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


@op(
    ordered=True,
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=(*STATISTICS, "var"),
    examples=[
        ((4, 3), (3,), (3,)),
        ((2, 3, 4), None, None, {"eps": 0.1}),
        ((2, 3, 2, 2), (3,), None),
    ],
)
def native_batch_norm(xp, input, weight=None, bias=None, /, eps=1e-5):
    """Normalize channels over samples and places; also mean, reciprocal deviation and variance."""
    layout = channels(input)
    factor = (1, layout[1], 1)
    weight, bias = shaped(xp, weight, factor), shaped(xp, bias, factor)
    out, *statistics = standardized(
        xp, xp.reshape(input, layout), weight, bias, over=(0, 2), eps=eps, short=True
    )
    return xp.reshape(out, input.shape), *statistics


def batch_norm_rule(xp, gs, input, weight, mean, rstd, bias_shape, bias_dtype, needs):
    layout = channels(input)
    g_rstd = gs[2]
    if gs[3] is not None:  # the variance is a function of the reciprocal deviation
        part = gs[3] * -2 / (rstd * rstd * rstd)
        g_rstd = part if g_rstd is None else g_rstd + part
    gs, factor, bias = (gs[0], g_rstd, gs[1]), (1, layout[1], 1), (bias_shape, bias_dtype)
    return slopes(xp, gs, input, rstd, mean, weight, (0, 2), needs, layout, factor, bias)


derivative(native_batch_norm, together=apart(batch_norm_rule, of_short_statistics(batch_norm_rule)))


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=STATISTICS,
    node="NativeBatchNormBackward0",
    examples=[
        ((4, 3), (3,), positive(3), (3,), (3,)),
        ((2, 3, 4), (3,), positive(3), None, (3,), {"eps": 0.1}),
    ],
)
def fixed_batch_norm(xp, input, running_mean, running_var, weight=None, bias=None, /, eps=1e-5):
    """Normalize channels by known statistics, which come back as they were used.

    They are copied, so that writing the running statistics later does no harm to the way back.
    """
    factor = (1, input.shape[1], *(1,) * (input.ndim - 2))
    x = widened(xp, input)
    mean = xp.asarray(back_to(xp, xp.reshape(running_mean, factor), x.dtype), copy=True)
    rstd = 1 / xp.sqrt(back_to(xp, xp.reshape(running_var, factor), x.dtype) + eps)
    weight, bias = shaped(xp, weight, factor), shaped(xp, bias, factor)
    return affine(xp, (x - mean) * rstd, weight, bias, input.dtype), mean, rstd


def fixed_batch_norm_rule(xp, gs, input, weight, mean, rstd, bias_shape, bias_dtype, needs):
    g = gs[0]
    if g is None:
        return (None,) * 5
    size = tuple(mean.shape)
    inner = outer = shift = None
    dtype, g = g.dtype, back_to(xp, g, rstd.dtype)
    if needs[0]:
        scale = rstd if weight is None else rstd * xp.reshape(back_to(xp, weight, g.dtype), size)
        inner = back_to(xp, g * scale, dtype)
    if len(needs) > 3 and needs[3]:
        outer = reduced(xp, g * (back_to(xp, input, g.dtype) - mean), size) * rstd
        outer = back_to(xp, xp.reshape(outer, weight.shape), weight.dtype)
    if len(needs) > 4 and needs[4]:
        shift = back_to(xp, xp.reshape(reduced(xp, g, size), bias_shape), bias_dtype)
    return inner, None, None, outer, shift


derivative(fixed_batch_norm, together=fixed_batch_norm_rule)


@op(
    public=False,
    promotes=None,
    writes=("running_mean", "running_var"),
    examples=[((3,), positive(3), (1, 3, 1), positive(1, 3, 1), {"momentum": 0.3, "count": 5})],
)
def track_statistics(xp, running_mean, running_var, mean, var, /, momentum, count):
    """Running statistics moved toward those of a batch; of its variance the unbiased form."""
    results = []
    for old, new, factor in (
        (running_mean, mean, momentum),
        (running_var, var, momentum * count / max(1, count - 1)),
    ):
        new = xp.reshape(back_to(xp, new, old.dtype), old.shape)
        results.append(back_to(xp, old * (1 - momentum) + new * factor, old.dtype))
    return tuple(results)


def require_channels(count: int, parameters: dict[str, Tensor | None]) -> None:
    """Raise RuntimeError unless each has one value to a channel."""
    for name, x in parameters.items():
        if x is not None and x.numel() != count:
            raise RuntimeError(f"{name} should contain {count} elements not {x.numel()}")


def require_statistics(mean: Tensor | None, var: Tensor | None) -> None:
    """Raise unless there are both running statistics, or none, and no gradients are wanted."""
    if (mean is None) != (var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    for name, x in (("running_mean", mean), ("running_var", var)):
        if x is not None and x.requires_grad:
            raise RuntimeError(
                "The function 'native_batch_norm' is not differentiable with respect to argument "
                f"'{name}'. This input cannot have requires_grad True."
            )


@composite(
    home="nn",
    examples=[
        ((4, 3), None, None, positive(3), positive(3), True),
        ((2, 3, 4), (3,), positive(3), positive(3), positive(3)),
        ((2, 3, 2, 2), None, None, positive(3), positive(3), True, 0.3, 0.1),
    ],
)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel over the batch and all of space to mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, c, ...)``, of floats.
    running_mean, running_var : Tensor or None
        Statistics of earlier batches, shape ``(c,)``. In training they are moved toward those of
        this batch, in place; otherwise they are used instead of them.
    weight, bias : Tensor, optional
        Factor and shift of each channel, shape ``(c,)``.
    training : bool, optional
        Whether to use the statistics of this batch.
    momentum : float, optional
        How far the running statistics are moved.
    eps : float, optional
        Added to the variance.

    Raises
    ------
    NotImplementedError
        If the input does not hold floats.
    RuntimeError
        If shapes or types do not fit, or statistics are missing.
    ValueError
        If `eps` is negative; in training if it is 0, or there is one value to each channel only.
    """
    shape = tuple(input.shape)
    if training:
        if len(shape) > 1:
            require_several(shape, input.shape)
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if momentum is None:
        raise TypeError(
            "batch_norm(): argument 'momentum' (position 7) must be float, not NoneType"
        )
    if not training and (running_mean is None or running_var is None):
        name = "running_mean" if running_mean is None else "running_var"
        raise RuntimeError(f"{name} must be defined in evaluation mode")
    require_statistics(running_mean, running_var)
    if not fitting(input.dtype, shape[1:2], running_mean, running_var, weight, bias):
        require_channels(
            shape[1] if len(shape) > 1 else 0,
            {
                "running_mean": running_mean,
                "running_var": running_var,
                "weight": weight,
                "bias": bias,
            },
        )
        if shape == (0,):  # no channels and no images
            return input.clone()
        if len(shape) < 2:
            raise RuntimeError(f"batch_norm: expected at least 2D input (got {len(shape)}D input)")
        require_floats(input)
        require_parameter_types(input, weight, bias)
        require_parameter_types(input, running_mean, running_var)
    result: Tensor
    if not training:
        result = fixed_batch_norm(input, running_mean, running_var, weight, bias, eps)[0]
        return result
    result, mean, _, var = native_batch_norm(input, weight, bias, eps)
    if running_mean is not None and 0 not in shape:
        count = math.prod(shape) // shape[1]
        mean, var = written_by(running_mean, mean, var)
        track_statistics(running_mean, running_var, mean, var, momentum, count)
    return result


def require_floats(input: Tensor) -> None:
    """Raise NotImplementedError unless the input holds floats."""
    dtype = of(input.dtype)
    if dtype.kind != "float":
        raise NotImplementedError(
            f"\"batch_norm\" not implemented for '{dtype.legacy}': convert with .float()"
        )


@composite(
    home="nn",
    examples=[
        ((2, 3, 4),),
        ((2, 3, 2, 2), None, None, positive(3), positive(3)),
        ((2, 3, 4), (3,), positive(3), positive(3), positive(3), False),
    ],
)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each sample over space to mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, c, ...)``, of floats.
    running_mean, running_var : Tensor, optional
        Statistics of earlier samples, shape ``(c,)``. With `use_input_stats` they are moved toward
        the mean of those of these samples, in place.
    weight, bias : Tensor, optional
        Factor and shift of each channel, shape ``(c,)``.
    use_input_stats : bool, optional
        Whether to normalize by the samples' own statistics; otherwise by the running ones.
    momentum : float, optional
        How far the running statistics are moved.
    eps : float, optional
        Added to the variance.

    Raises
    ------
    NotImplementedError
        If the input does not hold floats.
    RuntimeError
        If shapes or types do not fit, or statistics are missing.
    ValueError
        If there is one value to a channel only.
    """
    shape = tuple(input.shape)
    if use_input_stats and math.prod(shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if momentum is None:
        raise TypeError(
            "instance_norm(): argument 'momentum' (position 7) must be float, not NoneType"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    require_statistics(running_mean, running_var)
    batch, count = shape[:2]
    for name, x in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if x is not None and x.numel() != count:
            raise RuntimeError(
                f"{name} should contain {batch * count} elements not {batch * x.numel()}: one to "
                f"each of {count} channels of each sample"
            )
    require_floats(input)
    require_parameter_types(input, weight, bias)
    require_parameter_types(input, running_mean, running_var)
    result: Tensor
    if not use_input_stats:
        result = fixed_batch_norm(input, running_mean, running_var, weight, bias, eps)[0]
        return result
    if running_mean is None:
        result = native_group_norm(input, weight, bias, count, eps)[0]
        return result
    result, mean, _, var = native_batch_norm(
        input.reshape(1, batch * count, -1),
        None if weight is None else weight.repeat(batch),
        None if bias is None else bias.repeat(batch),
        eps=eps,
    )
    mean, var = written_by(running_mean, mean, var)
    track_statistics(
        running_mean,
        running_var,
        mean.reshape(batch, count).mean(0),
        var.reshape(batch, count).mean(0),
        momentum,
        math.prod(shape[2:]),
    )
    return result.reshape(shape)
