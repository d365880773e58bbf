"""Operations by their names in PyTorch's dispatcher (``torch.ops``), and their forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from devtensor.aten import find
from devtensor.library import _operators
from devtensor.op import catalogue

__all__ = ["OpOverload", "OpOverloadPacket", "namespace"]


class OpOverload:
    """One form of an operation, ``torch.ops.aten.add.Tensor``: called as the operation itself."""

    def __init__(self, packet: OpOverloadPacket, overload: str) -> None:
        self._overloadpacket = self.overloadpacket = packet
        self._overloadname = overload
        self.__name__ = f"{packet.__name__}.{overload}"
        self.namespace = packet.namespace

    def name(self) -> str:
        """The qualified name, ``"aten::add.Tensor"``."""
        form = "" if self._overloadname == "default" else f".{self._overloadname}"
        return f"{self._overloadpacket._qualified_op_name}{form}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._overloadpacket(*args, **kwargs)

    def __reduce__(self) -> Any:
        return getattr, (self._overloadpacket, self._overloadname)

    def __str__(self) -> str:
        return f"{self._overloadpacket}.{self._overloadname}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self._overloadpacket}', overload='{self._overloadname}')>"


class OpOverloadPacket:
    """An operation of a namespace, ``torch.ops.aten.add``; its forms are all the same here."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.__name__ = namespace, name
        self._qualified_op_name = f"{namespace}::{name}"
        self._function()

    def _function(self) -> Callable[..., Any]:
        """What is called; AttributeError if there is none.

        It is looked for at each call, as operators of one's own can be defined anew.
        """
        name = self.__name__
        found: Any = _operators.get(self._qualified_op_name)
        if found is None and self.namespace == "aten":
            found = find(name)
        if found is None and self.namespace == "devtensor" and name in catalogue:
            found = catalogue[name].function
        if not callable(found):
            raise AttributeError(
                f"'_OpNamespace' '{self.namespace}' object has no attribute '{name}': no operator "
                "of that name was defined by torch.library, and compiled ones cannot be loaded"
            )
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        form = OpOverload(self, name)
        setattr(self, name, form)
        return form

    def __reduce__(self) -> Any:
        return packet, (self.namespace, self.__name__)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self}')>"


class Namespace:
    """``torch.ops.mine``: operators of one namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        packet = OpOverloadPacket(self.name, name)
        setattr(self, name, packet)
        return packet


def packet(space: str, name: str) -> OpOverloadPacket:
    """The operation of a name in a namespace."""
    found: OpOverloadPacket = getattr(namespace(space), name)
    return found


@cache
def namespace(name: str) -> Namespace:
    """The one of a name."""
    return Namespace(name)


def load_library(path: str) -> None:
    """Refuse: what is compiled for PyTorch runs on its tensors alone.

    Raises
    ------
    OSError
        Always, as where a library cannot be loaded; packages with an own way go that one.
    """
    raise OSError(
        f"Could not load this library: {path}: it is compiled for PyTorch's tensors; use what the "
        "package has in Python"
    )
