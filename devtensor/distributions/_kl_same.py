"""Divergences of two distributions of one family."""

from __future__ import annotations

import math
from typing import Any

import devtensor as dt
from devtensor.distributions.bernoulli import Bernoulli
from devtensor.distributions.beta import Beta
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.cauchy import Cauchy
from devtensor.distributions.continuous_bernoulli import ContinuousBernoulli
from devtensor.distributions.dirichlet import Dirichlet
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.geometric import Geometric
from devtensor.distributions.gumbel import Gumbel
from devtensor.distributions.half_normal import HalfNormal
from devtensor.distributions.independent import Independent
from devtensor.distributions.kl import kl_divergence, register_kl
from devtensor.distributions.laplace import Laplace
from devtensor.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from devtensor.distributions.multivariate_normal import (
    MultivariateNormal,
    batch_mahalanobis,
    half_log_det,
)
from devtensor.distributions.normal import Normal
from devtensor.distributions.one_hot_categorical import OneHotCategorical
from devtensor.distributions.pareto import Pareto
from devtensor.distributions.poisson import Poisson
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import _sum_rightmost, euler_constant
from devtensor.nn.functional import softplus
from devtensor.tensor import Tensor


def _infinite_where(outside: Tensor, value: Tensor) -> Tensor:
    return dt.where(outside, math.inf, value)


# ---- of one number


@register_kl(Bernoulli, Bernoulli)
def _(p: Bernoulli, q: Bernoulli) -> Tensor:
    # what is certain for q must be certain for p; what never happens costs nothing
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    one = dt.where(p.probs == 0, 0.0, _infinite_where(q.probs == 0, one))
    none = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return one + dt.where(p.probs == 1, 0.0, _infinite_where(q.probs == 1, none))


@register_kl(Binomial, Binomial)
def _(p: Binomial, q: Binomial) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    single = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return _infinite_where(p.total_count > q.total_count, p.total_count * single)


@register_kl(Categorical, Categorical)
def _(p: Categorical, q: Categorical) -> Tensor:
    terms = _infinite_where(q.probs == 0, p.probs * (p.logits - q.logits))
    return dt.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _(p: Cauchy, q: Cauchy) -> Tensor:
    distance = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return distance.log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    norms = [d._cont_bern_log_norm() + dt.log1p(-d.probs) for d in (p, q)]
    return p.mean * (p.logits - q.logits) + norms[0] - norms[1]


@register_kl(Dirichlet, Dirichlet)
def _(p: Dirichlet, q: Dirichlet) -> Tensor:
    mine, other = p.concentration, q.concentration
    means = mine.digamma() - mine.sum(-1, True).digamma()
    norms = q._log_normalizer(other) - p._log_normalizer(mine)
    return norms + ((mine - other) * means).sum(-1)


@register_kl(Beta, Beta)
def _(p: Beta, q: Beta) -> Tensor:
    return kl_divergence(p._dirichlet, q._dirichlet)


@register_kl(Exponential, Exponential)
def _(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _(p: Gamma, q: Gamma) -> Tensor:
    return (
        q.concentration * (p.rate / q.rate).log()
        + q.concentration.lgamma()
        - p.concentration.lgamma()
        + (p.concentration - q.concentration) * p.concentration.digamma()
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Geometric, Geometric)
def _(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - dt.log1p(-q.probs) / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc) / q.scale
    tail = dt.exp((1 + ratio).lgamma() - distance)
    return distance - ratio.log() + ratio * euler_constant + tail - (1 + euler_constant)


@register_kl(Normal, Normal)
def _(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _(p: HalfNormal, q: HalfNormal) -> Tensor:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return distance / q.scale + ratio * (-distance / p.scale).exp() - ratio.log() - 1


@register_kl(Pareto, Pareto)
def _(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    inside = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return _infinite_where(p.scale < q.scale, inside)


@register_kl(Poisson, Poisson)
def _(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _(p: Uniform, q: Uniform) -> Tensor:
    inside = ((q.high - q.low) / (p.high - p.low)).log()
    return _infinite_where((q.low > p.low) | (q.high < p.high), inside)


# ---- of vectors


def _square(matrices: Tensor) -> Tensor:
    """The trace of ``A Aᵀ``."""
    return matrices.pow(2).sum((-2, -1))


def _log_det(d: Any) -> Tensor:
    """The logarithm of the determinant of the covariance."""
    low = isinstance(d, LowRankMultivariateNormal)
    return d._log_det() if low else 2 * half_log_det(d._unbroadcasted_scale_tril)


def _factors(d: Any) -> list[Tensor]:
    """Matrices whose ``A Aᵀ`` are the covariance in sum."""
    if isinstance(d, LowRankMultivariateNormal):
        return [d._unbroadcasted_cov_factor, d._unbroadcasted_cov_diag.sqrt().diag_embed()]
    return [d._unbroadcasted_scale_tril]


def _weighted(q: Any, factor: Tensor) -> Tensor:
    """The trace of ``Q⁻¹ A Aᵀ``, Q the covariance of `q`."""
    if not isinstance(q, LowRankMultivariateNormal):
        lower = q._unbroadcasted_scale_tril
        return _square(dt.linalg.solve_triangular(lower, factor, upper=False))
    diagonal = q._unbroadcasted_cov_diag
    seen = (q._unbroadcasted_cov_factor.mT / diagonal.unsqueeze(-2)) @ factor
    inner = dt.linalg.solve_triangular(q._capacitance_tril, seen, upper=False)
    return _square(factor / diagonal.sqrt().unsqueeze(-1)) - _square(inner)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event "
            f"shapes cannot be computed: {p.event_shape} and {q.event_shape}"
        )
    distance = q.loc - p.loc
    low = isinstance(q, LowRankMultivariateNormal)
    square = (
        q._mahalanobis(distance)
        if low
        else batch_mahalanobis(q._unbroadcasted_scale_tril, distance)
    )
    traces = sum(_weighted(q, factor) for factor in _factors(p))
    return 0.5 * (_log_det(q) - _log_det(p) + traces + square - p.event_shape[0])


# ---- in general


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(
            "The KL-divergence of transformed distributions is known only if their transforms and "
            "event shapes are equal"
        )
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "The KL-divergence of independent distributions is known only if as many batch "
            f"dimensions are reinterpreted: {p.reinterpreted_batch_ndims} and "
            f"{q.reinterpreted_batch_ndims}"
        )
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
