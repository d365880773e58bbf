"""Where an array is not 0: the places, the elements that stand there, and others put there.

dpnp takes 20 to 50 times NumPy's time. Here work items count what is in their parts of the array,
the host adds that up, as it needs the sum for the shape of the result, and then each work item
knows where in the result its part begins, and where it ends.
"""

from __future__ import annotations

from math import prod
from typing import Any

import dpnp
import numpy as np

from devtensor_formulas.keys import alone_mask

from .arithmetic import RUN, joined
from .launch import TYPES, kernel, launch, signed, takes_source, whole
from .lookup import TRUST, WIDTHS, Middle, read, write
from .memory import forward, from_host, host_view, ordered, to_host
from .native import Array, fresh, in_rows, wrap

__all__ = ["nonzero"]

SHARE = 1 << 8
"""Elements of a work item's part on a GPU."""
MANY = 1 << 14
"""Parts that are enough for any device."""
DIMS = 8
"""How many dimensions kernels count along."""
PLACE = np.dtype(np.int64)
COUNT = """
__kernel void count(__global const $M* restrict mask, const ulong size, const ulong run,
                    __global long* restrict out) {
    ulong c = get_global_id(0), i = c * run, end = min(i + run, size);
    long n = 0;
    for (; i < end; i++) n += mask[i] != 0;
    out[c] = n;
}"""
# Something is written for each element, and written over by the next one if it does not count:
# to guess whether it does takes processors longer.
WALK = """
__kernel void $NAME(__global const $M* restrict mask, __global const long* restrict ends,
                    const ulong run, $PARAMETERS) {
    ulong c = get_global_id(0), i = c * run;
    long o = c ? ends[c - 1] : 0, end = ends[c];
    $START
    for (; o < end; i++) { $TURN o += mask[i] != 0; $NEXT }
}"""


class Marked:
    """An array, and how many elements are not 0 in it.

    Attributes
    ----------
    total : int
    """

    def __init__(self, x: Any) -> None:
        if x.dtype.name not in TYPES:
            x = x != 0
        x = self.array = ordered(x)
        queue = self.queue = x.sycl_queue
        cpu = queue.sycl_device.is_cpu
        self.run = max(RUN if cpu else SHARE, x.size // MANY)
        self.parts, self.total = -(-x.size // self.run), 0
        if self.parts:
            ends = wrap(fresh((self.parts,), PLACE, queue))
            function = kernel(queue, COUNT, "count", True, M=x.dtype)
            launch(queue, function, [x, whole(x.size), whole(self.run), ends], (self.parts,))
            there = host_view(ends) if cpu else to_host(ends)
            np.cumsum(there, out=there)
            self.ends, self.total = ends if cpu else from_host(there, queue), int(there[-1])

    def walk(
        self, name: str, parameters: str, turn: str, args: list[Any], start: str = "",
        following: str = "", **types: Any,
    ) -> None:  # fmt: skip
        """Go along the array, whose element `i` is number `o` of those that count, if it does."""
        if not self.total:
            return
        source = WALK.replace("$NAME", name).replace("$PARAMETERS", parameters)
        for place, text in (("START", start), ("TURN", turn), ("NEXT", following)):
            source = source.replace(f"${place}", text)
        function = kernel(self.queue, source, name, True, M=self.array.dtype, **types)
        given = [self.array, self.ends, whole(self.run), *args]
        launch(self.queue, function, given, (self.parts,))

    def places(self) -> Any:
        """Where in row order they are."""
        out = wrap(fresh((self.total,), PLACE, self.queue))
        self.walk("places", "__global long* restrict out", "out[o] = i;", [out])
        return out

    def coordinates(self) -> Any:
        """Their indices, a row for each."""
        shape = self.array.shape
        ndim, dims = len(shape), range(len(shape))
        out = wrap(fresh((self.total, ndim), PLACE, self.queue))
        self.walk(
            f"coordinates_{ndim}",
            ", ".join(["__global long* restrict out", *[f"const ulong n{d}" for d in dims]]),
            " ".join([f"out[o * {ndim} + {d}] = d{d};" for d in dims]),
            [out, *map(whole, shape)],
            "ulong rest = i; "
            + " ".join([f"ulong d{d} = rest % n{d}; rest /= n{d};" for d in reversed(dims)]),
            " ".join([f"if (++d{d} < n{d}) continue; d{d} = 0;" for d in reversed(dims)]),
        )
        return out

    def elements(self, x: Any) -> Any:
        """Those of `x`, an array of the same shape."""
        x = forward(x)
        sizes, (steps,) = joined(x.shape, x._array_obj.strides)
        if len(sizes) > 1:
            x, steps = ordered(x), [1]
        out = wrap(fresh((self.total,), x.dtype, self.queue))
        self.walk(
            "elements",
            "__global $T* restrict out, __global const $T* restrict x, const long step",
            "out[o] = x[(long)i * step];",
            [out, x, signed(*steps[:1])],
            T=word_of(x),
        )
        return out

    def fill(self, out: Any, src: Any) -> None:
        """Put the elements of `src`, one after another, into `out`, which lies in row order."""
        self.walk(
            "fill",
            "__global $T* out, __global const $T* restrict src",
            "out[i] = mask[i] ? src[o] : out[i];",
            [out, ordered(src)],
            T=word_of(out),
        )


def word_of(x: Any) -> Any:
    """A type that carries elements of `x`."""
    return np.dtype(WIDTHS[x.dtype.itemsize])


def marked(x: Any, dims: int = DIMS) -> Marked | None:
    """An array counted by kernels; None if that cannot be."""
    fits = x.__class__ is Array and 0 < x.ndim <= dims and takes_source(x)
    return Marked(x) if fits else None


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The indices of what is not 0, an array for each dimension."""
    found = marked(x)
    if found is None:
        return tuple(dpnp.nonzero(x))
    if x.ndim == 1:
        return (found.places(),)
    rows = found.coordinates()
    return tuple([rows[:, d] for d in range(x.ndim)])


# ---- keys


def alone(x: Any, key: Any) -> tuple[int, Any] | None:
    """A mask, and the dimension where it begins, if a key has nothing beside; else None."""
    found = alone_mask(x, key, Array)
    return found if found is not None and takes_source(x) else None


def merged(x: Any, axis: int, dims: int) -> Any:
    """`x` with some dimensions as one; a view if they lie so."""
    shape = (*x.shape[:axis], prod(x.shape[axis : axis + dims]), *x.shape[axis + dims :])
    if dims == 1:
        return x
    a = ordered(x)._array_obj
    return wrap(in_rows(a, a.dtype, shape))


def chosen(x: Any, axis: int, mask: Any) -> Any:
    """Slices of `x` where a mask of some dimensions is true."""
    found = Marked(mask)
    if mask.ndim == x.ndim:
        return found.elements(x)
    return read(merged(x, axis, mask.ndim), axis, found.places(), False, TRUST)


def replace(out: Any, axis: int, mask: Any, values: Any, add: bool) -> None:
    """Put values where a mask is true, or add them, in an array that lies in row order.

    Raises
    ------
    ValueError
        If they do not broadcast to what is chosen.
    """
    found = Marked(mask)
    shape = (*out.shape[:axis], found.total, *out.shape[axis + mask.ndim :])
    values = dpnp.broadcast_to(values, shape)
    if mask.ndim == out.ndim and not add:
        found.fill(out, values)
        return
    middle, places = Middle(merged(out, axis, mask.ndim), axis), found.places()
    write(middle, places, values, found.total, middle.inner, False, add, [], TRUST)
