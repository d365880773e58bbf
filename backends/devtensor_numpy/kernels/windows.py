"""The windows of images, laid out as the columns of a matrix.

Where the stride is 1, the columns of one kernel element are the image itself, shifted. Each is
written by one long copy, and only the borders need care: loops over the rows of a small image
would cost more than the product that follows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product as tuples
from typing import Any

import numpy as np

from devtensor.ops.pool import inside

from ..parts import even, parts
from .linalg import Array

Sizes = tuple[int, ...]
ALL = slice(None)
COLUMNS = 1 << 19  # Elements of the columns that are worked on at a time.
FEWEST = 1 << 17  # And with fewer of them pieces cost more than threads save.
PRODUCT = 4  # The weight of an element of the columns, which is multiplied by a few numbers.
WASTE = 1.6  # Up to this factor, columns computed for nothing cost less than shorter copies.


def last(parts: Iterable[slice]) -> Any:
    """A key for the last dimensions of an array."""
    return (..., *parts)


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
    outside : list of list of tuple
        For each of these, the keys of what belongs to no element of the input in flat columns.
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
        self.outside: list[list[tuple[Any, ...]]] = []
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
                edges = [
                    (ALL, *place, ALL, *(ALL,) * d, edge)
                    for d, (low, high) in enumerate(box)
                    for edge in (slice(0, low), slice(high, out[d]))
                    if edge.start < edge.stop
                ]
                self.outside.append(edges)
                continue
            there = tuple([slice(*bounds) for bounds in box])
            here = tuple(
                [
                    slice(low * step + start, (high - 1) * step + start + 1, step)
                    for (low, high), start, step in zip(box, starts, stride, strict=True)
                ]
            )
            self.parts.append((place, there, here))
            self.outside.append([])

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
        for (part, there), edges in zip(self.meets(images, columns), self.outside, strict=True):
            there[...] = part
            for key in edges:
                columns[key] = 0
        if self.flat and not self.bare:
            self.close(columns)

    def spread(self, columns: Array, images: Array) -> None:
        """Add the columns, which are overwritten, to the images that they are made of."""
        # With its usual buffer NumPy copies rows of up to 4096 elements before it adds them.
        usual = np.setbufsize(512)
        try:
            for (part, there), edges in zip(self.meets(images, columns), self.outside, strict=True):
                for key in edges:
                    columns[key] = 0
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
        whole[last(map(slice, self.out))] = g
        return whole


layout = lru_cache(512)(Layout)


class Scratch(threading.local):
    """Memory that a thread keeps: new memory of this size would be taken from the system and given
    back at every call, which costs more than the work.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, Array] = {}


SCRATCH = Scratch()
KEPT = 1 << 23  # Bytes.


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
    memory: Array = block[start : start + size].view(dtype).reshape(shape)
    return memory


def address(x: Array) -> int:
    """Where an array begins."""
    place: int = x.__array_interface__["data"][0]
    return place


Piece = tuple[slice, slice, Layout]
"""Some images, some rows of the result, and the layout of these."""


def chunks(
    batch: int, channels: int, sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes,
) -> Iterator[tuple[list[Piece], int]]:  # fmt: skip
    """To each band of rows of the result, its pieces and their size with that of the products."""
    plan = layout(sizes, kernel, out, stride, padding, dilation)
    row = channels * math.prod(kernel) * math.prod(plan.frame[1:])
    rows = out[0]
    if not plan.alone and row * rows > 2 * COLUMNS:
        rows = even(rows, max(1, COLUMNS // row))
    # A few pieces to share, rather than one: threads of the library wait for each other at every
    # image's product.
    some = parts(batch, row * rows, min(COLUMNS, max(FEWEST, batch * row * rows // 4)))
    for first in range(0, out[0], rows):
        stop = min(first + rows, out[0])
        if rows < out[0]:
            before = (padding[0] - first * stride[0], *padding[1:])
            plan = layout(sizes, kernel, (stop - first, *out[1:]), stride, before, dilation)
        yield [(images, slice(first, stop), plan) for images in some], batch * row * rows * PRODUCT


class Spots:
    """The columns of few and small windows, by one look-up: the shortest way to call.

    Attributes
    ----------
    size : tuple of int
        Of the part of a padded image that the windows reach, which is all of it if `whole`.
    here, there : tuple
        Where an image, and where in the padded one, both meet.
    index : ndarray
        For the columns of an image, one kernel element after the other, the places in it.
    """

    def __init__(
        self, channels: int, sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes,
        padding: Sizes, dilation: Sizes,
    ) -> None:  # fmt: skip
        self.size = tuple(
            [
                (o - 1) * step + (k - 1) * gap + 1
                for k, o, step, gap in zip(kernel, out, stride, dilation, strict=True)
            ]
        )
        ends = [
            min(n, reach - before)
            for n, reach, before in zip(sizes, self.size, padding, strict=True)
        ]
        self.whole = self.size == sizes and not any(padding)
        self.here = last([slice(0, max(0, end)) for end in ends])
        self.there = last([slice(p, max(p, p + end)) for p, end in zip(padding, ends, strict=True)])
        elements = places = np.zeros((), np.intp)
        for n, k, o, step, gap in zip(self.size, kernel, out, stride, dilation, strict=True):
            elements = elements[..., None] * n + np.arange(k) * gap
            places = places[..., None] * n + np.arange(o) * step
        plane = elements.reshape(-1, 1) + places.reshape(-1)
        self.length = math.prod(self.size)
        index = np.arange(channels)[:, None, None] * self.length + plane
        self.index = index.reshape(-1)

    def columns(self, images: Array) -> Array:
        """The columns of images (n, channels, *sizes), of shape (n, -1)."""
        if not self.whole:
            padded = np.zeros((*images.shape[:2], *self.size), images.dtype)
            padded[self.there] = images[self.here]
            images = padded
        return images.reshape(len(images), -1).take(self.index, 1)

    def spread(self, columns: Array, images: Array) -> None:
        """Write images of which every column's element is added up."""
        n, channels = images.shape[:2]
        padded = images
        if not self.whole:
            padded = np.empty((n, channels, *self.size), images.dtype)
        padded[...] = 0
        index = self.index
        if n > 1:
            index = (
                index + np.arange(0, n * channels * self.length, channels * self.length)[:, None]
            )
        np.add.at(padded.reshape(-1), index.reshape(-1), columns.reshape(-1))
        if not self.whole:
            images[...] = 0
            images[self.here] = padded[self.there]


spots = lru_cache(128)(Spots)
FEW_SPOTS = 1 << 15  # Elements of columns up to which `Spots` are faster.
