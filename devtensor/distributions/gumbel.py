"""Gumbel's distribution."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import AffineTransform, ExpTransform
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import broadcast_all, euler_constant
from devtensor.tensor import Tensor

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    """Gumbel's distribution, that of the largest of many numbers.

    Parameters
    ----------
    loc : Tensor or float
        The mode.
    scale : Tensor or float
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import Gumbel
    >>> Gumbel(1.0, 2.0).mean
    tensor(2.1544)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    mode = property(attrgetter("loc"))

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        limits = dt.finfo(self.loc.dtype)
        low, high = (dt.full_like(self.loc, v) for v in (limits.tiny, 1 - limits.eps))
        base = Uniform(low, high, validate_args=validate_args)
        steps = [
            ExpTransform().inv,
            AffineTransform(0, -dt.ones_like(self.scale)),
            ExpTransform().inv,
            AffineTransform(loc, -self.scale),
        ]
        super().__init__(base, steps, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        distance = (self.loc - value) / self.scale
        return distance - distance.exp() - self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * euler_constant

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + euler_constant)
