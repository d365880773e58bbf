"""Exponentials of rows, shifted by the largest of a row only where numbers are that large."""

from __future__ import annotations

import numpy as np

from .linalg import Array

FAR = 40.0
"""Up to here, and down to its negative, powers neither overflow nor lose digits in a row's sum."""
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
    if within(x, FAR):
        np.exp(x, out=out)
    else:
        np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=out)
        np.exp(out, out=out)
    total: Array = out.dot(one)
    return total
