"""Backends: what a library must offer beside the array API, tested on bare arrays."""

import asyncio
import contextvars
import math
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.special
import torch

import devtensor as dt
import devtensor_numpy
import devtensor_strict  # noqa: F401  (registers the second device)
from devtensor.backend import load
from devtensor.dtype import ALL, OF
from devtensor_numpy import quick, special
from devtensor_numpy.namespace import EXTRAS, STANDARD

NUMPY = load("cpu")
KINDS = ("cpu", "strict", *(("xpu",) if find_spec("dpnp") else ()))
os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded


class Library:
    """A backend with short ways from and to NumPy."""

    def __init__(self, kind):
        self.backend = load(kind)
        self.xp = self.backend.xp

    def __call__(self, data, dtype=None):
        data = np.asarray(data, dtype)
        index = None if self.backend.host else 1
        return self.backend.array(data, self.backend.native[OF[data.dtype]], index)

    def back(self, array):
        assert isinstance(array, self.backend.array_types)
        return np.asarray(self.backend.to_host(array))


@pytest.fixture(params=KINDS)
def library(request):
    return Library(request.param)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def coarse(*shape, seed=0):
    """Multiples of 1/64: their sums are exact in every order, and a device may take any."""
    return np.round(floats(*shape, seed=seed) * 64) / 64


def theirs(array):
    return torch.tensor(np.asarray(array))


# ---- the namespace


def test_namespace_has_standard_and_extras(library):
    missing = [n for n in f"{STANDARD} {EXTRAS}".split() if not hasattr(library.xp, n)]
    assert not missing


def test_namespace_has_nothing_else():
    assert not hasattr(NUMPY.xp, "diagonal")  # NumPy's is read-only, the catalogue's a view.
    assert "linalg" in NUMPY.xp.__all__


# ---- extras: reading and writing at indices


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), [2, 0]),
        ([0, 1, 1], [3, 0, 2]),
        ([[0, 1], [1, 1]], Ellipsis),
        (slice(None), [[3], [0]], Ellipsis),
        ([[True, False, True, True], [False, False, True, False]],),
    ],
)
def test_get_and_put(library, key):
    x = coarse(2, 4)
    key = tuple([np.array(part) if isinstance(part, list) else part for part in key])
    ours = tuple([library(part) if isinstance(part, np.ndarray) else part for part in key])
    found = library.xp.get(library(x), ours)
    np.testing.assert_array_equal(library.back(found), x[key])
    # The same value for a place however often it is named: which of several stays is no promise.
    values = coarse(2, 4, seed=1)[key]
    for accumulate in (False, True):
        given = library(x)
        found = library.xp.put(given, ours, library(values), accumulate)
        index = tuple([torch.tensor(p) if isinstance(p, np.ndarray) else p for p in key])
        wanted = theirs(x)
        if accumulate:
            flat = torch.arange(8).reshape(2, 4)[index].reshape(-1)
            wanted = wanted.reshape(-1).index_add(0, flat, theirs(values).reshape(-1))
        else:
            wanted[index] = theirs(values)
        np.testing.assert_array_equal(library.back(found), wanted.numpy().reshape(2, 4))
        np.testing.assert_array_equal(library.back(given), x)


def test_put_broadcasts_and_adds_up(library):
    found = library.xp.put(library(np.zeros(3)), (library([1, 1, 1]),), library(2.0), True)
    assert library.back(found).tolist() == [0, 6, 0]


def test_get_and_put_refuse(library):
    x, beyond = library(np.zeros((2, 3))), (library([0, 2]),)
    with pytest.raises(IndexError):
        library.xp.get(x, beyond)
    for accumulate in (False, True):
        with pytest.raises(IndexError):
            library.xp.put(x, beyond, library(1.0), accumulate)
        with pytest.raises(ValueError):
            library.xp.put(x, (library([0, 1]),), library(np.zeros((2, 2))), accumulate)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_scatter_and_scatter_add(library, dim):
    x = coarse(3, 4, 2)
    shape = [3, 4, 2]
    shape[dim] = 5
    index = np.random.default_rng(1).integers(0, x.shape[dim], shape)
    src = coarse(*shape, seed=2)
    given = library(x)
    added = library.xp.scatter_add(given, dim, library(index), library(src))
    wanted = theirs(x).scatter_add(dim, theirs(index), theirs(src))
    np.testing.assert_array_equal(library.back(added), wanted)
    once = np.argsort(floats(*x.shape, seed=3), axis=dim)
    found = library.xp.scatter(given, dim, library(once), library(x + 1))
    wanted = theirs(x).scatter(dim, theirs(once), theirs(x + 1))
    np.testing.assert_array_equal(library.back(found), wanted)
    np.testing.assert_array_equal(library.back(given), x)


@pytest.mark.parametrize("dim", [0, 1])
def test_index_add(library, dim):
    x, index = coarse(3, 4), np.array([2, 0, 2, 2])
    src = coarse(*[4 if d == dim else n for d, n in enumerate(x.shape)], seed=1)
    found = library.xp.index_add(library(x), dim, library(index), library(src))
    wanted = theirs(x).index_add(dim, theirs(index), theirs(src))
    np.testing.assert_array_equal(library.back(found), wanted)


def test_bincount(library):
    x, weights = np.array([3, 1, 3, 0]), np.array([0.5, 1, 2, 4])
    assert library.back(library.xp.bincount(library(x), None, 6)).tolist() == [1, 1, 0, 2, 0, 0]
    assert library.back(library.xp.bincount(library(x), library(weights), 0)).tolist() == [
        4, 1, 0, 2.5,
    ]  # fmt: skip
    assert library.back(library.xp.bincount(library(x[:0]), None, 0)).tolist() == []


# ---- extras: memory


@pytest.mark.parametrize("library", [k for k in KINDS if k != "strict"], indirect=True)
def test_eigenvalues_of_any_matrix(library):  # the standard of 2024 has none
    matrices = np.array([[[2.0, 1.0], [4.0, -1.0]], [[0.0, 1.0], [-1.0, 0.0]]])
    values, vectors = map(library.back, library.xp.linalg.eig(library(matrices)))
    np.testing.assert_allclose(matrices @ vectors, values[:, None] * vectors, atol=1e-12)
    alone = library.back(library.xp.linalg.eigvals(library(matrices)))
    for found in (values, alone):
        np.testing.assert_allclose(np.sort_complex(found), [[-2, 3], [-1j, 1j]], atol=1e-12)


def test_sliding_window_is_a_view(library):
    x = library(np.arange(24.0).reshape(4, 6))
    for dim, size, step in ((0, 2, 1), (1, 3, 2), (1, 6, 1), (0, 1, 5)):
        found = library.xp.sliding_window(x, size, step, dim)
        wanted = theirs(library.back(x)).unfold(dim, size, step)
        np.testing.assert_array_equal(library.back(found), wanted)
        assert library.backend.strides(found) == wanted.stride()
        assert library.backend.shares(found, x)


def test_as_strided(library):
    memory = library(np.arange(12.0).reshape(3, 4))
    x = memory[1:, 1:]
    for size, stride, start in (
        ((2, 2), (1, 2), 0),
        ((3,), (2,), -5),
        ((), (), 6),
        ((0, 2), (1, 1), 0),
    ):
        found = library.xp.as_strided(x, size, stride, start)
        wanted = theirs(np.arange(12.0)).as_strided(size, stride, 5 + start)
        np.testing.assert_array_equal(library.back(found), wanted)
    found = library.xp.as_strided(x, (2,), (6,), -5)
    library.backend.write(found, library([-1.0, -2.0]))
    assert library.back(memory).reshape(-1)[[0, 6]].tolist() == [-1, -2]
    for size, stride, start in (((2, 2), (6, 4), 0), ((2,), (1,), -6), ((8,), (1,), 0)):
        with pytest.raises(RuntimeError, match="out of bounds for storage of size 96"):
            library.xp.as_strided(x, size, stride, start)


def test_as_strided_in_memory_by_columns():
    memory = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    found = NUMPY.xp.as_strided(memory[:, 1:], (3,), (1,), -1)
    assert found.tolist() == [3, 1, 4]
    found[0] = 9
    assert memory[1, 0] == 9
    del memory
    assert found.tolist() == [9, 1, 4]


def test_contiguous(library):
    x = library(floats(3, 4))
    for given in (x, library.xp.matrix_transpose(x)):
        found = library.xp.contiguous(given)
        np.testing.assert_array_equal(library.back(found), library.back(given))
        assert library.backend.strides(found) == (found.shape[1], 1)
        assert not library.backend.shares(found, x)


def test_reinterpret(library):
    x = floats(3, 4).astype(np.float32)
    for name in ("int32", "float64", "uint8"):
        given = library(x)
        found = library.xp.reinterpret(given, getattr(library.xp, name))
        wanted = theirs(x).view(getattr(torch, name))
        np.testing.assert_array_equal(library.back(found), wanted)
        assert library.backend.shares(found, given)
    for odd in (library(x[:, :3]), library(x[:, :3])[:, :2], library(x)[0, 1:3]):
        with pytest.raises(RuntimeError, match="must be divisible by 2"):
            library.xp.reinterpret(odd, library.xp.float64)
    with pytest.raises(RuntimeError, match="cannot be 0"):
        library.xp.reinterpret(library(x[0, 0]), library.xp.float64)


def test_view_as_real_and_complex(library):
    x = (floats(3, 2) + 1j * floats(3, 2, seed=1)).astype(np.complex64)
    given = library(x)
    real = library.xp.view_as_real(given)
    np.testing.assert_array_equal(library.back(real), torch.view_as_real(theirs(x)))
    assert library.backend.shares(real, given)
    back = library.xp.view_as_complex(real)
    np.testing.assert_array_equal(library.back(back), x)
    assert library.backend.shares(back, given)
    with pytest.raises(RuntimeError, match="stride"):
        library.xp.view_as_complex(library.xp.matrix_transpose(library(floats(2, 2))))


# ---- extras: special functions


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma", "i0"])
def test_special_functions_are_extras(name, library):
    x = np.linspace(0.1, 0.9, 6).reshape(2, 3)
    wanted = getattr(torch.special, name.replace("lgamma", "gammaln"))(torch.tensor(x))
    for given in (x, x[0, 0], x[:0]):
        found = library.back(getattr(library.xp, name)(library(given)))
        assert found.shape == np.shape(given)
    np.testing.assert_allclose(
        library.back(getattr(library.xp, name)(library(x))), wanted, rtol=1e-13
    )


def test_polygamma_is_an_extra(library):
    x = np.linspace(0.1, 3, 6)
    for n in (1, 2, 3):
        wanted = scipy.special.polygamma(n, x)
        np.testing.assert_allclose(
            library.back(library.xp.polygamma(n, library(x))), wanted, rtol=1e-12
        )


# ---- corrections of the standard


@pytest.mark.parametrize("descending", [False, True])
def test_sort_and_argsort_are_stable(library, descending):
    x = np.random.default_rng(0).integers(0, 4, (3, 40))
    found = library.back(library.xp.argsort(library(x), axis=1, descending=descending))
    _, wanted = torch.sort(theirs(x), dim=1, descending=descending, stable=True)
    np.testing.assert_array_equal(found, wanted)
    found = library.back(library.xp.sort(library(x), axis=0, descending=descending))
    np.testing.assert_array_equal(found, torch.sort(theirs(x), 0, descending).values)


def test_isdtype(library):
    for kind, names in {
        "bool": ("bool",),
        "signed integer": ("int8", "int64"),
        "unsigned integer": ("uint8", "uint64"),
        "integral": ("int8", "int64", "uint8", "uint64"),
        "real floating": ("float32", "float64"),
        "complex floating": ("complex64",),
        "numeric": ("int8", "int64", "uint8", "uint64", "float32", "float64", "complex64"),
        ("bool", "real floating"): ("bool", "float32", "float64"),
    }.items():
        for t in ("bool", "int8", "int64", "uint8", "uint64", "float32", "float64", "complex64"):
            native = getattr(library.xp, t)
            assert library.xp.isdtype(native, kind) is (t in names)
    with pytest.raises(ValueError):
        library.xp.isdtype(library.xp.float32, "floating")
    assert library.xp.isdtype(library.xp.float32, library.xp.float32)


# ---- the backend's own answers


def test_dtypes(library):
    for t, native in library.backend.native.items():
        assert OF[native] is t
        array = library.backend.array([1, 0], native, 0)
        assert OF[array.dtype] is t
        assert t.itemsize == library.back(array).itemsize
    missing = {t.name for t in ALL} - {t.name for t in library.backend.native}
    assert missing <= {"bfloat16", *(["float16"] if library.backend.kind == "strict" else [])}
    assert OF[np.float32] is OF[np.dtype(np.float32)]


@pytest.mark.parametrize(
    "target", ["bool", "uint8", "int8", "int32", "int64", "float32", "complex64"]
)
@pytest.mark.parametrize("source", ["bool", "uint8", "int64", "float32", "float64", "complex128"])
def test_write_converts_as_pytorch(library, source, target):
    values = np.array([0, 1, 3.75, -2.5, 300.25, 1e6])
    if source == "complex128":
        values = values + 2j
    values = (
        values.astype(getattr(np, source), copy=False)
        if source != "uint8"
        else values[:3].astype("u1")
    )
    into = library(np.zeros(len(values), target))
    library.backend.write(into, library(values))
    wanted = torch.zeros(len(values), dtype=getattr(torch, target))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted.copy_(theirs(values))
    np.testing.assert_array_equal(library.back(into), wanted)


def test_write_broadcasts_into_views(library):
    x = library(np.zeros((2, 3, 2)))
    library.backend.write(x[:, 1, :], library([1.0, 2.0]))
    assert library.back(x)[1].tolist() == [[0, 0], [1, 2], [0, 0]]
    one = library(np.zeros(()))
    library.backend.write(one, library(np.array(3)))
    assert library.back(one) == 3
    with pytest.raises(ValueError):
        library.backend.write(x, library(np.zeros(3)))


def test_write_is_silent_about_what_does_not_fit():
    def work():
        target = np.zeros(3, np.int32)
        NUMPY.write(target, np.array([math.nan, math.inf, 1e20]))
        done.append(target[0])

    done = []
    thread = threading.Thread(target=work)  # Where nobody has silenced NumPy.
    thread.start()
    thread.join()
    assert done == [torch.tensor([math.nan]).to(torch.int32).item()]


@pytest.mark.parametrize(
    "data, dtype",
    [
        ([1, 2], "float32"),
        ([[1.9, -1.9]], "int32"),
        ([-1, -255], "uint8"),
        ([True, False], "int8"),
        ([0.5, math.nan, 0], "bool"),
        ([1e30], "float32"),
        ([2**63], "uint64"),
        ([2**70], "float64"),
        ([1 + 2j], "complex64"),
        ([], "int64"),
        (3, "float64"),
        (2.5, "int64"),
    ],
)
def test_array_from_numbers(library, data, dtype):
    native = getattr(library.xp, dtype)
    native = native if library.backend.kind == "strict" else np.dtype(native)
    found = library.back(library.backend.array(data, native, 0))
    wanted = torch.tensor(data, dtype=getattr(torch, dtype)).numpy()
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize(
    "data, dtype",
    [
        ([300], "uint8"),
        ([-256], "uint8"),
        ([128], "int8"),
        ([math.nan], "int64"),
        ([math.inf], "int32"),
        ([1e19], "int64"),
        ([256.5], "uint8"),
    ],
)
def test_array_refuses_what_does_not_fit(data, dtype):
    with pytest.raises(RuntimeError, match="without overflow"):
        NUMPY.array(data, np.dtype(dtype), None)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.tensor(data, dtype=getattr(torch, dtype))


def test_array_of_a_single_number_wraps_around():
    for value in (300, -1, 2**40 + 7, -(2**40)):
        for dtype in ("uint8", "int8", "int16", "int64"):
            wanted = torch.ones((), dtype=getattr(torch, dtype)) * value
            assert NUMPY.array(value, np.dtype(dtype), None).item() == wanted.item()


def test_array_copies_and_orders(library):
    x = np.asfortranarray(floats(3, 4))
    native = library.backend.native[OF[x.dtype]]
    found = library.backend.array(x, native, 0)
    assert library.backend.strides(found) == (4, 1)
    assert library.backend.owns(found)
    x[0, 0] = 9
    assert library.back(found)[0, 0] != 9


def test_array_does_not_depend_on_silence():
    with np.errstate(all="raise"):
        assert NUMPY.array(np.array([1e300]), np.dtype(np.float32), None)[0] == math.inf
        assert NUMPY.array([1e300], np.dtype(np.float32), None)[0] == math.inf


def test_adopt():
    x = np.zeros(3)
    assert NUMPY.adopt(x) is x
    matrix = np.zeros((2, 2)).view(np.matrix)
    assert type(NUMPY.adopt(matrix)) is np.ndarray
    assert np.shares_memory(NUMPY.adopt(matrix), matrix)
    assert NUMPY.adopt(np.float32(2)).dtype == np.float32
    strict = load("strict")
    assert NUMPY.adopt(Library("strict")(x)) is None
    assert strict.adopt(x) is None
    assert NUMPY.adopt([1.0]) is None


def test_places():
    assert NUMPY.host and NUMPY.count() == 1 and NUMPY.index_of(np.zeros(1)) is None
    strict = load("strict")
    assert not strict.host and strict.count() == 2
    for index in range(2):
        x = strict.array([1.0], strict.xp.float64, index)
        assert strict.index_of(x) == index
        made = strict.bind(lambda: strict.xp.zeros((2,)), index)()
        assert strict.index_of(made) == index
        assert strict.index_of(strict.xp.zeros((2,), **strict.placed(index))) == index
    with pytest.raises(ValueError, match="device"):
        x + strict.array([1.0], strict.xp.float64, 0)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x[1:, :, 2],
        lambda x: x[None, :, :, None, ...],
        lambda x: x[:, None, ...],
        lambda x: x[:, ::2, 1:],
        lambda x: x[:0, ...],
        lambda x: x[1, 2, 3, ...],
        lambda x: x[:, :1, :],
    ],
)
def test_strides_pointer_and_offset(library, view):
    memory = np.arange(24.0).reshape(2, 3, 4)
    x, y = library(memory), torch.tensor(memory)
    backend = library.backend
    assert backend.owns(x)
    ours, wanted = view(x), view(y)
    assert backend.strides(ours) == wanted.stride()
    if ours.shape != (0, 3, 4):
        assert (backend.pointer(ours) - backend.pointer(x)) // 8 == wanted.storage_offset()
        assert backend.storage_offset(ours) == wanted.storage_offset()
        assert backend.shares(ours, x)
    assert not backend.shares(library.xp.asarray(ours, copy=True), x)


def test_strides_of_expanded_arrays(library):
    x = library(np.zeros((3, 1)))
    assert library.backend.strides(library.xp.broadcast_to(x, (2, 3, 4))) == (0, 1, 0)
    assert library.backend.strides(library(np.zeros((2, 0, 3)))) == (3, 3, 1)


def test_owns(library):
    x = library(np.zeros((2, 3)))
    assert not library.backend.owns(x[0, :])
    assert not library.backend.owns(library.xp.reshape(x, (3, 2)))
    assert library.backend.owns(x + x)


def test_added():
    total, part = np.ones(3), np.arange(3.0)
    assert NUMPY.added(total, part) is total and total.tolist() == [1, 2, 3]
    found = NUMPY.added(np.ones(()), part)
    assert found.tolist() == [1, 2, 3]
    found = NUMPY.added(np.ones(3, np.float32), part)
    assert found.dtype == np.float64


def test_setup_silences_numpy_in_a_thread():
    def work():
        try:
            with pytest.raises(RuntimeWarning):
                np.log(np.zeros(3))
            NUMPY.setup()
            np.log(np.zeros(3))
            np.exp(np.full(3, 1e5))
            np.sqrt(np.full(3, -1.0))
            np.full(3, math.nan).astype(np.int64)
            done.append(True)
        except BaseException as error:
            done.append(error)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def overflow():
    """What NumPy warns of: division by zero, overflow, invalid operations and conversions."""
    x = dt.zeros(3)
    assert (dt.log(x) == -math.inf).all()
    assert (x / x).isnan().all()
    assert (dt.exp(x + 1e5) == math.inf).all()
    assert (dt.full((3,), 1e300, dtype=dt.float64).to(dt.float32) == math.inf).all()
    dt.full((3,), math.nan).to(dt.int64)
    x.requires_grad_()
    dt.sqrt(x).sum().backward()
    assert (x.grad == math.inf).all()
    return True


def test_operations_are_silent_everywhere():
    assert overflow()
    assert contextvars.Context().run(overflow)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(overflow).result()

        def within_modes():
            with dt.no_grad():
                dt.log(dt.zeros(3))
            return overflow()

        assert pool.submit(contextvars.Context().run, within_modes).result()

    async def task():
        return overflow()

    assert asyncio.run(task())


@pytest.mark.skipif(
    not sys.platform.startswith("linux")
    or not hasattr(devtensor_numpy.ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="glibc's malloc only",
)
def test_memory_is_used_again():
    code = (
        "import resource, numpy as np\n"
        "from devtensor_numpy import keep_freed_memory\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def work():\n"
        "    before = faults()\n"
        "    for _ in range(20): np.ones(1 << 18)\n"  # 2 MB, below NumPy's own huge pages.
        "    return faults() - before\n"
        "keep_freed_memory(); work(); print(work())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 500


def test_other_systems_keep_their_allocator(monkeypatch):
    monkeypatch.setattr(devtensor_numpy.sys, "platform", "darwin")
    monkeypatch.setattr(devtensor_numpy.ctypes, "CDLL", None)
    devtensor_numpy.keep_freed_memory()


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    native = np.dtype(ml_dtypes.bfloat16)
    assert OF[native].name == "bfloat16"
    x = NUMPY.array([1.5, 2.25], native, None)
    assert quick.isdtype(native, "real floating") and not quick.isdtype(native, "integral")
    assert float(quick.finfo(native).eps) == 2**-7
    assert special.erf(x).dtype == native
    into = np.zeros(2, np.int32)
    NUMPY.write(into, x)
    assert into.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_are_rounded_down_exactly(library, dtype):
    """``1 // 0.1`` is 9, as 0.1 is a little more than it says; what a quotient rounds to is 10."""
    numbers = np.array([1, -1, 0.1, -0.3, 2, 7.5, 0, np.inf, -np.inf, np.nan], dtype)
    left, right = np.meshgrid(numbers, numbers)
    for name in ("floor_divide", "remainder"):
        with np.errstate(all="ignore"):
            wanted = getattr(np, name)(left, right)
            found = library.back(getattr(library.xp, name)(library(left), library(right)))
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
