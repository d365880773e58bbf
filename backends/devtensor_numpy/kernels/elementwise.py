"""Functions that NumPy has and the array API lacks, and powers without the general routine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devtensor.ops import elementwise as common

from .linalg import FLOATS, Array, is_half


def exp2(xp: Any, input: Array, /) -> Array:
    """`exp2`."""
    return xp.exp2(input)


def logaddexp2(xp: Any, input: Array, other: Array, /) -> Array:
    """`logaddexp2`."""
    return xp.logaddexp2(input, other)


def fmax(xp: Any, input: Array, other: Array, /) -> Array:
    """`fmax`."""
    return xp.fmax(input, other)


def fmin(xp: Any, input: Array, other: Array, /) -> Array:
    """`fmin`."""
    return xp.fmin(input, other)


def fmod(xp: Any, input: Array, other: Array, /) -> Array:
    """`fmod`."""
    common.refuse_zero(xp, other)
    return np.fmod(input, other)


def gcd(xp: Any, input: Array, other: Array, /) -> Array:
    """`gcd`."""
    return xp.gcd(input, other)


def lcm(xp: Any, input: Array, other: Array, /) -> Array:
    """`lcm`."""
    return xp.lcm(input, other)


def frexp(xp: Any, input: Array, /) -> tuple[Array, Array]:
    """`frexp`."""
    mantissa, exponent = np.frexp(input)
    return mantissa, np.where(np.isfinite(input), exponent, np.int32(0))


def logical_and(xp: Any, input: Array, other: Array, /) -> Array:
    """`logical_and`."""
    return xp.logical_and(input, other)


def logical_or(xp: Any, input: Array, other: Array, /) -> Array:
    """`logical_or`."""
    return xp.logical_or(input, other)


def logical_xor(xp: Any, input: Array, other: Array, /) -> Array:
    """`logical_xor`."""
    return xp.logical_xor(input, other)


def logical_not(xp: Any, input: Array, /) -> Array:
    """`logical_not`."""
    return xp.logical_not(input)


def isnan(xp: Any, input: Array, /) -> Array:
    """`isnan`."""
    return xp.isnan(input)


def sign(xp: Any, input: Array, /) -> Array:
    """`sign` by comparisons: NumPy's takes ten times as long."""
    if input.dtype.kind != "f" or not input.ndim:
        return common.sign.kernel(xp, input)
    found = np.greater(input, 0).view(np.int8)
    np.subtract(found, np.less(input, 0).view(np.int8), out=found)
    return found.astype(input.dtype)


def rsqrt(xp: Any, input: Array, /) -> Array:
    """`rsqrt` with one temporary."""
    root = np.sqrt(input)
    return np.reciprocal(root, out=root) if root.ndim else np.reciprocal(root)


def pow(xp: Any, input: Array, exponent: Array, /) -> Array:
    """`pow`; small whole exponents by products."""
    if exponent.ndim == 0 and input.dtype.kind in "fc" and not is_half(input.dtype):
        value = exponent.item()
        if value == 2:
            return np.square(input)
        if value == 3:
            made = np.asarray(np.square(input))
            return np.multiply(made, input, out=made)
        if value == 0.5:
            return np.sqrt(input)
        if value == 1:
            return np.positive(input)
        if value == -1:
            return np.reciprocal(input)
        if value == 4:
            return np.square(np.square(input))
    return common.pow.kernel(xp, input, exponent)


def addcmul(xp: Any, input: Array, tensor1: Array, tensor2: Array, /, *, value: float = 1) -> Array:
    """`addcmul` with one temporary."""
    return added(xp, input, np.multiply(tensor1, tensor2), value)


def addcdiv(xp: Any, input: Array, tensor1: Array, tensor2: Array, /, *, value: float = 1) -> Array:
    """`addcdiv` with one temporary."""
    return added(xp, input, np.divide(tensor1, tensor2), value)


def added(xp: Any, input: Array, part: Array, value: float) -> Array:
    """`input` plus `value` times `part`, which may be overwritten."""
    if not part.ndim or part.dtype.kind != "f" or part.shape != input.shape:
        return np.add(input, common.scaled(xp, part, value))
    if value != 1:
        np.multiply(part, value, out=part)
    return np.add(input, part, out=part)


def lerp(xp: Any, input: Array, end: Array, weight: Array, /) -> Array:
    """`lerp`; with one weight without choosing element by element."""
    one = input.dtype == end.dtype == weight.dtype and input.dtype.kind in "fc"
    if not one or weight.ndim or input.shape != end.shape or is_half(input.dtype):
        return common.lerp.kernel(xp, input, end, weight)
    way = np.asarray(np.subtract(end, input))
    if abs(weight.item()) < 0.5:
        np.multiply(way, weight, out=way)
        return np.add(input, way, out=way)
    np.multiply(way, 1 - weight, out=way)
    return np.subtract(end, way, out=way)


def clamp(xp: Any, input: Array, min: Any = None, max: Any = None, /) -> Array:
    """`clamp`; by numbers in one pass with wide registers, which `maximum` of a number has not."""
    if input.size <= FEW or input.dtype not in FLOATS or np.ndim(min) or np.ndim(max):
        return common.clamp.kernel(xp, input, min, max)
    if min is None and max is None:
        return common.clamp.kernel(xp, input)
    return np.clip(input, -math.inf if min is None else min, math.inf if max is None else max)


def clamp_min(xp: Any, input: Array, min: Array, /) -> Array:
    """`clamp_min`."""
    return clamp(xp, input, min) if input.size > FEW else np.maximum(input, min)


def clamp_max(xp: Any, input: Array, max: Array, /) -> Array:
    """`clamp_max`."""
    return clamp(xp, input, None, max) if input.size > FEW else np.minimum(input, max)


def nan_to_num(
    xp: Any, input: Array, /, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """`nan_to_num`, a copy where all is finite."""
    if input.dtype in FLOATS and np.isfinite(input).all():
        return np.array(input)
    return common.nan_to_num.kernel(xp, input, nan, posinf, neginf)


FEW = 1 << 10  # Elements up to which a call costs more than the work.


KERNELS = {
    "clamp": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "exp2": exp2,
    "logaddexp2": logaddexp2,
    "fmax": fmax,
    "fmin": fmin,
    "fmod": fmod,
    "gcd": gcd,
    "lcm": lcm,
    "nan_to_num": nan_to_num,
    "frexp": frexp,
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_xor": logical_xor,
    "logical_not": logical_not,
    "isnan": isnan,
    "rsqrt": rsqrt,
    "sign": sign,
    "pow": pow,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "lerp": lerp,
}
