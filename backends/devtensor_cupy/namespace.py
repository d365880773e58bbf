"""The array API, version 2024.12, in CuPy, and the names beside it that kernels use (EXTRAS).

`namespace` makes it for one device, on which its factories make arrays.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from devtensor_numpy.namespace import STANDARD

from . import (
    creation,
    extras_index,
    guarded,
    joins,
    kept,
    masks,
    memory,
    order,
    products,
    quotients,
    special,
)
from .creation import factories
from .runtime import cupy

OWN = "float16 fft"

OLDER = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atan2": "arctan2", "atanh": "arctanh", "bitwise_invert": "invert", "bool": "bool_",
    "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift", "pow": "power",
}  # fmt: skip
"""The names that all versions of CuPy have for what the standard calls otherwise."""

_names: dict[str, Any] = {
    name: getattr(cupy, older)
    for name in f"{STANDARD} {OWN}".split()
    if hasattr(cupy, older := OLDER.get(name, name))
}
for _module in (
    guarded,
    creation,
    extras_index,
    joins,
    kept,
    masks,
    memory,
    order,
    quotients,
    special,
):
    _names.update({name: getattr(_module, name) for name in _module.__all__})
_names["linalg"] = products.linalg
try:
    import ml_dtypes

    if "EE->E" in cupy.add.types:  # CuPy 13 does not compute in it
        _names["bfloat16"] = ml_dtypes.bfloat16
except ImportError:
    pass


@cache
def namespace(index: int) -> SimpleNamespace:
    """The functions for device `index`, where factories make arrays; `xp` of kernels is of them."""
    names = {**_names, **factories(index)}
    return SimpleNamespace(**names, __all__=sorted(names), __array_api_version__="2024.12")
