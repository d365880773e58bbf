"""Operations of users' own: `Function` in both styles, and what its `ctx` does."""

import gc
import inspect
import threading
import weakref

import numpy as np
import pytest

import devtensor as dt
from sides import SIDES, leaf, nested


def square(lib):
    """x**2, whose backward can be differentiated."""

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    return Square


def square_with_setup(lib):
    """The same in the other style."""

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    return Square


STYLES = pytest.mark.parametrize("style", [square, square_with_setup])


@SIDES
@STYLES
def test_both_styles(lib, style):
    Square = style(lib)
    x = leaf(lib, 2.0, 3.0)
    y = Square.apply(x)
    assert y.tolist() == [4.0, 9.0] and y.requires_grad and not y.is_leaf
    assert y.grad_fn.name() == "SquareBackward" == type(y.grad_fn).__name__ or lib is dt
    assert y.grad_fn.next_functions[0][0].variable is x
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [4.0, 6.0]
    y.sum().backward()
    assert x.grad.tolist() == [8.0, 12.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
    assert not Square.apply(x.detach()).requires_grad


@SIDES
@STYLES
def test_double_backward(lib, style):
    Square = style(lib)
    x, v = leaf(lib, 2.0, 3.0), leaf(lib, 1.0, 1.0)
    (g,) = lib.autograd.grad(Square.apply(x) * v, x, lib.ones_like(x), create_graph=True)
    assert g.requires_grad
    h, k = lib.autograd.grad((g * g).sum(), (x, v))
    assert nested([h, k]) == [[16.0, 24.0], [32.0, 72.0]]
    y = Square.apply(Square.apply(x))
    for expected in ([32.0, 108.0], [48.0, 108.0], [48.0, 72.0], [24.0, 24.0]):
        (y,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        assert y.tolist() == expected


@SIDES
@STYLES
def test_under_the_modes(lib, style):
    Square = style(lib)
    x = leaf(lib, 2.0)
    with lib.no_grad():
        y = Square.apply(x)
    assert y.item() == 4.0 and not y.requires_grad and not y.is_inference()
    with lib.inference_mode():
        y = Square.apply(x)
    assert y.item() == 4.0 and y.is_inference()
    with lib.inference_mode():
        frozen = lib.ones(1, dtype=lib.float64)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        two_inputs(lib).apply(x, frozen)
    with lib.no_grad():
        two_inputs(lib).apply(x, frozen)


def two_inputs(lib):
    class Product(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            seen.append(ctx.needs_input_grad)
            return (g * y if ctx.needs_input_grad[0] else None,
                    g * x if ctx.needs_input_grad[1] else None)  # fmt: skip

    seen = Product.seen = []
    return Product


@SIDES
def test_needs_input_grad(lib):
    Product = two_inputs(lib)
    x, c = leaf(lib, 2.0), lib.tensor([3.0], dtype=lib.float64)
    pairs = {(True, True): (x, x * 1), (True, False): (x, c), (False, True): (c, x)}
    for needs, pair in pairs.items():
        Product.apply(*pair).sum().backward()
        assert Product.seen.pop() == needs

    class Notes(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, n, y):
            noted.append((ctx.needs_input_grad, lib.is_grad_enabled(), x.requires_grad,
                          (x * 2).requires_grad))  # fmt: skip
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, None, g

    noted = []
    Notes.apply(x, 3, c)
    Notes.apply(c, 3, x)
    assert noted == [((True, False, False), False, True, False),
                     ((False, False, True), False, False, False)]  # fmt: skip


@SIDES
def test_arguments_that_are_no_tensors(lib):
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor, options, nothing=None):
            ctx.factor, ctx.options = factor, options
            ctx.shape = x.shape  # names that nodes have, too
            ctx.index, ctx.clock, ctx.extra, ctx.device = 1, 2, 3, 4
            ctx.count, ctx.links, ctx.saved, ctx.outputs = 5, 6, 7, 8
            return x * factor, factor, "text"

        @staticmethod
        def backward(ctx, g, *rest):
            assert (ctx.index, ctx.clock, ctx.extra, ctx.device) == (1, 2, 3, 4)
            assert (ctx.count, ctx.links, ctx.saved, ctx.outputs) == (5, 6, 7, 8)
            assert ctx.options == {"a": 1} and tuple(ctx.shape) == (2,)
            assert rest == (None, None)
            return g * ctx.factor, None, None, None

    x = leaf(lib, 1.0, 2.0)
    y, factor, text = Scale.apply(x, 3.0, {"a": 1})
    assert factor == 3.0 and text == "text"
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


@SIDES
def test_tensors_in_lists_are_not_tracked(lib):
    class Sum(lib.autograd.Function):
        @staticmethod
        def forward(ctx, xs):
            return xs[0] + xs[1]

        @staticmethod
        def backward(ctx, g):
            return None

    x = leaf(lib, 1.0)
    assert not Sum.apply([x, x]).requires_grad


@SIDES
def test_helpers_and_class_attributes(lib):
    class Power(lib.autograd.Function):
        exponent = 3

        @staticmethod
        def slope(x, n):
            return n * x ** (n - 1)

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**Power.exponent

        @classmethod
        def backward(cls, ctx, g):
            (x,) = ctx.saved_tensors
            return g * Power.slope(x, Power.exponent)

    class Cube(Power):
        pass

    x = leaf(lib, 2.0)
    y = Cube.apply(x)
    assert y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.item() == 12.0


@SIDES
def test_several_outputs(lib):
    class Split(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3, x * 4

        @staticmethod
        def backward(ctx, *gs):
            seen.append([None if g is None else g.tolist() for g in gs])
            a, b, c = gs
            return a * 2 + b * 3 + c * 4

    seen = []
    x = leaf(lib, 1.0, 2.0)
    a, _, c = Split.apply(x)
    assert [t.output_nr for t in (a, c)] == [0, 2] and a.grad_fn is c.grad_fn
    (a + c * 10).sum().backward()
    assert seen == [[[1.0, 1.0], [0.0, 0.0], [10.0, 10.0]]] and x.grad.tolist() == [42.0, 42.0]
    assert isinstance(Split.apply(x), tuple)


@SIDES
def test_set_materialize_grads(lib):
    class Split(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            assert b is None
            return a * 2

    x = leaf(lib, 1.0)
    Split.apply(x)[0].sum().backward()
    assert x.grad.item() == 2.0


def test_materialized_gradients_are_of_the_output(device):
    class Split(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x[0].to(dt.float32)

        @staticmethod
        def backward(ctx, a, b):
            seen.append((b.shape, b.dtype, b.device, b.tolist()))
            return a * 2 + b.to(a.dtype)

    seen = []
    x = dt.ones(2, 3, dtype=dt.float64, device=device, requires_grad=True)
    Split.apply(x)[0].sum().backward()
    assert seen == [((3,), dt.float32, dt.device(device), [0.0, 0.0, 0.0])]
    assert x.grad.device == dt.device(device) and x.grad.dtype is dt.float64


def test_materialized_gradients_on_the_second_device():
    class Split(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3

    x = dt.ones(2, device="strict:1", requires_grad=True)
    Split.apply(x)[0].sum().backward()
    assert x.grad.device == dt.device("strict:1") and x.grad.tolist() == [2.0, 2.0]


@SIDES
def test_mark_non_differentiable(lib):
    class Sort(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            values, places = x.sort()
            rounded = values.round()
            ctx.mark_non_differentiable(places, rounded)
            ctx.save_for_backward(places)
            return values, places, rounded

        @staticmethod
        def backward(ctx, g, h, k):
            (places,) = ctx.saved_tensors
            seen.append((h.dtype, h.tolist(), k.tolist()))
            return lib.zeros_like(g).scatter_add(0, places, g)

    seen = []
    x = leaf(lib, 3.0, 1.0, 2.0)
    values, places, rounded = Sort.apply(x)
    assert values.requires_grad and not places.requires_grad and not rounded.requires_grad
    (values * lib.tensor([1.0, 10.0, 100.0], dtype=lib.float64)).sum().backward()
    assert x.grad.tolist() == [100.0, 1.0, 10.0]
    assert seen == [(lib.int64, [0, 0, 0], [0.0, 0.0, 0.0])]


@SIDES
def test_integer_outputs_are_not_tracked(lib):
    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x.long()

        @staticmethod
        def backward(ctx, g, h):
            return g * 2

    x = leaf(lib, 1.5)
    y, n = Both.apply(x)
    assert y.requires_grad and not n.requires_grad
    y.sum().backward()
    assert x.grad.item() == 2.0


@SIDES
def test_mark_dirty(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(lib, 1.0, 2.0)
    y = x * 3
    before = y._version
    z = Twice.apply(y)
    assert z is y and y.grad_fn.name() == "TwiceBackward" and y._version > before
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0] and y.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        Twice.apply(x)
    plain = lib.ones(2)
    assert Twice.apply(plain) is plain and not plain.requires_grad and plain.tolist() == [2.0, 2.0]


@SIDES
def test_mark_dirty_of_a_view(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * 1
    Twice.apply(y[1:])
    (y * lib.tensor([1.0, 10.0, 100.0], dtype=lib.float64)).sum().backward()
    assert y.tolist() == [1.0, 4.0, 6.0] and x.grad.tolist() == [1.0, 20.0, 200.0]


@SIDES
def test_dirty_and_other_outputs(lib):
    class Step(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.mark_dirty(x)
            ctx.save_for_backward(y)
            x.mul_(y)
            return x, y + 1

        @staticmethod
        def backward(ctx, g, h):
            (y,) = ctx.saved_tensors
            return g * y, h

    a, b = leaf(lib, 2.0), leaf(lib, 5.0)
    x = a * 1
    z, w = Step.apply(x, b)
    assert z is x and x.item() == 10.0
    (z + w * 3).sum().backward()
    assert a.grad.item() == 5.0 and b.grad.item() == 3.0


@SIDES
def test_inputs_that_come_out_again(lib):
    class Same(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x, y.view(2), x * 2

        @staticmethod
        def backward(ctx, a, b, c):
            return a * 10 + c * 2, b * 100

    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    a, b, c = Same.apply(x, y)
    assert a is not x and a.tolist() == x.tolist() and a.requires_grad and not a.is_leaf
    assert x.is_leaf and a.data_ptr() == x.data_ptr()
    (a + b + c).sum().backward()
    assert x.grad.tolist() == [12.0, 12.0] and y.grad.tolist() == [100.0, 100.0]
    with lib.no_grad():
        a, _, _ = Same.apply(x, y)
    assert a is not x


@SIDES
def test_save_for_backward_takes_tensors_only(lib):
    class Bad(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(TypeError, match="save_for_backward can only save variables"):
        Bad.apply(leaf(lib, 1.0))


@SIDES
def test_saved_values_are_checked(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            _, y = ctx.saved_tensors
            return g * y

    x = leaf(lib, 1.0)
    for which in (0, 1):
        copy = x * 1
        y = Exp.apply(copy)
        with lib.no_grad():
            (copy, y)[which].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    copy = x * 1
    y = Exp.apply(copy)
    copy.data.add_(1)  # goes unnoticed
    y.sum().backward()
    assert x.grad.item() == pytest.approx(np.e)


@SIDES
def test_a_saved_output_is_in_its_place_in_the_graph(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(lib, 1.0)
    y = Exp.apply(x)
    for _ in range(3):
        (y,) = lib.autograd.grad(y, x, lib.ones_like(y), create_graph=True)
    assert y.item() == pytest.approx(np.e)


@SIDES
def test_once_differentiable(lib):
    once = lib.autograd.function.once_differentiable

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once
        def backward(ctx, g):
            """What it says."""
            assert not lib.is_grad_enabled()
            (x,) = ctx.saved_tensors
            return g * 2 * x

    assert Square.backward.__doc__ == "What it says."
    x, v = leaf(lib, 3.0), leaf(lib, 1.0)
    (g,) = lib.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    assert g.item() == 6.0 and not g.requires_grad
    (g,) = lib.autograd.grad(Square.apply(x) * v, x, lib.ones_like(x), create_graph=True)
    assert g.requires_grad
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was"):
        g.sum().backward()
    Square.apply(x).sum().backward()
    assert x.grad.item() == 6.0


@SIDES
def test_numpy_inside(lib):
    """The usual use of once_differentiable: a step in another library."""

    class Sine(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.array = x.detach().numpy()
            return lib.from_numpy(np.sin(ctx.array))

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx, g):
            return lib.from_numpy(np.cos(ctx.array) * g.numpy())

    x = leaf(lib, 1.0, 2.0)
    Sine.apply(x).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), np.cos([1.0, 2.0]))


# ---- what is refused


def returning(lib, value, inputs=2):
    class BadFunction(lib.autograd.Function):
        @staticmethod
        def forward(ctx, *xs):
            return sum(xs[1:], xs[0])

        @staticmethod
        def backward(ctx, g):
            return value(g)

    return BadFunction.apply


@SIDES
def test_wrong_gradients(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    for value, phrase in (
        (lambda g: g, r"BadFunctionBackward returned an incorrect number of .*\(expected 2"),
        (lambda g: (g, g, g), r"returned an incorrect number of gradients \(expected 2, got 3\)"),
        (lambda g: (lib.ones(5, dtype=lib.float64), g), r"returned an invalid gradient at index 0 "
         r"- got \[5\] but expected shape compatible with \[2\]"),
        (lambda g: (g, lib.ones(3, 5, dtype=lib.float64)), "invalid gradient at index 1"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=phrase):
            returning(lib, value)(x, y).sum().backward()
    with pytest.raises((RuntimeError, TypeError), match="expected"):
        returning(lib, lambda g: (g, 3.0))(x, y).sum().backward()
    x.grad = y.grad = None
    returning(lib, lambda g: (g, None, None, None))(x, y).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and y.grad is None


@SIDES
def test_gradients_that_can_be_fitted(lib):
    x = leaf(lib, 1.0, 2.0)
    returning(lib, lambda g: lib.ones(3, 2, dtype=lib.float64))(x).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    x.grad = None
    returning(lib, lambda g: lib.ones(2, dtype=lib.float32))(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and x.grad.dtype is lib.float64


@SIDES
def test_gradient_for_an_untracked_input_is_dropped(lib):
    x, c = leaf(lib, 1.0), lib.ones(1, dtype=lib.float64)
    returning(lib, lambda g: (g, g))(x, c).sum().backward()
    assert x.grad.item() == 1.0 and c.grad is None


@SIDES
def test_what_is_not_there(lib):
    x = leaf(lib, 1.0)

    class NoForward(lib.autograd.Function):
        pass

    class NoBackward(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError, match="implement the forward"):
        NoForward.apply(x)
    y = NoBackward.apply(x)
    with pytest.raises(NotImplementedError, match="implement either the backward or vjp"):
        y.sum().backward()
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        made = NoBackward()
    with pytest.raises(RuntimeError, match="Legacy autograd function with non-static forward"):
        made(x)


@SIDES
def test_older_names(lib):
    places = lib.autograd.function

    class Twice(places.InplaceFunction):
        @staticmethod
        def forward(ctx, x):
            assert isinstance(ctx, places.BackwardCFunction)
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(lib, 1.0)
    Twice.apply(x.clone()).backward()
    assert x.grad.tolist() == [2.0]


@SIDES
def test_a_rule_may_be_exchanged(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(lib, 1.0)
    Twice.apply(x).backward()
    Twice.backward = staticmethod(lambda ctx, g: g * 5)
    Twice.apply(x).backward()
    assert x.grad.tolist() == [7.0]


@SIDES
def test_arguments_that_are_left_out(lib):
    class Scaled(lib.autograd.Function):
        @staticmethod
        def forward(x, scale=3.0):
            return x * scale

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.scale = inputs

        @staticmethod
        def backward(ctx, g):
            return g * ctx.scale, None

    x = leaf(lib, 1.0)
    Scaled.apply(x).backward()
    Scaled.apply(x, 4.0).backward()
    assert x.grad.tolist() == [7.0]


@SIDES
def test_vjp_is_another_name_of_backward(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 2

    x = leaf(lib, 1.0)
    Twice.apply(x).sum().backward()
    assert x.grad.item() == 2.0


@SIDES
def test_exceptions_of_forward_and_backward(lib):
    class Fails(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, now):
            if now:
                raise KeyError("forward")
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise KeyError("backward")

    x = leaf(lib, 1.0)
    with pytest.raises(KeyError, match="forward"):
        Fails.apply(x, True)
    assert lib.is_grad_enabled()
    with pytest.raises(KeyError, match="backward"):
        Fails.apply(x, False).sum().backward()
    assert lib.is_grad_enabled() and x.grad is None


@SIDES
def test_a_graph_of_its_own_in_forward(lib):
    class Inner(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            with lib.enable_grad():
                y = x.detach().requires_grad_()
                z = y**3
            (g,) = lib.autograd.grad(z, y, lib.ones_like(z))
            ctx.save_for_backward(g)
            return z.detach()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = leaf(lib, 2.0)
    Inner.apply(x).sum().backward()
    assert x.grad.item() == 12.0


@SIDES
def test_backward_in_backward(lib):
    """A pass within a pass, as checkpointing makes it."""

    class Again(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x**3).detach()

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            x = x.detach().requires_grad_()
            with lib.enable_grad():
                y = x**3
            lib.autograd.backward(y, g)
            return x.grad

    x = leaf(lib, 2.0)
    (Again.apply(x) * 5).sum().backward()
    assert x.grad.item() == 60.0


@SIDES
def test_modes_in_backward(lib):
    class Notes(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            seen.append((lib.is_grad_enabled(), g.requires_grad))
            return g * 2

    seen = []
    x, v = leaf(lib, 1.0), leaf(lib, 1.0)
    Notes.apply(x).sum().backward()
    lib.autograd.grad(Notes.apply(x) * v, x, lib.ones_like(x), create_graph=True)
    y = Notes.apply(x).sum()
    with lib.no_grad():
        y.backward()
    assert seen == [(False, False), (True, True), (False, False)]


@SIDES
def test_the_gradient_that_backward_returns_is_not_taken(lib):
    """What `backward` keeps of its own must not change when gradients are added up."""
    kept = []

    class Keeps(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            kept.append(g * 2)
            return kept[-1]

    x = leaf(lib, 1.0)
    for _ in range(2):
        (Keeps.apply(x) + Keeps.apply(x)).sum().backward()
    x.grad.zero_()
    assert nested(kept) == [[2.0]] * 4


def test_no_cycles():
    """The node, its ctx and what is saved go with the last reference to the result."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(dt, 1.0, 2.0)
        for make in (square, square_with_setup, saves_its_result, marks, writes):
            base = x * 1
            y = make(dt).apply(base)
            y = y[0] if isinstance(y, tuple) else y
            refs = [weakref.ref(y), weakref.ref(y.grad_fn), weakref.ref(y._array)]
            z = (y * 3).sum()
            z.backward(retain_graph=True)
            dt.autograd.grad(z, x, create_graph=True)
            del y, z, base
            assert [r() for r in refs] == [None] * 3, make
    finally:
        gc.enable()


def saves_its_result(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    return Exp


def marks(lib):
    class Parts(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.round()
            ctx.mark_non_differentiable(y)
            ctx.save_for_backward(y)
            return x * 2, y

        @staticmethod
        def backward(ctx, g, h):
            return g * 2

    return Parts


def writes(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    return Twice


def test_backward_lets_go_of_what_was_saved():
    x = leaf(dt, 1.0)
    copy = x * 1
    ref = weakref.ref(copy)
    y = square(dt).apply(copy)
    del copy
    gc.collect()
    assert ref() is not None
    y.sum().backward()
    assert ref() is None


@SIDES
def test_from_several_threads(lib):
    Square = square(lib)
    x = leaf(lib, 3.0)

    def work():
        for _ in range(50):
            Square.apply(x).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad.item() == 4 * 50 * 6.0


def test_ctx_is_described():
    for name, member in vars(dt.autograd.function.FunctionCtx).items():
        if not name.startswith("_") and callable(member):
            assert inspect.getdoc(member)


@SIDES
def test_results_that_are_views_are_not_written(lib):
    class Same(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    class Shaped(Same):
        @staticmethod
        def forward(ctx, x):
            return x.view(2, 1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2)

    class Both(Same):
        @staticmethod
        def forward(ctx, x):
            return x[0], x[1]

        @staticmethod
        def backward(ctx, g, h):
            return lib.stack([g, h])

    x = lib.ones(2, requires_grad=True)
    for function in (Same, Shaped):
        out = function.apply(x)
        text = f"Output 0 of {function.__name__} is a view and is being modified inplace. This view"
        with pytest.raises(RuntimeError, match=text + " was created inside a custom Function"):
            out.add_(1)
        assert out is not x and out._is_view()
        with lib.no_grad():
            out.mul_(2)
    assert x.tolist() == [4, 4]
    second = Both.apply(x * 1)[1]
    with pytest.raises(RuntimeError, match=r"Output 1 of Both is a view .* returns multiple"):
        second.add_(1)


@SIDES
def test_what_is_marked_dirty_is_returned(lib):
    class Dirty(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return 3

    class Number(Dirty):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    x = lib.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="must all be outputs of the Function"):
        Dirty.apply(x * 1)
    with pytest.raises(RuntimeError, match=r"expected Variable or None \(got int\)"):
        Number.apply(x).sum().backward()


@SIDES
def test_callbacks_of_a_pass(lib):
    heard = []
    queue = lib.autograd.Variable._execution_engine.queue_callback

    def hook(g):
        queue(lambda: heard.append("end") or queue(lambda: heard.append("last")))
        heard.append("hook")

    x = lib.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(hook)
    y.sum().backward(retain_graph=True)
    assert heard == ["hook", "end", "last"]
    lib.autograd.grad(y, x, lib.ones(3, 2), is_grads_batched=True)
    assert heard == ["hook", "end", "last"] * 2
    with pytest.raises(RuntimeError, match="only be installed during backward pass"):
        queue(lambda: None)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@SIDES
def test_gradients_that_cannot_begin(lib):
    x = lib.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty"):
        lib.autograd.grad(x.sum(), [])
    with pytest.raises(RuntimeError, match=r"required to have the same dtype\. Mismatch in"):
        (x * 2).backward(lib.ones(2, dtype=lib.complex64))
    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf variables"):
        (x * 2).requires_grad = True
    assert (x * 2).requires_grad_().requires_grad
    with pytest.raises(RuntimeError, match="only Tensors of floating point and complex dtype can"):
        lib.arange(2).requires_grad = True
    forward = lib.autograd.forward_ad
    with forward.dual_level():
        dual = forward.make_dual(lib.ones(2), lib.ones(2))
        with pytest.raises(RuntimeError, match="already has a forward gradient at the same level"):
            forward.make_dual(dual, lib.ones(2))


@SIDES
def test_the_node_and_its_arguments(lib):
    class Scaled(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor, y):
            ctx.save_for_backward(x)
            return x * factor + y

        @staticmethod
        def backward(ctx, g):
            with pytest.warns(DeprecationWarning, match="'saved_variables' is deprecated"):
                assert ctx.saved_variables[0] is not None
            return g * 3, g, g

    x, y = leaf(lib, 1.0), lib.ones(1, dtype=lib.float64)
    out = Scaled.apply(x, 3, y)
    assert type(out.grad_fn).__name__ == out.grad_fn.name() == "ScaledBackward"
    assert type(out.grad_fn) is Scaled._backward_cls
    assert repr(out.grad_fn).startswith("<torch.autograd.function.ScaledBackward object at")
    (first, _), second = out.grad_fn.next_functions
    assert type(first).__name__ == "AccumulateGrad" and second == (None, 0)
    assert type((x * 2).grad_fn).__name__ == "MulBackward0"
    with pytest.raises(RuntimeError, match="different than None at position 2, but the correspo"):
        out.sum().backward()


@SIDES
def test_marks_that_do_not_fit(lib):
    def made(forward):
        names = {"forward": staticmethod(forward), "backward": staticmethod(lambda ctx, *g: g[0])}
        return type("Marked", (lib.autograd.Function,), names)

    def other(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y

    def written(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1), x * 2

    x = leaf(lib, 1.0, 2.0)
    with pytest.warns(UserWarning, match="received a tensor that was not an input"):
        made(other).apply(x)
    with pytest.raises(RuntimeError, match="modifies inplace an input that is a view of another"):
        made(written).apply(x.clone()[:1])
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used"):
        made(lambda ctx, x: ctx.mark_dirty(x) or x.add_(1)).apply(x)


@SIDES
def test_one_way_back(lib):
    class Both(lib.autograd.Function):
        forward = staticmethod(lambda ctx, x: x * 2)
        backward = staticmethod(lambda ctx, g: g)
        vjp = staticmethod(lambda ctx, g: g)

    with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
        Both.apply(leaf(lib, 1.0)).sum().backward()
