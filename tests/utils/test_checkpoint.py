"""Checkpoints keep less and change no gradient; a second run that differs is an error."""

import contextlib
import gc
import importlib
import weakref

import pytest
import torch

import devtensor as dt

SIDES = pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
"""What runs on both sides says what PyTorch does."""
BOTH = pytest.mark.parametrize("reentrant", [False, True])


def tools(lib):
    return importlib.import_module(f"{lib.__name__}.utils.checkpoint")


def leaf(lib, *values):
    return lib.tensor(list(values), dtype=lib.float64, requires_grad=True)


def counted(function):
    """A function that counts its calls."""

    def call(*args, **kwargs):
        call.count += 1
        return function(*args, **kwargs)

    call.count = 0
    return call


def saved_slots(lib, run):
    """How many tensors a call saves."""
    seen = []
    with lib.autograd.graph.saved_tensors_hooks(lambda t: seen.append(1) or t, lambda t: t):
        run()
    return len(seen)


@SIDES
@BOTH
def test_same_values_and_gradients(lib, reentrant):
    cp = tools(lib).checkpoint
    function = counted(lambda a, b: (a * b).sin().exp() * a)
    x, y = leaf(lib, 0.5, 1.0), leaf(lib, 2.0, -1.0)
    plain = function(x, y)
    plain.sum().backward()
    wanted = x.grad.tolist(), y.grad.tolist()
    x.grad = y.grad = None
    function.count = 0
    out = cp(function, x, y, use_reentrant=reentrant)
    assert out.tolist() == plain.tolist()
    assert function.count == 1
    out.sum().backward()
    assert function.count == 2
    assert (x.grad.tolist(), y.grad.tolist()) == wanted


@SIDES
def test_saves_its_inputs_only(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 0.5, 1.0)

    def function(t):
        for _ in range(10):
            t = (t * t).sin()
        return t

    assert saved_slots(lib, lambda: function(x)) == 30
    assert saved_slots(lib, lambda: cp(function, x, use_reentrant=False)) == 1


def test_intermediate_results_are_freed():
    died = []

    def function(t):
        middle = t.exp()
        weakref.finalize(middle, died.append, 1)
        return middle.sin()

    x = leaf(dt, 0.5)
    function(x)
    gc.collect()
    del died[:]
    out = tools(dt).checkpoint(function, x, use_reentrant=False)
    gc.collect()
    assert died == [1]
    out.sum().backward()
    assert x.grad.tolist() == pytest.approx(
        [2.718281828459045**0.5 * dt.tensor(0.5).exp().cos().item()]
    )


@SIDES
def test_recording_is_on_in_both_runs(lib):
    cp = tools(lib).checkpoint
    x, log = leaf(lib, 1.0, 2.0), []

    def function(t):
        log.append(lib.is_grad_enabled())
        return t * t

    out = cp(function, x, use_reentrant=False).sum()
    with lib.no_grad():
        out.backward()
    assert log == [True, True]
    del log[:]
    cp(function, x, use_reentrant=True).sum().backward()
    assert log == [False, True]


@SIDES
def test_plain_call_where_nothing_is_recorded(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)
    with lib.no_grad():
        out = cp(lambda t: t * t, x, use_reentrant=False)
    assert not out.requires_grad
    with lib.inference_mode():
        out = cp(lambda t: t * t, x, use_reentrant=False)
    assert out.is_inference()


def test_backward_inside_inference_mode_runs_the_function_recorded():
    x = leaf(dt, 1.0, 2.0)
    out = tools(dt).checkpoint(lambda t: (t * t).sin(), x, use_reentrant=False).sum()
    with dt.inference_mode():
        (g,) = dt.autograd.grad(out, x)
    assert g.tolist() == pytest.approx(
        [2 * v * dt.tensor(v * v, dtype=dt.float64).cos().item() for v in (1, 2)]
    )


@SIDES
def test_parameters_that_are_no_arguments(lib):
    cp = tools(lib).checkpoint
    w = leaf(lib, 3.0)
    plain = lib.ones(1, dtype=lib.float64)
    cp(lambda t: (t * w).exp(), plain, use_reentrant=False).sum().backward()
    assert w.grad.tolist() == pytest.approx([20.085536923187668])


@SIDES
@BOTH
def test_random_numbers_are_drawn_again(lib, reentrant):
    cp = tools(lib).checkpoint
    drawn = []

    def function(t):
        noise = lib.rand(4, dtype=lib.float64)
        drawn.append(noise.tolist())
        return (t * noise).sin()

    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    out = cp(function, x, use_reentrant=reentrant)
    between = lib.rand(1).item()
    before = lib.get_rng_state().tolist()
    out.sum().backward()
    assert drawn[0] == drawn[1]
    assert lib.get_rng_state().tolist() == before
    assert between != lib.rand(1).item()
    del drawn[:]
    cp(function, x, use_reentrant=reentrant, preserve_rng_state=False).sum().backward()
    assert drawn[0] != drawn[1]


@SIDES
def test_dropout(lib):
    cp = tools(lib).checkpoint
    x = lib.ones(200, dtype=lib.float64, requires_grad=True)
    out = cp(lambda t: lib.nn.functional.dropout(t, 0.5) ** 2, x, use_reentrant=False)
    out.sum().backward()
    assert ((x.grad != 0) == (out != 0)).all()
    assert 0 < int((out != 0).sum()) < 200


@SIDES
def test_keyword_arguments(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)
    out = cp(lambda t, *, by: (t * by).exp(), x, by=x, use_reentrant=False)
    out.sum().backward()
    assert x.grad is not None
    with pytest.raises(ValueError, match="Unexpected keyword arguments: by"):
        cp(lambda t, *, by: t * by, x, by=x, use_reentrant=True)


@SIDES
def test_several_results_and_arguments_of_any_kind(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)

    def function(t, number, word, nothing):
        assert (number, word, nothing) == (3, "word", None)
        return t.exp(), number, (t * number).sin()

    for reentrant in (False, True):
        x.grad = None
        a, n, b = cp(function, x, 3, "word", None, use_reentrant=reentrant)
        assert n == 3
        (a.sum() + b.sum()).backward()
        assert x.grad.tolist() == pytest.approx([-0.2516956613, 10.2695669588])


@SIDES
def test_autograd_grad(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)

    def function(t):
        return (t * t).sin()

    (wanted,) = lib.autograd.grad(function(x).sum(), x)
    (found,) = lib.autograd.grad(cp(function, x, use_reentrant=False).sum(), x)
    assert found.tolist() == wanted.tolist()
    with pytest.raises(RuntimeError, match=r"use_reentrant=True, .*incompatible with \.grad\(\)"):
        lib.autograd.grad(cp(function, x, use_reentrant=True).sum(), x)
    with pytest.raises(RuntimeError, match="`inputs` parameter"):
        cp(function, x, use_reentrant=True).sum().backward(inputs=[x])


@SIDES
def test_second_derivative(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)

    def function(t):
        return (t * t).sin() * t

    out = {}
    for name, y in (("plain", function(x)), ("checkpoint", cp(function, x, use_reentrant=False))):
        (first,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        out[name] = lib.autograd.grad((first * first).sum(), x)[0].tolist()
    assert out["checkpoint"] == pytest.approx(out["plain"])


@SIDES
def test_kept_graph_runs_the_function_at_each_pass(lib):
    cp = tools(lib).checkpoint
    function = counted(lambda t: (t * t).sin().exp())
    x = leaf(lib, 1.0, 2.0)
    out = cp(function, x, use_reentrant=False).sum()
    out.backward(retain_graph=True)
    once = x.grad.tolist()
    out.backward()
    assert function.count == 3
    assert x.grad.tolist() == [2 * v for v in once]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        out.backward()


@SIDES
def test_second_run_ends_when_it_has_all(lib):
    cp, early_stop = tools(lib).checkpoint, tools(lib).set_checkpoint_early_stop
    reached = []

    def function(t):
        out = t.exp()
        reached.append(1)
        return out

    def again(**options):
        del reached[:]
        cp(function, leaf(lib, 1.0), use_reentrant=False, **options).sum().backward()
        return len(reached)

    assert again() == 1  # exp saves its result, and nothing is needed after it
    assert again(early_stop=False) == 2
    with early_stop(False):
        assert again() == 2
        with early_stop(True):
            assert again(early_stop=False) == 1
    assert again() == 1


@SIDES
def test_exception_handlers_of_the_function_do_not_stop_the_end(lib):
    cp = tools(lib).checkpoint

    def function(t):
        with contextlib.suppress(ValueError):
            t = t.exp()
        return t

    x = leaf(lib, 0.0)
    cp(function, x, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [1.0]


@SIDES
@pytest.mark.parametrize("stop", [False, True])
def test_checkpoints_within_checkpoints(lib, stop):
    cp = tools(lib).checkpoint
    inner = counted(lambda t: (t * t).sin())

    def outer(t):
        t = cp(inner, t.exp(), use_reentrant=False, early_stop=stop)
        return cp(inner, t, use_reentrant=False, early_stop=stop)

    x, y = leaf(lib, 0.5, 0.25), leaf(lib, 0.5, 0.25)
    inner(inner(x.exp())).sum().backward()
    inner.count = 0
    out = cp(outer, y, use_reentrant=False, early_stop=stop).sum()
    assert saved_slots(lib, lambda: cp(outer, y, use_reentrant=False)) == 1
    inner.count = 0
    out.backward()
    assert y.grad.tolist() == x.grad.tolist()
    assert inner.count == 4 if not stop else inner.count in (3, 4)


@SIDES
@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_backward_within_the_function(lib, stop, keep):
    cp = tools(lib).checkpoint

    def function(t):
        middle = t.sin()
        end = middle.cos()
        (g,) = lib.autograd.grad(end.sum(), t, retain_graph=keep)
        return (end if keep else t.cos()) * g

    x, y = leaf(lib, 0.5, 0.25), leaf(lib, 0.5, 0.25)
    function(x).sum().backward()
    cp(function, y, use_reentrant=False, early_stop=stop).sum().backward()
    assert y.grad.tolist() == pytest.approx(x.grad.tolist())


@SIDES
def test_other_shapes_in_the_second_run(lib):
    cp, error = tools(lib).checkpoint, tools(lib).CheckpointError
    assert issubclass(error, RuntimeError)

    def unsteady():
        calls = []

        def function(t):
            calls.append(1)
            t = t if len(calls) == 1 else t[:2]
            return t.exp().sin()

        return function

    x = leaf(lib, 1.0, 2.0, 3.0)
    with pytest.raises(
        error, match="Recomputed values for the following tensors have different"
    ) as caught:
        cp(unsteady(), x, use_reentrant=False).sum().backward()
    assert "tensor at position 1" in str(caught.value)
    assert "3" in str(caught.value)
    with pytest.raises((RuntimeError, ValueError)) as caught:  # found by the shapes of gradients
        cp(unsteady(), x, use_reentrant=False, determinism_check="none").sum().backward()
    assert not isinstance(caught.value, error)


@SIDES
def test_other_numbers_of_saved_tensors_in_the_second_run(lib):
    cp, error = tools(lib).checkpoint, tools(lib).CheckpointError

    def function(few_first):
        calls = []

        def call(t):
            calls.append(1)
            for _ in range(2 if (len(calls) == 1) == few_first else 4):
                t = t.sin()
            return t

        return call

    x = leaf(lib, 1.0)
    with pytest.raises(
        error, match=r"A different number of tensors was saved.*\n.*forward: 4\n.*recomputation: 2"
    ):
        cp(function(False), x, use_reentrant=False).sum().backward()
    with pytest.raises(error, match="trying to save more tensors during recomputation"):
        cp(function(True), x, use_reentrant=False, early_stop=False).sum().backward()


@SIDES
def test_inputs_written_before_backward_are_noticed(lib):
    cp = tools(lib).checkpoint
    x = leaf(lib, 1.0, 2.0)
    copy = x.clone()
    out = cp(lambda t: (t * t).sin(), copy, use_reentrant=False)
    with lib.no_grad():
        copy.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@SIDES
def test_contexts_of_the_two_runs(lib):
    cp = tools(lib).checkpoint
    log = []

    @contextlib.contextmanager
    def note(name):
        log.append(name)
        yield
        log.append(f"end of {name}")

    x = leaf(lib, 1.0)

    def contexts():
        return note("first"), note("second")

    out = cp(lambda t: (t * t).sin(), x, use_reentrant=False, context_fn=contexts, early_stop=False)
    assert log == ["first", "end of first"]
    out.sum().backward()
    assert log[2:] == ["second", "end of second"]
    with pytest.raises(ValueError, match="only supported when"):
        cp(lambda t: t, x, use_reentrant=True, context_fn=contexts)
    with pytest.raises(ValueError, match="debug=True is incompatible with non-default context_fn"):
        cp(lambda t: t, x, use_reentrant=False, context_fn=contexts, debug=True)

    def swallow():
        return contextlib.suppress(KeyError), contextlib.nullcontext()

    with pytest.raises(RuntimeError, match="suppressed an exception"):
        cp(lambda t: {}["no"], x, use_reentrant=False, context_fn=swallow)


@SIDES
def test_errors_of_the_function_pass_through(lib):
    cp = tools(lib).checkpoint
    for reentrant in (False, True):
        with pytest.raises(KeyError, match="no"):
            cp(lambda t: {}["no"], leaf(lib, 1.0), use_reentrant=reentrant)


@SIDES
def test_bad_arguments(lib):
    cp, sequential = tools(lib).checkpoint, tools(lib).checkpoint_sequential
    x = leaf(lib, 1.0)
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        cp(lambda t: t * 2, x)
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        sequential([lambda t: t * 2], 1, x)
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        cp(lambda t: t, x, use_reentrant=False, determinism_check="strict")
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        cp(lambda t: t * 2, x.detach(), use_reentrant=True)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: other"):
        sequential([lambda t: t], 1, x, use_reentrant=False, other=1)
    with pytest.raises(ValueError):
        sequential([lambda t: t], 3, x, use_reentrant=False)
    with pytest.raises(RuntimeError, match="none of output has requires_grad=True"):
        calls = []

        def fading(t):
            calls.append(1)
            return t * 2 if len(calls) == 1 else t.detach()

        cp(fading, x, use_reentrant=True).sum().backward()


@SIDES
@BOTH
def test_sequential(lib, reentrant):
    sequential = tools(lib).checkpoint_sequential
    layers = [counted(lambda t: t.sin()), counted(lambda t: t * t), counted(lambda t: t.exp())]
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 1.0, 2.0)
    layers[2](layers[1](layers[0](x))).sum().backward()
    for segments in (1, 2, 3):
        y.grad = None
        for layer in layers:
            layer.count = 0
        out = sequential(layers, segments, y, use_reentrant=reentrant)
        out.sum().backward()
        assert y.grad.tolist() == x.grad.tolist()
        assert layers[2].count == 1
        assert layers[0].count == (1 if segments == 1 else 2)
    model = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Tanh(), lib.nn.Linear(3, 1)).double()
    sequential(model, 2, y, use_reentrant=reentrant).sum().backward()
    assert model[0].weight.grad is not None


def test_debugging_lists_the_operations_of_both_runs():
    calls = []

    def function(t):
        calls.append(1)
        return (t.exp() if len(calls) == 1 else t[:1].tanh()).sin()

    def run(**options):
        calls.clear()
        tools(dt).checkpoint(
            function, leaf(dt, 1.0, 2.0), use_reentrant=False, **options
        ).sum().backward()

    with pytest.raises(
        tools(dt).CheckpointError, match=r"(?s)original forward:.*exp.*recomputation:.*tanh"
    ):
        run(debug=True)
    with (
        tools(dt).set_checkpoint_debug_enabled(True),
        pytest.raises(tools(dt).CheckpointError, match=r"recomputation:.*(?s:.*)tanh"),
    ):
        run()
    with (
        tools(dt).set_checkpoint_debug_enabled(False),
        pytest.raises(tools(dt).CheckpointError) as caught,
    ):
        run(debug=True)
    assert "tanh" not in str(caught.value)


def test_node_names_are_pytorchs():
    x = leaf(dt, 1.0)
    out = tools(dt).checkpoint(lambda t: t * 2, x, use_reentrant=True)
    assert out.grad_fn.name() == "CheckpointFunctionBackward"
    out = tools(dt).checkpoint(lambda t: t * x, x, use_reentrant=False)
    assert out.grad_fn.name() == "MulBackward0"
