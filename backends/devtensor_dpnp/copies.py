"""Copies of arrays, and what is put together of such.

dpnp computes for each element where it comes from and where it goes, which takes 3 to 30 times as
long as NumPy. Here a work item goes along rows, or a piece of a long one.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from dpnp.tensor import _tensor_impl as implementation

from .arithmetic import joined, run_of
from .fuse import moved
from .launch import kernel, launch, move, signed, takes_source, whole
from .lookup import WIDTHS
from .memory import FEW
from .native import fresh, run, stretched, wrap

LEAD = 5
"""How many dimensions the kernel has beside that of rows."""
ROWS = """
__kernel void $NAME(__global $R* restrict out, __global const $T* restrict x, const ulong rows,
                    const ulong run, const ulong n, const ulong width, const ulong pieces,
                    const long first, const long to, const long from, $SIZES) {
    ulong r = get_global_id(0) * run, end = min(r + run, rows), rest = r / pieces;
    ulong piece = r % pieces;
    $START
    for (; r < end; r++) {
        ulong begin = piece * width, count = min(width, n - begin);
        __global $R* restrict o = out + $THERE + (long)begin * to;
        __global const $T* restrict p = x + first + $HERE + (long)begin * from;
        for (ulong k = 0; k < count; k++) $COPY;
        if (++piece < pieces) continue;
        piece = 0;
        $NEXT
    }
}"""
"""Numbers `d` count how often the dimensions before that of rows have been gone through."""


WAYS = {(1, 1): ("rows", "k", "k"), (0, 1): ("one", "k", "0")}
"""Kernels for some steps from one element to the next, there and here: where the elements are."""


def written(step: int, to: int, value: str = "") -> tuple[str, str]:
    """The source and the name of the kernel for elements that are `step` apart, to be `to` apart.

    A `value` says what becomes of an element.
    """
    dims = range(LEAD)
    way, there, here = WAYS.get((step, to), ("elements", "(long)k * to", "(long)k * from"))
    parts = {
        "NAME": f"{'convert' if value else 'copy'}_{way}",
        "SIZES": ", ".join([f"const ulong n{d}, const long t{d}, const long f{d}" for d in dims]),
        "START": " ".join([f"ulong d{d} = rest % n{d}; rest /= n{d};" for d in reversed(dims)]),
        "THERE": " + ".join([f"(long)d{d} * t{d}" for d in dims]),
        "HERE": " + ".join([f"(long)d{d} * f{d}" for d in dims]),
        "NEXT": " ".join([f"if (++d{d} < n{d}) continue; d{d} = 0;" for d in reversed(dims)]),
        "COPY": f"o[{there}] = {(value or '{}').format(f'p[{here}]')}",
    }
    source = ROWS
    for place, text in parts.items():
        source = source.replace(f"${place}", text)
    return source, parts["NAME"]


def copy(a: Any, out: Any) -> bool:
    """Copy an inner array into another one of its shape; False if dpnp does it as well.

    Numbers of other types become those of `out` as in C.
    """
    if a.dtype == out.dtype and a.flags.c_contiguous and out.flags.c_contiguous:
        move(a, out)
        return True
    sizes, (to, steps) = joined(a.shape, out.strides, a.strides)
    if not sizes or len(sizes) > LEAD + 1 or sizes[-1] < SHORT or not takes_source(a):
        return False
    if min([abs(s) for s in steps if s], default=1) < abs(steps[-1]) or min(to) < to[-1]:
        return False  # elements of columns follow each other
    if a.dtype == out.dtype:
        source, name = written(steps[-1], to[-1])
        types = dict.fromkeys("TR", np.dtype(WIDTHS[a.dtype.itemsize]))
    else:
        value = "{} != 0" if out.dtype == np.bool_ else "($R){}"
        if a.dtype.kind == "f" and out.dtype.kind in "iu":
            value = "($R)(long){}"  # what does not fit loses its high bits
        source, name = written(steps[-1], to[-1], value)
        types = {"T": a.dtype, "R": out.dtype}
    function = kernel(a.sycl_queue, source, name, True, **types)
    width = max(run_of(a.sycl_queue), PIECE)
    pieces, lead = -(-sizes[-1] // width), LEAD + 1 - len(sizes)
    rows = prod(sizes[:-1]) * pieces
    length = max(1, width // sizes[-1])
    # The memory of an array that goes backwards starts where its last element is.
    first = sum([(1 - n) * s for n, s in zip(sizes, steps, strict=True) if s < 0])
    numbers: list[Any] = [whole(n) for n in (rows, length, sizes[-1], width, pieces)]
    numbers += map(signed, (first, to[-1], steps[-1]))
    for n, t, s in zip(sizes[:-1], to, steps, strict=False):
        numbers += [whole(n), signed(t), signed(s)]
    numbers[8:8] = [whole(1), signed(0), signed(0)] * lead
    launch(a.sycl_queue, function, [wrap(out), wrap(a), *numbers], (-(-rows // length),))
    return True


def into(a: Any, out: Any) -> None:
    """Copy an inner array into another one of its type and of other memory; it may broadcast."""
    a = stretched(a, a.dtype, out.shape)
    if a.size < FEW or not (copy(a, out) or moved(wrap(a), wrap(out))):
        run(implementation._copy_usm_ndarray_into_usm_ndarray, a.sycl_queue, a, out)


SHORT = 4
"""Elements of rows below which nothing is won."""
PIECE = 1 << 8
"""Elements of a row that a work item copies at least, if there are more."""


def copied(x: Any, dtype: Any = None) -> Any:
    """A copy in row order, of a type, or None."""
    a = x._array_obj
    out = fresh(a.shape, a.dtype if dtype is None else dtype, a.sycl_queue)
    return wrap(out) if copy(a, out) else None
