"""Transforms of numbers."""

from __future__ import annotations

import math
from numbers import Number
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._transform import Transform
from devtensor.distributions.utils import broadcast_all, lazy_property
from devtensor.nn.functional import softplus
from devtensor.tensor import Tensor


class Plain(Transform):
    """A transform without parameters, so that all of its class are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self))

    __hash__ = None


class ExpTransform(Plain):
    """The exponential function."""

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    sign = +1

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


def clipped_sigmoid(x: Tensor) -> Tensor:
    """`sigmoid`, but never 0 or 1."""
    limits = dt.finfo(x.dtype)
    return dt.sigmoid(x).clamp(min=limits.tiny, max=1 - limits.eps)


class SigmoidTransform(Plain):
    """The logistic function."""

    domain = constraints.real
    codomain = constraints.unit_interval
    bijective = True
    sign = +1

    def _call(self, x: Tensor) -> Tensor:
        return clipped_sigmoid(x)

    def _inverse(self, y: Tensor) -> Tensor:
        limits = dt.finfo(y.dtype)
        y = y.clamp(min=limits.tiny, max=1 - limits.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Plain):
    """``log(1 + exp(x))``."""

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    sign = +1

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class TanhTransform(Plain):
    """The hyperbolic tangent, whose Jacobian is computed without overflow."""

    domain = constraints.real
    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    sign = +1

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * (math.log(2) - x - softplus(-2 * x))


class AbsTransform(Plain):
    """The absolute value, of which the inverse is taken to be positive."""

    domain = constraints.real
    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


def same(one: Any, two: Any) -> bool:
    """Whether two parameters, numbers or tensors, are equal."""
    equal = one == two
    return bool(equal.all()) if isinstance(equal, Tensor) else bool(equal)


class Broadcasting(Transform):
    """A transform whose parameters, numbers or tensors, broadcast with its argument."""

    _names: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and all(
            same(getattr(self, name), getattr(other, name)) for name in self._names
        )

    __hash__ = None

    def forward_shape(self, shape: Any) -> Any:
        shapes = [getattr(getattr(self, name), "shape", ()) for name in self._names]
        return dt.broadcast_shapes(shape, *shapes)

    inverse_shape = forward_shape


class PowerTransform(Broadcasting):
    """Positive numbers to a power.

    Parameters
    ----------
    exponent : Tensor or float
    cache_size : int
    """

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True
    _names = ("exponent",)

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        (self.exponent,) = broadcast_all(exponent)

    @lazy_property
    def sign(self) -> Tensor:
        return self.exponent.sign()

    def _call(self, x: Tensor) -> Tensor:
        return x.pow(self.exponent)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()


class AffineTransform(Broadcasting):
    """``loc + scale * x``.

    Parameters
    ----------
    loc, scale : Tensor or float
    event_dim : int
        How many dimensions an event has.
    cache_size : int

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import AffineTransform
    >>> AffineTransform(1.0, dt.tensor([2.0, 3.0]))(dt.ones(2))
    tensor([3., 4.])
    """

    bijective = True
    _names = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        if self.event_dim == 0:
            return constraints.real
        return constraints.independent(constraints.real, self.event_dim)

    codomain = domain

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, Number):
            return (self.scale > 0) - (self.scale < 0)  # type: ignore[operator]
        return self.scale.sign()

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Number):
            result = dt.full_like(x, math.log(abs(self.scale)))  # type: ignore[arg-type]
        else:
            result = self.scale.abs().log()
        shape = x.shape
        if self.event_dim:
            result = result.reshape((*result.shape[: -self.event_dim], -1)).sum(-1)
            shape = shape[: -self.event_dim]
        return result.expand(shape)


class CumulativeDistributionTransform(Transform):
    """The cumulative distribution of a distribution, which makes its samples uniform.

    Parameters
    ----------
    distribution : Distribution
        Of numbers, with `cdf` and `icdf`.
    cache_size : int

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import CumulativeDistributionTransform, Normal
    >>> CumulativeDistributionTransform(Normal(0.0, 1.0))(dt.tensor(0.0))
    tensor(0.5000)
    """

    bijective = True
    codomain = constraints.unit_interval
    sign = +1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)
