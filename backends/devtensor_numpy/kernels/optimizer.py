"""The steps of the optimizers, in place and in blocks that stay in the processor's cache.

Every kernel writes its results into the arrays given and returns these. The formulas are arranged
so that they pass over the memory few times; they differ from the common ones in rounding only.

A step is three things: the `numbers` in it, made once for all parameters of a group; the formula
for a block of memory, `formula(numbers, param, grad, *memory, *scratch)`; and `in_place`, which
counts the step and cuts the arrays into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from devtensor.ops import optimizer as common

from .linalg import Array

BLOCK = 1 << 19  # Bytes: calls are few, and four or five such blocks fit into a third cache.
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
Numbers = tuple[Any, ...]


def numbers(dtype: np.dtype[Any], *values: float | None) -> list[Any]:
    """Arrays without dimensions, with which NumPy calculates faster than with numbers."""
    return [None if value is None else np.asarray(value, dtype) for value in values]


def apart(lr: float, weight_decay: float, decoupled: bool) -> tuple[float | None, float | None]:
    """By what a parameter is multiplied, and how much of it is added to its gradient."""
    if weight_decay == 0:
        return None, None
    return (1 - lr * weight_decay, None) if decoupled else (None, weight_decay)


def fitting(arrays: tuple[Array | None, ...]) -> bool:
    """Whether the arrays can be worked on together."""
    first = arrays[0]
    assert first is not None
    dtype, shape = first.dtype, first.shape
    for x in arrays:
        if x is not None and (x.dtype is not dtype or x.shape != shape):
            return False
    return dtype in FLOATS


def blockwise(
    formula: Callable[..., None], scratch: int, given: Numbers, arrays: tuple[Array | None, ...]
) -> None:
    """Call `formula` with one part of the arrays after the other."""
    first = arrays[0]
    assert first is not None
    dtype, shape = first.dtype, first.shape
    if first.nbytes <= BLOCK:
        more = (np.empty(shape, dtype),) if scratch == 2 else ()
        formula(given, *arrays, np.empty(shape, dtype), *more)
        return
    if all(x is None or x.flags.c_contiguous for x in arrays):
        arrays = tuple([None if x is None else x.reshape(-1) for x in arrays])
        shape = (first.size,)
    rows = -(-shape[0] // -(-first.nbytes // BLOCK))
    spare = [np.empty((rows, *shape[1:]), dtype) for _ in range(scratch)]
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        parts = [None if x is None else x[start:stop] for x in arrays]
        formula(given, *parts, *[x[: stop - start] for x in spare])


def in_place(
    op: Any,
    scratch: int,
    given: Callable[..., Numbers],
    formula: Callable[..., None],
    counters: int = 1,
) -> Callable[..., tuple[Array | None, ...]]:
    """The kernel of `op`, whose last inputs are `counters` and not cut into blocks."""
    inputs: int = len(op.op.inputs)
    memory = inputs - counters

    def kernel(xp: Any, *args: Any, **options: Any) -> tuple[Array | None, ...]:
        arrays = args[:memory]
        if not fitting(arrays):
            return op.kernel(xp, *args, **options)
        made = given(arrays[0].dtype, *args[memory:], **options)
        blockwise(formula, scratch, made, arrays)
        return args[0], *args[2:inputs]

    return kernel


def counted(numbers_of: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """`numbers_of` given the number of this step, which is counted."""

    def given(dtype: np.dtype[Any], step: Array, *options: Any, **named: Any) -> Numbers:
        return numbers_of(dtype, advance(step), *options, **named)

    return given


def advance(step: Array) -> float:
    """Count a step in place, and return its number."""
    count: float = step.item() + 1
    step[...] = count
    return count


def decayed(grad: Array, param: Array, decay: Any, maximize: bool) -> Array:
    """The gradient of the loss, with the decay of the parameter in it."""
    if decay is None:
        return np.negative(grad) if maximize else grad
    out = np.multiply(param, decay, np.empty(param.shape, param.dtype))
    (np.subtract if maximize else np.add)(out, grad, out)
    return out


def average(mean: Array, value: Array, keep: Array, take: Array, t: Array) -> None:
    """Move `mean` towards `value`."""
    np.multiply(value, take, t)
    np.multiply(mean, keep, mean)
    np.add(mean, t, mean)


def average_square(mean: Array, value: Array, keep: Array, take: Array, t: Array) -> None:
    """Move `mean` towards the square of `value`."""
    np.multiply(value, value, t)
    np.multiply(t, take, t)
    np.multiply(mean, keep, mean)
    np.add(mean, t, mean)


# ---- SGD ----


@lru_cache(64)
def sgd_numbers(
    dtype, lr=1e-3, weight_decay=0.0, momentum=0.0, dampening=0.0, nesterov=False, maximize=False
):
    take = 1 - dampening if dampening != 0 else None
    made = numbers(dtype, lr, weight_decay or None, momentum, take)
    return *made, nesterov, maximize


def sgd_block(given, p, g, buffer, t):
    rate, decay, keep, take, nesterov, maximize = given
    if buffer is None and decay is None:
        np.multiply(g, rate, t)
        (np.add if maximize else np.subtract)(p, t, p)
        return
    if decay is not None:
        np.multiply(p, decay, t)
        g = np.subtract(t, g, t) if maximize else np.add(t, g, t)
    elif maximize:
        g = np.negative(g, t)
    if buffer is not None:
        np.multiply(buffer, keep, buffer)
        np.add(buffer, g if take is None else np.multiply(g, take), buffer)
        g = np.add(g, np.multiply(buffer, keep), t) if nesterov else buffer
    np.multiply(g, rate, t)
    np.subtract(p, t, p)


# ---- Adam and its kin ----


@lru_cache(64)
def adam_numbers(
    dtype, count, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False,
    maximize=False,
):  # fmt: skip
    # The correction of the second mean is taken out of the root: one division less.
    root = (1 - beta2**count) ** 0.5
    rate = lr * root / (1 - beta1**count)
    shrink, decay = apart(lr, weight_decay, decoupled)
    made = numbers(dtype, beta1, 1 - beta1, beta2, 1 - beta2, rate, eps * root, shrink, decay)
    return *made, maximize


def adam_block(given, p, g, mean, square, most, t):
    keep1, take1, keep2, take2, rate, eps, shrink, decay, maximize = given
    if shrink is not None:
        np.multiply(p, shrink, p)
    g = decayed(g, p, decay, maximize)
    average(mean, g, keep1, take1, t)
    average_square(square, g, keep2, take2, t)
    np.sqrt(square if most is None else np.maximum(most, square, out=most), t)
    np.add(t, eps, t)
    np.divide(mean, t, t)
    np.multiply(t, rate, t)
    np.subtract(p, t, p)


@lru_cache(64)
def adamax_numbers(
    dtype, count, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, maximize=False
):
    rate = lr / (1 - beta1**count)
    made = numbers(dtype, beta1, 1 - beta1, beta2, eps, rate, weight_decay or None)
    return *made, maximize


def adamax_block(given, p, g, mean, most, t):
    keep1, take1, keep2, eps, rate, decay, maximize = given
    g = decayed(g, p, decay, maximize)
    average(mean, g, keep1, take1, t)
    np.absolute(g, t)
    np.add(t, eps, t)
    np.multiply(most, keep2, most)
    np.maximum(most, t, out=most)
    np.divide(mean, most, t)
    np.multiply(t, rate, t)
    np.subtract(p, t, p)


def nadam_given(
    dtype, step, mu_product, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
    momentum_decay=4e-3, decoupled=False, maximize=False,
):  # fmt: skip
    count = advance(step)
    momenta = common.nadam_momenta(beta1, momentum_decay, count)
    mu_product *= momenta[0]
    product = mu_product.item()
    return nadam_numbers(
        dtype, count, momenta, product, lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    )


@lru_cache(64)
def nadam_numbers(
    dtype, count, momenta, product, lr, beta1, beta2, eps, weight_decay, decoupled, maximize
):
    mu, mu_next = momenta
    root = (1 - beta2**count) ** 0.5
    of_grad = root * lr * (1 - mu) / (1 - product)
    of_mean = root * lr * mu_next / (1 - product * mu_next)
    shrink, decay = apart(lr, weight_decay, decoupled)
    made = numbers(
        dtype, beta1, 1 - beta1, beta2, 1 - beta2, of_grad, of_mean, eps * root, shrink, decay
    )
    return *made, maximize


def nadam_block(given, p, g, mean, square, t, u):
    keep1, take1, keep2, take2, of_grad, of_mean, eps, shrink, decay, maximize = given
    if shrink is not None:
        np.multiply(p, shrink, p)
    g = decayed(g, p, decay, maximize)
    average(mean, g, keep1, take1, t)
    average_square(square, g, keep2, take2, t)
    np.multiply(g, of_grad, t)
    np.multiply(mean, of_mean, u)
    np.add(t, u, t)
    np.sqrt(square, u)
    np.add(u, eps, u)
    np.divide(t, u, t)
    np.subtract(p, t, p)


@lru_cache(64)
def radam_numbers(
    dtype, count, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False,
    maximize=False,
):  # fmt: skip
    correction, rectified = common.radam_rates(beta2, count)
    rate = lr / (1 - beta1**count) * (1 if rectified is None else correction * rectified)
    shrink, decay = apart(lr, weight_decay, decoupled)
    made = numbers(dtype, beta1, 1 - beta1, beta2, 1 - beta2, rate, eps, shrink, decay)
    return *made, maximize, rectified is not None


def radam_block(given, p, g, mean, square, t):
    keep1, take1, keep2, take2, rate, eps, shrink, decay, maximize, known = given
    if shrink is not None:
        np.multiply(p, shrink, p)
    g = decayed(g, p, decay, maximize)
    average(mean, g, keep1, take1, t)
    average_square(square, g, keep2, take2, t)
    if known:
        np.sqrt(square, t)
        np.add(t, eps, t)
        mean = np.divide(mean, t, t)
    np.multiply(mean, rate, t)
    np.subtract(p, t, p)


# ---- without a mean of the gradients ----


@lru_cache(64)
def adagrad_numbers(
    dtype, count, lr=1e-2, lr_decay=0.0, eps=1e-10, weight_decay=0.0, maximize=False
):
    rate = lr / (1 + (count - 1) * lr_decay)
    return *numbers(dtype, rate, eps, weight_decay or None), maximize


def adagrad_block(given, p, g, total, t):
    rate, eps, decay, maximize = given
    g = decayed(g, p, decay, maximize)
    np.multiply(g, g, t)
    np.add(total, t, total)
    np.sqrt(total, t)
    np.add(t, eps, t)
    np.divide(g, t, t)
    np.multiply(t, rate, t)
    np.subtract(p, t, p)


@lru_cache(64)
def adadelta_numbers(dtype, count, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False):
    return *numbers(dtype, lr, rho, 1 - rho, eps, weight_decay or None), maximize


def adadelta_block(given, p, g, square, deltas, t, u):
    rate, keep, take, eps, decay, maximize = given
    g = decayed(g, p, decay, maximize)
    average_square(square, g, keep, take, t)
    np.add(deltas, eps, t)
    np.add(square, eps, u)
    np.divide(t, u, t)
    np.sqrt(t, t)
    np.multiply(t, g, t)
    average_square(deltas, t, keep, take, u)
    np.multiply(t, rate, t)
    np.subtract(p, t, p)


@lru_cache(64)
def rmsprop_numbers(
    dtype, count, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, maximize=False
):
    return *numbers(dtype, lr, alpha, 1 - alpha, eps, momentum, weight_decay or None), maximize


def rmsprop_block(given, p, g, square, mean, buffer, t):
    rate, keep, take, eps, momentum, decay, maximize = given
    g = decayed(g, p, decay, maximize)
    average_square(square, g, keep, take, t)
    if mean is None:
        np.sqrt(square, t)
    else:
        average(mean, g, keep, take, t)
        np.multiply(mean, mean, t)
        np.subtract(square, t, t)
        np.sqrt(t, t)
    np.add(t, eps, t)
    change = np.divide(g, t, t)
    if buffer is not None:
        np.multiply(buffer, momentum, buffer)
        change = np.add(buffer, t, buffer)
    np.multiply(change, rate, t)
    np.subtract(p, t, p)


def asgd_given(
    dtype, step, eta, mu, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0, maximize=False
):
    rate, share = eta.item(), mu.item()
    eta[...], mu[...] = common.asgd_rates(lr, lambd, alpha, t0, advance(step))
    return asgd_numbers(dtype, rate, lambd, share, weight_decay, maximize)


@lru_cache(64)
def asgd_numbers(dtype, eta, lambd, mu, weight_decay, maximize):
    share = mu if mu != 1 else None
    return *numbers(dtype, 1 - lambd * eta, eta, share, weight_decay or None), maximize


def asgd_block(given, p, g, mean, t):
    shrink, eta, share, decay, maximize = given
    g = decayed(g, p, decay, maximize)
    np.multiply(g, eta, t)
    np.multiply(p, shrink, p)
    np.subtract(p, t, p)
    if share is None:
        np.copyto(mean, p)
        return
    np.subtract(p, mean, t)
    np.multiply(t, share, t)
    np.add(mean, t, mean)


KERNELS = {
    "sgd_update": in_place(common.sgd_update, 1, sgd_numbers, sgd_block, 0),
    "adam_update": in_place(common.adam_update, 1, counted(adam_numbers), adam_block),
    "adamax_update": in_place(common.adamax_update, 1, counted(adamax_numbers), adamax_block),
    "nadam_update": in_place(common.nadam_update, 2, nadam_given, nadam_block, 2),
    "radam_update": in_place(common.radam_update, 1, counted(radam_numbers), radam_block),
    "adagrad_update": in_place(common.adagrad_update, 1, counted(adagrad_numbers), adagrad_block),
    "adadelta_update": in_place(
        common.adadelta_update, 2, counted(adadelta_numbers), adadelta_block
    ),
    "rmsprop_update": in_place(common.rmsprop_update, 1, counted(rmsprop_numbers), rmsprop_block),
    "asgd_update": in_place(common.asgd_update, 1, asgd_given, asgd_block, 3),
}
