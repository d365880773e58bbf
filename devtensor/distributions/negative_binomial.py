"""The negative binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.distributions.gamma import Gamma
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["NegativeBinomial"]


class NegativeBinomial(ProbsOrLogits):
    """The distribution of the number of successes before some number of failures.

    Parameters
    ----------
    total_count : float or Tensor
        How many failures; need not be an integer.
    probs : Tensor, optional
        The probability of success.
    logits : Tensor, optional
        The logarithm of its odds; one of the two must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one of `probs` and `logits` is given.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import NegativeBinomial
    >>> NegativeBinomial(3, dt.tensor(0.5)).mean
    tensor(3.)
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        (total,) = self._choose(probs, logits, total_count)
        self.total_count = total.type_as(self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / dt.sigmoid(-self.logits)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            rate = Gamma(self.total_count, dt.exp(-self.logits), validate_args=False)
            return dt.poisson(rate.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        total = self.total_count
        powers = total * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        orders = (total + value).lgamma() - (1 + value).lgamma() - total.lgamma()
        return powers + orders.masked_fill(total + value == 0, 0.0)
