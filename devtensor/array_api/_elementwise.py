"""Elementwise functions in which the standard and PyTorch's operations differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.array_api._types import Number, joined
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

__all__ = ["astype", "clip", "remainder", "round", "sign", "where"]


def astype(x: Tensor, dtype: Dtype, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """The elements in another type.

    Parameters
    ----------
    x : Tensor
    dtype : dtype
    copy : bool, optional
        If False, `x` itself is returned where nothing changes.
    device : device or str, optional
        By default that of `x`.
    """
    return x.to(dtype=dtype, device=device, copy=copy)


def clip(
    x: Tensor,
    /,
    min: Tensor | float | None = None,
    max: Tensor | float | None = None,
) -> Tensor:
    """The elements, those below `min` or above `max` replaced by these.

    Parameters
    ----------
    x : Tensor
    min, max : Tensor or number, optional
        They broadcast with `x`.

    Returns
    -------
    Tensor
        In the type of `x`.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.clip(xp.asarray([-2.0, 0.5, 3.0]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        return x
    return dt.clamp(x, bound(min, x), bound(max, x))


def bound(value: Tensor | float | None, x: Tensor) -> Tensor | None:
    """A bound in the type and on the device of `x`; a number beyond an integer type is its end."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value.to(x.dtype)
    number: float = value
    if x.dtype.kind == "int":
        limits = dt.iinfo(x.dtype)
        _, number, _ = sorted([limits.min, number, limits.max])
    return dt.full((), number, dtype=x.dtype, device=x.device)


def by_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of real numbers, of the parts of complex ones."""
    return dt.complex(function(x.real), function(x.imag)) if x.is_complex() else function(x)


def remainder(x1: Tensor | Number, x2: Tensor | Number, /) -> Tensor:
    """What is left of a division rounded down; a 0, too, has the sign of the divisor."""
    x1, x2 = joined(x1, x2)
    rest = dt.remainder(x1, x2)
    if rest.is_floating_point():
        with dt.no_grad():  # The gradient is not that of a change of signs.
            values = rest.detach()
            values.copy_(dt.where(values == 0, dt.copysign(values, x2), values))
    return rest


def round(x: Tensor, /) -> Tensor:
    """The nearest whole numbers, halves to even ones; of complex numbers in both parts.

    Parameters
    ----------
    x : Tensor
    """
    return by_parts(dt.round, x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1; of complex numbers, their direction; NaN of NaN.

    Parameters
    ----------
    x : Tensor
    """
    signs = dt.sgn(x)
    return dt.where(dt.isnan(x), x, signs) if x.dtype.kind == "float" else signs


def where(condition: Tensor, x1: Tensor | Number, x2: Tensor | Number, /) -> Tensor:
    """Elements of `x1` where `condition` is true, else of `x2`.

    Parameters
    ----------
    condition : Tensor of bool
    x1, x2 : Tensor or number
        All broadcast.
    """
    if isinstance(x1, Tensor) or isinstance(x2, Tensor):
        x1, x2 = joined(x1, x2)
    return dt.where(condition, x1, x2)
