"""Reductions that leave elements out, beside PyTorch's."""

import warnings

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


# ---- tensors that keep their mask


def both(call):
    """What a call gives with PyTorch and here: the text of the result, or the type of error."""
    found = []
    for m in (torch, dt):
        data = m.arange(6.0).reshape(2, 3)
        mask = m.tensor([[True, False, True], [False, True, False]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's: the class is new
            try:
                found.append(str(call(m, m.masked.masked_tensor(data, mask), data)))
            except Exception as error:
                found.append(type(error))
    return found


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, d: x,
        lambda m, x, d: x.get_mask(),
        lambda m, x, d: x.to_tensor(9.0),
        lambda m, x, d: (x.shape, x.dtype, x.requires_grad, len(x), x.numel(), x.ndim),
        lambda m, x, d: (x.int(), x.bool(), x.to(m.float64).dtype, x.double().dtype),
        lambda m, x, d: [x + x, x * d, 2 * x, x - 1, x / x, x**2, x > 1, x == x, -x, abs(x)],
        lambda m, x, d: [x.sin(), m.exp(x), x.sigmoid(), x.clamp(0, 2), x.isnan(), x.sqrt_(), x],
        lambda m, x, d: x.add_(1),
        lambda m, x, d: [x.logaddexp(x), m.minimum(x, x), m.ones_like(x)],
        *[
            lambda m, x, d, name=name: [
                getattr(x, name)(),
                getattr(m, name)(x, 1),
                getattr(x, name)(0),
            ]
            for name in ("sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "std", "all")
        ],
        lambda m, x, d: x.sum(dim=1, keepdim=True),
        lambda m, x, d: (x[0], x[1, 1], x[0, 1], x[0, 2].item(), bool(x.all())),
        lambda m, x, d: [x.t(), x.reshape(3, 2), x.unsqueeze(0), x.expand(2, 2, 3), x.flatten()],
        lambda m, x, d: [m.cat([x, x]), m.stack([x, x]), *x.chunk(2), *x.split(2, 1)],
        lambda m, x, d: m.where(x.get_mask(), x, x),
        lambda m, x, d: [m.softmax(x, 0), x.softmax(1)],
        lambda m, x, d: x + m.masked.masked_tensor(d, ~x.get_mask()),
        lambda m, x, d: x @ d.t(),
        lambda m, x, d: x.sort(),
        lambda m, x, d: x.tolist(),
        lambda m, x, d: m.masked.masked_tensor(d, x.get_mask().float()),
        lambda m, x, d: m.masked.masked_tensor(d, x.get_mask()[0]),
        lambda m, x, d: m.masked.masked_tensor([1.0], x.get_mask()),
        lambda m, x, d: m.masked.masked_tensor(m.tensor(1.5), m.tensor(False)),
        lambda m, x, d: m.masked.masked_tensor(d.int() * 1000, x.get_mask()),
        lambda m, x, d: m.masked.is_masked_tensor(x) and not m.masked.is_masked_tensor(d),
    ],
)
def test_tensors_with_masks(call):
    theirs, ours = both(call)
    assert ours == theirs


def test_slopes_of_tensors_with_masks():
    def call(m, x, d):
        x = m.masked.masked_tensor(d, x.get_mask(), requires_grad=True)
        ((x * x).sum() + x.mean() + x.softmax(0).sum()).backward()
        return x.grad, x.requires_grad, x.is_leaf, (x * 2).requires_grad

    theirs, ours = both(call)
    assert ours == theirs
    mask = dt.tensor([True, False])
    x = dt.tensor([4.0, 0.0], requires_grad=True)
    (1 / dt.masked.as_masked_tensor(x, mask).sqrt()).sum().backward()
    assert x.grad.tolist() == [-0.0625, 0.0]  # nothing, not NaN, from what does not count
    with pytest.warns(UserWarning, match="It is not recommended to create a MaskedTensor"):
        dt.masked.MaskedTensor(x, mask)


def test_what_is_chosen_counts_as_it_did():
    mask = dt.tensor([True, False, True])
    x = dt.masked.masked_tensor(dt.arange(3.0), mask)
    chosen = x.where(dt.tensor([False, True, True]), -1.0)
    assert chosen.get_data().tolist() == [-1.0, 1.0, 2.0]
    assert chosen.get_mask().tolist() == [True, False, True]
    assert str(dt.where(x > 1, x, x)) == str(x)


def test_the_mask_of_an_input():
    x = dt.ones(2, 3)
    assert dt.masked._input_mask(x).all() and dt.masked._input_mask(x).shape == (2, 3)
    mask = dt.tensor([True, False, True])
    assert dt.masked._input_mask(x, mask=mask).tolist() == [mask.tolist()] * 2
