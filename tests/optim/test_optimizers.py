"""Every optimizer against PyTorch's: the same gradients, the same parameters and memory."""

import itertools

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import optim
from optim.both import array, close, give_gradients, pair, params, run, same_state


def products(**options):
    """All combinations of the values of some options."""
    names = list(options)
    return [
        dict(zip(names, values, strict=True)) for values in itertools.product(*options.values())
    ]


CASES = [
    *[("SGD", o) for o in products(lr=[0.1], weight_decay=[0, 0.1], maximize=[False, True])],
    *[
        ("SGD", {**o, **p})
        for o in products(lr=[0.1], weight_decay=[0, 0.1], maximize=[False, True], momentum=[0.9])
        for p in ({}, {"dampening": 0.5}, {"nesterov": True})
    ],
    *[
        (name, o)
        for name in ("Adam", "AdamW")
        for o in products(
            lr=[0.05], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True]
        )
    ],
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("Adam", {"betas": (0.0, 0.5), "eps": 0.1}),
    ("Adam", {"fused": True}),
    ("Adam", {"foreach": True}),
    *[("Adamax", o) for o in products(weight_decay=[0, 0.1], maximize=[False, True])],
    *[
        (name, o)
        for name in ("NAdam", "RAdam")
        for o in products(
            weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], maximize=[False, True]
        )
    ],
    ("NAdam", {"momentum_decay": 0.1}),
    ("RAdam", {"betas": (0.9, 0.9)}),
    *[("Adagrad", o) for o in products(weight_decay=[0, 0.1], maximize=[False, True])],
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3}),
    *[("Adadelta", o) for o in products(weight_decay=[0, 0.1], maximize=[False, True])],
    ("Adadelta", {"rho": 0.5, "lr": 0.3}),
    *[
        ("RMSprop", o)
        for o in products(
            weight_decay=[0, 0.1], momentum=[0, 0.9], centered=[False, True], maximize=[False, True]
        )
    ],
    *[("Rprop", o) for o in products(lr=[0.01, 1.0], maximize=[False, True])],
    ("Rprop", {"etas": (0.1, 3.0), "step_sizes": (0.005, 0.02)}),
    *[("ASGD", o) for o in products(weight_decay=[0, 0.1], maximize=[False, True])],
    ("ASGD", {"t0": 3, "lambd": 0.1, "alpha": 0.5}),
    *[("Adafactor", o) for o in products(weight_decay=[0, 0.1], maximize=[False, True])],
    ("Adafactor", {"lr": 0.5, "beta2_decay": -0.3, "eps": (1e-5, 1e-2), "d": 2.0}),
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in o.items())}" for name, o in CASES]
# A difference of like numbers keeps few digits of float32.
LOOSE = 1e-3
SINGLE = 1e-5


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_in_float64(name, options):
    # PyTorch divides by the number of elements of empty matrices in Adafactor.
    shapes = ((3, 4), (4,), (), (2, 3, 2)) if name == "Adafactor" else ((3, 4), (4,), (), (0, 2))
    sides = pair(name, options, shapes=shapes)
    run(sides, 12)
    (_, ours, mine), (_, theirs, other) = sides
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, 1e-10)
    same_state(mine, other, 1e-6 if name == "NAdam" else 1e-10)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_in_float32(name, options):
    shapes = ((3, 4), (4,), (), (2, 3, 2))
    sides = pair(name, options, "float32", shapes)
    run(sides, 8)
    (_, ours, mine), (_, theirs, other) = sides
    tolerance = LOOSE if options.get("centered") else SINGLE
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, tolerance)
    same_state(mine, other, tolerance)


NAMES = (
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop",
    "ASGD",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_complex_parameters(name):
    sides = pair(name, {}, "complex128", ((3, 4), (4,)))
    run(sides, 6)
    (_, ours, mine), (_, theirs, other) = sides
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, 1e-8)
    same_state(mine, other, 1e-6)


@pytest.mark.parametrize("name", [*NAMES, "Adafactor"])
def test_half_precision(name):
    # Calculated in float32 here, so that an eps below the smallest float16 counts.
    sides = pair(name, {"lr": 0.01}, "float16", ((3, 4), (4,)))
    run(sides, 4)
    (_, ours, _), (_, theirs, _) = sides
    for one, two in zip(ours, theirs, strict=True):
        assert one.dtype is dt.float16
        np.testing.assert_allclose(one.tolist(), two.tolist(), rtol=0.02, atol=0.02)


def test_no_gradient_of_float16_makes_no_nan():
    x = dt.ones(3, dtype=dt.float16, requires_grad=True)
    optimizer = optim.Adam([x])
    x.grad = dt.zeros(3, dtype=dt.float16)
    optimizer.step()
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", [*NAMES, "Adafactor", "Muon"])
def test_parameters_without_gradient_stay(name):
    one, two = params(dt, shapes=((2, 2), (2, 2)))
    optimizer = getattr(optim, name)([one, two])
    before = two.tolist()
    one.grad = dt.ones_like(one)
    optimizer.step()
    assert two.tolist() == before
    assert two not in optimizer.state or not optimizer.state[two] or name == "Adagrad"


@pytest.mark.parametrize("name", [*NAMES, "Adafactor", "Muon"])
def test_steps_write_in_place(name):
    (x,) = params(dt, shapes=((2, 3),))
    optimizer = getattr(optim, name)([x])
    view, version, pointer = x.detach().view(-1), x._version, x.data_ptr()
    for count in (1, 2):
        x.grad = dt.ones_like(x)
        memory = {k: v for k, v in optimizer.state.get(x, {}).items() if isinstance(v, dt.Tensor)}
        optimizer.step()
        assert x._version == version + count
        assert x.data_ptr() == pointer
        assert view.tolist() == x.view(-1).tolist()
        for key, tensor in memory.items():
            assert optimizer.state[x][key] is tensor
    assert x.requires_grad and x.is_leaf


@pytest.mark.parametrize("name", [*NAMES, "Adafactor"])
def test_parameters_in_any_layout(name):
    ours, theirs = [], []
    for module, library, found in ((dt, optim, ours), (torch, torch.optim, theirs)):
        values = np.random.default_rng(1).standard_normal((6, 5)).tolist()
        base = module.tensor(values, dtype=module.float64)
        leaves = [base.clone().t().detach(), base.clone()[::2, 1:4].detach(), base.clone()]
        leaves = [x.requires_grad_() for x in leaves]
        optimizer = getattr(library, name)(leaves)
        for seed in range(3):
            give_gradients(module, leaves, seed)
            leaves[2].grad = leaves[2].grad.t().contiguous().t()
            leaves[0].grad = module.ones(1, dtype=module.float64).expand(5, 6)
            optimizer.step()
        found.extend(leaves)
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["rows", "columns", "gaps"])
def test_large_parameters(name, layout):
    """More memory than is worked on at once."""
    random = np.random.default_rng(2)
    values, slopes = random.standard_normal((2, 401, 401)).astype(np.float32)
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        x = module.tensor(values)
        x = {"rows": x, "columns": x.t(), "gaps": x[:, :399]}[layout].detach().requires_grad_()
        optimizer = getattr(library, name)([x])
        for k in (1, 2, 3):
            x.grad = module.tensor(slopes[: x.shape[0], : x.shape[1]] * k)
            optimizer.step()
        found.append(array(x))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_rate_as_a_tensor(name):
    options = {"lr": lambda module: module.tensor(0.125, dtype=module.float64)}
    sides = pair(name, options)
    run(sides, 4)
    (_, ours, mine), (_, theirs, _) = sides
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, 1e-8)
    assert isinstance(mine.param_groups[0]["lr"], dt.Tensor)


def test_betas_as_tensors():
    sides = pair("Adam", {"betas": lambda m: (m.tensor(0.5).double(), m.tensor([0.75]).double())})
    run(sides, 4)
    (_, ours, _), (_, theirs, _) = sides
    for one, two in zip(ours, theirs, strict=True):
        close(one, two, 1e-8)


def test_groups_have_their_own_options():
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        a, b, c = params(module, shapes=((2,), (3,), (4,)))
        optimizer = library.Adam(
            [{"params": a, "lr": 0.1}, {"params": [b], "weight_decay": 0.5}, {"params": iter([c])}],
            betas=(0.5, 0.6),
        )
        for seed in range(5):
            give_gradients(module, [a, b, c], seed)
            optimizer.step()
            optimizer.param_groups[2]["lr"] = 0.1 / (seed + 1)
        found.append([a, b, c])
    for one, two in zip(*found, strict=True):
        close(one, two, 1e-10)


def test_closure_runs_with_recording_on():
    for module, library in ((dt, optim), (torch, torch.optim)):
        (x,) = params(module, shapes=((3,),))
        optimizer = library.SGD([x], lr=0.1)
        modes = []

        def closure(x=x, optimizer=optimizer, modes=modes, module=module):
            modes.append(module.is_grad_enabled())
            optimizer.zero_grad()
            loss = (x * x).sum()
            loss.backward()
            return loss

        with module.no_grad():
            loss = optimizer.step(closure)
            assert not module.is_grad_enabled()
        assert modes == [True]
        assert loss.requires_grad
        assert optimizer.step() is None


@pytest.mark.parametrize("name", NAMES)
def test_gradients_flow_through_differentiable_steps(name):
    # PyTorch's own Adamax and Rprop overwrite what they need on the way back of a second step.
    slopes = (3.0,) if name in ("Adamax", "Rprop") else (3.0, 2.0)
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        start = module.tensor([1.0, -2.0, 0.5], dtype=module.float64, requires_grad=True)
        x = start.clone()
        optimizer = getattr(library, name)([x], lr=0.1, differentiable=True)
        for slope in slopes:
            x.grad = (start * start * slope).clone()
            optimizer.step()
        x.square().sum().backward()
        found.append((x, start.grad))
    for one, two in zip(*found, strict=True):
        close(one, two, 1e-5)  # PyTorch calculates with a float32 number of steps.


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_differentiable_steps_of_other_types(dtype):
    start = dt.tensor([1.0, 2.0], dtype=getattr(dt, dtype), requires_grad=True)
    x = start.clone()
    optimizer = optim.SGD([x], lr=0.5, momentum=0.5, differentiable=True)
    for _ in range(2):
        x.grad = (start * start).clone()
        optimizer.step()
    assert x.dtype is start.dtype
    x.real.sum().backward() if x.is_complex() else x.sum().backward()
    # After two steps it is x - (0.5 + 0.5 * 1.5) x * x.
    assert x.tolist() == [-0.25, -3.0]
    assert start.grad.tolist() == [-1.5, -4.0]


@pytest.mark.parametrize("name", ["Adamax", "Rprop", "Adam"])
def test_gradients_of_two_differentiable_steps_are_slopes(name):
    def end(values):
        start = dt.tensor(values, dtype=dt.float64, requires_grad=True)
        x = start.clone()
        optimizer = getattr(optim, name)([x], lr=0.1, differentiable=True)
        for slope in (3.0, 2.0):
            x.grad = (start * start * start * slope).clone()
            optimizer.step()
        return start, x.square().sum()

    point, step = np.array([1.0, -2.0, 0.5]), 1e-6
    start, loss = end(point.tolist())
    loss.backward()
    for i, slope in enumerate(start.grad.tolist()):
        shift = np.eye(3)[i] * step
        rise = end((point + shift).tolist())[1].item() - end((point - shift).tolist())[1].item()
        np.testing.assert_allclose(slope, rise / (2 * step), rtol=1e-6)


def test_gradient_of_the_rate():
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        lr = module.tensor(0.1, dtype=module.float64, requires_grad=True)
        x = module.tensor([1.0, 2.0], dtype=module.float64, requires_grad=True).clone()
        optimizer = library.SGD([x], lr=lr, differentiable=True)
        x.grad = module.tensor([3.0, 4.0], dtype=module.float64)
        optimizer.step()
        x.sum().backward()
        found.append(lr.grad)
    close(*found, 1e-12)


def newton_schulz(x, steps=5):
    """The iteration of Muon, written down again."""
    a, b, c = 3.4445, -4.775, 2.0315
    flip = x.shape[0] > x.shape[1]
    x = x.T if flip else x
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(steps):
        g = x @ x.T
        x = a * x + (b * g + c * g @ g) @ x
    return x.T if flip else x


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon(shape, adjust, nesterov):
    options = {"lr": 0.1, "adjust_lr_fn": adjust, "nesterov": nesterov}
    sides = pair("Muon", options, shapes=(shape,))
    (_, (x,), mine), (_, (y,), other) = sides
    expected, buffer = array(x), np.zeros(shape)
    rows, columns = shape
    factor = (
        0.2 * max(shape) ** 0.5 if adjust == "match_rms_adamw" else max(1, rows / columns) ** 0.5
    )
    for step in range(3):
        give_gradients(dt, [x], 100 + step)
        grad = array(x.grad)
        buffer = 0.95 * buffer + 0.05 * grad
        update = newton_schulz(0.05 * grad + 0.95 * buffer if nesterov else buffer)
        expected = expected * (1 - 0.1 * 0.1) - 0.1 * factor * update
        run(sides, 1, step)
    np.testing.assert_allclose(x.tolist(), expected, rtol=1e-9)
    # PyTorch iterates in bfloat16.
    np.testing.assert_allclose(x.tolist(), y.tolist(), atol=0.03 * factor)
    same_state(mine, other, 1e-10)


def rosenbrock(x):
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def quartic(x):
    return (x**4).sum() + (x[0] * x[1] - 1) ** 2 + x.sum()


@pytest.mark.parametrize("function", [rosenbrock, quartic])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.1, "max_iter": 7, "history_size": 3},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "lr": 3.0, "history_size": 2},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "max_eval": 5},
    ],
)
def test_lbfgs(function, options):
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        x = module.tensor([-1.2, 1.0, 0.7], dtype=module.float64, requires_grad=True)
        optimizer = library.LBFGS([x], **options)

        def closure(x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = function(x)
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(4)]
        found.append((x, losses, optimizer))
    (one, ours, mine), (two, theirs, other) = found
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)
    close(one, two, 1e-6)
    kept, expected = mine.state_dict()["state"][0], other.state_dict()["state"][0]
    assert set(kept) == set(expected)
    for key in ("func_evals", "n_iter"):
        assert kept[key] == expected[key]
    np.testing.assert_allclose(kept["d"].tolist(), expected["d"].tolist(), rtol=1e-3, atol=1e-6)


def test_lbfgs_of_several_parameters_some_without_gradient():
    found = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        a, b, c = params(module, shapes=((2, 2), (3,), (2,)))
        z = module.tensor([1 + 1j], dtype=module.complex128, requires_grad=True)
        optimizer = library.LBFGS([a, b, c, z], lr=0.5)

        def closure(a=a, b=b, z=z, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((a - 1) ** 4).sum() + (b * b).sum() + z.abs().square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append((a, b, c))
    for one, two in zip(*found, strict=True):
        close(one, two, 1e-8)


def test_lbfgs_ends_where_the_gradient_is_flat():
    x = dt.zeros(2, requires_grad=True)
    optimizer = optim.LBFGS([x])

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert optimizer.state[x] == {"func_evals": 1, "n_iter": 0}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_line_search_survives_losses_that_are_no_numbers():
    x = dt.tensor([1.0], dtype=dt.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], lr=1e200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (x.exp() + (-x).exp()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert np.isfinite(x.item())


def test_sparse_adam_refuses_dense_gradients():
    x = dt.ones(2, requires_grad=True)
    optimizer = optim.SparseAdam([x])
    optimizer.step()
    x.grad = dt.ones(2)
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        optimizer.step()
