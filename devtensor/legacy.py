"""PyTorch's older constructors: ``FloatTensor`` and its kin, one to each dtype."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from devtensor.autograd.engine import running
from devtensor.device import set_default_device
from devtensor.dtype import NAMES, get_default_dtype, set_default_dtype
from devtensor.dtype import dtype as Dtype
from devtensor.host import made_of
from devtensor.settings import strided
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
    "set_default_tensor_type",
]


class TypedTensor(type):
    """Classes that make tensors of a dtype, and that tensors of that dtype are instances of."""

    dtype: Dtype
    kind: str | None

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        return made_of(data, cls.dtype, device or cls.kind)

    def __instancecheck__(cls, instance: Any) -> bool:
        fits = isinstance(instance, Tensor) and instance.dtype is cls.dtype
        fits = fits and instance.layout is strided
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
    if not isinstance(globals().get(name), TypedTensor):
        raise AttributeError(f"module 'devtensor.{kind}' has no attribute {name!r}")
    return typed(globals()[name].dtype, kind)


class Engine:
    """What older programs know of the way back: to be called at its end."""

    @staticmethod
    def queue_callback(callback: Callable[[], Any]) -> None:
        """Call `callback` when the pass that is under way ends.

        Raises
        ------
        RuntimeError
            If there is none.
        """
        walk = running()
        if walk is None:
            raise RuntimeError("Final callbacks can only be installed during backward pass.")
        walk.ends.append(callback)


def set_default_tensor_type(t: Any, /) -> None:
    """Make tensors of floating point in the type of an older constructor, and on its device.

    Parameters
    ----------
    t : type or str
        Such as ``devtensor.DoubleTensor`` or ``"torch.cuda.FloatTensor"``.

    Raises
    ------
    TypeError
        If it is no such type, or has no floating point.

    Examples
    --------
    >>> import warnings
    >>> import devtensor as dt
    >>> with warnings.catch_warnings(action="ignore"):  # it warns that it is an older form
    ...     dt.set_default_tensor_type(dt.DoubleTensor)
    ...     print(dt.ones(1).dtype)
    ...     dt.set_default_tensor_type("torch.FloatTensor")
    torch.float64
    """
    if isinstance(t, str):
        place, _, name = t.rpartition(".")
        kind = place.removeprefix("torch").strip(".")
        if name not in __all__:
            raise AttributeError(f"module {place!r} has no attribute {name!r}")
        t = of_kind(name, kind) if kind else globals()[name]
    if not isinstance(t, TypedTensor):
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type, "
            f"such as torch.DoubleTensor: got {t!r}"
        )
    if not t.dtype.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type: got {t.__name__}"
        )
    warnings.warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use "
        "torch.set_default_dtype() and torch.set_default_device() as alternatives.",
        stacklevel=2,
    )
    set_default_device(t.kind)
    set_default_dtype(t.dtype)


class VariableType(type):
    """The class of `Variable`, whose instances are all tensors."""

    _execution_engine = Engine()

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
