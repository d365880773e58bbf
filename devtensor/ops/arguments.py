"""What parameters mean: dimensions counted from either end; what inputs hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def axis(dim: Any, ndim: int) -> int:
    """`dim`, which may be negative, as a number from 0 on.

    A tensor without dimensions counts as having one.

    Raises
    ------
    IndexError
        If a tensor with `ndim` dimensions has none of that number.
    TypeError
        If `dim` is no integer.
    """
    try:
        dim = dim.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}") from None
    span = ndim or 1
    if -span <= dim < span:
        return dim % span
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {dim})"
    )


def axes(dims: Any, ndim: int) -> tuple[int, ...]:
    """One dimension or several, as numbers from 0 on.

    Raises
    ------
    IndexError
        If a tensor with `ndim` dimensions has none of such a number.
    RuntimeError
        If a dimension is named twice.
    TypeError
        If `dims` holds something else than integers.
    """
    if not isinstance(dims, Iterable):
        return (axis(dims, ndim),)
    found = tuple([axis(dim, ndim) for dim in dims])
    for place, dim in enumerate(found):
        if dim in found[:place]:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return found


def anywhere(condition: Any) -> bool:
    """Whether a tensor of truth values has a true one; within `vmap`, in any of the examples."""
    return bool(condition.any()._array)
