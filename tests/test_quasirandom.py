"""Sobol's sequences beside PyTorch's."""

import copy
import sys

import numpy as np
import pytest
import torch

import devtensor as dt


@pytest.mark.parametrize("dimension", [1, 2, 7, 300])
def test_points_are_those_of_pytorch(dimension):
    engines = [lib.quasirandom.SobolEngine(dimension) for lib in (dt, torch)]
    for call in (
        lambda e: e.draw(),
        lambda e: e.draw(5),
        lambda e: e.fast_forward(9).draw(2),
        lambda e: e.reset().draw_base2(4),
        lambda e: e.draw_base2(4),
        lambda e: e.reset().fast_forward(3).draw(),
    ):
        ours, theirs = map(call, engines)
        assert ours.dtype is dt.float32
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert engines[0].num_generated == engines[1].num_generated
    assert repr(engines[0]) == repr(engines[1])
    ours = engines[0].draw(3, dtype=dt.float64)
    theirs = engines[1].draw(3, dtype=torch.float64)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    again = copy.deepcopy(engines[0])
    assert dt.equal(again.draw(2), engines[0].draw(2))


def test_results_are_put_where_they_are_wanted():
    out = dt.empty(3, 2)
    assert dt.quasirandom.SobolEngine(2).draw(4, out=out) is out
    assert out.tolist() == [[0.0, 0.0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    assert dt.quasirandom.SobolEngine(2).draw(0).shape == (0, 2)


def test_moved_points_stay_even_and_follow_the_seed():
    one, two, other = (dt.quasirandom.SobolEngine(3, True, seed).draw(64) for seed in (5, 5, 6))
    assert dt.equal(one, two) and not dt.equal(one, other)
    for column in one.T:  # as many in each part of each axis
        assert (column * 64).floor().sort()[0].tolist() == list(range(64))
    drawn = []
    for seed in (1, 1, 2):
        dt.manual_seed(seed)
        drawn.append(dt.quasirandom.SobolEngine(3, scramble=True).draw(4))
    assert dt.equal(drawn[0], drawn[1]) and not dt.equal(drawn[0], drawn[2])
    assert repr(dt.quasirandom.SobolEngine(3, True, 5)) == repr(
        torch.quasirandom.SobolEngine(3, True, 5)
    )


def test_what_cannot_be_is_refused(monkeypatch):
    for dimension in (0, 21202):
        with pytest.raises(ValueError, match="Supported range of dimensionality"):
            dt.quasirandom.SobolEngine(dimension)
    engine = dt.quasirandom.SobolEngine(2)
    with pytest.raises(RuntimeError, match="negative dimension -1"):
        engine.draw(-1)
    engine.draw(2)
    with pytest.raises(ValueError, match="n=2"):
        engine.draw_base2(2)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        dt.quasirandom.SobolEngine(2)
