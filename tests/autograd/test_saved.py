"""What nodes have saved: seen, put away, overwritten; and nodes that are called by hand."""

import gc
import weakref

import pytest

import devtensor as dt
import samples
from sides import SIDES, leaf, nested, outcome

# ---- overwriting


def lengths(context):
    kept = context.original, context.cloned, context.tid_to_weakhandle
    return [len(list(part.items())) for part in kept]


@SIDES
def test_what_is_saved_may_be_overwritten(lib):
    with lib.autograd.graph.allow_mutation_on_saved_tensors() as context:
        x = leaf(lib, 1.0, 2.0)
        y = x.clone()
        out = (y**2).sum()
        assert lengths(context)[:2] == [1, 0]
        y.sin_()
        assert lengths(context)[1] == 1 and lengths(context)[0] <= 1
        out.backward()
    assert x.grad.tolist() == [2.0, 4.0] and lengths(context) == [0, 0, 0]


@SIDES
@pytest.mark.parametrize("saved", ["base", "view", "result"])
@pytest.mark.parametrize("written", ["base", "view", "out", "foreach", "item", "under no_grad"])
def test_through_whatever_tensor_it_is_overwritten(lib, saved, written):
    with lib.autograd.graph.allow_mutation_on_saved_tensors():
        x = leaf(lib, 1.0, 2.0, 3.0)
        base = x.clone()
        view = base[:2]
        if saved == "result":
            with lib.no_grad():
                base, view = base.detach(), base.detach()[:2]
            kept = lib.ones(3, dtype=lib.float64, requires_grad=True) * base
        else:
            kept = {"base": base, "view": view}[saved]
        out = (kept * kept).sum() + (base * x).sum()
        if written == "out":
            with lib.no_grad():
                lib.zeros(2, dtype=lib.float64, out=view.detach())
        elif written == "foreach":
            with lib.no_grad():
                lib._foreach_mul_([base.detach(), view.detach()], 3.0)
        elif written == "item":
            view[0] = 7.0
        elif written == "under no_grad":
            with lib.no_grad():
                base.add_(1)
        else:
            {"base": base, "view": view}[written].mul_(5.0)
        out.backward()
    return_values = {"base": [4.0, 8.0, 12.0], "view": [4.0, 8.0, 6.0], "result": [1.0, 2.0, 3.0]}
    assert x.grad.tolist() == return_values[saved]


@SIDES
def test_second_gradients_of_what_was_overwritten(lib):
    with lib.autograd.graph.allow_mutation_on_saved_tensors():
        x = leaf(lib, 2.0)
        y = x.clone()
        out = (y**3).sum()
        y.zero_()
        (first,) = lib.autograd.grad(out, x, create_graph=True)
        first.sum().backward()
    assert first.item() == 12.0 and x.grad.item() == 12.0


@SIDES
def test_each_version_is_kept_once(lib):
    with lib.autograd.graph.allow_mutation_on_saved_tensors() as context:
        x = leaf(lib, 1.0, 2.0)
        y = x.clone()
        first = (y**2).sum() + (y**2).sum() + y.square().sum()
        assert len(context.tid_to_weakhandle) == 1
        y.mul_(2)
        second = (y**2).sum()
        y.mul_(2)
        assert len(list(context.cloned.items())) == 2
        (first + second).backward()
    assert x.grad.tolist() == [14.0, 28.0]


@SIDES
def test_what_is_no_longer_saved_is_not_copied(lib):
    with lib.autograd.graph.allow_mutation_on_saved_tensors() as context:
        y = leaf(lib, 1.0).clone()
        out = (y**2).sum()
        out.backward()
        y.add_(1)
        assert lengths(context)[:2] == [0, 0]
        out = (y**2).sum()
        del out
        gc.collect()
        assert lengths(context)[:2] == [0, 0]


@SIDES
def test_the_way_back_is_in_the_same_block(lib):
    allow = lib.autograd.graph.allow_mutation_on_saved_tensors
    with allow():
        x = leaf(lib, 1.0)
        y = x.clone()
        out = (y**2).sum()
    with pytest.raises(AssertionError, match="Trying to backward outside"):
        out.backward()
    with allow():
        with pytest.raises(AssertionError, match="Trying to backward outside"):
            out.backward()
        out = (y**2).sum()
        y.zero_()
        out.backward()
        with pytest.raises(RuntimeError, match="contexts cannot be nested"), allow():
            pass
    assert x.grad.tolist() == [2.0]
    z = x.clone()
    out = (z**2).sum()
    z.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_on_every_device(device):
    with dt.autograd.graph.allow_mutation_on_saved_tensors():
        x = dt.arange(6.0, device=device).reshape(2, 3).requires_grad_()
        y = x * 1
        out = (y * y).sum() + y.exp().sum()
        y[0] = 0.0
        y.T.mul_(2.0)
        out.backward()
    wanted = 2 * x.detach() + x.detach().exp()
    assert samples.numpy(x.grad).tolist() == pytest.approx(samples.numpy(wanted), rel=1e-6)


# ---- what a node holds


@SIDES
def test_a_saved_tensor_is_put_away_by_its_own_hooks(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * x.exp()
    raw, seen = y.grad_fn._raw_saved_self, []
    assert raw.unpack_hook is None and raw.data.tolist() == [1.0, 2.0]
    raw.register_hooks(lambda t: seen.append(t.tolist()) or 2 * t, lambda t: t * 1.5)
    assert seen == [[1.0, 2.0]] and y.grad_fn._saved_self.tolist() == [3.0, 6.0]
    assert y.grad_fn._saved_self.requires_grad
    (g,) = lib.autograd.grad(y.sum(), x)
    exponentials = 2.718281828459045, 7.38905609893065
    assert g.tolist() == pytest.approx([4 * exponentials[0], 7 * exponentials[1]])


@SIDES
def test_results_and_groups_are_put_away(lib):
    x = leaf(lib, 0.5)
    y = x.exp()
    y.grad_fn._raw_saved_result.register_hooks(
        lambda t: t.item(), lambda v: lib.tensor([v + 1.0], dtype=lib.float64)
    )
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    assert g.item() == pytest.approx(2.6487212707)
    (h,) = lib.autograd.grad(g, x)
    assert h.item() == pytest.approx(2.6487212707)


@SIDES
def test_what_a_function_saves_is_put_away(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y, None)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y, nothing = ctx.saved_tensors
            assert nothing is None and x.requires_grad and y.requires_grad
            return g * 2 * x

    def second(put):
        x = leaf(lib, 3.0)
        with put(lambda t: t.detach().clone(), lambda t: t):
            y = Square.apply(x)
        (g,) = lib.autograd.grad(y, x, create_graph=True)
        (h,) = lib.autograd.grad(g, x)
        return g.item(), h.item()

    assert second(lib.autograd.graph.saved_tensors_hooks) == (6.0, 2.0)
    x = leaf(lib, 3.0)
    y = Square.apply(x)
    first, result, nothing = y.grad_fn._raw_saved_tensors
    first.register_hooks(lambda t: t * 2, lambda t: t / 2)
    result.register_hooks(lambda t: t * 1, lambda t: t)
    with pytest.raises(RuntimeError, match="with value None is forbidden"):
        nothing.register_hooks(lambda t: t, lambda t: t)
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (h,) = lib.autograd.grad(g, x)
    assert (g.item(), h.item()) == (6.0, 2.0)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.grad_fn._raw_saved_tensors  # noqa: B018


@SIDES
def test_what_cannot_be_put_away(lib):
    x = leaf(lib, 1.0)

    y = x * x.detach().exp()  # PyTorch's handles do not keep the node
    for arguments in ((lambda t: t,), (1, 1)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            y.grad_fn._raw_saved_other.register_hooks(*arguments)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        y.grad_fn._raw_saved_other.register_hooks(lambda t, other: t, lambda t: t)
    y = x * 3.0
    with pytest.raises(RuntimeError, match="with value None is forbidden"):
        y.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)
    y = x.exp()
    held = y.grad_fn._raw_saved_result
    held.register_hooks(lambda t: t, lambda t: None)
    with pytest.raises(RuntimeError, match="whose hooks have already been set"):
        held.register_hooks(lambda t: t, lambda t: t)
    with pytest.raises(TypeError, match="Output of saved tensor unpack_hook expected to be a"):
        y.backward()
    y = x.exp()
    held = y.grad_fn._raw_saved_result
    y.backward()
    for found in (held, y.grad_fn._raw_saved_result):
        with pytest.raises(RuntimeError, match="Calling register_hooks on a saved tensor after"):
            found.register_hooks(lambda t: t, lambda t: t)
    for name in ("_raw_saved_nothing", "_saved_nothing", "_nothing"):
        with pytest.raises(
            AttributeError, match=f"'ExpBackward0' object has no attribute '.*{name[-8:]}'"
        ):
            getattr(y.grad_fn, name)


def test_a_value_that_was_put_away_late_is_still_noticed_if_it_is_overwritten():
    x = leaf(dt, 1.0)
    y = x.exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda t: t, lambda t: t)
    with dt.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@SIDES
def test_names_of_what_is_saved_are_listed(lib):
    x = leaf(lib, 1.0)
    names = {name for name in dir((x * x.exp()).grad_fn) if "_saved_" in name}
    assert {"_saved_self", "_saved_other", "_raw_saved_self", "_raw_saved_other"} <= names
    assert {"_saved_result", "_raw_saved_result"} <= {*dir(x.exp().grad_fn)}


# ---- nodes


@SIDES
def test_a_node_is_called(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * lib.tensor([[3.0], [5.0]], dtype=lib.float64, requires_grad=True)
    g = lib.ones(2, 2, dtype=lib.float64)
    found, seen = y.grad_fn(g), []
    assert (
        nested(found) == [[[3.0, 3.0], [5.0, 5.0]], [[1.0, 2.0], [1.0, 2.0]]]
        and found[0].requires_grad
    )
    with lib.no_grad():
        assert not y.grad_fn(g)[0].requires_grad
    assert nested((x * 2).grad_fn(g[0])) == [[2.0, 2.0], None]
    assert x.unbind()[0].grad_fn(lib.tensor(1.0, dtype=lib.float64), None).tolist() == [1.0, 0.0]
    assert x.sum().grad_fn.next_functions[0][0](g[0]) == () and x.grad.tolist() == [1.0, 1.0]
    for arguments, text in (((), "expected 1 arguments, got 0"), ((1,), "is not a Variable")):
        with pytest.raises(TypeError, match=text):
            y.grad_fn(*arguments)
    assert y.grad_fn.requires_grad and lib._C._current_autograd_node() is None
    y.register_hook(lambda g: seen.append(lib._C._current_graph_task_id()))
    assert lib._C._current_graph_task_id() == -1
    y.sum().backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.grad_fn(g)
    assert seen[0] >= 0 and lib.autograd.is_multithreading_enabled()
    assert not lib.autograd.is_view_replay_enabled()


@SIDES
def test_a_functions_node_has_apply(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    y = Twice.apply(leaf(lib, 1.0))
    assert y.grad_fn.apply(lib.ones(1)).tolist() == [2.0]
    with pytest.raises(TypeError, match="'TwiceBackward' object is not callable"):
        y.grad_fn(lib.ones(1))


@SIDES
def test_versions_are_counted_and_kept(lib):
    graph, keep = lib.autograd.graph, lib.autograd._unsafe_preserve_version_counter
    x = lib.ones(2)
    graph.increment_version([x, x])
    assert x._version == 2
    for wrong in (1, [1]):
        with pytest.raises(RuntimeError, match="increment_version expect"):
            graph.increment_version(wrong)
    for tensors in (x, (x,)):
        with keep(tensors):
            x.add_(1)
    assert x._version == 2
    with pytest.raises(AssertionError, match="Expected tensors to be a tuple"):
        keep([x])
    weight = leaf(lib, 2.0)
    y = weight * 1
    out = (y * y).sum()
    with lib.no_grad(), keep(y):
        y.add_(5).sub_(5)
    out.backward()
    assert weight.grad.item() == 4.0


@SIDES
def test_hooks_on_several_tensors_of_which_some_want_none(lib):
    register = lib.autograd.graph.register_multi_grad_hook
    x, plain, seen = leaf(lib, 1.0), lib.ones(1), []
    with pytest.raises(AssertionError, match="Expected gradient function to be set"):
        register([x, plain], seen.append)
    with register([x, plain], lambda g: seen.append(g.tolist()), mode="any"):
        (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert seen == [[2.0]]


@SIDES
def test_budgets_are_for_what_is_compiled(lib):
    budget = lib.autograd.graph.region_activation_memory_budget
    for wrong, error in ((True, TypeError), ("1", TypeError), (2.0, ValueError), (1, RuntimeError)):
        assert type(outcome(lambda wrong=wrong: budget(wrong))) is error
    lib.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(True)


def test_errors_of_hooks_name_them():
    def hooked(g, *_):
        raise ZeroDivisionError("mine")

    x = leaf(dt, 1.0)
    y = x * 2
    for register, node in (
        (y.register_hook, "MulBackward0"), (x.register_hook, "AccumulateGrad"),
        (y.grad_fn.register_hook, "MulBackward0"), (y.grad_fn.register_prehook, "MulBackward0"),
        (x.register_post_accumulate_grad_hook, "AccumulateGrad"),
    ):  # fmt: skip
        with register(hooked), pytest.raises(ZeroDivisionError) as caught:
            y.sum().backward(retain_graph=True)
        (note,) = caught.value.__notes__
        assert "hooked at " in note and "test_saved.py:" in note and node in note
    x.grad = None
    with y.register_hook(lambda g: 3), pytest.raises(TypeError, match=r"<lambda> at .*MulBackward"):
        y.sum().backward(retain_graph=True)
    with (
        y.grad_fn.register_prehook(lambda gs: (None, None)),
        pytest.raises(
            RuntimeError, match=r"got 2, but expected 1\): the hook .*<lambda> at .*MulBackward0"
        ),
    ):
        y.sum().backward()


def test_a_handle_keeps_nothing_alive():
    x = leaf(dt, 1.0)
    y = x.exp()
    held, gone = y.grad_fn._raw_saved_result, weakref.ref(y)
    del y
    assert gone() is None and held.unpack().tolist() == pytest.approx([2.718281828])
