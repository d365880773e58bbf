"""What all optimizers share: groups, checks, state dicts, hooks, text, copies."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import nn, optim
from devtensor.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)
from optim.both import close, give_gradients, pair, params, run, same_state, to_other

BOTH = ((dt, optim), (torch, torch.optim))
ALL = (
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop",
    "ASGD", "Adafactor",
)  # fmt: skip


def leaf(module=dt, *shape):
    return module.ones(*shape or (2,), requires_grad=True)


def test_the_same_names_as_pytorch():
    assert set(optim.__all__) == set(torch.optim.__all__)
    for name in torch.optim.__all__:
        assert hasattr(optim, name)
    assert set(torch.optim.lr_scheduler.__all__) == set(optim.lr_scheduler.__all__)
    assert set(torch.optim.swa_utils.__all__) == set(optim.swa_utils.__all__)


@pytest.mark.parametrize("name", [*ALL, "LBFGS", "SparseAdam", "Muon"])
def test_the_same_defaults_as_pytorch(name):
    ours = getattr(optim, name)([leaf(dt, 2, 2)])
    theirs = getattr(torch.optim, name)([leaf(torch, 2, 2)])
    assert ours.defaults == theirs.defaults
    assert repr(ours) == repr(theirs)
    ours.add_param_group({"params": [dt.ones(2)], "lr": 3})
    theirs.add_param_group({"params": [torch.ones(2)], "lr": 3})
    assert repr(ours) == repr(theirs)


# ---- refusals

REFUSALS = {
    "lr": lambda m, o, name: getattr(o, name)([leaf(m)], lr=-1),
    "lr_nan": lambda m, o, name: getattr(o, name)([leaf(m)], lr=float("nan")),
    "lr_tensor": lambda m, o, name: getattr(o, name)([leaf(m)], lr=m.ones(2)),
    "eps": lambda m, o, name: getattr(o, name)([leaf(m)], eps=-1),
    "weight_decay": lambda m, o, name: getattr(o, name)([leaf(m)], weight_decay=-1),
    "beta1": lambda m, o, name: getattr(o, name)([leaf(m)], betas=(1.0, 0.5)),
    "beta2": lambda m, o, name: getattr(o, name)([leaf(m)], betas=(0.5, -0.1)),
    "mixed_betas": lambda m, o, name: getattr(o, name)([leaf(m)], betas=(m.tensor(0.5), 0.9)),
    "long_beta": lambda m, o, name: getattr(o, name)(
        [leaf(m)], betas=(m.ones(2) / 2, m.ones(2) / 2)
    ),
    "momentum": lambda m, o, name: getattr(o, name)([leaf(m)], momentum=-1),
    "alpha": lambda m, o, name: getattr(o, name)([leaf(m)], alpha=-1),
    "rho": lambda m, o, name: getattr(o, name)([leaf(m)], rho=1.1),
    "etas": lambda m, o, name: getattr(o, name)([leaf(m)], etas=(0.5, 0.9)),
    "lr_decay": lambda m, o, name: getattr(o, name)([leaf(m)], lr_decay=-1),
    "start": lambda m, o, name: getattr(o, name)([leaf(m)], initial_accumulator_value=-1),
    "momentum_decay": lambda m, o, name: getattr(o, name)([leaf(m)], momentum_decay=-1),
    "nesterov": lambda m, o, name: getattr(o, name)([leaf(m)], nesterov=True),
    "fused_differentiable": lambda m, o, name: getattr(o, name)(
        [leaf(m)], fused=True, differentiable=True
    ),
    "fused_foreach": lambda m, o, name: getattr(o, name)([leaf(m)], fused=True, foreach=True),
    "lr_foreach": lambda m, o, name: getattr(o, name)([leaf(m)], lr=m.tensor(0.1), foreach=True),
    "beta2_decay": lambda m, o, name: getattr(o, name)([leaf(m)], beta2_decay=1),
    "d": lambda m, o, name: getattr(o, name)([leaf(m)], d=0.5),
    "eps1": lambda m, o, name: getattr(o, name)([leaf(m)], eps=(-1, 1)),
    "eps2": lambda m, o, name: getattr(o, name)([leaf(m)], eps=(None, -1)),
    "adjust": lambda m, o, name: getattr(o, name)([leaf(m, 2, 2)], adjust_lr_fn="no"),
    "vector": lambda m, o, name: getattr(o, name)([leaf(m)]),
    "groups": lambda m, o, name: getattr(o, name)([{"params": leaf(m)}, {"params": leaf(m)}]),
}
WHO = {
    "lr": (*ALL, "LBFGS", "SparseAdam", "Muon"),
    "lr_nan": (*ALL[1:], "LBFGS", "SparseAdam", "Muon"),
    "lr_tensor": (*ALL, "LBFGS", "SparseAdam", "Muon"),
    "eps": ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop"),
    "weight_decay": (*[name for name in ALL if name != "Rprop"], "Muon"),
    "beta1": ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam"),
    "beta2": ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam"),
    "mixed_betas": ("Adam", "AdamW"),
    "momentum": ("SGD", "RMSprop", "Muon"),
    "alpha": ("RMSprop",),
    "rho": ("Adadelta",),
    "etas": ("Rprop",),
    "lr_decay": ("Adagrad",),
    "start": ("Adagrad",),
    "momentum_decay": ("NAdam",),
    "nesterov": ("SGD",),
    "fused_differentiable": ("SGD", "Adam", "AdamW", "Adagrad"),
    "fused_foreach": ("SGD", "Adam", "AdamW", "Adagrad"),
    "lr_foreach": ("Adam", "AdamW"),
    "beta2_decay": ("Adafactor",),
    "d": ("Adafactor",),
    "eps1": ("Adafactor",),
    "eps2": ("Adafactor",),
    "adjust": ("Muon",),
    "vector": ("Muon",),
    "groups": ("LBFGS",),
}


@pytest.mark.parametrize(
    ("case", "name"), [(case, name) for case, names in WHO.items() for name in names]
)
def test_options_out_of_range(case, name):
    errors = []
    for module, library in BOTH:
        with pytest.raises((ValueError, RuntimeError)) as caught:
            REFUSALS[case](module, library, name)
        errors.append(caught)
    ours, theirs = errors
    assert ours.type is theirs.type
    assert str(ours.value) == str(theirs.value)


def test_zero_rates_are_for_sparse_adam_only_invalid():
    optim.Adam([leaf()], lr=0)
    with pytest.raises(ValueError, match="Invalid learning rate: 0"):
        optim.SparseAdam([leaf()], lr=0)


def duplicate_group(module, library):
    x = leaf(module)
    library.SGD([{"params": x}, {"params": [x]}])


def names_in_some(module, library):
    library.SGD([("a", leaf(module)), leaf(module)])


def names_in_one_group(module, library):
    library.SGD([{"params": [("a", leaf(module))]}, {"params": [leaf(module)]}])


def names_in_the_other_group(module, library):
    library.SGD([{"params": [leaf(module)]}, {"params": [("a", leaf(module))]}])


PARAMETERS = {
    "empty": lambda m, o: o.SGD([]),
    "tensor": lambda m, o: o.SGD(leaf(m)),
    "no_tensor": lambda m, o: o.SGD([1]),
    "set": lambda m, o: o.SGD([{"params": {leaf(m)}}]),
    "no_leaf": lambda m, o: o.SGD([leaf(m) * 2]),
    "no_dict": lambda m, o: o.SGD([leaf(m)]).add_param_group([leaf(m)]),
    "duplicate_group": duplicate_group,
    "names_in_some": names_in_some,
    "names_in_one_group": names_in_one_group,
    "names_in_the_other_group": names_in_the_other_group,
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_refused(case):
    errors = []
    for module, library in BOTH:
        with pytest.raises((ValueError, TypeError)) as caught:
            PARAMETERS[case](module, library)
        errors.append(caught)
    ours, theirs = errors
    assert ours.type is theirs.type
    assert str(ours.value) == str(theirs.value)


def test_a_tensor_that_retains_its_gradient_is_taken():
    y = leaf() * 2
    y.retain_grad()
    optim.SGD([y])
    optim.SGD([leaf() * 2], differentiable=True)


def test_duplicates_in_a_group_warn():
    x = leaf()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([x, x])


class Own(Optimizer):
    """An optimizer as users write them."""

    def __init__(self, params, lr=required, scale=1.0):
        super().__init__(params, {"lr": lr, "scale": scale})

    @dt.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["count"] = self.state[p].get("count", 0) + 1
                p.add_(p.grad, alpha=-group["lr"] * group["scale"])


def test_an_option_without_default():
    with pytest.raises(ValueError, match="didn't specify a value of required optimization param"):
        Own([leaf()])
    x = leaf()
    optimizer = Own([{"params": [x], "lr": 0.5}])
    x.grad = dt.ones(2)
    optimizer.step()
    assert x.tolist() == [0.5, 0.5]
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}
    assert "<required parameter>" in repr(required)


def test_a_base_without_step():
    with pytest.raises(NotImplementedError):
        Optimizer([leaf()], {}).step()


# ---- groups


def test_groups():
    for module, library in BOTH:
        a, b, c = leaf(module), leaf(module), leaf(module)
        optimizer = library.SGD([{"params": a}, {"params": iter([b]), "lr": 0.5}], lr=0.1)
        optimizer.add_param_group({"params": c, "weight_decay": 0.25})
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0, 0, 0.25]
        assert optimizer.param_groups[1]["params"][0] is b
        assert [group["params"] for group in optimizer.state_dict()["param_groups"]] == [
            [0],
            [1],
            [2],
        ]


def test_names():
    net = nn.Linear(2, 3)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    plain = optim.SGD(net.parameters(), lr=0.5)
    optimizer.load_state_dict(plain.state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["lr"] == 0.5


# ---- zero_grad


@pytest.mark.filterwarnings("ignore:Using backward")
def test_zero_grad():
    x, y, z = leaf(), leaf(), leaf()
    optimizer = optim.SGD([x, y, z])
    (x * y).sum().backward()
    kept = x.grad
    optimizer.zero_grad(set_to_none=False)
    assert x.grad is kept
    assert x.grad.tolist() == y.grad.tolist() == [0, 0]
    assert z.grad is None
    optimizer.zero_grad()
    assert x.grad is y.grad is None
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    optimizer.zero_grad(set_to_none=False)
    assert not x.grad.requires_grad
    assert x.grad.tolist() == [0, 0]


# ---- state dicts


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_goes_to_pytorch_and_back(name, dtype):
    options = {"lr": 0.01}
    if name == "SGD":
        options["momentum"] = 0.9
    if name == "Adam":
        options["amsgrad"] = True
    shapes = ((3, 4), (4,))
    sides = pair(name, options, dtype, shapes)
    run(sides, 3)
    (_, ours, mine), (_, theirs, other) = sides
    first, second = mine.state_dict(), other.state_dict()
    assert list(first) == list(second)
    assert first["param_groups"] == second["param_groups"]
    # Each goes on with what the other remembers.
    mine.load_state_dict(to_other(copy.deepcopy(second), dt))
    other.load_state_dict(to_other(copy.deepcopy(first), torch))
    run(sides, 3, first=3)
    tolerance = 1e-6 if dtype == "float64" else 1e-4
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, tolerance)
    same_state(mine, other, tolerance)


def test_types_in_the_state():
    x = leaf(dt, 2, 3)
    x.grad = dt.ones(2, 3)
    optimizer = optim.Adam([x])
    optimizer.step()
    step = optimizer.state[x]["step"]
    assert (step.dtype, tuple(step.shape), step.item()) == (dt.float32, (), 1)
    assert optimizer.state[x]["exp_avg"].dtype is dt.float32
    dt.set_default_dtype(dt.float64)
    try:
        y = leaf()
        y.grad = dt.ones(2)
        optimizer = optim.Adam([y])
        optimizer.step()
        assert optimizer.state[y]["step"].dtype is dt.float64
    finally:
        dt.set_default_dtype(dt.float32)


def test_loading_casts_to_the_parameter_but_for_the_step():
    wide, narrow = params(dt, "float64", ((3,),)), params(dt, "float32", ((3,),))
    one, two = optim.Adam(wide), optim.Adam(narrow)
    give_gradients(dt, wide, 1)
    one.step()
    two.load_state_dict(one.state_dict())
    state = two.state[narrow[0]]
    assert state["exp_avg"].dtype is dt.float32
    assert state["step"].dtype is dt.float32
    assert state["step"].item() == 1


def test_loading_copies_groups_and_keeps_foreign_state():
    x = leaf()
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
    saved = optimizer.state_dict()
    saved["state"]["own"] = 5
    saved["param_groups"][0]["lr"] = 0.7
    optimizer.load_state_dict(saved)
    assert optimizer.state["own"] == 5
    assert optimizer.param_groups[0]["lr"] == 0.7
    saved["param_groups"][0]["lr"] = 0.9
    assert optimizer.param_groups[0]["lr"] == 0.7
    assert optimizer.param_groups[0]["params"][0] is x


def test_loading_what_does_not_fit():
    for module, library in BOTH:
        one = library.SGD([leaf(module)])
        two = library.SGD([leaf(module), leaf(module)])
        three = library.SGD([{"params": leaf(module)}, {"params": leaf(module)}])
        with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
            one.load_state_dict(two.state_dict())
        with pytest.raises(ValueError, match="has a different number of parameter groups"):
            one.load_state_dict(three.state_dict())


@pytest.mark.parametrize("name", ALL)
def test_old_state_with_numbers_and_without_options(name):
    (x,) = params(dt, shapes=((3, 2),))
    optimizer = getattr(optim, name)([x], **({"momentum": 0.9} if name == "SGD" else {}))
    give_gradients(dt, [x], 1)
    optimizer.step()
    saved = optimizer.state_dict()
    for key, value in saved["state"][0].items():
        if value.ndim == 0:
            saved["state"][0][key] = value.item()
    for key in ("foreach", "differentiable", "capturable", "fused"):
        saved["param_groups"][0].pop(key, None)
    optimizer.load_state_dict(saved)
    optimizer.step()
    state = optimizer.state[x]
    assert all(isinstance(value, dt.Tensor) for value in state.values())
    if "step" in state:
        assert state["step"].item() == 2
    assert "foreach" in optimizer.param_groups[0]


def test_adamw_loads_state_without_the_kind_of_decay():
    x = leaf()
    optimizer = optim.AdamW([x])
    saved = optimizer.state_dict()
    del saved["param_groups"][0]["decoupled_weight_decay"]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_lbfgs_state_goes_to_pytorch_and_back():
    found = []
    for module, library in BOTH:
        x = module.tensor([2.0, -1.0, 0.5], dtype=module.float64, requires_grad=True)
        optimizer = library.LBFGS([x], lr=0.2, max_iter=3)

        def closure(x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (x**4).sum() + (x[0] * x[1] - 1) ** 2
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append((x, optimizer, closure))
    (x, mine, here), (y, other, there) = found
    first, second = mine.state_dict(), other.state_dict()
    mine.load_state_dict(to_other(second, dt))
    other.load_state_dict(to_other(first, torch))
    mine.step(here)
    other.step(there)
    close(x, y, 1e-8)


# ---- hooks


def test_hooks_around_the_step():
    x = leaf()
    x.grad = dt.ones(2)
    optimizer = optim.SGD([x], lr=1.0)
    seen = []

    def note(word, result=None):
        def hook(found, args, kwargs):
            assert found is optimizer
            seen.append((word, x.tolist()[0]))
            return result

        return hook

    handles = [
        register_optimizer_step_pre_hook(note("pre all")),
        register_optimizer_step_post_hook(note("post all")),
        optimizer.register_step_pre_hook(note("pre")),
        optimizer.register_step_post_hook(note("post")),
    ]
    optimizer.step()
    assert seen == [("pre all", 1), ("pre", 1), ("post", 0), ("post all", 0)]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4


def test_a_hook_gives_the_step_other_arguments():
    for module, library in BOTH:
        x = leaf(module)
        optimizer = library.SGD([x])
        optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
        assert optimizer.step() == 7
        optimizer.register_step_pre_hook(lambda o, args, kwargs: 5)
        with pytest.raises(RuntimeError, match="must return None or a tuple of"):
            optimizer.step()


def test_hooks_of_subclasses_run_once():
    class Later(optim.Adam):
        def step(self, closure=None):
            return super().step(closure)

    for base, module in ((Later, dt), (optim.Adam, dt)):
        x = leaf(module)
        optimizer, count = base([x]), []
        optimizer.register_step_post_hook(lambda *_, count=count: count.append(1))
        optimizer.step()
        # A step that calls the base's step runs the hooks of both, as in PyTorch.
        assert len(count) == (2 if base is Later else 1)


def test_hooks_of_state_dicts():
    x = leaf()
    optimizer = optim.SGD([x], lr=0.1)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "mark": 1})
    handle = optimizer.register_state_dict_post_hook(lambda o, d: d.update(mark=2), prepend=True)
    saved = optimizer.state_dict()
    assert seen == ["first", "second"]
    assert saved["mark"] == 1
    handle.remove()

    def rename(o, d):
        d["param_groups"] = [{**group, "lr": 0.5} for group in d["param_groups"]]

    optimizer.register_load_state_dict_pre_hook(lambda o, d: seen.append("load"))
    optimizer.register_load_state_dict_pre_hook(rename)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert seen[2:] == ["load", 0.5]
    assert saved["param_groups"][0]["lr"] == 0.1


# ---- copies


@pytest.mark.parametrize("name", ALL)
def test_pickling_and_copies(name):
    leaves = params(dt, shapes=((3, 4), (4,)))
    optimizer = getattr(optim, name)(leaves, **({"momentum": 0.9} if name == "SGD" else {}))
    give_gradients(dt, leaves, 1)
    optimizer.step()
    for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert type(twin) is type(optimizer)
        assert twin.defaults == {"differentiable": False, **optimizer.defaults}
        copies = twin.param_groups[0]["params"]
        assert all(one is not two for one, two in zip(copies, leaves, strict=True))
        give_gradients(dt, copies, 2)
        twin.step()
        again = [x.detach().clone() for x in leaves]
        fresh = getattr(optim, name)(
            [x.requires_grad_() for x in again], **({"momentum": 0.9} if name == "SGD" else {})
        )
        fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        give_gradients(dt, again, 2)
        fresh.step()
        for one, two in zip(copies, again, strict=True):
            # Loading makes a float64 of the product that NAdam keeps.
            close_enough = 1e-7 if name == "NAdam" else 0
            np.testing.assert_allclose(one.tolist(), two.tolist(), rtol=close_enough)


def test_an_optimizer_with_a_scheduler_dies_with_its_last_name():
    optimizer = optim.SGD([leaf()])
    optim.lr_scheduler.StepLR(optimizer, 2)
    optimizer.step()
    weak = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert weak() is None
    finally:
        gc.enable()


# ---- the effect on the graph


def test_a_step_between_forward_and_backward_is_noticed():
    x = leaf()
    y = (x * x).sum()
    x.grad = dt.ones(2)
    optim.SGD([x]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_training_a_network_beside_pytorch():
    random = np.random.default_rng(0)
    data, labels = random.standard_normal((64, 5)), random.integers(0, 3, 64)
    start = [random.standard_normal(s) / 3 for s in ((8, 5), (8,), (3, 8), (3,))]
    losses = []
    for module, library in BOTH:
        functional = module.nn.functional
        w1, b1, w2, b2 = (
            module.tensor(x.tolist(), dtype=module.float64, requires_grad=True) for x in start
        )
        x, y = module.tensor(data.tolist(), dtype=module.float64), module.tensor(labels.tolist())
        optimizer = library.AdamW([{"params": [w1, w2]}, {"params": [b1, b2], "weight_decay": 0}])
        scheduler = library.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30)
        trace = []
        for _ in range(30):
            optimizer.zero_grad()
            hidden = functional.relu(functional.linear(x, w1, b1))
            loss = functional.cross_entropy(functional.linear(hidden, w2, b2), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            trace.append(loss.item())
        losses.append(trace)
    np.testing.assert_allclose(*losses, rtol=1e-8)
    assert losses[0][-1] < losses[0][0] * 0.7


def test_swap_in_other_parameters():
    x, y = leaf(), (leaf() * 3).detach().requires_grad_()
    optimizer, other = optim.SGD([x], momentum=0.9), optim.SGD([y], momentum=0.5, lr=1.0)
    swap = optim.swap_in_optimizer_params_and_state
    with (
        pytest.raises(RuntimeError, match="requires initialized optimizer state"),
        swap(optimizer, {"y": y}, other.state_dict()),
    ):
        pass
    for z, o in ((x, optimizer), (y, other)):
        z.grad = dt.ones(2)
        o.step()
    before = x.tolist()
    with swap(optimizer, {"y": y}, other.state_dict()):
        assert optimizer.param_groups[0]["params"] == [y]
        optimizer.step()
    assert y.tolist() == [0.5, 0.5]
    assert x.tolist() == before
    assert optimizer.param_groups[0]["params"][0] is x
    assert optimizer.param_groups[0]["momentum"] == 0.9
    assert list(optimizer.state) == [x]
    with (
        pytest.raises(RuntimeError, match="different number of parameter groups"),
        swap(optimizer, {"y": y}, {"state": {}, "param_groups": []}),
    ):
        pass
    with (
        pytest.raises(RuntimeError, match="got extra keys"),
        swap(optimizer, {"y": y}, {**other.state_dict(), "state": {3: {}}}),
    ):
        pass
