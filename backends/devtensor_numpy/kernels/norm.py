"""Normalization of channels: sums by BLAS, few passes over memory, all but the first in place.

Each channel of a sample is a row, or, if channels are short, each sample is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops import norm as common

from .linalg import Array
from .norm_rows import near, row_slopes
from .sums import (
    SHORT,
    by_blocks,
    column_sums,
    in_floats,
    number,
    reciprocal_root,
    row_products,
    row_sums,
)


def scaled(x: Array, factor: Array, shift: Array | None, out: Array) -> None:
    """Write ``x * factor + shift`` into `out`."""
    np.multiply(x, factor, out=out)
    if shift is not None:
        np.add(out, shift, out=out)


def flat(x: Array | None, width: int) -> Array | None:
    """One value to a channel as one to each of its `width` places."""
    return None if x is None else x.reshape(-1) if width == 1 else np.repeat(x.reshape(-1), width)


def channel_sums(x: Array) -> Array:
    """The sum of each channel of ``(n, c, l)``."""
    batch, count, width = x.shape
    if width < SHORT:
        total = column_sums(x.reshape(batch, -1))
        return total if width == 1 else np.add.reduce(total.reshape(count, width), 1)
    return np.add.reduce(row_sums(x.reshape(-1, width)).reshape(batch, count), 0)


def channel_products(x: Array, y: Array) -> Array:
    """The dot product of each channel of `x` with that of `y`, both ``(n, c, l)``."""
    batch, count, width = x.shape
    if width < SHORT:
        total = np.einsum("ij,ij->j", x.reshape(batch, -1), y.reshape(batch, -1))
        return total if width == 1 else np.add.reduce(total.reshape(count, width), 1)
    products = row_products(x.reshape(-1, width), y.reshape(-1, width))
    return np.add.reduce(products.reshape(batch, count), 0)


@in_floats
def native_batch_norm(
    input: Array, weight: Array | None = None, bias: Array | None = None, /, eps: float = 1e-5
) -> tuple[Array, Array, Array, Array]:
    """`native_batch_norm`."""
    x = input.reshape(common.channels(input))
    batch, count, width = x.shape
    mean_of = number(1 / (batch * width), x.dtype)
    mean = channel_sums(x) * mean_of
    short = width < SHORT
    samples = x.reshape(batch, -1) if short else x

    def placed(values: Any) -> Any:
        if short:
            return flat(values, width)
        return None if values is None else values.reshape(count, 1)

    away = np.subtract(samples, placed(mean))
    var = channel_products(away.reshape(x.shape), away.reshape(x.shape)) * mean_of
    rstd = reciprocal_root(var, eps)
    scale = rstd if weight is None else rstd * weight
    scale, shift = placed(scale), placed(bias)
    by_blocks(lambda part: scaled(away[part], scale, shift, away[part]), away)
    size = (1, count, 1)
    return away.reshape(input.shape), mean.reshape(size), rstd.reshape(size), var.reshape(size)


@in_floats
def fixed_batch_norm(
    input: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """`fixed_batch_norm`."""
    size = (1, input.shape[1], *(1,) * (input.ndim - 2))
    mean, rstd = running_mean.reshape(size).copy(), reciprocal_root(running_var, eps).reshape(size)
    scale = rstd if weight is None else rstd * weight.reshape(size)
    shift = -mean * scale if bias is None else bias.reshape(size) - mean * scale
    out = np.multiply(input, scale, order="C")
    return np.add(out, shift, out=out), mean, rstd


@in_floats
def native_group_norm(
    input: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    groups: int = 1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """`native_group_norm`."""
    layout = common.grouped(input, groups)
    batch, _, several, width = layout
    length = several * width
    x = input.reshape(batch * groups, length)
    mean_of = number(1 / length, x.dtype)
    mean = (row_sums(x) * mean_of)[:, None]
    out = np.empty_like(x, order="C")
    var = np.empty(len(x), x.dtype)

    def centre(part: slice) -> None:
        away = np.subtract(x[part], mean[part], out=out[part])
        var[part] = row_products(away, away)

    by_blocks(centre, x)
    rstd = reciprocal_root(var * mean_of, eps)
    if weight is None and bias is None:
        factor, shift, seen = rstd[:, None], None, out
    else:
        factor = np.broadcast_to(rstd.reshape(batch, groups, 1, 1), (*layout[:3], 1))
        if weight is not None:
            factor = factor * weight.reshape(groups, several, 1)
        shift = None if bias is None else bias.reshape(1, groups, several, 1)
        seen = out.reshape(layout)
    by_blocks(lambda part: scaled(seen[part], factor[part], shift, seen[part]), seen)
    size = (batch, groups, 1, 1)
    return out.reshape(input.shape), mean.reshape(size), rstd.reshape(size)


def blended(slope: Array, by: Array, x: Array, along: Array, shift: Array) -> Array:
    """``slope * by + x * along + shift``; the three factors are stretched."""
    out = np.empty_like(x, order="C")

    def fill(part: slice) -> None:
        by_, along_, shift_ = (v[part] if len(v) == len(x) else v for v in (by, along, shift))
        other = np.multiply(x[part], along_)
        np.add(other, shift_, out=other)
        result = np.multiply(slope[part], by_, out=out[part])
        np.add(result, other, out=result)

    by_blocks(fill, x)
    return out


def channel_slopes(
    slope: Array, x: Array, rstd: Array, mean: Array, weight: Array | None, wanted: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """`norm_slopes` of channels over the batch."""
    batch, count, width = x.shape
    x, mean = near(x, mean, rstd)
    rstd, mean = rstd.reshape(count), mean.reshape(count)
    total = channel_sums(slope)
    along = channel_products(slope, x)
    along -= mean * total
    inner = None
    if wanted[0]:
        less = number(-1 / (batch * width), x.dtype)
        by = rstd if weight is None else rstd * weight.reshape(count)
        back = by * rstd * rstd * along * less
        shift = by * total * less - back * mean
        if width < SHORT:
            rows = [flat(v, width)[None] for v in (by, back, shift)]  # type: ignore[index]
            flatter = (batch, count * width)
            inner = blended(slope.reshape(flatter), rows[0], x.reshape(flatter), *rows[1:])
            inner = inner.reshape(x.shape)
        else:
            size = (1, count, 1)
            inner = blended(slope, by.reshape(size), x, back.reshape(size), shift.reshape(size))
    size = (1, count, 1)
    return (
        inner,
        (along * rstd).reshape(size) if wanted[1] else None,
        total.reshape(size) if wanted[2] else None,
    )


def group_slopes(
    slope: Array, x: Array, rstd: Array, mean: Array, weight: Array | None, wanted: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """`norm_slopes` of groups of channels."""
    batch, groups, several, width = x.shape
    x, mean = near(x, mean, rstd)
    less = number(-1 / (several * width), x.dtype)
    lines = (-1, width)
    total = row_sums(slope.reshape(lines)).reshape(batch, groups, several, 1)
    along = row_products(slope.reshape(lines), x.reshape(lines)).reshape(total.shape)
    along -= mean * total
    inner = outer = shift = None
    if wanted[0]:
        by = rstd if weight is None else rstd * weight
        back, moved = (along, total) if weight is None else (along * weight, total * weight)
        back = np.add.reduce(back, 2, keepdims=True) * (rstd * rstd * rstd * less)
        moved = np.add.reduce(moved, 2, keepdims=True) * (rstd * less) - back * mean
        inner = blended(slope, by, x, back, moved)
    if wanted[1]:
        outer = np.add.reduce(along * rstd, 0, keepdims=True)
    if wanted[2]:
        shift = np.add.reduce(total, 0, keepdims=True)
    return inner, outer, shift


@in_floats
def norm_slopes(
    slope: Array,
    input: Array,
    rstd: Array,
    mean: Array | None = None,
    weight: Array | None = None,
    /,
    *,
    over: tuple[int, ...],
    wanted: tuple[bool, ...] = (True, True, True),
) -> tuple[Array | None, ...]:
    """`norm_slopes`, by layout."""
    slope = np.ascontiguousarray(slope)
    if over == (1,):
        return row_slopes(slope, input, rstd, mean, weight, wanted)
    assert mean is not None
    by_layout = channel_slopes if over == (0, 2) else group_slopes
    return by_layout(slope, input, rstd, mean, weight, wanted)


def track_statistics(
    xp: Any,
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    /,
    momentum: float,
    count: int,
) -> tuple[Array, Array]:
    """`track_statistics`, in place."""
    for old, new, factor in (
        (running_mean, mean, momentum),
        (running_var, var, momentum * count / max(1, count - 1)),
    ):
        old *= number(1 - momentum, old.dtype)
        old += new.reshape(old.shape) * number(factor, new.dtype)
    return running_mean, running_var


KERNELS = {
    "native_group_norm": native_group_norm,
    "native_batch_norm": native_batch_norm,
    "fixed_batch_norm": fixed_batch_norm,
    "norm_slopes": norm_slopes,
    "track_statistics": track_statistics,
}
