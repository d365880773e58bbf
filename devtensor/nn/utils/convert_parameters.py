"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Put all parameters one after another into a vector."""
    return dt.cat([parameter.reshape(-1) for parameter in on_one_device(parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set parameters to parts of a vector, as `parameters_to_vector` made it."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in on_one_device(parameters):
        count = parameter.numel()
        parameter.data = vec[start : start + count].view_as(parameter).data
        start += count


def on_one_device(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters, after checking that they are on one device."""
    found = list(parameters)
    if len({str(parameter.device) for parameter in found}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
    return found
