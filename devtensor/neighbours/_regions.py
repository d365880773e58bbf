"""What torchvision's detectors take out of images: pooled regions, and windows that are bent."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["deform_conv2d", "ps_roi_align", "ps_roi_pool", "roi_pool"]


def bilinear(take: Callable[[Tensor], Tensor], y: Tensor, x: Tensor, size: Any) -> Tensor:
    """Values between pixels, of which those outside are 0; `take` has them by their number."""
    height, width = size
    top, left = y.detach().floor(), x.detach().floor()
    total: Any = 0
    for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            total = total + take(place.long()) * (down * across * inside)
    return total


def deform_conv2d(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, bias: Tensor,
    stride_h: int, stride_w: int, pad_h: int, pad_w: int, dil_h: int, dil_w: int,
    n_weight_grps: int, n_offset_grps: int, use_mask: bool,
) -> Tensor:  # fmt: skip
    """A convolution each of whose windows looks at places that are moved by an offset of its own.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)``.
    weight : Tensor
        Shape ``(outputs, channels / n_weight_grps, *kernel)``.
    offset : Tensor
        Shape ``(batch, 2 * n_offset_grps * elements of the kernel, *places)``: down and across.
    mask : Tensor
        Factors, of shape ``(batch, n_offset_grps * elements of the kernel, *places)``.
    bias : Tensor
        Shape ``(outputs,)``.

    Raises
    ------
    RuntimeError
        If the shapes do not fit.
    """
    images, channels, *size = input.shape
    outputs, many, *kernel = weight.shape
    elements, places = kernel[0] * kernel[1], offset.shape[2:]
    steps = ((stride_h, pad_h, dil_h), (stride_w, pad_w, dil_w))
    expected = [
        (n + 2 * pad - gap * (k - 1) - 1) // step + 1
        for n, k, (step, pad, gap) in zip(size, kernel, steps, strict=True)
    ]
    wanted = (images, 2 * n_offset_grps * elements, *expected)
    if many * n_weight_grps != channels or tuple(offset.shape) != wanted:
        raise RuntimeError(
            f"deform_conv2d: the input of shape {list(input.shape)} and the weight of shape "
            f"{list(weight.shape)}, in {n_weight_grps} groups, need an offset of shape "
            f"{list(wanted)}, got {list(offset.shape)}"
        )
    moved = offset.reshape(images, n_offset_grps, elements, 2, *places)
    own = [
        dt.arange(n, device=input.device)[None, :] * step
        - pad
        + dt.arange(k, device=input.device)[:, None] * gap
        for n, k, (step, pad, gap) in zip(places, kernel, steps, strict=True)
    ]
    y = moved[:, :, :, 0] + own[0].repeat_interleave(kernel[1], 0)[:, :, None]
    x = moved[:, :, :, 1] + own[1].repeat(kernel[0], 1)[:, None, :]
    parts = input.reshape(images, n_offset_grps, channels // n_offset_grps, -1)

    def take(place: Tensor) -> Tensor:
        place = place.flatten(2)[:, :, None].expand(-1, -1, parts.shape[2], -1)
        return parts.gather(3, place)

    columns = bilinear(take, y.flatten(2)[:, :, None], x.flatten(2)[:, :, None], size)
    if use_mask:
        columns = columns * mask.reshape(images, n_offset_grps, 1, -1)
    columns = columns.reshape(images, n_weight_grps, many * elements, -1)
    matrix = weight.reshape(n_weight_grps, outputs // n_weight_grps, -1)
    return (matrix @ columns).reshape(images, outputs, *places) + bias[:, None, None]


def half_up(x: Tensor) -> Tensor:
    """Rounded, halves away from zero."""
    return x.sign() * (x.abs() + 0.5).floor()


def spans(start: Tensor, width: Tensor, bins: int, length: int, last: int) -> Tensor:
    """For each bin of a region which pixels of a side it has, up to `last`, of all `length`."""
    edges = dt.arange(bins + 1, dtype=width.dtype, device=start.device) * (width / bins)
    first = (edges[:-1].floor() + start).clamp(0, last)[:, None]
    end = (edges[1:].ceil() + start).clamp(0, last)[:, None]
    pixels = dt.arange(length, device=start.device)
    return (pixels >= first) & (pixels < end)


def of_each(rois: Tensor, input: Tensor, shape: Any, pool: Callable[..., Tensor]) -> Tensor:
    """What `pool` makes of the image and the box of each region."""
    rois = rois.detach()
    found = [pool(input[int(roi[0])], roi[1:]) for roi in rois]
    return dt.stack(found) if found else input.new_zeros((0, *shape)) + 0 * input.sum()


def roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """The largest value in each bin of regions, and its place in the image; -1 in empty bins.

    Parameters
    ----------
    input : Tensor
        Shape ``(batch, channels, height, width)``.
    rois : Tensor
        Shape ``(regions, 5)``: which image, left, top, right and bottom, the last two included.
    spatial_scale : float
        What boxes are multiplied by.
    pooled_height, pooled_width : int
    """
    _, channels, height, width = input.shape
    shape = (2, channels, pooled_height, pooled_width)

    def pool(image: Tensor, box: Tensor) -> Tensor:
        left, top, right, bottom = half_up(box * spatial_scale)
        rows = spans(top, (bottom - top + 1).clamp(min=1), pooled_height, height, height)
        columns = spans(left, (right - left + 1).clamp(min=1), pooled_width, width, width)
        inner = image[:, None].masked_fill(~columns[:, None], -dt.inf)
        along = inner.max(-1)  # of each row, in each column of bins
        best = along.values[:, :, None].masked_fill(~rows, -dt.inf).max(-1)
        where = along.indices.gather(2, best.indices) + best.indices * width
        some = rows.any(1)[:, None] & columns.any(1)
        values = dt.where(some, best.values.mT, 0)
        return dt.stack([values, dt.where(some, where.mT, -1).to(values.dtype)])

    found = of_each(rois, input, shape, pool)
    return found[:, 0], found[:, 1].detach().to(dt.int32)


def by_place(image: Tensor, height: int, width: int) -> Tensor:
    """An image's channels as ``(outputs, height, width, pixels)``: each bin has its own."""
    return image.reshape(-1, height, width, image.shape[-2] * image.shape[-1])


def channel_of_bins(input: Tensor, rois: Tensor, height: int, width: int) -> Tensor:
    """Which channel each bin has looked at."""
    outputs = input.shape[1] // (height * width)
    numbers = dt.arange(outputs * height * width, dtype=dt.int32, device=input.device)
    return numbers.reshape(1, outputs, height, width).repeat(len(rois), 1, 1, 1)


def refuse_channels(input: Tensor, height: int, width: int) -> None:
    """RuntimeError unless each bin can have channels of its own."""
    if input.shape[1] % (height * width):
        raise RuntimeError(
            "input channels must be a multiple of pooling height * pooling width, got "
            f"{input.shape[1]} channels for {height} * {width}"
        )


def ps_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """The mean of each bin of regions in a channel of its own, and that channel.

    Parameters
    ----------
    input, rois, spatial_scale, pooled_height, pooled_width
        As of `roi_pool`; the channels are those of the result for each bin, row by row. The last
        row and the last column of the image are in no bin.
    """
    refuse_channels(input, pooled_height, pooled_width)
    _, channels, height, width = input.shape
    bins = (pooled_height, pooled_width)

    def pool(image: Tensor, box: Tensor) -> Tensor:
        left, top, right, bottom = half_up(box * spatial_scale)
        rows = spans(top, (bottom - top).clamp(min=1), pooled_height, height, height - 1)
        columns = spans(left, (right - left).clamp(min=1), pooled_width, width, width - 1)
        rows, columns = rows.to(input.dtype), columns.to(input.dtype)
        total = dt.einsum(
            "cijhw,ih,jw->cij", image.reshape(-1, *bins, height, width), rows, columns
        )
        return total / (rows.sum(1)[:, None] * columns.sum(1)).clamp(min=1)

    shape = (channels // (pooled_height * pooled_width), *bins)
    found = of_each(rois, input, shape, pool)
    return found, channel_of_bins(input, rois, *bins)


def ps_roi_align(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int,
    sampling_ratio: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The mean of samples between the pixels of each bin, in a channel of its own.

    Parameters
    ----------
    input, rois, spatial_scale, pooled_height, pooled_width
        As of `ps_roi_pool`.
    sampling_ratio : int
        Samples of a bin to each side; as many as it has pixels if that is 0 or less.
    """
    refuse_channels(input, pooled_height, pooled_width)
    _, channels, *size = input.shape
    bins = (pooled_height, pooled_width)

    def places(start: Tensor, end: Tensor, bins: int, shape: Any) -> Tensor:
        width = (end - start) / bins
        count = sampling_ratio if sampling_ratio > 0 else max(ceil(float(width)), 0)
        steps = [dt.arange(n, dtype=width.dtype, device=input.device) for n in (bins, count)]
        inner = (steps[1] + 0.5) * (width / max(count, 1))
        whole: Tensor = start + steps[0][:, None] * width + inner
        return whole

    def pool(image: Tensor, box: Tensor) -> Tensor:
        left, top, right, bottom = box * spatial_scale - 0.5
        y = places(top, bottom, pooled_height, size)[:, None, :, None]
        x = places(left, right, pooled_width, size)[None, :, None, :]
        y, x = dt.broadcast_tensors(y, x)
        seen = (y >= -1) & (y <= size[0]) & (x >= -1) & (x <= size[1])
        parts = by_place(image, *bins)

        def take(place: Tensor) -> Tensor:
            return parts.gather(3, place.flatten(2).expand(len(parts), -1, -1, -1))

        y, x = y.clamp(0, size[0] - 1), x.clamp(0, size[1] - 1)
        values = bilinear(take, y.flatten(2), x.flatten(2), size) * seen.flatten(2)
        return values.sum(-1) / max(values.shape[-1], 1)

    shape = (channels // (pooled_height * pooled_width), *bins)
    found = of_each(rois, input, shape, pool)
    return found, channel_of_bins(input, rois, *bins)
