"""What parameters mean: dimensions counted from either end; what inputs hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from devtensor.backend import owner
from devtensor.tensor import Tensor, wrap


def require_tensors(name: str, **given: Any) -> None:
    """Raise unless all arguments are tensors.

    Raises
    ------
    TypeError
    """
    for place, (argument, value) in enumerate(given.items()):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {place + 1}) must be Tensor, "
                f"not {type(value).__name__}"
            )


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
    kind = dims.__class__
    if kind is int or (
        kind is not tuple
        and kind is not list
        and (hasattr(dims, "dtype") or not isinstance(dims, Iterable))
    ):
        return (axis(dims, ndim),)
    found = tuple([axis(dim, ndim) for dim in dims])
    for place, dim in enumerate(found):
        if dim in found[:place]:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return found


def over(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions to reduce: all for None or an empty sequence."""
    if dim is None or (dim.__class__ is not int and isinstance(dim, Sequence) and not dim):
        return tuple(range(ndim))
    found = axes(dim, ndim)
    return found if ndim else ()


def anywhere(condition: Any, xp: Any = None) -> bool:
    """Whether a tensor of truth values has a true one; within `vmap`, in any of the examples.

    For gradient rules, which have their namespace `xp`, it may be an array, too. Where there are no
    data, nothing is known to be true.
    """
    found = condition.any() if xp is None else xp.any(condition)
    return readable(found) and bool(getattr(found, "_array", found))


def readable(x: Any) -> bool:
    """Whether a tensor or array has data; a number is readable, too."""
    backend = owner(getattr(x, "_array", x))
    return backend is None or backend.data


def various(x: Any) -> bool:
    """Whether a tensor or array has a value to each example of a `vmap`."""
    return bool(getattr(getattr(x, "_array", x), "many", False))


def written_by(target: Any, *values: Any) -> list[Any]:
    """What is to be written into `target`; within `vmap`, what its examples share.

    Raises
    ------
    RuntimeError
        If that would be what each example has, into what they share.
    """
    found = []
    for value in values:
        while value._device is not target._device and hasattr(value._device, "refusal"):
            value._array.look()
            if value._array.many:
                raise value._device.refusal()
            value = wrap(value._array.value, value._device.inner)
        found.append(value)
    return found


def batched(*tensors: Tensor) -> bool:
    """Whether a tensor has a value to each example of a `vmap`."""
    return any(x._device.backend.within for x in tensors)
