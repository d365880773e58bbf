"""The standard's functions where CuPy has other arguments, other results, or nothing."""

from __future__ import annotations

import builtins
from math import prod as product
from typing import Any

import numpy as np

from devtensor_numpy import quick

from .kernels import elementwise
from .lookup import read
from .memory import contiguous
from .runtime import cupy

__all__ = [
    "all", "any", "argmax", "argmin", "astype", "broadcast_arrays", "clip", "conj",
    "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "expand_dims", "finfo", "flip",
    "imag", "isdtype", "matmul", "matrix_transpose", "max", "mean", "meshgrid", "min", "moveaxis",
    "permute_dims", "prod", "real", "repeat", "reshape", "roll", "round", "squeeze", "std",
    "sum", "take", "take_along_axis", "tensordot", "tile", "unstack", "var",
    "vecdot", "where",
]  # fmt: skip


# ---- types


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The numbers of `x` as another type; of complex ones the real parts, as in PyTorch."""
    dtype = np.dtype(dtype)
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = x != 0 if dtype.kind == "b" else x.real
    if x.dtype.kind == "f" and dtype.kind == "u":
        # Negative numbers become 0 on a GPU; PyTorch and processors let them wrap around.
        return x.astype(np.int64).astype(dtype) if dtype.itemsize < 8 else wrapped(x, dtype)
    return x.astype(dtype, copy=copy)


def wrapped(x: Any, dtype: Any) -> Any:
    """Floats as uint64; negative ones count from the top."""
    return cupy.where(x < 0, x.astype(np.int64).astype(dtype), x.astype(dtype))


isdtype, finfo = quick.isdtype, quick.finfo


# ---- in the place of what the standard calls by other names


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """`x` in another shape; a view where that is possible.

    Raises
    ------
    ValueError
        If it is not, and a copy is forbidden.
    """
    made = x.reshape(shape)
    if copy is None:
        return made
    shares = made.data.mem is x.data.mem
    if not copy and not shares:
        raise ValueError(f"reshape: no view of strides {x.strides} has the shape {made.shape}")
    return contiguous(made) if copy and shares else made


def permute_dims(x: Any, /, axes: Any) -> Any:
    """`x` with its dimensions in another order."""
    return x.transpose(axes)


def matrix_transpose(x: Any, /) -> Any:
    """Matrices with rows in the place of columns."""
    return x.swapaxes(-1, -2)


def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """`x` with a further dimension of length 1."""
    return cupy.expand_dims(x, axis)


def squeeze(x: Any, /, axis: Any) -> Any:
    """`x` without dimensions of length 1."""
    return x.squeeze(axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """`x` with dimensions moved elsewhere."""
    return cupy.moveaxis(x, source, destination)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """`x` backwards, copied."""
    return contiguous(cupy.flip(x, axis))


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """`x` moved around."""
    return cupy.roll(x, shift, axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """`x` several times."""
    return cupy.tile(x, repetitions)


def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Elements several times; an array of counts is looked at on the host."""
    if isinstance(repeats, cupy.ndarray):
        repeats = repeats.get().tolist()
    return cupy.repeat(x, repeats, axis)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along a dimension."""
    return tuple(cupy.moveaxis(x, axis, 0))


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """Arrays in one shape."""
    return list(cupy.broadcast_arrays(*arrays))


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Matrices of coordinates."""
    return list(cupy.meshgrid(*arrays, indexing=indexing))


def conj(x: Any, /) -> Any:
    """The conjugates."""
    return cupy.conj(x)


def real(x: Any, /) -> Any:
    """The real parts."""
    return x.real


def imag(x: Any, /) -> Any:
    """The imaginary parts."""
    return x.imag


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """Elements of `x1` where `condition` is true, else of `x2`."""
    try:  # of one type, as in nearly all calls: CuPy's function takes half as long again to begin
        if condition.dtype.char == "?" and x1.dtype == x2.dtype:
            return elementwise("where")(condition, x1, x2)
    except AttributeError:  # a number
        pass
    return cupy.where(condition, x1, x2)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """Numbers moved into an interval."""
    if min is None and max is None:
        return contiguous(x)
    if min is not None:
        x = cupy.maximum(x, number(min, x))
    return x if max is None else cupy.minimum(x, number(max, x))


def number(bound: Any, x: Any) -> Any:
    """A bound in the type of `x`; one that an integer type has not is moved into its range."""
    if isinstance(bound, cupy.ndarray):
        return bound if bound.dtype == x.dtype else bound.astype(x.dtype)
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        return x.dtype.type(builtins.min(builtins.max(bound, limits.min), limits.max))
    return x.dtype.type(bound)


def round(x: Any, /) -> Any:
    """The nearest whole numbers, of two the even one."""
    return contiguous(x) if x.dtype.kind in "biu" else cupy.rint(x)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours."""
    return cupy.diff(x, n, axis, prepend, append)


# ---- reductions


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum."""
    return x.sum(axis, dtype, None, keepdims)


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product."""
    return x.prod(axis, dtype, None, keepdims)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest number."""
    return x.max(axis, None, keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest number."""
    return x.min(axis, None, keepdims)


def argmax(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The place of the largest number."""
    return cupy.argmax(x, axis, None, None, keepdims)


def argmin(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The place of the smallest number."""
    return cupy.argmin(x, axis, None, None, keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether something is true."""
    return cupy.any(x, axis, None, keepdims)


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether everything is true."""
    return cupy.all(x, axis, None, keepdims)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean."""
    return x.mean(axis, None, None, keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The variance."""
    if x.dtype.kind == "f" and x.itemsize == 2:
        found = var(x.astype(np.float32), axis=axis, correction=correction, keepdims=keepdims)
        return found.astype(x.dtype)
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    axes = axis if isinstance(axis, tuple) else range(x.ndim) if axis is None else (axis,)
    count = product([x.shape[a] for a in axes])
    off = x - x.mean(axis, None, None, True)
    squares = off * off if x.dtype.kind != "c" else off.real**2 + off.imag**2
    total = squares.sum(axis, None, None, keepdims)
    return total / squares.dtype.type(builtins.max(count - correction, 0))


def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The sums of the elements up to each."""
    return running(cupy.cumsum(x, axis, dtype), cupy.zeros, axis, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The products of the elements up to each."""
    return running(cupy.cumprod(x, axis, dtype), cupy.ones, axis, include_initial)


def running(found: Any, first: Any, axis: int | None, include_initial: bool) -> Any:
    """`found`, if it is wanted with what none comes to before it."""
    if not include_initial:
        return found
    axis = (axis or 0) % found.ndim
    shape = (*found.shape[:axis], 1, *found.shape[axis + 1 :])
    return cupy.concatenate([first(shape, found.dtype), found], axis)


def std(x: Any, /, *, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation."""
    return cupy.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many numbers are not 0."""
    return (x != 0).sum(axis, np.int64, None, keepdims)


# ---- products


def matmul(x1: Any, x2: Any, /) -> Any:
    """The products of matrices; CuPy has no batches of them in bfloat16."""
    if x1.dtype.char == "E" and (x1.ndim > 2 or x2.ndim > 2):
        return cupy.matmul(x1.astype(np.float32), x2.astype(np.float32)).astype(x1.dtype)
    return cupy.matmul(x1, x2)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The product of vectors along an axis."""
    x1, x2 = cupy.moveaxis(x1, axis, -1), cupy.moveaxis(x2, axis, -1)
    return matmul(cupy.conj(x1)[..., None, :], x2[..., None])[..., 0, 0]


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The product over several axes."""
    return cupy.tensordot(x1, x2, axes)


# ---- CuPy takes indices that are out of range as if the array repeated itself


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """Slices at indices; waits for the device, to check them."""
    if axis is None:
        axis, x = (0, x.reshape(-1)) if x.ndim != 1 else (0, x)
    return read(x, axis % x.ndim, indices, False)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """Elements at indices along an axis; waits for the device, to check them."""
    axis %= x.ndim
    rest = [
        n if d == axis else m for d, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))
    ]
    shape = np.broadcast_shapes(tuple(rest), indices.shape)
    x = cupy.broadcast_to(x, (*shape[:axis], x.shape[axis], *shape[axis + 1 :]))
    return read(x, axis, cupy.broadcast_to(indices, shape), True)
