"""The array API, version 2024.12, in dpnp, and the names beside it that kernels use (EXTRAS).

`namespace` makes it for one device, on which its factories make arrays.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import dpnp

from devtensor_numpy.namespace import STANDARD

from . import (
    elementwise,
    extras_index,
    extremes,
    guarded,
    masks,
    memory,
    moves,
    order,
    products,
    reductions,
    special,
    views,
)
from .guarded import factories

OWN = "float16"

_names: dict[str, Any] = {
    name: elementwise.without_mkl(getattr(dpnp, name)) for name in f"{STANDARD} {OWN}".split()
}
_names.update(elementwise.FUNCTIONS)
for _module in (
    guarded,
    extras_index,
    extremes,
    masks,
    memory,
    moves,
    order,
    reductions,
    special,
    views,
):
    _names.update({name: getattr(_module, name) for name in _module.__all__})
_names.update(linalg=products.linalg, fft=products.fft)


@cache
def namespace(index: int) -> SimpleNamespace:
    """The functions for device `index`, where factories make arrays; `xp` of kernels is of them."""
    names = {**_names, **factories(index)}
    return SimpleNamespace(**names, __all__=sorted(names), __array_api_version__="2024.12")
