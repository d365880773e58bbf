"""Kernels of our own on xpu that pass over arrays and look up places, beside NumPy's results."""

import os

import numpy as np
import pytest

import devices
import devtensor as dt

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

import dpnp  # noqa: E402

from devtensor_dpnp import arithmetic, elementwise, extras_index, guarded, lookup, runtime  # noqa: E402

QUEUE = runtime.QUEUES[-1]
HERE = dt.device("cpu").backend.xp
THERE = dt.device("xpu").backend.xp
TYPES = ["bool", "uint16", "int16", "float32"]


def there(array, **kwargs):
    return dpnp.asarray(array, sycl_queue=QUEUE, **kwargs)


def numbers(random, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return (random.integers(-6, 7, shape) / 2).astype(dtype)
    return random.integers(0 if dtype[0] in "bu" else -9, 9, shape).astype(dtype)


# ---- two operands in one pass

BROADCAST = [
    ((3, 5), (3, 5)),
    ((3, 5), ()),
    ((), (3, 5)),
    ((3, 5), (5,)),
    ((3, 1), (3, 5)),
    ((2, 3, 4), (3, 1)),
    ((2, 1, 4), (3, 1)),
    ((2, 1, 2, 1), (1, 3, 1, 2)),  # more dimensions than the kernel has
    ((1,), (1,)),
    ((2 * arithmetic.RUN + 3,), ()),
    ((3, arithmetic.RUN - 1), (3, 1)),
]


LAYOUTS = ("subtract", "float32"), ("less", "int16")
EVERY = ("equal", "maximum", "bitwise_and")
"""Of these all types, of the others two: compilers take their time."""


@pytest.mark.parametrize(
    "name", [*arithmetic.FORMULAS, *sorted({name for name, _ in arithmetic.WHOLE})]
)
def test_two_operands_in_one_pass(name, monkeypatch):
    monkeypatch.setattr(elementwise, "LIMIT", 1)
    taken = []

    def counted(*args):
        found = arithmetic.passed(*args)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(elementwise, "passed", counted)
    random = np.random.default_rng(0)
    for dtype in TYPES if name in EVERY else TYPES[2:]:
        for shapes in BROADCAST if (name, dtype) in LAYOUTS else BROADCAST[:1]:
            one, two = [np.asarray(numbers(random, shape, dtype)) for shape in shapes]
            if np.dtype(dtype).kind == "f" and one.size > 3:
                one.flat[:3] = np.nan, np.inf, -0.0
            if np.dtype(dtype).kind == "i" and one.size > 3:
                one.flat[0] = np.iinfo(dtype).min
            with np.errstate(all="ignore"):
                try:
                    wanted = getattr(np, name)(one, two)
                except TypeError:
                    continue
            if wanted.dtype not in (one.dtype, np.bool_) or dtype == "float16":
                continue  # dpnp has its own types for these
            found = elementwise.FUNCTIONS[name](there(one), there(two)).asnumpy()
            assert found.dtype == wanted.dtype
            close = 1e-6 if name == "pow" else 0  # others are exact
            np.testing.assert_allclose(found, wanted, rtol=close)
    assert sum(taken) >= 1


def test_passes_over_operands_with_gaps(monkeypatch):
    monkeypatch.setattr(elementwise, "LIMIT", 1)
    x = np.arange(48.0, dtype="f4").reshape(4, 12)
    for key in ((slice(None), slice(None, None, 2)), (slice(1, None), slice(3, 9)), (0,)):
        ours = there(x)[key]
        np.testing.assert_array_equal((ours + ours).asnumpy(), x[key] + x[key])
        np.testing.assert_array_equal((ours > 7.0).asnumpy(), x[key] > 7)
        np.testing.assert_array_equal((1 - ours).asnumpy(), 1 - x[key])


def test_dimensions_join():
    assert arithmetic.joined((2, 3, 4), (12, 4, 1)) == ([24], [[1]])
    assert arithmetic.joined((2, 3, 4), (12, 4, 1), (0, 0, 0)) == ([24], [[1], [0]])
    assert arithmetic.joined((2, 3, 4), (12, 4, 1), (0, 1, 0)) == (
        [2, 3, 4],
        [[12, 4, 1], [0, 1, 0]],
    )
    assert arithmetic.joined((2, 3, 4), (12, 4, 1), (3, 1, 0)) == ([6, 4], [[4, 1], [1, 0]])
    assert arithmetic.joined((1, 1), (5, 7)) == ([], [[]])


# ---- places

ORDERS = {
    "in order": lambda x: x,
    "backwards": lambda x: x[::-1],
    "transposed": lambda x: x.T,
    "with gaps": lambda x: x[..., ::2],
    "expanded": lambda x: np.broadcast_to(x[:1], x.shape),
}


def pairs(x):
    """An array of NumPy's, and of dpnp's with the same strides."""
    if x.ndim and min(x.strides) < 0:
        return x, there(np.ascontiguousarray(x[::-1]))[::-1]
    if x.ndim and 0 in x.strides:
        return x, dpnp.broadcast_to(there(x[:1]), x.shape)
    if x.flags.f_contiguous:
        return x, dpnp.permute_dims(there(np.ascontiguousarray(x.T)), range(x.ndim)[::-1])
    if x.strides[-1] != x.itemsize:
        return x, there(np.repeat(x, 2, -1))[..., ::2]
    return x, there(x)


@pytest.mark.parametrize(
    "order, dtype",
    [*zip(ORDERS, ["float32", "bool", "float16", "int64", "complex128"], strict=True)],
)
def test_reading_at_places(dtype, order):
    random = np.random.default_rng(0)
    for shape in ((6,), (4, 6), (3, 2, 4), (2, 3, 1, 4)):
        x, ours = pairs(ORDERS[order](random.integers(0, 2, shape).astype(dtype)))
        for axis, n in enumerate(x.shape):
            for size in ((), (5,), (2, 3), (0,), (5000,)):
                index = np.asarray(random.integers(-n, n, size))
                for kind in ("i8", "i4"):
                    found = guarded.take(ours, there(index.astype(kind)), axis=axis)
                    np.testing.assert_array_equal(found.asnumpy(), np.take(x, index, axis))
            index = random.integers(-n, n, [*x.shape[:axis], 7, *x.shape[axis + 1 :]])
            found = guarded.take_along_axis(ours, there(index), axis=axis - x.ndim)
            np.testing.assert_array_equal(found.asnumpy(), np.take_along_axis(x, index, axis))


KEYS = [
    ([0, 2],),
    (slice(None), [[1, -1], [0, 0]]),
    ([0, 1], [1, 2]),
    ([[0], [1]], [1, 2, 2]),
    (slice(None), [0, 1, 1], [2, 2, 2]),
    ([0, 1], slice(None), [1, -3]),
    (slice(None, None, 2), [0, 1], slice(1, 3)),
    (slice(None, None, -1), [0, 1]),
    (..., [0, 0, 0]),
    (None, [1], ...),
    (1, [0, 2]),
    ([], slice(1, 2)),
    ([0, 0, 1], [0, 0, 1], [0, 0, 2], [0, 0, 1]),
]


@pytest.mark.parametrize("place", range(len(KEYS)))
def test_keys(place):
    key, dtype = KEYS[place], ["bool", "int32", "float32", "complex64"][place % 4]
    random = np.random.default_rng(0)
    x = random.integers(0, 3, (3, 4, 3, 2)).astype(dtype)
    theirs = tuple([np.asarray(p, np.int64) if isinstance(p, list) else p for p in key])
    ours = tuple([there(p) if isinstance(p, np.ndarray) else p for p in theirs])
    wanted = x[theirs]
    np.testing.assert_array_equal(THERE.get(there(x), ours).asnumpy(), wanted)
    for values in (random.integers(0, 3, wanted.shape), np.ones(wanted.shape[-1:])):
        values = values.astype(dtype)
        for add in (False, True):
            found = THERE.put(there(x), ours, there(values), add).asnumpy()
            np.testing.assert_array_equal(found, HERE.put(x, theirs, values, add))


@pytest.mark.parametrize("dtype", ["bool", "float16", "int64", "complex64"])
def test_writing_along_a_dimension(dtype):
    random = np.random.default_rng(0)
    for shape, dim in (((7,), 0), ((5, 70), 0), ((5, 3), 1), ((2, 4, 3), 1), ((70, 1, 3), 2)):
        x = random.integers(0, 3, shape).astype(dtype)
        for many in (0, 1, 9):
            size = [many if d == dim else n for d, n in enumerate(shape)]
            index = random.integers(-shape[dim], shape[dim], size)
            src = random.integers(0, 3, size).astype(dtype)
            for name in ("scatter", "scatter_add"):
                found = getattr(THERE, name)(there(x), dim, there(index), there(src))
                wanted = getattr(HERE, name)(x, dim, index, src)
                np.testing.assert_array_equal(found.asnumpy(), wanted)
            row = random.integers(-shape[dim], shape[dim], many)
            found = THERE.index_add(there(x), dim, there(row), there(src)).asnumpy()
            np.testing.assert_array_equal(found, HERE.index_add(x, dim, row, src))


WRONG = {
    "take": lambda x, i: THERE.take(x, i, axis=1),
    "take_along_axis": lambda x, i: THERE.take_along_axis(x, i[None], axis=1),
    "get": lambda x, i: THERE.get(x, (slice(None), i)),
    "get two": lambda x, i: THERE.get(x, (dpnp.zeros_like(i), i)),
    "put": lambda x, i: THERE.put(x, (slice(None), i), x[:, :1], False),
    "put two": lambda x, i: THERE.put(x, (dpnp.zeros_like(i), i), x[0, 0], True),
    "scatter": lambda x, i: THERE.scatter(x, 1, i[None], x[:, :2]),
    "scatter_add": lambda x, i: THERE.scatter_add(x, 1, i[None], x[:, :2]),
    "index_add": lambda x, i: THERE.index_add(x, 1, i, x[:, :2]),
}


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_places_are_refused_at_once(name, source, monkeypatch):
    if not source:
        for room in (guarded, extras_index):
            monkeypatch.setattr(room, "takes_source", lambda x: False)
    x = there(np.arange(3.0).reshape(1, 3))
    for place in (3, -4):
        with pytest.raises(IndexError, match=f"index {place} is out of bounds"):
            WRONG[name](x, there([0, place]))
    WRONG[name](x, there([0, -3]))  # and nothing is left behind
    assert x.asnumpy().tolist() == [[0, 1, 2]]
    for empty in (there(np.zeros((1, 0))), there(np.zeros((0, 3)))[:, :0]):
        with pytest.raises(IndexError):
            THERE.take(empty, there([0]), axis=1)


REFUSED = [
    lambda x, i: x.gather(1, i[None]),
    lambda x, i: x.scatter(1, i[None], 1.0),
    lambda x, i: x.scatter_add(1, i[None], x[:, :2]),
    lambda x, i: x.index_select(1, i),
    lambda x, i: x.index_add(1, i, x[:, :2]),
    lambda x, i: x.index_copy(1, i, x[:, :2]),
    lambda x, i: dt.nn.functional.embedding(i, x.T),
    lambda x, i: x[:, i],
    lambda x, i: x[0, 0].index_add(0, i[1:], x[0, :1]),
    lambda x, i: x[:0].gather(1, i[None, :][:0]),
]


@pytest.mark.parametrize("call", REFUSED)
@pytest.mark.parametrize("place", [3, -1, -4])
def test_operations_refuse_places_as_on_the_cpu(call, place):
    said = []
    for device in ("cpu", "xpu"):
        x, index = dt.arange(3.0, device=device)[None], dt.tensor([0, place], device=device)
        try:
            said.append(call(x, index).tolist())
        except (IndexError, RuntimeError) as error:
            said.append((type(error), str(error)))
    assert said[0] == said[1]


def test_threads_note_their_own_wrong_places():
    import threading

    x, right, wrong = there(np.arange(100.0)), there(np.arange(100)), there([100])
    found = []

    def work(index, fails):
        for _ in range(30):
            try:
                THERE.take(x, index, axis=0)
                found.append(fails)
            except IndexError:
                found.append(not fails)

    threads = [threading.Thread(target=work, args=a) for a in ((right, False), (wrong, True)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 120 and not any(found)


def test_sorted_indices_are_not_looked_at(monkeypatch):
    def fail(*_):
        raise AssertionError("it waits")

    x = dt.randn(4, 9, device="xpu")
    x.sort(1)
    monkeypatch.setattr(lookup, "noted", lambda q, p, look: None if look == "trust" else fail())
    x.sort(1), x.topk(3), x.median(1)
    with pytest.raises(AssertionError):
        x.gather(1, dt.zeros(4, 1, dtype=dt.int64, device="xpu"))
