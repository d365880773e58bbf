"""Elements made, kept or left out by where they stand, or by a mask: one kernel to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import create, index, random

from .lookup import WORDS, word
from .raw import FLOATS, SOURCES, Source, launch, ordered, type_of
from .runtime import cupy

__all__ = ["tril", "triu"]

WIDEST = 1 << 63

SOURCES["triangle"] = Source(
    "T* __restrict__ out, const T* __restrict__ x, const N rows, const N columns, "
    "const long long k, const int lower",
    "const long long far = (long long)(i % columns) - (long long)(i / columns % rows);"
    "out[i] = (lower ? far <= k : far >= k) ? x[i] : T();",
    WORDS,
)
SOURCES["counted"] = Source(
    "T* __restrict__ out, const long long start, const long long step",
    "out[i] = (T)(start + (long long)i * step);",
    ("int64",),
)
SOURCES["spaced"] = Source(
    "T* __restrict__ out, const double start, const double step",
    "out[i] = (T)__dadd_rn(__dmul_rn((double)i, step), start);",
    ("float32", "float64"),
)
SOURCES["one_hot"] = Source(
    "long long* __restrict__ out, const I* __restrict__ x, const N classes",
    "out[i] = (long long)x[i / classes] == (long long)(i % classes);",
    ("int64",),
)
SOURCES["dropped"] = Source(
    "T* __restrict__ out, const T* __restrict__ x, const bool* __restrict__ mask, "
    "const double scale",
    "out[i] = (T)((A)x[i] * (mask[i] ? (A)(T)scale : (A)0));",
    FLOATS,
)


def triangle(lower: bool) -> Callable[..., Any]:
    """``tril`` or ``triu`` of the standard."""

    def call(x: Any, /, *, k: int = 0) -> Any:
        out = cupy.empty(x.shape, x.dtype)
        args = (out, ordered(x), *x.shape[-2:], k, int(lower))
        launch("triangle", out.size, args, word(x.itemsize))
        return out

    call.__name__, call.__doc__ = "tril" if lower else "triu", "The triangles of matrices."
    return call


tril, triu = triangle(True), triangle(False)


def counted(xp: Any, /, start: Any, step: Any, count: int, dtype: Any) -> Any:
    """`counted`."""
    native, whole = np.dtype(dtype), isinstance(start, int) and isinstance(step, int)
    ends = (start, start + step * count) if whole else (0, 0)
    if native.kind in "iu" and whole and all(-WIDEST <= end < WIDEST for end in ends):
        name: str | None = "counted"
    else:
        name = "spaced" if native.char in "fd" else None
    if name is None:
        return create.counted.op.kernel(xp, start, step, count, dtype)
    out = cupy.empty(count, native)
    given = (start, step) if name == "counted" else (float(start), float(step))
    launch(name, out.size, (out, *given), type_of(out))
    return out


def one_hot_at(xp: Any, input: Any, /, num_classes: int) -> Any:
    """`one_hot_at`."""
    if input.dtype.kind not in "iu":
        return index.one_hot_at.op.kernel(xp, input, num_classes)
    out = cupy.empty((*input.shape, num_classes), np.int64)
    launch("one_hot", out.size, (out, ordered(input), num_classes), "int64", type_of(input))
    return out


def dropped(xp: Any, input: Any, mask: Any, /, scale: float) -> Any:
    """`dropped`, by masks of all elements."""
    if input.dtype.kind != "f" or mask.dtype.kind != "b" or mask.shape != input.shape:
        return random.dropped.op.kernel(xp, input, mask, scale)
    out = cupy.empty(input.shape, input.dtype)
    args = (out, ordered(input), ordered(mask), float(scale))
    launch("dropped", out.size, args, type_of(input))
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "counted": counted, "dropped": dropped, "one_hot_at": one_hot_at,
}  # fmt: skip
