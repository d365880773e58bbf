"""Special functions that the common kernels compute from more general ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import special
from .linalg import Array


def plain(function: Callable[[Array], Array]) -> Callable[[Any, Array], Array]:
    """A function of an array as a kernel."""

    def kernel(xp: Any, input: Array, /) -> Array:
        return function(input)

    kernel.__name__, kernel.__doc__ = function.__name__, function.__doc__
    return kernel


KERNELS = {
    "special_i0e": plain(special.i0e),
    "special_i1": plain(special.i1),
    "special_i1e": plain(special.i1e),
}
