"""Memory that processes share, and how tensors in it go to other processes."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

from devtensor.dtype import NAMES
from devtensor.host import frombuffer
from devtensor.settings import strided
from devtensor.tensor import Tensor

__all__ = ["init_reductions", "is_shared", "rebuild_tensor", "reduce_tensor", "share"]

OPEN: dict[int, tuple[int, int]] = {}
"""By the address of each shared memory: the number of its open file, and how long it is."""


def over(number: int, length: int) -> Tensor:
    """The memory of an open file as bytes; the file is closed once nobody sees them."""
    memory = mmap.mmap(number, length)
    made = frombuffer(memory, dtype=NAMES["uint8"])
    address = made.data_ptr()
    OPEN[address] = number, length
    weakref.finalize(memory, forget, address, number).atexit = False
    return made


def forget(address: int, number: int) -> None:
    """Close a file whose memory nobody sees any more."""
    del OPEN[address]
    os.close(number)


def start_of(tensor: Any) -> int:
    """The address of the first byte of a tensor's memory."""
    return int(tensor.data_ptr()) - int(tensor.storage_offset()) * tensor.element_size()


def is_shared(tensor: Any) -> bool:
    """Whether other processes see the memory of a tensor that they were given."""
    whole = tensor.device.type == "cpu" and tensor.layout is strided
    return whole and start_of(tensor) in OPEN


def share(tensor: Any) -> None:
    """Move a tensor of the cpu to memory that processes share.

    Raises
    ------
    RuntimeError
        If it is sparse, or a view, since the others that see the memory would stay there.
    """
    if is_shared(tensor):
        return
    if tensor.layout is not strided:
        raise RuntimeError(
            "share_memory_(): a sparse tensor has no memory of its own; share its values"
        )
    if tensor._is_view():
        raise RuntimeError(
            "share_memory_(): a view cannot move to other memory alone; share the tensor that it "
            "is a view of, or a clone"
        )
    init_reductions()
    length = max(tensor.numel() * tensor.element_size(), 1)
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("devtensor")
    else:
        with tempfile.TemporaryFile() as file:
            number = os.dup(file.fileno())
    os.truncate(number, length)
    row = over(number, length)[: tensor.numel() * tensor.element_size()]
    moved = row.view(dtype=tensor.dtype).view(tensor.shape)
    moved.copy_(tensor.detach())
    tensor.data = moved


def reduce_tensor(tensor: Any) -> tuple[Any, ...]:
    """How a tensor goes to another process: by its open file, or by value if it is not shared."""
    if not is_shared(tensor):
        by_value: tuple[Any, ...] = tensor.__reduce_ex__(5)
        return by_value
    from multiprocessing.reduction import DupFd  # which is not on all systems

    number, length = OPEN[start_of(tensor)]
    place = (tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))
    kind = (type(tensor), tensor.dtype, tensor.requires_grad, dict(vars(tensor)))
    return rebuild_tensor, (DupFd(number), length, place, kind)


def rebuild_tensor(file: Any, length: int, place: Any, kind: Any) -> Any:
    """The tensor that `reduce_tensor` described, over the same memory."""
    offset, size, stride = place
    made, dtype, requires_grad, state = kind
    whole = over(file.detach(), length)
    row = whole[: length // dtype.itemsize * dtype.itemsize].view(dtype=dtype)
    tensor = row.as_strided(size, stride, offset).data
    if made is not Tensor:
        tensor = Tensor._make_subclass(made, tensor, requires_grad)
    elif requires_grad:
        tensor.requires_grad_()
    vars(tensor).update(state)
    return tensor


def init_reductions() -> None:
    """Let processes send shared tensors without a copy."""
    from devtensor.nn.parameter import Buffer, Parameter

    for kind in (Tensor, Parameter, Buffer):
        ForkingPickler.register(kind, reduce_tensor)
