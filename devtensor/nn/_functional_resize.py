"""Resizing images, written with other functions."""

from __future__ import annotations

import math
import warnings
from typing import Any

import devtensor as dt
from devtensor.op import catalogue
from devtensor.tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# The modes that interpolate, and the number of dimensions each one takes.
NEEDS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize sequences, images or volumes.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, *space) with 1 to 3 dimensions of space.
    size : int or tuple of int, optional
        The new size of the space.
    scale_factor : float or tuple of float, optional
        The factor of sizes; either this or `size`.
    mode : str
        `"nearest"`, `"nearest-exact"`, `"linear"` (3-D input), `"bilinear"` (4-D), `"bicubic"`
        (4-D), `"trilinear"` (5-D) or `"area"`.
    align_corners : bool, optional
        Whether corner pixels keep their centres in place; False when left out.
    recompute_scale_factor : bool, optional
        Use the factor that follows from the new whole sizes.
    antialias : bool
        Average over what falls together when an image shrinks; for bilinear and bicubic.
    """
    dims = input.ndim - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif mode not in NEEDS:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"area | nearest-exact (got {mode})"
        )
    if dims not in (1, 2, 3) or NEEDS.get(mode, input.ndim) != input.ndim:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs "
            f"{NEEDS.get(mode, '3D, 4D or 5')}D input"
        )
    sizes = list(input.shape[2:])
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "only one of size or scale_factor should be defined"
            if size is not None
            else "either size or scale_factor should be defined"
        )
    scales: list[float | None] = [None] * dims
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        new = spread(size, dims, "size", input)
    else:
        factors = spread(scale_factor, dims, "scale_factor", input)
        new = [math.floor(n * f) for n, f in zip(sizes, factors, strict=True)]
        if not recompute_scale_factor:
            scales = [float(f) for f in factors]
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input"
        )
    if min(sizes) <= 0 or min(new) <= 0:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({', '.join(map(str, sizes))}) and output ({', '.join(map(str, new))})"
        )
    if mode == "area":
        pool = getattr(dt.nn.functional, f"adaptive_avg_pool{dims}d")
        return pool(input, new)
    given = input
    if not (mode.startswith("nearest") or input.is_floating_point()):
        if input.dtype is not dt.uint8:
            raise NotImplementedError(
                f"\"upsample_{mode}\" not implemented for '{input.dtype.legacy}': convert with "
                ".float()"
            )
        input = input.to(dt.float32)
    steps = list(zip(range(2, input.ndim), sizes, new, scales, strict=True))
    if given.dtype is dt.uint8 and not mode.startswith("nearest"):
        for dim, n, m, scale in reversed(steps):
            if n != m:
                share = catalogue["pixel_shares"].function(
                    n, m, *way(n, m, scale, bool(align_corners), antialias), mode == "bicubic",
                    antialias, dtype=dt.float64, device="cpu",
                )  # fmt: skip
                input = in_bytes(input, dim, share)
        return input.to(dt.uint8)
    for dim, n, m, scale in steps:
        if mode.startswith("nearest"):
            input = resized_nearest(input, dim, n, m, scale, 0.5 if "exact" in mode else 0.0)
        elif n != m or scale not in (None, 1.0):
            how = (*way(n, m, scale, bool(align_corners), antialias), mode == "bicubic")
            if not antialias:
                input = catalogue["resized"].function(input, dim, m, *how)
                continue
            # Not float64 for all: some devices have none.
            fine = dt.float64 if input.dtype == dt.float64 else dt.float32
            share = catalogue["pixel_shares"].function(
                n, m, *how, True, dtype=fine, device=input.device
            )
            input = mixed(input, dim, share.to(input.dtype))
    return given.clone() if input is given else input


def mixed(input: Tensor, dim: int, share: Tensor) -> Tensor:
    """The products of a matrix with what lies along a dimension."""
    if dim == input.ndim - 1:
        return dt.matmul(input, share.t())
    return dt.matmul(share, input.movedim(dim, -2)).movedim(-2, dim)


def in_bytes(input: Tensor, dim: int, share: Tensor) -> Tensor:
    """`mixed` as image libraries do it: shares are whole numbers of 16 bits, and so is each sum.

    The largest power of two by which no share grows beyond that is taken out of the sums again.
    """
    largest = share.max().item()
    bits = next(b for b in range(22) if b == 21 or int(0.5 + largest * 2 ** (b + 1)) >= 1 << 15)
    whole = share * 2.0**bits
    whole = (whole + 0.5 * whole.sign()).trunc()
    # Both parts are small enough for their sums to be exact in float32.
    high = (whole / 128).floor()
    above = mixed(input, dim, high.to(input))
    below = mixed(input, dim, (whole - high * 128).to(input))
    total = above.to(dt.int32) * 128 + below.to(dt.int32) + (1 << bits >> 1)
    return (total >> bits).clamp(0, 255).to(input.dtype)


def spread(value: Any, dims: int, name: str, input: Tensor) -> list[Any]:
    """One number for each dimension of space."""
    if isinstance(value, int | float):
        return [value] * dims
    values = list(value)
    if len(values) != dims:
        raise ValueError(
            "Input and output must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(input.shape[2:])} and {name} of {value}."
        )
    return values


def resized_nearest(
    x: Tensor, dim: int, n: int, m: int, scale: float | None, shift: float
) -> Tensor:
    """Repeat or leave out along one dimension."""
    step = 1 / scale if scale else n / m
    if n == m and step == 1:
        return x
    if m % n == 0 and step == n / m:  # whole repeats: no index, and a cheap gradient
        shape = [*x.shape[: dim + 1], m // n, *x.shape[dim + 1 :]]
        return x.unsqueeze(dim + 1).expand(shape).flatten(dim, dim + 1)
    places = [min(math.floor((i + shift) * step), n - 1) for i in range(m)]
    return x.index_select(dim, dt.tensor(places, device=x.device))


def way(n: int, m: int, scale: float | None, align: bool, antialias: bool) -> tuple[float, bool]:
    """The step from one new pixel to the next, and whether the first of both stand at one place."""
    step = 1 / scale if scale else n / m
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    # With both asked for PyTorch aligns the step alone.
    return step, align and not antialias


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize; an old name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Resize by repeating; an old name of `interpolate`."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Resize bilinearly with aligned corners; an old name of `interpolate`."""
    return interpolate(input, size, scale_factor, "bilinear", True)
