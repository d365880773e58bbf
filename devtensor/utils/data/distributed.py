"""The part of a data set that one of several processes reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import devtensor as dt
from devtensor.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every so-many-th sample, so that several processes share a data set.

    Parameters
    ----------
    dataset : Dataset
    num_replicas : int, optional
        How many processes there are; `devtensor.distributed` is asked by default.
    rank : int, optional
        The number of this one; likewise.
    shuffle : bool
        Whether the order is random; the same in all processes, and another in each epoch if
        `set_epoch` is called.
    seed : int
        Of that order.
    drop_last : bool
        Whether samples are left out, rather than some given twice, for all to get equally many.

    Raises
    ------
    RuntimeError
        If the number of processes is not given and not known.
    ValueError
        If `rank` is not among them.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = processes().get_world_size()
        if rank is None:
            rank = processes().get_rank()
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0
        count = len(dataset) / num_replicas
        self.num_samples = math.floor(count) if drop_last else math.ceil(count)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            generator = dt.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = dt.randperm(len(self.dataset), generator=generator, device="cpu").tolist()
        # Without drop_last the first samples come once more at the end.
        again = itertools.chain(order, itertools.cycle(order))
        yield from itertools.islice(again, self.rank, self.total_size, self.num_replicas)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, for it to have an order of its own."""
        self.epoch = epoch


def processes() -> Any:
    """The module that knows the other processes."""
    distributed = getattr(dt, "distributed", None)
    if distributed is None or not distributed.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return distributed
