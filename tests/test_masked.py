"""Reductions that leave elements out, beside PyTorch's."""

import numpy as np
import pytest

import devtensor as dt

torch = pytest.importorskip("torch")

REDUCTIONS = ["sum", "prod", "amax", "amin", "mean", "var", "std", "logsumexp", "argmax", "argmin"]
ALONG = ["cumsum", "cumprod", "softmax", "log_softmax", "softmin", "median"]
MASKS = {
    "some": np.array([[True, False, True, True], [False, True, False, True], [True] * 4]),
    "row": np.array([True, False, True, True]),
    "all": None,
}


def data(seed=0):
    return np.random.default_rng(seed).standard_normal((3, 4))


def compare(call, mask, dtype="float64", slopes=True):
    """Assert that values, types and slopes of `call(module.masked, x, mask)` agree."""
    results = []
    for m in (torch, dt):
        x = m.tensor((data() * 4).tolist(), dtype=getattr(m, dtype))
        if slopes:
            x.requires_grad_()
        given = None if mask is None else m.tensor(mask.tolist())
        y = call(m.masked, x, given)
        slope = None
        if slopes and y.requires_grad:
            m.autograd.backward(y, m.arange(y.numel(), dtype=y.dtype).reshape(y.shape) + 1)
            slope = np.asarray(x.grad.tolist())
        results.append((np.asarray(y.tolist()), str(y.dtype), slope))
    theirs, ours = results
    assert ours[1] == theirs[1]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    if theirs[2] is not None:
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dim, mask):
    compare(lambda m, x, k: getattr(m, name)(x, dim, mask=k), mask)
    compare(lambda m, x, k: getattr(m, name)(x, dim, mask=k, keepdim=dim is not None), mask)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", ALONG)
def test_along_a_dimension(name, dim, mask):
    compare(lambda m, x, k: getattr(m, name)(x, dim, mask=k), mask)


@pytest.mark.parametrize("ord", [2.0, 1.0, 0.0, 3.0, float("inf"), -float("inf")])
def test_lengths(ord):
    compare(lambda m, x, k: m.norm(x, ord, 1, mask=k), MASKS["some"], slopes=ord != 0)
    compare(lambda m, x, k: m.norm(x, ord, mask=k), MASKS["row"], slopes=False)
    if ord > 0:
        compare(lambda m, x, k: m.normalize(x, ord, 1, mask=k), MASKS["some"])


def test_two_exponentials():
    def call(m, x, k):
        return m.logaddexp(x, x * 2, input_mask=k, other_mask=~k | (x > 0))

    compare(call, MASKS["some"])


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "cumsum", "argmax"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_whole_numbers(name, dtype):
    for m in (torch, dt):
        assert hasattr(m.masked, name)
    results = []
    for m in (torch, dt):
        x = m.tensor([[3, 1, 2], [0, 5, 4]], dtype=getattr(m, dtype))
        k = m.tensor([[True, False, True], [True, True, False]])
        y = getattr(m.masked, name)(x, 1, mask=k)
        results.append((y.tolist(), str(y.dtype)))
    assert results[0] == results[1]


def test_spread_and_corrections():
    for options in ({"unbiased": False}, {"correction": 0.5}, {"unbiased": True}):
        compare(lambda m, x, k, o=options: m.var(x, 1, mask=k, **o), MASKS["some"])
        compare(lambda m, x, k, o=options: m.std(x, mask=k, **o), MASKS["some"])


def test_another_type():
    compare(lambda m, x, k: m.sum(x, 0, mask=k, dtype=x.dtype), MASKS["some"], "float32", False)
    with pytest.raises(TypeError, match="mask must be"):
        dt.masked.sum(dt.ones(2), mask=dt.ones(2))
    with pytest.raises(TypeError, match="floating"):
        dt.masked.mean(dt.ones(2, dtype=dt.int64))
