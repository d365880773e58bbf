"""One pass over a data set, in this process or with workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from devtensor.utils.data._fetch import Plan, fetcher
from devtensor.utils.data._transport import Channel, pack
from devtensor.utils.data._worker import Task, numpy_random, work
from devtensor.utils.data.sampler import draw_seed

__all__ = ["LoaderIterator", "ManyProcesses", "OneProcess"]

LOOK_AT_WORKERS = 5.0
"""Seconds between looks whether workers that say nothing still live."""
TIME_TO_END = 5.0
"""Seconds that workers have to finish the batch at hand when they are no longer needed."""

# Two workers are never started at once: the second, forked, would inherit the first's end.
starting = threading.Lock()


class LoaderIterator:
    """What ``iter(loader)`` gives. It does not keep the loader, which may keep it."""

    def __init__(self, loader: Any) -> None:
        self.dataset, self.num_workers = loader.dataset, loader.num_workers
        self.plan = Plan(
            loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last,
            loader._dataset_kind,
        )  # fmt: skip
        self.begin(loader)

    def begin(self, loader: Any) -> None:
        """Start a pass; the order is drawn here, so it depends on no worker."""
        self.sampler = loader._index_sampler
        self.indices = iter(self.sampler)
        self.base_seed = draw_seed(loader.generator)
        self.given = 0
        self.announced: int | None = loader._IterableDataset_len_called

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self.next_batch()
        self.given += 1
        if self.announced is not None and self.given > self.announced:
            self.warn_of_length()
        return batch

    def next_batch(self) -> Any:
        raise NotImplementedError

    def warn_of_length(self) -> None:
        """Tell that an iterable data set is longer than it said."""
        text = (
            f"Length of IterableDataset {self.dataset} was reported to be {self.announced}"
            f"(when accessing len(dataloader)), but {self.given} samples have been fetched. "
        )
        if self.num_workers > 0:
            text += (
                "For multiprocessing data-loading, this could be caused by not properly "
                "configuring the IterableDataset replica at each worker: see "
                "`devtensor.utils.data.get_worker_info`."
            )
        warnings.warn(text, stacklevel=3)

    def __len__(self) -> int:
        return len(self.sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class OneProcess(LoaderIterator):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.fetch = fetcher(self.plan)

    def next_batch(self) -> Any:
        return self.fetch(next(self.indices))


class ManyProcesses(LoaderIterator):
    """Has workers fetch batches in advance, and gives them in the order of the sampler."""

    def __init__(self, loader: Any) -> None:
        if not loader.prefetch_factor:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        super().__init__(loader)
        self.epoch = 0
        self.timeout, self.in_order = loader.timeout, loader.in_order
        self.persistent = loader.persistent_workers
        self.most = loader.prefetch_factor * self.num_workers
        self.crew = Crew()
        # Not __del__: this also runs at the interpreter's end, while modules are still there.
        weakref.finalize(self, self.crew.end)
        self.crew.start(
            [
                Task(self.plan, self.base_seed, loader.worker_init_fn, number, self.num_workers)
                for number in range(self.num_workers)
            ],
            loader.multiprocessing_context or multiprocessing.get_context(),
        )
        self.reset()

    def reset(self) -> None:
        """Forget about batches, and order the first ones."""
        self.active = [True] * self.num_workers
        self.turn = itertools.cycle(range(self.num_workers))
        self.ordered = self.wanted = 0
        self.assigned: dict[int, int] = {}
        self.arrived: dict[int, Any] = {}
        self.sampled = True
        for _ in range(self.most):
            self.order()

    def again(self, loader: Any) -> None:
        """Start another pass with the same workers."""
        self.epoch += 1
        self.begin(loader)
        for number in range(self.num_workers):
            self.crew.tell(number, ("again", self.epoch, 0, None))
        self.reset()

    # -- ordering --------------------------------------------------------------------------

    def order(self) -> None:
        """Have one more batch fetched, if there is one and a worker for it."""
        if not self.sampled or not any(self.active):
            return
        try:
            indices = next(self.indices)
        except StopIteration:
            self.sampled = False
            return
        number = self.free_worker()
        self.crew.tell(number, ("fetch", self.epoch, self.ordered, indices))
        self.assigned[self.ordered] = number
        self.ordered += 1

    def free_worker(self) -> int:
        """The worker whose turn it is; without an order, one with few batches to fetch."""
        least = 0
        if not self.in_order:
            loads = [0] * len(self.active)
            for number in self.assigned.values():
                loads[number] += 1
            least = min(load for load, on in zip(loads, self.active, strict=True) if on)
        for number in self.turn:
            if self.active[number] and (self.in_order or loads[number] == least):
                return number
        raise AssertionError("no worker is left")

    # -- receiving -------------------------------------------------------------------------

    def next_batch(self) -> Any:
        while True:
            number = self.ready()
            if number is None:
                if not self.persistent:
                    self.crew.end()
                raise StopIteration
            kind, value = self.arrived.pop(number)
            worker = self.assigned.pop(number)
            if kind == "end":
                self.retire(worker)
                self.order()
                continue
            self.order()
            if kind == "failure":
                value.raise_()
            return value

    def ready(self) -> int | None:
        """The number of the batch to give now, once it is here; None after the last."""
        while True:
            if self.in_order:
                while self.wanted < self.ordered and self.wanted not in self.assigned:
                    self.wanted += 1  # given already, or its worker has nothing more
                if self.wanted == self.ordered:
                    return None
                if self.wanted in self.arrived:
                    return self.wanted
            elif self.arrived:
                return next(iter(self.arrived))
            elif not self.assigned:
                return None
            self.receive()

    def receive(self) -> None:
        """Wait for at least one message."""
        for kind, epoch, number, value in self.crew.receive(self.timeout):
            if epoch == self.epoch and number in self.assigned:
                self.arrived[number] = kind, value

    def retire(self, number: int) -> None:
        """Expect no more of a worker whose stream is at its end."""
        self.active[number] = False
        for ordered in [k for k, worker in self.assigned.items() if worker == number]:
            del self.assigned[ordered]
            self.arrived.pop(ordered, None)
        if not self.persistent:
            self.crew.dismiss(number)


class Worker:
    """A worker process as its parent sees it."""

    __slots__ = ("channel", "process")

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process, self.channel = process, channel


class Crew:
    """The workers of one iterator."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.present: dict[Any, Worker] = {}
        self.owner = os.getpid()
        self.ended = False

    def start(self, tasks: list[Task], context: Any) -> None:
        """Start a process for each task."""
        numpy_random()  # once here, rather than in each forked worker
        try:
            for task in tasks:
                with starting:
                    self.start_one(task, context)
        except BaseException:
            self.end()
            raise

    def start_one(self, task: Task, context: Any) -> None:
        ours, theirs = context.Pipe(duplex=True)
        others: tuple[Channel, ...] = ()
        if context.get_start_method() == "fork":
            others = (*(w.channel for w in self.workers), Channel(ours))
        try:
            process = context.Process(target=work, args=(task, theirs, others), daemon=True)
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if others:
                others[-1].socket.close()  # type: ignore[union-attr]
        worker = Worker(process, Channel(ours))
        self.workers.append(worker)
        self.present[ours] = self.present[process.sentinel] = worker

    def tell(self, number: int, message: Any) -> None:
        """Send a message to a worker."""
        worker = self.workers[number]
        try:
            worker.channel.send(pack(message))
        except OSError:
            raise self.lost(worker) from None

    def receive(self, timeout: float) -> list[Any]:
        """Wait for messages, at least one.

        Raises
        ------
        RuntimeError
            If a worker has ended without being told to, or none says anything within `timeout`.
        """
        until = time.monotonic() + timeout if timeout > 0 else None
        while True:
            left = LOOK_AT_WORKERS
            if until is not None:
                left = min(left, until - time.monotonic())
                if left <= 0:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            ready = wait(list(self.present), left)
            messages = []
            for item in ready:
                worker = self.present[item]
                if item is worker.channel.connection:
                    try:
                        messages.append(worker.channel.receive())
                    except (EOFError, OSError):
                        raise self.lost(worker) from None
            if messages:
                return messages
            for worker in self.present.values():
                # What it sent before it ended comes first.
                if not worker.process.is_alive() and not worker.channel.connection.poll():
                    raise self.lost(worker)

    def lost(self, worker: Worker) -> RuntimeError:
        """The error for a worker that has ended unexpectedly."""
        process = worker.process
        process.join(TIME_TO_END)
        code = process.exitcode
        if code is None:
            how = "its connection broke"
        elif code >= 0:
            how = f"exit code {code}; it may have written the reason to the standard error"
        else:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            how = f"killed by signal {name}"
            if name == "SIGKILL":
                how += "; the system does so when memory runs out"
        self.end()
        return RuntimeError(
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly: {how}. "
            "num_workers=0 shows errors where they happen."
        )

    def dismiss(self, number: int) -> None:
        """Let a worker end while others go on."""
        worker = self.workers[number]
        self.present.pop(worker.channel.connection, None)
        self.present.pop(worker.process.sentinel, None)
        worker.channel.close()

    def end(self) -> None:
        """Let all workers end, and make those end that do not."""
        if self.ended or os.getpid() != self.owner:  # a forked copy must not touch them
            return
        self.ended = True
        self.present.clear()
        for worker in self.workers:
            worker.channel.close()
        until = time.monotonic() + TIME_TO_END
        for worker in self.workers:
            worker.process.join(max(0.0, until - time.monotonic()))
        for stop in ("terminate", "kill"):
            for worker in self.workers:
                if worker.process.is_alive():
                    getattr(worker.process, stop)()
                    worker.process.join(TIME_TO_END)
