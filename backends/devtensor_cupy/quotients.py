"""Quotients of floats that are rounded down, and what is left: CuPy's lose what rounding takes.

CuPy has ``1 // 0.1`` for 10 and ``1 % inf`` for NaN; in PyTorch and NumPy they are 9 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .kernels import elementwise
from .runtime import cupy

__all__ = ["floor_divide", "remainder"]


def exact(name: str, whole: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The kernel `name` for floats, and CuPy's function `whole` for whole numbers."""

    def call(x1: Any, x2: Any, /) -> Any:
        dtype = cupy.result_type(x1, x2)
        if dtype.kind not in "fV":
            return whole(x1, x2)
        wide = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
        given = [x.astype(wide, copy=False) if hasattr(x, "dtype") else x for x in (x1, x2)]
        return elementwise(name)(*given).astype(dtype, copy=False)

    call.__name__, call.__doc__ = name, whole.__doc__
    return call


floor_divide = exact("floor_divide", cupy.floor_divide)
remainder = exact("remainder", cupy.remainder)
