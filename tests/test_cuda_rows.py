"""Kernels that the device cuda has from the formulas of operations: element by element, along rows.

The stand-in runs them without a GPU; that NVIDIA's compiler takes them, the last test shows.
"""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import devices
import devtensor as dt
from devtensor_formulas import fuse as formula
from devtensor_formulas import layout, rows
from test_cuda import python

ABSENT = devices.absent("cuda")
needs_device = pytest.mark.skipif(
    ABSENT is not None, reason="" if ABSENT is None else devices.missing("cuda", ABSENT)
)
if ABSENT is None:
    from devtensor_cupy import fuse

INF, NAN = float("inf"), float("nan")
LAST = f"cuda:{max(dt.cuda.device_count() - 1, 0)}"


@pytest.fixture
def launched(monkeypatch):
    """The launches of kernels from formulas."""
    found, launch = [], fuse.Cuda.launch

    def counted(self, place, prepared, arrays):
        found.append(prepared)
        launch(self, place, prepared, arrays)

    monkeypatch.setattr(fuse.Cuda, "launch", counted)
    return found


@pytest.fixture
def small(monkeypatch):
    """Small arrays have such kernels, too."""
    monkeypatch.setattr(fuse.Cuda, "limit", 1)
    monkeypatch.setattr(formula, "_plans", {})


def numbers(*shape, dtype=np.float32, seed=0):
    """Numbers of which some are equal, and in floats some are none."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind != "f":
        return random.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtype)
    made = (random.standard_normal(shape) * 4).round(1).astype(dtype)
    flat = made.reshape(-1)
    flat[:: max(1, flat.size // 7)] = NAN
    flat[1 :: max(1, flat.size // 5)] = INF
    return made


def beside_torch(call, x, rtol=2e-6):
    """Compare what a function of PyTorch's gives with the same here."""
    wanted, found = call(torch, torch.tensor(x)), call(dt, dt.tensor(x, device=LAST))
    if not isinstance(wanted, tuple):
        wanted, found = (wanted,), (found,)
    for one, other in zip(wanted, found, strict=True):
        assert other.dtype.name == str(one.dtype).removeprefix("torch.")
        assert other.device == dt.device(LAST)
        assert tuple(other.shape) == tuple(one.shape)
        np.testing.assert_allclose(other.cpu().numpy(), one.numpy(), rtol=rtol, atol=rtol)


# ---- along rows

ROWS = {
    "warps": ((3, 70), lambda t, x: t.softmax(x, 1)),
    "warps, several sums": ((9, 70), lambda t, x: t.var(x, 1)),
    "places": ((9, 33), lambda t, x: tuple(t.max(x, 1))),
    "blocks": ((2, 1300), lambda t, x: t.log_softmax(x, 1)),
    "blocks, places": ((2, 600), lambda t, x: tuple(t.min(x, 1, keepdim=True))),
    "large blocks": ((2, 9000), lambda t, x: t.var(x, 1)),
    "columns": ((40, 30), lambda t, x: t.logsumexp(x, 0)),
    "short rows": ((90, 5), lambda t, x: t.softmax(x, 1)),
    "between": ((5, 40, 3), lambda t, x: t.std(x, 1)),
    "two axes": ((5, 3, 40), lambda t, x: t.linalg.vector_norm(x, 3, (0, 2))),
    "turned": ((40, 50), lambda t, x: t.softmax(x.transpose(0, 1), 1)),
    "expanded": ((40, 50), lambda t, x: t.nansum(x[:, :1].expand(40, 50), 1)),
    "every other": ((40, 50), lambda t, x: t.nn.functional.normalize(x[:, ::2], dim=1)),
    "all": ((40, 250), lambda t, x: t.nn.functional.mse_loss(x, x * 0.5)),
}


@needs_device
@pytest.mark.parametrize("name", ROWS)
def test_along_rows(name, small, launched):
    shape, call = ROWS[name]
    for x in (numbers(*shape), np.nan_to_num(numbers(*shape, seed=1), nan=0.5, posinf=2)):
        beside_torch(call, x)
    assert launched


TYPES = {
    "float64": lambda t, x: t.softmax(x, 1),
    "float16": lambda t, x: t.nn.functional.layer_norm(x, (70,)),
    "int64": lambda t, x: tuple(t.max(x, 1)),
    "int16": lambda t, x: tuple(t.aminmax(x, dim=0)),
    "uint8": lambda t, x: t.count_nonzero(x, 1),
    "bool": lambda t, x: t.count_nonzero(x, 0),
}


@needs_device
@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype, small, launched):
    x = numbers(3, 70, dtype=dtype)
    if x.dtype.kind == "f":
        x = np.nan_to_num(x, nan=1, posinf=2)
    beside_torch(TYPES[dtype], x, {"float64": 1e-13, "float16": 2e-3}.get(dtype, 0))
    assert len(launched) == 1


@needs_device
@pytest.mark.parametrize("whole", ["int", "long"])
def test_rows_in_parts(whole, small, launched, monkeypatch):
    monkeypatch.setattr(fuse, "FEW", 0)
    monkeypatch.setattr(fuse, "ALONE", 0)
    monkeypatch.setattr(fuse, "machine", fuse.machine.__wrapped__)
    for module in (rows, layout):
        monkeypatch.setattr(module, "BLOCK", 2)
    if whole == "long":
        monkeypatch.setattr(rows, "NARROW", 0)
    for shape, dim in (((2, 700), 1), ((300, 3), 0)):
        x = np.nan_to_num(numbers(*shape), nan=0.5, posinf=2)
        x[1, 2] = NAN
        before = len(launched)
        beside_torch(lambda t, x, dim=dim: t.softmax(x, dim), x)
        assert len(launched) > before + 2
    beside_torch(lambda t, x: tuple(t.max(x, 0)), numbers(300, 3))


@needs_device
def test_sums_lose_little():
    x = np.random.default_rng(4).random(1 << 18).astype(np.float32)
    there = dt.tensor(x, device=LAST)
    wanted = np.linalg.norm(x.astype(np.float64))
    first = there.norm().item()
    assert abs(first / wanted - 1) <= 2**-22
    assert there.norm().item() == first
    assert (there * 1e38).var().item() == INF


# ---- element by element

ELEMENTS = {
    "one": lambda t, x: t.nn.functional.silu(x),
    "turned": lambda t, x: t.sigmoid(x.t()),
    "row and column": lambda t, x: t.addcmul(x, x[0], x[:, :1]),
    "of four dimensions": lambda t, x: t.lerp(
        x.reshape(2, 3, 7, 25), x.reshape(2, 3, 7, 25)[:1, :, :1, ::25], 0.25
    ),
    "truths": lambda t, x: t.nn.functional.hardshrink(x),
    "clamp": lambda t, x: t.clamp(x, -1, 2),
}


@needs_device
@pytest.mark.parametrize(
    ("name", "several"),
    [*((name, False) for name in ELEMENTS), *((name, True) for name in [*ELEMENTS][:4])],
)
def test_element_by_element(name, several, small, launched, monkeypatch):
    if several:
        monkeypatch.setattr(layout, "MANY", 1)
        monkeypatch.setattr(layout, "WIDE", 4)
    beside_torch(ELEMENTS[name], numbers(42, 25))
    assert len(launched) >= 1


@needs_device
def test_more_rows_than_a_dimension_of_a_grid_has(launched):
    x = dt.ones(1, 64, device=LAST).expand(70_000, 64)
    y = dt.arange(70_000.0, device=LAST)[:, None]
    launched.clear()
    found = dt.lerp(x, y, 0.5)
    assert len(launched) == 1
    assert dt.equal(found[:, 63], (y[:, 0] + 1) / 2)


@needs_device
def test_one_kernel_for_large_arrays_and_none_for_small_ones(launched):
    x, f = dt.ones(90, 50, device=LAST), dt.nn.functional
    mask = x > 0
    for call in (
        f.silu,
        lambda x: f.layer_norm(x, x.shape[1:]),
        dt.relu,
        lambda x: x + x,
        lambda x: x.sum(1),
        lambda x: dt.where(mask[: len(x)], x, x),
    ):
        launched.clear()
        call(x)
        assert len(launched) == 1
        call(x[:5])
        assert len(launched) == 1
    launched.clear()
    f.elu(x, 0.5), f.elu(x, 0.25)  # other numbers, the same kernel
    functions = [prepared[0] for prepared in launched]
    assert functions[0] is functions[1]


@needs_device
def test_arguments_tell_plans_apart(small):
    x = dt.arange(140.0, device=LAST).reshape(2, 70)
    assert x.var(1).shape == (2,)
    assert x.var(1, keepdim=True).shape == (2, 1)
    for zero in (0.0, -0.0, 0.0):
        below = dt.nn.functional.leaky_relu(-1 - x, zero)
        assert (below.signbit() == (str(zero) == "0.0")).all()
    for _ in range(2):
        with pytest.raises(IndexError):
            x.softmax(2)
        with pytest.warns(UserWarning, match="degrees of freedom"):
            assert dt.isnan(x[:1].var(0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dt.isnan(x.var(0)).sum() == 0


@needs_device
def test_a_bias_is_added_where_the_product_stands(launched):
    random = np.random.default_rng(0)
    x, weight, bias = [random.integers(-4, 5, s).astype("float32") for s in ((40, 8), (20, 8), 20)]
    there = [dt.tensor(a, device=LAST) for a in (x, weight, bias)]
    found = dt.nn.functional.linear(*there)
    assert len(launched) == 1
    assert np.array_equal(found.cpu().numpy(), x @ weight.T + bias)
    for wrong in (there[2][:19], there[2].double()):
        with pytest.raises(RuntimeError):
            dt.nn.functional.linear(*there[:2], wrong)


# ---- in place

CALLS = {
    "add": lambda x, y, z: x.add_(y),
    "add times": lambda x, y, z: x.add_(y, alpha=2),
    "sub row": lambda x, y, z: x.sub_(y[0]),
    "mul number": lambda x, y, z: x.mul_(2.5),
    "addcmul": lambda x, y, z: x.addcmul_(y, z, value=0.5),
    "clamp": lambda x, y, z: x.clamp_(0.25, 0.75),
    "masked": lambda x, y, z: x.masked_fill_(y > z, 0.0),
    "gt": lambda x, y, z: x.gt_(y),
    "itself": lambda x, y, z: x.mul_(x),
    "itself twice": lambda x, y, z: x.addcmul_(x, x, value=0.5),
    "later rows": lambda x, y, z: x[:-1].add_(x[1:]),
    "earlier rows": lambda x, y, z: x[1:].addcmul_(x[:-1], y[1:], value=0.5),
    "beside": lambda x, y, z: x[:, 1:].lerp_(x[:, :-1], 0.5),
    "its transpose": lambda x, y, z: x[:, :70].add_(x[:, :70].t()),
    "its first row": lambda x, y, z: x.add_(x[0]),
    "a row of it": lambda x, y, z: x.lerp_(x[3], 0.5),
    "columns": lambda x, y, z: x.t().addcmul_(y.t(), z.t()),
}


@needs_device
@pytest.mark.parametrize("name", CALLS)
def test_results_are_written_over_the_first_operand(name):
    random, found = np.random.default_rng(0), []
    arrays = [(random.integers(1, 9, (70, 80)) / 8).astype(np.float32) for _ in range(3)]
    for place in ("cpu", LAST):
        x, *others = [dt.tensor(a, device=place) for a in arrays]
        where, version = x.data_ptr(), x._version
        CALLS[name](x, *others)
        assert x.data_ptr() == where
        assert x._version > version
        found.append(x.cpu().numpy())
    np.testing.assert_allclose(*found, rtol=1e-6)


@needs_device
def test_what_is_refused_is_not_written():
    x, y = dt.ones(70, 80, device=LAST), dt.ones(70, 80, device=LAST)
    for call in (
        lambda: x.add_(y[:7]),
        lambda: x[0].addcmul_(y, y),
        lambda: x.long().lerp_(y, 0.5),
        lambda: x.clamp_(),
        lambda: x.addcmul_(y.cpu(), y),
        lambda: x[:1].expand(70, 80).add_(y),
    ):
        with pytest.raises((RuntimeError, ValueError)):
            call()
        assert x.tolist() == y.tolist()


@needs_device
@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RAdam", {})],  # which has two ways
)
def test_a_step_of_an_optimizer_is_one_kernel(name, options, launched):
    random, found = np.random.default_rng(0), []
    arrays = [random.standard_normal((7, 5)).astype(np.float32) for _ in range(2)]
    for place in ("cpu", LAST):
        one, two = [dt.nn.Parameter(dt.tensor(a, device=place)) for a in arrays]
        parameters = [one, dt.nn.Parameter(two.detach().t()), dt.nn.Parameter(two.detach()[0])]
        optimizer = getattr(dt.optim, name)(parameters, lr=0.01, **options)
        where = [x.data_ptr() for x in parameters]
        for step in range(8):
            for x in parameters:
                x.grad = (x.detach() * (step + 1)).sin()
            launched.clear()
            optimizer.step()
            assert len(launched) == (3 if place == LAST else 0)
        assert where == [x.data_ptr() for x in parameters]
        found.append([x.detach().cpu().numpy() for x in parameters])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-5)


# ---- by NVIDIA's compiler

NVRTC = """
    import sys
    import cupy
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        print("absent", error); sys.exit()
    from cupy.cuda import compiler
    import numpy as np
    import devtensor as dt
    from devtensor.space import space_of
    from devtensor_cupy import dialect
    from devtensor_formulas.engine import Engine, Machine
    from devtensor_formulas.fuse import Fuser

    sources = []

    class OnPaper(Engine):
        kind, Array, limit, direct = "cpu", np.ndarray, 1, True
        place = lambda self, x: 0
        machine = lambda self, place: Machine(
            2112, 1 << 16, 128, False, lambda count: 32 if count < 512 else 1024, True, 4)
        in_rows = lambda self, x: x.flags.c_contiguous
        steps = lambda self, x: tuple([step // x.itemsize for step in x.strides])
        ordered = copy = lambda self, x: np.array(x, order="C")
        fresh = lambda self, shape, dtype, place: np.empty(shape, dtype)
        apart = lambda self, a, b, same=True: a is not b or same
        compiled = lambda self, place, source, name: sources.append(dialect.translated(source))
        prepared = lambda self, *rest: None
        launch = lambda self, *rest: None

    kernels = Fuser(OnPaper()).kernels({})
    xp = space_of(dt.device("cpu"))
    make = lambda *shape, dtype="float32": np.ones(shape, dtype)
    for dtype in ("float32", "float16", "float64"):
        kernels["softmax"](xp, make(4, 70, dtype=dtype), dim=1)
        kernels["variance"](xp, make(4, 2000, dtype=dtype), dim=1, correction=1, keepdim=True)
        kernels["max_dim"](xp, make(4, 2000, dtype=dtype), dim=1, keepdim=False)
        kernels["logsumexp"](xp, make(9000, 3, dtype=dtype), dim=0, keepdim=True)
    for dtype in ("float32", "float64"):
        kernels["gelu"](xp, make(1 << 18, dtype=dtype), approximate="none")
        kernels["pow"](xp, make(40, 50, dtype=dtype), make(50, dtype=dtype))
        for name in ("atan2", "hypot", "copysign", "maximum"):
            kernels[name](xp, make(50, 40, dtype=dtype).T, make(40, 1, dtype=dtype))
        for name in "asinh expm1 log1p erfc tan sign round reciprocal".split():
            kernels[name](xp, make(50, dtype=dtype))
    for dtype in ("int8", "uint64", "int64", "bool"):
        kernels["count_nonzero"](xp, make(40, 50, dtype=dtype), dim=0)
        if dtype != "bool":
            kernels["max_dim"](xp, make(4, 70, dtype=dtype), dim=1, keepdim=True)
    assert len(sources) > 40, len(sources)
    for number, source in enumerate(sources):
        arch = ("75", "90", "120")[number % 3]
        program = compiler._NVRTCProgram(source, "kernel.cu", method="cubin")
        cubin, _ = program.compile(("--fmad=false", f"-arch=sm_{arch}"))
        assert cubin[:4] == b"\\x7fELF", source
    print("compiled")
"""


@pytest.mark.skipif(not find_spec("cupy"), reason="CuPy is not installed")
@pytest.mark.timeout(300)
def test_formulas_compile_for_three_generations_of_gpus():
    said = python(NVRTC, 280)
    if said.startswith("absent"):
        pytest.skip(devices.missing("nvrtc", said))
    assert said == "compiled"
