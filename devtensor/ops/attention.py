"""Attention: a weighted mean of values, the weights from how well queries meet keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from devtensor.op import composite, derivative, op
from devtensor.ops.activation import softmax_bend
from devtensor.ops.elementwise import half, narrowed, widened
from devtensor.ops.linalg import kind_of, product_text, require_batches, sum_to, swap

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


@op(
    public=False,
    promotes=None,
    outputs=("output", "weights"),
    node="ScaledDotProductAttentionBackward0",
    examples=[
        ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 2), None, {"scale": 0.5}),
        ((2, 5, 4), (2, 5, 4), (2, 5, 4), None, {"scale": 0.5, "is_causal": True}),
        ((2, 5, 4), (1, 6, 4), (6, 3), (5, 6), {"scale": 0.7}),
    ],
)
def attention(xp, query, key, value, mask=None, /, *, scale, is_causal=False, keep=True):
    """Attention without dropout; the second result is the weights.

    Parameters
    ----------
    query, key, value : Tensor
        Shapes ``(..., l, e)``, ``(..., s, e)`` and ``(..., s, v)``.
    mask : Tensor, optional
        Broadcasts to ``(..., l, s)``. Bool: False keeps a query from a key. Float: added to the
        products.
    scale : float
        The factor of the products.
    is_causal : bool, optional
        Keep query `i` from all keys after `i`.
    keep : bool, optional
        Whether the weights will be asked for, as the way back does; otherwise they may be empty.
    """
    if half(query):
        wide = widened(xp, query, key, value, mask)
        found = attention.kernel(xp, *wide, scale=scale, is_causal=is_causal, keep=keep)
        return narrowed(xp, query, found)
    scores = masked_scores(xp, xp.matmul(query * scale, swap(xp, key)), mask, is_causal)
    # A query that may look at nothing gets weights of 0, not NaN.
    largest = (
        xp.max(scores, axis=-1, keepdims=True)
        if scores.shape[-1]
        else xp.sum(scores, axis=-1, keepdims=True)
    )
    weights = xp.exp(scores - xp.where(largest == -math.inf, xp.zeros_like(largest), largest))
    total = xp.sum(weights, axis=-1, keepdims=True)
    weights = weights / xp.where(total == 0, xp.ones_like(total), total)
    return xp.matmul(weights, value), weights


def masked_scores(xp: Any, scores: Any, mask: Any, is_causal: bool) -> Any:
    """The scores with -inf where a query may not look."""
    if is_causal:
        allowed = xp.tril(xp.ones(tuple(scores.shape[-2:]), dtype=xp.bool))
        scores = xp.where(allowed, scores, xp.full_like(scores, -math.inf))
    if mask is None:
        return scores
    if kind_of(mask).kind == "bool":
        return xp.where(mask, scores, xp.full_like(scores, -math.inf))
    return scores + mask


@op(
    public=False,
    promotes=None,
    outputs=("query_slope", "key_slope", "value_slope"),
    examples=[
        ((2, 3, 5, 2), (2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 2), (2, 3, 5, 6), {"scale": 0.5}),
        ((5, 3), (5, 4), (6, 4), (6, 3), (5, 6), {"scale": 0.7}),
    ],
)
def attention_slopes(xp, slope, query, key, value, weights, /, *, scale, wanted=(True, True, True)):
    """The gradients of `attention` from that of its output, where nothing was broadcast.

    Parameters
    ----------
    slope, query, key, value : Tensor
        The gradient of the output, and the inputs.
    weights : Tensor
        The second result.
    scale : float
        As of `attention`.
    wanted : tuple of bool
        Which gradients are.
    """
    slope_query = slope_key = slope_value = None
    if half(query):
        wide = widened(xp, slope, query, key, value, weights)
        return narrowed(xp, query, attention_slopes.kernel(xp, *wide, scale=scale, wanted=wanted))
    if wanted[0] or wanted[1]:
        scores = xp.softmax_slope(xp.matmul(slope, swap(xp, value)), weights, -1)
    if wanted[0]:
        slope_query = xp.matmul(scores, key) * scale
    if wanted[1]:
        slope_key = xp.matmul(swap(xp, scores), query) * scale
    if wanted[2]:
        slope_value = xp.matmul(swap(xp, weights), slope)
    return slope_query, slope_key, slope_value


def attention_slopes_rule(xp, gs, slope, query, key, value, weights, scale):
    """The gradients of the gradients."""
    g_query, g_key, g_value = gs
    through = xp.matmul(slope, swap(xp, value))
    scores = xp.softmax_slope(through, weights, -1)
    to_slope = to_query = to_key = to_value = to_weights = to_scores = None
    if g_query is not None:
        to_key = xp.mul(xp.matmul(swap(xp, scores), g_query), scale)
        to_scores = xp.mul(xp.matmul(g_query, swap(xp, key)), scale)
    if g_key is not None:
        to_query = xp.mul(xp.matmul(scores, g_key), scale)
        part = xp.mul(xp.matmul(query, swap(xp, g_key)), scale)
        to_scores = part if to_scores is None else to_scores + part
    if to_scores is not None:
        to_through = xp.softmax_slope(to_scores, weights, -1)
        to_slope, to_value = xp.matmul(to_through, value), xp.matmul(swap(xp, to_through), slope)
        to_weights = softmax_bend(xp, to_scores, through, weights, -1)
    if g_value is not None:
        part, more = xp.matmul(weights, g_value), xp.matmul(slope, swap(xp, g_value))
        to_slope = part if to_slope is None else to_slope + part
        to_weights = more if to_weights is None else to_weights + more
    return to_slope, to_query, to_key, to_value, to_weights


derivative(attention_slopes, together=attention_slopes_rule)


def attention_rule(xp, gs, query, key, value, weights, mask_shape, scale, needs):
    g, g_weights = gs
    masked = len(needs) > 3 and needs[3]
    alike = len({tuple(x.shape[:-2]) for x in (query, key, value, weights)}) == 1
    if alike and g is not None and g_weights is None and not masked:
        wanted = tuple(needs[:3])
        found = xp.attention_slopes(g, query, key, value, weights, scale=scale, wanted=wanted)
        return (*found, None)
    slope_value = None
    if g is not None:
        if needs[2]:
            slope_value = sum_to(xp, xp.matmul(swap(xp, weights), g), value.shape)
        through = xp.matmul(g, swap(xp, value))
        g_weights = through if g_weights is None else through + g_weights
    g_scores = xp.softmax_slope(g_weights, weights, -1)
    slope_query = slope_key = slope_mask = None
    if needs[0]:
        slope_query = sum_to(xp, xp.mul(xp.matmul(g_scores, key), scale), query.shape)
    if needs[1]:
        slope_key = sum_to(xp, xp.mul(xp.matmul(swap(xp, g_scores), query), scale), key.shape)
    if masked:
        slope_mask = sum_to(xp, g_scores, mask_shape)
    return slope_query, slope_key, slope_value, slope_mask


derivative(attention, together=attention_rule)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)),
        ((2, 5, 4), (2, 5, 4), (2, 5, 4), {"is_causal": True}),
        ((5, 4), (6, 4), (6, 3), {"scale": 1.0}),
        ((2, 4, 5, 3), (2, 2, 6, 3), (2, 2, 6, 3), {"enable_gqa": True}),
    ],
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Mean of the values, weighted to each query by the softmax of its products with the keys.

    Parameters
    ----------
    query : Tensor
        Shape ``(..., heads, l, e)``.
    key : Tensor
        Shape ``(..., heads, s, e)``.
    value : Tensor
        Shape ``(..., heads, s, v)``.
    attn_mask : Tensor, optional
        Broadcasts to ``(..., l, s)``. Bool: True lets a query look at a key. Float: added to the
        products.
    dropout_p : float, optional
        Probability that a weight is left out. It is applied whenever above 0: pass 0 when
        evaluating.
    is_causal : bool, optional
        Let query `i` look at the keys up to `i` only.
    scale : float, optional
        The factor of the products; ``1 / sqrt(e)`` by default.
    enable_gqa : bool, optional
        Allow fewer heads in `key` and `value`: each serves as many neighbouring heads of `query`.

    Returns
    -------
    Tensor
        Shape ``(..., heads, l, v)``. A query that may look at nothing gets zeros.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit, or `dropout_p` is not a probability.
    """
    plain = alike(query, key, value)
    if attn_mask is not None or not plain:
        require_attention(query, key, value, attn_mask)
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True; add what is_causal forbids to the mask"
        )
    heads = query.shape[-3] if enable_gqa else None
    if heads is not None:
        query, key, value, attn_mask = grouped(query, key, value, attn_mask)
    if not plain:
        require_batches(query.shape[:-2], key.shape[:-2])
        require_batches(query.shape[:-2], value.shape[:-2])
    if attn_mask is not None:
        require_batches((*query.shape[:-1], key.shape[-2]), attn_mask.shape)
    scale = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else float(scale)
    given = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    drops = dropout_p > 0
    result, weights = attention(
        query,
        key,
        value[..., :0] if drops else value,
        attn_mask,
        scale=scale,
        is_causal=is_causal,
        keep=drops or any([x.requires_grad for x in given]),
    )
    if drops:
        result = without_some(weights, dropout_p) @ value
    return result if heads is None else result.flatten(-4, -3)


def alike(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether nothing is left to check: one type, one batch, keys and values of one shape."""
    shape, keys = tuple(query.shape), tuple(key.shape)
    return (
        len(shape) >= 2
        and keys == value.shape
        and shape[:-2] == keys[:-2]
        and shape[-1] == keys[-1]
        and query.dtype is key.dtype is value.dtype
        and query.is_floating_point()
    )


def require_attention(query: Any, key: Any, value: Any, mask: Any) -> None:
    """Raise RuntimeError unless ranks, dtypes and matrix sizes fit."""
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    if not query.is_floating_point():
        refusal = NotImplementedError if query.is_complex() else RuntimeError
        raise refusal(
            f"expected scalar type Float but found {kind_of(query).legacy}; convert with .float()"
        )
    if mask is not None and kind_of(mask).kind != "bool" and mask.dtype != query.dtype:
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.dtype} and  query.dtype: {query.dtype} instead."
        )
    queries, size = query.shape[-2:]
    keys = key.shape[-2]
    if key.shape[-1] != size:
        raise RuntimeError(
            product_text((queries, size), (key.shape[-1], keys)) + ": query and key differ in size"
        )
    if value.shape[-2] != keys:
        raise RuntimeError(
            product_text((queries, keys), tuple(value.shape[-2:]))
            + ": key and value differ in length"
        )


def grouped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Views in which the heads of `query` that share a head of `key` have their own dimension."""
    heads, shared = query.shape[-3], key.shape[-3]
    if shared == 0 or heads % shared or value.shape[-3] != shared:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query, got "
            f"{shared} and {value.shape[-3]} for {heads}"
        )
    query = query.unflatten(-3, (shared, heads // shared))
    if mask is not None and mask.ndim > 2:
        mask = (
            mask.unsqueeze(-4)
            if mask.shape[-3] == 1
            else mask.unflatten(-3, (shared, heads // shared))
        )
    return query, key.unsqueeze(-3), value.unsqueeze(-3), mask


def without_some(weights: Tensor, probability: float) -> Tensor:
    """The weights, each left out with a probability and the others enlarged to make up for it."""
    if probability == 1:
        return weights * 0
    kept = weights.detach().new_empty(weights.shape).bernoulli_(1 - probability)
    return weights * (kept / (1 - probability))
