"""Operations that PyTorch's dispatcher alone has names for: ``torch.ops.aten.slice``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.refusal import refused
from devtensor.tensor import Tensor

__all__ = ["OPERATIONS"]


def alias(input: Tensor) -> Tensor:
    """A view of all of it."""
    return input.view_as(input)


def index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """The elements at `indices`, one to each dimension; None takes all of it."""
    return input[tuple(slice(None) if one is None else one for one in indices)]


def part(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The places from `start` to `end` in one dimension."""
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, end, step),)]


def copied(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool | None = None, non_blocking: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A copy in another type or place."""
    place = input.device if device is None else device
    made: Tensor = input.to(place, dtype or input.dtype, non_blocking, True)
    return made


OPERATIONS: dict[str, Callable[..., Any]] = {
    "_pin_memory": Tensor.pin_memory,
    "_sparse_addmm": refused("ops.aten._sparse_addmm", "sparse tensors are not here"),
    "_sparse_mm_reduce_impl": refused(
        "ops.aten._sparse_mm_reduce_impl", "sparse tensors are not here; use index_reduce"
    ),
    "_to_copy": copied,
    "alias": alias,
    "index": index,
    "slice": part,
}
"""A name under ``torch.ops.aten`` to its function."""
