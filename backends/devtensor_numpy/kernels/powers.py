"""Exponentials of rows, shifted by the largest of a row only where numbers are that large."""

from __future__ import annotations

import numpy as np

from .linalg import Array

FAR = 64.0
"""Up to here powers do not overflow, nor do sums of them."""
LOW = -40.0
"""From here on powers are not too small to have all their digits."""
FEW = 1 << 9
NEAR = 8.0
"""Up to here the logarithm of that sum is as exact as with a shift."""


def within(x: Array, limit: float) -> bool:
    """Whether all of many numbers are that near to 0: it costs less than each row's largest."""
    return x.size > FEW and bool(
        np.maximum.reduce(x, None) <= limit and np.minimum.reduce(x, None) >= -limit
    )


def powers(out: Array, x: Array, one: Array) -> Array:
    """Write exponentials of `x`, times a factor to each row, and return the rows' sums."""
    if x.size > FEW and np.maximum.reduce(x, None) <= FAR:
        np.exp(x, out=out)
        total: Array = out.dot(one)
        # Where sums are 1 or more, what is too small would be so with a shift.
        if np.minimum.reduce(total) >= 1 or np.minimum.reduce(x, None) >= LOW:
            return total
    np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    return out.dot(one)
