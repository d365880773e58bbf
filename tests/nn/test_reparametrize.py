"""Normalized and pruned weights, and fused layers, beside PyTorch's."""

import numpy as np
import pytest
import torch
import torch.nn.utils.prune

import devtensor as dt
from devtensor import nn

OLD = pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")


def pair(make):
    """A module of PyTorch and ours, with the same numbers."""
    torch.manual_seed(0)
    theirs, ours = make(torch.nn), make(nn)
    ours.load_state_dict({k: dt.tensor(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    return theirs, ours


def same(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance
    )


def same_state(ours, theirs):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        same(ours.state_dict()[name], value)


def trained(modules, data):
    """Outputs and gradients of three steps of both."""
    for t, module in zip((torch, dt), modules, strict=True):
        optimizer = t.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            module(t.tensor(data)).square().mean().backward()
            optimizer.step()


DATA = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@OLD
@pytest.mark.parametrize("dim", [0, 1, None, -1])
def test_weight_norm_by_hook(dim):
    theirs, ours = pair(lambda nn: nn.Linear(4, 3))
    torch.nn.utils.weight_norm(theirs, dim=dim)
    nn.utils.weight_norm(ours, dim=dim)
    same_state(ours, theirs)
    trained((theirs, ours), DATA)
    same_state(ours, theirs)
    torch.nn.utils.remove_weight_norm(theirs)
    nn.utils.remove_weight_norm(ours)
    same_state(ours, theirs)
    assert not ours._forward_pre_hooks and isinstance(ours.weight, nn.Parameter)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(ours)


@OLD
def test_weight_norm_twice_is_refused():
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="Cannot register two weight_norm hooks"):
        nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda nn: nn.Linear(4, 3), (5, 4)),
        (lambda nn: nn.Conv2d(2, 3, 2), (2, 2, 4, 4)),
        (lambda nn: nn.ConvTranspose1d(2, 3, 2), (2, 2, 4)),
    ],
)
def test_spectral_norm_by_hook(make, shape):
    theirs, ours = pair(make)
    torch.nn.utils.spectral_norm(theirs, n_power_iterations=2)
    nn.utils.spectral_norm(ours, n_power_iterations=2)
    for part in ("_u", "_v"):
        name = f"weight{part}"
        assert getattr(ours, name).shape == getattr(theirs, name).shape
        assert getattr(ours, name).norm().item() == pytest.approx(1, rel=1e-5)
        getattr(ours, name).copy_(dt.tensor(getattr(theirs, name).numpy().copy()))
    data = np.random.default_rng(1).normal(size=shape).astype("float32")
    trained((theirs, ours), data)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        same(ours.state_dict()[name], value, 1e-4)
    theirs.eval(), ours.eval()
    same(ours(dt.tensor(data)), theirs(torch.tensor(data)), 1e-4)
    nn.utils.remove_spectral_norm(ours)
    torch.nn.utils.remove_spectral_norm(theirs)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    same(ours(dt.tensor(data)), theirs(torch.tensor(data)), 1e-4)
    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found"):
        nn.utils.remove_spectral_norm(ours)


def test_spectral_norm_of_an_adversary_runs_twice_before_backward():
    layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="two spectral_norm"):
        nn.utils.spectral_norm(layer)
    (layer(dt.ones(1, 3)).sum() + layer(dt.zeros(1, 3)).sum()).backward()
    assert layer.weight_orig.grad is not None


# ---- fusion


@pytest.mark.parametrize(
    ("make", "norm", "shape"),
    [
        (lambda nn: nn.Conv2d(2, 3, 2, bias=False), lambda nn: nn.BatchNorm2d(3), (4, 2, 5, 5)),
        (lambda nn: nn.Conv1d(2, 3, 2), lambda nn: nn.BatchNorm1d(3, affine=False), (4, 2, 5)),
        (lambda nn: nn.ConvTranspose2d(2, 3, 2), lambda nn: nn.BatchNorm2d(3), (4, 2, 5, 5)),
        (lambda nn: nn.Linear(4, 3), lambda nn: nn.BatchNorm1d(3), (6, 4)),
    ],
)
def test_fused_layers_compute_the_same(make, norm, shape):
    layer, bn = make(nn), norm(nn)
    x = dt.randn(shape)
    for _ in range(3):
        bn(layer(x))  # so that the statistics are not the first ones
    utils = nn.utils
    with pytest.raises(AssertionError, match="eval"):
        utils.fuse_conv_bn_eval(layer, bn)
    layer.eval(), bn.eval()
    if isinstance(layer, nn.Linear):
        made = utils.fuse_linear_bn_eval(layer, bn)
    else:
        made = utils.fuse_conv_bn_eval(layer, bn, transpose=isinstance(layer, nn.ConvTranspose2d))
    dt.testing.assert_close(made(x), bn(layer(x)), rtol=1e-4, atol=1e-5)
    assert made is not layer and isinstance(made.bias, nn.Parameter)


def test_layers_without_values():
    made = nn.utils.skip_init(nn.Linear, 3, 2, dtype=dt.float64)
    assert made.weight.shape == (2, 3) and made.weight.dtype is dt.float64
    with pytest.raises(RuntimeError, match="Expected a Module"):
        nn.utils.skip_init(int)


def test_stateless_call():
    layer = nn.Linear(2, 1)
    given = {"weight": dt.ones(1, 2), "bias": dt.zeros(1)}
    with pytest.warns(FutureWarning, match=r"torch\.func\.functional_call"):
        out = nn.utils.stateless.functional_call(layer, given, (dt.ones(3, 2),))
    assert out.tolist() == [[2.0]] * 3


# ---- pruning

PRUNERS = {
    "l1 count": lambda prune, m: prune.l1_unstructured(m, "weight", amount=5),
    "l1 share": lambda prune, m: prune.l1_unstructured(m, "weight", 0.4),
    "ln 0": lambda prune, m: prune.ln_structured(m, "weight", amount=2, n=2, dim=0),
    "ln 1": lambda prune, m: prune.ln_structured(m, "weight", amount=0.5, n=1, dim=1),
    "identity": lambda prune, m: prune.identity(m, "weight"),
    "both": lambda prune, m: (
        prune.l1_unstructured(m, "weight", amount=4),
        prune.ln_structured(m, "weight", amount=1, n=2, dim=1),
    ),
    "twice": lambda prune, m: (
        prune.ln_structured(m, "weight", amount=1, n=2, dim=-1),
        prune.l1_unstructured(m, "weight", amount=0.5),
        prune.l1_unstructured(m, "bias", amount=1),
    ),
    "global": lambda prune, m: prune.global_unstructured(
        [(m, "weight"), (m, "bias")], pruning_method=prune.L1Unstructured, amount=6
    ),
}


@pytest.mark.parametrize("name", PRUNERS)
def test_pruning(name):
    theirs, ours = pair(lambda nn: nn.Linear(4, 3))
    PRUNERS[name](torch.nn.utils.prune, theirs)
    PRUNERS[name](nn.utils.prune, ours)
    assert nn.utils.prune.is_pruned(nn.Sequential(ours))
    same_state(ours, theirs)
    trained((theirs, ours), DATA)
    same_state(ours, theirs)
    same(ours(dt.tensor(DATA)), theirs(torch.tensor(DATA)))
    for prune, module in ((torch.nn.utils.prune, theirs), (nn.utils.prune, ours)):
        prune.remove(module, "weight")
    same_state(ours, theirs)
    assert isinstance(ours.weight, nn.Parameter)
    with pytest.raises(ValueError, match="has to be pruned before"):
        nn.utils.prune.remove(ours, "weight")


def test_pruning_by_mask_and_by_scores():
    theirs, ours = pair(lambda nn: nn.Linear(4, 3))
    mask = np.arange(12).reshape(3, 4) % 3 > 0
    for t, module in ((torch, theirs), (dt, ours)):
        prune = t.nn.utils.prune
        prune.custom_from_mask(module, "weight", t.tensor(mask))
        scores = t.arange(3.0)
        prune.l1_unstructured(module, "bias", amount=1, importance_scores=scores)
    same_state(ours, theirs)


@pytest.mark.parametrize("prune", ["random_unstructured", "random_structured"])
def test_random_pruning(prune):
    dt.manual_seed(0)
    layer = nn.Linear(6, 5)
    kwargs = {"dim": 1} if prune == "random_structured" else {}
    getattr(nn.utils.prune, prune)(layer, "weight", amount=0.5, **kwargs)
    assert (layer.weight == 0).sum() == 15
    if kwargs:
        assert ((layer.weight == 0).all(dim=0)).sum() == 3


@pytest.mark.parametrize("amount", [-1, 1.5, "half", 100])
def test_amounts_that_cannot_be(amount):
    errors = []
    for module, prune in (
        (torch.nn.Linear(2, 2), torch.nn.utils.prune),
        (nn.Linear(2, 2), nn.utils.prune),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            prune.l1_unstructured(module, "weight", amount)
        errors.append(caught.value)
    assert type(errors[1]) is type(errors[0])
    assert str(errors[1])[:30] == str(errors[0])[:30]
