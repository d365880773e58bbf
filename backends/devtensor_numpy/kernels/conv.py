"""Convolutions as matrix products: the windows of some images at a time, laid out as columns.

Where the stride is 1, the columns of one kernel element are the image itself, shifted. Each is
written by one long copy, and only the borders need care: loops over the rows of a small image
would cost more than the product.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product as tuples
from typing import Any

import numpy as np

from .linalg import Array, is_half, ones

Sizes = tuple[int, ...]
ALL = slice(None)
COLUMNS = 1 << 19  # Elements of the columns that are worked on at a time.
WASTE = 1.6  # Up to this factor, columns computed for nothing cost less than shorter copies.
FEW = 256  # Columns of an image below which several images make one product.


class Layout:
    """Where the columns of a convolution's windows come from.

    Attributes
    ----------
    sizes, kernel, out : tuple of int
        Of an image, of a window, and how many windows there are.
    frame : tuple of int
        As what each kernel element's columns are laid out: as the result, but `flat` ones with the
        input's row length, so that rows follow each other as in the input.
    flat : bool
        Whether columns are the input, shifted as a whole.
    joint : bool
        Whether the frame is the input's, so that channels follow each other, too.
    alone : bool
        Whether the columns are the input as it is.
    bare : bool
        Whether the frame is the result's.
    parts : list of tuple
        To each kernel element that meets the input: its place, and the shift of its columns, or
        the places of its columns and of the elements in them.
    outside : list of tuple
        What belongs to no element of the input in flat columns.
    whole : bool
        Whether otherwise the parts fill the columns.
    """

    def __init__(
        self, sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, gaps: Sizes
    ) -> None:
        dims = range(len(sizes))
        self.sizes, self.kernel, self.out = sizes, kernel, out
        boxes = [
            [
                inside(sizes[d], out[d], stride[d], k * gaps[d] - padding[d])
                for k in range(kernel[d])
            ]
            for d in dims
        ]
        meets = all(low < high for row in boxes for low, high in row)
        narrower = all(o <= n for o, n in zip(out[1:], sizes[1:], strict=True))
        wasted = math.prod(sizes[1:]) > WASTE * math.prod(out[1:])
        self.flat = set(stride) == {1} and meets and narrower and not wasted
        self.joint = self.flat and out == sizes
        self.alone = self.joint and math.prod(kernel) == 1 and not any(padding)
        self.frame = (out[0], *sizes[1:]) if self.flat else out
        self.bare = self.frame == out
        self.length, self.width = math.prod(sizes), math.prod(self.frame)
        self.parts: list[tuple[Any, ...]] = []
        self.whole = True
        for place in tuples(*map(range, kernel)):
            box = [boxes[d][place[d]] for d in dims]
            self.whole = self.whole and box == [(0, o) for o in out]
            if any(low >= high for low, high in box):
                continue
            starts = [place[d] * gaps[d] - padding[d] for d in dims]
            if self.flat:
                shift = sum(start * math.prod(sizes[d + 1 :]) for d, start in enumerate(starts))
                self.parts.append((place, shift))
                continue
            there = tuple([slice(*bounds) for bounds in box])
            here = tuple(
                [
                    slice(low * step + start, (high - 1) * step + start + 1, step)
                    for (low, high), start, step in zip(box, starts, stride, strict=True)
                ]
            )
            self.parts.append((place, there, here))
        self.outside: list[tuple[Any, ...]] = []
        for d in dims:
            for k, (low, high) in enumerate(boxes[d]):
                for edge in (slice(0, low), slice(high, out[d])):
                    if self.flat and edge.start < edge.stop:
                        kernel_key = ((ALL,) * d + (k,) + (ALL,) * len(sizes))[: len(sizes)]
                        self.outside.append((ALL, *kernel_key, ALL, *(ALL,) * d, edge))

    def meets(self, images: Array, columns: Array) -> Iterator[tuple[Array, Array]]:
        """The matching parts of images (r, m, *sizes) and columns (r, *kernel, m, *frame)."""
        if not self.flat:
            for place, there, here in self.parts:
                yield images[(ALL, ALL, *here)], columns[(ALL, *place, ALL, *there)]
            return
        rows, many = images.shape[:2]
        apart = (1, -1) if self.joint else (many, -1)
        images = images.reshape(rows, *apart)
        columns = columns.reshape(rows, *self.kernel, *apart)
        length, width = images.shape[-1], columns.shape[-1]
        for place, shift in self.parts:
            low, high = max(0, -shift), min(width, length - shift)
            yield (
                images[..., low + shift : high + shift],
                columns[(ALL, *place, ALL, slice(low, high))],
            )

    def gather(self, images: Array, columns: Array) -> None:
        """Write the columns of images where these reach."""
        for part, there in self.meets(images, columns):
            there[...] = part
        if self.flat and not self.bare:
            self.close(columns)
        for key in self.outside:
            columns[key] = 0

    def spread(self, columns: Array, images: Array) -> None:
        """Add the columns, which are overwritten, to the images that they are made of."""
        for key in self.outside:
            columns[key] = 0
        # With its usual buffer NumPy copies rows of up to 4096 elements before it adds them.
        usual = np.setbufsize(512)
        try:
            for part, there in self.meets(images, columns):
                np.add(part, there, out=part)
        finally:
            np.setbufsize(usual)

    def close(self, columns: Array) -> None:
        """Zero the ends of the columns that `meets` leaves out."""
        flat = columns.reshape(len(columns), *self.kernel, -1, self.width)
        for place, shift in self.parts:
            low, high = max(0, -shift), min(self.width, self.length - shift)
            flat[(ALL, *place, ALL, slice(0, low))] = 0
            flat[(ALL, *place, ALL, slice(high, None))] = 0

    def gathered(self, images: Array) -> Array:
        """The columns of images."""
        rows, many = images.shape[:2]
        columns = scratch("columns", (rows, *self.kernel, many, *self.frame), images.dtype, images)
        if not (self.flat or self.whole):
            columns[...] = 0
        self.gather(images, columns)
        return columns

    def framed(self, g: Array) -> Array:
        """A result's gradient (..., *out) in the frame, zeros in what is computed for nothing."""
        if self.bare:
            return g
        whole = np.zeros((*g.shape[: -len(self.out)], *self.frame), g.dtype)
        whole[(..., *map(slice, self.out))] = g
        return whole


def inside(size: int, count: int, step: int, start: int) -> tuple[int, int]:
    """From where to where ``start + i * step``, for ``i < count``, is in an input of `size`."""
    low = min(max(0, -(start // step)), count)
    return low, max(0, min(count, (size - start + step - 1) // step))


layout = lru_cache(512)(Layout)


class Scratch(threading.local):
    """Memory that a thread keeps: new memory of this size would be taken from the system and given
    back at every call, which costs more than the work.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, Array] = {}


SCRATCH = Scratch()
KEPT = 1 << 24  # Bytes.


PAGE = 4096


def scratch(name: str, shape: Sizes, dtype: Any, beside: Array | None = None) -> Array:
    """Uninitialised memory that is nobody else's until the next call with this name.

    Copies between it and `beside` are fast: processors take an address for another one that
    differs by a multiple of 4096, and would wait for writes there before they read here.
    """
    size = math.prod(shape) * dtype.itemsize
    name = name if size <= KEPT else ""
    block = SCRATCH.blocks.get(name)
    if block is None or block.size < size + PAGE:
        block = np.empty(size + PAGE, np.uint8)
        if name:
            SCRATCH.blocks[name] = block
    start = -address(block) % 64
    if beside is not None:
        start += (address(beside) - address(block) - start + PAGE // 2) % PAGE // 64 * 64
    return block[start : start + size].view(dtype).reshape(shape)


def address(x: Array) -> int:
    """Where an array begins."""
    place: int = x.__array_interface__["data"][0]
    return place


def chunks(
    batch: int, channels: int, sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes,
) -> Iterator[tuple[slice, slice, Layout]]:  # fmt: skip
    """Some images, some rows of the result, and the layout of these."""
    plan = layout(sizes, kernel, out, stride, padding, dilation)
    row = channels * math.prod(kernel) * math.prod(plan.frame[1:])
    rows = out[0]
    if not plan.alone and row * rows > 2 * COLUMNS:
        rows = even(rows, max(1, COLUMNS // row))
    many = even(batch, max(1, COLUMNS // max(1, row * rows)))
    for first in range(0, out[0], rows):
        stop = min(first + rows, out[0])
        if rows < out[0]:
            before = (padding[0] - first * stride[0], *padding[1:])
            plan = layout(sizes, kernel, (stop - first, *out[1:]), stride, before, dilation)
        for start in range(0, batch, many):
            yield slice(start, min(start + many, batch)), slice(first, stop), plan


def even(count: int, most: int) -> int:
    """The size of as few equal shares of `count` as there can be of at most `most`."""
    return -(-count // max(1, -(-count // most)))


def by_channel(batch: int, out: Sizes, weight: Array) -> bool:
    """Whether channels go first in the columns, so that several images are one product.

    It takes copies of images and results, but none of the weight.
    """
    count = math.prod(out)
    return batch > 1 and (count < FEW or weight.shape[0] > batch * count)


def swapped(name: str, x: Array) -> Array:
    """Images with the channels first, contiguous."""
    x = x.swapaxes(0, 1)
    if not x.flags.c_contiguous:
        copy = scratch(name, x.shape, x.dtype)
        copy[...] = x
        return copy
    return x


def rows_of_weight(weight: Array, groups: int, channels_first: bool) -> Array:
    """The weight as matrices (groups, outputs, elements) that go with the columns."""
    if not channels_first:
        weight = np.moveaxis(weight, 1, -1)
    return weight.reshape(groups, weight.shape[0] // groups, -1)


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
    channels_first = by_channel(batch, size, weight)
    matrix = rows_of_weight(weight, groups, channels_first)
    for some, rows, plan in chunks(
        batch, channels, tuple(sizes), kernel, size, stride, padding, dilation
    ):
        images = np.ascontiguousarray(input[some])
        target = result[some, :, rows]
        if channels_first:
            found = multiply(matrix, columns_by_channel(plan, images, groups))
            found = found.reshape(outputs, -1, *plan.frame).swapaxes(0, 1)
        elif plan.bare:
            found = target.reshape(len(target), groups, outputs // groups, -1)
            np.matmul(matrix, columns_of(plan, images, groups), out=found)
            found = target
        else:
            found = multiply(matrix, columns_of(plan, images, groups))
            found = found.reshape(len(target), outputs, *plan.frame)
        if not plan.bare:
            found = found[(ALL, ALL, *map(slice, plan.out))]
        if bias is not None:
            np.add(found, bias, out=target)
        elif found is not target:
            target[...] = found
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
    if 0 not in (*result.shape, *input.shape, *kernel):
        channels_first = by_channel(batch, tuple(out), weight)
        matrix = rows_of_weight(weight, groups, channels_first).swapaxes(1, 2)
        for some, rows, plan in chunks(
            batch, channels, size, tuple(kernel), tuple(out), stride, padding, dilation
        ):
            g = plan.framed(input[some, :, rows])
            n = len(g)
            if channels_first:
                g = swapped("g", g).reshape(groups, outputs // groups, -1)
                images = scratch("images", (channels, n, *size), g.dtype)
                images[...] = 0
                columns = multiply(matrix, g, images).reshape(channels, *kernel, n, *plan.frame)
                plan.spread(columns, images)
                result[some] += images.swapaxes(0, 1)
            else:
                g = g.reshape(n, groups, outputs // groups, -1)
                images = result[some].reshape(n * groups, many, *size)
                columns = multiply(matrix, g, images).reshape(
                    n * groups, *kernel, many, *plan.frame
                )
                plan.spread(columns, images)
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
    if 0 not in (*input.shape, *g.shape, *size):
        for some, rows, plan in chunks(
            batch, channels, tuple(sizes), size, out, stride, padding, dilation
        ):
            columns = columns_by_channel(plan, input[some], groups)
            part = swapped("g", plan.framed(g[some, :, rows])).reshape(
                groups, outputs // groups, -1
            )
            found = np.matmul(part, columns.swapaxes(1, 2))
            total = found if total is None else np.add(total, found, out=total)
    shape = (outputs, channels // groups, *size)
    return np.zeros(shape, input.dtype) if total is None else total.reshape(shape)


def channel_sum(xp: Any, input: Array, /) -> Array:
    """`channel_sum` by BLAS."""
    if is_half(input.dtype):
        return channel_sum(xp, input.astype(np.float32)).astype(input.dtype)
    flat = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    if input.dtype.kind != "f":
        return np.add.reduce(flat, (0, 2), dtype=input.dtype)
    by_image = np.matmul(flat, ones(flat.shape[2], flat.dtype))
    return np.matmul(ones(flat.shape[0], flat.dtype), by_image)


KERNELS = {
    "channel_sum": channel_sum,
    "convolution": convolution,
    "convolution_spread": convolution_spread,
    "convolution_weight": convolution_weight,
}
