"""Anomaly mode: NaN in a gradient is an error that names the line of the forward."""

import threading
import warnings

import pytest

import devtensor as dt
from sides import SIDES, leaf

pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")


def line_of(text):
    """The number of the line of this file that ends with a remark."""
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if line.rstrip().endswith("# " + text))


@SIDES
def test_nan_is_an_error(lib):
    x = leaf(lib, -1.0, 4.0)
    with lib.autograd.detect_anomaly():
        assert lib.is_anomaly_enabled()
        y = x.sqrt().sum()
        with pytest.raises(
            RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"
        ):
            y.backward()
    assert not lib.is_anomaly_enabled() and x.grad is None
    x.sqrt().sum().backward()
    assert x.grad.tolist()[1] == 0.25


def test_the_line_of_the_forward_is_named():
    x = leaf(dt, -1.0)
    with dt.autograd.detect_anomaly():
        y = x * 2
        z = y.sqrt()  # root
        with pytest.raises(RuntimeError, match=f"ran at {__file__}:{line_of('root')}"):
            z.sum().backward()
        y[0] = x[0].sqrt()  # assigned
        with pytest.raises(RuntimeError, match=f"ran at {__file__}:{line_of('assigned')}"):
            y.sum().backward()
        w = x * 2
        w.sqrt_()  # in place
        with pytest.raises(RuntimeError, match=f"ran at {__file__}:{line_of('in place')}"):
            w.sum().backward()


def test_the_line_that_saved_what_was_overwritten_is_named():
    x = leaf(dt, 1.0)
    with dt.autograd.detect_anomaly():
        y = x.exp()  # saving
        with dt.no_grad():
            y.zero_()
        with pytest.raises(RuntimeError, match=f"saved it at {__file__}:{line_of('saving')}"):
            y.sum().backward()


@SIDES
def test_functions_are_looked_at_as_well(lib):
    class Bad(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g, g * float("nan")

    x, y = leaf(lib, 1.0), leaf(lib, 2.0)
    with lib.autograd.detect_anomaly():
        z = Bad.apply(x, y)  # applied
        with pytest.raises(RuntimeError, match="'BadBackward' returned nan values in its 1th") as e:
            z.sum().backward()
    if lib is dt:
        assert f"{__file__}:{line_of('applied')}" in str(e.value)


@SIDES
def test_nan_may_be_let_through(lib):
    x = leaf(lib, -1.0)
    with lib.autograd.detect_anomaly(check_nan=False):
        assert lib.is_anomaly_enabled() and not lib.is_anomaly_check_nan_enabled()
        x.sqrt().sum().backward()
    assert x.grad.isnan().all()
    assert lib.is_anomaly_check_nan_enabled()


@SIDES
def test_infinities_are_no_nan(lib):
    x = leaf(lib, 0.0, 1.0)
    with lib.autograd.detect_anomaly():
        x.sqrt().sum().backward()
        y = lib.tensor([float("inf"), float("-inf")], dtype=lib.float64)
        (leaf(lib, 1.0, 1.0) * y).sum().backward()
    assert x.grad.tolist() == [float("inf"), 0.5]


@SIDES
def test_set_for_a_block_or_from_here_on(lib):
    with lib.autograd.set_detect_anomaly(True):
        assert lib.is_anomaly_enabled()
        with lib.autograd.set_detect_anomaly(False):
            assert not lib.is_anomaly_enabled()
            leaf(lib, -1.0).sqrt().sum().backward()
        assert lib.is_anomaly_enabled()
    assert not lib.is_anomaly_enabled()
    try:
        lib.autograd.set_detect_anomaly(True)
        assert lib.is_anomaly_enabled()
        with pytest.raises(RuntimeError, match="returned nan"):
            leaf(lib, -1.0).sqrt().sum().backward()
    finally:
        lib.autograd.set_detect_anomaly(False)
    assert not lib.is_anomaly_enabled()


@SIDES
def test_it_is_of_the_process(lib):
    seen = []

    def work():
        seen.append(lib.is_anomaly_enabled())
        try:
            leaf(lib, -1.0).sqrt().sum().backward()
        except RuntimeError as error:
            seen.append(str(error))

    with lib.autograd.detect_anomaly():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen[0] is True and "returned nan values" in seen[1]


@SIDES
def test_entering_warns(lib):
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        lib.autograd.detect_anomaly()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lib.autograd.set_detect_anomaly(True):
            pass


@SIDES
def test_second_derivatives(lib):
    x = leaf(lib, 0.0)
    with lib.autograd.detect_anomaly():
        (g,) = lib.autograd.grad((x**1.5).sum(), x, create_graph=True)
        assert g.item() == 0.0
        y = leaf(lib, -1.0)
        with pytest.raises(RuntimeError, match="returned nan values"):
            lib.autograd.grad(y.log().sqrt().sum(), y, create_graph=True)


@SIDES
def test_where_a_failing_step_comes_from(lib):
    class Failing(lib.autograd.Function):
        forward = staticmethod(lambda ctx, x: x.clone())

        @staticmethod
        def backward(ctx, g):
            raise ValueError("on the way back")

    x = leaf(lib, 1.0)
    with lib.autograd.detect_anomaly():
        out = Failing.apply(x)
    for y, text in ((out, "Failing.apply"), (Failing.apply(x), "No forward pass information")):
        with (
            pytest.warns(UserWarning, match="(?s)Error detected in FailingBackward.*" + text),
            pytest.raises(ValueError, match="on the way back"),
            lib.autograd.detect_anomaly(),
        ):
            y.sum().backward()
