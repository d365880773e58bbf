"""Marks in streams."""

from __future__ import annotations

from typing import Any

from .runtime import cupy, on


class Event:
    """A mark that can be set in a stream of a device."""

    def __init__(self, index: int, timing: bool) -> None:
        self.index = index
        with on(index):
            self.native = cupy.cuda.Event(False, not timing)

    def record(self, stream: Any) -> None:
        """Set it behind the work that is in a stream now."""
        with on(self.index):
            self.native.record(stream)

    def wait(self, stream: Any) -> None:
        """Let later work in a stream wait for it."""
        with on(getattr(stream, "device_id", -1) if stream.device_id >= 0 else self.index):
            stream.wait_event(self.native)

    def synchronize(self) -> None:
        """Wait until the work before it is done."""
        with on(self.index):
            self.native.synchronize()

    def query(self) -> bool:
        """Whether the work before it is done."""
        return bool(self.native.done)

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds to another mark."""
        return float(cupy.cuda.get_elapsed_time(self.native, end.native))
