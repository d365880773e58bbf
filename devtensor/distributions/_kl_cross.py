"""Divergences of distributions of different families.

``KL(p || q)`` is the mean of ``-log q`` under p less the entropy of p. The logarithms of most
densities are sums of a few simple functions of x, such as x, x² or log x; so each q needs the means
of its functions, and each p knows the means of some.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.distributions.bernoulli import Bernoulli
from devtensor.distributions.beta import Beta
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.continuous_bernoulli import ContinuousBernoulli
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.gumbel import Gumbel
from devtensor.distributions.kl import register_kl
from devtensor.distributions.laplace import Laplace
from devtensor.distributions.normal import Normal
from devtensor.distributions.pareto import Pareto
from devtensor.distributions.poisson import Poisson
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import euler_constant
from devtensor.tensor import Tensor

# ---- means under p


def _uniform_log(low: Tensor, high: Tensor) -> Tensor:
    return (dt.xlogy(high, high) - dt.xlogy(low, low)) / (high - low) - 1


MEAN_OF_LOG: dict[type, Callable[[Any], Tensor]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -euler_constant - p.rate.log(),
    Gamma: lambda p: p.concentration.digamma() - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _uniform_log(p.low, p.high),
}
"""``E log x``."""

MEAN_OF_EXP: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Exponential: lambda p, t: p.rate / (p.rate + t),
    Gamma: lambda p, t: (1 + t / p.rate).pow(-p.concentration),
    Normal: lambda p, t: (0.5 * (p.scale * t).pow(2) - p.loc * t).exp(),
    Uniform: lambda p, t: ((-p.low * t).exp() - (-p.high * t).exp()) / (t * (p.high - p.low)),
}
"""``E exp(-t x)``."""


def _of(table: dict[type, Any], p: Any) -> Any:
    """What a table has for the class of `p`."""
    return next(table[kind] for kind in type(p).__mro__ if kind in table)


# ---- means of -log q


def _beta(p: Any, q: Beta) -> Tensor:
    low, high = _of(MEAN_OF_LOG, p)(p), _uniform_log(1 - p.high, 1 - p.low)
    terms = (q.concentration1 - 1) * low + (q.concentration0 - 1) * high
    return q._log_normalizer(q.concentration1, q.concentration0) - terms


def _bits(p: Any, q: ContinuousBernoulli) -> Tensor:
    return -p.mean * q.logits - dt.log1p(-q.probs) - q._cont_bern_log_norm()


def _exponential(p: Any, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log()


def _gamma(p: Any, q: Gamma) -> Tensor:
    terms = (q.concentration - 1) * _of(MEAN_OF_LOG, p)(p) - q.rate * p.mean
    return q.concentration.lgamma() - q.concentration * q.rate.log() - terms


def _gumbel(p: Any, q: Gumbel) -> Tensor:
    growth = _of(MEAN_OF_EXP, p)(p, q.scale.reciprocal()).log() + q.loc / q.scale
    return q.scale.log() + (p.mean - q.loc) / q.scale + growth.exp()


def _laplace(p: Normal, q: Laplace) -> Tensor:
    distance = p.loc - q.loc
    ratio = distance / (p.scale * math.sqrt(2))
    size = p.scale * math.sqrt(2 / math.pi) * (-ratio.pow(2)).exp() + distance * ratio.erf()
    return dt.log(2 * q.scale) + size / q.scale


def _normal(p: Any, q: Normal) -> Tensor:
    square = p.variance + (p.mean - q.loc).pow(2)
    return 0.5 * math.log(2 * math.pi) + q.scale.log() + square / (2 * q.scale.pow(2))


def _pareto(p: Uniform, q: Pareto) -> Tensor:
    return (q.alpha + 1) * _uniform_log(p.low, p.high) - q.alpha.log() - q.alpha * q.scale.log()


def _poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return q.rate - p.probs * q.rate.log()


def _uniform(p: Any, q: Uniform) -> Tensor:
    return (q.high - q.low).log()


# ---- where q cannot be where p can


def _positive(p: Uniform, q: Any) -> Tensor:
    return p.low < 0


def _above(p: Uniform, q: Pareto) -> Tensor:
    return p.low < q.scale


def _in_unit(p: Uniform, q: Any) -> Tensor:
    return (p.low < 0) | (p.high > 1)


def _strictly_in_unit(p: Uniform, q: Any) -> Tensor:
    return (p.low <= 0) | (p.high >= 1)


def _covers_unit(p: Any, q: Uniform) -> Tensor:
    return (q.low > 0) | (q.high < 1)


def _touches_unit(p: Any, q: Uniform) -> Tensor:
    return (q.low >= 0) | (q.high <= 1)


Outside = Callable[[Any, Any], Tensor] | None
KNOWN: dict[Any, dict[type, Outside]] = {
    (Beta, _beta): {Uniform: _in_unit},
    (ContinuousBernoulli, _bits): {Beta: None, Uniform: _strictly_in_unit},
    (Exponential, _exponential): {
        Beta: None, ContinuousBernoulli: None, Gamma: None, Pareto: None, Uniform: _positive,
    },
    (Gamma, _gamma): {Beta: None, Exponential: None, Pareto: None, Uniform: _positive},
    (Gumbel, _gumbel): {Exponential: None, Gamma: None, Normal: None, Uniform: None},
    (Laplace, _laplace): {Normal: None},
    (Normal, _normal): {
        Beta: None, ContinuousBernoulli: None, Exponential: None, Gamma: None, Gumbel: None,
        Laplace: None, Pareto: None, Uniform: None,
    },
    (Pareto, _pareto): {Uniform: _above},
    (Poisson, _poisson): {Bernoulli: None},
    (Uniform, _uniform): {Beta: _covers_unit, ContinuousBernoulli: _touches_unit},
}  # fmt: skip
"""To each q, the p for which the mean is known, and where it is infinite."""

NEVER: dict[tuple[type, ...], tuple[type, ...]] = {
    (Beta, ContinuousBernoulli): (Pareto,),
    (Exponential, Gamma): (Beta, ContinuousBernoulli, Pareto, Uniform),
    (Gumbel, Laplace, Normal): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Pareto,): (Beta, ContinuousBernoulli, Uniform),
    (Poisson,): (Bernoulli, Binomial),
}
"""To each p, the q that cannot be where p can."""


def _crossed(mean: Callable[[Any, Any], Tensor], outside: Outside) -> Callable[[Any, Any], Tensor]:
    def divergence(p: Any, q: Any) -> Tensor:
        result = mean(p, q) - p.entropy()
        return result if outside is None else dt.where(outside(p, q), math.inf, result)

    return divergence


def _infinite(p: Any, q: Any) -> Tensor:
    return dt.full_like(getattr(p, next(iter(p.arg_constraints))), math.inf)


for (_q, _mean), _pairs in KNOWN.items():
    for _p, _outside in _pairs.items():
        register_kl(_p, _q)(_crossed(_mean, _outside))
for _ps, _qs in NEVER.items():
    for _p in _ps:
        for _q in _qs:
            register_kl(_p, _q)(_infinite)
