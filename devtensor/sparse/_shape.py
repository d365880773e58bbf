"""The dimensions of sparse tensors: exchanged, joined, and parts along them."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.sparse._tensor import SparseTensor, dimension, missing
from devtensor.tensor import Tensor


def transpose(input: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    order = list(range(input.ndim))
    one, two = dimension(dim0, input.ndim), dimension(dim1, input.ndim)
    order[one], order[two] = two, one
    return permute(input, order)


def t(input: SparseTensor) -> SparseTensor:
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute(input, list(range(input.ndim))[::-1])


def permute(input: SparseTensor, *dims: Any) -> SparseTensor:
    given = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    order = [dimension(d, input.ndim) for d in given]
    count = input.sparse_dim()
    if sorted(order) != list(range(input.ndim)):
        raise RuntimeError(f"permute(sparse_coo): {list(given)} does not name each dimension once")
    if sorted(order[:count]) != list(range(count)):
        raise RuntimeError(
            "permute(sparse_coo): sparse and dense dimensions cannot change places, got "
            f"{list(given)} for {count} sparse dimensions of {input.ndim}"
        )
    indices, values = input._parts
    inner = [0, *[d - count + 1 for d in order[count:]]]
    still = order == sorted(order)
    return SparseTensor(
        indices[order[:count]] if count else indices,
        values if still else values.permute(inner),
        [input.shape[d] for d in order],
        input._coalesced and order[:count] == list(range(count)),
    )


def unsqueeze(input: SparseTensor, dim: int) -> SparseTensor:
    at, count = dimension(dim, input.ndim + 1), input.sparse_dim()
    indices, values = input._parts
    size = [*input.shape[:at], 1, *input.shape[at:]]
    if at > count:
        return SparseTensor(indices, values.unsqueeze(at - count + 1), size, input._coalesced)
    row = dt.zeros_like(indices[:1]) if count else indices.new_zeros(1, len(input._parts[1]))
    return SparseTensor(dt.cat([indices[:at], row, indices[at:]]), values, size, input._coalesced)


def cat(tensors: Any, dim: int = 0) -> SparseTensor:
    for place, one in enumerate(tensors):
        if not isinstance(one, SparseTensor):
            raise RuntimeError(
                f"Concatenating sparse tensors, but a dense tensor was found at position {place}."
            )
    first = tensors[0]
    at, count = dimension(dim, first.ndim), first.sparse_dim()
    for place, one in enumerate(tensors):
        rest = [list(x.shape[:at]) + list(x.shape[at + 1 :]) for x in (first, one)]
        if rest[0] != rest[1] or one.sparse_dim() != count:
            raise RuntimeError(
                "Sizes of tensors must match except in dimension "
                f"{at}. Expected {list(first.shape)} but got {list(one.shape)} for the tensor at "
                f"position {place}, with {count} and {one.sparse_dim()} sparse dimensions"
            )
    rows, values, start = [], [], 0
    size = list(first.shape)
    size[at] = 0
    for one in tensors:
        indices, part = one._parts
        if at < count:
            moved = [row + start if d == at else row for d, row in enumerate(indices)]
            indices = dt.stack(moved)
        else:
            before, behind = start, sum(x.shape[at] for x in tensors) - start
            room = [(before, behind - one.shape[at]) if d == at else (0, 0)
                    for d in range(one.ndim - 1, count - 1, -1)]  # fmt: skip
            part = dt.nn.functional.pad(part, [n for pair in room for n in pair])
        start += one.shape[at]
        rows.append(indices)
        values.append(part)
    size[at] = start
    return SparseTensor(dt.cat(rows, 1), dt.cat(values), size)


def stack(tensors: Any, dim: int = 0) -> SparseTensor:
    return cat([unsqueeze(one, dim) for one in tensors], dim)


def index_select(input: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    at, count = dimension(dim, input.ndim), input.sparse_dim()
    index = index.reshape(-1)
    size = [len(index) if d == at else n for d, n in enumerate(input.shape)]
    indices, values = input._parts
    if at >= count:
        inner = values.index_select(at - count + 1, index)
        return SparseTensor(indices, inner, size, input._coalesced)
    length = input.shape[at]
    if len(index) and bool(((index < -length) | (index >= length)).any()):
        raise IndexError("index_select(): index contains an entry that is out of range for "
                         f"dimension {at} of size {length}")  # fmt: skip
    # Each place that is asked for meets the entries that are there.
    order = indices[at].argsort(stable=True)
    lined = indices[at].index_select(0, order)
    wanted = dt.where(index < 0, index + length, index).to(dt.int64)
    begins = dt.searchsorted(lined, wanted)
    met = dt.searchsorted(lined, wanted, right=True) - begins
    place = dt.repeat_interleave(dt.arange(len(met), device=met.device), met)
    before = (met.cumsum(0) - met).index_select(0, place)
    nth = dt.arange(len(place), device=met.device) - before + begins.index_select(0, place)
    entry = order.index_select(0, nth)
    taken = indices.index_select(1, entry)
    rows = [place if d == at else row for d, row in enumerate(taken)]
    return SparseTensor(dt.stack(rows), values.index_select(0, entry), size)


def narrow_copy(input: SparseTensor, dim: int, start: int, length: int) -> SparseTensor:
    at, count = dimension(dim, input.ndim), input.sparse_dim()
    start = start + input.shape[at] if start < 0 else start
    if not 0 <= start <= start + length <= input.shape[at]:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({input.shape[at]})."
        )
    size = [length if d == at else n for d, n in enumerate(input.shape)]
    indices, values = input._parts
    if at >= count:
        part = values.narrow(at - count + 1, start, length)
        return SparseTensor(indices, part, size, input._coalesced)
    inside = (indices[at] >= start) & (indices[at] < start + length)
    entry = inside.nonzero().squeeze(1)
    taken = indices.index_select(1, entry)
    rows = [row - start if d == at else row for d, row in enumerate(taken)]
    return SparseTensor(dt.stack(rows), values.index_select(0, entry), size, input._coalesced)


def select(input: SparseTensor, dim: int, index: int) -> Any:
    at, count = dimension(dim, input.ndim), input.sparse_dim()
    length = input.shape[at]
    if not -length <= index < length:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at "
            f"dimension {at}"
        )
    index = int(index) % length
    size = [n for d, n in enumerate(input.shape) if d != at]
    indices, values = input._parts
    if at >= count:
        part = values.select(at - count + 1, index)
        return SparseTensor(indices, part, size, input._coalesced)
    entry = (indices[at] == index).nonzero().squeeze(1)
    part = values.index_select(0, entry)
    if count == 1:
        return part.sum(0).to(part.dtype)
    rest = [d for d in range(count) if d != at]
    return SparseTensor(indices[rest].index_select(1, entry), part, size, input._coalesced)


def item_at(input: SparseTensor, key: Any) -> Any:
    found: Any = input
    dim = 0
    keys = key if isinstance(key, tuple) else (key,)
    if sum(one is not None and one is not Ellipsis for one in keys) > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim}")
    for one in keys:
        if one is None:
            found, dim = unsqueeze(found, dim), dim + 1
        elif isinstance(one, slice) and one == slice(None):
            dim += 1
        elif one is Ellipsis:
            dim += input.ndim - sum(k is not None and k is not Ellipsis for k in keys)
        elif not single(one):
            raise missing("__getitem__")
        elif isinstance(found, SparseTensor):
            found = select(found, dim, int(one))
        else:
            found = found[int(one)]
    return found


def single(key: Any) -> bool:
    """Whether a key is one whole number."""
    several = isinstance(key, Tensor) and key.ndim > 0
    return hasattr(key, "__index__") and not isinstance(key, bool) and not several
