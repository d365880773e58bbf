"""PyTorch's older constructors of sparse tensors: ``torch.sparse.FloatTensor`` and its kin."""

from __future__ import annotations

from typing import Any

from devtensor.dtype import ALL
from devtensor.dtype import dtype as Dtype
from devtensor.sparse._make import empty, new
from devtensor.sparse._tensor import SparseTensor

__all__ = ["TYPES"]


class SparseType(type):
    """Classes that make sparse tensors of a dtype, and that these are instances of."""

    dtype: Dtype

    def __call__(cls, *data: Any, device: Any = None) -> SparseTensor:
        return new(empty((0,), cls.dtype, device), *data)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, SparseTensor) and instance.dtype is cls.dtype


TYPES = {
    f"{one.legacy}Tensor": SparseType(
        f"{one.legacy}Tensor", (), {"dtype": one, "__doc__": f"Sparse tensors of {one.name}."}
    )
    for one in ALL
}
"""The constructors by their names."""
