"""Where the time goes (``torch.profiler``): the ledger with a clock.

A launch is told when it is done, so its time is what has passed since the one before it, with the
Python in between. Backward passes compute on bare arrays, which the ledger does not see; put
``record_function`` around them.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from devtensor.profiler._events import (
    Clocked,
    EventList,
    FunctionEvent,
    FunctionEventAvg,
    record_function,
)
from devtensor.refusal import refused

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]

emit_nvtx = refused("autograd.profiler.emit_nvtx", "torch.profiler.profile writes a trace instead")
emit_itt = refused("autograd.profiler.emit_itt", "torch.profiler.profile writes a trace instead")


class ProfilerActivity(Enum):
    """Kinds of devices whose work is timed; all is timed where it is asked for."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(Enum):
    """What is done in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """The host's: devices are not asked for times of their own."""
    return {ProfilerActivity.CPU}


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:
    """Say by the number of a step what is done in it: wait, warm up, record; and again.

    Parameters
    ----------
    wait, warmup, active : int
        Numbers of steps; `active` is at least 1.
    repeat : int
        How often; 0 for as long as there are steps.
    skip_first : int
        Steps to leave out before all that.
    skip_first_wait : int
        Whether the first cycle does not wait.

    Examples
    --------
    >>> from devtensor.profiler import schedule
    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} "
            f"(need >= 0), active={active} (need > 0), repeat={repeat} (need >= 0), "
            f"skip_first={skip_first} (need >= 0)."
        )
    if not warmup:
        warnings.warn(
            "Profiler won't be using warmup, this can skew profiler results", stacklevel=2
        )
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


class profile:
    """Times the launches of a block.

    Parameters
    ----------
    activities : iterable of ProfilerActivity, optional
        Accepted: all is timed on the host.
    schedule : callable, optional
        Says by the number of a step what is done in it; all is recorded without one.
    on_trace_ready : callable, optional
        Called with the profiler when something was recorded.
    record_shapes, profile_memory, with_stack, with_flops, with_modules : bool
        Accepted: memory is always counted, shapes and flops are not.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.profiler import profile, record_function
    >>> with profile() as prof:
    ...     with record_function("twice"):
    ...         x = dt.ones(3).exp().exp()
    >>> sorted((row.key, row.count) for row in prof.key_averages())
    [('exp', 2), ('filled', 1), ('twice', 1)]
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        **_: Any,
    ) -> None:
        self.activities = set(activities or supported_activities())
        self._named_steps = schedule is not None
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._book: Clocked | None = None
        self._step: record_function | None = None
        self._events = EventList()
        self._metadata: dict[str, str] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        self._go_on(self.schedule(self.step_num))

    def stop(self) -> None:
        """End with the last one."""
        recorded = self._book is not None
        self._go_on(ProfilerAction.NONE, save=recorded)

    def step(self) -> None:
        """Say that the next step begins."""
        self.step_num += 1
        self._go_on(
            self.schedule(self.step_num),
            save=self.current_action is ProfilerAction.RECORD_AND_SAVE,
        )

    def _go_on(self, action: ProfilerAction, save: bool = False) -> None:
        """End the step that is under way, and begin the next."""
        if self._step is not None:
            self._step.__exit__()
            self._step = None
        if self._book is not None and (save or action not in RECORDING):
            self._book.__exit__()
            self._events, self._book = self._book.finish(), None
            if save and self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self.current_action = action
        if action in RECORDING:
            if self._book is None:
                self._book = Clocked()
                self._book.__enter__()
            if self._named_steps:
                self._step = record_function(f"ProfilerStep#{self.step_num}")
                self._step.__enter__()

    def events(self) -> EventList:
        """What was recorded last, or until now, in order."""
        return self._events if self._book is None else self._book.finish()

    def key_averages(self, group_by_input_shape: bool = False, **_: Any) -> EventList:
        """What was recorded, by name."""
        groups: dict[str, list[FunctionEvent]] = {}
        for event in self.events():
            groups.setdefault(event.name, []).append(event)
        rows = [FunctionEventAvg(name, group) for name, group in groups.items()]
        return EventList(sorted(rows, key=lambda row: -row.cpu_time_total))

    def add_metadata(self, key: str, value: str) -> None:
        """Put a text into traces."""
        self._metadata[key] = value

    def export_chrome_trace(self, path: str) -> None:
        """Write what was recorded as a trace for a browser's viewer, packed if it ends in .gz."""
        rows = [
            {
                "ph": "X", "cat": "user_annotation" if e.user else "cpu_op", "name": e.name,
                "pid": os.getpid(), "tid": e.thread, "ts": e.start, "dur": e.cpu_time_total,
                "args": {"bytes": e.memory, "line": e.line},
            }
            for e in self.events()
        ]  # fmt: skip
        trace = json.dumps({"schemaVersion": 1, **self._metadata, "traceEvents": rows})
        opened: Any = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "wt", encoding="utf-8") as file:
            file.write(trace)


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """Write each trace into a folder, under a name of its own; for ``on_trace_ready``.

    Parameters
    ----------
    dir_name : str
        Made if it is not there.
    worker_name : str, optional
        The beginning of the files' names; the machine and process if not given.
    use_gzip : bool
    """

    def write(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return write


def kineto_available() -> bool:
    """True: profiles have times; PyTorch asks whether it was built with what takes them."""
    return True


def __getattr__(name: str) -> Any:
    if name == "profiler":  # PyTorch's file of what is here
        return sys.modules[__name__]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
