"""Kernels of our own in the place of the common ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import linalg, reduce
from devtensor.ops.arguments import over

from .kernels import elementwise
from .runtime import cupy


def philox(xp: Any, count: int, seed: int, offset: int, stream: int = 0) -> Any:
    """Random words in one launch; see `devtensor.ops.random.philox`."""
    words = cupy.empty(count, np.uint32)
    if count:
        whole = np.uint64
        elementwise("philox")(
            whole(seed % (1 << 64)), whole(offset % (1 << 64)), whole(stream), count, words,
            size=-(-count // 4),
        )  # fmt: skip
    return words


def sum(
    xp: Any, input: Any, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """`sum`, with little before the launch where nothing is converted."""
    if dtype is not None or input.dtype.char not in "fd":
        return reduce.sum.kernel(xp, input, dim, keepdim, dtype=dtype)
    return input.sum(None if dim is None else over(dim, input.ndim), None, None, keepdim)


def matmul(xp: Any, input: Any, other: Any, /) -> Any:
    """`matmul`; the operator of two matrices starts sooner than CuPy's function."""
    left, right = input.shape, other.shape
    if len(left) == len(right) == 2 and left[1] == right[0] and input.dtype == other.dtype:
        return input @ other
    return linalg.matmul.kernel(xp, input, other)


KERNELS: dict[str, Callable[..., Any]] = {"matmul": matmul, "philox": philox, "sum": sum}
