"""Filling parameters with their first values. All functions write in place and record nothing."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def unrecorded(function: Function) -> Function:
    """Run `function` without recording."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with dt.no_grad():
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Give the factor that keeps the spread of values through a nonlinearity.

    Parameters
    ----------
    nonlinearity : str
        Its name in `nn.functional`, such as `"relu"` or `"tanh"`.
    param : float, optional
        The negative slope of `"leaky_relu"`; 0.01 when left out.

    Raises
    ------
    ValueError
        If the nonlinearity is unknown or the slope is no number.
    """
    linear = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")
    if nonlinearity in linear or nonlinearity.startswith("conv_transpose"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            slope = 0.01
        elif isinstance(param, int | float) and not isinstance(param, bool):
            slope = param
        else:
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Count the inputs and outputs that one weight of `tensor` (out, in, *window) meets."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"got shape {tuple(tensor.shape)}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


_calculate_fan_in_and_fan_out = fan_in_and_fan_out


def chosen_fan(tensor: Tensor, mode: str) -> int:
    """Give fan in or fan out, as `mode` says."""
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return fan_in_and_fan_out(tensor)[mode == "fan_out"]


_calculate_correct_fan = chosen_fan


def warn_if_empty(tensor: Tensor) -> bool:
    """Tell whether there is nothing to fill, with a warning."""
    empty = 0 in tensor.shape
    if empty:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
    return empty


@unrecorded
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with values spread evenly between `a` and `b`."""
    return tensor.uniform_(a, b, generator=generator)


@unrecorded
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normally distributed values."""
    return tensor.normal_(mean, std, generator=generator)


@unrecorded
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Fill with normally distributed values, all of them between `a` and `b`."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )

    def below(x: float) -> float:
        return (1.0 + math.erf((x - mean) / std / math.sqrt(2.0))) / 2.0

    # Draw the probability evenly from what lies between a and b, and go back to the value.
    tensor.uniform_(2 * below(a) - 1, 2 * below(b) - 1, generator=generator)
    tensor.erfinv_()
    tensor.mul_(std * math.sqrt(2.0)).add_(mean)
    return tensor.clamp_(min=a, max=b)


@unrecorded
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    return tensor.fill_(val)


@unrecorded
def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return tensor.fill_(1.0)


@unrecorded
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return tensor.zero_()


@unrecorded
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on its diagonal, zeros elsewhere."""
    if tensor.ndim != 2:
        raise ValueError(
            f"Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}"
        )
    return tensor.copy_(dt.eye(*tensor.shape, device=tensor.device))


@unrecorded
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight of a convolution so that, in each group, it hands its input on.

    Parameters
    ----------
    tensor : Tensor
        Shape ``(out, in, *window)`` with 3 to 5 dimensions; `out` divisible by `groups`.
    groups : int
        The number of groups of the convolution.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(
            "Only tensors with 3, 4, or 5 dimensions are supported, "
            f"got shape {tuple(tensor.shape)}"
        )
    if tensor.shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    centre = tuple(size // 2 for size in tensor.shape[2:])
    per_group = tensor.shape[0] // groups
    tensor.zero_()
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


@unrecorded
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill evenly between plus and minus `gain * sqrt(6 / (fan_in + fan_out))`."""
    bound = gain * math.sqrt(6.0 / sum(fan_in_and_fan_out(tensor)))
    return tensor.uniform_(-bound, bound, generator=generator)


@unrecorded
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill normally with deviation `gain * sqrt(2 / (fan_in + fan_out))`."""
    std = gain * math.sqrt(2.0 / sum(fan_in_and_fan_out(tensor)))
    return tensor.normal_(0.0, std, generator=generator)


@unrecorded
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill evenly between plus and minus `gain * sqrt(3 / fan)`.

    Parameters
    ----------
    tensor : Tensor
        At least 2-dimensional.
    a : float
        The negative slope of the leaky ReLU that follows.
    mode : str
        `"fan_in"` keeps the spread of values forward, `"fan_out"` that of gradients backward.
    nonlinearity : str
        What follows, see `calculate_gain`.
    """
    if warn_if_empty(tensor):
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / chosen_fan(tensor, mode))
    return tensor.uniform_(-bound, bound, generator=generator)


@unrecorded
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill normally with deviation `gain / sqrt(fan)`; parameters as of `kaiming_uniform_`."""
    if warn_if_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(chosen_fan(tensor, mode))
    return tensor.normal_(0.0, std, generator=generator)


@unrecorded
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with an orthogonal matrix times `gain`; dimensions after the first are taken as one."""
    if tensor.ndim < 2:
        raise ValueError(
            f"Only tensors with 2 or more dimensions are supported, got shape {tuple(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    shape = (max(rows, columns), min(rows, columns))
    flat = dt.empty(shape, dtype=tensor.dtype, device=tensor.device)
    flat.normal_(0.0, 1.0, generator=generator)
    q, r = dt.linalg.qr(flat)
    # The signs of r's diagonal make q uniform over all orthogonal matrices.
    q = q * dt.sign(dt.diagonal(r))
    if rows < columns:
        q = q.t()
    return tensor.copy_((q * gain).reshape(tensor.shape))


@unrecorded
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix normally, then set a share `sparsity` of each column to zero."""
    if tensor.ndim != 2:
        raise ValueError(
            f"Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}"
        )
    rows, columns = tensor.shape
    count = math.ceil(sparsity * rows)
    tensor.normal_(0.0, std, generator=generator)
    for column in range(columns):
        # As elsewhere in this API, which rows is drawn from the default generator.
        tensor[dt.randperm(rows)[:count], column] = 0
    return tensor


def deprecated(function: Function) -> Function:
    """Make the old spelling, without the underscore."""
    old = function.__name__.removesuffix("_")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{old}_`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    run.__name__ = old
    return run  # type: ignore[return-value]


uniform, normal, constant = deprecated(uniform_), deprecated(normal_), deprecated(constant_)
eye, dirac, sparse = deprecated(eye_), deprecated(dirac_), deprecated(sparse_)
orthogonal = deprecated(orthogonal_)
xavier_uniform, xavier_normal = deprecated(xavier_uniform_), deprecated(xavier_normal_)
kaiming_uniform, kaiming_normal = deprecated(kaiming_uniform_), deprecated(kaiming_normal_)
_no_grad_uniform_, _no_grad_normal_, _no_grad_trunc_normal_ = uniform_, normal_, trunc_normal_
_no_grad_fill_, _no_grad_zero_ = constant_, zeros_
