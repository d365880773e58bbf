"""Distributions that are given by probabilities or by logits."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from devtensor.size import Size
from devtensor.tensor import Tensor


class ProbsOrLogits(Distribution):
    """A distribution with the attributes `probs` and `logits`, of which one is given."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    _binary = True
    _given: str

    def _choose(self, probs: Any, logits: Any, *others: Any) -> tuple[Tensor, ...]:
        """Keep the one that is given, broadcast with others, which are returned.

        Raises
        ------
        ValueError
            Unless there is just one.
        """
        if (probs is None) == (logits is None):
            raise ValueError(
                "Either `probs` or `logits` must be specified, but not both. Given: "
                f"probs={probs}, logits={logits}"
            )
        self._given = "logits" if probs is None else "probs"
        *kept, value = broadcast_all(*others, logits if probs is None else probs)
        self.__dict__[self._given] = value
        return tuple(kept)

    @property
    def _param(self) -> Tensor:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Size:
        """The shape of `probs` and `logits`."""
        return self._param.shape

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=self._binary)

    @lazy_property
    def probs(self) -> Tensor:
        return logits_to_probs(self.logits, is_binary=self._binary)

    def _counted(self, count: int, expand: bool, dtype: Any = None) -> Tensor:
        """The numbers 0, …, ``count - 1`` along a first dimension, for each of the batch."""
        dtype = self._param.dtype if dtype is None else dtype
        values = dt.arange(count, dtype=dtype, device=self._param.device)
        values = values.view((-1, *(1,) * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values


class OfCategorical(Distribution):
    """A distribution made of a categorical one, whose parameters are its own."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    probs = property(attrgetter("_categorical.probs"))
    logits = property(attrgetter("_categorical.logits"))
    param_shape = property(attrgetter("_categorical.param_shape"))
    _param = property(attrgetter("_categorical._param"))
