"""Dirichlet's distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.ops.gamma import _dirichlet_grad, _sample_dirichlet
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Dirichlet's distribution of probabilities.

    Parameters
    ----------
    concentration : Tensor
        Of shape (..., K): to each of the probabilities, how often it was seen.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If `concentration` has no dimension.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Dirichlet
    >>> Dirichlet(dt.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError(
                "`concentration` parameter must be at least one-dimensional. Its last dimension "
                "is that of the probabilities."
            )
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        excess = (self.concentration - 1).clamp(min=0)
        mode = excess / excess.sum(-1, True)
        # the density is infinite in all corners: the first stands for them, as in PyTorch
        first = (dt.arange(mode.shape[-1], device=mode.device) == 0).to(mode.dtype)
        return dt.where((self.concentration < 1).all(-1, keepdim=True), first, mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return _sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        return dt.xlogy(self.concentration - 1, value).sum(-1) - self._log_normalizer(
            self.concentration
        )

    def entropy(self) -> Tensor:
        shape, total = self.concentration, self.concentration.sum(-1)
        return (
            self._log_normalizer(shape)
            - (shape.shape[-1] - total) * total.digamma()
            - ((shape - 1) * shape.digamma()).sum(-1)
        )

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.concentration,)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()


def _Dirichlet_backward(x: Tensor, concentration: Tensor, grad_output: Tensor) -> Tensor:
    """The gradient of samples `x`, on its way to their concentration."""
    total = concentration.sum(-1, True).expand_as(concentration)
    slope = _dirichlet_grad(x, concentration, total)
    return slope * (grad_output - (x * grad_output).sum(-1, True))
