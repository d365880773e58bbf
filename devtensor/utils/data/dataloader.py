"""The loader: batches of a data set, one after the other."""

from __future__ import annotations

import math
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar, cast

from devtensor.utils.data._fetch import DatasetKind
from devtensor.utils.data._iterators import LoaderIterator, ManyProcesses, OneProcess
from devtensor.utils.data._worker import get_worker_info
from devtensor.utils.data.collate import default_collate, default_convert
from devtensor.utils.data.dataset import IterableDataset
from devtensor.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
_collate_fn_t = Callable[[list[T]], Any]
_worker_init_fn_t = Callable[[int], None]
FIXED = frozenset(
    {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}
)


class Endless(Sampler[None]):
    """The sampler of an iterable data set, which has no numbers."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Gives a data set in batches, in any order, from this process or from workers.

    The order depends on the seed alone (`devtensor.manual_seed`, or `generator`), not on the
    number of workers.

    Parameters
    ----------
    dataset : Dataset
        With samples by number, or an `IterableDataset`.
    batch_size : int, optional
        How many samples a batch has; None for single samples without a batch's dimension.
    shuffle : bool
        Whether the order is random and new in each pass.
    sampler : Sampler or iterable, optional
        The order of the samples; not with `shuffle`.
    batch_sampler : Sampler or iterable, optional
        Lists of samples that make a batch; instead of `batch_size`, `shuffle`, `sampler` and
        `drop_last`.
    num_workers : int
        How many processes fetch batches in advance; 0 for none. An exception in one is raised
        here with its traceback, and a worker's death is a RuntimeError.
    collate_fn : callable, optional
        Makes a batch of a list of samples; `default_collate` by default.
    pin_memory : bool
        Accepted; memory is never pinned.
    drop_last : bool
        Whether a last batch that is smaller is left out.
    timeout : float
        Seconds to wait for a batch from the workers; 0 for ever.
    worker_init_fn : callable, optional
        Called in each worker with its number before it begins.
    multiprocessing_context : str or context, optional
        How processes are started: ``"fork"``, ``"spawn"``, ``"forkserver"``. Python's default.
    generator : Generator, optional
        The source of the random order and of the workers' seeds.
    prefetch_factor : int, optional
        How many batches each worker fetches in advance; 2 by default.
    persistent_workers : bool
        Whether workers stay for the next pass.
    pin_memory_device : str
        Accepted and not used.
    in_order : bool
        False gives batches of workers as they arrive, in an order that changes.

    Raises
    ------
    ValueError
        If options contradict each other.
    """

    dataset: Any
    batch_size: int | None
    num_workers: int
    drop_last: bool
    timeout: float
    sampler: Sampler[Any] | Iterable[Any]
    batch_sampler: Sampler[Any] | Iterable[Any] | None
    prefetch_factor: int | None
    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[Any] | Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        stream = isinstance(dataset, IterableDataset)
        check_order(stream, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            if stream:
                sampler = Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(cast("Iterable[Any]", sampler), batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.timeout = num_workers, timeout
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.persistent_workers, self.in_order = persistent_workers, in_order
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        # By PyTorch's names, which other loaders have that borrow its iterators.
        self._dataset_kind = DatasetKind.Iterable if stream else DatasetKind.Map
        self._IterableDataset_len_called: int | None = None
        self._iterator: ManyProcesses | None = None
        self._ready = True
        self.check_worker_number_rationality()

    def __setattr__(self, attr: str, val: Any) -> None:
        if self._ready and attr in FIXED:
            raise ValueError(
                f"{attr} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(attr, val)

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How worker processes are started; None for Python's default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: str | BaseContext | None) -> None:
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    f"(num_workers > 0), but got num_workers={self.num_workers}"
                )
            if isinstance(context, str):
                methods = multiprocessing.get_all_start_methods()
                if context not in methods:
                    raise ValueError(
                        "multiprocessing_context option should specify a valid start method in "
                        f"{methods!r}, but got multiprocessing_context={context!r}"
                    )
                context = multiprocessing.get_context(context)
            if not isinstance(context, BaseContext):
                raise TypeError(
                    "multiprocessing_context option should be a valid context object or a string "
                    "specifying the start method, but got "
                    f"multiprocessing_context={context}"
                )
        self._context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> LoaderIterator:
        if self.num_workers == 0:
            return OneProcess(self)
        if not self.persistent_workers:
            return ManyProcesses(self)
        if self._iterator is None or self._iterator.crew.ended:
            self._iterator = ManyProcesses(self)
        else:
            self._iterator.again(self)
        return self._iterator

    def __len__(self) -> int:
        if self._dataset_kind == DatasetKind.Map:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        if self.drop_last:
            return length // self.batch_size
        return math.ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn if there are more workers than processors."""
        if self.num_workers <= 0:
            return
        if hasattr(os, "sched_getaffinity"):
            count: int | None = len(os.sched_getaffinity(0))
        else:
            count = os.cpu_count()
        if count is not None and self.num_workers <= count:
            return
        warnings.warn(
            f"This DataLoader will create {self.num_workers} worker processes in total. Our "
            f"suggested max number of worker in current system is {count}, which is smaller than "
            "what this DataLoader is going to create. Please be aware that excessive worker "
            "creation might get DataLoader running slow or even freeze, lower the worker number to "
            "avoid potential slowness/freeze if necessary.",
            stacklevel=3,
        )


def check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    """Raise ValueError if options about workers make no sense."""
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def check_order(
    stream: bool, batch_size: int | None, shuffle: Any, sampler: Any, batch_sampler: Any,
    drop_last: bool,
) -> None:  # fmt: skip
    """Raise ValueError if options about the order contradict each other."""
    if stream:
        options = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in options.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                    f"got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                "and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


# By PyTorch's names, of which programs ask whether an iterator is one.
_DatasetKind = DatasetKind
_BaseDataLoaderIter, _SingleProcessDataLoaderIter = LoaderIterator, OneProcess
_MultiProcessingDataLoaderIter = ManyProcesses
