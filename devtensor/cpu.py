"""The host as a device (``torch.cpu``): it is always there, and work on it is done at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


class Stream:
    """The one queue of the host."""

    def __init__(self, priority: int = -1) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        """There is nothing to wait for."""

    record_event = wait_event = wait_stream


class Event:
    """A mark in the queue of the host."""

    def query(self) -> bool:
        """True: all is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing is under way."""

    def synchronize(self) -> None:
        """Nothing is under way."""

    wait = record


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def current_stream(device: Any = None) -> Stream:
    """The one queue."""
    return Stream()


def device_count() -> int:
    """1."""
    return 1


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def set_device(device: Any) -> None:
    """There is one."""


def stream(stream: Any) -> AbstractContextManager[None]:
    """A block like any other."""
    return nullcontext()


StreamContext = stream


def synchronize(device: Any = None) -> None:
    """Nothing is under way."""


def __getattr__(name: str) -> Any:
    if name == "amp":  # imported when it is asked for
        return import_module("devtensor.amp")
    raise AttributeError(f"module 'devtensor.cpu' has no attribute {name!r}")
