"""PyTorch's older constructors: ``FloatTensor`` and its kin, one to each dtype."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from devtensor.dtype import NAMES, get_default_dtype
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


class VariableType(type):
    """The class of `Variable`, whose instances are all tensors."""

    def __call__(cls, data: Any = None, requires_grad: bool = False, volatile: Any = None) -> Any:
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
        if data is None:
            data = made_of((), get_default_dtype(), None)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        made: Any = data.detach()
        return made.requires_grad_() if requires_grad else made

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=VariableType):
    """A tensor over the memory of another, and a leaf (``torch.autograd.Variable``).

    Parameters
    ----------
    data : Tensor
    requires_grad : bool
    volatile : bool
        Without effect since PyTorch 0.4, which it warns of.

    Raises
    ------
    TypeError
        If `data` is no tensor.
    """


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
