"""Losses in few passes over memory, most of them in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devtensor.ops import loss as common
from devtensor.ops.loss import class_weights, reduce_classes, shares

from ..near import log_of_one_and
from ..parts import BLOCK, SLOW, by_parts
from ..quick import ones
from .linalg import Array, is_half, sum_of_squares
from .powers import within


def averaged(total: Any, like: Array, count: int, reduction: str) -> Array:
    """A sum, or the mean made from it, in the dtype of `like`."""
    if reduction == "mean":
        total = total / count if count else math.nan
    return np.asarray(total, dtype=like.dtype)


def squared_error(xp: Any, input: Array, target: Array, /, reduction: str = "mean") -> Array:
    """`squared_error` by dot products, without an array of differences."""
    if is_half(input.dtype):
        return common.squared_error.kernel(xp, input, target, reduction)
    if reduction == "none":
        difference = np.asarray(np.subtract(input, target))
        return np.multiply(difference, difference, out=difference)
    x, y = input.reshape(-1), target.reshape(-1)
    if x.size <= BLOCK:
        total = sum_of_squares(np.subtract(x, y))
    else:
        found: dict[int, float] = {}

        def add_up(some: slice) -> None:
            found[some.start] = float(sum_of_squares(np.subtract(x[some], y[some])))

        by_parts(add_up, x.size)
        total = math.fsum(found.values())
    return averaged(total, input, x.size, reduction)


def logit_entropy(xp: Any, input: Array, target: Array, /, reduction: str = "mean") -> Array:
    """`logit_entropy` by blocks."""
    if is_half(input.dtype):
        return common.logit_entropy.kernel(xp, input, target, reduction)
    x, y = input.reshape(-1), target.reshape(-1)
    kept = np.empty(x.size, input.dtype) if reduction == "none" else None
    sums: dict[int, float] = {}

    def fill(some: slice) -> None:
        ours = x[some]
        loss = np.abs(ours, out=None if kept is None else kept[some])
        np.negative(loss, out=loss)
        np.exp(loss, out=loss)
        part = np.empty(loss.shape, loss.dtype)
        log_of_one_and(loss, part, np.empty(loss.shape, loss.dtype))
        np.subtract(1, y[some], out=part)
        np.multiply(part, ours, out=part)
        np.add(loss, part, out=loss)
        np.minimum(ours, 0, out=part)
        np.subtract(loss, part, out=loss)
        if kept is None:
            wide = np.float32 if is_half(loss.dtype) else None
            sums[some.start] = float(np.add.reduce(loss, dtype=wide))

    by_parts(fill, x.size, weight=SLOW)
    if kept is not None:
        return kept.reshape(input.shape)
    return averaged(math.fsum(sums.values()), input, x.size, reduction)


def checked_classes(
    target: Array, weight: Array | None, input: Array, dim: int, ignore_index: int
) -> Any:
    """`class_weights`, quick where every target is a class and counts 1."""
    classes = input.shape[dim]
    if (
        weight is None
        and target.size
        and not 0 <= ignore_index < classes
        and target.dtype == np.int64
    ):
        # Read without a sign, a negative number is larger than any class.
        numbers = target.view(np.uint64)
        if numbers.item(numbers.argmax()) < classes:
            return target, None
    return class_weights(np, target, weight, input, dim, ignore_index)


def rows_of_classes(x: Array, dim: int) -> Array | None:
    """Numbers of several dimensions with the classes last, if they lie so in memory."""
    if x.ndim < 3 or not x.size:
        return None
    moved = np.moveaxis(x, dim, -1)
    return moved if moved.flags.c_contiguous else None


def class_places(shape: tuple[int, ...], dim: int, target: Array) -> Array:
    """Where the number of each target is in an array of that shape that lies in rows."""
    outer, inner = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    found = np.arange(outer) * (shape[dim] * inner)
    if inner == 1:
        found += target.reshape(outer)
    else:
        found = found[:, None] + target.reshape(outer, inner) * inner
        found += np.arange(inner)
    return found.reshape(target.shape)


FEASIBLE = 32.0
"""Up to here, and down to its negative, no class's probability is too small to be told from 0."""


def share(out: Array, one: Array) -> Array:
    """Divide each row by its sum, which is returned."""
    total: Array = out.dot(one)
    np.multiply(out, np.reciprocal(total)[:, None], out=out)
    return total


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
    options: dict[str, Any] = {"reduction": reduction, "ignore_index": ignore_index}
    if is_half(input.dtype):
        wide = None if weight is None else weight.astype(np.float32)
        loss, probabilities = class_entropy(
            xp, input.astype(np.float32), target, wide, dim=dim, **options
        )
        return loss.astype(input.dtype), probabilities.astype(input.dtype)
    if (rows := rows_of_classes(input, dim)) is not None:
        flat = rows.reshape(-1, rows.shape[-1])
        loss, made = class_entropy(xp, flat, target.reshape(-1), weight, dim=1, **options)
        probabilities = np.moveaxis(made.reshape(rows.shape), -1, dim)
        return loss.reshape(target.shape) if reduction == "none" else loss, probabilities
    target, coefficient = checked_classes(target, weight, input, dim, ignore_index)
    if input.ndim != 2 or input.size == 0:
        near = within(input, FEASIBLE)
        places = class_places(input.shape, dim, target)
        if near:
            probabilities = np.exp(input, order="C")
        else:
            largest = np.max(input, axis=dim, keepdims=True, initial=-np.inf)
            probabilities = np.subtract(input, largest, order="C")
            read = probabilities.reshape(-1).take(places)
            np.exp(probabilities, out=probabilities)
        total = np.add.reduce(probabilities, dim, keepdims=True)
        np.multiply(probabilities, np.reciprocal(total), out=probabilities)
        if near:
            loss = -np.log(probabilities.reshape(-1).take(places))
        else:
            loss = np.squeeze(np.log(total), dim) - read
        return reduce_classes(xp, loss, coefficient, reduction), probabilities
    count, classes = input.shape
    probabilities = np.empty(input.shape, input.dtype)
    loss = np.empty(count, input.dtype)
    one = ones(classes, input.dtype)

    def fill(some: slice) -> None:
        block, out, found = input[some], probabilities[some], loss[some]
        places = np.arange(0, block.size, classes)
        places += target[some]
        if within(block, FEASIBLE):
            np.exp(block, out=out)
            share(out, one)
            np.log(out.reshape(-1).take(places), out=found)
            np.negative(found, out=found)
            return
        np.subtract(block, np.maximum.reduce(block, 1, keepdims=True), out=out)
        read = out.reshape(-1).take(places)
        np.exp(out, out=out)
        np.log(share(out, one), out=found)
        np.subtract(found, read, out=found)

    by_parts(fill, count, classes, weight=SLOW)
    if coefficient is None and reduction == "mean":
        return np.add.reduce(loss) / input.dtype.type(count), probabilities
    return reduce_classes(xp, loss, coefficient, reduction), probabilities


def class_likelihood(
    xp: Any,
    input: Array,
    target: Array,
    weight: Array | None = None,
    /,
    *,
    dim: int,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Any:
    """`class_likelihood`, the targets' numbers read at once."""
    target, coefficient = checked_classes(target, weight, input, dim, ignore_index)
    if input.flags.c_contiguous and input.size:
        read = input.reshape(-1).take(class_places(input.shape, dim, target))
    else:
        read = np.squeeze(np.take_along_axis(input, np.expand_dims(target, dim), dim), dim)
    loss = np.negative(read)
    if coefficient is None and reduction == "mean" and loss.ndim == 1 and not is_half(loss.dtype):
        return np.add.reduce(loss) / loss.dtype.type(loss.size)
    return reduce_classes(xp, loss, coefficient, reduction)


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
    if (rows := rows_of_classes(probabilities, dim)) is not None:
        flat = rows.reshape(-1, rows.shape[-1])
        pull = pull.reshape(-1) if pull.ndim else pull
        slope = class_slope(
            xp, pull, flat, target.reshape(-1), weight,
            dim=1, reduction=reduction, ignore_index=ignore_index,
        )  # fmt: skip
        return np.moveaxis(slope.reshape(rows.shape), -1, dim)
    target, coefficient = checked_classes(target, weight, probabilities, dim, ignore_index)
    if coefficient is not None:
        part = pull * shares(xp, coefficient, reduction)
    else:
        part = pull / probabilities.dtype.type(max(1, target.size)) if reduction == "mean" else pull
    column = part if part.ndim == 0 else np.expand_dims(part, dim)
    slope = np.multiply(probabilities, column, order="C")
    slope.reshape(-1)[class_places(slope.shape, dim, target)] -= part
    return slope


KERNELS = {
    "squared_error": squared_error,
    "logit_entropy": logit_entropy,
    "class_entropy": class_entropy,
    "class_likelihood": class_likelihood,
    "class_slope": class_slope,
}
