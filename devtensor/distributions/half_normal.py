"""The half-normal distribution."""

from __future__ import annotations

import math

from devtensor.distributions._half import Half
from devtensor.distributions.normal import Normal
from devtensor.tensor import Tensor

__all__ = ["HalfNormal"]


class HalfNormal(Half):
    """The distribution of the size of a normal number of mean 0.

    Parameters
    ----------
    scale : Tensor or float
        The standard deviation of the normal number.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import HalfNormal
    >>> HalfNormal(1.0).mean
    tensor(0.7979)
    """

    def __init__(self, scale: Tensor | float, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)
