"""Functions of images: sampling, moving pixels between channels and space."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.nn._functional_sample import sample
from devtensor.tensor import Tensor

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Move channels into space: (*, C * r**2, H, W) to (*, C, H * r, W * r)."""
    r = upscale_factor
    if input.ndim < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got {input.ndim}"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *outer, channels, height, width = input.shape
    if channels % r**2 != 0:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r**2}"
        )
    n = len(outer)
    x = input.reshape(*outer, channels // r**2, r, r, height, width)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return dealt(x, input, (*outer, channels // r**2, height * r, width * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Move space into channels: (*, C, H * r, W * r) to (*, C * r**2, H, W)."""
    r = downscale_factor
    if input.ndim < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got {input.ndim}"
        )
    *outer, channels, height, width = input.shape
    for name, size in (("height", height), ("width", width)):
        if size % r != 0:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
                f"but {size} is not divisible by {r}"
            )
    n = len(outer)
    x = input.reshape(*outer, channels, height // r, r, width // r, r)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return dealt(x, input, (*outer, channels * r**2, height // r, width // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of `groups` groups out again in turns."""
    if input.ndim < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, "
            f"but got input with sizes {list(input.shape)}"
        )
    batch, channels = input.shape[:2]
    if groups <= 0 or channels % groups != 0:
        raise RuntimeError("Number of channels must be divisible by groups.")
    x = input.reshape(batch, groups, channels // groups, *input.shape[2:])
    return dealt(x.transpose(1, 2), input, input.shape)


def dealt(x: Tensor, source: Tensor, shape: Any) -> Tensor:
    """`x` in another shape and in memory of its own, also where every element stays in place."""
    out = x.reshape(shape)
    return out.clone() if out.data_ptr() == source.data_ptr() else out


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """Make the grid for `grid_sample` that moves images by affine maps.

    Parameters
    ----------
    theta : Tensor
        Shape (N, 2, 3) for images, (N, 3, 4) for volumes.
    size : tuple of int
        The shape (N, C, *space) of the result of `grid_sample`.
    align_corners : bool, optional
        Whether -1 and 1 are centres of corner pixels, or their outer edges.
    """
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {tuple(size)}"
        )
    if tuple(theta.shape[1:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size "
            f"{tuple(size)}. Got {tuple(theta.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    axes = []
    for n in size[2:]:
        if n > 1:
            places = dt.linspace(-1, 1, n, dtype=theta.dtype, device=theta.device)
            axes.append(places if align_corners else places * (n - 1) / n)
        else:
            axes.append(dt.zeros(1, dtype=theta.dtype, device=theta.device))
    grids = dt.meshgrid(*axes, indexing="ij")
    base = dt.stack([*reversed(grids), dt.ones_like(grids[0])], -1).reshape(1, -1, dims + 1)
    moved = dt.matmul(base, theta.transpose(1, 2))
    return moved.reshape(size[0], *size[2:], dims)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Read images or volumes at the places of a grid.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (N, C, D, H, W).
    grid : Tensor
        Shape (N, *new space, 2 or 3): x, y (and z), where -1 and 1 are the borders.
    mode : str
        `"bilinear"`, `"nearest"` or, for images, `"bicubic"`.
    padding_mode : str
        What is read beyond the border: `"zeros"`, `"border"` or `"reflection"`.
    align_corners : bool, optional
        Whether -1 and 1 are centres of corner pixels, or their outer edges.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    dims = input.ndim - 2
    if dims not in (2, 3) or grid.ndim != input.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
            f"but got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[0] != input.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != dims:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid "
            f"with sizes {list(grid.shape)}"
        )
    if 0 in input.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(input.shape)}"
        )
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{input.dtype} and grid has {grid.dtype}: convert one with .to()"
        )
    if input.dtype.kind != "float":
        raise NotImplementedError(
            f'"grid_sampler_{dims}d_cpu_kernel_impl" not implemented for '
            f"'{input.dtype.legacy}': read images of floats"
        )
    if mode == "bicubic" and dims == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return sample(input, grid, mode, padding_mode, bool(align_corners))
