"""The categorical distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Categorical"]


class Categorical(ProbsOrLogits):
    """The distribution of a number among 0, …, K - 1.

    Parameters
    ----------
    probs : Tensor, optional
        Of shape (..., K): weights, which are divided by their sum.
    logits : Tensor, optional
        Of shape (..., K): logarithms of weights; one of the two must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one of `probs` and `logits` is given, of one dimension at least.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Categorical
    >>> die = Categorical(dt.tensor([1.0, 1.0, 2.0]))
    >>> die.probs, die.log_prob(dt.tensor([0, 2]))
    (tensor([0.2500, 0.2500, 0.5000]), tensor([-1.3863, -0.6931]))
    """

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    has_enumerate_support = True
    _binary = False

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._choose(probs, logits)
        if self._param.ndim < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = self.probs / self.probs.sum(-1, keepdim=True)
        else:
            self.logits = self.logits - self.logits.logsumexp(-1, keepdim=True)
        self._num_events = self._param.shape[-1]
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return dt.full_like(self._param[..., 0], math.nan)

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        count, shape = Size(sample_shape).numel(), self._extended_shape(sample_shape)
        if shape.numel() == 0:
            return dt.zeros(shape, dtype=dt.int64, device=self._param.device)
        rows = self.probs.detach().reshape(-1, self._num_events)
        return dt.multinomial(rows, count, True).T.reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        place, logits = dt.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, place[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=dt.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counted(self._num_events, expand, dt.int64)
