"""Strides and other readings of an array's memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import dpnp
import numpy as np

from devtensor.dtype import of
from devtensor.readings import refuse_outside, refuse_pairs, refuse_type, windows

from .native import seen, wrap
from .runtime import refuse_fork

__all__ = [
    "as_strided",
    "contiguous",
    "reinterpret",
    "sliding_window",
    "view_as_complex",
    "view_as_real",
]


FEW = 1 << 13
"""Elements up to which dpnp's copies are quick enough."""


def contiguous(x: Any, /) -> Any:
    """A copy whose elements lie in order."""
    if x.size < FEW:
        return x.copy(order="C")
    from .copies import copied  # both know this room
    from .fuse import copied as by_formula

    found = copied(x)
    return by_formula(x) if found is None else found


def steps_of(x: Any) -> tuple[int, ...]:
    """Strides in elements, as they are."""
    steps: tuple[int, ...] = x._array_obj.strides
    return steps


def dense(x: Any) -> Any:
    """`x`, or a copy if an element stands in several places, or some stand backwards."""
    array = x._array_obj
    if array.flags.c_contiguous or not array.size:
        return x
    reach = 0  # how far the dimensions of smaller steps go
    for step, n in sorted(zip(array.strides, array.shape, strict=True)):
        if n != 1:
            if step <= reach:
                return contiguous(x)
            reach += step * (n - 1)
    return x


def forward(x: Any) -> Any:
    """`x`, or a copy if elements stand backwards."""
    if isinstance(x, dpnp.ndarray) and min(x._array_obj.strides, default=0) < 0:
        return contiguous(x)
    return x


def ordered(x: Any) -> Any:
    """`x`, or a copy if its elements do not lie in order."""
    return x if x.flags.c_contiguous else contiguous(x)


def pointer(x: Any) -> int:
    """The address of the first element."""
    address: int = x._array_obj._pointer
    return address


def allocated(x: Any) -> int:
    """Bytes of the allocation in which `x` lies."""
    size: int = x._array_obj.usm_data.nbytes
    return size


def host_view(x: Any) -> Any:
    """The memory of an array of a CPU device, when all work is done, as a NumPy array."""
    refuse_fork()
    x.sycl_queue.wait()
    if not x.size:
        return np.empty(x.shape, x.dtype)
    width, steps = x.dtype.itemsize, x._array_obj.strides
    reach = [(n - 1) * step for n, step in zip(x.shape, steps, strict=True)]
    low = sum([r for r in reach if r < 0])
    count = 1 + sum(map(abs, reach))
    address = x._array_obj._pointer + low * width
    raw = (ctypes.c_char * (count * width)).from_address(address)
    flat = np.frombuffer(raw, np.uint8).view(x.dtype)
    return np.lib.stride_tricks.as_strided(flat[-low:], x.shape, [s * width for s in steps])


def to_host(x: Any) -> Any:
    """A copy in NumPy's memory.

    dpnp's own copies the whole allocation in which a view lies.
    """
    if x.sycl_device.is_cpu:
        return np.array(host_view(x), order="C")
    refuse_fork()
    x = ordered(x)
    found = np.empty(x.shape, x.dtype)
    if x.size:
        from .launch import start

        queue = x.sycl_queue
        queue.wait()
        queue.memcpy(found.reshape(-1).view(np.uint8), start(x._array_obj), found.nbytes)
    return found


def from_host(data: Any, queue: Any) -> Any:
    """A copy of a NumPy array on a device.

    New memory is read and written by nothing else, so this waits for no work, as dpnp's own does.
    """
    refuse_fork()
    if data.size == 1:
        return dpnp.full(data.shape, data.item(), dtype=data.dtype, sycl_queue=queue)
    data = np.ascontiguousarray(data)
    found = dpnp.empty(data.shape, dtype=data.dtype, sycl_queue=queue)
    if data.size and queue.sycl_device.is_cpu:  # a copy by the queue would wait for its turn
        ctypes.memmove(pointer(found), data.ctypes.data, data.nbytes)
    elif data.size:
        queue.memcpy(found._array_obj.usm_data, data.reshape(-1).view(np.uint8), data.nbytes)
    return found


# ---- views of one allocation


def view_at(
    x: Any, shape: Sequence[int], steps: Sequence[int], start: int, dtype: Any = None
) -> Any:
    """Elements of the allocation in which `x` lies.

    `steps` and `start`, from the beginning of the allocation, count elements of `dtype`.
    """
    a, dtype = x._array_obj, x.dtype if dtype is None else np.dtype(dtype)
    return wrap(seen(a, dtype, tuple(shape), tuple(steps), start - a._element_offset))


def offset_of(x: Any) -> int:
    """How many elements lie before the first one in the allocation."""
    offset: int = x._array_obj._element_offset
    return offset


def as_strided(x: Any, size: Sequence[int], stride: Sequence[int], start: int = 0, /) -> Any:
    """A view of the memory in which `x` lies; `start` and `stride` are counted in elements.

    Raises
    ------
    RuntimeError
        If the view would reach outside that memory.
    """
    width, first = x.dtype.itemsize, offset_of(x) + start
    refuse_outside(size, [s * width for s in stride], first * width, width, allocated(x))
    if 0 in size:
        return view_at(x, size, stride, 0) if x.size else dpnp.empty_like(x, shape=tuple(size))
    return view_at(x, size, stride, first)


def in_bytes(x: Any) -> tuple[list[int], int]:
    """The steps of `x` and the place of its first element in its memory, in bytes."""
    width = x.dtype.itemsize
    return [s * width for s in steps_of(x)], offset_of(x) * width


def sliding_window(x: Any, size: int, step: int, dim: int, /) -> Any:
    """All slices of length `size`, every `step` places along `dim`, in a new last dimension."""
    return view_at(x, *windows(x.shape, steps_of(x), size, step, dim), offset_of(x))


def reinterpret(x: Any, dtype: Any) -> Any:
    """The memory of `x` read as `dtype`; the last axis fits itself to the size of the elements."""
    dtype = np.dtype(dtype)
    old, new = x.dtype.itemsize, dtype.itemsize
    shape, (steps, first) = list(x.shape), in_bytes(x)
    if old != new:
        refuse_type(shape, steps, first, of(x.dtype), of(dtype))
        shape[-1], steps[-1] = shape[-1] * old // new, new
    return view_at(x, shape, [s // new for s in steps], first // new, dtype)


def view_as_real(x: Any) -> Any:
    """A complex array as a real one with the two parts in a new last axis; the same memory."""
    real = np.float32 if x.dtype == np.complex64 else np.float64
    steps = (*[2 * s for s in steps_of(x)], 1)
    return view_at(x, (*x.shape, 2), steps, 2 * offset_of(x), real)


def view_as_complex(x: Any) -> Any:
    """The inverse of `view_as_real`; the same memory."""
    steps, first = in_bytes(x)
    refuse_pairs(x.shape, steps, first, of(x.dtype))
    width = 2 * x.dtype.itemsize
    joined = np.complex64 if width == 8 else np.complex128
    return view_at(x, x.shape[:-1], [s // width for s in steps[:-1]], first // width, joined)
