"""Activations in blocks that stay in the processor's cache, and in place within a block."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from devtensor.ops import activation as common

from .linalg import Array, is_half, ones

BLOCK = 1 << 15  # Elements; a few float32 arrays of it fit into the second cache.
ROW = 1 << 13
ROOT = math.sqrt(2 / math.pi)


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
    if size <= BLOCK:
        return np.maximum(input.reshape(-1), zeros(BLOCK, dtype)[:size]).reshape(input.shape)
    flat, out, whole = input.reshape(-1), np.empty(input.shape, dtype), size - size % ROW
    written, zero = out.reshape(-1), zeros(ROW, dtype)
    np.maximum(flat[:whole].reshape(-1, ROW), zero, out=written[:whole].reshape(-1, ROW))
    np.maximum(flat[whole:], zero[: size - whole], out=written[whole:])
    return out


MASKS: dict[int, np.dtype[Any]] = {
    t.itemsize: t for t in (np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64))
}


def gate(xp: Any, input: Array, control: Array, /) -> Array:
    """`gate` by clearing bits, which costs the same wherever the zeros are, and keeps NaN out."""
    if input.shape != control.shape or input.dtype.kind != "f" or not input.ndim:
        return np.where(control <= 0, input.dtype.type(0), input)
    bits = MASKS[input.dtype.itemsize]
    # -1, all bits, where the value is kept.
    keep = np.less_equal(control, 0).view(np.int8)
    np.subtract(keep, 1, out=keep)
    return np.bitwise_and(input.view(bits), keep).view(input.dtype)


def in_blocks(
    formula: Callable[..., None], scratch: int, *arrays: Array, step: int = BLOCK
) -> Array:
    """Apply `formula(out, *parts, *scratch)` to the parts of arrays of one shape and dtype."""
    first = arrays[0]
    dtype, size = first.dtype, first.size
    if is_half(dtype):
        wide = [x.astype(np.float32) for x in arrays]
        return in_blocks(formula, scratch, *wide, step=step).astype(dtype)
    out = np.empty(first.shape, dtype)
    flats = [x.reshape(-1) for x in arrays]
    written = out.reshape(-1)
    spare = [np.empty(min(size, step), dtype) for _ in range(scratch)]
    if size <= step:
        formula(written, *flats, *spare)
        return out
    for start in range(0, size, step):
        stop = min(start + step, size)
        count = stop - start
        formula(written[start:stop], *[x[start:stop] for x in flats], *[x[:count] for x in spare])
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
    return in_blocks(sigmoid_block, 0, input)


def silu_block(out: Array, x: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, ones(1, out.dtype), out=out)
    np.divide(x, out, out=out)


def silu(xp: Any, input: Array, /) -> Array:
    """`silu` in blocks."""
    return in_blocks(silu_block, 0, input)


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
    return in_blocks(silu_slope_block, 1, *matching(input, x))


# The part of a normal distribution below x is near (1 + tanh(x * p(x * x))) / 2; these are the
# coefficients of p, fitted so that x times it is right to 6e-7. Far out p grows, so the tangent
# is 1.
FIT = tuple(
    np.asarray(c, np.float32)
    for c in (
        0.7978842161438043,
        0.03633428345457292,
        -3.3129956124873035e-05,
        -5.524016837663911e-05,
        3.969110664844537e-06,
        -1.3344647624904992e-07,
        1.8056177684723935e-09,
    )
)
HALF = np.asarray(0.5, np.float32)


def normal_part(out: Array, x: Array, other: Array) -> None:
    """Write the part of a normal distribution below `x`."""
    np.square(x, out=other)
    np.multiply(other, FIT[-1], out=out)
    for coefficient in FIT[-2:0:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, other, out=out)
    np.add(out, FIT[0], out=out)
    np.multiply(out, x, out=out)
    np.tanh(out, out=out)
    np.multiply(out, HALF, out=out)
    np.add(out, HALF, out=out)


def gelu_block(out: Array, x: Array, other: Array) -> None:
    normal_part(out, x, other)
    np.multiply(out, x, out=out)


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
    """`gelu` in blocks; of float32 (and less) by a polynomial."""
    if approximate == "tanh":
        return in_blocks(gelu_tanh_block, 0, input)
    if approximate != "none" or input.dtype == np.float64:
        return common.gelu.kernel(xp, input, approximate=approximate)
    return in_blocks(gelu_block, 1, input)


def gelu_slope_block(out: Array, g: Array, x: Array, other: Array) -> None:
    normal_part(out, x, other)
    np.multiply(x, x, out=other)
    np.multiply(other, -0.5, out=other)
    np.exp(other, out=other)
    np.multiply(other, ROOT / 2, out=other)
    np.multiply(other, x, out=other)
    np.add(out, other, out=out)
    np.multiply(out, g, out=out)


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
        return in_blocks(gelu_tanh_slope_block, 2, *matching(input, x))
    if input.dtype == np.float64:
        return common.gelu_slope.kernel(xp, input, x, approximate)
    return in_blocks(gelu_slope_block, 1, *matching(input, x))


def leaky_relu(xp: Any, input: Array, /, negative_slope: float = 0.01) -> Array:
    """`leaky_relu`: for slopes up to 1 the larger of two products."""
    if not 0 <= negative_slope <= 1:
        return common.leaky_relu.kernel(xp, input, negative_slope)
    return np.maximum(input, input * negative_slope)


# ---- along rows ----


def rows(input: Array, dim: int) -> bool:
    """Whether `dim` is the last dimension of contiguous floats of some size."""
    last = input.ndim - 1
    return (
        last >= 0
        and dim in (last, -1)
        and input.dtype.kind == "f"
        and input.dtype.itemsize > 2
        and input.size > 0
        and input.flags.c_contiguous
    )


def row_blocks(count: int, length: int) -> range:
    """Where blocks of rows begin."""
    return range(0, count, max(1, BLOCK // length))


def softmax(xp: Any, input: Array, /, dim: int, *, dtype: Any = None) -> Array:
    """`softmax` in blocks of rows, the sums as products with ones."""
    if (dtype is not None and input.dtype != dtype) or not rows(input, dim):
        return common.softmax.kernel(xp, input, dim, dtype=dtype)
    out = np.empty(input.shape, input.dtype)
    length = input.shape[-1]
    x, y = input.reshape(-1, length), out.reshape(-1, length)
    one, blocks = ones(length, input.dtype), row_blocks(len(x), length)
    for start in blocks:
        part, made = x[start : start + blocks.step], y[start : start + blocks.step]
        np.subtract(part, np.maximum.reduce(part, axis=1, keepdims=True), out=made)
        np.exp(made, out=made)
        total = np.matmul(made, one)
        np.reciprocal(total, out=total)
        np.multiply(made, total[:, None], out=made)
    return out


def log_softmax(xp: Any, input: Array, /, dim: int, *, dtype: Any = None) -> Array:
    """`log_softmax` in blocks of rows."""
    if (dtype is not None and input.dtype != dtype) or not rows(input, dim):
        return common.log_softmax.kernel(xp, input, dim, dtype=dtype)
    out = np.empty(input.shape, input.dtype)
    length = input.shape[-1]
    x, y = input.reshape(-1, length), out.reshape(-1, length)
    one, blocks = ones(length, input.dtype), row_blocks(len(x), length)
    spare = np.empty((min(len(x), blocks.step), length), input.dtype)
    for start in blocks:
        part, made = x[start : start + blocks.step], y[start : start + blocks.step]
        np.subtract(part, np.maximum.reduce(part, axis=1, keepdims=True), out=made)
        powers = np.exp(made, out=spare[: len(made)])
        total = np.matmul(powers, one)
        np.log(total, out=total)
        np.subtract(made, total[:, None], out=made)
    return out


def softmax_slope(xp: Any, input: Array, y: Array, /, dim: int) -> Array:
    """`softmax_slope` in blocks of rows."""
    if input.shape != y.shape or not rows(y, dim) or not rows(input, dim):
        return common.softmax_slope.kernel(xp, input, y, dim)
    out = np.empty(y.shape, y.dtype)
    length = y.shape[-1]
    g, p, made = input.reshape(-1, length), y.reshape(-1, length), out.reshape(-1, length)
    one, blocks = ones(length, y.dtype), row_blocks(len(p), length)
    for start in blocks:
        some = slice(start, start + blocks.step)
        part = made[some]
        np.multiply(g[some], p[some], out=part)
        total = np.matmul(part, one)[:, None]
        np.subtract(g[some], total, out=part)
        np.multiply(part, p[some], out=part)
    return out


def log_softmax_slope(xp: Any, input: Array, y: Array, /, dim: int) -> Array:
    """`log_softmax_slope` in blocks of rows."""
    if input.shape != y.shape or not rows(y, dim) or not rows(input, dim):
        return common.log_softmax_slope.kernel(xp, input, y, dim)
    out = np.empty(y.shape, y.dtype)
    length = y.shape[-1]
    g, p, made = input.reshape(-1, length), y.reshape(-1, length), out.reshape(-1, length)
    one, blocks = ones(length, y.dtype), row_blocks(len(p), length)
    for start in blocks:
        some = slice(start, start + blocks.step)
        part = np.exp(p[some], out=made[some])
        total = np.matmul(g[some], one)[:, None]
        np.multiply(part, total, out=part)
        np.subtract(g[some], part, out=part)
    return out


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
