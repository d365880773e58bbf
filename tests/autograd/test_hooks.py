"""Hooks: on tensors, on nodes, on what is saved."""

import gc
import threading
import weakref

import numpy as np
import pytest

import devtensor as dt
from sides import SIDES, leaf, nested

# ---- on tensors


@SIDES
def test_order_and_replacement(lib):
    x = leaf(lib, 1.0, 2.0)
    y, seen = x * 2, []
    y.register_hook(lambda g: seen.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("third", g.tolist())))
    x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
    x.register_hook(lambda g: g + 1)
    (y * 3).sum().backward()
    assert seen == [("first", [3.0, 3.0]), ("third", [30.0, 30.0]), ("leaf", [60.0, 60.0])]
    assert x.grad.tolist() == [61.0, 61.0]


@SIDES
def test_it_is_the_total_gradient_once(lib):
    x, seen = leaf(lib, 1.0), []
    y = x * 1
    y.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3 + y.exp() * 0 + x * 5).sum().backward()
    assert seen == [5.0, 10.0] and x.grad.item() == 10.0


@SIDES
def test_removal(lib):
    x, seen = leaf(lib, 1.0), []
    first = x.register_hook(lambda g: seen.append(1))
    with x.register_hook(lambda g: seen.append(2)):
        (x * 2).sum().backward()
    first.remove()
    first.remove()
    (x * 2).sum().backward()
    assert seen == [1, 2]
    y = x * 2
    handle = y.register_hook(lambda g: g * 100)
    handle.remove()
    x.grad = None
    y.sum().backward()
    assert x.grad.item() == 2.0


@SIDES
def test_a_hook_may_remove_itself_and_others(lib):
    x, seen = leaf(lib, 1.0), []

    def once(g):
        seen.append("once")
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: seen.append("after"))
    for _ in range(2):
        (x * 2).sum().backward()
    assert seen == ["once", "after", "after"]


@SIDES
def test_what_cannot_have_one(lib):
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't"):
        lib.ones(2).register_hook(print)
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't"):
        lib.ones(2).register_post_accumulate_grad_hook(print)
    y = leaf(lib, 1.0) * 2
    with pytest.raises(RuntimeError, match="hooks cannot be registered on non-leaf"):
        y.register_post_accumulate_grad_hook(print)


@SIDES
def test_what_a_hook_may_return(lib):
    x = leaf(lib, 1.0, 2.0)
    for wrong, error, phrase in (
        (lib.ones(3, dtype=lib.float64), RuntimeError, "has changed the size of value"),
        (lib.ones((), dtype=lib.float64), RuntimeError, "has changed the size of value"),
        (1.0, TypeError, "expected|must be a Tensor"),
    ):
        handle = x.register_hook(lambda g, wrong=wrong: wrong)
        with pytest.raises(error, match=phrase):
            (x * 2).sum().backward()
        handle.remove()
    assert x.grad is None


@SIDES
def test_exceptions_come_out_as_they_are(lib):
    class Mine(Exception):
        pass

    x = leaf(lib, 1.0)
    y, problem = x * 2, Mine("here")

    def fail(g):
        raise problem

    for register in (y.register_hook, lambda h: y.grad_fn.register_hook(lambda i, o: h(0)),
                     y.grad_fn.register_prehook, x.register_post_accumulate_grad_hook):  # fmt: skip
        handle = register(fail)
        with pytest.raises(Mine) as caught:
            y.sum().backward(retain_graph=True)
        assert caught.value is problem
        handle.remove()
    x.grad = None
    y.sum().backward()
    assert x.grad.item() == 2.0


@SIDES
def test_recording_in_a_hook(lib):
    x, seen = leaf(lib, 1.0), []

    def hook(g):
        seen.append((lib.is_grad_enabled(), (x * 2).requires_grad, g.requires_grad))

    x.register_hook(hook)
    (x**2).sum().backward()
    lib.autograd.grad((x**2).sum(), x, create_graph=True)
    with lib.no_grad():
        y = x.detach().requires_grad_()
    y.register_hook(hook)
    z = (y**2).sum()
    with lib.no_grad():
        z.backward()
    assert seen == [(False, False, False), (True, True, True), (False, False, False)]
    assert lib.is_grad_enabled()


@SIDES
def test_a_hooks_result_is_differentiated_with_create_graph(lib):
    x = leaf(lib, 2.0)
    y = x * 1
    y.register_hook(lambda g: g * x)
    (g,) = lib.autograd.grad((y * 3).sum(), x, create_graph=True)
    assert g.item() == 6.0
    (h,) = lib.autograd.grad(g.sum(), x)
    assert h.item() == 3.0


@SIDES
def test_a_hook_may_run_a_pass_of_its_own(lib):
    x, w, seen = leaf(lib, 2.0), leaf(lib, 3.0), []

    def hook(g):
        with lib.enable_grad():
            seen.append(lib.autograd.grad((w * w).sum(), w)[0].item())
            (w * 5).sum().backward()

    y = x * 2
    y.register_hook(hook)
    (y * y).sum().backward()
    assert seen == [6.0] and w.grad.item() == 5.0 and x.grad.item() == 16.0


@SIDES
def test_grad_runs_tensor_hooks_of_what_it_walks(lib):
    x, seen = leaf(lib, 1.0), []
    y = x * 2
    z = y * 3
    for name, t in (("x", x), ("y", y), ("z", z)):
        t.register_hook(lambda g, name=name: seen.append(name))
    y.register_hook(lambda g: g * 7)
    x.register_post_accumulate_grad_hook(lambda p: seen.append("post"))
    (g,) = lib.autograd.grad(z.sum(), y, retain_graph=True)
    assert g.item() == 21.0 and seen == ["z", "y"]
    (g,) = lib.autograd.grad(z.sum(), x)
    assert g.item() == 42.0 and seen == ["z", "y", "z", "y", "x"]


@SIDES
def test_a_hook_of_before_a_write_sees_the_gradient_of_before(lib):
    x, seen = leaf(lib, 1.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("before", g.item())))
    y.mul_(5)
    y.register_hook(lambda g: seen.append(("after", g.item())))
    (y * 10).sum().backward()
    assert seen == [("after", 10.0), ("before", 50.0)]


@SIDES
def test_hooks_on_one_of_several_outputs(lib):
    x, seen = lib.tensor([[1.0, 5.0], [4.0, 2.0]], requires_grad=True), []
    values, _ = x.max(1)
    values.register_hook(lambda g: g * 2)
    parts = (x * 1).unbind(0)
    parts[1].register_hook(lambda g: seen.append(g.tolist()))
    (values.sum() + parts[0].sum() * 3 + parts[1].sum() * 4).backward()
    assert seen == [[4.0, 4.0]]
    assert x.grad.tolist() == [[3.0, 5.0], [6.0, 4.0]]


@pytest.mark.parametrize("lib", [dt])  # PyTorch calls it with None
def test_a_hook_on_an_output_that_nothing_reaches(lib):
    x, seen = lib.ones(2, 2, requires_grad=True), []
    one, two = x.unbind(0)
    two.register_hook(seen.append)
    one.sum().backward()
    assert seen == []


@SIDES
def test_hooks_do_not_keep_the_tensor(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    ref = weakref.ref(y)
    y.register_hook(lambda g: g * 3)
    z = (y * 1).sum()
    del y
    gc.collect()
    if lib is dt:
        assert ref() is None
    z.backward()
    assert x.grad.item() == 6.0


# ---- after accumulation


@SIDES
def test_post_accumulate(lib):
    x, seen = leaf(lib, 1.0), []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.item())))
    x.register_hook(lambda g: g * 2)
    (x * 3).sum().backward()
    (x * 3).sum().backward()
    lib.autograd.grad((x * 3).sum(), x)
    assert seen == [(True, 6.0), (True, 12.0)]
    handle.remove()
    (x * 3).sum().backward()
    assert len(seen) == 2
    y = x * 2
    x.register_post_accumulate_grad_hook(lambda p: seen.append("inputs"))
    y.sum().backward(inputs=[x])
    assert seen[2:] == ["inputs"]


@SIDES
def test_a_step_after_accumulation(lib):
    """The optimizer's step in the backward pass, with no gradient left behind."""
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)

    def step(p):
        assert not lib.is_grad_enabled()
        p.sub_(p.grad)
        p.grad = None

    for p in (x, w):
        p.register_post_accumulate_grad_hook(step)
    (x * 3 + w * 5).sum().backward()
    assert x.item() == -2.0 and w.item() == -3.0 and x.grad is None and w.grad is None


# ---- on nodes


@SIDES
def test_node_hooks(lib):
    x, c, seen = leaf(lib, 1.0, 2.0), lib.tensor([3.0, 4.0], dtype=lib.float64), []
    y = x * c
    y.grad_fn.register_hook(lambda i, o: seen.append((nested(i), nested(o))))
    handle = y.grad_fn.register_hook(lambda i, o: (i[0] * 10, None))
    y.grad_fn.register_prehook(lambda o: seen.append(nested(o)))
    y.sum().backward(retain_graph=True)
    assert seen == [[[1.0, 1.0]], ([[3.0, 4.0], None], [[1.0, 1.0]])]
    assert x.grad.tolist() == [30.0, 40.0]
    handle.remove()
    handle = y.grad_fn.register_prehook(lambda o: (o[0] * 2,))
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [36.0, 48.0]
    handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [39.0, 52.0]


@SIDES
def test_node_hooks_that_return_the_wrong_number(lib):
    x = leaf(lib, 1.0)
    y = x * x
    y.grad_fn.register_hook(lambda i, o: (i[0],))
    with pytest.raises(RuntimeError, match="incorrect number"):
        y.sum().backward()
    y = x * x
    y.grad_fn.register_prehook(lambda o: (o[0], o[0]))
    with pytest.raises(RuntimeError, match="incorrect number"):
        y.sum().backward()


@SIDES
def test_hooks_of_a_leafs_node(lib):
    x, seen = leaf(lib, 1.0), []
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda o: seen.append(("pre", o[0].item(), x.grad)))
    node.register_hook(lambda i, o: seen.append(("post", nested(i), o[0].item(), x.grad.item())))
    y.sum().backward()
    assert seen == [("pre", 2.0, None), ("post", [], 2.0, 2.0)]


@SIDES
def test_tensor_hooks_run_before_node_prehooks(lib):
    x, seen = leaf(lib, 1.0), []
    y = x * 2
    y.grad_fn.register_prehook(lambda o: seen.append(("node", o[0].item())))
    y.register_hook(lambda g: (seen.append(("tensor", g.item())), g * 3)[1])
    y.retain_grad()
    y.grad_fn.register_prehook(lambda o: (o[0] * 5,))
    y.sum().backward(retain_graph=True)
    assert seen == [("tensor", 1.0), ("node", 3.0)]
    assert y.grad.item() == 3.0 and x.grad.item() == 30.0
    (g,) = lib.autograd.grad(y.sum(), y)  # what is captured is what tensor hooks have left
    assert g.item() == 3.0


@SIDES
def test_hooks_of_nodes_with_several_outputs(lib):
    x, seen = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), []
    one, two = (x * 1).unbind(0)
    one.grad_fn.register_prehook(lambda o: seen.append([g is None for g in o]))
    one.sum().backward(retain_graph=True)
    (one + two).sum().backward()
    assert seen[-1] == [False, False]
    assert x.grad.tolist() == [[2.0, 2.0], [1.0, 1.0]]


@SIDES
def test_hooks_of_a_function_node(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * 2, y * 3

        @staticmethod
        def backward(ctx, a, b):
            return a * 2, b * 3

    x, y, seen = leaf(lib, 1.0), leaf(lib, 1.0), []
    one, two = Double.apply(x, y)
    node = one.grad_fn
    assert two.grad_fn is node and node.name() == "DoubleBackward"
    node.register_hook(lambda i, o: seen.append((nested(i), nested(o))))
    node.register_hook(lambda i, o: (i[0] * 10, i[1]))
    one.register_hook(lambda g: g * 7)
    (one + two).sum().backward()
    assert seen == [([[14.0], [3.0]], [[7.0], [1.0]])]
    assert x.grad.item() == 140.0 and y.grad.item() == 3.0


@SIDES
def test_multi_grad_hooks(lib):
    register = lib.autograd.graph.register_multi_grad_hook
    x, w, unused, seen = leaf(lib, 1.0), leaf(lib, 2.0), leaf(lib, 3.0), []
    y = x * w
    handle = register([x, y, unused], lambda gs: seen.append(nested(gs)))
    y.sum().backward()
    assert seen == [[[2.0], [1.0], None]]
    (x * unused).sum().backward()
    assert seen[1:] == [[[3.0], None, [1.0]]]
    handle.remove()
    (x * w).sum().backward()
    assert len(seen) == 2
    seen.clear()
    handle = register([x, w], lambda g: seen.append(g.item()), mode="any")
    (x * w * 1).sum().backward()
    (x * 4).sum().backward()
    assert len(seen) == 2
    handle.remove()
    with pytest.raises(ValueError, match="Expects mode to be one of"):
        register([x], print, mode="some")


# ---- on what is saved


def noted(lib):
    """Hooks that note what they are given and give it back."""
    packed, unpacked = [], []

    def pack(x):
        packed.append(x)
        return len(packed) - 1

    def unpack(i):
        unpacked.append(i)
        return packed[i]

    return packed, unpacked, lib.autograd.graph.saved_tensors_hooks(pack, unpack)


@SIDES
def test_pack_once_a_slot_unpack_once_a_use(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    packed, unpacked, hooks = noted(lib)
    with hooks:
        y = x * w + 1
        z = y.exp()
        _ = lib.ones(2) * 2
    u = z * z
    assert [nested(p) for p in packed[:2]] in ([[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [1.0, 2.0]])
    assert len(packed) == 3 and packed[2].tolist() == z.tolist()
    assert not unpacked
    u.sum().backward(retain_graph=True)
    u.sum().backward()
    assert sorted(unpacked) == [0, 0, 1, 1, 2, 2]
    e = np.exp(2 * (np.array([3.0, 8.0]) + 1))
    np.testing.assert_allclose(x.grad.tolist(), 2 * 2 * e * [3.0, 4.0])


@SIDES
def test_what_is_packed_may_be_anything(lib):
    x = leaf(lib, 1.0, 2.0)
    hooks = lib.autograd.graph.saved_tensors_hooks(
        lambda t: {"values": t.tolist()},
        lambda d: lib.tensor(d["values"], dtype=lib.float64) * 10,
    )
    with hooks:
        y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [20.0, 40.0]
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: "no tensor"):
        y = (x * x).sum()
    with pytest.raises(TypeError, match="expected to be a Tensor"):
        y.backward()


@SIDES
def test_innermost_pair_wins(lib):
    x = leaf(lib, 1.0)
    outer, _, one = noted(lib)
    inner, _, two = noted(lib)
    with one:
        a = x.exp()
        with two:
            b = x.exp()
        c = x.exp()
    assert len(outer) == 2 and len(inner) == 1
    (a + b + c).sum().backward()
    assert x.grad.item() == pytest.approx(3 * np.e)


@SIDES
def test_recording_is_off_in_them_and_they_do_not_nest(lib):
    x, seen = leaf(lib, 1.0), []

    def pack(t):
        seen.append(lib.is_grad_enabled())
        return t * 1

    def unpack(t):
        seen.append(lib.is_grad_enabled())
        return t * 1

    with lib.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x.exp().sum()
        y.backward()
    assert seen == [False, False]


@SIDES
def test_disabled(lib):
    graph = lib.autograd.graph
    with graph.disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="not here"):
            graph.saved_tensors_hooks(print, print).__enter__()
        y = leaf(lib, 1.0).exp()
    y.backward()
    packed, _, hooks = noted(lib)
    with hooks:
        leaf(lib, 1.0).exp()
        with pytest.raises(RuntimeError, match="too late"):
            graph.disable_saved_tensors_hooks("too late").__enter__()
    assert len(packed) == 1


@SIDES
def test_of_the_thread_only(lib):
    packed, _, hooks = noted(lib)
    with hooks:
        thread = threading.Thread(target=lambda: leaf(lib, 1.0).exp().sum().backward())
        thread.start()
        thread.join()
    assert not packed


@SIDES
def test_pack_must_not_write(lib):
    x = leaf(lib, 1.0)
    y = x * 1
    with (
        lib.autograd.graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
    ):
        y.sin()


@SIDES
def test_second_derivatives_through_packed_values(lib):
    x, w = leaf(lib, 2.0), leaf(lib, 3.0)
    hooks = lib.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t)
    with hooks:
        y = (x * x * w).exp()
        (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (h, k) = lib.autograd.grad(g.sum(), (x, w))
    e = np.exp(12.0)
    assert g.item() == pytest.approx(12 * e)
    assert h.item() == pytest.approx((6 + 144) * e) and k.item() == pytest.approx((4 + 48) * e)


@SIDES
def test_packed_values_of_functions(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y, None)
            return y

        @staticmethod
        def backward(ctx, g):
            x, _, none = ctx.saved_tensors
            assert none is None
            return g * 2 * x

    x = leaf(lib, 3.0)
    packed, unpacked, hooks = noted(lib)
    with hooks:
        y = Square.apply(x)
    assert sorted(nested(packed)) == [[3.0], [9.0]]
    y.sum().backward()
    assert sorted(unpacked) == [0, 1] and x.grad.item() == 6.0


@SIDES
def test_save_on_cpu(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    with lib.autograd.graph.save_on_cpu():
        y = (x * w).exp()
    (y * y).sum().backward()
    a = np.array([1.0, 2.0]) * [3.0, 4.0]
    np.testing.assert_allclose(x.grad.tolist(), 2 * np.exp(2 * a) * [3.0, 4.0])


def test_save_on_cpu_brings_values_back_to_their_device(device):
    x = dt.tensor([1.0, 2.0], device=device, requires_grad=True)
    with dt.autograd.graph.save_on_cpu():
        y = x.exp() * x
    kept = [
        value
        for node in (y.grad_fn, y.grad_fn.next_functions[0][0])
        for value in node.links
        if hasattr(value, "content")
    ]
    assert len(kept) == 3
    assert all(value.content[1].device == dt.device("cpu") for value in kept)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), np.exp([1.0, 2.0]) * [2.0, 3.0], rtol=1e-6)
    assert x.grad.device == dt.device(device)


@pytest.mark.parametrize("identity", [True, False])
def test_version_check_stays_on(identity):
    """PyTorch gives wrong gradients here, silently."""
    pack = (lambda t: t) if identity else (lambda t: t.clone())
    x, w = leaf(dt, 1.0), leaf(dt, 2.0)
    with dt.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        copy = w * 1
        y = x * copy
        z = y.exp()
    copy.zero_()
    with pytest.raises(RuntimeError, match=r"modified by an inplace.*is at version 1; expected"):
        y.sum().backward(retain_graph=True)
    z.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        z.sum().backward()


@SIDES
def test_exceptions_of_pack_and_unpack(lib):
    x = leaf(lib, 1.0)

    def fail(t):
        raise KeyError("mine")

    with lib.autograd.graph.saved_tensors_hooks(fail, fail), pytest.raises(KeyError, match="mine"):
        x.exp()
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, fail):
        y = x.exp().sum()
    with pytest.raises(KeyError, match="mine"):
        y.backward()
    assert lib.is_grad_enabled()


def test_hooks_let_go_of_what_is_saved():
    """What is kept instead of a tensor frees the tensor."""
    x = dt.ones(1000, requires_grad=True)
    y = x * 2
    with dt.autograd.graph.saved_tensors_hooks(lambda t: None, lambda t: dt.ones(1000)):
        z = y.sin().exp()
    ref = weakref.ref(y._array)
    del y
    assert ref() is None
    z.sum().backward()
    assert x.grad is not None


def test_packed_values_make_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(dt, 1.0)
        for pack in (lambda t: t, lambda t: t.clone()):
            with dt.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                y = x.exp()
                z = y.max(0)[0]
            refs = [weakref.ref(y), weakref.ref(z), weakref.ref(y._array)]
            del y, z
            assert [r() for r in refs] == [None] * 3
    finally:
        gc.enable()


@SIDES
@pytest.mark.parametrize("recorded", [False, True])
def test_hooks_of_a_tensor_see_one_gradient_until_one_gives_another(lib, recorded):
    x = leaf(lib, 1.0, 1.0, 1.0)
    y, seen = x * 2, []

    def mark(g):
        g.mark = len(seen)
        seen.append(g)

    def replace(g):
        seen.append(g)
        made = g * 3
        made.mark = "made"
        return made

    for hook in (mark, seen.append, replace, seen.append):
        y.register_hook(lambda g, hook=hook: hook(g))
    (found,) = lib.autograd.grad(y.sum(), x, create_graph=recorded)
    first, second, third, last = seen
    assert first is second is third and third.mark == 0
    assert last is not first and last.mark == "made" and found.tolist() == [6, 6, 6]


@SIDES
def test_hooks_of_leaves_run_in_their_turn(lib):
    """Whoever steps and drops gradients after they are added up never holds all of them."""
    layers = [lib.nn.Linear(2, 2), lib.nn.Linear(2, 2)]
    seen = []
    for number, layer in enumerate(layers):
        for name, parameter in layer.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda p, name=name, number=number: seen.append((name, number))
            )
    x = leaf(lib, 1.0, 2.0).float()
    middle = layers[0](x)
    middle.register_hook(lambda g: seen.append("middle"))
    (layers[1](middle).sum() + layers[1].weight.sum()).backward()
    last = [("bias", 1), "middle", ("weight", 1)]
    assert sorted(map(str, seen[:3])) == sorted(map(str, last))
    assert seen[3:] == [("bias", 0), ("weight", 0)]


@SIDES
def test_a_hook_after_accumulation_returns_nothing(lib):
    x = leaf(lib, 1.0)
    x.register_post_accumulate_grad_hook(lambda p: 5)
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'int'"):
        x.sum().backward()
