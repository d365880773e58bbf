"""``futures``: results that are not there yet."""

import threading

import pytest

from devtensor.futures import Future, collect_all, wait_all


def test_a_result_is_waited_for():
    future = Future()
    threading.Timer(0.05, future.set_result, (3,)).start()
    assert future.wait() == 3
    assert future.done()
    assert future.value() == 3


def test_a_value_must_be_there_and_is_set_once():
    future = Future()
    with pytest.raises(RuntimeError, match="no value yet"):
        future.value()
    future.set_result(1)
    with pytest.raises(RuntimeError, match="only once"):
        future.set_result(2)


def test_what_follows():
    future, seen = Future(), []
    future.add_done_callback(lambda done: seen.append(done.value()))
    after = future.then(lambda done: done.value() * 2)
    failing = future.then(lambda done: 1 // 0)
    future.set_result(4)
    assert seen == [4]
    assert after.wait() == 8
    with pytest.raises(ZeroDivisionError):
        failing.wait()


def test_errors_are_raised_where_one_waits():
    future = Future()
    future.set_exception(KeyError("a"))
    with pytest.raises(KeyError):
        future.wait()
    with pytest.raises(AssertionError, match="not an Exception"):
        Future().set_exception("a")


def test_all_of_several():
    futures = [Future() for _ in range(3)]
    together = collect_all(futures)
    for number, future in enumerate(futures):
        assert not together.done()
        future.set_result(number)
    assert wait_all(together.wait()) == [0, 1, 2]
    assert collect_all([]).wait() == []
