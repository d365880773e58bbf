"""Layers that summarise windows."""

from __future__ import annotations

from typing import Any

from devtensor.nn import functional as F
from devtensor.nn.module import Module
from devtensor.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
    "FractionalMaxPool2d", "FractionalMaxPool3d", "LPPool1d", "LPPool2d", "LPPool3d",
    "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
]  # fmt: skip


def repeated(value: Any, dims: int) -> Any:
    """A number once for each dimension; a sequence as it is."""
    return value if isinstance(value, list | tuple) else (value,) * dims


class MaxPool(Module):
    """Takes the maximum of each window.

    Parameters
    ----------
    kernel_size : int or tuple of int
        The size of the window.
    stride : int or tuple of int, optional
        Its step; `kernel_size` when left out.
    padding : int or tuple of int
        How far it goes beyond the border.
    dilation : int or tuple of int
        The gaps in it.
    return_indices : bool
        Return also where each maximum was.
    ceil_mode : bool
        Keep a last window that does not fit in whole.
    """

    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"max_pool{self.dims}d")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPool):
    """Takes the maximum of each window of sequences."""

    dims = 1


class MaxPool2d(MaxPool):
    """Takes the maximum of each window of images."""

    dims = 2


class MaxPool3d(MaxPool):
    """Takes the maximum of each window of volumes."""

    dims = 3


class MaxUnpool(Module):
    """Puts maxima back to where `MaxPool` with `return_indices` took them, zeros elsewhere."""

    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = repeated(kernel_size, self.dims)
        self.stride = repeated(stride if stride is not None else kernel_size, self.dims)
        self.padding = repeated(padding, self.dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        result: Tensor = getattr(F, f"max_unpool{self.dims}d")(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return result

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpool):
    """Undoes `MaxPool1d`."""

    dims = 1


class MaxUnpool2d(MaxUnpool):
    """Undoes `MaxPool2d`."""

    dims = 2


class MaxUnpool3d(MaxUnpool):
    """Undoes `MaxPool3d`."""

    dims = 3


class AvgPool1d(Module):
    """Takes the mean of each window of sequences; parameters as of `AvgPool2d`."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = repeated(kernel_size, 1)
        self.stride = repeated(stride if stride is not None else kernel_size, 1)
        self.padding = repeated(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """Takes the mean of each window of images.

    Parameters
    ----------
    kernel_size, stride, padding : int or tuple of int
        The window: its size, its step (`kernel_size` when left out), its reach beyond the border.
    ceil_mode : bool
        Keep a last window that does not fit in whole.
    count_include_pad : bool
        Count what is beyond the border, as zeros.
    divisor_override : int, optional
        Divide by this rather than by the number of elements.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    function = "avg_pool2d"

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = getattr(F, self.function)(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )
        return result

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """Takes the mean of each window of volumes; parameters as of `AvgPool2d`."""

    function = "avg_pool3d"


class LPPool(Module):
    """Takes the `norm_type`-norm of each window."""

    dims: int

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = getattr(F, f"lp_pool{self.dims}d")(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )
        return result

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(LPPool):
    """Takes the norm of each window of sequences."""

    dims = 1


class LPPool2d(LPPool):
    """Takes the norm of each window of images."""

    dims = 2


class LPPool3d(LPPool):
    """Takes the norm of each window of volumes."""

    dims = 3


class AdaptiveAvgPool(Module):
    """Takes means of windows chosen so that the output has the size `output_size`.

    In a tuple, None keeps the size of the input.
    """

    dims: int
    function = "adaptive_avg_pool"

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"{self.function}{self.dims}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """Takes means of sequences, to a given size."""

    dims = 1


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """Takes means of images, to a given size."""

    dims = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """Takes means of volumes, to a given size."""

    dims = 3


class AdaptiveMaxPool(AdaptiveAvgPool):
    """Takes maxima of windows chosen so that the output has the size `output_size`."""

    function = "adaptive_max_pool"

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        pool = getattr(F, f"{self.function}{self.dims}d")
        return pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """Takes maxima of sequences, to a given size."""

    dims = 1


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """Takes maxima of images, to a given size."""

    dims = 2


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """Takes maxima of volumes, to a given size."""

    dims = 3


class FractionalMaxPool(Module):
    """Takes maxima of windows whose places are drawn at random.

    Give either `output_size` or, as a part of the input's size, `output_ratio`.
    """

    dims: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = repeated(kernel_size, self.dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else repeated(output_size, self.dims)
        self.output_ratio = None if output_ratio is None else repeated(output_ratio, self.dims)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError(
                f"only one of output_size and output_ratio may be specified for {name}"
            )
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"fractional_max_pool{self.dims}d")(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(FractionalMaxPool):
    """Takes maxima of images, at random places."""

    dims = 2


class FractionalMaxPool3d(FractionalMaxPool):
    """Takes maxima of volumes at random places."""

    dims = 3
