"""Pooling by windows that divide the input, as many as are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import product as tuples
from typing import Any

import numpy as np

from devtensor.ops import pool as common

from .linalg import Array, is_half
from .pool import SMALL, Sizes, members, summed


@lru_cache(512)
def parts(sizes: Sizes, size: Sizes) -> tuple[tuple[tuple[int, int], ...], ...]:
    """From where to where the windows of `adaptive_avg` are, in each dimension."""
    return tuple([tuple(common.shares(n, o)) for n, o in zip(sizes, size, strict=True)])


def adaptive_avg(xp: Any, input: Array, /, *, size: Sizes) -> Array:
    """`adaptive_avg`: small planes by a product of matrices."""
    dims = len(size)
    sizes = input.shape[-dims:]
    found: Array | None = None
    if 0 < math.prod(sizes) * math.prod(size) <= SMALL:
        wide = input.astype(np.float32) if is_half(input.dtype) else input
        matrix, count = members(sizes, parts(sizes, size), wide.dtype)
        found = summed(wide, dims, matrix, size)
    if found is None:
        plain: Array = common.adaptive_avg.kernel(xp, input, size=size)
        return plain
    np.divide(found, count.reshape(size), out=found)
    return found.astype(input.dtype, copy=False)


def adaptive_avg_spread(xp: Any, g: Array, /, *, sizes: Sizes) -> Array:
    """`adaptive_avg_spread`: small planes by a product of matrices."""
    dims = len(sizes)
    size = g.shape[-dims:]
    found: Array | None = None
    if 0 < math.prod(sizes) * math.prod(size) <= SMALL:
        wide = g.astype(np.float32) if is_half(g.dtype) else g
        matrix, count = members(sizes, parts(sizes, size), wide.dtype)
        found = summed(wide / count.reshape(size), dims, matrix.T, sizes)
    if found is None:
        plain: Array = common.adaptive_avg_spread.kernel(xp, g, sizes=sizes)
        return plain
    return found.astype(g.dtype, copy=False)


CELLS = 1 << 8  # Windows, one call each, up to which they cost less than their elements do.


def adaptive_max(xp: Any, input: Array, /, *, size: Sizes) -> tuple[Array, Array]:
    """`adaptive_max`, window by window."""
    dims = len(size)
    sizes = input.shape[-dims:]
    if input.size and 0 < math.prod(size) <= CELLS and not is_half(input.dtype):
        planes = input.reshape(-1, *sizes)
        every, numbers = np.arange(len(planes)), np.arange(math.prod(sizes)).reshape(sizes)
        best = np.empty((len(planes), math.prod(size)), input.dtype)
        places = np.empty(best.shape, np.int64)
        for cell, windows in enumerate(tuples(*parts(sizes, size))):
            key = tuple([slice(*bounds) for bounds in windows])
            window = planes[(slice(None), *key)].reshape(len(planes), -1)
            first = window.argmax(1)
            best[:, cell] = window[every, first]
            places[:, cell] = numbers[key].reshape(-1)[first]
        if not np.isnan(best).any():  # of several the last one counts
            shape = (*input.shape[:-dims], *size)
            return best.reshape(shape), places.reshape(shape)
    found: tuple[Array, Array] = common.adaptive_max.kernel(xp, input, size=size)
    return found


KERNELS: dict[str, Callable[..., Any]] = {
    "adaptive_avg": adaptive_avg,
    "adaptive_avg_spread": adaptive_avg_spread,
    "adaptive_max": adaptive_max,
}
