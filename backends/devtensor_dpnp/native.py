"""The shortest way into dpnp: arrays made of what is known about them, kernels run in order.

Before they start a kernel, dpnp's functions look for what the caller knows already, which on few
numbers takes longer than the work. So the common cases of common functions come here; all others
are left to dpnp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dpnp
import dpnp.tensor as tensor

from devtensor_formulas.engine import span as between

from .runtime import ORDER, PLACES

Array = dpnp.ndarray
Usm = tensor.usm_ndarray
_empty = Array.__new__


def wrap(usm: Any) -> Any:
    """An array of dpnp's around one of the kind that kernels take."""
    made = _empty(Array)
    made._array_obj = usm
    usm._set_namespace(dpnp)
    return made


def fresh(shape: tuple[int, ...], dtype: Any, queue: Any) -> Any:
    """A new array with anything in it."""
    return Usm(shape, dtype, buffer_ctor_kwargs={"queue": queue})


def seen(a: Any, dtype: Any, shape: tuple[int, ...], steps: tuple[int, ...], start: int = 0) -> Any:
    """Elements of the memory of `a`; `start`, from its first one, and `steps` count elements."""
    return Usm(shape, dtype, buffer=a.usm_data, strides=steps, offset=a._element_offset + start)


def in_rows(a: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """The memory of `a`, whose elements lie in order, in another shape."""
    return Usm(shape, dtype, buffer=a.usm_data, offset=a._element_offset)


def stretched(a: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A view of an array in a shape to which it broadcasts."""
    old = a.shape
    if old == shape:
        return a
    lead = len(shape) - len(old)
    steps = [s if n == m else 0 for s, n, m in zip(a.strides, old, shape[lead:], strict=True)]
    return seen(a, dtype, shape, (*[0] * lead, *steps))


def ordered(a: Any) -> bool:
    """Whether the result of work on the elements of `a` lies in row order, as those do.

    There may be gaps, and an element may stand in several places.
    """
    if a.flags.c_contiguous:
        return True
    last = 0
    for step in reversed(a.strides):
        if step:
            if step < last:
                return False
            last = step
    return True


def span(a: Any) -> tuple[int, int]:
    """The addresses between which the elements of an array lie."""
    width = a.itemsize
    return between(a._pointer, a.shape, [s * width for s in a.strides], width)


def apart(a: Any, b: Any, same: bool = True) -> bool:
    """Whether what is written to `a`, element by element, changes nothing of `b` that is still to
    be read: they lie apart, or if `same` are the same places in the same order.
    """
    if a._pointer == b._pointer and a.shape == b.shape and a.strides == b.strides:
        return same
    low, high = span(a)
    start, end = span(b)
    return high <= start or end <= low


def run(kernel: Callable[..., Any], queue: Any, *given: Any) -> None:
    """Start one of dpnp's kernels after all that it has been asked for."""
    order = ORDER[queue]
    order.add_event_pair(*kernel(*given, queue, order.submitted_events))


def together(*arrays: Any) -> Any:
    """The queue of arrays on one device, whose elements lie in order; else None."""
    queue = None
    for x in arrays:
        if x.__class__ is not Array:
            return None
        a = x._array_obj
        if queue is None:
            queue = a.sycl_queue
            if queue not in PLACES:
                return None
        elif a.sycl_queue != queue:
            return None
        if not (a.flags.c_contiguous and a.size):
            return None
    return queue
