"""The array API, version 2024.12, in NumPy, and the names beside it that kernels use (EXTRAS).

Nothing else of NumPy is here, so that a rule which names an operation of the catalogue does not
get a function of NumPy's by the same name.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy

from . import choice, extras_index, extras_shape, near, quick, special

__array_api_version__ = "2024.12"

STANDARD = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor bool
broadcast_arrays broadcast_to can_cast ceil clip complex128 complex64 concat conj copysign cos cosh
count_nonzero cumulative_prod cumulative_sum diff divide e empty empty_like equal exp expand_dims
expm1 eye fft finfo flip float32 float64 floor floor_divide from_dlpack full full_like greater
greater_equal hypot iinfo imag inf int16 int32 int64 int8 isdtype isfinite isinf isnan less
less_equal linalg linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or
logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply nan
negative newaxis nextafter nonzero not_equal ones ones_like permute_dims pi positive pow prod real
reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort
sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu
trunc uint16 uint32 uint64 uint8 unique_all unique_counts unique_inverse unique_values unstack var
vecdot where zeros zeros_like
"""
"""The names of the standard."""

EXTRAS = """
as_strided bincount contiguous digamma erf erfc erfinv get i0 index_add lgamma polygamma put
reinterpret scatter scatter_add sliding_window view_as_complex view_as_real
"""
"""What the array API lacks and kernels need; see the functions in the modules beside this one."""

OWN = "exp2 float16 fmax fmin gcd lcm logaddexp2"
"""What the kernels of this package use besides."""

_names: dict[str, Any] = {name: getattr(numpy, name) for name in f"{STANDARD} {OWN}".split()}
for _module in (quick, choice, near, extras_index, extras_shape, special):
    _found = vars(_module)
    _names.update({n: _found[n] for n in f"{STANDARD} {EXTRAS}".split() if n in _found})
if find_spec("ml_dtypes") is not None:
    import ml_dtypes

    _names["bfloat16"] = ml_dtypes.bfloat16

__all__ = sorted(_names)
globals().update(_names)
