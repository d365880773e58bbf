"""The loader with worker processes: the same batches, and no crash that is not told of."""

import collections
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from torch.utils import data as theirs

import devtensor as dt
from data_beside import plain
from devtensor.utils import data as ours

sys.path.insert(0, str(Path(__file__).parent))
import worker_data
from worker_data import (
    Failing,
    Large,
    Noise,
    Squares,
    Stream,
    Unpicklable,
    Words,
)

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
METHODS = ["fork", "spawn", "forkserver"] if sys.platform == "linux" else ["spawn"]
HERE = str(Path(__file__).parent)


def processes():
    """The worker processes of this one."""
    found = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="], capture_output=True, text=True
    ).stdout
    return [line for line in found.splitlines() if " ps " not in line and "tracker" not in line]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def pids(iterator):
    return [worker.process.pid for worker in iterator.crew.workers]


def soon(condition, seconds=10.0):
    """Whether a condition comes true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


# ---- the same batches


@pytest.mark.parametrize("method", METHODS)
def test_every_start_method(method):
    loader = ours.DataLoader(Squares(), 3, num_workers=2, multiprocessing_context=method)
    alone = ours.DataLoader(Squares(), 3)
    batches = list(loader)
    assert plain([batch[:2] for batch in batches]) == plain([batch[:2] for batch in alone])
    assert {worker for batch in batches for worker in batch[2].tolist()} == {0, 1}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"batch_size": None},
                                     {"prefetch_factor": 1}, {"prefetch_factor": 7}])  # fmt: skip
def test_batches_are_those_of_one_process(workers, options):
    options = {"batch_size": 4, **options}
    with_workers = list(ours.DataLoader(Words(), num_workers=workers, **options))
    options.pop("prefetch_factor", None)
    assert plain(with_workers) == plain(list(ours.DataLoader(Words(), **options)))


def test_order_depends_on_the_seed_alone():
    def order(workers, seed, **options):
        dt.manual_seed(seed)
        loader = ours.DataLoader(Squares(30), 4, shuffle=True, num_workers=workers, **options)
        return [batch[1].tolist() for _ in range(2) for batch in loader]

    expected = order(0, seed=1)
    assert expected != order(0, seed=2)
    for workers in (1, 2, 3):
        assert order(workers, seed=1) == expected
    assert order(2, seed=1, persistent_workers=True) == expected


def test_random_numbers_in_workers():
    def noise(seed, **options):
        dt.manual_seed(seed)
        loader = ours.DataLoader(Noise(), 1, num_workers=2, **options)
        return [[item.item() for item in batch] for batch in loader]

    first = noise(1)
    assert noise(1) == first
    for kind in range(3):
        numbers = [row[kind] for row in first + noise(2)]
        assert len(set(numbers)) == len(numbers)  # no two workers, and no two passes, alike


def test_tensors_of_every_kind():
    values = [dt.tensor([True, False]), dt.ones(0), dt.arange(6.0).reshape(2, 3).T, dt.tensor(2.5),
              dt.ones(2, dtype=dt.complex64), dt.ones(1).expand(3, 3),
              dt.ones(3, requires_grad=True), dt.arange(5)[::2], np.arange(4)[::-1], "text",
              {"a": [dt.ones(2, dtype=dt.float16)]}]  # fmt: skip
    for source in (values, values[:1]):
        loader = ours.DataLoader(source, 1, num_workers=1, collate_fn=worker_data.first_of)
        for got, expected in zip(loader, source, strict=True):
            if isinstance(expected, np.ndarray):
                np.testing.assert_array_equal(got, expected)
                continue
            assert plain(got) == plain(expected)
            if isinstance(expected, dt.Tensor):
                assert got.requires_grad == expected.requires_grad
                dense = expected.untyped_storage().nbytes() <= expected.nbytes
                assert got.stride() == expected.stride() if dense else got.is_contiguous()


def test_large_batches_come_in_shared_memory():
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    kept = []
    for batch in ours.DataLoader(Large(), 2, num_workers=2):
        kept.append(batch)
        batch[0].add_(1)  # it is ours to write to
    assert [int(b[0][0, 0].item()) for b in kept] == [1, 3, 5]
    assert all((b[0] == b[1] + 1).all().item() for b in kept)
    if sys.platform == "linux":
        maps = Path("/proc/self/maps").read_text().count("devtensor-batch")
        assert maps == 3
        del batch
        kept.clear()
        gc.collect()
        assert "devtensor-batch" not in Path("/proc/self/maps").read_text()
        assert len(os.listdir("/proc/self/fd")) <= before
        assert not [name for name in os.listdir("/dev/shm") if "devtensor" in name]


@pytest.mark.skipif(sys.platform != "linux", reason="needs files in memory")
def test_many_batches_can_be_kept(monkeypatch):
    monkeypatch.setattr("devtensor.utils.data._transport.MOST_MAPS", 2)
    kept = list(ours.DataLoader(Large(8), 1, num_workers=1))
    assert Path("/proc/self/maps").read_text().count("devtensor-batch") in (2, 8)
    assert [int(b[0][0, -1].item()) for b in kept] == list(range(8))
    kept[-1][0].zero_()


def test_large_batches_without_shared_memory(monkeypatch):
    monkeypatch.setattr("devtensor.utils.data._transport.can_share", lambda: False)
    context = {"multiprocessing_context": "fork"} if sys.platform == "linux" else {}
    batches = list(ours.DataLoader(Large(), 2, num_workers=1, **context))
    assert [int(b[0][0, 0].item()) for b in batches] == [0, 2, 4]
    assert all((b[0] == b[1]).all().item() for b in batches)


def test_the_program_s_socket_timeout_does_not_matter():
    import socket

    socket.setdefaulttimeout(0.01)
    try:
        assert len(list(ours.DataLoader(Squares(4, pause=0.05), 2, num_workers=1))) == 2
    finally:
        socket.setdefaulttimeout(None)


def test_worker_init_fn():
    loader = ours.DataLoader(Squares(8), 2, num_workers=2, worker_init_fn=worker_data.set_attribute)
    assert {batch[0].shape[1] for batch in loader} == {10, 11}
    loader = ours.DataLoader(Squares(8), 2, num_workers=2, worker_init_fn=worker_data.failing_init)
    with pytest.raises(RuntimeError, match="worker 0 does not want to"):
        list(loader)


# ---- streams


class TheirStream(theirs.IterableDataset):
    def __init__(self, *counts):
        self.counts = counts

    def __iter__(self):
        info = theirs.get_worker_info()
        return (100 * info.id + i for i in range(self.counts[info.id]))


@pytest.mark.parametrize("counts", [(5, 5), (6, 1), (1, 6), (0, 3), (0, 0), (4, 0, 7)])
@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_streams_as_in_pytorch(counts, batch_size):
    options = {"batch_size": batch_size, "num_workers": len(counts)}
    expected = plain(list(theirs.DataLoader(TheirStream(*counts), **options)))
    loader = ours.DataLoader(Stream(*counts), **options)
    assert plain(list(loader)) == expected
    loader = ours.DataLoader(Stream(*counts), persistent_workers=True, **options)
    assert plain(list(loader)) == plain(list(loader)) == expected


def test_in_order_false_gives_everything():
    for source in (Squares(20, pause=0.01), Squares(1)):
        loader = ours.DataLoader(source, 2, num_workers=2, in_order=False)
        seen = [index for batch in loader for index in batch[1].tolist()]
        assert sorted(seen) == list(range(len(source)))
    loader = ours.DataLoader(Stream(3, 9), 2, num_workers=2, in_order=False)
    assert sorted(i for batch in loader for i in batch.tolist()) == [0, 1, 2, *range(100, 109)]


class Slow(Squares):
    def __getitem__(self, index):
        if index == 0:
            time.sleep(1.5)
        return super().__getitem__(index)


def test_in_order_false_does_not_wait():
    loader = ours.DataLoader(Slow(6), 1, num_workers=2, in_order=False)
    order = [batch[1].item() for batch in loader]
    assert order[0] == 1 and order[-2:] == [0, 2]  # the second of the worker that slept


# ---- workers that stay, and workers that go


def test_persistent_workers():
    loader = ours.DataLoader(Squares(10), 2, num_workers=2, persistent_workers=True)
    first = plain(list(loader))
    iterator = iter(loader)
    started = pids(iterator)
    next(iterator)  # a pass that is broken off
    assert plain(list(loader)) == first
    assert pids(iter(loader)) == started
    assert all(alive(pid) for pid in started)
    del loader, iterator
    assert soon(lambda: not any(alive(pid) for pid in started))


def test_workers_end_with_the_pass():
    iterator = iter(ours.DataLoader(Squares(6), 2, num_workers=2))
    started = pids(iterator)
    list(iterator)
    assert soon(lambda: not any(alive(pid) for pid in started), 2)
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_when_a_pass_is_broken_off(method):
    loader = ours.DataLoader(
        Large(100), 2, num_workers=2, multiprocessing_context=method, prefetch_factor=4
    )
    others = iter(ours.DataLoader(Squares(100), 2, num_workers=2, multiprocessing_context=method))
    next(others)
    iterator = iter(loader)
    next(iterator)
    started = pids(iterator)
    start = time.monotonic()
    del iterator
    assert time.monotonic() - start < 4
    assert soon(lambda: not any(alive(pid) for pid in started))
    assert len(list(others)) == 49  # those of another loader go on


def test_two_loaders_at_once():
    one = ours.DataLoader(Squares(12), 2, num_workers=2)
    two = ours.DataLoader(Large(6), 2, num_workers=2)
    seen = [(a[1].tolist(), int(b[0][0, 0].item())) for a, b in zip(one, two, strict=False)]
    assert seen == [([0, 1], 0), ([2, 3], 2), ([4, 5], 4)]
    assert [
        [b[1].tolist() for b in ours.DataLoader(Squares(2), 2, num_workers=1)] for _ in one
    ] == [[[0, 1]]] * 6


def test_workers_end_with_their_parent():
    """Even if it is killed, and whichever other processes have inherited its connections."""
    program = f"""
        import sys, time
        sys.path.insert(0, {HERE!r})
        import warnings; warnings.simplefilter("ignore")
        from worker_data import Large, Squares
        from devtensor.utils import data
        a = iter(data.DataLoader(Large(50), 2, num_workers=2))
        b = iter(data.DataLoader(Squares(50), 2, num_workers=2))
        next(a), next(b)
        print(*[w.process.pid for i in (a, b) for w in i.crew.workers], flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    with parent.stdout as output:
        started = [int(pid) for pid in output.readline().split()]
    assert len(started) == 4 and all(alive(pid) for pid in started)
    parent.kill()
    parent.wait()
    assert soon(lambda: not any(alive(pid) for pid in started), 12)


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "os.kill(os.getpid(), 2)"])
def test_a_program_that_ends_within_a_pass(end):
    program = f"""
        import os, sys
        sys.path.insert(0, {HERE!r})
        import warnings; warnings.simplefilter("ignore")
        from worker_data import Large
        from devtensor.utils import data
        loader = data.DataLoader(Large(50), 2, num_workers=2, persistent_workers=True)
        iterator = iter(loader)
        next(iterator)
        {end}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30
    )
    if "kill" in end:
        assert done.stderr.strip().endswith("KeyboardInterrupt")
    else:
        assert done.returncode == 0 and not done.stderr


# ---- what goes wrong


def by_method(cases, every):
    """Cases with the quickest start method, and some of them with "spawn", too."""
    quick = [(*case, METHODS[0]) for case in cases]
    return quick + [(*case, "spawn") for case in cases if case[0] in every and len(METHODS) > 1]


@pytest.mark.parametrize(
    ("how", "method"),
    by_method([("value",), ("key",), ("own",), ("local",), ("stop",)], every=("value", "local")),
)
def test_exceptions_come_with_their_traceback(how, method):
    kinds = {"value": ValueError, "key": KeyError}
    loader = ours.DataLoader(Failing(how), 2, num_workers=2, multiprocessing_context=method)
    iterator = iter(loader)
    good = [next(iterator), next(iterator)]
    assert plain(good) == plain([dt.tensor([0, 1]), dt.tensor([2, 3])])
    with pytest.raises(kinds.get(how, RuntimeError)) as error:
        next(iterator)
    text = str(error.value)
    assert "in DataLoader worker process 0" in text
    assert "Original Traceback" in text and "in fail" in text and "worker_data.py" in text
    if how in ("value", "key"):
        with pytest.raises(kinds[how]) as in_pytorch:
            list(theirs.DataLoader(Failing(how), 2, num_workers=2))
        assert text.splitlines()[0] == str(in_pytorch.value).splitlines()[0]
    assert next(iterator).tolist() == [6, 7]  # and the pass goes on, as in PyTorch


@pytest.mark.parametrize(
    ("how", "why", "method"),
    by_method(
        [("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit code 3"),
         ("sys.exit", "exit code 4")],
        every=("kill",),
    ),
)  # fmt: skip
def test_the_death_of_a_worker_is_an_error(how, why, method, capfd):
    loader = ours.DataLoader(Failing(how), 2, num_workers=2, multiprocessing_context=method)
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid\(s\) \d+\).*{why}"):
        list(loader)
    again = ours.DataLoader(Squares(4), 2, num_workers=1, multiprocessing_context=method)
    assert len(list(again)) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_workers_killed_from_outside(number):
    loader = ours.DataLoader(Large(400), 2, num_workers=2, prefetch_factor=2)
    iterator = iter(loader)
    next(iterator)
    started = pids(iterator)
    os.kill(started[0], number)
    with pytest.raises(RuntimeError, match=signal.Signals(number).name):
        list(iterator)
    assert soon(lambda: not any(alive(pid) for pid in started))


def test_persistent_workers_can_be_replaced_after_a_death():
    loader = ours.DataLoader(Squares(8), 2, num_workers=2, persistent_workers=True)
    list(loader)
    os.kill(pids(loader._iterator)[1], signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(loader)
    assert len(list(loader)) == 4


def test_batches_that_cannot_be_pickled():
    loader = ours.DataLoader(Unpicklable(), 1, num_workers=1, collate_fn=worker_data.as_is)
    with pytest.raises((AttributeError, pickle.PicklingError), match="worker process 0"):
        list(loader)


def test_data_sets_that_cannot_be_pickled():
    source = [1, 2]
    loader = ours.DataLoader(
        source, 1, num_workers=1, collate_fn=lambda b: b, multiprocessing_context="spawn"
    )
    before = processes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        list(loader)
    assert set(processes()) <= set(before)  # those of earlier tests may end meanwhile
    if "fork" in METHODS:
        loader.multiprocessing_context = "fork"
        assert list(loader) == [[1], [2]]


def test_timeout():
    loader = ours.DataLoader(Failing("hang"), 2, num_workers=2, timeout=0.5)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.5 seconds"):
        list(loader)
    assert time.monotonic() - start < 20


def test_samplers_that_fail():
    def sampler():
        yield 1
        yield 2
        raise OSError("no more numbers")

    with pytest.raises(OSError, match="no more numbers"):
        list(ours.DataLoader(Squares(), 1, sampler=sampler(), num_workers=1))


def test_prefetch_factor_zero():
    with pytest.raises(AssertionError, match="must be greater than 0"):
        iter(ours.DataLoader(Squares(), num_workers=1, prefetch_factor=0))


def test_many_small_passes_leave_nothing():
    gc.collect()
    fds, children = len(os.listdir("/proc/self/fd")), len(processes())
    for _ in range(10):
        for batch in ours.DataLoader(Squares(4), 2, num_workers=2):
            del batch
    assert len(os.listdir("/proc/self/fd")) <= fds + 1
    assert soon(lambda: len(processes()) <= children)


def test_batches_are_fetched_in_advance():
    """While one batch is used, the next are made."""

    def taken(workers):
        iterator = iter(ours.DataLoader(Squares(16, pause=0.05), 2, num_workers=workers))
        next(iterator)
        start = time.perf_counter()
        for _ in iterator:
            time.sleep(0.1)
        return time.perf_counter() - start

    assert taken(2) < 0.85 * taken(0)


def test_counts():
    loader = ours.DataLoader(Squares(20, pause=0.002), 1, num_workers=3)
    counts = collections.Counter(batch[2].item() for batch in loader)
    assert counts == {0: 7, 1: 7, 2: 6}  # in turn
