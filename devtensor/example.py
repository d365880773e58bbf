"""Makers of test inputs: how an operation's examples describe the tensors they want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A description of a tensor of test data."""

    kind: str
    shape: tuple[int, ...]
    low: int = 0
    high: int = 5
    data: Any = None


def normal(*shape: int) -> Sample:
    """Standard normal numbers; what a bare shape in an example means."""
    return Sample("normal", shape)


def positive(*shape: int) -> Sample:
    """Numbers between 0.5 and 2."""
    return Sample("positive", shape)


def unit(*shape: int) -> Sample:
    """Numbers between -0.9 and 0.9."""
    return Sample("unit", shape)


def distinct(*shape: int) -> Sample:
    """Numbers well apart from each other and from 0, in random order."""
    return Sample("distinct", shape)


def ints(*shape: int, low: int = 0, high: int = 5) -> Sample:
    """Integers (int64) from `low` up to, not including, `high`."""
    return Sample("ints", shape, low, high)


def bools(*shape: int) -> Sample:
    """True and False at random."""
    return Sample("bools", shape)


def spd(n: int, *batch: int) -> Sample:
    """A symmetric positive definite matrix."""
    return Sample("spd", (*batch, n, n))


def fixed(data: Any) -> Sample:
    """The given nested lists."""
    return Sample("fixed", (), data=data)


def complexes(*shape: int) -> Sample:
    """Complex numbers, both parts standard normal."""
    return Sample("complex", shape)
