"""Parameter and Buffer: the tensors that a module owns; and their forms that wait for a shape."""

from __future__ import annotations

from typing import Any, ClassVar, TypeGuard

import devtensor as dt
from devtensor.route import disabled
from devtensor.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


def check_data(kind: str, data: Any) -> None:
    """Raise TypeError unless `data` is a Tensor."""
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{kind}: data must be a Tensor, but got {type(data).__name__}; "
            "make one with devtensor.tensor(data)"
        )


class Parameter(Tensor):
    """A tensor that a module lists among its parameters as soon as it is set as an attribute.

    Parameters
    ----------
    data : Tensor, optional
        The values; memory is shared with it. An empty tensor when left out.
    requires_grad : bool
        Whether gradients are computed for it; True also inside `no_grad`.

    Raises
    ------
    TypeError
        If `data` is no Tensor.
    RuntimeError
        If a gradient is asked of integers or bools.
    """

    __torch_function__ = staticmethod(disabled)  # layers compute as with tensors

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = dt.empty(0)
        check_data("Parameter", data)
        made: Parameter = Tensor._make_subclass(cls, data, requires_grad)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            # As in PyTorch without its attributes, of which some may not be copied.
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        found: Parameter = memo[id(self)]
        return found

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return rebuild, (type(self), self.data, self.requires_grad, dict(self.__dict__))


class Buffer(Tensor):
    """A tensor that a module keeps with its parameters but does not train.

    Parameters
    ----------
    data : Tensor, optional
        The values; memory is shared with it.
    persistent : bool
        Whether the module's `state_dict` contains it.
    """

    __torch_function__ = staticmethod(disabled)

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = dt.empty(0)
        check_data("Buffer", data)
        made: Buffer = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        made.persistent = persistent
        return made

    persistent: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), persistent=self.persistent)
        found: Buffer = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return rebuild, (type(self), self.data, self.requires_grad, dict(self.__dict__))


def rebuild(kind: type, data: Tensor, requires_grad: bool, attributes: dict[str, Any]) -> Tensor:
    """Make again what was pickled."""
    made: Tensor = Tensor._make_subclass(kind, data, requires_grad)
    made.__dict__.update(attributes)
    return made


ASKABLE = {"is_complex", "is_floating_point", "get_device", "__hash__", "to", "cpu", "cuda", "xpu"}
"""What can be done with a tensor that has no shape."""


class Uninitialized:
    """What has a dtype and a device, and no shape yet."""

    cls_to_become: ClassVar[type[Tensor]]

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function.__name__ in ASKABLE:
            return disabled(function, types, args, kwargs)
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {function.__name__}. Call the module "
            "once, or load a state_dict, to let it find the shapes of its parameters; then use them"
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Take memory of `shape`, with any values in it, and become an ordinary tensor."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data: Tensor = dt.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment] # it becomes a tensor

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. Call `forward` once, "
            "or load a state_dict that has it, to let the module find its shape."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` once before."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return rebuild_lazy, (type(self), self.requires_grad, self.data.device, self.data.dtype)

    requires_grad: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = rebuild_lazy(
                type(self), self.requires_grad, self.data.device, self.data.dtype
            )
        return memo[id(self)]


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter whose shape is found at the first call of its module."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        data = dt.empty(0, device=device, dtype=dtype)
        made: UninitializedParameter = Tensor._make_subclass(cls, data, requires_grad)
        return made


class UninitializedBuffer(Uninitialized, Buffer):
    """A buffer whose shape is found at the first call of its module."""

    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = dt.empty(0, device=device, dtype=dtype)
        made: UninitializedBuffer = Tensor._make_subclass(cls, data, requires_grad)
        made.persistent = persistent
        return made


def rebuild_lazy(kind: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    """Make again what was pickled without a shape."""
    return kind(requires_grad, device, dtype)


def is_lazy(param: Any) -> TypeGuard[Uninitialized]:
    """Tell whether `param` still waits for its shape."""
    return isinstance(param, Uninitialized)


UninitializedTensorMixin = Uninitialized
