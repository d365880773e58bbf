"""Attention whose scores a function changes, beside PyTorch's."""

from importlib import import_module

import numpy as np
import pytest
import torch

import devtensor as dt

BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])


def flex(t):
    return import_module(f"{t.__name__}.nn.attention.flex_attention")


def place(t):
    """The default device; PyTorch's masks would be made for an accelerator."""
    return t.get_default_device()


def causal(b, h, q, kv):
    return q >= kv


def near(b, h, q, kv):
    return (q - kv).abs() <= 2 + h


def values(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


CASES = {
    "plain": lambda t: {},
    "distance": lambda t: {"score_mod": lambda s, b, h, q, kv: s + (kv - q) * t.exp2(-(h + 1.0))},
    "caps": lambda t: {"score_mod": lambda s, b, h, q, kv: 2 * t.tanh(s / 2)},
    "where": lambda t: {"score_mod": lambda s, b, h, q, kv: t.where(q >= kv, s, -float("inf"))},
    "causal": lambda t: {
        "block_mask": flex(t).create_block_mask(causal, None, None, 6, 9, place(t))
    },
    "documents": lambda t: {
        "block_mask": flex(t).create_block_mask(
            flex(t).and_masks(near, documents(t)), 2, 4, 6, 9, place(t), BLOCK_SIZE=4
        )
    },
    "nothing": lambda t: {
        "block_mask": flex(t).create_block_mask(
            lambda b, h, q, kv: q > kv, None, None, 6, 9, place(t)
        )
    },
    "scale": lambda t: {"scale": 0.3},
}


def documents(t):
    number = t.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])
    return lambda b, h, q, kv: number[q] == number[kv]


@pytest.mark.parametrize("gqa", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore")
def test_attention(case, gqa):
    found = []
    for t in (torch, dt):
        heads = 2 if gqa else 4
        shapes = [(2, 4, 6, 8), (2, heads, 9, 8), (2, heads, 9, 5)]
        x = [t.tensor(values(k, *shape)) for k, shape in enumerate(shapes)]
        out, lse = flex(t).flex_attention(*x, enable_gqa=gqa, return_lse=True, **case(t))
        found.append([np.asarray(y.tolist()) for y in (out, lse)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["caps", "documents", "nothing"])
def test_slopes(name):
    shapes = [(2, 4, 6, 3), (2, 4, 9, 3), (2, 4, 9, 2)]
    x = [dt.tensor(values(k, *s)).requires_grad_() for k, s in enumerate(shapes)]
    asked = CASES[name](dt)  # PyTorch has no way back on the cpu
    assert dt.autograd.gradcheck(lambda *x: flex(dt).flex_attention(*x, **asked), x, fast_mode=True)


def test_a_learned_bias_has_a_gradient():
    bias = dt.zeros(2, 5, requires_grad=True)
    x = dt.tensor(values(0, 1, 2, 5, 4))
    flex(dt).flex_attention(x, x, x, lambda s, b, h, q, kv: s + bias[h, kv])[
        0, 0, 0
    ].sum().backward()
    assert bias.grad[0].any() and not bias.grad[1].any()


@BOTH
def test_blocks_of_masks(t):
    f = flex(t)
    made = f.create_block_mask(causal, 1, 1, 300, 300, place(t))
    assert made.BLOCK_SIZE == (f._DEFAULT_SPARSE_BLOCK_SIZE,) * 2
    made = f.create_block_mask(causal, 1, 1, 10, 10, place(t), BLOCK_SIZE=4)  # no whole last blocks
    assert made.kv_num_blocks.tolist() == [[[1, 1, 3]]] and made.shape == (1, 1, 10, 10)
    made = f.create_block_mask(causal, 1, 1, 12, 12, place(t), BLOCK_SIZE=4)
    assert made.kv_num_blocks.tolist() == [[[1, 1, 1]]]
    assert made.full_kv_num_blocks.tolist() == [[[0, 1, 2]]]
    assert made.to_dense().int().tolist() == [[[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]]
    assert made.sparsity() == pytest.approx(100 / 3) and made.numel() == 144
    assert made[0, 0, :2].kv_num_blocks.tolist() == [[[1, 1]]]
    mask = f.create_mask(f.or_masks(causal, near), 1, 2, 3, 3, place(t))
    assert mask.int().tolist()[0][0] == [[1, 1, 1]] * 3
    scores = f.create_mask(
        lambda s, b, h, q, kv: t.where(q == kv, s, -float("inf")), 1, 1, 2, 2, "cpu"
    )
    assert scores.int().tolist() == [[[[1, 0], [0, 1]]]]


@BOTH
@pytest.mark.filterwarnings("ignore")
def test_what_is_refused(t):
    f, x = flex(t), t.ones(1, 4, 3, 2)
    with pytest.raises(ValueError, match="Try setting enable_gqa=True for GQA"):
        f.flex_attention(x, x[:, :2], x[:, :2])
    with pytest.raises(
        ValueError, match="to be a multiple of kv heads for GQA but got Hq=4 and Hkv=3"
    ):
        f.flex_attention(x, x[:, :3], x[:, :3], enable_gqa=True)
    with pytest.raises(NotImplementedError):
        f.flex_attention(x[0], x[0], x[0])
    mask = f.create_block_mask(causal, None, None, 8, 8, x.device)
    with pytest.raises(ValueError, match="block_mask was created for"):
        f.flex_attention(x, x, x, block_mask=mask)
