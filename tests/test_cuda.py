"""CuPy as the device ``cuda``.

What needs a device runs where CuPy finds one: a GPU, or the stand-in `cupy_on_cpu`, which runs
CuPy's own kernels on the processor when its folder is in ``PYTHONPATH``. The rest runs everywhere.
"""

import ast
import inspect
import os
import subprocess
import sys
import textwrap
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import devices
import devtensor as dt
import devtensor.cuda
import test_backend
from devtensor.op import catalogue

ABSENT = devices.absent("cuda")
AVAILABLE = ABSENT is None
REASON = "" if AVAILABLE else devices.missing("cuda", ABSENT)
needs_device = pytest.mark.skipif(not AVAILABLE, reason=REASON)
needs_two = pytest.mark.skipif(dt.cuda.device_count() < 2, reason="there are no two CUDA devices")

# ---- what every backend's namespace is tested for, on the last device


@pytest.fixture
def library():
    if not AVAILABLE:
        pytest.skip(REASON)
    last = dt.cuda.device_count() - 1

    class Library(test_backend.Library):
        def __call__(self, data, dtype=None):
            data = np.asarray(data, dtype)
            return self.backend.array(data, self.backend.native[dt.from_numpy(data).dtype], last)

    with dt.cuda.device(last):
        yield Library("cuda")


for name, test in vars(test_backend).items():
    code = getattr(test, "__code__", None)
    if name.startswith("test_") and "library" in code.co_varnames[: code.co_argcount]:
        globals()[name] = test
del name, test, code


# ---- the device


@needs_device
def test_there_and_back():
    x = dt.tensor([[1.5, -2.0], [0.0, 4.0]])
    y = x.to("cuda")
    assert y.device == dt.device("cuda:0") and y.is_cuda and not y.is_cpu
    assert y.to("cuda") is y and y.to("cuda:0", copy=True) is not y
    assert y.cpu().tolist() == x.tolist()
    assert x.cuda().equal(y)
    assert y.to(x).device == x.device
    y[0, 0] = 7
    assert x[0, 0] == 1.5
    with pytest.raises(TypeError, match=r"Tensor\.cpu\(\)"):
        y.numpy()
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        x + y
    assert (y + dt.tensor(1.0)).device == y.device  # a number of the host joins
    with pytest.raises(RuntimeError, match=f"cuda:9; there are {dt.cuda.device_count()}"):
        dt.zeros(1, device="cuda:9")


@needs_device
def test_arrays_of_cupy_are_looked_at_not_copied():
    import cupy

    array = cupy.arange(6.0).reshape(2, 3)
    x = dt.as_tensor(array)
    assert x.device == dt.device("cuda:0") and x.dtype == dt.float64
    x[0, 0] = 9
    assert float(array[0, 0]) == 9
    z = dt.from_dlpack(array)
    assert z.data_ptr() == x.data_ptr() == array.data.ptr
    back = cupy.from_dlpack(x)
    assert back.data.ptr == array.data.ptr
    x = x.detach().requires_grad_()
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.cpu().numpy(), 2 * array.get())
    assert type(x.grad.array) is cupy.ndarray
    assert not hasattr(x.detach(), "__sycl_usm_array_interface__")
    with pytest.raises(RuntimeError, match="detach"):
        _ = x.__cuda_array_interface__
    with pytest.raises(ValueError, match="negative"):
        dt.as_tensor(array[::-1])


@needs_two
def test_everything_stays_on_the_second_device():
    dt.manual_seed(0)
    x = dt.randn(4, 3, device="cuda:1", requires_grad=True)
    y = x[[0, 2]].relu().sum(0).expand(2, 3).reshape(-1).sort().values.cumsum(0)
    z = dt.cat([y, dt.zeros(2, device="cuda:1")]).unfold(0, 3, 2).std(1)
    assert all(part.device == dt.device("cuda:1") for part in (y, z))
    assert z._array.data.device_id == 1
    assert dt.cuda.current_device() == 0
    with dt.cuda.device(1):
        assert dt.zeros(2, device="cuda").device == dt.device("cuda:1")
    assert dt.cuda.current_device() == 0


@needs_two
def test_devices_copy_without_the_host(monkeypatch):
    backend = dt.device("cuda").backend

    def refuse(array):
        raise AssertionError("a copy from device to device went through the host")

    base = dt.arange(1 << 12, dtype=dt.float32, device="cuda:0")
    kept = []
    with monkeypatch.context() as patch:
        patch.setattr(type(backend), "to_host", lambda self, array: refuse(array))
        for n in range(1000):
            x = base * n
            y = x.to("cuda:1")
            x.zero_()  # must come after the copy
            kept.append((y.sum(), y[::2].t().to("cuda:0", dt.float64), y.device))
            del x, y
        empty, number = dt.zeros(0, 3, device="cuda:0").to("cuda:1"), base[7].to("cuda:1")
    assert empty.shape == (0, 3) and number.item() == 7 and number.device.index == 1
    numbers = np.arange(1 << 12)
    for n, (total, half, device) in enumerate(kept):
        assert device == dt.device("cuda:1") and half.device == dt.device("cuda:0")
        assert half[3].item() == 6 * n
        assert total.item() == pytest.approx(n * numbers.sum(), rel=1e-6)
    assert dt.cuda.current_device() == 0


@needs_two
def test_copies_wait_for_the_streams_that_they_read_and_write():
    first, second = dt.cuda.Stream(0), dt.cuda.Stream(1)
    x = dt.ones(1000, device="cuda:0")
    first.wait_stream(dt.cuda.current_stream(0))
    with dt.cuda.stream(first), dt.cuda.stream(second):
        for n in range(50):
            y = (x * n).to("cuda:1") + 1
            assert y.sum().item() == 1000 * (n + 1)


@needs_two
def test_copies_between_two_threads_and_devices():
    errors = []

    def work(here, there):
        try:
            for n in range(100):
                x = dt.full((257,), float(n), device=here)
                assert (x * 2).to(there).to(here).sum().item() == 514 * n
        except BaseException as error:
            errors.append(error)

    places = [("cuda:0", "cuda:1"), ("cuda:1", "cuda:0"), ("cuda:0", "cpu"), ("cuda:1", "cpu")]
    threads = [threading.Thread(target=work, args=pair) for pair in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def crossing(places, steps=1):
    """Gradients of a computation that goes from place to place, and back."""
    dt.manual_seed(0)
    first, second, third = places
    double = dt.float64
    a = dt.randn(3, 4, dtype=double).to(first).requires_grad_()
    w = dt.randn(4, 5, dtype=double).to(second).requires_grad_()
    v = dt.randn(5, 2, dtype=double).to(third).requires_grad_()
    h = (a.to(second) @ w).tanh()
    there = h.to(third)
    z = ((there * there + there) @ v).sum() + (h * 2).to(first).sum().to(third)
    z = z + (h * h).sum().to(first).to(third) * (h.to(first) * a.sum()).sum().to(third)
    (z * z).backward()
    once = [p.grad for p in (a, w, v)]
    y = (a.to(second) @ w).sin().to(third).sum() * v.sum()
    (g,) = dt.autograd.grad(y, w, create_graph=True)
    twice = dt.autograd.grad((g * g).sum().to(first), [a, w, v])
    for p, one, two in zip((a, w, v), once, twice, strict=True):
        assert one.device == two.device == p.device
        assert getattr(one._array, "device", None) is None or p.device.index is None or (
            one._array.data.device_id == two._array.data.device_id == p.device.index
        )  # fmt: skip
    return [x.cpu().numpy() for x in (*once, *twice)]


@needs_two
@pytest.mark.parametrize(
    "places",
    [("cpu", "cuda:1", "cuda:0"), ("cuda:0", "cuda:1", "cpu"), ("cuda:1", "cuda:0", "cuda:1")],
)
def test_gradients_cross_devices(places):
    before = dt.cuda.current_device()
    for ours, wanted in zip(crossing(places), crossing(["cpu"] * 3), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-11, atol=1e-11)
    assert dt.cuda.current_device() == before


@needs_device
@pytest.mark.parametrize("place", ["cuda:0", pytest.param("cuda:1", marks=needs_two)])
def test_a_network_learns_as_on_the_cpu(place):
    def losses(device):
        dt.manual_seed(1)
        nn = dt.nn
        net = nn.Sequential(
            nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.LayerNorm(16), nn.Linear(16, 3)
        ).to(device)
        adam = dt.optim.Adam(net.parameters(), lr=0.01)
        x, y = dt.randn(32, 6).to(device), dt.randint(0, 3, (32,)).to(device)
        found = []
        for _ in range(12):
            order = dt.randperm(32, device=device)[:16]
            adam.zero_grad()
            loss = nn.functional.cross_entropy(net(x[order]), y[order])
            loss.backward()
            adam.step()
            found.append(loss.item())
        return found

    wanted = losses("cpu")
    np.testing.assert_allclose(losses(place), wanted, rtol=0, atol=1e-4)
    assert wanted[-1] < wanted[0]


@needs_device
@pytest.mark.parametrize("draw", ["rand", "randn", "randint", "randperm", "bernoulli", "dropout"])
def test_same_seed_same_numbers(draw):
    def drawn(device):
        dt.manual_seed(3)
        return {
            "rand": lambda: dt.rand(7, 5, device=device),
            "randn": lambda: dt.randn(33, device=device),
            "randint": lambda: dt.randint(0, 1000, (50,), device=device),
            "randperm": lambda: dt.randperm(40, device=device),
            "bernoulli": lambda: dt.full((64,), 0.3, device=device).bernoulli(),
            "dropout": lambda: dt.nn.functional.dropout(dt.ones(64, device=device), 0.4),
        }[draw]()

    ours, wanted = drawn("cuda").cpu().numpy(), drawn("cpu").numpy()
    if draw == "randn":  # by logarithms and cosines, which libraries round their own way
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(ours, wanted)


@needs_device
def test_random_bits_of_the_kernel():
    philox = catalogue["philox"].op.kernel
    from devtensor.space import kernel_for, space_of

    here = kernel_for(catalogue["philox"].op, dt.device("cuda:0"))
    common = space_of(dt.device("cuda:0"))
    for count in (0, 1, 4, 7, 1001):
        for seed, offset, stream in ((0, 0, 0), (2**64 - 1, 2**32 - 3, 2), (12345678901234, 7, 0)):
            ours = here(count, seed=seed, offset=offset, stream=stream)
            wanted = philox(common, count, seed, offset, stream)
            np.testing.assert_array_equal(ours.get(), wanted.get())


@needs_device
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, i: x[i],
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.gather(0, i[:, None]),
        lambda x, i: x.scatter(0, i[:, None], 1.0),
        lambda x, i: x.scatter_add(0, i[:, None], x[:2]),
        lambda x, i: x.index_add(0, i, x[:2]),
        lambda x, i: x.index_put((i,), dt.ones((), device=x.device)),
        lambda x, i: dt.nn.functional.embedding(i, x),
        lambda x, i: x.take(i * 3),
    ],
)
def test_indices_out_of_range_are_refused(wrong):
    x = dt.randn(3, 2, device="cuda")
    old = x.tolist()
    with pytest.raises((IndexError, RuntimeError)):
        wrong(x, dt.tensor([0, 3], device="cuda"))
    assert x.tolist() == old
    wrong(x, dt.tensor([0, 1], device="cuda"))


# ---- memory, streams


@needs_device
def test_memory_is_counted():
    dt.zeros(2, device="cuda") + 1  # the number is kept
    dt.cuda.synchronize()
    dt.cuda.empty_cache()
    dt.cuda.reset_peak_memory_stats()
    before = dt.cuda.memory_allocated()
    x = dt.zeros(1000, 1000, device="cuda")
    y = x + 1
    assert dt.cuda.memory_allocated() - before >= 8_000_000
    del x, y
    assert dt.cuda.memory_allocated() == before
    assert dt.cuda.max_memory_allocated() - before >= 8_000_000
    assert dt.cuda.memory_reserved() >= 8_000_000
    dt.cuda.empty_cache()
    free, total = dt.cuda.mem_get_info()
    assert 0 < free <= total == dt.cuda.get_device_properties().total_memory


@needs_device
def test_a_process_takes_a_part_of_the_memory_at_most():
    import cupy

    old = cupy.get_default_memory_pool().get_limit()
    total = dt.cuda.mem_get_info()[1]
    try:
        dt.cuda.set_per_process_memory_fraction(0.5)
        assert cupy.get_default_memory_pool().get_limit() == total // 2
        assert abs(dt.cuda.get_per_process_memory_fraction() - 0.5) < 1e-6
    finally:
        cupy.get_default_memory_pool().set_limit(size=old)
    if not old:
        assert dt.cuda.get_per_process_memory_fraction() == 1
    for wrong, error in ((1, TypeError), (1.5, ValueError), (-0.1, ValueError)):
        with pytest.raises(error, match="fraction"):
            dt.cuda.set_per_process_memory_fraction(wrong)


@needs_device
def test_out_of_memory_says_so_and_leaves_everything_usable():
    import cupy

    pool = cupy.get_default_memory_pool()
    x = dt.ones(10, device="cuda")
    old = pool.get_limit()
    pool.free_all_blocks()
    pool.set_limit(pool.total_bytes() + (1 << 20))
    large = pool.total_bytes() // 4 + (1 << 20)
    try:
        for fail in (
            lambda: dt.zeros(large, device="cuda"),
            lambda: x.reshape(10, 1) + dt.zeros(1, large // 8, device="cuda"),
            lambda: dt.zeros(large).to("cuda"),
        ):
            with pytest.raises(dt.cuda.OutOfMemoryError, match="out of memory on cuda:0"):
                fail()
            assert (x + 1).sum().item() == 20
    finally:
        pool.set_limit(old)
    assert dt.zeros(1 << 20, device="cuda").sum().item() == 0
    with pytest.raises(dt.cuda.OutOfMemoryError, match="GiB"):
        dt.empty(1 << 50, device="cuda")


@needs_device
def test_streams_and_events():
    stream = dt.cuda.Stream()
    x = dt.ones(100, device="cuda")
    stream.wait_stream(dt.cuda.current_stream())
    assert dt.cuda.current_stream() == dt.cuda.default_stream()
    start, end = dt.cuda.Event(enable_timing=True), dt.cuda.Event(enable_timing=True)
    with dt.cuda.stream(stream):
        assert dt.cuda.current_stream() == stream
        start.record()
        y = x * 2
        end.record()
    assert dt.cuda.current_stream() == dt.cuda.default_stream()
    dt.cuda.current_stream().wait_event(end)
    assert (y + 1).sum().item() == 300
    stream.synchronize()
    assert end.query() and start.elapsed_time(end) >= 0
    mark = stream.record_event()
    mark.synchronize()
    assert mark.query()


@needs_device
def test_threads_have_devices_of_their_own():
    count = dt.cuda.device_count()
    found = {}

    def work(index):
        dt.cuda.set_device(index)
        w = dt.full((8, 8), 0.1, device="cuda", requires_grad=True)
        for _ in range(5):
            (w @ w).tanh().sum().backward()
        found[index] = (w.grad.device.index, w.grad.sum().item(), dt.cuda.current_device())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [found[i][0] for i in range(count)] == [found[i][2] for i in range(count)]
    assert [found[i][0] for i in range(count)] == list(range(count))
    assert len({found[i][1] for i in range(count)}) == 1
    assert dt.cuda.current_device() == 0


@needs_device
def test_properties():
    found = dt.cuda.get_device_properties(0)
    assert found.name == dt.cuda.get_device_name() and found.multi_processor_count > 0
    assert dt.cuda.get_device_capability() == (found.major, found.minor)
    assert dt.cuda.is_initialized()


# ---- what waits for the device

MUST_WAIT = {
    "indices are checked, because CuPy takes wrong ones for others": (
        "index take_at put_at gather_at scatter_at scatter_add_at scatter_reduce_at "
        "index_select_at index_add_at index_copy_at embedding_at class_likelihood class_entropy "
        "class_shares class_slope coin_entropy row_exchanges lu_packed masked_collect "
        "masked_scatter sampled sampled_slopes strided_spread repeated_positions ldl_packed "
        "ldl_places"
    ),
    "the size of the result depends on the numbers": (
        "nonzero_at unique_flat unique_rows bincount occurrences histc"
    ),
    "the formula asks for numbers": (
        "floor_divide gcd lcm triangle median_all median_dim nanmedian_all nanmedian_dim mode "
        "is_among linalg_matrix_exp special_chebyshev_polynomial_t special_chebyshev_polynomial_u "
        "special_chebyshev_polynomial_v special_chebyshev_polynomial_w "
        "special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u "
        "special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w "
        "special_hermite_polynomial_h special_hermite_polynomial_he "
        "special_laguerre_polynomial_l special_legendre_polynomial_p special_zeta"
    ),
    "solvers notice what they cannot solve; the stand-in has them, and transforms, on the host": (
        "linalg_det cofactors linalg_slogdet linalg_inv solve_matrices linalg_solve_triangular "
        "cholesky_solve "
        "linalg_cholesky linalg_qr linalg_svd linalg_svdvals linalg_eigh linalg_eigvalsh "
        "linalg_pinv linalg_matrix_rank linalg_eig eigenvalues_alone fft_c2c fft_r2c fft_c2r"
    ),
    "the stand-in sorts on the host": "sort argsort kthvalue max_dim min_dim",
}
"""Operations that wait for the device, by the reason."""

WAITING = """if True:
    import devices
    devices.use_stand_in()
    import cupy
    import devtensor as dt
    import samples

    def waits(call):
        call()  # compiles what it needs
        stream = cupy.cuda.get_current_stream()
        stream.synchronize()
        mark = cupy.cuda.Event()
        cupy.arange(10) + 1
        mark.record()
        assert not mark.done  # the stand-in does nothing before somebody waits
        call()
        waited = mark.done
        stream.synchronize()
        return waited

    dt.set_default_device("cuda:0")
    x = dt.ones(8, 8, requires_grad=True)
    module = dt.nn.Sequential(dt.nn.Linear(8, 8), dt.nn.GELU(), dt.nn.LayerNorm(8), dt.nn.Dropout())
    adam = dt.optim.Adam(module.parameters(), lr=0.1)

    def step():
        adam.zero_grad()
        (module(x) - 1).square().mean().backward()
        adam.step()

    assert waits(lambda: x.sum().item())
    assert not waits(step)
    assert not waits(lambda: x * dt.tensor(3.0, device="cpu"))
    assert not waits(lambda: dt.rand(3, 3) < 0.5)
    firsts, found = {}, []
    for case in samples.cases(lambda entry: entry.op is not None and not entry.op.writes):
        firsts.setdefault(case.name, case)
    for name, case in firsts.items():
        xs = [dt.tensor(array) for array in case.arrays()]
        if waits(lambda: case.call(xs)):
            found.append(name)
    print(*found)
"""


@pytest.mark.skipif(not find_spec("cupy_on_cpu"), reason="the stand-in alone tells who waits")
@pytest.mark.timeout(600)  # the first time the stand-in compiles every kernel
@needs_device
def test_which_operations_wait():
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, os.path.join(here, "ops"), os.environ.get("PYTHONPATH", "")])
    waiting = set(python(WAITING, 500, SHIM_ASYNC="1", PYTHONPATH=path).split())
    listed = {name for names in MUST_WAIT.values() for name in names.split()}
    assert waiting <= listed, "they wait for the device: can they do without, or why not?"
    assert listed <= set(catalogue)


FULL = """if True:
    import devices
    devices.use_stand_in()
    import devtensor as dt

    def fill(device):
        held = []
        try:
            while True:
                held.append(dt.ones(1 << 20, device=device))
        except dt.cuda.OutOfMemoryError as error:
            assert isinstance(error, MemoryError)  # as CuPy's is
            assert f"out of memory on {device}" in str(error), error
        assert len(held) > 5
        return held

    for device in ("cuda:1", "cuda:0"):
        w = dt.ones(1 << 18, device=device, requires_grad=True)
        held = fill(device)
        for work in (lambda: (w * held[0][: 1 << 18]).exp().sin().sum().backward(),
                     lambda: w.expand(16, 1 << 18).contiguous()):
            try:
                for _ in range(40):
                    held.append(work())
                    held.append(dt.ones(1 << 18, device=device))
            except dt.cuda.OutOfMemoryError:
                pass
            else:
                raise AssertionError("there was memory left")
        assert sum(float(x.sum()) == 1 << 20 for x in held[:5]) == 5
        del held
        w.grad = None
        (w * 2).sum().backward()
        assert float(w.grad.sum()) == 2 << 18
        assert len(fill(device)) > 5
    print("usable")
"""


@pytest.mark.skipif(not find_spec("cupy_on_cpu"), reason="the stand-in alone has little memory")
@needs_device
def test_a_full_device_is_usable_afterwards():
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    assert python(FULL, SHIM_MEM=str(64 << 20), PYTHONPATH=path) == "usable"


# ---- what is wrong where there is no device, and what it costs to ask


def python(code, seconds=100, **environment):
    """Run a program in a process of its own, without the stand-in; what it prints."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.strip()


def test_without_cupy():
    said = python(
        """
        import sys
        import importlib.util
        old = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "cupy" else old(name, *rest)
        import devtensor as dt, devtensor.cuda
        assert not dt.cuda.is_available() and dt.cuda.device_count() == 0
        assert "cupy" not in sys.modules and not dt.cuda.is_initialized()
        for use in (lambda: dt.zeros(1, device="cuda"), lambda: dt.zeros(1).cuda()):
            try:
                use()
            except RuntimeError as error:
                print(error)
        assert dt.cuda.memory_allocated() == 0 and dt.cuda.memory_stats() == {}
        dt.cuda.empty_cache(); dt.cuda.manual_seed_all(1)
        """
    )
    lines = said.split("\n")
    assert len(lines) == 2 and lines[0] == lines[1]
    assert "not installed" in lines[0] and 'pip install "devtensor[cuda13]"' in lines[0]


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
def test_without_a_driver():
    said = python(
        """
        import ctypes, sys
        real = ctypes.CDLL
        def none(name, *args, **kwargs):
            if name and "cuda" in name:
                raise OSError(name)
            return real(name, *args, **kwargs)
        ctypes.CDLL = none
        import devtensor as dt, devtensor.cuda
        assert not dt.cuda.is_available()
        try:
            dt.zeros(1, device="cuda")
        except RuntimeError as error:
            print(error)
        assert "cupy" not in sys.modules
        """
    )
    assert "has no driver" in said and "libcuda.so.1" in said


def wrong(**changes):
    """What the runtime module says when parts of the world are otherwise."""
    listed = "\n".join(f"{name} = {code}" for name, code in changes.items())
    return python(
        f"""
        import sys, types
        fake = types.ModuleType("cupy"); fake.__version__ = "14.2.0"
        class CUDARuntimeError(RuntimeError): pass
        def refuse(): raise CUDARuntimeError("cudaErrorInsufficientDriver")
        fake.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError, getDeviceCount=refuse,
            driverGetVersion=lambda: 12040, runtimeGetVersion=lambda: 13000))
        fake.__spec__ = types.SimpleNamespace(name="cupy")
        sys.modules["cupy"] = fake
        import ctypes
        ctypes.CDLL = lambda *args, **kwargs: None
        from importlib import metadata
        every = metadata.distributions
        brought = ["cupy-cuda13x"]
{textwrap.indent(listed, "        ")}
        metadata.distributions = lambda: [
            types.SimpleNamespace(metadata={{"Name": name}}) for name in brought]
        try:
            import devtensor_cupy.runtime
        except RuntimeError as error:
            print(error)
        """
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, ("built for CUDA 13", "serves CUDA 12", "pip uninstall -y cupy-cuda13x", "cuda12]")),
        (
            {"brought": "['cupy-cuda12x', 'cupy-cuda13x', 'numpy']"},
            ("several packages", "cupy-cuda12x, cupy-cuda13x", "pip uninstall -y"),
        ),
        ({"fake.__version__": "'13.5.1'"}, ("needs CuPy 13.6 or 14", "13.5.1", "--upgrade")),
        ({"fake.__version__": "'15.0.0a1'"}, ("needs CuPy 13.6 or 14", "15.0.0a1")),
        (
            {"fake.cuda.runtime.driverGetVersion": "lambda: 13020"},
            ("shows no device", "nvidia-smi"),
        ),
        (
            {"fake.cuda.runtime.driverGetVersion": "lambda: 13020",
             "fake.cuda.runtime.getDeviceCount": "lambda: 0"},
            ("shows no device", "the device 'cpu'"),
        ),
        ({"sys.modules['cupy']": "None"}, ("not installed",)),
        (
            {"import os; os.environ['CUDA_VISIBLE_DEVICES']": "''"},
            ("CUDA_VISIBLE_DEVICES=''", "unset"),
        ),
        ({"fake.cuda.runtime.driverGetVersion": "lambda: 10010"}, ("a newer driver",)),
    ],
)  # fmt: skip
def test_says_what_is_wrong(changes, words):
    said = wrong(**changes)
    for word in words:
        assert word in said


@needs_device
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_is_told():
    x = dt.ones(3, device="cuda")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            x.tolist()
            said = "nothing"
        except RuntimeError as error:
            said = str(error)
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "forked child" in os.read(read, 10000).decode()


def test_naming_no_cuda_imports_no_cupy():
    said = python(
        """
        import sys
        import devtensor as dt, devtensor.cuda
        x = dt.randn(3, requires_grad=True); x.sum().backward()
        dt.device("cpu"), x.to("cpu"), dt.device("cuda:0")
        print("cupy" in sys.modules, "devtensor_cupy" in sys.modules)
        """
    )
    assert said == "False False"


# ---- calls of CuPy, by signature; also of another version, as the oldest that is accepted:
#
#     pip download --no-deps -d wheels cupy-cuda12x==13.6.0
#     python -m zipfile -e wheels/*.whl older && pip install --target older fastrlock
#     PYTHONPATH=older pytest tests/test_cuda.py -k "binds or private or whole"

CALLS = sorted((Path(__file__).parent.parent / "backends" / "devtensor_cupy").glob("*.py"))


def called(path):
    """The calls ``cupy.a.b(...)`` in a file: names, how many positional arguments, and keywords."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        names, target = [], node.func
        while isinstance(target, ast.Attribute):
            names.append(target.attr)
            target = target.value
        names.reverse()
        if isinstance(target, ast.Name) and target.id == "self" and names[:1] == ["cupy"]:
            names = names[1:]
        elif isinstance(target, ast.Name) and target.id in ("cupy", "runtime"):
            pass
        elif isinstance(target, ast.Call) and getattr(target.func, "id", "") == "library":
            names = ["special", *names]
        else:
            continue
        if not any(isinstance(a, ast.Starred) for a in node.args):
            yield node, names, len(node.args), [k.arg for k in node.keywords if k.arg]


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
@pytest.mark.parametrize("path", CALLS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_every_call_of_cupy_binds(path):
    import cupy
    import cupyx.scipy.special

    for node, names, count, keywords in called(path):
        if names[0] in ("refuse_fork", "on", "bound", "COUNT", "get_device", "set_device"):
            continue  # our own module of that name
        at = f"{path.name}:{node.lineno}: {'.'.join(names)}"
        found = cupyx.scipy.special if names[0] == "special" else cupy
        if names[0] in ("driverGetVersion", "runtimeGetVersion", "getDeviceCount"):
            found = cupy.cuda.runtime
        for name in names[names[0] == "special" :]:
            assert hasattr(found, name), at
            found = getattr(found, name)
        if isinstance(found, cupy.ufunc):
            assert found.nin <= count <= found.nin + found.nout, at
            assert not keywords or set(keywords) <= {"out", "dtype", "casting"}, at
            continue
        try:
            signature = inspect.signature(found)
        except (ValueError, TypeError):
            assert callable(found), at
            continue
        try:
            signature.bind(*[None] * count, **dict.fromkeys(keywords))
        except TypeError as error:
            raise AssertionError(f"{at}: {error}") from error


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
def test_private_names_of_cupy_that_we_use_exist():
    import cupy

    assert callable(cupy.ndarray._set_shape_and_strides)
    assert hasattr(cupy.ndarray, "_c_contiguous")
    for name in ("sum", "prod", "max", "min", "mean", "astype", "get", "view", "transpose"):
        assert callable(getattr(cupy.ndarray, name))


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
def test_the_namespace_is_whole():
    import cupy

    from devtensor_numpy.namespace import STANDARD

    def assigned(path, name):
        for node in ast.parse((CALLS[0].parent / path).read_text()).body:
            target = getattr(node, "targets", [getattr(node, "target", None)])[0]
            if getattr(target, "id", None) == name:
                return ast.literal_eval(node.value)
        return []

    ours = {name for path in CALLS for name in assigned(path.name, "__all__")}
    ours |= {"arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros", "linalg"}
    older = assigned("namespace.py", "OLDER")
    for name in set(STANDARD.split()) - ours:
        assert hasattr(cupy, older.get(name, name)), name


# ---- our kernels, by NVIDIA's compiler

NVRTC = """
    import sys
    from importlib.util import find_spec
    import cupy, numpy as np
    from cupy._core import _carray, _kernel, core
    from cupy.cuda import compiler
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        print("absent", error); sys.exit()
    import types
    runtime = types.ModuleType("devtensor_cupy.runtime"); runtime.cupy = cupy
    runtime.home = runtime.on = None
    import devtensor_cupy
    sys.modules["devtensor_cupy.runtime"] = runtime
    from devtensor_cupy import (
        convolve, draws, indexing, joins, kept, kernels, pools, raw, resizing, sorting)

    def argument(t, parameter):
        return _kernel._ArgInfo(1, cupy.ndarray, np.dtype(t), 1, True, True)

    def source(kernel, dtype):
        scalars = {p.name: p for p in kernel.in_params}
        given = [p.dtype if p.dtype is not None else np.dtype(dtype) for p in kernel.in_params]
        made = tuple(np.dtype(t).type for t in given)
        ins, outs, types_ = kernel._decide_params_type(made, ())
        parameters = kernel.in_params + kernel.out_params
        infos = [argument(t, p) for t, p in zip(ins + outs, parameters)]
        infos.append(_kernel._ArgInfo(2, _carray.Indexer, None, 1, True, True))
        return _kernel._get_elementwise_kernel_code(
            tuple(infos), types_, kernel.params, kernel.operation, kernel.name, kernel.preamble,
            **kernel.kwargs)

    options = core.assemble_cupy_compiler_options(()) + ("-ftz=true",)
    head = "".join(f"#include <{h}>\\n" for h in core._cupy_header_list)
    def check(name, text, archs=("75", "90", "120")):
        for arch in archs:
            program = compiler._NVRTCProgram(text, "kernel.cu", method="cubin")
            cubin, _ = program.compile(
                (*options, f"-arch=sm_{arch}", "--device-as-default-execution-space"))
            assert cubin[:4] == b"\\x7fELF", (name, arch)

    count = 0
    for name, (_, _, _, _, dtypes) in kernels.ELEMENTWISE.items():
        for dtype in dtypes or ("float32",):
            check((name, dtype), head + source(kernels.elementwise(name), dtype))
            count += 3
    for number, (name, found) in enumerate(raw.SOURCES.items()):
        for place, dtype in enumerate(found.types):  # each type for one of the generations
            arch = ("75", "90", "120")[(number + place) % 3]
            check((name, dtype), raw.text(name, dtype, "int64", place % 2 == 1), (arch,))
    assert len(raw.SOURCES) > 10
    print("compiled", count)
"""


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
@pytest.mark.timeout(600)
def test_kernels_compile_for_three_generations_of_gpus():
    said = python(NVRTC, 500)
    if said.startswith("absent"):
        pytest.skip(devices.missing("nvrtc", said))
    count = sum(3 * len(types or "1") for *_, types in kernels_of().values())
    assert said == f"compiled {count}"


def kernels_of():
    """The table of kernels, without importing CuPy's runtime here."""
    text = (CALLS[0].parent / "kernels.py").read_text().replace("from .runtime import cupy", "")
    space = {"__name__": "kernels"}
    exec(compile(text, "kernels.py", "exec"), space)
    return space["ELEMENTWISE"]


@needs_device
def test_zeros_keep_their_sign():
    for made in (
        dt.tensor(-0.0, device="cuda"),
        dt.full((2,), -0.0, device="cuda"),
        dt.full_like(dt.ones(2, device="cuda"), -0.0),
        dt.ones(2, device="cuda") * -0.0,
        dt.tensor([-0.0, -0.0]).to("cuda"),
        dt.zeros(2, device="cuda").fill_(-0.0),
    ):
        assert made.signbit().all()


@needs_device
@pytest.mark.parametrize("dtype", [dt.bfloat16, dt.float16])
@pytest.mark.parametrize(
    "product",
    [
        lambda x, y: x @ y,
        lambda x, y: x @ y[0],
        lambda x, y: x[0] @ y,
        lambda x, y: dt.nn.functional.linear(x, y[0].T),
        lambda x, y: dt.einsum("bij,bjk->bk", x, y),
        lambda x, y: dt.nn.functional.scaled_dot_product_attention(x, x, x) @ y,
    ],
)
def test_batches_of_numbers_of_two_bytes_are_multiplied(product, dtype):
    found = []
    for device, kind in (("cuda", dtype), ("cpu", dt.float64)):
        x = (dt.arange(24) % 7 - 3).reshape(2, 3, 4).to(device, kind).requires_grad_()
        y = (dt.arange(40) % 5 - 2).reshape(2, 4, 5).to(device, kind).requires_grad_()
        made = product(x, y)
        assert made.dtype is kind
        made.sum().backward()
        found.append([z.detach().double().cpu().numpy() for z in (made, x.grad, y.grad)])
    for ours, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=0.02, atol=0.05)
