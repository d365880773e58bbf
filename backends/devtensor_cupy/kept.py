"""Elements that are kept or left out by where they stand, or by a mask: one kernel to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import index, random

from .lookup import WORDS, word
from .raw import FLOATS, SOURCES, Source, launch, ordered, type_of
from .runtime import cupy

__all__ = ["tril", "triu"]

SOURCES["triangle"] = Source(
    "T* __restrict__ out, const T* __restrict__ x, const N rows, const N columns, "
    "const long long k, const int lower",
    "const long long far = (long long)(i % columns) - (long long)(i / columns % rows);"
    "out[i] = (lower ? far <= k : far >= k) ? x[i] : T();",
    WORDS,
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


KERNELS: dict[str, Callable[..., Any]] = {"dropped": dropped, "one_hot_at": one_hot_at}
