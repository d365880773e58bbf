"""Histograms beside PyTorch's, and what of theirs is refused."""

import numpy as np
import pytest
import torch

import devtensor as dt
import samples
from samples import leaves

NAN, INF = float("nan"), float("inf")
CALLS = {
    "bins": lambda m, t: m.histogram(t([1.0, 2.0, 1.0, 4.0]), 4),
    "in a range": lambda m, t: m.histogram(t([1.0, 2.0, 5.0]), bins=4, range=(0.0, 3.0)),
    "weights": lambda m, t: m.histogram(t([1.0, 2.0]), 3, weight=t([0.5, 4.0]), density=True),
    "edges": lambda m, t: m.histogram(t([[1.0, 2.0], [1.5, 9.0]]), t([1.0, 1.5, 2.0])),
    "one number": lambda m, t: m.histogram(t([1.0, 1.0]), 2),
    "nothing": lambda m, t: m.histogram(t([]), 2),
    "NaN": lambda m, t: m.histogram(t([1.0, NAN, 2.0]), 2, range=(0.0, 2.0)),
    "method": lambda m, t: t([1.0, 2.0]).histogram(2),
    "out": lambda m, t: m.histogram(t([1.0, 2.0]), 2, out=(t([]), t([]))),
    "no bins": lambda m, t: m.histogram(t([1.0]), 0),
    "backwards": lambda m, t: m.histogram(t([1.0]), 3, range=(3.0, 1.0)),
    "half a range": lambda m, t: m.histogram(t([1.0]), 3, range=(3.0,)),
    "without an end": lambda m, t: m.histogram(t([1.0]), 3, range=(0.0, INF)),
    "NaN without a range": lambda m, t: m.histogram(t([NAN]), 3),
    "integers": lambda m, t: m.histogram(m.tensor([1, 2]), 3),
    "edges of another type": lambda m, t: m.histogram(t([1.0]), m.tensor([1, 2])),
    "edges in rows": lambda m, t: m.histogram(t([1.0]), t([[1.0, 2.0]])),
    "one edge": lambda m, t: m.histogram(t([1.0]), t([1.0])),
    "other weights": lambda m, t: m.histogram(t([1.0, 2.0]), 2, weight=t([1.0])),
    "points": lambda m, t: m.histogramdd(t([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), [3, 2]),
    "points and weights": lambda m, t: m.histogramdd(
        t([[0.0, 1.0], [2.0, 0.0]]), bins=3, weight=t([1.0, 3.0]), density=True
    ),
    "points in a range": lambda m, t: m.histogramdd(
        t([[0.0, 1.0], [2.0, 0.0]]), bins=2, range=[0.0, 1.0, 0.0, 2.0]
    ),
    "points and edges": lambda m, t: m.histogramdd(
        t([[0.0, 1.0], [2.0, 0.0]]), [t([0.0, 1.0, 2.0]), t([0.0, 2.0])]
    ),
    "too few bins": lambda m, t: m.histogramdd(t([[0.0, 1.0]]), bins=[3]),
    "no points": lambda m, t: m.histogramdd(t([0.0, 1.0]), bins=[3, 3]),
    "static": lambda m, t: m.nonzero_static(t([[0.0, 1.0], [2.0, 3.0]]), size=2),
    "static of more": lambda m, t: t([0.0, 3.0]).nonzero_static(size=3, fill_value=9),
    "static of a number": lambda m, t: m.nonzero_static(t(3.0), size=2),
    "static of nothing": lambda m, t: m.nonzero_static(t([]), size=2),
    "static of less": lambda m, t: m.nonzero_static(t([0.0]), size=-1),
}


def outcome(call):
    try:
        return call()
    except Exception as error:
        return error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_histograms(name, dtype):
    theirs, ours = (
        outcome(lambda m=m: CALLS[name](m, lambda x: m.tensor(x, dtype=getattr(m, dtype))))
        for m in (torch, dt)
    )
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), (ours, theirs)
        return
    theirs, ours = leaves(theirs), leaves(ours)
    assert len(theirs) == len(ours)
    for one, two in zip(ours, theirs, strict=True):
        assert repr(one.dtype) == repr(two.dtype)
        np.testing.assert_allclose(samples.numpy(one), samples.numpy(two), rtol=1e-6)


def test_random_points_beside_numpy(device):
    points = np.random.default_rng(4).standard_normal((500, 2))
    found, edges = dt.histogramdd(dt.tensor(points, device=device), [7, 4])
    wanted, wanted_edges = np.histogramdd(points, [7, 4])
    np.testing.assert_array_equal(samples.numpy(found), wanted)
    for one, two in zip(edges, wanted_edges, strict=True):
        np.testing.assert_allclose(samples.numpy(one), two, rtol=1e-12)
