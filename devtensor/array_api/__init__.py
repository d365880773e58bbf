"""The Python array API standard over tensors: the namespace of ``x.__array_namespace__()``.

Version 2024.12, with the extensions `linalg` and `fft`. The functions are the catalogue's
operations under the standard's names and rules; so they are differentiable, and run everywhere.
"""

from math import e, inf, nan, pi

from devtensor.array_api import (
    _creation,
    _elementwise,
    _manipulation,
    _reduction,
    _searching,
    fft,
    linalg,
)
from devtensor.array_api._creation import *
from devtensor.array_api._elementwise import *
from devtensor.array_api._info import TYPES, __array_namespace_info__
from devtensor.array_api._manipulation import *
from devtensor.array_api._reduction import *
from devtensor.array_api._searching import *
from devtensor.array_api._table import FUNCTIONS, functions
from devtensor.array_api._types import can_cast, finfo, iinfo, isdtype, result_type

__array_api_version__ = "2024.12"
newaxis = None

_named = functions(FUNCTIONS)
for _name in ("matmul", "matrix_transpose", "tensordot", "vecdot"):
    _named[_name] = getattr(linalg, _name)
globals().update(_named)
globals().update({t.name: t for t in TYPES})

__all__ = sorted(
    {
        "__array_api_version__", "__array_namespace_info__", "can_cast", "e", "fft", "finfo",
        "iinfo", "inf", "isdtype", "linalg", "nan", "newaxis", "pi", "result_type",
        *[t.name for t in TYPES], *_named, *_creation.__all__, *_elementwise.__all__,
        *_manipulation.__all__, *_reduction.__all__, *_searching.__all__,
    }
)  # fmt: skip
