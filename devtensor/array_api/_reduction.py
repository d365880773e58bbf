"""Sums and their kin in the standard's types."""

from __future__ import annotations

from collections.abc import Callable

import devtensor as dt
from devtensor.array_api._table import Axis, reduced
from devtensor.array_api._types import accumulated
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

__all__ = ["all", "any", "count_nonzero", "cumulative_prod", "cumulative_sum"]


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are other than 0.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of int, optional
        Over which dimensions; by default over all.
    keepdims : bool, optional
        Whether the dimensions stay, with length 1.

    Returns
    -------
    Tensor of bool
    """
    return reduced(dt.all, x != 0, axis, keepdim=keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is other than 0.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of int, optional
        Over which dimensions; by default over all.
    keepdims : bool, optional
        Whether the dimensions stay, with length 1.

    Returns
    -------
    Tensor of bool
    """
    return reduced(dt.any, x != 0, axis, keepdim=keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are other than 0.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of int, optional
        Over which dimensions; by default over all.
    keepdims : bool, optional
        Whether the dimensions stay, with length 1.

    Returns
    -------
    Tensor of int64
    """
    return reduced(dt.sum, x != 0, axis, keepdim=keepdims, dtype=dt.int64)


def cumulative(
    operation: Callable[..., Tensor],
    first: int,
    x: Tensor,
    axis: int | None,
    dtype: Dtype | None,
    include_initial: bool,
) -> Tensor:
    """Running results along a dimension, perhaps with that of no element before them."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(
                f"a tensor of shape {list(x.shape)} has not one dimension: say by axis= which one"
            )
        axis = 0
    found = operation(x, axis, dtype=dtype or accumulated(x.dtype))
    if not include_initial:
        return found
    shape = list(x.shape)
    shape[axis] = 1
    initial = dt.full(shape, first, dtype=found.dtype, device=found.device)
    return dt.cat([initial, found], axis)


def cumulative_sum(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: Dtype | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The sums of each element and those before it.

    Parameters
    ----------
    x : Tensor
    axis : int, optional
        Along which dimension; needed if there is more than one.
    dtype : dtype, optional
        By default that of `x`, but int64 or uint64 for integers.
    include_initial : bool, optional
        Whether a 0 stands before the first.

    Raises
    ------
    ValueError
        If `axis` is needed and not given.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.cumulative_sum(xp.asarray([1, 2, 3]), include_initial=True)
    tensor([0, 1, 3, 6])
    """
    return cumulative(dt.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: Dtype | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The products of each element and those before it.

    Parameters
    ----------
    x : Tensor
    axis : int, optional
        Along which dimension; needed if there is more than one.
    dtype : dtype, optional
        By default that of `x`, but int64 or uint64 for integers.
    include_initial : bool, optional
        Whether a 1 stands before the first.

    Raises
    ------
    ValueError
        If `axis` is needed and not given.
    """
    return cumulative(dt.cumprod, 1, x, axis, dtype, include_initial)
