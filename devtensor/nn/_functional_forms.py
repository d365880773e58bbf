"""The further forms of functions: `inplace=`, one name for each number of dimensions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import devtensor as dt
from devtensor.nn._functional_window import fractional_max_pool, max_unpool
from devtensor.tensor import Tensor

INPLACE = (
    "alpha_dropout",
    "celu",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "feature_alpha_dropout",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "silu",
    "threshold",
)


def with_inplace(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give a function a last parameter `inplace`: write the result over the input."""
    name = function.__name__
    parameters = inspect.signature(function).parameters
    if "inplace" in parameters:
        return function
    count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values())

    def form(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
        if len(args) >= count:
            *args, inplace = args  # type: ignore[assignment]
        if inplace:
            return overwrite(name, function, input, *args, **kwargs)
        return function(input, *args, **kwargs)

    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"{function.__doc__}\n\nWith `inplace` the result is written over `input`."
    return form


def overwrite(
    name: str, function: Callable[..., Tensor], input: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """Write the result of `function` over its input."""
    method = getattr(input, name + "_", None)
    if method is not None:
        written: Tensor = method(*args, **kwargs)
        return written
    return input.copy_(function(input.clone(), *args, **kwargs))


def rrelu_(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    """Multiply negative numbers by a slope, over `input`: see `rrelu`."""
    return overwrite("rrelu", dt.rrelu, input, lower, upper, training)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Turn numbers along `dim` into probabilities."""
    dim = implied_dim("softmax", input, dim, _stacklevel)
    return dt.softmax(input, dim, dtype=dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Turn numbers along `dim` into probabilities, the smallest into the largest."""
    dim = implied_dim("softmin", input, dim, _stacklevel)
    return dt.softmax(-input, dim, dtype=dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Turn numbers along `dim` into log-probabilities."""
    dim = implied_dim("log_softmax", input, dim, _stacklevel)
    return dt.log_softmax(input, dim, dtype=dtype)


def implied_dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """The dimension that old code leaves out."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def lp_pool(
    input: Tensor, norm_type: float, dims: int, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    """Take the `norm_type`-norm of each window."""
    kernel = (kernel_size,) * dims if isinstance(kernel_size, int) else tuple(kernel_size)
    count = 1
    for size in kernel:
        count *= size
    mean = getattr(dt.nn.functional, f"avg_pool{dims}d")(
        input**norm_type, kernel, stride, 0, ceil_mode
    )
    # A sum of odd powers may be negative; only its size has a root.
    return (mean.sign() * mean.abs().relu() * count) ** (1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Take the norm of each window of sequences."""
    return lp_pool(input, norm_type, 1, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Take the norm of each window of images."""
    return lp_pool(input, norm_type, 2, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Take the norm of each window of volumes."""
    return lp_pool(input, norm_type, 3, kernel_size, stride, ceil_mode)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by `(k + alpha * mean of squares of `size` channels around) ** beta`."""
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    squares = (input * input).reshape(input.shape[0], 1, input.shape[1], -1)
    squares = dt.nn.functional.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = dt.nn.functional.avg_pool2d(squares, (size, 1), stride=1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Undo `max_pool1d`."""
    return max_unpool(input, indices, 1, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Undo `max_pool2d`."""
    return max_unpool(input, indices, 2, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Undo `max_pool3d`."""
    return max_unpool(input, indices, 3, kernel_size, stride, padding, output_size)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Take maxima of windows of images at random places."""
    return fractional_max_pool(
        input, 2, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Take maxima of windows of volumes at random places."""
    return fractional_max_pool(
        input, 3, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


fractional_max_pool2d_with_indices = partial(fractional_max_pool2d, return_indices=True)
fractional_max_pool3d_with_indices = partial(fractional_max_pool3d, return_indices=True)

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "local_response_norm",
    "log_softmax",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "rrelu_",
    "softmax",
    "softmin",
]
