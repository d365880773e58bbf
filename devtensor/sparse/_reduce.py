"""Sums over dimensions of sparse tensors, norms, and softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.sparse._make import coalesced, summed
from devtensor.sparse._tensor import SparseTensor, dimension
from devtensor.tensor import Tensor


def sum(input: SparseTensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Over all dimensions a dense number; over some, what is left (``torch.sparse.sum``)."""
    source = input if dtype is None else input.to(dtype)
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = sorted({dimension(d, input.ndim) for d in dims} or range(input.ndim))
    count = input.sparse_dim()
    values = source._parts[1]
    inner = [d - count + 1 for d in gone if d >= count]
    if inner:
        values = values.sum(inner, keepdim)
    if len(gone) == input.ndim and not keepdim:
        return values.sum()
    rows = [row for d, row in enumerate(source._parts[0]) if d not in gone]
    size = [n for d, n in enumerate(input.shape) if d not in gone]
    if keepdim:
        size = [1 if d in gone else n for d, n in enumerate(input.shape)]
        rows = [row * (d not in gone) for d, row in enumerate(source._parts[0])]
    if not rows:
        return values.sum(0)
    return coalesced(SparseTensor(dt.stack(rows), values, size))


def norm(
    input: SparseTensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    if len({dimension(d, input.ndim) for d in dims}) not in (0, input.ndim):
        raise RuntimeError(
            "norm_sparse currently only supports full reductions, so 'dim' must either be empty "
            "or contain all dimensions of the input"
        )
    found: Tensor = coalesced(input)._parts[1].reshape(-1).norm(p, dtype=dtype)
    return found.reshape([1] * input.ndim) if keepdim else found


def total(input: SparseTensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The same as the method has it: of integers in int64."""
    if dtype is None and not (input.is_floating_point() or input.is_complex()):
        dtype = dt.int64
    return sum(input, dim, keepdim, dtype=dtype)


def vector_norm(
    input: SparseTensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    return norm(input, ord, dim, keepdim, dtype)


def any(input: SparseTensor) -> Tensor:
    found: Tensor = input._parts[1].any()
    return found


def softmax(name: str) -> Callable[..., Any]:
    """The rule of `softmax` or `log_softmax`: what has no entry counts as minus infinity."""

    def call(input: SparseTensor, dim: int, dtype: Any = None) -> SparseTensor:
        source = coalesced(input if dtype is None else input.to(dtype))
        dim, count, values = dimension(dim, input.ndim), input.sparse_dim(), source._parts[1]
        if not values.is_floating_point():
            raise NotImplementedError(
                f"\"{name}\" not implemented for '{values.dtype.legacy}'; convert with .float()"
            )
        if dim >= count:
            return source._like(getattr(values, name)(dim - count + 1))
        rest = [d for d in range(count) if d != dim]
        lines = SparseTensor(
            source._parts[0][rest], values, [n for d, n in enumerate(input.shape) if d != dim]
        )
        places, line = dt.unique(lines._keys(), return_inverse=True)
        most = dt.full((len(places), *values.shape[1:]), -float("inf"), dtype=values.dtype,
                       device=values.device)  # fmt: skip
        most = most.index_reduce(0, line, values.detach(), "amax").index_select(0, line)
        lower = values - most
        total = summed(lower.exp(), line, len(places)).index_select(0, line)
        return source._like(lower - total.log() if name == "log_softmax" else lower.exp() / total)

    return call
