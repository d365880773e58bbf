"""The one-hot categorical distribution, made continuous."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions._either import OfCategorical
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import ExpTransform
from devtensor.distributions.utils import broadcast_all, clamp_probs, uniform
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(OfCategorical):
    """The distribution of the logarithms of `RelaxedOneHotCategorical`.

    Parameters
    ----------
    temperature : Tensor
    probs, logits : Tensor, optional
        One of the two must be given.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions.relaxed_categorical import ExpRelaxedCategorical
    >>> ExpRelaxedCategorical(dt.tensor(1.0), dt.tensor([0.5, 0.5])).event_shape
    torch.Size([2])
    """

    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        self.temperature = temperature
        shape = self.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        share = clamp_probs(uniform(self.logits, self._extended_shape(sample_shape)))
        return F.log_softmax((self.logits - (-share.log()).log()) / self.temperature, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        count = self._event_shape[0]
        logits, value = broadcast_all(self.logits, value)
        score = F.log_softmax(logits - value * self.temperature, dim=-1).sum(-1)
        return score + math.lgamma(count) + (count - 1) * self.temperature.log()


class RelaxedOneHotCategorical(TransformedDistribution):
    """Probabilities, the closer to 0 and 1 the lower the temperature.

    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", 2017. Samples have
    gradients.

    Parameters
    ----------
    temperature : Tensor
    probs, logits : Tensor, optional
        One of the two must be given.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import RelaxedOneHotCategorical
    >>> relaxed = RelaxedOneHotCategorical(dt.tensor(2.0), dt.tensor([0.2, 0.8]))
    >>> relaxed.sample().sum().round()
    tensor(1.)
    """

    arg_constraints: ClassVar[Any] = OfCategorical.arg_constraints
    support = constraints.simplex
    temperature, probs, logits = of_base("temperature"), of_base("probs"), of_base("logits")

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)
