"""Normalization of rows: each has its own mean, and factors go along it."""

from __future__ import annotations

import math

import numpy as np

from devtensor.ops import norm as common

from ..parts import BLOCK as CACHED
from ..quick import ones
from .linalg import Array
from .sums import by_blocks, column_sums, in_floats, number, reciprocal_root, row_products, row_sums


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
    weight = None if weight is None else weight.reshape(length)
    bias = None if bias is None else bias.reshape(length)
    mean_of = number(1 / length, dtype)
    # 1 / sqrt(sum / length + eps) with fewer calls.
    root, more = number(math.sqrt(length), dtype), number(length * eps, dtype)
    out = np.empty(x.shape, dtype)
    mean, rstd = np.empty((count, 1), dtype), np.empty((count, 1), dtype)

    def fill(part: slice) -> None:
        some, away, centre, scale = x[part], out[part], mean[part], rstd[part]
        np.multiply(row_sums(some)[:, None], mean_of, out=centre)
        np.subtract(some, centre, out=away)
        squares = row_products(away, away)
        np.add(squares, more, out=squares)
        np.sqrt(squares, out=squares)
        np.divide(root, squares[:, None], out=scale)
        np.multiply(away, scale if weight is None else outer(scale, weight), out=away)
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
        along = np.dot(product, factor)
        if centre is not None:
            total = np.dot(g, factor)
            along -= centre[part] * total
        np.multiply(along, less, out=along)
        np.multiply(along, r * r * r, out=along)
        np.multiply(some, along[:, None], out=product)
        if centre is not None:
            np.multiply(total, less, out=total)
            np.multiply(total, r, out=total)
            np.subtract(total, along * centre[part], out=total)
            np.add(product, total[:, None], out=product)
        result = np.multiply(
            g, r[:, None] if weight is None else outer(r[:, None], factor), out=inner[part]
        )
        np.add(result, product, out=result)

    by_blocks(fill, x, CACHED)
    return (
        inner,
        np.add.reduce([found[start] for start in sorted(found)])[None] if wanted[1] else None,
        column_sums(slope)[None] if wanted[2] else None,
    )


KERNELS = {"native_layer_norm": native_layer_norm, "fused_rms_norm": fused_rms_norm}
