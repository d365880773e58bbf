"""The standard's extension for linear algebra."""

from __future__ import annotations

import devtensor as dt
from devtensor.array_api._table import functions, reduced
from devtensor.array_api._types import joined
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

made = functions(
    """
cholesky(x, /, *, upper=False)
cross(x1, x2, /, *, axis=-1)
det(x, /)
diagonal(x, /, *, offset=0)
eigh(x, /)
eigvalsh(x, /)
inv(x, /)
matmul(x1, x2, /)
matrix_norm(x, /, *, keepdims=False, ord='fro')
matrix_power(x, n, /)
matrix_rank(x, /, *, rtol=None)
matrix_transpose(x, /) -> mT
pinv(x, /, *, rtol=None)
qr(x, /, *, mode='reduced')
slogdet(x, /)
svd(x, /, *, full_matrices=True)
svdvals(x, /)
tensordot(x1, x2, /, *, axes=2)
vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
""",
    dt.linalg,
)
globals().update(made)
__all__ = [*made, "outer", "solve", "trace", "vecdot"]


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Every product of an element of `x1` with an element of `x2`.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes ``(n,)`` and ``(m,)``.

    Returns
    -------
    Tensor
        Shape ``(n, m)``.
    """
    return dt.outer(*joined(x1, x2))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The solution `X` of ``x1 @ X = x2``.

    Parameters
    ----------
    x1 : Tensor
        Shape ``(..., n, n)``.
    x2 : Tensor
        Shape ``(n,)`` or ``(..., n, k)``; never, as it may be in PyTorch, ``(..., n)``.

    Raises
    ------
    LinAlgError
        If a matrix is singular.
    """
    x1, x2 = joined(x1, x2)
    if x2.ndim == 1:
        return dt.linalg.solve(x1, x2[:, None])[..., 0]
    if x2.ndim == x1.ndim - 1:
        x2 = x2[None]
    return dt.linalg.solve(x1, x2)


def trace(x: Tensor, /, *, offset: int = 0, dtype: Dtype | None = None) -> Tensor:
    """The sum of a diagonal of matrices.

    Parameters
    ----------
    x : Tensor
        Shape ``(..., n, m)``.
    offset : int, optional
        Which diagonal: above the main one if positive, else below.
    dtype : dtype, optional
        By default that of `x`, but int64 or uint64 for integers.
    """
    return reduced(dt.sum, dt.linalg.diagonal(x, offset=offset), -1, dtype=dtype)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sums of products along a dimension, the first factors conjugated.

    Parameters
    ----------
    x1, x2 : Tensor
        They broadcast but for that dimension.
    axis : int, optional
        Which dimension.

    Raises
    ------
    ValueError
        If it has not the same length in both.
    """
    if x1.size(axis) != x2.size(axis):
        raise ValueError(
            f"vecdot(): shapes {list(x1.shape)} and {list(x2.shape)} differ in dimension {axis}"
        )
    x1, x2 = joined(x1, x2)
    return dt.sum(dt.conj(x1) * x2, axis, dtype=x1.dtype)
