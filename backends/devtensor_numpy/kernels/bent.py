"""Activations that bend, softly or in a corner, and losses of that form: by blocks and in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import activation as common
from devtensor.ops import loss

from ..choice import BITS
from ..near import exp_less_one, log_of_one_and
from .activation import in_blocks, matching
from .linalg import Array, is_half
from .sums import number

FEW = 1 << 8  # Elements up to which the common kernels, of fewer calls, take less time.


def log_below(out: Array, x: Array, *spare: Array) -> None:
    """Write ``log(1 + exp(-abs(x)))``."""
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    log_of_one_and(out, *spare)


def softplus(xp: Any, input: Array, /, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """`softplus` of the logarithm of 1 and less."""
    if input.size <= FEW:
        return common.softplus.kernel(xp, input, beta, threshold)

    def block(out: Array, given: Array, *spare: Array) -> None:
        x = given if beta == 1 else np.multiply(given, number(beta, out.dtype))
        log_below(out, x, *spare)
        np.add(out, np.clip(x, 0, math.inf, out=spare[0]), out=out)
        if beta != 1:
            np.divide(out, number(beta, out.dtype), out=out)
        far = np.greater(x, threshold)
        if far.any():
            np.copyto(out, given, where=far)

    return in_blocks(block, 2, input)


def logsigmoid_block(out: Array, x: Array, *spare: Array) -> None:
    log_below(out, x, *spare)
    np.subtract(np.clip(x, -math.inf, 0, out=spare[0]), out, out=out)


def logsigmoid(xp: Any, input: Array, /) -> Array:
    """`logsigmoid` of the same."""
    few = input.size <= FEW
    return common.logsigmoid.kernel(xp, input) if few else in_blocks(logsigmoid_block, 2, input)


FAR = 20.0
"""From there on `mish` is `input` in double precision, too."""


def mish_block(out: Array, x: Array, spare: Array) -> None:
    # The tangent of log(1 + e) is n / (n + 2), n = e (e + 2).
    two = number(2, out.dtype)
    np.clip(x, -math.inf, FAR, out=out)
    np.exp(out, out=out)
    np.add(out, two, out=spare)
    np.multiply(out, spare, out=out)
    np.add(out, two, out=spare)
    np.divide(out, spare, out=out)
    np.multiply(out, x, out=out)


def mish(xp: Any, input: Array, /) -> Array:
    """`mish` by one exponential."""
    return in_blocks(mish_block, 1, input)


def falling(input: Array, size: float, rate: float, scale: float) -> Array:
    """`exponential_unit`."""

    def block(out: Array, x: Array, spare: Array) -> None:
        dtype = out.dtype
        np.clip(x, -math.inf, 0, out=out)
        if rate != 1:
            np.multiply(out, number(rate, dtype), out=out)
        exp_less_one(out, spare)
        if size * scale != 1:
            np.multiply(out, number(size * scale, dtype), out=out)
        np.clip(x, 0, math.inf, out=spare)
        if scale != 1:
            np.multiply(spare, number(scale, dtype), out=spare)
        np.add(out, spare, out=out)

    return in_blocks(block, 1, input)


def elu(xp: Any, input: Array, /, alpha: float = 1.0) -> Array:
    """`elu` without `expm1`."""
    few = input.size <= FEW or not math.isfinite(alpha)
    return common.elu.kernel(xp, input, alpha) if few else falling(input, alpha, 1, 1)


def celu(xp: Any, input: Array, /, alpha: float = 1.0) -> Array:
    """`celu` without `expm1`."""
    if input.size <= FEW or not alpha > 0 or not math.isfinite(alpha):
        return common.celu.kernel(xp, input, alpha)
    return falling(input, alpha, 1 / alpha, 1)


def selu(xp: Any, input: Array, /) -> Array:
    """`selu` without `expm1`."""
    if input.size <= FEW:
        return common.selu.kernel(xp, input)
    return falling(input, common.SELU_ALPHA, 1, common.SELU_SCALE)


def hardsigmoid_block(out: Array, x: Array) -> None:
    np.add(x, number(3, out.dtype), out=out)
    np.clip(out, 0, 6, out=out)
    np.divide(out, number(6, out.dtype), out=out)


def hardsigmoid(xp: Any, input: Array, /) -> Array:
    """`hardsigmoid` in place."""
    return in_blocks(hardsigmoid_block, 0, input)


def hardswish_block(out: Array, x: Array) -> None:
    hardsigmoid_block(out, x)
    np.multiply(out, x, out=out)


def hardswish(xp: Any, input: Array, /) -> Array:
    """`hardswish` in place."""
    return in_blocks(hardswish_block, 0, input)


def hardswish_slope_block(out: Array, g: Array, x: Array) -> None:
    bits = BITS[out.dtype.itemsize]
    # From -3 to 3 it is 1 more than this, from there on 1, and below 0. NaN counts as large.
    np.fmin(x, number(3, out.dtype), out=out)
    np.divide(out, number(3, out.dtype), out=out)
    np.subtract(out, number(0.5, out.dtype), out=out)
    within = np.negative(np.less(x, 3).view(np.int8))
    np.bitwise_and(out.view(bits), within, out=out.view(bits))
    np.add(out, number(1, out.dtype), out=out)
    np.multiply(out, g, out=out)
    above = np.less_equal(x, -3).view(np.int8)
    np.subtract(above, 1, out=above)
    np.bitwise_and(out.view(bits), above, out=out.view(bits))


def hardswish_slope(xp: Any, input: Array, x: Array, /) -> Array:
    """`hardswish_slope` without jumps."""
    if input.dtype.kind != "f" or not x.ndim:
        return common.hardswish_slope.kernel(xp, input, x)
    return in_blocks(hardswish_slope_block, 0, *matching(input, x))


def huber(xp: Any, input: Array, target: Array, /, delta: float, smooth: bool = False) -> Array:
    """`huber` in place."""
    alike = input.shape == target.shape and input.dtype == target.dtype
    if not alike or input.dtype.kind != "f" or is_half(input.dtype):
        return loss.huber.kernel(xp, input, target, delta, smooth)

    def block(out: Array, x: Array, y: Array, near: Array) -> None:
        np.subtract(x, y, out=out)
        np.abs(out, out=out)
        np.minimum(out, number(delta, out.dtype), out=near)
        half = number(0.5, out.dtype)
        # near (size - near / 2)
        np.subtract(out, np.multiply(near, half), out=out)
        np.multiply(out, near, out=out)
        if smooth and delta != 1:
            np.divide(out, number(delta, out.dtype), out=out)

    return in_blocks(block, 1, input, target)


KERNELS: dict[str, Callable[..., Any]] = {
    "softplus": softplus,
    "logsigmoid": logsigmoid,
    "mish": mish,
    "elu": elu,
    "celu": celu,
    "selu": selu,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "hardswish_slope": hardswish_slope,
    "huber": huber,
}
