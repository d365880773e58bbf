"""Normalization of rows: each has its own mean, and factors go along it."""

from __future__ import annotations

import numpy as np

from devtensor.ops import norm as common

from ..parts import BLOCK as CACHED
from ..parts import each
from .linalg import Array, ones
from .sums import blocks, column_sums, in_floats, number, reciprocal_root, row_products, row_sums


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
    mean_of = number(1 / length, dtype)
    weight = None if weight is None else weight.reshape(length)
    bias = None if bias is None else bias.reshape(length)
    out, mean, rstd = (
        np.empty_like(x, order="C"),
        np.empty((count, 1), dtype),
        np.empty((count, 1), dtype),
    )

    def fill(part: slice) -> None:
        centre = mean[part]
        np.multiply(row_sums(x[part])[:, None], mean_of, out=centre)
        away = np.subtract(x[part], centre, out=out[part])
        scale = reciprocal_root(row_products(away, away) * mean_of, eps)[:, None]
        rstd[part] = scale
        np.multiply(away, scale, out=away)
        if weight is not None:
            np.multiply(away, weight, out=away)
        if bias is not None:
            np.add(away, bias, out=away)

    each(fill, blocks(x, CACHED), x.size)
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
        piece = np.multiply(x[part], rstd[part], out=out[part])
        if weight is not None:
            np.multiply(piece, weight, out=piece)

    each(fill, blocks(x, CACHED), x.size)
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
    outer: dict[int, Array] = {}
    less = number(-1 / length, dtype)

    def fill(part: slice) -> None:
        g, some, r = slope[part], x[part], scale[part]
        product = np.multiply(g, some)
        if wanted[1]:
            found = outer[part.start] = np.matmul(r, product)
            if centre is not None:
                found -= np.matmul(r * centre[part], g)
        if inner is None:
            return
        along = np.matmul(product, factor)
        if centre is not None:
            total = np.matmul(g, factor)
            along -= centre[part] * total
        np.multiply(along, less, out=along)
        np.multiply(along, r * r * r, out=along)
        np.multiply(some, along[:, None], out=product)
        if centre is not None:
            np.multiply(total, less, out=total)
            np.multiply(total, r, out=total)
            np.subtract(total, along * centre[part], out=total)
            np.add(product, total[:, None], out=product)
        if weight is None:
            result = np.multiply(g, r[:, None], out=inner[part])
        else:
            result = np.multiply(g, factor, out=inner[part])
            np.multiply(result, r[:, None], out=result)
        np.add(result, product, out=result)

    each(fill, blocks(x, CACHED), x.size)
    return (
        inner,
        np.add.reduce([outer[start] for start in sorted(outer)])[None] if wanted[1] else None,
        column_sums(slope)[None] if wanted[2] else None,
    )


KERNELS = {"native_layer_norm": native_layer_norm, "fused_rms_norm": fused_rms_norm}
