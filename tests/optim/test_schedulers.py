"""Schedulers against PyTorch's, value by value."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import optim

BOTH = ((dt, optim), (torch, torch.optim))


def optimizer_of(module, library, kind="SGD", **options):
    """An optimizer over two groups with different rates."""
    a, b = (module.ones(2, requires_grad=True) for _ in range(2))
    if kind == "SGD":
        options.setdefault("momentum", 0.5)
    return getattr(library, kind)([{"params": a}, {"params": b, "lr": 0.02}], lr=0.1, **options)


class Falling:
    """A function with an attribute that a state dict keeps."""

    def __init__(self, rate=0.5):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


def chained(o, s):
    return s.ChainedScheduler([s.ConstantLR(o, 0.5, 4), s.ExponentialLR(o, 0.9)], optimizer=o)


def nested(o, s):
    # To begin, a sequence steps all that its first schedule is made of once more.
    warnings.filterwarnings("ignore", "Detected call")
    first = s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 3), s.ExponentialLR(o, 0.9)])
    return s.SequentialLR(o, [first, s.CosineAnnealingLR(o, 5)], [4])


SCHEDULES = {
    "lambda": lambda o, s: s.LambdaLR(o, lambda e: 0.9**e),
    "lambdas": lambda o, s: s.LambdaLR(o, [lambda e: 1 / (e + 1), Falling()]),
    "multiplicative": lambda o, s: s.MultiplicativeLR(o, lambda e: 0.5 + e / 10),
    "multiplicatives": lambda o, s: s.MultiplicativeLR(o, (lambda e: 0.5, lambda e: 0.9)),
    "step": lambda o, s: s.StepLR(o, 3, 0.5),
    "multistep": lambda o, s: s.MultiStepLR(o, [2, 5, 5, 9], 0.5),
    "constant": lambda o, s: s.ConstantLR(o, 0.25, 4),
    "constant_0": lambda o, s: s.ConstantLR(o, 0.5, 0),
    "linear": lambda o, s: s.LinearLR(o, 0.2, 0.8, 7),
    "exponential": lambda o, s: s.ExponentialLR(o, 0.8),
    "polynomial": lambda o, s: s.PolynomialLR(o, 6, 2.0),
    "polynomial_1": lambda o, s: s.PolynomialLR(o, 20),
    "cosine": lambda o, s: s.CosineAnnealingLR(o, 4, 0.01),
    "cosine_1": lambda o, s: s.CosineAnnealingLR(o, 1),
    "restarts": lambda o, s: s.CosineAnnealingWarmRestarts(o, 3, 1, 0.01),
    "restarts_2": lambda o, s: s.CosineAnnealingWarmRestarts(o, 2, 2),
    "cyclic": lambda o, s: s.CyclicLR(o, 0.01, [0.1, 0.2], 4),
    "cyclic_2": lambda o, s: s.CyclicLR(o, [0.01, 0.02], 0.1, 3, 2, mode="triangular2"),
    "cyclic_exp": lambda o, s: s.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9),
    "cyclic_own": lambda o, s: s.CyclicLR(
        o, 0.01, 0.1, 3, scale_fn=Falling(0.7), scale_mode="iterations", cycle_momentum=False
    ),
    "one": lambda o, s: s.OneCycleLR(o, 0.3, total_steps=14),
    "one_linear": lambda o, s: s.OneCycleLR(
        o, [0.3, 0.5], epochs=4, steps_per_epoch=4, anneal_strategy="linear", pct_start=0.5
    ),
    "one_three": lambda o, s: s.OneCycleLR(
        o, 0.3, 15, three_phase=True, div_factor=10, final_div_factor=100, base_momentum=0.5
    ),
    "one_alone": lambda o, s: s.OneCycleLR(o, 0.3, 14, cycle_momentum=False),
    "sequence": lambda o, s: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [2, 7]
    ),
    "sequence_at_once": lambda o, s: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], [0]
    ),
    "chain": chained,
    "nested": nested,
}


def trace(module, library, make, steps=12, kind="SGD", between=None, **options):
    """Rates and momenta of all groups before every step."""
    optimizer = optimizer_of(module, library, kind, **options)
    scheduler = make(optimizer, library.lr_scheduler)
    found = []
    for number in range(steps):
        found.append(
            [
                [float(group["lr"]), group.get("momentum"), group.get("betas")]
                for group in optimizer.param_groups
            ]
        )
        assert [float(x) for x in scheduler.get_last_lr()] == [row[0] for row in found[-1]]
        optimizer.step()
        scheduler.step()
        if between is not None:
            scheduler = between(number, scheduler)
    return found, scheduler, optimizer


def same(one, two, close=1e-12):
    """Compare nested lists of numbers."""
    if isinstance(two, (list, tuple)):
        assert len(one) == len(two)
        for x, y in zip(one, two, strict=True):
            same(x, y, close)
    elif isinstance(two, float):
        assert math.isclose(one, two, rel_tol=close, abs_tol=close), (one, two)
    else:
        assert one == two


@pytest.mark.parametrize("case", SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_schedules(case, kind):
    ours, theirs = (trace(m, o, SCHEDULES[case], kind=kind)[0] for m, o in BOTH)
    same(ours, theirs)
    assert case == "constant_0" or len({row[0][0] for row in ours}) > 1


@pytest.mark.parametrize("case", [c for c in SCHEDULES if "cyclic" not in c])
def test_rates_that_are_tensors(case):
    def make(o, s):
        module = dt if s is optim.lr_scheduler else torch
        for group in o.param_groups:
            group["lr"] = module.tensor(group["lr"], dtype=module.float64)
        return SCHEDULES[case](o, s)

    (ours, _, optimizer), (theirs, _, _) = (trace(m, o, make, 8) for m, o in BOTH)
    same(ours, theirs, 1e-9)
    assert all(isinstance(group["lr"], dt.Tensor) for group in optimizer.param_groups)


def keys(state):
    """The names in a scheduler's state dict, with those of the schedulers that it is made of."""
    return {
        key: [keys(part) for part in value] if key == "_schedulers" else None
        for key, value in state.items()
    }


@pytest.mark.parametrize("case", SCHEDULES)
def test_state_dicts_go_both_ways(case):
    """The first half here, the second with the state of PyTorch's scheduler; and so there."""
    expected = trace(torch, torch.optim, SCHEDULES[case])[0]
    sides = []
    for module, library in BOTH:
        _, scheduler, optimizer = trace(module, library, SCHEDULES[case], 5)
        sides.append((scheduler, optimizer, module, library))
    assert keys(sides[0][0].state_dict()) == keys(sides[1][0].state_dict())
    for (scheduler, optimizer, *_), (_, _, module, library) in zip(sides, sides[::-1], strict=True):
        other = optimizer_of(module, library)
        resumed = SCHEDULES[case](other, library.lr_scheduler)
        for group, saved in zip(other.param_groups, optimizer.param_groups, strict=True):
            group.update({k: v for k, v in saved.items() if k != "params"})
        resumed.load_state_dict(copy.deepcopy(scheduler.state_dict()))
        for row in expected[5:]:
            same([float(group["lr"]) for group in other.param_groups], [part[0] for part in row])
            same([group["momentum"] for group in other.param_groups], [part[1] for part in row])
            other.step()
            resumed.step()


def test_attributes_of_functions_are_kept():
    optimizer = optimizer_of(dt, optim)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, [Falling(0.25), lambda e: 1.0])
    state = pickle.loads(pickle.dumps(scheduler.state_dict()))
    assert state["lr_lambdas"] == [{"rate": 0.25}, None]
    other = optim.lr_scheduler.LambdaLR(optimizer_of(dt, optim), [Falling(), lambda e: 1.0])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].rate == 0.25
    cyclic = optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, scale_fn=Falling(0.25))
    state = pickle.loads(pickle.dumps(cyclic.state_dict()))
    other = optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, scale_fn=Falling())
    other.load_state_dict(state)
    assert other._scale_fn_custom.rate == 0.25
    assert state["_scale_fn_custom"] == {"rate": 0.25}


RESUMED = {
    "step": lambda o, s, last: s.StepLR(o, 3, 0.5, last_epoch=last),
    "exponential": lambda o, s, last: s.ExponentialLR(o, 0.8, last_epoch=last),
    "lambda": lambda o, s, last: s.LambdaLR(o, lambda e: 0.9**e, last_epoch=last),
    "multiplicative": lambda o, s, last: s.MultiplicativeLR(o, lambda e: 0.9, last_epoch=last),
    "linear": lambda o, s, last: s.LinearLR(o, total_iters=9, last_epoch=last),
    "cosine": lambda o, s, last: s.CosineAnnealingLR(o, 7, last_epoch=last),
    "polynomial": lambda o, s, last: s.PolynomialLR(o, 9, last_epoch=last),
    "constant": lambda o, s, last: s.ConstantLR(o, total_iters=6, last_epoch=last),
    "multistep": lambda o, s, last: s.MultiStepLR(o, [6], last_epoch=last),
    "restarts": lambda o, s, last: s.CosineAnnealingWarmRestarts(o, 3, last_epoch=last),
    "one": lambda o, s, last: s.OneCycleLR(o, 0.3, 14, last_epoch=last),
    "cyclic": lambda o, s, last: s.CyclicLR(o, 0.01, 0.1, 4, last_epoch=last),
}


@pytest.mark.parametrize("case", RESUMED)
def test_going_on_after_an_epoch(case):
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        before = RESUMED[case](optimizer, library.lr_scheduler, -1)
        for _ in range(4):
            optimizer.step()
            before.step()
        scheduler = RESUMED[case](optimizer, library.lr_scheduler, 4)
        rates = [scheduler.get_last_lr()]
        for _ in range(5):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr())
        found.append(rates)
    same(*found)


@pytest.mark.parametrize("case", RESUMED)
def test_going_on_needs_the_first_rate(case):
    for module, library in BOTH:
        with pytest.raises(KeyError, match="is not specified in param_groups"):
            RESUMED[case](optimizer_of(module, library), library.lr_scheduler, 3)


CLOSED = (
    "step",
    "multistep",
    "exponential",
    "linear",
    "cosine",
    "polynomial",
    "constant",
    "lambda",
)


@pytest.mark.parametrize("case", CLOSED)
def test_an_epoch_given(case):
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        scheduler = SCHEDULES[case](optimizer, library.lr_scheduler)
        optimizer.step()
        rates = []
        for epoch in (3, 1, 7):
            with pytest.warns(UserWarning, match="epoch parameter in `scheduler.step"):
                scheduler.step(epoch)
            rates.append(scheduler.get_last_lr())
        found.append(rates)
    same(*found)


def test_broken_epochs_with_restarts():
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        for times in (1, 2):
            scheduler = library.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4, times)
            rates = []
            for epoch in (0.25, 0.5, 3.75, 4.5, 9.0, 13.25, None, 2.0):
                optimizer.step()
                scheduler.step(epoch)
                rates.append(scheduler.get_last_lr())
            with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
                scheduler.step(-1)
            found.append(rates)
    same(found[0], found[2])
    same(found[1], found[3])


# ---- warnings


def messages(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(w.category, str(w.message), w.filename == __file__) for w in caught]


def test_order_of_the_steps():
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        scheduler = library.lr_scheduler.StepLR(optimizer, 1)
        found.append((messages(scheduler.step), messages(scheduler.step)))
    assert found[0] == found[1]
    assert "Detected call of `lr_scheduler.step()` before" in found[0][0][0][1]
    optimizer = optimizer_of(dt, optim)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    assert messages(scheduler.step) == []


def test_a_step_put_in_the_place_of_the_watched_one():
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        scheduler = library.lr_scheduler.StepLR(optimizer, 1)
        optimizer.step = lambda: None
        found.append(messages(scheduler.step))
    assert found[0] == found[1]
    assert "has been overridden" in found[0][0][1]


COMBINED = ("chain", "nested", "sequence", "sequence_at_once")


@pytest.mark.parametrize("case", [c for c in SCHEDULES if c not in COMBINED])
def test_get_lr_is_not_for_users(case):
    found = []
    for module, library in BOTH:
        scheduler = SCHEDULES[case](optimizer_of(module, library), library.lr_scheduler)
        found.append(messages(scheduler.get_lr))
    (ours,), (theirs,) = found
    assert ours[:2] == theirs[:2]
    assert "please use `get_last_lr()`" in ours[1]
    assert ours[2]  # PyTorch's warning points into PyTorch.


# ---- refusals

REFUSALS = {
    "no_optimizer": lambda o, s: s.StepLR(5, 1),
    "no_optimizer_cyclic": lambda o, s: s.CyclicLR(5, 1, 2),
    "no_optimizer_one": lambda o, s: s.OneCycleLR(5, 1, 2),
    "no_optimizer_plateau": lambda o, s: s.ReduceLROnPlateau(5),
    "lambdas": lambda o, s: s.LambdaLR(o, [abs]),
    "lambdas_2": lambda o, s: s.MultiplicativeLR(o, [abs]),
    "no_lambda": lambda o, s: s.MultiplicativeLR(o, 5),
    "constant": lambda o, s: s.ConstantLR(o, 1.5),
    "linear": lambda o, s: s.LinearLR(o, 0.0),
    "linear_2": lambda o, s: s.LinearLR(o, 0.5, 1.5),
    "restarts": lambda o, s: s.CosineAnnealingWarmRestarts(o, 0),
    "restarts_2": lambda o, s: s.CosineAnnealingWarmRestarts(o, 1, 0),
    "restarts_3": lambda o, s: s.CosineAnnealingWarmRestarts(o, 1, 1, "a"),
    "cyclic_mode": lambda o, s: s.CyclicLR(o, 0.1, 0.2, mode="no"),
    "cyclic_rates": lambda o, s: s.CyclicLR(o, [0.1], 0.2),
    "one_steps": lambda o, s: s.OneCycleLR(o, 0.1),
    "one_steps_2": lambda o, s: s.OneCycleLR(o, 0.1, total_steps=0),
    "one_epochs": lambda o, s: s.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=1),
    "one_epochs_2": lambda o, s: s.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=1.5),
    "one_part": lambda o, s: s.OneCycleLR(o, 0.1, 5, pct_start=2.0),
    "one_way": lambda o, s: s.OneCycleLR(o, 0.1, 5, anneal_strategy="no"),
    "one_rates": lambda o, s: s.OneCycleLR(o, [0.1], 5),
    "sequence": lambda o, s: s.SequentialLR(o, [], []),
    "sequence_long": lambda o, s: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
    "sequence_none": lambda o, s: s.SequentialLR(o, [5], []),
    "sequence_plateau": lambda o, s: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "chain": lambda o, s: s.ChainedScheduler([]),
    "chain_plateau": lambda o, s: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
    "plateau": lambda o, s: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau_mode": lambda o, s: s.ReduceLROnPlateau(o, mode="no"),
    "plateau_threshold": lambda o, s: s.ReduceLROnPlateau(o, threshold_mode="no"),
    "plateau_rates": lambda o, s: s.ReduceLROnPlateau(o, min_lr=[0.1]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    errors = []
    for module, library in BOTH:
        with pytest.raises((ValueError, TypeError)) as caught:
            REFUSALS[case](optimizer_of(module, library), library.lr_scheduler)
        errors.append(caught)
    ours, theirs = errors
    assert ours.type is theirs.type
    assert str(ours.value) == str(theirs.value)


def test_a_cycle_of_a_momentum_that_is_not_there():
    for module, library in BOTH:
        optimizer = optimizer_of(module, library, "Adagrad")
        for make in (
            lambda o, s: s.CyclicLR(o, 0.1, 0.2),
            lambda o, s: s.OneCycleLR(o, 0.1, 5),
        ):
            with pytest.raises(ValueError, match="must support momentum or beta1"):
                make(optimizer, library.lr_scheduler)


def test_one_step_too_many():
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        scheduler = library.lr_scheduler.OneCycleLR(optimizer, 0.1, 3)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        with pytest.raises(ValueError, match="Tried to step 4 times"):
            scheduler.step()


def test_schedulers_of_another_optimizer():
    for module, library in BOTH:
        one, two = optimizer_of(module, library), optimizer_of(module, library)
        s = library.lr_scheduler
        for make in (
            lambda s=s, one=one, two=two: s.SequentialLR(one, [s.StepLR(two, 1)], []),
            lambda s=s, one=one, two=two: s.ChainedScheduler([s.StepLR(one, 1), s.StepLR(two, 1)]),
        ):
            with pytest.raises(ValueError, match="expects all schedulers to belong to the same"):
                make()


# ---- plateaus


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0},
        {"patience": 2, "cooldown": 2, "factor": 0.5},
        {"patience": 1, "min_lr": [0.03, 0.015], "threshold": 0.2},
        {"patience": 0, "min_lr": 0.05, "eps": 0.04},
    ],
)
def test_plateaus(mode, threshold_mode, options):
    results = np.random.default_rng(3).standard_normal(25).cumsum().tolist()
    found = []
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        scheduler = library.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, threshold_mode=threshold_mode, **options
        )
        rates = []
        for i, result in enumerate(results):
            scheduler.step(module.tensor(result) if i % 2 else result)
            rates.append(scheduler.get_last_lr())
            if i == 12:
                state = copy.deepcopy(scheduler.state_dict())
                scheduler = library.lr_scheduler.ReduceLROnPlateau(optimizer)
                scheduler.load_state_dict(state)
        found.append((rates, scheduler.best, scheduler.num_bad_epochs, sorted(state)))
    same(*found)
    assert found[0][0][0] != found[0][0][-1]


def test_plateaus_and_a_new_group():
    for module, library in BOTH:
        optimizer = optimizer_of(module, library)
        one = library.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        two = library.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
        optimizer.add_param_group({"params": module.ones(1, requires_grad=True)})
        one.step(1.0)
        one.step(1.0)
        assert len(one.min_lrs) == 3
        two.step(1.0)
        with pytest.raises(RuntimeError, match="The number of param groups in the `optimizer`"):
            two.step(1.0)


def test_the_old_name():
    assert issubclass(optim.lr_scheduler._LRScheduler, optim.lr_scheduler.LRScheduler)


def test_an_own_scheduler():
    class Halving(optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(dt, optim)
    scheduler = Halving(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.05, 0.01]
    with pytest.raises(NotImplementedError):
        optim.lr_scheduler.LRScheduler(optimizer)
