"""Windows on xpu: convolutions and pools by kernels of our own, beside the cpu's results."""

import os

import numpy as np
import pytest
import torch

import devices
import devtensor as dt

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

from devtensor_dpnp import runtime  # noqa: E402
from devtensor_dpnp.kernels import conv, pool  # noqa: E402

F = dt.nn.functional
XPU = f"xpu:{len(runtime.QUEUES) - 1}"
SIZES = (7, 6, 5)
RANDOM = np.random.default_rng(0)


def whole(*shape, dtype="float32"):
    """Whole numbers, of which sums are exact in any order."""
    return RANDOM.integers(-3, 4, shape).astype(dtype)


def compare(function, *arrays, atol=0.0):
    """Hold results and gradients of both orders against the cpu's."""
    found = []
    for device in ("cpu", XPU):
        xs = [dt.tensor(a, device=device, requires_grad=a.dtype.kind in "fc") for a in arrays]
        outs = function(*xs)
        outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
        if outs[0].requires_grad:
            rng = np.random.default_rng(1)

            def like(x, rng=rng, device=device):
                values = rng.integers(-2, 3, x.shape)
                return dt.tensor(values, device=device).to(x.dtype).requires_grad_()

            way = like(outs[0])
            outs += (first := dt.autograd.grad(outs[0], xs, way, create_graph=True))
            outs += dt.autograd.grad(first[0], way, like(first[0]))
        found.append([x.detach().cpu().numpy() for x in outs])
    for here, there in zip(*found, strict=True):
        assert there.dtype == here.dtype
        np.testing.assert_allclose(there, here, rtol=2e-6, atol=atol)


@pytest.mark.parametrize(
    "dims, dtype",
    [(1, "float32"), (2, "float32"), (3, "float32"), (1, "float16"), (2, "complex64")],
)
def test_convolutions(dims, dtype):
    forth, back = getattr(F, f"conv{dims}d"), getattr(F, f"conv_transpose{dims}d")
    sizes = SIZES[:dims]
    for k, s, p, d, g in [(1, 1, 0, 1, 1), (2, 1, 1, 2, 2), (3, 2, 2, 1, 1), (2, 5, 0, 1, 2)]:
        x, bias = whole(2, 4, *sizes, dtype=dtype), whole(6, dtype=dtype)
        w = whole(6, 4 // g, *(k,) * dims, dtype=dtype)
        v = whole(4, 6 // g, *(k,) * dims, dtype=dtype)
        atol = 0.02 if dtype == "float16" else 0
        compare(lambda x, w, b: forth(x, w, b, s, p, d, g), x, w, bias, atol=atol)  # noqa: B023
        compare(lambda x, w, b: back(x, w, b, s, p, 0, g, d), x, v, bias, atol=atol)  # noqa: B023


def test_convolutions_of_other_arrays():
    x, w = whole(2, 4, 7, 6), whole(6, 4, 3, 2)
    compare(lambda x, w: F.conv2d(x, w, padding="same"), x, w)
    compare(lambda x, w: F.conv2d(x.transpose(2, 3).flip(2), w), x, w)
    compare(lambda x, w: F.conv2d(x[:, :, ::2], w[::2]), x, w)
    compare(lambda x, w: F.conv2d(x[:1].expand(3, 4, 7, 6), w), x, w)
    compare(F.conv2d, x[:0], w)
    compare(F.conv2d, x.astype("int64"), w.astype("int64"))
    compare(lambda x: F.unfold(x, (3, 2), 2, 1, 2), x)


def images(dims, dtype):
    """Plain images, and such with numbers that are none and infinite ones."""
    x = whole(2, 3, *SIZES[:dims], dtype=dtype)
    missing, low = x.copy(), x.copy()
    missing[RANDOM.random(x.shape) < 0.2] = np.nan
    low[RANDOM.random(x.shape) < 0.4] = -np.inf
    return x, missing, low


STEPS = [(2, 2, 0, 1, True), (3, 2, 1, 1, False), (2, 1, 1, 2, False), (3, 1, 0, 2, True)]


@pytest.mark.parametrize("dims, dtype", [(1, "float32"), (2, "float32"), (3, "float16")])
def test_pools(dims, dtype):
    largest, mean = getattr(F, f"max_pool{dims}d"), getattr(F, f"avg_pool{dims}d")
    atol = 2e-3 if dtype == "float16" else 2e-6
    for x in images(dims, dtype):
        for k, s, p, d, ceil in STEPS:
            compare(lambda x: largest(x, k, s, p, d, ceil, True), x)  # noqa: B023
            with dt.no_grad():  # keeps no places
                compare(lambda x: largest(x.detach(), k, s, p, d, ceil), x)  # noqa: B023
    x = images(dims, dtype)[0]
    for k, s, p, ceil, border in [
        (2, 2, 0, False, True),
        (3, 1, 1, True, False),
        (2, 4, 1, True, True),
    ]:
        compare(lambda x: mean(x, k, s, p, ceil, border), x, atol=atol)  # noqa: B023
        if dims > 1:
            compare(lambda x: mean(x, k, s, p, ceil, border, -3), x, atol=atol)  # noqa: B023


@pytest.mark.parametrize("dims, dtype", [(1, "float16"), (2, "float32"), (3, "float32")])
def test_pools_that_divide_images(dims, dtype):
    largest = getattr(F, f"adaptive_max_pool{dims}d")
    mean = getattr(F, f"adaptive_avg_pool{dims}d")
    atol = 4e-3 if dtype == "float16" else 2e-6
    for count in (1, 3, 5, 9):
        for x in images(dims, dtype):
            compare(lambda x: largest(x, count, True), x)  # noqa: B023
        compare(lambda x: mean(x, count), images(dims, dtype)[0], atol=atol)  # noqa: B023


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_pools_of_whole_numbers(dtype):
    x = RANDOM.integers(0 if dtype == "uint8" else -100, 100, (2, 3, 7, 6)).astype(dtype)
    compare(lambda x: F.max_pool2d(x, 3, 2, 1, 1, True, True), x)


def test_pools_of_other_arrays():
    x = whole(2, 3, 7, 6)
    for view in (lambda x: x.mT, lambda x: x[..., ::2], lambda x: x[:1].expand(4, 3, 7, 6)):
        compare(lambda x: F.max_pool2d(view(x), 2, 1, return_indices=True), x)  # noqa: B023
        compare(lambda x: F.avg_pool2d(view(x), 2, 1), x, atol=1e-6)  # noqa: B023
        compare(lambda x: F.lp_pool2d(view(x), 2, 2), x + 4, atol=1e-5)  # noqa: B023
    compare(lambda x: F.max_pool2d(x, 2), x[:0])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_windows_that_step_over_the_only_element(dtype):
    x = np.ones((1, 1, 1, 1), dtype)
    wanted = torch.nn.functional.max_pool2d(torch.tensor(x), 2, 1, 1, 2, return_indices=True)
    found = F.max_pool2d(dt.tensor(x, device=XPU), 2, 1, 1, 2, return_indices=True)
    assert [y.tolist() for y in found] == [y.tolist() for y in wanted]
    alone = F.max_pool2d(dt.tensor(x, device=XPU), 2, 1, 1, 2)
    assert alone.tolist() == wanted[0].tolist()


def test_where_a_device_takes_no_source(monkeypatch):
    for room in (conv, pool):
        monkeypatch.setattr(room, "takes_source", lambda x: False)
    compare(lambda x, w: F.conv2d(x, w, padding=1), whole(2, 4, 7, 6), whole(6, 4, 3, 2))
    compare(lambda x: F.max_pool2d(x, 3, 2, 1), whole(2, 3, 7, 6))
    compare(lambda x: F.avg_pool2d(x, 2), whole(2, 3, 7, 6))
    compare(lambda x: F.adaptive_avg_pool2d(x, 3), whole(2, 3, 7, 6), atol=1e-6)
