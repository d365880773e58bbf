"""Reading and writing at arrays of indices by kernels of our own.

dpnp takes indices that are out of range as the nearest that is not, so they would have to be looked
at before; its kernels then need 1.5 ms to start, 10 to 50 times as long as NumPy for a few thousand
rows. Here a kernel notes what is out of range while it reads or writes, and the host waits for it.

An array counts as one of shape (outer, size, inner), of which the middle dimension is indexed. An
index array has one index to each slice along it, or one to each element of the result.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import dpnp
import numpy as np

from .arithmetic import joined, run_of
from .launch import kernel, launch, signed, whole
from .memory import forward, host_view, ordered, pointer
from .native import fresh, wrap
from .runtime import DEVICES, PLACES

WRAP, STRICT, TRUST = "wrap", "strict", "trust"
"""What is done with indices: those below 0 count from the end, or are refused, or none is looked at
because the caller knows them.
"""

# An index, counted from the start; one that is out of range is noted, and 0 instead.
PLACE = """
long p = $AT;
p += p < 0 ? back : 0;
int is_outside = p < 0 || p >= size;
any |= is_outside;
p = is_outside ? 0 : p;"""
READ = """
__kernel void $NAME(__global $T* restrict out, __global const $T* restrict x,
                    __global const $I* restrict index, __global int* outside, const ulong count,
                    const ulong run, const ulong many, const ulong inner, const long size,
                    const long back, const long o0, const long o1, const long o2) {
    ulong i = get_global_id(0) * run, end = min(i + run, count);
    ulong row = i / inner, column = i % inner, o = row / many, j = row % many;
    int any = 0;
    while (i < end) {
        ulong n = min(end - i, inner - column);
        __global $T* restrict to = out + i;
        __global const $T* restrict from = x + (long)o * o0 + (long)column * o2;
        $ROW
        for (ulong k = 0; k < n; k++) { $EACH to[k] = from[p * o1 + $STEP]; }
        i += n;
        column = 0;
        if (++j == many) { j = 0; o++; }
    }
    if (any) *outside = 1;
}"""
# A work item has a few columns, and writes to them in order, so that results do not vary.
WRITE = """
__kernel void $NAME(__global $T* out, __global const $T* restrict src,
                    __global const $I* restrict index, __global int* outside, const ulong many,
                    const ulong inner, const ulong run, const long size, const long back,
                    const long o0, const long o1, const long o2) {
    ulong o = get_global_id(1), column = get_global_id(0) * run;
    ulong n = min(run, inner - column);
    __global $T* to = out + (long)o * o0 + (long)column * o2;
    int any = 0;
    for (ulong j = 0; j < many; j++) {
        ulong i = (o * many + j) * inner + column;
        __global const $T* restrict from = src + i;
        $ROW
        for (ulong k = 0; k < n; k++) {
            $EACH
            __global $T* place = to + p * o1 + $STEP;
            *place = $VALUE;
        }
    }
    if (any) *outside = 1;
}"""
# Indices to several dimensions as steps from the first element.
JOIN = """
__kernel void $NAME($INDICES, const long back, __global int* outside, __global long* out) {
    ulong k = get_global_id(0);
    long total = 0;
    $TERMS
    out[k] = total;
}"""
WIDTHS = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64", 16: "complex128"}
"""By the bytes of an element, a type that carries it."""


class Notes(threading.local):
    """To each queue the memory in which a thread's kernels note what is out of range."""

    def __init__(self) -> None:
        self.found: dict[Any, Any] = {}

    def of(self, queue: Any) -> tuple[Any, Any]:
        """An array, and the host's view of it."""
        note = self.found.get(queue)
        if note is None:
            array = dpnp.zeros(1, dtype=np.int32, usm_type="shared", sycl_queue=queue)
            queue.wait()
            view = ctypes.c_int32.from_address(pointer(array))
            note = self.found[queue] = array, view
        return note


NOTES = Notes()


Pairs = list[tuple[Any, int]]
"""Arrays of indices with the sizes of what they index."""


def checked(pairs: Pairs, look: str = WRAP) -> None:
    """Wait for the device, and look whether integer indices are in range.

    Raises
    ------
    IndexError
    """
    for index, size in pairs if look != TRUST else ():
        if not index.size:
            continue
        if index.sycl_device.is_cpu:  # its memory is the host's, so NumPy looks
            index = host_view(index)
        low, high = int(index.min()), int(index.max())
        least = -size if look == WRAP else 0
        if low < least or high >= size:
            wrong = low if low < least else high
            raise IndexError(f"index {wrong} is out of bounds for axis of size {size}")


def noted(end: Any, pairs: Pairs, look: str) -> None:
    """Wait for the end of a kernel that looks at indices while it works.

    Raises
    ------
    IndexError
    """
    if look == TRUST:
        return
    note = NOTES.of(pairs[0][0].sycl_queue)[1]
    end.wait()
    if note.value:
        note.value = 0
        checked(pairs, look)


class Middle:
    """An array as one of shape (outer, size, inner).

    Attributes
    ----------
    array : dpnp.ndarray
        The array, or a copy in order if its dimensions do not join.
    steps : list of int
        From one element to the next in each of the three.
    """

    def __init__(self, x: Any, axis: int, dims: int = 1) -> None:
        x = forward(x)
        shape, steps = x.shape, x._array_obj.strides
        parts = [
            joined(shape[:axis], steps[:axis]),
            joined(shape[axis + dims :], steps[axis + dims :]),
        ]
        self.joins = all(len(sizes) < 2 for sizes, _ in parts)
        self.array, self.size = x, prod(shape[axis : axis + dims])
        self.outer, self.inner = prod(shape[:axis]), prod(shape[axis + dims :])
        self.steps = [
            parts[0][1][0][0] if parts[0][0] else 0,
            steps[axis] if axis < len(steps) else 1,
            parts[1][1][0][0] if parts[1][0] else 1,
        ]

    def numbers(self, look: str) -> tuple[int, ...]:
        """The size, what is added to an index below 0, and the steps."""
        return (self.size, 0 if look == STRICT else self.size, *self.steps)


def alike(one: Sequence[int], two: Sequence[int], axis: int) -> bool:
    """Whether two shapes are the same but for a dimension."""
    return [*one[:axis], *one[axis + 1 :]] == [*two[:axis], *two[axis + 1 :]]


AT = {"row": "index[j]", "each": "index[i + k]", "line": "index[column + k]"}
"""Where the index of an element is: the same for a row, its own, or the same for all lines."""


def written(source: str, name: str, mode: str, step: int, **parts: str) -> tuple[str, str]:
    """A kernel's source and name."""
    name = f"{name}_{mode}_{step if step in (0, 1) else 's'}"
    place = PLACE.replace("$AT", AT[mode])
    parts = {
        "NAME": name,
        "EACH": "" if mode == "row" else place,
        "ROW": place if mode == "row" else "",
        "STEP": {0: "0", 1: "k"}.get(step, "(long)k * o2"),
        **parts,
    }
    for key, text in parts.items():
        source = source.replace(f"${key}", text)
    return source, name


def read(x: Any, axis: int, index: Any, each: bool, look: str = WRAP) -> Any:
    """Slices of `x` at `index`, an array of any shape that stands in the place of `axis`; if `each`
    is true, elements at an index of the shape of the result.

    Raises
    ------
    IndexError
    """
    middle = Middle(x, axis)
    if not middle.joins:
        middle = Middle(ordered(x), axis)
    if each:
        shape, many, inner = index.shape, index.shape[axis], prod(index.shape[axis + 1 :])
    else:
        shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
        many, inner = index.size, middle.inner
    return taken(middle, shape, index, many, inner, each, [(index, middle.size)], look)


def taken(
    middle: Middle, shape: tuple[int, ...], index: Any, many: int, inner: int, each: bool,
    pairs: Pairs, look: str,
) -> Any:  # fmt: skip
    """What `read` returns; `pairs` are the indices that might be out of range.

    Raises
    ------
    IndexError
    """
    queue = index.sycl_queue
    out = wrap(fresh(shape, middle.array.dtype, queue))
    if not out.size or not middle.array.size:
        checked(pairs, look)
        return out
    mode = "each" if each else "row"
    if inner == 1:  # the indexed dimension is the row
        mode, many, inner, middle.steps[2] = mode.replace("row", "line"), 1, many, 0
    words = np.dtype(WIDTHS[out.dtype.itemsize])
    source, name = written(READ, "read", mode, middle.steps[2])
    function = kernel(queue, source, name, True, T=words, I=index.dtype)
    run = run_of(queue)
    numbers: list[Any] = [whole(n) for n in (out.size, run, many, inner)]
    numbers += map(signed, middle.numbers(look))
    args = [out, middle.array, ordered(index), NOTES.of(queue)[0], *numbers]
    end = launch(queue, function, args, (-(-out.size // run),))
    noted(end, pairs, look)
    return out


def write(
    middle: Middle, index: Any, src: Any, many: int, inner: int, each: bool, add: bool,
    pairs: Pairs, look: str = WRAP,
) -> None:  # fmt: skip
    """Write `src` to an array at indices, or add it there, all of an index after the other.

    Raises
    ------
    IndexError
        If one of `pairs` is out of range; then the array is of no use.
    """
    out, queue = middle.array, index.sycl_queue
    if not src.size or not out.size:
        checked(pairs, look)
        return
    dtype = out.dtype if add else np.dtype(WIDTHS[out.dtype.itemsize])
    sign = ("or" if dtype == np.bool_ else "add") if add else "set"
    value = {"or": "*place | from[k]", "add": "*place + from[k]", "set": "from[k]"}[sign]
    source, name = written(WRITE, sign, "each" if each else "row", middle.steps[2], VALUE=value)
    function = kernel(queue, source, name, True, T=dtype, I=index.dtype)
    run = inner if middle.outer >= ENOUGH else columns(queue, inner)
    numbers: list[Any] = [whole(n) for n in (many, inner, run)]
    numbers += map(signed, middle.numbers(look))
    args = [out, ordered(src), ordered(index), NOTES.of(queue)[0], *numbers]
    end = launch(queue, function, args, (middle.outer, -(-inner // run)))
    noted(end, pairs, look)


ENOUGH = 64
"""How many work items are enough."""


def columns(queue: Any, inner: int) -> int:
    """How many columns a work item writes."""
    device = DEVICES[PLACES[queue]]
    return max(16, -(-inner // int(device.max_compute_units))) if device.is_cpu else 1


def joint(x: Any, axis: int, arrays: list[Any], look: str = WRAP) -> tuple[Middle, Any]:
    """An array of which several dimensions from `axis` on are indexed as one, and the indices; of
    several, the one dimension is all memory.
    """
    if len(arrays) == 1:
        return Middle(x, axis), arrays[0]
    middle = Middle(x, axis, len(arrays))
    these = slice(axis, axis + len(arrays))
    places = steps_to(arrays, x.shape[these], x._array_obj.strides[these], look)
    middle.size, middle.steps[1] = 1 << 62, 1
    return middle, places


def steps_to(arrays: list[Any], sizes: Sequence[int], steps: Sequence[int], look: str) -> Any:
    """Indices to several dimensions, which broadcast, as steps from the first element."""
    queue = arrays[0].sycl_queue
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    given = [ordered(dpnp.broadcast_to(a.astype(np.int64, copy=False), shape)) for a in arrays]
    out = wrap(fresh(shape, np.dtype(np.int64), queue))
    count, name = range(len(given)), f"join_{len(given)}"
    heads = [f"__global const long* i{n}, const long s{n}, const long w{n}" for n in count]
    terms = [
        f"{{ long p = i{n}[k]; if (p < 0) p += back * s{n}; "
        f"if (p < 0 || p >= s{n}) {{ *outside = 1; p = 0; }} total += p * w{n}; }}"
        for n in count
    ]
    source = JOIN.replace("$NAME", name).replace("$INDICES", ", ".join(heads))
    function = kernel(queue, source.replace("$TERMS", "\n    ".join(terms)), name)
    args: list[Any] = []
    for array, size, step in zip(given, sizes, steps, strict=True):
        args += [array, signed(size), signed(step)]
    args += [signed(int(look != STRICT)), NOTES.of(queue)[0], out]
    launch(queue, function, args, (out.size,))
    return out
