"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    uniform,
)
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Numbers from 0 to 1 with an exponential density (Loaiza-Ganem and Cunningham, 2019).

    Parameters
    ----------
    probs : Tensor or float, optional
        The density at 1 is to that at 0 as `probs` to ``1 - probs``; it is not the mean.
    logits : Tensor or float, optional
        The logarithm of the odds; one of the two must be given.
    lims : tuple of float
        Between them, where the formulas lose their digits, series are used.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one of `probs` and `logits` is given.

    Examples
    --------
    >>> from devtensor.distributions import ContinuousBernoulli
    >>> ContinuousBernoulli(0.5).mean, ContinuousBernoulli(0.9).mean
    (tensor(0.5000), tensor(0.6699))
    """

    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._choose(probs, logits)
        if probs is not None:
            wanted = self._validate_args if validate_args is None else validate_args
            if wanted and not self.arg_constraints["probs"].check(self.probs).all():
                raise ValueError(f"The parameter probs has invalid values: {self.probs}")
            self.probs = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(self._param.shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside(self) -> Tensor:
        """Where the formulas have their digits."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Tensor:
        """`probs`, with something else where the formulas are not used."""
        return dt.where(self._outside(), self.probs, self._lims[0])

    @staticmethod
    def _turn(probs: Tensor) -> Tensor:
        """Minus the logits."""
        return dt.log1p(-probs) - probs.log()

    def _cont_bern_log_norm(self) -> Tensor:
        cut = self._cut()
        norm = self._turn(cut).abs().log() - dt.log1p(-2 * dt.minimum(cut, 1 - cut))
        x = (self.probs - 0.5).pow(2)
        return dt.where(self._outside(), norm, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    @property
    def mean(self) -> Tensor:
        cut, x = self._cut(), self.probs - 0.5
        mean = cut / (2 * cut - 1) + 1 / self._turn(cut)
        return dt.where(self._outside(), mean, 0.5 + (1 / 3 + 16 / 45 * x.pow(2)) * x)

    @property
    def variance(self) -> Tensor:
        cut, x = self._cut(), (self.probs - 0.5).pow(2)
        variance = cut * (cut - 1) / (1 - 2 * cut).pow(2) + 1 / self._turn(cut).pow(2)
        return dt.where(self._outside(), variance, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.icdf(uniform(self.probs, self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        likelihood = -F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return likelihood + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        cut = self._cut()
        raised = cut.pow(value) * (1 - cut).pow(1 - value)
        inside = dt.where(self._outside(), (raised + cut - 1) / (2 * cut - 1), value)
        return dt.where(value <= 0, 0.0, dt.where(value >= 1, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        cut = self._cut()
        place = dt.log1p(-cut + value * (2 * cut - 1)) - dt.log1p(-cut)
        return dt.where(self._outside(), -place / self._turn(cut), value)

    def entropy(self) -> Tensor:
        turn = self._turn(self.probs)
        return self.mean * turn - self._cont_bern_log_norm() - dt.log1p(-self.probs)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        outside = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = dt.where(outside, x, self._lims[0] - 0.5)
        norm = cut.expm1().abs().log() - cut.abs().log()
        return dt.where(outside, norm, 0.5 * x + x.pow(2) / 24 - x.pow(4) / 2880)
