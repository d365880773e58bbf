"""Order by quicksort where equal elements may change places, by partition where few count."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops import reduce as common_reduce
from devtensor.ops import sort as common
from devtensor.ops.arguments import axis

from ..quick import argsort as argsorted
from ..quick import take_along_axis
from .linalg import is_half

Array = np.ndarray
TURNS = 32  # Passes over rows that take less time than a partition.


def sort(
    xp: Any, input: Array, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """`sort`."""
    if not input.ndim or input.dtype.kind == "c":
        return common.sort.kernel(xp, input, dim)
    dim = axis(dim, input.ndim)
    order = argsorted(input, axis=dim, descending=descending, stable=stable)
    return take_along_axis(input, order, axis=dim), order


def argsort(
    xp: Any, input: Array, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """`argsort`."""
    if not input.ndim or input.dtype.kind == "c":
        return common.argsort.kernel(xp, input, dim)
    return argsorted(input, axis=axis(dim, input.ndim), descending=descending, stable=stable)


def _chosen(lined: Array, k: int, largest: bool) -> Array:
    """Where the `k` largest or smallest of each row are, in any order."""
    count = lined.shape[-1]
    edge = count - k if largest else k - 1
    if lined.dtype.kind == "f":
        limit = np.partition(lined, edge, axis=-1)[..., edge : edge + 1]
        beyond = lined >= limit if largest else lined <= limit
        if (beyond.sum(-1) == k).all():  # no ties at the edge, and no NaN
            return beyond.nonzero()[-1].reshape(*lined.shape[:-1], k)
    part = np.argpartition(lined, edge, axis=-1)
    return part[..., count - k :] if largest else part[..., :k]


def _in_turn(lined: Array, k: int, largest: bool) -> Array | None:
    """Where the largest or smallest of each row are, in order, taken one after the other.

    None if these are not few, or if what was taken cannot be told from what is left.
    """
    if (
        not lined.size
        or k > TURNS
        or k * 8 > lined.shape[-1]
        or lined.dtype.kind not in "fiu"
        or is_half(lined.dtype)
    ):
        return None
    left = np.array(lined, order="C").reshape(-1, lined.shape[-1])
    rows = np.arange(len(left))
    ends = np.finfo(left.dtype) if left.dtype.kind == "f" else np.iinfo(left.dtype)
    taken = ends.min if largest else ends.max
    if left.dtype.kind == "f":
        taken = -np.inf if largest else np.inf
    places = np.empty((len(left), k), np.int64)
    for number in range(k):
        place = left.argmax(1) if largest else left.argmin(1)
        values = left[rows, place]
        if (values == taken).any() or (not largest and has_nan(values)):
            return None
        places[:, number] = place
        left[rows, place] = taken
    return places.reshape(*lined.shape[:-1], k)


def topk(
    xp: Any, input: Array, /, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    """`topk` by partition where few of many are wanted."""
    there = input.ndim and -input.ndim <= dim < input.ndim and 0 <= k <= input.shape[dim]
    if not there or input.dtype.kind not in "fiu" or is_half(input.dtype):
        return common.topk.kernel(xp, input, k, dim, largest, sorted)
    if not 0 < k * 4 < input.shape[dim]:
        dim %= input.ndim
        order = argsorted(input, axis=dim, descending=largest, stable=True)
        order = order[(*common.ahead(dim), slice(k), ...)]
        return take_along_axis(input, order, axis=dim), order
    lined = np.moveaxis(input, dim, -1)
    part = _in_turn(lined, k, largest)
    if part is not None:
        values, indices = take_along_axis(lined, part, axis=-1), np.moveaxis(part, -1, dim)
        return np.ascontiguousarray(np.moveaxis(values, -1, dim)), np.ascontiguousarray(indices)
    part = _chosen(lined, k, largest)
    values = take_along_axis(lined, part, axis=-1)
    order = values.argsort(axis=-1, kind="stable")
    if largest:
        order = order[..., ::-1]
    indices = np.moveaxis(take_along_axis(part, order, axis=-1), -1, dim)
    values = np.moveaxis(take_along_axis(values, order, axis=-1), -1, dim)
    return np.ascontiguousarray(values), np.ascontiguousarray(indices)


def kthvalue(xp: Any, input: Array, /, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """`kthvalue` by partition."""
    dim = axis(dim, input.ndim)
    if not input.ndim or not 1 <= k <= input.shape[dim]:
        return common.kthvalue.kernel(xp, input, k, dim, keepdim)
    indices = np.argpartition(input, k - 1, axis=dim).take([k - 1], dim)
    values = take_along_axis(input, indices, axis=dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def median_dim(xp: Any, input: Array, /, dim: int, keepdim: bool) -> Any:
    """`median_dim` by partition, unless there are NaN or equal ones in the middle."""
    along = input.ndim and -input.ndim <= dim < input.ndim and input.shape[dim]
    if not along or is_half(input.dtype):
        return common_reduce.median_dim.kernel(xp, input, dim, keepdim)
    lined = np.moveaxis(input, dim, -1)
    middle = (lined.shape[-1] - 1) // 2
    value = np.partition(lined, middle, axis=-1)[..., middle : middle + 1]
    same = lined == value
    if np.count_nonzero(same) != value.size or has_nan(input):
        return common_reduce.median_dim.kernel(xp, input, dim, keepdim)
    place = same.argmax(-1)
    if not keepdim:
        return value[..., 0].copy(), place
    return np.moveaxis(value, -1, dim).copy(), np.expand_dims(place, dim)


def median_all(xp: Any, input: Array, /) -> Any:
    """`median_all` by partition."""
    if not input.size or is_half(input.dtype) or has_nan(input):
        return common_reduce.median_all.kernel(xp, input)
    middle = (input.size - 1) // 2
    return np.partition(input, middle, axis=None)[middle]


def has_nan(x: Array) -> bool:
    """Whether there is a NaN among some numbers."""
    return x.dtype.kind == "f" and bool(np.isnan(np.maximum.reduce(x, None)))


def unique_flat(xp: Any, input: Array, /, ordered: bool) -> Any:
    """`unique_flat`; integers of a small range are counted instead of sorted."""
    if not ordered or input.dtype.kind not in "iu" or not input.size:
        return common.unique_flat.kernel(xp, input, ordered)
    low = int(input.min())
    reach = int(input.max()) - low + 1
    if reach > 4 * input.size + 1024:
        return common.unique_flat.kernel(xp, input, ordered)
    place = (input.reshape(-1) - input.dtype.type(low)).astype(np.intp, copy=False)
    counts = np.bincount(place, minlength=reach)
    found = counts.nonzero()[0]
    number = np.cumsum(counts > 0) - 1
    values = (found + low).astype(input.dtype)
    return values, number[place].reshape(input.shape), counts[found]


KERNELS = {
    "sort": sort,
    "argsort": argsort,
    "topk": topk,
    "kthvalue": kthvalue,
    "median_all": median_all,
    "median_dim": median_dim,
    "unique_flat": unique_flat,
}
