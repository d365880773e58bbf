"""Losses and attention of large arrays, which are kernels written from formulas, beside PyTorch."""

import numpy as np
import pytest
import torch

import devices
import devtensor as dt

with_kernels = pytest.mark.parametrize("place", devices.parameters(["xpu:0", "cuda:0"]))
RANDOM = np.random.default_rng(7)


def agree(ours, theirs):
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            one.detach().cpu().numpy(), two.detach().numpy(), rtol=2e-4, atol=2e-5
        )


@with_kernels
@pytest.mark.parametrize(
    ("shape", "weighted", "how"),
    [
        ((300, 40), False, {}),
        ((300, 40), True, {"ignore_index": 3}),
        ((20, 30, 5, 6), False, {"reduction": "none"}),
        ((300, 40), False, {"reduction": "sum", "ignore_index": 3}),
    ],
)
def test_cross_entropy_and_its_slopes(place, shape, weighted, how):
    x, weight = (RANDOM.standard_normal(n).astype(np.float32) for n in (shape, shape[1]))
    labels = RANDOM.integers(0, shape[1], (shape[0], *shape[2:]))
    labels.ravel()[::7] = how.get("ignore_index", -100)

    def run(lib, device):
        given = lib.tensor(x, device=device, requires_grad=True)
        w = lib.tensor(abs(weight), device=device) if weighted else None
        target = lib.tensor(labels, device=device)
        loss = lib.nn.functional.cross_entropy(given, target, w, **how)
        (slope,) = lib.autograd.grad((loss / 100).sin().sum(), given, create_graph=True)
        (second,) = lib.autograd.grad(slope.square().sum(), given)
        return loss, slope, second

    agree(run(dt, place), run(torch, "cpu"))


@with_kernels
@pytest.mark.parametrize("wrong", [40, -1])
def test_a_label_of_no_class_is_refused(place, wrong):
    x, labels = dt.zeros(300, 40, device=place), dt.zeros(300, dtype=dt.int64, device=place)
    labels[5] = wrong
    with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds: there are 40 classes"):
        dt.nn.functional.cross_entropy(x, labels)
    labels[5] = -100
    assert abs(dt.nn.functional.cross_entropy(x, labels).item() - np.log(40)) < 1e-6


MASKS = {
    "none": None,
    "bool": RANDOM.random((40, 50)) > 0.5,
    "float": RANDOM.standard_normal((2, 1, 1, 50)).astype(np.float32),
}
MASKS["bool"][3] = False  # a query that may look at nothing


@with_kernels
@pytest.mark.parametrize(
    ("mask", "how"), [("none", {"is_causal": True}), ("bool", {}), ("float", {"scale": 0.3})]
)
def test_attention_and_its_slopes(place, mask, how):
    sides = [RANDOM.standard_normal((2, 3, *n)).astype(np.float32) for n in ((40, 8), (50, 8))]
    sides.append(RANDOM.standard_normal((2, 3, 50, 6)).astype(np.float32))

    def run(lib, device):
        given = [lib.tensor(x, device=device, requires_grad=True) for x in sides]
        seen = None if MASKS[mask] is None else lib.tensor(MASKS[mask], device=device)
        out = lib.nn.functional.scaled_dot_product_attention(*given, seen, **how)
        return out, *lib.autograd.grad(out.sin().sum(), given)

    agree(run(dt, place), run(torch, "cpu"))


@with_kernels
def test_attention_in_half_precision_is_computed_in_single(place):
    sides = [RANDOM.standard_normal((2, 3, 40, 8)) for _ in range(3)]
    halves = [dt.tensor(x, dtype=dt.float16, device=place) for x in sides]
    out = dt.nn.functional.scaled_dot_product_attention(*halves)
    assert out.dtype == dt.float16
    exact = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, sides))
    assert abs(out.cpu().double().numpy() - exact.numpy()).max() < 4e-3
