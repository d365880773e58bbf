"""Modes that are asked what launches do, and checkpoints that keep some of their results."""

from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch

import devtensor as dt
import samples
from devtensor._ops import OpOverload
from devtensor.calls import CALLS
from samples import cases

LIBRARIES = pytest.mark.parametrize("lib", [dt, torch], ids=["ours", "theirs"])
Ours = import_module("devtensor.utils._python_dispatch").TorchDispatchMode


def logging(lib, change=lambda func, result: result):
    class Log(import_module(f"{lib.__name__}.utils._python_dispatch").TorchDispatchMode):
        def __init__(self):  # which need not call what it overrides
            self.calls = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls.append((str(func), args))
            return change(func, func(*args, **(kwargs or {})))

    return Log()


class Through(Ours):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert isinstance(func, OpOverload) and types == ()
        assert not dt.is_grad_enabled()
        return func(*args, **(kwargs or {}))


# ---- every operation


def tried(case):
    """Each operation once, and all that is known of those that have other names there."""
    unset = case.name.startswith(("empty", "unset"))  # whose elements are any
    return not (unset or case.op.writes) and (case.number == 0 or case.name in CALLS)


EVERY = [case for case in cases(lambda entry: entry.op is not None) if tried(case)]


@pytest.mark.parametrize("part", range(4))
def test_launches_through_a_mode_give_what_they_give(part):
    def run(case, mode):
        dt.manual_seed(0)
        xs = case.tensors(grad=True)
        with mode or dt.enable_grad():
            outs = samples.leaves(case.call(xs))
            roots = samples.tracked(outs)
            if roots:
                dt.autograd.backward(roots, samples.cotangents(roots, device=roots[0].device))
        return [samples.numpy(x) for x in (*outs, *xs, *[x.grad for x in xs])]

    for case in EVERY[part::4]:
        for ours, plain in zip(run(case, Through()), run(case, None), strict=True):
            if isinstance(plain, np.ndarray):
                np.testing.assert_allclose(ours, plain, 1e-6, 1e-9, err_msg=str(case))


# ---- as in PyTorch


@LIBRARIES
def test_operations_have_pytorchs_names(lib):
    F = lib.nn.functional
    x, w, b = lib.ones(2, 3), lib.ones(4, 3), lib.ones(4)
    with lib.no_grad(), logging(lib) as log:
        y = F.relu(x @ w.t() + 1)
        (y - 2).div(3).softmax(-1).sum(0).sum()
        F.gelu((y > 0).float()).mean(1, keepdim=True).clamp(min=0.5) ** 2
        lib.where(y == y, y, y).remainder(2)
    assert [name.removeprefix("aten.") for name, _ in log.calls] == [
        "t.default", "mm.default", "add.Tensor", "relu.default", "sub.Tensor", "div.Tensor",
        "_softmax.default", "sum.dim_IntList", "sum.default", "gt.Scalar", "_to_copy.default",
        "gelu.default", "mean.dim", "clamp.default", "pow.Tensor_Scalar", "eq.Tensor", "where.self",
        "remainder.Scalar",
    ]  # fmt: skip
    assert log.calls[2][1][1] == 1 and log.calls[1][1][0] is x
    products = {"aten.mm.default", "aten.addmm.default", "aten.bmm.default"}
    with logging(lib) as log:
        z = F.linear(x, w.clone().requires_grad_(), b).expand(5, 2, 4)
        lib.bmm(z, z.mT).sum().backward()
    names = [name for name, _ in log.calls if name in products]
    assert names == ["aten.addmm.default", *["aten.bmm.default"] * 3, "aten.mm.default"]


LAYERS = {
    "layer_norm": lambda m, f, x: f.layer_norm(x, (6,)),
    "group_norm": lambda m, f, x: f.group_norm(x, 2),
    "batch_norm": lambda m, f, x: f.batch_norm(x, None, None, training=True),
    "nll_loss": lambda m, f, x: f.nll_loss(m.ones(3, 4), m.tensor([0, 2, 1])),
    "logits": lambda m, f, x: f.binary_cross_entropy_with_logits(x, x.detach()),
    "silu": lambda m, f, x: f.silu(x),
    "mish": lambda m, f, x: f.mish(x),
    "elu": lambda m, f, x: f.elu(x, 0.5),
    "leaky_relu": lambda m, f, x: f.leaky_relu(x, 0.2),
    "relu6": lambda m, f, x: f.relu6(x),
    "hardtanh": lambda m, f, x: f.hardtanh(x, -0.5, 0.5),
    "avg_pool2d": lambda m, f, x: f.avg_pool2d(x, 2, padding=1),
    "adaptive": lambda m, f, x: f.adaptive_avg_pool2d(x, 2),
    "var": lambda m, f, x: x.var((1, 2), keepdim=True),
    "std": lambda m, f, x: x.std(0),
    "parts": lambda m, f, x: (x[0], x[:, 1:3], x[None], x[..., None], x[..., 1:]),
    "reversed": lambda m, f, x: m.ones(2, 3).T,
    "indices": lambda m, f, x: x[m.tensor([1, 0])],
    "masked_fill": lambda m, f, x: x.masked_fill(x > 0, 2.0),
    "zeros": lambda m, f, x: (m.zeros(2), m.ones(2), m.full((2,), 3.0)),
    "relu": lambda m, f, x: f.relu(x).sum().backward(),
    "gelu": lambda m, f, x: f.gelu(x, approximate="tanh").sum().backward(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_pytorchs_names(name):
    found = []
    for lib in (dt, torch):
        x = lib.linspace(-2.0, 2.0, 288).reshape(2, 4, 6, 6).requires_grad_()
        with logging(lib) as log:
            LAYERS[name](lib, lib.nn.functional, x)
        unlike = ("aten.detach", "aten.empty", "aten.ones_like", "aten._to_copy", "aten.lift_fresh")
        found.append([call for call, _ in log.calls if not call.startswith(unlike)])
    assert found[0] == found[1]


@LIBRARIES
def test_a_mode_says_what_launches_give(lib):
    aten = lib.ops.aten

    def twice(func, result):
        return result * 2 if func is aten.exp.default else result

    x = lib.zeros(2, requires_grad=True)
    with logging(lib, twice) as outer, logging(lib) as inner:
        y = x.exp()
        x.detach().exp_()
    assert y.tolist() == [2, 2] and y.requires_grad
    y.sum().backward()  # by the result that was given
    assert x.grad.tolist() == [2, 2]
    assert inner.calls[0][0] == "aten.exp.default"
    assert len(outer.calls) >= len(inner.calls)  # what an inner one calls goes to an outer one
    with pytest.raises((RuntimeError, TypeError)), logging(lib, lambda func, result: "no"):
        lib.ones(2).exp()


ANOTHER_FORM = {
    "first": lambda result: result[0] if isinstance(result, tuple) else result,
    "fewer": lambda result: result[:1] if isinstance(result, tuple) else result,
    "numbers": lambda result: tuple(range(len(result))) if isinstance(result, tuple) else result,
}


@pytest.mark.parametrize("form", ANOTHER_FORM)
@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "batch_norm", "nll_loss"])
def test_results_of_another_form_are_refused(name, form):
    x = dt.linspace(-2.0, 2.0, 288).reshape(2, 4, 6, 6)
    log = logging(dt, lambda func, result: ANOTHER_FORM[form](result))
    with pytest.raises(TypeError, match=r"must return .*, \d tensors"), log:
        LAYERS[name](dt, dt.nn.functional, x)


@LIBRARIES
def test_a_mode_sees_the_sign_of_zero(lib):
    with logging(lib) as log:
        assert (1 / lib.full((2,), -0.0)).tolist() == [-float("inf")] * 2
    assert log.calls[0][0] == "aten.full.default"


@LIBRARIES
def test_modes_can_be_seen_and_left(lib):
    module = import_module(f"{lib.__name__}.utils._python_dispatch")
    assert module._get_current_dispatch_mode() is None
    with logging(lib) as outer, logging(lib) as inner:
        assert module._get_current_dispatch_mode() is inner
        assert module._get_current_dispatch_mode_stack()[-2:] == [outer, inner]
        with module._pop_mode_temporarily() as left:
            assert left is inner and module._get_current_dispatch_mode() is outer
        with module._disable_current_modes():
            lib.ones(1).exp()
            assert module._get_current_dispatch_mode() is None
        assert module.is_in_torch_dispatch_mode()
    assert not outer.calls and not inner.calls
    assert not module.is_traceable_wrapper_subclass(lib.ones(1))


def test_the_ledger_counts_a_launch_once():
    with dt.ledger() as led, logging(dt) as log:
        dt.ones(2).exp()
    assert [row.op for row in led.rows] == ["filled", "exp"] and len(log.calls) == 2


# ---- checkpoints with a policy


def region(lib, x):
    return (x @ x.t()).sin().softmax(0).pow(2).sum()


@LIBRARIES
def test_a_checkpoint_computes_what_its_policy_does_not_keep(lib):
    module = import_module(f"{lib.__name__}.utils.checkpoint")
    aten, told, otherwise = lib.ops.aten, [], []

    def policy(context, operation, *args, **kwargs):
        assert not context.is_recompute and context.op_output is not None
        told.append(operation)
        keep = operation in (aten.mm.default, aten._softmax.default)
        return module.CheckpointPolicy.MUST_SAVE if keep else otherwise[-1]

    want = lib.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
    region(lib, want).backward()
    for other in (module.CheckpointPolicy.PREFER_RECOMPUTE, False):
        otherwise.append(other)
        x = want.detach().requires_grad_()
        contexts = partial(module.create_selective_checkpoint_contexts, policy)
        out = module.checkpoint(region, lib, x, use_reentrant=False, context_fn=contexts)
        asked = len(told)
        with logging(lib) as log:
            out.backward(retain_graph=True)
        assert len(told) == asked and aten.mm.default in told
        forth = [name for name, _ in log.calls]
        assert "aten.sin.default" in forth and "aten._softmax.default" not in forth
        assert forth.count("aten.mm.default") == 2  # the gradients of the factors
        np.testing.assert_allclose(x.grad.tolist(), want.grad.tolist(), 1e-6)
        with pytest.raises(RuntimeError, match="only allowed to backward once"):
            out.backward()


@LIBRARIES
def test_what_a_checkpoint_keeps_may_not_be_written(lib):
    module = import_module(f"{lib.__name__}.utils.checkpoint")
    keep = [lib.ops.aten.mm.default]

    def run(allowed):
        def region(x):
            y = x @ x
            z = y.sin()
            y.add_(1)
            return z

        x = lib.ones(2, 2, requires_grad=True)
        contexts = partial(module.create_selective_checkpoint_contexts, keep, allowed)
        out = module.checkpoint(
            lambda x: region(x) * x, x, use_reentrant=False, context_fn=contexts
        )
        out.sum().backward()

    with pytest.raises(RuntimeError, match="has been mutated"):
        run(False)
    with pytest.raises(ValueError, match=r"to be an OpOverload but got: aten\.mm"):
        module.create_selective_checkpoint_contexts([lib.ops.aten.mm])
    with pytest.raises(TypeError, match="must be either a function or a list of ops"):
        module.create_selective_checkpoint_contexts(1)
