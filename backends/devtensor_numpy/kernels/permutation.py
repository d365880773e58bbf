"""Random orders: whole numbers sorted by random keys."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..parts import BLOCK, by_parts
from .linalg import Array
from .random import WEIGHT, numbers_of

ENOUGH = 1 << 10
"""Numbers from which on two sorts take less time than one."""


def in_order(packed: Array) -> None:
    """Sort evenly spread numbers: first by their upper 16 bits, which takes no comparisons.

    Then each is near its place, and what is left is a sort that makes use of that.
    """
    if packed.size < ENOUGH:
        packed.sort()
        return
    upper = (packed >> np.uint64(48)).astype(np.uint16)
    packed[:] = packed[np.argsort(upper, kind="stable")]
    packed.sort(kind="stable")


FEW_KEYS = 1 << 8
"""Keys up to which their order takes less time than what makes its sort faster."""


def permutation(xp: Any, /, n: int, seed: int, offset: int, dtype: Any) -> Array:
    """`permutation` by sorting numbers that hold a place below what is left of a key."""
    keys = numbers_of(seed, offset, 0, n)
    if n < FEW_KEYS:
        return keys.argsort(kind="stable").astype(dtype, copy=False)
    size = max(n - 1, 0).bit_length()
    low = np.uint64(2**size - 1)
    packed = keys & ~low | np.arange(n, dtype=np.uint64)
    by_parts(lambda part: in_order(packed[part]), n, weight=WEIGHT)
    if n > BLOCK:
        packed.sort(kind="stable")  # which merges what is in order
    order = (packed & low).astype(np.int64)
    packed >>= np.uint64(size)
    same = packed[1:] == packed[:-1]
    if same.any():  # what was cut off decides; the other keys keep the tied ones in their places
        tied = np.zeros(n, np.bool_)
        tied[1:] |= same
        tied[:-1] |= same
        some = order[tied]
        order[tied] = some[np.argsort(keys[some], stable=True)]
    found: Array = order.astype(dtype, copy=False)
    return found


KERNELS: dict[str, Callable[..., Any]] = {}
if sys.byteorder == "little":  # as for the other draws
    KERNELS["permutation"] = permutation
