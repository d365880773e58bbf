"""Weibull's distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import AffineTransform, PowerTransform
from devtensor.distributions.utils import broadcast_all, euler_constant
from devtensor.tensor import Tensor

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """Weibull's distribution: a power of a waiting time.

    Parameters
    ----------
    scale : Tensor or float
    concentration : Tensor or float
        The inverse of the power.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import Weibull
    >>> Weibull(2.0, 1.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[Any] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive

    def __init__(
        self,
        scale: Tensor | float,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(dt.ones_like(self.scale), validate_args=validate_args)
        steps = [PowerTransform(self.concentration_reciprocal), AffineTransform(0, self.scale)]
        super().__init__(base, steps, validate_args=validate_args)

    @property
    def concentration_reciprocal(self) -> Tensor:
        """The power."""
        return self.concentration.reciprocal()

    def _moment(self, n: int) -> Tensor:
        """The mean of the power number `n`, for scale 1."""
        return dt.lgamma(1 + n * self.concentration_reciprocal).exp()

    @property
    def mean(self) -> Tensor:
        return self.scale * self._moment(1)

    @property
    def mode(self) -> Tensor:
        power = self.concentration_reciprocal
        return self.scale * ((self.concentration - 1) / self.concentration) ** power

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (self._moment(2) - self._moment(1).pow(2))

    def entropy(self) -> Tensor:
        power = self.concentration_reciprocal
        return euler_constant * (1 - power) + dt.log(self.scale * power) + 1
