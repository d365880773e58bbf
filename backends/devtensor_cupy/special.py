"""Special functions: CuPy's own, with the types that PyTorch gives."""

from __future__ import annotations

from math import factorial, inf, pi
from typing import Any

import numpy as np

from devtensor_numpy.special import cotangent_slope

from .kernels import elementwise
from .runtime import cupy

__all__ = ["digamma", "erf", "erfc", "erfinv", "i0", "lgamma", "polygamma"]


def library() -> Any:
    """CuPy's special functions, imported when first used."""
    import cupyx.scipy.special

    return cupyx.scipy.special


def real(x: Any) -> Any:
    """`x` in a type in which functions are computed: single or double precision."""
    if x.itemsize == 2 and x.dtype.kind in "fV":
        return x.astype(np.float32)
    return x.astype(np.float64) if x.dtype.kind in "biu" else x


def back(found: Any, x: Any) -> Any:
    """A result in the type for `x`."""
    return found.astype(x.dtype if x.dtype.kind in "fV" else np.float64, copy=False)


def of_library(name: str, called: str) -> Any:
    def call(x: Any, /) -> Any:
        return back(getattr(library(), called)(real(x)), x)

    call.__name__, call.__doc__ = name, f"``cupyx.scipy.special.{called}``."
    return call


erf = of_library("erf", "erf")
erfc = of_library("erfc", "erfc")
lgamma = of_library("lgamma", "gammaln")


def of_ours(name: str) -> Any:
    def call(x: Any, /) -> Any:
        return back(elementwise(name)(real(x)), x)

    call.__name__, call.__doc__ = name, "By the formula of the cpu."
    return call


digamma, erfinv, i0 = map(of_ours, ("digamma", "erfinv", "i0"))


def polygamma(n: int, x: Any, /) -> Any:
    """Derivative number `n` of `digamma`."""
    if n == 0:
        return digamma(x)
    wide = real(x).astype(np.float64)
    factor = float(factorial(n)) if n < 171 else inf
    sign = 1.0 if n % 2 else -1.0
    below = wide < 0  # there by reflection, as the series is for positive numbers
    found = sign * factor * library().zeta(cupy.float64(n + 1), cupy.where(below, 1 - wide, wide))
    away = wide - cupy.rint(wide)
    cotangent = 1 / cupy.tan(pi * away)
    slope = cupy.zeros_like(wide)
    for coefficient in reversed(cotangent_slope(n)):
        slope = slope * cotangent + coefficient
    mirrored = cupy.where(away == 0, sign * inf, -sign * found - slope)
    return back(cupy.where(below, mirrored, found), x)
