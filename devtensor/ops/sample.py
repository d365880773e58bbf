"""Reading images between their pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from devtensor.example import fixed
from devtensor.op import derivative, op
from devtensor.space import Space

PLACES = fixed([[[[0.3, 1.2], [2.6, 0.4]], [[-0.3, 1.7], [4.4, 2.3]]]])


def _near(xp: Any, places: Any, sizes: Sequence[int], taps: int) -> list[list[tuple[Any, ...]]]:
    """For each dimension the pixels next to a place: number, existence, share, and its slope.

    A lone pixel has all, wherever before the next one the place is.
    """
    found = []
    for d, n in enumerate(sizes):
        place = places[..., len(sizes) - 1 - d]
        start = xp.floor(place)
        near = []
        for tap in range(taps):
            pixel = start + tap
            exists = xp.logical_and(pixel >= 0, pixel <= n - 1)
            number = xp.astype(xp.where(exists, pixel, xp.zeros_like(pixel)), xp.int64)
            share = xp.ones_like(place)
            if taps > 1:
                share = place - start if tap else start + 1 - place
            share = xp.where(exists, share, xp.zeros_like(share))
            near.append((number, exists, share, 2 * tap - 1))
        found.append(near)
    return found


def _corners(xp: Any, near: Any, sizes: Sequence[int], channels: int) -> Iterator[tuple[Any, ...]]:
    """Each pixel next to the places: its parts, its number for all channels, weight, existence."""
    for corner in itertools.product(*near):
        index, there, weight = corner[0][:3]
        for n, (number, exists, share, _) in zip(sizes[1:], corner[1:], strict=True):
            index, weight = index * n + number, weight * share
            there = xp.logical_and(there, exists)
        batch, count = index.shape[0], prod(index.shape[1:])
        index = xp.broadcast_to(xp.reshape(index, (batch, 1, count)), (batch, channels, count))
        line = (batch, 1, count)
        yield corner, index, xp.reshape(weight, line), xp.reshape(there, line)


def _masked(xp: Any, there: Any, x: Any) -> Any:
    """`x` where a pixel exists, else 0, whatever `x` is there."""
    return xp.where(there, x, xp.zeros_like(x))


@op(
    promotes=None,
    public=False,
    node="GridSampler2DBackward0",
    examples=[((1, 3, 3, 4), PLACES), ((1, 2, 3, 3), PLACES, 1)],
)
def sampled(xp: Any, input: Any, places: Any, /, taps: int = 2) -> Any:
    """Images read at places that are numbers of pixels: the nearest ones, by how near they are.

    With one of the `taps` it is the pixel before a place that is read. Outside, there is 0.
    """
    batch, channels, *sizes = input.shape
    flat = xp.reshape(input, (batch, channels, prod(sizes)))
    total: Any = 0  # a sum from 0 on, so what lies outside is 0 and never -0
    for _, index, weight, there in _corners(xp, _near(xp, places, sizes, taps), sizes, channels):
        total = total + _masked(xp, there, xp.take_along_axis(flat, index, axis=2)) * weight
    return xp.reshape(total, (batch, channels, *places.shape[1:-1]))


def _slopes(xp: Any, g: Any, input: Any, places: Any, taps: int) -> tuple[Any, Any]:
    """The gradients of `sampled`, in steps that have gradients themselves."""
    batch, channels, *sizes = input.shape
    shape, count = (batch, channels, prod(sizes)), prod(places.shape[1:-1])
    flat, g = xp.reshape(input, shape), xp.reshape(g, (batch, channels, count))
    image: Any = 0
    moved: list[Any] = [0] * len(sizes)
    near = _near(xp, places, sizes, taps)
    for corner, index, weight, there in _corners(xp, near, sizes, channels):
        image = image + xp.gather_spread(_masked(xp, there, g * weight), index, shape, 2)
        if taps == 1:
            continue
        along = xp.reshape(
            xp.sum(g * xp.take_along_axis(flat, index, axis=2), axis=1), places.shape[:-1]
        )
        along = _masked(xp, xp.reshape(there, places.shape[:-1]), along)
        for d, (_, _, _, sign) in enumerate(corner):
            part = along * sign
            for e, (_, _, share, _) in enumerate(corner):
                part = part * share if e != d else part
            moved[d] = moved[d] + part
    slope = xp.zeros_like(places) if taps == 1 else xp.stack(moved[::-1], axis=-1)
    return xp.reshape(image, input.shape), slope


@op(
    promotes=None,
    public=False,
    outputs=("image", "slope"),
    examples=[((1, 3, 2, 2), (1, 3, 3, 4), PLACES), ((1, 2, 2, 2), (1, 2, 3, 3), PLACES, 1)],
)
def sampled_slopes(xp: Any, input: Any, image: Any, places: Any, /, taps: int = 2) -> Any:
    """What `sampled` passes back of `input`: to the images, and to the places."""
    return _slopes(xp, input, image, places, taps)


def _rule(xp: Any, g: Any, input: Any, places: Any, taps: int) -> Any:
    # Where nobody asks for gradients of gradients, the steps are one.
    if isinstance(xp, Space):
        return xp.sampled_slopes(g, input, places, taps)
    return _slopes(xp, g, input, places, taps)


derivative(sampled, together=_rule)
