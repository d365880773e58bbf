"""Attention with several heads, and bags of embeddings, written with other functions."""

from __future__ import annotations

import warnings
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["embedding_bag", "multi_head_attention_forward"]


def canonical_mask(
    mask: Any,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Any:
    """Turn a mask whose True means "leave out" into numbers to add; numbers stay."""
    if mask is None:
        return None
    if mask.dtype != dt.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for "
            "both instead.",
            stacklevel=2,
        )
    if mask.dtype != dt.bool:
        return mask
    blank = dt.zeros(mask.shape, dtype=target_type, device=mask.device)
    return blank.masked_fill(mask, float("-inf"))


def none_or_dtype(input: Tensor | None) -> Any:
    """The type of a tensor that may be absent."""
    return None if input is None else input.dtype


def project(
    query: Tensor, key: Tensor, value: Tensor, weights: Any, bias: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Map query, key and value by their matrices; all in one product where they are the same."""
    linear = dt.nn.functional.linear
    if isinstance(weights, Tensor):
        if query is key and key is value:
            q, k, v = linear(query, weights, bias).chunk(3, -1)
            return q, k, v
        weights = weights.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    q, k, v = (
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


def check_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Any,
    attn_mask: Any,
    num_heads: int,
) -> bool:
    """Check dimensions; tell whether there is a batch."""
    if query.ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D "
            "query tensor"
        )
    kind = "batched (3-D)" if query.ndim == 3 else "unbatched (2-D)"
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {query.ndim}-D but found "
            f"{key.ndim}-D and {value.ndim}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != query.ndim - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or "
            f"{query.ndim - 1}-D but found {key_padding_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{attn_mask.ndim}-D tensor instead"
        )
    wanted = (num_heads, query.shape[0], key.shape[0])
    by_head = query.ndim == 2 and attn_mask is not None and attn_mask.ndim == 3
    if by_head and tuple(attn_mask.shape) != wanted:
        raise AssertionError(
            f"Expected `attn_mask` shape to be {wanted} but got {tuple(attn_mask.shape)}"
        )
    return query.ndim == 3


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend with several heads; `nn.MultiheadAttention` describes the arguments.

    Query, key and value have the shape (L, N, E) or (L, E).
    """
    F = dt.nn.functional
    batched = check_attention(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same = query is key, key is value
        query = query.unsqueeze(1)
        key = query if same[0] else key.unsqueeze(1)
        value = key if same[1] else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}"
        )
    size = width // num_heads
    if size * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if key.shape[:2] != value.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {tuple(key.shape[:2])} do not match value's "
            f"{tuple(value.shape[:2])}"
        )
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    key_padding_mask = canonical_mask(
        key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype)

    weights: Any = in_proj_weight
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    q, k, v = project(query, key, value, weights, in_proj_bias)

    if attn_mask is not None:
        if attn_mask.ndim == 2:
            if tuple(attn_mask.shape) != (target, key.shape[0]):
                raise RuntimeError(
                    f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be "
                    f"{(target, key.shape[0])}."
                )
            attn_mask = attn_mask.unsqueeze(0)
        elif tuple(attn_mask.shape) != (batch * num_heads, target, key.shape[0]):
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be "
                f"{(batch * num_heads, target, key.shape[0])}."
            )
    added = 0
    if bias_k is not None and bias_v is not None:
        k = dt.cat([k, bias_k.expand(1, batch, -1)])
        v = dt.cat([v, bias_v.expand(1, batch, -1)])
        added += 1

    def heads(x: Tensor) -> Tensor:  # (L, N, E) to (N, heads, L, size)
        return x.reshape(x.shape[0], batch, num_heads, size).permute(1, 2, 0, 3)

    q = heads(q)
    k = heads(k) if static_k is None else static_k.reshape(batch, num_heads, -1, size)
    v = heads(v) if static_v is None else static_v.reshape(batch, num_heads, -1, size)
    if add_zero_attn:
        nothing = dt.zeros((batch, num_heads, 1, size), dtype=k.dtype, device=k.device)
        k, v = dt.cat([k, nothing], 2), dt.cat([v, nothing], 2)
        added += 1
    source = k.shape[2]

    mask: Any = None
    if attn_mask is not None:
        mask = F.pad(attn_mask, (0, added)) if added else attn_mask
        by_head = (batch, num_heads) if mask.shape[0] != 1 else (1, 1)
        mask = mask.reshape(*by_head, target, source)
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, source - added):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, source - added)}, "
                f"but got {tuple(key_padding_mask.shape)}"
            )
        padding = F.pad(key_padding_mask, (0, added)) if added else key_padding_mask
        padding = padding.reshape(batch, 1, 1, source)
        mask = padding if mask is None else mask + padding
    if not training:
        dropout_p = 0.0

    attention = None
    if need_weights:
        scores = dt.matmul(q * size**-0.5, k.transpose(-2, -1))
        attention = (scores if mask is None else scores + mask).softmax(-1)
        if dropout_p > 0.0:
            attention = F.dropout(attention, p=dropout_p)
        out = dt.matmul(attention, v)
    else:
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout_p)
    out = F.linear(
        out.permute(2, 0, 1, 3).reshape(target, batch, width), out_proj_weight, out_proj_bias
    )
    if attention is not None and average_attn_weights:
        attention = attention.mean(1)
    if not batched:
        out = out.squeeze(1)
        attention = None if attention is None else attention.squeeze(0)
    return out, attention


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Look up bags of rows of `weight` and take the sum, mean or maximum of each bag.

    Parameters
    ----------
    input : Tensor of int
        Row numbers: shape (bags, length), or all bags one after another with `offsets`.
    weight : Tensor
        Shape (rows, width).
    offsets : Tensor of int, optional
        Where each bag begins; with `include_last_offset` also where the last one ends.
    mode : str
        `"sum"`, `"mean"` or `"max"`; an empty bag gives zeros.
    per_sample_weights : Tensor, optional
        The factor of every row; for `"sum"` only.
    padding_idx : int, optional
        A row that does not count.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if not weight.is_floating_point():
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: "
            f"Half, BFloat16, Float, Double; but got {weight.dtype.legacy} instead"
        )
    if per_sample_weights is not None:
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({tuple(per_sample_weights.shape)}) is not "
                f"None, then it must have the same shape as the input ({tuple(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}')."
            )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences."
            )
        counts = dt.ones(input.shape, dtype=dt.bool, device=input.device)
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = offsets.tolist()
        ends = starts[1:] if include_last_offset else [*starts[1:], input.shape[0]]
        if starts and starts[0] != 0:
            raise RuntimeError(
                f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to "
                f"start from position 0. However, got {starts[0]}"
            )
        if starts and starts[-1] > input.shape[0]:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {input.shape[0]} but got "
                f"offsets[-1] of {starts[-1]}"
            )
        # Bags of different lengths become rows of one length; what is too much does not count.
        lengths = [end - start for start, end in zip(starts, ends, strict=False)]
        longest = max(lengths, default=0)
        begin = offsets[: len(lengths)].unsqueeze(1)
        size = dt.tensor(lengths, dtype=dt.int64, device=input.device).unsqueeze(1)
        step = dt.arange(longest, device=input.device)
        counts = step < size
        place = dt.where(counts, begin + step, dt.zeros_like(begin + step))
        if input.shape[0] == 0:
            longest = 0
            place, counts = place[:, :0], counts[:, :0]
        input = input[place]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[place]
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    rows = dt.nn.functional.embedding(
        input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
    )
    if padding_idx is not None:
        counts = counts & (input != padding_idx % weight.shape[0])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    kept = counts.unsqueeze(-1)
    if mode == "max":
        if rows.shape[1] == 0:
            return rows.sum(1)
        highest = rows.masked_fill(~kept, float("-inf")).max(1).values
        return highest.masked_fill(~counts.any(1, keepdim=True), 0.0)
    total = rows.masked_fill(~kept, 0.0).sum(1)
    if mode == "sum":
        return total
    return total / counts.sum(1, keepdim=True).clamp(min=1).to(total.dtype)
