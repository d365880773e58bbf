"""Kernels of the device xpu that go along rows: sums, extremes, norms, softmax, and copies."""

import os
import warnings

import numpy as np
import pytest
import torch

import devices
import devtensor as dt

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")  # loads it, so that SYCL is asked by us first
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

BACKEND = dt.device("xpu").backend

import dpnp  # noqa: E402

from devtensor_dpnp import fuse, launch, runtime  # noqa: E402
from devtensor_formulas import fuse as formula  # noqa: E402
from devtensor_formulas import layout, plans, rows  # noqa: E402

INF, NAN = float("inf"), float("nan")
WAYS = ["vectors", "lanes", "parts"]
INDICES = range(len(runtime.QUEUES))


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """How rows are gone along, of small arrays, too."""
    monkeypatch.setattr(fuse.Sycl, "limit", 1)
    monkeypatch.setattr(formula, "_plans", {})
    if request.param == "lanes":
        monkeypatch.setattr(fuse, "goes_alone", lambda device: False)
    if request.param == "parts":
        monkeypatch.setattr(fuse, "FEW", 0)
        monkeypatch.setattr(plans, "CHUNK", 8)
        monkeypatch.setattr(rows, "BLOCK", 2)
        monkeypatch.setattr(layout, "BLOCK", 2)
    return request.param


@pytest.fixture
def launched(monkeypatch):
    """The kernels that were launched."""
    found = []

    def counted(queue, function, *rest):
        found.append(function)
        launch.launch(queue, function, *rest)

    monkeypatch.setattr(fuse, "launch", counted)
    return found


def beside_torch(call, numbers, view=lambda x: x, index=0, rtol=2e-6):
    """Compare what a function of PyTorch's gives with the same here."""
    wanted = call(torch, view(torch.tensor(numbers)))
    found = call(dt, view(dt.tensor(numbers, device=f"xpu:{index}")))
    if not isinstance(wanted, tuple):
        wanted, found = (wanted,), (found,)
    for one, other in zip(wanted, found, strict=True):
        assert other.dtype.name == str(one.dtype).removeprefix("torch.")
        assert other.device == dt.device("xpu", index)
        assert tuple(other.shape) == tuple(one.shape)
        np.testing.assert_allclose(other.cpu().numpy(), one.numpy(), rtol=rtol, atol=rtol)


SEVERAL = {
    "sum": lambda t, x, d: t.sum(x, d),
    "mean": lambda t, x, d: t.mean(x, d, keepdim=True),
    "amax": lambda t, x, d: t.amax(x, d),
    "amin": lambda t, x, d: t.amin(x, d, keepdim=True),
    "var": lambda t, x, d: t.var(x, d),
    "std": lambda t, x, d: t.std(x, d, correction=0, keepdim=True),
    "logsumexp": lambda t, x, d: t.logsumexp(x, d),
    "norm 1": lambda t, x, d: t.linalg.vector_norm(x, 1, d),
    "norm 2": lambda t, x, d: t.linalg.vector_norm(x, 2, d),
    "norm 3": lambda t, x, d: t.linalg.vector_norm(x, 3, d),
    "norm inf": lambda t, x, d: t.linalg.vector_norm(x, INF, d),
    "norm 0": lambda t, x, d: t.linalg.vector_norm(x, 0, d),
    "nansum": lambda t, x, d: t.nansum(x, d),
    "count": lambda t, x, d: t.count_nonzero(x, d),
    "any": lambda t, x, d: t.any(x > 2 if x.is_floating_point() else x, d),
    "all": lambda t, x, d: t.all(x > -2 if x.is_floating_point() else x, d),
}
"""Reductions over several axes."""
SINGLE = {
    "prod": lambda t, x, d: t.prod(x / 2, d),
    "max": lambda t, x, d: tuple(t.max(x, d)),
    "min": lambda t, x, d: tuple(t.min(x, d, keepdim=True)),
    "argmax": lambda t, x, d: t.argmax(x, d),
    "argmin": lambda t, x, d: t.argmin(x, d, keepdim=True),
    "softmax": lambda t, x, d: t.softmax(x, d),
    "log_softmax": lambda t, x, d: t.log_softmax(x, d),
    "aminmax": lambda t, x, d: tuple(t.aminmax(x, dim=d)),
}
"""Those along one axis."""
SHAPES = {(3, 70): (1, 0), (600, 2): (0, 1), (2, 5, 33): (1, (0, 2), (1, 2))}
"""Axes by shapes: rows longer and shorter than a vector, a group and a part."""


@pytest.mark.parametrize("name", [*SEVERAL, *SINGLE])
def test_along_rows(way, name):
    random, call = np.random.default_rng(0), {**SEVERAL, **SINGLE}[name]
    for place, (shape, dims) in enumerate(SHAPES.items()):
        if place > {"vectors": 2, "lanes": 0, "parts": 1}[way]:
            break  # compilers take their time
        numbers = random.standard_normal(shape).astype(np.float32)
        missing = numbers.copy()
        missing[random.random(shape) < 0.02] = NAN
        missing[random.random(shape) < 0.05] = INF
        missing[0, :1] = -INF
        dim = dims[len(name) % len(dims)]
        if name in SINGLE and isinstance(dim, tuple):
            dim = dims[0]
        for x in (numbers, missing):
            beside_torch(lambda t, x, dim=dim: call(t, x, dim), x, index=place % len(INDICES))


VIEWS = {
    "turned": lambda x: x.transpose(0, 1),
    "every other": lambda x: x[:, ::2],
    "expanded": lambda x: x[:, :1].expand(40, 50),
    "between": lambda x: x[:, None].expand(40, 3, 50),
    "part": lambda x: x[3:, 5:],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("way", ["vectors"], indirect=True)
def test_arrays_in_other_orders(way, view):
    numbers = np.random.default_rng(1).standard_normal((40, 50)).astype(np.float32)
    for dim in (0, -1):
        for name in ("sum", "softmax"):
            call = {**SEVERAL, **SINGLE}[name]
            beside_torch(lambda t, x, call=call, dim=dim: call(t, x, dim), numbers, VIEWS[view])
    beside_torch(lambda t, x: x.contiguous(), numbers, VIEWS[view])
    beside_torch(lambda t, x: x.clone(), numbers, VIEWS[view])


TYPES = {
    "float64": "mean var softmax logsumexp argmax",
    "float16": "sum mean amax max var softmax logsumexp",
    "int64": "sum amin min argmax prod",
    "int32": "amax count aminmax",
    "int16": "amin argmin any",
    "uint8": "sum amax max",
    "int8": "amin argmin all",
    "bool": "sum amax any all count",
}


@pytest.mark.parametrize("way", ["vectors"], indirect=True)
def test_arrays_that_go_backwards(way):
    x = dpnp.asarray(np.arange(60.0).reshape(3, 20), sycl_queue=runtime.QUEUES[0])
    for array in (x[::-1], x[:, ::-1], x[::-1, ::-1].T, x[1, ::-1]):
        assert np.array_equal(fuse.copied(array).asnumpy(), array.asnumpy())
        total = BACKEND.xp.sum(array, axis=0)
        assert np.array_equal(total.asnumpy(), array.asnumpy().sum(0))


@pytest.mark.parametrize(
    "way, dtype",
    [*(("vectors", t) for t in TYPES), ("parts", "float16"), ("parts", "int64")],
    indirect=["way"],
)
def test_types(way, dtype):
    random = np.random.default_rng(2)
    numbers = random.integers(0 if dtype in ("bool", "uint8") else -9, 9, (3, 67)).astype(dtype)
    rtol = {"float64": 1e-13, "float16": 2e-3}.get(dtype, 0)
    for name in TYPES[dtype].split():
        call, x = {**SEVERAL, **SINGLE}[name], numbers
        if name == "prod":
            call, x = (lambda t, x, d: t.prod(x, d)), np.sign(numbers)
        beside_torch(lambda t, x, call=call: call(t, x, 1), x, rtol=rtol)
        if way == "vectors":
            beside_torch(lambda t, x, call=call: call(t, x, 0), x.T.copy(), rtol=rtol)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (3, 0), (1, 1), (1, 5)])
@pytest.mark.parametrize("way", ["vectors"], indirect=True)
def test_shapes_at_the_edge(way, shape):
    numbers = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    dim = len(shape) - 1
    for name in ("sum", "mean", "var", "softmax", "logsumexp", "amax", "argmax"):
        call = {**SEVERAL, **SINGLE}[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                wanted = call(torch, torch.tensor(numbers), dim)
            except (IndexError, RuntimeError) as error:
                with pytest.raises(type(error)):
                    call(dt, dt.tensor(numbers, device="xpu"), dim)
                continue
            found = call(dt, dt.tensor(numbers, device="xpu"), dim)
        np.testing.assert_allclose(found.cpu().numpy(), wanted.numpy(), rtol=1e-6)


@pytest.mark.parametrize("way", ["vectors", "parts"], indirect=True)
def test_rows_without_numbers(way):
    x = np.zeros((4, 70), np.float32)
    x[0], x[1, 3], x[2, 5], x[3, ::2] = -INF, INF, NAN, -INF
    for name in ("softmax", "log_softmax", "logsumexp", "argmax", "max", "min"):
        call = {**SEVERAL, **SINGLE}[name]
        beside_torch(lambda t, x, call=call: call(t, x, 1), x)
        beside_torch(lambda t, x, call=call: call(t, x, 0), x.T.copy())


def test_places_are_those_of_the_first(way):
    x = np.random.default_rng(3).integers(0, 3, (5, 200)).astype(np.float32)
    x[1, 50:60] = x[3, 190:] = NAN
    x[4] = -INF
    for array, axis in ((x, 1), (x.T.copy(), 0), (x.reshape(-1), 0)):
        there = dt.tensor(array, device="xpu")
        assert np.array_equal(there.argmax(axis).cpu().numpy(), array.argmax(axis))
        assert np.array_equal(there.argmin(axis).cpu().numpy(), array.argmin(axis))


# ---- sums


def test_sums_lose_little(launched):
    numbers = np.random.default_rng(4).random((1 << 10, 1 << 11)).astype(np.float32)
    exact = numbers.astype(np.float64)
    x = dt.tensor(numbers, device="xpu")
    for dim in (None, 0, 1):
        found, wanted = x.sum(dim).cpu().numpy(), exact.sum(dim)
        assert np.abs(found / wanted - 1).max() <= 2**-22
        large = x.sum(dim)
        assert all(dt.equal(x.sum(dim), large) for _ in range(5))
    assert launched
    assert (x * 1e38).sum().item() == INF
    assert dt.full((1 << 14,), INF, device="xpu").sum().item() == INF


def test_half_precision_is_added_up_in_single(way):
    x = dt.full((3, 4000), 6.0, device="xpu").half()
    assert x.sum(1).tolist() == [24000.0] * 3
    assert x.mean(1).tolist() == [6.0] * 3


# ---- gradients


def normalized(name):
    """A layer of PyTorch's functional form, its input and its parameters."""
    random = np.random.default_rng(5)
    make = lambda *shape: random.standard_normal(shape)  # noqa: E731
    x, along, channels = make(6, 4, 20), (make(20), make(20)), (make(4), make(4))
    return {
        "softmax": (lambda f, x: f.softmax(x, 1), x),
        "log_softmax": (lambda f, x: f.log_softmax(x, -1), x),
        "layer_norm": (lambda f, x, w, b: f.layer_norm(x, (20,), w, b), x, *along),
        "layer_norm_2": (lambda f, x: f.layer_norm(x, (4, 20)), x),
        "rms_norm": (lambda f, x, w, b: f.rms_norm(x, (20,), w), x, *along),
        "group_norm": (lambda f, x, w, b: f.group_norm(x, 2, w, b), x, *channels),
        "batch_norm": (lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True), x, *channels),
        "instance_norm": (lambda f, x: f.instance_norm(x), x),
        "normalize": (lambda f, x: f.normalize(x, dim=1), x),
        "mse_loss": (lambda f, x: f.mse_loss(x, x * x), x),
        "var": (lambda f, x: x.var(1) + x.std(0).sum(0), x),
        "logsumexp": (lambda f, x: x.logsumexp((0, 2)), x),
        "amax": (lambda f, x: x.amax(1), x),
        "max": (lambda f, x: x.max(2)[0], x),
        "prod": (lambda f, x: x.prod(1), x),
    }[name]


GRADIENTS = (
    "softmax log_softmax layer_norm layer_norm_2 rms_norm group_norm batch_norm instance_norm "
    "normalize mse_loss var logsumexp amax max prod"
)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        *[("vectors", name) for name in GRADIENTS.split()],
        *[("parts", name) for name in ("softmax", "layer_norm", "batch_norm")],
    ],
    indirect=["way"],
)
def test_gradients(way, name):
    call, *given = normalized(name)
    results = []
    for library, device in ((torch, "cpu"), (dt, f"xpu:{len(name) % len(INDICES)}")):
        xs = [library.tensor(a, dtype=library.float64, device=device) for a in given]
        xs = [x.requires_grad_() for x in xs]
        y = call(library.nn.functional, *xs)
        first = library.autograd.grad((y * y * y).sum(), xs, create_graph=True, allow_unused=True)
        first = [g for g in first if g is not None]
        second = library.autograd.grad(
            sum((g * g).sum() for g in first), xs, allow_unused=True, retain_graph=True
        )
        results.append([x.detach().cpu().numpy() for x in (y, *first, *second) if x is not None])
    for wanted, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("way", "shape", "reduction"),
    [
        ("vectors", (6, 70), "mean"),
        ("vectors", (3, 40, 5), "none"),
        ("parts", (3, 40, 5), "sum"),
    ],
    indirect=["way"],
)
def test_cross_entropy(way, shape, reduction):
    random = np.random.default_rng(6)
    numbers = random.standard_normal(shape)
    target = random.integers(0, shape[1], (shape[0], *shape[2:]))
    for weight, ignored in ((None, -100), (random.random(shape[1]) + 0.5, int(target.flat[0]))):
        results = []
        for library, device in ((torch, "cpu"), (dt, "xpu")):
            x = library.tensor(numbers, device=device, requires_grad=True)
            y = library.nn.functional.cross_entropy(
                x,
                library.tensor(target, device=device),
                None if weight is None else library.tensor(weight, device=device),
                ignore_index=ignored,
                reduction=reduction,
            )
            (g,) = library.autograd.grad((y * y).sum(), x, create_graph=True)
            (h,) = library.autograd.grad((g * g).sum(), x)
            results.append([v.detach().cpu().numpy() for v in (y, g, h)])
        for wanted, found in zip(*results, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    x = dt.tensor(numbers, device="xpu")
    for wrong in (-1, shape[1]):
        target.flat[-1] = wrong
        with pytest.raises(IndexError, match="out of bounds"):
            dt.nn.functional.cross_entropy(x, dt.tensor(target, device="xpu"))


# ---- which arrays take these kernels


@pytest.mark.parametrize(
    "call",
    [
        lambda x: dt.softmax(x, 1),
        lambda x: dt.log_softmax(x, 0),
        lambda x: dt.nn.functional.layer_norm(x, x.shape[1:]),
        lambda x: dt.nn.functional.rms_norm(x, x.shape[1:]),
        lambda x: x.var(1),
        lambda x: x.max(1),
        lambda x: dt.linalg.vector_norm(x, dim=1),
    ],
)
def test_one_kernel_for_large_arrays_and_none_for_small_ones(call, launched):
    call(dt.ones(100, 200, device="xpu"))
    assert len(launched) == 1
    call(dt.ones(10, 20, device="xpu"))
    assert len(launched) == 1


@pytest.mark.parametrize("way", ["vectors"], indirect=True)
def test_gradients_of_one_element_of_each_row(way):
    numbers = np.random.default_rng(8).standard_normal((4, 5, 30))
    for dim in (0, 2):
        results = []
        for library, device in ((torch, "cpu"), (dt, "xpu")):
            x = library.tensor(numbers, device=device, requires_grad=True)
            y = (x.max(dim)[0] ** 3).sum() + (x.median(dim, keepdim=True)[0] ** 2).sum()
            (g,) = library.autograd.grad(y, x, create_graph=True)
            (h,) = library.autograd.grad((g * g).sum(), x)
            results.append([v.detach().cpu().numpy() for v in (g, h)])
        for wanted, found in zip(*results, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_devices_that_take_no_source(monkeypatch, launched):
    monkeypatch.setattr(fuse, "takes_source", lambda array: False)
    monkeypatch.setattr(formula, "_plans", {})
    x = np.random.default_rng(7).standard_normal((100, 200)).astype(np.float32)
    for name in ("sum", "softmax", "var", "max"):
        call = {**SEVERAL, **SINGLE}[name]
        beside_torch(lambda t, x, call=call: call(t, x, 1), x, rtol=1e-5)
    beside_torch(lambda t, x: x.contiguous(), x, lambda x: x.T)
    assert not launched


def test_arguments_tell_plans_apart(way):
    x = dt.arange(140.0, device="xpu").reshape(2, 70)
    assert x.clamp(min=-0.0).shape == x.shape
    assert x.sum(1).shape == (2,)
    assert x.sum(1, keepdim=True).shape == (2, 1)
    for _ in range(2):
        with pytest.raises(IndexError):
            x.sum(2)
        with pytest.warns(UserWarning, match="degrees of freedom"):
            assert dt.isnan(x[:1].var(0)).all()
    assert x.max(1).indices.tolist() == [69, 69]
    assert x.long().max(1).values.tolist() == [69, 139]
