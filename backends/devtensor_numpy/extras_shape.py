"""Other readings of the same memory, which the array API lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided as _strided

from devtensor.dtype import of
from devtensor.readings import refuse_outside, refuse_pairs, refuse_type, windows

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
    place = x.__array_interface__["data"][0] - low + start * width
    refuse_outside(size, steps, place, width, high - low)
    if 0 in size:
        return np.ndarray(size, x.dtype, owner if owner.size else None, 0, steps)
    if owner.flags.c_contiguous:
        return np.ndarray(size, x.dtype, owner, place, steps)
    if start == 0:
        return _strided(x, size, steps)
    return at(x, low + place, size, steps, not x.flags.writeable)


def first(x: np.ndarray) -> int:
    """The place of the first element in its memory, in bytes."""
    place: int = x.__array_interface__["data"][0] - byte_bounds(root(x))[0]
    return place


def sliding_window(x: np.ndarray, size: int, step: int, dim: int, /) -> np.ndarray:
    """All slices of length `size`, every `step` places along `dim`, in a new last dimension."""
    return _strided(x, *windows(x.shape, x.strides, size, step, dim))


def reinterpret(x: np.ndarray, dtype: Any) -> np.ndarray:
    """The memory of `x` read as `dtype`; the last axis fits itself to the size of the elements."""
    dtype = np.dtype(dtype)
    if x.dtype.itemsize != dtype.itemsize:
        refuse_type(x.shape, x.strides, first(x), of(x.dtype), of(dtype))
    return x.view(dtype)


def view_as_real(x: np.ndarray) -> np.ndarray:
    """A complex array as a real one with the two parts in a new last axis; the same memory."""
    real = np.asarray(x).real  # of a scalar, too, whose own part is no view
    return _strided(real, (*x.shape, 2), (*real.strides, real.dtype.itemsize))


def view_as_complex(x: np.ndarray) -> np.ndarray:
    """The inverse of `view_as_real`; the same memory."""
    refuse_pairs(x.shape, x.strides, first(x), of(x.dtype))
    return x.view(np.complex128 if x.dtype.itemsize == 8 else np.complex64)[..., 0]
