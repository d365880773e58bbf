"""Other shapes of the same memory, each made in one step."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import dpnp

from devtensor.ops import shape as common

from .copies import into
from .memory import FEW, contiguous
from .native import Array, in_rows, seen, stretched, wrap

__all__ = ["broadcast_to", "expand_dims", "permute_dims", "reshape", "squeeze"]


BASIC = {int, slice, type(None), type(...)}
"""The parts of keys that show views."""


def plain(x: Any) -> Any:
    """The array within `x`, if it has elements."""
    if x.__class__ is not Array:
        return None
    a = x._array_obj
    return a if a.size else None


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    """`x` with its dimensions in another order."""
    a = plain(x)
    if a is None:
        return dpnp.permute_dims(x, axes)
    shape, steps = a.shape, a.strides
    if axes == (1, 0) and len(shape) == 2 and 1 not in shape:  # which would lose its step
        return wrap(a.T)
    if sorted(axes) != list(range(a.ndim)):
        return dpnp.permute_dims(x, axes)
    shape, steps = tuple([shape[d] for d in axes]), tuple([steps[d] for d in axes])
    return wrap(seen(a, a.dtype, shape, steps))


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """`x` in another shape; a view where that is possible."""
    a = plain(x)
    if a is None or copy or shape.__class__ is not tuple:
        return dpnp.reshape(x, shape, copy=copy)
    if prod(shape) != a.size or min(shape, default=1) < 0:  # -1 is for dpnp, and errors are
        return dpnp.reshape(x, shape, copy=copy)
    if not a.flags.c_contiguous:
        if copy is not None or a.size < FEW:
            return dpnp.reshape(x, shape, copy=copy)
        try:
            return dpnp.reshape(x, shape, copy=False)
        except ValueError:  # there is no such view; dpnp's copies are slow
            a = contiguous(x)._array_obj
    return wrap(in_rows(a, a.dtype, shape))


def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """`x` with a further dimension of length 1."""
    a = plain(x)
    if a is None or axis.__class__ is not int or not -a.ndim - 1 <= axis <= a.ndim:
        return dpnp.expand_dims(x, axis=axis)
    shape, steps = list(a.shape), list(a.strides)
    place = axis % (a.ndim + 1)
    steps.insert(place, shape[place] * steps[place] if place < a.ndim else 1)
    shape.insert(place, 1)
    return wrap(seen(a, a.dtype, tuple(shape), tuple(steps)))


def squeeze(x: Any, /, axis: Any) -> Any:
    """`x` without dimensions of length 1."""
    a = plain(x)
    if a is None:
        return dpnp.squeeze(x, axis)
    shape, steps, ndim = a.shape, a.strides, a.ndim
    gone = [axis] if axis.__class__ is int else list(axis)
    if any(not -ndim <= d < ndim or shape[d] != 1 for d in gone):
        return dpnp.squeeze(x, axis)
    kept = sorted(set(range(ndim)) - {d % ndim for d in gone})
    shape, steps = tuple([shape[d] for d in kept]), tuple([steps[d] for d in kept])
    return wrap(seen(a, a.dtype, shape, steps))


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """A view of `x` in a shape to which it broadcasts."""
    a = plain(x)
    if a is None or shape.__class__ is not tuple or len(shape) < a.ndim:
        return dpnp.broadcast_to(x, shape)
    last = shape[len(shape) - a.ndim :]
    if 0 in shape or any(n not in (m, 1) for n, m in zip(a.shape, last, strict=True)):
        return dpnp.broadcast_to(x, shape)
    return wrap(stretched(a, a.dtype, shape))


def item_select(xp: Any, input: Any, /, index: int) -> Any:
    """``input[index]`` for an int."""
    try:
        return wrap(input._array_obj[index])
    except IndexError:
        return common.item_select.kernel(xp, input, index)  # which says what is wrong


def part_of(before: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Writing of large arrays to numbers and slices by our own copies, and all else as `before`."""

    def setitem(self: Any, key: Any, value: Any) -> None:
        if value.__class__ is Array and value.size >= FEW:
            keys = key if key.__class__ is tuple else (key,)
            one = value._array_obj
            if all([k.__class__ in BASIC for k in keys]) and one.dtype == self.dtype:
                part = self._array_obj[key]
                other = part.usm_data is not one.usm_data and part.sycl_queue == one.sycl_queue
                if other and part.shape == one.shape:
                    into(one, part)
                    return
        before(self, key, value)

    return setitem


def item_of(before: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Indexing with numbers and slices at once, and with all else as `before`."""

    def getitem(self: Any, key: Any) -> Any:
        if key.__class__ is tuple:
            for k in key:
                if k.__class__ not in BASIC:
                    return before(self, key)
        elif key.__class__ not in BASIC:
            return before(self, key)
        return wrap(self._array_obj[key])

    return getitem
