"""Pareto's distribution."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import AffineTransform, ExpTransform
from devtensor.distributions.utils import broadcast_all
from devtensor.tensor import Tensor

__all__ = ["Pareto"]


class Pareto(TransformedDistribution):
    """Pareto's distribution, whose tail is a power.

    Parameters
    ----------
    scale : Tensor or float
        The least number.
    alpha : Tensor or float
        The power.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import Pareto
    >>> Pareto(1.0, 3.0).mean, Pareto(1.0, 1.0).mean
    (tensor(1.5000), tensor(inf))
    """

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}
    mode = property(attrgetter("scale"))

    def __init__(
        self, scale: Tensor | float, alpha: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        steps = [ExpTransform(), AffineTransform(0, self.scale)]
        super().__init__(base, steps, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        alpha = self.alpha.clamp(min=1)
        return alpha * self.scale / (alpha - 1)

    @property
    def variance(self) -> Tensor:
        alpha = self.alpha.clamp(min=2)
        return self.scale.pow(2) * alpha / ((alpha - 1).pow(2) * (alpha - 2))

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())
