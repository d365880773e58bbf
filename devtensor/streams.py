"""Streams of work on an accelerator, and events in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devtensor.device import device as Device

if TYPE_CHECKING:
    from devtensor.accelerator import Accelerator


class Stream:
    """A queue of work on a device.

    Attributes
    ----------
    device_index : int
    native : object
        The library's own; None where it has one queue for each device.
    """

    def __init__(self, accelerator: Accelerator, index: int, native: Any) -> None:
        self._accelerator, self.device_index, self.native = accelerator, index, native

    @property
    def device(self) -> Device:
        """The device on which it works."""
        return Device(self._accelerator.kind, self.device_index)

    def synchronize(self) -> None:
        """Wait for the work in it."""
        self._accelerator.backend.stream_synchronize(self.native, self.device_index)

    def query(self) -> bool:
        """Whether the work in it is done."""
        return self.record_event().query()

    def record_event(self, event: Event | None = None) -> Event:
        """Set a mark behind the work that is in it; a new one if none is given."""
        event = Event(self._accelerator) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work in it wait for a mark."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let later work in it wait for what is in another now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stream)
            and self._accelerator.kind == other._accelerator.kind
            and self.device_index == other.device_index
            and self.native == other.native
        )

    def __hash__(self) -> int:
        return hash((self._accelerator.kind, self.device_index, self.native))

    def __repr__(self) -> str:
        return f"<devtensor.{self._accelerator.kind}.Stream device={self.device} {self.native!r}>"


class Event:
    """A mark in a queue.

    Parameters
    ----------
    accelerator : Accelerator
    timing : bool
        Whether :meth:`elapsed_time` will be asked.
    """

    def __init__(self, accelerator: Accelerator, timing: bool = False) -> None:
        self._accelerator, self._timing = accelerator, timing
        self._native: Any = None

    def record(self, stream: Stream | None = None) -> None:
        """Set it behind the work that is in a queue now; the current one if none is given."""
        stream = self._accelerator.current_stream() if stream is None else stream
        if self._native is None:
            self._native = self._accelerator.backend.new_event(stream.device_index, self._timing)
        self._native.record(stream.native)

    def wait(self, stream: Stream | None = None) -> None:
        """Let later work in a queue wait for it."""
        stream = self._accelerator.current_stream() if stream is None else stream
        if self._native is not None:
            self._native.wait(stream.native)

    def synchronize(self) -> None:
        """Wait until the work before it is done."""
        if self._native is not None:
            self._native.synchronize()

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self._native is None or bool(self._native.query())

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to another.

        Raises
        ------
        RuntimeError
            If one of them was not recorded, or not made with ``enable_timing=True``.
        """
        if not (self._timing and end_event._timing):
            raise RuntimeError("Both events must be created with argument 'enable_timing=True'.")
        if self._native is None or end_event._native is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return float(self._native.elapsed_time(end_event._native))
