"""Calling functions of arrays with batches: once with their values, or for each example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.func._batch import Batch, shown

Function = Callable[..., Any]

DYNAMIC = (
    "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap "
    "over {name}, whose result would have another shape for each example. Use a form whose result "
    "has a fixed shape, such as where() or masked_fill(), or call it outside of vmap"
)

MASKED = (
    "vmap: We do not support batching operators that can support dynamic shape. Attempting to "
    "batch over indexing with a boolean mask. Use where(mask, x, 0) or masked_fill() instead"
)


def batches(value: Any) -> list[Batch]:
    """The batches among nested arguments."""
    if isinstance(value, Batch):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [found for part in value for found in batches(part)]
    return []


def picked(value: Any, take: Function) -> Any:
    """Nested arguments with ``take(batch)`` in the place of each batch."""
    if isinstance(value, Batch):
        return take(value)
    if isinstance(value, (tuple, list)):
        parts = [picked(part, take) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {name: picked(part, take) for name, part in value.items()}
    return value


def wrapped(value: Any, many: bool, like: Any) -> Any:
    """Arrays that the library returned as batches; other things as they are."""
    if isinstance(value, (tuple, list)):
        parts = [wrapped(part, many, like) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return like(value, many) if hasattr(value, "dtype") and hasattr(value, "shape") else value


def direct(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call once with the values as they are: all axes but the last few count examples anyway."""
    found = batches((args, kwargs))
    ndim = max(x.ndim for x in found)
    args, kwargs = picked((args, kwargs), lambda x: shown(x, ndim))
    return wrapped(function(*args, **kwargs), True, found[0].__class__)


def looped(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call for one example after another."""
    found = batches((args, kwargs))
    like = next(x for x in found if x.many)
    size = like.value.shape[0]
    inner = like.inner
    results = []
    for i in range(size):
        results.append(function(*picked(args, one(i)), **picked(kwargs, one(i))))
    if not size:  # what an example of zeros gives tells the shape
        sample = picked((args, kwargs), lambda x: zeros_of(x))
        given = function(*sample[0], **sample[1])
        return picked_arrays(given, lambda x: like.made(
            inner.zeros((0, *x.shape), dtype=x.dtype), True))  # fmt: skip
    return stacked(results, like)


def one(number: int) -> Function:
    """Takes one example out of a batch."""
    return lambda x: x.value[number, ...] if x.many else x.value


def zeros_of(x: Batch) -> Any:
    """An example of zeros."""
    return x.inner.zeros(x.shape, dtype=x.dtype) if x.many else x.value


def picked_arrays(value: Any, make: Function) -> Any:
    """Nested results with ``make(array)`` in the place of each array."""
    if isinstance(value, (tuple, list)):
        parts = [picked_arrays(part, make) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return make(value) if hasattr(value, "dtype") and hasattr(value, "shape") else value


def stacked(results: list[Any], like: Batch) -> Any:
    """The results of single examples, in parallel, as batches."""
    first = results[0]
    if isinstance(first, (tuple, list)):
        parts = [stacked(list(column), like) for column in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if not hasattr(first, "shape"):
        return first
    if any(tuple(r.shape) != tuple(first.shape) for r in results):
        raise RuntimeError(DYNAMIC.format(name="an operation"))
    return like.made(like.inner.stack([like.inner.asarray(r) for r in results]), True)
