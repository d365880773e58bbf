"""Sums by BLAS, over rows and columns, and what normalizations do before and after them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from devtensor.ops import norm as common

from ..parts import by_parts
from ..quick import number, ones
from .linalg import Array, is_half

BLOCK = 1 << 19  # Elements worked on at a time: with three such blocks the third cache is not full.
LONG = 1 << 12  # The longest row that is added up in one go, for the sake of precision.
SHORT = 32  # A shorter row is not worth a BLAS call of its own.
FEW = 1 << 10  # Elements up to which a further array costs less than a call that needs none.
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


ROUNDED = ("native_batch_norm",)
"""Kernels that round within, where numbers are of two bytes; only the common ones do."""


def in_floats(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """`kernel` for float32 and float64; others go through float32, empty arrays the common way."""
    usual = getattr(common, kernel.__name__).kernel

    @wraps(kernel)
    def chosen(xp: Any, *arrays: Any, **options: Any) -> tuple[Array | None, ...]:
        first = arrays[0]
        dtype = first.dtype
        if not first.size or (dtype.kind != "f" and not is_half(dtype)):
            return usual(xp, *arrays, **options)
        if dtype in FLOATS:
            return kernel(*arrays, **options)
        if kernel.__name__ in ROUNDED:
            return usual(xp, *arrays, **options)
        wide = [
            x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) else x for x in arrays
        ]
        result, *rest = kernel(*wide, **options)
        return None if result is None else result.astype(dtype), *rest

    return chosen


def by_blocks(work: Callable[[slice], object], x: Array, most: int = BLOCK) -> None:
    """Call `work` with parts of the first dimension of `x`."""
    by_parts(work, len(x), x.size // max(1, len(x)), most)


def row_sums(x: Array) -> Array:
    """The sum of each row of a matrix."""
    length = x.shape[1]
    if length <= LONG:
        return x.dot(ones(length, x.dtype))
    if not length % LONG:
        pieces = np.matmul(x.reshape(-1, LONG), ones(LONG, x.dtype))
        return np.add.reduce(pieces.reshape(len(x), -1), 1)
    return np.add.reduce(x, 1)


def row_products(x: Array, y: Array) -> Array:
    """The dot product of each row of `x` with that of `y`."""
    if x.size <= FEW:
        return np.multiply(x, y).dot(ones(x.shape[1], x.dtype))
    return np.vecdot(x, y) if x.shape[1] >= SHORT else np.einsum("ij,ij->i", x, y)


def column_sums(x: Array) -> Array:
    """The sum of each column of a matrix."""
    return ones(len(x), x.dtype).dot(x)


def reciprocal_root(var: Array, eps: float) -> Array:
    """``1 / sqrt(var + eps)``."""
    result = var + number(eps, var.dtype)
    np.sqrt(result, out=result)
    return np.reciprocal(result, out=result)
