"""Pooling: maxima and means of windows.

Element `k` of window `o` is the input's element ``o * stride + k * dilation - padding``. One that
is not there takes no part in a maximum, and is 0 in a mean. The private operations work on the
last dimensions of any input.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product as tuples
from operator import index
from typing import TYPE_CHECKING, Any

from devtensor.example import distinct, ints
from devtensor.op import composite, derivative, op
from devtensor.ops.conv import extent, keys, moved
from devtensor.ops.elementwise import half, kind
from devtensor.ops.results import with_out
from devtensor.ops.shape import constant_pad_nd

if TYPE_CHECKING:
    from devtensor.tensor import Tensor

Sizes = tuple[int, ...]


# ---- maxima of windows

PAIRS: dict[str, Any] = {"kernel": (2,), "stride": (2,), "padding": (0,), "dilation": (1,)}
SQUARES: dict[str, Any] = {
    "kernel": (3, 2),
    "stride": (2, 1),
    "padding": (1, 0),
    "dilation": (1, 2),
}


@op(
    public=False,
    outputs=("values", "which"),
    accepts=("float", "int"),
    node="MaxPool2DWithIndicesBackward0",
    examples=[
        (distinct(2, 3, 6), PAIRS | {"size": (3,)}),
        (distinct(2, 5, 4), SQUARES | {"size": (3, 2)}),
    ],
    oracle=None,
)
def max_windows(xp, input, /, *, kernel, size, stride, padding, dilation, keep=True):
    """The largest element of each window, and its number within the window.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., *sizes)``.
    kernel, size, stride, padding, dilation : tuple of int
        To each dimension: how many elements a window has, how many windows there are, the step
        between two, how far the first starts before the input, the step within a window.
    keep : bool, optional
        Whether the numbers will be asked for, as the way back does; otherwise they may be empty.
    """
    x = xp.astype(input, xp.float32) if half(input) else input
    places = tuples(*map(range, kernel))
    framed = moved(xp, x, extent(kernel, size, stride, dilation), padding)
    best = which = met = None  # `met`: windows of which an element was there; None for all.
    for k, key in enumerate(keys(kernel, size, stride, dilation)):
        part = framed[key]
        starts = [i * gap - p for i, gap, p in zip(next(places), dilation, padding, strict=True)]
        there = present(xp, x.shape[-len(size) :], size, stride, starts)
        number = xp.full(part.shape, k, dtype=xp.int32)
        if best is None:
            best, which, met = xp.asarray(part, copy=True), number, there
            continue
        larger = part > best
        if kind(x) == "float":
            larger = larger | (part != part)  # Of several NaN the last one counts.
        if met is not None:
            larger = larger | ~met
            met = None if there is None else met | there
        if there is not None:
            larger = larger & there
        best, which = xp.where(larger, part, best), xp.where(larger, number, which)
    return xp.astype(best, input.dtype, copy=False), which


def inside(size: int, count: int, step: int, start: int) -> tuple[int, int]:
    """From where to where ``start + i * step``, for ``i < count``, is in an input of `size`."""
    low = min(max(0, -(start // step)), count)
    return low, max(0, min(count, (size - start + step - 1) // step))


def present(
    xp: Any, sizes: Sizes, size: Sizes, stride: Sizes, starts: list[int]
) -> Any:  # fmt: skip
    """In which windows the element that starts there is in the input; None for all."""
    found: Any = None
    for d, (n, o, step, start) in enumerate(zip(sizes, size, stride, starts, strict=True)):
        low, high = inside(n, o, step, start)
        if (low, high) != (0, o):
            row = xp.asarray([low <= i < high for i in range(o)])
            row = xp.reshape(row, (o, *(1,) * (len(size) - d - 1)))
            found = row if found is None else found & row
    return found


@op(
    public=False,
    promotes=None,
    node="MaxPool2DWithIndicesBackwardBackward0",
    examples=[
        ((2, 3, 6), ints(2, 3, 3, low=0, high=2), PAIRS),
        ((2, 7, 4), ints(2, 3, 2, low=2, high=6), SQUARES),
    ],
    oracle=None,
)
def chosen(xp, input, which, /, *, kernel, stride, padding, dilation):
    """The element of each window that has the number `which`; all must be in the input."""
    size = which.shape[-len(kernel) :]
    framed = moved(xp, input, extent(kernel, size, stride, dilation), padding)
    found = xp.zeros(which.shape, dtype=input.dtype)
    for k, key in enumerate(keys(kernel, size, stride, dilation)):
        found = xp.where(which == k, framed[key], found)
    return found


@op(
    public=False,
    promotes=None,
    node="MaxPool2DWithIndicesBackwardBackward0",
    examples=[
        ((2, 3, 3), ints(2, 3, 3, low=0, high=2), PAIRS | {"sizes": (6,)}),
        ((2, 3, 2), ints(2, 3, 2, low=2, high=6), SQUARES | {"sizes": (7, 4)}),
    ],
    oracle=None,
)
def chosen_spread(xp, g, which, /, *, sizes, kernel, stride, padding, dilation):
    """The adjoint of `chosen`: each number of `g` added to the element of its window."""
    if half(g):
        wide = chosen_spread.kernel(
            xp, xp.astype(g, xp.float32), which, sizes=sizes, kernel=kernel, stride=stride,
            padding=padding, dilation=dilation,
        )  # fmt: skip
        return xp.astype(wide, g.dtype)
    size = which.shape[-len(kernel) :]
    reach = extent(kernel, size, stride, dilation)
    framed = xp.zeros((*g.shape[: -len(size)], *reach), dtype=g.dtype)
    nothing = xp.zeros_like(g)
    for k, key in enumerate(keys(kernel, size, stride, dilation)):
        framed[key] += xp.where(which == k, g, nothing)
    return moved(xp, framed, sizes, [-before for before in padding])


derivative(
    max_windows,
    input=lambda xp, gs, which, input_shape, kernel, stride, padding, dilation: xp.chosen_spread(
        gs[0],
        which,
        sizes=input_shape[-len(kernel) :],
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    ),
)
derivative(
    chosen,
    input=lambda xp, g, which, input_shape, kernel, stride, padding, dilation: xp.chosen_spread(
        g,
        which,
        sizes=input_shape[-len(kernel) :],
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    ),
)
derivative(
    chosen_spread,
    g=lambda xp, g, which, kernel, stride, padding, dilation: xp.chosen(
        g, which, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    ),
)


@op(
    public=False,
    promotes=None,
    examples=[
        (ints(2, 3, 3, low=0, high=2), PAIRS | {"sizes": (6,)}),
        (ints(2, 3, 2, low=2, high=6), SQUARES | {"sizes": (5, 4)}),
    ],
    oracle=None,
)
def window_places(xp, which, /, *, sizes, kernel, stride, padding, dilation):
    """Where the elements with these numbers are, counted in a flattened input."""
    rest = xp.astype(which, xp.int64)
    found: Any = 0
    after = math.prod(kernel)
    for d, (n, k, step, before, gap) in enumerate(
        zip(sizes, kernel, stride, padding, dilation, strict=True)
    ):
        after //= k
        count = which.shape[d - len(sizes)]
        start = xp.arange(count, dtype=xp.int64) * step - before
        start = xp.reshape(start, (count, *(1,) * (len(sizes) - d - 1)))
        found = found * n + start + rest // after * gap
        rest = rest % after
    return found


# ---- means of windows

TILES: dict[str, Any] = {
    "kernel": (2,),
    "stride": (2,),
    "padding": (0,),
    "include_pad": True,
    "divisor": None,
}
BORDERS: dict[str, Any] = {
    "kernel": (3, 2),
    "stride": (2, 1),
    "padding": (1, 0),
    "include_pad": False,
    "divisor": None,
}


@op(
    public=False,
    accepts=("float", "int"),
    node="AvgPool2DBackward0",
    examples=[
        ((2, 3, 6), TILES | {"size": (3,)}),
        ((2, 5, 4), BORDERS | {"size": (3, 3)}),
        ((2, 5, 4), BORDERS | {"size": (2, 3), "divisor": 5}),
    ],
    oracle=None,
)
def avg_windows(xp, input, /, *, kernel, size, stride, padding, include_pad, divisor):
    """The mean of each window.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., *sizes)``.
    kernel, size, stride, padding : tuple of int
        As of `max_windows`.
    include_pad : bool
        Whether the elements of the padding count, as zeros.
    divisor : int or None
        What to divide the sums by, if not by the number of elements.
    """
    sums = xp.astype(input, xp.float32) if half(input) else input
    sizes, dims = tuple(sums.shape[-len(size) :]), len(size)
    sums = moved(xp, sums, extent(kernel, size, stride, (1,) * dims), padding)
    for d in range(dims):
        parts = [sums[part] for part in steps(d, dims, kernel[d], size[d], stride[d])]
        sums = sum(parts[1:], parts[0])
    number = counts(xp, sums, sizes, kernel, size, stride, padding, include_pad, divisor)
    if kind(sums) == "int":  # Towards 0, as PyTorch does.
        found = xp.abs(sums) // abs(number) * xp.sign(sums)
        found = -found if divisor is not None and divisor < 0 else found
    else:
        found = sums / number
    return xp.astype(found, input.dtype, copy=False)


@op(
    public=False,
    accepts=("float",),
    node="AvgPool2DBackwardBackward0",
    examples=[
        ((2, 3, 3), TILES | {"sizes": (6,)}),
        ((2, 3, 3), BORDERS | {"sizes": (5, 4)}),
        ((2, 2, 3), BORDERS | {"sizes": (5, 4), "divisor": 5}),
    ],
    oracle=None,
)
def avg_spread(xp, g, /, *, sizes, kernel, stride, padding, include_pad, divisor):
    """The adjoint of `avg_windows`: each number of `g` divided among the elements of its window."""
    size, dims = tuple(g.shape[-len(kernel) :]), len(kernel)
    spread = xp.astype(g, xp.float32) if half(g) else g
    spread = spread / counts(xp, spread, sizes, kernel, size, stride, padding, include_pad, divisor)
    for d, n in enumerate(extent(kernel, size, stride, (1,) * dims)):
        place = spread.ndim - dims + d
        whole = xp.zeros((*spread.shape[:place], n, *spread.shape[place + 1 :]), dtype=spread.dtype)
        for part in steps(d, dims, kernel[d], size[d], stride[d]):
            whole[part] += spread
        spread = whole
    return xp.astype(moved(xp, spread, sizes, [-before for before in padding]), g.dtype, copy=False)


def steps(d: int, dims: int, kernel: int, size: int, stride: int) -> list[tuple[Any, ...]]:
    """For each element of windows along dimension `d` of the last `dims`, where it is."""
    after = (slice(None),) * (dims - d - 1)
    return [(..., slice(k, k + (size - 1) * stride + 1, stride), *after) for k in range(kernel)]


def counts(
    xp: Any, like: Any, sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
    include_pad: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """What to divide the sum of each window by: one number if it is the same for all."""
    if divisor is not None:
        return divisor
    found: Any = 1
    for d, (n, k, o, step, before) in enumerate(
        zip(sizes, kernel, size, stride, padding, strict=True)
    ):
        low, high = (-before, n + before) if include_pad else (0, n)
        row = [min(i * step - before + k, high) - max(i * step - before, low) for i in range(o)]
        if len(set(row)) == 1:
            found = found * row[0]
        else:
            shape = (o, *(1,) * (len(sizes) - d - 1))
            found = found * xp.reshape(xp.asarray(row, dtype=like.dtype), shape)
    return found


derivative(
    avg_windows,
    input=lambda xp, g, input_shape, kernel, stride, padding, include_pad, divisor: xp.avg_spread(
        g,
        sizes=tuple(input_shape[-len(kernel) :]),
        kernel=kernel,
        stride=stride,
        padding=padding,
        include_pad=include_pad,
        divisor=divisor,
    ),
)
derivative(
    avg_spread,
    g=lambda xp, g, g_shape, kernel, stride, padding, include_pad, divisor: xp.avg_windows(
        g,
        size=tuple(g_shape[-len(kernel) :]),
        kernel=kernel,
        stride=stride,
        padding=padding,
        include_pad=include_pad,
        divisor=divisor,
    ),
)


# ---- windows that divide the input


def shares(n: int, count: int) -> list[tuple[int, int]]:
    """From where to where `count` windows reach that cover `n` places."""
    return [(i * n // count, -((i + 1) * n // -count)) for i in range(count)]


@op(
    public=False,
    accepts=("float",),
    node="AdaptiveAvgPool2DBackward0",
    examples=[((2, 3, 6), {"size": (3,)}), ((2, 5, 4), {"size": (3, 6)})],
    oracle=None,
)
def adaptive_avg(xp, input, /, *, size):
    """The means of windows that divide the last dimensions of the input into `size` parts."""
    x = xp.astype(input, xp.float32) if half(input) else input
    for d, count in enumerate(size):
        place = x.ndim - len(size) + d
        n = x.shape[place]
        if count == n:
            continue
        if count and n % count == 0:
            shape = (*x.shape[:place], count, n // count, *x.shape[place + 1 :])
            x = xp.mean(xp.reshape(x, shape), axis=place + 1)
        else:
            after = (slice(None),) * (len(size) - d - 1)
            parts = [
                xp.mean(x[(..., slice(*part), *after)], axis=place, keepdims=True)
                for part in shares(n, count)
            ]
            shape = (*x.shape[:place], 0, *x.shape[place + 1 :])
            x = xp.concat(parts, axis=place) if parts else xp.zeros(shape, dtype=x.dtype)
    return xp.astype(x, input.dtype)


@op(
    public=False,
    accepts=("float",),
    node="AdaptiveAvgPool2DBackwardBackward0",
    examples=[((2, 3, 3), {"sizes": (6,)}), ((2, 3, 6), {"sizes": (5, 4)})],
    oracle=None,
)
def adaptive_avg_spread(xp, g, /, *, sizes):
    """The adjoint of `adaptive_avg`."""
    x = xp.astype(g, xp.float32) if half(g) else g
    for d, n in enumerate(sizes):
        place = x.ndim - len(sizes) + d
        count = x.shape[place]
        if count == n:
            continue
        after = (slice(None),) * (len(sizes) - d - 1)
        whole = xp.zeros((*x.shape[:place], n, *x.shape[place + 1 :]), dtype=x.dtype)
        for i, (low, high) in enumerate(shares(n, count)):
            whole[(..., slice(low, high), *after)] += x[(..., slice(i, i + 1), *after)] / (
                high - low
            )
        x = whole
    return xp.astype(x, g.dtype)


derivative(
    adaptive_avg,
    input=lambda xp, g, input_shape, size: xp.adaptive_avg_spread(
        g, sizes=tuple(input_shape[-len(size) :])
    ),
)
derivative(
    adaptive_avg_spread,
    g=lambda xp, g, g_shape, sizes: xp.adaptive_avg(g, size=tuple(g_shape[-len(sizes) :])),
)


@op(
    public=False,
    outputs=("values", "indices"),
    accepts=("float",),
    node="AdaptiveMaxPool2DBackward0",
    examples=[(distinct(2, 3, 6), {"size": (3,)}), (distinct(2, 5, 4), {"size": (3, 6)})],
    oracle=None,
)
def adaptive_max(xp, input, /, *, size):
    """The maxima of windows that divide the input, and where they are in a flattened plane."""
    best = xp.astype(input, xp.float32) if half(input) else input
    sizes = best.shape[-len(size) :]
    places = xp.reshape(xp.arange(math.prod(sizes), dtype=xp.int64), sizes)
    places = xp.broadcast_to(places, best.shape)
    for d in reversed(range(len(size))):
        axis = best.ndim - len(size) + d
        windows = shares(best.shape[axis], size[d])
        x, indices = best, places
        for k in range(max([high - low for low, high in windows], default=1)):
            at = [min(low + k, high - 1) for low, high in windows]
            chosen = xp.asarray(at, dtype=xp.int64)
            part, place = xp.take(x, chosen, axis=axis), xp.take(indices, chosen, axis=axis)
            if k == 0:
                best, places = part, place
                continue
            larger = (part > best) | (part != part)  # Of several NaN the last one counts.
            best, places = xp.where(larger, part, best), xp.where(larger, place, places)
    return xp.astype(best, input.dtype), places


def adaptive_max_rule(xp, gs, indices, input_shape, size):
    outer, dims = tuple(input_shape[: -len(size)]), len(size)
    flat = (*outer, math.prod(indices.shape[-dims:]))
    spread = xp.gather_spread(
        xp.reshape(gs[0], flat),
        xp.reshape(indices, flat),
        (*outer, math.prod(input_shape[-dims:])),
        len(outer),
    )
    return xp.reshape(spread, input_shape)


derivative(adaptive_max, input=adaptive_max_rule)


# ---- what PyTorch accepts

WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def numbers(name: str, argument: str, value: Any, dims: int) -> Sizes:
    """A parameter's numbers, to each dimension; TypeError if they are no integers."""
    try:
        found = tuple(map(index, value)) if isinstance(value, (tuple, list)) else (index(value),)
    except TypeError:
        raise TypeError(
            f"{name}(): argument '{argument}' must be tuple of ints, not {type(value).__name__}"
        ) from None
    if len(found) == 1:
        return found * dims
    if len(found) == dims:
        return found
    if name == "max_pool1d":
        raise RuntimeError(
            f"{name}() {argument} must be an int, list of ints or tuple of ints of size 1 but got "
            f"size {len(found)}"
        )
    if dims == 1:
        raise RuntimeError(
            f"{name}() argument '{argument}' should contain one int (got {len(found)})"
        )
    raise RuntimeError(f"{name}: {argument} must be a single int, or a tuple of {WORDS[dims]}")


def require_images(name: str, shape: Sizes, dims: int) -> None:
    """Raise RuntimeError unless there are images, of one element at least."""
    batches = f"{dims + 1}D or {dims + 2}D (batch mode) tensor"
    if len(shape) not in (dims + 1, dims + 2):
        if name == "avg_pool1d":
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
        if dims > 1 and name != "avg_pool2d":
            raise RuntimeError(
                f"{name}: non-empty {batches} expected for input, but got:{list(shape)}"
            )
    elif all(shape[-dims - 1 :]):
        return
    elif dims == 3:
        empty = shape[-dims - 1 :].index(0)
        raise RuntimeError(
            f"{name}(): Expected input's non-batch dimensions to have positive length, but input "
            f"has a shape of {list(shape)} and non-batch dimension {empty} has length zero!"
        )
    raise RuntimeError(
        f"{name}: Expected {batches} with optional 0 dim batch size for input, but got:"
        f"{list(shape)}"
    )


def require_positive(
    name: str, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> None:
    """Raise RuntimeError for windows that make no sense."""
    if name == "max_pool1d":
        for what, value in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
            if value[0] <= 0:
                raise RuntimeError(f"{name}() {what} must be greater than zero, but got {value[0]}")
        if padding[0] < 0:
            raise RuntimeError(f"{name}() padding must be non-negative, but got {padding[0]}")
        if padding[0] > kernel[0] // 2:
            raise RuntimeError(
                f"{name}() padding should be at most half of kernel size, but got padding="
                f"{padding[0]} and kernel_size={kernel[0]}"
            )
        return
    if 0 in stride:
        raise RuntimeError(f"stride should not be zero, but got {stride}")
    for k, p, gap in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * gap + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={gap}"
            )
    letters = "DHW"[-len(kernel) :]
    for what, value in (("kernel size", kernel), ("stride", stride), ("dilation", dilation)):
        if min(value) <= 0:
            given = " ".join(f"{a}: {v}" for a, v in zip(letters, value, strict=True))
            raise RuntimeError(f"{what} should be greater than zero, but got {given}")


@lru_cache(1024)
def windows(
    name: str, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
    ceil_mode: bool,
) -> Sizes:  # fmt: skip
    """How many windows there are; RuntimeError if shape and parameters do not fit."""
    dims = len(kernel)
    require_positive(name, kernel, stride, padding, dilation)
    require_images(name, shape, dims)
    size = []
    for n, k, step, p, gap in zip(shape[-dims:], kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - gap * (k - 1) - 1
        count = (room + (step - 1 if ceil_mode else 0)) // step + 1
        # The last window must start inside the input or the padding before it.
        size.append(count - 1 if ceil_mode and (count - 1) * step >= n + p else count)
    if min(size) >= 1:
        return tuple(size)
    if name == "max_pool1d":
        raise RuntimeError(f"{name}() Invalid computed output size: {size[0]}")
    images = "x".join(map(str, shape[-dims - 1 :]))
    found = "x".join(map(str, (shape[-dims - 1], *size)))
    smaller = "input image smaller than kernel size: " if name == "avg_pool3d" else ""
    raise RuntimeError(
        f"{smaller}Given input size: ({images}). Calculated output size: ({found}). Output size is "
        "too small"
    )


def max_pool(
    dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    """Maxima as PyTorch defines them."""
    name = f"max_pool{dims}d"
    kernel = numbers(name, "kernel_size", kernel_size, dims)
    found = {
        "kernel": kernel,
        "stride": kernel if stride in (None, (), []) else numbers(name, "stride", stride, dims),
        "padding": numbers(name, "padding", padding, dims),
        "dilation": numbers(name, "dilation", dilation, dims),
    }
    shape = tuple(input.shape)
    size = windows(name, shape, *found.values(), bool(ceil_mode))
    keep = return_indices or input.requires_grad
    windows_of = dict(found)
    if input.requires_grad and hollow(shape[-dims:], size, *found.values()):
        # Their gradient goes to the padding, which gives it to nobody.
        around = [p for p in found["padding"][::-1] for _ in "<>"]
        input = constant_pad_nd(input, around, -math.inf)
        windows_of["padding"] = (0,) * dims
    values, which = max_windows(input, size=size, keep=keep, **windows_of)
    if not return_indices:
        return values
    return values, window_places(which, sizes=shape[-dims:], **found)


@lru_cache(1024)
def hollow(
    sizes: Sizes, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> bool:
    """Whether there is a window in which no element of the input is."""
    for n, o, k, step, p, gap in zip(sizes, size, kernel, stride, padding, dilation, strict=True):
        starts = (i * step - p for i in range(o))
        if any(all(not 0 <= at + j * gap < n for j in range(k)) for at in starts):
            return True
    return False


def avg_pool(
    dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    """Means as PyTorch defines them."""
    name = f"avg_pool{dims}d"
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    kernel = numbers(name, "kernel_size", kernel_size, dims)
    stride = kernel if stride in (None, (), []) else numbers(name, "stride", stride, dims)
    padding = numbers(name, "padding", padding, dims)
    size = windows(name, tuple(input.shape), kernel, stride, padding, (1,) * dims, bool(ceil_mode))
    found: Tensor = avg_windows(
        input, kernel=kernel, size=size, stride=stride, padding=padding,
        include_pad=bool(count_include_pad), divisor=divisor_override,
    )  # fmt: skip
    return found


def require_divisible(name: str, input: Tensor, output_size: Any, dims: int) -> Sizes:
    """The wanted number of windows, to each dimension.

    Raises
    ------
    RuntimeError
        If they, or the input's shape, do not fit.
    TypeError
        If they are no integers.
    """
    shape = tuple(input.shape)
    if dims > 1 and isinstance(output_size, (tuple, list)):
        if len(output_size) != dims:
            raise RuntimeError(
                f"{name}: output_size must be {dims}, but it has {len(output_size)} elements"
            )
        output_size = [
            n if count is None else count
            for n, count in zip(shape[-dims:], output_size, strict=True)
        ]
    if dims > 1 and isinstance(output_size, (tuple, list)) and len(shape) <= len(output_size):
        raise ValueError(
            f"Input dimension should be at least {len(output_size) + 1}: {name}() got shape "
            f"{list(shape)} for output_size={tuple(output_size)}"
        )
    size = numbers(name, "output_size", output_size, dims)
    if len(shape) not in (dims + 1, dims + 2):
        if dims == 1:
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got {list(shape)}"
        )
    first = len(shape) - dims if name in ("adaptive_avg_pool1d", "adaptive_avg_pool2d") else 1
    if 0 in shape[first:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(shape)} with dimension {first + shape[first:].index(0)} being empty"
        )
    if min(size) < 0:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{list(size)}: negative dimension"
        )
    return size


def adaptive_avg_pool(dims: int, input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that divide the input."""
    size = require_divisible(f"adaptive_avg_pool{dims}d", input, output_size, dims)
    if set(size) == {1} and input.is_floating_point():
        mean: Tensor = input.mean(tuple(range(-dims, 0)), keepdim=True)
        return mean
    found: Tensor = adaptive_avg(input, size=size)
    return found


def adaptive_max_pool(dims: int, input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """Maxima of windows that divide the input, and where they are."""
    size = require_divisible(f"adaptive_max_pool{dims}d", input, output_size, dims)
    values, indices = adaptive_max(input, size=size)
    return values, indices


@composite(examples=[(distinct(2, 3, 7), 2), (distinct(3, 7), 3, 2, 1, 1, True)])
def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum of each window of sequences.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    kernel_size : int or tuple of int
        The size of a window.
    stride : int or tuple of int, optional
        The step between windows; `kernel_size` if left out.
    padding : int or tuple of int, optional
        How far windows go beyond the border, at most half their size.
    dilation : int or tuple of int, optional
        The step within a window.
    ceil_mode : bool, optional
        Keep a last window that is not all inside.
    return_indices : bool, optional
        Return also where each maximum was, counted in the flattened input of its channel.

    Returns
    -------
    Tensor or tuple of Tensor
        The maxima; with `return_indices` also their places.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(examples=[(distinct(2, 3, 7), 2)])
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """Take the maximum of each window of sequences, and where it was: as `max_pool1d`.

    `return_indices` has no effect, as in PyTorch.
    """
    found: tuple[Tensor, Tensor] = max_pool(
        1, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@composite(
    examples=[(distinct(2, 3, 5, 4), 2), (distinct(3, 5, 6), (3, 2), (2, 1), (1, 0), (1, 2))]
)
def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum of each window of images.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As of `max_pool1d`.

    Returns
    -------
    Tensor or tuple of Tensor
        The maxima; with `return_indices` also their places.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(home="nn", examples=[(distinct(2, 3, 5, 4), 2)])
def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """Take the maximum of each window of images, and where it was: as `max_pool2d`.

    `return_indices` has no effect, as in PyTorch.
    """
    found: tuple[Tensor, Tensor] = max_pool(
        2, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@composite(examples=[(distinct(1, 2, 4, 4, 3), 2), (distinct(2, 4, 5, 4), (2, 3, 2), 1, 1)])
def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum of each window of volumes.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As of `max_pool1d`.

    Returns
    -------
    Tensor or tuple of Tensor
        The maxima; with `return_indices` also their places.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(home="nn", examples=[(distinct(1, 2, 4, 4, 3), 2)])
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """Take the maximum of each window of volumes, and where it was: as `max_pool3d`.

    `return_indices` has no effect, as in PyTorch.
    """
    found: tuple[Tensor, Tensor] = max_pool(
        3, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@composite(examples=[((2, 3, 7), 2), ((3, 7), 3, 2, 1, True, False)])
def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Take the mean of each window of sequences.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    kernel_size : int or tuple of int
        The size of a window.
    stride : int or tuple of int, optional
        The step between windows; `kernel_size` if left out.
    padding : int or tuple of int, optional
        How many zeros stand around the input, at most half a window.
    ceil_mode : bool, optional
        Keep a last window that is not all inside.
    count_include_pad : bool, optional
        Whether the zeros around the input count as elements.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@composite(
    home="nn", examples=[((2, 3, 5, 4), 2), ((3, 5, 6), (3, 2), (2, 1), (1, 0), True, False, 5)]
)
@with_out()
def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Take the mean of each window of images.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As of `avg_pool1d`.
    divisor_override : int, optional
        What to divide the sums by, in place of the number of elements.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@composite(
    home="nn", examples=[((1, 2, 4, 4, 3), 2), ((2, 4, 5, 4), (2, 3, 2), 1, 1, False, False)]
)
@with_out()
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Take the mean of each window of volumes.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As of `avg_pool1d`.
    divisor_override : int, optional
        What to divide the sums by, in place of the number of elements.

    Raises
    ------
    RuntimeError
        If shapes or parameters do not fit.
    """
    return avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@composite(examples=[((2, 3, 7), 3)])
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Divide sequences into windows, as many as wanted, and take their means.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    output_size : int or tuple of int
        How many windows there are to each dimension.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    return adaptive_avg_pool(1, input, output_size)


@composite(home="nn", examples=[(distinct(2, 3, 7), 3)])
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Divide sequences into windows, as many as wanted, and take their maxima.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, length)`` or ``(channels, length)``.
    output_size : int or tuple of int
        How many windows there are to each dimension.
    return_indices : bool, optional
        Return also where each maximum was, counted in the flattened input of its channel.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    values, indices = adaptive_max_pool(1, input, output_size)
    return (values, indices) if return_indices else values


@composite(home="nn", examples=[(distinct(2, 3, 7), 3)])
def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """Take the maxima of windows that divide sequences, and where they were.

    `return_indices` has no effect, as in PyTorch.
    """
    return adaptive_max_pool(1, input, output_size)


@composite(home="nn", examples=[((2, 3, 5, 4), (3, None))])
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Divide images into windows, as many as wanted, and take their means.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    output_size : int or tuple of (int or None)
        How many windows there are to each dimension; None keeps the input's.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    return adaptive_avg_pool(2, input, output_size)


@composite(home="nn", examples=[(distinct(2, 3, 5, 4), (3, None))])
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Divide images into windows, as many as wanted, and take their maxima.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)`` or ``(channels, height, width)``.
    output_size : int or tuple of (int or None)
        How many windows there are to each dimension; None keeps the input's.
    return_indices : bool, optional
        Return also where each maximum was, counted in the flattened input of its channel.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    values, indices = adaptive_max_pool(2, input, output_size)
    return (values, indices) if return_indices else values


@composite(home="nn", examples=[(distinct(2, 3, 5, 4), (3, None))])
def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """Take the maxima of windows that divide images, and where they were.

    `return_indices` has no effect, as in PyTorch.
    """
    return adaptive_max_pool(2, input, output_size)


@composite(home="nn", examples=[((2, 4, 5, 3), 2)])
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Divide volumes into windows, as many as wanted, and take their means.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    output_size : int or tuple of (int or None)
        How many windows there are to each dimension; None keeps the input's.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    return adaptive_avg_pool(3, input, output_size)


@composite(home="nn", examples=[(distinct(2, 4, 5, 3), 2)])
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Divide volumes into windows, as many as wanted, and take their maxima.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, depth, height, width)``, or without `batch`.
    output_size : int or tuple of (int or None)
        How many windows there are to each dimension; None keeps the input's.
    return_indices : bool, optional
        Return also where each maximum was, counted in the flattened input of its channel.

    Raises
    ------
    RuntimeError
        If shapes or sizes do not fit.
    """
    values, indices = adaptive_max_pool(3, input, output_size)
    return (values, indices) if return_indices else values


@composite(home="nn", examples=[(distinct(2, 4, 5, 3), 2)])
def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """Take the maxima of windows that divide volumes, and where they were.

    `return_indices` has no effect, as in PyTorch.
    """
    return adaptive_max_pool(3, input, output_size)
