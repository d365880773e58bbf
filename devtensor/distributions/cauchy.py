"""Cauchy's distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    """Cauchy's distribution, also Lorentz's: the ratio of two normal numbers.

    Parameters
    ----------
    loc : Tensor or float
        The mode and the median.
    scale : Tensor or float
        Half of the numbers are closer to `loc`.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Cauchy
    >>> Cauchy(0.0, 1.0).cdf(dt.tensor(1.0))
    tensor(0.7500)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    mode = property(attrgetter("loc"))

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return dt.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return dt.full_like(self.loc, math.inf)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        noise = self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_()
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        distance = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (distance**2).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        return dt.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return dt.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()
