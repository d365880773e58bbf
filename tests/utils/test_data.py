"""Data sets, samplers and collating beside PyTorch's."""

import collections
import importlib
import itertools
import warnings

import numpy as np
import pytest
from torch.utils import data as theirs

import devtensor as dt
from data_beside import BOTH, same
from devtensor.utils import data as ours


def test_names():
    for name in ours.__all__:
        assert hasattr(theirs, name)
    missing = set(theirs.__all__) - set(ours.__all__)
    assert all("DataPipe" in n or "datapipe" in n or "validation" in n or n in (
        "DataChunk", "_DatasetKind", "guaranteed_datapipes_determinism", "non_deterministic",
    ) for n in missing), missing  # fmt: skip


def test_modules_where_programs_look_too():
    names = {"dataloader": "default_collate", "dataset": "Subset", "sampler": "BatchSampler",
             "distributed": "DistributedSampler"}  # fmt: skip
    for module, name in names.items():
        found = importlib.import_module(f"devtensor.utils.data.{module}")
        assert getattr(found, name) is getattr(ours, name)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        dt.utils.nothing_like_it  # noqa: B018


# ---- data sets


def test_tensor_dataset():
    def rows(module, data):
        x = module.arange(12.0).reshape(4, 3)
        dataset = data.TensorDataset(x, module.arange(4))
        return [dataset[0], dataset[-1], dataset[1:3], dataset[module.tensor([2, 0])], len(dataset)]

    assert "Error" not in str(same(rows))
    same(lambda module, data: data.TensorDataset(module.ones(2), module.ones(3)))
    same(lambda module, data: data.TensorDataset(module.ones(2))[2:][0])


def test_stack_dataset():
    class Doubles:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

        def __getitem__(self, index):
            return index * 2

    class Batched(Doubles):
        def __getitems__(self, indices):
            return [-index for index in indices]

    class Short(Doubles):
        def __getitems__(self, indices):
            return [0]

    calls = [
        lambda m, d: d.StackDataset(Doubles(3), Batched(3))[1],
        lambda m, d: d.StackDataset(Doubles(3), Batched(3)).__getitems__([0, 2]),
        lambda m, d: d.StackDataset(a=Doubles(3), b=Batched(3))[1],
        lambda m, d: d.StackDataset(a=Doubles(3), b=Batched(3)).__getitems__([0, 2]),
        lambda m, d: len(d.StackDataset(Doubles(3))),
    ]
    for call in calls:
        assert "Error" not in str(same(call))
    same(lambda m, d: d.StackDataset(Doubles(3), Doubles(4)))
    same(lambda m, d: d.StackDataset())
    same(lambda m, d: d.StackDataset(Short(3)).__getitems__([0, 1]))
    for _, data in BOTH:
        with pytest.raises(ValueError, match="both types are given"):
            data.StackDataset(Doubles(3), a=Doubles(3))


def test_concat_dataset():
    def joined(module, data):
        dataset = data.ConcatDataset([range(3), range(10, 15), range(0), range(20, 21)])
        numbers = [dataset[i] for i in range(-len(dataset), len(dataset))]
        return numbers, len(dataset), dataset.cumulative_sizes

    assert "Error" not in str(same(joined))
    same(lambda m, d: d.ConcatDataset([]))
    same(lambda m, d: d.ConcatDataset([range(3)])[-4])
    same(lambda m, d: d.ConcatDataset([range(3)])[3])

    def added(module, data):
        one = data.TensorDataset(module.arange(2))
        two = data.TensorDataset(module.arange(3))
        both = one + two
        return type(both).__name__, len(both), both[4]

    same(added)


def streams(data):
    class Count(data.IterableDataset):
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return iter(range(self.n))

        def __len__(self):
            return self.n

    return Count


def test_chain_dataset():
    def chained(module, data):
        count = streams(data)
        both = count(2) + count(3)
        return type(both).__name__, list(both), len(both)

    assert "Error" not in str(same(chained))
    same(lambda m, d: list(d.ChainDataset([range(3)])))
    same(lambda m, d: len(d.ChainDataset([range(3)])))
    same(lambda m, d: d.ConcatDataset([streams(d)(3)]))


def test_subset():
    def part(module, data):
        dataset = data.Subset(data.TensorDataset(module.arange(10) * 10), [5, 3, 8])
        inner = data.Subset(dataset, [2, 0])
        return [dataset[0], dataset.__getitems__([2, 1]), len(dataset), inner[0], inner[-1],
                dataset[[0, 1]]]  # fmt: skip

    assert "Error" not in str(same(part))

    def changed(module, data):
        class Mine(data.Subset):
            def __getitem__(self, index):
                return 0

        return Mine(range(3), [1])

    for module, data in BOTH:
        with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
            changed(module, data)


def test_abstract_methods():
    for _, data in BOTH:
        with pytest.raises(NotImplementedError):
            data.Dataset()[0]
        with pytest.raises(TypeError):
            len(data.Dataset())
        assert data.Dataset[int]


@pytest.mark.parametrize(
    "lengths",
    [[3, 7], [10], [0.3, 0.7], [0.33, 0.33, 0.34], [0.5, 0.5], [1 / 3] * 3, [0.1] * 10, [0, 10],
     [0.25, 0.25, 0.25, 0.25]],
)  # fmt: skip
def test_random_split(lengths):
    def split(module, data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = data.random_split(range(10), lengths)
        assert sorted(i for part in parts for i in part.indices) == list(range(10))
        assert sorted(i for part in parts for i in part) == list(range(10))
        return [len(part) for part in parts]

    assert "Error" not in str(same(split))


def test_random_split_errors():
    for lengths in ([3, 8], [0.5, 0.6], [1.2, -0.2], [0.5, 0.4], []):
        same(lambda m, d, lengths=lengths: d.random_split(range(10), lengths))
    for _, data in BOTH:
        with pytest.warns(UserWarning, match=r"Length of split at index \d is 0"):
            data.random_split(range(1), [0.9, 0.1])


def test_random_split_with_a_generator():
    def split(seed):
        generator = dt.Generator().manual_seed(seed)
        return [part.indices for part in ours.random_split(range(50), [20, 30], generator)]

    assert split(1) == split(1)
    assert split(1) != split(2)


# ---- samplers


def test_sequential_and_batch_samplers():
    same(lambda m, d: list(d.SequentialSampler(range(5))))
    for size, drop, n in itertools.product((1, 3, 5, 7), (False, True), (0, 5, 6)):
        result = same(
            lambda m, d, size=size, drop=drop, n=n: [
                list(d.BatchSampler(d.SequentialSampler(range(n)), size, drop)),
                len(d.BatchSampler(range(n), size, drop)),
            ]
        )
        assert "Error" not in str(result)
    for arguments in ((0, False), (-1, False), (True, False), (2.0, False), (2, 1), (2, None)):
        same(lambda m, d, arguments=arguments: d.BatchSampler(range(5), *arguments))


def test_random_sampler():
    for _, data in BOTH:
        assert sorted(data.RandomSampler(range(50))) == list(range(50))
        sampler = data.RandomSampler(range(7), num_samples=17)
        drawn = list(sampler)
        assert len(drawn) == len(sampler) == 17
        assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7))
        assert len(set(drawn[14:])) == 3
        drawn = list(data.RandomSampler(range(5), replacement=True, num_samples=100))
        assert len(drawn) == 100 and set(drawn) == set(range(5))
    for options in ({"replacement": 1}, {"num_samples": 0}, {"num_samples": -1},
                    {"num_samples": 2.0}):  # fmt: skip
        same(lambda m, d, options=options: d.RandomSampler(range(5), **options))
    same(lambda m, d: d.RandomSampler([]))


def test_random_order_follows_the_seed():
    def order(**options):
        return list(ours.RandomSampler(range(100), **options))

    dt.manual_seed(1)
    first, second = order(), order()
    dt.manual_seed(1)
    assert order() == first
    assert first != second
    with_generator = [order(generator=dt.Generator().manual_seed(5)) for _ in range(2)]
    assert with_generator[0] == with_generator[1]
    generator = dt.Generator().manual_seed(5)
    assert order(generator=generator) == with_generator[0] != order(generator=generator)


def test_subset_random_sampler():
    for _, data in BOTH:
        sampler = data.SubsetRandomSampler([3, 1, 4, 15, 9])
        assert sorted(sampler) == [1, 3, 4, 9, 15] and len(sampler) == 5


def test_weighted_random_sampler():
    for _, data in BOTH:
        sampler = data.WeightedRandomSampler([0.0, 1.0, 3.0, 0.0], 2000)
        drawn = collections.Counter(sampler)
        assert len(sampler) == 2000 and set(drawn) == {1, 2}
        assert 0.65 < drawn[2] / 2000 < 0.85
        drawn = list(data.WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False))
        assert sorted(drawn) == [0, 1, 2]
        assert all(type(index) is int for index in drawn)
    for arguments in (([1.0], 0), ([1.0], True), ([1.0], 2.0), ([1.0], 2, 1), ([[1.0]], 2)):
        same(lambda m, d, arguments=arguments: d.WeightedRandomSampler(*arguments))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("length", "replicas"), [(10, 3), (12, 3), (2, 5), (1, 1), (7, 2), (5, 5)])
def test_distributed_sampler(length, replicas, drop_last):
    def parts(module, data):
        samplers = [
            data.DistributedSampler(range(length), replicas, rank, False, drop_last=drop_last)
            for rank in range(replicas)
        ]
        return [(list(s), len(s), s.num_samples, s.total_size) for s in samplers]

    if length < replicas and drop_last:
        # PyTorch's formula gives a negative number here; there is nothing to share out.
        assert parts(dt, ours) == [([], 0, 0, 0)] * replicas
    else:
        assert "Error" not in str(same(parts))


def test_distributed_sampler_shuffles():
    def epoch(number, seed=0):
        samplers = [ours.DistributedSampler(range(20), 4, rank, seed=seed) for rank in range(4)]
        for sampler in samplers:
            sampler.set_epoch(number)
        return [list(sampler) for sampler in samplers]

    assert sorted(itertools.chain(*epoch(0))) == list(range(20))
    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(0, seed=1) == epoch(1)
    for rank in (-1, 3):
        same(lambda m, d, rank=rank: d.DistributedSampler(range(5), 3, rank))
    if getattr(dt, "distributed", None) is None:
        with pytest.raises(RuntimeError, match="Requires distributed package"):
            ours.DistributedSampler(range(5))


def test_sampler_is_abstract():
    for _, data in BOTH:
        with pytest.raises(NotImplementedError):
            iter(data.Sampler())


# ---- collating

Pair = collections.namedtuple("Pair", "one two")


class Frozen(collections.abc.Mapping):
    def __init__(self, items):
        self.items_ = dict(items)

    def __getitem__(self, key):
        return self.items_[key]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self):
        return len(self.items_)


SAMPLES = [
    lambda m: [m.ones(2, 3), m.zeros(2, 3)],
    lambda m: [m.tensor(1), m.tensor(2)],
    lambda m: [1, 2, 3],
    lambda m: [True, False],
    lambda m: [1.5, 2.5],
    lambda m: ["a", "b"],
    lambda m: [b"a", b"b"],
    lambda m: [np.ones(3), np.zeros(3)],
    lambda m: [np.ones((), "int16"), np.zeros((), "int16")],
    lambda m: [np.float32(1), np.float32(2)],
    lambda m: [np.float64(1), np.float64(2)],
    lambda m: [np.int8(1), np.int8(2)],
    lambda m: [np.bool_(True), np.bool_(False)],
    lambda m: [np.str_("a"), np.str_("b")],
    lambda m: [(m.ones(2), 1), (m.zeros(2), 2)],
    lambda m: [[m.ones(2), 1], [m.zeros(2), 2]],
    lambda m: [{"a": 1, "b": (2.0, "x")}, {"a": 3, "b": (4.0, "y")}],
    lambda m: [Pair(1, m.ones(1)), Pair(2, m.zeros(1))],
    lambda m: [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    lambda m: [collections.defaultdict(int, a=1), collections.defaultdict(int, a=2)],
    lambda m: [range(3), range(3)],
    lambda m: [collections.deque([1, 2]), collections.deque([3, 4])],
    lambda m: (m.ones(1), m.ones(1)),
    # Errors.
    lambda m: [[1, 2], [3]],
    lambda m: [(1, 2), (3,)],
    lambda m: [{"a": 1}, {"b": 2}],
    lambda m: [None, None],
    lambda m: [object, object],
    lambda m: [{1, 2}, {3}],
    lambda m: [],
]


@pytest.mark.parametrize("samples", SAMPLES)
def test_default_collate(samples):
    same(lambda m, d: d.default_collate(samples(m)))


def test_default_collate_of_text_arrays():
    for dtype in ("U1", object):
        array = np.array(["a", "b"], dtype)
        for _, data in BOTH:
            with pytest.raises(TypeError, match="batch must contain tensors"):
                data.default_collate([array, array])


def test_default_collate_of_tensors_that_do_not_fit():
    for module, data in BOTH:
        with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
            data.default_collate([module.ones(2), module.ones(3)])


def test_default_collate_of_other_mappings():
    for _, data in BOTH:
        batch = data.default_collate([Frozen({"a": 1}), Frozen({"a": 2})])
        assert type(batch) is Frozen and batch["a"].tolist() == [1, 2]


def test_collate_functions_can_be_added():
    from devtensor.utils.data.collate import collate, default_collate_fn_map

    class Mine:
        pass

    with pytest.raises(TypeError, match="found"):
        ours.default_collate([Mine(), Mine()])
    default_collate_fn_map[Mine] = lambda batch, *, collate_fn_map: f"{len(batch)} of mine"
    try:
        assert ours.default_collate([(Mine(), 1), (Mine(), 2)])[0] == "2 of mine"
    finally:
        del default_collate_fn_map[Mine]
    mapped = collate([[1, 2], [3, 4]], collate_fn_map={int: lambda b, *, collate_fn_map: sum(b)})
    assert mapped == [4, 6]


@pytest.mark.parametrize(
    "sample",
    [
        lambda m: m.ones(2),
        lambda m: 3,
        lambda m: "text",
        lambda m: np.arange(3),
        lambda m: np.float32(2),
        lambda m: [np.arange(2), "a", 1],
        lambda m: (np.arange(2), "a", 1),
        lambda m: {"a": np.arange(2), "b": [np.ones(1)]},
        lambda m: Pair(np.arange(2), 1),
        lambda m: range(3),
        lambda m: None,
    ],
)
def test_default_convert(sample):
    assert "Error" not in str(same(lambda m, d: d.default_convert(sample(m))))


def test_default_convert_leaves_texts():
    array = np.array(["a"])
    assert ours.default_convert(array) is array
