"""Look-up in tables: counts in one pass, and only those rows written that change."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops import embedding as common

from .linalg import Array


def occurrences(xp: Any, indices: Array, /, rows: int) -> Array:
    """`occurrences`."""
    return np.bincount(indices, minlength=rows).astype(np.int64, copy=False).take(indices)


def embedding_renorm(
    xp: Any, weight: Array, indices: Array, /, max_norm: float, norm_type: float
) -> tuple[Array]:
    """`embedding_renorm`, in place."""
    listed, rows = common.shortened(xp, weight, indices, max_norm, norm_type)
    weight[listed] = rows
    return (weight,)


KERNELS = {"embedding_renorm": embedding_renorm, "occurrences": occurrences}
