"""Kernels of our own in CUDA C++, for all of CuPy's types that need them.

They are written as CuPy's `ElementwiseKernel`, so it finds the types, the size of the grid and the
strides. tests/test_cuda.py compiles each with NVRTC for several generations of GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from devtensor_numpy import special_tables as table

from .runtime import cupy

ELEMENTWISE: dict[str, tuple[str, str, str, str, tuple[str, ...]]] = {}
"""By name: inputs, outputs, what is done, what stands before it, and the types to test it with."""

ELEMENTWISE["where"] = (
    "bool condition, T x, T y",
    "T z",
    "z = condition ? x : y",
    "",
    ("bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"),
)


def polynomial(name: str, coefficients: Sequence[float]) -> str:
    """A function in CUDA C++ for the polynomial with these coefficients, the constant first."""
    body = f"(T){coefficients[-1]!r}"
    for c in reversed(coefficients[:-1]):
        body = f"({body}) * t + (T){c!r}"
    return f"template<typename T> __device__ T {name}(T t) {{ return {body}; }}\n"


# The slope of Stirling's series, in 1 / x**2.
SLOPE = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
DIGAMMA = (
    polynomial("slope_", SLOPE)
    + """
template<typename T> __device__ T digamma_(T x) {
    if (x == (T)0) return signbit(x) ? -log((T)0) : log((T)0);
    T mirrored = 0;
    if (x < (T)0) {
        T away = x - rint(x);
        if (away == (T)0) return sqrt((T)-1);
        mirrored = (T)3.14159265358979323846 / tan((T)3.14159265358979323846 * away);
        x = (T)1 - x;
    }
    T steps = 0;
    for (; x < (T)12; x += (T)1) steps += (T)1 / x;
    T square = (T)1 / (x * x);
    return log(x) - (T)0.5 / x - square * slope_<T>(square) - steps - mirrored;
}
"""
)
# Infinity is ``-log(0)`` and NaN ``sqrt(-1)``: NVRTC has no header that names them.
ELEMENTWISE["digamma"] = (
    "T x", "T y", "y = (T)digamma_<double>((double)x);", DIGAMMA, ("float32", "float64")
)  # fmt: skip

ERFINV = (
    polynomial("near_", table.ERFINV_NEAR)
    + polynomial("far_", table.ERFINV_FAR)
    + """
template<typename T> __device__ T erfinv_(T x) {
    T size = fabs(x);
    if (!(size < (T)1)) return size == (T)1 ? copysign(-log((T)0), x) : sqrt((T)-1);
    T w = -log(((T)1 - x) * ((T)1 + x));
    T y = x * (w > (T)4 ? far_<T>((sqrt(fmin(w, (T)37)) - (T)4.05) / (T)2.05)
                        : near_<T>(w * (T)0.5 - (T)1));
    if (sizeof(T) < 8) return y;
    // A step of Halley's; near 1 seen from there, where numbers have more digits.
    T rest = (T)1 - size - erfc(fabs(y));
    T off = size < (T)0.5 ? erf(y) - x : (y < (T)0 ? -rest : rest);
    T step = off * exp(y * y) * (T)0.88622692545275801365;
    return y - step / ((T)1 + y * step);
}
"""
)
ELEMENTWISE["erfinv"] = ("T x", "T y", "y = erfinv_<T>(x);", ERFINV, ("float32", "float64"))

I0 = (
    polynomial("near_", table.I0_NEAR)
    + polynomial("far_", table.I0_FAR)
    + """
template<typename T> __device__ T i0_(T x) {
    T size = fabs(x);
    if (isinf(size)) return size;
    T half = exp(size * (T)0.5);  // in two steps, as the exponential overflows first
    T scaled = size > (T)8 ? far_<T>((T)16 / size - (T)1) / sqrt(size)
                           : near_<T>(size * (T)0.25 - (T)1);
    return scaled * half * half;
}
"""
)
ELEMENTWISE["i0"] = ("T x", "T y", "y = (T)i0_<double>((double)x);", I0, ("float32", "float64"))

# `fmod` is exact; a quotient that is rounded before it is rounded down may come to the next one.
REST = """
template<typename T> __device__ T rest_(T x, T y) {
    T rest = fmod(x, y);
    return rest != (T)0 && (y < (T)0) != (rest < (T)0) ? rest + y : rest;
}
template<typename T> __device__ T floored_(T x, T y) {
    if (y == (T)0) return x / y;
    T rest = fmod(x, y), found = (x - rest) / y;
    if (rest != (T)0 && (y < (T)0) != (rest < (T)0)) found -= (T)1;
    if (found == (T)0) return copysign((T)0, x / y);
    T whole = floor(found);
    return found - whole > (T)0.5 ? whole + (T)1 : whole;
}
"""
ELEMENTWISE["remainder"] = ("T x, T y", "T z", "z = rest_<T>(x, y);", REST, ("float32", "float64"))
ELEMENTWISE["floor_divide"] = (
    "T x, T y", "T z", "z = floored_<T>(x, y);", REST, ("float32", "float64")
)  # fmt: skip

PHILOX = """
__device__ void philox_(unsigned int* c, unsigned int k0, unsigned int k1) {
    for (int round = 0; round < 10; round++) {
        unsigned long long left = (unsigned long long)c[0] * 0xD2511F53u;
        unsigned long long right = (unsigned long long)c[2] * 0xCD9E8D57u;
        unsigned int one = c[1], three = c[3];
        c[0] = (unsigned int)(right >> 32) ^ one ^ k0;
        c[1] = (unsigned int)right;
        c[2] = (unsigned int)(left >> 32) ^ three ^ k1;
        c[3] = (unsigned int)left;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
"""
ELEMENTWISE["philox"] = (
    "uint64 seed, uint64 offset, uint64 stream, int64 count",
    "raw uint32 words",
    """
    unsigned long long place = (unsigned long long)i + offset;
    unsigned int c[4] = {(unsigned int)place, (unsigned int)(place >> 32),
                         (unsigned int)stream, 0u};
    philox_(c, (unsigned int)seed, (unsigned int)(seed >> 32));
    long long first = 4 * (long long)i;
    if (first < count) words[first] = c[1];
    if (first + 1 < count) words[first + 1] = c[0];
    if (first + 2 < count) words[first + 2] = c[3];
    if (first + 3 < count) words[first + 3] = c[2];
    """,
    PHILOX,
    (),
)


@cache
def elementwise(name: str) -> Any:
    """A kernel by its name."""
    given, made, work, head, _ = ELEMENTWISE[name]
    return cupy.ElementwiseKernel(given, made, work, f"devtensor_{name}", preamble=head)
