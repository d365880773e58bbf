"""Random bits in few passes over arrays that stay in the processor's cache.

Philox's four words are kept in two arrays of 64-bit numbers, the word to be multiplied next on top:
``a = c0 << 32 | c1`` and ``b = c2 << 32 | c3``. A round is then ``a, b = (b >> 32) * m1 ^ a << 32
^ k0 << 32`` and likewise for b: the product's lower half is already where it is wanted.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from devtensor.dtype import of
from devtensor.ops import random as common

from .. import namespace, parts
from ..parts import by_parts, each
from .linalg import Array

WORD = 2**32
SPAN = 2**64
COUNTERS = 1 << 15
"""Counters worked on at a time: with fewer, threads that share them wait for Python's lock."""
BLOCK = 1 << 15
"""Numbers of a distribution worked on at a time."""
FEW = 2048
"""Draws of up to that many counters are cut out of tiles that are kept."""
TILE, MORE = 8192, 128
"""Counters of a tile, and those behind it that what begins in it may take."""
WEIGHT = 16
"""Steps that a random number takes."""


def scalar(value: int) -> Array:
    """An array without dimensions: NumPy takes one sooner than a number."""
    return np.array(value % SPAN, np.uint64)


M0, M1 = (scalar(m) for m in common.MULTIPLIERS)
HALF = scalar(32)
PRODUCTS = np.arange(COUNTERS, dtype=np.uint64) * M0


@lru_cache(16)
def keys(seed: int) -> list[tuple[int, int]]:
    """The keys of each round, on top of a 64-bit number."""
    low, high = seed % WORD, seed // WORD
    one, two = common.STEPS
    return [
        ((low + i * one) % WORD * WORD, (high + i * two) % WORD * WORD)
        for i in range(common.ROUNDS)
    ]


@lru_cache(16)
def late_keys(seed: int) -> list[tuple[Array, Array]]:
    """The keys from the third round on, as arrays."""
    return [(scalar(one), scalar(two)) for one, two in keys(seed)[2:]]


def mix(seed: int, start: int, stream: int, both: Array, spare: Array) -> None:
    """Write Philox of the counters from `start` on, first all of `a`, then all of `b`.

    The upper half of the counters must be the same for all.
    """
    half = both.size // 2
    a, b, left, right = both[:half], both[half:], spare[:half], spare[half:]
    (zero, one), (two, three) = keys(seed)[:2]
    # Only `b` depends on the place after the first round, so `a` is one number.
    np.add(PRODUCTS[:half], scalar(start % WORD * common.MULTIPLIERS[0]), out=b)
    np.bitwise_xor(b, scalar(one), out=b)
    first = stream * common.MULTIPLIERS[1] ^ start // WORD * WORD ^ zero
    np.right_shift(b, HALF, out=right)
    np.multiply(right, M1, out=right)
    np.bitwise_xor(right, scalar(first * WORD ^ two), out=a)
    np.left_shift(b, HALF, out=b)
    np.bitwise_xor(b, scalar(first // WORD * common.MULTIPLIERS[0] ^ three), out=b)
    for key_a, key_b in late_keys(seed):
        np.right_shift(both, HALF, out=spare)
        np.multiply(left, M0, out=left)
        np.multiply(right, M1, out=right)
        np.left_shift(both, HALF, out=both)
        np.bitwise_xor(a, right, out=a)
        np.bitwise_xor(b, left, out=b)
        np.bitwise_xor(a, key_a, out=a)
        np.bitwise_xor(b, key_b, out=b)


class Kept:
    """Bits or numbers of some counters for many small draws.

    They are made when a second draw asks for them, as a first one may be the last.
    """

    __slots__ = ("array", "asked")

    def __init__(self) -> None:
        self.asked = False
        self.array: Array | None = None


@lru_cache(8)
def tile(seed: int, number: int, stream: int) -> Kept:
    """The bits of `TILE` counters."""
    return Kept()


def fill(seed: int, start: int, stream: int, out: Array) -> None:
    """Write the bits of the counters from `start` on, a row of two numbers to each."""
    count = len(out)
    space = np.empty((2, 2 * min(count, COUNTERS)), np.uint64)
    at = 0
    while at < count:  # once, but where the lower half of the counters begins anew
        here = (start + at) % SPAN
        step = min(COUNTERS, count - at, WORD - here % WORD)
        both, spare = space[0, : 2 * step], space[1, : 2 * step]
        mix(seed, here, stream, both, spare)
        out[at : at + step, 0], out[at : at + step, 1] = both[:step], both[step:]
        at += step


def numbers_of(seed: int, offset: int, stream: int, count: int) -> Array:
    """`count` random 64-bit numbers."""
    counters = -(-count // 2)
    number, first = divmod(offset, TILE)
    if counters <= FEW and first + counters <= TILE + MORE:
        kept = tile(seed, number, stream)
        if kept.asked and kept.array is None:
            found = np.empty((TILE + MORE, 2), np.uint64)
            fill(seed, number * TILE, stream, found)
            found.flags.writeable = False
            kept.array = found
        kept.asked = True
        if kept.array is not None:
            return kept.array[first : first + counters].reshape(-1)[:count]
    rows = np.empty((counters, 2), np.uint64)

    def work(start: int) -> None:
        fill(seed, offset + start, stream, rows[start : start + COUNTERS])

    each(work, range(0, counters, COUNTERS), counters * 4 * WEIGHT)
    return rows.reshape(-1)[:count]


class Bits(common.Bits):
    """Random bits, of all sizes the same memory."""

    def numbers(self, count: int, stream: int = 0) -> Array:
        return numbers_of(self.seed, self.offset, stream, count)

    def words(self, count: int, stream: int = 0) -> Array:
        return self.numbers(-(-count // 2), stream).view(np.uint32)[:count]

    def parts(self, count: int, size: int) -> Array:
        words = self.words(-(-count * size // 32))
        return words.view(np.dtype(f"u{size // 8}"))[:count]

    def normals(self, count: int, dtype: Any) -> Array:
        pairs = -(-count // 2)
        if common.wide(dtype):
            x = (self.numbers(2 * pairs) >> 11).astype(np.float64)
            digits = 53
        else:
            x = (self.words(2 * pairs) >> 1).astype(np.float32)
            digits = 31
        np.multiply(x, 2.0**-digits, out=x)
        points = x.reshape(pairs, 2)
        radius, angle = points[:, 0] + 2.0 ** -(digits + 1), points[:, 1] * (2 * math.pi)
        np.log(radius, out=radius)
        np.multiply(radius, -2.0, out=radius)
        np.sqrt(radius, out=radius)
        np.multiply(radius, np.cos(angle), out=points[:, 0])
        np.multiply(radius, np.sin(angle, out=angle), out=points[:, 1])
        return x[:count]


def philox(xp: Any, /, count: int, seed: int, offset: int, stream: int = 0) -> Array:
    """`philox` of many counters at once."""
    words = Bits(np, seed, offset).words(count, stream)
    return words if words.flags.writeable else words.copy()


class Scheme(NamedTuple):
    """What all draws of a distribution have in common."""

    many: int
    """Numbers to an element."""
    native: Any
    """The type of each."""
    dtype: Any
    """That of the elements."""
    per_counter: int
    """Numbers that are made from one counter."""
    sample: Callable[[int, int, int], Array]
    """Gives so many numbers, made from the counters from some place on."""


def whole_numbers(bits: Bits, count: int, dtype: Any, low: int, span: int) -> Array:
    """`whole_numbers`, over the words that it begins with where those suffice."""
    if span > common.NARROW:
        found: Array = common.whole_numbers(bits, count, dtype, low, span)
        return found
    x = bits.words(count).astype(np.uint64)
    np.multiply(x, span, x)
    np.right_shift(x, HALF, x)
    whole: Array = x.view(np.int64)
    return np.add(whole, low, whole) if low else whole


OWN: dict[str, Callable[..., Array]] = {"random": whole_numbers}
"""Distributions that do better in NumPy."""


@lru_cache(256)
def scheme(how: str, values: Any, dtype: Any) -> Scheme:
    """The scheme of a distribution with its parameters."""
    real, many, values = common.parts(of(dtype), how, values)
    native = np.dtype(dtype) if many == 1 else np.dtype(real.name)
    distribution = OWN.get(how, common.DISTRIBUTIONS[how].sample)

    def sample(count: int, seed: int, offset: int) -> Array:
        found: Array = distribution(Bits(namespace, seed, offset), count, native, *values)
        return found if found.dtype == native else found.astype(native)

    per_counter = 128 // common.width(how, values, real)
    return Scheme(many, native, np.dtype(dtype), per_counter, sample)


PIECE = 1024
"""Draws of up to `MORE` counters are cut out of the numbers that so many counters give."""


@lru_cache(64)
def piece(sample: Callable[..., Array], seed: int, number: int) -> Kept:
    """The numbers of a distribution for the draws that begin among `PIECE` counters."""
    return Kept()


def draw(xp: Any, /, size: Any, how: str, values: Any, seed: int, offset: int, dtype: Any) -> Array:
    """`draw` in blocks, which threads share; small draws are cut out of numbers that are kept."""
    plan = scheme(how, values, dtype)
    flat = np.empty(plan.many * math.prod(size), plan.native)
    write(flat, plan, seed, offset)
    result: Array = (flat if plan.many == 1 else flat.view(plan.dtype)).reshape(size)
    return result


def write(flat: Array, plan: Scheme, seed: int, offset: int) -> None:
    """Write the numbers that the counters from `offset` on give."""
    count, per_counter, sample = flat.size, plan.per_counter, plan.sample
    if count <= MORE * per_counter:
        number, first = divmod(offset, PIECE)
        kept = piece(sample, seed, number)
        numbers = kept.array
        if numbers is None and kept.asked:
            numbers = sample((PIECE + MORE) * per_counter, seed, number * PIECE)
            kept.array = numbers
        kept.asked = True
        if numbers is None:
            flat[:] = sample(count, seed, offset)
        else:
            first *= per_counter
            flat[:] = numbers[first : first + count]
        return
    block = COUNTERS * per_counter

    def work(start: int) -> None:
        step, place = min(block, count - start), (offset + start // per_counter) % SPAN
        flat[start : start + step] = sample(step, seed, place)

    each(work, range(0, count, block), count * 4 * WEIGHT // per_counter)


def filling(how: str) -> tuple[Callable[..., Array], Callable[..., None]]:
    """The operation that overwrites an array with numbers: what it gives, and that it writes."""

    def fill(xp: Any, input: Array, /, values: Any, seed: int, offset: int) -> Array:
        return draw(xp, input.shape, how, values, seed, offset, input.dtype)

    def over(xp: Any, input: Array, /, values: Any, seed: int, offset: int) -> None:
        plan, flat = scheme(how, values, input.dtype), input.reshape(-1)
        write(flat if plan.many == 1 else flat.view(plan.native), plan, seed, offset)

    return fill, over


def counts(xp: Any, /, *vectors: Array, how: str, seed: int, offset: int) -> Array:
    """`counts` in blocks, each of which waits for fewer rejected numbers than all would."""
    out = np.empty(vectors[0].size, np.float64)
    for start in range(0, out.size, BLOCK // 4):
        some = slice(start, start + BLOCK // 4)
        bits = Bits(xp, seed, (offset + start // 2) % SPAN)
        out[some] = common.COUNTS[how](bits, *[x[some] for x in vectors])
    return out


def multinomial_at(
    xp: Any, input: Array, /, num_samples: int, replacement: bool, seed: int, offset: int
) -> Any:
    """`multinomial_at` of bits that are not put together first."""
    return common.drawn_places(Bits(xp, seed, offset), input, num_samples, replacement)


def bernoulli_at(xp: Any, input: Array, /, seed: int, offset: int, dtype: Any) -> Array:
    """`bernoulli_at`, of probabilities that are looked at in few passes."""
    good = np.empty(input.shape, np.bool_)
    np.greater_equal(input, 0, out=good)
    np.logical_and(good, input <= 1, out=good)
    if np.count_nonzero(good) != input.size:
        common.bernoulli_at.kernel(xp, input, seed, offset, dtype)  # which refuses them
    real = np.dtype(np.float64 if common.wide(input.dtype) else np.float32)
    x = draw(xp, input.shape, "uniform", (0.0, 1.0), seed, offset, real)
    np.less(x, input.astype(real, copy=False), out=good)
    return good if dtype == np.bool_ else good.astype(dtype)


def dropped(xp: Any, input: Array, mask: Array, /, scale: float) -> Array:
    """`dropped` in parts."""
    if input.shape != mask.shape or not input.flags.c_contiguous or not mask.flags.c_contiguous:
        common_result: Array = common.dropped.kernel(xp, input, mask, scale)
        return common_result
    out, factor = np.empty(input.shape, input.dtype), np.array(scale, input.dtype)
    if input.size < parts.BLOCK:
        scaled(mask, factor, input, out)
        return out
    x, kept, made = input.reshape(-1), mask.reshape(-1), out.reshape(-1)
    by_parts(lambda some: scaled(kept[some], factor, x[some], made[some]), x.size, weight=2)
    return out


def scaled(mask: Array, factor: Array, x: Array, out: Array) -> None:
    """Write the product; what is left out must be 0 also where the scale is too much for it."""
    np.multiply(mask, factor, out)
    np.multiply(out, x, out)


KERNELS: dict[str, Callable[..., Any]] = {"dropped": dropped}
WRITERS: dict[str, Callable[..., None]] = {}
if sys.byteorder == "little":  # else numbers are not in memory as `Bits` reads them
    KERNELS |= {
        "bernoulli_at": bernoulli_at,
        "philox": philox,
        "draw": draw,
        "counts": counts,
        "multinomial_at": multinomial_at,
    }
    _fillings = {f"fill_{how}": filling(how) for how in common.DISTRIBUTIONS}
    KERNELS |= {name: fill for name, (fill, _) in _fillings.items()}
    WRITERS |= {name: over for name, (_, over) in _fillings.items()}
