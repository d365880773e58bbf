"""Layers that pad. A padding is one number for all sides, or (left, right, top, bottom, ...)."""

from __future__ import annotations

from typing import Any

from devtensor.nn import functional as F
from devtensor.nn.module import Module
from devtensor.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip


class Padding(Module):
    """Pads the last `dims` dimensions."""

    dims: int
    mode: str
    padding: tuple[int, ...]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        one = isinstance(padding, int)
        self.padding = (padding,) * (2 * self.dims) if one else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad(Padding):
    """Pads with a given value."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad(Padding):
    """Pads with zeros."""

    value = 0.0

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", 0)


class CircularPad(Padding):
    """Pads with the other end of the input."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        least = self.dims + 1
        if input.ndim not in (least, least + 1):
            raise ValueError(
                f"expected {least}D or {least + 1}D input (got {input.ndim}D input): "
                f"{self._get_name()} takes (C, ...) or (N, C, ...)"
            )
        return super().forward(input)


class ReflectionPad(Padding):
    """Pads with the mirror image of the input."""

    mode = "reflect"


class ReplicationPad(Padding):
    """Pads with the border of the input."""

    mode = "replicate"


class ConstantPad1d(ConstantPad):
    """Pads sequences with a given value."""

    dims = 1


class ConstantPad2d(ConstantPad):
    """Pads images with a given value."""

    dims = 2


class ConstantPad3d(ConstantPad):
    """Pads volumes with a given value."""

    dims = 3


class ZeroPad1d(ZeroPad):
    """Pads sequences with zeros."""

    dims = 1


class ZeroPad2d(ZeroPad):
    """Pads images with zeros."""

    dims = 2


class ZeroPad3d(ZeroPad):
    """Pads volumes with zeros."""

    dims = 3


class CircularPad1d(CircularPad):
    """Pads sequences with their other end."""

    dims = 1


class CircularPad2d(CircularPad):
    """Pads images with their other side."""

    dims = 2


class CircularPad3d(CircularPad):
    """Pads volumes with their other side."""

    dims = 3


class ReflectionPad1d(ReflectionPad):
    """Pads sequences with their mirror image."""

    dims = 1


class ReflectionPad2d(ReflectionPad):
    """Pads images with their mirror image."""

    dims = 2


class ReflectionPad3d(ReflectionPad):
    """Pads volumes with their mirror image."""

    dims = 3


class ReplicationPad1d(ReplicationPad):
    """Pads sequences with their border."""

    dims = 1


class ReplicationPad2d(ReplicationPad):
    """Pads images with their border."""

    dims = 2


class ReplicationPad3d(ReplicationPad):
    """Pads volumes with their border."""

    dims = 3
