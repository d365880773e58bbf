"""OpenCL C, in which kernels are written from formulas, as CUDA C++.

What has a counterpart is given its name; the rest is cut out. Numbers and sizes are one argument, a
struct, as each argument of a launch costs time.
"""

from __future__ import annotations

import re

NAMES = {
    "uchar": "unsigned char", "ushort": "unsigned short", "half": "unsigned short",
    "uint": "unsigned int", "long": "long long", "ulong": "unsigned long long",
}  # fmt: skip
"""Types that are called otherwise; on Windows CUDA's `long` has 32 bits."""
NAME = re.compile(rf"\b({'|'.join(NAMES)})\b")
HEAD = """
#define __global
#define __local __shared__
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef INT_MAX
#define INT_MAX 0x7fffffff
#endif
"""
TOGETHER = """
#define barrier(what) __syncthreads()
#define intel_sub_group_shuffle_xor(x, step) __shfl_xor_sync(0xffffffffu, x, step)
#define get_sub_group_id() (threadIdx.x / LANES)
#define get_sub_group_local_id() (threadIdx.x % LANES)
"""
HALF = """
#ifdef __CUDA_ARCH__
__device__ __forceinline__ float __half2float(unsigned short x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
__device__ __forceinline__ unsigned short __float2half_rn(float x) {
    unsigned short y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
#endif
#define vload_half(place, array) __half2float((array)[place])
#define vstore_half_rte(x, place, array) (array)[place] = __float2half_rn(x)
"""
KERNEL = re.compile(r"__kernel void (\w+)\((.*?)\) \{", re.DOTALL)
WIDE = ("double", "long", "ulong")
"""Types of 8 bytes, which stand first in a struct; the others have 4."""
COUNTS = ("across", "down")
"""How many blocks there are along the first two dimensions."""


def translated(source: str) -> str:
    """A kernel in CUDA C++.

    Behind the arrays it has one argument, a struct of all numbers and sizes and then of the counts
    of blocks along the first two dimensions; of these, those of 8 bytes stand first.
    """
    found = KERNEL.search(source)
    lanes = re.search(r"#define LANES \d+\n", source)
    assert found is not None
    body = source[found.end() :]
    parameters = found[2].split(", ")
    arrays = [one for one in parameters if "*" in one]
    whole = "long" if "const long rows" in parameters else "int"
    numbers = [one.split()[1:] for one in parameters if "*" not in one]
    numbers += [[whole, name] for name in COUNTS]
    numbers.sort(key=lambda number: number[0] not in WIDE)
    lines = []
    block = "blockIdx.x"
    if "get_global_id(1)" in body or "get_global_id(2)" in body:
        block = "block"
        lines.append(f"const uint {block} = blockIdx.x % (uint)given.across;")
        lines.append("const uint above = blockIdx.x / (uint)given.across;")
    # The grid has one dimension: the sizes of the others are small.
    for place, text in {
        "get_group_id(0)": block,
        "get_local_id(0)": "threadIdx.x",
        "get_local_size(0)": "blockDim.x",
        "get_global_id(0)": f"({whole}){block} * blockDim.x + threadIdx.x",
        "get_global_id(1)": "above % (uint)given.down",
        "get_global_id(2)": "above / (uint)given.down",
    }.items():
        body = body.replace(place, text)
    lines += [
        f"const {kind} {name} = given.{name};" for kind, name in numbers if name not in COUNTS
    ]
    shown = ", ".join([*arrays, "const Given given"])
    members = " ".join([f"{kind} {name};" for kind, name in numbers])
    bounds = "" if lanes is None else "__launch_bounds__(LANES < 256 ? 256 : LANES) "
    text = (
        f"struct Given {{ {members} }};\n"
        f'extern "C" __global__ void {bounds}{found[1]}({shown}) {{\n    '
        + "\n    ".join(lines)
        + body
    )
    text = NAME.sub(lambda found: NAMES[found[0]], text)
    head = [HEAD, HALF if "half" in source else ""]
    return "".join([*head, lanes[0] + TOGETHER if lanes is not None else "", text])
