"""Functions of sliding windows and borders, written with other functions."""

from __future__ import annotations

import math
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "fold",
    "fractional_max_pool",
    "max_unpool",
    "unfold",
]


def pair(value: Any) -> tuple[int, int]:
    """Two of a number, or the two numbers of a sequence."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def window_places(size: int, kernel: int, dilation: int, padding: int, stride: int) -> list[int]:
    """For every offset in the window and every window: where it reads in the padded input."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return [k * dilation + i * stride for k in range(kernel) for i in range(count)]


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Cut images into windows.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size, dilation, padding, stride : int or tuple of int
        The windows, as of a convolution.

    Returns
    -------
    Tensor
        Shape (N, C * window size, number of windows).
    """
    if input.ndim not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    kernel, gap, border, step = map(pair, (kernel_size, dilation, padding, stride))
    batch, channels, *sizes = input.shape
    places = [
        window_places(size, *numbers)
        for size, *numbers in zip(sizes, kernel, gap, border, step, strict=True)
    ]
    counts = [len(place) // k for place, k in zip(places, kernel, strict=True)]
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size ({sizes[0]}, {sizes[1]}), kernel_size={kernel}, "
            f"dilation={gap}, padding={border}, stride={step}, calculated shape of the array of "
            f"sliding blocks as ({counts[0]}, {counts[1]}), but its components must be at least "
            "one."
        )
    if any(border):
        input = dt.nn.functional.pad(input, (border[1], border[1], border[0], border[0]))
    for dim, place in zip((2, 3), places, strict=True):
        input = input.index_select(dim, dt.tensor(place, device=input.device))
    input = input.reshape(batch, channels, kernel[0], counts[0], kernel[1], counts[1])
    return input.permute(0, 1, 2, 4, 3, 5).reshape(
        batch, channels * math.prod(kernel), math.prod(counts)
    )


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Put windows together to images, adding where they overlap: the adjoint of `unfold`.

    Parameters
    ----------
    input : Tensor
        Shape (N, C * window size, number of windows), or without N.
    output_size : int or tuple of int
        Height and width of the images.
    kernel_size, dilation, padding, stride : int or tuple of int
        The windows, as of a convolution.

    Returns
    -------
    Tensor
        Shape (N, C, *output_size).
    """
    if input.ndim not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    if input.ndim == 2:
        whole = (output_size, kernel_size, dilation, padding, stride)
        return fold(input.unsqueeze(0), *whole).squeeze(0)
    kernel, gap, border, step = map(pair, (kernel_size, dilation, padding, stride))
    sizes = pair(output_size)
    if input.shape[1] % math.prod(kernel) != 0:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={input.shape[1]} and kernel_size={kernel}."
        )
    places = [
        window_places(size, *numbers)
        for size, *numbers in zip(sizes, kernel, gap, border, step, strict=True)
    ]
    counts = [len(place) // k for place, k in zip(places, kernel, strict=True)]
    if input.shape[2] != math.prod(counts):
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={kernel}, dilation={gap}, padding={border}, "
            f"stride={step}, expected size of input's dimension 2 to match the calculated number "
            f"of sliding blocks {counts[0]} * {counts[1]} = {math.prod(counts)}, "
            f"but got input.size(2)={input.shape[2]}."
        )
    batch = input.shape[0]
    channels = input.shape[1] // math.prod(kernel)
    x = input.reshape(batch, channels, *kernel, *counts).permute(0, 1, 2, 4, 3, 5)
    x = x.reshape(batch, channels, len(places[0]), len(places[1]))
    for dim, place, size, edge in zip((2, 3), places, sizes, border, strict=True):
        shape = list(x.shape)
        shape[dim] = size + 2 * edge
        empty = dt.zeros(shape, dtype=x.dtype, device=x.device)
        x = empty.index_add(dim, dt.tensor(place, device=x.device), x).narrow(dim, edge, size)
    return x


def max_unpool(
    input: Tensor,
    indices: Tensor,
    dims: int,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Put every value to the place that max pooling took it from, zeros elsewhere."""
    every = [
        (value,) * dims if isinstance(value, int) else tuple(value)
        for value in (kernel_size, kernel_size if stride in (None, []) else stride, padding)
    ]
    sizes = [
        (n - 1) * s + k - 2 * p for n, k, s, p in zip(input.shape[-dims:], *every, strict=True)
    ]
    if output_size is not None:
        wanted = list(output_size)[-dims:]
        for size, got, step in zip(sizes, wanted, every[1], strict=True):
            if not size - step < got < size + step:
                raise ValueError(
                    f"invalid output_size {output_size!r} (dim sizes must be between "
                    f"{[s - t for s, t in zip(sizes, every[1], strict=True)]} and "
                    f"{[s + t for s, t in zip(sizes, every[1], strict=True)]})"
                )
        sizes = wanted
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    outer = input.shape[:-dims]
    room = dt.zeros((*outer, math.prod(sizes)), dtype=input.dtype, device=input.device)
    try:
        filled = room.scatter(-1, indices.reshape(*outer, -1), input.reshape(*outer, -1))
    except RuntimeError as error:
        raise RuntimeError(
            f"Found an invalid max index: {error} (output volumes are of size "
            f"{'x'.join(map(str, sizes))})"
        ) from error
    return filled.reshape(*outer, *sizes)


def fractional_max_pool(
    input: Tensor,
    dims: int,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    samples: Tensor | None = None,
) -> Any:
    """Take maxima over windows whose places are drawn at random.

    `samples` has shape (N, C, dims): numbers from 0 to 1, one for each image and dimension.
    """
    sizes = list(input.shape[-dims:])
    kernel = (kernel_size,) * dims if isinstance(kernel_size, int) else tuple(kernel_size)
    if output_size is None:
        if output_ratio is None:
            raise ValueError(
                f"fractional_max_pool{dims}d requires specifying either an output_size or an "
                "output_ratio"
            )
        ratio = (output_ratio,) * dims if isinstance(output_ratio, float) else output_ratio
        output_size = [int(n * r) for n, r in zip(sizes, ratio, strict=True)]
    out = (output_size,) * dims if isinstance(output_size, int) else tuple(output_size)
    single = input.ndim == dims + 1
    x = input.unsqueeze(0) if single else input
    if single and samples is not None:
        samples = samples[:1]
    if samples is None:
        samples = dt.rand(x.shape[0], x.shape[1], dims, dtype=x.dtype, device=x.device)
    # places[d]: shape (N, C, out * kernel), where the windows of dimension d read.
    flat = dt.zeros((), dtype=dt.int64, device=x.device)
    for d in range(dims):
        n, k, o = sizes[d], kernel[d], out[d]
        if o + k - 1 > n:
            raise RuntimeError(
                f"fractional_max_pool{dims}d(): pool size {k} too large relative to input size {n}"
            )
        u = samples[..., dims - 1 - d if dims == 2 else d].unsqueeze(-1)
        alpha = (n - k) / (o - 1) if o > 1 else 0.0
        i = dt.arange(o, device=x.device)
        start = dt.floor((i + u) * alpha) - dt.floor(u * alpha)
        start = dt.where(i == o - 1, dt.full_like(start, n - k), start).to(dt.int64)
        place = start.unsqueeze(-1) + dt.arange(k, device=x.device)  # (N, C, o, k)
        shape = [*place.shape[:2], *[1] * (2 * dims)]
        shape[2 + d], shape[2 + dims + d] = o, k
        flat = flat * n + place.reshape(shape)
    windows = flat.flatten(2 + dims)
    values = x.flatten(2).gather(2, windows.flatten(2)).reshape(windows.shape)
    best = values.max(-1)
    indices = windows.gather(-1, best.indices.unsqueeze(-1)).squeeze(-1)
    result = best.values.squeeze(0) if single else best.values
    if not return_indices:
        return result
    return result, indices.squeeze(0) if single else indices
