"""Windows of planes by kernels of our own, whose work items go along rows.

With functions of arrays they take passes for each place within a window, and those of dpnp 5 to 50
times as long as NumPy. Here one kernel reads or adds up all of them, in the same order.
"""

from __future__ import annotations

from typing import Any

from devtensor_formulas.windows import NUMBERS, Sizes, each, numbers

from .arithmetic import run_of
from .launch import integer, kernel, launch, whole
from .native import fresh, wrap

LINES = """
__kernel void $NAME($ARGS, const ulong rows, const ulong run, $NUMBERS) {
    ulong r = get_global_id(0) * run, stop = min(r + run, rows);
    for (; r < stop; r++) {
        int c1 = r % $L1, c0 = r / $L1 % $L0;
        long plane = r / ((ulong)$L1 * $L0);
        __global $T* restrict row = out + r * $L2;
        $BODY
    }
}"""
# In all windows `c` of a line that have element `i2` at a place.
TURN = """
    for (int i2 = 0; i2 < k2; i2++) {
        int shift = i2 * d2 - p2, low = shift < 0 ? ($S - 1 - shift) / $S : 0;
        int high = shift < n2 ? min(m2, (n2 - 1 - shift) / $S + 1) : 0;
        for (int c = low; c < high; c++) { $TURN }
    }"""
NUMBER = "(i0 * k1 + i1) * k2"
FORTH = (
    each(
        """
        int f# = c# * s# - p#, a# = f# < 0 ? (d# - 1 - f#) / d# : 0;
        int e# = min(k#, (n# - f# + d# - 1) / d#);""",
        dims=2,
    )
    + """
        for (int i0 = a0; i0 < e0; i0++) for (int i1 = a1; i1 < e1; i1++) {
            $LINE"""
    + TURN
    + "}"
)
"""A row of results: elements of windows, in order."""
BACK = (
    each(
        """
        int a# = max(0, (c# + p# - (k# - 1) * d# + s# - 1) / s#);
        int e# = min(m#, (c# + p#) / s# + 1);""",
        dims=2,
    )
    + """
        for (int c = 0; c < n2; c++) row[c] = 0;"""
    + each(
        """
        for (int o# = e# - 1; o# >= a#; o#--) {
            int i# = c# + p# - o# * s#;
            if (i# % d#) continue;
            i# /= d#;""",
        dims=2,
    )
    + "$LINE"
    + TURN
    + "}}"
)
"""A row of a plane: what windows give to it, in the order of their elements."""


def walked(
    name: str, args: str, body: str, like: Any, shape: Sizes, given: list[Any], back: bool,
    where: tuple[Sizes, ...], which: Any = "int32",
) -> Any:  # fmt: skip
    """A new array of a shape, made row by row.

    Parameters
    ----------
    name, args, body : str
        Of the kernel: its name, what it is given beside the result, and what it does for a row.
    like, shape
        The array has the type and the place of `like`.
    given : list
        What `args` names.
    back : bool
        Whether its rows are those of planes, not of windows.
    where : tuple of tuple of int
        The numbers `n`, `m`, `k`, `s`, `p` and `d` of each dimension.
    which : dtype or its name, optional
        What ``$W`` stands for.
    """
    queue = like.sycl_queue
    out = wrap(fresh(shape, like.dtype, queue))
    if not out.size:
        return out
    step = where[3][-1]
    name = f"{name}_{step if step < 4 else 's'}"
    source = LINES.replace("$BODY", body).replace("$L", "n" if back else "m")
    source = source.replace("$ARGS", f"__global $T* restrict out, {args}").replace("$NAME", name)
    source = source.replace("$NUMBERS", NUMBERS).replace("$S", str(step) if step < 4 else "s2")
    function = kernel(queue, source, name, True, T=like.dtype, W=which)
    rows = out.size // shape[-1]
    run = max(1, run_of(queue) // (4 * shape[-1]))
    made = [integer(x) if x.__class__ is int else x for x in given]
    made += [whole(rows), whole(run), *map(integer, numbers(*where))]
    launch(queue, function, [out, *made], (-(-rows // run),))
    return out
