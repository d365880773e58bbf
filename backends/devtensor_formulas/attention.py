"""Attention, whose weights are one formula of the products of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.ops import attention as common
from devtensor.ops.linalg import swap

from .fuse import Fuser, formula_of
from .trace import BOOL, HALF


def kernels(fuser: Fuser) -> dict[str, Callable[..., Any]]:
    """The kernel of attention without dropout."""

    def attention(
        xp: Any, query: Any, key: Any, value: Any, mask: Any = None, /, *, scale: float,
        is_causal: bool = False, keep: bool = True,
    ) -> tuple[Any, Any]:  # fmt: skip
        """`attention`: scale, mask and softmax in one kernel."""
        f, half = formula_of(xp), query.dtype == HALF
        # Half precision may have no room for what is not scaled.
        scores = xp.matmul(query * scale if half else query, swap(xp, key))

        def write(scores: Any, mask: Any = None) -> Any:
            kind = scores.dtype
            scores = f.astype(scores, xp.float32) if half else scores * scale
            if is_causal:
                seen = f.less_equal(f.places(scores, -1), f.places(scores, -2))
                scores = f.where(seen, scores, -math.inf)
            if mask is not None and mask.dtype == BOOL:
                scores = f.where(mask, scores, -math.inf)
            elif mask is not None:
                scores = scores + f.astype(mask, scores.dtype)
            # A query that may look at nothing gets weights of 0, not NaN.
            largest = f.max(scores, axis=-1, keepdims=True)
            weights = f.exp(scores - f.where(largest == -math.inf, 0.0, largest))
            total = f.sum(weights, axis=-1, keepdims=True)
            return f.astype(weights / f.where(total == 0.0, 1.0, total), kind)

        if fuser.large(scores):
            given = [scores] if mask is None else [scores, mask]
            weights = fuser.along(given, write, "attention", scale, is_causal)
            if weights is not None:
                return xp.matmul(weights, value), weights
        how = {"scale": scale, "is_causal": is_causal, "keep": keep}
        return common.attention.kernel(xp, query, key, value, mask, **how)

    return {"attention": attention}
