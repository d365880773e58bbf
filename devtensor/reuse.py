"""Whether a launch may write over an operand: one that was made for it, and that nobody holds."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

from devtensor.device import device as Device
from devtensor.tensor import Tensor

Function = Callable[..., Any]


def reuse(kernel: Function, dying: Tensor, device: Device, arrays: tuple[Any, ...]) -> Any:
    """The result in the memory of an operand that nobody else can see; None if that cannot be."""
    if dying.__class__ is not Tensor or weakref.getweakrefcount(dying):
        return None
    return device.backend.reused(kernel, arrays, sys.getrefcount(dying._array) - SEEN)


def calibrate() -> tuple[int, int]:
    """How often a temporary is counted inside a function that it was passed to, and its array.

    Returns -1 for the first where temporaries cannot be told from what a variable holds.
    """

    class Thing:
        slot: Any = None

        def method(self, *_: Any, **__: Any) -> int:
            return sys.getrefcount(self)

    held = Thing()
    dying = Thing().method()
    apart = held.method() > dying and getattr(sys, "_is_gil_enabled", lambda: True)()

    def inner(thing: Thing, arrays: tuple[Any, ...]) -> int:
        return sys.getrefcount(thing.slot)

    def outer(thing: Thing) -> int:
        array = thing.slot
        return inner(thing, (array,))

    held.slot = object()
    return (dying if apart else -1), outer(held)


DYING, SEEN = calibrate()
