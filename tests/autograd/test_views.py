"""Views and writes: who shares what, version counters, histories that change."""

import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
import torch

import devtensor as dt
from sides import SIDES, leaf

# ---- what a view is


VIEWS = {
    "view": lambda x: x.view(3, 2),
    "reshape": lambda x: x.reshape(-1),
    "flatten": lambda x: x.flatten(),
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.unsqueeze(0).squeeze(0),
    "expand": lambda x: x.expand(4, 2, 3),
    "index": lambda x: x[0],
    "slice": lambda x: x[:, 1:],
    "steps": lambda x: x[:, ::2],
    "ellipsis": lambda x: x[..., 0],
    "None": lambda x: x[None],
    "select": lambda x: x.select(1, 0),
    "narrow": lambda x: x.narrow(1, 0, 2),
    "diagonal": lambda x: x.diagonal(),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "movedim": lambda x: x.movedim(0, 1),
    "view_as": lambda x: x.view_as(x),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 1)),
    "unbind": lambda x: x.unbind(0)[1],
    "split": lambda x: x.split(2, 1)[0],
    "chunk": lambda x: x.chunk(2, 1)[1],
    "iteration": lambda x: next(iter(x)),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "unflatten": lambda x: x.unflatten(1, (3, 1)),
    "tensor_split": lambda x: x.tensor_split(2, 1)[0],
}
NO_VIEWS = {
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "mask": lambda x: x[x > -100],
    "list": lambda x: x[[0, 1]],
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 0),
    "copying reshape": lambda x: x.t().reshape(-1),
    "contiguous": lambda x: x.t().contiguous(),
    "repeat": lambda x: x.repeat(1, 1),
    "arithmetic": lambda x: x + 0,
}


def data(lib):
    return lib.arange(6.0, dtype=lib.float64).reshape(2, 3).clone()


@SIDES
@pytest.mark.parametrize("name", VIEWS)
def test_views(lib, name):
    x = data(lib)
    v = VIEWS[name](x)
    assert v._is_view() and v._base is x and not x._is_view() and x._base is None
    assert v._version == x._version == 0
    x.add_(1)
    assert v._version == x._version == 1
    assert v.flatten()[0] == v.detach().flatten()[0]
    if name not in ("expand", "unfold", "as_strided"):
        v.mul_(10)
        assert v._version == x._version == 2 and (x >= 10).any()
    again = v.view_as(v)
    assert again._base is x  # the root, not the view between
    w = VIEWS[name](x.requires_grad_() * 1)
    assert w.requires_grad and not w.is_leaf and w._base is not None


@SIDES
@pytest.mark.parametrize("name", NO_VIEWS)
def test_what_is_no_view(lib, name):
    x = data(lib)
    v = NO_VIEWS[name](x)
    assert not v._is_view() and v._base is None
    x.add_(1)
    assert v._version == (1 if name == "detach" else 0)


@SIDES
def test_whatever_has_nothing_to_do_returns_the_tensor(lib):
    x = data(lib)
    same = (x.contiguous(), x.double(), x.to(lib.float64), x.cpu(), x.to("cpu"), x.type_as(x),
            x.requires_grad_(False), lib.as_tensor(x), x.to(x))  # fmt: skip
    assert all(y is x for y in same)


@SIDES
def test_version_is_read_only(lib):
    with pytest.raises(AttributeError):
        data(lib)._version = 3


@SIDES
def test_every_write_counts_once(lib):
    x = data(lib)
    writes = [
        lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), lambda: x.fill_(2), lambda: x.zero_(),
        lambda: x.copy_(data(lib)), lambda: x.__iadd__(1), lambda: x.clamp_(0, 1),
        lambda: x[0].mul_(2), lambda: x.detach().add_(1), lambda: x.t().add_(1),
        lambda: x.__setitem__((slice(None), 1), data(lib)[:, 0]),
        lambda: x.masked_fill_(x > 0, 1.0), lambda: x.uniform_(), lambda: x.normal_(),
        lambda: x.scatter_(0, lib.zeros(1, 3).long(), 1.0),
        lambda: x.index_fill_(0, lib.tensor([0]), 1.0), lambda: x.sqrt_(),
    ]  # fmt: skip
    for number, write in enumerate(writes, 1):
        write()
        assert x._version == number, number
    x.data.add_(1)
    x.numpy()[0, 0] = 3
    lib.autograd.graph.increment_version(x)
    assert x._version == len(writes) + 1 and x[0, 0] == 3


@SIDES
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_counted_in_every_mode(lib, mode):
    x = data(lib)
    with getattr(lib, mode)():
        x.add_(1)
        v = x[0]
        v.mul_(2)
        assert v._version == 2 and not v.is_inference()
    assert x._version == 2


@SIDES
def test_detach_and_data(lib):
    x = leaf(lib, 1.0, 2.0)
    d, p = x.detach(), x.data
    assert not d.requires_grad and not p.requires_grad and d.is_leaf and p.is_leaf
    assert d.data_ptr() == p.data_ptr() == x.data_ptr()
    y = x.exp()
    z = x.sin()
    p.mul_(2)
    y.sum().backward()
    d.mul_(2)
    assert x.tolist() == [4.0, 8.0] and x._version == 1 and p._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with lib.no_grad():
        assert (x * 2).detach() is not None


@SIDES
def test_detach_in_place(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        (x * 2)[0].detach_()


@SIDES
def test_assigning_data(lib):
    x = leaf(lib, 1.0, 2.0)
    x.data = lib.tensor([5.0, 6.0, 7.0], dtype=lib.float64)
    assert x.tolist() == [5.0, 6.0, 7.0] and x.requires_grad and x.is_leaf
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(TypeError):
        x.data = 3


# ---- writes change histories


def weights(lib, y):
    return lib.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape) ** 2


@SIDES
def test_a_slice_of_a_result(lib):
    x, w = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 5.0)
    y = x * 2
    y[1] = w[0] * 3
    assert y.grad_fn.name() in ("CopySlices", "torch::autograd::CopySlices")
    (y * weights(lib, y)).sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 18.0] and w.grad.tolist() == [12.0]


@SIDES
def test_a_tracked_value_into_a_plain_tensor(lib):
    w = leaf(lib, 5.0)
    y = lib.zeros(3, dtype=lib.float64)
    older = y[1:]
    y[1] = w[0] * 3
    assert y.requires_grad and not y.is_leaf and older.requires_grad and not older.is_leaf
    (older * weights(lib, older)).sum().backward()
    assert w.grad.tolist() == [3.0]


@SIDES
def test_older_views_follow(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    y = x * 2
    one, two = y[:3], y.view(2, 2)
    before = one.grad_fn
    one.mul_(5)
    two[1] = two[1].clone() ** 2
    assert one.grad_fn is not before and y.tolist() == [10.0, 20.0, 900.0, 64.0]
    assert one.tolist() == [10.0, 20.0, 900.0]
    (one.sum() + two.sum() * 10 + y.sum() * 100).backward()
    assert x.grad.tolist() == [10 * 111.0, 10 * 111.0, 2 * 30 * 10 * 111.0, 2 * 8 * 2 * 110.0]


@SIDES
def test_views_of_views(lib):
    x = leaf(lib, *range(6))
    y = (x * 1).view(2, 3)
    v = y.t()[1:].unsqueeze(0)
    v.mul_(lib.tensor([2.0, 3.0], dtype=lib.float64))
    (y * weights(lib, y)).sum().backward()
    expected = (np.arange(1.0, 7).reshape(2, 3) ** 2 * [[1, 2, 2], [1, 3, 3]]).reshape(-1)
    assert x.grad.tolist() == expected.tolist()


@SIDES
def test_a_view_that_was_used_before_the_write(lib):
    """What was computed before a write keeps the gradient of before."""
    x = leaf(lib, 1.0, 2.0)
    y = x * 1
    v = y[1:]
    early = v * 10
    v.mul_(3)
    late = v * 100
    (early.sum() + late.sum()).backward()
    assert x.grad.tolist() == [0.0, 310.0]


KINDS = {
    "add": (lambda x, w: x + w, lambda x, w: x.add_(w)),
    "add scaled": (lambda x, w: x + 3 * w, lambda x, w: x.add_(w, alpha=3)),
    "sub": (lambda x, w: x - w, lambda x, w: x.sub_(w)),
    "mul": (lambda x, w: x * w, lambda x, w: x.mul_(w)),
    "mul itself": (lambda x, w: x * x, lambda x, w: x.mul_(x)),
    "div": (lambda x, w: x / w, lambda x, w: x.div_(w)),
    "pow": (lambda x, w: x**w, lambda x, w: x.pow_(w)),
    "exp": (lambda x, w: x.exp(), lambda x, w: x.exp_()),
    "sin": (lambda x, w: x.sin(), lambda x, w: x.sin_()),
    "tanh": (lambda x, w: x.tanh(), lambda x, w: x.tanh_()),
    "sigmoid": (lambda x, w: x.sigmoid(), lambda x, w: x.sigmoid_()),
    "sqrt": (lambda x, w: x.sqrt(), lambda x, w: x.sqrt_()),
    "reciprocal": (lambda x, w: x.reciprocal(), lambda x, w: x.reciprocal_()),
    "relu": (lambda x, w: (x - 2).relu(), lambda x, w: x.sub_(2).relu_()),
    "clamp": (lambda x, w: x.clamp(1.5, 2.5), lambda x, w: x.clamp_(1.5, 2.5)),
    "neg": (lambda x, w: -x, lambda x, w: x.neg_()),
    "zero": (lambda x, w: x * 0, lambda x, w: x.zero_()),
    "fill": (lambda x, w: x * 0 + w.sum(), lambda x, w: x.fill_(w.sum())),
    "copy": (lambda x, w: x * 0 + w, lambda x, w: x.copy_(w)),
    "iadd": (lambda x, w: x + w, lambda x, w: x.__iadd__(w)),
    "imul": (lambda x, w: x * w, lambda x, w: x.__imul__(w)),
    "itruediv": (lambda x, w: x / w, lambda x, w: x.__itruediv__(w)),
    "addcmul": (lambda x, w: x + 2 * w * w, lambda x, w: x.addcmul_(w, w, value=2)),
    "addcdiv": (lambda x, w: x + w / x, lambda x, w: x.addcdiv_(w, x)),
    "lerp": (lambda x, w: x + 0.3 * (w - x), lambda x, w: x.lerp_(w, 0.3)),
    "masked_fill": (
        lambda x, w: x * (w <= 4.5), lambda x, w: x.masked_fill_(w > 4.5, 0.0)
    ),
    "setitem": (
        lambda x, w: x * _(x, 1, 0, 1) + w * _(x, 0, 1, 0),
        lambda x, w: x.__setitem__(1, w[1]),
    ),
    "setitem mask": (
        lambda x, w: x * _(x, 0, 1, 0) + w * _(x, 1, 0, 1),
        lambda x, w: x.__setitem__(_(x, 1, 0, 1) > 0, w[[0, 2]]),
    ),
    "setitem list": (
        lambda x, w: x * _(x, 0, 1, 0) + w * _(x, 1, 0, 1),
        lambda x, w: x.__setitem__([2, 0], w[[2, 0]]),
    ),
    "setitem slice": (
        lambda x, w: x * _(x, 0, 1, 0) + w.exp() * _(x, 1, 0, 1),
        lambda x, w: x[::2].copy_(w[::2].exp()),
    ),
    "scatter": (
        lambda x, w: x * _(x, 0, 1, 1) + w[2] * _(x, 1, 0, 0),
        lambda x, w: x.scatter_(0, (_(x, 0, 0, 0).long())[:1], w[2:]),
    ),
    "index_add": (
        lambda x, w: x + w[0] * _(x, 0, 1, 0),
        lambda x, w: x.index_add_(0, _(x, 1, 0, 0).long()[:1], w[:1]),
    ),
    "cumsum": (lambda x, w: x.cumsum(0), lambda x, w: x.cumsum_(0)),
    "tril": (
        lambda x, w: x.reshape(1, 3).tril().reshape(3), lambda x, w: x.view(1, 3).tril_()
    ),
    "chain": (
        lambda x, w: ((x * w).sin() + w).exp(), lambda x, w: x.mul_(w).sin_().add_(w).exp_()
    ),
}  # fmt: skip


def _(x, *values):
    return x.detach().new_tensor(values)


def both_forms(lib, name, form):
    """Results, gradients and second gradients of the functional form or the one in place."""
    a, w = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 4.0, 5.0, 0.5)
    x = a * 1.25
    out, write = KINDS[name]
    if form == "functional":
        y = out(x, w)
    else:
        write(x, w)
        y = x
    grads = lib.autograd.grad(
        (y * weights(lib, y)).sum(), (a, w), create_graph=True, allow_unused=True
    )
    loose = [g for g in grads if g is not None and g.requires_grad]
    second = lib.autograd.grad(
        sum((g**2).sum() for g in loose), (a, w), allow_unused=True
    ) if loose else (None, None)  # fmt: skip
    return y, *grads, *second


@pytest.mark.parametrize("name", KINDS)
def test_in_place_is_as_functional(name):
    """First and second derivatives are those of the form without underscore."""
    expected = both_forms(dt, name, "functional")
    libs = (dt,) if name in ("mul itself", "addcdiv") else (dt, torch)  # they are refused there
    for lib in libs:
        found = both_forms(lib, name, "in place")
        for one, two in zip(found, expected, strict=True):
            shape = [3]
            np.testing.assert_allclose(
                np.zeros(shape) if one is None else one.tolist(),
                np.zeros(shape) if two is None else two.tolist(),
                rtol=1e-6, atol=1e-12,
            )  # fmt: skip


@SIDES
@pytest.mark.parametrize("number", range(6))
def test_second_derivatives_through_slices(lib, number):
    a = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    programs = [
        lambda x: x[1:3].mul_(x[:2].clone()),
        lambda x: x.view(2, 2)[0].exp_(),
        lambda x: x.__setitem__(0, x[3].clone() ** 2),
        lambda x: x[::2].__imul__(x[1::2].clone()),
        lambda x: (x[:2].mul_(3), x[1:].mul_(x[:3].clone()), x.sin_()),
        lambda x: x.view(2, 2).t().__setitem__(0, x[2:].clone() ** 2),
    ]
    x = a * 1
    programs[number](x)
    (g,) = lib.autograd.grad((x**2).sum(), a, create_graph=True)
    (h,) = lib.autograd.grad((g**2).sum(), a)
    step = 1e-5
    for place in range(4):
        slopes = []
        for sign in (1, -1):
            b = a.detach().clone()
            b[place] += sign * step
            b.requires_grad_()
            y = b * 1
            programs[number](y)
            (k,) = lib.autograd.grad((y**2).sum(), b)
            slopes.append((k**2).sum().item())
        assert h[place].item() == pytest.approx((slopes[0] - slopes[1]) / (2 * step), rel=1e-4)


@SIDES
def test_write_with_recording_off(lib):
    """It changes values and leaves the gradient formula as it was."""
    x = leaf(lib, 1.0, 2.0)
    y = x * 3
    before = y.grad_fn
    with lib.no_grad():
        y.mul_(100)
        x.mul_(2)
    assert y.grad_fn is before and y.tolist() == [300.0, 600.0] and x.is_leaf
    (y * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


# ---- what is refused, and nothing written


@SIDES
def test_leaves(lib):
    x = leaf(lib, 1.0, 2.0)
    direct = "a leaf Variable that requires grad is being used in an in-place operation"
    through = "a view of a leaf Variable that requires grad is being used in an in-place operation"
    for phrase, write in (
        (direct, lambda: x.add_(1)), (direct, lambda: x.mul_(x)), (direct, lambda: x.zero_()),
        (direct, lambda: x.copy_(x * 2)), (direct, lambda: x.uniform_()), (direct, lambda: x.t_()),
        (through, lambda: x.__setitem__(0, 1.0)), (through, lambda: x[0].add_(1)),
        (through, lambda: x[1:].zero_()), (through, lambda: x.view(2, 1)[0].fill_(3)),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=phrase):
            write()
    assert x.tolist() == [1.0, 2.0] and x._version == 0 and tuple(x.shape) == (2,)
    with lib.no_grad():
        x[0] = 5
        x.add_(1)
    x.detach().mul_(2)
    assert x.tolist() == [12.0, 6.0] and x._version == 3 and x.is_leaf


@SIDES
def test_outputs_of_functions_with_several_views(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * 1
    for views in (y.unbind(0), y.split(1), y.chunk(3), tuple(y)):
        with pytest.raises(RuntimeError, match=r"Output 1 of \w+ is a view and is being modified"):
            views[1].mul_(2)
        with pytest.raises(RuntimeError, match="returns multiple views"):
            views[1].view(-1)[0] = 3.0
        with lib.no_grad():
            views[1].mul_(2)
    assert y.tolist() == [1.0, 32.0, 3.0]
    plain = lib.ones(2)
    plain.unbind(0)[1].mul_(3)
    assert plain.tolist() == [1.0, 3.0]


@SIDES
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_views_made_unrecorded(lib, mode):
    x = leaf(lib, 1.0, 2.0)
    y = x * 1
    name = mode.removesuffix("_mode")
    with getattr(lib, mode)():
        v = y[1:]
    assert v.requires_grad and v.is_leaf and v.grad_fn is None and v._base is y
    with pytest.raises(RuntimeError, match=f"A view was created in {name} mode and is being"):
        v.mul_(2)
    plain = lib.ones(2, dtype=lib.float64)
    with getattr(lib, mode)():
        w = plain[1:]
        v.mul_(2)
    w.mul_(2)
    with pytest.raises(RuntimeError, match="A view was created in"):
        w.mul_(x[0])
    assert y.tolist() == [1.0, 4.0] and plain.tolist() == [1.0, 2.0] and w._version == 1


def test_views_made_unrecorded_are_told_of():
    """A backward through one reaches nothing; PyTorch says nothing."""
    x = leaf(dt, 1.0, 2.0)
    with dt.no_grad():
        v = x[1:]
    with pytest.warns(dt.UntrackedViewWarning, match="made in no_grad mode") as caught:
        v.sum().backward()
    assert caught[0].filename == __file__
    assert x.grad is None
    plain = dt.ones(2)
    v = plain[:1]
    plain.requires_grad_()
    with pytest.warns(dt.UntrackedViewWarning, match="before its base required gradients"):
        v * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.detach()[1:] * 2
        with dt.no_grad():
            x[1:] * 2


@SIDES
def test_memory_that_overlaps(lib):
    x = lib.ones(3, dtype=lib.float64).expand(2, 3)
    phrase = "more than one element of the written-to tensor refers to a single memory location"
    writes = [lambda: x.add_(1), lambda: x.mul_(x), lambda: x.copy_(lib.zeros(2, 3)),
              lambda: x[:, 0].add_(1)]  # fmt: skip
    for write in writes:
        with pytest.raises(RuntimeError, match=phrase):
            write()
    assert x.tolist() == [[1.0] * 3] * 2 and x._version == 0
    x[0].add_(1)  # a row alone does not overlap
    assert x.tolist() == [[2.0] * 3] * 2


@SIDES
def test_results_that_do_not_fit(lib):
    x, n = data(lib), lib.arange(3)
    for write, phrase in (
        (lambda: x.add_(lib.ones(4, 2, 3)), "doesn't match the broadcast shape"),
        (lambda: x.copy_(lib.ones(4, 2, 3)), "must match|doesn't match"),
        (lambda: x.add_(lib.ones(4)), "The size of tensor a"),
        (lambda: n.add_(1.5), "result type Float can't be cast to the desired output type"),
        (lambda: n.div_(2), "result type Float can't be cast to the desired output type"),
        (lambda: n.exp_(), "result type Float can't be cast to the desired output type"),
        (lambda: n.mul_(1j), "result type ComplexFloat can't be cast"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=phrase):
            write()
    assert x.tolist() == data(lib).tolist() and n.tolist() == [0, 1, 2]
    assert x._version == n._version == 0


@SIDES
def test_operands_that_overlap_the_target(lib):
    x = lib.arange(5.0)
    if lib is dt:  # PyTorch refuses: "some elements of the input tensor and the written-to tensor"
        x[1:].add_(x[:-1])
        assert x.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0]
        x[1:] = x[:-1]
        assert x.tolist() == [0.0, 0.0, 1.0, 3.0, 5.0]
    x = lib.arange(3.0)
    x.add_(x)
    assert x.tolist() == [0.0, 2.0, 4.0]
    x.copy_(x)
    assert x.tolist() == [0.0, 2.0, 4.0]


# ---- saved values that were overwritten


def test_the_error_names_operation_and_line():
    x, w = leaf(dt, 1.0, 2.0), leaf(dt, 3.0, 4.0)
    copy = w * 1
    y = x * copy
    copy.add_(1)  # here
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    text = str(caught.value)
    assert "[torch.DoubleTensor [2]], which is output 0 of AddBackward0, is at version 1" in text
    assert "expected version 0 instead" in text and "MulBackward0 saved it" in text
    line = int(text.split(f"add_ at {__file__}:")[1].split(" ")[0])
    with open(__file__) as file:
        assert "copy.add_(1)  # here" in file.readlines()[line - 1]
    for write, name in (
        (lambda c: c.__setitem__(0, 1.0), ""), (lambda c: c[1:].zero_(), ""),
        (lambda c: c.detach().mul_(2), "mul_"), (lambda c: c.copy_(x), ""),
    ):  # fmt: skip
        copy = (w * 1).detach()
        y = x * copy
        write(copy)
        with pytest.raises(RuntimeError, match=rf"{name} at {__file__}:\d+ wrote it"):
            y.sum().backward()


@SIDES
def test_what_is_checked(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    copy = w * 1
    copy.mul_(2)
    y = x * copy  # written before it is saved
    z = x + copy
    y.sum().backward(retain_graph=True)
    copy.mul_(2)
    z.sum().backward()  # saved nothing
    with pytest.raises(RuntimeError, match="is at version 2; expected version 1"):
        y.sum().backward()
    a, b = x.exp(), x.sin()
    a.mul_(2)  # exp has saved it
    b.mul_(2)  # sin has not
    b.sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        a.sum().backward()


@SIDES
def test_the_version_expected_is_that_of_the_saving(lib):
    w = lib.ones(2)
    for _ in range(100):
        w.add_(1)
    y = leaf(lib, 1.0, 2.0, dtype="float32") * w
    for _ in range(3):
        w.add_(1)
    with pytest.raises(RuntimeError, match="is at version 103; expected version 100 instead"):
        y.sum().backward()


@SIDES
def test_one_of_several_outputs(lib):
    x = leaf(lib, 3.0, 1.0, 2.0)
    values, places = (x * 1).sort()
    values.mul_(10)  # sort has saved the places only
    values.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0, 10.0]
    values, places = (x * 1).sort()
    places.zero_()
    with pytest.raises(RuntimeError, match=r"which is output 1 of SortBackward0|LongTensor"):
        values.sum().backward()


@SIDES
def test_only_the_part_that_runs_is_checked(lib):
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)
    a, b = x.exp(), w.exp()
    with lib.no_grad():
        a.zero_()
    (g,) = lib.autograd.grad((a + b).sum(), w)
    assert g.item() == pytest.approx(np.exp(2))


@SIDES
def test_a_view_is_checked_with_its_base(lib):
    w = leaf(lib, 1.0, 2.0, 3.0) * 1
    x = leaf(lib, 5.0, 6.0)
    y = x * w[1:]
    w[0] = 7.0  # another part of the same memory
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()


@SIDES
def test_steps_between_forward_and_backward(lib):
    w = leaf(lib, 1.0, 2.0)
    y = (w * w).sum()
    with lib.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()


# ---- tensors that become their own views


@SIDES
def test_expanded_memory_is_turned_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * 1).unsqueeze(0).expand(3, 2)
    y.t_().unsqueeze_(-1).squeeze_(-1)
    assert tuple(y.shape) == (2, 3) and y.stride() == (1, 0)
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


@SIDES
def test_turned_in_place(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    y = (x * 1).view(2, 3).clone()
    assert y.t_() is y and tuple(y.shape) == (3, 2) and y._version == 1
    y.unsqueeze_(0).transpose_(1, 2).squeeze_(0)
    assert tuple(y.shape) == (2, 3)
    y.swapaxes_(0, 1)
    (y * weights(lib, y)).sum().backward()
    expected = np.array([[1, 9, 25], [4, 16, 36.0]]).reshape(-1)
    assert x.grad.tolist() == expected.tolist()


@SIDES
def test_turned_views_and_bases(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    y = (x * 1).view(2, 3).clone()
    v = y[1:]
    v.t_()
    assert tuple(v.shape) == (3, 1) and v._is_view()
    v.mul_(lib.tensor([[1.0], [10.0], [100.0]], dtype=lib.float64))
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 1.0, 10.0, 100.0]
    x.grad = None
    y = (x * 1).view(2, 3).clone()
    v = y[1]
    y.t_()
    v.mul_(lib.tensor([1.0, 10.0, 100.0], dtype=lib.float64))
    y[0].mul_(lib.tensor([7.0, 9.0], dtype=lib.float64))
    assert y.tolist() == [[7.0, 36.0], [2.0, 50.0], [3.0, 600.0]]
    (y.sum() + v.sum() * 1000).backward()
    assert x.grad.tolist() == [7.0, 1.0, 1.0, 9 * 1001.0, 10 * 1001.0, 100 * 1001.0]


@pytest.mark.parametrize("lib", [dt])  # PyTorch then fails in backward
def test_turned_where_recording_is_off(lib):
    x = lib.ones(2, 3, requires_grad=True)
    seen = []
    x.register_hook(seen.append)
    with lib.no_grad():
        x.t_()
    assert x.is_leaf and x.requires_grad
    (x * 2).sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0]] * 3 and len(seen) == 1
    y = x * 1
    with lib.no_grad():
        y.t_()
    (y * weights(lib, y)).sum().backward()
    assert x.grad.tolist() == [[3.0, 18.0], [6.0, 27.0], [11.0, 38.0]]
    with lib.inference_mode():
        z = lib.ones(2, 3).t_()
    assert tuple(z.shape) == (3, 2) and z.is_inference()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        z.t_()
    assert tuple(z.shape) == (3, 2)


# ---- reading and writing by index


@SIDES
def test_items_of_tracked_tensors(lib):
    x = lib.arange(12.0, dtype=lib.float64).reshape(3, 4).requires_grad_()
    rows, mask = lib.tensor([2, 0, 2]), x.detach() > 5
    keys = [0, -1, (1, 2), slice(1, None), (slice(None), 1), Ellipsis, None, (..., None, 0),
            rows, (rows, 1), (slice(None), rows), mask, (rows, lib.tensor([0, 1, 2])),
            [0, 2], (slice(None, None, 2), [0, 1]), (None, rows, None), True,
            lib.tensor(1)]  # fmt: skip
    found = []
    for key in keys:
        y = x[key]
        (g,) = lib.autograd.grad((y * weights(lib, y)).sum(), x)
        found.append((y.tolist(), g.tolist(), y._is_view()))
    if lib is dt:
        torch_x = torch.arange(12.0, dtype=torch.float64).reshape(3, 4).requires_grad_()
        for key, (values, slopes, view) in zip(keys, found, strict=True):
            y = torch_x[as_torch(key)]
            (g,) = torch.autograd.grad((y * weights(torch, y)).sum(), torch_x)
            assert (values, slopes, view) == (y.tolist(), g.tolist(), y._is_view()), key


def as_torch(key):
    if isinstance(key, tuple):
        return tuple(as_torch(k) for k in key)
    return torch.tensor(key.tolist()) if isinstance(key, dt.Tensor) else key


@SIDES
def test_assignment_of_many_kinds(lib):
    found = []
    for key, value in (
        (0, 7.0), ((0, 1), 7), (slice(None, None, 2), 1.5), (Ellipsis, 2.0), ((..., 1), True),
        ([0, 1], 5.0), ((slice(None), [0, 2]), 4.0), (None, 3.0),
        (0, "row"), (slice(None), "column"), (1, "tracked"), ((slice(None), 1), "tracked item"),
    ):  # fmt: skip
        w = leaf(lib, 5.0, 6.0, 7.0)
        made = {
            "row": lib.tensor([1, 2, 3]), "column": lib.tensor([[1.0], [2.0]]), "tracked": w * 2,
            "tracked item": w[0],
        }.get(value, value) if isinstance(value, str) else value  # fmt: skip
        x = data(lib)
        x[key] = made
        slope = None
        if x.requires_grad:
            (x * weights(lib, x)).sum().backward()
            slope = w.grad.tolist()
        found.append((x.tolist(), slope, x._version))
    assert found[0][0] == [[7.0, 7.0, 7.0], [3.0, 4.0, 5.0]]
    assert found[8][0] == [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]
    assert found[10] == ([[0.0, 1.0, 2.0], [10.0, 12.0, 14.0]], [32.0, 50.0, 72.0], 1)
    assert found[11] == ([[0.0, 5.0, 2.0], [3.0, 5.0, 5.0]], [29.0, 0.0, 0.0], 1)
    assert all(version == 1 for _, _, version in found)


@SIDES
def test_assignments_that_do_not_fit(lib):
    x = data(lib)
    for key, value, error in (
        (0, lib.ones(4), RuntimeError), (5, 1.0, IndexError), ((0, 0, 0), 1.0, IndexError),
        (lib.tensor([5]), 1.0, IndexError), (x > 1, lib.ones(2, dtype=lib.float64), RuntimeError),
        ("a", 1.0, (IndexError, TypeError)), (0, "a", TypeError),
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            x[key] = value
        assert str(caught.value)
    assert x.tolist() == data(lib).tolist() and x._version == 0
    if lib is dt:  # PyTorch writes until it comes to the wrong index
        with pytest.raises(IndexError, match="index 7 is out of bounds for dimension 1"):
            x[:, lib.tensor([0, 7])] = 1.0
        assert x.tolist() == data(lib).tolist() and x._version == 0


# ---- memory


def test_views_and_writes_make_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = dt.ones(3, 4, dtype=dt.float64, requires_grad=True)
        programs = [
            lambda y: y[0].mul_(2), lambda y: y.t()[1:].exp_(), lambda y: y.mul_(y),
            lambda y: y.__setitem__(0, y[1] * 2), lambda y: y.t_(), lambda y: y[0].unsqueeze_(0),
            lambda y: (y[0], y.t_(), y[0].mul_(2)), lambda y: y.detach().add_(1),
            lambda y: y.clone().copy_(y).sigmoid_(),
        ]  # fmt: skip
        for program in programs:
            y = x * 1
            v = y[:2]
            result = program(y)
            z = (y * y).sum() + v.sum()
            refs = [weakref.ref(t) for t in (y, v, z, y._array, v._array)]
            z.backward(retain_graph=True)
            dt.autograd.grad(z, x, create_graph=True)
            del y, v, z, result
            assert [r() for r in refs] == [None] * len(refs)
    finally:
        gc.enable()


def test_a_view_holds_its_base_and_nothing_more():
    y = dt.ones(10)
    v = y[:3]
    ref = weakref.ref(y)
    del y
    assert ref() is v._base
    del v
    gc.collect()
    assert ref() is None


def test_many_writes_take_no_memory():
    import tracemalloc

    x = dt.ones(10)
    v = x[1:]
    for _ in range(100):
        v.add_(1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(3000):
        v.add_(1)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000


def test_views_from_several_threads_share_one_version():
    """The record of shared memory is made once, whoever asks first."""
    for _ in range(200):
        x = dt.ones(4)
        views, start = [], threading.Barrier(4)

        def look(i, x=x, views=views, start=start):
            start.wait()
            views.append(x[i:])

        threads = [threading.Thread(target=look, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        x.add_(1)
        assert [v._version for v in views] == [1] * 4
