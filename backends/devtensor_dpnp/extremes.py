"""Where the largest and the smallest number stand: the first NaN, as in PyTorch and NumPy.

dpnp finds any of several NaNs; `tests/test_xpu.py` tells when it no longer does. Large arrays take
kernels that go along rows: this one takes 13 times NumPy's time.
"""

from __future__ import annotations

from math import prod
from typing import Any

import dpnp
import numpy as np

from .fuse import large, reduced
from .launch import TYPES, kernel, launch, takes_source, whole
from .memory import ordered

__all__ = ["argmax", "argmin"]

# A work item looks at one chunk of a row. It goes through the elements or, to compare what was
# found in the chunks, through the places of some.
BEST = """
__kernel void $NAME(__global const $T* x, __global const long* places, const ulong some,
                   const ulong size, const ulong inner, const ulong count, const ulong chunk,
                   __global long* out) {
    size_t i = get_global_id(0), c = get_global_id(1), o = get_global_id(2);
    ulong start = c * chunk, end = min(start + chunk, count);
    long place = 0;
    $T most = 0;
    for (ulong k = start; k < end; k++) {
        long p = some ? places[(o * count + k) * inner + i] : (long)k;
        $T v = x[(o * size + p) * inner + i];
        if (k == start || v $MORE most || (v != v && most == most)) { most = v; place = p; }
    }
    out[(o * get_global_size(1) + c) * inner + i] = place;
}"""
NAMES = {">": "largest", "<": "smallest"}
CHUNK = 1 << 10
"""How many elements are looked at in turn where there are too few rows for all units."""
ROWS = 64
"""How many rows are enough."""


def best(x: Any, more: str, axis: int | None, keepdims: bool) -> Any:
    """The place along `axis` of the first element than which no other is `more`, as int64.

    Raises
    ------
    ValueError
        If there is no element.
    """
    if axis is None:
        found = best(x.reshape(-1), more, 0, False)
        return found.reshape((1,) * x.ndim) if keepdims else found
    axis %= x.ndim
    size, queue = x.shape[axis], x.sycl_queue
    if not size:
        raise ValueError(f"there is no element along axis {axis} of the shape {list(x.shape)}")
    if large(x):
        found = reduced("argmax" if more == ">" else "argmin", x, axis, keepdims)
        if found is not None:
            return found
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    rest = (*x.shape[:axis], *((1,) if keepdims else ()), *x.shape[axis + 1 :])
    if str(x.dtype) not in TYPES or not takes_source(x):
        return compared(x, more, axis, keepdims)
    name = NAMES[more]
    run = kernel(queue, BEST.replace("$MORE", more).replace("$NAME", name), name, T=x.dtype)
    x = ordered(x)
    places, some, count = x, 0, size  # any memory serves where no place is read
    while True:
        chunk = count if outer * inner >= ROWS else CHUNK
        chunks = -(-count // chunk)
        out = dpnp.empty((outer, chunks, inner), dtype=np.int64, sycl_queue=queue)
        numbers = [whole(n) for n in (some, size, inner, count, chunk)]
        launch(queue, run, [x, places, *numbers, out], (outer, chunks, inner))
        if chunks == 1:
            return out.reshape(rest)
        places, some, count = out, 1, chunks


def compared(x: Any, more: str, axis: int, keepdims: bool) -> Any:
    """The same by functions of dpnp's, where a device takes no source."""
    function = dpnp.argmax if more == ">" else dpnp.argmin
    found = function(x, axis=axis, keepdims=keepdims)
    if x.dtype.kind not in "fc":
        return found
    missing = dpnp.isnan(x)
    first = dpnp.argmax(missing, axis=axis, keepdims=keepdims)
    return dpnp.where(dpnp.any(missing, axis=axis, keepdims=keepdims), first, found)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest number stands first."""
    return best(x, ">", axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest number stands first."""
    return best(x, "<", axis, keepdims)
