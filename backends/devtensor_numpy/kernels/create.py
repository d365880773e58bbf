"""New arrays in few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import create as common

from .. import quick
from ..parts import by_parts
from .linalg import Array


def filled(xp: Any, /, size: Any, value: Any, dtype: Any) -> Array:
    """`filled`; the system gives zeros sooner than they are written."""
    if value.__class__ is int and not value:
        return np.zeros(size, dtype)
    out = np.empty(size, dtype)
    out.fill(value)
    return out


def identity(xp: Any, /, n: int, m: int, dtype: Any) -> Array:
    """`identity`."""
    out = np.zeros((n, m), dtype)
    out.reshape(-1)[: m * m : m + 1] = 1
    return out


def counted(xp: Any, /, start: Any, step: Any, count: int, dtype: Any) -> Array:
    """`counted`, over the numbers that it begins with."""
    if dtype.kind in "iu" and isinstance(start, int) and isinstance(step, int):
        whole = np.arange(start, start + step * count, step or 1, np.int64)
        return whole if dtype == np.int64 else whole.astype(dtype)
    if isinstance(start, complex) or isinstance(step, complex):
        found: Array = common.counted.kernel(xp, start, step, count, dtype)
        return found
    line = np.arange(count, dtype=np.float64)
    line *= step
    line += start
    return line if dtype == np.float64 else quick.astype(line, dtype)


def spaced(xp: Any, /, start: Any, end: Any, steps: int, base: Any, dtype: Any) -> Array:
    """`spaced` in parts, for the type whose products with places float64 holds."""
    whole = isinstance(start, (int, float)) and isinstance(end, (int, float))
    if base is not None or dtype != np.float32 or steps < 2 or not whole:
        found: Array = common.spaced.kernel(xp, start, end, steps, base, dtype)
        return found
    ends = np.array((float(start), float(end))).astype(np.float32)
    low, high = ends.tolist()
    distance = float((ends[1] - ends[0]) / np.float32(steps - 1))
    out, middle = np.empty(steps, dtype), steps // 2

    def work(part: slice) -> None:
        first, last = part.start, part.stop
        place = np.arange(first, last, dtype=np.float64)
        turn = min(max(middle - first, 0), last - first)
        left, right = place[:turn], place[turn:]
        np.subtract(steps - 1, right, right)
        np.multiply(place, distance, place)
        np.add(left, low, left)
        np.subtract(high, right, right)
        out[part] = place

    by_parts(work, steps, weight=4)
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "counted": counted,
    "filled": filled,
    "identity": identity,
    "spaced": spaced,
}
