"""Windows for Fourier transforms: the names of ``torch.signal.windows``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import devtensor as dt
import devtensor.dtype as dtypes
from devtensor.tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


@dataclass(frozen=True)
class Places:
    """Where a window is computed.

    Attributes
    ----------
    n : Tensor
        ``0, 1, ..., M - 1`` in float64.
    symmetric : bool
    """

    n: Tensor
    symmetric: bool

    @property
    def period(self) -> int:
        """After how many places the window comes again."""
        return max(1, len(self.n) - self.symmetric)

    @property
    def middle(self) -> float:
        """Where it is highest."""
        return self.period / 2 if len(self.n) > 1 else 0.0


def window(shape: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a public function of one that gives a window's numbers at `Places`.

    To the function's own options come those that all windows have.
    """
    name = shape.__name__

    @wraps(shape)
    def make(
        M: int,
        *,
        sym: bool = True,
        dtype: dtypes.dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **options: Any,
    ) -> Tensor:
        dtype = dt.get_default_dtype() if dtype is None else dtype
        if M < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if layout not in (None, dt.strided):
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        if dtype not in (dt.float32, dt.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
        places = Places(dt.arange(M, dtype=dt.float64, device=device), sym)
        result: Tensor = shape(places, **options).to(dtype)
        return result.requires_grad_() if requires_grad else result

    shared = list(inspect.signature(make, follow_wrapped=False).parameters.values())
    own = list(inspect.signature(shape).parameters.values())[1:]
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [shared[0], *own, *shared[1:-1]], return_annotation="Tensor"
    )
    return make


def cosines(places: Places, weights: Iterable[float]) -> Tensor:
    """``weights[0] - weights[1] cos(x) + weights[2] cos(2 x) - ...``."""
    angle = places.n * (2 * math.pi / places.period)
    total = dt.zeros_like(angle)
    for i, weight in enumerate(weights):
        total = total + (-1) ** i * weight * (i * angle).cos()
    return total if len(angle) > 1 else dt.ones_like(angle)


@window
def general_cosine(places: Places, *, a: Iterable[float]) -> Tensor:
    """A sum of cosines with alternating signs: ``a[0] - a[1] cos(x) + a[2] cos(2 x) - ...``.

    Parameters
    ----------
    M : int
        How many numbers.
    a : iterable of float
        The weights.
    sym : bool, optional
        Whether the window is symmetric, as for a filter; else it is one period, as for a spectrum.
    dtype : dtype, optional
        float32 or float64; the default dtype if not given.
    layout, device, requires_grad
        As for all new tensors.

    Returns
    -------
    Tensor
        Shape ``(M,)``.

    Raises
    ------
    ValueError
        If `M` is negative, the dtype another one, or there are no weights.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.general_cosine(5, a=[0.5, 0.5])
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    if not isinstance(a, Iterable):
        raise TypeError(f"Coefficients must be a list/tuple, got {type(a).__name__}")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return cosines(places, weights)


@window
def general_hamming(places: Places, *, alpha: float = 0.54) -> Tensor:
    """A raised cosine, ``alpha - (1 - alpha) cos(x)``; the rest as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.general_hamming(5, alpha=0.6)
    tensor([0.2000, 0.6000, 1.0000, 0.6000, 0.2000])
    """
    return cosines(places, (alpha, 1 - alpha))


@window
def hamming(places: Places) -> Tensor:
    """Hamming's window, a raised cosine that ends above 0; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.hamming(5)
    tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    return cosines(places, (0.54, 0.46))


@window
def hann(places: Places) -> Tensor:
    """Hann's window, a raised cosine that ends at 0; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return cosines(places, (0.5, 0.5))


@window
def blackman(places: Places) -> Tensor:
    """Blackman's window, of two cosines; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.blackman(5)[1:4]
    tensor([0.3400, 1.0000, 0.3400])
    """
    return cosines(places, (0.42, 0.5, 0.08))


@window
def nuttall(places: Places) -> Tensor:
    """Nuttall's window, of three cosines, with low side lobes; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.nuttall(5)[1:4]
    tensor([0.2270, 1.0000, 0.2270])
    """
    return cosines(places, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@window
def bartlett(places: Places) -> Tensor:
    """A triangle; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    triangle: Tensor = 1 - (places.n * (2 / places.period) - 1).abs()
    return triangle if len(places.n) > 1 else dt.ones_like(triangle)


@window
def cosine(places: Places) -> Tensor:
    """Half a period of a sine; as for :func:`general_cosine`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    length = len(places.n) + (not places.symmetric and len(places.n) > 1)
    arch: Tensor = ((places.n + 0.5) * (math.pi / max(1, length))).sin()
    return arch


@window
def exponential(places: Places, *, center: float | None = None, tau: float = 1.0) -> Tensor:
    """An exponential that falls to both sides; also called Poisson's window.

    Parameters
    ----------
    M, sym, dtype, layout, device, requires_grad
        As for :func:`general_cosine`.
    center : float, optional
        Where it is 1; the middle by default, and always of a symmetric window.
    tau : float, optional
        How far away it has fallen to ``1 / e``.

    Raises
    ------
    ValueError
        If `tau` is not positive, or a symmetric window has a center.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if places.symmetric and center is not None:
        raise ValueError(f"Center must be None for symmetric windows, got {center}")
    away = places.n - (places.middle if center is None else center)
    slope: Tensor = (-away.abs() / tau).exp()
    return slope


@window
def gaussian(places: Places, *, std: float = 1.0) -> Tensor:
    """The bell of a normal distribution with standard deviation `std`.

    The other arguments are those of :func:`general_cosine`.

    Raises
    ------
    ValueError
        If `std` is not positive.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    away = (places.n - places.middle) / std
    bell: Tensor = (-0.5 * away * away).exp()
    return bell


@window
def kaiser(places: Places, *, beta: float = 12.0) -> Tensor:
    """Kaiser's window, of Bessel functions; the larger `beta`, the narrower.

    The other arguments are those of :func:`general_cosine`.

    Raises
    ------
    ValueError
        If `beta` is negative.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.signal.windows.kaiser(3, beta=0.0)
    tensor([1., 1., 1.])
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    away = places.n * (2 / places.period) - 1
    inside = (1 - away * away).clamp(min=0)
    top = dt.special.i0(dt.full_like(away, beta))
    bell: Tensor = dt.special.i0(beta * inside.sqrt()) / top
    return bell if len(away) > 1 else dt.ones_like(bell)
