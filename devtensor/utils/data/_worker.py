"""What a worker process does: fetch batches, send them, and end with its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import random
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import devtensor as dt
from devtensor.utils.data._fetch import Plan, Stream, fetcher
from devtensor.utils.data._transport import Channel, Packed, pack

__all__ = ["Failure", "Task", "WorkerInfo", "get_worker_info", "numpy_random", "work"]

LOOK_FOR_PARENT = 5.0
"""Seconds between looks whether the parent still lives."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What `get_worker_info` tells a worker.

    Attributes
    ----------
    id : int
        The worker's number, from 0.
    num_workers : int
    seed : int
        With which this worker's random numbers began.
    dataset : Dataset
        This worker's copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Tell which worker of a `DataLoader` this process is; None in the main process."""
    return info


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is given at its start.

    Attributes
    ----------
    plan : Plan
        What to fetch.
    base_seed : int
    init : callable or None
        The user's `worker_init_fn`.
    number, count : int
        Which worker this is, of how many.
    """

    plan: Plan
    base_seed: int
    init: Callable[[int], None] | None
    number: int
    count: int


class Failure:
    """An exception in a worker, with its traceback as text."""

    __slots__ = ("kind", "text", "where")

    def __init__(self, error: BaseException, where: str) -> None:
        self.where = where
        self.text = "".join(traceback.format_exception(error))
        self.kind = type(error).__name__, b""
        with contextlib.suppress(Exception):  # a class that only the worker knows
            self.kind = type(error).__name__, pickle.dumps(type(error))

    def raise_(self) -> None:
        """Raise it in this process, with the worker's traceback in the message."""
        name, data = self.kind
        text = f"Caught {name} {self.where}.\nOriginal {self.text}"
        try:
            kind = pickle.loads(data)
            error = kind(Lines(text) if issubclass(kind, KeyError) else text)
        except Exception:  # one that cannot be made of a text alone
            error = RuntimeError(text)
        if isinstance(error, StopIteration) or not isinstance(error, Exception):
            error = RuntimeError(text)
        raise error


class Lines(str):
    """A text that is shown as it is where its `repr` would be."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# ---- the process


def work(task: Task, connection: Any, others: tuple[Any, ...]) -> None:
    """Run a worker; the target of its process.

    Parameters
    ----------
    task : Task
    connection : multiprocessing.connection.Connection
        To the parent.
    others : tuple of Channel
        The parent's ends of other workers' connections, which a forked process has inherited.
    """
    for other in others:
        other.connection.close()
        other.socket.close()
    channel = Channel(connection)
    where = f"in DataLoader worker process {task.number}"
    fetch: Callable[[Any], Any] | None = None
    problem: Failure | None = None
    try:
        prepare(task)
        fetch = fetcher(task.plan)
    except Exception as error:
        problem = Failure(error, where)
    outgoing: queue.SimpleQueue[Packed | None] = queue.SimpleQueue()
    sender = threading.Thread(target=send_all, args=(channel, outgoing), daemon=True)
    sender.start()
    try:
        while True:
            message = wait_for(channel)
            if message is None:
                break
            kind, epoch, number, indices = message
            if kind == "again":
                try:
                    fetch, problem = fetcher(task.plan), None
                except Exception as error:
                    problem = Failure(error, where)
                continue
            outgoing.put(result(fetch, problem, epoch, number, indices, where))
    except (KeyboardInterrupt, EOFError, OSError):
        pass  # the parent tells of an interrupt; or it is gone
    outgoing.put(None)
    sender.join()


def prepare(task: Task) -> None:
    """Give this process its random numbers and its identity, and let the user prepare it."""
    global info
    seed = task.base_seed + task.number
    random.seed(seed)
    dt.manual_seed(seed)
    seed_numpy(task.base_seed, task.number)
    set_num_threads = getattr(dt, "set_num_threads", None)
    if set_num_threads is not None:
        set_num_threads(1)
    info = WorkerInfo(task.number, task.count, seed, task.plan.dataset)
    if task.init is not None:
        task.init(task.number)


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """Words that seed a worker's further generators, apart from the others' (PyTorch's name)."""
    return [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32 & 0xFFFFFFFF]


def seed_numpy(base_seed: int, number: int) -> None:
    """Seed the numbers of ``numpy.random``, which data sets use, apart from the others."""
    generators = numpy_random()
    if generators is not None:
        generators.seed(_generate_state(base_seed, number))


def numpy_random() -> Any:
    """The module ``numpy.random``, if the program uses NumPy; it is loaded late."""
    return getattr(sys.modules.get("numpy"), "random", None)


def result(
    fetch: Any, problem: Failure | None, epoch: int, number: int, indices: Any, where: str
) -> Packed:
    """Fetch one batch and pack it, or what went wrong."""
    if problem is None:
        try:
            return pack(("batch", epoch, number, fetch(indices)))
        except StopIteration as error:
            if isinstance(getattr(fetch, "__self__", None), Stream):
                return pack(("end", epoch, number, None))
            problem = Failure(error, where)
        except Exception as error:
            problem = Failure(error, where)
    return pack(("failure", epoch, number, problem))


def wait_for(channel: Channel) -> Any:
    """The next message from the parent; None if there will be none."""
    parent = os.getppid()
    family = multiprocessing.parent_process()
    while not channel.connection.poll(LOOK_FOR_PARENT):
        if os.getppid() != parent or (family is not None and not family.is_alive()):
            return None
    return channel.receive()


def send_all(channel: Channel, outgoing: queue.SimpleQueue[Packed | None]) -> None:
    """Send what is fetched while the next is being fetched."""
    while (packed := outgoing.get()) is not None:
        try:
            channel.send(packed)
        except OSError:  # the parent is gone, or wants no more
            return
