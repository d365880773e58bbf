"""How fast devtensor is beside NumPy by hand and PyTorch: ``python tests/benchmarks/run.py``.

All candidates run in one process on one thread, in short blocks that take turns. What is measured
is the CPU time of the process with the garbage collector on; a ratio is the median of the ratios of
the blocks that ran beside each other, so a slow spell of the machine falls on both. PyTorch is left
out where it is not installed. Ratios travel from machine to machine, microseconds do not.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
import timeit
import tracemalloc
from contextlib import nullcontext
from statistics import median

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
# They make OpenBLAS use kernels for other processors than the one at hand.
MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
MODES = ("default", "no_grad", "inference")
TARGETS = {"default": 0.5, "no_grad": 0.7, "inference": 0.85}
BLOCK = 0.003
"""Seconds of CPU time in a block."""


def libraries():
    """The libraries to compare, by name."""
    import numpy

    import devtensor

    found = {"numpy": numpy, "devtensor": devtensor}
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    return {**found, "torch": torch}


def mode_of(lib, mode):
    """The context for a mode."""
    if mode == "default" or not hasattr(lib, "no_grad"):
        return nullcontext()
    return lib.no_grad() if mode == "no_grad" else lib.inference_mode()


class Candidate:
    """A statement to be timed under a mode of a library."""

    def __init__(self, lib, mode, statement, names):
        self.lib, self.mode = lib, mode
        # timeit turns the collector off; a tape has to live with it.
        self.timer = timeit.Timer(statement, "gc.enable()", time.process_time, {"gc": gc, **names})
        with mode_of(lib, mode):
            self.timer.timeit(3)  # what is made at the first use is no part of it
            self.count = 1
            while (spent := self.timer.timeit(self.count)) < BLOCK / 4:
                self.count *= 4
        self.count = max(1, round(self.count * BLOCK / spent))

    def block(self):
        """Seconds for one run of the statement."""
        with mode_of(self.lib, self.mode):
            return self.timer.timeit(self.count) / self.count


def turns(candidates, rounds):
    """The times of all candidates, which take turns."""
    times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            times[name].append(candidate.block())
    return times


def ratio(times, one, other):
    """The median ratio of two candidates; None if one is missing."""
    if one not in times or other not in times:
        return None
    return median([a / b for a, b in zip(times[one], times[other], strict=True)])


def result(section, name, times, target=None, mode=None):
    """A line of the report."""
    return {
        "section": section,
        "name": name,
        "mode": mode,
        "microseconds": {lib: median(values) * 1e6 for lib, values in times.items()},
        "to_numpy": ratio(times, "devtensor", "numpy"),
        "to_torch": ratio(times, "devtensor", "torch"),
        "target": target,
    }


# ---- single operations

OPS = {
    "add, 10 elements": ("a + b", "a + b", (10,)),
    "mul, 10 elements": ("a * b", "a * b", (10,)),
    "sin, 10 elements": ("a.sin()", "sin(a)", (10,)),
    "matmul, 8 x 8": ("a @ b", "a @ b", (8, 8)),
}


def arrays(lib, shape, count=2, tracked=True):
    """Float32 tensors that require gradients, or NumPy arrays."""
    import numpy as np

    made = [
        np.linspace(-1.5 + k, 2 + k, int(np.prod(shape)), dtype="float32").reshape(shape)
        for k in range(count)
    ]
    if lib is np:
        return made
    return [lib.tensor(array.tolist(), dtype=lib.float32, requires_grad=tracked) for array in made]


def operations(libs, rounds):
    """Single operations in each mode."""
    for mode in MODES:
        for name, (statement, by_numpy, shape) in OPS.items():
            candidates = {}
            for key, lib in libs.items():
                a, b = arrays(lib, shape)
                names = {"a": a, "b": b, "sin": getattr(lib, "sin", None)}
                chosen = by_numpy if key == "numpy" else statement
                candidates[key] = Candidate(lib, mode, chosen, names)
            yield result("operations", name, turns(candidates, rounds), TARGETS[mode], mode)


# ---- a chain of small operations, and back

LENGTH = 1000


def chain(x, w, b, sin):
    """A thousand operations on ten elements."""
    for _ in range(LENGTH // 4):
        x = sin(x * w + b) * 0.5
    return x


def chain_and_back(lib, x, w, b):
    """The chain and the gradients of its sum."""
    chain(x, w, b, lib.sin).sum().backward()
    x.grad = w.grad = b.grad = None


def chain_by_hand(np, x, w, b):
    """The same in NumPy."""
    saved = []
    start = x
    for _ in range(LENGTH // 4):
        inner = x * w + b
        saved.append((x, inner))
        x = np.sin(inner) * 0.5
    g = np.ones_like(x)
    gw, gb = np.zeros_like(w), np.zeros_like(b)
    for before, inner in reversed(saved):
        g = g * 0.5 * np.cos(inner)
        gb += g
        gw += g * before
        g = g * w
    return start, g, gw, gb


def small_chain(libs, rounds):
    """Forward and backward of the chain, and the bytes that it holds."""
    candidates = {}
    for key, lib in libs.items():
        x, w, b = arrays(lib, (10,), 3)
        function = chain_by_hand if key == "numpy" else chain_and_back
        names = {"f": function, "lib": lib, "x": x, "w": w, "b": b}
        candidates[key] = Candidate(lib, "default", "f(lib, x, w, b)", names)
    line = result(
        "chain", f"{LENGTH} operations on 10 elements and back", turns(candidates, rounds), 0.5
    )
    line["bytes_a_node"] = bytes_a_node(libs["devtensor"])
    line["bytes_target"] = 400
    yield line


def bytes_a_node(dt):
    """What each operation of a chain holds until its backward: tensor, node, array."""
    x, w, b = arrays(dt, (1,), 3)
    chain(x, w, b, dt.sin)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = chain(x, w, b, dt.sin)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held.requires_grad
    return (after - before) / LENGTH


# ---- a step of training

BATCH, WIDTHS = 32, (784, 128, 10)


def step_of(lib):
    """A training step of a library with PyTorch's names."""
    lib.manual_seed(0)
    images, _ = arrays(lib, (BATCH, WIDTHS[0]), tracked=False)
    labels = lib.tensor([i % WIDTHS[-1] for i in range(BATCH)])
    model = lib.nn.Sequential(lib.nn.Linear(*WIDTHS[:2]), lib.nn.ReLU(), lib.nn.Linear(*WIDTHS[1:]))
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = lib.nn.functional.cross_entropy

    def step():
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def step_by_hand(np):
    """The same in NumPy, with arrays used again where that is easy."""
    rng = np.random.default_rng(0)
    images, _ = arrays(np, (BATCH, WIDTHS[0]))
    rows, labels = np.arange(BATCH), np.arange(BATCH) % WIDTHS[-1]
    sizes = ((WIDTHS[0], WIDTHS[1]), (WIDTHS[1],), (WIDTHS[1], WIDTHS[2]), (WIDTHS[2],))
    weights = [(rng.standard_normal(size) * 0.03).astype("float32") for size in sizes]
    means = [np.zeros_like(w) for w in weights]
    squares = [np.zeros_like(w) for w in weights]
    done = 0

    def step():
        nonlocal done
        done += 1
        w1, b1, w2, b2 = weights
        hidden = np.maximum(images @ w1 + b1, 0)
        scores = hidden @ w2 + b2
        scores -= scores.max(1, keepdims=True)
        g = np.exp(scores)
        g /= g.sum(1, keepdims=True)
        g[rows, labels] -= 1
        g /= BATCH
        back = (g @ w2.T) * (hidden > 0)
        gradients = (images.T @ back, back.sum(0), hidden.T @ g, g.sum(0))
        for w, g, m, v in zip(weights, gradients, means, squares, strict=True):
            m += (g - m) * np.float32(0.1)
            v += (g * g - v) * np.float32(0.001)
            scale = np.float32(1e-3 / (1 - 0.9**done))
            root = np.sqrt(v / np.float32(1 - 0.999**done))
            w -= scale * m / (root + np.float32(1e-8))

    return step


def training(libs, rounds):
    """A full step of a perceptron with Adam."""
    candidates = {}
    for key, lib in libs.items():
        step = step_by_hand(lib) if key == "numpy" else step_of(lib)
        for _ in range(5):
            step()
        candidates[key] = Candidate(lib, "default", "step()", {"step": step})
    name = f"step of {'-'.join(map(str, WIDTHS))}, batch {BATCH}, Adam"
    yield result("training", name, turns(candidates, rounds), 0.8)


# ---- the modes beside each other

SIZES = {"10 elements": (10,), "1,000,000 elements": (1000, 1000)}


def expression(x, w):
    """Six operations, a view of one and a write into one; most results are needed once."""
    return x.mul(w).add(w).view(2, -1).sin().mul_(0.5).view(x.shape).mul(w).tanh().add(x)


def modes(libs, rounds):
    """Time and memory of one expression in the three modes."""
    for key in ("devtensor", "torch"):
        if key not in libs:
            continue
        lib = libs[key]
        for name, shape in SIZES.items():
            x, w = arrays(lib, shape)
            names = {"f": expression, "x": x, "w": w}
            candidates = {m: Candidate(lib, m, "f(x, w)", names) for m in MODES}
            times = turns(candidates, rounds)
            line = {
                "section": "modes",
                "name": f"{key}, {name}",
                "microseconds": {mode: median(values) * 1e6 for mode, values in times.items()},
                "no_grad_to_default": ratio(times, "no_grad", "default"),
                "inference_to_no_grad": ratio(times, "inference", "no_grad"),
            }
            if key == "devtensor":
                line["peak_bytes"] = {mode: peak(lib, mode, x, w) for mode in MODES}
            yield line


def peak(lib, mode, x, w):
    """The most memory that the expression holds at once."""
    with mode_of(lib, mode):
        expression(x, w)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        expression(x, w)
        found = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    return found


# ---- the report

SECTIONS = {"operations": operations, "chain": small_chain, "training": training, "modes": modes}


def verdict(value, target):
    """Whether a figure keeps to its target, in words."""
    if value is None or target is None:
        return ""
    return f"{'within' if value <= target else 'ABOVE'} {target:g}"


def shown(line):
    """A line as text."""
    micro = line["microseconds"]
    if line["section"] == "modes":
        text = "  ".join(f"{mode} {value:10.2f} us" for mode, value in micro.items())
        text += f"   no_grad/default {line['no_grad_to_default']:.2f}"
        text += f"  inference/no_grad {line['inference_to_no_grad']:.2f}"
        if "peak_bytes" in line:
            peaks = " > ".join(f"{value:,}" for value in line["peak_bytes"].values())
            text += f"\n{'':30}peak bytes {peaks}"
        return f"{line['name']:30}{text}"
    label = line["name"] + (f", {line['mode']}" if line["mode"] else "")
    text = "  ".join(f"{lib} {value:9.2f} us" for lib, value in micro.items())
    for what in ("numpy", "torch"):
        if line[f"to_{what}"] is not None:
            text += f"  {line[f'to_{what}']:5.2f} x {what}"
    text += f"  {verdict(line['to_torch'], line['target'])}"
    if "bytes_a_node" in line:
        text += f"\n{'':40}{line['bytes_a_node']:.0f} bytes a node, "
        text += verdict(line["bytes_a_node"], line["bytes_target"])
    return f"{label:40}{text.rstrip()}"


def header(libs):
    """What ran where."""
    versions = ", ".join(f"{name} {lib.__version__}" for name, lib in libs.items())
    return f"Python {sys.version.split()[0]}, {versions}; 1 thread, CPU time, medians of ratios"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, action="append", help="sections to run")
    parser.add_argument("--rounds", type=int, default=31, help="blocks to a candidate")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    options = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in ONE_THREAD) or any(
        name in os.environ for name in MISLEADING
    ):
        kept = {name: value for name, value in os.environ.items() if name not in MISLEADING}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**kept, **ONE_THREAD})
    libs = libraries()
    print(header(libs), flush=True)
    lines = []
    for name in options.only or SECTIONS:
        for line in SECTIONS[name](libs, options.rounds):
            lines.append(line)
            print(shown(line), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"header": header(libs), "lines": lines}, file, indent=1)


if __name__ == "__main__":
    main()
