"""Kumaraswamy's distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import AffineTransform, PowerTransform
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import broadcast_all, euler_constant
from devtensor.tensor import Tensor

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """Kumaraswamy's distribution, which is like the beta distribution and has a simple inverse.

    Parameters
    ----------
    concentration1, concentration0 : Tensor or float
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import Kumaraswamy
    >>> Kumaraswamy(1.0, 1.0).mean
    tensor(0.5000)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval

    def __init__(
        self,
        concentration1: Tensor | float,
        concentration0: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        a, b = self.concentration1, self.concentration0 = broadcast_all(
            concentration1, concentration0
        )
        base = Uniform(dt.zeros_like(b), dt.ones_like(b), validate_args=validate_args)
        steps = [
            PowerTransform(b.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(a.reciprocal()),
        ]
        super().__init__(base, steps, validate_args=validate_args)

    def _moment(self, n: int) -> Tensor:
        """The mean of the power number `n`."""
        lead, b = 1 + n / self.concentration1, self.concentration0
        return b * (lead.lgamma() + b.lgamma() - (lead + b).lgamma()).exp()

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inside = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return dt.where((b < 1) | (a < 1), math.nan, inside).exp()

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1).pow(2)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + euler_constant
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
