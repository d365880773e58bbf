"""Convolutions of small images with their channels last, as one large product of many images.

What belongs to a place of the result is a row then, made of pieces of memory as long as the
channels, and the library's threads have enough to share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product as tuples
from typing import Any

import numpy as np

from devtensor.settings import get_num_threads

from ..parts import parts
from .linalg import Array
from .windows import ALL, COLUMNS, Sizes, scratch

FEW = 64  # Places of an image up to which several images make one product.
SHORT = 24  # And of a line without threads to share it: it is copied well as it is.


def in_rows(images: Array, kernel: Sizes, out: Sizes, outputs: int, groups: int) -> bool:
    """Whether a convolution is better computed with the places of several images in rows."""
    batch = len(images)
    if batch == 1 or groups > 1 or math.prod(kernel) == 1:
        return False
    as_it_is = len(out) == 1 and get_num_threads() == 1 and not by_place(images).flags.c_contiguous
    return math.prod(out) <= (SHORT if as_it_is else FEW) or heavy(batch, out, outputs)


def heavy(batch: int, out: Sizes, outputs: int) -> bool:
    """Whether copies of the weight cost more than those of the images."""
    return outputs > batch * math.prod(out)


def by_place(images: Array) -> Array:
    """Images with the channels last, the same memory."""
    return images.transpose(0, *range(2, images.ndim), 1)


def empty_beside(images: Array, shape: Sizes) -> Array:
    """Uninitialised images, whose channels are last in memory if those of others are."""
    batch, channels, *size = shape
    if not by_place(images).flags.c_contiguous:
        return np.empty(shape, images.dtype)
    made = np.empty((batch, *size, channels), images.dtype)
    return made.transpose(0, -1, *range(1, len(size) + 1))


def matrix_of(weight: Array, by_channel: bool) -> Array:
    """A weight as a matrix (elements, outputs)."""
    if by_channel:
        return weight.reshape(len(weight), -1).T
    places = range(2, weight.ndim)
    if weight.strides[0] < weight.strides[1]:  # copied along what lies closer
        return weight.transpose(*places, 1, 0).reshape(-1, len(weight))
    return by_place(weight).reshape(len(weight), -1).T


def channels_last(name: str, images: Array, first: Sizes, size: Sizes) -> Array:
    """The part of some size of images (n, c, *sizes) from the `first` place on, as (n, *size, c).

    What is outside of the images is zeros.
    """
    images = by_place(images)
    here: list[slice] = [ALL]
    there: list[slice] = [ALL]
    whole = True
    for begin, n, all_of in zip(first, size, images.shape[1:-1], strict=True):
        low, high = max(0, begin), max(0, min(begin + n, all_of))
        whole = whole and high - low == n
        here.append(slice(low, high))
        there.append(slice(low - begin, max(low, high) - begin))
    inner = images[tuple(here)]
    if whole and inner.flags.c_contiguous:
        return inner
    laid = scratch(name, (len(images), *size, images.shape[-1]), images.dtype, images)
    if not whole:
        laid[...] = 0
    laid[tuple(there)] = inner
    return laid


def reached(kernel: Sizes, out: Sizes, stride: Sizes, gaps: Sizes) -> Sizes:
    """The size of the part of a padded image that windows reach."""
    each_dim = zip(kernel, out, stride, gaps, strict=True)
    return tuple([(o - 1) * step + (k - 1) * gap + 1 for k, o, step, gap in each_dim])


def inner_part(size: Sizes, reach: Sizes, padding: Sizes) -> tuple[Any, Any]:
    """Keys of what images and padded ones have in common, with the channels last."""
    here: list[slice] = [ALL]
    there: list[slice] = [ALL]
    for n, far, border in zip(size, reach, padding, strict=True):
        here.append(slice(0, max(0, min(n, far - border))))
        there.append(slice(border, max(border, min(n + border, far))))
    return tuple(here), tuple(there)


def taps(
    images: Array, kernel: Sizes, out: Sizes, stride: Sizes, gaps: Sizes
) -> Iterator[tuple[Sizes, Array]]:
    """To each element of the kernel, the part of padded images (n, *size, c) that it meets."""
    for place in tuples(*map(range, kernel)):
        key: list[Any] = [
            slice(p * gap, p * gap + (o - 1) * step + 1, step)
            for p, gap, o, step in zip(place, gaps, out, stride, strict=True)
        ]
        yield place, images[(ALL, *key)]


def rows(
    images: Array, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, gaps: Sizes,
    by_channel: bool,
) -> Array:  # fmt: skip
    """The windows of images as a matrix (n * places, elements)."""
    reach = reached(kernel, out, stride, gaps)
    laid = channels_last("images", images, tuple([-p for p in padding]), reach)
    image, *steps, one = laid.strides
    places = [a * b for a, b in zip(steps, stride, strict=True)]
    elements = [a * b for a, b in zip(steps, gaps, strict=True)]
    shape = (len(images), *out, *kernel, images.shape[1])
    windows: Array = np.ndarray(shape, laid.dtype, laid, 0, (image, *places, *elements, one))
    if by_channel:
        windows = np.moveaxis(windows, -1, 1 + len(out))
    columns = scratch("columns", windows.shape, laid.dtype, laid)
    columns[...] = windows
    return columns.reshape(len(images) * math.prod(out), -1)


def pieces(batch: int, channels: int, kernel: Sizes, out: Sizes) -> list[slice]:
    """Images that make one product, which the threads of the library share."""
    return parts(batch, channels * math.prod(kernel) * math.prod(out), COLUMNS)


def convolved_in_rows(
    images: Array, weight: Array, bias: Array | None, result: Array, stride: Sizes,
    padding: Sizes, gaps: Sizes,
) -> None:  # fmt: skip
    """Write the convolution; a bias broadcasts with images."""
    batch, outputs, *size = result.shape
    kernel, out = weight.shape[2:], tuple(size)
    by_channel = heavy(batch, out, outputs)
    matrix = matrix_of(weight, by_channel)
    direct = by_place(result).flags.c_contiguous
    for some in pieces(batch, images.shape[1], kernel, out):
        left = rows(images[some], kernel, out, stride, padding, gaps, by_channel)
        target = by_place(result[some])
        shape = len(left), outputs
        product = target.reshape(shape) if direct else scratch("product", shape, left.dtype, left)
        found = np.dot(left, matrix, out=product).reshape(target.shape)
        if bias is not None:
            np.add(found.transpose(0, -1, *range(1, len(out) + 1)), bias, out=result[some])
        elif not direct:
            target[...] = found


def spread_in_rows(
    g: Array, weight: Array, result: Array, stride: Sizes, padding: Sizes, gaps: Sizes
) -> None:
    """Write the spread convolution of a heavy weight over zeros."""
    batch, outputs, *size = g.shape
    channels, kernel, out = result.shape[1], weight.shape[2:], tuple(size)
    matrix = weight.reshape(outputs, -1)
    reach = reached(kernel, out, stride, gaps)
    here, there = inner_part(result.shape[2:], reach, padding)
    for some in pieces(batch, channels, kernel, out):
        left = channels_last("slopes", g[some], (0,) * len(out), out)
        n = len(left)
        left = left.reshape(-1, outputs)
        product = scratch("product", (len(left), matrix.shape[1]), left.dtype, left)
        products = np.dot(left, matrix, out=product).reshape(n, *out, channels, *kernel)
        images = scratch("images", (n, *reach, channels), left.dtype, products)
        images[...] = 0
        for place, part in taps(images, kernel, out, stride, gaps):
            at: Any = (..., *place)
            np.add(part, products[at], out=part)
        by_place(result[some])[here] = images[there]


def weight_slope_in_rows(
    images: Array, g: Array, size: Sizes, stride: Sizes, padding: Sizes, gaps: Sizes
) -> Array:
    """The gradient of the weight."""
    batch, channels = images.shape[:2]
    outputs, *places = g.shape[1:]
    out = tuple(places)
    by_channel = heavy(batch, out, outputs)
    total: Array | None = None
    for some in pieces(batch, channels, size, out):
        right = rows(images[some], size, out, stride, padding, gaps, by_channel)
        left = channels_last("slopes", g[some], (0,) * len(out), out).reshape(-1, outputs)
        found = np.dot(left.T, right)
        total = found if total is None else np.add(total, found, out=total)
    assert total is not None
    if by_channel:
        return total.reshape(outputs, channels, *size)
    found = total.reshape(outputs, *size, channels)
    return np.ascontiguousarray(found.transpose(0, -1, *range(1, len(size) + 1)))
