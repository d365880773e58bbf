"""What devtensor adds to a call of an array library: ``tests/benchmarks/devices.py xpu:0 cuda:0``.

An operation on a few numbers by the library alone and by devtensor, in short blocks that take
turns; of each the CPU time of the calling thread, and of all blocks the median. The last column is
what devtensor adds on the device beyond what it adds on the cpu.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import devtensor as dt

CALLS = {
    "x + y": (lambda xp, x, y: x + y, lambda x, y: x + y),
    "x * y": (lambda xp, x, y: x * y, lambda x, y: x * y),
    "exp": (lambda xp, x, y: xp.exp(x), lambda x, y: x.exp()),
    "sum": (lambda xp, x, y: xp.sum(x), lambda x, y: x.sum()),
    "x @ y": (lambda xp, x, y: x @ y, lambda x, y: x @ y),
    "x.T": (lambda xp, x, y: x.T, lambda x, y: x.t()),
}
BLOCK = 50


def seconds(call):
    """CPU seconds of this thread for a call, as an average over a block."""
    start = time.thread_time()
    for _ in range(BLOCK):
        call()
    return (time.thread_time() - start) / BLOCK


def added(device, rounds):
    """For each call microseconds of the library, and what devtensor adds."""
    library = {"cpu": "numpy", "xpu": "dpnp", "cuda": "cupy"}[device.type]
    xp = __import__(library)
    x, y = dt.rand(4, 4, device=device), dt.rand(4, 4, device=device)
    found = {}
    for name, (bare, ours) in CALLS.items():
        raw, whole = [], []
        for _ in range(rounds + 1):
            raw.append(seconds(lambda bare=bare: bare(xp, x.array, y.array)))
            whole.append(seconds(lambda ours=ours: ours(x, y)))
            device.backend.synchronize(device.index)
        differences = [w - r for w, r in zip(whole[1:], raw[1:], strict=True)]
        found[name] = (median(raw[1:]) * 1e6, median(differences) * 1e6)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("devices", nargs="*", default=["xpu:0"])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    here = added(dt.device("cpu"), options.rounds)
    print(f"{'microseconds':14}{'library':>10}{'added':>10}{'more than on the cpu':>24}")
    for name in ["cpu", *options.devices]:
        device = dt.device(name).resolve()
        for call, (raw, more) in (added(device, options.rounds) if name != "cpu" else here).items():
            print(f"{name} {call:10}{raw:10.2f}{more:10.2f}{more - here[call][1]:24.2f}")


if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent.parent))
    import devices

    devices.use_stand_in()
    main()
