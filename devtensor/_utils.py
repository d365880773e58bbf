"""What programs take from ``torch._utils``: gradients as one vector, and what pickles call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devtensor as dt
import devtensor.dtype as dtypes
from devtensor.accelerator import current_accelerator
from devtensor.accelerator import get_device_module as _get_device_module
from devtensor.serialization._rebuild import (
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_sparse_tensor,
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
)
from devtensor.tensor import Tensor

__all__ = [
    "_get_available_device_type",
    "_get_device_module",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_sparse_tensor",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
]


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements of some tensors in one row."""
    return dt.cat([one.reshape(-1) for one in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of a row in the shapes of some tensors."""
    parts = flat.split([one.numel() for one in tensors])
    return tuple(part.view(one.shape) for part, one in zip(parts, tensors, strict=True))


def _element_size(dtype: dtypes.dtype) -> int:
    """The bytes of an element."""
    return dtype.itemsize


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number of a device; the current one's if none is given and that is allowed.

    Raises
    ------
    ValueError
        If it has no number.
    """
    if isinstance(device, int):
        return device
    found = None if device is None else dt.device(device)
    if found is not None and found.type == "cpu" and not allow_cpu:
        raise ValueError(f"Expected a non cpu device, but got: {device}")
    if found is not None and found.type == "cpu":
        return -1
    if found is not None and found.index is not None:
        return int(found.index)
    if not optional:
        raise ValueError(
            f"Expected a torch.device with a specified index or an integer, but got: {device}"
        )
    return dt.accelerator.current_device_index()


def _get_available_device_type() -> str | None:
    """The kind of device that is used beside the host; None if there is none."""
    found = current_accelerator()
    return None if found is None else found.type
