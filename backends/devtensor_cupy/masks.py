"""Where an array is not 0: the places, the elements that stand there, and others put there.

Each group of threads counts in its part of the array, one group adds that up, and then each knows
where in the result its part begins. The host waits for the sum if it must know the result's shape.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .lookup import NOTES, WORDS, read, word
from .raw import FLOATS, INTS, SAMPLES, SOURCES, THREADS, Source, launch, ordered, type_of
from .runtime import cupy, home

__all__ = ["nonzero"]

ROUNDS = 8
PART = ROUNDS * THREADS
"""Elements of a group's part."""
DIMS = 4
"""How many dimensions kernels count along."""
TYPES = ("bool", *INTS, *FLOATS)
"""Types that kernels know."""
SOURCES["count"] = Source(
    "const T* __restrict__ mask, const long long size, long long* __restrict__ starts",
    f"""
    long long all = 0;
    for (int r = 0; r < {ROUNDS}; r++) {{
        const long long e = (long long)blockIdx.x * {PART} + r * {THREADS} + threadIdx.x;
        all += __syncthreads_count(e < size && mask[e] != (T)0);
    }}
    if (threadIdx.x == 0) starts[blockIdx.x] = all;""",
    SAMPLES,
)
# Counts become where parts begin; a thread adds up some that are neighbours.
SOURCES["starts"] = Source(
    "long long* starts, const long long parts, volatile long long* total",
    f"""
    __shared__ long long sums[{THREADS}];
    const long long run = (parts + {THREADS} - 1) / {THREADS};
    const long long low = threadIdx.x * run, high = low + run < parts ? low + run : parts;
    long long sum = 0;
    for (long long p = low; p < high; p++) sum += starts[p];
    sums[threadIdx.x] = sum;
    __syncthreads();
    long long before = 0;
    for (unsigned int t = 0; t < threadIdx.x; t++) before += sums[t];
    for (long long p = low; p < high; p++) {{
        const long long here = starts[p]; starts[p] = before; before += here;
    }}
    if (threadIdx.x == {THREADS - 1}) *total = before;""",
    ("int64",),
)
# Element `e` is number `o` of those that count.
WALK = f"""
    __shared__ unsigned int sums[{THREADS // 32}];
    long long before = starts[blockIdx.x];
    const unsigned int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int r = 0; r < {ROUNDS}; r++) {{
        const long long e = (long long)blockIdx.x * {PART} + r * {THREADS} + threadIdx.x;
        const bool is = e < size && mask[e] != (M)0;
        const unsigned int votes = __ballot_sync(~0u, is);
        if (lane == 0) sums[warp] = __popc(votes);
        __syncthreads();
        unsigned int ahead = __popc(votes & ((1u << lane) - 1)), all = 0;
        for (unsigned int w = 0; w < {THREADS // 32}; w++) {{
            if (w < warp) ahead += sums[w];
            all += sums[w];
        }}
        const long long o = before + ahead;
        $TURN
        before += all;
        __syncthreads();
    }}"""


def add(name: str, parameters: str, turn: str, mask: str, types: tuple[str, ...]) -> None:
    """A kernel that goes along a mask of some type."""
    given = "const M* __restrict__ mask, const long long size, const long long* __restrict__ starts"
    body = WALK.replace("$TURN", turn)
    SOURCES[name] = Source(f"{given}, {parameters}", body, types, f"typedef {mask} M;")


add("places", "long long* __restrict__ out", "if (is) out[o] = e;", "T", SAMPLES)
add(
    "coordinates",
    "long long* __restrict__ out, const int ndim, const N n1, const N n2, const N n3",
    """
    if (is) {
        long long* to = out + o * ndim; N rest = (N)e;
        if (ndim > 3) { to[3] = rest % n3; rest /= n3; }
        if (ndim > 2) { to[2] = rest % n2; rest /= n2; }
        to[1] = rest % n1; to[0] = rest / n1;
    }""",
    "T",
    SAMPLES,
)
add(
    "elements",
    "T* __restrict__ out, const T* __restrict__ x",
    "if (is) out[o] = x[e];",
    "bool",
    WORDS,
)
add("fill", "T* out, const T* __restrict__ x", "if (is) out[e] = x[o];", "bool", WORDS)


class Marked:
    """An array, and how many elements are not 0 in each part of it."""

    def __init__(self, x: Any) -> None:
        self.array = x = ordered(x if type_of(x) in TYPES else x != 0)
        self.parts = -(-x.size // PART)
        self.starts = cupy.empty(self.parts, np.int64)
        if self.parts:
            given = (x, x.size, self.starts)
            launch("count", self.parts * THREADS, given, type_of(x), most=x.size)
            given = (self.starts, self.parts, NOTES.of(home(x))[2])
            launch("starts", THREADS, given, "int64")

    @property
    def total(self) -> int:
        """How many there are; waits for the device. To be asked for before other work is begun."""
        if not self.parts:
            return 0
        cupy.cuda.get_current_stream().synchronize()
        return int(NOTES.of(home(self.array))[3][0])

    def walk(self, name: str, dtype: str, *given: Any) -> None:
        """Go along the array."""
        x = self.array
        args = (x, x.size, self.starts, *given)
        launch(name, self.parts * THREADS, args, dtype, most=x.size)

    def places(self) -> Any:
        """Where in row order they are."""
        out = cupy.empty(self.total, np.int64)
        self.walk("places", type_of(self.array), out)
        return out

    def coordinates(self) -> Any:
        """Their indices, a row for each."""
        shape = self.array.shape
        out = cupy.empty((self.total, len(shape)), np.int64)
        if len(shape) == 1:
            self.walk("places", type_of(self.array), out)
        else:
            sizes = (*shape[1:], 1, 1)[: DIMS - 1]
            self.walk("coordinates", type_of(self.array), out, len(shape), *sizes)
        return out

    def elements(self, x: Any) -> Any:
        """Those of `x`, an array of the shape of this one, which is a mask."""
        out = cupy.empty(self.total, x.dtype)
        self.walk("elements", word(x.itemsize), out, ordered(x))
        return out

    def fill(self, out: Any, src: Any) -> None:
        """Put the elements of `src`, one after another, into `out`, which lies in row order."""
        self.walk("fill", word(out.itemsize), out, ordered(src))


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The indices of what is not 0, an array for each dimension; waits for their number."""
    if not 0 < x.ndim <= DIMS:
        return tuple(cupy.nonzero(x))
    found = Marked(x).coordinates()
    return tuple([found[:, d] for d in range(x.ndim)])


def chosen(x: Any, axis: int, mask: Any) -> Any:
    """Slices of `x` where a mask of some dimensions is true."""
    found = Marked(mask)
    if mask.ndim == x.ndim:
        return found.elements(x)
    return read(x, axis, found.places(), False, "trust", mask.ndim)


def replaced(x: Any, mask: Any, values: Any) -> Any:
    """A copy of `x` with values where a mask of its shape is true.

    Raises
    ------
    ValueError
        If they do not broadcast to what is chosen.
    """
    found = Marked(mask)
    out = cupy.array(x, order="C")
    if values.shape != (prod(values.shape),) or values.size == 1:
        values = cupy.broadcast_to(values, (found.total,))
    elif values.size != (total := found.total):
        raise ValueError(f"{values.size} values for {total} places")
    found.fill(out, values)
    return out
