"""Clipping of gradients, parameters as vectors, and sequences of different lengths."""

import math

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn
from devtensor.nn import utils
from devtensor.nn.utils import rnn

torch = pytest.importorskip("torch")


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(x):
    return x.detach().numpy()


def close(ours, theirs):
    np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-5, atol=1e-6)


def with_gradients(lib, make):
    found = []
    for seed, shape in enumerate([(3, 4), (5,), (2, 2)]):
        parameter = make(lib.tensor(floats(*shape)))
        parameter.grad = lib.tensor(floats(*shape, seed=seed) * 3)
        found.append(parameter)
    found.append(make(lib.tensor(floats(2))))  # one without a gradient
    return found


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clipping_by_norm(norm_type, max_norm):
    ours = with_gradients(dt, nn.Parameter)
    theirs = with_gradients(torch, torch.nn.Parameter)
    close(
        utils.clip_grad_norm_(ours, max_norm, norm_type),
        torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type),
    )
    for x, y in zip(ours[:-1], theirs[:-1], strict=True):
        close(x.grad, y.grad)
    assert ours[-1].grad is None
    close(
        utils.get_total_norm([x.grad for x in ours[:-1]], norm_type),
        torch.nn.utils.get_total_norm([x.grad for x in theirs[:-1]], norm_type),
    )


@pytest.mark.parametrize("t", [dt, torch], ids=["ours", "theirs"])
def test_total_norms_are_not_recorded(t):
    small = t.tensor([3.0], requires_grad=True)
    large = t.tensor([[4.0]], dtype=t.float64, requires_grad=True)
    for tensors in ([small], [small, small * 2], [small, large]):
        total = t.nn.utils.get_total_norm(tensors)
        assert not total.requires_grad
    assert total.item() == 5
    half = t.full((3,), 40000.0, dtype=t.float16)
    assert t.nn.utils.get_total_norm([half]).item() == math.inf  # beyond what the type holds
    with pytest.raises(RuntimeError, match="floating point or complex tensor as input"):
        t.nn.utils.get_total_norm([t.ones(2, dtype=t.int64)])


def test_clipping_edges():
    lone = nn.Parameter(dt.ones(2))
    assert utils.clip_grad_norm_(lone, 1.0).item() == 0
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    lone.grad = dt.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(lone, 1.0, error_if_nonfinite=True)
    assert math.isinf(utils.clip_grad_norm_(lone, 1.0).item())
    generator = (p for p in [nn.Parameter(dt.ones(1))])
    utils.clip_grad_norm_(generator, 1.0)


def test_clipping_by_value():
    ours = with_gradients(dt, nn.Parameter)
    theirs = with_gradients(torch, torch.nn.Parameter)
    utils.clip_grad_value_(ours, 0.7)
    torch.nn.utils.clip_grad_value_(theirs, 0.7)
    for x, y in zip(ours[:-1], theirs[:-1], strict=True):
        close(x.grad, y.grad)


def test_parameters_as_a_vector():
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = utils.parameters_to_vector(a.parameters())
    assert tuple(vector.shape) == (8,) and vector.requires_grad
    utils.vector_to_parameters(vector, b.parameters())
    close(a.weight, b.weight)
    close(a.bias, b.bias)
    assert b.weight.is_leaf and b.weight.requires_grad
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but"):
        utils.vector_to_parameters([1.0], b.parameters())


def sequences(lib):
    return [lib.tensor(floats(n, 3, seed=n)) for n in (2, 5, 3)]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_sequences(batch_first, side):
    close(
        rnn.pad_sequence(sequences(dt), batch_first, -1.0, side),
        torch.nn.utils.rnn.pad_sequence(sequences(torch), batch_first, -1.0, side),
    )


def test_packing_and_back():
    ours = rnn.pack_sequence(sequences(dt), enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_sequence(sequences(torch), enforce_sorted=False)
    close(ours.data, theirs.data)
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
    for kwargs in ({}, {"batch_first": True, "padding_value": 7.0, "total_length": 8}):
        x, sizes = rnn.pad_packed_sequence(ours, **kwargs)
        y, tsizes = torch.nn.utils.rnn.pad_packed_sequence(theirs, **kwargs)
        close(x, y)
        assert sizes.tolist() == tsizes.tolist()
    for x, y in zip(rnn.unpack_sequence(ours), sequences(dt), strict=True):
        close(x, y)
    data, sizes, *_ = ours
    assert data is ours.data and sizes is ours.batch_sizes
    for name in ("half", "float", "double", "byte", "char", "short", "int", "long"):
        cast = getattr(ours, name)()
        assert repr(cast.data.dtype) == repr(getattr(theirs, name)().data.dtype)
        assert cast.unsorted_indices.tolist() == ours.unsorted_indices.tolist()
    assert ours.to("cpu") is ours and not ours.is_pinned()


def test_gradients_go_through_packing():
    x = dt.tensor(floats(4, 2, 3), requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [4, 2])
    packed.data.sum().backward()
    expected = np.ones((4, 2, 3))
    expected[2:, 1] = 0
    assert (array(x.grad) == expected).all()


def test_what_packing_refuses():
    x = dt.tensor(floats(4, 2, 3))
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        rnn.pack_padded_sequence(x, [2, 4])
    with pytest.raises(RuntimeError, match="greater than 0"):
        rnn.pack_padded_sequence(x, [4, 0])
    with pytest.raises(RuntimeError, match="equal to batch_size"):
        rnn.pack_padded_sequence(x, [4, 2, 1])
    with pytest.raises(ValueError, match="total_length"):
        rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [4, 2]), total_length=3)
    with pytest.raises(RuntimeError, match="padding_side"):
        rnn.pad_sequence([x], padding_side="top")
