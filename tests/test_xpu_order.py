"""Order on xpu: sorting by digits, beside NumPy's stable sort and the cpu's operations."""

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

from devtensor_dpnp import order, runtime  # noqa: E402

QUEUE = runtime.QUEUES[-1]
TYPES = ["bool", "int8", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64"]
SHAPES = [(1,), (order.FEW,), (order.FEW + 1,), (1000,), (3, 50), (2, 3, 70), (0,), (3, 0), (0, 3)]


def there(array):
    return dpnp.asarray(array, sycl_queue=QUEUE)


def numbers(dtype, shape):
    """Numbers of which some are equal, some extreme, and some none."""
    random = np.random.default_rng(0)
    x = random.integers(0 if np.dtype(dtype).kind in "bu" else -50, 50, shape).astype(dtype)
    if x.dtype.kind == "f":
        for value in (
            np.nan,
            -np.nan,
            np.inf,
            -np.inf,
            -0.0,
            0.0,
            np.finfo(dtype).smallest_subnormal,
        ):
            x[random.random(shape) < 0.07] = value
    elif x.dtype.kind in "iu" and x.size:
        x.flat[0], x.flat[-1] = np.iinfo(dtype).max, np.iinfo(dtype).min
    return x


@pytest.mark.parametrize(
    "dtype, source", [*((t, True) for t in TYPES), ("float32", False), ("int64", False)]
)
def test_sorting_beside_numpy(dtype, source, monkeypatch):
    if not source:
        monkeypatch.setattr(order, "takes_source", lambda x: False)
    for shape in SHAPES:
        host = numbers(dtype, shape)
        pairs = [(host, there(host))]
        if host.ndim > 1:
            pairs.append((host.mT, dpnp.matrix_transpose(there(host))))
            pairs.append((host[::2], there(host)[::2]))
        for x, ours in pairs:
            for axis in range(-1, x.ndim):
                found = order.argsort(ours, axis=axis)
                assert found.dtype == np.int64
                np.testing.assert_array_equal(found.asnumpy(), np.argsort(x, axis, "stable"))
                sorted_ = order.sort(ours, axis=axis)
                assert sorted_.dtype == x.dtype
                np.testing.assert_array_equal(sorted_.asnumpy(), np.sort(x, axis, "stable"))
                back = x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, "stable")
                found = order.argsort(ours, axis=axis, descending=True)
                np.testing.assert_array_equal(found.asnumpy(), np.flip(back, axis))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
def test_operations_of_order_beside_the_cpu(dtype):
    for shape in ((7,), (60,), (3, 45), (2, 3, 4)):
        found = []
        for device in ("cpu", "xpu"):
            x = dt.tensor(numbers(dtype, shape), device=device)
            results = [*x.sort(0, stable=True), *x.sort(-1, descending=True, stable=True)]
            results += [*x.unique(return_counts=True), x.argsort(0, descending=True, stable=True)]
            if dtype != "bool":  # which of equal elements it is may differ
                results += [x.topk(3)[0], x.topk(2, 0, largest=False)[0], x.kthvalue(2)[0]]
                results += [x.median(-1)[0], x.msort(), x.mode(-1)[0]]
            found.append([y.cpu().numpy() for y in results])
        for here, result in zip(*found, strict=True):
            np.testing.assert_array_equal(result, here)


def test_gradients_of_sorted_numbers():
    different = np.random.default_rng(0).permutation(200).reshape(4, 50).astype("f4")
    found = []
    for device in ("cpu", "xpu"):
        x = dt.tensor(different, device=device, requires_grad=True)
        way = dt.arange(50.0, device=device)
        (first,) = dt.autograd.grad((x.sort(1)[0] * way).sum() + x.topk(3, 0)[0].sum(), x)
        found.append(first.cpu().numpy())
    np.testing.assert_array_equal(*found)
