"""Kernels of our own in the place of the common ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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


KERNELS: dict[str, Callable[..., Any]] = {"philox": philox}
