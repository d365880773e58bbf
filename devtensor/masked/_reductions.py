"""Reductions and normalisations that leave elements out: the names of ``torch.masked``.

Every function takes `mask`, a tensor of bools that broadcasts to `input`: where it is False an
element does not count. Where none counts, the result is that of nothing: 0 for a sum, NaN for a
mean. Results have the type of `input`, or `dtype`, where nothing else is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import devtensor as dt
import devtensor.dtype as dtypes
from devtensor.ops.arguments import over
from devtensor.tensor import Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum",
    "var",
]  # fmt: skip

Dims = int | tuple[int, ...] | None


def filled(input: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    """`input` with `value` where it does not count."""
    if mask is None:
        return input
    if mask.dtype is not dt.bool:
        raise TypeError(f"mask must be a tensor of bools, got one of {mask.dtype}")
    kept: Tensor = dt.where(mask, input, dt.full((), value, dtype=input.dtype, device=input.device))
    return kept


def _input_mask(input: Tensor, *args: Any, mask: Any = None, **kwargs: Any) -> Tensor:
    """A mask of the shape of `input`: where an element counts."""
    shown: Tensor = dt.ones_like(input, dtype=dt.bool) if mask is None else mask
    return shown.expand(input.shape)


def least(dtype: dtypes.dtype) -> Any:
    """What is not above any number of a type."""
    if dtype.kind == "bool":
        return False
    return -math.inf if dtype.is_floating_point else dt.iinfo(dtype).min


def greatest(dtype: dtypes.dtype) -> Any:
    """What is not below any number of a type."""
    if dtype.kind == "bool":
        return True
    return math.inf if dtype.is_floating_point else dt.iinfo(dtype).max


def cast(input: Tensor, dtype: dtypes.dtype | None) -> Tensor:
    return input if dtype is None else input.to(dtype)


def count(input: Tensor, dim: Dims, keepdim: bool, mask: Tensor | None) -> Tensor:
    """How many elements count."""
    number: Tensor = _input_mask(input, mask=mask).sum(over(dim, input.ndim), keepdim)
    return number


def sum(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Add up the elements that count.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        The dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.
    dtype : dtype, optional
        Convert to it first; integers become int64 by default.
    mask : Tensor of bool, optional
        Broadcasts to `input`; all elements count by default.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If `mask` is not of bools.

    Examples
    --------
    >>> import devtensor as dt
    >>> x, mask = dt.tensor([1.0, 2.0, 4.0]), dt.tensor([True, False, True])
    >>> dt.masked.sum(x, mask=mask), dt.masked.mean(x, mask=mask)
    (tensor(5.), tensor(2.5000))
    """
    whole = filled(cast(input, dtype), mask, 0)
    total: Tensor = whole.sum(over(dim, input.ndim), keepdim)
    return total


def prod(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Multiply the elements that count; the arguments are those of :func:`sum`."""
    product = filled(cast(input, dtype), mask, 1)
    for d in sorted(over(dim, input.ndim), reverse=True):
        product = product.prod(d, keepdim)
    return product.prod() if not input.ndim else product


def extreme(name: str, empty: Callable[[dtypes.dtype], Any]) -> Callable[..., Tensor]:
    """`amax` or `amin`."""

    def call(
        input: Tensor,
        dim: Dims = None,
        *,
        keepdim: bool = False,
        dtype: dtypes.dtype | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        input = cast(input, dtype)
        found: Tensor = getattr(filled(input, mask, empty(input.dtype)), name)(
            over(dim, input.ndim), keepdim
        )
        return found

    call.__name__ = call.__qualname__ = name
    return call


amax = extreme("amax", least)
amax.__doc__ = "The largest element that counts; the arguments are those of :func:`sum`."
amin = extreme("amin", greatest)
amin.__doc__ = "The smallest element that counts; the arguments are those of :func:`sum`."


def place(name: str, empty: Callable[[dtypes.dtype], Any]) -> Callable[..., Tensor]:
    """`argmax` or `argmin`."""

    def call(
        input: Tensor,
        dim: int | None = None,
        *,
        keepdim: bool = False,
        dtype: dtypes.dtype | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        input = cast(input, dtype)
        found: Tensor = getattr(filled(input, mask, empty(input.dtype)), name)(dim, keepdim)
        return found.to(input.dtype)  # as in PyTorch, though places are whole numbers

    call.__name__ = call.__qualname__ = name
    return call


argmax = place("argmax", least)
argmax.__doc__ = "Where the largest element that counts stands; as for :func:`sum`, of one `dim`."
argmin = place("argmin", greatest)
argmin.__doc__ = "Where the smallest element that counts stands; as for :func:`sum`, of one `dim`."


def mean(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The mean of the elements that count; the arguments are those of :func:`sum`."""
    input = cast(input, dtype)
    if input.dtype.kind in ("int", "bool"):
        raise TypeError(f"mean expects a floating point or complex dtype, got {input.dtype}")
    total = sum(input, dim, keepdim=keepdim, mask=mask)
    return total / count(input, dim, keepdim, mask)


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The lower middle one of the elements that count, along a dimension.

    The other arguments are those of :func:`sum`.
    """
    input = cast(input, dtype)
    kind = input.dtype
    if kind.kind in ("int", "bool"):
        input = input.to(dt.float32)
    if not input.is_floating_point():
        raise ValueError(f"median expects a floating point dtype, got {kind}")
    if not input.ndim:
        input = input.reshape(1)
        mask = mask if mask is None else mask.reshape(1)
    if mask is not None and bool((input.isnan() & mask).any()):
        raise ValueError("median of NaN is not defined: no element that counts may be NaN")
    found: Tensor = filled(input, mask, math.nan).nanmedian(dim, keepdim).values
    if not kind.is_floating_point and bool(found.isnan().any()):
        raise ValueError(
            f"masked median expects no fully masked out rows if dtype is {kind}, which has no NaN"
        )
    return found.to(kind)


def norm(
    input: Tensor,
    ord: float = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The length of the vector of elements that count, by the exponent `ord`.

    The other arguments are those of :func:`sum`.
    """
    whole = filled(cast(input, dtype), mask, math.inf if ord == -math.inf else 0)
    size: Tensor = dt.linalg.vector_norm(whole, ord, over(dim, input.ndim), keepdim)
    return size


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The variance of the elements that count.

    It divides by their number less `correction`, which is 1 unless `unbiased` is False. The other
    arguments are those of :func:`sum`.
    """
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    elif unbiased is not None:
        raise RuntimeError("Only one of correction and unbiased can be given")
    if dtype is None and input.dtype.kind == "int":
        dtype = dt.float32
    input = cast(input, dtype)
    number = count(input, dim, True, mask)
    away = input - sum(input, dim, keepdim=True, mask=mask) / number
    total = sum(away * away.conj(), dim, keepdim=keepdim, mask=mask)
    freedom = (number.reshape(total.shape) - correction).clamp(min=0)
    return total / freedom.to(input.dtype.to_real())


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The root of :func:`var`, whose arguments it has."""
    found = var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    )
    return found.sqrt()


def logsumexp(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The logarithm of the sum of exponentials; the arguments are those of :func:`sum`."""
    input = cast(input, dtype)
    floats = input.to(dt.float32) if input.dtype.kind in ("int", "bool") else input
    total: Tensor = filled(floats, mask, -math.inf).logsumexp(over(dim, input.ndim), keepdim)
    return total.to(input.dtype)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: dtypes.dtype | None = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """The logarithm of the sum of two exponentials, each with a mask of its own."""
    one = filled(cast(input, dtype), input_mask, -math.inf)
    return dt.logaddexp(one, filled(cast(other, dtype), other_mask, -math.inf))


def cumsum(
    input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """Running sums of the elements that count, along `dim`."""
    whole = filled(cast(input, dtype), mask, 0)
    return whole.cumsum(dim, dtype=whole.dtype)


def cumprod(
    input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """Running products of the elements that count, along `dim`."""
    whole = filled(cast(input, dtype), mask, 1)
    return whole.cumprod(dim, dtype=whole.dtype)


def softmax(
    input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """Softmax over the elements that count, along `dim`; the others get 0."""
    return filled(cast(input, dtype), mask, -math.inf).softmax(dim)


def log_softmax(
    input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`."""
    return filled(cast(input, dtype), mask, -math.inf).log_softmax(dim)


def softmin(
    input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """Softmax of the negative numbers."""
    return (-filled(cast(input, dtype), mask, math.inf)).softmax(dim)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: dtypes.dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Divide by the length of the elements that count, along `dim`; see :func:`norm`."""
    input = cast(input, dtype)
    size = norm(input, ord, dim, keepdim=True, mask=mask).clamp(min=eps)
    return filled(input, mask, 0) / size
