"""Calls as older programs write them: a factor behind the first argument."""

import warnings

import pytest

import devtensor as dt

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

CALLS = {
    "add": lambda lib, x, y: lib.add(x, 2, y),
    "sub": lambda lib, x, y: x.sub(0.5, y),
    "addcmul": lambda lib, x, y: lib.addcmul(x, 3, y, y),
    "addcdiv": lambda lib, x, y: x.addcdiv(-1, y, y + 2),
    "add_": lambda lib, x, y: x.clone().add_(2, y),
    "addcmul_": lambda lib, x, y: x.clone().addcmul_(0.5, x, y),
}


@pytest.mark.parametrize("name", CALLS)
def test_factor_behind_the_first_argument(name):
    results = []
    for lib in (torch, dt):
        x = lib.linspace(-1, 1, 6, dtype=lib.float64).reshape(2, 3).requires_grad_()
        y = lib.arange(3.0, dtype=lib.float64)
        if lib is dt:
            with pytest.warns(UserWarning, match="deprecated"):
                out = CALLS[name](lib, x, y)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says so once in a process
                out = CALLS[name](lib, x, y)
        out.sum().backward()
        results.append((out.tolist(), x.grad.tolist()))
    assert results[0][0] == [pytest.approx(row) for row in results[1][0]]
    assert results[0][1] == [pytest.approx(row) for row in results[1][1]]


def test_the_warning_names_the_users_line():
    x = dt.ones(2)
    with pytest.warns(UserWarning) as seen:
        x.add(2, x)
    assert seen[0].filename == __file__


@pytest.mark.parametrize("call", [lambda x: dt.mul(x, 2, x), lambda x: dt.sin(x, x)])
def test_no_factor_no_third_argument(call):
    with pytest.raises(TypeError, match="positional arguments but"):
        call(dt.ones(2))
