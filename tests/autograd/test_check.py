"""gradcheck finds wrong gradients of every kind, and passes right ones, as PyTorch's does."""

import importlib
import warnings

import pytest
import torch

import devtensor as dt
from devtensor.autograd import Function, gradcheck, gradgradcheck

SIDES = pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
"""Every test here runs on both, so that what it says is what PyTorch does."""


def point(lib, *values, dtype="float64"):
    return lib.tensor(list(values), dtype=getattr(lib, dtype), requires_grad=True)


def times_two(lib, factor):
    """A Function that doubles its input and says that the slope is `factor`."""

    class Times(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * factor

    return Times.apply


def checks(lib):
    return lib.autograd.gradcheck, lib.autograd.gradgradcheck


@SIDES
@pytest.mark.parametrize("fast", [False, True])
def test_right_gradients_pass(lib, fast):
    first, second = checks(lib)
    x, y = point(lib, 0.5, 1.5), point(lib, 2.0, -1.0)
    for function, inputs in (
        (lib.sin, (x,)),
        (lambda a, b: a * b + b.exp(), (x, y)),
        (lambda a, b: (a * b, (a + b).sum()), (x, y)),
        (lambda a: a.max(), (x,)),
    ):
        assert first(function, inputs, fast_mode=fast) is True
        assert second(function, inputs, fast_mode=fast) is True


@SIDES
@pytest.mark.parametrize("fast", [False, True])
def test_wrong_slope_is_found(lib, fast):
    first, _ = checks(lib)
    x = point(lib, 0.5, 1.5)
    with pytest.raises(
        RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"
    ):
        first(times_two(lib, 2.1), (x,), fast_mode=fast)
    assert first(times_two(lib, 2.1), (x,), fast_mode=fast, raise_exception=False) is False
    assert first(times_two(lib, 2.1), (x,), fast_mode=fast, atol=0.5) is True
    assert first(times_two(lib, 2.1), (x,), fast_mode=fast, rtol=0.2) is True


@SIDES
def test_wrong_second_derivative_is_found(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x.detach()

    first, second = checks(lib)
    x = point(lib, 0.5, 1.5)
    assert first(Square.apply, (x,))
    with pytest.raises(RuntimeError, match=r"Jacobian mismatch|appears to not have been used"):
        second(Square.apply, (x,))
    assert second(Square.apply, (x,), raise_exception=False) is False


@SIDES
def test_which_output_and_input_differ(lib):
    wrong = times_two(lib, 3.0)
    first, _ = checks(lib)
    a, b = point(lib, 1.0), point(lib, 2.0)
    with pytest.raises(RuntimeError, match="for output 1 with respect to input 1"):
        first(lambda a, b: (a * b, a + wrong(b)), (a, b))
    plain = lib.tensor([3.0], dtype=lib.float64)  # an input without a gradient is not counted
    with pytest.raises(RuntimeError, match="for output 0 with respect to input 0"):
        first(lambda p, b: p * wrong(b), (plain, b))


@SIDES
def test_backward_that_ignores_its_gradient(lib):
    class Constant(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return lib.ones_like(g)

    first, _ = checks(lib)
    with pytest.raises(RuntimeError, match="backward not multiplied by grad_output"):
        first(Constant.apply, (point(lib, 2.0),))


@SIDES
def test_backward_that_changes_between_passes(lib):
    calls = []

    class Drifting(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            calls.append(0)
            return g * (1 + 1e-7 * (len(calls) % 2))

    first, _ = checks(lib)
    x = point(lib, 2.0)
    with pytest.raises(RuntimeError, match=r"Backward is not reentrant.*nondeterminism was 0\.0"):
        first(Drifting.apply, (x,))
    calls.clear()
    assert first(Drifting.apply, (x,), nondet_tol=1e-3)


@SIDES
def test_outputs_that_no_gradient_reaches(lib):
    class Picky(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            if a is None or b is None:
                raise RuntimeError("no gradient here")
            return a * 2 + b * 3

    first, _ = checks(lib)
    x = point(lib, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns as well
        with pytest.raises(RuntimeError):
            first(Picky.apply, (x,))


@SIDES
def test_function_without_differentiable_output(lib):
    first, _ = checks(lib)
    x = point(lib, 1.0)
    assert first(lambda x: x.detach() * 0, (x,))
    with pytest.raises(RuntimeError, match="Numerical gradient for function expected to be zero"):
        first(lambda x: x.detach() * 2, (x,))


@SIDES
def test_complex_functions(lib):
    first, second = checks(lib)
    z = point(lib, 0.5 + 1j, -1.0 + 0.25j, dtype="complex128")
    for function in (
        lambda z: z * z,
        lambda z: z.abs(),
        lambda z: z.real * z.imag,
        lambda z: z.exp(),
    ):
        assert first(function, (z,))
    assert second(lambda z: z * z, (z,))

    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx, g):
            (z,) = ctx.saved_tensors
            return g * 2 * z  # without the conjugate

    message = (
        "While considering the (real|imaginary) part of complex outputs only, Jacobian mismatch"
    )
    with pytest.raises(RuntimeError, match=message):
        first(Wrong.apply, (z,))


@SIDES
def test_batched_gradients(lib):
    first, second = checks(lib)
    x, y = point(lib, 0.5, 1.5), point(lib, 2.0, -1.0)
    assert first(lambda a, b: a * b, (x, y), check_batched_grad=True)
    assert second(lambda a, b: a * b, (x, y), check_batched_grad=True)


@SIDES
def test_shapes_that_are_no_row(lib):
    first, second = checks(lib)
    matrix = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=lib.float64, requires_grad=True)
    number = lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
    empty = lib.zeros(0, 3, dtype=lib.float64, requires_grad=True)
    turned = matrix.detach().T.requires_grad_()
    for function, inputs in (
        (lambda m, n: m * n, (matrix, number)),
        (lambda m: m @ m.T, (matrix,)),
        (lambda m: m.exp(), (turned,)),
        (lambda e: e * 2, (empty,)),
    ):
        assert first(function, inputs)
        assert second(function, inputs)
    assert second(lambda m: m.exp(), (turned,), gen_non_contig_grad_outputs=True)


@SIDES
def test_given_gradients_of_outputs(lib):
    _, second = checks(lib)
    x = point(lib, 0.5, 1.5)
    assert second(lambda x: x**3, (x,), (point(lib, 1.0, -2.0),))
    assert second(lambda x: x**3, x, point(lib, 1.0, -2.0))


@SIDES
def test_inputs_stay_as_they_are(lib):
    first, second = checks(lib)
    x = point(lib, 0.5, 1.5)
    first(lambda x: x**3, (x,))
    second(lambda x: x**3, (x,))
    assert x.tolist() == [0.5, 1.5]
    assert x.grad is None


@SIDES
def test_works_where_recording_is_off(lib):
    first, _ = checks(lib)
    x = point(lib, 0.5, 1.5)
    if lib is dt:  # PyTorch finds no differentiable output and says so
        with lib.no_grad():
            assert first(lib.sin, (x,))


@SIDES
def test_bad_arguments(lib):
    first, second = checks(lib)
    plain = lib.ones(2, dtype=lib.float64)
    with pytest.raises(ValueError, match="gradcheck expects at least one input tensor to require"):
        first(lib.sin, (plain,))
    x = point(lib, 0.5)
    with pytest.raises(AssertionError, match="Expected at least one of check_forward_ad"):
        first(lib.sin, (x,), check_backward_ad=False)
    with pytest.raises(AssertionError, match="check_batched_grad=True requires check_backward_ad"):
        first(
            lib.sin, (x,), check_backward_ad=False, check_forward_ad=True, check_batched_grad=True
        )
    with pytest.raises(AssertionError, match="check_batched_forward_grad=True requires"):
        first(lib.sin, (x,), check_batched_forward_grad=True)
    with pytest.raises(AssertionError, match="Expected at least one of check_fwd_over_rev"):
        second(lib.sin, (x,), check_rev_over_rev=False)
    with pytest.raises(AssertionError, match="check_undefined_grad=True requires"):
        second(lib.sin, (x,), check_rev_over_rev=False, check_fwd_over_rev=True)
    wide = point(lib, 0.5).detach().expand(3).requires_grad_()
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        first(lib.sin, (wide,))


@SIDES
def test_single_precision_warns(lib):
    first, _ = checks(lib)
    x = point(lib, 0.5, dtype="float32")
    with pytest.warns(
        UserWarning, match="Input #0 requires gradient and is not a double precision"
    ):
        first(lambda x: x * 2, (x,), eps=1e-2, atol=1e-1)


@SIDES
def test_function_whose_shape_depends_on_its_values(lib):
    first, _ = checks(lib)
    x = point(lib, 1.0, 2.0)
    with pytest.raises(AssertionError, match=r"same shape.*perturbed .*by 1e-06, but got: *shapes"):
        first(lambda x: x[x >= 1.0], (x,))


# PyTorch's forward mode compiles its rules, and says that it should not, when it is first used.
FORTH = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
FORWARD = {"check_forward_ad": True, "check_batched_grad": True}
BATCHED = {**FORWARD, "check_batched_forward_grad": True}


@SIDES
@FORTH
@pytest.mark.parametrize("fast", [False, True])
def test_right_directions_pass(lib, fast):
    first, second = checks(lib)
    x, y = point(lib, 0.5, 1.5), point(lib, 2.0, -1.0)
    z = lib.tensor([0.5 + 1j, -1.0], dtype=lib.complex128, requires_grad=True)
    for function, inputs, options in (
        (lib.sin, (x,), BATCHED),
        (lambda a, n: a * n, (x, 3), BATCHED),
        (lambda a, b: (a * b, (a + b).sum(), lib.ones(2)), (x, y), BATCHED),
        (lambda a: a.max(), (x,), BATCHED),
        (lambda z: z.abs(), (z,), FORWARD),
        (lambda z, x: z * z.conj().exp() * x, (z, x), FORWARD),
    ):
        assert first(function, inputs, fast_mode=fast, **options) is True
    forth = {"check_fwd_over_rev": True, "fast_mode": fast}
    assert second(lambda a, b: a * b + b.exp(), (x, y), **forth) is True
    alone = {"check_rev_over_rev": False, "check_undefined_grad": False}
    assert second(lib.sin, (x,), **forth, **alone) is True


def along(lib, jvp):
    """A Function with the slope of the sine, and a `jvp` that says something of its own."""

    class Sine(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.slope = x.detach().cos()
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.slope

    Sine.jvp = staticmethod(jvp)
    return Sine.apply


@SIDES
@FORTH
@pytest.mark.parametrize("fast", [False, True])
def test_wrong_directions_are_found(lib, fast):
    first, _ = checks(lib)
    x = point(lib, 0.5, 1.5)
    right = along(lib, lambda ctx, t: t * ctx.slope)
    assert first(right, (x,), check_forward_ad=True, fast_mode=fast)
    wrong = along(lib, lambda ctx, t: t * 2)
    assert first(wrong, (x,), fast_mode=fast)
    words = "Jacobian computed with forward mode mismatch for output 0 with respect to input 0"
    with pytest.raises(RuntimeError, match=words):
        first(wrong, (x,), check_forward_ad=True, fast_mode=fast)
    assert not first(wrong, (x,), check_forward_ad=True, fast_mode=fast, raise_exception=False)
    if not fast:
        z = lib.tensor([0.5 + 1j, -1.0], dtype=lib.complex128, requires_grad=True)
        turned = along(lib, lambda ctx, t: t.conj() * ctx.slope)
        with pytest.raises(RuntimeError, match="While considering the imaginary part of complex"):
            first(turned, (z,), check_forward_ad=True, check_backward_ad=False,
                  check_undefined_grad=False)  # fmt: skip


@SIDES
@FORTH
def test_directions_that_fail_for_batches(lib):
    first, _ = checks(lib)

    class Values(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x.sin(), x.cos()

        @staticmethod
        def setup_context(ctx, inputs, outputs):
            ctx.slope = outputs[1]
            ctx.mark_non_differentiable(outputs[1])

        @staticmethod
        def backward(ctx, g, _):
            return g * ctx.slope

        @staticmethod
        def jvp(ctx, t):
            if float(t.sum()) > 100:
                return t, t
            return t * ctx.slope, None

    with pytest.raises(RuntimeError, match="While computing batched gradients, got"):
        first(lambda x: Values.apply(x)[0], (point(lib, 0.5, 1.5),), check_forward_ad=True,
              check_backward_ad=False, check_undefined_grad=False,
              check_batched_forward_grad=True)  # fmt: skip


def test_inputs_without_a_direction():
    class Product(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(False)
            ctx.save_for_forward(x, y)
            return x * y

        @staticmethod
        def jvp(ctx, t, u):
            x, y = ctx.saved_tensors
            if u is None or t is None:
                return x * 0
            return t * y + u * x

    inputs = point(dt, 0.5, 1.5), point(dt, 2.0, -1.0)
    options = {"check_forward_ad": True, "check_backward_ad": False}
    assert gradcheck(Product.apply, inputs, check_undefined_grad=False, **options)
    with pytest.raises(RuntimeError, match="inputs without a tangent"):
        gradcheck(Product.apply, inputs, **options)


def test_random_numbers_of_the_program_are_left_alone():
    dt.manual_seed(3)
    before = dt.get_rng_state().tolist()
    gradgradcheck(dt.sin, (point(dt, 0.5),), fast_mode=True)
    assert dt.get_rng_state().tolist() == before


def test_undefined_gradients_are_named_in_the_error():
    class Picky(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3

    assert gradcheck(Picky.apply, (point(dt, 1.0),))  # zeros are made for what is missing


@SIDES
def test_the_file_of_gradcheck(lib):
    file = importlib.import_module(f"{lib.__name__}.autograd.gradcheck")
    x = lib.ones(1, dtype=lib.float64, requires_grad=True)
    assert issubclass(file.GradcheckError, RuntimeError) and file.gradcheck(lib.sin, x)
    assert lib.autograd.gradcheck(lib.sin, x)


@SIDES
@pytest.mark.parametrize("fast_mode", [False, True])
def test_parameters_that_a_module_holds_are_checked(lib, fast_mode):
    module = lib.nn.Linear(2, 3).double()
    before = [p.detach().clone() for p in module.parameters()]
    x = lib.ones(1, 2, dtype=lib.float64, requires_grad=True)
    check = lib.autograd.gradcheck
    assert check(lambda x, *held: module(x), (x, *module.parameters()), fast_mode=fast_mode)
    assert all(lib.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert lib.autograd.gradgradcheck(
        lambda x, *held: module(x).sin(), (x, *module.parameters()), fast_mode=fast_mode
    )
