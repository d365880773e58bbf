"""The special functions of the NumPy backend, its own and by way of SciPy."""

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import torch

from devtensor_numpy import special

FLOATS = (np.float64, np.float32)

LINE = np.concatenate([np.linspace(-6, 6, 301), [0.25, 1.0, -1.0, 1e-9, -1e-300]])
OPEN = np.concatenate([np.linspace(-1, 1, 400)[1:-1], [1 - 1e-12, -1 + 1e-9, 1e-20]])
ABOVE = np.concatenate([np.geomspace(1e-6, 1e4, 300), np.linspace(0.9, 12, 200)])
BELOW = -np.linspace(0.013, 9.987, 300)
SPECIAL = {
    "erf": (scipy.special.erf, LINE, ()),
    "erfc": (scipy.special.erfc, np.concatenate([LINE, np.linspace(6, 9, 50)]), ()),
    "erfinv": (scipy.special.erfinv, OPEN, ()),
    "lgamma": (scipy.special.gammaln, np.concatenate([ABOVE, BELOW]), ()),
    "digamma": (scipy.special.psi, np.concatenate([ABOVE, BELOW]), ()),
    "polygamma-1": (scipy.special.polygamma, np.concatenate([ABOVE, BELOW]), (1,)),
    "polygamma-2": (scipy.special.polygamma, np.concatenate([ABOVE, BELOW]), (2,)),
    "polygamma-5": (scipy.special.polygamma, ABOVE, (5,)),
    "i0": (scipy.special.i0, np.linspace(-80, 80, 400), ()),
    "i0e": (scipy.special.i0e, np.linspace(-80, 80, 400), ()),
    "i1": (scipy.special.i1, np.linspace(-80, 80, 400), ()),
    "i1e": (scipy.special.i1e, np.linspace(-80, 80, 400), ()),
}


@pytest.fixture(params=["own", "scipy"])
def way(request, monkeypatch):
    monkeypatch.setattr(special, "_scipy", scipy.special if request.param == "scipy" else False)
    return request.param


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_are_accurate(name, dtype, way):
    wanted, x, params = SPECIAL[name]
    x = x.astype(dtype)
    found = getattr(special, name.split("-")[0])(*params, x)
    assert found.dtype == dtype
    wanted = wanted(*params, x.astype(np.float64))
    close = 1e-13 if dtype is np.float64 else 4e-7
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, wanted.astype(dtype), rtol=close, atol=close)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_by_element(name):
    """Few elements take another way; they must not come out otherwise."""
    _, x, params = SPECIAL[name]
    function, x = getattr(special, name.split("-")[0]), x[:: len(x) // 40]
    one = np.array([function(*params, np.asarray(v))[()] for v in x])
    many = function(*params, np.repeat(x, 3).reshape(-1, 3))
    assert many.shape == (len(x), 3)
    np.testing.assert_allclose(many[:, 0], one, rtol=1e-13, atol=1e-14)


def test_special_functions_where_others_lose_digits(monkeypatch):
    monkeypatch.setattr(special, "_scipy", False)
    x = np.linspace(5, 26, 500)
    exact = np.array([math.erfc(v) for v in x])
    np.testing.assert_allclose(special.erfc(x), exact, rtol=1e-14)
    near = np.geomspace(1e-14, 0.1, 200)
    for x in (1 + near, 1 - near, 2 + near, 2 - near):
        wanted = torch.lgamma(torch.tensor(x))
        np.testing.assert_allclose(special.lgamma(x), wanted, rtol=1e-14)
        one = [special.lgamma(np.asarray(v)) for v in x]
        np.testing.assert_allclose(one, wanted, rtol=1e-14)
    x = np.linspace(-0.999999, 0.999999, 1001)
    np.testing.assert_allclose(special.erf(special.erfinv(x)), x, rtol=4e-16, atol=1e-300)
    x = np.geomspace(1e-300, 0.5, 300)
    np.testing.assert_allclose(special.erfinv(special.erf(x)), x, rtol=2e-15)


EDGES = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 1e300, -1e300, 5e-324, 1e-310])


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma"])
def test_special_functions_at_the_edges(name, few, way):
    x = np.concatenate([EDGES, [1, -1, -2, 2, -5]])
    x = x if few else np.tile(x, 20)
    wanted = getattr(torch, name)(torch.tensor(x)).numpy()
    found = getattr(special, name)(x)
    # Whole numbers this large are poles, which PyTorch does not see.
    near = (np.abs(x) < 1e100) | ~np.isfinite(x)
    np.testing.assert_allclose(found[near], wanted[near], rtol=1e-13)
    for dtype in (np.float32, np.float16):
        some = np.concatenate([EDGES[:5], [1, -1, 2]]).astype(dtype)
        wanted = getattr(torch, name)(torch.tensor(some)).numpy()
        found = getattr(special, name)(some if few else np.tile(some, 20))[: len(some)]
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=2e-3 if dtype is np.float16 else 1e-6)


def test_bessel_functions_and_polygamma_at_the_edges():
    assert special.i0([0.0, math.inf, -math.inf]).tolist() == pytest.approx([1, math.inf, math.inf])
    assert special.i1([0.0, math.inf, -math.inf]).tolist() == [0, math.inf, -math.inf]
    assert special.i0e([math.inf, 1e300]).tolist() == [0, 0.3989422804014327 / 1e150]
    assert np.isfinite(special.i0(712.0))
    assert np.isnan(special.i0(math.nan)) and np.isnan(special.polygamma(1, math.nan))
    assert special.polygamma(1, [0.0, -1.0, -7.0]).tolist() == [math.inf] * 3
    assert special.polygamma(2, [0.0, -1.0, -7.0]).tolist() == [-math.inf] * 3
    assert special.polygamma(3, [math.inf]).tolist() == [0]
    np.testing.assert_array_equal(special.polygamma(0, [0.5]), special.digamma([0.5]))


def test_special_functions_leave_their_input_alone():
    for name in SPECIAL:
        _, x, params = SPECIAL[name]
        x = x.copy()
        x.flags.writeable = False
        getattr(special, name.split("-")[0])(*params, x)


def test_scipy_is_imported_only_after_much_work():
    code = (
        "import sys; import numpy as np; from devtensor_numpy import special\n"
        "assert not any(m.startswith('scipy') for m in sys.modules)\n"
        "special.digamma(np.ones(10000)); assert 'scipy' not in sys.modules\n"
        "special.MANY = 15000; special.digamma(np.ones(10000))\n"
        "assert 'scipy.special' in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert not run.returncode, run.stderr
