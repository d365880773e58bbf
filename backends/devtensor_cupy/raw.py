"""Kernels of our own in plain CUDA C++: one thread to each element of what is made.

They start sooner than CuPy's `ElementwiseKernel`, as nobody asks about types and strides. Arrays
lie in row order. tests/test_cuda.py compiles each with NVRTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from .runtime import cupy

THREADS = 256
FLOATS = ("float16", "float32", "float64")
NAMES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int",
    "uint64": "unsigned long long", "float16": "float16", "float32": "float", "float64": "double",
    "quad": "Quad",
}  # fmt: skip
"""The names in CUDA C++ of types by their names here; a quad is 16 bytes of anything."""
INTS = tuple([name for name in NAMES if "int" in name])


WIDE = ("int64", "uint64", "float64", "quad")
SAMPLES = ("bool", "int16", "uint64", *FLOATS)
"""Types that stand for all in tests."""


class Source(NamedTuple):
    """A kernel.

    Attributes
    ----------
    parameters : str
        What it is given; ``count``, the number of threads, comes after them.
    body : str
        What thread ``i`` does. ``T`` is the type of elements, ``A`` that in which they are added
        up, ``I`` that of indices, and ``N`` one that counts elements; ``FLOATS`` tells
        floats, ``NARROW`` elements of up to 4 bytes.
    types : tuple of str
        The types ``T`` to test it with; others of their kinds are like them.
    head : str
        What stands before it.
    """

    parameters: str
    body: str
    types: tuple[str, ...]
    head: str = ""


SOURCES: dict[str, Source] = {}
"""All kernels, by their names."""
HALF = """
#include <cupy/carray.cuh>
#if __has_include(<cupy/float16.cuh>)
#include <cupy/float16.cuh>
#endif"""
TEXT = """{half}
struct __align__(16) Quad {{ unsigned long long low, high; }};
#define FLOATS {floats}
#define NARROW {narrow}
typedef {T} T; typedef {A} A; typedef {I} I; typedef {N} N;
{head}
extern "C" __global__ void devtensor_{name}({parameters}, const long long count) {{
    const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (first >= count) return;
    const N i = (N)first;
    {body}
}}"""


def text(name: str, dtype: str, index: str = "int32", wide: bool = False) -> str:
    """The source of a kernel for elements and indices of some types."""
    source = SOURCES[name]
    return TEXT.format(
        name=name,
        floats=int(dtype in FLOATS),
        narrow=int(dtype not in WIDE),
        half=HALF if dtype == "float16" else "",
        T=NAMES[dtype],
        A="float" if dtype == "float16" else NAMES[dtype],
        I=NAMES[index],
        N="unsigned long long" if wide else "unsigned int",
        parameters=source.parameters,
        body=source.body,
        head=source.head,
    )


@cache
def raw(name: str, dtype: str, index: str, wide: bool) -> Any:
    """A kernel, compiled when it first runs on a device."""
    return cupy.RawKernel(text(name, dtype, index, wide), f"devtensor_{name}")


def launch(
    name: str, count: int, args: Sequence[Any], dtype: str, index: str = "int32", most: int = 0
) -> None:
    """Start a kernel of `count` threads on the device in use.

    Parameters
    ----------
    name : str
        Of one of the `SOURCES`.
    count : int
    args : sequence of array or int
        What the kernel's parameters name.
    dtype, index : str
        The types of elements and of indices.
    most : int, optional
        How many elements the largest array has, if that is more than `count`.
    """
    if count:
        wide = max(count, most) >= 1 << 31
        function = raw(name, dtype, index, wide)
        function((-(-count // THREADS),), (THREADS,), (*args, count))


_named: dict[Any, str] = {}


def type_of(x: Any) -> str:
    """The name of an array's type, which NumPy takes as long to say as a launch takes."""
    dtype = x.dtype
    found = _named.get(dtype)
    if found is None:
        found = _named[dtype] = dtype.name
    return found


def brief(xp: Any, kernel: Any, x: Any, /, *rest: Any, **params: Any) -> Any:
    """What a kernel gives in single precision, in the type of `x`: a tensor or several."""
    found = kernel(xp, xp.astype(x, xp.float32), *rest, **params)
    if found.__class__ is not tuple:
        return xp.astype(found, x.dtype)
    return xp.astype(found[0], x.dtype), *found[1:]


def ordered(x: Any) -> Any:
    """`x`, or a copy of it that lies in row order."""
    return x if x._c_contiguous else cupy.ascontiguousarray(x)
