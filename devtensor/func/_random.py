"""Random numbers within `vmap`: refused, the same for all examples, or different for each."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from math import prod
from typing import Any

import devtensor as dt
from devtensor.device import get_default_device
from devtensor.func._device import batched, depth
from devtensor.func._kernels import draws
from devtensor.func._levels import LEVELS, Level, base, enter, share
from devtensor.ops import random

Function = Callable[..., Any]
COUNTERS: ContextVar[int] = ContextVar("counters", default=0)
"""How many counters of the generator an example takes in the draw that is under way."""


def different(levels: tuple[Level, ...]) -> int:
    """For how many examples, of all levels, numbers are drawn."""
    return prod([level.size for level in levels if level.randomness == "different"])


def drawn(generator: Any, counters: int, run: Function, target: Any) -> Any:
    """What a draw gives within the levels that are running.

    Raises
    ------
    RuntimeError
        If one of them refuses it, or numbers for each example would be written into a tensor that
        all share.
    """
    levels = LEVELS.get()
    if any(level.randomness == "error" for level in levels):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap"
        )
    last = max((i + 1 for i, x in enumerate(levels) if x.randomness == "different"), default=0)
    if target is not None and depth(target._device) < last:
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will "
            "appear like same randomness. Make the tensor from a batched one, as with "
            "x.new_empty(...), or use the function that returns a new tensor"
        )

    def start(seed: int, offset: int) -> Any:
        place = base(get_default_device().resolve())
        for _ in range(last):
            place = batched(place)
        with place:
            first = run(seed, offset)
        reached = depth(first._device)

        def build(level: int, offset: int) -> Any:
            if level <= reached:
                return run(seed, offset)
            size, randomness = levels[level - 1]
            if randomness == "same":
                return share(build(level - 1, offset), level)
            step = counters * different(levels[: level - 1])
            rows = [build(level - 1, offset + i * step) for i in range(size)]
            return enter(dt.stack(rows), 0, 0)

        return first if reached >= last else build(last, offset)

    token = COUNTERS.set(counters)
    try:
        return generator.drawn(counters * different(levels), start)
    finally:
        COUNTERS.reset(token)


def level_of(level: int) -> tuple[Level, int]:
    """The level of a number, and how many counters one of its examples takes."""
    levels = LEVELS.get()
    if level > len(levels):
        return Level(0, "same"), 0
    return levels[level - 1], COUNTERS.get() * different(levels[: level - 1])


random.transforms.append((LEVELS.get, drawn))
draws.append(level_of)
