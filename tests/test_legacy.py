"""What older programs wrote: Variables, and constructors by type."""

import warnings

import pytest
import torch

import devtensor as dt

BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])


@BOTH
def test_variables_are_leaves_over_the_same_memory(t):
    from_module = t.autograd.Variable
    data = t.FloatTensor([1, 2])
    x = from_module(data, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4] and x.is_leaf and not data.requires_grad
    data[0] = 7
    assert x.tolist() == [7, 2]
    inner = from_module(x * 2)
    assert not inner.requires_grad and inner.is_leaf
    assert not from_module(x).requires_grad
    assert isinstance(x, from_module) and isinstance(data, from_module)
    assert not isinstance(3, from_module)
    assert from_module().shape == (0,)


@BOTH
def test_what_variables_refuse(t):
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        t.autograd.Variable([1.0])
    with pytest.raises(RuntimeError, match="floating point"):
        t.autograd.Variable(t.tensor([1]), requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        t.autograd.Variable(t.ones(1), volatile=True)
    assert "volatile was removed" in str(caught[0].message)


@BOTH
def test_the_class_stands_for_the_default_type(t):
    x = t.tensor([True, False])
    assert x.type(t.Tensor).dtype is t.float32 and x.type(t.LongTensor).dtype is t.int64
    assert x.type("torch.DoubleTensor").dtype is t.float64


def test_constructors_by_type_and_place():
    assert dt.LongTensor([1, 2]).dtype is dt.int64 and isinstance(dt.ones(1), dt.FloatTensor)
    assert not isinstance(dt.ones(1).double(), dt.FloatTensor)
    assert dt.FloatTensor(2, 3).shape == (2, 3)
