"""Halves of distributions that are symmetric around 0."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import AbsTransform
from devtensor.tensor import Tensor

__all__ = ["Half"]


class Half(TransformedDistribution):
    """The distribution of the size of a number of a symmetric distribution, the base."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    support = constraints.nonnegative
    scale = of_base("scale")
    variance: Any

    def __init__(self, whole: Any, validate_args: bool | None = None) -> None:
        super().__init__(whole, AbsTransform(), validate_args=validate_args)

    @property
    def mode(self) -> Tensor:
        return dt.zeros_like(self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        value = dt.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        self._check_sample(value)
        return dt.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob: Tensor) -> Tensor:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)
