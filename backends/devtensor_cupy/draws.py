"""Random numbers in one launch, of the bits that every device makes: see `devtensor.ops.random`.

A thread makes four words of a counter, and the numbers of these words. Each step is rounded by
itself, as where functions of arrays make it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from devtensor.dtype import of
from devtensor.ops import random as common

from .kernels import PHILOX
from .lookup import NOTES
from .memory import view_as_complex
from .raw import SAMPLES, SOURCES, Source, launch, ordered, type_of
from .runtime import cupy, home

HEAD = (
    PHILOX
    + """
struct __align__(sizeof(T) * $MANY < 16 ? sizeof(T) * $MANY : 16) Made { T v[$MANY]; };
"""
)
PARAMETERS = (
    "T* __restrict__ out, const long long size, const unsigned int key0, const unsigned int key1,"
    "const unsigned long long offset, const unsigned int stream"
)
BODY = """
    const unsigned long long place = (unsigned long long)i + offset;
    unsigned int c[4] = {(unsigned int)place, (unsigned int)(place >> 32), stream, 0u};
    philox_(c, key0, key1);
    const unsigned int w[4] = {c[1], c[0], c[3], c[2]};
    const long long at = (long long)i * $MANY;
    Made made;
    $MAKE
    if (at + $MANY <= size) *(Made*)(out + at) = made;
    else for (int j = 0; at + j < size; j++) out[at + j] = made.v[j];"""
MANY: dict[str, int] = {}
"""How many numbers a thread of each kernel makes."""


def add(name: str, parameters: str, many: int, make: str, types: tuple[str, ...]) -> None:
    """A kernel by what it does with the words."""
    head, body = [part.replace("$MANY", str(many)) for part in (HEAD, BODY)]
    given = f"{PARAMETERS}, {parameters}" if parameters else PARAMETERS
    SOURCES[name] = Source(given, body.replace("$MAKE", make), types, head)
    MANY[name] = many


# What is written for single precision, in double precision.
NUMBER = "(double)(number(w, j) >> 11) * (1.0 / (1ull << 53))"
WIDE = (
    ("(float)(w[j] >> shift) * (float)scale", NUMBER),
    ("(float)(w[j] >> 1) * 4.656612873077393e-10f", NUMBER),
    ("2.3283064365386963e-10f", "(0.5 / (1ull << 53))"),
    ("2.9802322387695312e-08f", "(0.5 / (1ull << 53))"),
    ("__fmul_rn", "__dmul_rn"), ("__fadd_rn", "__dadd_rn"), ("__fdiv_rn", "__ddiv_rn"),
    ("float", "double"),
    ("number(w, j)", "((unsigned long long)w[2 * j + 1] << 32 | w[2 * j])"),
)  # fmt: skip


def of_floats(name: str, parameters: str, make: str) -> None:
    """Kernels that make floats, of 32 bits each, or of 64 for those in double precision."""
    add(name, parameters, 4, make.replace("$MANY", "4"), ("float16", "float32"))
    for narrow, wide in WIDE:
        make = make.replace(narrow, wide)
    add(f"{name}_wide", parameters, 2, make.replace("$MANY", "2"), ("float64",))


LOOP = "for (int j = 0; j < $MANY; j++)"
ABOVE_ZERO = "(float)(w[j] >> 1) * 4.656612873077393e-10f + 2.3283064365386963e-10f"
of_floats(
    "uniform",
    "const int shift, const double scale, const double span, const double low",
    f"{LOOP} {{ const float x = (float)(w[j] >> shift) * (float)scale;"
    "made.v[j] = (T)__fadd_rn(__fmul_rn(x, (float)span), (float)low); }",
)
of_floats(
    "normal",
    "const double mean, const double std",
    f"float x[$MANY]; {LOOP} x[j] = (float)(w[j] >> 1) * 4.656612873077393e-10f;"
    """
    for (int j = 0; j < $MANY; j += 2) {
        const float radius = sqrt(log(x[j] + 2.3283064365386963e-10f) * -2);
        const float angle = __fmul_rn(x[j + 1], (float)6.283185307179586);
        const float one = __fmul_rn(radius, cos(angle)), two = __fmul_rn(radius, sin(angle));
        made.v[j] = (T)__fadd_rn(__fmul_rn(one, (float)std), (float)mean);
        made.v[j + 1] = (T)__fadd_rn(__fmul_rn(two, (float)std), (float)mean);
    }""",
)
of_floats(
    "exponential",
    "const double rate",
    f"{LOOP} {{ const float x = -log({ABOVE_ZERO});"
    "made.v[j] = (T)__fdiv_rn(x < 2.9802322387695312e-08f ? 2.9802322387695312e-08f : x, "
    "(float)rate); }",
)
for _size in (8, 16, 32):
    _part = {
        8: "(w[j / 4] >> j % 4 * 8 & 255u)", 16: "(w[j / 2] >> j % 2 * 16 & 65535u)", 32: "w[j]"
    }[_size]  # fmt: skip
    _many = 128 // _size
    add(
        f"coins_{_size}",
        "const unsigned int limit",
        _many,
        f"for (int j = 0; j < {_many}; j++) made.v[j] = (T)(int)({_part} < limit);",
        SAMPLES if _size == 32 else ("bool", "float32"),
    )
add(
    "whole",
    "const unsigned int span, const long long low",
    4,
    "for (int j = 0; j < 4; j++) made.v[j] = "
    "(T)((long long)((unsigned long long)w[j] * span >> 32) + low);",
    ("uint8", "int64"),
)
# Coins, each with a probability of its own, which must be one.
for _name, _many, _number in (
    ("below", 4, "(float)(w[j] >> 8) * 5.960464477539063e-08f"),
    ("below_wide", 2, NUMBER.replace(*WIDE[-1])),
):
    add(
        _name,
        "const T* __restrict__ p, volatile int* outside",
        _many,
        f"""for (int j = 0; j < {_many}; j++) {{
            const A chance = at + j < size ? (A)p[at + j] : (A)0;
            if (!(chance >= 0 && chance <= 1)) *outside = 1;
            made.v[j] = (T)(int)({_number} < chance);
        }}""",
        ("float64",) if _many == 2 else ("float16", "float32"),
    )


def filled(name: str, out: Any, seed: int, offset: int, *given: Any) -> Any:
    """An array, filled by a kernel."""
    low, high = seed & common.LOW, seed >> 32 & common.LOW
    args = (out, out.size, low, high, np.uint64(offset % (1 << 64)), 0, *given)
    launch(name, -(-out.size // MANY[name]), args, type_of(out), most=out.size)
    return out


def made(how: str, count: int, dtype: Any, values: tuple[Any, ...], seed: int, offset: int) -> Any:
    """Numbers of a distribution; None if no kernel makes them.

    Those for bfloat16 are made in single precision.
    """
    digits = common.DIGITS.get(dtype.name, 0)
    dtype = np.dtype(np.float32) if dtype.name == "bfloat16" else dtype
    tail = "_wide" if dtype.itemsize == 8 else ""
    if how == "uniform" and dtype.kind == "f":
        low, high = values
        given: Any = (32 - digits, 2.0**-digits, float(high - low), float(low))
    elif how == "normal" and dtype.kind == "f":
        given = (float(values[0]), float(values[1]))
    elif how == "exponential" and dtype.kind == "f":
        given = (float(values[0]),)
    elif how == "bernoulli" and dtype.kind in "bfiu":
        size = common.precision(*values)
        limit = round(values[0] * 2**size)
        if limit in (0, 2**size):
            return None
        how, tail, given = f"coins_{size}", "", (limit,)
    elif how == "random" and dtype.kind in "iu" and values[1] <= common.NARROW:
        low, span = values
        how, tail, given = "whole", "", (span, low)
        if not -(1 << 63) <= low < 1 << 63:
            return None
    else:
        return None
    return filled(how + tail, cupy.empty(count, dtype), seed, offset, *given)


def draw(xp: Any, /, size: Any, how: str, values: Any, seed: int, offset: int, dtype: Any) -> Any:
    """`draw`."""
    real, many, parameters = common.parts(of(dtype), how, values)
    native = np.dtype(dtype if many == 1 else getattr(xp, real.name))
    found = made(how, many * prod(size), native, parameters, seed, offset)
    if found is None:
        return common.draw.op.kernel(xp, size, how, values, seed, offset, dtype=dtype)
    if many == 2:
        return view_as_complex(found.reshape(*size, 2))
    return xp.astype(found.reshape(size), native, copy=False)


def bernoulli_at(xp: Any, input: Any, /, seed: int, offset: int, dtype: Any) -> Any:
    """`bernoulli_at`, whose kernel notes what is no probability."""
    if input.dtype.kind == "f":
        name = "below_wide" if input.itemsize == 8 else "below"
        note, view, *_ = NOTES.of(home(input))
        found = filled(
            name, cupy.empty(input.shape, input.dtype), seed, offset, ordered(input), note
        )
        cupy.cuda.get_current_stream().synchronize()
        if not view[0]:
            return xp.astype(found, dtype, copy=False)
        view[0] = 0
    return common.bernoulli_at.op.kernel(xp, input, seed, offset, dtype)  # which says what is wrong


KERNELS: dict[str, Callable[..., Any]] = {"draw": draw, "bernoulli_at": bernoulli_at}
