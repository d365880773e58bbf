"""The functions of NumPy for arrays that are shapes alone."""

from __future__ import annotations

from math import ceil
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from devtensor_numpy import namespace as numpy_names

from .shapes import Function, Shape, at, blank, mapped, modelled, refuse

VIEWS = """
as_strided broadcast_arrays broadcast_to diagonal expand_dims flip imag matrix_transpose moveaxis
permute_dims real reinterpret sliding_window squeeze unstack view_as_complex view_as_real
"""
"""What reads no element, so that NumPy can do it to the array itself."""

VALUES = "bincount nonzero unique_all unique_counts unique_inverse unique_values"
"""What has as many elements as the values say."""


def viewed(function: Function) -> Function:
    """A function that looks at the same memory."""

    def dressed(found: Any) -> Any:
        if isinstance(found, (list, tuple)):
            return type(found)(map(dressed, found))
        return Shape(found)

    return lambda *args, **kwargs: dressed(function(*[mapped(bare, x) for x in args], **kwargs))


def bare(x: Shape) -> Any:
    """The array within."""
    return x.inner


def refused(name: str) -> Function:
    """A function whose result is as long as the values say."""
    return lambda *_, **__: refuse(f"{name}()")


# ---- what makes arrays of numbers


def made(shape: Any, *fill: Any, dtype: Any = None, device: Any = None) -> Shape:
    """An array of a shape, whatever fills it."""
    if dtype is None:
        dtype = (
            fill[0].dtype if fill and isinstance(fill[0], Shape) else np.array(*fill or [0.0]).dtype
        )
    return blank((shape,) if isinstance(shape, int) else shape, dtype)


def arange(
    start: Any, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Shape:
    """Evenly spaced numbers."""
    start, stop = (0, start) if stop is None else (start, stop)
    return made(max(0, ceil((stop - start) / step)), start + step, dtype=dtype)


def linspace(
    start: Any, stop: Any, num: int, *, dtype: Any = None, endpoint: bool = True, device: Any = None
) -> Shape:
    """Numbers between two."""
    return made(num, start + 0.5 * stop, dtype=dtype)


def eye(
    rows: int, columns: int | None = None, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Shape:
    """An identity matrix."""
    return made((rows, rows if columns is None else columns), dtype=dtype)


# ---- what takes other arrays


def asarray(x: Any, *, dtype: Any = None, copy: bool | None = None, device: Any = None) -> Shape:
    """An array of an array or of numbers."""
    if not isinstance(x, Shape):
        x = np.asarray(x)
        return blank(x.shape, dtype or x.dtype)
    return astype(x, dtype or x.dtype, copy=bool(copy))


def astype(x: Shape, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Shape:
    """An array in another type."""
    return x if not copy and x.dtype == dtype else modelled(np.astype)(x, dtype)


def reshape(x: Shape, /, shape: Any, *, copy: bool | None = None) -> Shape:
    """An array in another shape; a view where that is possible."""
    try:
        if not copy:
            return Shape(np.reshape(x.inner, shape, copy=False))
    except ValueError:
        if copy is False:
            raise
    missing = x.size // -np.prod(shape, dtype=object) if -1 in shape else 0
    return blank([missing if n == -1 else n for n in shape], x.dtype)


def contiguous(x: Shape, /) -> Shape:
    """An array in row order."""
    return blank(x.shape, x.dtype)


def put(x: Shape, key: Any, values: Any, accumulate: bool = False, /) -> Shape:
    """An array with other elements."""
    return blank(x.shape, x.dtype)


OWN = {
    **dict.fromkeys(["empty", "full", "ones", "zeros"], made),
    **{f.__name__: f for f in (arange, asarray, astype, contiguous, eye, linspace, put, reshape)},
    "get": at,
}


def library(names: Any, source: Any) -> SimpleNamespace:
    """The functions of a library by their names, types and numbers as they are."""
    found: dict[str, Any] = {}
    for name in names:
        one = getattr(source, name)
        if isinstance(one, ModuleType):
            found[name] = library([n for n in dir(one) if n[0] != "_"], one)
        elif isinstance(one, (type, np.dtype)) or not callable(one):
            found[name] = one
        elif name in VALUES.split():
            found[name] = refused(name)
        else:
            found[name] = OWN.get(name) or (viewed if name in VIEWS.split() else modelled)(one)
    return SimpleNamespace(**found)


NAMES = library(numpy_names.__all__, numpy_names)
