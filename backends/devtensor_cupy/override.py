"""Kernels of our own in the place of the common ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import linalg, reduce
from devtensor.ops import linear as dense
from devtensor.ops.arguments import over
from devtensor_formulas import attention, losses

from . import convolve, draws, indexing, kept, labels, pools, resizing, sorting
from .fuse import FUSER
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


def along(dim: Any, ndim: int) -> Any:
    """Dimensions as CuPy takes them, who asks less about one number than about several."""
    if dim is None or (dim.__class__ is int and -ndim <= dim < ndim):
        return dim
    return over(dim, ndim)


def sum(
    xp: Any, input: Any, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """`sum`, with little before the launch where nothing is converted."""
    if dtype is not None or input.dtype.char not in "fd":
        return reduce.sum.kernel(xp, input, dim, keepdim, dtype=dtype)
    return input.sum(along(dim, input.ndim), None, None, keepdim)


def mean(
    xp: Any, input: Any, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """`mean` in one launch where nothing is converted."""
    if dtype is not None or input.dtype.char not in "fd" or not input.size:
        return reduce.mean.kernel(xp, input, dim, keepdim, dtype=dtype)
    where = along(dim, input.ndim)
    return input.copy() if where == () else input.mean(where, None, None, keepdim)


def extreme(name: str) -> Callable[..., Any]:
    """`amax` or `amin` with little before the launch."""
    common, find = getattr(reduce, name).kernel, name[1:]

    def call(xp: Any, input: Any, /, dim: Any = (), keepdim: bool = False) -> Any:
        if not input.size or not input.ndim or input.dtype.char not in "fd":
            return common(xp, input, dim, keepdim)
        return getattr(input, find)(along(dim, input.ndim), None, keepdim)

    return call


def matmul(xp: Any, input: Any, other: Any, /) -> Any:
    """`matmul`; the operator of two matrices starts sooner than CuPy's function."""
    left, right = input.shape, other.shape
    if len(left) == len(right) == 2 and left[1] == right[0] and input.dtype == other.dtype:
        return input @ other
    return linalg.matmul.kernel(xp, input, other)


def linear(xp: Any, input: Any, weight: Any, bias: Any = None, /) -> Any:
    """`linear`; a vector is added to the product where this stands."""
    common = dense.linear.kernel
    if weight.ndim != 2 or bias is None or bias.shape != weight.shape[:1]:
        return common(xp, input, weight, bias)
    if bias.dtype != weight.dtype:
        return common(xp, input, weight, bias)  # which refuses it
    made, found = common(xp, input, weight), None
    if FUSER.large(made):
        found = FUSER.along([made, bias], lambda x, y: x + y, "plus", targets=[made])
    return made + bias if found is None else found


KERNELS: dict[str, Callable[..., Any]] = {
    "amax": extreme("amax"), "amin": extreme("amin"), "linear": linear, "matmul": matmul,
    "mean": mean, "philox": philox, "sum": sum, **convolve.KERNELS, **draws.KERNELS,
    **indexing.KERNELS, **kept.KERNELS, **pools.KERNELS, **resizing.KERNELS, **sorting.KERNELS,
    **attention.kernels(FUSER), **losses.kernels(FUSER, labels.look),
}  # fmt: skip
KERNELS.update(FUSER.kernels(KERNELS))
