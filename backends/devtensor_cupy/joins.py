"""Arrays joined along a dimension, each copied to its place at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .lookup import WORDS, word
from .raw import SOURCES, Source, launch, ordered
from .runtime import cupy

__all__ = ["concat", "stack"]

SOURCES["join"] = Source(
    "T* __restrict__ out, const T* __restrict__ x, const N run, const N row, const N start",
    "out[i / run * row + start + i % run] = x[i];",
    WORDS,
)
SEVERAL = 8
"""More arrays are joined by CuPy, which needs no launch for each."""


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """Arrays joined along a dimension."""
    arrays = list(arrays)
    if axis is None:
        arrays, axis = [a.reshape(-1) for a in arrays], 0
    first = arrays[0] if 0 < len(arrays) <= SEVERAL else None
    if first is None or not -first.ndim <= axis < first.ndim:
        return cupy.concatenate(arrays, axis)
    axis %= first.ndim
    beside = (*first.shape[:axis], *first.shape[axis + 1 :])
    for x in arrays:
        shape = x.shape
        if x.dtype != first.dtype or (*shape[:axis], *shape[axis + 1 :]) != beside:
            return cupy.concatenate(arrays, axis)
    size = sum([x.shape[axis] for x in arrays])
    return joined(arrays, (*first.shape[:axis], size, *first.shape[axis + 1 :]), axis)


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
    """Arrays joined along a new dimension."""
    arrays = list(arrays)
    first = arrays[0] if 0 < len(arrays) <= SEVERAL else None
    if first is None or not -first.ndim - 1 <= axis <= first.ndim:
        return cupy.stack(arrays, axis)
    if any(x.dtype != first.dtype or x.shape != first.shape for x in arrays):
        return cupy.stack(arrays, axis)
    axis %= first.ndim + 1
    return joined(arrays, (*first.shape[:axis], len(arrays), *first.shape[axis:]), axis)


def joined(arrays: list[Any], shape: tuple[int, ...], axis: int) -> Any:
    """Arrays of one type in their order along a dimension."""
    out = cupy.empty(shape, arrays[0].dtype)
    outer, name = prod(shape[:axis]), word(out.itemsize)
    row = out.size // max(outer, 1)
    start = 0
    for x in arrays:
        run = x.size // max(outer, 1)
        launch("join", x.size, (out, ordered(x), run, row, start), name, most=out.size)
        start += run
    return out
