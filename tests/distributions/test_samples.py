"""Samples have the distributions of SciPy's, or the moments that are claimed; and gradients."""

import math

import numpy as np
import pytest
import scipy.special as sc
import scipy.stats as st
from scipy import integrate

import devtensor as dt
from devtensor import distributions as D
from families import FAMILIES

# To each family of one number: parameters, and SciPy's distribution of the same.
SCIPY = {
    "Beta": ({"concentration1": 0.5, "concentration0": 3.0}, st.beta),
    "Cauchy": ({"loc": 0.5, "scale": 1.5}, st.cauchy),
    "Chi2": ({"df": 2.5}, st.chi2),
    "ContinuousBernoulli": ({"probs": 0.8}, None),
    "Exponential": ({"rate": 2.0}, lambda rate: st.expon(scale=1 / rate)),
    "FisherSnedecor": ({"df1": 3.0, "df2": 5.0}, st.f),
    "Gamma": ({"concentration": 0.7, "rate": 2.0}, lambda a, b: st.gamma(a, scale=1 / b)),
    "GeneralizedPareto": ({"loc": 0.5, "scale": 1.5, "concentration": 0.3},
                          lambda loc, scale, c: st.genpareto(c, loc, scale)),
    "Gumbel": ({"loc": 0.5, "scale": 1.5}, st.gumbel_r),
    "HalfCauchy": ({"scale": 1.5}, lambda scale: st.halfcauchy(scale=scale)),
    "HalfNormal": ({"scale": 1.5}, lambda scale: st.halfnorm(scale=scale)),
    "InverseGamma": ({"concentration": 2.0, "rate": 3.0}, lambda a, b: st.invgamma(a, scale=b)),
    "Kumaraswamy": ({"concentration1": 2.0, "concentration0": 3.0}, None),
    "Laplace": ({"loc": 0.5, "scale": 1.5}, st.laplace),
    "LogNormal": ({"loc": 0.5, "scale": 0.8},
                  lambda loc, scale: st.lognorm(scale, scale=math.exp(loc))),
    "Normal": ({"loc": 0.5, "scale": 1.5}, st.norm),
    "Pareto": ({"scale": 1.5, "alpha": 2.0}, lambda scale, a: st.pareto(a, scale=scale)),
    "RelaxedBernoulli": ({"temperature": 0.7, "probs": 0.3}, None),
    "StudentT": ({"df": 3.0, "loc": 0.5, "scale": 1.5}, st.t),
    "Uniform": ({"low": -1.0, "high": 3.0}, lambda low, high: st.uniform(low, high - low)),
    "VonMises": ({"loc": 0.5, "concentration": 2.0}, lambda loc, k: st.vonmises(k, loc)),
    "Weibull": ({"scale": 1.5, "concentration": 0.8},
                lambda scale, c: st.weibull_min(c, scale=scale)),
}  # fmt: skip


class Kumaraswamy(st.rv_continuous):
    def _cdf(self, x, a, b):
        return 1 - (1 - x**a) ** b

    def _pdf(self, x, a, b):
        return a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)


class Truncated(st.rv_continuous):
    def _cdf(self, x, p):
        logit = np.log(p / (1 - p))
        return np.expm1(logit * x) / np.expm1(logit)

    def _pdf(self, x, p):
        logit = np.log(p / (1 - p))
        return logit * np.exp(logit * x) / np.expm1(logit)


def scipy_of(name, values):
    kind = SCIPY[name][1]
    if name == "Kumaraswamy":
        return Kumaraswamy(a=0, b=1, name=name)(*values)
    if name == "ContinuousBernoulli":
        return Truncated(a=0, b=1, name=name)(*values)
    return kind(*values)


NUMBERS = [name for name in SCIPY if name != "RelaxedBernoulli"]


def made(name, device="cpu", **change):
    params = {**SCIPY[name][0], **change}
    return getattr(D, name)(
        **{
            key: value
            if isinstance(value, dt.Tensor)
            else dt.tensor(value, dtype=dt.float64).to(device)
            for key, value in params.items()
        }
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_samples_are_distributed_as_in_scipy(name):
    dt.manual_seed(1)
    sample = made(name).sample((20000,)).numpy()
    assert st.kstest(sample, scipy_of(name, SCIPY[name][0].values()).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", NUMBERS)
def test_densities_are_those_of_scipy(name):
    d, other = made(name), scipy_of(name, SCIPY[name][0].values())
    dt.manual_seed(2)
    x = d.sample((200,))
    np.testing.assert_allclose(d.log_prob(x).exp().numpy(), other.pdf(x.numpy()), rtol=1e-5)
    try:
        cdf = d.cdf(x)
    except NotImplementedError:
        return
    np.testing.assert_allclose(cdf.numpy(), other.cdf(x.numpy()), rtol=1e-9, atol=1e-12)


def test_samples_are_the_same_on_every_device(other_device):
    for name in NUMBERS:
        dt.manual_seed(3)
        here = made(name).sample((6,)).numpy()
        dt.manual_seed(3)
        there = made(name, other_device).sample((6,))
        np.testing.assert_allclose(here, there.cpu().numpy(), rtol=1e-9)


# Those of several random numbers move, but do not keep their place.
KEEP = [n for n in NUMBERS if n not in ("FisherSnedecor", "StudentT", "VonMises")]
PLACES = [(name, key) for name in KEEP for key in SCIPY[name][0]]


@pytest.mark.parametrize(("name", "key"), PLACES)
def test_samples_move_so_that_they_keep_their_place(name, key):
    params = SCIPY[name][0]
    leaf = dt.full((40,), params[key], dtype=dt.float64, requires_grad=True)
    dt.manual_seed(4)
    x = made(name, **{key: leaf}).rsample()
    x.sum().backward()
    step = 1e-5
    above, below = (
        scipy_of(name, {**params, key: params[key] + sign * step}.values()).cdf(x.detach().numpy())
        for sign in (1, -1)
    )
    density = scipy_of(name, params.values()).pdf(x.detach().numpy())
    expected = -(above - below) / (2 * step) / density
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=2e-4, atol=1e-5)


GRID = [0.02, 0.3, 1.0, 4.0, 60.0]


@pytest.mark.parametrize("a", GRID)
def test_gamma_gradients_for_all_shapes(a):
    x = st.gamma.ppf(np.array([0.01, 0.2, 0.5, 0.9, 0.999]), a)
    found = dt._standard_gamma_grad(dt.full((5,), a, dtype=dt.float64), dt.tensor(x))
    step = 1e-5 * a
    slope = (st.gamma.cdf(x, a + step) - st.gamma.cdf(x, a - step)) / (2 * step)
    np.testing.assert_allclose(found.numpy(), -slope / st.gamma.pdf(x, a), rtol=1e-5, atol=1e-300)


@pytest.mark.parametrize("a", GRID)
@pytest.mark.parametrize("b", GRID)
def test_beta_gradients_for_all_shapes(a, b):
    x = np.array([1e-4, 0.03, 0.4, 0.49, 0.6, 0.97])
    found = dt._dirichlet_grad(
        dt.tensor(x), dt.full(x.shape, a, dtype=dt.float64), dt.full(x.shape, a + b)
    )
    # the derivative of the share below x by a, over the density, both of the logit
    norm = sc.digamma(a + b) - sc.digamma(a)

    def integrand(s, x):
        away = np.log1p(x * np.expm1(s)) if s < 0 else s + np.log1p((1 - x) * np.expm1(-s))
        return np.exp(a * (s - away) - b * away) * (s - away + np.log(x) + norm)

    for place, value in zip(x, found.numpy(), strict=True):
        below = place < a / (a + b)
        ends = (-400 / a, 0) if below else (0, 400 / b)
        knots = np.sign(ends[0] + ends[1]) * np.array([0.01, 0.1, 0.5, 1, 2, 4, 8, 20, 50])
        knots = [k for k in knots if ends[0] < k < ends[1]]
        tail = integrate.quad(integrand, *ends, (place,), points=knots, limit=500)[0]
        np.testing.assert_allclose(value, (-tail if below else tail) * place, rtol=1e-6)


def test_dirichlet_gradients_of_all_shares():
    concentration = dt.tensor([0.7, 2.0, 3.0], dtype=dt.float64).expand(200, 3).clone()
    concentration.requires_grad_()
    dt.manual_seed(5)
    x = D.Dirichlet(concentration).rsample()
    (grad,) = dt.autograd.grad(x[:, 0].sum(), concentration)
    share = x[:, 0].detach().numpy()
    step = 1e-5
    slope = st.beta.cdf(share, 0.7 + step, 5.0) - st.beta.cdf(share, 0.7 - step, 5.0)
    expected = -slope / (2 * step) / st.beta.pdf(share, 0.7, 5.0)
    np.testing.assert_allclose(grad[:, 0].numpy(), expected, rtol=1e-5)
    # the mean of the gradient is the gradient of the mean, a0 / (a0 + a1 + a2), of each
    mean = grad.mean(0).numpy()
    np.testing.assert_allclose(mean, [5 / 5.7**2, -0.7 / 5.7**2, -0.7 / 5.7**2], atol=0.03)


@pytest.mark.parametrize("kind", [D.StudentT, D.FisherSnedecor])
def test_gradients_of_means(kind):
    x = dt.tensor(6.0, dtype=dt.float64, requires_grad=True)
    build = (lambda x: kind(5.0, x, x)) if kind is D.StudentT else (lambda x: kind(x, x))
    dt.manual_seed(6)
    (found,) = dt.autograd.grad(build(x).rsample((60000,)).mean(), x)
    (expected,) = dt.autograd.grad(build(x).mean, x)
    assert abs(float(found) - float(expected)) < 0.03


DISCRETE = {
    "Binomial": ({"total_count": 7, "probs": 0.3}, st.binom),
    "Geometric": ({"probs": 0.3}, lambda p: st.geom(p, -1)),
    "NegativeBinomial": ({"total_count": 2.5, "probs": 0.4}, lambda n, p: st.nbinom(n, 1 - p)),
    "Poisson": ({"rate": 3.5}, st.poisson),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_counts_are_distributed_as_in_scipy(name):
    params, kind = DISCRETE[name]
    other = kind(*params.values())
    d = getattr(D, name)(**{k: dt.tensor(v, dtype=dt.float64) for k, v in params.items()})
    places = dt.arange(8, dtype=dt.float64)
    expected = other.pmf(places.numpy())
    np.testing.assert_allclose(d.log_prob(places).exp().numpy(), expected, rtol=1e-9)
    dt.manual_seed(7)
    sample = d.sample((20000,)).numpy()
    observed = np.array([*[(sample == k).sum() for k in range(8)], (sample >= 8).sum()])
    wanted = 20000 * np.array([*expected, max(1 - expected.sum(), 0)])
    likely = wanted > 5
    chi2 = ((observed - wanted)[likely] ** 2 / wanted[likely]).sum()
    assert st.chi2.sf(chi2, likely.sum() - 1) > 1e-3
    assert observed[wanted == 0].sum() == 0


HEAVY = ("Cauchy", "HalfCauchy", "StudentT", "Pareto", "InverseGamma", "FisherSnedecor",
         "GeneralizedPareto", "LKJCholesky", "VonMises", "Categorical")  # fmt: skip


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.name not in HEAVY], ids=str)
def test_moments(family):
    d = family.make("cpu")
    dt.manual_seed(8)
    x = d.sample((20000,)).double()
    try:
        mean, variance = d.mean, d.variance
    except NotImplementedError:
        return
    error = (x.mean(0) - mean).abs() / (variance / 20000).sqrt()
    assert float(error.max()) < 4.5
    square = (x - mean) ** 2
    error = (square.mean(0) - variance).abs() / (square.std(0) / 20000**0.5 + 1e-9)
    assert float(error.max()) < 4.5


def test_angles_and_correlations():
    dt.manual_seed(9)
    angles = D.VonMises(dt.tensor(0.5), dt.tensor(2.0)).sample((20000,))
    turned = (1 - dt.cos(angles - 0.5).mean()).item()
    assert abs(turned - float(D.VonMises(dt.tensor(0.5), dt.tensor(2.0)).variance)) < 0.02
    for size, shape in ((2, 0.5), (3, 1.0), (5, 4.0)):
        factor = D.LKJCholesky(size, shape).sample((8000,))
        assert D.constraints.corr_cholesky.check(factor).all()
        # each correlation is a beta variable, stretched from -1 to 1
        b = shape + (size - 2) / 2
        for i, j in ((1, 0), (size - 1, size - 2)):
            correlation = (factor @ factor.mT)[:, i, j].double().numpy()
            assert st.kstest(correlation, st.beta(b, b, -1, 2).cdf).pvalue > 1e-3


def test_uniform_correlations_have_the_density_of_their_volume():
    # of 3 x 3 correlation matrices the volume is pi squared by 2; the density is by their factors
    dt.manual_seed(10)
    d = D.LKJCholesky(3, 1.0)
    factor = d.sample((4,))
    slope = factor[:, 1, 1].log()  # of the matrix by its factor
    assert dt.allclose(
        d.log_prob(factor) - slope, dt.full((4,), -math.log(math.pi**2 / 2)), atol=1e-5
    )


def test_relaxed_samples_have_gradients_and_limits():
    logits = dt.tensor([0.5, -1.0, 2.0], requires_grad=True)
    dt.manual_seed(11)
    for kind, cold in ((D.RelaxedOneHotCategorical, 0.01), (D.RelaxedBernoulli, 0.01)):
        x = kind(dt.tensor(cold), logits=logits).rsample((2000,))
        plain = D.Categorical if kind is D.RelaxedOneHotCategorical else D.Bernoulli
        np.testing.assert_allclose(
            x.detach().mean(0).numpy(), plain(logits=logits).probs.detach().numpy(), atol=0.05
        )
        warm = kind(dt.tensor(1.0), logits=logits).rsample((10,))
        (grad,) = dt.autograd.grad((warm**2).sum(), logits)
        assert bool((grad != 0).all())


def test_wishart_samples_are_sums_of_squares():
    dt.manual_seed(12)
    matrix = dt.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=dt.float64)
    for given in ("covariance_matrix", "precision_matrix", "scale_tril"):
        value = {"covariance_matrix": matrix, "precision_matrix": matrix.inverse(),
                 "scale_tril": dt.linalg.cholesky(matrix)}[given]  # fmt: skip
        d = D.Wishart(dt.tensor(4.0, dtype=dt.float64), **{given: value})
        x = d.sample((4000,))
        np.testing.assert_allclose(x.mean(0).numpy(), 4 * matrix.numpy(), rtol=0.08)
        np.testing.assert_allclose(d.covariance_matrix.numpy(), matrix.numpy(), rtol=1e-9)
        assert st.kstest(x[:, 0, 0].numpy() / 2, st.chi2(4).cdf).pvalue > 1e-3


def test_not_a_number_ends():
    nan = dt.tensor(float("nan"))
    assert D.Gamma(nan, 1.0, validate_args=False).sample().isnan()
    assert dt._sample_dirichlet(dt.tensor([1.0, float("nan")])).isnan().any()
