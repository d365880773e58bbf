"""Divergences: for all pairs beside PyTorch, and the means that they are."""

import warnings
from functools import lru_cache

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import distributions as D
from devtensor.distributions import kl_divergence, register_kl
from families import COVARIANCE, FAMILIES, Family, agree, outcome, side

OTHERS = [
    Family("Bernoulli", {"probs": [0.6, 0.9]}, None, "other"),
    Family("Beta", {"concentration1": [1.5, 2.0], "concentration0": [2.7, 1.0]}, None, "other"),
    Family("Binomial", {"total_count": 3, "probs": [0.6, 0.1]}, None, "fewer"),
    Family("Categorical", {"probs": [[0.0, 0.3, 0.7], [0.1, 0.3, 0.6]]}, None, "never"),
    Family("Exponential", {"rate": [1.5, 2.0]}, None, "other"),
    Family("Gamma", {"concentration": [1.5, 2.0], "rate": [0.6, 1.7]}, None, "other"),
    Family("Gumbel", {"loc": [1.5, 0.0], "scale": [2.5, 0.9]}, None, "other"),
    Family("Laplace", {"loc": [1.5, 0.0], "scale": [2.5, 0.9]}, None, "other"),
    Family("LowRankMultivariateNormal", {"loc": [0.1, 0.4], "cov_factor": [[0.3], [0.9]],
           "cov_diag": [1.4, 0.3]}, None, "other"),
    Family("MultivariateNormal", {"loc": [1.5, 0.0], "covariance_matrix": COVARIANCE[0]}, None,
           "other"),
    Family("Normal", {"loc": [1.5, 0.0], "scale": [2.5, 0.9]}, None, "other"),
    Family("Pareto", {"scale": [0.05, 1.9], "alpha": [0.5, 1.5]}, None, "other"),
    Family("Uniform", {"low": [0.2, 0.1], "high": [0.9, 0.4]}, None, "within"),
    Family("Uniform", {"low": [-0.5, -1.0], "high": [1.0, 2.0]}, None, "around"),
    Family("Wishart", {"df": [4.0, 6.0], "covariance_matrix": COVARIANCE}, None, "other"),
]  # fmt: skip
ALL = FAMILIES + OTHERS


@lru_cache
def made(where):
    """All of them."""
    return [family.make(where, dtype="float64") for family in ALL]


def in_turn(p, q):
    """PyTorch's divergence of each of a batch; of Wishart's it would add up some for all."""
    pairs = [
        [torch.distributions.Wishart(d.df[i], scale_tril=d.scale_tril[i]) for d in (p, q)]
        for i in range(2)
    ]
    return torch.stack([torch.distributions.kl_divergence(*pair) for pair in pairs])


@pytest.mark.parametrize("number", range(len(ALL)), ids=[str(family) for family in ALL])
def test_all_pairs(number):
    for place, other in enumerate(ALL):
        results = []
        for where in ("cpu", "torch"):
            p, q = made(where)[number], made(where)[place]
            divergence = side(where)[1].kl_divergence
            if where == "torch" and {ALL[number].name, other.name} == {"Wishart"}:
                divergence = in_turn
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(outcome(lambda f=divergence, p=p, q=q: f(p, q)))
        try:
            agree(*results, rtol=1e-6, atol=1e-9)
        except AssertionError as error:
            raise AssertionError(f"{ALL[number]} and {other}") from error


SAMPLED = [
    (D.Gamma, (2.0, 1.5), D.Normal, (1.0, 2.0)),
    (D.Uniform, (0.1, 0.8), D.Beta, (2.0, 3.0)),
    (D.Normal, (0.3, 0.8), D.Laplace, (0.0, 1.0)),
    (D.Pareto, (1.0, 4.0), D.Gamma, (2.0, 0.5)),
    (D.Exponential, (2.0,), D.Gumbel, (0.2, 1.5)),
    (D.Gumbel, (0.2, 0.5), D.Gumbel, (0.0, 1.0)),
]


@pytest.mark.parametrize(("kind_p", "of_p", "kind_q", "of_q"), SAMPLED)
def test_it_is_the_mean_of_the_difference(kind_p, of_p, kind_q, of_q):
    dt.manual_seed(0)
    p, q = (kind(*map(dt.tensor, of)) for kind, of in ((kind_p, of_p), (kind_q, of_q)))
    x = p.sample((40000,))
    difference = p.log_prob(x) - q.log_prob(x)
    error = float(difference.std()) / 200
    assert abs(float(difference.mean()) - float(kl_divergence(p, q))) < 4 * error + 1e-4


def test_certain_outcomes():
    certain, even = (D.Bernoulli(dt.tensor([0.0, 1.0])), D.Bernoulli(dt.tensor([0.5, 0.5])))
    assert kl_divergence(certain, certain).tolist() == [0.0, 0.0]
    assert kl_divergence(even, certain).tolist() == [dt.inf, dt.inf]
    corners = [D.Categorical(dt.tensor([0.0, 1.0])), D.Categorical(dt.tensor([1.0, 0.0]))]
    assert kl_divergence(corners[0], corners[0]) == 0
    assert kl_divergence(*corners) == dt.inf


def test_independent_and_transformed():
    results = []
    for library, d in ((dt, D), (torch, torch.distributions)):
        x = library.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=library.float64)
        normals = [d.Normal(x, 1.0 + x), d.Normal(x * 2, 2.0 + x)]
        independent = d.kl_divergence(*(d.Independent(n, 1) for n in normals))
        exponent = [d.TransformedDistribution(n, d.ExpTransform()) for n in normals]
        logs = d.kl_divergence(*(d.LogNormal(n.loc, n.scale) for n in normals))
        results.append([independent, d.kl_divergence(*exponent), logs])
        for one, two in (
            (d.Independent(normals[0], 1), d.Independent(normals[1], 2)),
            (exponent[0], d.TransformedDistribution(normals[0], d.TanhTransform())),
            (d.Poisson(x), d.Normal(x, x)),
        ):
            with pytest.raises(NotImplementedError):
                d.kl_divergence(one, two)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_gradients():
    scale = dt.tensor([0.5, 2.0], dtype=dt.float64, requires_grad=True)
    normal = D.Normal(dt.zeros(2, dtype=dt.float64), 1.0)

    def divergence(scale):
        return kl_divergence(D.Gamma(scale, scale * 2), normal)

    assert dt.autograd.gradcheck(divergence, (scale,))
    assert dt.autograd.gradgradcheck(divergence, (scale,))


def test_the_closest_pair_is_taken():
    class First(D.Normal):
        pass

    class Second(First):
        pass

    one = D.Normal(0.0, 1.0)
    first, second = First(0.0, 1.0), Second(0.0, 1.0)
    register_kl(First, First)(lambda p, q: "first, first")
    assert kl_divergence(second, first) == "first, first"
    assert float(kl_divergence(one, second)) == 0
    register_kl(Second, D.Normal)(lambda p, q: "second, normal")
    assert kl_divergence(second, one) == "second, normal"
    with pytest.warns(RuntimeWarning, match="Ambiguous kl_divergence"):
        assert kl_divergence(second, first) == "second, normal"
    register_kl(Second, First)(lambda p, q: "second, first")
    assert kl_divergence(second, first) == "second, first"
    with pytest.raises(TypeError, match="Expected type_p to be a Distribution subclass"):
        register_kl("Normal", D.Normal)
