"""Sums and products of sparse tensors, element by element."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.dtype import NUMBERS
from devtensor.sparse import _linear
from devtensor.sparse._make import coalesced, dense, picked, sizes
from devtensor.sparse._tensor import SparseTensor, missing
from devtensor.tensor import Tensor

DENSE = "add(sparse, dense) is not supported. Use add(dense, sparse) instead."


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    if not isinstance(other, SparseTensor) and isinstance(other, Tensor) and other.ndim:
        return add(other if alpha == 1 else other * alpha, input)
    if not (isinstance(input, Tensor) and isinstance(other, SparseTensor)):
        raise RuntimeError(f"{DENSE} One of them is a number; call .to_dense() first")
    if alpha != 1:
        other = other._like(other._parts[1] * alpha)
    if tuple(input.shape) != tuple(other.shape):
        raise RuntimeError(
            "add: expected sizes of 'self' and 'other' to match, but "
            f"{' != '.join(map(str, sizes([input, other])))}"
        )
    dtype = _linear.common(input, other)
    if not isinstance(input, SparseTensor):
        count, size = other.sparse_dim(), input.shape
        flat = input.to(dtype).reshape(-1, *size[count:])
        if dtype is dt.bool:
            return (flat | dense(other).reshape(flat.shape)).reshape(size)
        return flat.index_add(0, other._keys(), other._parts[1].to(dtype)).reshape(size)
    if input.sparse_dim() != other.sparse_dim():
        raise RuntimeError(
            f"add: expected 'self' and 'other' to have same number of sparse dimensions, but "
            f"{input.sparse_dim()} != {other.sparse_dim()}"
        )
    if input._parts[0] is other._parts[0] and dtype is not dt.bool:
        return input._like(input._parts[1] + other._parts[1])
    both = zip(input._parts, other._parts, strict=True)
    indices, values = [dt.cat(parts, dim) for parts, dim in zip(both, (1, 0), strict=True)]
    made = SparseTensor(indices, values, input.shape)
    return coalesced(made) if input._coalesced and other._coalesced else made


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return add(input, other, alpha=-alpha)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return add(other, input, alpha=-alpha)


def mul(input: Any, other: Any) -> Any:
    if not isinstance(input, SparseTensor):
        input, other = other, input
    if isinstance(other, NUMBERS) or (not isinstance(other, SparseTensor) and not other.ndim):
        return input._like(input._parts[1] * other)
    if not isinstance(other, SparseTensor):
        return times_dense(input, other)
    if tuple(input.shape) != tuple(other.shape):
        raise RuntimeError(
            f"mul operands have incompatible sizes: {' and '.join(map(str, sizes([input, other])))}"
        )
    one, two = coalesced(input), coalesced(other)
    if one._parts[0] is two._parts[0]:
        return one._like(one._parts[1] * two._parts[1])
    keys, others = one._keys(), two._keys()
    at = met = others
    if len(others):
        at = dt.searchsorted(others, keys).clamp(max=len(others) - 1)
        met = (others.index_select(0, at) == keys).nonzero().squeeze(1)
    values = one._parts[1].index_select(0, met)
    values = values * two._parts[1].index_select(0, at.index_select(0, met))
    return SparseTensor(one._parts[0].index_select(1, met), values, one.shape, True)


def times_dense(input: SparseTensor, other: Tensor) -> SparseTensor:
    try:
        other = other.expand(input.shape)
    except RuntimeError:
        raise RuntimeError(
            "mul(sparse, dense): the dense tensor must have the sparse one's size or expand to "
            f"it, got sizes {' and '.join(map(str, sizes([input, other])))}"
        ) from None
    return input._like(input._parts[1] * picked(other, input))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    if isinstance(other, Tensor) and (isinstance(other, SparseTensor) or other.ndim):
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{list(other.shape)} for divisor)"
        )
    source = input if rounding_mode is None else coalesced(input)
    return source._like(dt.div(source._parts[1], other, rounding_mode=rounding_mode))


def floor_divide(input: Any, other: Any) -> Any:
    return div(input, other, rounding_mode="floor")


def pow(input: Any, exponent: Any) -> Any:
    if isinstance(exponent, Tensor) or not isinstance(input, SparseTensor):
        raise missing("pow")
    source = coalesced(input)
    return source._like(source._parts[1] ** exponent)
