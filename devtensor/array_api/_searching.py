"""Finding, sorting, and picking elements, and sets of them."""

from __future__ import annotations

from typing import NamedTuple

import devtensor as dt
from devtensor.array_api._types import joined
from devtensor.ops.arguments import axis as counted
from devtensor.tensor import Tensor

__all__ = [
    "nonzero", "searchsorted", "sort", "take", "take_along_axis", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip


class unique_all_result(NamedTuple):
    """What :func:`unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class unique_counts_result(NamedTuple):
    """What :func:`unique_counts` returns."""

    values: Tensor
    counts: Tensor


class unique_inverse_result(NamedTuple):
    """What :func:`unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where the elements are other than 0: the indices in each dimension.

    Parameters
    ----------
    x : Tensor
        With at least one dimension.

    Raises
    ------
    ValueError
        If it has none.
    """
    if not x.ndim:
        raise ValueError("nonzero() takes a tensor with dimensions, got one without")
    return dt.nonzero(x, as_tuple=True)


def searchsorted(
    x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where elements would have to stand in a sequence for it to remain in order.

    Parameters
    ----------
    x1 : Tensor
        The sequence, in one dimension.
    x2 : Tensor
        The elements.
    side : {"left", "right"}, optional
        Before or behind those that are equal.
    sorter : Tensor of int, optional
        The numbers of the elements of `x1` in order, if it is not.
    """
    order = None if sorter is None else sorter.to(dt.int64)
    return dt.searchsorted(*joined(x1, x2), side=side, sorter=order)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order.

    Parameters
    ----------
    x : Tensor
    axis : int, optional
        Along which dimension.
    descending : bool, optional
        Whether the greatest comes first.
    stable : bool, optional
        Whether equal elements keep their order.
    """
    return dt.sort(x, dim=axis, descending=descending, stable=stable)[0]


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Slices of a dimension, by number.

    Parameters
    ----------
    x : Tensor
    indices : Tensor of int
        From the end if negative.
    axis : int, optional
        Which dimension; needed if there is more than one.

    Raises
    ------
    ValueError
        If `axis` is needed and not given.
    """
    if axis is None and x.ndim != 1:
        raise ValueError(
            f"a tensor of shape {list(x.shape)} has not one dimension: say by axis= which one"
        )
    before = counted(axis or 0, x.ndim)
    return x[(*[slice(None)] * before, indices.to(dt.int64))]  # small types would be masks


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """Elements of a dimension, by their numbers in it.

    Parameters
    ----------
    x : Tensor
    indices : Tensor of int
        From the end if negative. It broadcasts with `x` but for that dimension.
    axis : int, optional
        Which dimension.
    """
    length, places = x.shape[counted(axis, x.ndim)], indices.to(dt.int64)
    return dt.take_along_dim(x, dt.where(places < 0, places + length, places), axis)


def unique_all(x: Tensor, /) -> unique_all_result:
    """The different elements in order, with where and how often they occur.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    unique_all_result
        `values`; the `indices` of their first occurrences in the flattened `x`; in the shape of
        `x`, the `inverse_indices` that make it of the values; and `counts`. Every NaN is an element
        of its own.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.unique_all(xp.asarray([3.0, 1.0, 3.0])).indices
    tensor([1, 0])
    """
    flat = x.reshape(-1)
    order = ordered(flat)
    run = flat[order]
    places = dt.arange(run.shape[0], device=x.device)
    first = (run != dt.roll(run, 1)) | (places == 0)
    (starts,) = dt.nonzero(first, as_tuple=True)
    ends = dt.full((1,), run.shape[0], dtype=starts.dtype, device=x.device)
    inverse = dt.empty_like(order)
    inverse[order] = dt.cumsum(first, 0) - 1
    indices = order[starts]
    return unique_all_result(
        flat[indices], indices, inverse.reshape(x.shape), dt.diff(starts, append=ends)
    )


def ordered(flat: Tensor) -> Tensor:
    """The numbers of the elements in order; complex ones by real part, then by imaginary one."""
    if not flat.is_complex():
        return dt.argsort(flat, stable=True)
    order = dt.argsort(flat.imag, stable=True)
    return order[dt.argsort(flat.real[order], stable=True)]


def unique_counts(x: Tensor, /) -> unique_counts_result:
    """The different elements in order, and how often they occur.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    unique_counts_result
        `values` and `counts`.
    """
    found = unique_all(x)
    return unique_counts_result(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> unique_inverse_result:
    """The different elements in order, and the indices that make `x` of them.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    unique_inverse_result
        `values` and `inverse_indices`, these in the shape of `x`.
    """
    found = unique_all(x)
    return unique_inverse_result(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different elements in order.

    Parameters
    ----------
    x : Tensor
    """
    return unique_all(x).values
