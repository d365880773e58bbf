"""The layer `linear`: one BLAS call, and the bias added in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops.linalg import rows_of
from devtensor.ops.linear import require_linear

from .linalg import Array, product


def linear(xp: Any, input: Array, weight: Array, bias: Array | None = None, /) -> Array:
    """`linear` on the rows of a matrix."""
    if (
        input.ndim == 2 == weight.ndim
        and input.shape[1] == weight.shape[1]
        and input.dtype is weight.dtype
        and (bias is None or (bias.dtype is weight.dtype and bias.shape == weight.shape[:1]))
    ):
        result = product(input, weight.T)
    else:
        shape = require_linear(input, weight, bias)
        flat = input if input.ndim == 2 else input.reshape(rows_of(input), input.shape[-1])
        result = np.asarray(product(flat, weight.T)).reshape(shape)
    if bias is not None:
        np.add(result, bias, out=result)
    return result


KERNELS = {"linear": linear}
