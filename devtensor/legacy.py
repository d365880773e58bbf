"""PyTorch's older constructors: ``FloatTensor`` and its kin, one to each dtype."""

from __future__ import annotations

import functools
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
    kind: str | None

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        return made_of(data, cls.dtype, device or cls.kind)

    def __instancecheck__(cls, instance: Any) -> bool:
        fits = isinstance(instance, Tensor) and instance.dtype is cls.dtype
        return fits and cls.kind in (None, instance.device.type)


def typed(dtype: Dtype, kind: str | None = None) -> Any:
    """The older constructor for a dtype, and for a kind of device if that is given."""
    name = f"{dtype.legacy}Tensor"
    doc = f"Tensors of {dtype.name}: ``{name}(2, 3)`` are unset, ``{name}([1, 2])`` has the data."
    return TypedTensor(name, (), {"dtype": dtype, "kind": kind, "__doc__": doc})


@functools.cache
def of_kind(name: str, kind: str) -> Any:
    """The older constructor of a name for a kind of device, as ``torch.cuda.FloatTensor``.

    Raises
    ------
    AttributeError
        If there is none of that name.
    """
    if name not in __all__:
        raise AttributeError(f"module 'devtensor.{kind}' has no attribute {name!r}")
    return typed(globals()[name].dtype, kind)


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
