"""Other readings of the same memory, which the array API lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as _strided

__all__ = ["reinterpret", "view_as_complex", "view_as_real"]


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
    real = x.real
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
