"""The logistic-normal distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions.normal import Normal
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import StickBreakingTransform
from devtensor.tensor import Tensor

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Probabilities made of normal numbers by breaking a stick.

    Parameters
    ----------
    loc, scale : Tensor or float
        Of the normal numbers, of shape (..., K - 1) for K probabilities.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import LogisticNormal
    >>> LogisticNormal(dt.zeros(3), dt.ones(3)).event_shape
    torch.Size([4])
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    loc, scale = of_base("base_dist.loc"), of_base("base_dist.scale")

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)
