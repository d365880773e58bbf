"""A few eigenpairs of large matrices, beside those of a whole decomposition."""

import numpy as np
import pytest
import torch

import devtensor as dt

M = 24


def symmetric(seed=0, size=M):
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T / size + np.eye(size)


def numbers(x):
    return np.asarray(x.tolist())


@pytest.mark.parametrize("largest", [True, False, None])
def test_pairs_are_those_of_the_whole_matrix(largest):
    a = symmetric()
    values, vectors = dt.lobpcg(dt.tensor(a), 3, largest=largest)
    exact = np.linalg.eigvalsh(a)
    np.testing.assert_allclose(numbers(values), exact[:3] if largest is False else exact[:-4:-1])
    x = numbers(vectors)
    np.testing.assert_allclose(a @ x, x * numbers(values), atol=1e-6)
    np.testing.assert_allclose(x.T @ x, np.eye(3), atol=1e-9)


def test_two_matrices():
    a, b = symmetric(), symmetric(1)
    values, x = map(numbers, dt.lobpcg(dt.tensor(a), 2, dt.tensor(b), iK=dt.tensor(b)))
    exact = np.sort(np.linalg.eigvals(np.linalg.solve(b, a)).real)
    np.testing.assert_allclose(values, exact[:-3:-1])
    np.testing.assert_allclose(a @ x, b @ x * values, atol=1e-6)
    np.testing.assert_allclose(x.T @ b @ x, np.eye(2), atol=1e-9)


def test_batches_and_sparse_matrices():
    a = symmetric()
    stacked = dt.tensor(np.stack([a, 2 * a])).reshape(2, 1, M, M)
    values, vectors = dt.lobpcg(stacked, 2)
    assert (values.shape, vectors.shape) == ((2, 1, 2), (2, 1, M, 2))
    np.testing.assert_allclose(numbers(values[1, 0]), 2 * numbers(values[0, 0]))
    found, _ = dt.lobpcg(dt.tensor(a).to_sparse(), 2)
    np.testing.assert_allclose(numbers(found), numbers(values[0, 0]))


def test_slopes_are_pytorchs():
    start = np.random.default_rng(2).standard_normal((M, 2))
    slopes = []
    for t in (torch, dt):
        a = t.tensor(symmetric(), requires_grad=True)
        values, vectors = t.lobpcg(a, X=t.tensor(start), tol=1e-12)
        weights = t.arange(2.0 * M, dtype=t.float64).reshape(M, 2)
        (values[0] * 2 + values[1] + (vectors**2 * weights).sum()).backward()
        slopes.append(numbers(a.grad))
    np.testing.assert_allclose(slopes[1], slopes[0], atol=1e-9)
    b = dt.tensor(symmetric(1), requires_grad=True)
    with pytest.raises(ValueError, match="does not support backward with B != I"):
        dt.lobpcg(a, B=b)[0].sum().backward()


def test_a_search_is_watched_and_stopped():
    steps = []

    def watch(search):
        steps.append((search.ivars["istep"], tuple(search.X.shape)))
        search.bvars["force_stop"] = len(steps) == 3

    a = dt.tensor(symmetric())
    dt.lobpcg(a, 2, n=3, largest=False, tracker=watch)
    assert steps == [(0, (M, 3)), (1, (M, 3)), (2, (M, 3))]
    seen = []
    dt.lobpcg(a, niter=1, tracker=lambda search: seen.append(search.ivars["istep"]))
    assert seen == [0, 1]


@pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
def test_what_is_refused(t):
    with pytest.raises(ValueError, match="LOBPCG algorithm is not applicable when the number of A"):
        t.lobpcg(t.eye(8), k=3)
    with pytest.raises(AssertionError, match="A must be square, got shape"):
        t.lobpcg(t.ones(3, 4))
