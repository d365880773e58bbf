"""Nested containers, and timing."""

from collections import OrderedDict, namedtuple

import pytest
import torch
import torch.utils.benchmark
from torch.utils import _pytree as theirs

import devtensor as dt
from devtensor.utils import _pytree as ours
from devtensor.utils import benchmark

Point = namedtuple("Point", "x y")
TREES = [
    1,
    None,
    [],
    (1, [2, {"a": 3, "b": (4,)}], None),
    OrderedDict(b=1, a=[2, 3]),
    Point(1, [Point(2, 3)]),
    {"a": {}, "b": [()]},
]


@pytest.mark.parametrize("tree", TREES)
def test_trees_are_taken_apart_as_in_pytorch(tree):
    leaves, spec = ours.tree_flatten(tree)
    assert leaves == theirs.tree_flatten(tree)[0] == ours.tree_leaves(tree)
    assert ours.tree_unflatten(leaves, spec) == tree
    assert type(ours.tree_unflatten(leaves, spec)) is type(tree)
    assert spec == ours.tree_structure(tree)

    def twice(x):
        return (x, x)

    assert ours.tree_map(twice, tree) == theirs.tree_map(twice, tree)
    assert ours.tree_map_only(int, lambda x: -x, tree) == theirs.tree_map_only(
        int, lambda x: -x, tree
    )
    assert ours.tree_all(lambda x: x is not None, tree) == theirs.tree_all(
        lambda x: x is not None, tree
    )
    assert ours.tree_any(lambda x: x == 3, tree) == theirs.tree_any(lambda x: x == 3, tree)


def test_several_trees_and_wrong_ones():
    assert ours.tree_map(lambda a, b: a + b, {"a": [1, 2]}, {"a": [3, 4]}) == {"a": [4, 6]}
    with pytest.raises(ValueError, match="nested as"):
        ours.tree_map(lambda a, b: a, [1, 2], [1, [2]])
    with pytest.raises(ValueError, match="holds 2 items"):
        ours.tree_unflatten([1], ours.tree_structure([1, 2]))
    seen = []
    assert ours.tree_map_(seen.append, [1, (2,)]) == [1, (2,)] and seen == [1, 2]
    assert list(ours.tree_iter({"a": 1})) == [1] and ours.LeafSpec() == ours.tree_structure(5)


def test_statements_are_timed():
    x = dt.ones(8)
    timer = benchmark.Timer(
        "y = x + x", setup="x = z * 1", globals={"z": x}, label="sum", description="eight"
    )
    once = timer.timeit(20)
    assert once.number_per_run == 20 and len(once.times) == 1 and once.mean == once.median > 0
    assert once.times[0] == once.raw_times[0] / 20
    many = timer.blocked_autorange(min_run_time=0.02)
    assert sum(many.raw_times) >= 0.02 and many.median > 0 and many.iqr >= 0
    adaptive = timer.adaptive_autorange(min_run_time=0.01, max_run_time=0.1)
    assert 0 < adaptive.median < 1
    text = repr(many)
    assert "sum" in text and "IQR" in text and "runs per measurement" in text
    assert benchmark.Timer("torch.ones(1)").timeit(2).median > 0
    with pytest.raises(NotImplementedError, match="only Python"):
        benchmark.Timer("x;", language="cpp")


def test_statistics_are_pytorchs():
    times = [3.0, 1.0, 2.0, 9.0, 4.0]
    spec = torch.utils.benchmark.utils.common.TaskSpec("", "")
    other = torch.utils.benchmark.Measurement(2, times, spec)
    made = benchmark.Measurement(2, times)
    for name in ("times", "median", "mean", "iqr"):
        assert getattr(made, name) == pytest.approx(getattr(other, name))


def test_measurements_are_compared():
    rows = [
        benchmark.Measurement(1, [s], sub_label=name, description=what, label="L")
        for name, what, s in (("a", "x", 1e-3), ("a", "y", 2e-6), ("b", "x", 3.0))
    ]
    table = benchmark.Compare(rows[:2])
    table.extend_results(rows[2:])
    lines = str(table).splitlines()
    assert lines[0] == "[L]" and [c.strip() for c in lines[1].split("|")] == ["", "x", "y"]
    assert [c.strip() for c in lines[2].split("|")] == ["a", "1.00 ms", "2.00 us"]
    assert [c.strip() for c in lines[3].split("|")] == ["b", "3.00 s", ""]
