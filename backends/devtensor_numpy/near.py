"""Exponentials less 1 and logarithms of 1 and more, which keep the digits of small numbers.

NumPy's own take up to ten times as long as its `exp`, `log` and, in single precision, `tanh`, but
on processors for which it has them in wide registers.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .choice import by_bits
from .parts import BLOCK, SLOW, by_parts
from .quick import number

Array = np.ndarray[Any, Any]
FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
FEW = 1 << 8  # Elements up to which NumPy's functions, one call each, take less time.
FEATURES: dict[str, bool] = sys.modules["numpy._core._multiarray_umath"].__cpu_features__
WIDE = sys.platform == "linux" and FEATURES.get("AVX512_SKX", False)
"""Whether NumPy's own are as quick."""


def exp_less_one(x: Array, spare: Array) -> None:
    """Write ``exp(x) - 1`` over numbers that are not much above 0."""
    if WIDE or x.dtype != FLOAT:
        np.expm1(x, out=x)
        return
    # With t the tangent of x / 2 it is 2 t / (1 - t).
    np.multiply(x, number(0.5, x.dtype), out=x)
    np.tanh(x, out=x)
    np.subtract(number(1, x.dtype), x, out=spare)
    np.divide(x, spare, out=x)
    np.add(x, x, out=x)


def log_of_one_and(x: Array, spare: Array, other: Array) -> None:
    """Write ``log(1 + x)`` over finite numbers above -1."""
    if WIDE or x.dtype not in (FLOAT, DOUBLE):
        np.log1p(x, out=x)
        return
    one = number(1, x.dtype)
    np.add(x, one, out=spare)
    # What the sum has lost of x adds to its logarithm in proportion to it.
    np.subtract(spare, one, out=other)
    np.subtract(x, other, out=x)
    np.divide(x, spare, out=x)
    np.log(spare, out=spare)
    np.add(x, spare, out=x)


def log1p_by_parts(x: Any, /) -> Any:
    """Logarithm of 1 and `x`."""
    if x.__class__ is not np.ndarray or x.size <= FEW or x.dtype not in (FLOAT, DOUBLE):
        return np.log1p(x)
    out = np.array(x, order="C")
    flat = out.reshape(-1)

    def work(part: slice) -> None:
        some = flat[part]
        lost, spare = some.copy(), np.empty_like(some)
        log_of_one_and(some, spare, lost)
        if not np.isfinite(some).all():
            # At -1 and at infinity the sum has lost nothing, and its logarithm is the result.
            ends = ~np.isfinite(some)
            some[ends] = spare[ends]

    by_parts(work, out.size, most=BLOCK, weight=SLOW)
    return out


def expm1_by_parts(x: Any, /) -> Any:
    """``exp(x) - 1``."""
    if x.__class__ is not np.ndarray or x.size <= FEW or x.dtype != FLOAT:
        return np.expm1(x)
    out = np.array(x, order="C")
    flat = out.reshape(-1)

    def work(part: slice) -> None:
        some = flat[part]
        far = some > 0.5
        if not far.any():
            exp_less_one(some, np.empty_like(some))
            return
        above = np.exp(some)
        np.subtract(above, number(1, some.dtype), out=above)
        if far.all():
            some[...] = above
            return
        np.minimum(some, number(0.5, some.dtype), out=some)
        exp_less_one(some, np.empty_like(some))
        some[...] = by_bits(far, above, some)

    by_parts(work, out.size, most=BLOCK, weight=SLOW)
    return out


log1p = np.log1p if WIDE else log1p_by_parts
expm1 = np.expm1 if WIDE else expm1_by_parts
