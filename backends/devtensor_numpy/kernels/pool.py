"""Pooling. Loops over short rows cost more than arithmetic, so the elements of windows are copied
to long vectors first, and the rows of images are moved as wholes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product as tuples
from typing import Any

import numpy as np

from devtensor.ops import pool as common
from devtensor.ops.conv import extent

from .linalg import Array, is_half
from .windows import last

Sizes = tuple[int, ...]


def tiled(
    sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> bool:  # fmt: skip
    """Whether windows lie side by side."""
    return (
        kernel == stride
        and not any(padding)
        and (set(dilation) == {1})
        and 0 not in size
        and all(o * k <= n for o, k, n in zip(size, kernel, sizes, strict=True))
    )


def rows_of_tiles(x: Array, kernel: Sizes, size: Sizes) -> Iterator[Array]:
    """For each place within tiles, but the last coordinate, the rows there, one after the other."""
    covered = tuple([o * k for o, k in zip(size, kernel, strict=True)])
    dims = len(kernel)
    if x.shape[-dims:] != covered:
        x = x[last(map(slice, covered))]
    x = np.ascontiguousarray(x)
    row = np.dtype((np.void, covered[-1] * x.itemsize))
    rows = x.view(row)[..., 0]
    for place in tuples(*map(range, kernel[:-1])):
        some = rows[last([slice(i, None, k) for i, k in zip(place, kernel, strict=False)])]
        yield np.ascontiguousarray(some).reshape(-1).view(x.dtype)


def elements(
    x: Array, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, fill: Any
) -> Iterator[Array]:  # fmt: skip
    """For each place within windows the elements there, as a vector over all windows."""
    dims = len(kernel)
    sizes = x.shape[-dims:]
    if tiled(sizes, kernel, size, stride, padding, dilation):
        for row in rows_of_tiles(x, kernel, size):
            for j in range(kernel[-1]):
                yield row[j :: kernel[-1]]
        return
    found = np.empty((*x.shape[:-dims], *size), x.dtype)
    for place in tuples(*map(range, kernel)):
        there: list[Any] = [...]
        here: list[Any] = [...]
        whole = True
        for n, o, step, before, gap, k in zip(
            sizes, size, stride, padding, dilation, place, strict=True
        ):
            start = k * gap - before
            low, high = common.inside(n, o, step, start)
            whole = whole and (low, high) == (0, o)
            there.append(slice(low, high))
            here.append(slice(low * step + start, max(0, (high - 1) * step + start + 1), step))
        if not whole:
            found[...] = fill
        if all(part.start < part.stop for part in there[1:]):
            found[tuple(there)] = x[tuple(here)]
        yield found.reshape(-1)


def max_windows(
    xp: Any, input: Array, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes, keep: bool = True,
) -> tuple[Array, Array]:  # fmt: skip
    """`max_windows`."""
    dims = len(kernel)
    shape = (*input.shape[:-dims], *size)
    if is_half(input.dtype):
        best, which = max_windows(
            xp, input.astype(np.float32), kernel=kernel, size=size, stride=stride, padding=padding,
            dilation=dilation, keep=keep,
        )  # fmt: skip
        return best.astype(input.dtype), which
    fill = -np.inf if input.dtype.kind == "f" else np.iinfo(input.dtype).min
    if 0 < math.prod(shape) * math.prod(kernel) <= FEW:
        index, padded = spots(input.shape[-dims:], kernel, size, stride, padding, dilation)
        flat = input
        if padded is not None:
            flat = np.full((*shape[:-dims], *padded), fill, input.dtype)
            flat[
                last([slice(p, p + n) for p, n in zip(padding, input.shape[-dims:], strict=True)])
            ] = input
        flat = flat.reshape(math.prod(shape[:-dims]), -1).take(index, 1)
        best = np.maximum.reduce(flat, 1)
        # What is not a number, or no larger than what lies outside, is looked at in another way.
        if (input.dtype.kind != "f" and padded is None) or (best > fill).all():
            if not keep:
                return best.reshape(shape), np.empty(0, np.uint8)
            which = flat.argmax(1).astype(np.min_scalar_type(math.prod(kernel) - 1))
            return best.reshape(shape), which.reshape(shape)
    where = (kernel, size, stride, padding, dilation, fill)
    found = elements(input, *where)
    best = np.array(next(found))
    if not keep:
        for part in found:
            np.maximum(best, part, out=best)
        return best.reshape(shape), np.empty(0, np.uint8)
    kind = np.min_scalar_type(math.prod(kernel) - 1)
    first = first_places(input.shape[-dims:], kernel, size, stride, padding, dilation)
    which = np.empty(shape, kind)
    which[...] = first
    which = which.reshape(-1)
    for k, part in enumerate(found, 1):
        take_larger(best, which, part, k)
    if input.dtype.kind == "f" and np.isnan(best).any():
        for k, part in enumerate(elements(input, *where)):
            which[np.isnan(part)] = k  # The last NaN is the largest.
    return best.reshape(shape), which.reshape(shape)


FEW = 1 << 13  # Elements of windows below which calls cost more than they do.


@lru_cache(128)
def spots(
    sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[Array, Sizes | None]:  # fmt: skip
    """Where windows' elements are in a flattened plane, and the size of that if it is padded."""
    ends = [r - p for r, p in zip(extent(kernel, size, stride, dilation), padding, strict=True)]
    whole = tuple([p + max(n, e) for p, n, e in zip(padding, sizes, ends, strict=True)])
    starts, offsets = plane(size, whole, kernel, stride, (0,) * len(sizes), dilation)
    return offsets[:, None] + starts.reshape(-1), None if whole == sizes else whole


def take_larger(best: Array, which: Array, part: Array, k: int) -> None:
    """Update the best so far, and which it is, by the elements of one place."""
    larger = np.greater(part, best)
    np.maximum(best, part, out=best)
    if which.dtype == np.uint8:
        # `k` is more than all before, so that a maximum is a choice.
        np.maximum(which, np.multiply(larger.view(np.uint8), np.uint8(k)), out=which)
    else:
        which[larger] = k


@lru_cache(256)
def first_places(
    sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:  # fmt: skip
    """The number of the first element of each window that is in the input."""
    if not any(padding):
        return 0
    found: Any = 0
    for o, step, before, gap, k in zip(size, stride, padding, dilation, kernel, strict=True):
        start = np.arange(o) * step - before
        found = np.asarray(found)[..., None] * k + np.maximum(0, -(start // gap))
    return found


def positions(
    which: Array, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Array:  # fmt: skip
    """Where, in a flattened plane, the chosen elements are."""
    starts, offsets = plane(which.shape[-len(sizes) :], sizes, kernel, stride, padding, dilation)
    found = offsets.take(which)
    return np.add(found, starts, out=found)


@lru_cache(256)
def plane(
    size: Sizes, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[Array, Array]:  # fmt: skip
    """Where windows start, and where their elements are, counted in a flattened plane."""
    starts = offsets = np.zeros((), np.intp)
    for n, o, step, before, gap, k in zip(
        sizes, size, stride, padding, dilation, kernel, strict=True
    ):
        starts = starts[..., None] * n + (np.arange(o) * step - before)
        offsets = offsets[..., None] * n + np.arange(k) * gap
    return starts, offsets.reshape(-1)


def in_all_planes(places: Array, dims: int, length: int) -> Array:
    """Places in planes as places in all of the memory."""
    planes = math.prod(places.shape[:-dims])
    starts = np.arange(0, planes * length, length or 1)[:planes]
    return (places.reshape(planes, -1) + starts[:, None]).reshape(-1)


def chosen_spread(
    xp: Any, g: Array, which: Array, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes,
) -> Array:  # fmt: skip
    """`chosen_spread` in flat memory."""
    dims = len(sizes)
    result = np.zeros((*g.shape[:-dims], *sizes), np.float32 if is_half(g.dtype) else g.dtype)
    if g.size:
        places = positions(which, sizes, kernel, stride, padding, dilation)
        places = in_all_planes(places, dims, math.prod(sizes))
        flat, values = result.reshape(-1), g.reshape(-1).astype(result.dtype, copy=False)
        # Windows side by side choose an element once.
        if all(s > (k - 1) * d for s, k, d in zip(stride, kernel, dilation, strict=True)):
            flat[places] = values
        else:
            np.add.at(flat, places, values)
    return result.astype(g.dtype, copy=False)


def chosen(
    xp: Any, input: Array, which: Array, /, *, kernel: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes,
) -> Array:  # fmt: skip
    """`chosen` in flat memory."""
    dims = len(kernel)
    sizes = input.shape[-dims:]
    if not which.size:
        return np.empty(which.shape, input.dtype)
    places = positions(which, sizes, kernel, stride, padding, dilation)
    places = in_all_planes(places, dims, math.prod(sizes))
    return input.reshape(-1).take(places).reshape(which.shape)


SMALL = 1 << 15  # Elements of a matrix that stands for all windows of a plane.


@lru_cache(128)
def members(
    sizes: Sizes, windows: tuple[tuple[tuple[int, int], ...], ...], dtype: Any
) -> tuple[Array, Array]:  # fmt: skip
    """For windows from and to those places in each dimension of planes: the matrix of ones that
    sums each of them, and how many elements they have.
    """
    matrix, count = np.ones((1, 1), dtype), np.ones(1, dtype)
    for n, reaches in zip(sizes, windows, strict=True):
        place = np.arange(n)[:, None]
        low, high = np.array(reaches, np.intp).reshape(-1, 2).T
        matrix = np.kron(matrix, ((low <= place) & (place < high)).astype(dtype))
        count = np.kron(count, (high - low).astype(dtype))
    return matrix, count


@lru_cache(512)
def reaches(
    sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes
) -> tuple[tuple[tuple[int, int], ...], ...]:  # fmt: skip
    """From where to where windows are in the input, in each dimension."""
    return tuple(
        [
            tuple([(max(0, i * step - p), min(n, i * step - p + k)) for i in range(o)])
            for n, k, o, step, p in zip(sizes, kernel, size, stride, padding, strict=True)
        ]
    )


@lru_cache(512)
def divisors(
    sizes: Sizes, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes, include_pad: bool,
    divisor: int | None,
) -> Any:  # fmt: skip
    """`common.counts`, in double precision."""
    like = np.empty(0)
    return common.counts(
        np, like, sizes, kernel, size, stride, padding, include_pad, divisor
    )  # fmt: skip


def summed(x: Array, dims: int, matrix: Array, shape: Sizes) -> Array | None:
    """Planes times a matrix, in another shape; None unless finite, as 0 times infinity is not 0."""
    planes = math.prod(x.shape[:-dims])
    found = np.matmul(x.reshape(planes, len(matrix)), matrix)
    return found.reshape(*x.shape[:-dims], *shape) if np.isfinite(found).all() else None


def avg_windows(
    xp: Any, input: Array, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
    include_pad: bool, divisor: int | None,
) -> Array:  # fmt: skip
    """`avg_windows`: small planes by a product of matrices, tiles by sums of rows."""
    dims = len(kernel)
    sizes = input.shape[-dims:]
    wide = input.astype(np.float32) if is_half(input.dtype) else input
    found: Array | None = None
    if input.dtype.kind == "f" or is_half(input.dtype):
        number = divisors(sizes, kernel, size, stride, padding, include_pad, divisor)
        if math.prod(sizes) * math.prod(size) <= SMALL:
            places = reaches(sizes, kernel, size, stride, padding)
            found = summed(wide, dims, members(sizes, places, wide.dtype)[0], size)
        elif tiled(sizes, kernel, size, stride, padding, (1,) * dims):
            rows = total(rows_of_tiles(wide, kernel, size))
            rows = total(rows[j :: kernel[-1]] for j in range(kernel[-1]))
            found = rows.reshape(*input.shape[:-dims], *size)
    if found is None:
        plain: Array = common.avg_windows.kernel(
            xp, input, kernel=kernel, size=size, stride=stride, padding=padding,
            include_pad=include_pad, divisor=divisor,
        )  # fmt: skip
        return plain
    np.divide(found, number, out=found, casting="same_kind")
    return found.astype(input.dtype, copy=False)


def total(parts: Iterator[Array]) -> Array:
    """The sum of arrays, in memory of its own."""
    first = next(parts).copy()
    for part in parts:
        np.add(first, part, out=first)
    return first


def avg_spread(
    xp: Any, g: Array, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes,
    include_pad: bool, divisor: int | None,
) -> Array:  # fmt: skip
    """`avg_spread`: small planes by a product of matrices, tiles by copies of rows."""
    dims = len(kernel)
    size = g.shape[-dims:]
    number = divisors(sizes, kernel, size, stride, padding, include_pad, divisor)
    if math.prod(sizes) * math.prod(size) <= SMALL:
        wide = g.astype(np.float32) if is_half(g.dtype) else g
        places = reaches(sizes, kernel, size, stride, padding)
        matrix = members(sizes, places, wide.dtype)[0].T
        found = summed(np.divide(wide, number, dtype=wide.dtype), dims, matrix, sizes)
        if found is not None:
            return found.astype(g.dtype, copy=False)
    if not tiled(sizes, kernel, size, stride, padding, (1,) * dims):
        plain: Array = common.avg_spread.kernel(
            xp, g, sizes=sizes, kernel=kernel, stride=stride, padding=padding,
            include_pad=include_pad, divisor=divisor,
        )  # fmt: skip
        return plain
    flat = np.divide(g, number, dtype=g.dtype).reshape(-1)
    row = np.empty((flat.size, kernel[-1]), g.dtype)
    row[...] = flat[:, None]
    covered = tuple([o * k for o, k in zip(size, kernel, strict=True)])
    result = np.empty((*g.shape[:-dims], *covered), g.dtype)
    whole = np.dtype((np.void, covered[-1] * g.itemsize))
    lines = result.view(whole)[..., 0]
    row = row.reshape(-1).view(whole).reshape(*g.shape[:-dims], *size[:-1])
    for place in tuples(*map(range, kernel[:-1])):
        key = [slice(i, None, k) for i, k in zip(place, kernel, strict=False)]
        lines[last(key)] = row
    if covered == tuple(sizes):
        return result
    padded = np.zeros((*g.shape[:-dims], *sizes), g.dtype)
    padded[last(map(slice, covered))] = result
    return padded


KERNELS = {
    "avg_spread": avg_spread,
    "avg_windows": avg_windows,
    "chosen": chosen,
    "chosen_spread": chosen_spread,
    "max_windows": max_windows,
}
