"""Poisson's distribution."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.utils import broadcast_all
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    """Poisson's distribution of the number of events.

    Parameters
    ----------
    rate : Tensor or float
        The mean number.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Poisson
    >>> Poisson(1.0).log_prob(dt.tensor(0.0))
    tensor(-1.)
    """

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    mean = variance = property(attrgetter("rate"))

    def __init__(self, rate: Tensor | float, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            return dt.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.rate.log(),)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.exp()
