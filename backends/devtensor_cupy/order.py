"""Sorted elements and different ones, by what all versions of CuPy have."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from .guarded import flip
from .memory import contiguous
from .runtime import cupy
from .sorting import in_order

__all__ = [
    "argsort", "searchsorted", "sort", "unique_all", "unique_counts", "unique_inverse",
    "unique_values",
]  # fmt: skip


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order; NaN is the largest."""
    if not x.ndim or not x.size:
        return contiguous(x)
    found = cupy.sort(comparable(x), axis)
    found = found.astype(x.dtype, copy=False)
    return flip(found, axis=axis) if descending else found


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The order of the elements; NaN is the largest."""
    if not x.ndim or not x.size:
        return cupy.zeros(x.shape, np.int64)
    x = comparable(x)
    found = in_order(x, axis % x.ndim, descending, 0, x.shape[axis], False)
    if found is not None:
        return found[1]
    if not descending:
        return cupy.argsort(x, axis, "stable")
    # Backwards twice, so that equal elements keep their order.
    order = cupy.argsort(flip(x, axis=axis), axis, "stable")
    return flip(x.shape[axis] - 1 - order, axis=axis)


def comparable(x: Any) -> Any:
    """`x` in a type that CuPy sorts."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def searchsorted(x1: Any, x2: Any, /, *, side: Any = "left", sorter: Any = None) -> Any:
    """Where numbers would stand in a sorted vector."""
    return cupy.searchsorted(x1, x2, side, sorter)


Unique = namedtuple("Unique", "values indices inverse_indices counts")
Counts = namedtuple("Counts", "values counts")
Inverse = namedtuple("Inverse", "values inverse_indices")


def unique_all(x: Any, /) -> Unique:
    """The different elements, where each first stood, which each is, and how many there are."""
    values, first, which, counts = cupy.unique(x.reshape(-1), True, True, True, equal_nan=False)
    return Unique(values, first, which.reshape(x.shape), counts)


def unique_counts(x: Any, /) -> Counts:
    """The different elements, and how many there are of each."""
    values, counts = cupy.unique(x.reshape(-1), return_counts=True, equal_nan=False)
    return Counts(values, counts)


def unique_inverse(x: Any, /) -> Inverse:
    """The different elements, and which each is."""
    values, which = cupy.unique(x.reshape(-1), return_inverse=True, equal_nan=False)
    return Inverse(values, which.reshape(x.shape))


def unique_values(x: Any, /) -> Any:
    """The different elements."""
    return cupy.unique(x.reshape(-1), equal_nan=False)
