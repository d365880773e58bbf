"""Where the result of an operation is to be written, if its kernel can: over an operand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from devtensor.device import device as Device
from devtensor.op import catalogue
from devtensor.space import plain_for


class Aim(threading.local):
    """What the next kernel of some name may write its result over."""

    names: tuple[str, ...] = ()
    array: Any = None


AIM = Aim()


def taken(name: str) -> Any:
    """The array for the result of a kernel that starts, or None; those within it have none."""
    if name not in AIM.names:
        return None
    AIM.names = ()
    return AIM.array


@cache
def names_of(kind: str, name: str) -> tuple[str, ...]:
    """The names of the kernels that an operation may come to: its own, and a function's."""
    op = catalogue[name].op
    if op is None or not op.elementwise:
        return ()
    return name, plain_for(op, Device(kind, 0)).__name__


def aimed(
    kind: str, array: Any, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call a function in which the operation `name` may write its result over `array`, of a kind of
    devices.
    """
    AIM.names, AIM.array = names_of(kind, name), array
    try:
        return function(*args, **kwargs)
    finally:
        AIM.names, AIM.array = (), None
