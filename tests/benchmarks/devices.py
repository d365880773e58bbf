"""What devtensor adds to a call of an array library: ``tests/benchmarks/devices.py xpu:0 cuda:0``.

An operation on a few numbers by the library alone and by devtensor, on the device and on the cpu,
in short blocks that take turns; of each the CPU time of the calling thread. Shown are the
microseconds of the device's library, and what devtensor adds there beyond what it adds on the cpu:
while gradients are recorded, under ``no_grad``, and with inference tensors. All are medians.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import devtensor as dt

sys.path.insert(0, str(Path(__file__).parent.parent))
import devices

LIBRARIES = {"cpu": "numpy", "xpu": "dpnp", "cuda": "cupy"}
MODES = {"recorded": dt.enable_grad, "no_grad": dt.no_grad, "inference": dt.inference_mode}


def softmax(xp, x):
    """Softmax of rows, as one writes it."""
    e = xp.exp(xp.subtract(x, xp.max(x, axis=1, keepdims=True)))
    return xp.divide(e, xp.sum(e, axis=1, keepdims=True))


def slopes(xp, x, y):
    """``sum(sin(x * y))`` and its gradients, by hand."""
    z = xp.multiply(x, y)
    total = xp.sum(xp.sin(z))
    g = xp.multiply(xp.ones_like(total), xp.cos(z))
    return xp.multiply(g, y), xp.multiply(g, x)


def backward(x, y):
    """The same by devtensor."""
    x.grad = y.grad = None
    (x * y).sin().sum().backward()


CALLS = {
    "x + y": (lambda n: n.xp.add(n.x, n.y), lambda x, y, c: x + y),
    "x * 2": (lambda n: n.xp.multiply(n.x, 2.0), lambda x, y, c: x * 2.0),
    "x > y": (lambda n: n.xp.greater(n.x, n.y), lambda x, y, c: x > y),
    "sin": (lambda n: n.xp.sin(n.x), lambda x, y, c: x.sin()),
    "where": (lambda n: n.xp.where(n.c, n.x, n.y), lambda x, y, c: dt.where(c, x, y)),
    "sum": (lambda n: n.x.sum(), lambda x, y, c: x.sum()),
    "sum(1)": (lambda n: n.x.sum(axis=1), lambda x, y, c: x.sum(1)),
    "mean": (lambda n: n.x.mean(), lambda x, y, c: x.mean()),
    "amax(1)": (lambda n: n.x.max(axis=1), lambda x, y, c: x.amax(1)),
    "x @ y": (lambda n: n.xp.matmul(n.x, n.y), lambda x, y, c: x @ y),
    "x.T": (lambda n: n.x.T, lambda x, y, c: x.t()),
    "x[0]": (lambda n: n.item(n.x, 0), lambda x, y, c: x[0]),
    "x[1:, ::2]": (lambda n: n.item(n.x, SLICES[1:, ::2]), lambda x, y, c: x[1:, ::2]),
    "reshape": (lambda n: n.xp.reshape(n.x, (2, 8)), lambda x, y, c: x.reshape(2, 8)),
    "cat": (lambda n: n.xp.concatenate((n.x, n.y)), lambda x, y, c: dt.cat((x, y))),
    "softmax": (lambda n: softmax(n.xp, n.x), lambda x, y, c: x.softmax(1)),
    "loss": (
        lambda n: n.xp.mean(n.xp.square(n.xp.subtract(n.xp.matmul(n.x, n.x), n.y))),
        lambda x, y, c: (x @ x - y).square().mean(),
    ),
    "backward": (lambda n: slopes(n.xp, n.x, n.y), lambda x, y, c: backward(x, y)),
}
BLOCK = 50


class Slices:
    """Writes slices down as one writes them."""

    def __getitem__(self, key):
        return key


SLICES = Slices()


class Place:
    """A device, its library as it is without devtensor, and a call in all modes."""

    def __init__(self, name):
        kind = dt.device(name).type
        if kind == "cuda":
            devices.use_stand_in()
        self.library = import_module(LIBRARIES[kind])
        item = self.library.ndarray.__getitem__  # before a backend puts another in its place
        self.device = dt.device(name).resolve()
        self.x, self.y = (dt.rand(4, 4, device=self.device) for _ in range(2))
        self.bare = SimpleNamespace(
            xp=self.library, x=self.x.array, y=self.y.array, c=(self.x > self.y).array, item=item
        )

    def made(self, name):
        """By the modes, and first of the library alone, what is called."""
        bare, ours = CALLS[name]
        yield "bare", lambda: bare(self.bare)
        for mode, entered in MODES.items():
            if name == "backward" and mode != "recorded":
                continue
            with entered():
                given = [self.x.clone(), self.y.clone(), self.x > self.y]
            if mode == "recorded":
                given[:2] = [x.requires_grad_() for x in given[:2]]
            yield mode, lambda given=given: ours(*given)

    def seconds(self, mode, call):
        """CPU seconds of this thread for a call, as an average over a block."""
        with MODES.get(mode, dt.enable_grad)():
            start = time.thread_time()
            for _ in range(BLOCK):
                call()
            found = (time.thread_time() - start) / BLOCK
        self.device.backend.synchronize(self.device.index)
        return found


def measured(here, there, name, rounds):
    """Microseconds of the library of `there`, and by modes what is added beyond that `here`."""
    calls = [(place, dict(place.made(name))) for place in (here, there)]
    raw, more = [], {mode: [] for mode in calls[0][1] if mode != "bare"}
    for number in range(rounds + 2):
        found = [{m: p.seconds(m, c) for m, c in made.items()} for p, made in calls]
        if number < 2:  # kernels are compiled
            continue
        raw.append(found[1]["bare"])
        for mode, kept in more.items():
            on_cpu, on_device = (one[mode] - one["bare"] for one in found)
            kept.append(on_device - on_cpu)
    return median(raw) * 1e6, {mode: median(kept) * 1e6 for mode, kept in more.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("devices", nargs="*", default=["xpu:0"])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", nargs="*", choices=CALLS, default=list(CALLS), metavar="CALL")
    options = parser.parse_args()
    here = Place("cpu")
    print(f"{'microseconds':20}{'library':>10}" + "".join(f"{mode:>12}" for mode in MODES))
    for name in options.devices:
        there = Place(name)
        for call in options.only:
            raw, more = measured(here, there, call, options.rounds)
            shown = "".join(f"{more[mode]:12.2f}" if mode in more else " " * 12 for mode in MODES)
            print(f"{name + ' ' + call:20}{raw:10.2f}{shown}", flush=True)


if __name__ == "__main__":
    main()
