"""Runs a function in several processes (``torch.multiprocessing.spawn``)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

__all__ = [
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "spawn",
    "start_processes",
]


class ProcessRaisedException(Exception):
    """A spawned process ended with an error.

    Attributes
    ----------
    error_index, error_pid : int
    """

    def __init__(self, msg: str, error_index: int, error_pid: int | None) -> None:
        super().__init__(msg)
        self.error_index, self.error_pid = error_index, error_pid


class ProcessExitedException(ProcessRaisedException):
    """A spawned process ended without an error that it could tell.

    Attributes
    ----------
    exit_code : int
    """

    def __init__(self, msg: str, error_index: int, error_pid: int | None, exit_code: int) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code


def _run(fn: Callable[..., Any], i: int, args: tuple[Any, ...], errors: Any) -> None:
    """What a spawned process does; an error is told as text."""
    import traceback

    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """Spawned processes, until they are joined.

    Attributes
    ----------
    processes : list of Process
    """

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self._errors = processes, errors
        self._left = dict(enumerate(processes))

    def pids(self) -> list[int | None]:
        """Their numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for the processes; True if all have ended.

        Raises
        ------
        ProcessRaisedException
            If one raised an error; the others are then ended.
        ProcessExitedException
            If one ended with a status other than 0.
        """
        ended = wait([process.sentinel for process in self._left.values()], timeout)
        failed = None
        for i, process in list(self._left.items()):
            if process.sentinel in ended:
                process.join()
                del self._left[i]
                failed = i if process.exitcode and failed is None else failed
        if failed is None:
            return not self._left
        for process in self._left.values():
            process.terminate()
        for process in self._left.values():
            process.join(grace_period)
        self._left = {}
        process = self.processes[failed]
        if not self._errors[failed].empty():
            text = self._errors[failed].get()
            raise ProcessRaisedException(
                f"\n\n-- Process {failed} terminated with the following error:\n{text}",
                failed, process.pid,
            )  # fmt: skip
        raise ProcessExitedException(
            f"process {failed} terminated with exit code {process.exitcode}",
            failed, process.pid, process.exitcode,
        )  # fmt: skip


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in `nprocs` processes, `i` from 0.

    Parameters
    ----------
    fn : callable
        At the top of a module, so that it can be found there.
    args : tuple
    nprocs : int
    join : bool
        Whether to wait for them; if not, what they are joined by is returned.
    daemon : bool
    start_method : {"spawn", "fork", "forkserver"}

    Raises
    ------
    ProcessRaisedException
        If one raised an error.
    """
    context: Any = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(fn, i, args, queue), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(queue)
    made = ProcessContext(processes, errors)
    if not join:
        return made
    while not made.join():
        pass
    return None


spawn = start_processes
"""The name by which programs know it."""
