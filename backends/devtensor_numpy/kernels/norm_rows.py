"""Normalization of rows: each has its own mean, and factors go along it."""

from __future__ import annotations

import math

import numpy as np

from devtensor.ops import norm as common

from ..quick import ones
from .linalg import Array
from .sums import by_blocks, column_sums, in_floats, number, reciprocal_root, row_products, row_sums

CACHED = 1 << 17  # Elements of a part: with fewer, calls for rows cost more than caches save.
MUCH = 1 << 15  # Elements from which on a pass over them costs more than a few calls for the rows.


def outer(column: Array, row: Array) -> Array:
    """Their product, a matrix: BLAS writes short rows faster than NumPy repeats numbers."""
    return np.dot(column, row[None])


@in_floats
def native_layer_norm(
    input: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    /,
    dims: int = 1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """`native_layer_norm`."""
    x = input.reshape(common.rows(input, dims))
    count, length = x.shape
    dtype = x.dtype
    factor = None if weight is None else weight.reshape(length)
    bias = None if bias is None else bias.reshape(length)
    much = x.size >= MUCH
    if much:  # what is multiplied by -mean / deviation, and what by 1
        lines = np.zeros((2, length), dtype)
        np.negative(1 if factor is None else factor, out=lines[0])
        if bias is not None:
            lines[1] = bias
    mean_of = number(1 / length, dtype)
    # 1 / sqrt(sum / length + eps) with fewer calls.
    root, more = number(math.sqrt(length), dtype), number(length * eps, dtype)
    out = np.empty(x.shape, dtype)
    mean, rstd = np.empty((count, 1), dtype), np.empty((count, 1), dtype)

    def fill(part: slice) -> None:
        some, away, centre, scale = x[part], out[part], mean[part, 0], rstd[part, 0]
        sums = row_sums(some)
        np.multiply(sums, mean_of, out=centre)
        near = much
        if much:
            squares = row_products(some, some)
            np.multiply(sums, centre, out=sums)
            np.subtract(squares, sums, out=squares)
            # Where means are larger than deviations, it is the difference of two large numbers.
            near = bool(np.less_equal(sums, squares).all())
        if not near:
            np.subtract(some, centre[:, None], out=away)
            squares = row_products(away, away)
        np.add(squares, more, out=squares)
        np.sqrt(squares, out=squares)
        np.divide(root, squares, out=scale)
        by = outer(scale[:, None], ones(length, dtype) if factor is None else factor)
        if near:
            np.multiply(some, by, out=away)
            shift = np.ones((2, len(some)), dtype)
            np.multiply(centre, scale, out=shift[0])
            np.add(away, np.dot(shift.T, lines, out=by), out=away)
            return
        np.multiply(away, by, out=away)
        if bias is not None:
            np.add(away, bias, out=away)

    by_blocks(fill, x, CACHED)
    return out.reshape(input.shape), mean, rstd


@in_floats
def fused_rms_norm(
    input: Array, weight: Array | None = None, /, dims: int = 1, eps: float = 1e-5
) -> tuple[Array, Array]:
    """`fused_rms_norm`."""
    x = input.reshape(common.rows(input, dims))
    length = x.shape[1]
    weight = None if weight is None else weight.reshape(length)
    rstd = reciprocal_root(row_products(x, x) * number(1 / length, x.dtype), eps)[:, None]
    out = np.empty_like(x, order="C")

    def fill(part: slice) -> None:
        scale = rstd[part]
        np.multiply(x[part], scale if weight is None else outer(scale, weight), out=out[part])

    by_blocks(fill, x, CACHED)
    return out.reshape(input.shape), rstd


FAR = 4.0
"""From here on the ratio of means to deviations costs digits."""


def near(x: Array, mean: Array, rstd: Array) -> tuple[Array, Array]:
    """Numbers and their means, subtracted first where these are large beside deviations."""
    if np.abs(mean * rstd).max(initial=0) > FAR:
        return x - mean, np.zeros_like(mean)
    return x, mean


def row_slopes(
    slope: Array,
    x: Array,
    rstd: Array,
    mean: Array | None,
    weight: Array | None,
    wanted: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """`norm_slopes` of rows, as ``slope * weight * rstd + x * along + shift``."""
    count, length = x.shape
    dtype = x.dtype
    if mean is not None:
        x, mean = near(x, mean, rstd)
    factor = ones(length, dtype) if weight is None else weight.reshape(length)
    scale = rstd.reshape(count)
    centre = None if mean is None else mean.reshape(count)
    inner = np.empty_like(x, order="C") if wanted[0] else None
    found: dict[int, Array] = {}
    less = number(-1 / length, dtype)

    def fill(part: slice) -> None:
        g, some, r = slope[part], x[part], scale[part]
        product = np.multiply(g, some)
        if wanted[1]:
            found[part.start] = np.dot(r, product)
            if centre is not None:
                found[part.start] -= np.dot(r * centre[part], g)
        if inner is None:
            return
        along, pull = np.dot(product, factor), np.multiply(r, less)
        if centre is not None:
            total = np.dot(g, factor)
            along -= centre[part] * total
        np.multiply(along, r * r * pull, out=along)
        result = np.multiply(some, along[:, None], out=inner[part])
        if centre is not None:
            np.multiply(total, pull, out=total)
            np.subtract(total, along * centre[part], out=total)
            np.add(result, total[:, None], out=result)
        by = r[:, None]
        if weight is not None:
            by = np.dot(by, factor[None], out=product)
        np.multiply(g, by, out=product)
        np.add(result, product, out=result)

    by_blocks(fill, x, CACHED)
    return (
        inner,
        np.add.reduce([found[start] for start in sorted(found)])[None] if wanted[1] else None,
        column_sums(slope)[None] if wanted[2] else None,
    )


KERNELS = {"native_layer_norm": native_layer_norm, "fused_rms_norm": fused_rms_norm}
