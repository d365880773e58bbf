"""Reductions by matrix products, which use wide registers, and by NumPy's own accumulations."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops import reduce as common
from devtensor.ops.arguments import axis, over

from ..quick import sum as add_up
from .linalg import FLOATS, Array, is_half

MANY = 1 << 12  # Numbers of which a product is made by columns.
COLUMNS = 1 << 9  # Of which the product of many numbers is made.


def sum(
    xp: Any, input: Array, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Array:
    """`sum`."""
    if input.dtype.kind != "f" or input.dtype.itemsize == 2 or dtype is not None:
        return common.sum.kernel(xp, input, dim, keepdim, dtype=dtype)
    return add_up(input, axis=over(dim, input.ndim), keepdims=keepdim)


def nansum(
    xp: Any, input: Array, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """`nansum`, which is a sum where that is finite."""
    if input.dtype in FLOATS and dtype is None:
        found = add_up(input, axis=over(dim, input.ndim), keepdims=keepdim)
        if np.isfinite(found).all():
            return found
    return common.nansum.kernel(xp, input, dim, keepdim, dtype=dtype)


def mean(
    xp: Any, input: Array, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Array:
    """`mean`."""
    if input.dtype.kind != "f" or input.dtype.itemsize == 2 or dtype is not None or not input.size:
        return common.mean.kernel(xp, input, dim, keepdim, dtype=dtype)
    where = over(dim, input.ndim)
    total = add_up(input, axis=where, keepdims=keepdim)
    return total * input.dtype.type(1 / common.count(input.shape, where))


def variance(xp: Any, input: Array, /, dim: Any, correction: float, keepdim: bool) -> Array:
    """`variance` with one temporary."""
    where = over(dim, input.ndim)
    number = common.count(input.shape, where)
    if input.dtype.kind != "f" or is_half(input.dtype) or number <= correction or not input.ndim:
        return common.variance.kernel(xp, input, dim, correction, keepdim)
    away = np.subtract(input, add_up(input, axis=where, keepdims=True) / number)
    np.square(away, out=away)
    return add_up(away, axis=where, keepdims=keepdim) / input.dtype.type(number - correction)


def deviation(xp: Any, input: Array, /, dim: Any, correction: float, keepdim: bool) -> Array:
    """`deviation`."""
    return np.sqrt(variance(xp, input, dim, correction, keepdim))


def prod(
    xp: Any, input: Array, /, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Array:
    """`prod`; of all of many floats by columns, which use wide registers."""
    size = input.size
    if is_half(input.dtype) and dtype is None:
        return prod(xp, input.astype(np.float32), dim, keepdim).astype(input.dtype)
    if dim is not None or keepdim or input.dtype.kind != "f" or size < MANY or dtype is not None:
        return common.prod.kernel(xp, input, dim, keepdim, dtype=dtype)
    flat, whole = input.reshape(-1), size - size % COLUMNS
    columns = np.multiply.reduce(flat[:whole].reshape(-1, COLUMNS), 0)
    return np.asarray(np.multiply.reduce(columns) * np.multiply.reduce(flat[whole:]))


def count_nonzero(xp: Any, input: Array, /, dim: Any = None) -> Array:
    """`count_nonzero`."""
    return np.asarray(np.count_nonzero(input, axis=over(dim, input.ndim)), np.int64)


def cummax(xp: Any, input: Array, /, dim: int) -> tuple[Array, Array]:
    """`cummax`."""
    return running_extreme(xp, "max", np.maximum, input, dim)


def cummin(xp: Any, input: Array, /, dim: int) -> tuple[Array, Array]:
    """`cummin`."""
    return running_extreme(xp, "min", np.minimum, input, dim)


def running_extreme(
    xp: Any, name: str, choose: np.ufunc, input: Array, dim: int
) -> tuple[Array, Array]:
    """The best so far along `dim`, and where it stands."""
    if not input.ndim:
        return common.running_extreme(xp, name, input, dim)
    dim = axis(dim, input.ndim)
    values = choose.accumulate(input, dim)
    line = np.arange(input.shape[dim]).reshape((-1,) + (1,) * (input.ndim - dim - 1))
    places = np.where((input == values) | (input != input), line, 0)
    return values, np.maximum.accumulate(places, dim)


def logcumsumexp(xp: Any, input: Array, /, dim: int) -> Array:
    """`logcumsumexp`."""
    if input.dtype.kind == "c" or not input.ndim:
        return common.logcumsumexp.kernel(xp, input, dim)
    return np.logaddexp.accumulate(input, axis(dim, input.ndim))


def recur(xp: Any, input: Array, factor: Array, /, dim: int) -> Array:
    """`recur`, in place."""
    out = np.array(np.broadcast_to(input, np.broadcast_shapes(input.shape, factor.shape)))
    steps, factors = np.moveaxis(out, dim, 0), np.moveaxis(factor, dim, 0)
    for i in range(len(steps) - 2, -1, -1):
        steps[i] += factors[i] * steps[i + 1]
    return out


KERNELS = {
    "sum": sum,
    "mean": mean,
    "nansum": nansum,
    "prod": prod,
    "variance": variance,
    "deviation": deviation,
    "count_nonzero": count_nonzero,
    "cummax": cummax,
    "cummin": cummin,
    "logcumsumexp": logcumsumexp,
    "recur": recur,
}
