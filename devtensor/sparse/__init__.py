"""Sparse tensors: coordinates and values (``torch.sparse``)."""

from __future__ import annotations

from typing import Any

from devtensor.refusal import refused
from devtensor.sparse import _linear, _reduce
from devtensor.sparse._compressed import (
    sparse_bsc_tensor,
    sparse_bsr_tensor,
    sparse_compressed_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
)
from devtensor.sparse._invariants import check_sparse_tensor_invariants
from devtensor.sparse._linear import hspmm, mm, sampled_addmm, smm, sspaddmm
from devtensor.sparse._make import sparse_coo_tensor, spdiags, to_sparse
from devtensor.sparse._rows import (
    _convert_indices_from_coo_to_csr as _convert_indices_from_coo_to_csr,
)
from devtensor.sparse._rows import (
    _convert_indices_from_csr_to_coo as _convert_indices_from_csr_to_coo,
)
from devtensor.sparse._rows import in_rows
from devtensor.sparse._tensor import SparseTensor
from devtensor.sparse._typed import TYPES
from devtensor.tensor import Tensor

__all__ = [
    "SparseTensor",
    "addmm",
    "as_sparse_gradcheck",
    "check_sparse_tensor_invariants",
    "hspmm",
    "in_rows",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "smm",
    "softmax",
    "sparse_bsc_tensor",
    "sparse_bsr_tensor",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "spdiags",
    "spmm",
    "spsolve",
    "sspaddmm",
    "sum",
    "to_sparse",
]

spsolve = refused("sparse.spsolve", "use torch.linalg.solve on dense tensors")
spmm = dsmm = mm
hsmm, saddmm = hspmm, _linear.addmm
globals().update(TYPES)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * mat + alpha * (mat1 @ mat2)`` (``torch.sparse.addmm``).

    Parameters
    ----------
    mat : Tensor
        Dense; broadcasts to the product.
    mat1 : Tensor
        Sparse, shape ``(n, m)``.
    mat2 : Tensor
        Dense, shape ``(m, k)``.
    beta, alpha : number, optional

    Returns
    -------
    Tensor
        Dense, shape ``(n, k)``.

    Examples
    --------
    >>> import devtensor as dt
    >>> s = dt.eye(2).to_sparse()
    >>> dt.sparse.addmm(dt.ones(2, 1), s, dt.ones(2, 1), alpha=3)
    tensor([[4.],
            [4.]])
    """
    return _linear.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def as_sparse_gradcheck(gradcheck: Any) -> Any:
    """Return the function: :func:`devtensor.autograd.gradcheck` takes sparse tensors as it is."""
    return gradcheck


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """Add up a sparse tensor over some dimensions (``torch.sparse.sum``).

    Parameters
    ----------
    input : Tensor
        Sparse.
    dim : int or sequence of int, optional
        All by default.
    dtype : dtype, optional
        Convert to it first.

    Returns
    -------
    Tensor
        Sparse, unless no sparse dimension is left.

    Examples
    --------
    >>> import devtensor as dt
    >>> s = dt.tensor([[0.0, 2.0], [0.0, 3.0]]).to_sparse()
    >>> dt.sparse.sum(s), dt.sparse.sum(s, 0).to_dense()
    (tensor(5.), tensor([0., 5.]))
    """
    found: Tensor = _reduce.sum(input, dim, dtype=dtype)
    return found


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """Softmax along a dimension; elements without an entry count as minus infinity.

    Parameters
    ----------
    input : Tensor
        Sparse.
    dim : int
    dtype : dtype, optional
        Convert to it first.

    Examples
    --------
    >>> import devtensor as dt
    >>> s = dt.tensor([[0.0, 2.0], [1.0, 1.0]]).to_sparse()
    >>> dt.sparse.softmax(s, 1).to_dense()
    tensor([[0.0000, 1.0000],
            [0.5000, 0.5000]])
    """
    found: SparseTensor = _reduce.softmax("softmax")(input, dim, dtype)
    return found


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of :func:`softmax`, whose arguments it has."""
    found: SparseTensor = _reduce.softmax("log_softmax")(input, dim, dtype)
    return found
