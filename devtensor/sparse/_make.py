"""How sparse tensors are made: of coordinates and values, of a dense tensor, of a size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import devtensor as dt
from devtensor.ops.convert import alias
from devtensor.sparse._invariants import check_sparse_tensor_invariants
from devtensor.sparse._tensor import SparseTensor, from_keys
from devtensor.tensor import Tensor

__all__ = ["coalesced", "dense", "empty", "masked", "picked", "sizes", "sparse_coo_tensor",
           "spdiags", "summed", "to_sparse"]  # fmt: skip


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """Make a sparse tensor of coordinates and the values there (``torch.sparse_coo_tensor``).

    Parameters
    ----------
    indices : array_like of int
        Coordinates, shape ``(sparse dimensions, entries)``. Values at one place are added up.
    values : array_like
        Shape ``(entries, *dense dimensions)``.
    size : sequence of int, optional
        The shape; by default the least that holds all coordinates. Alone it makes a tensor of
        zeros.
    dtype : dtype, optional
        That of `values` by default.
    device : device, optional
    pin_memory : bool, optional
        Accepted, and without effect.
    requires_grad : bool, optional
    check_invariants : bool, optional
        Whether it is checked that coordinates lie inside `size`; by default what
        :class:`devtensor.sparse.check_sparse_tensor_invariants` says.
    is_coalesced : bool, optional
        Whether the coordinates are in order and none is there twice.

    Returns
    -------
    Tensor

    Raises
    ------
    RuntimeError
        If the shapes of coordinates, values and size do not belong together, or a coordinate is
        outside and that is to be checked.

    Examples
    --------
    >>> import devtensor as dt
    >>> s = dt.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> s.to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 5.]])
    >>> s @ dt.ones(3, 1)
    tensor([[3.],
            [9.]])
    """
    if indices is None or (values is None and size is None):
        return empty(indices if size is None else size, dtype, device, requires_grad)
    values = dt.as_tensor(values, dtype=dtype, device=device)
    indices = dt.as_tensor(indices, device=values.device).detach()
    if indices.dtype.kind == "complex":
        raise RuntimeError("indices must be an int64 tensor")
    indices = indices.to(dt.int64)
    if indices.ndim != 2:
        if indices.ndim == 1 and not indices.numel():
            indices = indices.reshape(len(size or ()) - values.ndim + 1, 0)
        else:
            raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    count, dense = indices.shape[0], values.shape[1:]
    if not values.ndim:
        values = values.expand(indices.shape[1])
    if values.shape[0] != indices.shape[1]:
        raise RuntimeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{indices.shape[1]}, nnz from values: {values.shape[0]}"
        )
    if size is None:
        found = indices.amax(1).tolist() if indices.numel() else [0] * count
        if indices.numel() and bool((indices < 0).any()):
            raise RuntimeError(f"found negative index {int(indices.min())} for a coordinate")
        size = (*[n + 1 if indices.shape[1] else 0 for n in found], *dense)
    size = tuple(size)
    check_size(indices, values, size, check_invariants)
    # What requires gradients keeps its place in the graph; the memory is shared in any case.
    values = alias(values) if values.requires_grad else values.detach()
    made = SparseTensor(indices, values, size, bool(is_coalesced))
    if values.requires_grad:
        made._origin = "SparseCooTensorWithDimsAndTensorsBackward0"
    elif requires_grad:
        made.requires_grad_()
    return made


def spdiags(diagonals: Tensor, offsets: Any, shape: Sequence[int], layout: Any = None) -> Any:
    """Make a sparse matrix of its diagonals (``torch.sparse.spdiags``).

    Parameters
    ----------
    diagonals : Tensor
        A diagonal in each row; an element stands in the column of its place there.
    offsets : Tensor of int64
        Which diagonal each is: 0 the main one, above it positive.
    shape : sequence of int
        The rows and columns of the matrix.
    layout : layout, optional
        ``torch.sparse_coo`` by default, or sparse_csr or sparse_csc.

    Raises
    ------
    RuntimeError
        If there are not as many offsets, or one twice, or the shape or layout is no matrix's.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.sparse.spdiags(dt.arange(1, 4), dt.tensor([1]), (2, 3)).to_dense()
    tensor([[0, 2, 0],
            [0, 0, 3]])
    """
    lines = dt.atleast_2d(diagonals)
    offsets = dt.as_tensor(offsets, device=lines.device).reshape(-1)
    if len(shape) != 2:
        raise RuntimeError(f"Output shape must be 2d, got {list(shape)}")
    if offsets.dtype is not dt.int64:
        raise RuntimeError(f"Offset Tensor must have dtype Long but got {offsets.dtype.legacy}")
    if len(lines) != len(offsets):
        raise RuntimeError(
            f"Number of diagonals ({len(lines)}) does not match the number of offsets "
            f"({len(offsets)})"
        )
    if len(offsets.unique()) != len(offsets):
        raise RuntimeError(f"Offset tensor contains duplicate values: {offsets.tolist()}")
    if layout not in (None, dt.sparse_coo, dt.sparse_csr, dt.sparse_csc):
        raise RuntimeError(
            "Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got "
            f"{layout.name.title().replace('_', '')}"
        )
    column = dt.arange(lines.shape[1], device=lines.device).expand(lines.shape)
    row = column - offsets.unsqueeze(1)
    inside = (row >= 0) & (row < shape[0]) & (column < shape[1])
    made = SparseTensor(dt.stack([row[inside], column[inside]]), lines[inside], tuple(shape))
    return made if layout is None else made.to_sparse(layout=layout)


def check_size(indices: Tensor, values: Tensor, size: tuple[int, ...], inside: bool | None) -> None:
    """Refuse a size that does not suit coordinates and values.

    Raises
    ------
    RuntimeError
    """
    count, dense = indices.shape[0], tuple(values.shape[1:])
    if len(size) != count + len(dense):
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {count}, dense_dim = {len(dense)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(f"sizes must not be negative, got {list(size)}")
    if size[count:] != dense:
        raise RuntimeError(
            f"values has incorrect size, expected {[values.shape[0], *size[count:]]}, got "
            f"{list(values.shape)}"
        )
    if inside is None:
        inside = check_sparse_tensor_invariants.is_enabled()
    if not inside or not indices.shape[1]:
        return
    for dim, (least, most) in enumerate(
        zip(indices.amin(1).tolist(), indices.amax(1).tolist(), strict=True)
    ):
        if least < 0:
            raise RuntimeError(f"found negative index {least} for dim {dim}")
        if most >= size[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size[dim]} but found "
                f"index {most}"
            )


def empty(
    size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, dense: int = 0
) -> SparseTensor:
    """A sparse tensor without entries; the last `dense` dimensions are those of values."""
    size = tuple(size)
    count = len(size) - dense
    values = dt.zeros((0, *size[count:]), dtype=dtype, device=device)
    indices = dt.zeros((count, 0), dtype=dt.int64, device=values.device)
    return SparseTensor(indices, values.requires_grad_(requires_grad), size, True)


def summed(values: Tensor, place: Tensor, count: int) -> Tensor:
    """The sums of the values that belong to each of `count` places; of bools, whether any is."""
    if values.dtype is dt.bool:
        return summed(values.to(dt.int64), place, count).ne(0)
    room = dt.zeros((count, *values.shape[1:]), dtype=values.dtype, device=values.device)
    found: Tensor = room.index_add(0, place, values)
    return found


def coalesced(input: SparseTensor) -> SparseTensor:
    """The same with coordinates in order, values at one place added up."""
    if input._coalesced:
        return input
    if len(input._parts[1]) < 2:
        return input._like(input._parts[1], True)
    places, entry = dt.unique(input._keys(), return_inverse=True)
    return from_keys(places, summed(input._parts[1], entry, len(places)), input.shape)


def dense(input: SparseTensor) -> Tensor:
    """The whole with its zeros."""
    count = prod(input.shape[: input.sparse_dim()])
    return summed(input._parts[1], input._keys(), count).reshape(input.shape)


def to_sparse(input: Tensor, sparse_dim: int | None = None) -> SparseTensor:
    """The elements that are not zero, and where they are.

    Parameters
    ----------
    input : Tensor
    sparse_dim : int, optional
        The dimensions with coordinates, from the first on; all by default.

    Raises
    ------
    RuntimeError
        If there are not so many dimensions.
    """
    count = input.ndim if sparse_dim is None else sparse_dim
    if not 0 <= count <= input.ndim or (input.ndim and not count):
        raise RuntimeError(
            f"sparse_dim {count} must be between 1 and {input.ndim}, the dimensions of the tensor"
        )
    there = input.detach() != 0
    if count < input.ndim:
        there = there.reshape(*input.shape[:count], -1).any(-1)
    if not input.ndim:
        entries = int(there)
        indices = dt.zeros((0, entries), dtype=dt.int64, device=input.device)
        return SparseTensor(indices, input.reshape(1)[:entries], (), True)
    indices = there.nonzero().t().contiguous()
    return SparseTensor(indices, input[tuple(indices)], input.shape, True)


def masked(input: Any, mask: SparseTensor) -> SparseTensor:
    """The elements of a tensor where another one has entries.

    Raises
    ------
    RuntimeError
        If the sizes differ.
    """
    if tuple(input.shape) != tuple(mask.shape):
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(input.shape)} but mask has size {list(mask.shape)}"
        )
    if not isinstance(input, SparseTensor):
        return mask._like(picked(input, mask))
    # Where there is none it has a zero, which stands behind all entries.
    here, there = coalesced(input), mask._keys()
    own = here._keys()
    at = dt.searchsorted(own, there)
    zero = dt.zeros_like(here._parts[1][:1]) if len(here._parts[1]) else None
    if zero is None:
        return mask._like(mask._parts[1].new_zeros(mask._parts[1].shape).to(input.dtype))
    at = at.clamp(max=len(here._parts[1]) - 1)
    found = own.index_select(0, at) == there
    values = here._parts[1].index_select(0, at)
    keep = found.reshape(-1, *[1] * (values.ndim - 1))
    return mask._like(dt.where(keep, values, zero))


def picked(input: Tensor, pattern: SparseTensor) -> Tensor:
    """The elements of a dense tensor at the coordinates of a sparse one of its size."""
    if not pattern.sparse_dim():
        return input.expand(len(pattern._parts[1]), *input.shape)
    found: Tensor = input[tuple(pattern._parts[0])]
    return found


def sizes(tensors: Sequence[Tensor]) -> list[list[int]]:
    """The shapes of some tensors, for messages."""
    return [list(one.shape) for one in tensors]


def to_dense(input: SparseTensor, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
    found = dense(input)
    return found if dtype is None else found.to(dtype)


def again(
    input: SparseTensor, sparse_dim: int | None = None, *, layout: Any = None, **_: Any
) -> Tensor:
    if layout is not None and layout is not dt.sparse_coo:
        lines: Tensor = getattr(input, f"to_{layout.name}")(**_)
        return lines
    if sparse_dim in (None, input.sparse_dim()):
        return SparseTensor(*input._parts, input.shape, input._coalesced)
    return to_sparse(dense(input), sparse_dim)


def zeros_like(
    input: SparseTensor, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
) -> Any:  # fmt: skip
    dtype, device = dtype or input.dtype, device or input.device
    if layout is dt.strided:
        return dt.zeros(input.shape, dtype=dtype, device=device, requires_grad=requires_grad)
    return empty(input.shape, dtype, device, requires_grad, input.dense_dim())


def new_zeros(
    input: SparseTensor, *size: Any, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> SparseTensor:  # fmt: skip
    shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    return empty(shape, dtype or input.dtype, device or input.device, requires_grad)


def new(input: SparseTensor, *data: Any, device: Any = None) -> SparseTensor:
    """One of the same type and place, of a size or of coordinates and values."""
    place = input.device if device is None else device
    if all(isinstance(one, int) for one in data):
        return empty(data or (0,), input.dtype, place)
    return sparse_coo_tensor(*data, dtype=input.dtype, device=place)
