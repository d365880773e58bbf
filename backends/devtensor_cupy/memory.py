"""Strides and other readings of an array's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from devtensor.dtype import of
from devtensor.readings import refuse_outside, refuse_pairs, refuse_type, windows

from .runtime import cupy, home, on

__all__ = [
    "as_strided",
    "contiguous",
    "reinterpret",
    "sliding_window",
    "view_as_complex",
    "view_as_real",
]


def contiguous(x: Any, /) -> Any:
    """A copy whose elements lie in order."""
    with on(home(x)):
        return cupy.array(x, copy=True, order="C")


def across(x: Any, index: int) -> Any:
    """A copy on device `index`, made by the devices themselves.

    The copy waits for the work on `x`, and what comes after on the device of `x` waits for the
    copy, so that its memory can be given out again; the program waits for neither.
    """
    with on(home(x)):
        x = x if x.flags.c_contiguous else contiguous(x)
        source = cupy.cuda.get_current_stream()
        written = source.record()
    with on(index):
        stream = cupy.cuda.get_current_stream()
        stream.wait_event(written)
        made = cupy.empty(x.shape, x.dtype)
        made.data.copy_from_device_async(x.data, x.nbytes, stream)
        read = stream.record()
    with on(home(x)):
        source.wait_event(read)
    return made


def forward(x: Any) -> Any:
    """`x`, or a copy if elements stand backwards: strides below 0 do not leave the library."""
    return contiguous(x) if min(x.strides, default=0) < 0 else x


def root(x: Any) -> Any:
    """The array whose memory `x` looks at; itself if it is no view."""
    while x.base is not None:
        x = x.base
    return x


def view_at(
    x: Any, shape: Sequence[int], steps: Sequence[int], start: int = 0, dtype: Any = None
) -> Any:
    """Elements of the memory in which `x` lies.

    `steps`, and `start` from the first element of `x`, are counted in bytes. CuPy's own function
    makes arrays that do not tell whose memory they look at.
    """
    dtype = np.dtype(x.dtype if dtype is None else dtype)
    owner = root(x)
    seen = owner.view()
    seen._set_shape_and_strides((owner.size,), (owner.itemsize,), True, True)
    seen = seen.view(np.uint8)[x.data.ptr - owner.data.ptr + start :] if owner.size else seen
    whole = seen.nbytes // dtype.itemsize * dtype.itemsize
    seen = seen.view(np.uint8)[:whole].view(dtype)
    seen._set_shape_and_strides(tuple(shape), tuple(steps), True, True)
    return seen


def as_strided(x: Any, size: Sequence[int], stride: Sequence[int], start: int = 0, /) -> Any:
    """A view of the memory in which `x` lies; `start` and `stride` are counted in elements.

    Raises
    ------
    RuntimeError
        If the view would reach outside that memory.
    """
    width = x.itemsize
    steps = [s * width for s in stride]
    refuse_outside(size, steps, first(x) + start * width, width, root(x).nbytes)
    return view_at(x, size, steps, 0 if 0 in size else start * width)


def first(x: Any) -> int:
    """The place of the first element in its memory, in bytes."""
    place: int = x.data.ptr - root(x).data.ptr
    return place


def sliding_window(x: Any, size: int, step: int, dim: int, /) -> Any:
    """All slices of length `size`, every `step` places along `dim`, in a new last dimension."""
    return view_at(x, *windows(x.shape, x.strides, size, step, dim))


def reinterpret(x: Any, dtype: Any) -> Any:
    """The memory of `x` read as `dtype`; the last axis fits itself to the size of the elements."""
    dtype = np.dtype(dtype)
    old, new = x.itemsize, dtype.itemsize
    shape, steps = list(x.shape), list(x.strides)
    if old != new:
        refuse_type(shape, steps, first(x), of(x.dtype), of(dtype))
        shape[-1], steps[-1] = shape[-1] * old // new, new
    return view_at(x, shape, steps, 0, dtype)


def view_as_real(x: Any) -> Any:
    """A complex array as a real one with the two parts in a new last axis; the same memory."""
    width = x.itemsize // 2
    real = np.float32 if width == 4 else np.float64
    return view_at(x, (*x.shape, 2), (*x.strides, width), 0, real)


def view_as_complex(x: Any) -> Any:
    """The inverse of `view_as_real`; the same memory."""
    refuse_pairs(x.shape, x.strides, first(x), of(x.dtype))
    joined = np.complex64 if x.itemsize == 4 else np.complex128
    return view_at(x, x.shape[:-1], x.strides[:-1], 0, joined)
