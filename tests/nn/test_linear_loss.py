"""The cross entropy of a linear layer's scores against PyTorch's, whole and piece by piece."""

import warnings

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn

torch = pytest.importorskip("torch")
CASES = [
    ((5, 7), {}, (6,)),
    ((5, 7), {"bias": True, "reduction": "sum", "label_smoothing": 0.2}, (6,)),
    ((5, 7), {"bias": True, "reduction": "none", "ignore_index": 2}, (6,)),
    ((5, 7), {"reduction": "none"}, ()),
    ((5, 7), {"out_features": (2, 3), "bias": True}, (6, 2, 3)),
]
SIZES = [{"batch_chunk_size": 4}, {"chunking_method": "aspect_ratio"}, {}]


def both(sizes, settings, target, options=None):
    """The loss and its gradients of each library."""
    for t in (torch, dt):
        made = None if options is None else t.nn.LinearCrossEntropyOptions(**options)
        kind = t.float64
        loss = t.nn.LinearCrossEntropyLoss(*sizes, dtype=kind, options=made, **settings)
        random = np.random.default_rng(0)
        for p in loss.parameters():
            p.data = t.tensor(random.standard_normal(p.shape), dtype=kind)
        rows = random.standard_normal((*target[:1], 5))
        x = t.tensor(rows, dtype=kind, requires_grad=True)
        out = loss(x, t.tensor(random.integers(0, 7, target)))
        out.sum().backward()
        yield [out, x.grad, *[p.grad for p in loss.parameters()]], loss


def close(pair):
    (theirs, their_loss), (ours, our_loss) = pair
    for mine, other in zip(ours, theirs, strict=True):
        assert tuple(mine.shape) == tuple(other.shape) and str(mine.dtype) == str(other.dtype)
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), 1e-9, 1e-11)
    return their_loss, our_loss


@pytest.mark.parametrize(("sizes", "settings", "target"), CASES)
def test_the_loss_is_pytorchs(sizes, settings, target):
    theirs, ours = close(both(sizes, settings, target))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("options", SIZES)
@pytest.mark.parametrize(("sizes", "settings", "target"), [c for c in CASES if len(c[2]) < 2])
def test_pieces_make_the_same_loss(sizes, settings, target, options):
    settings = {k: v for k, v in settings.items() if k != "label_smoothing"}
    close(both(sizes, settings, target, options))


def test_pieces_are_weighted_by_class():
    for reduction in ("mean", "sum", "none"):
        found = []
        for options in (None, nn.LinearCrossEntropyOptions(batch_chunk_size=2)):
            loss = nn.LinearCrossEntropyLoss(
                2, 3, weight=dt.tensor([1.0, 2.0, 5.0]), reduction=reduction, options=options
            )
            loss.linear.weight.data = dt.arange(6.0).reshape(3, 2)
            found.append(loss(dt.arange(10.0).reshape(5, 2), dt.tensor([0, 2, -100, 1, 2])))
        dt.testing.assert_close(*found)


def test_pieces_of_half_precision_are_scored_and_added_in_float32():
    random, found = np.random.default_rng(0), []
    rows, matrix = (dt.tensor(random.standard_normal((n, 5))).bfloat16() for n in (64, 7))
    target = dt.tensor(random.integers(0, 7, 64))
    for kind in (dt.float32, dt.bfloat16):
        x, w = (v.detach().to(kind).requires_grad_() for v in (rows, matrix))
        options = nn.LinearCrossEntropyOptions(batch_chunk_size=4)
        loss = nn.functional.linear_cross_entropy(x, w, target, options=options)
        loss.backward()
        found.append([v.bfloat16() for v in (loss, x.grad, w.grad)])
    dt.testing.assert_close(*found, rtol=2**-7, atol=1e-6)  # the last of the bits


def test_a_piece_forgets_its_scores():
    kept = []
    x, w = dt.ones(64, 2, requires_grad=True), dt.ones(100, 2, requires_grad=True)
    target = dt.zeros(64, dtype=dt.int64)
    for options in (None, nn.LinearCrossEntropyOptions(batch_chunk_size=8)):
        sizes: list = []
        with dt.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            dt.nn.functional.linear_cross_entropy(x, w, target, options=options)
        kept.append(max(sizes, default=0))
    assert kept[0] >= 6400 and kept[1] < 6400


@pytest.mark.parametrize(
    "call",
    [
        lambda t, f: f(t.ones(2, 2, 2), t.ones(3, 2), t.zeros(2).long()),
        lambda t, f: f(t.ones(2, 2), t.ones(2), t.zeros(2).long()),
        lambda t, f: f(t.ones(2, 4), t.ones(3, 2), t.zeros(2).long()),
        lambda t, f: f(t.ones(2, 2), t.ones(3, 2), t.zeros(2).long(), linear_bias=t.ones(2)),
        lambda t, f: f(t.ones(2), t.ones(3, 4, 2), t.zeros(4).long()),
        lambda t, f: f(t.ones(2, 2), t.ones(3, 2), t.ones(2, 3), ignore_index=1),
        lambda t, f: t.nn.LinearCrossEntropyLoss(2, 3, weight=t.ones(2)),
        lambda t, f: t.nn.LinearCrossEntropyLoss(2, 3, label_smoothing=2.0),
        lambda t, f: t.nn.LinearCrossEntropyOptions(acc_policy="none"),
        lambda t, f: t.nn.LinearCrossEntropyOptions(chunking_method="aspect_ratio:0"),
        lambda t, f: t.nn.LinearCrossEntropyOptions(batch_chunk_size=0),
        lambda t, f: t.nn.LinearCrossEntropyOptions(acc_dtype=t.int64),
        lambda t, f: f(
            t.ones(8, 2), t.ones(3, 2), t.zeros(8).long(),
            options=t.nn.LinearCrossEntropyOptions(
                batch_chunk_size=3, chunking_method="aspect_ratio"
            ),
        ),
    ],
)  # fmt: skip
def test_what_pytorch_refuses_is_refused(call):
    errors = []
    for t in (torch, dt):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            call(t, t.nn.functional.linear_cross_entropy)
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[1])[:20] == str(errors[0])[:20]


def test_options_that_cannot_be_followed_are_ignored_with_a_warning():
    arguments = dt.ones(2, 2), dt.eye(3, 2), dt.tensor([0, 2])
    options = nn.LinearCrossEntropyOptions()
    with pytest.warns(UserWarning, match="`options` ignored"):
        found = nn.functional.linear_cross_entropy(*arguments, label_smoothing=0.1, options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = nn.functional.linear_cross_entropy(*arguments, label_smoothing=0.1)
    assert found == plain
