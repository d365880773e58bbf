"""Several threads: passes, modes, first calls, and what is made when it is first needed."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import devtensor as dt
from devtensor.fast import quick
from devtensor.op import catalogue
from sides import SIDES, leaf

WORKERS = 8


@pytest.fixture(autouse=True)
def frequent_switches():
    """Let the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work, count=WORKERS):
    """Run `work(i)` in threads that begin at once; give what they return, or raise their error."""
    barrier = threading.Barrier(count)

    def begin(i):
        barrier.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


# ---- passes


def test_graphs_of_their_own():
    def work(i):
        random = np.random.default_rng(i)
        data = random.standard_normal((4, 4))
        found = []
        for _ in range(20):
            x = dt.tensor(data, requires_grad=True)
            y = (x @ x).tanh().softmax(0) * x
            z = (y[1:] * y[:-1]).sum() + y.max(1)[0].sum()
            z.backward()
            found.append(x.grad.tolist())
        assert found == [found[0]] * 20
        return found[0]

    assert together(work) == [work(i) for i in range(WORKERS)]


@SIDES
def test_gradients_of_shared_leaves_add_up_exactly(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)

    def work(i):
        for _ in range(50):
            (x * w * (i + 1)).sum().backward()

    together(work)
    total = 50 * sum(range(1, WORKERS + 1))
    assert x.grad.tolist() == [3.0 * total, 4.0 * total]
    assert w.grad.tolist() == [1.0 * total, 2.0 * total]


def test_the_first_gradients_of_a_leaf_meet():
    """Nothing is lost while what holds a gradient is being made."""
    for _ in range(100):
        x = leaf(dt, 1.0, 2.0)
        ys = [(x * 2).sum() for _ in range(4)]
        together(lambda i, ys=ys: ys[i].backward(), 4)
        assert x.grad.tolist() == [8.0, 8.0]


@SIDES
def test_a_shared_graph(lib):
    """Passes through one graph that is kept, from several threads."""
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).exp().sum()
    found = together(lambda i: lib.autograd.grad(y, x, retain_graph=True)[0].tolist(), 4)
    np.testing.assert_allclose(found, [(2 * np.array([1, 2]) * np.exp([1.0, 4.0])).tolist()] * 4)


def test_hooks_on_shared_leaves_are_all_kept():
    for _ in range(100):
        x, seen = leaf(dt, 1.0), []
        together(lambda i, x=x, seen=seen: x.register_hook(lambda g: seen.append(i)), 4)
        (x * 2).sum().backward()
        assert sorted(seen) == [0, 1, 2, 3]


def test_multi_grad_hooks_keep_passes_apart():
    x, w, seen = leaf(dt, 1.0), leaf(dt, 2.0), []
    dt.autograd.graph.register_multi_grad_hook(
        [x, w], lambda gs: seen.append(tuple(g.item() for g in gs))
    )

    def work(i):
        for _ in range(20):
            (x * (i + 1) + w * (10 * i + 10)).sum().backward()

    together(work, 4)
    assert sorted(seen) == sorted([(i + 1.0, 10.0 * i + 10) for i in range(4)] * 20)


def test_passes_within_hooks_in_several_threads():
    x = leaf(dt, 2.0)

    def work(i):
        y = x * 3
        inner = []
        y.register_hook(lambda g: inner.append(dt.autograd.grad(twice(), x)[0].item()))
        y.sum().backward()
        return inner

    def twice():
        with dt.enable_grad():
            return (x * x).sum()

    assert together(work, 4) == [[4.0]] * 4
    assert x.grad.item() == 12.0


# ---- modes


def test_every_thread_has_its_own_mode():
    modes = [dt.no_grad, dt.enable_grad, dt.inference_mode, lambda: dt.set_grad_enabled(False)]
    expected = [(False, False), (True, False), (False, True), (False, False)]
    x = leaf(dt, 1.0)

    def work(i):
        seen = set()
        for _ in range(200):
            with modes[i % 4]():
                y = x * 2
                seen.add((dt.is_grad_enabled(), dt.is_inference_mode_enabled()))
                seen.add((y.requires_grad, y.is_inference()))
            seen.add(((x * 2).requires_grad, False, "outside"))
        return seen

    for i, seen in enumerate(together(work)):
        assert seen == {expected[i % 4], (True, False, "outside")}


def test_watchers_are_of_their_thread():
    x = leaf(dt, 1.0)

    def work(i):
        packed = []
        if i % 2:
            hooks = dt.autograd.graph.saved_tensors_hooks(
                lambda t: packed.append(i) or t, lambda t: t
            )
            with hooks, dt.ledger() as book:
                for _ in range(50):
                    x.exp()
            return len(packed), book.launches
        for _ in range(50):
            x.exp()
        return len(packed), 0

    assert together(work) == [(50, 50) if i % 2 else (0, 0) for i in range(WORKERS)]


def test_a_thread_begins_with_the_defaults():
    with dt.inference_mode(), dt.device("strict:1"):
        made = together(lambda i: dt.ones(1), 2)
    assert not any(x.is_inference() for x in made)


# ---- what is made at the first need


def fresh(name):
    """An operation's function as it is before its first call."""
    return quick(catalogue[name].op)


def test_functions_are_written_while_others_call_them():
    """The first call of a function writes it; calls from other threads find it half written."""
    x = dt.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dt.float64, requires_grad=True)
    calls = {
        "mul": lambda f: f(x, x),
        "add": lambda f: f(x, other=2.0),
        "exp": lambda f: f(x),
        "matmul": lambda f: f(x, x),
        "softmax": lambda f: f(x, 0),
        "permute": lambda f: f(x, 1, 0),
        "softplus": lambda f: f(x, threshold=3),
        "gelu": lambda f: f(input=x, approximate="tanh"),
        "clamp": lambda f: f(x, min=1.5),
    }
    for name, call in calls.items():
        expected = call(catalogue[name].function)
        for _ in range(6):
            function = fresh(name)
            for found in together(lambda i, f=function, call=call: call(f)):
                assert found.tolist() == expected.tolist()
                assert found.requires_grad and found.grad_fn.name() == expected.grad_fn.name()


def test_one_function_on_two_devices_and_types_at_once():
    """What a function keeps of its last call must not reach another thread's call."""
    made = [
        dt.tensor([1.0, 2.0], dtype=dtype, device=device, requires_grad=True)
        for device in ("cpu", "strict:0", "strict:1")
        for dtype in (dt.float32, dt.float64)
    ]
    functions = [fresh("mul"), fresh("add"), fresh("softmax"), fresh("true_divide")]

    def work(i):
        x = made[i % len(made)]
        for _ in range(60):
            y = functions[3](functions[0](functions[1](x, x), 3.0), x)
            z = functions[2](y, 0)
            assert y.device == z.device == x.device and y.dtype == z.dtype == x.dtype
            assert y.tolist() == [6.0, 6.0] and z.tolist() == [0.5, 0.5]
        dt.autograd.grad(y.sum(), x)

    together(work, 6)


def test_in_place_on_two_devices_at_once():
    def work(i):
        x = dt.zeros(2, device=["cpu", "strict:0", "strict:1"][i % 3])
        for _ in range(100):
            x.add_(1).mul_(1.0).sub_(x * 0)
        return x.tolist()

    assert together(work, 6) == [[100.0, 100.0]] * 6


def test_one_write_at_a_time_is_counted():
    """Version counters are as exact as the writes are apart."""
    x = dt.zeros(4)
    views = [x[i : i + 1] for i in range(4)]

    def work(i):
        for _ in range(200):
            views[i].add_(1)

    together(work, 4)
    assert x.tolist() == [200.0] * 4
    assert x._version == 800


def test_devices_are_one_object_each():
    for kind in ("strict:0", "strict:1", "cpu"):
        found = together(lambda i, kind=kind: dt.device(kind))
        assert len({id(d) for d in found}) == 1


PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
import devtensor as dt
barrier, errors = threading.Barrier(8), []

def work(i):
    barrier.wait()
    try:
        x = dt.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        y = dt.nn.functional.layer_norm((x @ x).softmax(1) * x, (2,)).reshape(-1)[1:].exp_()
        (y.sum() + x.max(0)[0].sum() + dt.cat([x, x]).std()).backward()
        with dt.no_grad():
            x.sub_(x.grad)
        dt.optim.SGD([x], 0.1).step()
        import numpy as np
        assert np.isfinite(x.detach().numpy()).all()
        dt.save(x, __import__("io").BytesIO())
        repr(x)
    except BaseException as error:
        import traceback
        traceback.print_exc()
        errors.append(error)

threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
sys.exit(len(errors))
"""


def test_the_first_use_of_the_library_may_be_in_many_threads():
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
