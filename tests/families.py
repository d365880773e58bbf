"""Distributions with parameters and values, as data that devtensor and PyTorch both can take."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import distributions
from samples import numpy


@dataclass(frozen=True)
class Family:
    """One distribution.

    Attributes
    ----------
    name : str
    params : dict
        By name; lists are tensors of float64, other things stand for themselves.
    values : list
        Nested numbers of the support, of shape (any, *batch, *event).
    """

    name: str
    params: dict[str, Any]
    values: Any
    note: str = ""
    dtype: str = "float64"

    def __str__(self):
        return f"{self.name}{'-' + self.note if self.note else ''}"

    def leaves(self, device=None, dtype=None):
        """The parameters that are tensors, with gradients."""
        return {
            key: array(value, device, True, dtype or self.dtype)
            for key, value in self.params.items()
            if isinstance(value, list)
        }

    def make(self, device=None, dtype=None, **more):
        """The distribution: PyTorch's if the device is "torch"."""
        params = {
            key: value
            if not isinstance(value, list)
            else array(value, device, False, dtype or self.dtype)
            for key, value in self.params.items()
        }
        return getattr(side(device)[1], self.name)(**{**params, **more})

    def value(self, device=None, dtype=None):
        return array(self.values, device, False, dtype or self.dtype)


def side(device):
    """The library and its distributions."""
    return (torch, torch.distributions) if device == "torch" else (dt, distributions)


def array(value, device=None, grad=False, dtype="float64"):
    if device == "torch":
        return torch.tensor(value, dtype=getattr(torch, dtype), requires_grad=grad)
    made = dt.tensor(value, dtype=getattr(dt, dtype)).to(device or "cpu")
    return made.requires_grad_(grad)


def outcome(call):
    """What `call` gives, as an array, or the type of the error that it raises."""
    try:
        result = call()
    except (NotImplementedError, ValueError, RuntimeError, AssertionError) as error:
        return type(error)
    return to_numpy(result)


def to_numpy(x):
    if isinstance(x, torch.Tensor):
        return x.detach().numpy()
    return numpy(x.detach()).astype(x.dtype.name) if isinstance(x, dt.Tensor) else x


def agree(found, expected, rtol=1e-6, atol=1e-7):
    """Hold what one call gives against what another one gives."""
    if getattr(found, "dtype", None) == np.float32:
        rtol, atol = max(rtol, 2e-5), max(atol, 2e-5)
    if isinstance(expected, type):
        assert found is expected, (found, expected)
        return
    assert not isinstance(found, type), (found, expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


TRIL = [[[1.2, 0.0], [0.5, 0.8]], [[0.9, 0.0], [-0.4, 1.5]]]
COVARIANCE = [[[1.44, 0.6], [0.6, 0.89]], [[0.81, -0.36], [-0.36, 2.41]]]
ROWS = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]
HOT = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
SHARES = [[[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]], [[0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]]
REALS = [[-2.0, 0.3], [1.5, 4.0]]
ABOVE = [[0.2, 1.0], [2.5, 6.0]]
UNIT = [[0.1, 0.5], [0.7, 0.95]]
COUNTS = [[0.0, 1.0], [3.0, 2.0]]

FAMILIES = [
    Family("Bernoulli", {"probs": [0.2, 0.5]}, [[0.0, 1.0], [1.0, 0.0]]),
    Family("Bernoulli", {"logits": [-1.5, 2.0]}, [[0.0, 1.0], [1.0, 0.0]], "logits"),
    Family("Beta", {"concentration1": [0.5, 3.0], "concentration0": [0.7, 2.0]}, UNIT),
    Family("Binomial", {"total_count": 4, "probs": [0.3, 0.8]}, COUNTS),
    Family("Binomial", {"total_count": 4, "logits": [-1.0, 0.0]}, COUNTS, "logits"),
    Family("Categorical", {"probs": ROWS}, [[0, 1], [2, 0]]),
    Family("Categorical", {"logits": ROWS}, [[0, 1], [2, 0]], "logits"),
    Family("Cauchy", {"loc": [0.5, -1.0], "scale": [1.5, 0.4]}, REALS),
    Family("Chi2", {"df": [1.5, 4.0]}, ABOVE),
    Family("ContinuousBernoulli", {"probs": [0.2, 0.5]}, UNIT),
    Family("ContinuousBernoulli", {"logits": [-1.5, 2.0]}, UNIT, "logits"),
    Family("Dirichlet", {"concentration": [[0.5, 1.5, 2.0], [3.0, 1.0, 4.0]]}, SHARES),
    Family("Exponential", {"rate": [0.5, 3.0]}, ABOVE),
    Family("FisherSnedecor", {"df1": [1.5, 4.0], "df2": [3.0, 7.0]}, ABOVE),
    Family("Gamma", {"concentration": [0.5, 3.0], "rate": [2.0, 0.7]}, ABOVE),
    Family("GeneralizedPareto", {"loc": 0.1, "scale": [1.0, 2.0], "concentration": [0.0, 0.3]},
           ABOVE, dtype="float32"),  # PyTorch's compares it with a float32
    Family("Geometric", {"probs": [0.2, 0.7]}, COUNTS),
    Family("Geometric", {"logits": [-1.0, 0.5]}, COUNTS, "logits"),
    Family("Gumbel", {"loc": [0.5, -1.0], "scale": [1.5, 0.4]}, REALS),
    Family("HalfCauchy", {"scale": [1.5, 0.4]}, ABOVE),
    Family("HalfNormal", {"scale": [1.5, 0.4]}, ABOVE),
    Family("InverseGamma", {"concentration": [0.5, 3.0], "rate": [2.0, 0.7]}, ABOVE),
    Family("Kumaraswamy", {"concentration1": [0.5, 3.0], "concentration0": [0.7, 2.0]}, UNIT),
    Family("LKJCholesky", {"dim": 2, "concentration": [0.7, 2.0]},
           [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [-0.8, 0.6]]]),
    Family("Laplace", {"loc": [0.5, -1.0], "scale": [1.5, 0.4]}, REALS),
    Family("LogNormal", {"loc": [0.5, -1.0], "scale": [1.5, 0.4]}, ABOVE),
    Family("LogisticNormal", {"loc": [[0.5, -1.0], [0.0, 0.3]], "scale": [1.5, 0.4]}, SHARES),
    Family("LowRankMultivariateNormal", {"loc": [[0.5, -1.0], [0.0, 0.3]],
           "cov_factor": [[1.0], [-0.5]], "cov_diag": [0.4, 0.9]},
           [[[0.0, 1.0], [0.5, 2.0]], [[-1.0, 0.3], [2.0, 1.0]]]),
    Family("Multinomial", {"total_count": 3, "probs": ROWS},
           [[[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]], [[3.0, 0.0, 0.0], [1.0, 0.0, 2.0]]]),
    Family("MultivariateNormal", {"loc": [0.5, -1.0], "scale_tril": TRIL},
           [[[0.0, 1.0], [0.5, 2.0]], [[-1.0, 0.3], [2.0, 1.0]]]),
    Family("MultivariateNormal", {"loc": [0.5, -1.0], "covariance_matrix": COVARIANCE},
           [[[0.0, 1.0], [0.5, 2.0]]], "covariance"),
    Family("MultivariateNormal", {"loc": [[0.5, -1.0], [0.3, 2.0]],
           "precision_matrix": [[1.44, 0.6], [0.6, 0.89]]},
           [[[0.0, 1.0], [0.5, 2.0]]], "precision"),
    Family("NegativeBinomial", {"total_count": [2.5, 4.0], "probs": [0.3, 0.8]}, COUNTS),
    Family("Normal", {"loc": [0.5, -1.0], "scale": [1.5, 0.4]}, REALS),
    Family("OneHotCategorical", {"probs": ROWS}, HOT),
    Family("OneHotCategoricalStraightThrough", {"logits": ROWS}, HOT),
    Family("Pareto", {"scale": [0.1, 0.9], "alpha": [1.5, 2.5]}, ABOVE),
    Family("Poisson", {"rate": [0.5, 3.0]}, COUNTS),
    Family("RelaxedBernoulli", {"temperature": [0.7], "probs": [0.2, 0.5]}, UNIT),
    Family("RelaxedOneHotCategorical", {"temperature": [0.7], "probs": ROWS}, SHARES),
    Family("StudentT", {"df": [1.5, 4.0], "loc": [0.5, -1.0], "scale": 2.0}, REALS),
    Family("Uniform", {"low": [-3.0, 0.0], "high": [2.0, 5.0]}, [[-2.0, 0.3], [1.5, 4.0]]),
    Family("VonMises", {"loc": [0.5, -1.0], "concentration": [0.5, 4.0]}, REALS),
    Family("Weibull", {"scale": [1.5, 0.4], "concentration": [0.5, 3.0]}, ABOVE),
    Family("Wishart", {"df": [3.0, 5.0], "scale_tril": TRIL}, [COVARIANCE]),
]  # fmt: skip

every = pytest.mark.parametrize("family", FAMILIES, ids=str)
