"""The four modes, and that they leak nowhere."""

import asyncio
import concurrent.futures
import contextlib
import gc
import inspect
import threading
import warnings

import pytest

import devtensor as dt
from devtensor import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

MODES = [no_grad, enable_grad, inference_mode]


def flags():
    return is_grad_enabled(), dt.is_inference_mode_enabled()


def recorded():
    """Whether a launch from here is recorded."""
    return (dt.ones(1, requires_grad=True) * 2).requires_grad


@pytest.fixture(autouse=True)
def nothing_is_left():
    assert flags() == (True, False)
    yield
    assert flags() == (True, False)
    assert recorded()


@pytest.mark.parametrize(
    ("mode", "grad", "inference"),
    [(no_grad, False, False), (enable_grad, True, False), (inference_mode, False, True)],
)
def test_flags_in_a_block(mode, grad, inference):
    with mode() as bound:
        assert bound is None
        assert flags() == (grad, inference)
        assert recorded() is (grad and not inference)
    with pytest.raises(ZeroDivisionError), mode():
        _ = 1 / 0
    assert flags() == (True, False)


def test_nesting():
    with no_grad():
        with enable_grad():
            assert recorded()
            with inference_mode():
                assert flags() == (False, True)
                with enable_grad():
                    assert flags() == (True, True)
                    assert not recorded()
                with inference_mode(False):
                    assert recorded()
            assert recorded()
        assert not recorded()


def test_leaving_inference_mode_restores_the_flag_around_it():
    with no_grad(), inference_mode(False):
        assert flags() == (False, False)
    with no_grad(), inference_mode(), inference_mode(False):
        assert flags() == (False, False)


def test_set_grad_enabled_acts_when_it_is_made():
    set_grad_enabled(False)
    assert not recorded()
    with set_grad_enabled(True):
        assert recorded()
    assert not recorded()
    set_grad_enabled(True)
    context = set_grad_enabled(False)
    assert not is_grad_enabled()
    with context:
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with no_grad():
        set_grad_enabled(True)
        assert recorded()
    assert recorded()


def test_bare_calls_do_not_pile_up():
    from devtensor.autograd.mode import entries

    before = len(entries())
    for i in range(1000):
        set_grad_enabled(i % 2 == 0)
    set_grad_enabled(True)
    assert len(entries()) < before + 4


@pytest.mark.parametrize("wrong", [1, None, "no"])
def test_set_grad_enabled_wants_a_bool(wrong):
    with pytest.raises(TypeError, match="must be bool"):
        set_grad_enabled(wrong)


def test_crossing_blocks_undo_only_themselves():
    first, second = no_grad(), enable_grad()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert is_grad_enabled()
    second.__exit__(None, None, None)
    assert is_grad_enabled()
    one = no_grad()
    with one, one:  # the same instance twice
        assert not is_grad_enabled()
    assert is_grad_enabled()


# ---- decorators


@pytest.mark.parametrize("mode", [*MODES, lambda: set_grad_enabled(False)])
def test_functions_and_methods(mode):
    with mode():
        inside = flags()

    @mode()
    def function(x: int = 3) -> int:
        """Says."""
        return flags(), x

    assert is_grad_enabled()
    assert function(4) == (inside, 4)
    assert function.__name__ == "function" and function.__doc__ == "Says."
    assert "x: int = 3" in str(inspect.signature(function))
    assert function.__wrapped__(1)[0] == (True, False)

    class Thing:
        @mode()
        def method(self):
            return flags()

        @staticmethod
        @mode()
        def static():
            return flags()

        @classmethod
        @mode()
        def of_class(cls):
            return flags()

        @property
        @mode()
        def value(self):
            return flags()

    thing = Thing()
    assert thing.method() == Thing.static() == Thing.of_class() == thing.value == inside


def test_without_parentheses():
    for mode in MODES:
        with mode():
            inside = flags()
        assert mode(flags)() == inside


def test_generator():
    @no_grad()
    def generator():
        got = []
        try:
            got.append((yield flags()))
            got.append((yield flags()))
        except KeyError:
            yield "caught", flags()
        return got

    steps = generator()
    assert next(steps) == (False, False)
    assert is_grad_enabled()
    assert steps.send("a") == (False, False)
    assert steps.throw(KeyError()) == ("caught", (False, False))
    steps.close()
    steps = generator()
    next(steps)
    steps.send(1)
    with pytest.raises(StopIteration) as end:
        steps.send(2)
    assert end.value.value == [1, 2]


@pytest.mark.parametrize("mode", MODES)
def test_coroutine(mode):
    with mode():
        inside = flags()

    @mode()
    async def work():
        before = flags()
        await asyncio.sleep(0)
        return before, flags()

    assert asyncio.iscoroutinefunction(work)

    async def main():
        both = await asyncio.gather(work(), work())
        return both, flags()

    both, outside = asyncio.run(main())
    assert both == [(inside, inside)] * 2
    assert outside == (True, False)


def test_async_generator():
    @no_grad()
    async def numbers():
        for i in range(3):
            yield i, flags()

    async def main():
        seen = []
        async for i, inside in numbers():
            seen.append((i, inside, flags()))
        return seen

    assert asyncio.run(main()) == [(i, (False, False), (True, False)) for i in range(3)]


def test_class_is_warned_about():
    with pytest.warns(FutureWarning, match="only the construction"):

        @no_grad()
        class Thing:
            def __init__(self):
                self.flags = flags()

    assert Thing().flags == (False, False)


# ---- no leaks


def test_not_out_of_a_suspended_generator():
    def generator():
        with no_grad():
            yield flags()
            yield flags()

    steps = generator()
    assert next(steps) == (False, False)
    assert recorded()
    with inference_mode():
        assert next(steps) == (False, True)  # its block lies beneath ours
        assert flags() == (False, True)
    assert recorded()
    steps.close()


def test_not_out_of_a_generator_that_is_dropped():
    def generator():
        with no_grad():
            yield

    from devtensor.autograd.mode import entries

    before = entries()
    steps = generator()
    next(steps)
    assert len(entries()) == len(before) + 1
    del steps
    gc.collect()
    assert entries() == before


def test_two_generators_take_turns():
    def generator(mode):
        with mode():
            for _ in range(3):
                yield flags()

    one, two = generator(no_grad), generator(inference_mode)
    for _ in range(3):
        assert next(one)[0] is False
        assert next(two)[1] is True
        assert flags() == (True, False)


def test_a_context_manager_written_as_a_generator_holds():
    @contextlib.contextmanager
    def evaluating():
        with no_grad():
            yield

    with evaluating():
        assert not recorded()
    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating())
        stack.enter_context(inference_mode())
        assert flags() == (False, True)

    def generator():
        with evaluating():
            yield flags()

    steps = generator()
    assert next(steps) == (False, False)
    assert recorded()
    steps.close()


def test_not_between_tasks():
    async def holder(started, leave):
        with no_grad():
            started.set()
            await leave.wait()
            return flags()

    async def main():
        started, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(holder(started, leave))
        await started.wait()
        seen = flags(), recorded()
        leave.set()
        return seen, await task, flags()

    assert asyncio.run(main()) == (((True, False), True), (False, False), (True, False))


def test_not_into_another_thread():
    seen = []

    def work():
        seen.append((flags(), recorded()))
        set_grad_enabled(False)

    with inference_mode():
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(recorded).result()
        assert asyncio.run(asyncio.to_thread(recorded))
    assert seen == [((True, False), True)] * 2


def test_unused_mode_is_told():
    with pytest.warns(dt.UnusedModeWarning, match="never entered") as caught:
        no_grad()
        gc.collect()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with no_grad():
            pass
        no_grad()(flags)()
        set_grad_enabled(True)
        gc.collect()


# ---- what a mode does to results


def test_inference_tensors_have_nothing_to_maintain():
    x = dt.ones(3, requires_grad=True)
    with inference_mode():
        y = x * 2
        v = y[1:]
    for t in (y, v):
        assert t.is_inference() and not t.requires_grad and not t._is_view()
        assert t._alias is None
        with pytest.raises(RuntimeError, match="do not track version counter"):
            _ = t._version
    with pytest.raises(RuntimeError, match="cannot be saved for backward"):
        x * y
    assert (x + y).requires_grad
    before = y.tolist()
    for write in (lambda: y.add_(1), lambda: y.zero_(), lambda: y.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            write()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        y.detach().add_(1)
    assert y.tolist() == before
    assert (y.clone() * x).requires_grad


def test_buffers_are_used_again_only_if_nobody_sees_them():
    with inference_mode():
        x = dt.ones(1 << 17)
        y = x.mul(2)
        seen = y[:3]
        z = y.add(1).mul(3).exp()
        assert x[0] == 1 and y[0] == 2 and seen.tolist() == [2, 2, 2]
        assert z[0].item() == pytest.approx(8103.0839, rel=1e-5)
        kept = [x.add(i) for i in range(3)]
        assert [k[5].item() for k in kept] == [1, 2, 3]
        host = x.mul(5).numpy()
        again = dt.from_numpy(host).mul(2)
        assert host[0] == 5 and again[0] == 10


def test_dying_operands_give_their_memory():
    import tracemalloc

    def peak(mode):
        x = dt.ones(1 << 20)
        with mode():
            tracemalloc.start()
            x.mul(2).add(1).sin()
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(inference_mode)  # functions are written at their first call
    assert peak(inference_mode) < 0.6 * peak(no_grad)
