"""Where the time of a small launch goes: ``python tests/benchmarks/launch.py``.

Each line adds one thing to the line before it, from the library's call alone to a recorded launch,
so a difference is the price of that thing. All take turns in one process; the figures
are the least CPU time of many blocks. PyTorch's, where it is installed, stand beside them.
"""

import gc
import time
import timeit
from threading import get_ident

import numpy as np

import devtensor as dt
from devtensor.autograd.mode import MODE
from devtensor.autograd.node import Call, tick
from devtensor.op import catalogue
from devtensor.tensor import new

BLOCKS, BLOCK = 30, 2000


class Wrapped:
    """A tensor in the smallest form: an operator that makes an object of its own kind."""

    __slots__ = ("__dict__", "__weakref__", "_alias", "_array", "_device", "_node", "_rest")


def call_alone(self, other):
    return add(self._array, other._array)


def with_object(self, other):
    out = new()
    out._array = add(self._array, other._array)
    out._device = self._device
    out._node = out._alias = out._rest = None
    return out


def with_questions(self, other):
    array = self._array
    if array.dtype is not other._array.dtype or self._device is not other._device:
        return None
    mode = MODE.get()
    if mode.thread != get_ident():
        return None
    return with_object(self, other)


def with_node(self, other):
    out = with_questions(self, other)
    node = Call()
    node.plan, node.links, node.params, node.extra = PLAN, (self._node, other._node), None, None
    node.clock, node.shape, node.device = tick(), out._array.shape, out._device
    out._node = node
    return out


add = np.add
PLAN = catalogue["add"].op.plan((True, True))


def least(statements):
    """The least time of each statement, in nanoseconds; they take turns."""
    timers = {
        name: timeit.Timer(statement, "gc.enable()", time.process_time, {"gc": gc, **names})
        for name, (statement, names) in statements.items()
    }
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(BLOCKS):
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(BLOCK) / BLOCK * 1e9)
    return best


def main():
    data = np.linspace(0, 1, 10, dtype="float32")
    a, b = dt.tensor(data), dt.tensor(data + 1)
    x, y = (dt.tensor(data, requires_grad=True) for _ in range(2))
    steps = {
        "the library's call": ("add(a, b)", {"add": add, "a": data, "b": data + 1}),
        "within an operator": ("a + b", {}),
        "and an object": ("a + b", {}),
        "and the questions": ("a + b", {}),
        "and a node": ("a + b", {}),
    }
    forms = (call_alone, with_object, with_questions, with_node)
    for (name, (statement, names)), form in zip(list(steps.items())[1:], forms, strict=True):
        kind = type("Wrapped", (), {"__slots__": Wrapped.__slots__, "__add__": form})
        one, other = object.__new__(kind), object.__new__(kind)
        for made, array in ((one, data), (other, data + 1)):
            made._array, made._device, made._node = array, a._device, x._node
        steps[name] = (statement, {**names, "a": one, "b": other})
    with dt.no_grad():  # so that the mode has a thread to ask for
        best = least(steps)
        best |= least({"devtensor, no_grad": ("a + b", {"a": a, "b": b})})
    best |= least({"devtensor, recorded": ("x + y", {"x": x, "y": y})})
    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        torch.set_num_threads(1)
        p, q = (torch.tensor(data, requires_grad=True) for _ in range(2))
        with torch.no_grad():
            best |= least({"PyTorch, no_grad": ("p + q", {"p": p, "q": q})})
        best |= least({"PyTorch, recorded": ("p + q", {"p": p, "q": q})})
    before = 0.0
    for name, spent in best.items():
        more = f"+{spent - before:5.0f}" if name.startswith(("within", "and")) else ""
        print(f"{name:24s}{spent:8.0f} ns  {more}")
        before = spent


if __name__ == "__main__":
    main()
