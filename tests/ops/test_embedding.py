"""Tables looked up by number, against PyTorch."""

import math

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same, tensors

import devtensor as dt

INDICES = {
    "vector": ints(9, high=6),
    "matrix": ints(3, 4, high=6),
    "cube": ints(2, 3, 2, high=6),
    "one": np.array(3),
    "none": np.zeros((2, 0), int),
    "int32": ints(5, high=6).astype("int32"),
}
OPTIONS = [
    {},
    {"padding_idx": 2},
    {"padding_idx": -1},
    {"scale_grad_by_freq": True},
    {"padding_idx": 0, "scale_grad_by_freq": True},
]


def look_up(m, indices, weight, **options):
    return m.nn.functional.embedding(indices, weight, **options)


@pytest.mark.parametrize("case", INDICES)
@pytest.mark.parametrize("options", OPTIONS)
def test_embedding(case, options):
    table = floats(6, 3)
    same(lambda m, i, w: look_up(m, i, w, **options), INDICES[case], table)
    same(
        lambda m, i, w: look_up(m, i, w.T, **options), INDICES[case], np.ascontiguousarray(table.T)
    )
    same(lambda m, i, w: look_up(m, i.T, w, **options), INDICES["matrix"], table)


@pytest.mark.parametrize("options", [o for o in OPTIONS if "scale_grad_by_freq" not in o])
def test_second_gradients(options):
    found = []
    for m in (dt, torch):
        i, w = tensors(m, (INDICES["matrix"], floats(6, 3)), True)
        (slope,) = m.autograd.grad((look_up(m, i, w, **options) ** 3).sum(), w, create_graph=True)
        (slope * slope).sum().backward()
        found.append(w.grad.numpy())
    np.testing.assert_allclose(*found)


def test_second_gradients_by_frequency():
    """PyTorch leaves the frequencies out of them; the gradient is linear in what comes in."""
    i = dt.tensor([1, 4, 1, 1])
    w, g = dt.tensor(floats(6, 2)).requires_grad_(), dt.tensor(floats(4, 2)).requires_grad_()
    out = look_up(dt, i, w, padding_idx=4, scale_grad_by_freq=True)
    (slope,) = dt.autograd.grad(out, w, g, create_graph=True)
    ways = dt.tensor(floats(6, 2, seed=1))
    (back,) = dt.autograd.grad(slope, g, ways)
    np.testing.assert_allclose((back * g).sum().item(), (slope * ways).sum().item())
    assert back[1].tolist() == [0, 0]


def test_many_rows():
    # Long enough for sums by sorted rows.
    table = floats(50, 40)
    same(lambda m, i, w: look_up(m, i, w), ints(200, high=50), table)
    same(lambda m, i, w: look_up(m, i, w), np.zeros(200, int), table, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_types(dtype):
    same(lambda m, i, w: look_up(m, i, w), INDICES["matrix"], floats(6, 3).astype(dtype))


def test_padding_hides_what_is_not_a_number():
    def call(m, i, w):
        return look_up(m, i, w, padding_idx=1) * m.where(i == 1, math.nan, 1.0).unsqueeze(-1)

    i, w = tensors(dt, (ints(9, high=3), floats(3, 2)), True)
    call(dt, i, w).sum().backward()
    assert w.grad[1].tolist() == [0, 0]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
def test_largest_norm(norm_type):
    def call(m, i, w):
        table = w.detach().clone()
        found = look_up(m, i, table, max_norm=1.0, norm_type=norm_type)
        assert table._version == 1
        return found, table

    same(call, INDICES["matrix"], floats(6, 3))
    same(lambda m, i, w: look_up(m, i, w, max_norm=0.5, norm_type=norm_type), ints(4), floats(6, 3))


def test_scaling_a_parameter_is_not_recorded_and_noticed():
    w = dt.tensor(floats(6, 3) * 9).requires_grad_()
    product = w * w
    out = look_up(dt, dt.tensor([1, 2]), w, max_norm=1.0)
    assert w.is_leaf
    np.testing.assert_allclose(out.detach().pow(2).sum(1).sqrt().numpy(), 1, rtol=1e-6)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_only_indices_are_saved():
    w, i = dt.tensor(floats(100, 64)).requires_grad_(), dt.tensor(ints(32))
    packed = []
    with dt.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        out = look_up(dt, i, w, padding_idx=3)
    assert [t.shape for t in packed] == [(32,)]
    assert out.grad_fn.name() == "EmbeddingBackward0"


def test_wrong_indices():
    table = floats(6, 3)
    for bad in ([6], [-1], [0, 7]):
        refused(lambda m, i, w: look_up(m, i, w), np.array(bad), table)
        refused(
            lambda m, i, w: look_up(m, i, w, max_norm=1.0),
            np.array(bad),
            table,
            phrase="out of range",
        )
    for dtype in ("int16", "uint8"):
        refused(lambda m, i, w: look_up(m, i, w), np.array([1], dtype), table)
    refused(lambda m, i, w: look_up(m, i.double(), w), np.array([1]), table)


def test_wrong_arguments():
    indices, table = np.array([1]), floats(6, 3)
    for bad in (6, -7):
        refused(lambda m, i, w, bad=bad: look_up(m, i, w, padding_idx=bad), indices, table)
    refused(lambda m, i, w: look_up(m, i, w[0]), indices, table, phrase="'weight' must be 2-D")
    refused(lambda m, i, w: look_up(m, i, w[None]), indices, table, phrase="'weight' must be 2-D")


# ---- bags


BAGS = [
    {},
    {"mode": "sum"},
    {"mode": "max"},
    {"padding_idx": 2},
    {"mode": "sum", "padding_idx": 2},
    {"mode": "max", "padding_idx": 2},
]


@pytest.mark.parametrize("options", BAGS)
def test_bags(options):
    def bag(m, *args, **more):
        return m.nn.functional.embedding_bag(*args, **options, **more)

    table = floats(6, 3)
    same(lambda m, i, w: bag(m, i, w), ints(4, 5, high=6), table)
    offsets = np.array([0, 3, 3, 7])
    same(lambda m, i, w, o: bag(m, i, w, o), ints(9, high=6), table, offsets)
    ends = np.array([0, 3, 7, 9])
    same(lambda m, i, w, o: bag(m, i, w, o, include_last_offset=True), ints(9, high=6), table, ends)


def test_weighted_bags():
    same(
        lambda m, i, w, p: m.nn.functional.embedding_bag(i, w, mode="sum", per_sample_weights=p),
        ints(4, 5, high=6),
        floats(6, 3),
        floats(4, 5, seed=1),
    )


def test_bags_scale_long_rows():
    def call(m, i, w):
        return m.nn.functional.embedding_bag(i, w.detach().clone(), max_norm=1.0, mode="sum")

    same(call, ints(4, 5, high=6), floats(6, 3))


def test_layers():
    layer = dt.nn.Embedding(6, 3, padding_idx=1, max_norm=2.0)
    theirs = torch.nn.Embedding(6, 3, padding_idx=1, max_norm=2.0)
    assert layer.weight[1].tolist() == [0, 0, 0]
    layer.weight.data.copy_(dt.tensor(theirs.weight.detach().tolist()))
    found = []
    for m, made in ((dt, layer), (torch, theirs)):
        out = made(m.tensor([[1, 2], [5, 2]]))
        (out * out).sum().backward()
        found.append((out.detach().numpy(), made.weight.grad.numpy(), made.weight.detach().numpy()))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
