"""Strides and other readings of an array's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
    size, stride = tuple(size), tuple(stride)
    width, owner = x.itemsize, root(x)
    steps = [s * width for s in stride]
    if 0 in size:
        return view_at(x, size, steps)
    first = x.data.ptr - owner.data.ptr + start * width
    last = first + width + sum([(n - 1) * s for n, s in zip(size, steps, strict=True)])
    if not 0 <= first <= last <= owner.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset "
            f"{first // width}, and itemsize {width} requiring a storage size of {last} are out of "
            f"bounds for storage of size {owner.nbytes}"
        )
    return view_at(x, size, steps, start * width)


def sliding_window(x: Any, size: int, step: int, dim: int, /) -> Any:
    """All slices of length `size`, every `step` places along `dim`, in a new last dimension."""
    shape, steps = list(x.shape), list(x.strides)
    inner = steps[dim]
    shape[dim] = (shape[dim] - size) // step + 1
    steps[dim] *= step
    return view_at(x, (*shape, size), (*steps, inner))


def reinterpret(x: Any, dtype: Any) -> Any:
    """The memory of `x` read as `dtype`; the last axis fits itself to the size of the elements."""
    dtype = np.dtype(dtype)
    old, new = x.itemsize, dtype.itemsize
    if old == new:
        return view_at(x, x.shape, x.strides, 0, dtype)
    if not x.ndim:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)"
        )
    shape, steps = list(x.shape), list(x.strides)
    if new > old and shape[-1] * old % new:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {new // old} to view {x.dtype} as {dtype} "
            f"(different element sizes), but got {shape[-1]}"
        )
    if steps[-1] != old and x.size and shape[-1] != 1:
        raise RuntimeError(
            f"self.stride(-1) must be 1 to view {x.dtype} as {dtype} (different element sizes), "
            f"but got {steps[-1] // old}"
        )
    if new > old and (
        x.data.ptr % new or any(s % new for s, n in zip(steps[:-1], shape, strict=False) if n > 1)
    ):
        raise RuntimeError(
            f"self.stride() must be divisible by {new // old} to view {x.dtype} as {dtype}"
        )
    shape[-1], steps[-1] = shape[-1] * old // new, new
    return view_at(x, shape, steps, 0, dtype)


def view_as_real(x: Any) -> Any:
    """A complex array as a real one with the two parts in a new last axis; the same memory."""
    width = x.itemsize // 2
    real = np.float32 if width == 4 else np.float64
    return view_at(x, (*x.shape, 2), (*x.strides, width), 0, real)


def view_as_complex(x: Any) -> Any:
    """The inverse of `view_as_real`; the same memory."""
    width = x.itemsize
    if width < 4:
        raise RuntimeError(
            f"view_as_complex: there is no complex dtype for {x.dtype} here; use float32 or float64"
        )
    if x.size and x.strides[-1] != width:
        raise RuntimeError(
            "Tensor must have a last dimension with stride 1, but its stride is "
            f"{x.strides[-1] // width}"
        )
    steps = list(zip(x.strides[:-1], x.shape, strict=False))
    if any(s % (2 * width) for s, n in steps if n > 1) or x.data.ptr % (2 * width):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    joined = np.complex64 if width == 4 else np.complex128
    return view_at(x, x.shape[:-1], x.strides[:-1], 0, joined)
