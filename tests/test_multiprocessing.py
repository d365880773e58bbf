"""Processes by PyTorch's names."""

import gc

import pytest

import devtensor as dt
from devtensor import multiprocessing as mp

pytestmark = pytest.mark.timeout(300)


def doubled(queue, x):
    queue.put(x * 2)


def steps(i, layer, queue):
    with dt.no_grad():
        layer.bias += i + 1
        layer.weight[0, 1] = 7
    queue.put((layer.bias.is_shared(), type(layer.bias).__name__, layer.bias.requires_grad))


def rank(i, queue, base):
    queue.put((i, (base + i).tolist()))


def fails(i, text):
    if i == 1:
        raise ValueError(text)


def leaves(i):
    raise SystemExit(7)


def test_tensors_go_to_processes_and_back():
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=doubled, args=(queue, dt.ones(3)))
    process.start()
    got = queue.get()
    process.join()
    assert process.exitcode == 0 and got.tolist() == [2, 2, 2]


def test_spawn_numbers_its_processes():
    queue = mp.get_context("spawn").SimpleQueue()
    assert mp.spawn(rank, args=(queue, dt.tensor([1.0, 2.0])), nprocs=2) is None
    assert sorted(queue.get() for _ in range(2)) == [(0, [1.0, 2.0]), (1, [2.0, 3.0])]


def test_processes_train_one_module():
    layer = dt.nn.Linear(2, 2)
    dt.nn.init.zeros_(layer.bias)
    assert not layer.bias.is_shared() and layer.share_memory().bias.is_shared()
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(steps, args=(layer, queue), nprocs=2)
    assert [queue.get() for _ in range(2)] == [(True, "Parameter", True)] * 2
    assert layer.bias.tolist() == [3, 3] and layer.weight[0, 1] == 7
    assert not layer.bias.clone().is_shared()


def test_shared_memory_is_let_go_of():
    from devtensor.multiprocessing import reductions

    before = dict(reductions.OPEN)
    x = dt.arange(6.0).view(2, 3).clone()
    assert x.share_memory_() is x and x.share_memory_().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x[1].is_shared() and len(reductions.OPEN) == len(before) + 1
    with pytest.raises(RuntimeError, match="a view cannot move to other memory alone"):
        dt.ones(3)[1:].share_memory_()
    sparse = dt.eye(2).to_sparse()
    with pytest.raises(RuntimeError, match="share its values"):
        sparse.share_memory_()
    assert not sparse.is_shared()
    assert dt.empty(0).share_memory_().is_shared()
    del x
    gc.collect()
    assert before == reductions.OPEN


def test_an_error_is_told_with_its_place():
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: too bad") as caught:
        mp.spawn(fails, args=("too bad",), nprocs=2)
    assert caught.value.error_index == 1 and "Process 1 terminated" in str(caught.value)
    with pytest.raises(mp.ProcessExitedException, match="exit code 7") as caught:
        mp.start_processes(leaves, nprocs=1)
    assert caught.value.exit_code == 7


def test_spawned_processes_can_be_joined_later():
    context = mp.spawn(fails, args=("",), nprocs=1, join=False)
    assert len(context.pids()) == 1
    while not context.join():
        pass
    assert context.processes[0].exitcode == 0


def test_strategies_and_the_rest():
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    mp.set_sharing_strategy("file_system")
    with pytest.raises(ValueError, match="shine"):
        mp.set_sharing_strategy("shine")
    import torch.multiprocessing as theirs

    public = {"Process", "Queue", "Pool", "Manager", "get_context", "set_start_method", "Lock"}
    public |= {"spawn", "start_processes", "SpawnContext", "ProcessContext", "cpu_count"}
    assert all(hasattr(mp, name) and hasattr(theirs, name) for name in public)


def test_the_file_of_spawned_processes_is_found():
    from devtensor.alias import counterpart

    module = counterpart("torch.multiprocessing.spawn")
    assert module.start_processes is dt.multiprocessing.start_processes
    assert dt.multiprocessing.spawn is module.spawn and callable(module.spawn)
    words = counterpart("torch.utils.data._utils.worker")._generate_state
    assert len({tuple(words(7 << 40, worker)) for worker in range(5)}) == 5
