"""Products of matrices where NumPy has a quicker way than `matmul`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devtensor.ops import linalg as common
from devtensor.ops.arguments import over
from devtensor.ops.linalg import require_product, rows_of

from ..quick import ones

Array = np.ndarray[Any, Any]


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether it is float16 or bfloat16, for which NumPy has no BLAS."""
    return dtype.itemsize == 2 and dtype.kind not in "iu"


FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
FLOATS = frozenset((FLOAT, DOUBLE))
BLAS = frozenset(np.dtype(t) for t in ("float32", "float64", "complex64", "complex128"))


def product(left: Array, right: Array) -> Array:
    """Matrix product of arrays that fit."""
    if left.ndim == 2 == right.ndim and left.dtype in BLAS and left.shape[1] > 1:
        # It calls the same BLAS as `matmul`, which takes longer to get there.
        return np.dot(left, right)
    if is_half(left.dtype):
        return np.matmul(left.astype(np.float32), right.astype(np.float32)).astype(left.dtype)
    # A rank-one product: BLAS is 10 times slower.
    if left.shape[-1] == 1 and left.ndim > 1 and right.ndim > 1:
        return np.multiply(left, right, order="C")
    return np.matmul(left, right)


def matmul(xp: Any, input: Array, other: Array, /) -> Array:
    """`matmul` as one large product where `other` is a matrix."""
    dtype = input.dtype
    floats = (dtype is FLOAT or dtype is DOUBLE) and dtype is other.dtype
    if floats and input.ndim == 2 == other.ndim and input.shape[1] > 1:
        try:
            return input.dot(other)
        except ValueError:
            pass
    if input.ndim == 2 == other.ndim and input.dtype is other.dtype:
        try:
            return product(input, other)
        except ValueError:
            pass
    require_product(input, other)
    if other.ndim == 2 and input.ndim > 2:
        flat = input.reshape(rows_of(input), input.shape[-1])
        return product(flat, other).reshape(*input.shape[:-1], other.shape[-1])
    return product(input, other)


def outer_sum(xp: Any, left: Array, right: Array, /) -> Array:
    """`outer_sum` without the library's price for a single row."""
    if left.ndim != 2:
        count = rows_of(left)
        left, right = left.reshape(count, left.shape[-1]), right.reshape(count, right.shape[-1])
    return product(left.T, right)


def row_sum(xp: Any, input: Array, /) -> Array:
    """`row_sum` by BLAS, three times as fast as NumPy's own sum over rows."""
    flat = input if input.ndim == 2 else input.reshape(rows_of(input), input.shape[-1])
    if flat.dtype == np.float32 or flat.dtype == np.float64:
        return np.matmul(ones(flat.shape[0], flat.dtype), flat)
    return np.add.reduce(flat, 0)


BLOCK = 1 << 15  # Elements summed by one dot product: longer ones lose digits in single precision.


def sum_of_squares(x: Array) -> Any:
    """Sum of the squares of all elements, by dot products."""
    flat = x.reshape(-1)
    if is_half(flat.dtype):
        flat = flat.astype(np.float32)
    if flat.size <= BLOCK:
        return np.dot(flat, flat)
    whole = flat.size // BLOCK * BLOCK
    blocks, rest = flat[:whole].reshape(-1, BLOCK), flat[whole:]
    return np.add.reduce(np.vecdot(blocks, blocks)) + np.dot(rest, rest)


def linalg_vector_norm(
    xp: Any, x: Array, /, ord: float = 2, dim: Any = None, keepdim: bool = False, *,
    dtype: Any = None,
) -> Array:  # fmt: skip
    """`linalg_vector_norm`; the usual one of all floats, or of rows, by dot products."""
    plain = ord == 2 and x.dtype in FLOATS and dtype is None and x.ndim > 0
    if plain and not keepdim and over(dim, x.ndim) == tuple(range(x.ndim)):
        return np.asarray(np.sqrt(sum_of_squares(x)))
    if plain and x.shape[-1] <= BLOCK and over(dim, x.ndim) == (x.ndim - 1,):
        squares = np.asarray(np.sqrt(np.vecdot(x, x)))
        return squares[..., None] if keepdim else squares
    return common.linalg_vector_norm.kernel(xp, x, ord, dim, keepdim, dtype=dtype)


def joint_norm(xp: Any, /, *tensors: Array) -> Array:
    """`joint_norm` by dot products, added up in double precision."""
    dtype = tensors[0].dtype
    if dtype not in FLOATS:
        return common.joint_norm.kernel(xp, *tensors)
    total = sum([float(sum_of_squares(x)) for x in tensors])
    return np.asarray(math.sqrt(total) if total >= 0 else total, dtype)


KERNELS = {
    "joint_norm": joint_norm,
    "matmul": matmul,
    "outer_sum": outer_sum,
    "row_sum": row_sum,
    "linalg_vector_norm": linalg_vector_norm,
}
