"""Windows for Fourier transforms beside PyTorch's."""

import inspect

import numpy as np
import pytest

import devtensor as dt

torch = pytest.importorskip("torch")

OPTIONS = {
    "general_cosine": [{"a": [0.46, 0.23, 0.31]}, {"a": (1.0,)}],
    "general_hamming": [{}, {"alpha": 0.7}],
    "exponential": [{"tau": 0.5}, {"tau": 3.0}],
    "gaussian": [{}, {"std": 2.5}],
    "kaiser": [{}, {"beta": 0.0}, {"beta": 5.0}],
}
NAMES = dt.signal.windows.__all__


def test_names_and_options_are_pytorchs():
    assert sorted(NAMES) == sorted(torch.signal.windows.__all__)
    for name in NAMES:
        ours = inspect.signature(getattr(dt.signal.windows, name)).parameters
        theirs = inspect.signature(getattr(torch.signal.windows, name)).parameters
        assert list(ours) == list(theirs)


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 8, 31])
@pytest.mark.parametrize("name", NAMES)
def test_numbers(name, length, sym):
    for options in OPTIONS.get(name, [{}]):
        for dtype in ("float32", "float64"):
            ours = getattr(dt.signal.windows, name)(
                length, sym=sym, dtype=getattr(dt, dtype), **options
            )
            theirs = getattr(torch.signal.windows, name)(
                length, sym=sym, dtype=getattr(torch, dtype), **options
            )
            assert ours.dtype is getattr(dt, dtype) and tuple(ours.shape) == (length,)
            bound = 1e-12 if dtype == "float64" else 1e-5
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=bound, atol=bound)


def test_center():
    ours = dt.signal.windows.exponential(5, center=1.0, sym=False, dtype=dt.float64)
    theirs = torch.signal.windows.exponential(5, center=1.0, sym=False, dtype=torch.float64)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_requires_grad():
    assert dt.signal.windows.hann(4, requires_grad=True).requires_grad
    assert not dt.signal.windows.hann(4).requires_grad


@pytest.mark.parametrize(
    ("name", "length", "options"),
    [
        ("hann", -1, {}),
        ("hann", 3, {"dtype": "float16"}),
        ("hann", 3, {"dtype": "int64"}),
        ("exponential", 3, {"tau": 0.0}),
        ("exponential", 3, {"center": 1.0}),
        ("gaussian", 3, {"std": -1.0}),
        ("kaiser", 3, {"beta": -1.0}),
        ("general_cosine", 3, {"a": []}),
        ("general_cosine", 3, {"a": 0.5}),
        ("hann", 3, {"beta": 1.0}),
    ],
)
def test_refusals(name, length, options):
    raised = []
    for module in (torch, dt):
        given = {k: getattr(module, v) if k == "dtype" else v for k, v in options.items()}
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module.signal.windows, name)(length, **given)
        raised.append(caught.type)
    assert raised[0] is raised[1]
