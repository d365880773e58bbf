"""What the benchmarks beside PyTorch have in common: their options, and blocks that take turns."""

from __future__ import annotations

import argparse
import math
import os
import time


def parser(text, rounds):
    """A parser of the options that all have."""
    made = argparse.ArgumentParser(description=text)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--cpu", action="store_true", help="the processor's time")
    made.add_argument("--device", default="cpu", help="cpu, or cuda where both libraries have it")
    return made


def libraries(options):
    """devtensor and PyTorch, which use as many threads, and a device."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # read by NumPy's library when it is loaded
    import torch

    import devtensor

    torch.backends.cudnn.allow_tf32 = False  # products of float32 in float32, as ours
    for lib in (devtensor, torch):
        lib.set_num_threads(options.threads)
        if options.device != "cpu":
            lib.set_default_device(options.device)
    return devtensor, torch


def clock_of(options, both):
    """The clock that is meant, and the measure in words; it waits for the device's work."""
    kind = "processor" if options.cpu else "clock"
    clock = time.process_time if options.cpu else time.perf_counter
    if options.device == "cpu":
        return clock, f"{options.threads} threads, {kind} time"

    def waited():
        for lib in both:
            lib.accelerator.synchronize()
        return clock()

    return waited, f"{options.device}, {kind} time"


def turns(functions, rounds, block, clock):
    """The seconds of each function in each round, in blocks of calls of about `block` seconds."""
    counts = []
    for function in functions:
        function()
        begun = clock()
        function()
        counts.append(max(1, math.ceil(block / max(clock() - begun, 1e-7))))
    found = [[] for _ in functions]
    for _ in range(rounds):
        for function, count, times in zip(functions, counts, found, strict=True):
            begun = clock()
            for _ in range(count):
                function()
            times.append((clock() - begun) / count)
    return found
