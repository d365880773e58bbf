"""Kernels of our own in CUDA C++, for all of CuPy's types that need them.

They are written as CuPy's `ElementwiseKernel`, so it finds the types, the size of the grid and the
strides. tests/test_cuda.py compiles each with NVRTC for several generations of GPUs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .runtime import cupy

ELEMENTWISE: dict[str, tuple[str, str, str, str, tuple[str, ...]]] = {}
"""By name: inputs, outputs, what is done, what stands before it, and the types to test it with."""

ELEMENTWISE["outside"] = (
    "I index, int64 size",
    "raw int32 found",
    "if ((long long)index < -size || (long long)index >= size) found[0] = 1;",
    "",
    ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)

SPECIAL = """
template<typename T> __device__ T digamma_(T x) {
    T below = 0;
    if (x == (T)0) return copysign((T)INFINITY, -x);
    if (x < (T)0) {
        T whole;
        T part = modf(x, &whole);
        if (part == (T)0) return (T)NAN;
        below = (T)M_PI / tan((T)M_PI * part);
        x = (T)1 - x;
    }
    T sum = 0;
    while (x < (T)10) { sum -= (T)1 / x; x += (T)1; }
    T y = 0;
    if (x < (T)1e17) {
        T z = (T)1 / (x * x);
        y = z * ((T)8.33333333333333333333E-2 - z * ((T)8.33333333333333333333E-3
          - z * ((T)3.96825396825396825397E-3 - z * ((T)4.16666666666666666667E-3
          - z * ((T)7.57575757575757575758E-3 - z * ((T)2.10927960927960927961E-2
          - z * (T)8.33333333333333333333E-2))))));
    }
    return sum + log(x) - (T)0.5 / x - y - below;
}
"""
ELEMENTWISE["digamma"] = (
    "T x", "T y", "y = digamma_<T>(x);", SPECIAL, ("float32", "float64")
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
