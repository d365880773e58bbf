"""Array API functions by methods and reductions: NumPy's own cost several times the work itself.

They take what the array API promises, and NumPy's scalars, which its functions return for arrays
without dimensions.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


# ---- other numbers ----


@lru_cache(256)
def number(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as an array without dimensions, with which NumPy calculates faster."""
    return np.asarray(value, dtype)


@lru_cache(64)
def ones(count: int, dtype: np.dtype[Any]) -> Array:
    """A vector of ones that nobody writes to."""
    vector = np.ones(count, dtype)
    vector.flags.writeable = False
    return vector


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The numbers of `x` as another type; of complex ones the real parts, as in PyTorch."""
    if x.dtype.kind == "c" and x.dtype != dtype and np.dtype(dtype).kind != "c":
        x = x != 0 if dtype == np.bool_ else x.real
    return x.astype(dtype, copy=copy)


@lru_cache(256)
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a data type is of a kind; bfloat16 is among the real floating ones."""
    if isinstance(kind, tuple):
        return builtins.any(isdtype(dtype, k) for k in kind)
    dtype = np.dtype(dtype)
    if not isinstance(kind, str):
        return bool(dtype == np.dtype(kind))
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of data type; there are {', '.join(KINDS)}")
    return dtype.kind in KINDS[kind]


KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "fV",  # V: types of ml_dtypes.
    "complex floating": "c",
    "numeric": "iufcV",
}


def finfo(dtype: Any, /) -> Any:
    """The limits of a floating type."""
    dtype = getattr(dtype, "dtype", dtype)
    if np.dtype(dtype).kind == "V":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Zeros in the shape of `x`."""
    return np.zeros(x.shape, x.dtype if dtype is None else dtype)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Ones in the shape of `x`."""
    return np.ones(x.shape, x.dtype if dtype is None else dtype)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """One number in a shape."""
    if dtype is None:
        return np.full(shape, fill_value)
    out = np.empty(shape, dtype)
    out.fill(fill_value)
    return out


def full_like(x: Any, fill_value: Any, /, *, dtype: Any = None, device: Any = None) -> Array:
    """One number in the shape of `x`."""
    out = np.empty(x.shape, x.dtype if dtype is None else dtype)
    out.fill(fill_value)
    return out


# ---- reductions ----

MANY = 1 << 9  # Elements from which on NumPy takes longer to add them up than BLAS.
LONG = 1 << 12  # The longest row that is added up in one go, for the sake of precision.
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_add: Any = np.add.reduce
_multiply: Any = np.multiply.reduce
_maximum: Any = np.maximum.reduce
_minimum: Any = np.minimum.reduce
_or: Any = np.logical_or.reduce
_and: Any = np.logical_and.reduce


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum, in row order whatever the order of the numbers is."""
    if x.size >= MANY and dtype is None and x.dtype in FLOATS and x.flags.c_contiguous:
        made = by_ones(x, axis, keepdims)
        if made is not None:
            return made
    out = _add(x, axis, dtype, None, keepdims)
    return out if out.ndim < 2 or out.flags.c_contiguous else np.array(out, order="C")


def by_ones(x: Array, axis: Any, keepdims: bool) -> Array | None:
    """The sum over all, the first or the last dimensions, as a product with ones; else None."""
    ndim, shape = x.ndim, x.shape
    listed = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    where = sorted([d + ndim if d < 0 else d for d in listed])
    if not where or where[0] < 0 or where[-1] >= ndim or where[-1] - where[0] != len(where) - 1:
        return None
    kept = [1] * len(where) if keepdims else []
    if len(where) == ndim:
        return sum_all(x.reshape(-1)).reshape(kept)
    if where[-1] == ndim - 1:
        length = math.prod(shape[where[0] :])
        if length > LONG:
            return None
        return x.reshape(-1, length).dot(ones(length, x.dtype)).reshape(*shape[: where[0]], *kept)
    if where[0]:
        return None
    count = math.prod(shape[: len(where)])
    return ones(count, x.dtype).dot(x.reshape(count, -1)).reshape(*kept, *shape[len(where) :])


def sum_all(flat: Array) -> Array:
    """The sum of a flat array, by rows."""
    whole = flat.size - flat.size % LONG
    if not whole:
        return np.asarray(_add(flat))
    total = _add(flat[:whole].reshape(-1, LONG).dot(ones(LONG, flat.dtype)))
    return np.asarray(total + _add(flat[whole:]))


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean."""
    if x.dtype not in FLOATS:
        return np.mean(x, axis=axis, keepdims=keepdims)
    total = sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size) if total.size else total


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product."""
    return _multiply(x, axis, dtype, None, keepdims)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest number."""
    return _maximum(x, axis, None, None, keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest number."""
    return _minimum(x, axis, None, None, keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether something is true."""
    return _or(x, axis, None, None, keepdims)


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether everything is true."""
    return _and(x, axis, None, None, keepdims)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest number stands first."""
    return x.argmax(axis, keepdims=keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest number stands first."""
    return x.argmin(axis, keepdims=keepdims)


def cumulative(name: str, function: np.ufunc) -> Any:
    """The array API's function of that name, for what a function of two makes of all so far."""
    usual = getattr(np, name)

    def call(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        if include_initial or not by_steps(x, axis, dtype):
            return usual(x, axis=axis, dtype=dtype, include_initial=include_initial)
        return accumulated(function, x, axis)

    call.__name__ = name
    return call


cumulative_sum = cumulative("cumulative_sum", np.add)
cumulative_prod = cumulative("cumulative_prod", np.multiply)


def by_steps(x: Any, axis: int | None, dtype: Any) -> bool:
    """Whether a call for each step along a dimension takes less time than NumPy's own way.

    That goes from element to element, each of which waits for the one before.
    """
    if axis is None or not x.size or (dtype is not None and dtype != x.dtype):
        return False
    count = x.shape[axis]
    step = x.size // count
    if x.dtype.kind not in "fc":  # the others grow wider
        return False
    if axis in (-1, x.ndim - 1):
        return count <= 100 and step >= 512
    return step >= 300


def accumulated(function: Any, x: Any, axis: Any) -> Array:
    """What a function of two makes of the elements along a dimension, one step at a time."""
    out = np.empty(x.shape, x.dtype)
    steps, given = moveaxis(out, axis, 0), moveaxis(x, axis, 0)
    steps[0] = last = given[0]
    for target, more in zip(steps[1:], given[1:], strict=True):
        function(last, more, out=target)
        last = target
    return out


# ---- another shape ----


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """`x` in another shape; a view where that is possible."""
    return x.reshape(shape) if copy is None else np.reshape(x, shape, copy=copy)


def permute_dims(x: Any, /, axes: Any) -> Any:
    """`x` with its dimensions in another order."""
    return x.transpose(axes)


def matrix_transpose(x: Any, /) -> Any:
    """Every matrix transposed."""
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose needs at least 2 dimensions, not {x.ndim}")
    return x.swapaxes(-1, -2)


def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """`x` with a further dimension of length 1."""
    if axis == -1:
        return x[..., None]
    return x[None] if axis == 0 else np.expand_dims(x, axis)


def squeeze(x: Any, /, axis: Any) -> Any:
    """`x` without dimensions of length 1."""
    return x.squeeze(axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """`x` with dimensions moved elsewhere."""
    ndim = x.ndim
    if not (
        isinstance(source, int)
        and isinstance(destination, int)
        and -ndim <= source < ndim
        and -ndim <= destination < ndim
    ):
        return np.moveaxis(x, source, destination)
    order = list(range(ndim))
    order.insert(destination % ndim, order.pop(source))
    return x.transpose(order)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """`x` backwards; a view."""
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim:
        axis %= x.ndim
        if x.shape[axis] < 2:  # A stride below 0 would stay where it says nothing.
            return x[...]
        return x[(slice(None),) * axis + (slice(None, None, -1),)]
    return np.flip(x, axis)


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Array:
    """Arrays joined along a dimension, in order whatever the order of theirs is."""
    out = np.concatenate(arrays, axis=axis)
    return out if out.flags.c_contiguous else np.array(out, order="C")


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Array:
    """Arrays joined along a new dimension."""
    if axis == 0 and arrays:
        return concat([x[None] for x in arrays])
    return np.ascontiguousarray(np.stack(arrays, axis=axis))


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """Elements or slices at indices."""
    return x.take(indices, axis)


@lru_cache(1024)
def mesh(shape: tuple[int, ...], dim: int) -> tuple[Array, ...]:
    """The coordinates of the places of an array, with an empty array for those along `dim`."""
    found = [
        np.arange(0 if d == dim else n).reshape((-1,) + (1,) * (len(shape) - d - 1))
        for d, n in enumerate(shape)
    ]
    for line in found:
        line.flags.writeable = False
    return tuple(found)


def key_along(index: Array, dim: int) -> tuple[Array, ...]:
    """The key of the elements at ``[i, index[i, j], ...]``."""
    shape = index.shape
    made = mesh if builtins.max(shape, default=0) <= LINE else mesh.__wrapped__
    key = made(shape, dim)
    return (*key[:dim], index, *key[dim + 1 :])


LINE = 1 << 12  # The longest coordinates that are kept.


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements at indices along a dimension."""
    dim = axis + x.ndim if axis < 0 else axis
    if not x.ndim or indices.ndim != x.ndim or indices.dtype.kind == "b":
        return np.take_along_axis(x, indices, axis)
    if indices.shape[:dim] != x.shape[:dim] or indices.shape[dim + 1 :] != x.shape[dim + 1 :]:
        return np.take_along_axis(x, indices, axis)
    return x[key_along(indices, dim)]


# ---- order ----


def backwards(x: Any, axis: int) -> Array:
    """`x` backwards, copied: strides below 0 do not leave the library."""
    return flip(x, axis=axis).copy()


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The order of the elements; NaN is the largest."""
    kind: Any = "stable" if stable else None
    if not descending:
        return x.argsort(axis, kind)
    if not stable:
        return backwards(x.argsort(axis), axis)
    # Backwards twice, so that equal elements keep their order.
    order = flip(x, axis=axis).argsort(axis, kind)
    return backwards(x.shape[axis] - 1 - order, axis)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order; NaN is the largest."""
    found = x.copy()
    found.sort(axis, "stable" if stable else None)
    return backwards(found, axis) if descending else found
