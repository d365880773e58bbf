"""Every function of the standard beside array-api-strict: signatures, values, types and errors."""

import inspect
import warnings

import numpy as np
import pytest

import devtensor as dt
import devtensor.array_api as xp
from standard_calls import HOMES, NAMES, Draw, converted, ids, leaves, strict

REFUSALS = (ValueError, IndexError, RuntimeError, TypeError, OverflowError)
CALLS = 40


@pytest.fixture
def float64_by_default():
    dt.set_default_dtype(dt.float64)
    yield
    dt.set_default_dtype(dt.float32)


@pytest.mark.parametrize(("home", "name"), NAMES, ids=ids)
def test_signature(home, name):
    ours, theirs = [
        [
            (p.name, p.kind, None if "UNDEF" in repr(p.default) else p.default)
            for p in inspect.signature(getattr(module, name)).parameters.values()
        ]
        for module in HOMES[home]
    ]
    assert ours == theirs


def call(module, home, drawn, device=None):
    args = [converted(value, module, device) for value in drawn.args]
    kwargs = {name: converted(value, module, device) for name, value in drawn.kwargs.items()}
    function = getattr(getattr(module, home) if home else module, drawn.name)
    return function(*args, **kwargs)


@pytest.mark.parametrize(("home", "name"), NAMES, ids=ids)
def test_values(home, name, device, float64_by_default):
    for seed in range(CALLS):
        drawn = Draw(seed, name, getattr(HOMES[home][1], name), home)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                theirs = call(strict, home, drawn)
            except TypeError:  # not defined for such types
                continue
            except (ValueError, IndexError, OverflowError, np.linalg.LinAlgError):
                theirs = None
            try:
                ours = call(xp, home, drawn, device)
            except REFUSALS:
                assert theirs is None, f"refused: {drawn}"
                continue
        assert theirs is not None, f"not refused: {drawn}"
        same(name, ours, theirs, f"call {seed}: {drawn}")


def same(name, ours, theirs, message):
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs), message
    for one, two in zip(ours, theirs, strict=True):
        if not isinstance(one, dt.Tensor):
            assert getattr(one, "name", one) == getattr(two, "_np_dtype", two), message
            continue
        assert one.dtype.name == str(two._array.dtype), message
        assert tuple(one.shape) == two.shape, message
        if name in ("empty", "empty_like"):
            continue
        one, two = np.asarray(one.cpu()), two._array
        if name in ("eigh", "qr", "svd"):  # determined up to a phase
            one, two = abs(one), abs(two)
        if one.dtype.kind in "fc":
            eps = np.finfo(one.dtype).eps
            if one.dtype.kind == "c":  # what arithmetic makes of infinite ones is left open
                one, two = one[np.isfinite(two)], two[np.isfinite(two)]
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(one, two, rtol=64 * eps, atol=64 * eps, err_msg=message)
        else:
            np.testing.assert_array_equal(one, two, err_msg=message)
