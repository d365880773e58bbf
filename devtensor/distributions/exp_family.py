"""Exponential families: what follows from their log-normalizers."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.distributions.distribution import Distribution
from devtensor.tensor import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution whose density is ``exp(t(x) · η - F(η) + k(x))``.

    A subclass has the natural parameters η as ``_natural_params``, a tuple of tensors, F as
    ``_log_normalizer(*η)``, and the mean of k as ``_mean_carrier_measure``. Its entropy follows,
    as the means of ``t(x)`` are the gradients of F.

    Examples
    --------
    >>> from devtensor.distributions import Exponential, ExponentialFamily
    >>> ExponentialFamily.entropy(Exponential(2.0))
    tensor(0.3069, grad_fn=<...>)
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def _moments(self) -> tuple[list[Tensor], Tensor, tuple[Tensor, ...]]:
        """The natural parameters, the log-normalizer, and its gradients: the means of t(x)."""
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        return natural, normalizer, dt.autograd.grad(normalizer.sum(), natural, create_graph=True)

    def entropy(self) -> Tensor:
        natural, normalizer, means = self._moments()
        result = normalizer - self._mean_carrier_measure
        for parameter, mean in zip(natural, means, strict=True):
            result = result - (parameter * mean).reshape((*self._batch_shape, -1)).sum(-1)
        return result
