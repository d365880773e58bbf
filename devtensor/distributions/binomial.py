"""The binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits):
    """The distribution of the number of successes among some trials.

    Parameters
    ----------
    total_count : int or Tensor
        How many trials.
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
    >>> from devtensor.distributions import Binomial
    >>> Binomial(2, dt.tensor(0.5)).log_prob(dt.tensor([0.0, 1.0, 2.0])).exp()
    tensor([0.2500, 0.5000, 0.2500])
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.nonnegative_integer,
        **ProbsOrLogits.arg_constraints,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Tensor | int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        (total,) = self._choose(probs, logits, total_count)
        self.total_count = total.type_as(self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with dt.no_grad():
            return dt.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        total = self.total_count
        orders = (total + 1).lgamma() - (value + 1).lgamma() - (total - value + 1).lgamma()
        return value * self.logits + total * F.logsigmoid(-self.logits) + orders

    def _total(self, name: str) -> int:
        most = int(self.total_count.max())
        if self.total_count.min() != most:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{name}`.")
        return most

    def entropy(self) -> Tensor:
        self._total("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counted(1 + self._total("enumerate_support"), expand)
