"""Pooling against PyTorch."""

import math
import random
from itertools import product

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same

import devtensor as dt
from devtensor.ops import pool as common
from devtensor.space import space_of
from devtensor_numpy.kernels import pool as numpy_kernels

XP = space_of(dt.device("cpu"))
SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 3)}


def call(name, *args, **kwargs):
    return lambda m, x: getattr(m.nn.functional, name)(x, *args, **kwargs)


def seen(function, view):
    """`function` on another view, or with the result of a method, of its tensor."""
    if isinstance(view, str):
        return lambda m, x: function(m, getattr(x, view)())
    return lambda m, x: function(m, view(x))


def both(function, *arrays):
    """Assert that values, slopes and second derivatives are PyTorch's."""
    same(function, *arrays)
    found = []
    for m in (torch, dt):
        xs = [m.tensor(a.tolist(), dtype=m.float64).requires_grad_() for a in arrays]
        y = function(m, *xs)
        y = y[0] if isinstance(y, tuple) else y
        (slope,) = m.autograd.grad(y.pow(3).sum(), xs, create_graph=True)
        found.append(np.array(m.autograd.grad(slope.square().sum(), xs)[0].tolist()))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), ()])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "ceil_mode"),
    [(2, None, 0, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 1, True), (2, 3, 1, 1, True),
     (2, 1, 0, 2, False), (3, 2, 1, 1, False), (1, 2, 0, 1, True), (2, 2, 1, 2, True)],
)  # fmt: skip
@pytest.mark.parametrize("return_indices", [False, True])
def test_max_pool(dims, batch, kernel, stride, padding, dilation, ceil_mode, return_indices):
    x = floats(*batch, 3, *SIZES[dims])
    pool = call(f"max_pool{dims}d", kernel, stride, padding, dilation, ceil_mode, return_indices)
    both(pool, x)
    same(pool, x, grad=False)
    same(pool, np.round(x), grad=False)  # ties


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), ()])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil_mode", "include"),
    [(2, None, 0, False, True), (3, 1, 1, False, True), (3, 2, 1, True, True),
     (3, 2, 1, True, False), (2, 3, 1, True, False), (2, 1, 1, False, False)],
)  # fmt: skip
@pytest.mark.parametrize("divisor", [None, 3, -2])
def test_avg_pool(dims, batch, kernel, stride, padding, ceil_mode, include, divisor):
    options = {} if dims == 1 else {"divisor_override": divisor}
    both(
        call(f"avg_pool{dims}d", kernel, stride, padding, ceil_mode, include, **options),
        floats(*batch, 3, *SIZES[dims]),
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), ()])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_adaptive_pools(dims, batch, size):
    x = floats(*batch, 3, *SIZES[dims])
    both(call(f"adaptive_avg_pool{dims}d", size), x)
    for indices in (False, True):
        both(call(f"adaptive_max_pool{dims}d", size, indices), x)
    same(call(f"adaptive_max_pool{dims}d", size, True), np.round(x))


def test_adaptive_pools_of_other_sizes():
    x = floats(2, 3, 6, 5)
    for size in [(2, None), (None, None), [3, 5], (1, 2), (0, 2), (6, 10)]:
        same(call("adaptive_avg_pool2d", size), x, grad=0 not in size)
        same(call("adaptive_max_pool2d", size, True), x, grad=0 not in size)
    same(call("adaptive_avg_pool1d", (3,)), x[0])
    same(call("adaptive_avg_pool3d", (1, None, 2)), floats(2, 3, 4, 5, 3))


def test_windows_of_other_sizes():
    x = floats(2, 3, 6, 5)
    both(call("max_pool2d", (3, 2), (1, 2), (1, 0), (1, 3), return_indices=True), x)
    both(call("max_pool2d", [3], [], [1]), x)
    both(call("avg_pool2d", (3, 2), (1, 2), (1, 0)), x)
    both(call("avg_pool2d", (2,), ()), x)
    both(call("max_pool3d", (1, 3, 2), (2, 1, 1), (0, 1, 1)), floats(2, 1, 4, 5, 3))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_with_indices(dims):
    x = floats(2, 3, *SIZES[dims])
    both(call(f"max_pool{dims}d_with_indices", 2, 1, 1), x)
    both(call(f"adaptive_max_pool{dims}d_with_indices", 3), x)


def any_case(seed):
    """An array and parameters of all kinds."""
    pick = random.Random(seed)
    dims = pick.choice([1, 2, 2, 3])
    every = lambda *choice: tuple(pick.choices(choice, k=dims))  # noqa: E731
    kernel, gap = every(1, 2, 3, 4), every(1, 1, 2)
    stride = pick.choice([kernel, every(1, 2, 3)])
    padding = tuple([pick.randint(0, k // 2) for k in kernel])
    if pick.random() < 0.4:
        stride, padding, gap = kernel, (0,) * dims, (1,) * dims
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, gap, strict=True)]
    sizes = [max(n, r) for n, r in zip(every(2, 3, 5, 8), reach, strict=True)]
    x = floats(pick.choice([1, 2]), pick.choice([1, 3]), *sizes, seed=seed)
    return x, kernel, stride, padding, gap, pick.random() < 0.4


@pytest.fixture(params=["few", "many"])
def limits(request, monkeypatch):
    """With and without the ways that only suit small inputs."""
    if request.param == "many":
        monkeypatch.setattr(numpy_kernels, "FEW", 0)
        monkeypatch.setattr(numpy_kernels, "SMALL", 0)


@pytest.mark.parametrize("seed", range(80))
def test_anything(seed, limits):
    x, kernel, stride, padding, gap, ceil_mode = any_case(seed)
    dims = len(kernel)
    for values in (x, np.round(x), np.where(x > 1, np.nan, x), np.where(x > 0, -math.inf, x)):
        same(call(f"max_pool{dims}d", kernel, stride, padding, gap, ceil_mode, True), values)
        same(call(f"max_pool{dims}d", kernel, stride, padding, gap, ceil_mode), values, grad=False)
    for include in (True, False):
        same(call(f"avg_pool{dims}d", kernel, stride, padding, ceil_mode, include), x)


@pytest.mark.parametrize("seed", range(80))
def test_kernels_for_all_backends(seed, limits):
    x, kernel, stride, padding, gap, ceil_mode = any_case(seed)
    dims = len(kernel)
    x = np.where(x > 1.5, np.nan, np.round(x))
    sizes = x.shape[-dims:]
    size = common.windows("max_pool2d", (1, *sizes), kernel, stride, padding, gap, ceil_mode)
    where = {"kernel": kernel, "stride": stride, "padding": padding}
    wide = where | {"dilation": gap}

    def agree(name, *inputs, **params):
        found = [
            k(XP, *inputs, **params)
            for k in (getattr(common, name).kernel, numpy_kernels.KERNELS[name])
        ]
        found = [f if isinstance(f, tuple) else (f,) for f in found]
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
        return found[1]

    values, which = agree("max_windows", x, size=size, **wide)
    agree("chosen", x, which, **wide)
    agree("chosen_spread", values, which, sizes=sizes, **wide)
    size = common.windows("avg_pool2d", (1, *sizes), kernel, stride, padding, (1,) * dims, False)
    for include, divisor in product([True, False], [None, 3]):
        where |= {"include_pad": include, "divisor": divisor}
        (means,) = agree("avg_windows", np.nan_to_num(x), size=size, **where)
        agree("avg_spread", means, sizes=sizes, **where)


def test_not_a_number_wins():
    x = np.array([[[1, np.nan, 3, np.nan, 5], [np.nan, 2, np.nan, 4, 1], [7, 8, 9, 1, 2]]])
    same(call("max_pool2d", 3, 1, return_indices=True), x)
    same(call("max_pool2d", (1, 2), return_indices=True), x)
    same(call("max_pool2d", (1, 2)), x, grad=False)
    same(call("max_pool1d", 3, 1, 1, return_indices=True), x)
    same(call("adaptive_max_pool2d", 2, True), x)
    same(call("adaptive_max_pool1d", 3, True), x)
    same(call("avg_pool2d", 2, 1), x)
    same(call("adaptive_avg_pool2d", 2), x)


def test_infinite_numbers_stay_in_their_windows():
    x = floats(1, 1, 6, 6)
    x[0, 0, 2, 3], x[0, 0, 5, 0] = math.inf, -math.inf
    for pool in ("max_pool2d", "avg_pool2d"):
        same(call(pool, 3, 2, 1), x)
        same(call(pool, 2), x)
    same(call("adaptive_avg_pool2d", 4), x)
    same(call("max_pool2d", 3, 2, 1, return_indices=True), np.full((1, 1, 4, 4), -math.inf))


def test_types():
    x = floats(2, 3, 6, 5)
    for pool in ("max_pool2d", "avg_pool2d"):
        for options in ((2,), (3, 2, 1)):
            same(seen(call(pool, *options), "float"), x)
            same(seen(call(pool, *options), "half"), x, rtol=2e-3)
    for pool in ("adaptive_max_pool2d", "adaptive_avg_pool2d"):
        same(seen(call(pool, 2), "half"), x, rtol=2e-3)
        same(seen(call(pool, (4, 1)), "float"), x)
    for kind in ("int64", "int32", "uint8", "int8"):
        low = 0 if kind == "uint8" else -100
        whole = ints(2, 3, 6, 5, low=low, high=100).astype(kind)
        same(call("max_pool2d", 3, 2, 1, return_indices=True), whole, grad=False)
        same(call("max_pool2d", 2), whole, grad=False)
    whole = ints(2, 3, 6, 5, low=-100, high=100)
    same(call("avg_pool2d", 3, 2, 1), whole, grad=False)
    same(call("avg_pool2d", 2, divisor_override=-3), whole, grad=False)
    least = np.full((1, 2, 4), np.iinfo("int32").min, "int32")
    same(call("max_pool2d", (1, 3), 1, (0, 1), return_indices=True), least, grad=False)


def test_half_sums_in_single():
    x = dt.full((1, 1, 64, 64), 100.0, dtype=dt.float16)
    assert dt.nn.functional.avg_pool2d(x, 64).item() == 100
    assert dt.nn.functional.adaptive_avg_pool2d(x, (1, 2)).tolist() == [[[[100, 100]]]]


def test_large_windows():
    x = floats(2, 2, 40, 40)  # More elements than a byte counts.
    both(call("max_pool2d", 20, return_indices=True), x)
    both(call("max_pool2d", 17, 5, 8, return_indices=True), x)
    same(call("avg_pool2d", 20), x)
    same(call("avg_pool2d", 17, 5, 8), x)


def test_views():
    x = floats(2, 6, 5, 3)
    for pool in ("max_pool2d", "avg_pool2d"):
        for view in (
            lambda x: x.permute(0, 3, 1, 2),
            lambda x: x[:, ::2, 1:],
            lambda x: x[:1, :1].expand(2, 4, 5, 3),
            lambda x: x.flip(1).transpose(2, 3),
        ):
            same(seen(call(pool, 2), view), x)
            same(seen(call(pool, 2, 1, 1), view), x)
    y = dt.nn.functional.max_pool2d(dt.ones(1, 2, 4, 4), 2)
    assert y.view(-1).shape == (8,)


def test_no_memory_is_shared():
    x = dt.rand(1, 2, 4, 4)
    before = x.tolist()
    F = dt.nn.functional
    for y in (
        F.max_pool2d(x, 1), F.avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, 4),
        F.adaptive_max_pool2d(x, 4), F.adaptive_avg_pool1d(x[0], 4),
    ):  # fmt: skip
        y.zero_()
    assert x.tolist() == before


def test_empty_batch():
    for dims, name in product([1, 2, 3], ["max_pool", "avg_pool"]):
        same(call(f"{name}{dims}d", 2), floats(0, 3, *SIZES[dims]))
        same(call(f"{name}{dims}d", 3, 2, 1), floats(0, 3, *SIZES[dims]))
        same(call(f"adaptive_{name}{dims}d", 2), floats(0, 3, *SIZES[dims]))


def test_unpool_takes_the_indices():
    def there_and_back(m, x):
        F = m.nn.functional
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(values, indices, 2)

    both(there_and_back, floats(2, 3, 6, 4))


def test_only_indices_are_kept():
    x = dt.rand(1, 1, 8, 8, requires_grad=True)
    y = dt.nn.functional.max_pool2d(x, 2)
    assert y.grad_fn.name() == "MaxPool2DWithIndicesBackward0"
    x.detach().zero_()  # In-place changes of the input do no harm.
    y.sum().backward()
    assert x.grad.sum().item() == 16


X = floats(1, 3, 4, 4)
PHRASES = {
    "max_rank": (call("max_pool2d", 2), X[0, 0, 0], "non-empty 3D or 4D (batch mode) tensor"),
    "max_rank_1d": (
        call("max_pool1d", 2), X,
        "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
        "input, but got:[1, 3, 4, 4]",
    ),
    "max_rank_3d": (call("max_pool3d", 2), X[0], "non-empty 4D or 5D (batch mode) tensor"),
    "max_empty": (
        call("max_pool2d", 2), X[:, :0],
        "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:"
        "[1, 0, 4, 4]",
    ),
    "max_empty_3d": (call("max_pool3d", 2), X[None, :, :0], "has length zero!"),
    "max_size": (
        call("max_pool2d", 5), X,
        "Given input size: (3x4x4). Calculated output size: (3x0x0). Output size is too small",
    ),
    "max_size_1d": (
        call("max_pool1d", 5), X[0], "max_pool1d() Invalid computed output size: 0",
    ),
    "max_padding": (
        call("max_pool2d", 2, 2, 2), X,
        "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and "
        "dilation=1",
    ),
    "max_padding_1d": (
        call("max_pool1d", 2, 2, 2), X[0],
        "max_pool1d() padding should be at most half of kernel size, but got padding=2 and "
        "kernel_size=2",
    ),
    "max_padding_negative": (
        call("max_pool2d", 2, 2, -1), X, "pad must be non-negative, but got pad: -1",
    ),
    "max_stride": (call("max_pool2d", 2, 0), X, "stride should not be zero"),
    "max_kernel": (call("max_pool2d", 0), X, "stride should not be zero"),
    "max_kernel_zero": (call("max_pool2d", 0, 1), X, "kernel size should be greater than zero"),
    "max_kernel_1d": (
        call("max_pool1d", 0), X[0], "max_pool1d() kernel_size must be greater than zero, but got 0"
    ),
    "max_stride_negative": (call("max_pool2d", 2, -1), X, "stride should be greater than zero"),
    "max_dilation": (call("max_pool2d", 2, 2, 0, 0), X, "dilation should be greater than zero"),
    "max_kernel_length": (call("max_pool2d", (2, 2, 2)), X, "max_pool2d: kernel_size must"),
    "max_kernel_length_1d": (
        call("max_pool1d", (2, 2)), X[0],
        "max_pool1d() kernel_size must be an int, list of ints or tuple of ints of size 1 but got "
        "size 2",
    ),
    "max_kernel_type": (call("max_pool2d", 2.5), X, "must be tuple of ints, not float"),
    "max_stride_type": (call("max_pool2d", 2, 2.5), X, "must be tuple of ints, not float"),
    "max_bool": (lambda m, x: m.max_pool2d(x > 0, 2), X, "not implemented for 'Bool'"),
    "avg_rank": (
        call("avg_pool1d", 2), X,
        "Expected 2 to 3 dimensions, but got 4-dimensional tensor for argument #1 'self' (while "
        "checking arguments for avg_pool1d)",
    ),
    "avg_rank_2d": (call("avg_pool2d", 2), X[None], "Expected 3D or 4D (batch mode) tensor"),
    "avg_rank_3d": (call("avg_pool3d", 2), X[0], "non-empty 4D or 5D (batch mode) tensor"),
    "avg_size": (call("avg_pool2d", 5), X, "Calculated output size: (3x0x0)"),
    "avg_size_3d": (call("avg_pool3d", 5), X[None], "input image"),
    "avg_divisor": (call("avg_pool2d", 2, divisor_override=0), X, "divisor must be not zero"),
    "avg_padding": (call("avg_pool2d", 2, 2, 2), X, "pad should be at most half"),
    "avg_kernel_length": (call("avg_pool2d", (2, 2, 2)), X, "avg_pool2d: kernel_size must"),
    "avg_kernel_length_1d": (
        call("avg_pool1d", (2, 2)), X[0],
        "avg_pool1d() argument 'kernel_size' should contain one int (got 2)",
    ),
    "avg_bool": (
        lambda m, x: m.nn.functional.avg_pool2d(x > 0, 2), X, "not implemented for 'Bool'"
    ),
    "adaptive_rank": (
        call("adaptive_avg_pool2d", 2), X[0, 0],
        "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got",
    ),
    "adaptive_rank_1d": (
        call("adaptive_max_pool1d", 2), X,
        "(while checking arguments for adaptive_max_pool1d)",
    ),
    "adaptive_length": (call("adaptive_avg_pool2d", (2,)), X, "output_size must be 2"),
    "adaptive_length_1d": (
        call("adaptive_avg_pool1d", (2, 2)), X[0],
        "adaptive_avg_pool1d() argument 'output_size' should contain one int (got 2)",
    ),
    "adaptive_negative": (
        call("adaptive_avg_pool2d", -1), X,
        "elements of output_size must be greater than or equal to 0",
    ),
    "adaptive_max_negative": (call("adaptive_max_pool2d", -1), X, "negative dimension"),
    "adaptive_none": (
        call("adaptive_avg_pool1d", (None,)), X[0],
        "adaptive_avg_pool1d(): argument 'output_size'",
    ),
    "adaptive_empty": (
        call("adaptive_max_pool2d", 2), X[:, :0],
        "adaptive_max_pool2d(): Expected input to have non-zero size for non-batch dimensions, "
        "but input has sizes [1, 0, 4, 4] with dimension 1 being empty",
    ),
    "adaptive_integers": (
        lambda m, x: m.nn.functional.adaptive_avg_pool2d(x.long(), 2), X,
        "not implemented for 'Long'",
    ),
    "adaptive_integers_one": (
        lambda m, x: m.nn.functional.adaptive_max_pool2d(x.long(), 1), X,
        "not implemented for 'Long'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PHRASES)
def test_refusal(case):
    function, x, phrase = PHRASES[case]
    refused(function, x, phrase=phrase)


@pytest.mark.parametrize("dims", [1, 2])
def test_windows_between_the_elements_have_no_gradient(dims):
    # A window from -1 to 2 over two elements; PyTorch gives -inf and writes beyond the gradient.
    x = dt.ones((1, *(2,) * dims), requires_grad=True)
    pool = getattr(dt.nn.functional, f"max_pool{dims}d")
    y = pool(x, 2, 1, 1, 3)
    y.sum().backward()
    assert y.flatten().tolist() == [-math.inf] and not x.grad.any()
    with dt.no_grad():
        assert pool(x, 2, 1, 1, 3).flatten().tolist() == [-math.inf]
