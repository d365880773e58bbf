"""What took time, by name and in tables."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from devtensor.autograd.mode import current
from devtensor.ledger import ledger

__all__ = ["Clocked", "EventList", "FunctionEvent", "FunctionEventAvg", "record_function"]


class FunctionEvent:
    """Something that took time.

    Attributes
    ----------
    name : str
    start, end : float
        Microseconds since recording began.
    memory : int
        Bytes of new memory.
    line : str
        The user's line.
    user : bool
        Whether it is a block of `record_function`.
    """

    def __init__(
        self, name: str, start: float, end: float, memory: int, line: str, user: bool
    ) -> None:
        self.name = self.key = name
        self.start, self.end, self.memory, self.line, self.user = start, end, memory, line, user
        self.thread = threading.get_ident()
        self.self_cpu_time_total = self.cpu_time_total = end - start

    def __repr__(self) -> str:
        return f"<FunctionEvent {self.name} {self.cpu_time_total:.3f}us>"


class FunctionEventAvg:
    """All events of one name.

    Attributes
    ----------
    key : str
    count : int
    cpu_time_total, self_cpu_time_total : float
        Microseconds, with and without what happened inside.
    cpu_memory_usage, self_cpu_memory_usage : int
        Bytes of new memory.
    """

    def __init__(self, key: str, events: Iterable[FunctionEvent]) -> None:
        events = list(events)
        self.key, self.count = key, len(events)
        self.cpu_time_total = sum(e.cpu_time_total for e in events)
        self.self_cpu_time_total = sum(e.self_cpu_time_total for e in events)
        self.cpu_memory_usage = self.self_cpu_memory_usage = sum(e.memory for e in events)
        self.device_time_total = self.self_device_time_total = self.device_time = 0.0
        self.cuda_time_total = self.self_cuda_time_total = self.cuda_time = 0.0
        self.device_memory_usage = self.self_device_memory_usage = 0
        self.input_shapes = ""

    @property
    def cpu_time(self) -> float:
        """Microseconds of one event."""
        return self.cpu_time_total / max(self.count, 1)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total:.3f}us "
            f"cpu_time={self.cpu_time:.3f}us count={self.count}>"
        )


def shown(microseconds: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3f}{unit}"
    return f"{microseconds:.3f}us"


class EventList(list[Any]):
    """Events, or their averages, as a list with a table."""

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        **_: Any,
    ) -> str:
        """The averages as text.

        Parameters
        ----------
        sort_by : str, optional
            An attribute of them, the greatest first, such as ``"cpu_time_total"``.
        row_limit : int
            The most rows; -1 for all.
        max_name_column_width : int

        Raises
        ------
        AttributeError
            If they have no such attribute.
        """
        rows = [e if isinstance(e, FunctionEventAvg) else FunctionEventAvg(e.name, [e])
                for e in self]  # fmt: skip
        total = sum(row.self_cpu_time_total for row in rows)
        if sort_by is not None:
            rows.sort(key=lambda row: getattr(row, sort_by), reverse=True)
        head = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg",
                "CPU Mem", "# of Calls"]  # fmt: skip
        lines = [head]
        for row in rows[: row_limit if row_limit >= 0 else None]:
            name = row.key
            if len(name) > max_name_column_width:
                name = name[: max_name_column_width - 3] + "..."
            share = [
                f"{100 * part / total:.2f}%" if total else "0.00%"
                for part in (row.self_cpu_time_total, row.cpu_time_total)
            ]
            lines.append([
                name, share[0], shown(row.self_cpu_time_total), share[1],
                shown(row.cpu_time_total), shown(row.cpu_time),
                f"{row.cpu_memory_usage / 1024:.2f} Kb", str(row.count),
            ])  # fmt: skip
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        rule = "  ".join("-" * width for width in widths)
        text = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(
            [rule, text[0], rule, *text[1:], rule, f"Self CPU time total: {shown(total)}", ""]
        )

    def total_average(self) -> FunctionEventAvg:
        """All of it as one."""
        made = FunctionEventAvg("Total", ())
        for row in self:
            for name in ("self_cpu_time_total", "cpu_memory_usage"):
                setattr(made, name, getattr(made, name) + getattr(row, name, 0))
            made.count += getattr(row, "count", 1)
        made.cpu_time_total = made.self_cpu_time_total
        return made

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events."""
        return float(sum(row.self_cpu_time_total for row in self))

    def __str__(self) -> str:
        return self.table()


class Clocked(ledger):
    """A ledger that knows when each launch was done."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = self.last = time.perf_counter_ns()
        self.events: list[FunctionEvent] = []

    def now(self) -> float:
        """Microseconds since the beginning."""
        self.last = time.perf_counter_ns()
        return (self.last - self.begin) / 1000

    def note(self, name: str, mode: Any, made: int, saved: Any) -> None:
        """Add a row, and the time that has passed since the one before."""
        start = (self.last - self.begin) / 1000
        end = self.now()
        super().note(name, mode, made, saved)
        self.events.append(FunctionEvent(name, start, end, made, self.rows[-1].line, False))
        self.last = time.perf_counter_ns()  # what writing it down took is nobody's

    def finish(self) -> EventList:
        """The events in the order of their beginnings; blocks know what they spent themselves."""
        events = sorted(self.events, key=lambda e: (e.start, -e.end))
        open_blocks: list[FunctionEvent] = []
        for event in events:
            while open_blocks and open_blocks[-1].end < event.end:
                open_blocks.pop()
            if open_blocks:
                open_blocks[-1].self_cpu_time_total -= event.cpu_time_total
            if event.user:
                open_blocks.append(event)
        return EventList(events)


class record_function:
    """A block, or a decorated function, that is timed by name.

    Parameters
    ----------
    name : str
    args : str, optional
        Added to the name in traces.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._open: list[tuple[Clocked, float]] = []

    def __enter__(self) -> record_function:
        books = [book for book in current().ledgers if isinstance(book, Clocked)]
        self._open += [(book, book.now()) for book in books]
        return self

    def __exit__(self, *_: object) -> None:
        for book, start in self._open:
            book.events.append(FunctionEvent(self.name, start, book.now(), 0, "", True))
        self._open = []

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return call
