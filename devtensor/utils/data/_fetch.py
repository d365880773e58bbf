"""Getting the samples of one batch from a data set, and making the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor
from devtensor.utils.data.collate import collate_tensor_fn, default_collate, default_collate_fn_map
from devtensor.utils.data.dataset import Subset, TensorDataset

__all__ = ["DatasetKind", "Plan", "fetcher"]


class DatasetKind:
    """How a data set gives its samples: by their number, or one after another."""

    Map, Iterable = 0, 1


class Plan:
    """What a fetcher needs to know; it travels to the workers.

    Attributes
    ----------
    dataset : Dataset
    batched : bool
        Whether indices come in lists, and samples are collated.
    collate : callable
    drop_last : bool
    kind : int
        One of `DatasetKind`.
    """

    __slots__ = ("batched", "collate", "dataset", "drop_last", "kind")

    def __init__(
        self, dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool, kind: int
    ) -> None:
        self.dataset, self.batched, self.kind = dataset, batched, kind
        self.collate, self.drop_last = collate, drop_last


def fetcher(plan: Plan) -> Callable[[Any], Any]:
    """A function from what the sampler gives to a batch; StopIteration ends a stream."""
    dataset, collate = plan.dataset, plan.collate
    if plan.kind == DatasetKind.Iterable:
        return Stream(plan).fetch
    if not plan.batched:
        return lambda index: collate(dataset[index])
    if callable(getattr(dataset, "__getitems__", None)):

        def fetch(indices: Any) -> Any:
            return collate(dataset.__getitems__(indices))

    else:

        def fetch(indices: Any) -> Any:
            return collate([dataset[index] for index in indices])

    rows = Rows.of(dataset) if collate is default_collate else None
    return fetch if rows is None else rows.fetcher(fetch)


class Stream:
    """Takes samples from an iterable data set."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.samples = iter(plan.dataset)
        self.ended = False

    def fetch(self, indices: Any) -> Any:
        """The next batch, as long as the list of indices; or the next sample."""
        if self.ended:
            raise StopIteration
        if not self.plan.batched:
            return self.plan.collate(next(self.samples))
        batch: list[Any] = []
        for _ in indices:
            try:
                batch.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.plan.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return self.plan.collate(batch)


class Rows:
    """A data set whose samples are rows of tensors, so that a batch can be cut out at once.

    Attributes
    ----------
    tensors : tuple of Tensor
    order : list of int or None
        Which rows are samples, and in which order; None for all.
    """

    __slots__ = ("order", "tensors")

    def __init__(self, tensors: tuple[Tensor, ...], order: list[int] | None) -> None:
        self.tensors, self.order = tensors, order

    @classmethod
    def of(cls, dataset: Any) -> Rows | None:
        """See `dataset` so, if nothing of its behaviour has been changed."""
        if type(dataset) is TensorDataset:
            plain = all(type(t) is Tensor and not t.requires_grad for t in dataset.tensors)
            return cls(dataset.tensors, None) if plain and dataset.tensors[0].ndim else None
        if type(dataset) is Subset and type(dataset.indices) is list:
            inner = cls.of(dataset.dataset)
            if inner is not None and all(type(index) is int for index in dataset.indices):
                order = dataset.indices
                if inner.order is not None:
                    order = [inner.order[index] for index in order]
                return cls(inner.tensors, order)
        return None

    def fetcher(self, otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A function that cuts out a batch, and leaves to `otherwise` whatever is unusual."""
        tensors, order = self.tensors, self.order
        length = tensors[0].shape[0]

        def fetch(indices: Any) -> Any:
            usual = (
                type(indices) is list
                and indices
                and set(map(type, indices)) == {int}
                and default_collate_fn_map.get(Tensor) is collate_tensor_fn
            )
            if not usual or (order is not None and not in_range(indices, len(order))):
                return otherwise(indices)
            rows = indices if order is None else [order[index] for index in indices]
            if not in_range(rows, length):
                return otherwise(indices)
            first, last = rows[0], rows[-1]
            if first >= 0 and last - first == len(rows) - 1 and rows == [*range(first, last + 1)]:
                return [tensor[first : last + 1].clone() for tensor in tensors]
            return cut(tensors, rows)

        return fetch


def in_range(indices: list[int], length: int) -> bool:
    return -length <= min(indices) and max(indices) < length


def cut(tensors: tuple[Tensor, ...], rows: list[int]) -> list[Tensor]:
    """The rows of each tensor, in memory of their own."""
    places: dict[Any, Tensor] = {}
    batch = []
    for tensor in tensors:
        device = tensor.device
        if device not in places:
            places[device] = dt.tensor(rows, dtype=dt.int64, device=device)
        batch.append(tensor[places[device]])
    return batch
