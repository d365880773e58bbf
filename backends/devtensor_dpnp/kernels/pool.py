"""Pooling: windows walked by kernels of our own.

Written with functions of arrays it takes passes for each place within a window, and with dpnp 10 to
50 times as long as with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import pool as common
from devtensor_formulas import windows
from devtensor_formulas.windows import DIMS, WIDTH, Sizes, each

from ..arithmetic import run_of
from ..launch import integer, kernel, launch, takes_source, whole
from ..memory import ordered
from ..native import fresh, wrap
from ..windows import BACK, FORTH, NUMBER, walked

READ = "__global const $T* restrict x"
PLANE = (
    "__global const $T* restrict line = x + ((plane * n0 + f0 + i0 * d0) * n1 + f1 + i1 * d1) * n2;"
)
WINDOW = "__global const $T* restrict line = x + ((plane * m0 + o0) * m1 + o1) * m2;"
ROW = "for (int c = 0; c < m2; c++) "


def forth(first: str, line: str, turn: str, last: str) -> str:
    """For a row of results: what is done first, with the line of a plane, with an element, last."""
    return first + FORTH.replace("$LINE", PLANE + line).replace("$TURN", turn) + last


def back(line: str, turn: str) -> str:
    """For a row of a plane: what is done with the line of windows, and with an element."""
    return BACK.replace("$LINE", WINDOW + line).replace("$TURN", turn)


LEAST = {"f": "-INFINITY", "i": "($T)1 << (sizeof($T) * 8 - 1)", "u": "0"}
"""The least number by the kind of a type: where a window has no element, its maximum."""
LARGER = "$T v = line[c * $S + shift]; int larger = (v > row[c]) | (v != v)"
BODIES = {
    "max": (
        f"__global $W* restrict which, {READ}",
        forth(
            f"__global $W* restrict w = which + r * m2; {ROW} {{ row[c] = $LEAST; w[c] = -1; }}",
            f"int number = {NUMBER};",
            f"{LARGER} | (w[c] < 0); row[c] = larger ? v : row[c]; "
            "w[c] = larger ? number + i2 : w[c];",
            f"{ROW} if (w[c] < 0) {{ int f2 = c * s2 - p2;"
            "w[c] = (a0 * k1 + a1) * k2 + (f2 < 0 ? (d2 - 1 - f2) / d2 : 0); }",
        ),
    ),
    "max_alone": (
        READ,
        forth(f"{ROW} row[c] = $LEAST;", "", f"{LARGER}; row[c] = larger ? v : row[c];", ""),
    ),
    "chosen": (
        f"{READ}, __global const $W* restrict which",
        forth(
            f"__global const $W* restrict w = which + r * m2; {ROW} row[c] = 0;",
            f"int number = {NUMBER};",
            "if (w[c] == number + i2) row[c] = line[c * $S + shift];",
            "",
        ),
    ),
    "chosen_spread": (
        f"{READ}, __global const $W* restrict which",
        back(
            f"int number = {NUMBER}; __global const $W* restrict w = which + (line - x);",
            "if (w[c] == number + i2) row[c * $S + shift] += line[c];",
        ),
    ),
}


def area(place: str) -> str:
    """How many elements of a window count, whose place in the first dimensions has these names."""
    outer = each(WIDTH.replace("@", f"{place}#"), " * ", 2)
    inner = WIDTH.replace("@", "c").replace("#", "2")
    return f"($T)(divisor ? divisor : {outer} * {inner})"


MEANS = f"{READ}, const int border, const int divisor"
BODIES |= {
    "mean": (
        MEANS,
        forth(
            f"{ROW} row[c] = 0;",
            "",
            "row[c] += line[c * $S + shift];",
            f"{ROW} row[c] /= {area('c')};",
        ),
    ),
    "mean_spread": (MEANS, back("", f"row[c * $S + shift] += line[c] / {area('o')};")),
}


def along(
    name: str,
    like: Any,
    shape: Sizes,
    given: list[Any],
    where: tuple[Sizes, ...],
    which: Any = "int32",
) -> Any:
    """A new array made row by row."""
    args, body = BODIES[name]
    body = body.replace("$LEAST", LEAST[like.dtype.kind])
    return walked(f"pool_{name}", args, body, like, shape, given, "spread" in name, where, which)


# ---- windows that divide a plane, and single elements

EVERY = """
__kernel void pool_$NAME(__global $T* restrict out, $ARGS, const ulong count, const ulong run,
                         $NUMBERS) {
    ulong i = get_global_id(0) * run, end = min(i + run, count);
    for (; i < end; i++) {
        int c2 = i % $L2, c1 = i / $L2 % $L1, c0 = i / ((ulong)$L2 * $L1) % $L0;
        long plane = i / ((ulong)$L2 * $L1 * $L0);
        $BODY
    }
}"""
PARTS = each("const int n#, const int m#", ", ")
WALK = (
    each("int f# = (long)c# * n# / m#, e# = ((long)(c# + 1) * n# + m# - 1) / m#;")
    + each("for (int i# = f#; i# < e#; i#++)")
    + "{ long place = ((long)i0 * n1 + i1) * n2 + i2;"
    "$T v = x[plane * n0 * n1 * n2 + place]; $TURN }"
)
SINGLE: dict[str, tuple[str, str, str]] = {
    # Its arguments, the letter of the sizes of the result, and what is done for an element.
    "share": (
        READ,
        "m",
        f"$T sum = 0; {WALK.replace('$TURN', 'sum += v;')}"
        f"out[i] = sum / ($T)({each('(e# - f#)', ' * ')});",
    ),
    "share_spread": (
        READ,
        "n",
        "$T sum = 0;"
        + each("int a# = (long)c# * m# / n#, b# = ((long)(c# + 1) * m# + n# - 1) / n#;")
        + each(
            "for (int o# = a#; o# < b#; o#++) {"
            "int l# = ((long)(o# + 1) * n# + m# - 1) / m# - (long)o# * n# / m#;"
        )
        + f"sum += x[((plane * m0 + o0) * m1 + o1) * m2 + o2] / ($T)({each('l#', ' * ')});"
        "}}} out[i] = sum;",
    ),
    "share_max": (
        f"__global long* restrict which, {READ}",
        "m",
        "$T best = 0; long number = -1;"
        + WALK.replace(
            "$TURN", "if (number < 0 || v > best || v != v) { best = v; number = place; }"
        )
        + "out[i] = best; which[i] = number;",
    ),
}


def shared(name: str, like: Any, shape: Sizes, given: list[Any], sizes: Sizes, size: Sizes) -> Any:
    """A new array, each of its elements made of windows that divide planes."""
    queue = like.sycl_queue
    out = wrap(fresh(shape, like.dtype, queue))
    args, letter, body = SINGLE[name]
    source = EVERY.replace("$BODY", body).replace("$L", letter).replace("$ARGS", args)
    source = source.replace("$NAME", name).replace("$NUMBERS", PARTS)
    function = kernel(queue, source, f"pool_{name}", True, T=like.dtype)
    run = max(1, run_of(queue) // 16)
    launch(
        queue,
        function,
        [out, *given, whole(out.size), whole(run), *map(integer, windows.numbers(sizes, size))],
        (-(-out.size // run),),
    )
    return out


POOLS = windows.Pools(along, shared, ordered)


def own(name: str, kinds: str, adds: bool) -> Callable[..., Any]:
    """A kernel that leaves arrays of other kinds, or without source, to the plain one.

    What adds up computes in single precision what is stored in half.
    """
    plain, function = getattr(common, name).kernel, getattr(POOLS, name)

    def run(xp: Any, x: Any, /, *which: Any, **params: Any) -> Any:
        fits = x.size and x.dtype.kind in kinds and takes_source(x)
        if not fits or windows.dims_of(params) > DIMS:
            return plain(xp, x, *which, **params)
        if not adds or x.dtype != np.float16:
            return function(xp, x, *which, **params)
        return xp.astype(run(xp, xp.astype(x, np.float32), *which, **params), np.float16)

    return run


KERNELS: dict[str, Callable[..., Any]] = {
    name: own(name, *how) for name, how in windows.POOLS.items()
}
