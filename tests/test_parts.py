"""Parts of arrays, and the threads that share them: the same numbers however many there are."""

import gc
import os
import threading
import time
import weakref

import numpy as np
import pytest

import devtensor as dt
import devtensor.nn.functional as F
from devtensor.settings import usual_threads
from devtensor_numpy.parts import BLAS, BLOCK, HELPERS, IDLE, MOST, Shared, each, even, parts

ENOUGH = 1 << 30


def all_are_back():
    """Wait for the threads: they may come to a job after their caller has gone on."""
    until = time.monotonic() + 20
    while len(IDLE) < len(HELPERS) and time.monotonic() < until:
        time.sleep(1e-4)
    assert len(IDLE) == len(HELPERS)


@pytest.fixture
def threads():
    """Set a number of threads, all of which wait; the number before comes back."""
    before = dt.get_num_threads()
    all_are_back()
    yield dt.set_num_threads
    dt.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 40_001])
@pytest.mark.parametrize("width", [0, 1, 3, 500, 70_000])
def test_parts_are_all_there_is(count, width):
    found = parts(count, width)
    ends = [0, *[part.stop for part in found]]
    assert ends[-1] == count and [part.start for part in found] == ends[:-1]
    sizes = {part.stop - part.start for part in found[:-1]}
    assert len(sizes) <= 1 and max(sizes, default=1) <= max(1, BLOCK // max(1, width))


def test_even_shares():
    assert [even(10, 4), even(9, 3), even(0, 4), even(1, 4)] == [4, 3, 0, 1]
    for count in range(1, 40):
        for most in range(1, 12):
            share = even(count, most)
            assert share <= most and -(-count // share) == -(-count // most)


def test_pieces_are_taken_once_each(threads):
    threads(3)
    for _ in range(20):
        taken = []
        each(taken.append, range(50), ENOUGH)
        assert sorted(taken) == list(range(50))


def test_an_error_in_a_thread_arrives_and_nothing_goes_on(threads):
    threads(3)
    meet = threading.Barrier(3)

    def work(piece):
        meet.wait(20)
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece"):
        each(work, range(3), ENOUGH)
    taken = []
    each(taken.append, range(5), ENOUGH)
    assert sorted(taken) == list(range(5))


def test_a_piece_may_have_pieces(threads):
    threads(3)
    found = np.zeros((6, 40))

    def inner(i, j):
        found[i, j] += 1

    each(lambda i: each(lambda j: inner(i, j), range(40), ENOUGH), range(6), ENOUGH)
    assert (found == 1).all()


def test_threads_are_few_where_work_is_short(threads):
    threads(2)
    before = len(HELPERS)
    for _ in range(2000):
        each(lambda piece: None, range(8), ENOUGH)
    assert len(HELPERS) <= max(2, before)


def test_without_more_threads_the_caller_works_alone(threads, monkeypatch):
    threads(3)

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    monkeypatch.setattr("devtensor_numpy.parts.IDLE", [])
    monkeypatch.setattr("devtensor_numpy.parts.HELPERS", [])
    taken = []
    each(taken.append, range(9), ENOUGH)
    assert taken == list(range(9))


def test_threads_wait_for_more_and_are_not_made_anew(threads):
    threads(3)
    each(lambda piece: time.sleep(1e-3), range(6), ENOUGH)
    for _ in range(200):
        all_are_back()
        before = len(HELPERS)
        each(lambda piece: None, range(6), ENOUGH)
        assert len(HELPERS) == before
    assert 2 <= before <= MOST


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_worked_on_is_let_go(threads, fails):
    threads(2)
    data = np.ones(4)
    gone = weakref.ref(data)
    meet = threading.Barrier(2)

    def work(piece, data):
        meet.wait(20)
        if fails and threading.current_thread() is not threading.main_thread():
            raise ValueError(f"piece {piece} of {data.sum()}")

    gc.disable()
    try:
        each(lambda piece, data=data: work(piece, data), range(2), ENOUGH)
    except ValueError:
        assert fails
    else:
        assert not fails
    finally:
        gc.enable()
    del data
    until = time.monotonic() + 20
    while gone() is not None and time.monotonic() < until:
        time.sleep(1e-4)
    assert gone() is None


def test_the_multiplying_library_keeps_to_the_number(threads):
    if not BLAS.ask():
        pytest.skip("NumPy is linked with a BLAS library that tells nothing of its threads")
    threads(2)
    before = BLAS.ask()
    inside = []
    each(lambda piece: inside.append(BLAS.ask()), range(4), ENOUGH)
    assert inside == [1] * 4 and BLAS.ask() == before


def test_the_environment_says_how_many_at_first(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    affinity = getattr(os, "sched_getaffinity", None)
    assert usual_threads() == (len(affinity(0)) if affinity else os.cpu_count())
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    assert usual_threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert usual_threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert usual_threads() == 5


RANDOM = np.random.default_rng(0)


def normal(*shape):
    """Numbers of a normal distribution."""
    return RANDOM.standard_normal(shape).astype(np.float32)


ROWS, IMAGES = normal(900, 130), normal(12, 8, 24, 24)
CLASSES = dt.tensor(RANDOM.integers(0, 130, 900))
HEADS = normal(3, 9, 70, 70, 16)
KERNEL, UP = normal(8, 8, 3, 3), normal(8, 4, 3, 3)
SHARED = {
    "softmax": (lambda x: F.softmax(x, -1), ROWS),
    "log_softmax": (lambda x: F.log_softmax(x, -1), ROWS),
    "sigmoid": (dt.sigmoid, ROWS),
    "gelu": (F.gelu, ROWS),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), ROWS),
    "silu": (F.silu, ROWS),
    "layer_norm": (lambda x: F.layer_norm(x, (130,), x[0], x[1]), ROWS),
    "rms_norm": (lambda x: F.rms_norm(x, (130,), x[0]), ROWS),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), IMAGES),
    "group_norm": (lambda x: F.group_norm(x, 2), IMAGES),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES), ROWS),
    "mse_loss": (lambda x: F.mse_loss(x, x.detach().flip(0)), ROWS),
    "logits": (lambda x: F.binary_cross_entropy_with_logits(x, dt.tensor(ROWS > 0).float()), ROWS),
    "attention": (lambda x: F.scaled_dot_product_attention(*x), HEADS),
    "causal": (lambda x: F.scaled_dot_product_attention(*x, is_causal=True), HEADS),
    "conv2d": (lambda x: F.conv2d(x, dt.tensor(KERNEL) * x.sum() * 1e-3, padding=1), IMAGES),
    "strided": (lambda x: F.conv2d(x, dt.tensor(KERNEL), stride=2), IMAGES),
    "transposed": (lambda x: F.conv_transpose2d(x, dt.tensor(UP), stride=2), IMAGES),
}


@pytest.mark.parametrize("name", SHARED)
def test_the_same_numbers_from_any_number_of_threads(name, threads, monkeypatch):
    function, data = SHARED[name]
    monkeypatch.setattr("devtensor_numpy.parts.SHARE", 1)
    found = []
    for number in (1, 3):
        threads(number)
        x = dt.tensor(data, device="cpu", requires_grad=True)
        y = function(x)
        y.backward(y.detach())
        found.append((y.detach().numpy(), x.grad.numpy()))
    for one, many in zip(*found, strict=True):
        np.testing.assert_array_equal(many, one)


PLAIN = {
    "exp": lambda x: x.exp(),
    "atan2": lambda x: x.atan2(x * x),
    "add a number": lambda x: x + 2.5,
    "less": lambda x: x < 0.25,
    "of columns": lambda x: x.t().tan(),
    "across": lambda x: x.hypot(x[0]),
    "in place": lambda x: x.clone().sinh_(),
}


@pytest.mark.parametrize("name", PLAIN)
def test_functions_of_numpy_are_shared_where_the_array_is_large(name, threads, monkeypatch):
    data = normal(500, 300)
    function = PLAIN[name]
    few = np.concatenate([function(dt.tensor(row, device="cpu")).numpy() for row in data[:, None]])
    if name == "of columns":
        few = np.tan(data).T
    elif name == "across":
        few = np.hypot(data, data[0])
    monkeypatch.setattr("devtensor_numpy.parts.SHARE", 1)
    threads(3)
    for mode in (dt.enable_grad, dt.inference_mode):
        with mode():
            found = function(dt.tensor(data, device="cpu")).numpy()
        np.testing.assert_array_equal(found, few)


def test_short_steps_are_shared_where_the_array_is_very_large(threads, monkeypatch):
    monkeypatch.setattr("devtensor_numpy.parts.SHARE", 1)
    shared, data = Shared(np.add), normal(3000)
    shared.least, shared.most = 2000, 500
    threads(3)
    np.testing.assert_array_equal(shared(data, data), data + data)
    out = np.empty_like(data)
    assert shared(data, np.float32(1), out=out) is out
    np.testing.assert_array_equal(out, data + 1)
    moved = data.copy()
    shared(moved[1:], moved[:-1], out=moved[1:])
    np.testing.assert_array_equal(moved[1:], data[1:] + data[:-1])
