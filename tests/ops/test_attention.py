"""Attention and affine maps against PyTorch."""

import math

import numpy as np
import pytest
import torch
from beside_torch import floats, refused, same

import devtensor as dt
from devtensor.ops.attention import attention

SHAPES = {
    "heads": ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7)),
    "batch": ((2, 5, 4), (2, 5, 4), (2, 5, 4)),
    "single": ((5, 4), (6, 4), (6, 3)),
    "broadcast": ((2, 3, 5, 4), (1, 3, 6, 4), (2, 1, 6, 4)),
    "longer": ((2, 7, 4), (2, 3, 4), (2, 3, 4)),
}


def attend(m, *xs, **options):
    return m.nn.functional.scaled_dot_product_attention(*xs, **options)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"scale": 0.3}, {"is_causal": True, "scale": 2.0}]
)
def test_attention(case, options):
    arrays = [floats(*shape, seed=i) for i, shape in enumerate(SHAPES[case])]
    same(lambda m, q, k, v: attend(m, q, k, v, **options), *arrays)


@pytest.mark.parametrize("shape", [(5, 6), (1, 6), (5, 1), (2, 1, 5, 6), (3, 5, 6), (2, 3, 5, 6)])
def test_masks(shape):
    arrays = [floats(*s, seed=i) for i, s in enumerate(SHAPES["heads"])]
    bias = floats(*shape, seed=9)
    same(lambda m, q, k, v, b: attend(m, q, k, v, attn_mask=b), *arrays, bias)
    same(lambda m, q, k, v, b: attend(m, q, k, v, b.detach() > 0.3), *arrays, bias)


def test_a_query_that_sees_nothing_gives_zeros():
    arrays = [floats(*s, seed=i) for i, s in enumerate(SHAPES["single"])]
    hidden = np.zeros((5, 6))
    hidden[2:] = -np.inf
    same(lambda m, q, k, v, b: attend(m, q, k, v, b.detach()), *arrays, hidden, grad=False)
    same(lambda m, q, k, v, b: attend(m, q, k, v, b.detach() == 0), *arrays, hidden)


@pytest.mark.parametrize("mask", [None, (5, 6), (2, 1, 5, 6), (2, 4, 5, 6)])
def test_shared_heads(mask):
    q, k, v = floats(2, 4, 5, 3), floats(2, 2, 6, 3, seed=1), floats(2, 2, 6, 3, seed=2)
    if mask is None:
        same(lambda m, q, k, v: attend(m, q, k, v, enable_gqa=True, is_causal=True), q, k, v)
    else:
        same(
            lambda m, q, k, v, b: attend(m, q, k, v, b, enable_gqa=True),
            q,
            k,
            v,
            floats(*mask, seed=3),
        )


def test_long_sequences():
    # Long enough for the kernel that works by blocks of rows.
    q, k, v = (floats(3, 400, 8, seed=i).astype("float32") for i in range(3))
    for options in ({}, {"is_causal": True}):
        same(lambda m, q, k, v, o=options: attend(m, q, k, v, **o), q, k, v, rtol=1e-4)
        same(lambda m, q, k, v, o=options: attend(m, q, k, v, **o), q, k, v, rtol=1e-4, grad=False)
    same(lambda m, q, k, v: attend(m, q, k, v, q @ k.mT), q, k, v, rtol=1e-4)


def test_long_sequences_of_several_tiles(monkeypatch):
    monkeypatch.setattr("devtensor_numpy.kernels.attention.CACHED", 60)
    monkeypatch.setattr("devtensor_numpy.kernels.attention.FEWEST", 4)
    arrays = [floats(2, 3, 25, 4, seed=i) for i in range(3)]
    for options in ({}, {"is_causal": True}):
        same(lambda m, *xs, options=options: attend(m, *xs, **options), *arrays)
    same(lambda m, q, k, v: attend(m, q.detach(), k, v.detach()), *arrays)
    same(lambda m, q, k, v: attend(m, q.detach(), k.detach(), v), *arrays)


def test_a_mask_beside_a_causal_one_in_long_sequences():
    def call(m, q, k, v, bias):
        if m is dt:
            return attention(q, k, v, bias, scale=0.5, is_causal=True)[0]
        bias = bias.masked_fill(torch.ones(300, 300, dtype=torch.bool).triu(1), -math.inf)
        return attend(m, q, k, v, bias, scale=0.5)

    arrays = [floats(2, 300, 8, seed=i) for i in range(3)]
    same(call, *arrays, floats(300, 300, seed=3))


def test_permuted_heads():
    x = floats(2, 5, 3, 4)
    same(
        lambda m, q, k, v: attend(m, *(x.transpose(1, 2) for x in (q, k, v))),
        x,
        floats(2, 6, 3, 4),
        floats(2, 6, 3, 4, seed=2),
    )


def test_the_result_of_permuted_heads_is_permuted_as_they_are():
    x = floats(2, 5, 3, 3, 4).astype("float32")
    ours, theirs = (attend(m, *m.tensor(x).permute(2, 0, 3, 1, 4)) for m in (dt, torch))
    assert ours.stride() == theirs.stride()
    for order in ((2, 0, 3, 1, 4), (2, 3, 0, 1, 4), (2, 0, 1, 3, 4)):
        same(lambda m, x, order=order: attend(m, *x.permute(order)), x, rtol=1e-5)


@pytest.mark.parametrize("width", [0, 1])
def test_values_without_elements(width):
    q, k, v = dt.ones(2, 3, 4), dt.ones(2, 5, 4), dt.ones(2, 5, width)
    output, weights = attention(q, k, v, scale=1.0)
    assert output.shape == (2, 3, width)
    np.testing.assert_allclose(weights.numpy(), 0.2, rtol=1e-6)


def test_dropout_of_weights():
    q = dt.ones(1, 1, 4, 2, requires_grad=True)
    assert attend(dt, q, q, q, dropout_p=1.0).tolist() == np.zeros((1, 1, 4, 2)).tolist()
    attend(dt, q, q, q, dropout_p=0.5).sum().backward()
    assert q.grad.shape == q.shape


REFUSALS = {
    "rank": (lambda m, q: attend(m, q[0, 0, 0], q, q), "to all be  at least 2 dimensional"),
    "types": (
        lambda m, q: attend(m, q, q, q.float()),
        "Expected query, key, and value to have the same dtype",
    ),
    "integers": (lambda m, q: attend(m, q.long(), q.long(), q.long()), "but found Long"),
    "sizes": (
        lambda m, q: attend(m, q[0, 0], q[0, 0, :, :3], q[0, 0]),
        "cannot be multiplied (5x4 and 3x5)",
    ),
    "lengths": (
        lambda m, q: attend(m, q[0, 0], q[0, 0], q[0, 0, :3]),
        "cannot be multiplied (5x5 and 3x4)",
    ),
    "heads": (lambda m, q: attend(m, q, q[:, :2], q[:, :2]), "must match the size of tensor b (2)"),
    "shared": (
        lambda m, q: attend(m, q, q[:, :2], q[:, :2], enable_gqa=True),
        "must divide the number of heads",
    ),
    "mask": (lambda m, q: attend(m, q, q, q, q[0, 0, :, :3]), "must match the size of tensor b"),
    "mask_type": (
        lambda m, q: attend(m, q, q, q, (q @ q.mT).long()),
        "Expected attn_mask dtype to be bool or float",
    ),
    "dropout": (
        lambda m, q: attend(m, q, q, q, dropout_p=2.0),
        "dropout probability has to be between 0 and 1",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case):
    call, phrase = REFUSALS[case]
    refused(call, floats(2, 3, 5, 4), phrase=phrase)


def test_second_derivative():
    found = []
    for m in (dt, torch):
        x = m.tensor(floats(2, 4, 3).tolist(), dtype=m.float64, requires_grad=True)
        y = attend(m, x, x, x, is_causal=True) if m is dt else reference(x)
        (slope,) = m.autograd.grad(y.square().sum(), x, create_graph=True)
        (bend,) = m.autograd.grad(slope.square().sum(), x)
        found.append(np.array(bend.tolist()))
    np.testing.assert_allclose(*found, rtol=1e-7)


def reference(x):
    """Attention of `x` with itself; PyTorch's own has no second derivative."""
    later = torch.ones(x.shape[-2], x.shape[-2]).triu(1).bool()
    scores = (x @ x.mT / math.sqrt(x.shape[-1])).masked_fill(later, -math.inf)
    return scores.softmax(-1) @ x


@pytest.mark.parametrize(
    "shape", [(5, 3), (2, 5, 3), (3,), (1, 3), (0, 3), (2, 0, 3), (2, 2, 2, 3)]
)
def test_linear(shape):
    x, w, b = floats(*shape), floats(4, 3, seed=1), floats(4, seed=2)
    F = lambda m: m.nn.functional  # noqa: E731
    same(lambda m, x, w: F(m).linear(x, w), x, w)
    same(lambda m, x, w, b: F(m).linear(x, w, b), x, w, b)
    same(lambda m, x, w, b: F(m).linear(x, w, b[0]), x, w, b)
    same(lambda m, x, w: F(m).linear(x, w[0]), x, w)
    same(lambda m, x, w, b: F(m).linear(x.detach(), w, b), x, w, b)
    same(lambda m, x, w, b: F(m).linear(x, w.detach(), b.detach()), x, w, b)


def test_linear_types_and_views():
    x, w, b = floats(5, 3), floats(4, 3, seed=1), floats(4, seed=2)
    same(
        lambda m, x, w, b: m.nn.functional.linear(x.float(), w.float(), b.float()),
        x,
        w,
        b,
        rtol=1e-5,
    )
    same(
        lambda m, x, w, b: m.nn.functional.linear(x.half(), w.half(), b.half()), x, w, b, rtol=1e-2
    )
    same(lambda m, x, w: m.nn.functional.linear(x.int(), w.int()), x * 9, w * 9, grad=False)
    same(lambda m, x, w: m.nn.functional.linear(x.T[:, :3], w[::2, 1:3] @ x[:2]), x, w)


LINEAR = {
    "sizes": (lambda F, x: F.linear(x[0, 0], x[0, 0, :, :3]), None),
    "sizes_batch": (lambda F, x: F.linear(x, x[0, 0, :, :3]), None),
    "bias": (lambda F, x: F.linear(x[0, 0], x[0, 0], x[0, 0, 0]), None),
    "types": (
        lambda F, x: F.linear(x, x[0, 0].float()),
        "expected m1 and m2 to have the same dtype",
    ),
    "bias_type": (
        lambda F, x: F.linear(x[0, 0], x[0, 0], x[0, 0, :, 0].float()),
        "self and mat2 must have the same dtype",
    ),
    "number": (lambda F, x: F.linear(x[0, 0, 0, 0], x[0, 0]), None),
    "weight": (lambda F, x: F.linear(x, x), "expects a tensor with <= 2 dimensions"),
    "bilinear": (lambda F, x: F.bilinear(x[0, 0], x[0, 0], x[0]), None),
    "bilinear_batch": (lambda F, x: F.bilinear(x[0, 0], x[0, 0, :2], x[0]), None),
}


@pytest.mark.parametrize("case", LINEAR)
def test_linear_refuses(case):
    call, phrase = LINEAR[case]
    refused(lambda m, x: call(m.nn.functional, x), floats(2, 3, 5, 4), phrase=phrase)


@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_bilinear(batch):
    a, b, w, c = (
        floats(*batch, 3),
        floats(*batch, 4, seed=1),
        floats(6, 3, 4, seed=2),
        floats(6, seed=3),
    )
    same(lambda m, a, b, w, c: m.nn.functional.bilinear(a, b, w, c), a, b, w, c)
    same(lambda m, a, b, w: m.nn.functional.bilinear(a, b, w), a, b, w)
