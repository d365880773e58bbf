"""Averaged models against PyTorch's."""

import copy

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import nn, optim
from devtensor.optim import swa_utils

BOTH = ((dt, swa_utils), (torch, torch.optim.swa_utils))


class Scaled:
    """The same small model in both modules."""

    def __new__(cls, module, seed=0):
        random = np.random.default_rng(seed)

        class Model(module.nn.Module):
            def __init__(self):
                super().__init__()
                for name, shape in (("weight", (2, 3)), ("bias", (2,))):
                    values = module.tensor(random.standard_normal(shape).tolist())
                    setattr(self, name, module.nn.Parameter(values.double()))
                self.register_buffer("count", module.tensor(3))
                self.register_buffer("mean", module.tensor([0.5, 1.5], dtype=module.float64))

            def forward(self, x):
                return x @ self.weight.mT + self.bias

        return Model()


def change(model, module, seed):
    random = np.random.default_rng(seed)
    with module.no_grad():
        for x in model.parameters():
            x.copy_(module.tensor(random.standard_normal(tuple(x.shape)).tolist()))
        model.count += seed
        model.mean += seed


AVERAGES = {
    "plain": lambda u: {},
    "plain_multi": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "plain_one": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "ema": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9)},
    "ema_one": lambda u: {"avg_fn": u.get_ema_avg_fn(0.9)},
    "own": lambda u: {"avg_fn": lambda mean, value, n: mean * 0.5 + value * n},
}


@pytest.mark.parametrize(
    ("case", "use_buffers"),
    # PyTorch's plain averages of lists refuse integers.
    [(c, b) for c in AVERAGES for b in (False, True) if not (b and c == "plain_multi")],
)
def test_averages(case, use_buffers):
    found = []
    for module, utils in BOTH:
        model = Scaled(module)
        mean = utils.AveragedModel(model, use_buffers=use_buffers, **AVERAGES[case](utils))
        for seed in (1, 2, 3):
            change(model, module, seed)
            mean.update_parameters(model)
        x = module.ones(4, 3, dtype=module.float64)
        found.append(
            [
                *[x.tolist() for x in mean.module.parameters()],
                [x.tolist() for x in mean.module.buffers()],
                mean(x).tolist(),
                mean.n_averaged.item(),
                list(mean.state_dict()),
            ]
        )
    ours, theirs = found
    assert ours[-2:] == theirs[-2:]
    for one, two in zip(ours[:-2], theirs[:-2], strict=True):
        np.testing.assert_allclose(flat(one), flat(two), rtol=1e-6)


def flat(value):
    """All numbers in nested lists."""
    return [x for part in value for x in flat(part)] if isinstance(value, list) else [value]


def test_plain_averages_of_integers():
    model = Scaled(dt)
    mean = swa_utils.AveragedModel(model, use_buffers=True)
    for seed in (1, 2, 3):
        change(model, dt, seed)
        mean.update_parameters(model)
    assert mean.module.count.tolist() == 6  # of 4, 6 and 9, after each of them
    assert mean.module.mean.tolist() == pytest.approx([23 / 6, 29 / 6])


def test_an_averaged_model_is_a_copy():
    model = nn.Linear(2, 2)
    mean = swa_utils.AveragedModel(model)
    assert mean.module is not model
    assert mean.n_averaged.dtype is dt.int64
    mean.update_parameters(model)
    before = mean.module.weight.tolist()
    with dt.no_grad():
        model.weight.zero_()
    assert mean.module.weight.tolist() == before
    twin = copy.deepcopy(mean)
    twin.load_state_dict(mean.state_dict())
    assert twin.n_averaged.item() == 1


def test_averages_refused():
    for module, utils in BOTH:
        with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
            utils.AveragedModel(Scaled(module), avg_fn=max, multi_avg_fn=max)
        for make in (utils.get_ema_avg_fn, utils.get_ema_multi_avg_fn):
            with pytest.raises(ValueError, match=r"Invalid decay value 1\.5 provided"):
                make(1.5)


def test_update_bn():
    found = []
    random = np.random.default_rng(0)
    batches = random.standard_normal((3, 4, 5))
    for module, utils in BOTH:
        model = module.nn.Sequential(module.nn.BatchNorm1d(5, momentum=0.3), module.nn.ReLU())
        model = model.double().eval()
        model(module.ones(2, 5).double())
        loader = [(module.tensor(x.tolist(), dtype=module.float64), 0) for x in batches]
        utils.update_bn(loader, model, device="cpu")
        norm = model[0]
        assert (norm.momentum, model.training) == (0.3, False)
        found.append([norm.running_mean.tolist(), norm.running_var.tolist()])
    np.testing.assert_allclose(*found, rtol=1e-9)
    np.testing.assert_allclose(found[0][0], batches.mean((0, 1)), rtol=1e-9)


def test_update_bn_without_normalisation_leaves_the_data_alone():
    swa_utils.update_bn(iter(lambda: pytest.fail("read"), 0), nn.Linear(1, 1))


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_swalr(strategy, epochs):
    found = []
    for module, utils in BOTH:
        library = optim if module is dt else torch.optim
        a, b = (module.ones(2, requires_grad=True) for _ in range(2))
        optimizer = library.SGD([{"params": a}, {"params": b, "lr": 0.5}], lr=0.1)
        before = library.lr_scheduler.ExponentialLR(optimizer, 0.9)
        scheduler = utils.SWALR(optimizer, [0.05, 0.07], epochs, strategy)
        rates = []
        for step in range(8):
            optimizer.step()
            (before if step < 2 else scheduler).step()
            rates.append([group["lr"] for group in optimizer.param_groups])
            if step == 4:
                state = copy.deepcopy(scheduler.state_dict())
                scheduler = utils.SWALR(optimizer, [0.05, 0.07])
                scheduler.load_state_dict(state)
        found.append(rates)
        assert sorted(state) == sorted(
            ["anneal_epochs", "_anneal_strategy", "base_lrs", "last_epoch", "_step_count",
             "_get_lr_called_within_step", "_is_initial", "_last_lr"]
        )  # fmt: skip
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_swalr_refused():
    for module, utils in BOTH:
        library = optim if module is dt else torch.optim
        optimizer = library.SGD([module.ones(1, requires_grad=True)])
        for options, phrase in (
            ({"anneal_strategy": "no"}, "must be one of 'cos' or 'linear', instead got no"),
            ({"anneal_epochs": -1}, "must be equal or greater than 0, got -1"),
            ({"anneal_epochs": 1.5}, "must be equal or greater than 0, got 1.5"),
            ({"swa_lr": [1, 2]}, "must have the same length as optimizer.param_groups"),
        ):
            with pytest.raises(ValueError, match=phrase):
                utils.SWALR(optimizer, **{"swa_lr": 0.1, **options})
