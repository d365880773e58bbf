"""Copying and pickling of tensors: what `copy.deepcopy` and `pickle` call."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import devtensor as dt
from devtensor.device import device
from devtensor.dtype import dtype as DType
from devtensor.serialization._memory import Memory, Storage, contiguous, raw
from devtensor.serialization._rebuild import _rebuild_meta_tensor_no_storage, set_state
from devtensor.tensor import Tensor

__all__ = ["deepcopy_tensor", "rebuild_subclass", "rebuild_tensor", "reduce_tensor"]


def reduce_tensor(tensor: Tensor, protocol: int = 2) -> tuple[Any, ...]:
    """What ``Tensor.__reduce_ex__`` returns: values and flag, neither graph nor gradient.

    From protocol 5 on the values go out of band where the pickler takes them.
    """
    memory = None
    source = tensor.detach()
    size = tuple(source.shape)
    stride: tuple[int, ...] | None = None
    if source.is_meta:
        flat, stride = None, tuple(source.stride())
    elif source.is_contiguous():
        flat = source
    else:
        memory = Memory(source)
        if memory.flat.numel() <= source.numel():  # strides that skip nothing can be kept
            flat, stride = memory.flat, memory.stride
        else:
            flat = source.contiguous()
    data: Any = None if flat is None else raw(flat)
    if data is not None:
        data = pickle.PickleBuffer(data) if protocol >= 5 else bytes(data)
    kept = None if stride is None else (0 if memory is None else memory.offset, stride)
    args = (data, tensor.dtype, str(tensor.device), size, kept, tensor.requires_grad)
    if type(tensor) is Tensor and not tensor.__dict__:
        return rebuild_tensor, args
    return rebuild_subclass, (type(tensor), args, dict(tensor.__dict__))


def rebuild_tensor(
    data: Any,
    dtype: DType,
    place: str,
    size: tuple[int, ...],
    strides: tuple[int, tuple[int, ...]] | None,
    requires_grad: bool,
) -> Tensor:
    """Make again what `reduce_tensor` described."""
    if data is None:
        assert strides is not None
        return _rebuild_meta_tensor_no_storage(dtype, size, strides[1], requires_grad)
    if isinstance(data, bytes) or memoryview(data).readonly:
        data = bytearray(data)
    storage = Storage(memoryview(data).cast("B"), dtype)
    if place != "cpu":
        storage = storage.to(device(place))
    offset, stride = strides or (0, contiguous(size))
    tensor = storage.tensor(dtype, offset, size, stride)
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def rebuild_subclass(kind: type[Tensor], args: tuple[Any, ...], state: dict[str, Any]) -> Tensor:
    """The same for a class derived from Tensor, or a tensor with attributes."""
    tensor = rebuild_tensor(*args)
    if kind is not Tensor:
        tensor = Tensor._make_subclass(kind, tensor.detach(), tensor.requires_grad)
    set_state(tensor, state)
    return tensor


def deepcopy_tensor(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """What ``Tensor.__deepcopy__`` returns: a leaf with memory and gradient of its own.

    Tensors that share memory share it again if they are copied together.

    Raises
    ------
    RuntimeError
        If `tensor` has a history: its copy would have none.
    """
    if id(tensor) in memo:
        found: Tensor = memo[id(tensor)]
        return found
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment. If you want a copy of the values, use tensor.detach().clone()."
        )
    memory = Memory(tensor)
    copies: dict[Any, Tensor] = memo.setdefault(id(copies_of), {})
    flat = copies.get(memory.key)
    if flat is None:
        flat = copies[memory.key] = memory.flat.clone()
        # The key is an address: it must not come to stand for other memory.
        memo.setdefault(id(memo), []).append(memory.flat)
    if not tensor.numel():
        twin = dt.empty(tuple(tensor.shape), dtype=tensor.dtype, device=tensor.device)
    elif tensor.numel() == flat.numel() and memory.stride == contiguous(tuple(tensor.shape)):
        twin = flat.reshape(tuple(tensor.shape)).data
    else:
        twin = flat.as_strided(tuple(tensor.shape), memory.stride, memory.offset).data
    if type(tensor) is not Tensor:
        twin = Tensor._make_subclass(type(tensor), twin, tensor.requires_grad)
    elif tensor.requires_grad:
        twin.requires_grad_(True)
    memo[id(tensor)] = twin
    if tensor.grad is not None:
        twin.grad = copy.deepcopy(tensor.grad, memo)
    twin.__dict__.update(copy.deepcopy(tensor.__dict__, memo))
    return twin


def copies_of() -> None:
    """The key in a deepcopy's memo under which copied memory stands."""
