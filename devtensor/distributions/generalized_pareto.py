"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all, uniform
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """The distribution of what exceeds a high threshold.

    Parameters
    ----------
    loc : Tensor or float
        The least number.
    scale : Tensor or float
    concentration : Tensor or float
        How heavy the tail is: 0 is exponential, and below 0 it ends.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import GeneralizedPareto
    >>> GeneralizedPareto(0.0, 1.0, dt.tensor([0.0, 0.5])).mean
    tensor([1., 2.])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    mode = property(attrgetter("loc"))

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, dt.where(self.concentration < 0, end, math.inf))

    def _parts(self) -> tuple[Tensor, Tensor]:
        """Whether the tail is exponential, and a concentration to divide by where it is not."""
        flat = dt.isclose(self.concentration, dt.zeros_like(self.concentration))
        return flat, dt.where(flat, 1.0, self.concentration)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.icdf(uniform(self.loc, self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        flat, shape = self._parts()
        distance = (value - self.loc) / self.scale
        power = 1 / shape + dt.ones_like(distance)
        tail = dt.where(power == 0, power, power * dt.log1p(shape * distance))
        return -self.scale.log() - dt.where(flat, distance, tail)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of exceeding `value`."""
        self._check_sample(value)
        flat, shape = self._parts()
        distance = (value - self.loc) / self.scale
        return dt.where(flat, -distance, -dt.log1p(shape * distance) / shape)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of `cdf`."""
        return dt.log1p(-self.log_survival_function(value).exp())

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        flat, shape = self._parts()
        left = dt.log1p(-value)
        power = self.scale / shape * dt.expm1(-shape * left)
        return self.loc + dt.where(flat, -self.scale * left, power)

    @property
    def mean(self) -> Tensor:
        shape = dt.where(self.concentration < 1, self.concentration, math.nan)
        return self.loc + self.scale / (1 - shape)

    @property
    def variance(self) -> Tensor:
        shape = dt.where(self.concentration < 0.5, self.concentration, math.nan)
        return self.scale**2 / ((1 - shape) ** 2 * (1 - 2 * shape))

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1
