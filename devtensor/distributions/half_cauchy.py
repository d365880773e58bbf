"""The half-Cauchy distribution."""

from __future__ import annotations

import math

import devtensor as dt
from devtensor.distributions._half import Half
from devtensor.distributions.cauchy import Cauchy
from devtensor.distributions.transformed_distribution import of_base
from devtensor.tensor import Tensor

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The distribution of the size of a number of Cauchy's distribution around 0.

    Parameters
    ----------
    scale : Tensor or float
        Half of the numbers are smaller.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import HalfCauchy
    >>> HalfCauchy(1.0).cdf(dt.tensor(1.0))
    tensor(0.5000)
    """

    variance = of_base("variance")

    def __init__(self, scale: Tensor | float, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return dt.full_like(self.scale, math.inf)
