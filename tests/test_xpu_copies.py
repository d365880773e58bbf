"""Copies on xpu by rows, and what is put together of them, beside NumPy's."""

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

from devtensor_dpnp import copies, guarded, memory, moves, runtime  # noqa: E402

QUEUE = runtime.QUEUES[-1]
SHAPES = [(50,), (5, 60), (3, 4, 50), (2, 3, 4, 30), (2, 3, 2, 3, 2, 9), (2, 1, 2, 1, 2, 1, 2, 9)]
ORDERS = {
    "as they are": lambda x: x,
    "rows backwards": lambda x: x[::-1],
    "elements backwards": lambda x: x[..., ::-1],
    "with gaps": lambda x: x[..., 1::2],
    "a part": lambda x: x[:, 1:, 2:-1] if x.ndim > 2 else x[..., 2:-1],
    "one row": lambda x: x[:1],
    "gaps backwards": lambda x: x[::-1][..., ::-3],
    "other order of rows": lambda x: x.transpose(*range(x.ndim - 1)[::-1], x.ndim - 1),
    "transposed": lambda x: x.transpose(*range(x.ndim)[::-1]),
    "expanded": lambda x: x[:1] if x.ndim < 2 else x[:, :1],
}


def numbers(shape, dtype):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def there(array):
    return dpnp.asarray(array, sycl_queue=QUEUE)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "complex128"])
def test_copies_in_row_order(dtype):
    made = 0
    for shape in SHAPES:
        host = numbers(shape, dtype)
        for order in ORDERS.values():
            found = copies.copied(order(there(host)))
            if found is not None:
                made += 1
                assert found.flags.c_contiguous
                np.testing.assert_array_equal(found.asnumpy(), order(host))
    assert made > 30


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_copies_into_parts(shape):
    for key in ((slice(1, -1),), (..., slice(None, None, 2)), (..., slice(3, 11))):
        host, values = np.zeros(shape), numbers(shape, "float64")
        ours = there(host)
        a, out = there(values)._array_obj[key], ours._array_obj[key]
        host[key] = values[key]
        if not a.size or not copies.copy(a, out):
            continue
        np.testing.assert_array_equal(ours.asnumpy(), host)


@pytest.mark.parametrize("few", [1, memory.FEW])
def test_moved_joined_and_turned_arrays(few, monkeypatch):
    for room in (copies, guarded, memory, moves):
        monkeypatch.setattr(room, "FEW", few)
    for shape in SHAPES[:3]:
        host, ours = numbers(shape, "float32"), there(numbers(shape, "float32"))
        for step, axis in (
            (3, 0),
            (-3, 0),
            (0, 0),
            (7, None),
            (-7, -1),
            ((1, 2), (0, -1)),
            (99, 0),
        ):
            for part in (slice(None), slice(None, None, 2)):
                found = moves.roll(ours[part], step, axis=axis)
                np.testing.assert_array_equal(found.asnumpy(), np.roll(host[part], step, axis))
                assert found._array_obj.usm_data is not ours._array_obj.usm_data
        for axis in range(host.ndim):
            found = guarded.concat([ours, ours[..., :], ours], axis=axis)
            np.testing.assert_array_equal(found.asnumpy(), np.concatenate([host] * 3, axis))
            flipped = guarded.flip(ours, axis=axis)
            np.testing.assert_array_equal(flipped.asnumpy(), np.flip(host, axis))
            assert flipped.flags.c_contiguous


def test_writing_in_place_where_memory_is_shared():
    for device in ("cpu", "xpu"):
        x = dt.arange(20000, device=device)
        x[1:].copy_(x[:-1].clone())
        assert x[:4].tolist() == [0, 0, 1, 2]
        x.add_(1)
        x.view(100, 200)[:, ::2] = 7
        assert x[:4].tolist() == [7, 1, 7, 3] and x[-2:].tolist() == [7, 19999]
        x[:10000].copy_(x[10000:])
        assert dt.equal(x[:10000], x[10000:])


def test_reshaped_copies():
    found = []
    for device in ("cpu", "xpu"):
        x = dt.arange(24000.0, device=device).reshape(20, 30, 40)
        pieces = [x.permute(1, 0, 2).reshape(600, 40), x.mT.reshape(-1), x[:, ::2].reshape(20, -1)]
        assert x[:, :15].reshape(20, 15, 8, 5).data_ptr() == x.data_ptr()  # a view if possible
        found.append([piece.cpu().numpy() for piece in pieces])
    for here, result in zip(*found, strict=True):
        np.testing.assert_array_equal(result, here)


@pytest.mark.parametrize("few", [1, memory.FEW])
def test_repeated_and_dropped_elements(few, monkeypatch):
    for room in (copies, memory, moves):
        monkeypatch.setattr(room, "FEW", few)
    for shape in SHAPES[:3]:
        host, ours = numbers(shape, "int32"), there(numbers(shape, "int32"))
        for counts in ((2,), (1, 3), (2, 1, 3, 1), (0, 2)):
            found = moves.tile(ours, counts)
            np.testing.assert_array_equal(found.asnumpy(), np.tile(host, counts))
        for k in (0, 2, -3, 99) if len(shape) > 1 else ():
            for name in ("tril", "triu"):
                for x, given in ((host, ours), (host.mT, dpnp.matrix_transpose(ours))):
                    found = getattr(moves, name)(given, k=k)
                    np.testing.assert_array_equal(found.asnumpy(), getattr(np, name)(x, k))


CASTS = ["bool", "uint8", "int16", "int64", "float16", "float32"]


@pytest.mark.parametrize("dtype", CASTS)
def test_other_types(dtype, monkeypatch):
    monkeypatch.setattr(guarded, "FEW", 1)
    random = np.random.default_rng(0)
    x = random.integers(0, 2 if dtype == "bool" else 1 << 7, (3, 50))
    x = x.astype(dtype) - (np.array(100, dtype) if dtype[0] in "if" else np.array(0, dtype)) / 1
    x = x.astype(dtype)
    if dtype[0] == "f":
        x[0, :4] = -0.0, 0.75, -1.5, 300.5
    if dtype == "int64":
        x[0, :2] = np.iinfo(dtype).max, np.iinfo(dtype).min
    for other in CASTS:
        for part in (slice(None), slice(None, None, 2)):
            with np.errstate(all="ignore"):
                here = x[:, part]
                if dtype[0] == "f" and other[0] == "u":
                    here = here.astype(np.int64)  # as PyTorch does on every device
                wanted = here.astype(other)
            found = guarded.astype(there(x)[:, part], np.dtype(other))
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found.asnumpy(), wanted)


def test_writing_to_parts():
    for shape, key in (((100, 200), (slice(1, -1), slice(2, -3))), ((3, 90, 90), (1,)),
                       ((2, 100, 200), (..., slice(None, None, 2)))):  # fmt: skip
        host, ours = np.zeros(shape, "f4"), there(np.zeros(shape, "f4"))
        values = numbers(host[key].shape, "f4")
        host[key], ours[key] = values, there(values)
        np.testing.assert_array_equal(ours.asnumpy(), host)
        ours[key] = there(values.astype("i4"))
        ours[key] = there(values[:1] if values.ndim > 1 else values)  # broadcast
        host[key] = values[:1]
        np.testing.assert_array_equal(ours.asnumpy(), host)
    x = there(np.arange(30000.0))
    x[1:] = x[:-1]
    assert x[:3].asnumpy().tolist() == [0, 0, 1] and float(x[-1]) == 29998
