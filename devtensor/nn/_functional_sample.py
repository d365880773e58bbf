"""Reading images between their pixels."""

from __future__ import annotations

import itertools
from typing import Any

import devtensor as dt
from devtensor import pixels
from devtensor.op import catalogue
from devtensor.tensor import Tensor

__all__ = ["sample"]


def sample(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align: bool) -> Tensor:
    """Read `input` at `grid`; the arguments of `grid_sample`, checked."""
    sizes = tuple(input.shape[2:])
    places = in_pixels(grid, sizes, align)
    if mode == "bicubic":
        return cubic(input, places, sizes, padding_mode, align)
    if padding_mode != "zeros":
        last = len(sizes) - 1
        places = dt.stack(
            [
                inside(places[..., last - d], sizes[d], padding_mode, align)
                for d in range(last, -1, -1)
            ],
            -1,
        )
    nearest = mode == "nearest"
    places = (places.round() if nearest else places).to(input.dtype)
    made: Tensor = catalogue["sampled"].function(input, places, 1 if nearest else 2)
    return made


def in_pixels(grid: Tensor, sizes: tuple[int, ...], align: bool) -> Tensor:
    """The places of a grid, of which -1 and 1 are the borders, as numbers of pixels."""
    lengths: Any = sizes[0]
    if len(set(sizes)) > 1:
        lengths = dt.tensor(sizes[::-1], dtype=grid.dtype, device=grid.device)
    # Rounded as by PyTorch: where pixels are met the slope is another one on either side.
    if len(sizes) == 2:
        x = (grid + 1) * ((lengths - 1) / 2 if align else lengths / 2)
        return x if align else x - 0.5
    return (grid + 1) / 2 * (lengths - 1) if align else ((grid + 1) * lengths - 1) / 2


def cubic(
    input: Tensor, places: Tensor, sizes: tuple[int, ...], padding_mode: str, align: bool
) -> Tensor:
    """Read images between four pixels along each dimension."""
    batch, channels = input.shape[:2]
    steps = []  # for each dimension and tap: the place read, whether it exists, its weight
    for d, n in enumerate(sizes):
        x = places[..., 1 - d]
        start = x.detach().floor()
        choices = []
        for tap in (-1, 0, 1, 2):
            place = start + tap
            weight = pixels.weight(dt, (x - place).abs(), True)
            place = inside(place, n, padding_mode, align)
            exists = (place >= 0) & (place <= n - 1)
            place = dt.where(exists, place, dt.zeros_like(place))
            choices.append((place.to(dt.int64), exists, weight))
        steps.append(choices)
    flat = input.flatten(2)
    total: Any = 0  # a sum from 0 on, so what lies outside is 0 and never -0
    for (row, above, tall), (column, beside, wide) in itertools.product(*steps):
        weight = (tall * wide).reshape(batch, 1, -1).to(input.dtype)
        index = (row * sizes[1] + column).reshape(batch, 1, -1).expand(-1, channels, -1)
        part, there = flat.gather(2, index), (above & beside).reshape(batch, 1, -1)
        total = total + dt.where(there, part, dt.zeros_like(part)) * weight
    made: Tensor = total.reshape(batch, channels, *places.shape[1:-1])
    return made


def inside(x: Tensor, n: int, padding_mode: str, align: bool) -> Tensor:
    """Bring places beyond the border back, as the padding mode says."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0.0, float(n - 1)) if align else (-0.5, float(n))
        if span == 0:
            return dt.zeros_like(x)
        away = (x - low).abs()
        turns = dt.floor(away.detach() / span)
        rest = away - turns * span
        x = dt.where(turns % 2 == 0, rest, span - rest) + low
    # As in PyTorch, the borders themselves are beyond: the slope is 0 there.
    x = dt.where(x > 0, x, dt.zeros_like(x))
    return dt.where(x < n - 1, x, dt.full_like(x, n - 1))
