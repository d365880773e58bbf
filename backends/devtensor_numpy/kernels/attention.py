"""Attention, one matrix of scores at a time, so that it stays in the processor's cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .linalg import Array, ones


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
    if query.dtype == np.float16:
        wide = [x if x is None or x.dtype == np.bool_ else x.astype(np.float32) for x in (query, key, value, mask)]
        output, weights = attention(xp, *wide, scale=scale, is_causal=is_causal, keep=keep)
        return output.astype(np.float16), weights.astype(np.float16)
    length, source = query.shape[-2], key.shape[-2]
    batch = np.broadcast_shapes(
        query.shape[:-2], key.shape[:-2], value.shape[:-2], () if mask is None else mask.shape[:-2]
    )
    count = math.prod(batch)
    query, key, value = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (query, key, value))
    later = masked_out(length, source, query.dtype) if is_causal else None
    if mask is not None:
        mask = np.broadcast_to(mask, (*batch, length, source))
    output = np.empty((*batch, length, value.shape[-1]), query.dtype)
    weights = np.empty((*batch, length, source) if keep else (length, source), query.dtype)
    if count and length and source:
        one = ones(source, query.dtype)
        factor = query.dtype.type(scale)
        for place in np.ndindex(*batch):
            block = weights[place] if keep else weights
            np.matmul(query[place] * factor, key[place].T, out=block)
            if later is not None:
                np.add(block, later, out=block)
            if mask is not None:
                add_mask(block, mask[place])
            softmax_in_place(block, one, later is not None or mask is not None)
            np.matmul(block, value[place], out=output[place])
    else:
        output[...] = 0
    return output, weights


def masked_out(length: int, source: int, dtype: np.dtype[Any]) -> Array:
    """-inf where a query would see a later key."""
    return np.triu(np.full((length, source), -math.inf, dtype), 1)


def add_mask(scores: Array, mask: Array) -> None:
    """Take a mask into the scores, in place."""
    if mask.dtype == np.bool_:
        np.copyto(scores, -math.inf, where=~mask)
    else:
        np.add(scores, mask, out=scores)


def softmax_in_place(scores: Array, one: Array, masked: bool) -> None:
    """Softmax of each row, zeros where all of it is -inf."""
    largest = np.maximum.reduce(scores, 1, keepdims=True)
    if masked:
        largest[np.isneginf(largest)] = 0
    np.subtract(scores, largest, out=scores)
    np.exp(scores, out=scores)
    total = np.matmul(scores, one)
    if masked:
        total[total == 0] = 1
    np.reciprocal(total, out=total)
    np.multiply(scores, total[:, None], out=scores)


KERNELS = {"attention": attention}
