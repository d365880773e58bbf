"""The multinomial distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import OfCategorical
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.utils import broadcast_all
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Multinomial"]


class Multinomial(OfCategorical):
    """The distribution of how often each of K outcomes comes up.

    Parameters
    ----------
    total_count : int
        The number of trials.
    probs : Tensor, optional
        Of shape (..., K): weights, which are divided by their sum.
    logits : Tensor, optional
        Of shape (..., K): logarithms of weights; one of the two must be given.
    validate_args : bool, optional

    Raises
    ------
    NotImplementedError
        If `total_count` is no int.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Multinomial
    >>> Multinomial(4, dt.tensor([1.0, 3.0])).mean
    tensor([1., 3.])
    """

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(
                "inhomogeneous total_count is not supported: it must be an int, not "
                f"{type(total_count).__name__}"
            )
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        places = self._categorical.sample((self.total_count, *sample_shape)).movedim(0, -1)
        counts = places.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add_(-1, places, dt.ones_like(places)).to(self.probs)

    def entropy(self) -> Tensor:
        count = self.total_count
        binomial = Binomial(count, self.probs)
        times = binomial.enumerate_support(expand=False)[1:]
        spread = (binomial.log_prob(times).exp() * (times + 1).lgamma()).sum((0, -1))
        return count * self._categorical.entropy() - math.lgamma(count + 1) + spread

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        impossible = (value == 0) & (logits == -math.inf)
        powers = (dt.where(impossible, 0.0, logits) * value).sum(-1)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + powers
