"""Attention, one matrix of scores at a time, so that it stays in the processor's cache."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from devtensor.ops.elementwise import narrowed, widened

from ..parts import SLOWEST, each, parts
from ..quick import ones
from .linalg import Array, is_half
from .powers import FAR


def attention(
    xp: Any,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    /,
    *,
    scale: float,
    is_causal: bool = False,
    keep: bool = True,
) -> tuple[Array, Array]:
    """`attention` by batch and head; the weights are kept only where asked for."""
    if is_half(query.dtype):
        wide = widened(xp, query, key, value, mask)
        output, weights = attention(xp, *wide, scale=scale, is_causal=is_causal, keep=keep)
        return output.astype(query.dtype), weights.astype(query.dtype)
    length, source = query.shape[-2], key.shape[-2]
    batch, shapes = query.shape[:-2], [x.shape[:-2] for x in (key, value, mask) if x is not None]
    if any([shape != batch for shape in shapes]):
        batch = np.broadcast_shapes(batch, *shapes)
        query, key, value = (
            np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (query, key, value)
        )
    output = beside(query, (*batch, length, value.shape[-1]))
    weights = np.empty((*batch, length, source) if keep else (*batch, 0, 0), query.dtype)
    if math.prod(batch) and length and source:
        if mask is not None:
            mask = in_grid(np.broadcast_to(mask, (*batch, length, source)))
        query, key, value = [in_grid(x) for x in (query, key, value)]
        kept = in_grid(weights) if keep else None
        fill(query, key, value, mask, scale, is_causal, in_grid(output), kept)
    else:
        output[...] = 0
    return output, weights


CACHED = 1 << 17  # Scores that are worked on at a time: they stay in the processor's cache.
LEAST = 1e-15  # The least sum of powers from which on too small ones do not matter as weights.
NARROW = 32  # Elements of a vector up to which copies of them cost less than products across.
FEWEST = 64  # Rows of a causal tile: with fewer, the calls cost more than the keys left out.


def beside(query: Array, shape: tuple[int, ...]) -> Array:
    """New memory, where each place's heads follow one another if those of the queries do."""
    if len(shape) == 4 and query.strides[1] < query.strides[2]:
        batch, heads, length, width = shape
        return np.empty((batch, length, heads, width), query.dtype).swapaxes(1, 2)
    return np.empty(shape, query.dtype)


def in_grid(x: Array) -> Array:
    """Matrices (..., heads, l, e) as (batch, heads, l, e)."""
    *batch, heads = x.shape[:-2] or (1,)
    return x.reshape(math.prod(batch), heads, *x.shape[-2:])


def matrices(batch: int, heads: int, size: int) -> list[tuple[slice, slice]]:
    """Parts of a grid of matrices of that size."""
    several = parts(heads, size, CACHED)
    images = parts(batch, size * (several[0].stop - several[0].start), CACHED)
    return [(image, few) for image in images for few in several]


def fill(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    scale: float,
    is_causal: bool,
    output: Array,
    weights: Array | None,
) -> None:
    """Write the output, and the weights where kept, some matrices or some rows of one at a time."""
    batch, heads, length = query.shape[:3]
    source = key.shape[2]
    # Of a causal tile only the last square has keys to leave out, and those after it are not met.
    tile = max(FEWEST, -(-length // 4)) * source if is_causal else CACHED
    rows = parts(length, source, min(tile, CACHED))
    one = ones(source, query.dtype)
    factor = query.dtype.type(scale)
    chosen = mask is not None and mask.dtype == np.bool_

    def attend(piece: tuple[slice, slice, slice]) -> None:
        *some, lines = piece
        few = tuple(some)
        # No query of these rows looks further.
        seen = min(lines.stop, source) if is_causal else source
        across = upright(key[few][..., :seen, :])
        place = None if weights is None or seen < source else weights[piece]
        early = None
        if is_causal and lines.start < seen:
            early = earlier(lines.stop - lines.start, query.dtype)[:, : seen - lines.start]
        part = None if mask is None else once(mask[piece][..., :seen])
        bias, shown = (None, part) if chosen else (part, None)

        def scored() -> Array:
            found = np.matmul(query[piece] * factor, across, out=place)
            return found if bias is None else np.add(found, bias, out=found)

        scores = scored()
        if not softmax_unshifted(scores, early, shown, one[:seen]):
            scores = scored()
            if shown is not None:
                np.copyto(scores, -math.inf, where=~shown)
            if early is not None:
                np.copyto(scores[..., lines.start :], -math.inf, where=early == 0)
            softmax_in_place(scores, one[:seen], mask is not None)
        np.matmul(scores, value[few][..., :seen, :], out=output[piece])
        if weights is not None and place is None:
            weights[piece][..., :seen] = scores
            weights[piece][..., seen:] = 0

    size = (rows[0].stop - rows[0].start) * source
    pieces = [(*some, lines) for some in matrices(batch, heads, size) for lines in rows]
    each(attend, pieces, batch * heads * length * source * SLOWEST)


def upright(x: Array) -> Array:
    """Transposed matrices; as copies where products take longer to look across them."""
    turned = x.swapaxes(2, 3)
    return np.ascontiguousarray(turned) if x.shape[3] <= NARROW else turned


@lru_cache(64)
def earlier(count: int, dtype: np.dtype[Any]) -> Array:
    """1 where a key does not come after one of `count` queries, else 0."""
    found = np.tri(count, dtype=dtype)
    found.flags.writeable = False
    return found


def once(x: Array) -> Array:
    """What was broadcast to an array."""
    return x[tuple([slice(None if step else 1) for step in x.strides])]


def softmax_unshifted(scores: Array, early: Array | None, shown: Array | None, one: Array) -> bool:
    """Softmax of each row in place, if that is exact; zeros where a mask is False.

    `early` is 1 for those of the last columns that count, and else 0.
    """
    if not np.maximum.reduce(scores, None) <= FAR:
        return False
    np.exp(scores, out=scores)
    if early is not None:
        square = scores[..., -early.shape[1] :]
        np.multiply(square, early, out=square)
    if shown is not None:
        np.multiply(scores, shown.astype(scores.dtype), out=scores)
    total = np.matmul(scores, one)
    exact = bool(np.minimum.reduce(total, None) >= LEAST)
    if exact:
        divide(scores, total)
    return exact


def softmax_in_place(scores: Array, one: Array, masked: bool) -> None:
    """Softmax of each row, zeros where all of it is -inf."""
    largest = np.maximum.reduce(scores, -1, keepdims=True)
    if masked:
        largest[np.isneginf(largest)] = 0
    np.subtract(scores, largest, out=scores)
    np.exp(scores, out=scores)
    total = np.matmul(scores, one)
    if masked:
        total[total == 0] = 1
    divide(scores, total)


def divide(scores: Array, total: Array) -> None:
    """Divide each row by its sum, in place."""
    np.reciprocal(total, out=total)
    np.multiply(scores, total[..., None], out=scores)


def attention_slopes(
    xp: Any,
    slope: Array,
    query: Array,
    key: Array,
    value: Array,
    weights: Array,
    /,
    *,
    scale: float,
    wanted: tuple[bool, ...] = (True, True, True),
) -> tuple[Array | None, ...]:
    """`attention_slopes`, some matrices or some rows of one at a time."""
    inputs = slope, query, key, value, weights
    dtype = query.dtype
    if is_half(dtype):
        wide = widened(xp, *inputs)
        return narrowed(xp, query, attention_slopes(xp, *wide, scale=scale, wanted=wanted))
    made = np.empty if weights.size else np.zeros
    found = [
        made(x.shape, dtype) if want else None
        for x, want in zip((query, key, value), wanted, strict=True)
    ]
    if weights.size:
        grids = [None if x is None else in_grid(x) for x in found]
        pull([in_grid(x) for x in inputs], dtype.type(scale), grids)
    return tuple(found)


def pull(inputs: list[Array], factor: Any, found: list[Array | None]) -> None:
    """Write those gradients that are wanted."""
    slope, query, key, value, weights = inputs
    to_query, to_key, to_value = found
    batch, heads, length, source = weights.shape
    one = ones(source, query.dtype)
    rows = parts(length, source, CACHED)

    def go(some: tuple[slice, slice]) -> None:
        for lines in rows:
            piece = (*some, lines)
            shares, g = weights[piece], slope[piece]
            if to_value is not None:
                add_product(shares.swapaxes(2, 3), g, to_value[some], lines)
            if to_query is None and to_key is None:
                continue
            through = np.matmul(g, upright(value[some]))
            total = np.matmul(np.multiply(through, shares), one)
            np.subtract(through, total[..., None], out=through)
            np.multiply(through, shares, out=through)
            np.multiply(through, factor, out=through)
            if to_query is not None:
                np.matmul(through, key[some], out=to_query[piece])
            if to_key is not None:
                add_product(through.swapaxes(2, 3), query[piece], to_key[some], lines)

    def add_product(left: Array, right: Array, total: Array, lines: slice) -> None:
        if lines.start == 0:
            np.matmul(left, right, out=total)
        else:
            np.add(total, np.matmul(left, right), out=total)

    each(go, matrices(batch, heads, length * source), weights.size * SLOWEST)


KERNELS = {"attention": attention, "attention_slopes": attention_slopes}
