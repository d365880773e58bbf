"""The inverse gamma distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import PowerTransform
from devtensor.tensor import Tensor

__all__ = ["InverseGamma"]


class InverseGamma(TransformedDistribution):
    """The distribution of the inverse of a number of the gamma distribution.

    Parameters
    ----------
    concentration, rate : Tensor or float
        Those of the gamma distribution.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import InverseGamma
    >>> InverseGamma(3.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive
    concentration, rate = of_base("concentration"), of_base("rate")

    def __init__(
        self,
        concentration: Tensor | float,
        rate: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        inverse = PowerTransform(-base.rate.new_ones(()))
        super().__init__(base, inverse, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        shape = self.concentration
        return dt.where(shape > 1, self.rate / (shape - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        shape = self.concentration
        finite = self.rate.pow(2) / ((shape - 1).pow(2) * (shape - 2))
        return dt.where(shape > 2, finite, math.inf)

    def entropy(self) -> Tensor:
        shape = self.concentration
        return shape + self.rate.log() + shape.lgamma() - (1 + shape) * shape.digamma()
