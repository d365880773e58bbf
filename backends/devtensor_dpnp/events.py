"""Marks in the queue of a device."""

from __future__ import annotations

import time
from typing import Any

from .runtime import ORDER, dpctl, refuse_fork


class Event:
    """A mark behind the work that a queue has been given.

    Parameters
    ----------
    queue : SyclQueue
    timing : bool
        Whether the time is to be known. dpnp's queues measure none, so recording then waits for
        the work before the mark, and takes the host's clock.
    """

    def __init__(self, queue: Any, timing: bool) -> None:
        self.queue, self.timing = queue, timing
        self.mark: Any = None
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        """Set the mark."""
        refuse_fork()
        self.mark = self.queue.submit_barrier(ORDER[self.queue].submitted_events)
        if self.timing:
            self.mark.wait()
            self.time = time.perf_counter()

    def wait(self, stream: Any = None) -> None:
        """Nothing: a queue's work is done in order, and other devices copy by way of the host."""
        if self.mark is not None and stream is not None and stream != self.queue:
            self.mark.wait()

    def synchronize(self) -> None:
        """Wait until the work before it is done."""
        if self.mark is not None:
            self.mark.wait()

    def query(self) -> bool:
        """Whether the work before it is done."""
        done = dpctl.event_status_type.complete
        return self.mark is None or bool(self.mark.execution_status == done)

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this mark to another."""
        return (end.time - self.time) * 1e3
