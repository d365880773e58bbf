"""Bessel's, Airy's and Hurwitz' functions, sums of our own on every device, beside SciPy's."""

import math

import numpy as np
import pytest
import scipy.special
import torch

import devtensor as dt
import samples

FROM_0 = np.concatenate([np.geomspace(1e-20, 1e-3, 30), np.linspace(1e-3, 60, 700), [1e3, 1e5]])
AIRY = np.linspace(-60, 30, 901)
WAVES = {
    "bessel_j0": (scipy.special.j0, np.concatenate([-FROM_0, FROM_0])),
    "bessel_j1": (scipy.special.j1, np.concatenate([-FROM_0, FROM_0])),
    "bessel_y0": (scipy.special.y0, FROM_0),
    "bessel_y1": (scipy.special.y1, FROM_0),
    "modified_bessel_k0": (scipy.special.k0, FROM_0),
    "modified_bessel_k1": (scipy.special.k1, FROM_0),
    "scaled_modified_bessel_k0": (scipy.special.k0e, FROM_0),
    "scaled_modified_bessel_k1": (scipy.special.k1e, FROM_0),
    "airy_ai": (lambda x: scipy.special.airy(x)[0], AIRY),
}


@pytest.mark.parametrize("name", WAVES)
def test_bessel_functions_have_all_digits(name, device):
    wanted, x = WAVES[name]
    found = samples.numpy(getattr(dt.special, name)(dt.tensor(x, device=device)))
    np.testing.assert_allclose(found, wanted(x), rtol=3e-14, atol=6e-14)
    falls = name == "airy_ai" or "modified" in name
    if falls:  # also where the numbers are tiny
        there = (x > 0) & (x < 200)
        np.testing.assert_allclose(found[there], wanted(x)[there], rtol=5e-14)
    single = samples.numpy(getattr(dt.special, name)(dt.tensor(x[x > -20], device=device).float()))
    rounded = x[x > -20].astype(np.float32).astype(float)
    close = np.abs(rounded) < 100  # further out a sine of single precision has few digits
    np.testing.assert_allclose(single[close], wanted(rounded)[close], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", WAVES)
def test_bessel_functions_at_the_edges(name):
    edges = [0.0, -1.0, math.inf, -math.inf, math.nan]
    ours = getattr(dt.special, name)(dt.tensor(edges, dtype=dt.float64)).tolist()
    theirs = getattr(torch.special, name)(torch.tensor(edges, dtype=torch.float64)).tolist()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert getattr(dt.special, name)(dt.tensor([1, 2])).dtype is dt.float32
    assert getattr(dt.special, name)(dt.zeros(0, 2)).shape == (0, 2)


def test_hurwitz_zeta(device):
    random = np.random.default_rng(2)
    s, q = random.uniform(1.01, 30, 400), random.uniform(0.01, 40, 400)
    found = dt.special.zeta(dt.tensor(s, device=device), dt.tensor(q, device=device))
    np.testing.assert_allclose(samples.numpy(found), scipy.special.zeta(s, q), rtol=1e-14)
    edges = [(2.0, -1.5), (3.0, -1.5), (2.0, 0.0), (2.0, -2.0), (1.0, 2.0), (0.5, 1.0), (2.5, -1.5),
             (math.nan, 1.0), (2.0, math.nan), (1.0, -1.0), (0.5, 0.0)]  # fmt: skip
    for pair in edges:
        ours = dt.special.zeta(*[dt.tensor(x, dtype=dt.float64) for x in pair]).item()
        theirs = torch.special.zeta(*[torch.tensor(x, dtype=torch.float64) for x in pair]).item()
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=str(pair))
