"""Probability distributions: the names of ``torch.distributions``.

A distribution draws samples (``sample``, and with gradients to its parameters ``rsample``), knows
densities (``log_prob``, ``cdf``), means, entropies and, with another one, divergences
(``kl_divergence``). Transforms change variables, and constraints say what is valid.

Examples
--------
>>> import devtensor as dt
>>> from devtensor.distributions import Normal
>>> loc = dt.tensor(0.0, requires_grad=True)
>>> Normal(loc, 1.0).rsample((2,)).sum().backward()
>>> loc.grad
tensor(2.)
"""

from devtensor.distributions import _kl_cross, _kl_same, constraints, transforms
from devtensor.distributions.bernoulli import Bernoulli
from devtensor.distributions.beta import Beta
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.cauchy import Cauchy
from devtensor.distributions.chi2 import Chi2
from devtensor.distributions.constraint_registry import biject_to, transform_to
from devtensor.distributions.continuous_bernoulli import ContinuousBernoulli
from devtensor.distributions.dirichlet import Dirichlet
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.fishersnedecor import FisherSnedecor
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.generalized_pareto import GeneralizedPareto
from devtensor.distributions.geometric import Geometric
from devtensor.distributions.gumbel import Gumbel
from devtensor.distributions.half_cauchy import HalfCauchy
from devtensor.distributions.half_normal import HalfNormal
from devtensor.distributions.independent import Independent
from devtensor.distributions.inverse_gamma import InverseGamma
from devtensor.distributions.kl import kl_divergence, register_kl
from devtensor.distributions.kumaraswamy import Kumaraswamy
from devtensor.distributions.laplace import Laplace
from devtensor.distributions.lkj_cholesky import LKJCholesky
from devtensor.distributions.log_normal import LogNormal
from devtensor.distributions.logistic_normal import LogisticNormal
from devtensor.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from devtensor.distributions.mixture_same_family import MixtureSameFamily
from devtensor.distributions.multinomial import Multinomial
from devtensor.distributions.multivariate_normal import MultivariateNormal
from devtensor.distributions.negative_binomial import NegativeBinomial
from devtensor.distributions.normal import Normal
from devtensor.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from devtensor.distributions.pareto import Pareto
from devtensor.distributions.poisson import Poisson
from devtensor.distributions.relaxed_bernoulli import RelaxedBernoulli
from devtensor.distributions.relaxed_categorical import RelaxedOneHotCategorical
from devtensor.distributions.studentT import StudentT
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import *
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.von_mises import VonMises
from devtensor.distributions.weibull import Weibull
from devtensor.distributions.wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "kl_divergence",
    "register_kl",
    "transform_to",
    *transforms.__all__,
]
