"""vjp, jvp, jacobian, hessian, vhp and hvp, beside PyTorch's."""

import numpy as np
import pytest
import torch

import devtensor as dt
from sides import SIDES, nested

POINTS = {"x": [1.0, -2.0, 0.5], "y": [[0.3, 1.2], [-0.7, 2.0]], "n": 1.5}


def point(lib, *names):
    made = tuple(lib.tensor(POINTS[name], dtype=lib.float64) for name in names)
    return made[0] if len(made) == 1 else made


FUNCTIONS = {
    "one to one": (("x",), lambda lib, x: x.sin() * x[0]),
    "number": (("n",), lambda lib, n: n**3),
    "to a matrix": (("x",), lambda lib, x: x[:, None] * x.exp()),
    "two inputs": (("x", "y"), lambda lib, x, y: (y @ x[:2]).tanh() * x[2]),
    "two outputs": (("x",), lambda lib, x: (x**2, x.sum())),
    "both": (("x", "y"), lambda lib, x, y: (x.sum() * y, x * y[0, 0], y.exp())),
    "unused input": (("x", "y"), lambda lib, x, y: x * 2),
    "constant output": (("x",), lambda lib, x: (x * 2, lib.ones(2, dtype=lib.float64))),
}
NUMBERS = {
    "square": (("x",), lambda lib, x: (x**3).sum()),
    "one element": (("n",), lambda lib, n: n**4),
    "mixed": (("x", "y"), lambda lib, x, y: ((y @ x[:2]).exp() * x[2]).sum() + (x**2).sum()),
    "linear": (("x",), lambda lib, x: (x * 3).sum()),
    "unused": (("x", "y"), lambda lib, x, y: (x**3).sum()),
}


def flat(result):
    """Everything in a result as one list of shapes and numbers."""
    if isinstance(result, tuple):
        return [part for one in result for part in flat(one)]
    return [(tuple(result.shape), result.detach().flatten().tolist(), result.requires_grad)]


def agree(ours, theirs):
    assert type(ours) is type(theirs) or not isinstance(theirs, tuple)
    for one, two in zip(flat(ours), flat(theirs), strict=True):
        assert one[0] == two[0] and one[2] == two[2]
        np.testing.assert_allclose(one[1], two[1], rtol=1e-10, atol=1e-12)


def vectors(lib, like, start=0.7):
    def vector(x, i):
        steps = lib.arange(float(x.numel()), dtype=lib.float64).reshape(x.shape)
        return steps * 0.3 + start + i

    many = isinstance(like, tuple)
    made = tuple(vector(x, i) for i, x in enumerate(like if many else (like,)))
    return made if many else made[0]


CREATE = pytest.mark.parametrize("create_graph", [False, True])


def inputs(lib, names, create_graph):
    xs = point(lib, *names)
    if create_graph:
        for x in xs if isinstance(xs, tuple) else (xs,):
            x.requires_grad_()
    return xs


@CREATE
@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_derivatives(name, create_graph):
    names, function = FUNCTIONS[name]
    for call in ("vjp", "jvp", "jacobian"):
        results = []
        for lib in (dt, torch):
            xs = inputs(lib, names, create_graph)
            made = function(lib, *(xs if isinstance(xs, tuple) else (xs,)))
            args = {
                "vjp": lambda lib=lib, made=made: (vectors(lib, made),),
                "jvp": lambda lib=lib, xs=xs: (vectors(lib, xs),),
                "jacobian": lambda: (),
            }[call]()
            derive = getattr(lib.autograd.functional, call)
            results.append(
                derive(lambda *a, lib=lib: function(lib, *a), xs, *args, create_graph=create_graph)
            )
        agree(*results)


@CREATE
@pytest.mark.parametrize("name", NUMBERS)
def test_second_derivatives(name, create_graph):
    names, function = NUMBERS[name]
    for call in ("hessian", "vhp", "hvp"):
        results = []
        for lib in (dt, torch):
            xs = inputs(lib, names, create_graph)
            args = () if call == "hessian" else (vectors(lib, xs),)
            derive = getattr(lib.autograd.functional, call)
            results.append(
                derive(lambda *a, lib=lib: function(lib, *a), xs, *args, create_graph=create_graph)
            )
        agree(*results)


@SIDES
def test_vectors_may_be_left_out_for_numbers(lib):
    functional = lib.autograd.functional
    x, n = point(lib, "x"), point(lib, "n")
    assert functional.vjp(lambda x: (x**2).sum(), x)[1].tolist() == [2.0, -4.0, 1.0]
    assert functional.jvp(lambda n: n * x, n)[1].tolist() == x.tolist()
    assert functional.vhp(lambda n: n**3, n)[1].item() == 9.0
    assert functional.hvp(lambda n: n**3, n)[1].item() == 9.0
    for call in (functional.jvp, functional.vhp, functional.hvp):
        with pytest.raises(RuntimeError, match="v can only be None if"):
            call(lambda x: (x**2).sum(), x)
    with pytest.raises(RuntimeError, match="v can only be None if"):
        functional.vjp(lambda x: x**2, x)


@SIDES
def test_results_can_be_differentiated(lib):
    functional = lib.autograd.functional
    x = point(lib, "x").requires_grad_()
    for derive in (
        lambda: functional.jacobian(lambda x: x**3, x, create_graph=True),
        lambda: functional.hessian(lambda x: (x**4).sum() / 4, x, create_graph=True),
        lambda: functional.vjp(lambda x: x**3, x, lib.ones_like(x), create_graph=True)[1],
        lambda: functional.jvp(lambda x: x**3, x, lib.ones_like(x), create_graph=True)[1],
        lambda: functional.vhp(lambda x: (x**4).sum() / 4, x, lib.ones_like(x), True)[1],
    ):
        (g,) = lib.autograd.grad(derive().sum(), x)
        np.testing.assert_allclose(g.tolist(), (6 * np.array(POINTS["x"])).tolist())


@SIDES
def test_inputs_and_their_gradients_stay_as_they_are(lib):
    x = point(lib, "x").requires_grad_()
    seen = []

    def function(x):
        seen.append(x)
        return x**2

    lib.autograd.functional.jacobian(function, x)
    lib.autograd.functional.vjp(function, x, lib.ones_like(x))
    assert x.grad is None and x.is_leaf and x.requires_grad
    assert all(s is not x and s.requires_grad for s in seen)


@SIDES
def test_recording_is_turned_on(lib):
    x = point(lib, "x")
    with lib.no_grad():
        _, product = lib.autograd.functional.vjp(lambda x: x**2, x, lib.ones_like(x))
        assert product.tolist() == [2.0, -4.0, 1.0]
        assert lib.autograd.functional.jacobian(lambda x: x**2, x)[1, 1].item() == -4.0
        assert not lib.is_grad_enabled()


def test_inference_mode_is_refused_where_pytorch_gives_zeros():
    functional = dt.autograd.functional
    with dt.inference_mode():
        x = point(dt, "x")
        for call in (
            lambda: functional.vjp(lambda x: x**2, x, x),
            lambda: functional.jvp(lambda x: x**2, x, x),
            lambda: functional.jacobian(lambda x: x**2, x),
            lambda: functional.hessian(lambda x: (x**2).sum(), x),
        ):
            with pytest.raises(RuntimeError, match="inference_mode records nothing"):
                call()


@SIDES
def test_strict(lib):
    functional = lib.autograd.functional
    x, y = point(lib, "x", "y")
    constant = lib.ones(2, dtype=lib.float64)
    for call in (
        lambda: functional.jacobian(lambda x: constant, x, strict=True),
        lambda: functional.jacobian(lambda x, y: x * 2, (x, y), strict=True),
        lambda: functional.jacobian(lambda x: x * 2, x, strict=True, create_graph=True),
        lambda: functional.hessian(lambda x: (x * 2).sum(), x, strict=True),
        lambda: functional.vjp(lambda x, y: x.sum(), (x, y), strict=True),
        lambda: functional.jvp(lambda x: constant, x, x, strict=True),
        lambda: functional.vhp(lambda x: (x * 2).sum(), x, x, strict=True),
        lambda: functional.hvp(lambda x: (x * 2).sum(), x, x, strict=True),
    ):
        with pytest.raises(RuntimeError, match=r"(?s)(not allowed|strict mode)"):
            call()
    assert nested(functional.jacobian(lambda x: x[0] * 2, x, strict=True)) == [2.0, 0.0, 0.0]


@SIDES
def test_what_is_refused(lib):
    functional = lib.autograd.functional
    x, y = point(lib, "x", "y")
    for call, error, phrase in (
        (lambda: functional.vjp(lambda x: x, 3.0), TypeError, "inputs given to vjp must be"),
        (lambda: functional.vjp(lambda x, y: x, (x, 3.0)), TypeError, "index 1 has type"),
        (lambda: functional.jacobian(lambda x: 3.0, x), TypeError, "outputs of the user-provided"),
        (lambda: functional.vjp(lambda x: x, x, y), RuntimeError, "v has invalid size"),
        (lambda: functional.jvp(lambda x: x, x, y), RuntimeError, "v has invalid size"),
        (lambda: functional.jvp(lambda x: x, x, (x, y)), RuntimeError, "v should contain a single"),
        (lambda: functional.jvp(lambda x, y: x, (x, y), (x,)), RuntimeError, "invalid length"),
        (lambda: functional.hessian(lambda x: x, x), RuntimeError, "contain a single element"),
        (lambda: functional.hessian(lambda x: (x, x), x), RuntimeError, "return a single Tensor"),
        (lambda: functional.vhp(lambda x: x, x, x), RuntimeError, "contain a single element"),
        (lambda: functional.jacobian(lambda x: x, x, strategy="sideways"), AssertionError,
         "Expected strategy to be either"),
    ):  # fmt: skip
        with pytest.raises(error, match=phrase):
            call()


FORTH = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
BACK, ALONG = {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}


@SIDES
@FORTH
@pytest.mark.parametrize("options", [BACK, ALONG], ids=["back", "forth"])
def test_rows_at_once(lib, options):
    x, y = point(lib, "x"), lib.tensor([[1.0], [2.0]], dtype=lib.float64)
    calls = []

    def function(x, y):
        calls.append(1)
        return x.sin() * y, (x * x[0]).sum(), lib.ones(2), y * 2

    jacobian = lib.autograd.functional.jacobian
    expected = jacobian(function, (x, y))
    calls.clear()
    found = jacobian(function, (x, y), **options)
    assert len(calls) == 1
    assert isinstance(found, (tuple, list)) and len(found) == 4
    for row, other in zip(found, expected, strict=True):
        for one, two in zip(row, other, strict=True):
            assert one.shape == two.shape and not one.requires_grad
            np.testing.assert_allclose(one.tolist(), two.tolist())
    assert jacobian(lambda x: x[0] * x[1], x, **options).tolist() == [x[1], x[0], 0]


@SIDES
@FORTH
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_second_derivatives_at_once(lib, strategy):
    x, y = point(lib, "x"), lib.tensor(2.0, dtype=lib.float64)
    hessian = lib.autograd.functional.hessian
    expected = hessian(lambda x, y: (x**3).sum() * y, (x, y))
    options = {"vectorize": True, "outer_jacobian_strategy": strategy}
    found = hessian(lambda x, y: (x**3).sum() * y, (x, y), **options)
    for row, other in zip(found, expected, strict=True):
        for one, two in zip(row, other, strict=True):
            np.testing.assert_allclose(one.tolist(), two.tolist())


@SIDES
def test_rows_at_once_can_be_differentiated(lib):
    x = point(lib, "x").requires_grad_()
    found = lib.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True, vectorize=True)
    (second,) = lib.autograd.grad(found.sum(), x)
    np.testing.assert_allclose(second.tolist(), 6 * np.array(POINTS["x"]))


@SIDES
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"strategy": "forward-mode"}, NotImplementedError, "implemented for"),
        ({**ALONG, "strict": True}, RuntimeError, "not supported together"),
        ({**ALONG, "create_graph": True}, NotImplementedError, "not supported together"),
        ({**BACK, "strict": True}, RuntimeError, "not supported together"),
    ],
)
def test_options_that_exclude_each_other(lib, options, error, words):
    with pytest.raises(error, match=words):
        lib.autograd.functional.jacobian(lambda x: x * 2, point(lib, "x"), **options)


@FORTH
def test_complex_rows_at_once():
    z = [1 + 2j, 0.5 - 1j]
    for options in (BACK, ALONG):
        found, expected = (
            lib.autograd.functional.jacobian(lambda z: z * z * 2j, lib.tensor(z), **options)
            for lib in (dt, torch)
        )
        np.testing.assert_allclose(found.tolist(), expected.tolist())


def test_empty_outputs():
    x = point(dt, "x")  # PyTorch refuses these
    for options in ({}, BACK, ALONG):
        found = dt.autograd.functional.jacobian(lambda x: x[:0], x, **options)
        assert tuple(found.shape) == (0, 3)


def test_on_devices(device):
    x = dt.tensor(POINTS["x"], device=device)
    found = dt.autograd.functional.hessian(lambda x: (x**3).sum(), x)
    assert found.device == dt.device(device)
    np.testing.assert_allclose(found.tolist(), np.diag(6 * np.array(POINTS["x"])), rtol=1e-6)
