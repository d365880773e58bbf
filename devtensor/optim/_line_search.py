"""The search for a step that is long enough and not too long (the strong Wolfe conditions)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from devtensor.tensor import Tensor

__all__ = ["strong_wolfe"]

ENOUGH = 1e-4  # The part of the promised decrease that the loss must show.
FLATTER = 0.9  # The part of the slope at the beginning that may be left.


class Place(NamedTuple):
    """What is known of one place on the line."""

    at: float
    loss: float
    gradient: Tensor
    slope: float


def strong_wolfe(
    look: Callable[[float], tuple[float, Tensor]],
    direction: Tensor,
    length: float,
    loss: float,
    gradient: Tensor,
    slope: float,
    *,
    tolerance_change: float,
    max_evaluations: int,
) -> tuple[float, Tensor, float]:
    """Find a good length for a step along `direction`.

    Parameters
    ----------
    look : callable
        Gives the loss and its gradient after a step of some length.
    direction : Tensor
    length : float
        The first length to try.
    loss, gradient, slope
        What is known where the step begins; the slope is along `direction`.
    tolerance_change : float
        Lengths between which no parameter changes by more are the same.
    max_evaluations : int
        How often to look again after the first look.

    Returns
    -------
    loss, gradient, length
        Of the step found.
    """

    def place(at: float) -> Place:
        found, there = look(at)
        return Place(at, found, there, there.dot(direction).item())

    def too_high(there: Place) -> bool:
        return there.loss > loss + ENOUGH * there.at * slope

    def flat(there: Place) -> bool:
        return abs(there.slope) <= -FLATTER * slope

    start = Place(0.0, loss, gradient.clone(), slope)
    before, here = start, place(length)
    looks = 0
    # Go on until a good place lies between two.
    while looks < max_evaluations:
        if too_high(here) or (looks > 1 and here.loss >= before.loss):
            break
        if flat(here):
            return here.loss, here.gradient, here.at
        if here.slope >= 0:
            break
        nearest = here.at + 0.01 * (here.at - before.at)
        at = cubic_minimum(before, here, nearest, here.at * 10)
        before, here = here, place(at)
        looks += 1
    else:
        before = start
    # Draw the two together. The lower one is `low`.
    low, high = (before, here) if before.loss <= here.loss else (here, before)
    stuck = False
    extent = direction.abs().max().item()
    while looks < max_evaluations and abs(high.at - low.at) * extent >= tolerance_change:
        left, right = sorted((low.at, high.at))
        at = cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - at, at - left) < margin:
            # Too near to one end twice, or beyond it: step away from that end.
            if stuck or at >= right or at <= left:
                at = right - margin if abs(at - right) < abs(at - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        here = place(at)
        looks += 1
        if too_high(here) or here.loss >= low.loss:
            low, high = (low, here) if low.loss <= here.loss else (here, low)
        elif flat(here):
            low = here
            break
        else:
            if here.slope * (high.at - low.at) >= 0:
                high = low
            low = here
    return low.loss, low.gradient, low.at


def cubic_minimum(one: Place, two: Place, least: float, most: float) -> float:
    """Where the cubic through two places, with their slopes, is lowest between two bounds.

    It is the middle where there is no such cubic, or it has no minimum.
    """
    if one.at > two.at:
        one, two = two, one
    span = two.at - one.at
    d1 = one.slope + two.slope - 3 * (two.loss - one.loss) / span if span else math.nan
    square = d1 * d1 - one.slope * two.slope
    d2 = math.sqrt(square) if square >= 0 else math.nan
    bottom = two.slope - one.slope + 2 * d2
    at = two.at - span * ((two.slope + d2 - d1) / bottom) if bottom else math.nan
    return min(max(at, least), most) if math.isfinite(at) else (least + most) / 2
