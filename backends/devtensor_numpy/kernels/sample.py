"""Images read between their pixels: all channels of all pixels next to a place at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from devtensor.ops import sample as common

from .index import _add_rows
from .linalg import is_half

Array = np.ndarray
FEW = 1 << 15  # Numbers that are counted together channel by channel; more are sorted by pixels.


def _near(places: Array, sizes: Sequence[int], taps: int) -> tuple[Any, Any, list[Any], list[Any]]:
    """The pixels next to the places: their numbers, and of each dimension shares and slopes.

    Axes are one for the taps of each dimension, and one for the places. Between the first two,
    which ones do not exist; None if all do.
    """
    dims, batch, count = len(sizes), places.shape[0], prod(places.shape[1:-1])
    place = places.reshape(-1, dims).T[::-1]
    start = np.floor(place)
    pixels = np.empty((dims, taps, place.shape[1]), np.int64)
    shares = np.ones(pixels.shape, places.dtype)
    with np.errstate(invalid="ignore"):  # NaN is outside
        pixels[:, 0] = start
    if taps > 1:
        pixels[:, 1] = pixels[:, 0] + 1
        np.subtract(start + 1, place, out=shares[:, 0])
        np.subtract(place, start, out=shares[:, 1])
    slopes = np.ones(pixels.shape, places.dtype)
    slopes[:, 0] = -1
    outside = pixels.view(np.uint64) >= np.array(sizes, np.uint64)[:, None, None]
    some = outside.any()
    if some:
        pixels[outside] = 0
        shares[outside] = slopes[outside] = 0
    index: Any = 0
    missing: Any = np.False_
    parts = []
    for d, n in enumerate(sizes):
        line = (1,) * d + (taps,) + (1,) * (dims - d - 1) + (-1,)
        index = index * n + pixels[d].reshape(line)
        parts.append(shares[d].reshape(line))
        parts.append(slopes[d].reshape(line))
        if some:
            missing = missing | outside[d].reshape(line)
    if batch > 1:
        index = index + (np.arange(batch) * prod(sizes)).repeat(count)
    return index, missing.reshape(-1, count * batch) if some else None, parts[::2], parts[1::2]


def _rows(images: Array) -> Array:
    """The channels of each pixel, one pixel after another."""
    batch, channels = images.shape[:2]
    lined = images.reshape(batch, channels, -1).swapaxes(1, 2)
    return np.ascontiguousarray(lined).reshape(-1, channels)


def _images(rows: Array, shape: Sequence[int]) -> Array:
    """The same back in images of a shape."""
    batch, channels = shape[:2]
    lined = rows.reshape(batch, -1, channels).swapaxes(1, 2)
    return np.ascontiguousarray(lined).reshape(shape)


def _whole(input: Array, places: Array) -> bool:
    return bool(
        input.dtype is places.dtype
        and input.dtype.kind == "f"
        and not is_half(input.dtype)
        and input.size
        and places.size
    )


def sampled(xp: Any, input: Array, places: Array, /, taps: int = 2) -> Any:
    """`sampled`."""
    if not _whole(input, places):
        return common.sampled.kernel(xp, input, places, taps)
    batch, channels, *sizes = input.shape
    index, missing, shares, _ = _near(places, sizes, taps)
    weights = prod(shares[1:], start=shares[0])
    parts = _rows(input).take(index.reshape(-1), 0).reshape(-1, index.shape[-1], channels)
    if missing is not None:
        parts[missing] = 0
    parts *= weights.reshape(-1, index.shape[-1], 1)
    parts[0] += 0  # what lies outside is 0 and never -0
    return _images(np.add.reduce(parts, 0), (batch, channels, *places.shape[1:-1]))


def sampled_slopes(xp: Any, input: Array, image: Array, places: Array, /, taps: int = 2) -> Any:
    """`sampled_slopes`."""
    if not _whole(image, places) or input.dtype is not image.dtype:
        return common.sampled_slopes.kernel(xp, input, image, places, taps)
    batch, channels, *sizes = image.shape
    index, missing, shares, slopes = _near(places, sizes, taps)
    g, flat = _rows(input), index.reshape(-1)
    weights = prod(shares[1:], start=shares[0]).reshape(-1, len(g), 1)
    rows = weights * g
    if missing is not None:
        rows[missing] = 0
    rows = rows.reshape(-1, channels)
    spread = np.zeros((batch * prod(sizes), channels), image.dtype)
    if rows.size <= FEW:
        for channel in range(channels):
            spread[:, channel] = np.bincount(flat, rows[:, channel], len(spread))
    else:
        _add_rows(spread, flat, rows)
    moved = np.zeros((places.size // len(sizes), len(sizes)), places.dtype)
    if taps > 1:
        parts = _rows(image).take(flat, 0).reshape(-1, len(g), channels)
        along = np.einsum("kpc,pc->kp", parts, g)
        if missing is not None:
            along[missing] = 0
        along = along.reshape(index.shape)
        for d in range(len(sizes)):
            part = along * slopes[d]
            for e, share in enumerate(shares):
                if e != d:
                    part *= share
            moved[:, len(sizes) - 1 - d] = part.reshape(-1, len(g)).sum(0)
    return _images(spread, image.shape), moved.reshape(places.shape)


KERNELS = {"sampled": sampled, "sampled_slopes": sampled_slopes}
