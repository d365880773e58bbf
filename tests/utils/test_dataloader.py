"""The loader in one process, beside PyTorch's."""

import gc
import itertools
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils import data as theirs

import devtensor as dt
from data_beside import BOTH, plain, same
from devtensor.utils import data as ours

sys.path.insert(0, str(Path(__file__).parent))
from worker_data import Length, Squares, Stream, Words


def fine(call):
    assert "Error" not in str(same(call))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 20])
def test_batches_in_order(batch_size, drop_last):
    def batches(module, data):
        dataset = data.TensorDataset(module.arange(20.0).reshape(10, 2), module.arange(10))
        loader = data.DataLoader(dataset, batch_size, drop_last=drop_last)
        lists = data.DataLoader(list(range(10)), batch_size, drop_last=drop_last)
        return list(loader), len(loader), list(lists), len(lists)

    fine(batches)


def test_without_batches():
    fine(lambda m, d: list(d.DataLoader(range(5), None)))
    fine(lambda m, d: len(d.DataLoader(range(5), None)))
    fine(lambda m, d: list(d.DataLoader([np.arange(2), np.arange(3)], batch_size=None)))
    fine(lambda m, d: list(d.DataLoader(m.arange(10), None, sampler=[[1, 2], [3, 4]])))


def test_samplers():
    fine(lambda m, d: list(d.DataLoader(range(10), 3, sampler=[5, 1, 1, 8])))
    fine(lambda m, d: list(d.DataLoader(range(10), batch_sampler=[[5, 1], [], [8]][::2])))
    fine(lambda m, d: len(d.DataLoader(range(10), batch_sampler=[[5, 1], [8]])))
    fine(lambda m, d: list(d.DataLoader(range(10), 2, sampler=d.SequentialSampler(range(4)))))
    fine(lambda m, d: list(d.DataLoader({"a": 1, "b": 2}, 2, sampler=["b", "a"])))
    same(lambda m, d: list(d.DataLoader(range(10), batch_sampler=[[]])))


def test_collate_fn():
    fine(lambda m, d: list(d.DataLoader(range(5), 2, collate_fn=tuple)))
    fine(lambda m, d: list(d.DataLoader(range(5), None, collate_fn=str)))


def test_samples_in_containers():
    class TheirWords(theirs.Dataset):
        def __getitem__(self, index):
            sample = Words()[index]
            sample["pair"][1][0] = torch.tensor(index)
            return sample

        def __len__(self):
            return 10

    assert plain(list(ours.DataLoader(Words(), 4))) == plain(
        list(theirs.DataLoader(TheirWords(), 4))
    )


def test_whole_batches_at_once():
    asked = []

    class Batched:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            raise AssertionError("one by one")

        def __getitems__(self, indices):
            asked.append(indices)
            return [index * 10 for index in indices]

    assert plain(list(ours.DataLoader(Batched(), 4))) == plain(
        list(theirs.DataLoader(Batched(), 4))
    )
    assert asked == [[0, 1, 2, 3], [4, 5]] * 2


def streams(data):
    class Count(data.IterableDataset):
        def __init__(self, n, length=None):
            self.n, self.length = n, length

        def __iter__(self):
            return iter(range(self.n))

        def __len__(self):
            if self.length is None:
                raise TypeError("no length")
            return self.length

    return Count


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [0, 6, 7])
def test_streams(n, drop_last):
    fine(lambda m, d: list(d.DataLoader(streams(d)(n), 3, drop_last=drop_last)))
    fine(lambda m, d: list(d.DataLoader(streams(d)(n), None)))
    fine(lambda m, d: len(d.DataLoader(streams(d)(n, n), 3, drop_last=drop_last)))
    same(lambda m, d: len(d.DataLoader(streams(d)(n), 3)))


def test_streams_longer_than_they_say():
    for _, data in BOTH:
        loader = data.DataLoader(streams(data)(5, 3))
        list(loader)  # no word: nobody asked for the length
        assert len(loader) == 3
        with pytest.warns(UserWarning, match="was reported to be 3"):
            list(loader)


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"prefetch_factor": -1, "num_workers": 1},
        {"persistent_workers": True},
        {"shuffle": True, "sampler": [1]},
        {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "shuffle": True},
        {"batch_sampler": [[1]], "sampler": [1]},
        {"batch_sampler": [[1]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"multiprocessing_context": "fork"},
        {"multiprocessing_context": "teleport", "num_workers": 1},
        {"multiprocessing_context": 3, "num_workers": 1},
        {"drop_last": 1},
    ],
)
def test_options_that_contradict(options):
    result = same(lambda m, d: d.DataLoader(range(5), **options))
    assert "Error" in str(result)


@pytest.mark.parametrize("option", ["shuffle", "sampler", "batch_sampler"])
def test_streams_have_no_order(option):
    value = True if option == "shuffle" else [[1]]
    result = same(lambda m, d: d.DataLoader(streams(d)(3), **{option: value}))
    assert "IterableDataset" in str(result)
    fine(lambda m, d: list(d.DataLoader(streams(d)(3), shuffle=False)))


def test_attributes():
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset",
                 "persistent_workers"):  # fmt: skip
        same(lambda m, d, name=name: setattr(d.DataLoader(range(5)), name, None))
    for _, data in BOTH:
        loader = data.DataLoader(range(5), 2, shuffle=True, num_workers=1)
        assert loader.batch_size == 2 and loader.num_workers == 1 and loader.prefetch_factor == 2
        assert type(loader.sampler).__name__ == "RandomSampler"
        assert type(loader.batch_sampler).__name__ == "BatchSampler"
        assert loader.dataset == range(5) and loader.drop_last is False and loader.timeout == 0
        loader.collate_fn = list
        assert data.DataLoader[int]
        iterator = iter(data.DataLoader(range(5), 2))
        assert len(iterator) == 3 and iter(iterator) is iterator
        with pytest.raises(NotImplementedError):
            iterator.__getstate__()


def test_too_many_workers():
    for _, data in BOTH:
        with pytest.warns(UserWarning, match=r"will create 10000 worker processes"):
            data.DataLoader(range(5), num_workers=10000)


def test_pin_memory_is_accepted():
    loader = ours.DataLoader(range(4), 2, pin_memory=True, pin_memory_device="cpu")
    assert plain(list(loader)) == plain(list(ours.DataLoader(range(4), 2)))


def test_errors_of_the_data_set_pass():
    fine(lambda m, d: next(iter(d.DataLoader(range(5), 2))))
    same(lambda m, d: list(d.DataLoader(range(3), 1, sampler=[7])))
    same(lambda m, d: list(d.DataLoader(range(0), 1, shuffle=True)))
    assert list(ours.DataLoader(range(0))) == []


# ---- the order


def order(loader):
    return [index for batch in loader for index in batch.tolist()]


def test_shuffle():
    for module, data in BOTH:
        loader = data.DataLoader(list(range(50)), 7, shuffle=True)
        module.manual_seed(0)
        first, second = order(loader), order(loader)
        assert sorted(first) == list(range(50)) and first != second
        module.manual_seed(0)
        assert [order(loader), order(loader)] == [first, second]
        generator = module.Generator().manual_seed(7)
        with_generator = data.DataLoader(list(range(50)), 7, shuffle=True, generator=generator)
        one = order(with_generator)
        generator.manual_seed(7)
        assert order(with_generator) == one


def test_every_pass_draws_one_seed():
    """So that the numbers drawn after a pass do not depend on the options of the loader."""

    def after(**options):
        dt.manual_seed(3)
        list(ours.DataLoader(Squares(4), **options))
        return dt.rand(()).item()

    assert after() == after(num_workers=1) == after(batch_size=2)


# ---- rows of tensors, cut out at once


def pairs(count=20, **options):
    x = dt.arange(count * 3.0).reshape(count, 3)
    return ours.TensorDataset(x, dt.arange(count, **options))


def slowly(dataset, indices):
    return ours.default_collate([dataset[index] for index in indices])


@pytest.mark.parametrize(
    "indices",
    [[0, 1, 2], [4], [5, 3, 9], [19, 18], [-1, 0], [-3, -2, -1], [7, 7, 7], [2, 4, 6], [19]],
)
def test_rows_are_those_that_one_by_one_gives(indices):
    dataset = pairs()
    subset = ours.Subset(ours.Subset(dataset, list(range(0, 20, 2)) * 2), list(range(19, -1, -1)))
    for source in (dataset, subset):
        (batch,) = ours.DataLoader(source, batch_sampler=[indices])
        assert plain(batch) == plain(slowly(source, indices))
        assert all(tensor.is_contiguous() for tensor in batch)


def test_rows_are_copies():
    dataset = pairs()
    for indices in ([0, 1, 2], [2, 0]):
        (batch,) = ours.DataLoader(dataset, batch_sampler=[indices])
        batch[0].zero_()
        assert not batch[0]._is_view()
    assert dataset.tensors[0].sum().item() == 59 * 30


@pytest.mark.parametrize("indices", [[20], [0, 20], [-21], [18, 19, 20]])
def test_rows_that_are_not_there(indices):
    for data, dataset in ((ours, pairs()), (ours, ours.Subset(pairs(), list(range(5))))):
        with pytest.raises(IndexError):
            list(data.DataLoader(dataset, batch_sampler=[indices]))


def test_rows_of_changed_classes():
    class Doubled(ours.TensorDataset):
        def __getitem__(self, index):
            return tuple(tensor[index] * 2 for tensor in self.tensors)

    dataset = Doubled(dt.arange(4))
    assert plain(list(ours.DataLoader(dataset, 4))) == plain([[dt.arange(4) * 2]])
    tracked = ours.TensorDataset(dt.ones(3, requires_grad=True))
    (batch,) = next(iter(ours.DataLoader(tracked, 3)))
    batch.sum().backward()
    assert tracked.tensors[0].grad.tolist() == [1.0, 1.0, 1.0]


def test_rows_are_fast():
    """A batch of rows takes a small part of the time that the rows one by one take."""
    x = dt.arange(64 * 200.0).reshape(-1, 4)
    dataset = ours.TensorDataset(x, x)

    class Same(ours.TensorDataset):
        pass

    def seconds(source):
        start = time.process_time()  # of this process alone, whatever else runs
        for _ in itertools.islice(ours.DataLoader(source, 64, shuffle=True), 40):
            pass
        return time.process_time() - start

    turns = [(seconds(dataset), seconds(Same(x, x))) for _ in range(8)]
    assert min(rows for rows, _ in turns) < min(singly for _, singly in turns) / 3


def test_nothing_keeps_a_dropped_loader():
    loader = ours.DataLoader(Squares(4), 2)
    iterator = iter(loader)
    next(iterator)
    alive = weakref.ref(loader), weakref.ref(iterator)
    gc.disable()
    try:
        del loader, iterator
        assert [ref() for ref in alive] == [None, None]
    finally:
        gc.enable()


def test_worker_info_in_the_main_process():
    assert ours.get_worker_info() is None
    assert plain(list(ours.DataLoader(Stream(2, 1), 2))) == plain(
        [dt.tensor([0, 1]), dt.tensor([100])]
    )
    assert len(ours.DataLoader(Length(1), 2)) == 2


@pytest.mark.parametrize("kind", ["Map", "Iterable"])
def test_other_loaders_borrow_the_iterators(kind):
    """As fastai's does, which is no data set and says by PyTorch's names what it has."""
    for t, data in BOTH:
        where = data.dataloader

        class Loader:
            dataset, num_workers, drop_last = [3, 4, 5], 0, False
            _IterableDataset_len_called = generator = None
            _auto_collation, pin_memory, timeout = False, False, 0
            pin_memory_device, worker_init_fn, persistent_workers = "", None, False
            _dataset_kind = getattr(where._DatasetKind, kind)

            @property
            def _index_sampler(self):
                return range(2)

            def collate_fn(self, x):
                return 2 * x

            def _get_shared_seed(self, *_):
                return None

        assert list(where._SingleProcessDataLoaderIter(Loader())) == [6, 8], t
    assert ours._utils.worker.get_worker_info() is None
    assert ours.DataLoader([1])._dataset_kind == ours.dataloader._DatasetKind.Map
    assert ours.DataLoader(Stream(2, 1))._dataset_kind == ours.dataloader._DatasetKind.Iterable
