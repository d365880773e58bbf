"""Convolutions as matrix products of the weight and the columns of windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..parts import each
from ..quick import ones
from .depthwise import (
    convolved_by_channel,
    is_depthwise,
    spread_by_channel,
    weight_slope_by_channel,
)
from .linalg import Array, is_half
from .lines import (
    convolved,
    in_lines,
    phases,
    spreads_by_phases,
    weighed_in_lines,
    weight_slope,
)
from .rows import (
    convolved_in_rows,
    empty_beside,
    heavy,
    in_rows,
    spread_in_rows,
    weight_slope_in_rows,
)
from .windows import ALL, FEW_SPOTS, Layout, Piece, Sizes, chunks, scratch, spots

FEW_PRODUCTS = 1 << 10  # Elements of a weight whose gradient is one product for each image.


def is_small(batch: int, channels: int, kernel: Sizes, out: Sizes) -> bool:
    """Whether the calls that a product takes cost more than its elements."""
    return batch * channels * math.prod(kernel) * math.prod(out) <= FEW_SPOTS


def swapped(name: str, x: Array) -> Array:
    """Images with the channels first, contiguous."""
    x = x.swapaxes(0, 1)
    if not x.flags.c_contiguous:
        copy = scratch(name, x.shape, x.dtype)
        copy[...] = x
        return copy
    return x


def rows_of_weight(weight: Array, groups: int) -> Array:
    """The weight as matrices (groups, outputs, elements) that go with the columns."""
    return np.moveaxis(weight, 1, -1).reshape(groups, weight.shape[0] // groups, -1)


def multiply(left: Array, right: Array, beside: Array | None = None) -> Array:
    """Matrix products, in scratch memory."""
    batch = right.shape[:-2] if right.ndim > left.ndim else left.shape[:-2]
    shape = (*batch, left.shape[-2], right.shape[-1])
    # The library is slow at columns times rows.
    function = np.multiply if left.shape[-1] == 1 else np.matmul
    return function(left, right, out=scratch("product", shape, left.dtype, beside))


def columns_of(plan: Layout, images: Array, groups: int) -> Array:
    """The columns of images (n, channels, *sizes) as (n, groups, elements, positions)."""
    n, channels = images.shape[:2]
    many = channels // groups
    if not plan.alone:
        images = plan.gathered(images.reshape(n * groups, many, *plan.sizes))
    return images.reshape(n, groups, many * math.prod(plan.kernel), math.prod(plan.frame))


def columns_by_channel(plan: Layout, images: Array, groups: int) -> Array:
    """The columns of images (n, channels, *sizes) as (groups, elements, n * positions)."""
    channels = images.shape[1]
    images = swapped("images", images)
    if not plan.alone:
        images = plan.gathered(images)
    return images.reshape(groups, channels // groups * math.prod(plan.kernel), -1)


def widened(function: Callable[..., Array]) -> Callable[..., Array]:
    """Compute in single precision what is stored in half."""

    def kernel(xp: Any, first: Array, second: Array, bias: Array | None = None, /, **params: Any):
        if not is_half(first.dtype):
            return function(first, second, bias, **params)
        wide = [None if x is None else x.astype(np.float32) for x in (first, second, bias)]
        return function(*wide, **params).astype(first.dtype)

    kernel.__name__, kernel.__doc__ = function.__name__, function.__doc__
    return kernel


def along_channels(bias: Array, dims: int) -> Array:
    """A bias that broadcasts with images."""
    return bias.reshape(-1, *(1,) * dims)


@widened
def convolution(
    input: Array, weight: Array, bias: Array | None, *, size: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes, groups: int,
) -> Array:  # fmt: skip
    """`convolution`: the weight times the columns of the windows."""
    batch, channels, *sizes = input.shape
    outputs, kernel = weight.shape[0], weight.shape[2:]
    result = np.empty((batch, outputs, *size), input.dtype)
    if bias is not None:
        bias = along_channels(bias, len(size))
    if 0 in (*result.shape, *input.shape, *kernel):
        result[...] = 0 if bias is None else bias
        return result
    if is_small(batch, channels, kernel, size):
        few = spots(channels, tuple(sizes), kernel, size, stride, padding, dilation)
        columns = few.columns(input).reshape(batch, groups, -1, math.prod(size))
        matrix = weight.reshape(groups, outputs // groups, -1)
        np.matmul(matrix, columns, out=result.reshape(batch, groups, outputs // groups, -1))
        return result if bias is None else np.add(result, bias, out=result)
    if is_depthwise(channels, outputs, size, groups):
        convolved_by_channel(input, weight, bias, result, stride, padding, dilation)
        return result
    if in_rows(input, kernel, size, outputs, groups):
        convolved_in_rows(input, weight, bias, result, stride, padding, dilation)
        return result
    if in_lines(outputs // groups, kernel, size, dilation):
        convolved(input, weight, result, stride, padding, dilation[1], groups)
        return result if bias is None else np.add(result, bias, out=result)
    matrix = rows_of_weight(weight, groups)

    def fill(piece: Piece) -> None:
        some, rows, plan = piece
        images = np.ascontiguousarray(input[some])
        target = result[some, :, rows]
        if plan.bare:
            found = target.reshape(len(target), groups, outputs // groups, -1)
            np.matmul(matrix, columns_of(plan, images, groups), out=found)
            found = target
        else:
            found = multiply(matrix, columns_of(plan, images, groups))
            found = found.reshape(len(target), outputs, *plan.frame)
            found = found[(ALL, ALL, *map(slice, plan.out))]
        if bias is not None:
            np.add(found, bias, out=target)
        elif found is not target:
            target[...] = found

    for band in chunks(batch, channels, tuple(sizes), kernel, size, stride, padding, dilation):
        each(fill, *band)
    return result


@widened
def convolution_spread(
    input: Array, weight: Array, bias: Array | None, *, size: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes, groups: int,
) -> Array:  # fmt: skip
    """`convolution_spread`: the columns that the weight makes of the input, added up."""
    batch, outputs, *out = input.shape
    many, *kernel = weight.shape[1:]
    channels = many * groups
    result = np.zeros((batch, channels, *size), input.dtype)
    if 0 in (*result.shape, *input.shape, *kernel):
        pass
    elif is_small(batch, channels, kernel, out):
        few = spots(channels, size, tuple(kernel), tuple(out), stride, padding, dilation)
        matrix = weight.reshape(groups, outputs // groups, -1).swapaxes(1, 2)
        g = input.reshape(batch, groups, outputs // groups, -1)
        few.spread(np.matmul(matrix, g), result)
    elif is_depthwise(channels, outputs, tuple(out), groups):
        spread_by_channel(input, weight, result, stride, padding, dilation)
    elif heavy(batch, tuple(out), outputs) and in_rows(
        input, tuple(kernel), tuple(out), outputs, groups
    ):
        spread_in_rows(input, weight, result, stride, padding, dilation)
    elif spreads_by_phases(input, weight, tuple(out), size, stride, dilation, groups):
        one = (1,) * len(size)
        if math.prod(stride) == 1 and in_rows(input, tuple(kernel), size, many, groups):
            result = empty_beside(input, result.shape)
        for place, part, g, border, count in phases(input, weight, size, stride, padding, groups):
            if part is None:
                continue
            if in_rows(g, part.shape[2:], count, many, groups):
                convolved_in_rows(g, part, None, result[place], one, border, one)
                continue
            result[place] = convolution(
                None, g, part, size=count, stride=one, padding=border, dilation=one, groups=groups
            )
    else:
        matrix = rows_of_weight(weight, groups).swapaxes(1, 2)

        def fill(piece: Piece) -> None:
            some, rows, plan = piece
            g = plan.framed(input[some, :, rows])
            n = len(g)
            g = g.reshape(n, groups, outputs // groups, -1)
            images = result[some].reshape(n * groups, many, *size)
            columns = multiply(matrix, g, images)
            plan.spread(columns.reshape(n * groups, *kernel, many, *plan.frame), images)

        # Bands of rows overlap in the result, so they follow one another.
        for band in chunks(
            batch, channels, size, tuple(kernel), tuple(out), stride, padding, dilation
        ):
            each(fill, *band)
    if bias is not None:
        np.add(result, along_channels(bias, len(size)), out=result)
    return result


@widened
def convolution_weight(
    input: Array, g: Array, _: None, *, size: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes, groups: int,
) -> Array:  # fmt: skip
    """`convolution_weight`: the gradient times the columns of the windows."""
    batch, channels, *sizes = input.shape
    outputs, out = g.shape[1], g.shape[2:]
    total: Array | None = None
    # The library is slow at a few long rows; without a sum over images they are not that long.
    by_image = groups == 1 and channels * math.prod(size) * outputs <= FEW_PRODUCTS
    if 0 in (*input.shape, *g.shape, *size):
        pass
    elif is_small(batch, channels, size, out):
        by_image = False
        few = spots(channels, tuple(sizes), size, out, stride, padding, dilation)
        columns = few.columns(input).reshape(batch, groups, -1, math.prod(out))
        g = g.reshape(batch, groups, outputs // groups, -1).swapaxes(2, 3)
        total = np.add.reduce(np.matmul(columns, g), 0)
    elif is_depthwise(channels, outputs, out, groups):
        return weight_slope_by_channel(input, g, size, stride, padding, dilation)
    elif in_rows(input, size, out, outputs, groups):
        return weight_slope_in_rows(input, g, size, stride, padding, dilation)
    elif weighed_in_lines(outputs, channels, size, out, stride, dilation, groups):
        return weight_slope(input, g, size, stride[1], padding, dilation[1])
    else:
        for band in chunks(batch, channels, tuple(sizes), size, out, stride, padding, dilation):
            found: dict[int, Array] = {}

            def add_up(piece: Piece, found: dict[int, Array] = found) -> None:
                some, rows, plan = piece
                slope = plan.framed(g[some, :, rows])
                if by_image:
                    columns = columns_of(plan, np.ascontiguousarray(input[some]), 1)[:, 0]
                    part = slope.reshape(len(slope), outputs, -1)
                    products = np.matmul(columns, part.swapaxes(1, 2))
                    found[some.start] = np.add.reduce(products, 0, keepdims=True)
                    return
                columns = columns_by_channel(plan, input[some], groups)
                part = swapped("g", slope).reshape(groups, outputs // groups, -1)
                found[some.start] = np.matmul(columns, part.swapaxes(1, 2))

            each(add_up, *band)
            for start in sorted(found):
                part = found[start]
                total = part if total is None else np.add(total, part, out=total)
    shape = (outputs, channels // groups, *size)
    if total is None:
        return np.zeros(shape, input.dtype)
    if by_image:
        total = total.reshape(*size, channels, outputs)
        return np.ascontiguousarray(total.transpose(-1, -2, *range(len(size))))
    return np.ascontiguousarray(total.swapaxes(1, 2)).reshape(shape)


def channel_sum(xp: Any, input: Array, /) -> Array:
    """`channel_sum` by BLAS."""
    if is_half(input.dtype):
        return channel_sum(xp, input.astype(np.float32)).astype(input.dtype)
    flat = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    if input.dtype.kind != "f":
        found: Array = np.add.reduce(flat, (0, 2), dtype=input.dtype)
    else:
        by_image = np.matmul(flat, ones(flat.shape[2], flat.dtype))
        found = np.matmul(ones(flat.shape[0], flat.dtype), by_image)
    return found


KERNELS = {
    "channel_sum": channel_sum,
    "convolution": convolution,
    "convolution_spread": convolution_spread,
    "convolution_weight": convolution_weight,
}
