"""The ledger's totals beside what the allocator says, its rows beside what the rules name."""

import json
import tracemalloc

import pytest

import devtensor as dt
from devtensor import nn


def test_rows():
    x = dt.ones(10, 10, requires_grad=True)
    w = dt.ones(10, 10)
    with dt.ledger() as led:
        y = x * w
        z = y.exp()
        with dt.no_grad():
            z.sum()
        with dt.inference_mode():
            z.tanh()
        x.detach().t()
    assert [(r.op, r.mode) for r in led.rows] == [
        ("mul", "grad"), ("exp", "grad"), ("sum", "no_grad"), ("tanh", "inference"), ("t", "grad"),
    ]  # fmt: skip
    mul, exp, total, tanh, view = led.rows
    assert [(s.name, s.bytes, s.used_by) for s in mul.saved] == [("other", 400, ("input",))]
    assert [(s.name, s.used_by) for s in exp.saved] == [("out", ("input",))]
    assert total.saved == tanh.saved == ()
    assert view.output_bytes == 0 and mul.output_bytes == 400
    assert not mul.mode_line.startswith(__file__) and total.mode_line.startswith(__file__)
    assert all(r.line.startswith(__file__) for r in led.rows)
    assert led.launches == 5
    assert led.saved_bytes == 800
    assert led.held_bytes == 400


def test_nothing_is_noted_outside():
    with dt.ledger() as led:
        pass
    dt.ones(3) + 1
    assert led.launches == 0
    with dt.ledger() as outer, dt.ledger() as inner:
        dt.ones(3) * 2
    assert outer.launches == inner.launches == 2


def test_writes_and_functions():
    class Square(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    x = dt.ones(100, requires_grad=True)
    with dt.ledger() as led:
        y = Square.apply(x)
        y.mul_(x)
    ops = [r.op for r in led.rows]
    assert ops == ["mul", "Square", "mul_"]
    assert led.rows[1].saved_bytes == 400
    assert led.rows[2].output_bytes == 0


def test_module_paths():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.body(x)).sum()

    net, x = Net(), dt.ones(2, 3)
    with dt.ledger() as led:
        net(x)
    assert [r.module for r in led.rows] == ["Net.body.0", "Net.body.1", "Net.head", "Net"]


@pytest.mark.parametrize("depth", [1, 5])
def test_totals_are_what_is_held(depth):
    size = 1 << 16
    x = dt.ones(size, requires_grad=True)
    weights = [dt.ones(size, requires_grad=True) for _ in range(depth)]

    def forward():
        y = x
        for w in weights:
            y = (y * w).sin().exp()
        return y.sum()

    forward()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    loss = forward()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    with dt.ledger() as led:
        again = forward()
    assert led.held_bytes == pytest.approx(held, rel=0.02)
    del loss, again


def test_table_and_json():
    x = dt.ones(1000, requires_grad=True)
    with dt.ledger() as led:
        for _ in range(3):
            (x.sin() * x).sum()
    text = str(led)
    assert "sin" in text and "input for input" in text and "test_ledger.py" in text
    assert text.count("\n") < 8  # launches at one line are counted together
    data = json.loads(led.to_json())
    assert data["schema"] == 1
    assert data["totals"]["launches"] == 9
    assert set(data["rows"][0]) == {
        "op", "mode", "mode_line", "output_bytes", "saved", "saved_bytes", "line", "module",
    }  # fmt: skip
    assert sum(r["saved_bytes"] for r in data["rows"]) >= data["totals"]["saved_bytes"]
