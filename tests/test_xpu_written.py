"""What is written in place on xpu: kernels write where they have read, if nothing else is there."""

import os

import numpy as np
import pytest

import devices
import devtensor as dt

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

from devtensor_dpnp import runtime  # noqa: E402
from devtensor_formulas import aim  # noqa: E402

LAST = f"xpu:{len(runtime.QUEUES) - 1}"
SHAPE = (90, 100)

LAYOUTS = {
    "rows": lambda x: x.clone(),
    "parts": lambda x: dt.zeros(SHAPE[0], 2 * SHAPE[1], device=x.device)[:, ::2].copy_(x),
    "columns": lambda x: x.t().contiguous().t(),
    "within": lambda x: dt.zeros(SHAPE[0] + 3, SHAPE[1], device=x.device)[2:-1].copy_(x),
}
CALLS = {
    "add": lambda x, y, z: x.add_(y),
    "add times": lambda x, y, z: x.add_(y, alpha=2),
    "sub row": lambda x, y, z: x.sub_(y[0]),
    "mul column": lambda x, y, z: x.mul_(y[:, :1]),
    "mul number": lambda x, y, z: x.mul_(2.5),
    "add integers": lambda x, y, z: x.add_((y * 5).long()),
    "sqrt": lambda x, y, z: x.sqrt_(),
    "sigmoid": lambda x, y, z: x.sigmoid_(),
    "addcmul": lambda x, y, z: x.addcmul_(y, z, value=0.5),
    "lerp": lambda x, y, z: x.lerp_(end=y, weight=0.25),
    "clamp": lambda x, y, z: x.clamp_(0.25, 0.75),
    "gt": lambda x, y, z: x.gt_(y),
    "copy": lambda x, y, z: x.copy_(y[3]),
}
OVERLAPS = {
    "itself": lambda x, y, z: x.mul_(x),
    "itself twice": lambda x, y, z: x.addcmul_(x, x, value=0.5),
    "later rows": lambda x, y, z: x[:-1].add_(x[1:]),
    "earlier rows": lambda x, y, z: x[1:].addcmul_(x[:-1], y[1:], value=0.5),
    "beside": lambda x, y, z: x[:, 1:].lerp_(x[:, :-1], 0.5),
    "its transpose": lambda x, y, z: x[:, :90].add_(x[:, :90].t()),
    "its first row": lambda x, y, z: x.add_(x[0]),
    "a row of it": lambda x, y, z: x.lerp_(x[3], 0.5),
}


def arrays(count=3):
    random = np.random.default_rng(0)
    return [(random.integers(1, 9, SHAPE) / 8).astype("float32") for _ in range(count)]


def beside_the_cpu(call, layout):
    found = []
    for place in ("cpu", LAST):
        x, *others = [dt.tensor(x, device=place) for x in arrays()]
        x = layout(x)
        where, version = x.data_ptr(), x._version
        call(x, *others)
        assert x.data_ptr() == where
        assert x._version > version
        found.append(x.cpu().numpy())
    assert np.allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_results_are_written_over_the_first_operand(name):
    for layout in LAYOUTS if name in ("add", "addcmul") else ["parts"]:
        beside_the_cpu(CALLS[name], LAYOUTS[layout])


@pytest.mark.parametrize("name", OVERLAPS)
def test_operands_that_overlap(name):
    beside_the_cpu(OVERLAPS[name], LAYOUTS["rows"])


@pytest.mark.parametrize("name", ["add", "sub row", "sqrt", "addcmul", "lerp", "clamp"])
def test_nothing_is_made_beside(name):
    x, y, z = [dt.tensor(x, device=LAST) for x in arrays()]
    CALLS[name](x, y, z)  # which makes what is kept
    pool = dt.device("xpu").backend.pools[x.device.index]
    count = pool.statistics()["count"]
    CALLS[name](x, y, z)
    assert pool.statistics()["count"] == count


def test_what_is_refused_is_not_written():
    x, y, z = [dt.tensor(x, device=LAST) for x in arrays()]
    before = x.cpu().numpy()
    for call in (
        lambda: x.add_(y[:7]),
        lambda: x[0].addcmul_(y, z),
        lambda: x.long().lerp_(y, 0.5),
        lambda: x.clamp_(),
        lambda: x.addcmul_(y.cpu(), z),
    ):
        with pytest.raises((RuntimeError, ValueError)):
            call()
        assert np.array_equal(x.cpu().numpy(), before)
    w = y.requires_grad_()
    x.addcmul_(tensor1=w, tensor2=w)  # recorded: added once
    assert np.array_equal(x.detach().cpu().numpy(), before + (y * y).detach().cpu().numpy())
    assert not aim.AIM.names


def test_gradients_of_what_is_overwritten():
    for name, more in (("exp_", 0), ("sigmoid_", 0), ("mul_", 1), ("addcmul_", 2), ("lerp_", 2)):
        found = []
        for place in ("cpu", LAST):
            leaves = [dt.tensor(x, device=place).requires_grad_() for x in arrays(more + 1)]
            y = leaves[0] * 1
            getattr(y, name)(*leaves[1:])
            (y * y).sum().backward()
            found.append([x.grad.cpu().numpy() for x in leaves])
        for one, two in zip(*found, strict=True):
            assert np.allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("Adam", {"amsgrad": True}),
        ("RMSprop", {"momentum": 0.5, "centered": True}),
        ("NAdam", {}),
    ],
)
def test_steps_of_optimizers_are_written_where_the_parameters_are(name, options):
    found = []
    for place in ("cpu", LAST):
        one, two, three = [dt.nn.Parameter(dt.tensor(x, device=place)) for x in arrays()]
        parameters = [one, dt.nn.Parameter(two[0].detach()), dt.nn.Parameter(three.detach().t())]
        optimizer = getattr(dt.optim, name)(parameters, lr=0.01, **options)
        where = [x.data_ptr() for x in parameters]
        for step in range(3):
            for x in parameters:
                x.grad = (x.detach() * (step + 1)).sin()
            optimizer.step()
        assert where == [x.data_ptr() for x in parameters]
        found.append([x.detach().cpu().numpy() for x in parameters])
    for here, there in zip(*found, strict=True):
        assert np.allclose(here, there, rtol=1e-4, atol=1e-5)
