"""Special functions: polynomials, recurrences and asymptotic series in NumPy.

In double precision they are right to a few units in the last place, except close to zeros of a
function away from 0, where the absolute error stays as small. Single precision is computed in
double, half precision too; only `erf`, which networks use, has a formula of its own.

Where SciPy is installed, quicker (by 3 to 5 times) and as accurate, large arrays go to it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from . import special_tables as table
from .parts import BLOCK, by_parts

Array = np.ndarray[Any, Any]
LEAST = 1 << 15  # Elements of a part; there are many intermediate results.
STEPS = 16  # Of the shortest formula here.
FEW = 64  # Up to so many elements Python's own functions are quicker.
MANY = 1 << 22  # After so many elements in all it had paid to import SciPy, which takes long.

_scipy: Any = None
_seen = 0


def scipy_special(size: int) -> Any:
    """`scipy.special`, if it is there and worth it, now that `size` elements are wanted."""
    global _scipy, _seen
    if _scipy is None:
        _seen += size
        if _seen >= MANY or "scipy.special" in sys.modules:
            try:
                import scipy.special as _scipy
            except ImportError:
                _scipy = False
    return _scipy


def powers(t: Array, coefficients: tuple[float, ...]) -> Array:
    """The polynomial with these coefficients, the constant first."""
    out = np.multiply(t, coefficients[-1])
    for c in coefficients[-2:0:-1]:
        np.add(out, c, out=out)
        np.multiply(out, t, out=out)
    return np.add(out, coefficients[0], out=out)


def evaluate(
    formula: Callable[[Array], Array],
    x: Any,
    work: Any = np.float64,
    scalar: Any = None,
    scipy: str | None = None,
) -> Array:
    """Apply `formula`, which takes vectors of type `work`.

    `scalar` is the same function of one number, `scipy` its name in SciPy.
    """
    x = np.asarray(x)
    dtype = x.dtype if x.dtype.kind not in "iub" else np.dtype(np.float64)
    if scalar is not None and x.size <= FEW:
        try:
            found = [scalar(v) for v in x.reshape(-1).tolist()]
        except (ValueError, OverflowError):  # At a pole, or where the result is too large.
            pass
        else:
            return np.array(found, np.float64).astype(dtype).reshape(x.shape)
    with np.errstate(all="ignore"):
        if scipy is not None and x.size > FEW and (library := scipy_special(x.size)):
            plain = x.dtype == np.float32 or x.dtype == np.float64
            function: Any = getattr(library, scipy)
            return np.asarray(function(x if plain else x.astype(np.float64)), dtype)
        flat, out = x.reshape(-1), np.empty(x.size, dtype)

        def fill(part: slice) -> None:
            with np.errstate(all="ignore"):
                out[part] = formula(flat[part].astype(work))

        by_parts(fill, x.size, most=min(BLOCK, max(LEAST, x.size // 8)), weight=STEPS)
    return out.reshape(x.shape)


# ---- the error function ----


def erfc_of_size(size: Array) -> Array:
    """`erfc` of numbers that are not negative."""
    size = np.minimum(size, 28.0)  # Beyond 27 it is 0; infinity would be NaN.
    scaled = powers((size - 3) / (size + 3), table.ERFC)
    # The square must have more digits than fit: of `short` it has them, the rest is small.
    short = size.astype(np.float32).astype(np.float64)
    scaled *= np.exp(-short * short)
    scaled *= np.exp((short - size) * (short + size))
    scaled /= 2 * size + 1
    return scaled


def erf_near(x: Array) -> Array:
    """`erf` of numbers from -1 to 1."""
    return x * powers(2 * x * x - 1, table.ERF)


def erf_block(x: Array) -> Array:
    near = erf_near(np.clip(x, -1, 1))
    size = np.abs(x)
    if not (size > 1).any():
        return near
    return np.where(size > 1, np.copysign(1 - erfc_of_size(size), x), near)


def erf_single(x: Array) -> Array:
    x = np.clip(x, -4, 4)  # Beyond 4 it is 1 within single precision.
    square = x * x
    top, bottom = powers(square, table.ERF_TOP), powers(square, table.ERF_BOTTOM)
    top *= x
    top /= bottom
    return np.clip(top, -1, 1, out=top)


def erf(x: Any) -> Array:
    """The error function."""
    x = np.asarray(x)
    if x.dtype.kind not in "iub" and x.dtype.itemsize < 8:
        return evaluate(erf_single, x, np.float32, math.erf)
    return evaluate(erf_block, x, scalar=math.erf, scipy="erf")


def erfc_block(x: Array) -> Array:
    far = erfc_of_size(np.abs(x))
    return np.where(x < 1, np.where(x < -1, 2 - far, 1 - erf_near(np.clip(x, -1, 1))), far)


def erfc(x: Any) -> Array:
    """1 minus the error function, exact where that is small."""
    return evaluate(erfc_block, x, scalar=math.erfc, scipy="erfc")


def erfinv_first(x: Array) -> Array:
    """`erfinv` to 8 digits."""
    w = -np.log((1 - x) * (1 + x))
    near = powers(np.minimum(w, 4.0) * 0.5 - 1, table.ERFINV_NEAR)
    far = w > 4
    if far.any():
        s = np.sqrt(np.clip(w, 4.0, 37.0))
        near = np.where(far, powers((s - 4.05) / 2.05, table.ERFINV_FAR), near)
    near *= x
    return np.where(np.abs(x) == 1, np.copysign(math.inf, x), near)


def erfinv_block(x: Array) -> Array:
    y = erfinv_first(x)
    size = np.abs(x)
    # How far off it is; near 1 seen from there, where numbers have more digits.
    far = 1 - size - erfc_of_size(np.abs(y))
    off = np.where(size < 0.5, erf_near(np.clip(y, -1, 1)) - x, np.where(y < 0, -far, far))
    step = off * np.exp(y * y) * (math.sqrt(math.pi) / 2)
    return np.where(size < 1, y - step / (1 + y * step), y)


def erfinv(x: Any) -> Array:
    """The inverse of the error function."""
    x = np.asarray(x)
    single = x.dtype.kind not in "iub" and x.dtype.itemsize < 8
    return evaluate(erfinv_first if single else erfinv_block, x, scipy="erfinv")


# ---- the gamma function ----

STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)


def lgamma_large(x: Array) -> Array:
    """`lgamma` of numbers from 10 on."""
    out = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi)
    return np.where(x == math.inf, x, out + powers(1 / (x * x), STIRLING) / x)


def lgamma_small(x: Array) -> Array:
    """`lgamma` of numbers from 0 to 3."""
    low = x < 1
    polynomial = powers(np.where(low, x + 1, x) - 2, table.LGAMMA)
    factor = np.where(low, x * (x - 1), (x - 1) * (x - 2))
    out: Array = factor * polynomial - np.where(low, np.log(x), 0.0)
    return out


def lgamma_positive(x: Array) -> Array:
    out = lgamma_large(np.maximum(x, 10.0))
    middle = (x > 3) & (x < 10)
    if middle.any():
        part = x[middle]
        product = part.copy()
        for k in range(1, 7):
            product *= part + k
        out[middle] = lgamma_large(part + 7) - np.log(product)
    small = x <= 3
    if small.any():
        out[small] = lgamma_small(x[small])
    return out


def lgamma_block(x: Array) -> Array:
    out = lgamma_positive(np.abs(x))
    below = x < 0
    if below.any():
        part = x[below]
        sine = np.abs(np.sin(math.pi * (part - np.rint(part))))
        reflected = math.log(math.pi) - np.log(-part) - np.log(sine) - out[below]
        out[below] = np.where(part == -math.inf, math.inf, reflected)
    return out


def lgamma_of_number(x: float) -> float:
    """`lgamma`; Python's own loses digits near its zeros 1 and 2."""
    if not 0.5 < x < 3:
        return math.lgamma(x)
    base, out = (x + 1 if x < 1 else x) - 2, 0.0
    for c in reversed(table.LGAMMA):
        out = out * base + c
    return x * (x - 1) * out - math.log(x) if x < 1 else (x - 1) * (x - 2) * out


def lgamma(x: Any) -> Array:
    """Natural logarithm of the absolute value of the gamma function."""
    return evaluate(lgamma_block, x, scalar=lgamma_of_number)


DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


def digamma_positive(x: Array) -> Array:
    x = x.copy()
    out = np.zeros_like(x)
    for _ in range(10):
        small = x < 10
        if not small.any():
            break
        out -= np.where(small, 1 / x, 0.0)
        x += small
    square = 1 / (x * x)
    return out + np.log(x) - 0.5 / x - square * powers(square, DIGAMMA)


def digamma_block(x: Array) -> Array:
    below = x < 0
    out = digamma_positive(np.where(below, 1 - x, x))
    if below.any():
        part = x[below]
        away = part - np.rint(part)
        out[below] -= math.pi / np.tan(math.pi * away)
        out[below] = np.where(away == 0, math.nan, out[below])
    return np.where(x == 0, np.copysign(math.inf, -x), out)


def digamma(x: Any) -> Array:
    """The slope of `lgamma`."""
    return evaluate(digamma_block, x, scipy="psi")


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def zeta_positive(s: int, x: Array) -> Array:
    """Hurwitz' zeta function, the sum of ``(x + k)**-s`` over k from 0; x not negative."""
    x = x.copy()
    total = np.zeros_like(x)
    for _ in range(10 + s):
        small = x < 10 + s
        if not small.any():
            break
        total += np.where(small, x ** -float(s), 0.0)
        x += small
    # What is left, by Euler and Maclaurin.
    power = x ** (1.0 - s)
    total += power / (s - 1)
    power /= x
    total += power / 2
    factor = s / 2
    for k, bernoulli in enumerate(BERNOULLI, 1):
        power /= x
        total += (bernoulli * factor) * power
        power /= x
        factor *= (s + 2 * k - 1) * (s + 2 * k) / ((2 * k + 1) * (2 * k + 2))
    return total


@lru_cache(32)
def cotangent_slope(n: int) -> tuple[float, ...]:
    """The `n`-th derivative of ``pi * cot(pi * x)`` as a polynomial in the cotangent."""
    p = [0.0, math.pi]
    for _ in range(n):
        slope = [-math.pi * k * c for k, c in enumerate(p)][1:]
        p = [
            (slope[k] if k < len(slope) else 0.0) + (slope[k - 2] if k >= 2 else 0.0)
            for k in range(len(slope) + 2)
        ]
    return tuple(p)


def polygamma(n: int, x: Any) -> Array:
    """The `n`-th derivative of `digamma`."""
    if n == 0:
        return digamma(x)
    factor = float(math.factorial(n)) if n < 171 else math.inf
    sign = 1.0 if n % 2 else -1.0

    def block(x: Array) -> Array:
        below = x < 0
        out = sign * factor * zeta_positive(n + 1, np.where(below, 1 - x, x))
        if below.any():
            part = x[below]
            away = part - np.rint(part)
            cotangent = 1 / np.tan(math.pi * away)
            found = -sign * out[below] - powers(cotangent, cotangent_slope(n))
            out[below] = np.where(away == 0, sign * math.inf, found)
        return out

    return evaluate(block, x)


# ---- modified Bessel functions of the first kind ----


def scaled_bessel(size: Array, order: int) -> Array:
    """Times ``exp(-size)``, of numbers that are not negative."""
    near, far = (table.I1_NEAR, table.I1_FAR) if order else (table.I0_NEAR, table.I0_FAR)
    out = powers(np.minimum(size, 8.0) * 0.25 - 1, near)
    if order:
        out *= size
    if (size > 8).any():
        large = np.maximum(size, 8.0)
        out = np.where(size > 8, powers(16 / large - 1, far) / np.sqrt(large), out)
    return out


def i0_block(x: Array) -> Array:
    size = np.abs(x)
    half = np.exp(size / 2)  # In two steps, as the exponential overflows first.
    return np.where(size == math.inf, size, scaled_bessel(size, 0) * half * half)


def i1_block(x: Array) -> Array:
    size = np.abs(x)
    half = np.exp(size / 2)
    return np.where(size == math.inf, x, np.copysign(scaled_bessel(size, 1) * half * half, x))


def i0(x: Any) -> Array:
    """The modified Bessel function of the first kind, of order 0."""
    return evaluate(i0_block, x)


def i0e(x: Any) -> Array:
    """`i0` times ``exp(-abs(x))``."""
    return evaluate(lambda x: scaled_bessel(np.abs(x), 0), x)


def i1(x: Any) -> Array:
    """The modified Bessel function of the first kind, of order 1."""
    return evaluate(i1_block, x)


def i1e(x: Any) -> Array:
    """`i1` times ``exp(-abs(x))``."""
    return evaluate(lambda x: np.copysign(scaled_bessel(np.abs(x), 1), x), x)
