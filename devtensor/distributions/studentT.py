"""Student's t-distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.chi2 import Chi2
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all, standard_normal
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t-distribution.

    Parameters
    ----------
    df : Tensor or float
        The degrees of freedom.
    loc : Tensor or float
        The mode.
    scale : Tensor or float
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import StudentT
    >>> StudentT(4.0).variance, StudentT(1.0).mean
    (tensor(2.), tensor(nan))
    """

    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    mode = property(attrgetter("loc"))

    def __init__(
        self,
        df: Tensor | float,
        loc: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=validate_args)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return dt.where(self.df <= 1, math.nan, self.loc)

    @property
    def variance(self) -> Tensor:
        df = dt.where(self.df > 2, self.df, 3.0)
        finite = self.scale.pow(2) * df / (df - 2)
        infinite = dt.where(self.df > 1, math.inf, dt.full_like(df, math.nan))
        return dt.where(self.df > 2, finite, infinite)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        normal = standard_normal(self.df, self._extended_shape(sample_shape))
        ratio = normal * dt.rsqrt(self._chi2.rsample(sample_shape) / self.df)
        return self.loc + self.scale * ratio

    def _log_normalizer(self) -> Tensor:
        half = 0.5 * self.df
        beta = half.lgamma() + math.lgamma(0.5) - (half + 0.5).lgamma()
        return self.scale.log() + 0.5 * self.df.log() + beta

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        distance = (value - self.loc) / self.scale
        tail = 0.5 * (self.df + 1) * dt.log1p(distance**2 / self.df)
        return -tail - self._log_normalizer()

    def entropy(self) -> Tensor:
        half = 0.5 * self.df
        tail = (half + 0.5) * ((half + 0.5).digamma() - half.digamma())
        return tail + self._log_normalizer()
