"""What distributions know about themselves, beside PyTorch."""

import warnings

import numpy as np
import torch

from devtensor import distributions
from families import agree, every, outcome, side, to_numpy


def test_every_name_is_there():
    assert set(torch.distributions.__all__) == set(distributions.__all__)
    for module in ("constraints", "transforms", "utils", "kl", "constraint_registry"):
        names = getattr(torch.distributions, module).__all__
        assert set(names) == set(getattr(distributions, module).__all__)
    own = {name for name in dir(torch.distributions) if not name.startswith("_")}
    assert own <= set(dir(distributions))


FORMULAS = {
    "mean": lambda d, values: d.mean,
    "mode": lambda d, values: d.mode,
    "variance": lambda d, values: d.variance,
    "stddev": lambda d, values: d.stddev,
    "entropy": lambda d, values: d.entropy(),
    "perplexity": lambda d, values: d.perplexity(),
    "log_prob": lambda d, values: d.log_prob(values),
    "cdf": lambda d, values: d.cdf(values),
    "icdf": lambda d, values: d.icdf(d.cdf(values)),
    "all values": lambda d, values: d.enumerate_support(),
    "values": lambda d, values: d.enumerate_support(expand=False),
    "one log_prob": lambda d, values: d.log_prob(values[0]),
    "of no values": lambda d, values: d.log_prob(values[:0]),
}


def checked(family, device, dtype=None):
    """Hold all that a distribution knows against PyTorch's."""
    made = {where: family.make(where, dtype) for where in ("torch", device)}
    values = {where: family.value(where, dtype) for where in made}
    for name, formula in FORMULAS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected, found = (
                outcome(lambda w=where, f=formula: f(made[w], values[w])) for where in made
            )
        if name == "of no values" and expected is RuntimeError:
            expected = to_numpy(values[device][:0])[..., 0]  # PyTorch cannot reshape them
            expected = expected.reshape((0, *made[device].batch_shape))
        try:
            agree(found, expected)
        except AssertionError as error:
            raise AssertionError(f"{name} of {made[device]}") from error


@every
def test_formulas(family, device):
    checked(family, device)


@every
def test_in_single_precision(family):
    checked(family, "cpu", "float32")


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
