"""Losses against PyTorch: values, gradients of both orders, warnings, errors."""

import warnings

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same

import devtensor as dt

REDUCTIONS = ["mean", "sum", "none"]


def positive(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def signs(*shape, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


PAIRS = {
    "mse_loss": [{}],
    "l1_loss": [{}],
    "smooth_l1_loss": [{}, {"beta": 0.3}, {"beta": 0}],
    "huber_loss": [{}, {"delta": 0.3}],
    "poisson_nll_loss": [{}, {"full": True}, {"eps": 1e-3}],
    "binary_cross_entropy_with_logits": [{}],
    "kl_div": [{}, {"log_target": True}],
    "multilabel_soft_margin_loss": [{}],
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("ignore")
def test_of_two_tensors(name, reduction):
    for options in PAIRS[name]:
        for shape in ((4, 3), (2, 3, 4)):
            same(
                lambda m, x, y, o=options: getattr(m.nn.functional, name)(
                    x, y, reduction=reduction, **o
                ),
                floats(*shape),
                positive(*shape) * 2,
            )


@pytest.mark.parametrize(
    "name", [*PAIRS, "soft_margin_loss", "hinge_embedding_loss", "nll", "weighted"]
)
def test_of_what_is_infinite(name):
    inputs = np.tile([np.inf, -np.inf, np.nan, 0.0, -2.0, 1.0], 4)
    targets = np.repeat([1.0, -1.0, 0.0, 0.25], 6)

    def loss(m, x, y):
        if name == "nll":
            return m.nn.functional.gaussian_nll_loss(x, y, 0.5, reduction="none")
        if name == "weighted":
            return m.nn.functional.binary_cross_entropy_with_logits(
                x, y, pos_weight=y + 1, reduction="none"
            )
        return getattr(m.nn.functional, name)(x, y, reduction="none")

    same(loss, inputs, targets, grad=False)
    if "hinge" in name:
        same(loss, targets, inputs, grad=False)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_numbers_and_nothing(reduction):
    for name in (
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy_with_logits",
    ):
        same(
            lambda m, x, y, n=name: getattr(m.nn.functional, n)(x, y, reduction=reduction),
            floats(),
            positive(),
        )
        same(
            lambda m, x, y, n=name: getattr(m.nn.functional, n)(x, y, reduction=reduction),
            floats(0, 3),
            positive(0, 3),
        )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_types(dtype):
    tolerance = 1e-5 if dtype == "float32" else 2e-3
    x, y, c = floats(5, 4).astype(dtype), positive(5, 4).astype(dtype), ints(5, high=4)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"):
        same(lambda m, x, y, n=name: getattr(m.nn.functional, n)(x, y), x, y, rtol=tolerance)
    same(lambda m, x, c: m.nn.functional.cross_entropy(x, c), x, c, rtol=tolerance)
    same(lambda m, x, y: m.nn.functional.mse_loss(x, y.double()), x, y, rtol=tolerance)


def test_large_tensors():
    # Long enough for every kernel that works by blocks.
    x, y = floats(300, 250).astype("float32"), positive(300, 250).astype("float32")
    for reduction in REDUCTIONS:
        for name in ("mse_loss", "binary_cross_entropy_with_logits"):
            same(
                lambda m, x, y, n=name, r=reduction: getattr(m.nn.functional, n)(x, y, reduction=r),
                x,
                y,
                rtol=1e-4,
            )
        same(
            lambda m, x, c, r=reduction: m.nn.functional.cross_entropy(x, c, reduction=r),
            x * 3,
            ints(300, high=250),
            rtol=1e-4,
        )


def test_extreme_scores():
    x = np.array([[1000.0, -1000.0, 0.0], [-np.inf, 0.0, 1.0]])
    same(lambda m, x, c: m.nn.functional.cross_entropy(x, c, reduction="none"), x, np.array([0, 2]))
    x = np.array([1000.0, -1000.0, 50.0, -50.0, 0.0])
    same(
        lambda m, x, y: m.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none"),
        x,
        positive(5),
    )
    p = np.array([0.0, 1.0, 0.0, 1.0, 0.5])
    t = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    same(lambda m, x, y: m.nn.functional.binary_cross_entropy(x, y, reduction="none"), p, t)


@pytest.mark.parametrize("largest", [1.0, 8.0, 31.0, 33.0, 300.0])
def test_entropies_of_large_scores_are_as_exact_as_those_of_small_ones(largest):
    scores = floats(60, 20).astype("float32")
    scores *= largest / np.abs(scores).max()
    labels = np.concatenate([scores[:40].argmax(1), scores[40:].argmin(1)])
    found = dt.nn.functional.cross_entropy(dt.tensor(scores), dt.tensor(labels), reduction="none")
    exact = torch.nn.functional.cross_entropy(
        torch.tensor(scores, dtype=torch.float64), torch.tensor(labels), reduction="none"
    )
    np.testing.assert_allclose(found.numpy(), exact.numpy(), rtol=3e-7, atol=3e-7)


def test_two_tensors_that_broadcast():
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        with pytest.warns(UserWarning, match="different to the input size"):
            same(lambda m, x, y, n=name: getattr(m.nn.functional, n)(x, y), floats(4, 1), floats(3))


def test_weights_of_elements():
    x, y, w = floats(4, 3), floats(4, 3, seed=1), positive(4, 3)
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        for reduction in REDUCTIONS:
            same(
                lambda m, x, y, w, n=name, r=reduction: getattr(m.nn.functional, n)(
                    x, y, weight=w, reduction=r
                ),
                x,
                y,
                w,
            )
    refused(
        lambda m, x, w: m.nn.functional.mse_loss(x, x, weight=w),
        x,
        w[0],
        phrase="Weights and input must have the same",
    )


def test_older_arguments():
    x, y = floats(4, 3), floats(4, 3, seed=1)
    for options in (
        {"size_average": False},
        {"reduce": False},
        {"size_average": True, "reduce": False},
        {"reduce": True},
    ):
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
            same(lambda m, x, y, o=options: m.nn.functional.mse_loss(x, y, **o), x, y)


CLASSES = {
    "plain": ((5, 4), (5,)),
    "one": ((4,), ()),
    "sequence": ((3, 4, 6), (3, 6)),
    "image": ((3, 4, 2, 5), (3, 2, 5)),
    "volume": ((3, 4, 2, 1, 2), (3, 2, 1, 2)),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CLASSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(case, reduction, smoothing):
    scores, targets = CLASSES[case]
    x, c, w = floats(*scores), ints(*targets, high=4), positive(4)
    how = {"reduction": reduction, "label_smoothing": smoothing}
    same(lambda m, x, c: m.nn.functional.cross_entropy(x, c, **how), x, c)
    same(lambda m, x, c, w: m.nn.functional.cross_entropy(x, c, w.detach(), **how), x, c, w)
    if reduction != "mean" or case != "one":
        same(lambda m, x, c: m.nn.functional.cross_entropy(x, c, ignore_index=1, **how), x, c)
        same(
            lambda m, x, c, w: m.nn.functional.cross_entropy(
                x, c - 100, w.detach(), ignore_index=-100, **how
            ),
            x,
            c * 0,
            w,
        )
    if targets:
        probabilities = positive(*scores)
        same(lambda m, x, y: m.nn.functional.cross_entropy(x, y, **how), x, probabilities)
        same(lambda m, x, y, w: m.nn.functional.cross_entropy(x, y, w, **how), x, probabilities, w)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 0), (2, 0, 1, 3), (0, 3)])
def test_losses_of_nothing(shape, reduction):
    classes = shape[min(1, len(shape) - 1)]
    x, w = np.zeros(shape), np.ones(classes)
    samples = np.delete(shape, min(1, len(shape) - 1))
    c = np.full(tuple(samples), -100)
    for smoothing in (0.0, 0.1):
        how = {"reduction": reduction, "label_smoothing": smoothing}
        for weight in (None, w):
            wide = {} if weight is None else {"weight": weight}

            def loss(m, x, y, how=how, wide=wide):
                more = {name: m.tensor(value) for name, value in wide.items()}
                return m.nn.functional.cross_entropy(x, y, **more, **how)

            same(loss, x, c)
            same(loss, x, x)
    same(lambda m, x, c: m.nn.functional.nll_loss(x, c, reduction=reduction), x, c)
    if c.size and not classes:
        for m in (dt, torch):
            for loss in (m.nn.functional.cross_entropy, m.nn.functional.nll_loss):
                with pytest.raises(IndexError, match="Target 0 is out of bounds"):
                    loss(m.tensor(x), m.tensor(c * 0), reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("scale", [1, 60])  # scores that need no shift, and such that do
@pytest.mark.parametrize("where", [(1, 2), (1, 3), (2, 3), (0, 2)])
def test_cross_entropy_of_scores_in_any_order_of_memory(where, scale, reduction):
    x, c = floats(9, 4, 5, 7) * scale, ints(9, 5, 7, high=4)
    w = positive(4)

    def loss(m, x, c, w, **how):
        turned = x.transpose(*where).contiguous().transpose(*where)
        return m.nn.functional.cross_entropy(turned, c, w.detach(), reduction=reduction, **how)

    same(loss, x, c, w)
    same(lambda m, x, c, w: loss(m, x, c, w, ignore_index=2), x, c, w)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CLASSES)
def test_nll_loss(case, reduction):
    scores, targets = CLASSES[case]
    x, c, w = floats(*scores), ints(*targets, high=4), positive(4)
    same(lambda m, x, c: m.nn.functional.nll_loss(x, c, reduction=reduction), x, c)
    same(
        lambda m, x, c, w: m.nn.functional.nll_loss(
            x, c, w.detach(), reduction=reduction, ignore_index=2
        ),
        x,
        c,
        w,
    )


def test_one_sample_in_a_list():
    # PyTorch has no gradient here.
    x, c = floats(4), np.array([2])
    for reduction in REDUCTIONS:
        same(
            lambda m, x, c, r=reduction: m.nn.functional.cross_entropy(x, c, reduction=r),
            x,
            c,
            grad=False,
        )
        same(
            lambda m, x, c, r=reduction: m.nn.functional.nll_loss(x, c, reduction=r),
            x,
            c,
            grad=False,
        )


def test_many_samples_of_two_bytes_share_the_gradient():
    x = dt.zeros(70_000, 2, dtype=dt.float16, requires_grad=True)  # more than the type can count
    target = dt.zeros(70_000, dtype=dt.int64)
    target[0] = -100
    dt.nn.functional.cross_entropy(x, target).backward()
    assert not x.grad[0].any()
    np.testing.assert_allclose(x.grad[1:, 0].tolist(), -0.5 / 69_999, rtol=0.01)


def test_ignored_samples_do_not_count():
    x = np.array([[np.nan, 1.0], [0.5, 0.2]])
    same(lambda m, x, c: m.nn.functional.cross_entropy(x, c, reduction="sum"), x[1:], np.array([1]))
    same(lambda m, x, c: m.nn.functional.nll_loss(x, c), x, np.array([-100, 1]))
    same(lambda m, x, c: m.nn.functional.cross_entropy(x, c), x[1:], np.array([-100]))
    same(
        lambda m, x, c: m.nn.functional.cross_entropy(x, c.to(m.uint8)),
        floats(3, 4),
        ints(3, high=4),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy(reduction):
    x, y, w = positive(4, 3), positive(4, 3, seed=1), positive(3)
    same(lambda m, x, y: m.nn.functional.binary_cross_entropy(x, y, reduction=reduction), x, y)
    same(
        lambda m, x, y, w: m.nn.functional.binary_cross_entropy(
            x, y, w.detach(), reduction=reduction
        ),
        x,
        y,
        w,
    )
    x = floats(4, 3)
    same(
        lambda m, x, y, w: m.nn.functional.binary_cross_entropy_with_logits(
            x, y, w.detach(), reduction=reduction
        ),
        x,
        y,
        w,
    )
    same(
        lambda m, x, y, w: m.nn.functional.binary_cross_entropy_with_logits(
            x, y, w.detach(), reduction=reduction, pos_weight=w.detach() + 1
        ),
        x, y, w,
    )  # fmt: skip


OTHERS = {
    "hinge": (lambda F, x, y, s, **o: F.hinge_embedding_loss(x, s, **o), {"margin": 1.3}),
    "cosine": (
        lambda F, x, y, s, **o: F.cosine_embedding_loss(x, y, s[:, 0], **o),
        {"margin": 0.2},
    ),
    "soft_margin": (lambda F, x, y, s, **o: F.soft_margin_loss(x, s, **o), {}),
    "ranking": (lambda F, x, y, s, **o: F.margin_ranking_loss(x, y, s, **o), {"margin": 0.2}),
    "triplet": (
        lambda F, x, y, s, **o: F.triplet_margin_loss(x, y, s * 0.3, **o),
        {"margin": 2.0, "p": 1.0, "swap": True},
    ),
    "triplet_distance": (
        lambda F, x, y, s, **o: F.triplet_margin_with_distance_loss(x, y, s * 0.3, **o),
        {"margin": 2.0, "swap": True, "distance_function": lambda a, b: (a - b).abs().sum(-1)},
    ),
    "gaussian": (
        lambda F, x, y, s, **o: F.gaussian_nll_loss(x, y, y.square() + 0.1, **o),
        {"full": True},
    ),
    "gaussian_column": (
        lambda F, x, y, s, **o: F.gaussian_nll_loss(x, y, y[:, :1].square(), **o),
        {"eps": 0.3},
    ),
    "gaussian_row": (
        lambda F, x, y, s, **o: F.gaussian_nll_loss(x, y, y[:, 0].square() + 0.1, **o),
        {},
    ),
    "gaussian_number": (lambda F, x, y, s, **o: F.gaussian_nll_loss(x, y, 0.7, **o), {}),
    "poisson": (
        lambda F, x, y, s, **o: F.poisson_nll_loss(x.exp(), y.abs() * 3, log_input=False, **o),
        {"full": True},
    ),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", OTHERS)
def test_other_losses(case, reduction):
    call, options = OTHERS[case]
    arrays = floats(4, 3), floats(4, 3, seed=1), signs(4, 3)
    same(lambda m, x, y, s: call(m.nn.functional, x, y, s.detach(), reduction=reduction), *arrays)
    same(
        lambda m, x, y, s: call(m.nn.functional, x, y, s.detach(), reduction=reduction, **options),
        *arrays,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margins_of_classes(reduction):
    x, c, w = floats(5, 4), ints(5, high=4), positive(4)
    for options in ({}, {"p": 2}, {"margin": 0.5}):
        same(
            lambda m, x, c, o=options: m.nn.functional.multi_margin_loss(
                x, c, reduction=reduction, **o
            ),
            x,
            c,
        )
        same(
            lambda m, x, c, w, o=options: m.nn.functional.multi_margin_loss(
                x, c, weight=w.detach(), reduction=reduction, **o
            ),
            x, c, w,
        )  # fmt: skip
    same(lambda m, x, c: m.nn.functional.multi_margin_loss(x[0], c[0], reduction=reduction), x, c)
    labels = np.array([[3, 0, -1, 1], [1, -1, 0, 0], [0, 1, 2, 3], [-1, 0, 0, 0], [2, 2, -1, -1]])
    same(
        lambda m, x, c: m.nn.functional.multilabel_margin_loss(x, c, reduction=reduction), x, labels
    )
    same(
        lambda m, x, c: m.nn.functional.multilabel_margin_loss(x[0], c[0], reduction=reduction),
        x,
        labels,
    )


def test_kl_div():
    x, y = floats(4, 3), positive(4, 3)
    same(lambda m, x, y: m.nn.functional.kl_div(x, y, reduction="batchmean"), x, y)
    y[0, 0] = 0
    same(lambda m, x, y: m.nn.functional.kl_div(x, y.detach(), reduction="sum"), x, y)
    with pytest.warns(UserWarning, match="batchmean"):
        dt.nn.functional.kl_div(dt.zeros(2, 2), dt.ones(2, 2))


REFUSALS = {
    "reduction": (
        lambda F, x: F.mse_loss(x, x, reduction="x"),
        "x is not a valid value for reduction",
    ),
    "mse": (lambda F, x: F.mse_loss(x[0, 0, :2], x[0, 0]), "must match the size of tensor b"),
    "beta": (
        lambda F, x: F.smooth_l1_loss(x, x, beta=-1),
        "does not support negative values for beta",
    ),
    "delta": (
        lambda F, x: F.huber_loss(x, x, delta=0),
        "does not support non-positive values for delta",
    ),
    "class": (
        lambda F, x: F.cross_entropy(x[0], (x[0, :, 0] * 0 + 9).long()),
        "Target 9 is out of bounds",
    ),
    "class_below": (
        lambda F, x: F.cross_entropy(x[0], (x[0, :, 0] * 0 - 1).long()),
        "Target -1 is out of bounds",
    ),
    "nll_class": (
        lambda F, x: F.nll_loss(x[0], (x[0, :, 0] * 0 + 9).long()),
        "Target 9 is out of bounds",
    ),
    "target_type": (
        lambda F, x: F.cross_entropy(x[0], x[0, :, 0].int()),
        "expected target dtype to be Long or Byte, but got Int",
    ),
    "target_float": (
        lambda F, x: F.cross_entropy(x[0], x[0, :, 0]),
        "expected target dtype to be Long or Byte",
    ),
    "target_shape": (lambda F, x: F.cross_entropy(x, x[:, 0, :2].long()), None),
    "target_batch": (lambda F, x: F.cross_entropy(x[0], x[0, :2, 0].long()), None),
    "target_rank": (
        lambda F, x: F.cross_entropy(x[0], x[0, :, :1].long()),
        "0D or 1D target tensor expected, multi-target not supported",
    ),
    "probabilities": (
        lambda F, x: F.cross_entropy(x, x.long()),
        "Expected floating point type for target with class probabilities",
    ),
    "ignored": (
        lambda F, x: F.cross_entropy(x, x, ignore_index=1),
        "ignore_index is not supported for floating point target",
    ),
    "smoothing": (lambda F, x: F.cross_entropy(x[0], x[0, :, 0].long(), label_smoothing=2.0), None),
    "weight": (lambda F, x: F.cross_entropy(x[0], (x[0, :, 0] * 0).long(), x[0, 0, :2]), None),
    "weight_type": (
        lambda F, x: F.cross_entropy(x[0], (x[0, :, 0] * 0).long(), x[0, 0].float()),
        "expected scalar type Double but found Float",
    ),
    "scores": (lambda F, x: F.cross_entropy(x[0].long(), x[0, :, 0].long()), "not implemented for"),
    "bce_shape": (
        lambda F, x: F.binary_cross_entropy(x[0], x[0, 0]),
        "is deprecated. Please ensure they have the same size.",
    ),
    "bce_range": (
        lambda F, x: F.binary_cross_entropy(x * 0 + 2, x * 0),
        "all elements of input should be between 0 and 1",
    ),
    "bce_type": (
        lambda F, x: F.binary_cross_entropy(x * 0, (x * 0).float()),
        "Found dtype Float but expected Double",
    ),
    "bce_logits": (lambda F, x: F.binary_cross_entropy_with_logits(x[0], x[0, 0]), None),
    "gaussian": (
        lambda F, x: F.gaussian_nll_loss(x[0], x[0], x[0, 0, :2].exp()),
        "var is of incorrect size",
    ),
    "gaussian_sign": (
        lambda F, x: F.gaussian_nll_loss(x, x, -x.exp()),
        "var has negative entry/entries",
    ),
    "cosine": (lambda F, x: F.cosine_embedding_loss(x, x, x[0, 0]), None),
    "ranking": (lambda F, x: F.margin_ranking_loss(x[0], x[0], x[0, 0]), None),
    "margin_p": (
        lambda F, x: F.multi_margin_loss(x[0], x[0, :, 0].long(), p=3),
        "only p == 1 and p == 2 supported",
    ),
    "margin_class": (
        lambda F, x: F.multi_margin_loss(x[0], (x[0, :, 0] * 0 + 9).long()),
        "target out of range",
    ),
    "multilabel": (lambda F, x: F.multilabel_margin_loss(x[0], x[0, :, :2].long()), None),
    "multilabel_class": (
        lambda F, x: F.multilabel_margin_loss(x[0], (x[0] * 0 + 9).long()),
        "is out of range",
    ),
    "triplet": (lambda F, x: F.triplet_margin_loss(x, x, x, margin=0), None),
    "triplet_rank": (lambda F, x: F.triplet_margin_loss(x, x[0], x), None),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.filterwarnings("ignore")
def test_refusal(case):
    function, phrase = REFUSALS[case]
    refused(lambda m, x: function(m.nn.functional, x), floats(3, 3, 4), phrase=phrase)


SECOND = {
    "mse": lambda F, x, y, c: F.mse_loss(x, y),
    "smooth_l1": lambda F, x, y, c: F.smooth_l1_loss(x, y),
    "cross_entropy": lambda F, x, y, c: F.cross_entropy(x, c),
    "cross_entropy_none": lambda F, x, y, c: F.cross_entropy(x, c, reduction="none").square().sum(),
    "cross_entropy_smoothed": lambda F, x, y, c: F.cross_entropy(x, c, label_smoothing=0.2),
    "cross_entropy_probabilities": lambda F, x, y, c: F.cross_entropy(x, y),
    "nll": lambda F, x, y, c: F.nll_loss(x.square(), c),
    "bce": lambda F, x, y, c: F.binary_cross_entropy(x.sigmoid(), y),
    "bce_logits": lambda F, x, y, c: F.binary_cross_entropy_with_logits(
        x, y, pos_weight=y.detach() + 1
    ),
    "kl_div": lambda F, x, y, c: F.kl_div(x, y, reduction="batchmean"),
}


@pytest.mark.parametrize("case", SECOND)
def test_second_derivative(case):
    found = []
    for m in (dt, torch):
        x = m.tensor(floats(4, 3).tolist(), dtype=m.float64, requires_grad=True)
        y = m.tensor(positive(4, 3).tolist(), dtype=m.float64, requires_grad=True)
        c = m.tensor(ints(4, high=3).tolist())
        loss = SECOND[case](m.nn.functional, x, y, c)
        slopes = m.autograd.grad(loss, (x, y), create_graph=True, allow_unused=True)
        total = sum((slope * slope).sum() for slope in slopes if slope is not None)
        bends = m.autograd.grad(total, (x, y), allow_unused=True)
        found.append([None if bend is None else np.array(bend.tolist()) for bend in bends])
    for ours, theirs in zip(*found, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_no_warning_without_cause():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dt.nn.functional.mse_loss(dt.zeros(3), dt.ones(3))
        dt.nn.functional.cross_entropy(dt.zeros(0, 3), dt.zeros(0, dtype=dt.int64))
        dt.nn.functional.mse_loss(dt.zeros(0), dt.zeros(0))
