"""Special functions.

dpnp has the error functions; the others are computed on the host, as accurately as there.
"""

from __future__ import annotations

from typing import Any

import dpnp
import numpy as np

from devtensor_numpy import special as host

from .elementwise import without_mkl
from .memory import to_host

__all__ = ["digamma", "erf", "erfc", "erfinv", "i0", "lgamma", "polygamma"]


def real(x: Any) -> Any:
    """`x` in a type that dpnp's functions take: single or double precision."""
    if x.dtype == np.float16:
        return x.astype(np.float32)
    if x.dtype.kind in "iub":
        return x.astype(np.float64 if x.sycl_device.has_aspect_fp64 else np.float32)
    return x


def of_dpnp(name: str) -> Any:
    """A function of dpnp's."""
    function = without_mkl(getattr(dpnp if name == "i0" else dpnp.scipy.special, name))

    def call(x: Any, /) -> Any:
        found = function(real(x))
        return found.astype(x.dtype) if x.dtype == np.float16 else found

    call.__name__, call.__doc__ = name, function.__doc__
    return call


def on_host(name: str) -> Any:
    """A function of NumPy's backend, by way of the host's memory."""
    function = getattr(host, name)

    def call(x: Any, /) -> Any:
        return dpnp.asarray(function(to_host(real(x))).astype(result(x)), sycl_queue=x.sycl_queue)

    call.__name__, call.__doc__ = name, function.__doc__
    return call


def result(x: Any) -> Any:
    """The type of the result."""
    return x.dtype if x.dtype.kind not in "iub" else real(x).dtype


erf, erfc, erfinv, i0 = map(of_dpnp, ("erf", "erfc", "erfinv", "i0"))
lgamma, digamma = map(on_host, ("lgamma", "digamma"))


def polygamma(n: int, x: Any, /) -> Any:
    """Derivative number `n` of `digamma`."""
    found = host.polygamma(n, to_host(real(x)))
    return dpnp.asarray(np.asarray(found, result(x)), sycl_queue=x.sycl_queue)
