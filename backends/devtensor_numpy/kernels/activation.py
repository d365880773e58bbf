"""Activations in blocks that stay in the processor's cache, and in place within a block."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from devtensor.ops import activation as common

from ..choice import BITS
from ..parts import BLOCK, SLOW, SLOWEST, by_parts
from ..quick import ones
from .linalg import FLOATS, Array, is_half
from .powers import NEAR, powers, within

ROW, ZEROS = 1 << 13, 1 << 15
ROOT = math.sqrt(2 / math.pi)
RATIO = 24  # Steps of a ratio of polynomials.


@lru_cache(64)
def zeros(count: int, dtype: np.dtype[Any]) -> Array:
    """Zeros to compare with: an array is compared with a row of them faster than with one."""
    row = np.zeros(count, dtype)
    row.flags.writeable = False
    return row


def relu(xp: Any, input: Array, /) -> Array:
    """`relu`, against a row of zeros."""
    size, dtype = input.size, input.dtype
    if not input.flags.c_contiguous or size < 64:
        return np.maximum(input, 0)
    if size <= ZEROS:
        return np.maximum(input.reshape(-1), zeros(ZEROS, dtype)[:size]).reshape(input.shape)
    flat, out, whole = input.reshape(-1), np.empty(input.shape, dtype), size - size % ROW
    written, zero = out.reshape(-1), zeros(ROW, dtype)
    np.maximum(flat[:whole].reshape(-1, ROW), zero, out=written[:whole].reshape(-1, ROW))
    np.maximum(flat[whole:], zero[: size - whole], out=written[whole:])
    return out


def gate(xp: Any, input: Array, control: Array, /) -> Array:
    """`gate` by clearing bits, which costs the same wherever the zeros are, and keeps NaN out."""
    if input.shape != control.shape or input.dtype.kind != "f" or not input.ndim:
        return np.where(control <= 0, input.dtype.type(0), input)
    bits = BITS[input.dtype.itemsize]
    # -1, all bits, where the value is kept.
    keep = np.less_equal(control, 0).view(np.int8)
    np.subtract(keep, 1, out=keep)
    return np.bitwise_and(input.view(bits), keep).view(input.dtype)


def in_blocks(
    formula: Callable[..., None],
    scratch: int,
    *arrays: Array,
    step: int = BLOCK,
    weight: int = SLOW,
) -> Array:
    """Apply `formula(out, *parts, *scratch)` to the parts of arrays of one shape and dtype."""
    first = arrays[0]
    dtype = first.dtype
    if is_half(dtype):
        wide = [x.astype(np.float32) for x in arrays]
        return in_blocks(formula, scratch, *wide, step=step, weight=weight).astype(dtype)
    out = np.empty(first.shape, dtype)
    if first.size <= step and first.ndim:
        formula(out, *arrays, *[np.empty(first.shape, dtype) for _ in range(scratch)])
        return out
    flats = [out.reshape(-1), *[x.reshape(-1) for x in arrays]]

    def apply(part: slice) -> None:
        some = [x[part] for x in flats]
        formula(*some, *[np.empty(len(some[0]), dtype) for _ in range(scratch)])

    by_parts(apply, first.size, most=step, weight=weight)
    return out


def matching(input: Array, other: Array) -> tuple[Array, Array]:
    """Both in one shape."""
    if input.shape == other.shape:
        return input, other
    shape = np.broadcast_shapes(input.shape, other.shape)
    return np.broadcast_to(input, shape), np.broadcast_to(other, shape)


def sigmoid_block(out: Array, x: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    one = ones(1, out.dtype)
    np.add(out, one, out=out)
    np.divide(one, out, out=out)  # Quicker than np.reciprocal.


def sigmoid(xp: Any, input: Array, /) -> Array:
    """`sigmoid` in blocks; by the exponential, as small results must keep their digits."""
    if input.dtype.kind != "f":
        return common.sigmoid.kernel(xp, input)
    return in_blocks(sigmoid_block, 0, input, weight=SLOWEST)


def silu_block(out: Array, x: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, ones(1, out.dtype), out=out)
    np.divide(x, out, out=out)


def silu(xp: Any, input: Array, /) -> Array:
    """`silu` in blocks."""
    return in_blocks(silu_block, 0, input, weight=SLOWEST)


def silu_slope_block(out: Array, g: Array, x: Array, other: Array) -> None:
    sigmoid_block(out, x)
    one = ones(1, out.dtype)
    np.subtract(one, out, out=other)
    np.multiply(other, x, out=other)
    np.add(other, one, out=other)
    np.multiply(out, other, out=out)
    np.multiply(out, g, out=out)


def silu_slope(xp: Any, input: Array, x: Array, /) -> Array:
    """`silu_slope` in blocks."""
    return in_blocks(silu_slope_block, 1, *matching(input, x), weight=SLOWEST)


class Odd:
    """An odd function that ends at -1/2 and 1/2, as a ratio of polynomials: ``x p(x x) / q(x x)``.

    Parameters
    ----------
    upper, lower : tuple of float
        The coefficients of `p` and `q`, the highest power's first; 1 for that of `q` is left out.
    end : float
        From where on it is constant. In single precision the ratio is 1/2 there to the last digit.
    """

    def __init__(self, upper: tuple[float, ...], lower: tuple[float, ...], end: float) -> None:
        # NumPy calculates faster with an array without dimensions than with a number.
        self.upper = [np.asarray(c, np.float32) for c in upper]
        self.lower = [np.asarray(c, np.float32) for c in lower]
        self.ends = np.asarray(-end, np.float32), np.asarray(end, np.float32)

    def __call__(self, out: Array, x: Array, near: Array, square: Array, divisor: Array) -> None:
        """Write the values at `x`, and 1/2 added to them; the others are scratch memory."""
        np.minimum(np.maximum(x, self.ends[0], out=near), self.ends[1], out=near)
        np.multiply(near, near, out=square)
        np.multiply(square, self.upper[0], out=out)
        for c in self.upper[1:-1]:
            np.add(out, c, out=out)
            np.multiply(out, square, out=out)
        np.add(out, self.upper[-1], out=out)
        np.multiply(out, near, out=out)
        np.add(square, self.lower[0], out=divisor)
        for c in self.lower[1:]:
            np.multiply(divisor, square, out=divisor)
            np.add(divisor, c, out=divisor)
        np.divide(out, divisor, out=out)
        np.add(out, HALF, out=out)


HALF, ONE = np.asarray(0.5, np.float32), np.asarray(1, np.float32)
# Both fitted in double precision, and right to 3e-7 as they are computed.
PART_BELOW = Odd(
    (11.637023, 626.1463, 10995.694, 98811.51, 794865.6),
    (224.62764, 5387.023, 74397.03, 579744.4, 1992434.5),
    5.122475,
)
"""Of a normal distribution below `x`."""
GELU_SLOPE = Odd(
    (0.021545598, 4.017184, 2.1595526, 1590.2567, -3463.5698, 89169.8),
    (21.462038, 393.71924, 4579.9365, 32912.527, 111757.66),
    5.6812,
)
"""The derivative of `x` times that part."""


def single(x: Array) -> bool:
    """Whether single precision is enough for it."""
    return x.dtype == np.float32 or is_half(x.dtype)


def gelu_block(out: Array, x: Array, *spare: Array) -> None:
    PART_BELOW(out, x, *spare)
    np.multiply(out, x, out=out)


def gelu_slope_block(out: Array, g: Array, x: Array, *spare: Array) -> None:
    GELU_SLOPE(out, x, *spare)
    np.multiply(out, g, out=out)


def tanh_argument(out: Array, x: Array) -> None:
    """Write what the approximation of gelu takes the hyperbolic tangent of."""
    np.multiply(x, x, out=out)
    np.multiply(out, ROOT * common.CUBE, out=out)
    np.add(out, ROOT, out=out)
    np.multiply(out, x, out=out)


def gelu_tanh_block(out: Array, x: Array) -> None:
    tanh_argument(out, x)
    np.tanh(out, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, 0.5, out=out)
    np.multiply(out, x, out=out)


def gelu(xp: Any, input: Array, /, *, approximate: str = "none") -> Array:
    """`gelu` in blocks; of float32 (and less) by a ratio of polynomials."""
    if approximate == "tanh":
        return in_blocks(gelu_tanh_block, 0, input, weight=SLOWEST)
    if approximate != "none" or not single(input):
        return common.gelu.kernel(xp, input, approximate=approximate)
    return in_blocks(gelu_block, 3, input, weight=RATIO)


def gelu_tanh_slope_block(out: Array, g: Array, x: Array, other: Array, square: Array) -> None:
    # With t the tangent of u: (1 + t) / 2 + x (1 - t t) u' / 2.
    tanh_argument(out, x)
    np.tanh(out, out=out)
    np.multiply(x, x, out=square)
    np.multiply(square, 3 * ROOT * common.CUBE, out=square)
    np.add(square, ROOT, out=square)
    np.multiply(square, x, out=square)
    np.multiply(out, out, out=other)
    np.subtract(1, other, out=other)
    np.multiply(other, square, out=other)
    np.add(out, other, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, 0.5, out=out)
    np.multiply(out, g, out=out)


def gelu_slope(xp: Any, input: Array, x: Array, /, approximate: str) -> Array:
    """`gelu_slope` in blocks."""
    if approximate == "tanh":
        return in_blocks(gelu_tanh_slope_block, 2, *matching(input, x), weight=SLOWEST)
    if not single(x):
        return common.gelu_slope.kernel(xp, input, x, approximate)
    return in_blocks(gelu_slope_block, 3, *matching(input, x), weight=RATIO)


def leaky_relu(xp: Any, input: Array, /, negative_slope: float = 0.01) -> Array:
    """`leaky_relu`: for slopes up to 1 the larger of two products."""
    if not 0 <= negative_slope <= 1:
        return common.leaky_relu.kernel(xp, input, negative_slope)
    less = np.asarray(input * negative_slope)
    return np.maximum(input, less, out=less)


# ---- along rows ----


def by_rows(
    formula: Callable[..., None], dim: int, *arrays: Array, weight: int = SLOW
) -> Array | None:
    """Apply ``formula(out, *parts, one)`` to the parts of contiguous arrays of one shape.

    None unless `dim` is the last dimension of floats. A product with `one` adds up a row.
    """
    first = arrays[0]
    dtype, shape = first.dtype, first.shape
    last = len(shape) - 1
    if dtype not in FLOATS or not first.size or (dim != last and dim != -1) or last < 0:
        return None
    for x in arrays:
        if x.shape != shape or x.dtype is not dtype or not x.flags.c_contiguous:
            return None
    length = shape[-1]
    out, one = np.empty(shape, dtype), ones(length, dtype)
    flats = [out, *arrays] if last == 1 else [x.reshape(-1, length) for x in (out, *arrays)]
    if first.size <= BLOCK:
        formula(*flats, one)
    else:
        by_parts(
            lambda part: formula(*[x[part] for x in flats], one),
            len(flats[0]),
            length,
            weight=weight,
        )
    return out


def softmax_rows(out: Array, x: Array, one: Array) -> None:
    total = powers(out, x, one)
    np.reciprocal(total, out=total)
    np.multiply(out, total[:, None], out=out)


def softmax(xp: Any, input: Array, /, dim: int, *, dtype: Any = None) -> Array:
    """`softmax` in blocks of rows, the sums as products with ones."""
    made = by_rows(softmax_rows, dim, input) if dtype is None or input.dtype == dtype else None
    return common.softmax.kernel(xp, input, dim, dtype=dtype) if made is None else made


def log_softmax_rows(out: Array, x: Array, one: Array) -> None:
    near = x
    if not within(x, NEAR):
        near = np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=out)
    total = np.exp(near).dot(one)
    np.log(total, out=total)
    np.subtract(near, total[:, None], out=out)


def log_softmax(xp: Any, input: Array, /, dim: int, *, dtype: Any = None) -> Array:
    """`log_softmax` in blocks of rows."""
    made = by_rows(log_softmax_rows, dim, input) if dtype is None or input.dtype == dtype else None
    if made is None and dim in (-1, input.ndim - 1):
        kind = input.dtype if dtype is None else np.dtype(dtype)
        if is_half(kind):
            return half_log_softmax(input.astype(kind, copy=False))
    return common.log_softmax.kernel(xp, input, dim, dtype=dtype) if made is None else made


def half_log_softmax(input: Array) -> Array:
    """`log_softmax` of the last dimension, whose sums PyTorch rounds to two bytes."""
    if not input.size:
        return np.zeros_like(input)

    def rounded(x: Array) -> Array:
        return x.astype(input.dtype).astype(np.float32)

    wide = input.astype(np.float32)
    below = wide - wide.max(-1, keepdims=True)
    total = rounded(np.exp(below).sum(-1, keepdims=True))
    return (below - rounded(np.log(total))).astype(input.dtype)


def softmax_slope_rows(out: Array, g: Array, y: Array, one: Array) -> None:
    np.multiply(g, y, out=out)
    total = out.dot(one)
    np.subtract(g, total[:, None], out=out)
    np.multiply(out, y, out=out)


def softmax_slope(xp: Any, input: Array, y: Array, /, dim: int) -> Array:
    """`softmax_slope` in blocks of rows."""
    made = by_rows(softmax_slope_rows, dim, input, y, weight=1)
    return common.softmax_slope.kernel(xp, input, y, dim) if made is None else made


def log_softmax_slope_rows(out: Array, g: Array, y: Array, one: Array) -> None:
    np.exp(y, out=out)
    total = g.dot(one)
    np.multiply(out, total[:, None], out=out)
    np.subtract(g, out, out=out)


def log_softmax_slope(xp: Any, input: Array, y: Array, /, dim: int) -> Array:
    """`log_softmax_slope` in blocks of rows."""
    made = by_rows(log_softmax_slope_rows, dim, input, y)
    return common.log_softmax_slope.kernel(xp, input, y, dim) if made is None else made


KERNELS = {
    "relu": relu,
    "gate": gate,
    "sigmoid": sigmoid,
    "silu": silu,
    "silu_slope": silu_slope,
    "gelu": gelu,
    "gelu_slope": gelu_slope,
    "leaky_relu": leaky_relu,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmax_slope": softmax_slope,
    "log_softmax_slope": log_softmax_slope,
}
