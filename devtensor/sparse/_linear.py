"""Products of matrices of which one or both are sparse."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.dtype import promote_types
from devtensor.sparse._make import coalesced, summed, to_sparse
from devtensor.sparse._tensor import SparseTensor
from devtensor.tensor import Tensor

__all__ = ["addmm", "bmm", "hspmm", "linear", "matmul", "mm", "mv", "sampled_addmm", "smm",
           "sspaddmm"]  # fmt: skip


def matrix(name: str, tensor: Any, place: int, ndim: int = 2) -> None:
    """Refuse what is no matrix, or not one of numbers.

    Raises
    ------
    RuntimeError
    """
    if tensor.ndim != ndim or (isinstance(tensor, SparseTensor) and tensor.dense_dim()):
        kinds = (
            f" with {tensor.dense_dim()} dense dimensions"
            if isinstance(tensor, SparseTensor)
            else ""
        )
        raise RuntimeError(
            f"{name}: Argument #{place}: Expected dim {ndim}, got a tensor of size "
            f"{list(tensor.shape)}{kinds}"
        )


def scattered(row: Tensor, values: Tensor, picked: Tensor, count: int) -> Tensor:
    """Rows of a dense matrix times numbers, added up in the rows of the result."""
    return summed(values.unsqueeze(-1) * picked, row, count)


def mm(input: Any, mat2: Any, reduce: str = "sum") -> Any:
    """The product of two matrices, sparse if both are.

    Parameters
    ----------
    input, mat2 : Tensor
        Shapes ``(n, m)`` and ``(m, k)``; at least one of them sparse.
    reduce : {"sum", "mean", "max", "amax", "min", "amin"}, optional
        What is taken of the products in a row of a sparse matrix instead of their sum.

    Raises
    ------
    RuntimeError
        If they are no matrices of such shapes, or of several types.
    """
    matrix("mm", input, 1)
    matrix("mm", mat2, 2)
    if input.shape[1] != mat2.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({input.shape[0]}x{input.shape[1]} and "
            f"{mat2.shape[0]}x{mat2.shape[1]})"
        )
    if input.dtype is not mat2.dtype:
        raise RuntimeError(
            f"expected mat1 and mat2 to have the same dtype, but got: {input.dtype.legacy} != "
            f"{mat2.dtype.legacy}; convert one with .to()"
        )
    if not isinstance(input, SparseTensor):
        if not isinstance(mat2, SparseTensor):
            return dt.mm(input, mat2)
        return mm(mat2.t(), input.t()).t().contiguous()
    if isinstance(mat2, SparseTensor):
        return joined(coalesced(input), coalesced(mat2))
    (row, column), values = input._parts
    picked = mat2.index_select(0, column)
    if reduce == "sum":
        return scattered(row, values, picked, input.shape[0])
    how = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    room = picked.new_zeros(input.shape[0], picked.shape[1])
    return room.index_reduce(0, row, values.unsqueeze(-1) * picked, how, include_self=False)


def joined(input: SparseTensor, mat2: SparseTensor) -> SparseTensor:
    """The product of two sparse matrices: each entry meets those of a row of the other."""
    (row, middle), values = input._parts
    (start, column), others = mat2._parts
    ends = dt.searchsorted(start.contiguous(), middle.contiguous(), right=True)
    begins = dt.searchsorted(start.contiguous(), middle.contiguous())
    met = ends - begins
    entry = dt.repeat_interleave(dt.arange(len(met), device=met.device), met)
    before = (met.cumsum(0) - met).index_select(0, entry)
    other = dt.arange(len(entry), device=met.device) - before + begins.index_select(0, entry)
    indices = dt.stack([row.index_select(0, entry), column.index_select(0, other)])
    product = values.index_select(0, entry) * others.index_select(0, other)
    return coalesced(SparseTensor(indices, product, (input.shape[0], mat2.shape[1])))


def mv(input: Any, vec: Any) -> Tensor:
    """The product of a sparse matrix and a vector."""
    matrix("mv", input, 1)
    matrix("mv", vec, 2, 1)
    if isinstance(vec, SparseTensor):
        vec = vec.to_dense()
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"mv: expected a vector of {input.shape[1]} elements for a matrix of size "
            f"{list(input.shape)}, got {vec.shape[0]}"
        )
    found: Tensor = mm(input, vec.unsqueeze(1)).squeeze(1)
    return found


def bmm(input: Any, mat2: Any) -> Tensor:
    """The products of the matrices in a sparse tensor and those in a dense one.

    Raises
    ------
    RuntimeError
        If the shapes do not suit, or the second is sparse.
    """
    matrix("bmm", input, 1, 3)
    matrix("bmm", mat2, 2, 3)
    if not isinstance(input, SparseTensor) or isinstance(mat2, SparseTensor):
        raise RuntimeError("bmm_sparse: the first tensor must be sparse and the second one dense")
    count, rows, inner = input.shape
    if tuple(mat2.shape[:2]) != (count, inner):
        raise RuntimeError(
            f"bmm: Expected size for first two dimensions of batch2 tensor to be: [{count}, "
            f"{inner}] but got: {list(mat2.shape[:2])}."
        )
    (batch, row, column), values = input._parts
    flat = mat2.reshape(-1, mat2.shape[2]).index_select(0, batch * inner + column)
    return scattered(batch * rows + row, values, flat, count * rows).reshape(count, rows, -1)


def matmul(input: Any, other: Any) -> Any:
    """The product of matrices and vectors of which at least one is sparse."""
    dims = input.ndim, other.ndim
    if dims == (2, 1):
        return mv(input if isinstance(input, SparseTensor) else to_sparse(input), other)
    if dims == (1, 2):
        return mv(other.t() if isinstance(other, SparseTensor) else to_sparse(other.t()), input)
    if dims == (3, 3):
        return bmm(input, other)
    return mm(input, other)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    product = mm(mat1, mat2)
    if alpha != 1:
        product = product * alpha
    if beta == 0 and not isinstance(input, SparseTensor):
        return product.expand(input.shape) if product.shape != input.shape else product
    return (input if beta == 1 else input * beta) + product


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    product = matmul(input, weight.t())
    return product if bias is None else product + bias


def common(one: Any, other: Any) -> Any:
    """The type in which two sparse tensors meet."""
    return promote_types(one.dtype, other.dtype)


def smm(input: SparseTensor, mat: Tensor) -> SparseTensor:
    """The product of a sparse matrix and a dense one, as a sparse one (``torch.smm``)."""
    rows = coalesced(sums_of_rows(input, mat))
    (row,), values = rows._parts
    width = values.shape[1]
    columns = dt.arange(width, device=values.device).repeat(len(row))
    indices = dt.stack([dt.repeat_interleave(row, width), columns])
    return SparseTensor(indices, values.reshape(-1), rows.shape, True)


def hspmm(mat1: SparseTensor, mat2: Tensor) -> SparseTensor:
    """The same with a coordinate to each row that is not zero (``torch.hspmm``)."""
    return coalesced(sums_of_rows(mat1, mat2))


def sums_of_rows(input: SparseTensor, mat: Tensor) -> SparseTensor:
    """The rows of `mat` times the entries that meet them, at the rows of these."""
    matrix("mm", input, 1)
    matrix("mm", mat, 2)
    (row, column), values = input._parts
    product = values.unsqueeze(-1) * mat.index_select(0, column)
    return SparseTensor(row.unsqueeze(0), product, (input.shape[0], mat.shape[1]))


def sspaddmm(
    input: SparseTensor, mat1: SparseTensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``, all of it sparse (``torch.sspaddmm``)."""
    return input * beta + smm(mat1, mat2) * alpha


def sampled_addmm(
    input: SparseTensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> SparseTensor:
    """``beta * input + alpha * (mat1 @ mat2)`` where `input` has entries, and nowhere else.

    Parameters
    ----------
    input : Tensor
        Sparse, shape ``(..., n, m)``.
    mat1, mat2 : Tensor
        Dense, shapes ``(..., n, k)`` and ``(..., k, m)``.
    beta, alpha : number, optional

    Raises
    ------
    RuntimeError
        If `input` is not sparse, or the shapes do not suit.
    """
    if not isinstance(input, SparseTensor):
        raise RuntimeError(
            f"sampled_addmm: Expected self to be sparse, but got {input.layout}; call "
            ".to_sparse_csr() first"
        )
    wanted = (*mat1.shape[:-1], *mat2.shape[-1:])
    if mat1.ndim < 2 or mat1.shape[-1] != mat2.shape[-2] or tuple(input.shape) != wanted:
        raise RuntimeError(
            "sampled_addmm: mat1 and mat2 shapes cannot be multiplied to the size of input: got "
            f"{list(mat1.shape)} and {list(mat2.shape)} for {list(input.shape)}"
        )
    *outer, row, column = input._parts[0]
    products = mat1[(*outer, row)] * mat2.mT[(*outer, column)]
    return input._like(input._parts[1] * beta + products.sum(-1) * alpha)
