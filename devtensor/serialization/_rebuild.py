"""What files call to make tensors again; the names are PyTorch's."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.dtype import dtype as DType
from devtensor.nn.parameter import Buffer, Parameter
from devtensor.serialization._memory import Storage
from devtensor.settings import (
    layout,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from devtensor.tensor import Tensor

__all__ = [
    "_rebuild_from_type_v2",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_sparse_tensor",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
]


def _rebuild_tensor(storage: Storage, storage_offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor that sees part of a storage."""
    if not isinstance(storage, Storage):
        raise TypeError(f"a tensor needs a storage, and the file gives a {type(storage).__name__}")
    return storage.tensor(storage.dtype, storage_offset, size, stride)


def _rebuild_tensor_v2(
    storage: Storage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    """The same, with what else belongs to it; hooks are not kept."""
    tensor = _rebuild_tensor(storage, storage_offset, size, stride)
    return finish(tensor, requires_grad, metadata)


def _rebuild_tensor_v3(
    storage: Storage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: DType,
    metadata: Any = None,
) -> Tensor:
    """The same for a dtype that has no storage class."""
    if not isinstance(storage, Storage) or not isinstance(dtype, DType):
        raise TypeError("a tensor needs a storage and a dtype, and the file gives something else")
    tensor = storage.tensor(dtype, storage_offset, size, stride)
    return finish(tensor, requires_grad, metadata)


def _rebuild_meta_tensor_no_storage(
    dtype: DType, size: Any, stride: Any, requires_grad: bool
) -> Tensor:
    """A tensor without data."""
    return dt.empty_strided(
        size, stride, dtype=dtype, device="meta", requires_grad=bool(requires_grad)
    )


def _get_layout(name: str) -> layout:
    """The layout of a name such as ``"torch.sparse_coo"``."""
    found: layout | None = LAYOUTS.get(name)
    if found is None:
        raise TypeError(f"the file holds a tensor of the layout {name!r}, which is not here")
    return found


COMPRESSED = (sparse_csr, sparse_csc, sparse_bsr, sparse_bsc)
LAYOUTS = {str(one): one for one in (sparse_coo, strided, *COMPRESSED)}


def _rebuild_sparse_tensor(layout: layout, data: tuple[Any, ...]) -> Tensor:
    """A sparse tensor of its coordinates and values."""
    if layout in COMPRESSED:
        lines: Tensor = dt.sparse_compressed_tensor(*data, layout=layout, check_invariants=True)
        return lines
    if layout is not sparse_coo:
        raise TypeError(f"the file makes a sparse tensor of the layout {layout!r}")
    indices, values, size, *coalesced = data
    made: Tensor = dt.sparse_coo_tensor(
        indices, values, size, check_invariants=True, is_coalesced=bool(coalesced and coalesced[0])
    )
    return made


def finish(tensor: Tensor, requires_grad: Any, metadata: Any) -> Tensor:
    """Apply what PyTorch left undone (a conjugate, a minus sign), and set the flag."""
    if isinstance(metadata, dict):
        if metadata.get("conj"):
            tensor = tensor.conj()
        if metadata.get("neg"):
            tensor = -tensor
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Parameter:
    """A parameter."""
    return Parameter(data, bool(requires_grad))


def _rebuild_parameter_with_state(
    data: Tensor, requires_grad: bool, backward_hooks: Any, state: Any
) -> Parameter:
    """A parameter with attributes of its own."""
    parameter = Parameter(data, bool(requires_grad))
    set_state(parameter, state)
    return parameter


def _rebuild_from_type_v2(function: Any, kind: type, args: Any, state: Any) -> Tensor:
    """A tensor of a class of its own, or with attributes of its own."""
    if kind is Parameter or not (isinstance(kind, type) and issubclass(kind, Tensor)):
        raise TypeError(f"the file makes a tensor of class {kind!r}")
    tensor: Tensor = function(*args)
    if kind is Tensor and isinstance(state, dict) and state.get("_is_buffer"):
        return Buffer(tensor, persistent=bool(state.get("persistent", True)))
    if kind is not type(tensor):
        tensor = Tensor._make_subclass(kind, tensor.detach(), tensor.requires_grad)
    if type(tensor).__dict__.get("__setstate__") is not None:
        tensor.__setstate__(state)  # type: ignore[attr-defined] # of a class of the user's
    else:
        set_state(tensor, state)
    return tensor


def set_state(tensor: Tensor, state: Any) -> None:
    """Give a tensor its attributes back; those that its class has are not among them.

    Raises
    ------
    TypeError
        If the state is no dictionary of names, or would change how the tensor works.
    """
    if isinstance(state, tuple) and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    if not state:
        return
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise TypeError("the file holds a tensor with attributes that have no names")
    for name in state:
        if hasattr(type(tensor), name) and name != "persistent":
            raise TypeError(f"the file sets the attribute {name!r} of a tensor")
    tensor.__dict__.update(state)
