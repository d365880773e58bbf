"""One-hot categorical distributions."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import OfCategorical
from devtensor.distributions.categorical import Categorical
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(OfCategorical):
    """The distribution of a vector that is 1 at one place and else 0.

    Parameters
    ----------
    probs : Tensor, optional
        Of shape (..., K): weights, which are divided by their sum.
    logits : Tensor, optional
        Of shape (..., K): logarithms of weights; one of the two must be given.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import OneHotCategorical
    >>> OneHotCategorical(dt.tensor([1.0, 3.0])).log_prob(dt.tensor([0.0, 1.0]))
    tensor(-0.2877)
    """

    support = constraints.one_hot
    has_enumerate_support = True
    mean = property(attrgetter("probs"))

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def _one_hot(self, places: Tensor) -> Tensor:
        return F.one_hot(places, self._event_shape[0]).to(self.probs)

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self._categorical.mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = self._event_shape[0]
        values = dt.eye(count, dtype=self._param.dtype, device=self._param.device)
        values = values.view((count, *(1,) * len(self._batch_shape), count))
        return values.expand((count, *self._batch_shape, count)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose samples pass gradients straight on to the probabilities.

    Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons",
    2013. The parameters are those of `OneHotCategorical`.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import OneHotCategoricalStraightThrough
    >>> probs = dt.tensor([0.25, 0.75], requires_grad=True)
    >>> OneHotCategoricalStraightThrough(probs).rsample()[0].backward()
    >>> probs.grad
    tensor([ 0.7500, -0.2500])
    """

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
