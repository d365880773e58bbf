"""Bernoulli's distribution, made continuous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.distributions.transformed_distribution import TransformedDistribution, of_base
from devtensor.distributions.transforms import SigmoidTransform
from devtensor.distributions.utils import broadcast_all, probs_to_logits, uniform
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(ProbsOrLogits):
    """The distribution of the logits of `RelaxedBernoulli`.

    Parameters
    ----------
    temperature : Tensor
    probs, logits : Tensor or float, optional
        One of the two must be given.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
    >>> LogitRelaxedBernoulli(dt.tensor(1.0), probs=0.5).log_prob(dt.tensor(0.0))
    tensor(-1.3863)
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._choose(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        noise, logits = (
            probs_to_logits(p, is_binary=True) for p in (uniform(self.probs, shape), self.probs)
        )
        return (noise + logits) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        distance = logits - value * self.temperature
        return self.temperature.log() + distance + 2 * F.logsigmoid(-distance)


class RelaxedBernoulli(TransformedDistribution):
    """Numbers between 0 and 1, the closer to them the lower the temperature.

    Maddison, Mnih and Teh, "The Concrete distribution", 2017. Samples have gradients.

    Parameters
    ----------
    temperature : Tensor
    probs, logits : Tensor or float, optional
        One of the two must be given.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import RelaxedBernoulli
    >>> RelaxedBernoulli(dt.tensor(2.0), probs=dt.tensor([0.2, 0.8])).sample().shape
    torch.Size([2])
    """

    arg_constraints: ClassVar[Any] = ProbsOrLogits.arg_constraints
    support = constraints.unit_interval
    temperature, probs, logits = of_base("temperature"), of_base("probs"), of_base("logits")

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)
