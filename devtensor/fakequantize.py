"""Rounding to the numbers that a few bits tell apart, in floating point, for training with them."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["fake_quantize_per_channel_affine", "fake_quantize_per_tensor_affine"]


class FakeQuantize(dt.autograd.Function):
    """Rounding whose gradient is that of the identity within the range, and 0 beyond."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, scale: Any, zero_point: Any, low: int, high: int
    ) -> Tensor:
        """Round, and note what was within the range."""
        number = (input * (1 / scale)).round() + zero_point
        ctx.save_for_backward((number >= low) & (number <= high))
        return ((number.clamp(low, high) - zero_point) * scale).to(input.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        """Pass on the gradient of what was within the range."""
        (within,) = ctx.saved_tensors
        return dt.where(within, g, dt.zeros_like(g)), None, None, None, None


def require_range(low: int, high: int, zero_point: Any) -> None:
    """Raise RuntimeError unless the range is one, and what stands for 0 is in it."""
    if low > high:
        raise RuntimeError(
            f"`quant_min` should be less than or equal to `quant_max`, got {low} and {high}."
        )
    least = zero_point.min().item() if isinstance(zero_point, Tensor) else zero_point
    most = zero_point.max().item() if isinstance(zero_point, Tensor) else zero_point
    if least < low or most > high:
        raise RuntimeError(
            "`zero_point` must be between `quant_min` and `quant_max`, but it is "
            f"{least if least < low else most}, and they are {low} and {high}."
        )


def fake_quantize_per_tensor_affine(
    input: Tensor, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    """Round to multiples of `scale`, those that whole numbers in a range stand for.

    Parameters
    ----------
    input : Tensor
    scale : float or Tensor
        The step between two numbers.
    zero_point : int or Tensor
        The whole number that stands for 0.
    quant_min, quant_max : int
        The range; what lies beyond is moved to its ends, and has no gradient.

    Raises
    ------
    RuntimeError
        If `zero_point` is not in the range.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.fake_quantize_per_tensor_affine(dt.tensor([0.3, 1.0, 9.0]), 0.5, 0, -8, 7)
    tensor([0.5000, 1.0000, 3.5000])
    """
    require_range(quant_min, quant_max, zero_point)
    found: Tensor = FakeQuantize.apply(input, scale, zero_point, quant_min, quant_max)
    return found


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """Round as :func:`fake_quantize_per_tensor_affine`, with a step to each place of a dimension.

    Parameters
    ----------
    input : Tensor
    scale, zero_point : Tensor
        Vectors with a number to each place.
    axis : int
        The dimension.
    quant_min, quant_max : int

    Raises
    ------
    RuntimeError
        If the vectors do not fit, or a zero point is not in the range.
    """
    for name, x in (("scale", scale), ("zero point", zero_point)):
        if x.ndim != 1:
            raise RuntimeError(f"{name} should be a 1-D tensor, got shape {list(x.shape)}")
    if scale.numel() != zero_point.numel():
        raise RuntimeError(
            "scale and zero-point need to have the same dimensions, got "
            f"{scale.numel()} and {zero_point.numel()}"
        )
    if scale.numel() != input.size(axis):
        raise RuntimeError(
            "dimensions of scale and zero-point are not consistent with input tensor: "
            f"{scale.numel()} for length {input.size(axis)}"
        )
    if axis < 0:
        raise RuntimeError(
            f"`axis` must be between 0 and number of dimensions of input, got {axis}"
        )
    require_range(quant_min, quant_max, zero_point)
    shape = [-1 if d == axis else 1 for d in range(input.ndim)]
    found: Tensor = FakeQuantize.apply(
        input, scale.reshape(shape), zero_point.reshape(shape), quant_min, quant_max
    )
    return found
