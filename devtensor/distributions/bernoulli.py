"""Bernoulli's distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.utils import broadcast_all
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Bernoulli"]


class Bernoulli(ProbsOrLogits, ExponentialFamily):
    """The distribution of a number that is 1 with some probability, else 0.

    Parameters
    ----------
    probs : Tensor or float, optional
        The probability.
    logits : Tensor or float, optional
        The logarithm of its odds; one of the two must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one of `probs` and `logits` is given.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Bernoulli
    >>> Bernoulli(0.75).log_prob(dt.tensor([0.0, 1.0]))
    tensor([-1.3863, -0.2877])
    """

    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0
    mean = property(attrgetter("probs"))

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._choose(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mode(self) -> Tensor:
        likely = (self.probs >= 0.5).to(self.probs.dtype)
        return dt.where(self.probs == 0.5, math.nan, likely)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            return dt.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counted(2, expand)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (dt.logit(self.probs),)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return dt.log1p(dt.exp(x))
