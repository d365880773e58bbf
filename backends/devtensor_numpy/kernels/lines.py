"""Convolutions of images a line of places at a time, and spread ones as some that gather.

Windows of one line overlap those of the next. So they are laid out along the lines only, and what
belongs to a line of the result is then one matrix, which begins further on from line to line. It
takes a part of the memory and copies of the columns of whole images, and its products are small
enough for the processor's first cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product as tuples
from typing import Any

import numpy as np

from devtensor.ops.pool import inside

from ..parts import each, parts
from .linalg import Array
from .rows import in_rows
from .windows import COLUMNS, PRODUCT, WASTE, Sizes, last, scratch

SHORTEST = 16  # Places in a line: with fewer, its products cost more than their elements.
NARROW = 3 << 9  # Elements of a product up to which the library is slow at long sums of many.
PRODUCTS = 1 << 20  # Multiplications of a product that the library makes without copies.
MOST = 12  # Outputs to a line of a window: with more, larger products save more than copies cost.


def in_lines(outputs: int, kernel: Sizes, out: Sizes, dilation: Sizes) -> bool:
    """Whether a convolution is better computed line by line, by a group's outputs."""
    if len(kernel) != 2 or kernel[0] == 1 or dilation[0] != 1:
        return False
    return out[1] >= SHORTEST and outputs <= MOST * kernel[0]


def convolved(
    images: Array, weight: Array, result: Array, stride: Sizes, padding: Sizes, gap: int,
    groups: int,
) -> None:  # fmt: skip
    """Write the convolution of two dimensions, without a bias."""
    batch, channels, *sizes = images.shape
    outputs, many, tall, wide = weight.shape
    height, width = result.shape[2:]
    images = images.reshape(batch, groups, many, *sizes)
    result = result.reshape(batch, groups, outputs // groups, height, width).swapaxes(2, 3)
    matrix = np.moveaxis(weight, 1, -1).reshape(groups, 1, outputs // groups, -1)
    matrix = np.ascontiguousarray(matrix)  # A flipped one may still be flipped.

    def fill(piece: tuple[slice, slice]) -> None:
        some, rows = piece
        target = result[some, :, rows]
        few, lines = len(target), rows.stop - rows.start
        shape = (few, groups, (lines - 1) * stride[0] + tall, wide, many, width)
        laid = scratch("columns", shape, images.dtype, images)
        lay(images[some], laid, rows.start * stride[0] - padding[0], stride[1], padding[1], gap)
        sample, group, line, _, one, element = laid.strides
        windows: Array = np.ndarray(
            (few, groups, lines, tall * wide * many, width),
            laid.dtype,
            laid,
            0,
            (sample, group, line * stride[0], one, element),
        )
        np.matmul(matrix, windows, out=target)

    line = channels * wide * width * stride[0]
    bands = parts(height, line, COLUMNS)
    size = line * (bands[0].stop - bands[0].start)
    pieces = [(some, rows) for some in parts(batch, size, COLUMNS // 4) for rows in bands]
    each(fill, pieces, batch * height * line * tall * PRODUCT)


def weighed_in_lines(
    outputs: int, channels: int, kernel: Sizes, out: Sizes, stride: Sizes, dilation: Sizes,
    groups: int,
) -> bool:  # fmt: skip
    """Whether the gradient of a weight is better computed by the lines of its windows."""
    if groups > 1 or stride[0] > 1 or not in_lines(outputs, kernel, out, dilation):
        return False
    return outputs * channels * kernel[1] <= NARROW


def weight_slope(
    images: Array, g: Array, size: Sizes, step: int, padding: Sizes, gap: int
) -> Array:
    """The gradient of the weight of a convolution of two dimensions, whose lines lie close."""
    batch, channels = images.shape[:2]
    outputs, height, width = g.shape[1:]
    tall, wide = size
    most = max(1, PRODUCTS // (outputs * channels * wide * width))
    found: dict[tuple[int, int], Array] = {}

    def add_up(piece: tuple[slice, slice]) -> None:
        some, rows = piece
        slope = g[some, :, rows]
        few, _, lines, _ = slope.shape
        shape = (few, wide, channels, lines + tall - 1, width)
        laid = scratch("columns", shape, images.dtype, images)
        by_line = laid.transpose(0, 3, 1, 2, 4)[:, None]
        lay(images[some][:, None], by_line, rows.start - padding[0], step, padding[1], gap)
        flat = laid.reshape(few, wide * channels, -1)
        total = np.zeros((tall, wide * channels, outputs), images.dtype)
        for part in parts(lines, 1, most):
            right = slope[:, :, part].reshape(few, outputs, -1).swapaxes(1, 2)
            for y in range(tall):
                left = flat[:, :, (y + part.start) * width : (y + part.stop) * width]
                total[y] += np.add.reduce(np.matmul(left, right), 0)
        found[some.start, rows.start] = total

    line = channels * wide * width
    bands = parts(height, line, COLUMNS)
    many = parts(batch, line * (bands[0].stop - bands[0].start), COLUMNS // 2)
    pieces = [(some, rows) for some in many for rows in bands]
    each(add_up, pieces, batch * height * line * tall * PRODUCT)
    summed = np.add.reduce([found[place] for place in sorted(found)])
    by_place: Array = summed.reshape(tall, wide, channels, outputs).transpose(3, 2, 0, 1)
    return np.ascontiguousarray(by_place)


def lay(images: Array, laid: Array, first: int, step: int, padding: int, gap: int) -> None:
    """Write lines from the `first` on, each once for each column of the windows: [i, g, y, k, c].

    Lines and places outside of the images are zeros.
    """
    height, width = images.shape[3:]
    count, wide, _, places = laid.shape[2:]
    top, bottom = min(max(0, -first), count), max(0, min(count, height - first))
    laid[:, :, :top] = 0
    laid[:, :, max(top, bottom) :] = 0
    if top >= bottom:
        return
    there = laid[:, :, top:bottom]
    lines = images[..., top + first : bottom + first, :].swapaxes(2, 3)
    for k in range(wide):
        start = k * gap - padding
        low, high = inside(width, places, step, start)
        part = there[:, :, :, k]
        part[..., :low] = 0
        part[..., max(low, high) :] = 0
        if low < high:
            begin = low * step + start
            part[..., low:high] = lines[..., begin : begin + (high - low - 1) * step + 1 : step]


Phase = tuple[Any, Array | None, Array, Sizes, Sizes]
"""A key of the result, its weight, and input, padding and size of the convolution that fills it."""


def phases(
    g: Array, weight: Array, size: Sizes, stride: Sizes, padding: Sizes, groups: int
) -> Iterator[Phase]:
    """The convolutions of stride 1 whose results, taken in turns, are a spread one's.

    A place meets those elements of the kernel that are a whole number of strides away from it, the
    last one first. Without such elements there is no weight.
    """
    outputs, many, *kernel = weight.shape
    by_group = weight.reshape(groups, outputs // groups, many, *kernel).swapaxes(1, 2)
    adjoint = by_group.reshape(groups * many, outputs // groups, *kernel)
    for begin in tuples(*[range(min(s, n)) for s, n in zip(stride, size, strict=True)]):
        key: list[slice] = []
        crop: list[slice] = []
        taps: list[slice] = []
        border: list[int] = []
        for first, s, p, k in zip(begin, stride, padding, kernel, strict=True):
            nearest = (first + p) % s
            count = len(range(nearest, k, s))
            before = count - 1 - (first + p) // s
            key.append(slice(first, None, s))
            crop.append(slice(max(0, -before), None))
            taps.append(slice(nearest, None, s))
            border.append(max(0, before))
        some = adjoint[last(taps)]
        flipped = some[last([slice(None, None, -1)] * len(kernel))] if some.size else None
        places = [-(-(n - first) // s) for n, first, s in zip(size, begin, stride, strict=True)]
        yield last(key), flipped, g[last(crop)], tuple(border), tuple(places)


def spreads_by_phases(
    g: Array, weight: Array, out: Sizes, size: Sizes, stride: Sizes, dilation: Sizes,
    groups: int,
) -> bool:  # fmt: skip
    """Whether a spread convolution is better computed by its phases.

    They lay out windows of what comes in, and else those of the result would be added up.
    """
    turns, many, kernel = math.prod(stride), weight.shape[1], weight.shape[2:]
    if set(dilation) != {1}:
        return False
    if turns == 1 and in_rows(g, kernel, size, many, groups):
        return True
    if turns == 1 and groups == 1 and not in_lines(many, kernel, size, dilation):
        return False
    few = math.prod(size) <= WASTE * math.prod(out) * turns
    return few and many * turns >= weight.shape[0] // groups
