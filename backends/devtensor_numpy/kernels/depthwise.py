"""Convolutions of each channel by itself, of small images.

With the channels last, an element of the kernel is a factor of long pieces of memory. Of larger
images it would be passed over too often.
"""

from __future__ import annotations

import math

import numpy as np

from ..parts import BLOCK, each, parts
from ..quick import ones
from .linalg import Array
from .rows import channels_last, inner_part, reached, taps
from .windows import PRODUCT, Sizes, scratch

FEW = 36  # Places of the result.


def is_depthwise(channels: int, outputs: int, out: Sizes, groups: int) -> bool:
    """Whether each channel is one of a small image, convolved by itself."""
    return channels == outputs == groups > 1 and math.prod(out) <= FEW


def factors(weight: Array, width: int) -> Array:
    """The weight (c, 1, *kernel) as (*kernel, width, c): as long as a line of the result."""
    last = weight[:, 0].transpose(*range(1, weight.ndim - 1), 0)
    found = np.empty((*last.shape[:-1], width, len(weight)), weight.dtype)
    found[...] = last[..., None, :]
    return found


def pieces(batch: int, channels: int, kernel: Sizes, out: Sizes) -> tuple[list[slice], int]:
    """Images that are worked on at a time, and the size of all."""
    count = channels * math.prod(out)
    return parts(batch, count, 2 * BLOCK), batch * count * math.prod(kernel) * PRODUCT


def convolved_by_channel(
    images: Array, weight: Array, bias: Array | None, result: Array, stride: Sizes,
    padding: Sizes, gaps: Sizes,
) -> None:  # fmt: skip
    """Write the convolution; a bias broadcasts with images."""
    batch, channels, *size = result.shape
    kernel, out = weight.shape[2:], tuple(size)
    by = factors(weight, out[-1])
    reach, first = reached(kernel, out, stride, gaps), tuple([-p for p in padding])

    def fill(some: slice) -> None:
        laid = channels_last("images", images[some], first, reach)
        total: Array | None = None
        for place, part in taps(laid, kernel, out, stride, gaps):
            name = "total" if total is None else "product"
            found = np.multiply(part, by[place], out=scratch(name, part.shape, by.dtype, laid))
            total = found if total is None else np.add(total, found, out=total)
        assert total is not None
        target = result[some].transpose(0, *range(2, result.ndim), 1)
        if bias is None:
            target[...] = total
        else:
            np.add(total, bias.reshape(channels), out=target)

    each(fill, *pieces(batch, channels, kernel, out))


def spread_by_channel(
    g: Array, weight: Array, result: Array, stride: Sizes, padding: Sizes, gaps: Sizes
) -> None:
    """Write the spread convolution over zeros."""
    batch, channels, *size = g.shape
    kernel, out = weight.shape[2:], tuple(size)
    by = factors(weight, out[-1])
    reach = reached(kernel, out, stride, gaps)
    here, there = inner_part(result.shape[2:], reach, padding)

    def fill(some: slice) -> None:
        slope = channels_last("slopes", g[some], (0,) * len(out), out)
        images = scratch("images", (len(slope), *reach, channels), slope.dtype, slope)
        images[...] = 0
        for place, part in taps(images, kernel, out, stride, gaps):
            product = scratch("product", slope.shape, slope.dtype, slope)
            np.add(part, np.multiply(slope, by[place], out=product), out=part)
        target = result[some].transpose(0, *range(2, result.ndim), 1)
        target[here] = images[there]

    each(fill, *pieces(batch, channels, kernel, out))


def weight_slope_by_channel(
    images: Array, g: Array, size: Sizes, stride: Sizes, padding: Sizes, gaps: Sizes
) -> Array:
    """The gradient of the weight."""
    batch, channels = images.shape[:2]
    out = g.shape[2:]
    reach, first = reached(size, out, stride, gaps), tuple([-p for p in padding])
    found: dict[int, Array] = {}

    def add_up(some: slice) -> None:
        laid = channels_last("images", images[some], first, reach)
        slope = channels_last("slopes", g[some], (0,) * len(out), out)
        one = ones(slope.size // channels, slope.dtype)
        total = found[some.start] = np.empty((*size, channels), slope.dtype)
        for place, part in taps(laid, size, out, stride, gaps):
            product = scratch("product", slope.shape, slope.dtype, slope)
            np.multiply(part, slope, out=product)
            np.dot(one, product.reshape(-1, channels), out=total[place])

    each(add_up, *pieces(batch, channels, size, out))
    total = np.add.reduce([found[start] for start in sorted(found)])
    return np.ascontiguousarray(total.transpose(-1, *range(len(size))))[:, None]
