"""Methods that tensors have and no function stands for, beside PyTorch's."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.later import METHODS

BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])


def same(call):
    """What a call gives on both, or how it fails."""
    found = []
    for t in (torch, dt):
        try:
            made = call(t)
            found.append((made.tolist(), str(made.dtype)))
        except Exception as error:
            found.append((type(error), str(error)[:40]))
    assert found[1] == found[0]
    return found[1]


@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (2, 5), (3, 3, 3), (2, 2, 2, 2), (0, 2), (3,)])
@pytest.mark.parametrize("wrap", [False, True])
def test_diagonals_are_filled(shape, wrap):
    same(lambda t: t.zeros(shape).fill_diagonal_(5, wrap))
    same(lambda t: t.zeros(shape, dtype=t.int32).fill_diagonal_(2, wrap=wrap))


def test_a_diagonal_that_is_none():
    assert same(lambda t: t.zeros(2, 3, 2).fill_diagonal_(1))[0] is RuntimeError


@BOTH
def test_a_filled_diagonal_has_no_gradient_before(t):
    x = t.ones(3, 3, requires_grad=True)
    (x * 2).fill_diagonal_(0).sum().backward()
    assert x.grad.tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]


def test_functions_of_python_are_applied():
    same(lambda t: t.tensor([[1.0, 2.0], [3.0, 4.0]]).t().apply_(lambda x: x * x + 1))
    same(lambda t: t.tensor([1, 2]).apply_(lambda x: x + 1.0))
    same(lambda t: t.tensor([1.0, 2.0]).map_(t.tensor([3.0, 4.0]), lambda a, b: a * 10 + b))
    same(lambda t: t.zeros(2, 2).map_(t.tensor([3.0, 4.0]), lambda a, b: b - a))
    same(lambda t: t.ones(2).map2_(t.ones(2) * 2, t.ones(2) * 3, lambda a, b, c: a + b * c))
    same(lambda t: t.zeros(0).apply_(lambda x: 1 / 0))
    assert same(lambda t: t.ones(2, requires_grad=True).apply_(abs))[0] is RuntimeError
    assert same(lambda t: t.ones(2).map_(t.ones(2, requires_grad=True), max))[0] is RuntimeError
    with pytest.raises(TypeError, match="only implemented on CPU"):
        dt.ones(2, device="strict:0").apply_(abs)


def test_tensors_over_storages():
    same(lambda t: t.ones(4).set_(t.arange(6.0).untyped_storage(), 1, (2,), (2,)))
    same(lambda t: t.ones(4, dtype=t.int32).set_(t.arange(6.0).untyped_storage()))
    same(lambda t: t.zeros(0).set_(source=t.arange(6.0), storage_offset=1, size=(2, 2)))
    same(lambda t: t.zeros(0).set_(t.arange(6.0)[2:], 1, (2,), (1,)))
    for t in (torch, dt):
        memory = t.zeros(3)
        t.ones(1).set_(memory.untyped_storage()).fill_(5)
        assert memory.tolist() == [5, 5, 5]
    with pytest.raises(RuntimeError, match="out of bounds"):  # PyTorch makes the memory larger
        dt.ones(4).set_(dt.arange(6.0), 0, (2,), (7,))


@BOTH
def test_order_of_dimensions_in_memory(t):
    assert t.zeros(2, 3, 5, 7).dim_order() == (0, 1, 2, 3)
    assert t.zeros(2, 3, 5, 7).permute(0, 2, 3, 1).dim_order() == (0, 3, 1, 2)
    assert t.zeros(2, 3).t().dim_order(ambiguity_check=True) == (1, 0)
    assert t.zeros(()).dim_order() == ()
    with pytest.raises(RuntimeError, match="does not have unique dim order"):
        t.zeros(1, 2, 3, 4).dim_order(ambiguity_check=True)
    with pytest.raises(TypeError, match="must be a bool or a list"):
        t.zeros(2).dim_order(ambiguity_check="no")


@pytest.mark.parametrize(
    "shape",
    [(), (1,), (1, 3), (2, 3, 4, 5), (1, 2, 3, 4), (2, 1, 4, 1), (2, 3, 1, 1), (2, 0, 4, 1)],
)
def test_order_of_dimensions_in_one_of_several_formats(shape):
    def order(t, turned, names):
        x = t.zeros(shape)
        x = x.permute(*range(x.ndim)[::-1]) if turned else x
        return t.tensor(x.dim_order(ambiguity_check=[getattr(t, name) for name in names]))

    both = ["contiguous_format", "channels_last"]
    for names, turned in product((both[:1], both[1:], both), (False, True)):
        same(partial(order, turned=turned, names=names))


WRONG = {
    "leaf": lambda t: t.ones(2, requires_grad=True).set_(t.ones(3)),
    "leaf_storage": lambda t: t.ones(2, requires_grad=True).set_(t.ones(3).untyped_storage()),
    "leaf_none": lambda t: t.ones(2, requires_grad=True).set_(),
    "offset": lambda t: t.ones(2).set_(t.ones(3), 1),
    "offset_storage": lambda t: t.ones(2).set_(t.ones(3).untyped_storage(), storage_offset=1),
    "offset_alone": lambda t: t.ones(2).set_(storage_offset=1),
    "size": lambda t: t.ones(2).set_(t.ones(3), size=(2,)),
    "number": lambda t: t.ones(2).set_(5),
    "order": lambda t: t.ones(2, 2).dim_order(ambiguity_check=[1]),
    "format": lambda t: t.ones(2).resize_(3, memory_format="x"),
    "format_of": lambda t: t.ones(2).resize_as_(t.ones(3), memory_format="x"),
    "rank": lambda t: t.ones(2).resize_(3, memory_format=t.channels_last),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_memory_and_shapes_cannot_be(name):
    assert same(WRONG[name])[0] in (TypeError, RuntimeError)


def test_a_leaf_keeps_its_memory_when_it_refuses():
    x = dt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.set_(dt.zeros(3).untyped_storage())
    assert x.tolist() == [1, 1]
    with dt.no_grad():
        assert x.set_(dt.zeros(3)).tolist() == [0, 0, 0]


@BOTH
def test_shapes_and_memory_of_others(t):
    x, y = t.zeros(2), t.ones(3, 2)
    assert x.resize_as_(y).shape == (3, 2)
    x.set_(y)
    y[0, 0] = 7
    assert x[0, 0] == 7 and x.set_().shape == (0,)
    with pytest.raises(RuntimeError):
        x.set_(t.ones(2, dtype=t.int32))
    with pytest.raises(RuntimeError, match="Unsupported memory format"):
        x.resize_(3, memory_format=t.preserve_format)
    part = y.narrow_copy(0, 1, 2)
    part.fill_(0)
    assert part.shape == (2, 2) and y.sum() == 12
    strided = t.arange(6.0)
    assert strided.as_strided_((2, 2), (1, 2), 1) is strided
    assert strided.tolist() == [[1, 3], [2, 4]]
    assert [p.tolist() for p in y.unsafe_chunk(3)] == [p.tolist() for p in y.chunk(3)]


@BOTH
def test_new_tensors_of_the_same_type(t):
    x = t.ones(2, dtype=t.float64)
    assert x.new(2, 3).shape == (2, 3) and x.new(2, 3).dtype is t.float64
    assert x.new([1, 2]).tolist() == [1, 2] and x.new().shape == (0,)
    assert x.new(x.shape).shape == (2,)


def test_methods_that_are_functions_too():
    for name in METHODS:
        assert hasattr(torch, name) and getattr(dt, name) is getattr(dt.Tensor, name)
    assert dt.clamp_(dt.tensor([3.0]), 0, 1).tolist() == [1]
    assert dt.is_signed(dt.ones(1)) and not dt.is_signed(dt.ones(1, dtype=dt.uint8))


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # PyTorch's
@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.sqrt(t.tensor([4.0, 9.0])),
        lambda t: np.add(t.ones(2), np.ones(2)),
        lambda t: np.multiply(2, t.arange(3)),
        lambda t: np.abs(t.tensor(-3.0)),
        lambda t: np.isnan(t.tensor([1.0, float("nan")])),
        lambda t: np.modf(t.tensor([1.5, 2.25]))[0],
        lambda t: np.floor(t.tensor([2.5], dtype=t.float16)),
        lambda t: np.cumsum(t.ones(2, 2), axis=1),
        lambda t: np.exp(t.ones(2, 3).t()[1:]),
    ],
)
def test_numpys_functions_give_tensors(call):
    theirs, ours = call(torch), call(dt)
    assert type(ours) is dt.Tensor and str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(RuntimeError, match="requires grad"):
        np.sqrt(dt.ones(2, requires_grad=True))
    with pytest.raises(TypeError):
        np.add(dt.ones(2), np.array([None, None]))


def test_division_has_its_older_names():
    for m in (torch, dt):
        x = m.tensor([2.0, 4.0])
        assert m.Tensor.__div__(x, 2).tolist() == [1.0, 2.0]
        assert m.Tensor.__rdiv__(x, 4).tolist() == [2.0, 1.0]
        assert m.Tensor.__idiv__(x, 2) is x and x.tolist() == [1.0, 2.0]
