"""Shapes: functions in which the standard and PyTorch's operations differ."""

from __future__ import annotations

import devtensor as dt
from devtensor.array_api._types import joined
from devtensor.tensor import Tensor

__all__ = ["broadcast_shapes", "concat", "flip", "repeat", "reshape", "roll", "squeeze"]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which all broadcast.

    Parameters
    ----------
    *shapes : tuple of int
    """
    return tuple(dt.broadcast_shapes(*shapes))


def concat(arrays: tuple[Tensor, ...] | list[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """Tensors joined along a dimension that they have.

    Parameters
    ----------
    arrays : sequence of Tensor
        Of one shape but for that dimension; they are cast to their common type.
    axis : int, optional
        None: all are flattened before.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.concat([xp.zeros((2, 2)), xp.ones(1)], axis=None)
    tensor([0., 0., 0., 0., 1.])
    """
    parts = joined(*arrays)
    if axis is None:
        return dt.cat([part.reshape(-1) for part in parts], 0)
    return dt.cat(list(parts), axis)


def flip(x: Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements in reverse order.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of int, optional
        In which dimensions; by default in all.
    """
    return dt.flip(x, tuple(range(x.ndim)) if axis is None else axis)


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element several times.

    Parameters
    ----------
    x : Tensor
    repeats : int or Tensor of int
        How often: all of them, or each.
    axis : int, optional
        Repeat slices of this dimension; by default `x` is flattened.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.repeat(xp.asarray([1, 2]), xp.asarray([2, 1]))
    tensor([1, 1, 2])
    """
    if isinstance(repeats, Tensor):
        repeats = repeats.to(dt.int64)
    return dt.repeat_interleave(x, repeats, dim=axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements, in row order, in another shape.

    Parameters
    ----------
    x : Tensor
    shape : tuple of int
        One length may be -1: what remains.
    copy : bool, optional
        True: always copy. False: never. None: as needed.

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    """
    if copy is None:
        return x.reshape(shape)
    if copy:
        return x.clone().reshape(shape)
    made = x.reshape(shape)
    if made.numel() and made.data_ptr() != x.data_ptr():
        raise ValueError(
            f"a tensor of shape {list(x.shape)} and strides {list(x.stride())} cannot be seen in "
            f"shape {list(shape)} without a copy, and copy=False was given"
        )
    return made


def roll(
    x: Tensor,
    /,
    shift: int | tuple[int, ...],
    *,
    axis: int | tuple[int, ...] | None = None,
) -> Tensor:
    """The elements moved on, those that leave at one end coming in at the other.

    Parameters
    ----------
    x : Tensor
    shift : int or tuple of int
        By how many places, in each dimension.
    axis : int or tuple of int, optional
        In which dimensions; by default `x` counts as flattened.
    """
    if axis == ():
        return x
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return dt.roll(x, shift, axis)


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """Without dimensions of length 1.

    Parameters
    ----------
    x : Tensor
    axis : int or tuple of int
        Which dimensions.

    Raises
    ------
    ValueError
        If one of them has another length.
    IndexError
        If there is no such dimension.
    """
    for one in (axis,) if isinstance(axis, int) else axis:
        if x.size(one) != 1:
            raise ValueError(
                f"squeeze(): dimension {one} of a tensor of shape {list(x.shape)} has not length 1"
            )
    return dt.squeeze(x, axis)
