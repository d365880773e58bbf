"""Sorting, the largest elements and distinct ones against PyTorch."""

import numpy as np
import pytest
from beside_torch import floats, ints, refused, same

import devtensor as dt

CUBE = floats(3, 5, 4)
NAN = np.array([2.0, np.nan, -1.0, np.inf, np.nan, -np.inf, 0.0])

CALLS = {
    "sort": lambda m, x: (
        x.sort(),
        x.sort(0),
        m.sort(x, dim=1, descending=True),
        x.sort(stable=True, dim=-2),
    ),
    "argsort": lambda m, x: (
        x.argsort(),
        x.argsort(0, True),
        m.argsort(x, dim=1, descending=True, stable=True),
    ),
    "msort": lambda m, x: m.msort(x),
    "topk": lambda m, x: (
        x.topk(2),
        x.topk(3, 1),
        m.topk(x, 2, dim=0, largest=False),
        x.topk(4),
        x.topk(1, 1),
    ),
    "kthvalue": lambda m, x: (x.kthvalue(2), x.kthvalue(3, 1, True), m.kthvalue(x, 1, dim=0)),
    "number": lambda m, x: (
        x[0, 0, 0].sort(),
        x[0, 0, 0].topk(1),
        x[0, 0, 0].kthvalue(1),
        x[0, 0, 0].argsort(),
    ),
    "empty": lambda m, x: (x[:0].sort(0), x[:, :0].argsort(1), x.topk(0)),
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", ["float", "int", "strided"])
def test_as_torch(case, kind):
    if kind == "int":
        same(CALLS[case], np.random.default_rng(0).permutation(60).reshape(3, 5, 4))
    elif kind == "float":
        same(CALLS[case], CUBE)
    else:
        same(lambda m, x: CALLS[case](m, x.permute(0, 2, 1).contiguous().permute(0, 2, 1)), CUBE)


def test_topk_of_many():
    same(
        lambda m, x: (x.topk(3), x.topk(2, 0, largest=False), x.topk(5, -1, False, True)),
        floats(40, 50),
    )


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("odd", ["", "nan", "inf", "-inf", "ties", "int"])
def test_topk_in_turn(odd, largest):
    x = np.random.default_rng(0).standard_normal((6, 70))
    if odd == "int":
        x = np.where(x > 0.9, np.iinfo(np.int64).min, np.round(x * 9).astype(np.int64))
    elif odd == "ties":
        x = np.round(x)
    elif odd:
        x[x > 0.9] = float(odd)
        x[1] = float(odd)
    same(lambda m, x: (x.topk(8, largest=largest)[0], x.topk(1, 1, largest)[0]), x, grad=False)
    values, indices = dt.tensor(x).topk(8, largest=largest)
    found = np.take_along_axis(x, np.array(indices.tolist()), 1)
    np.testing.assert_array_equal(found, np.array(values.tolist()))
    assert all(len(set(row)) == 8 for row in indices.tolist())


def test_ties_keep_their_order():
    same(
        lambda m, x: (
            x.sort(stable=True),
            x.sort(descending=True, stable=True),
            x.argsort(stable=True),
        ),
        ints(3, 40, high=4),
    )
    same(lambda m, x: (x > 1).sort(stable=True), ints(3, 40, high=4))


def test_nan_is_the_largest():
    same(
        lambda m, x: (
            x.sort(),
            x.sort(descending=True, stable=True),
            x.argsort(descending=True, stable=True),
        ),
        NAN,
        grad=False,
    )
    same(lambda m, x: x.topk(5)[0], NAN, grad=False)
    same(lambda m, x: x.topk(2)[0], np.tile(NAN[2:], 4) * np.arange(1, 21), grad=False)


def test_named_results():
    found = dt.tensor([3.0, 1.0, 2.0]).sort()
    assert found.values.tolist() == [1.0, 2.0, 3.0]
    assert found.indices.tolist() == [1, 2, 0]


UNIQUE = [
    ints(4, 5),
    ints(40, high=4),
    ints(6, 2, high=2),
    floats(3),
    np.array(2),
    np.array([], dtype=np.int64),
    NAN,
    ints(3, 3, high=2) > 0,
]


@pytest.mark.parametrize("number", range(len(UNIQUE)))
def test_unique(number):
    def call(m, x):
        every = {"return_inverse": True, "return_counts": True}
        return (
            x.unique(),
            x.unique(True, True),
            m.unique(x, return_counts=True),
            x.unique(**every),
            m.unique_consecutive(x, **every),
        )

    same(call, UNIQUE[number], grad=False)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_unique_along(dim):
    def call(m, x):
        every = {"return_inverse": True, "return_counts": True}
        return (
            x.unique(dim=dim),
            x.unique(dim=dim, **every),
            x.unique_consecutive(dim=dim, **every),
            x[:, None].unique(dim=0),
        )

    for array in (ints(7, 2, high=2), ints(2, 7, high=2, seed=3), ints(5, 5, high=2) * 0):
        same(call, array, grad=False)


REFUSED = {
    "sort": (lambda m, x: x.sort(5), None),
    "topk": (lambda m, x: x.topk(5), "selected index k out of range"),
    "topk_negative": (lambda m, x: x.topk(-1), "selected index k out of range"),
    "kthvalue": (lambda m, x: x.kthvalue(9), "selected number k out of range for dimension"),
    "unique": (lambda m, x: x.unique(dim=5), None),
    "unique_number": (lambda m, x: x[0, 0, 0].unique(dim=0), None),
    "unique_empty": (lambda m, x: x[:, :0].unique(dim=0), "There are 0 sized dimensions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_in_torch(case):
    call, phrase = REFUSED[case]
    refused(call, CUBE, phrase=phrase)


def test_topk_of_no_rows():
    same(lambda m, x: x.topk(1, 0, largest=False), floats(300, 1)[:, :0])
