"""Order along a dimension.

CuPy sorts rows by comparing pairs of a row and a number, in many times the time of a sort by
digits, which it has for vectors of whole numbers. So each element becomes one: its row on top, then
the number in a form whose order is that of its bits, and its place in the row at the end. Short
rows are put in order by a group of threads each. Equal elements keep their order, NaN is the
largest, and nothing has to be asked of the device before.

An array counts as one of shape (outer, size, inner), of which the middle dimension is sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from devtensor.ops import sort as common
from devtensor.ops.arguments import axis as dim_of

from .lookup import WORDS, word
from .masks import TYPES, Marked, add
from .raw import SAMPLES, SOURCES, THREADS, Source, launch, type_of
from .raw import ordered as in_rows
from .runtime import cupy

# A number as one without a sign and with the same order; `flip` is all ones if that is turned.
FORM = """
__device__ unsigned long long form_(T x, unsigned long long flip) {
    const int bits = sizeof(T) * 8;
    const unsigned long long all = ~0ull >> (64 - bits), sign = 1ull << (bits - 1);
#if FLOATS
    unsigned long long u = 0;
    if (x != x) u = all;
    else if (x != (T)0) { memcpy(&u, &x, sizeof(T)); u = u & sign ? ~u : u | sign; }
    else u = sign;
#else
    const unsigned long long u = (unsigned long long)x ^ ((T)-1 < (T)0 ? sign : 0);
#endif
    return (u ^ flip) & all;
}
"""
AT = "const N c = i % inner, rest = i / inner, j = rest % size, row = rest / size * inner + c;"
SOURCES["keys"] = Source(
    "unsigned long long* __restrict__ keys, const T* __restrict__ x, const N size, "
    "const N inner, const unsigned long long flip, const int low, const int high",
    f"{AT} const unsigned long long u = form_(x[i], flip);"
    "keys[i] = high < 64 ? (unsigned long long)row << high | u << low | j : u;",
    SAMPLES,
    FORM,
)
# Of numbers with 64 bits: those that are in order already get their rows on top.
SOURCES["rows"] = Source(
    "unsigned long long* __restrict__ keys, const long long* __restrict__ order, const N size, "
    "const N inner",
    "const N at = order[i], row = at / inner / size * inner + at % inner;"
    "keys[i] = (unsigned long long)row << 32 | i;",
    ("uint64",),
)
# Element `start + j` in the order of each row, and where it stood.
SOURCES["pick"] = Source(
    "T* __restrict__ out, long long* __restrict__ which, const T* __restrict__ x, "
    "const unsigned long long* __restrict__ keys, const long long* __restrict__ order, "
    "const N size, const N inner, const N start, const N many, const unsigned long long mask",
    """
    const N c = i % inner, rest = i / inner, j = rest % many + start, o = rest / many;
    const unsigned long long key = keys[(o * inner + c) * size + j] & mask;
    const N place = order ? (N)order[key] / inner % size : (N)key;
    which[i] = place;
    if (out) out[i] = x[(o * size + place) * inner + c];""",
    WORDS,
)
# A group of threads for each row finds the next element as often as is asked.
SOURCES["first"] = Source(
    "T* __restrict__ out, long long* __restrict__ which, const T* __restrict__ x, "
    "const N size, const unsigned long long flip, const int many",
    """
    __shared__ unsigned long long forms[32];
    __shared__ unsigned int places[32];
    const T* line = x + (N)blockIdx.x * size;
    const unsigned int t = threadIdx.x, none = ~0u;
    unsigned long long least = 0; unsigned int after = none;
    for (int k = 0; k < many; k++) {
        unsigned long long u = 0; unsigned int p = none;
        for (unsigned int j = t; j < size; j += blockDim.x) {
            const unsigned long long v = form_(line[j], flip);
            const bool later = after == none || v > least || (v == least && j > after);
            if (later && (p == none || v < u)) { u = v; p = j; }
        }
        for (int far = 16; far; far /= 2) {
            const unsigned long long v = __shfl_down_sync(~0u, u, far);
            const unsigned int q = __shfl_down_sync(~0u, p, far);
            if (q != none && (p == none || v < u || (v == u && q < p))) { u = v; p = q; }
        }
        if (t % 32 == 0) { forms[t / 32] = u; places[t / 32] = p; }
        __syncthreads();
        u = forms[0]; p = places[0];
        for (unsigned int w = 1; w < blockDim.x / 32; w++) {
            const unsigned long long v = forms[w]; const unsigned int q = places[w];
            if (q != none && (p == none || v < u || (v == u && q < p))) { u = v; p = q; }
        }
        least = u; after = p;
        if (t == 0) {
            const N at = (N)blockIdx.x * many + k;
            out[at] = line[p]; which[at] = p;
        }
        __syncthreads();
    }""",
    SAMPLES,
    FORM,
)
ORDER = """
__device__ void order_(unsigned long long& u, unsigned long long& v, bool up) {
    if ((u > v) == up) { const unsigned long long w = u; u = v; v = w; }
}
"""
# Or puts a row in order in its own memory, by Batcher's network that merges both ways.
SOURCES["network"] = Source(
    "T* __restrict__ out, long long* __restrict__ which, const T* __restrict__ x, "
    "const N size, const N inner, const unsigned long long flip, const N start, const N many",
    """
    const N c = blockIdx.x % inner, o = blockIdx.x / inner;
    const T* line = x + o * size * inner + c;
    const unsigned int t = threadIdx.x, step = blockDim.x;
    unsigned int length = 2;
    while (length < size) length *= 2;
    __shared__ unsigned long long forms[2048];
#if NARROW
    // The place stands in the low bits.
    for (unsigned int j = t; j < length; j += step)
        forms[j] = j < size ? form_(line[j * inner], flip) << 32 | j : ~0ull;
#else
    __shared__ unsigned short places[2048];
    for (unsigned int j = t; j < length; j += step) {
        forms[j] = j < size ? form_(line[j * inner], flip) : ~0ull;
        places[j] = j;
    }
#endif
    for (unsigned int run = 2; run <= length; run *= 2) {
        unsigned int far = run / 2;
#if NARROW
        // Two steps at once, by four elements each, so that memory is gone through half as often.
        for (; far >= 2; far /= 4) {
            const unsigned int near = far / 2;
            __syncthreads();
            for (unsigned int four = t; four < length / 4; four += step) {
                const unsigned int low = four & (near - 1), a = 4 * (four - low) + low;
                const bool up = !(a & run);
                unsigned long long u = forms[a], v = forms[a + near];
                unsigned long long w = forms[a + far], z = forms[a + far + near];
                order_(u, w, up); order_(v, z, up); order_(u, v, up); order_(w, z, up);
                forms[a] = u; forms[a + near] = v; forms[a + far] = w; forms[a + far + near] = z;
            }
        }
#endif
        for (; far; far /= 2) {
            __syncthreads();
            for (unsigned int pair = t; pair < length / 2; pair += step) {
                const unsigned int a = 2 * pair - (pair & (far - 1)), b = a + far;
#if NARROW
                order_(forms[a], forms[b], !(a & run));
#else
                const unsigned long long u = forms[a], v = forms[b];
                const unsigned short p = places[a], q = places[b];
                if ((u > v || (u == v && p > q)) == !(a & run)) {
                    forms[a] = v; forms[b] = u; places[a] = q; places[b] = p;
                }
#endif
            }
        }
    }
    __syncthreads();
    for (unsigned int j = t; j < many; j += step) {
#if NARROW
        const N p = (unsigned int)forms[start + j], at = (o * many + j) * inner + c;
#else
        const N p = places[start + j], at = (o * many + j) * inner + c;
#endif
        which[at] = p;
        if (out) out[at] = line[p * inner];
    }""",
    SAMPLES,
    FORM + ORDER,
)


# ---- runs of neighbours that are equal

SOURCES["news"] = Source(
    "bool* __restrict__ out, const T* __restrict__ x", "out[i] = !i || x[i] != x[i - 1];", SAMPLES
)
add(
    "runs",
    "T* __restrict__ out, const T* __restrict__ x, long long* __restrict__ begins, "
    "long long* __restrict__ inverse, const long long* __restrict__ order",
    """
    if (is) { begins[o] = e; out[o] = x[e]; }
    if (e < size) inverse[order ? order[e] : e] = o - !is;""",
    "bool",
    WORDS,
)
SOURCES["lengths"] = Source(
    "long long* __restrict__ out, const long long* __restrict__ begins, const long long size",
    "out[i] = ((long long)i + 1 < count ? begins[i + 1] : size) - begins[i];",
    ("int64",),
)

# ---- which kernel sorts what

FEW = 32
"""How many elements of a row are looked for one after another."""
SHORT = range(64, 2048 + 1)
"""The sizes of rows that a group of threads puts in order."""
ALL = (1 << 64) - 1


def by_digits(x: Any, size: int, inner: int, flip: Any) -> tuple[Any, Any, int] | None:
    """The order of an array in row order; None if its numbers do not fit.

    Returns
    -------
    keys : cupy.ndarray
        Row by row, in the low bits, where the elements stand.
    order : cupy.ndarray or 0
        If there is one, the places of which those bits are numbers.
    mask : int
        These bits.
    """
    bits, low = x.itemsize * 8, (size - 1).bit_length()
    high = low + bits
    fits = high + (x.size // size - 1).bit_length() <= 64
    if not fits and bits < 64:
        return None
    keys = cupy.empty(x.size, np.uint64)
    shifts = (low, min(high, 63)) if fits else (0, 64)
    launch("keys", x.size, (keys, x, size, inner, flip, *shifts), type_of(x))
    if fits:
        keys.sort()
        return keys, 0, (1 << low) - 1
    order = keys.argsort()
    if x.size == size:
        return order, 0, ALL
    launch("rows", x.size, (keys, order, size, inner), "uint64")
    keys.sort()
    return keys, order, (1 << 32) - 1


def in_order(
    x: Any, axis: int, descending: bool, start: int, many: int, values: bool = True
) -> tuple[Any, Any] | None:
    """Elements in their order along a dimension, and where they stood; None if no kernel does it.

    Parameters
    ----------
    x : cupy.ndarray
    axis : int
    descending : bool
    start, many : int
        The number of the first of them, and how many there are to each row.
    values : bool, optional
        Whether the elements themselves are asked for.
    """
    if type_of(x) == "bfloat16":
        wide = in_order(x.astype(np.float32), axis, descending, start, many, values)
        return wide if wide is None or not values else (wide[0].astype(x.dtype), wide[1])
    if type_of(x) not in TYPES or not x.size or x.size >= 1 << 32:
        return None
    x = in_rows(x)
    size, inner = x.shape[axis], prod(x.shape[axis + 1 :])
    rows, flip = x.size // size, np.uint64(ALL if descending else 0)
    shape = (*x.shape[:axis], many, *x.shape[axis + 1 :])
    short = size in SHORT and rows >= 32
    found = None if short else by_digits(x, size, inner, flip)
    if not short and found is None:
        return None
    which = cupy.empty(shape, np.int64)
    out = cupy.empty(shape, x.dtype) if values else None
    given: tuple[Any, ...] = (out if values else 0, which, x)
    if found is None:
        given = (*given, size, inner, flip, start, many)
        launch("network", rows * THREADS, given, type_of(x), most=x.size)
    else:
        keys, order, mask = found
        given = (*given, keys, order, size, inner, start, many, np.uint64(mask))
        launch("pick", which.size, given, word(x.itemsize), most=x.size)
    return out, which


def first(x: Any, axis: int, many: int, descending: bool) -> tuple[Any, Any]:
    """The first elements in the order of each row, and where they stood."""
    x = in_rows(x)
    shape = (*x.shape[:axis], many)
    out, which = cupy.empty(shape, x.dtype), cupy.empty(shape, np.int64)
    flip = np.uint64(ALL if descending else 0)
    given = (out, which, x, x.shape[axis], flip, many)
    count = x.size // x.shape[axis] * THREADS
    launch("first", count, given, type_of(x), most=x.size)
    return out, which


# ---- the operations


def sort(
    xp: Any, input: Any, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """`sort`."""
    if input.ndim:
        axis = dim_of(dim, input.ndim)
        found = in_order(input, axis, descending, 0, input.shape[axis])
        if found is not None:
            return found
    return common.sort.op.kernel(xp, input, dim, descending, stable)


def argsort(
    xp: Any, input: Any, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """`argsort`."""
    if input.ndim:
        axis = dim_of(dim, input.ndim)
        found = in_order(input, axis, descending, 0, input.shape[axis], False)
        if found is not None:
            return found[1]
    return common.argsort.op.kernel(xp, input, dim, descending, stable)


def topk(
    xp: Any, input: Any, /, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    """`topk`, by looking along rows for one after another if few elements are asked for."""
    if input.ndim and input.dtype.kind != "b" and 0 < k <= input.shape[dim_of(dim, input.ndim)]:
        axis = dim_of(dim, input.ndim)
        near = axis == input.ndim - 1 and k <= FEW and input.shape[axis] <= 1 << 16
        if near and type_of(input) in TYPES and input.size:
            return first(input, axis, k, largest)
        found = in_order(input, axis, largest, 0, k)
        if found is not None:
            return found
    return common.topk.op.kernel(xp, input, k, dim, largest, sorted)


def kthvalue(xp: Any, input: Any, /, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """`kthvalue`."""
    if input.ndim and 1 <= k <= input.shape[dim_of(dim, input.ndim)]:
        axis = dim_of(dim, input.ndim)
        found = in_order(input, axis, False, k - 1, 1)
        if found is not None:
            return found if keepdim else tuple([x.squeeze(axis) for x in found])
    return common.kthvalue.op.kernel(xp, input, k, dim, keepdim)


def unique_flat(xp: Any, input: Any, /, ordered: bool) -> Any:
    """`unique_flat`."""
    flat = input.reshape(-1)
    if type_of(flat) == "bfloat16":
        values, *rest = unique_flat(xp, input.astype(np.float32), ordered)
        return values.astype(input.dtype), *rest
    if ordered:
        found = in_order(flat, 0, False, 0, flat.size)
    else:
        found = (in_rows(flat), None) if flat.size and type_of(flat) in TYPES else None
    if found is None:
        return common.unique_flat.op.kernel(xp, input, ordered)
    lined, order = found
    new = cupy.empty(flat.size, np.bool_)
    launch("news", flat.size, (new, lined), type_of(lined))
    runs = Marked(new)
    total = runs.total
    values, inverse = cupy.empty(total, lined.dtype), cupy.empty(input.shape, np.int64)
    begins, lengths = cupy.empty(total, np.int64), cupy.empty(total, np.int64)
    places = 0 if order is None else order
    runs.walk("runs", word(lined.itemsize), values, lined, begins, inverse, places)
    launch("lengths", total, (lengths, begins, flat.size), "int64")
    return values, inverse, lengths


KERNELS: dict[str, Callable[..., Any]] = {
    "argsort": argsort, "kthvalue": kthvalue, "sort": sort, "topk": topk,
    "unique_flat": unique_flat,
}  # fmt: skip
