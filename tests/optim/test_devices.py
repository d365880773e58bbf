"""Optimizers of parameters on another device: the numbers that they keep stay with the host."""

import numpy as np
import pytest

import devtensor as dt
import devtensor_strict  # noqa: F401  (registers the device)
from devtensor import optim

NAMES = (
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop",
    "ASGD", "Adafactor", "Muon",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_steps_on_another_device(name):
    found = []
    for device in ("cpu", "strict:1"):
        x = dt.tensor([[1.0, -2.0, 3.0], [0.5, 2.0, 1.0]], dtype=dt.float64, device=device)
        x.requires_grad_()
        optimizer = getattr(optim, name)([x], **({"momentum": 0.9} if name == "SGD" else {}))
        for slope in (1.0, 2.0, -0.5):
            x.grad = dt.full((2, 3), slope, dtype=dt.float64, device=device)
            optimizer.step()
        found.append(x.tolist())
    np.testing.assert_allclose(*found, rtol=1e-12)
    for key, value in optimizer.state[x].items():
        assert value.device == dt.device("cpu" if value.ndim == 0 else "strict:1"), key


def test_loading_brings_the_state_to_the_parameter():
    here = dt.ones(3, requires_grad=True)
    there = dt.ones(3, device="strict:1", requires_grad=True)
    one, two = optim.Adam([here]), optim.Adam([there])
    here.grad = dt.ones(3)
    one.step()
    two.load_state_dict(one.state_dict())
    assert two.state[there]["exp_avg"].device == dt.device("strict:1")
    assert two.state[there]["step"].device == dt.device("cpu")
