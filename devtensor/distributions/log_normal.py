"""The log-normal distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions.normal import Normal
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import ExpTransform
from devtensor.tensor import Tensor

__all__ = ["LogNormal"]


class LogNormal(TransformedDistribution):
    """The distribution of a number whose logarithm is normal.

    Parameters
    ----------
    loc, scale : Tensor or float
        Mean and standard deviation of the logarithm.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import LogNormal
    >>> LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    loc, scale = of_base("loc"), of_base("scale")

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.pow(2)).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.pow(2)
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc
