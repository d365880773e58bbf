"""Reading and writing at arrays of indices by kernels of our own.

CuPy takes indices that are out of range as if the array repeated itself, so they would have to be
looked at before. Here a kernel notes what is out of range while it reads or writes, in memory of
the host, which waits for it once.

An array counts as one of shape (outer, size, inner), of which the middle dimension is indexed. An
index array has one index to each slice along it, or one to each element of the result.
"""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np

from devtensor.settings import are_deterministic_algorithms_enabled

from .memory import view_as_real
from .raw import SOURCES, Source, launch, ordered, type_of
from .runtime import cupy, home

WRAP, STRICT, TRUST = "wrap", "strict", "trust"
"""What is done with indices: those below 0 count from the end, or are refused, or none is looked at
because the caller knows them.
"""

INDICES = "const I* __restrict__ index, volatile int* outside, const long long size, const int back"
SHAPE = "const N many, const N inner, const long long o0, const long long o1, const long long o2"
# An index, counted from the start; one that is out of range is noted.
PLACE = """
    long long p = (long long)index[$AT];
    if (back && p < 0) p += size;
    if (p < 0 || p >= size) { *outside = 1; return; }
    const long long at = (long long)o * o0 + p * o1 + (long long)c * o2;"""
ROW = "const N c = i % inner, r = i / inner, o = r / many;" + PLACE.replace("$AT", "r % many")
EACH = "const N c = i % inner, o = i / inner / many;" + PLACE.replace("$AT", "i")
WORDS = ("uint8", "uint16", "uint32", "uint64", "quad")
"""Types that carry elements of any, by their bytes."""
SUMS = ("int32", "uint64", "float32", "float64")
"""Types that are added up, by atomic additions: the order, and the rounding of floats, varies."""
WIDER = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32",
         "float16": "float32", "bfloat16": "float32"}  # fmt: skip
"""In which types others are added up."""
ALIKE = {"int64": "uint64", "uint32": "int32"}
"""Types whose sums have the same bits as those of others."""
for _mode, _place in (("row", ROW), ("each", EACH)):
    _parameters = f"T* out, const T* __restrict__ x, {INDICES}, {SHAPE}"
    SOURCES[f"read_{_mode}"] = Source(_parameters, f"{_place} out[i] = x[at];", WORDS)
    SOURCES[f"set_{_mode}"] = Source(_parameters, f"{_place} out[at] = x[i];", WORDS)
    SOURCES[f"add_{_mode}"] = Source(_parameters, f"{_place} atomicAdd(out + at, x[i]);", SUMS)
# Of numbers in the order of their places, the thread of the first that goes to a place adds all.
SOURCES["add_in_order"] = Source(
    "T* out, const T* __restrict__ x, const long long* __restrict__ place, "
    "const long long* __restrict__ order",
    """
    const long long p = place[order[i]];
    if (i && place[order[i - 1]] == p) return;
    T total = out[p];
    for (N j = i; j < count && place[order[j]] == p; j++) total += x[order[j]];
    out[p] = total;""",
    ("float32", "float64"),
)
SOURCES["look"] = Source(
    INDICES,
    "const long long p = (long long)index[i];"
    "if (p < (back ? -size : 0) || p >= size) *outside = 1;",
    ("int8",),
)


class Notes(threading.local):
    """To each device memory of the host in which a thread's kernels note what they found."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[Any, Any, Any, Any]] = {}

    def of(self, index: int) -> tuple[Any, Any, Any, Any]:
        """A flag that the device writes to, and the host's view of it; a count, likewise."""
        note = self.found.get(index)
        if note is None:
            memory = cupy.cuda.alloc_pinned_memory(16)
            view = np.frombuffer(memory, np.int64, 2)
            view[:] = 0
            owned = cupy.cuda.UnownedMemory(memory.ptr, 16, memory, index)
            array = cupy.ndarray((2,), np.int64, cupy.cuda.MemoryPointer(owned, 0))
            note = self.found[index] = array[:1], view[:1], array[1:], view[1:]
        return note


NOTES = Notes()
Pairs = list[tuple[Any, int]]
"""Arrays of indices with the sizes of what they index."""


def noted(pairs: Pairs, look: str) -> None:
    """Wait for the device, and for what kernels noted of these indices.

    Raises
    ------
    IndexError
    """
    if look == TRUST or not pairs:
        return
    view = NOTES.of(home(pairs[0][0]))[1]
    cupy.cuda.get_current_stream().synchronize()
    if not view[0]:
        return
    view[0] = 0
    for index, size in pairs:
        low, high = int(index.min()), int(index.max())
        least = -size if look == WRAP else 0
        if low < least or high >= size:
            wrong = low if low < least else high
            raise IndexError(f"index {wrong} is out of bounds for axis of size {size}")


def checked(pairs: Pairs, look: str = WRAP) -> None:
    """Wait for the device, and look whether integer indices are in range.

    Raises
    ------
    IndexError
    """
    pairs = [(index, size) for index, size in pairs if index.size]
    if look == TRUST:
        return
    for index, size in pairs:
        given = ordered(index), NOTES.of(home(index))[0], size, int(look == WRAP)
        launch("look", index.size, given, "int8", type_of(index))
    noted(pairs, look)


def step(shape: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """The step from one element to the next in dimensions that count as one; None if none does."""
    count, least = 1, 0
    for n, far in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if count == 1:
            least = far
        elif far != least * count:
            return None
        count *= n
    return least


def steps(x: Any, axis: int, dims: int = 1) -> tuple[int, int, int] | None:
    """The steps, in bytes, of an array as one of three dimensions; None if it is not one."""
    after = axis + dims
    found = [
        step(x.shape[part], x.strides[part])
        for part in (slice(0, axis), slice(axis, after), slice(after, None))
    ]
    return None if None in found else tuple(found)  # type: ignore[return-value]


def word(width: int) -> str:
    """The type that carries elements of so many bytes."""
    return WORDS[width.bit_length() - 1]


def read(x: Any, axis: int, index: Any, each: bool, look: str = WRAP, dims: int = 1) -> Any:
    """Slices of `x` at `index`, an array of any shape that stands in the place of `axis`; if `each`
    is true, elements at an index of the shape of the result. If `dims` is above 1, that many
    dimensions from `axis` on are indexed as one.

    Raises
    ------
    IndexError
    """
    after = x.shape[axis + dims :]
    shape = index.shape if each else (*x.shape[:axis], *index.shape, *after)
    size = prod(x.shape[axis : axis + dims])
    out = cupy.empty(shape, x.dtype)
    if not out.size or not x.size:
        checked([(index, size)], look)
        return out
    there = steps(x, axis, dims)
    if there is None:
        x = ordered(x)
        there = steps(x, axis, dims)
    assert there is not None
    many, inner = (index.shape[axis] if each else index.size), prod(shape[axis + 1 :])
    inner = inner if each else prod(after)
    width, count = x.itemsize, out.size
    if not each and inner > 1 and there[2] == width:
        wide = 16 // width  # elements that are carried at once
        lined = x.data.ptr | there[0] | there[1] | inner * width
        if wide > 1 and not lined % 16:
            inner, count, there, width = inner // wide, count // wide, (*there[:2], 16), 16
    far = [s // width for s in there]
    args = (out, x, ordered(index), NOTES.of(home(index))[0], size, int(look != STRICT))
    name = "read_each" if each else "read_row"
    launch(name, count, (*args, many, inner, *far), word(width), type_of(index), x.size)
    noted([(index, size)], look)
    return out


def in_order(out: Any) -> bool:
    """Whether what goes to one place is to be added in order, on which sums of floats depend."""
    return out.dtype.kind == "f" and are_deterministic_algorithms_enabled()


def add_in_order(out: Any, places: Any, src: Any) -> None:
    """Add numbers to an array in row order, at places that count its elements."""
    places, src = places.reshape(-1), ordered(src)
    given = out, src, places, cupy.argsort(places)
    launch("add_in_order", places.size, given, type_of(out), most=out.size)


def write(
    out: Any, axis: int, index: Any, src: Any, each: bool, add: bool, look: str = WRAP,
    dims: int = 1,
) -> None:  # fmt: skip
    """Write `src` to an array at indices, or add it there; the array lies in row order.

    Raises
    ------
    IndexError
        If an index is out of range; then the array is of no use.
    """
    size, inner = prod(out.shape[axis : axis + dims]), prod(out.shape[axis + dims :])
    if not src.size or not out.size:
        checked([(index, size)], look)
        return
    if add and out.dtype.kind == "c":
        if each:
            index = cupy.broadcast_to(index[..., None], (*index.shape, 2))
        write(view_as_real(out), axis, index, view_as_real(ordered(src)), each, add, look, dims)
        return
    if add and (wider := WIDER.get(type_of(out))):
        wide = out.astype(wider)
        write(wide, axis, index, src.astype(wider), each, add, look, dims)
        out[...] = wide != 0 if out.dtype.kind == "b" else wide.astype(out.dtype)
        return
    many = index.shape[axis] if each else index.size
    if add and in_order(out):
        checked([(index, size)], look)
        at = index.reshape((-1, many, inner) if each else (1, many, 1))
        at = cupy.where(at < 0, at + size, at)
        row = cupy.arange(src.size // (many * inner)).reshape(-1, 1, 1)
        add_in_order(out, (row * size + at) * inner + cupy.arange(inner), src)
        return
    args = (out, ordered(src), ordered(index), NOTES.of(home(index))[0], size, int(look != STRICT))
    dtype = ALIKE.get(type_of(out), type_of(out)) if add else word(out.itemsize)
    name = f"{'add' if add else 'set'}_{'each' if each else 'row'}"
    places = (many, inner, size * inner, inner, 1)
    launch(name, src.size, (*args, *places), dtype, type_of(index), out.size)
    noted([(index, size)], look)
