"""A call of PyTorch's dispatcher that a launch amounts to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor._ops import OpOverload, packet

__all__ = ["Call", "Params", "renamed"]


class Call(NamedTuple):
    """What a launch is there.

    Attributes
    ----------
    name : str
        In ``torch.ops.aten``, with its form.
    args : tuple
    kwargs : dict
    shape : tuple of int, optional
        That of the launch's result, where the call gives the same elements in another.
    results : callable, optional
        Makes what the launch gives of what the call gives, where those are not the same tensors.
    several : int
        How many tensors `results` takes.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None = None
    results: Callable[[Any], Any] | None = None
    several: int = 3

    def operation(self) -> OpOverload:
        """The operation of that name."""
        name, _, form = self.name.partition(".")
        found: OpOverload = getattr(packet("aten", name), form)
        return found


Params = dict[str, Any]


def renamed(name: str, *fields: str, **named: str) -> Callable[[Any, Params], Call]:
    """The call of an operation with all inputs and some parameters, by place and by name."""

    def call(inputs: Any, params: Params) -> Call:
        args = (*inputs, *[params[field] for field in fields])
        return Call(name, args, {key: params[field] for key, field in named.items()})

    return call
