"""Exponentials and logarithms in few and quick passes.

NumPy has no quick `expm1` and `log1p`: they take ten times as long as `tanh` and `log`.
"""

from __future__ import annotations

import numpy as np

from .linalg import Array
from .sums import number

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


def exp_less_one(x: Array, spare: Array) -> None:
    """Write ``exp(x) - 1`` over numbers up to 0."""
    # With t the tangent of x / 2 it is 2 t / (1 - t).
    np.multiply(x, number(0.5, x.dtype), out=x)
    np.tanh(x, out=x)
    np.subtract(number(1, x.dtype), x, out=spare)
    np.divide(x, spare, out=x)
    np.add(x, x, out=x)


def log_of_one_and(x: Array, spare: Array, other: Array) -> None:
    """Write ``log(1 + x)`` over numbers from 0 to 1."""
    one = number(1, x.dtype)
    np.add(x, one, out=spare)
    # What the sum has lost of x adds to its logarithm in proportion to it.
    np.subtract(spare, one, out=other)
    np.subtract(x, other, out=x)
    np.divide(x, spare, out=x)
    np.log(spare, out=spare)
    np.add(x, spare, out=x)
