"""One array or the other, element by element."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .parts import BLOCK, by_parts

Array = np.ndarray[Any, Any]
BITS = {t.itemsize: t for t in map(np.dtype, (np.int8, np.int16, np.int32, np.int64))}
MUCH = 1 << 14  # Elements from which on a choice by bits may pay.
SEEN = 1 << 10  # Elements of a condition that are looked at.
BOOL = np.dtype(np.bool_)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """Elements of `x1` where the condition is true, else of `x2`.

    NumPy takes five times as long where the processor cannot foresee which it will be.
    """
    if condition.__class__ is np.ndarray and condition.size >= MUCH and restless(condition):
        one, two = alike(x1, x2), alike(x2, x1)
        if fits(one, two, condition) and fits(two, one, condition):
            return by_bits(condition, one, two)
    return np.where(condition, x1, x2)


def restless(condition: Array) -> bool:
    """Whether a condition, in row order, often changes from one element to the next."""
    if condition.dtype is not BOOL or not condition.flags.c_contiguous:
        return False
    start = (condition.size - SEEN) // 2
    some = condition.reshape(-1)[start : start + SEEN]
    return int(np.count_nonzero(some[1:] != some[:-1])) > SEEN // 16


def alike(x: Any, other: Any) -> Any:
    """A number of Python's as an array of the type of the other, if it is a real one."""
    cls = x.__class__
    if (cls is float or cls is int) and other.__class__ is np.ndarray and other.dtype.kind == "f":
        return np.asarray(x, other.dtype)
    return x


def fits(x: Any, other: Any, condition: Array) -> bool:
    """Whether the bits of `x` can be taken as they are."""
    return (
        x.__class__ is np.ndarray
        and other.__class__ is np.ndarray
        and x.dtype is other.dtype
        and x.dtype.itemsize in BITS
        and (x.shape == condition.shape or not x.ndim)
    )


def by_bits(condition: Array, x1: Array, x2: Array) -> Array:
    """The choice without a jump: the bits in which the two differ, where the condition holds."""
    bits = BITS[x1.dtype.itemsize]
    out = np.empty(condition.shape, x1.dtype)
    given, made = condition.reshape(-1).view(np.int8), out.reshape(-1).view(bits)
    one, two = x1.reshape(-1).view(bits), x2.reshape(-1).view(bits)

    def choose(part: slice) -> None:
        keep = np.negative(given[part]).astype(bits)  # -1, all bits, where the first is taken
        base, target = two[part] if x2.ndim else two, made[part]
        np.bitwise_xor(one[part] if x1.ndim else one, base, out=target)
        np.bitwise_and(target, keep, out=target)
        np.bitwise_xor(target, base, out=target)

    by_parts(choose, condition.size, most=BLOCK)
    return out


# ---- one side of a diagonal or zeros ----

KEPT = 1 << 20  # Elements of the largest matrix of which the sides are kept.


@lru_cache(16)
def below(rows: int, columns: int, k: int) -> Array:
    """Where a matrix of that size is on and below a diagonal."""
    found = np.tri(rows, columns, k, bool)
    found.flags.writeable = False
    return found


def sides(x: Array, k: int) -> Array:
    """`below` for the matrices in an array."""
    rows, columns = x.shape[-2:]
    made = below if rows * columns <= KEPT else below.__wrapped__
    return made(rows, columns, k)


def tril(x: Any, /, *, k: int = 0) -> Any:
    """Matrices without what is above a diagonal."""
    return np.where(sides(x, k), x, np.zeros((), x.dtype))


def triu(x: Any, /, *, k: int = 0) -> Any:
    """Matrices without what is below a diagonal."""
    return np.where(sides(x, k - 1), np.zeros((), x.dtype), x)
