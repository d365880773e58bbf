"""Exchange of memory between libraries (``torch.utils.dlpack``)."""

from __future__ import annotations

from typing import Any

from devtensor import Tensor, from_dlpack

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule with the tensor's memory; see `devtensor.Tensor.__dlpack__`."""
    return tensor.__dlpack__()
