"""`backward` and `grad`: every option, accumulation, freed memory, deep and wide graphs."""

import gc
import sys
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.autograd.engine import Walk
from devtensor.autograd.node import Call
from devtensor.autograd.step import pull
from devtensor.op import catalogue, derivative, op
from devtensor.tensor import Constant
from samples import cases, law, tracked
from sides import SIDES, leaf, nested

# ---- where a pass begins


@SIDES
def test_gradients_of_a_number(lib):
    x, w = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 4.0, 5.0, 6.0)
    assert x.grad is None
    (x * w + x.exp()).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [4 + np.e, 5 + np.e**2, 6 + np.e**3])
    assert w.grad.tolist() == [1.0, 2.0, 3.0]
    assert x.grad.dtype == x.dtype and not x.grad.requires_grad and x.grad.is_leaf


@SIDES
def test_gradient_of_an_output_with_several_elements(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).backward(lib.tensor([1.0, 10.0], dtype=lib.float64))
    assert x.grad.tolist() == [2.0, 40.0]
    y = x * 3
    y.backward(gradient=lib.tensor([1, 2]).to(lib.float32))  # cast
    assert x.grad.tolist() == [5.0, 46.0] and x.grad.dtype is lib.float64


@SIDES
def test_backward_of_a_leaf_is_its_gradient(lib):
    x = lib.tensor(3.0, requires_grad=True)
    x.backward()
    x.backward(lib.tensor(2.0))
    assert x.grad.item() == 3.0


@SIDES
def test_several_roots(lib):
    x = leaf(lib, 1.0, 2.0)
    y, z = x * 2, (x * x).sum()
    weight = lib.tensor([1.0, 3.0], dtype=lib.float64)
    lib.autograd.backward([y, z], [weight, None])
    assert x.grad.tolist() == [2 + 2.0, 6 + 4.0]
    y = x * 2
    lib.autograd.backward((y.sum(), y.sum(), x.sum()))  # one of them twice, and a leaf
    assert x.grad.tolist() == [4 + 5.0, 10 + 5.0]


@SIDES
def test_no_graph(lib):
    plain, x = lib.ones(2), leaf(lib, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        plain.backward()  # before the shape is looked at
    with pytest.raises(RuntimeError, match="element 1 of tensors does not require grad"):
        lib.autograd.backward([x.sum(), plain.sum()])
    assert x.grad is None
    with lib.no_grad():
        y = (x * 2).sum()
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        y.backward()


@SIDES
def test_gradients_that_do_not_fit(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape: grad_output\\[0\\] has a shape of "):
        (x * 2).backward(lib.ones(2, dtype=lib.float64))
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(lib.ones(1, 3, dtype=lib.float64))
    with pytest.raises(TypeError, match="gradients can be either Tensors or None"):
        lib.autograd.backward([x.sum()], [1.0])
    assert x.grad is None


def test_as_many_gradients_as_roots():
    x = leaf(dt, 1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"got 1 tensors and 2 gradients"):
        dt.autograd.backward([x.sum()], [dt.tensor(1.0), dt.tensor(1.0)])
    with pytest.raises(RuntimeError, match=r"got 2 outputs and 1 gradients"):
        dt.autograd.grad([x.sum(), x.sum()], x, [dt.tensor(1.0)])


@SIDES
def test_one_element_of_any_shape_needs_no_gradient(lib):
    x = lib.tensor([[[2.0]]], requires_grad=True)
    (x * x).backward()
    assert x.grad.tolist() == [[[4.0]]]


@SIDES
def test_complex_root_needs_a_gradient(lib):
    z = lib.tensor(1 + 2j, requires_grad=True)
    with pytest.raises(RuntimeError, match="only for real scalar outputs"):
        (z * z).backward()
    (z * z).backward(lib.tensor(1 + 0j))
    assert z.grad.item() == pytest.approx(2 - 4j)


# ---- adding up


@SIDES
def test_accumulation_into_one_object(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first and first.tolist() == [5.0, 5.0]
    assert first._version == 1
    x.grad = None
    (x * 4).sum().backward()
    assert first.tolist() == [5.0, 5.0] and x.grad.tolist() == [4.0, 4.0]


@pytest.mark.parametrize("uses", [1, 2, 3])
@pytest.mark.parametrize("lib", [dt])  # PyTorch may make it the leaf's own
def test_the_given_gradient_stays_the_callers(lib, uses):
    x = leaf(lib, 1.0, 2.0)
    given = lib.ones(2, dtype=lib.float64)
    sum((x.view(2) for _ in range(uses - 1)), x.view(2)).backward(given)
    x.grad.mul_(10)
    assert given.tolist() == [1.0, 1.0]
    x.grad = None
    x.backward(given)
    x.backward(given)
    assert x.grad.tolist() == [2.0, 2.0] and given.tolist() == [1.0, 1.0]
    given.zero_()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad, given = None, lib.ones(2, dtype=lib.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        x.backward(given, create_graph=True)
    x.grad.detach().mul_(10)
    assert given.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lib", [dt])
def test_leaves_do_not_share_their_gradients(lib):
    x, w, v = (leaf(lib, 1.0, 2.0) for _ in range(3))
    (x + w + v).sum().backward()
    x.grad.zero_()
    w.grad.add_(5)
    assert v.grad.tolist() == [1.0, 1.0] and w.grad.tolist() == [6.0, 6.0]
    a, b = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    lib.stack([a, b]).backward(given := lib.ones(2, 2, dtype=lib.float64))
    a.grad.zero_()
    assert b.grad.tolist() == [1.0, 1.0] and given.tolist() == [[1.0, 1.0]] * 2
    m = lib.ones(2, 3, requires_grad=True)
    m.t().backward(given := lib.ones(3, 2))
    m.grad.zero_()
    assert given.tolist() == [[1.0, 1.0]] * 3


@SIDES
def test_what_hooks_hold_or_give_is_not_taken(lib):
    """The gradient that a hook has kept, or returned, must not be added to in place later."""
    for uses in (1, 2):
        x, held = leaf(lib, 1.0, 2.0), []
        x.register_hook(held.append)
        for _ in range(2):
            sum(x * 2 for _ in range(uses)).sum().backward()
        assert nested(held) == [[2.0 * uses] * 2] * 2
        x.grad.zero_()
        assert nested(held) == [[2.0 * uses] * 2] * 2
        x, mine = leaf(lib, 1.0, 2.0), lib.tensor([7.0, 7.0], dtype=lib.float64)
        x.register_hook(lambda g, mine=mine: mine)
        for _ in range(2):
            sum(x * 2 for _ in range(uses)).sum().backward()
        assert mine.tolist() == [7.0, 7.0] and x.grad.tolist() == [14.0, 14.0]


@SIDES
def test_gradients_are_no_views_of_saved_values(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = x * w
    y.sum().backward()
    x.grad.zero_()
    w.grad.zero_()
    assert x.tolist() == [1.0, 2.0] and w.tolist() == [3.0, 4.0] and y.tolist() == [3.0, 8.0]


@SIDES
def test_broadcast_operands_get_their_own_shape(lib):
    x = lib.ones(3, 1, 2, requires_grad=True)
    b = lib.ones(4, 1, requires_grad=True)
    c = lib.tensor(2.0, requires_grad=True)
    (x * b * c).sum().backward()
    assert tuple(x.grad.shape) == (3, 1, 2) and x.grad.tolist() == [[[8.0] * 2]] * 3
    assert b.grad.tolist() == [[12.0]] * 4
    assert tuple(c.grad.shape) == () and c.grad.item() == 24.0


@SIDES
def test_a_tensor_that_is_used_twice(lib):
    x = leaf(lib, 2.0)
    y = x * x
    z = y * y + y
    z.sum().backward()
    assert x.grad.tolist() == [4 * 8 + 2 * 2.0]


@SIDES
def test_mixed_types_get_their_own(lib):
    x = leaf(lib, 1.0, 2.0, dtype="float32")
    y = leaf(lib, 3.0, 4.0, dtype="float64")
    h = leaf(lib, 3.0, 4.0, dtype="float16")
    (x * y * h).sum().backward()
    assert [t.grad.dtype for t in (x, y, h)] == [lib.float32, lib.float64, lib.float16]
    assert h.grad.tolist() == [3.0, 8.0]


@SIDES
def test_empty_tensors(lib):
    x = lib.ones(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert tuple(x.grad.shape) == (0, 3)


@SIDES
def test_assigning_a_gradient(lib):
    x = leaf(lib, 1.0, 2.0)
    x.grad = given = lib.ones(2, dtype=lib.float64)
    (x * 2).sum().backward()
    assert x.grad is given and given.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="attempting to assign a gradient of size"):
        x.grad = lib.ones(3, dtype=lib.float64)
    with pytest.raises(RuntimeError, match="assign a gradient with dtype"):
        x.grad = lib.ones(2, dtype=lib.float32)
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None"):
        x.grad = 1.0
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        x.grad = x
    assert x.grad is given
    del x.grad
    assert x.grad is None


@SIDES
def test_a_gradient_that_has_a_graph_is_added_to_as_well(lib):
    x = leaf(lib, 1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (x**3).sum().backward(create_graph=True)
    first = x.grad
    square = (first * first).sum()
    (x * 2).sum().backward()
    assert x.grad is first and first.requires_grad and first._version > 0
    np.testing.assert_allclose(first.tolist(), [5.0, 14.0])
    (second,) = lib.autograd.grad(first.sum(), x, retain_graph=True)
    np.testing.assert_allclose(second.tolist(), [6.0, 12.0])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


@SIDES
def test_gradients_made_in_inference_mode(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * 2).sum()
    with lib.inference_mode():
        y.backward()
    assert x.grad.is_inference()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        (x * 2).sum().backward()
    with lib.inference_mode():
        assert x.grad.tolist() == [2.0, 2.0] or lib is torch
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


# ---- the graph afterwards


@SIDES
def test_second_pass(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    y = (x + x).sum()  # nothing was saved, so nothing is gone
    y.backward()
    y.backward()
    x.grad = None
    y = x.exp().sum()
    for _ in range(3):
        y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.tolist(), np.exp([1.0, 2.0]) * 4)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@SIDES
def test_values_saved_beside_numbers_are_freed_too(lib):
    x = leaf(lib, 1.0, 2.0)
    for call in (lambda y: y**2.5, lambda y: y.clamp(0, 1.5), lambda y: lib.xlogy(y, 2.0)):
        y = x * 1
        z = call(y)
        ref = weakref.ref(y)
        del y
        z.sum().backward()
        if lib is dt:
            assert ref() is None
        with pytest.raises(RuntimeError, match="second time"):
            z.sum().backward()


@SIDES
def test_retained_gradients_among_the_inputs(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    y.retain_grad()
    (y * 3).sum().backward(inputs=[y, x])
    assert y.grad.item() == 3.0 and x.grad.item() == 6.0


@SIDES
def test_second_pass_through_a_shared_part(lib):
    x = leaf(lib, 1.0, 2.0)
    shared = x.exp()
    one, two = shared.sum(), (shared * 2).sum()
    one.backward()
    with pytest.raises(RuntimeError, match="second time"):
        two.backward()


@SIDES
def test_saved_values_can_be_looked_at_until_they_are_freed(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = x * w
    node = y.grad_fn
    assert node.name() == "MulBackward0"
    assert node._saved_self.tolist() == [1.0, 2.0] and node._saved_other.tolist() == [3.0, 4.0]
    assert (x * lib.ones(2, dtype=lib.float64)).grad_fn._saved_self is None
    assert x.exp().grad_fn._saved_result.tolist() == x.exp().tolist()
    assert (x**3).grad_fn._saved_exponent == 3 and x.clamp(0, 1).grad_fn._saved_max == 1
    assert x.softmax(0).grad_fn._saved_dim == 0 and x.sum(0, True).grad_fn._saved_keepdim is True
    y.sum().backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they"):
        _ = node._saved_self
    with pytest.raises(AttributeError):
        _ = node._saved_nothing_of_that_name


@SIDES
def test_nodes_and_edges(lib):
    x, c = leaf(lib, 1.0), lib.ones(1, dtype=lib.float64)
    y = x * c
    (first, index), second = y.grad_fn.next_functions
    assert first.name() == "torch::autograd::AccumulateGrad" and first.variable is x and index == 0
    assert second == (None, 0)
    assert y.sum().grad_fn.next_functions == ((y.grad_fn, 0),)
    values, _ = (x * 2).max(0)
    assert values.grad_fn.name() == "MaxBackward0"
    parts = lib.ones(4, requires_grad=True).unbind(0)
    assert [p.output_nr for p in parts] == [0, 1, 2, 3] and parts[3].grad_fn is parts[0].grad_fn
    assert y.grad_fn.metadata == {} or lib is dt


# ---- options


@SIDES
def test_inputs(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = x * w
    z = y * x
    z.sum().backward(inputs=[x, y])
    assert x.grad.tolist() == [6.0, 16.0] and w.grad is None
    assert y.grad.tolist() == [1.0, 2.0]
    z = x * w
    z.sum().backward(inputs=w)
    assert w.grad.tolist() == [1.0, 2.0] and x.grad.tolist() == [6.0, 16.0]
    z = x * w
    z.sum().backward(inputs=(w, w))
    assert w.grad.tolist() == [2.0, 4.0]


@SIDES
def test_inputs_are_refused(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be empty"):
        (x * w).sum().backward(inputs=[])
    with pytest.raises(RuntimeError, match=r"requires?_? ?grad"):
        (x * w).sum().backward(inputs=[lib.ones(2)])
    (x * 2).sum().backward(inputs=[x, w])  # an input that is not used stays as it is
    assert w.grad is None and x.grad.tolist() == [2.0, 2.0]


@SIDES
def test_inputs_leave_the_rest_of_the_graph_alone(lib):
    """What does not lead to the inputs is not walked, so it is not freed either."""
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y, z = x.exp(), w.exp()
    lib.autograd.backward([y.sum(), z.sum()], inputs=[x])
    z.sum().backward()
    assert x.grad is not None and w.grad is not None
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


@SIDES
def test_retain_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad and y.grad is None
    z = y * y
    z.retain_grad()
    z.sum().backward(retain_graph=True)
    assert y.grad.tolist() == [4.0, 8.0] and z.grad.tolist() == [1.0, 1.0]
    y.grad.zero_()  # it is the tensor's own
    assert x.grad.tolist() == [8.0, 16.0]
    z.sum().backward()
    assert y.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad"):
        lib.ones(2).retain_grad()
    x.retain_grad()
    assert not x.retains_grad


@SIDES
def test_retain_grad_follows_what_hooks_give(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0] and x.grad.tolist() == [20.0]


@SIDES
def test_retain_grad_of_a_tensor_that_is_written(lib):
    """It is the gradient of the tensor as it is in the end."""
    x = leaf(lib, 1.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    assert y.grad.tolist() == [1.0] and x.grad.tolist() == [6.0]


@SIDES
def test_retain_grad_of_one_of_several_outputs(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    one, two = (x * 2).unbind(0)
    two.retain_grad()
    (one * 3 + two * 5).sum().backward()
    assert two.grad.tolist() == [5.0, 5.0]


@SIDES
def test_gradient_of_a_computed_tensor_is_warned_about(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert y.grad is None
    assert x.grad is None and lib.ones(1).grad is None


@SIDES
def test_create_graph_of_backward_is_warned_about(lib):
    x = leaf(lib, 2.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (x**3).sum().backward(create_graph=True)
    if lib is dt:  # there, once in a process
        assert "will create a reference cycle" in str(caught[0].message)
        assert caught[0].filename == __file__
    assert x.grad.requires_grad and x.grad.item() == 12.0
    g = x.grad
    x.grad = None
    g.sum().backward()
    assert x.grad.item() == 12.0


# ---- grad


@SIDES
def test_grad_leaves_every_gradient_alone(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = x * w
    found = lib.autograd.grad(y.sum() + y.exp().sum() * 0, [x, w, y])
    assert isinstance(found, tuple) and nested(found) == [[3.0, 4.0], [1.0, 2.0], [1.0, 1.0]]
    assert x.grad is None and w.grad is None
    assert not any(g.requires_grad for g in found)
    with pytest.raises(RuntimeError, match="second time"):
        lib.autograd.grad(y.sum(), x)


@SIDES
def test_grad_of_one_and_of_several(lib):
    x = leaf(lib, 1.0, 2.0)
    (g,) = lib.autograd.grad(x.exp().sum(), x)
    np.testing.assert_allclose(g.tolist(), np.exp([1.0, 2.0]))
    (g,) = lib.autograd.grad(x, x, lib.ones(2, dtype=lib.float64))
    assert g.tolist() == [1.0, 1.0]
    given = lib.tensor([2.0, 3.0], dtype=lib.float64)
    (g,) = lib.autograd.grad([x * 2, x.sum()], [x], [given, None])
    assert g.tolist() == [5.0, 7.0]
    first, second = lib.autograd.grad((x * 3).sum(), [x, x])
    assert first.tolist() == second.tolist() == [3.0, 3.0]


@SIDES
def test_grad_is_not_memory_of_others(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 1.0, 2.0)
    given = lib.ones(2, dtype=lib.float64)
    one, two = lib.autograd.grad(x + w, [x, w], given)
    one.zero_()
    if lib is dt:  # PyTorch returns the given gradient itself, twice
        assert given.tolist() == [1.0, 1.0] and two.tolist() == [1.0, 1.0]


@SIDES
def test_grad_of_what_is_not_used(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    grad = lib.autograd.grad
    with pytest.raises(RuntimeError, match="at index 1 appears to not have been used in the graph"):
        grad((x * 2).sum(), [x, w])
    assert nested(grad((x * 2).sum(), [x, w], allow_unused=True)) == [[2.0, 2.0], None]
    found = grad((x * 2).sum(), [x, w], materialize_grads=True)
    assert nested(found) == [[2.0, 2.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        grad((x * 2).sum(), [x, w], materialize_grads=True, allow_unused=False)
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not require"):
        grad((x * 2).sum(), [x, lib.ones(2)], allow_unused=True)
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        grad(lib.ones(2).sum(), x)


@SIDES
def test_higher_order(lib):
    x = leaf(lib, 2.0)
    y = (x**4).sum()
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = lib.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)
    assert y.sum().requires_grad == (lib is torch) or not y.requires_grad


@SIDES
def test_create_graph_keeps_the_graph(lib):
    x = leaf(lib, 2.0)
    y = x.exp().sum()
    lib.autograd.grad(y, x, create_graph=True)
    (g,) = lib.autograd.grad(y, x, create_graph=True, retain_graph=False)
    assert g.requires_grad
    with pytest.raises(RuntimeError, match="second time"):
        lib.autograd.grad(y, x)


@SIDES
def test_create_graph_and_the_callers_mode(lib):
    x = leaf(lib, 2.0)
    y = (x**3).sum()
    with lib.no_grad():
        (g,) = lib.autograd.grad(y, x, create_graph=True)
        assert g.requires_grad
        with lib.enable_grad():
            (second,) = lib.autograd.grad(g.sum(), x)
        assert second.item() == 12.0
    y = (x**3).sum()
    with lib.inference_mode():
        (g,) = lib.autograd.grad(y, x, create_graph=True)
    assert not g.requires_grad and g.item() == 12.0


@SIDES
def test_gradient_penalty(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = (x * w).tanh().sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (y + (g**2).sum()).backward()
    a, b = torch.tensor([1.0, 2.0]).double().requires_grad_(), torch.tensor([3.0, 4.0]).double()
    b.requires_grad_()
    t = (a * b).tanh().sum()
    (h,) = torch.autograd.grad(t, a, create_graph=True)
    (t + (h**2).sum()).backward()
    np.testing.assert_allclose(w.grad.tolist(), b.grad.tolist())
    np.testing.assert_allclose(x.grad.tolist(), a.grad.tolist())


@SIDES
def test_gradient_of_the_given_gradient(lib):
    x = leaf(lib, 1.0, 2.0)
    v = leaf(lib, 5.0, 6.0)
    (g,) = lib.autograd.grad(x * x, x, v, create_graph=True)
    (back,) = lib.autograd.grad(g.sum(), v)
    assert back.tolist() == [2.0, 4.0]


@SIDES
def test_batched_gradients(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * x
    eye = lib.eye(3, dtype=lib.float64)
    (jacobian,) = lib.autograd.grad(y, x, eye, is_grads_batched=True, retain_graph=True)
    assert jacobian.tolist() == np.diag([2.0, 4.0, 6.0]).tolist()
    (jacobian,) = lib.autograd.grad(y, x, eye, is_grads_batched=True, create_graph=True)
    (second,) = lib.autograd.grad(jacobian.sum(), x)
    assert second.tolist() == [2.0, 2.0, 2.0]
    w = leaf(lib, 1.0)
    y = x * 2
    found = lib.autograd.grad(y, [x, w], eye, is_grads_batched=True, allow_unused=True)
    assert nested(found) == [(np.eye(3) * 2).tolist(), None]
    y = x * 2
    given = {"is_grads_batched": True, "retain_graph": True}
    found = lib.autograd.grad(y, [x, w], eye, materialize_grads=True, **given)
    assert nested(found) == [(np.eye(3) * 2).tolist(), [0.0]]
    with pytest.raises(RuntimeError, match="not have been used"):
        lib.autograd.grad(y, [x, w], eye, **given)
    several = [eye, lib.ones(3, dtype=lib.float64)]
    (found,) = lib.autograd.grad([y, y.sum()], x, several, **given)
    assert found.tolist() == (np.eye(3) * 2 + 2).tolist()
    lib.autograd.grad(y, x, eye, is_grads_batched=True)
    y = (x * x).exp()
    lib.autograd.grad(y, x, eye, is_grads_batched=True)
    with pytest.raises(RuntimeError, match="second time"):
        lib.autograd.grad(y, x, eye, is_grads_batched=True)


def test_batched_gradients_take_one_walk():
    calls = []
    x = leaf(dt, *range(50))
    y = x.sin()
    y.register_hook(lambda g: calls.append(g.shape))
    (g,) = dt.autograd.grad(y, x, dt.eye(50, dtype=dt.float64), is_grads_batched=True)
    assert calls == [(50,)]
    np.testing.assert_allclose(g.tolist(), np.diag(np.cos(np.arange(50.0))))
    y = x * 2
    (g,) = dt.autograd.grad(y, x, y.new_zeros(0, 50), is_grads_batched=True)
    assert g.shape == (0, 50)


def test_batched_gradients_are_refused_as_others():
    x = leaf(dt, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="is_grads_batched=True"):
        dt.autograd.grad((x * x).sum(), x, is_grads_batched=True)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        dt.autograd.grad(x * x, x, dt.eye(3, dtype=dt.float64), is_grads_batched=True)
    with pytest.raises(IndexError, match="batch dimension"):
        dt.autograd.grad((x * x).sum(), x, dt.tensor(1.0), is_grads_batched=True)


@SIDES
def test_edges_in_the_place_of_tensors(lib):
    edge = lib.autograd.graph.get_gradient_edge
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    (g, h) = lib.autograd.grad((y * y).sum(), [edge(y), edge(x)], retain_graph=True)
    assert nested([g, h]) == [[4.0, 8.0], [8.0, 16.0]]
    z = (y * 3).sum()
    found = edge(z)
    assert found.node is z.grad_fn and found.output_nr == 0
    del z
    (g,) = lib.autograd.grad(found, x)
    assert g.tolist() == [6.0, 6.0]
    values, _ = (x * 2).max(0)
    (g,) = lib.autograd.grad(edge(values), x, lib.tensor(3.0, dtype=lib.float64))
    assert g.tolist() == [0.0, 6.0]
    lib.autograd.backward((x * 3).sum(), inputs=[edge(x)])
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="gradient edge for a Tensor that does not require"):
        edge(lib.ones(2))


# ---- modes


@SIDES
def test_the_callers_mode_does_not_stop_it(lib):
    for mode in (lib.no_grad, lib.enable_grad):
        x = leaf(lib, 1.0)
        y = x.exp().sum()
        with mode():
            y.backward()
        assert x.grad.item() == pytest.approx(np.e) and not x.grad.requires_grad
        assert lib.is_grad_enabled()


@SIDES
def test_an_error_leaves_the_mode_and_the_leaves_as_they_were(lib):
    x = leaf(lib, 1.0)
    y = x * 2

    def fail(g):
        raise KeyError("here")

    y.register_hook(fail)
    with pytest.raises(KeyError, match="here"):
        y.sum().backward()
    assert lib.is_grad_enabled() and x.grad is None
    with lib.no_grad(), pytest.raises(KeyError):
        (y * 1.0 if lib.is_grad_enabled() else y).backward(lib.ones(1, dtype=lib.float64))


@SIDES
def test_turning_the_flag_off_and_on(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    x.requires_grad_(False)
    assert y.requires_grad and not (x * 2).requires_grad
    x.requires_grad_(True)
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0]


# ---- memory


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_graph_goes_with_its_result():
    """There are no cycles: reference counts alone free everything."""
    x = leaf(dt, *range(100))
    w = dt.ones(100, 100, dtype=dt.float64, requires_grad=True)
    programs = [
        lambda: (x * 2).exp().sum(),
        lambda: (w @ x).tanh().softmax(0).max(),
        lambda: w[1:, ::2].t().reshape(-1).clone().mul_(2).sigmoid_().sum(),
        lambda: dt.cat([x, w[0]]).sort()[0].view(2, 100)[0].add_(1).sum(),
        lambda: dt.stack(w.unbind(0)).var() + w.norm(),
        lambda: dt.nn.functional.layer_norm(w, (100,), x).max(1)[0].sum(),
    ]
    for program in programs:
        y = program()
        held = [weakref.ref(y)] + [weakref.ref(array) for array in saved_arrays(y.grad_fn)]
        assert len(held) > 1
        for g in dt.autograd.grad(y, (x, w), create_graph=True, allow_unused=True):
            del g
        y.backward()
        mine = (x._array, w._array)
        del y
        left = [ref() for ref in held]
        assert all(array is None or array is mine[0] or array is mine[1] for array in left)


def saved_arrays(node):
    """The arrays that a graph has saved."""
    found, seen, stack = [], set(), [node]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack += [n for n, _ in node.next_functions]
        for part in getattr(node, "links", None) or ():
            for one in part if isinstance(part, tuple) else (part,):
                if isinstance(one, dt.Tensor) and type(one) is not Constant:
                    found.append(one._array)
                elif isinstance(one, np.ndarray):
                    found.append(one)
    return found


@pytest.mark.usefixtures("no_collector")
def test_hooks_and_retained_gradients_make_no_cycle():
    x = leaf(dt, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g)
    y.grad_fn.register_hook(lambda i, o: None)
    z = y.exp()
    refs = [weakref.ref(y), weakref.ref(z)]
    z.sum().backward()
    assert y.grad is not None
    del y, z
    assert [r() for r in refs] == [None, None]


def test_backward_lets_go_of_what_it_saved():
    """At its end nothing is held but leaves and results, and it frees as it goes."""
    size = 1 << 18
    x = dt.ones(size, requires_grad=True)
    x.exp().sum().backward()
    x.grad = None
    tracemalloc.start()
    y = x
    for _ in range(10):
        y = y.exp().mul(1e-3)
    y = y.sum()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    y.backward()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert before > 10 * 4 * size
    assert after < 1.5 * 4 * size  # the gradient
    assert peak < before + 3 * 4 * size


def test_grad_without_retain_graph_lets_go_of_it_too():
    x = leaf(dt, 1.0, 2.0)
    w = x * 1
    watched = weakref.ref(w._array)
    y = (w * w).sum()
    del w
    assert watched() is not None
    dt.autograd.grad(y, x)
    assert watched() is None


def test_create_graph_of_grad_makes_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(dt, 1.0, 2.0)
        y = x.exp().tanh().sum()
        (g,) = dt.autograd.grad(y, x, create_graph=True)
        (h,) = dt.autograd.grad(g.sum(), x, create_graph=True)
        refs = [weakref.ref(t) for t in (x, y, g, h)]
        del x, y, g, h
        assert [r() for r in refs] == [None] * 4
    finally:
        gc.enable()


def chain(length, make):
    y = make()
    for _ in range(length):
        y = -y
    return y


@pytest.mark.parametrize("create_graph", [False, True])
def test_long_chains_do_not_recurse(create_graph):
    """Neither the walk nor the freeing of a graph goes deeper with its length."""
    length = 30_000 if create_graph else 200_000
    x = leaf(dt, 1.0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        y = chain(length, lambda: x * 2)
        node = weakref.ref(y)
        (g,) = dt.autograd.grad(y, x, dt.ones(1, dtype=dt.float64), create_graph=create_graph)
        assert g.item() == 2.0
        del y, g
        assert node() is None
        dropped = chain(30_000, lambda: x * 2)  # freed without a pass
        del dropped
    finally:
        sys.setrecursionlimit(limit)


def test_long_chains_leave_nothing_behind():
    x = leaf(dt, 1.0)
    chain(100, lambda: x * 2).backward()
    tracemalloc.start()
    gc.disable()
    try:
        before = tracemalloc.get_traced_memory()[0]
        chain(20_000, lambda: x * 2).sum().backward()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        gc.enable()
        tracemalloc.stop()
    assert after - before < 1 << 17


def test_wide_and_tangled_graphs_are_walked_once():
    """A node is visited once, however many ways lead to it: 2**60 here."""
    x = leaf(dt, 1.0)
    y, calls = x * 1, []
    for _ in range(60):
        y = y + y
    y.grad_fn.register_hook(lambda i, o: calls.append(1))
    y.sum().backward()
    assert x.grad.item() == 2.0**60 and len(calls) == 1
    parts = [x * i for i in range(2000)]
    x.grad = None
    dt.stack(parts).sum().backward()
    assert x.grad.item() == sum(range(2000))


def test_order_of_nodes_is_that_of_the_forward_reversed():
    x = leaf(dt, 1.0)
    seen = []
    y = x * 1
    late, early = [], y
    for i in range(5):
        early = early * 1
        early.register_hook(lambda g, i=i: seen.append(i))
        late.append(early)
    sum(late).sum().backward()
    assert seen == [4, 3, 2, 1, 0]


# ---- what the pass takes for granted


@law(cases(lambda entry: entry.op is not None and entry.op.elementwise and bool(entry.op.rules)))
def test_elementwise_rules_give_gradients_as_large_as_the_result_or_the_input(case):
    for out in tracked(case.call(case.tensors("cpu", True))):
        node = out.grad_fn
        if node.__class__ is Call and node.plan.even:
            for edge, g in pull(node, Walk([], create_graph=False, keep=True), np.ones(node.shape)):
                assert g is None or g.shape in (node.shape, edge.shape)


@SIDES
def test_the_latest_node_goes_first_wherever_gradients_come_from(lib):
    # Straight chains, forks that join again, and a node that waits while a later one is reached.
    x = leaf(lib, 1.0, 2.0)
    first = x * 2
    early = first * 3
    late = first.exp()
    later = late * early
    seen = []
    for name, y in (("first", first), ("early", early), ("late", late), ("later", later)):
        y.register_hook(lambda g, name=name: seen.append(name))
    (early + later * late).sum().backward()
    assert seen == ["later", "late", "early", "first"]
    # 6 x (1 + exp(4 x)), as one writes it.
    values = np.array([1.0, 2.0])
    np.testing.assert_allclose(
        x.grad.tolist(), 6 * (1 + np.exp(4 * values)) + 24 * values * np.exp(4 * values)
    )


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_that_nobody_asks_for_are_not_computed(create_graph):
    called = []

    @op(public=False, promotes=None, oracle=None, examples=[((2,), (2,), (2,))])
    def summed_of_three(xp, one, two, three, /, factor=1.0):
        """The product of three tensors and a number."""
        return one * two * three * factor

    def rule(name):
        others = [n for n in ("one", "two", "three") if n != name]

        def call(xp, g, one, two, three, factor):
            called.append(name)
            given = {"one": one, "two": two, "three": three}
            return g * given[others[0]] * given[others[1]] * factor

        return call

    try:
        derivative(summed_of_three, **{name: rule(name) for name in ("one", "two", "three")})
        for dtype in (dt.float64, dt.complex128):
            tensors = [
                dt.tensor([n + 1.0, n + 2.0], dtype=dtype, requires_grad=True) for n in range(3)
            ]
            out = summed_of_three(*tensors, factor=2.0)
            for wanted in ([1], [0, 2], [2, 0, 1]):
                called.clear()
                found = dt.autograd.grad(
                    out.abs().sum(), [tensors[i] for i in wanted], retain_graph=True,
                    create_graph=create_graph,
                )  # fmt: skip
                assert called == [("one", "two", "three")[i] for i in sorted(wanted)]
                for i, g in zip(wanted, found, strict=True):
                    one, two = (t.detach() for j, t in enumerate(tensors) if j != i)
                    assert g.tolist() == (one * two * 2).tolist()
    finally:
        catalogue.pop("summed_of_three", None)
