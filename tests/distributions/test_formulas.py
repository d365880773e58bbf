"""What distributions know about themselves, beside PyTorch."""

import warnings

import numpy as np
import pytest
import torch

from devtensor import distributions
from families import agree, every, outcome, side, to_numpy

PROPERTIES = ["mean", "mode", "variance", "stddev"]
METHODS = ["entropy", "perplexity"]
OF_VALUES = ["log_prob", "cdf"]


def both(family, call, device, **limits):
    """Hold a function of a distribution and its library against PyTorch's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = outcome(lambda: call(family.make("torch"), "torch"))
        found = outcome(lambda: call(family.make(device), device))
    agree(found, expected, **limits)


def test_every_name_is_there():
    assert set(torch.distributions.__all__) == set(distributions.__all__)
    for module in ("constraints", "transforms", "utils", "kl", "constraint_registry"):
        names = getattr(torch.distributions, module).__all__
        assert set(names) == set(getattr(distributions, module).__all__)
    own = {name for name in dir(torch.distributions) if not name.startswith("_")}
    assert own <= set(dir(distributions))


@every
@pytest.mark.parametrize("name", PROPERTIES)
def test_properties(family, name, device):
    both(family, lambda d, _: getattr(d, name), device)


@every
@pytest.mark.parametrize("name", METHODS)
def test_entropies(family, name, device):
    both(family, lambda d, _: getattr(d, name)(), device)


@every
@pytest.mark.parametrize("name", OF_VALUES)
def test_functions_of_values(family, name, device):
    both(family, lambda d, where: getattr(d, name)(family.value(where)), device)


@every
def test_quantiles(family, device):
    def call(d, where):
        found = d.cdf(family.value(where))
        return d.icdf(found)

    both(family, call, device)


@every
@pytest.mark.parametrize("dtype", ["float32"])
def test_in_single_precision(family, dtype):
    results = []
    for where in ("torch", "cpu"):
        d = family.make(where, dtype=dtype)
        results.append(outcome(lambda d=d, where=where: d.log_prob(family.value(where, dtype))))
    agree(*reversed(results))


@every
def test_gradients_of_log_prob(family, device):
    results = []
    for where in (device, "torch"):
        leaves = family.leaves(where)
        total = family.make(where, **leaves).log_prob(family.value(where)).sum()
        wanted = list(leaves.values())
        results.append(side(where)[0].autograd.grad(total, wanted, allow_unused=True))
    for name, found, expected in zip(leaves, *results, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            # only one triangle of a factor is read; PyTorch's solver says otherwise
            part = np.tril if name == "scale_tril" else np.asarray
            agree(part(to_numpy(found)), part(to_numpy(expected)), rtol=1e-5)
