"""The uniform distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all, uniform
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Uniform"]


class Uniform(Distribution):
    """Numbers evenly spread from `low` up to, not including, `high`.

    Parameters
    ----------
    low, high : Tensor or float
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Uniform
    >>> Uniform(0.0, 2.0).cdf(dt.tensor([0.5, 2.0])), Uniform(0.0, 2.0).mean
    (tensor([0.2500, 1.0000]), tensor(1.))
    """

    has_rsample = True

    def __init__(
        self, low: Tensor | float, high: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    @property
    def arg_constraints(self) -> Any:
        return {
            "low": constraints.less_than(self.high),
            "high": constraints.greater_than(self.low),
        }

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return math.nan * self.high

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        share = uniform(self.low, self._extended_shape(sample_shape))
        return self.low + share * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        inside = (self.low <= value) & (value < self.high)
        return inside.to(self.low.dtype).log() - dt.log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return dt.log(self.high - self.low)
