"""Other readings of the same memory, which the array API lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided as _strided

__all__ = [
    "as_strided",
    "contiguous",
    "reinterpret",
    "sliding_window",
    "view_as_complex",
    "view_as_real",
]


def contiguous(x: np.ndarray, /) -> np.ndarray:
    """A copy whose elements lie in order."""
    return np.array(x, order="C")


def root(x: np.ndarray) -> np.ndarray:
    """The array whose memory `x` looks at; itself if it is no view."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


class _Memory:
    """Memory that NumPy takes as an array; it keeps the array alive to which it belongs."""

    def __init__(self, interface: dict[str, Any], owner: np.ndarray) -> None:
        self.__array_interface__, self.owner = interface, owner


def at(
    x: np.ndarray, address: int, size: Sequence[int], steps: Sequence[int], read_only: bool
) -> np.ndarray:
    """An array of the type of `x`, which it keeps alive, at an address."""
    interface = {
        **x.__array_interface__,
        "data": (address, read_only),
        "shape": tuple(size),
        "strides": tuple(steps),
    }
    return np.asarray(_Memory(interface, x))


def writable(x: np.ndarray) -> np.ndarray:
    """The same memory as an array that may be written to, whatever NumPy thinks of it."""
    return at(x, x.__array_interface__["data"][0], x.shape, x.strides, False)


def as_strided(
    x: np.ndarray, size: Sequence[int], stride: Sequence[int], start: int = 0, /
) -> np.ndarray:
    """A view of the memory in which `x` lies; `start` and `stride` are counted in elements.

    Parameters
    ----------
    x : array
    size, stride : sequences of int
    start : int
        From the first element of `x`; may be negative.

    Raises
    ------
    RuntimeError
        If the view would reach outside that memory.
    """
    width = x.dtype.itemsize
    size, steps = tuple(size), tuple([s * width for s in stride])
    owner = root(x)
    low, high = byte_bounds(owner)
    first = x.__array_interface__["data"][0] + start * width
    last = first + width + sum([(n - 1) * s for n, s in zip(size, steps, strict=True)])
    if 0 not in size and not low <= first <= last <= high:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset "
            f"{(first - low) // width}, and itemsize {width} requiring a storage size of "
            f"{last - low} are out of bounds for storage of size {high - low}"
        )
    if 0 in size or owner.flags.c_contiguous:
        place = 0 if 0 in size else first - low
        return np.ndarray(size, x.dtype, owner if owner.size else None, place, steps)
    if start == 0:
        return _strided(x, size, steps)
    return at(x, first, size, steps, not x.flags.writeable)


def sliding_window(x: np.ndarray, size: int, step: int, dim: int, /) -> np.ndarray:
    """All slices of length `size`, every `step` places along `dim`, in a new last dimension."""
    shape, steps = list(x.shape), list(x.strides)
    inner = steps[dim]
    shape[dim] = (shape[dim] - size) // step + 1
    steps[dim] *= step
    return _strided(x, (*shape, size), (*steps, inner))


def reinterpret(x: np.ndarray, dtype: Any) -> np.ndarray:
    """The memory of `x` read as `dtype`; the last axis fits itself to the size of the elements."""
    dtype = np.dtype(dtype)
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return x.view(dtype)
    if not x.ndim:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)"
        )
    if new > old and x.shape[-1] * old % new:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {new // old} to view {x.dtype} as {dtype} "
            "(different element sizes), "
            f"but got {x.shape[-1]}"
        )
    if x.strides[-1] != old and x.size:
        raise RuntimeError(
            f"self.stride(-1) must be 1 to view {x.dtype} as {dtype} (different element sizes), "
            "but got "
            f"{x.strides[-1] // old}"
        )
    try:
        return x.view(dtype)
    except ValueError as reason:
        raise RuntimeError(
            f"self.stride() must be divisible by {new // old} to view {x.dtype} as {dtype}: "
            f"{reason}"
        ) from None


def view_as_real(x: np.ndarray) -> np.ndarray:
    """A complex array as a real one with the two parts in a new last axis; the same memory."""
    real = np.asarray(x).real  # of a scalar, too, whose own part is no view
    return _strided(real, (*x.shape, 2), (*real.strides, real.dtype.itemsize))


def view_as_complex(x: np.ndarray) -> np.ndarray:
    """The inverse of `view_as_real`; the same memory."""
    size = x.dtype.itemsize
    if size < 4:
        raise RuntimeError(
            f"view_as_complex: there is no complex dtype for {x.dtype} here; use float32 or float64"
        )
    if x.size and x.strides[-1] != size:
        raise RuntimeError(
            "Tensor must have a last dimension with stride 1, but its stride is "
            f"{x.strides[-1] // size}"
        )
    if any(step % (2 * size) for step in x.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return x.view(np.complex128 if size == 8 else np.complex64)[..., 0]
