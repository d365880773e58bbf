"""Losses in few passes over memory, most of them in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops.loss import class_weights, reduce_classes

from .linalg import Array, ones, sum_of_squares

CACHED = 1 << 16  # Elements of a block of rows that stays in the processor's cache.


def squared_error(xp: Any, input: Array, target: Array, /, reduction: str = "mean") -> Any:
    """`squared_error` by a dot product."""
    difference = np.subtract(input, target)
    if reduction == "none":
        return np.multiply(difference, difference, out=np.asarray(difference))
    total = sum_of_squares(np.asarray(difference))
    if reduction == "mean":
        total = total / difference.size if difference.size else np.nan
    return np.asarray(total, dtype=difference.dtype)


def logit_entropy(xp: Any, input: Array, target: Array, /, reduction: str = "mean") -> Any:
    """`logit_entropy` with two buffers."""
    loss = np.asarray(np.abs(input))
    np.negative(loss, out=loss)
    np.exp(loss, out=loss)
    np.log1p(loss, out=loss)
    part = np.asarray(np.multiply(input, target))
    np.subtract(loss, part, out=loss)
    np.maximum(input, 0, out=part)
    np.add(loss, part, out=loss)
    if reduction == "none":
        return loss
    return np.mean(loss) if reduction == "mean" else np.sum(loss)


def class_entropy(
    xp: Any,
    input: Array,
    target: Array,
    weight: Array | None = None,
    /,
    *,
    dim: int,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> tuple[Any, Array]:
    """`class_entropy` by blocks of rows."""
    if input.dtype == np.float16:
        loss, probabilities = class_entropy(
            xp, input.astype(np.float32), target, None if weight is None else weight.astype(np.float32),
            dim=dim, reduction=reduction, ignore_index=ignore_index,
        )  # fmt: skip
        return loss.astype(np.float16), probabilities.astype(np.float16)
    target, coefficient = class_weights(xp, target, weight, input, dim, ignore_index)
    if input.ndim != 2 or input.size == 0:
        probabilities = np.subtract(input, np.max(input, axis=dim, keepdims=True, initial=-np.inf))
        read = np.take_along_axis(probabilities, np.expand_dims(target, dim), dim)
        np.exp(probabilities, out=probabilities)
        total = np.add.reduce(probabilities, dim, keepdims=True)
        np.divide(probabilities, total, out=probabilities)
        loss = np.squeeze(np.log(total) - read, dim)
        return reduce_classes(xp, loss, coefficient, reduction), probabilities
    count, classes = input.shape
    probabilities = np.empty(input.shape, input.dtype)
    total = np.empty(count, input.dtype)
    read = np.empty(count, input.dtype)
    rows = max(1, CACHED // classes)
    one = ones(classes, input.dtype)
    places = np.arange(min(rows, count))
    for start in range(0, count, rows):
        some, block = slice(start, start + rows), input[start : start + rows]
        out, sums = probabilities[some], total[some]
        np.subtract(block, np.maximum.reduce(block, 1, keepdims=True), out=out)
        read[some] = out[places[: len(out)], target[some]]
        np.exp(out, out=out)
        np.matmul(out, one, out=sums)
        np.multiply(out, np.reciprocal(sums)[:, None], out=out)
    loss = np.log(total, out=total)
    loss -= read
    if coefficient is None and reduction == "mean":
        return np.add.reduce(loss) / input.dtype.type(count), probabilities
    return reduce_classes(xp, loss, coefficient, reduction), probabilities


def class_slope(
    xp: Any,
    pull: Array,
    probabilities: Array,
    target: Array,
    weight: Array | None = None,
    /,
    *,
    dim: int,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Array:
    """`class_slope` in one pass, the targets subtracted in place."""
    target, coefficient = class_weights(xp, target, weight, probabilities, dim, ignore_index)
    if coefficient is not None:
        part = pull * (coefficient / np.sum(coefficient) if reduction == "mean" else coefficient)
    else:
        part = pull / probabilities.dtype.type(max(1, target.size)) if reduction == "mean" else pull
    if probabilities.ndim == 2 and dim == 1:
        column = part if part.ndim == 0 else part[:, None]
        slope = np.multiply(probabilities, column)
        slope[np.arange(len(target)), target] -= part
        return slope
    part = np.expand_dims(np.broadcast_to(part, target.shape), dim)
    slope = np.multiply(probabilities, part)
    place = np.expand_dims(target, dim)
    np.put_along_axis(slope, place, np.take_along_axis(slope, place, dim) - part, dim)
    return slope


KERNELS = {
    "squared_error": squared_error,
    "logit_entropy": logit_entropy,
    "class_entropy": class_entropy,
    "class_slope": class_slope,
}
