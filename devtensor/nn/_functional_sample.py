"""Reading images between their pixels."""

from __future__ import annotations

import itertools
from typing import Any

import devtensor as dt
from devtensor import pixels
from devtensor.tensor import Tensor

__all__ = ["sample"]


def sample(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align: bool) -> Tensor:
    """Read `input` at `grid`; the arguments of `grid_sample`, checked."""
    batch, channels, *sizes = input.shape
    dims = len(sizes)
    taps = {"nearest": (0,), "bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}[mode]
    cubic = mode == "bicubic"
    steps = []  # for each dimension and tap: the place read, whether it exists, its weight
    for d, n in enumerate(sizes):
        x = grid[..., dims - 1 - d]
        # Rounded as by PyTorch: where pixels are met the slope is another one on either side.
        if dims == 2:
            x = (x + 1) * ((n - 1) / 2) if align else (x + 1) * (n / 2) - 0.5
        else:
            x = (x + 1) / 2 * (n - 1) if align else ((x + 1) * n - 1) / 2
        if not cubic:
            x = inside(x, n, padding_mode, align)
        start = x.detach().round() if mode == "nearest" else x.detach().floor()
        choices = []
        for tap in taps:
            place = start + tap
            if mode == "nearest":
                weight = dt.ones_like(x)
            elif cubic:
                weight = pixels.weight(dt, (x - place).abs(), True)
                place = inside(place, n, padding_mode, align)
            else:
                weight = x - start if tap else place + 1 - x
            exists = (place >= 0) & (place <= n - 1)
            choices.append((place.clamp(0, n - 1).to(dt.int64), exists, weight))
        steps.append(choices)
    flat = input.flatten(2)
    total: Any = 0  # a sum from 0 on, so what lies outside is 0 and never -0
    for corner in itertools.product(*steps):
        index, exists, weight = corner[0]
        for n, (place, real, share) in zip(sizes[1:], corner[1:], strict=True):
            index, exists, weight = index * n + place, exists & real, weight * share
        weight = dt.where(exists, weight, dt.zeros_like(weight))
        index = index.reshape(batch, 1, -1).expand(-1, channels, -1)
        part = flat.gather(2, index) * weight.reshape(batch, 1, -1).to(input.dtype)
        total = total + part
    made: Tensor = total.reshape(batch, channels, *grid.shape[1:-1])
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
    return x.clamp(0, n - 1)
