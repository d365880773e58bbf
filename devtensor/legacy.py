"""PyTorch's older constructors: ``FloatTensor`` and its kin, one to each dtype."""

from __future__ import annotations

from typing import Any

from devtensor.dtype import NAMES
from devtensor.dtype import dtype as Dtype
from devtensor.host import made_of
from devtensor.tensor import Tensor

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


class TypedTensor(type):
    """Classes that make tensors of a dtype, and that tensors of that dtype are instances of."""

    dtype: Dtype

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        return made_of(data, cls.dtype, device)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def typed(dtype: Dtype) -> Any:
    """The older constructor for a dtype."""
    name = f"{dtype.legacy}Tensor"
    doc = f"Tensors of {dtype.name}: ``{name}(2, 3)`` are unset, ``{name}([1, 2])`` has the data."
    return TypedTensor(name, (), {"dtype": dtype, "__doc__": doc})


BFloat16Tensor = typed(NAMES["bfloat16"])
BoolTensor = typed(NAMES["bool"])
ByteTensor = typed(NAMES["uint8"])
CharTensor = typed(NAMES["int8"])
DoubleTensor = typed(NAMES["float64"])
FloatTensor = typed(NAMES["float32"])
HalfTensor = typed(NAMES["float16"])
IntTensor = typed(NAMES["int32"])
LongTensor = typed(NAMES["int64"])
ShortTensor = typed(NAMES["int16"])
