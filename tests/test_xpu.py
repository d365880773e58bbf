"""The device xpu: finding it, its guards, and the defects of dpnp that they stand for."""

import copy
import io
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

import devices
import devtensor as dt
import samples
from devtensor.op import catalogue

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")  # loads it, so that SYCL is asked by us first
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

BACKEND = dt.device("xpu").backend

import dpctl  # noqa: E402
import dpnp  # noqa: E402
from dpctl import memory as usm  # noqa: E402

from devtensor_dpnp import elementwise, extremes, fuse, guarded, launch, pool, runtime  # noqa: E402
from devtensor_formulas import fuse as formula  # noqa: E402

QUEUE = runtime.QUEUES[0]
TWO = pytest.mark.skipif(len(runtime.QUEUES) < 2, reason="there is one xpu device")


def python(code, **environment):
    """Run a program in a process of its own; what it prints."""
    variables = {
        k: v
        for k, v in os.environ.items()
        if k not in ("OCL_ICD_FILENAMES", "DEVTENSOR_XPU_CPU_DEVICES", "ONEAPI_DEVICE_SELECTOR")
    }
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**variables, **environment},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.strip()


# ---- finding devices


def test_found_without_any_variable_set():
    said = python(
        """
        import devtensor as dt
        print(dt.xpu.device_count(), dt.ones(2, device="xpu").sum().item())
        print(dt.xpu.get_device_name())
        """
    )
    numbers, name = said.split("\n")
    assert numbers == "1 2.0"
    assert "CPU as a SYCL device" in name or dt.xpu.get_device_properties().type == "gpu"


def test_found_after_dpnp_was_imported():
    assert python("import dpnp, devtensor as dt; print(dt.xpu.is_available())") == "True"


def test_says_that_sycl_was_asked_too_early():
    said = python(
        """
        import dpctl
        assert not dpctl.get_devices()
        import devtensor as dt
        assert not dt.xpu.is_available() and dt.xpu.device_count() == 0
        try:
            dt.ones(2, device="xpu")
        except RuntimeError as error:
            print(error)
        """
    )
    assert "before devtensor could name the CPU driver" in said
    assert "OCL_ICD_FILENAMES=" in said


def test_says_that_a_selector_leaves_no_device():
    said = python(
        """
        import devtensor as dt
        try:
            dt.ones(2, device="xpu")
        except RuntimeError as error:
            print(error)
        """,
        ONEAPI_DEVICE_SELECTOR="level_zero:*",
    )
    assert "ONEAPI_DEVICE_SELECTOR='level_zero:*'" in said
    assert "unset it" in said


def test_the_loader_finds_the_cpu_alone():
    code = "import devtensor as dt; print(dt.xpu.device_count())"
    assert python(code, ONEAPI_DEVICE_SELECTOR="opencl:cpu") == "1"


@pytest.mark.parametrize("missing", ["dpnp", "dpctl"])
def test_says_that_the_extra_is_not_installed(missing):
    said = python(
        f"""
        import sys
        sys.modules[{missing!r}] = None
        import devtensor as dt
        assert not dt.xpu.is_available()
        try:
            dt.device("xpu").backend
        except RuntimeError as error:
            print(error)
        assert dt.ones(2).sum() == 2
        """
    )
    assert f"needs the package {missing}" in said
    assert 'pip install "devtensor[xpu]"' in said


def test_nothing_is_imported_until_xpu_is_named():
    said = python(
        "import sys, devtensor as dt; dt.device('xpu:0'); dt.ones(2); print('dpnp' in sys.modules)"
    )
    assert said == "False"


# ---- children


def test_a_forked_child_is_refused_and_not_hung():
    said = python(
        """
        import os, signal, sys
        import devtensor as dt
        x = dt.ones(3, device="xpu")
        raw = x._array
        y = x + x
        pid = os.fork()
        if not pid:
            signal.alarm(30)
            for work in (lambda: x + 1, lambda: dt.ones(2, device="xpu"), lambda: x.cpu(),
                         lambda: x.tolist(), dt.xpu.synchronize, lambda: x @ x,
                         lambda: dt.rand(3, device="xpu"), lambda: raw * raw):
                try:
                    work()
                except RuntimeError as error:
                    assert "forked" in str(error) and "spawn" in str(error), error
                else:
                    os._exit(3)
            if dt.ones(3).sum() != 3:
                os._exit(4)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(status, (x + 1).tolist())
        """
    )
    assert said == "0 [2.0, 2.0, 2.0]"


@pytest.mark.parametrize("end", ["sys.exit(7)", "raise KeyError", "pass"])
def test_a_forked_child_ends_by_itself(end):
    said = python(
        f"""
        import gc, os, signal, sys
        import devtensor as dt
        x = dt.ones(1 << 18, device="xpu").requires_grad_()
        y = (x * 2).sum()
        pid = os.fork()
        if not pid:
            signal.alarm(30)
            sys.stderr.close()
            del x
            gc.collect()
            print("the child says this")
            {end}
        else:
            y.backward()
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), x.grad[0].item())
        """
    )
    wanted = {"sys.exit(7)": 7, "raise KeyError": 1, "pass": 0}[end]
    assert sorted(said.split("\n")) == sorted(["the child says this", f"{wanted} 2.0"])


def test_a_child_forked_before_first_use_may_use_it():
    said = python(
        """
        import os, signal
        import devtensor as dt
        pid = os.fork()
        if not pid:
            signal.alarm(60)
            os._exit(0 if dt.ones(3, device="xpu").sum().item() == 3 else 3)
        print(os.waitpid(pid, 0)[1], dt.ones(3, device="xpu").sum().item())
        """
    )
    assert said == "0 3.0"


# ---- devices


def test_indices_and_the_current_device():
    count = len(runtime.QUEUES)
    assert dt.xpu.device_count() == count
    assert dt.device("xpu").resolve() == dt.device("xpu:0")
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        dt.ones(2, device=f"xpu:{count}")
    for index in range(count):
        with dt.xpu.device(index):
            assert dt.xpu.current_device() == index
            assert dt.ones(2, device="xpu").device == dt.device("xpu", index)
        assert dt.xpu.current_device() == 0
    with pytest.raises(ValueError, match="Expected a xpu device"):
        dt.xpu.get_device_name("cpu")


@TWO
def test_the_current_device_is_a_threads_own():
    seen = []

    def work():
        seen.append(dt.xpu.current_device())

    dt.xpu.set_device(1)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [0]
        assert dt.zeros(1, device="xpu").device.index == 1
        dt.xpu.set_device(-1)
        assert dt.xpu.current_device() == 1
    finally:
        dt.xpu.set_device(0)


def test_accelerator_is_whatever_there_is():
    kind = dt.accelerator.current_accelerator()
    assert kind is not None and kind.index is None
    assert dt.accelerator.is_available()
    if kind.type == "xpu":
        assert dt.accelerator.device_count() == dt.xpu.device_count()
        assert dt.ones(1, device=0).device == dt.device("xpu:0")
        with dt.accelerator.device_index(0):
            assert dt.accelerator.current_device_index() == 0


def test_names_of_pytorch():
    missing = {
        name
        for name in torch.accelerator.__all__
        if not hasattr(dt.accelerator, name) and "graph" not in name.lower()
    }
    assert missing <= {"get_device_capability", "empty_host_cache"}
    wanted = (
        "Event Stream current_device current_stream device device_count device_of empty_cache "
        "get_device_capability get_device_name get_device_properties get_rng_state "
        "get_rng_state_all init "
        "initial_seed is_available is_initialized manual_seed manual_seed_all max_memory_allocated "
        "max_memory_reserved mem_get_info memory_allocated memory_reserved memory_stats "
        "reset_accumulated_memory_stats reset_peak_memory_stats seed seed_all set_device "
        "set_rng_state set_rng_state_all set_stream stream synchronize"
    )
    for name in wanted.split():
        assert hasattr(torch.xpu, name)
        assert hasattr(dt.xpu, name)
        assert name in dt.xpu.__all__
    states = dt.xpu.get_rng_state_all()
    assert len(states) == dt.xpu.device_count()
    drawn = dt.rand(3)
    dt.xpu.set_rng_state_all(states)
    assert dt.rand(3).equal(drawn)


def test_streams_and_events():
    stream = dt.xpu.Stream()
    assert stream == dt.xpu.current_stream()
    start, end = dt.xpu.Event(enable_timing=True), dt.xpu.Event(enable_timing=True)
    with dt.xpu.stream(stream):
        start.record()
        busy(0.1)
        end.record()
    assert start.elapsed_time(end) > 20
    event = stream.record_event()
    stream.wait_event(event)
    stream.synchronize()
    assert event.query() and stream.query()
    with pytest.raises(RuntimeError, match="enable_timing"):
        event.elapsed_time(end)


def test_devices_do_not_mix():
    x = dt.ones(3, device="xpu:0")
    with pytest.raises(RuntimeError, match=r"same device.*xpu:0 and cpu"):
        x + dt.ones(3)
    assert (x + dt.tensor(2.0)).tolist() == [3, 3, 3]  # a 0-d tensor of the host joins
    if len(runtime.QUEUES) > 1:
        with pytest.raises(RuntimeError, match="same device"):
            x + dt.ones(3, device="xpu:1")


def test_arrays_of_other_queues_are_refused():
    other = dpctl.SyclQueue(runtime.DEVICES[0])
    x = dpnp.ones(3, sycl_queue=other)
    with pytest.raises(RuntimeError, match="belongs to the queue"):
        dt.as_tensor(x)


def test_dpnps_arrays_share_their_memory():
    x = dpnp.arange(6.0, sycl_queue=QUEUE)
    t = dt.as_tensor(x)
    assert t.device == dt.device("xpu:0")
    t *= 2
    assert x.asnumpy().tolist() == [0, 2, 4, 6, 8, 10]
    back = dpnp.asarray(t)
    back[0] = 7
    assert t[0].item() == 7
    assert dpnp.from_dlpack(t)[0] == 7
    assert not hasattr(dt.ones(2), "__sycl_usm_array_interface__")
    assert not hasattr(t, "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="detach"):
        _ = t.requires_grad_().__sycl_usm_array_interface__
    with pytest.raises(ValueError, match="negative"):
        dt.as_tensor(x[::-1])


def test_arrays_that_share_an_inner_one_are_not_alone():
    x = dt.ones(2, device="xpu:0")
    assert BACKEND.owns(x._array)
    same = BACKEND.xp.reshape(x._array, (2,))  # another outer array over the same inner one
    assert not BACKEND.owns(x._array) and not BACKEND.owns(same)
    leaf = dt.zeros(2, device="xpu:0", requires_grad=True)
    leaf.view(2).backward(x)
    leaf.grad.mul_(10)
    assert x.tolist() == [1, 1]


def test_deepcopy_pickle_and_saving_keep_the_device():
    index = len(runtime.QUEUES) - 1
    x = dt.randn(3, 4, device=f"xpu:{index}")
    file = io.BytesIO()
    dt.save({"x": x}, file)
    for made in (
        copy.deepcopy(x),
        pickle.loads(pickle.dumps(x)),
        dt.load(io.BytesIO(file.getvalue()))["x"],
    ):
        assert made.device == x.device
        assert made.data_ptr() != x.data_ptr()
        assert (made == x).all()
    on_cpu = dt.load(io.BytesIO(file.getvalue()), map_location="cpu")["x"]
    assert on_cpu.device == dt.device("cpu")
    assert dt.equal(on_cpu, x.cpu())
    module = dt.nn.Linear(3, 2).xpu(index)
    assert copy.deepcopy(module).weight.device == x.device


@pytest.mark.parametrize("index", range(len(runtime.QUEUES)))
def test_gradients_cross_devices(index):
    x = dt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x.to(f"xpu:{index}") ** 2).to("cpu") * dt.tensor([1.0, 10.0, 100.0])
    y.to("xpu").sum().backward()
    assert x.grad.device == dt.device("cpu")
    assert x.grad.tolist() == [2, 40, 600]
    w = dt.tensor([2.0, 3.0], device=f"xpu:{index}", requires_grad=True)
    (w.cpu() * 5).sum().backward()
    assert w.grad.device == dt.device("xpu", index)
    assert w.grad.tolist() == [5, 5]


# ---- work that is under way

BUSY = """
__kernel void busy(__global float* out, const ulong count) {
    float x = out[0];
    for (ulong i = 0; i < count; i++) x = x * 1.0000001f + 1e-9f;
    out[0] = x;
}"""


def busy(seconds, index=0):
    """Keep a device working; the event of its end."""
    queue = runtime.QUEUES[index]
    out = dpnp.ones(1, dtype="f4", sycl_queue=queue)
    run = launch.kernel(queue, BUSY, "busy")
    count = launch.whole(int(seconds * 4e8))
    launch.launch(queue, run, [out, count], (1,))
    return runtime.ORDER[queue].submitted_events[-1]


def waits(function, seconds=0.15):
    """Whether a call waits for the work under way, which takes so long."""
    function()  # compiles what it needs
    QUEUE.wait()
    event = busy(seconds)
    function()
    waited = event.execution_status == dpctl.event_status_type.complete
    QUEUE.wait()
    return waited


@TWO
def test_copies_are_exact_while_the_source_is_being_written():
    base = dt.arange(1 << 16, dtype=dt.float32, device="xpu:0")
    wanted = 2 * np.arange(1 << 16, dtype=np.float32)
    for n in range(1000):
        x = base * 2
        y = x.to("xpu:1") if n % 2 else x.cpu()
        x.zero_()
        assert np.array_equal(y.cpu().numpy(), wanted)


@TWO
def test_two_threads_on_two_devices():
    errors = []

    def work(device):
        try:
            x = dt.eye(32, device=device)
            for n in range(100):
                y = (x * n) @ x + 1
                assert float(y.sum()) == 32 * n + 32 * 32
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"xpu:{i % 2}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


MUST_WAIT = {
    "indices are checked, because dpnp takes wrong ones for others": (
        "index index_spread take_at put_at gather_at gather_spread scatter_at scatter_add_at "
        "scatter_reduce_at index_select_at index_select_spread index_add_at index_copy_at "
        "embedding_at class_likelihood class_entropy class_shares class_slope coin_entropy "
        "adaptive_avg_spread adaptive_max row_exchanges lu_packed masked_collect masked_scatter "
        "strided_spread repeated_positions ldl_packed ldl_places wrong_minors "
        "sampled sampled_slopes "
    ),
    "the size of the result depends on the numbers": (
        "nonzero_at unique_flat unique_rows bincount occurrences histc "
    ),
    "the formula asks for numbers": (
        "floor_divide bitwise_right_shift topk median_all median_dim nanmedian_all "
        "nanmedian_dim is_among nan_to_num angle threshold triangle linalg_matrix_exp "
        "igamma igammac special_erfcx special_log_ndtr special_ndtri special_modified_bessel_i1 "
        "special_chebyshev_polynomial_t special_chebyshev_polynomial_u "
        "special_chebyshev_polynomial_v special_chebyshev_polynomial_w "
        "special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u "
        "special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w "
        "special_hermite_polynomial_h special_hermite_polynomial_he "
        "special_laguerre_polynomial_l special_legendre_polynomial_p special_zeta "
    ),
    "a hundred launches take longer than the work that is put before them here": (
        "special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 "
        "special_modified_bessel_k0 special_modified_bessel_k1 special_scaled_modified_bessel_k0 "
        "special_scaled_modified_bessel_k1 special_airy_ai "
    ),
    "oneMKL's solvers and transforms, and what is built on them, wait": (
        "linalg_det cofactors linalg_slogdet linalg_inv solve_matrices linalg_solve_triangular "
        "linalg_cholesky linalg_qr linalg_eigh linalg_eigvalsh linalg_eig eigenvalues_alone "
        "linalg_svd linalg_svdvals linalg_pinv linalg_matrix_rank cholesky_solve "
        "fft_c2c fft_r2c fft_c2r "
    ),
    "dpnp has nothing, so the host computes it, or a kernel of dpnp's waits": (
        "lgamma digamma polygamma_of gcd lcm special_i0e special_i1 special_i1e special_entr "
        "fill_normal fill_exponential "
    ),
}
"""Operations that wait for the device, by the reason."""

FREE = {
    "add": lambda x: x + x,
    "number": lambda x: x * 2.5 + 1,
    "exp": lambda x: dt.exp(x),
    "erf": lambda x: dt.erf(x),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(),
    "softmax": lambda x: dt.softmax(x, 1),
    "matmul": lambda x: x @ x,
    "where": lambda x: dt.where(x > 0, x, 0.0),
    "clamp": lambda x: x.clamp(0, 1),
    "cat": lambda x: dt.cat([x, x]),
    "sort": lambda x: dt.sort(x),
    "transpose": lambda x: x.T.contiguous(),
    "zeros": lambda x: dt.zeros(3, 3, device="xpu:0"),
    "full": lambda x: dt.full((3, 3), 2.0, device="xpu:0"),
    "rand": lambda x: dt.rand(3, 3, device="xpu:0"),
    "gelu": lambda x: dt.nn.functional.gelu(x),
    "layer_norm": lambda x: dt.nn.functional.layer_norm(x, (8,)),
    "dropout": lambda x: dt.nn.functional.dropout(x, 0.5),
    "detach": lambda x: x.detach().clone(),
    "cumsum": lambda x: x.cumsum(0),
    "argmax": lambda x: x.argmax(1),
    "topk": lambda x: x.topk(2, largest=False),
    "tensor": lambda x: dt.tensor([1.0, 2.0], device="xpu:0"),
    "host scalar": lambda x: x * dt.tensor(3.0),
}
WAITING = {
    "item": lambda x: x.sum().item(),
    "nonzero": lambda x: x.nonzero(),
    "index_select": lambda x: x.index_select(0, dt.tensor([0, 1], device="xpu:0")),
    "cpu": lambda x: x.cpu(),
}


@pytest.mark.parametrize("name", FREE)
def test_operations_do_not_wait(name):
    x = dt.ones(8, 8, device="xpu:0")
    assert not all(waits(lambda: FREE[name](x)) for _ in range(3))  # a busy machine may be slow


@pytest.mark.parametrize("name", WAITING)
def test_operations_that_must_wait(name):
    x = dt.ones(8, 8, device="xpu:0")
    assert waits(lambda: WAITING[name](x))


def test_backward_does_not_wait():
    x = dt.ones(8, 8, device="xpu:0", requires_grad=True)

    def step():
        x.grad = None
        dt.tanh(x @ x).mean().backward()

    assert not all(waits(step) for _ in range(3))


# ---- memory


def test_memory_is_counted_kept_and_given_back():
    dt.xpu.synchronize()
    dt.xpu.empty_cache()
    before = dt.xpu.memory_allocated()
    dt.xpu.reset_peak_memory_stats()
    x = dt.zeros(1 << 20, device="xpu")
    assert dt.xpu.memory_allocated() - before == 1 << 22
    view = x[10:]
    del x
    dt.xpu.synchronize()
    assert dt.xpu.memory_allocated() - before == 1 << 22
    place = view.data_ptr() - 40
    del view
    settle(lambda: dt.xpu.memory_allocated() == before)
    assert dt.xpu.memory_reserved() - before >= 1 << 22
    again = dt.empty(1 << 20, device="xpu")
    assert again.data_ptr() == place
    assert dt.xpu.max_memory_allocated() - before == 1 << 22
    del again
    settle(lambda: dt.xpu.memory_allocated() == before)
    dt.xpu.empty_cache()
    assert dt.xpu.memory_reserved() == dt.xpu.memory_allocated()
    free, total = dt.xpu.mem_get_info()
    assert 0 < free <= total == dt.xpu.get_device_properties().total_memory


def settle(done):
    """Wait until dpnp has let go of what its kernels read."""
    for _ in range(200):
        dt.xpu.synchronize()
        if done():
            return
        threading.Event().wait(0.01)
    assert done()


def test_kept_memory_is_bounded(monkeypatch):
    mine = pool.POOLS[0]
    dt.xpu.empty_cache()
    monkeypatch.setattr(mine, "limit", 3 << 20)
    several = [dt.zeros(1 << 18, device="xpu") for _ in range(8)]
    del several
    dt.xpu.synchronize()
    settle(lambda: mine.statistics()["reserved"] - mine.used <= 3 << 20)
    assert mine.kept <= 3 << 20


def test_blocks_are_not_handed_out_while_work_reads_them():
    x = dt.ones(1 << 16, device="xpu")
    _ = x + 1  # compiles what it needs
    dt.xpu.synchronize()
    event = busy(0.1)
    y = x + 1
    del x
    z = dt.full((1 << 16,), 7.0, device="xpu")
    assert event.execution_status != dpctl.event_status_type.complete
    assert float(y.sum()) == 2 << 16
    assert float(z.sum()) == 7 << 16


@pytest.mark.skipif(not runtime.DEVICES[0].is_cpu, reason="other devices do not wait for blocks")
def test_a_processor_uses_few_blocks_again_and_again():
    x = dt.ones(1 << 18, device="xpu")
    dt.xpu.synchronize()
    dt.xpu.empty_cache()
    dt.xpu.reset_peak_memory_stats()
    before = dt.xpu.memory_reserved()
    for _ in range(50):
        x + x
    dt.xpu.synchronize()
    assert dt.xpu.max_memory_reserved() - before <= pool.AHEAD << 20


def test_out_of_memory_leaves_everything_usable():
    said = python(
        """
        import devtensor as dt
        x = dt.ones(1000, device="xpu")
        for make in (lambda: dt.zeros(1 << 26, device="xpu"),
                     lambda: x[:, None, None] * dt.ones(1000, 1000, device="xpu"),
                     lambda: dt.empty(1 << 40, 1 << 40, device="xpu")):
            try:
                make()
            except dt.OutOfMemoryError as error:
                assert "xpu:0" in str(error), error
            else:
                raise SystemExit("no error")
        print((x + 1).sum().item(), dt.xpu.memory_allocated() < 1 << 24)
        """,
        CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE="64MB",
    )
    assert said == "2000.0 True"


# ---- devices without double precision, as far as can be seen on one that has it


def test_double_is_refused_where_the_device_has_none(monkeypatch):
    monkeypatch.setattr(runtime, "DOUBLE", [False] * len(runtime.QUEUES))
    monkeypatch.setattr(guarded, "DOUBLE", runtime.DOUBLE)
    names = guarded.factories(0)
    for name in ("zeros", "empty", "ones"):
        with pytest.raises(TypeError, match="single precision"):
            names[name]((2,), dtype=np.float64)
    for make in (lambda: names["full"](2, 1, dtype=np.complex128),
                 lambda: names["arange"](3, dtype=np.float64),
                 lambda: names["asarray"]([1.0], dtype=np.float64)):  # fmt: skip
        with pytest.raises(TypeError, match="aspect fp64"):
            make()
    with pytest.raises(TypeError, match="single precision"):
        dt.tensor([1.0], dtype=dt.float64, device="xpu")
    assert dt.tensor([1.0], device="xpu").dtype == dt.float32
    assert BACKEND.native_dtype(dt.float64) is None
    assert BACKEND.native_dtype(dt.complex128) is None
    assert BACKEND.native_dtype(dt.float32) == np.float32
    assert BACKEND.native_dtype(dt.complex64) == np.complex64


def test_bfloat16_is_refused():
    with pytest.raises(TypeError, match="dpnp has no such type"):
        dt.ones(2, dtype=dt.bfloat16, device="xpu")


# ---- the same program


def losses(device, steps=12):
    dt.manual_seed(3)
    with dt.device(device):
        x = dt.randn(64, 10)
        y = (x @ dt.randn(10, 4)).argmax(1)
        model = dt.nn.Sequential(
            dt.nn.Linear(10, 32),
            dt.nn.GELU(),
            dt.nn.LayerNorm(32),
            dt.nn.Dropout(0.2),
            dt.nn.Linear(32, 4),
        )
        optimizer = dt.optim.AdamW(model.parameters(), lr=1e-2)
        found = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = dt.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found


@pytest.mark.parametrize("index", range(len(runtime.QUEUES)))
def test_training_is_the_same_as_on_the_cpu(index):
    wanted = losses("cpu")
    assert wanted[-1] < wanted[0]
    np.testing.assert_allclose(losses(f"xpu:{index}"), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "draw",
    [
        lambda device: dt.rand(1001, device=device),
        lambda device: dt.randint(-5, 1 << 40, (100,), device=device),
        lambda device: dt.randperm(101, device=device),
        lambda device: dt.bernoulli(dt.full((77,), 0.3, device=device)),
        lambda device: dt.nn.functional.dropout(dt.ones(50, device=device), 0.3),
    ],
)
@pytest.mark.parametrize("start", [0, 2**32 - 3, 2**64 - 5])
def test_random_numbers_are_the_same_to_the_bit(draw, start):
    found = []
    for device in ("cpu", "xpu"):
        dt.manual_seed(2**45 + 7)
        dt.default_generator.set_offset(start)
        found.append(draw(device).cpu().numpy())
    np.testing.assert_array_equal(*found)


# ---- own kernels beside NumPy


@pytest.mark.parametrize(
    "dtype",
    ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
     "complex64", "complex128"],
)  # fmt: skip
@pytest.mark.parametrize("shape, dim", [((7,), 0), ((5, 3), 0), ((2, 5, 3), 1), ((2, 3, 5), 2)])
def test_adding_up(dtype, shape, dim):
    random = np.random.default_rng(0)
    x = random.integers(0, 3, shape).astype(dtype)
    many = [n if d != dim else 40 for d, n in enumerate(shape)]
    src = random.integers(0, 3, many).astype(dtype)
    index = random.integers(-shape[dim], shape[dim], 40)
    places = random.integers(0, shape[dim], many)
    there = [dpnp.asarray(a, sycl_queue=QUEUE) for a in (x, src, index, places)]
    cpu = dt.device("cpu").backend.xp
    for name, number in (("index_add", 2), ("scatter_add", 3)):
        here = (x, src, index, places)
        wanted = getattr(cpu, name)(x, dim, here[number], src)
        found = getattr(BACKEND.xp, name)(there[0], dim, there[number], there[1])
        np.testing.assert_array_equal(found.asnumpy(), wanted)
        assert found.dtype == wanted.dtype


@pytest.mark.parametrize("name", sorted(elementwise.FUNCTIONS))
def test_elementwise_beside_numpy(name):
    function, wanted = elementwise.FUNCTIONS[name], getattr(np, name)
    random = np.random.default_rng(0)
    for dtype in ("?", "i1", "u1", "i4", "i8", "f2", "f4", "f8", "c8"):
        arrays = [random.integers(1, 3, shape).astype(dtype) for shape in ((3, 4), (4,), (3, 1))]
        if dtype in ("f4", "f8"):
            arrays = [(a / 4).astype(dtype) for a in arrays]
        for first, second in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 1)):
            given = (arrays[first], arrays[second])[: wanted.nin]
            ours = [dpnp.asarray(a, sycl_queue=QUEUE) for a in given]
            with np.errstate(all="ignore"):
                try:
                    expected = wanted(*given)
                except TypeError:
                    with pytest.raises((TypeError, ValueError)):
                        function(*ours)
                    continue
            try:
                found = function(*ours).asnumpy()
            except ValueError:  # dpnp has no such type for it
                assert dtype in ("?", "f2", "c8", "i1", "u1")
                continue
            if (
                dtype == "f2"
                or (name == "reciprocal" and dtype[0] in "iu")
                or (dtype in ("?", "i1", "u1") and found.dtype != expected.dtype)
            ):
                continue
            assert found.shape == expected.shape
            np.testing.assert_allclose(
                found, expected, rtol=1e-6 if dtype in ("f4", "c8", "i1", "u1") else 1e-14
            )


@cache
def formulas():
    """The first example of each operation for which a kernel is written from its formula."""
    found = {}
    for case in samples.cases(lambda entry: entry.op is not None and entry.op.inputs):
        if isinstance(BACKEND.kernels.get(case.name), formula.Fused):
            found.setdefault(case.name, case)
    return found


# A formula is the same in both types; compilers take their time.
TYPED = [*product(formulas(), ["float32"]), *product([*formulas()][::3], ["float64"])]


@pytest.mark.parametrize("name, dtype", TYPED)
def test_formulas_as_kernels(name, dtype, monkeypatch):
    monkeypatch.setattr(fuse.Sycl, "limit", 1)
    case = formulas()[name]
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.arrays()]
    results = []
    for device in ("cpu", "xpu"):
        xs = [dt.tensor(a, device=device) for a in arrays]
        outs = case.call(xs)
        outs = [*(samples.leaves(outs) if outs is not None else []), *xs]
        results.append([x.detach().cpu().numpy() for x in outs if isinstance(x, dt.Tensor)])
    for here, there in zip(*results, strict=True):
        assert here.dtype == there.dtype
        rtol = 2e-6 if here.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(there, here, rtol=rtol, atol=rtol)


def test_large_tensors_take_one_kernel_for_a_formula(monkeypatch):
    launched = []

    def counted(queue, function, *rest):
        launched.append(function)
        launch.launch(queue, function, *rest)

    x = dt.linspace(-3, 3, fuse.Sycl.limit + 1, device="xpu", requires_grad=True)
    monkeypatch.setattr(fuse, "launch", counted)
    y = dt.nn.functional.silu(x)
    assert len(launched) == 1
    y.sum().backward()
    wanted = torch.linspace(-3, 3, fuse.Sycl.limit + 1, requires_grad=True)
    torch.nn.functional.silu(wanted).sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), wanted.grad.numpy(), rtol=1e-5, atol=1e-6)
    dt.nn.functional.elu(x.detach(), 0.5)
    made = len(launch._kernels)
    dt.nn.functional.elu(x.detach(), 0.25)  # other numbers, the same kernel
    assert len(launch._kernels) == made
    before = len(launched)
    dt.nn.functional.silu(x[:-1:2].detach())  # small, and not in order
    assert len(launched) == before


def test_numbers_keep_their_signs_and_types():
    x = dpnp.asarray([1.0, -1.0], dtype="f4", sycl_queue=QUEUE)
    for zero in (0.0, -0.0, 0.0):
        assert np.signbit((x * 0 + zero).asnumpy()[1]) == (zero.hex() == "-0x0.0p+0")
        assert ((1 / (x * 0 * 0 + 1) * zero).asnumpy() == 0).all()
    whole = dpnp.asarray([1, 2], dtype="i1", sycl_queue=QUEUE)
    assert (whole + 1).dtype == np.int8
    assert (whole + 0.5).dtype.kind == "f"
    with pytest.raises(OverflowError):
        whole + 300
    assert np.isnan((x + float("nan")).asnumpy()).all()
    assert (2.0 - x).asnumpy().tolist() == [1, 3]
    assert (x > 0).dtype == bool
    assert ((x**2) == 1).asnumpy().all()


def test_kernels_get_views_from_their_first_element():
    x = dpnp.zeros(8, dtype="f4", sycl_queue=QUEUE)
    source = "__kernel void inc(__global float* x) { x[get_global_id(0)] += 1.0f; }"
    launch.launch(QUEUE, launch.kernel(QUEUE, source, "inc"), [x[3:6]], (3,))
    assert x.asnumpy().tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    with pytest.raises(TypeError, match="1 arguments"):
        launch.launch(QUEUE, launch.kernel(QUEUE, source, "inc"), [x, x], (3,))


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), [0, 1], slice(None), [1, 0]),
        ([0, 1], slice(None), [1, 0]),
        (1, slice(None), [1, 0]),
        (slice(None, None, -1), [0, 2]),
        (None, [1], Ellipsis),
    ],
)
def test_separated_indices(key):
    x = np.arange(81).reshape(3, 3, 3, 3)
    ours = tuple([dpnp.asarray(p, sycl_queue=QUEUE) if isinstance(p, list) else p for p in key])
    found = BACKEND.xp.get(dpnp.asarray(x, sycl_queue=QUEUE), ours)
    np.testing.assert_array_equal(found.asnumpy(), x[key])


VIEWS = {
    "t": lambda x: x[0].t(),
    "transpose": lambda x: x.transpose(0, -1),
    "permute": lambda x: x.permute(2, 0, 1),
    "unsqueeze": lambda x: x.unsqueeze(1).unsqueeze(-1),
    "squeeze": lambda x: x[:1].squeeze(0),
    "expand": lambda x: x[:, :1].expand(4, 2, 3, 3),
    "reshape": lambda x: x.reshape(3, -1),
    "item": lambda x: x[-1],
    "slices": lambda x: x[:, -2:, ::2],
    "new axis": lambda x: x[..., None, 1],
    "window": lambda x: x.unfold(2, 2, 1),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 3, 3), (2, 1, 3)])
def test_views_lie_as_on_the_cpu(view, shape):
    x = dt.arange(float(np.prod(shape))).reshape(shape)
    y = x.to("xpu")
    wanted, found = view(x), view(y)
    assert found.tolist() == wanted.tolist()
    assert (found.shape, found.stride()) == (wanted.shape, wanted.stride())
    assert found.storage_offset() == wanted.storage_offset()
    assert found.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    if wanted.numel() <= x.numel():  # each element once
        found.zero_()
        wanted.zero_()
        assert y.tolist() == x.tolist()


def test_reductions_beside_numpy():
    there = dt.device("xpu:0").resolve().backend.namespace(0)
    numbers = np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 7
    for host in (numbers, numbers.transpose(2, 0, 1), numbers[:, ::2], numbers[:, :1]):
        array = there.asarray(numbers)
        array = array[:, ::2] if host.shape == (2, 2, 4) else array[:, : host.shape[1]]
        if host.shape == (4, 2, 3):
            array = there.permute_dims(there.asarray(numbers), (2, 0, 1))
        for name in ("sum", "prod", "max", "min"):
            for axis in (None, 0, -1, (0, 2), (1, 0), (0, 1, 2)):
                for keepdims in (False, True):
                    wanted = getattr(np, name)(host, axis=axis, keepdims=keepdims)
                    found = getattr(there, name)(array, axis=axis, keepdims=keepdims)
                    assert found.shape == wanted.shape
                    np.testing.assert_allclose(found.asnumpy(), wanted, rtol=1e-6)
        for axis in (3, (0, 0), (-4,)):
            with pytest.raises(ValueError):
                there.sum(array, axis=axis)


def test_matrix_products_of_expanded_tensors():
    for device in ("cpu", "xpu"):
        x = dt.arange(3.0, device=device).expand(5, 2, 3)
        y = dt.ones(5, 3, 2, device=device)
        assert (x @ y).tolist() == [[[3, 3], [3, 3]]] * 5
        assert dt.einsum("bij,bjk->bik", x, y).tolist() == [[[3, 3], [3, 3]]] * 5


def test_transforms_and_products_of_overlapping_windows():
    found = []
    for device in ("cpu", "xpu"):
        x = dt.arange(12.0, device=device).to(dt.complex128).unfold(0, 4, 1)
        found.append(
            [dt.fft.fft(x).cpu().numpy(), (x @ x.T).cpu().numpy(), (x.T @ x).cpu().numpy()]
        )
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-12, atol=1e-12)


def test_results_are_not_kept_in_expanded_gradients():
    x = dt.ones(4, device="xpu", requires_grad=True)
    for _ in range(2):
        x.sum().backward()
    assert x.grad.tolist() == [2, 2, 2, 2]


# ---- the defects of dpnp: when one of these tests fails, its cure here can go


def there(array, **kwargs):
    return dpnp.asarray(array, sycl_queue=QUEUE, **kwargs)


def where_reads_backwards():
    numbers = np.arange(4.0).reshape(2, 2)
    chosen = np.array([[True, False], [True, False]])
    wanted = np.where(np.asfortranarray(chosen)[:, ::-1], numbers[:, ::-1], -numbers[:, ::-1])
    mixed = dpnp.asfortranarray(there(chosen))[:, ::-1]
    found = dpnp.where(mixed, there(numbers)[:, ::-1], (-there(numbers))[:, ::-1])
    return not np.array_equal(found.asnumpy(), wanted)


def matmul_of_broadcast_operands():
    try:
        x = dpnp.broadcast_to(dpnp.arange(3.0, sycl_queue=QUEUE), (5, 2, 3))
        return not (dpnp.matmul(x, dpnp.ones((5, 3, 2), sycl_queue=QUEUE)).asnumpy() == 3).all()
    except ValueError:
        return True


def indices_are_clipped():
    x, index = dpnp.arange(3, sycl_queue=QUEUE), there([7])
    return x[index].asnumpy().tolist() == dpnp.take(x, index).asnumpy().tolist() == [2]


def half_precision_means_overflow():
    return not np.isfinite(float(dpnp.mean(dpnp.full(100, 6e4, dtype="f2", sycl_queue=QUEUE))))


def places_of_several_nans_are_any():
    return int(dpnp.argmax(there(np.array([np.nan, np.nan])))) != 0


def quotients_are_rounded_before_they_are_rounded_down():
    return float(dpnp.floor_divide(there([1.0]), there([0.1]))[0]) == 10


def permutation_does_nothing():
    dpnp.random.seed(0)
    x = dpnp.arange(100, sycl_queue=QUEUE)
    return bool((dpnp.random.permutation(x).asnumpy() == np.arange(100)).all())


def floats_lose_the_low_bits_of_integers():
    return int(there([1e10]).astype("i2")[0]) != -7168  # by the processor 0, or the nearest


def sizes_overflow():
    try:
        return dpnp.empty((2**40, 2**40), sycl_queue=QUEUE).shape == (2**40, 2**40)
    except (MemoryError, ValueError, dt.OutOfMemoryError, usm.USMAllocationError):
        return False


def bincount_refuses_nothing():
    try:
        dpnp.bincount(there(np.zeros(0, np.int64)))
    except ValueError:
        return True
    return False


def separated_indices_are_refused():
    index = there([0, 1])
    try:
        dpnp.zeros((2, 2, 2), sycl_queue=QUEUE)[index, :, index]
    except IndexError:
        return True
    return False


def data_starts_at_the_allocation():
    x = dpnp.zeros(4, dtype="f4", sycl_queue=QUEUE)
    return x[2:].data._pointer == x._array_obj._pointer


def backwards_arrays_are_kept_backwards():
    return there(np.arange(3.0)[::-1]).strides == (-8,)


def copies_to_the_host_take_the_whole_allocation():
    x = dpnp.zeros(1 << 20, sycl_queue=QUEUE)
    return getattr(x[:1].asnumpy().base, "nbytes", 0) >= 1 << 23


def oneMKL_waits():
    if not runtime.DEVICES[0].is_cpu:
        return True
    x = dpnp.ones(64, dtype="f4", sycl_queue=QUEUE)
    return waits(lambda: dpnp.exp(x))


def numbers_are_copied_and_waited_for():
    x = dpnp.ones(64, dtype="i4", sycl_queue=QUEUE)
    return waits(lambda: dpnp.bitwise_and(x, 3))


def another_queue_is_no_error_of_pytorchs():
    try:
        dpnp.ones(2, sycl_queue=QUEUE) + dpnp.ones(2, sycl_queue=dpctl.SyclQueue(QUEUE.sycl_device))
    except Exception as error:
        return not isinstance(error, RuntimeError)
    return False


@pytest.mark.parametrize(
    "defect",
    [
        where_reads_backwards,
        matmul_of_broadcast_operands,
        indices_are_clipped,
        half_precision_means_overflow,
        places_of_several_nans_are_any,
        quotients_are_rounded_before_they_are_rounded_down,
        permutation_does_nothing,
        floats_lose_the_low_bits_of_integers,
        sizes_overflow,
        bincount_refuses_nothing,
        separated_indices_are_refused,
        data_starts_at_the_allocation,
        backwards_arrays_are_kept_backwards,
        copies_to_the_host_take_the_whole_allocation,
        oneMKL_waits,
        numbers_are_copied_and_waited_for,
        another_queue_is_no_error_of_pytorchs,
    ],
)
def test_dpnp_still_has_the_defect(defect):
    assert defect(), f"dpnp no longer has the defect {defect.__name__}; its cure here can go"


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "bool"])
@pytest.mark.parametrize("shape", [(1,), (3, 1500, 2), (0, 4)])
@pytest.mark.parametrize("source", [True, False])
def test_places_of_extremes_are_the_first(dtype, shape, source, monkeypatch):
    if not source:
        monkeypatch.setattr(extremes, "takes_source", lambda x: False)
    random = np.random.default_rng(0)
    for missing in (0.02, 1):
        x = random.integers(0, 3, shape).astype(dtype)  # most numbers are there several times
        if x.dtype.kind == "f":
            x[random.random(shape) < missing] = np.nan
        for array in (x, x.T):
            for axis, keepdims in ((None, False), (0, True), (-1, False)):
                for ours, theirs in ((extremes.argmax, np.argmax), (extremes.argmin, np.argmin)):
                    place = (
                        there(x)
                        if array is x
                        else dpnp.permute_dims(there(x), tuple(range(x.ndim))[::-1])
                    )
                    try:
                        wanted = theirs(array, axis=axis, keepdims=keepdims)
                    except ValueError:
                        with pytest.raises(ValueError):
                            ours(place, axis=axis, keepdims=keepdims)
                        continue
                    found = ours(place, axis=axis, keepdims=keepdims)
                    assert found.dtype == np.int64
                    np.testing.assert_array_equal(found.asnumpy(), wanted)


def test_the_largest_of_nans_is_the_first():
    for numbers in ([np.nan, np.nan], [1.0, np.nan, 3.0, np.nan]):
        x, wanted = dt.tensor(numbers, device="xpu"), torch.tensor(numbers)
        for name in ("argmax", "argmin"):
            assert getattr(x, name)().item() == getattr(wanted, name)().item()
        for name in ("max", "min"):
            values, places = getattr(x, name)(0)
            assert np.isnan(values.item())
            assert places.item() == getattr(wanted, name)(0).indices.item()


def test_guards():
    xp = BACKEND.xp
    numbers = np.arange(4.0).reshape(2, 2)
    chosen = np.array([[True, False], [True, False]])
    wanted = np.where(np.asfortranarray(chosen)[:, ::-1], numbers[:, ::-1], -numbers[:, ::-1])
    mixed = dpnp.asfortranarray(there(chosen))[:, ::-1]
    found = xp.where(mixed, there(numbers)[:, ::-1], (-there(numbers))[:, ::-1])
    np.testing.assert_array_equal(found.asnumpy(), wanted)
    with pytest.raises(IndexError, match="out of bounds"):
        xp.take(there(np.arange(3)), there([3]), axis=0)
    with pytest.raises(IndexError, match="out of bounds"):
        xp.take_along_axis(there(np.arange(3)), there([-4]), axis=0)
    assert float(xp.mean(xp.full((100,), 6e4, dtype=xp.float16))) == 6e4
    assert int(xp.astype(there([300.0]), xp.int8)[0]) == 44
    assert min(xp.asarray(np.arange(3.0)[::-1]).strides) > 0
    assert min(xp.flip(there(np.arange(3.0))).strides) > 0
    permuted = dt.randperm(100, device="xpu").cpu().numpy()
    assert sorted(permuted) == list(range(100)) and list(permuted) != list(range(100))


@cache
def firsts():
    """The first example of each operation."""
    found = {}
    for case in samples.cases(lambda entry: entry.op is not None and not entry.op.writes):
        found.setdefault(case.name, case)
    return found


@pytest.mark.parametrize("name", firsts())
def test_which_operations_wait(name):
    case = firsts()[name]
    xs = [dt.tensor(a, device="xpu:0") for a in case.arrays()]

    def call():
        with dt.device("xpu:0"):
            return case.call(xs)

    if name in " ".join(MUST_WAIT.values()).split():
        return  # it may: some wait for some numbers alone
    # A machine that is busy itself may be so slow that the work is done before the call returns.
    assert not all(waits(call, seconds) for seconds in (0.03, 0.15, 0.5))


def test_every_operation_that_waits_is_one_that_exists():
    for names in MUST_WAIT.values():
        for name in names.split():
            assert name in catalogue
