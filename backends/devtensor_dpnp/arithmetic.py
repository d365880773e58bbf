"""Large arrays: two operands in one pass of our own.

dpnp reads a number beside an array, or a row beside a matrix, by a kernel that computes where each
element stands, which takes 6 to 15 times NumPy's time; of two arrays of one shape, which it adds
one by one, 3 times. Here a work item goes along rows, in which an operand's elements follow each
other or are the same, so that compilers make vectors of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from .launch import TYPES, kernel, launch, signed, whole
from .native import fresh, wrap
from .runtime import DEVICES, OPENCL, PLACES

LIMIT = 1 << 13
"""Elements from which on these kernels are quicker than dpnp's."""
RUN = 1 << 12
"""How many elements a work item of a processor goes through; that of a GPU has one."""

PASS = """
__kernel void $NAME(__global $R* restrict out, __global const $T* restrict x,
                    __global const $T* restrict y, const ulong count, const ulong run,
                    const ulong width, const ulong rows, const long o0, const long o1,
                    const long o2, const long x0, const long x1, const long x2, const long y0,
                    const long y1, const long y2) {
    ulong i = get_global_id(0) * run, end = min(i + run, count);
    ulong row = i / width, column = i % width, upper = row / rows, lower = row % rows;
    while (i < end) {
        ulong n = min(end - i, width - column);
        __global $R* restrict o = out + (long)upper * o0 + (long)lower * o1 + (long)column * o2;
        __global const $T* restrict p = x + (long)upper * x0 + (long)lower * x1 + (long)column * x2;
        __global const $T* restrict q = y + (long)upper * y0 + (long)lower * y1 + (long)column * y2;
        $FIRST
        for (ulong k = 0; k < n; k++) {
            $T a = $A, b = $B;
            $O = $OP;
        }
        i += n;
        column = 0;
        if (++lower == rows) { lower = 0; upper++; }
    }
}"""

SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "bitwise_and": "&",
    "bitwise_or": "|", "bitwise_xor": "^", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip
FORMULAS = {
    **{name: f"a {sign} b" for name, sign in SIGNS.items()},
    "logical_and": "a != 0 && b != 0",
    "logical_or": "a != 0 || b != 0",
    "logical_xor": "(a != 0) != (b != 0)",
    "maximum": "(a != a || a > b) ? a : b",
    "minimum": "(a != a || a < b) ? a : b",
}
"""Operations of `a` and `b` by the standard's names."""
UNLIKE = "a % b != 0 && (a < 0) != (b < 0)"
WHOLE = {  # processors stop at x / 0, and at the smallest number / -1
    ("remainder", "i"): f"b == 0 || b == -1 ? 0 : a % b + ({UNLIKE} ? b : 0)",
    ("floor_divide", "i"): f"b == 0 ? 0 : b == -1 ? -a : a / b - ({UNLIKE})",
    ("remainder", "u"): "b == 0 ? 0 : a % b",
    ("bitwise_left_shift", "i"): "(ulong)b < 8 * sizeof(a) ? a << b : 0",
    ("bitwise_left_shift", "u"): "b < 8 * sizeof(a) ? a << b : 0",
    ("bitwise_right_shift", "i"): "a >> ((ulong)b < 8 * sizeof(a) ? b : 8 * sizeof(a) - 1)",
    ("bitwise_right_shift", "u"): "b < 8 * sizeof(a) ? a >> b : 0",
    ("floor_divide", "u"): "b == 0 ? 0 : a / b",
}
"""Those of whole numbers by the kind of these, too; bits can be moved out altogether."""
ELEMENTS = {0: ("const $T {0}0 = {1}[0];", "{0}0"), 1: ("", "{1}[k]"), None: ("", "{1}[k * {2}]")}
"""By the step from one to the next in a row: what is read before it, and what within it."""


def joined(
    shape: Sequence[int], *steps: Sequence[int]
) -> tuple[list[int], list[list[int]]]:  # fmt: skip
    """Fewest dimensions in which arrays of these steps have the same elements in the same order."""
    sizes: list[int] = []
    kept: list[list[int]] = []  # the steps of all arrays, by dimension
    for d, n in enumerate(shape):
        here = [s[d] for s in steps]
        if n == 1:
            continue
        if sizes and all(before == n * step for before, step in zip(kept[-1], here, strict=True)):
            sizes[-1] *= n
            kept[-1] = here
        else:
            sizes.append(n)
            kept.append(here)
    return sizes, [list(each) for each in zip(*kept, strict=True)] if kept else [[] for _ in steps]


def spread(shape: Sequence[int], old: Sequence[int], steps: Sequence[int]) -> list[int]:
    """The steps of an array that is broadcast to `shape`."""
    lead = len(shape) - len(old)
    here = zip(steps, old, shape[lead:], strict=True)
    return [0] * lead + [step if m == n else 0 for step, m, n in here]


def run_of(queue: Any) -> int:
    """How many elements a work item goes through."""
    return RUN if DEVICES[PLACES[queue]].is_cpu else 1


@lru_cache(1024)
def planned(
    queue: Any, name: str, dtype: Any, made: Any, shape: tuple[int, ...],
    *places: tuple[tuple[int, ...], tuple[int, ...]],
) -> Any:  # fmt: skip
    """The kernel for a result and operands of these shapes and steps, its numbers, and its size;
    None if there is none.
    """
    formula = FORMULAS.get(name) or WHOLE.get((name, dtype.kind))
    if formula is None or str(dtype) not in TYPES or not OPENCL[PLACES[queue]]:
        return None
    sizes, steps = joined(shape, *[spread(shape, *place) for place in places])
    if len(sizes) > 3:
        return None
    lead = 3 - len(sizes)
    sizes, (o, x, y) = [1] * lead + sizes, [[0] * lead + each for each in steps]
    source, named = PASS.replace("$OP", formula), f"pass_{name}"
    before = []
    plain = o[2] == 1 or sizes[2] == 1
    source = source.replace("$O ", "o[k] " if plain else "o[k * o2] ")
    named += "" if plain else "_out"
    for place, letter, pointer, step in (("$A", "x", "p", x[2]), ("$B", "y", "q", y[2])):
        first, within = ELEMENTS.get(step, ELEMENTS[None])
        before.append(first.format(letter, pointer))
        source = source.replace(place, within.format(letter, pointer, f"{letter}2"))
        named += f"_{step if step in ELEMENTS else 's'}"
    source = source.replace("$FIRST", " ".join(before)).replace("$NAME", named)
    count, length = prod(shape), run_of(queue)
    numbers: list[Any] = [whole(n) for n in (count, length, sizes[2], sizes[1])]
    numbers += map(signed, (*o, *x, *y))
    return kernel(queue, source, named, True, T=dtype, R=made), numbers, (-(-count // length),)


def passed(
    name: str, a: Any, b: Any, shape: tuple[int, ...], made: Any, queue: Any, out: Any = None
) -> Any:  # fmt: skip
    """An operation of two inner arrays of one type, which broadcast to `shape`; None if it is not
    one of these, or their elements are strewn about.

    It is written into the inner array `out`, if that is given, which may be one of the two.
    """
    if out is None:
        out = fresh(shape, made, queue)
    places = [(x.shape, x.strides) for x in (out, a, b)]
    plan = planned(queue, name, a.dtype, made, shape, *places)
    if plan is None:
        return None
    run, numbers, size = plan
    found = wrap(out)
    launch(queue, run, [found, wrap(a), wrap(b), *numbers], size)
    return found
