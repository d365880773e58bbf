"""Convolutions against PyTorch."""

import random
import warnings
from itertools import product

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same

import devtensor as dt
from devtensor.ops import conv as common
from devtensor.space import space_of
from devtensor_numpy.kernels import conv as numpy_kernels
from devtensor_numpy.kernels import depthwise, lines, rows, windows

XP = space_of(dt.device("cpu"))


def second(call, *arrays, tolerance=1e-8):
    """Assert that the second derivatives are PyTorch's."""
    found = []
    for m in (torch, dt):
        xs = [m.tensor(a.tolist(), dtype=m.float64).requires_grad_() for a in arrays]
        slopes = m.autograd.grad(call(m, *xs).pow(3).sum(), xs, create_graph=True)
        total = sum([(g * g).sum() for g in slopes])
        found.append([np.array(g.tolist()) for g in m.autograd.grad(total, xs)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def conv(dims, *args, **kwargs):
    return lambda m, *xs: getattr(m.nn.functional, f"conv{dims}d")(*xs, *args, **kwargs)


def transposed(dims, *args, **kwargs):
    return lambda m, *xs: getattr(m.nn.functional, f"conv_transpose{dims}d")(*xs, *args, **kwargs)


SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 3)}
WINDOWS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), (), (0,), (1,)])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(dims, batch, groups):
    x = floats(*batch, 4, *SIZES[dims])
    w = floats(6, 4 // groups, *WINDOWS[dims], seed=1)
    b = floats(6, seed=2)
    same(conv(dims, groups=groups), x, w, b)
    same(conv(dims, groups=groups), x, w)
    same(conv(dims, 1, 1, 1, groups), x, w, b)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [(2, 0, 1), (1, 2, 1), (1, 1, 2), (2, 1, 2), (3, 3, 1), (1, "same", 1), (1, "valid", 1),
     (1, "same", 2)],
)  # fmt: skip
def test_parameters(dims, stride, padding, dilation):
    arrays = floats(2, 2, *SIZES[dims]), floats(3, 2, *WINDOWS[dims], seed=1), floats(3, seed=2)
    call = conv(dims, stride, padding, dilation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of the copy that it makes.
        same(call, *arrays)
        second(call, *arrays)


def any_case(seed):
    """Arrays and parameters of all kinds."""
    pick = random.Random(seed)
    dims = pick.choice([1, 2, 2, 3])
    every = lambda *choice: tuple(pick.choices(choice, k=dims))  # noqa: E731
    groups = pick.choice([1, 1, 2, 3])
    channels, outputs = groups * pick.choice([1, 2]), groups * pick.choice([1, 2, 3])
    window, gap, step = every(1, 2, 3, 5), every(1, 1, 2), every(1, 1, 2, 3)
    border = every(0, 1, 2)
    sizes = tuple(
        [
            max(pick.choice([1, 3, 5, 8]), d * (k - 1) + 1 - 2 * p)
            for k, d, p in zip(window, gap, border, strict=True)
        ]
    )
    x = floats(pick.choice([1, 2, 5]), channels, *sizes, seed=seed)
    w = floats(outputs, channels // groups, *window, seed=seed + 1)
    return (x, w, floats(outputs, seed=seed + 2)), (step, border, gap, groups)


@pytest.fixture
def limits(request, monkeypatch):
    """Other limits between the ways to compute, so that small tests take them all."""
    pick = random.Random(request.node.name)
    for room in (windows, lines, rows):
        monkeypatch.setattr(room, "COLUMNS", pick.choice([20, 200, 1 << 19]))
    for room in (windows, lines):
        monkeypatch.setattr(room, "WASTE", pick.choice([1, 1.6, 10]))
    monkeypatch.setattr(lines, "SHORTEST", pick.choice([1, 1, 16]))
    monkeypatch.setattr(lines, "PRODUCTS", pick.choice([1, 100, 1 << 20]))
    monkeypatch.setattr(rows, "FEW", pick.choice([0, 256]))
    monkeypatch.setattr(depthwise, "FEW", pick.choice([0, 256]))
    monkeypatch.setattr(numpy_kernels, "FEW_SPOTS", pick.choice([0, 0, 1 << 15]))
    monkeypatch.setattr(numpy_kernels, "FEW_PRODUCTS", pick.choice([0, 1 << 10]))
    monkeypatch.setattr(common, "COLUMNS", pick.choice([10, 1 << 26]))
    windows.layout.cache_clear()
    yield
    windows.layout.cache_clear()


@pytest.mark.parametrize("seed", range(60))
def test_anything(seed, limits):
    arrays, options = any_case(seed)
    same(conv(arrays[0].ndim - 2, *options), *arrays)


@pytest.mark.parametrize("seed", range(60))
def test_kernels_for_all_backends(seed, limits):
    (x, w, b), options = any_case(seed)
    g = conv(x.ndim - 2, None, *options)(torch, *map(torch.from_numpy, (x, w))).numpy()
    where = dict(zip(("stride", "padding", "dilation", "groups"), options, strict=True))
    for name, size, inputs in [
        ("convolution", g.shape[2:], (x, w, b)),
        ("convolution_spread", x.shape[2:], (g, w, None)),
        ("convolution_weight", w.shape[2:], (x, g)),
    ]:
        found = [
            kernel(XP, *inputs, size=size, **where)
            for kernel in (getattr(common, name).kernel, numpy_kernels.KERNELS[name])
        ]
        np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        common.channel_sum.kernel(XP, g), numpy_kernels.channel_sum(XP, g), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2,), ()])
@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "groups", "dilation"),
    [(1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (2, 0, 0, 2, 1), (3, 1, 2, 2, 1), (1, 1, 0, 1, 2),
     (1, 1, 1, 1, 2), (2, 2, 1, 1, 2)],
)  # fmt: skip
def test_conv_transpose(dims, batch, stride, padding, output_padding, groups, dilation):
    arrays = (
        floats(*batch, 4, *SIZES[dims]),
        floats(4, 3, *WINDOWS[dims], seed=1),
        floats(3 * groups, seed=2),
    )
    call = transposed(dims, stride, padding, output_padding, groups, dilation)
    same(call, *arrays)
    same(lambda m, x, w, b: call(m, x, w, None), *arrays)
    if batch:
        second(call, *arrays)


def test_conv_transpose_with_tuples():
    arrays = floats(2, 2, 3, 4), floats(2, 3, 3, 2, seed=1), floats(3, seed=2)
    same(transposed(2, (2, 3), (1, 0), (1, 2), 1, (1, 2)), *arrays)
    same(transposed(2), floats(0, 2, 3, 4), *arrays[1:])


def test_third_derivative():
    found = []
    for m in (torch, dt):
        x, w = (m.tensor(a.tolist(), dtype=m.float64).requires_grad_()
                for a in (floats(1, 2, 5), floats(2, 2, 3, seed=1)))  # fmt: skip
        y = m.nn.functional.conv1d(x, w, padding=1, stride=2).sin().sum()
        for _ in range(3):
            (slope,) = m.autograd.grad(y, x, create_graph=True)
            y = slope.pow(2).sum()
        found.append(np.array(m.autograd.grad(y, w)[0].tolist()))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


def test_single_gradients():
    arrays = floats(2, 3, 6, 5), floats(4, 3, 3, 3, seed=1), floats(4, seed=2)
    call = conv(2, 1, 1)
    for needs in product([True, False], repeat=3):
        same(
            lambda m, *xs, needs=needs: call(
                m, *[x if need else x.detach() for x, need in zip(xs, needs, strict=True)]
            ),
            *arrays,
        )


def test_views():
    x, w = floats(2, 6, 5, 3), floats(3, 3, 4, 3, seed=1)
    same(lambda m, x, w: m.conv2d(x.permute(0, 3, 1, 2), w.permute(2, 1, 3, 0)), x, w)
    same(lambda m, x, w: m.conv2d(x.permute(0, 3, 1, 2)[:, :, ::2], w[:, :, ::2], padding=1), x, w)
    same(
        lambda m, x, w: m.conv2d(
            x.permute(0, 3, 1, 2)[:, :1].expand(2, 3, 6, 5), w[:1, :1].expand(6, 3, 4, 3)
        ),
        x,
        w,
    )
    same(lambda m, x, w: m.conv_transpose2d(x.permute(0, 3, 1, 2), w.transpose(2, 3)), x, w)


def test_result_is_contiguous_and_its_own():
    x, w = dt.tensor(floats(2, 3, 4, 4).tolist()), dt.ones(3, 3, 1, 1)
    y = dt.conv2d(x, w)
    assert y.is_contiguous()
    before = x.tolist()
    y.zero_()
    assert x.tolist() == before
    assert dt.conv2d(x, w, padding="same").view(2, -1).shape == (2, 48)


def test_many_channels_and_images():
    # Large enough for several blocks of rows, of images and of neither.
    for batch, channels, outputs, size, options in [
        (2, 16, 8, 70, {"padding": 1}),
        (2, 16, 8, 70, {}),
        (65, 16, 32, 8, {"padding": 1}),
        (3, 64, 96, 9, {"padding": 2, "stride": 2}),
        (2, 32, 32, 12, {"padding": 1, "groups": 32}),
    ]:
        groups = options.get("groups", 1)
        x = floats(batch, channels, size, size).astype("float32")
        w = floats(outputs, channels // groups, 3, 3, seed=1).astype("float32")
        b = floats(outputs, seed=2).astype("float32")
        ours = [dt.from_numpy(a.copy()).requires_grad_() for a in (x, w, b)]
        theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, w, b)]
        results = [m.conv2d(*xs, **options) for m, xs in ((dt, ours), (torch, theirs))]
        np.testing.assert_allclose(
            results[0].detach().numpy(), results[1].detach().numpy(), rtol=1e-3, atol=1e-3
        )
        for y in results:
            (y * y).sum().backward()
        for one, two in zip(ours, theirs, strict=True):
            scale = float(two.grad.abs().max())
            np.testing.assert_allclose(
                one.grad.numpy() / scale, two.grad.numpy() / scale, atol=1e-4
            )


def test_types():
    arrays = floats(2, 2, 5, 4), floats(3, 2, 2, 2, seed=1), floats(3, seed=2)
    for call in (conv(2, 1, 1), lambda m, x, w, b: m.conv_transpose2d(x, w.transpose(0, 1), b)):
        same(lambda m, *xs, c=call: c(m, *[x.float() for x in xs]), *arrays, rtol=1e-4)
        same(lambda m, *xs, c=call: c(m, *[x.half() for x in xs]), *arrays, rtol=2e-2)
    whole = ints(2, 2, 5, 4, low=-9, high=9), ints(3, 2, 2, 2, low=-9, high=9), ints(3)
    for kind in ("int64", "int32", "uint8"):
        same(conv(2, 2, 1), *[a.astype(kind) for a in whole], grad=False)
    parts = [np.stack([floats(*a.shape), floats(*a.shape, seed=3)], -1) for a in whole]
    same(
        lambda m, *xs: m.view_as_real(m.conv2d(*[m.view_as_complex(x) for x in xs])),
        *parts,
        grad=False,
    )


def test_half_sums_in_single():
    x = dt.full((1, 512, 3, 3), 1.0, dtype=dt.float16)
    w = dt.full((1, 512, 3, 3), 1.0, dtype=dt.float16)
    assert dt.conv2d(x, w).item() == 4608
    assert dt.nn.functional.conv_transpose2d(x[:, :, :1, :1], w[0].unsqueeze(1)).max().item() == 512


def test_not_a_number_stays_in_its_windows():
    x = floats(1, 2, 6, 6)
    x[0, 0, 2, 3] = np.nan
    w = floats(3, 2, 3, 3, seed=1)
    same(lambda m, x, w: m.conv2d(x.detach(), w.detach(), padding=1), x, w, grad=False)
    same(lambda m, x, w: m.conv2d(x.detach(), w.detach()), x, w, grad=False)


@pytest.mark.parametrize("pad", [0, 1, 2])
def test_conv_tbc(pad):
    arrays = floats(5, 2, 3), floats(3, 3, 4, seed=1), floats(4, seed=2)
    same(lambda m, *xs: m.conv_tbc(*xs, pad), *arrays)
    second(lambda m, *xs: m.nn.functional.conv_tbc(*xs, pad), *arrays)


def test_parameters_of_other_kinds():
    arrays = floats(2, 2, 5, 4), floats(3, 2, 2, 2, seed=1)
    same(lambda m, x, w: m.conv2d(x, w, stride=[2, 1], padding=[1], dilation=(1,)), *arrays)
    same(lambda m, x, w: m.conv2d(input=x, weight=w, bias=None, stride=(2,)), *arrays)
    x, w = (dt.tensor(a.tolist()) for a in arrays)
    expected = dt.conv2d(x, w, stride=2).tolist()
    assert dt.conv2d(x, w, stride=np.int64(2)).tolist() == expected
    assert dt.conv2d(x, w, stride=dt.tensor(2)).tolist() == expected


def test_node():
    x = dt.ones(1, 1, 3, 3).requires_grad_()
    for y in (dt.conv2d(x, x), dt.conv_transpose2d(x, x)):
        assert y.grad_fn.name() == "ConvolutionBackward0"
    assert dt.conv2d(x.detach(), x.detach()).grad_fn is None


X = floats(1, 4, 4, 4)
W = floats(2, 4, 3, 3, seed=1)
PHRASES = {
    "rank": (conv(2), X[0, 0], W, "Expected 3D (unbatched) or 4D (batched) input to conv2d"),
    "rank_1d": (conv(1), X, W, "Expected 2D (unbatched) or 3D (batched) input to conv1d"),
    "weight_rank": (
        conv(2), X, W[0],
        "expected stride to be a single integer value or a list of 1 values to match the "
        "convolution dimensions, but got stride=[1, 1]",
    ),
    "weight_matrix": (conv(2), X, W[0, 0], "weight should have at least three dimensions"),
    "channels": (
        conv(2), X[:, :3], W,
        "Given groups=1, weight of size [2, 4, 3, 3], expected input[1, 3, 4, 4] to have "
        "4 channels, but got 3 channels instead",
    ),
    "groups": (
        conv(2, groups=3), X, W,
        "Given groups=3, expected weight to be at least 3 at dimension 0, but got weight of size "
        "[2, 4, 3, 3] instead",
    ),
    "groups_divide": (
        conv(2, groups=2), X, floats(3, 2, 3, 3),
        "Given groups=2, expected weight to be divisible by 2 at dimension 0",
    ),
    "no_groups": (conv(2, groups=0), X, W, "non-positive groups is not supported"),
    "kernel": (
        conv(2), X[:, :, :2], W,
        "Calculated padded input size per channel: (2 x 4). Kernel size: (3 x 3). "
        "Kernel size can't be greater than actual input size",
    ),
    "kernel_dilated": (conv(2, dilation=2), X, W, "Kernel size: (5 x 5)"),
    "no_kernel": (conv(2), X, W[:, :, :0], "kernel size should be greater than zero"),
    "no_image": (
        conv(2, padding=2), X[:, :, :0], W,
        "Only zero batch or zero channel inputs are supported, but got input shape: [1, 4, 0, 4]",
    ),
    "padding": (conv(2, padding=-1), X, W, "negative padding is not supported"),
    "stride": (conv(2, stride=0), X, W, "non-positive stride is not supported"),
    "dilation": (conv(2, dilation=0), X, W, "dilation should be greater than zero"),
    "padding_length": (
        conv(2, padding=(1, 1, 1)), X, W,
        "expected padding to be a single integer value or a list of 2 values to match the "
        "convolution dimensions, but got padding=[1, 1, 1]",
    ),
    "padding_word": (conv(2, padding="full"), X, W, "Invalid padding string: 'full'"),
    "same_stride": (
        conv(2, padding="same", stride=2), X, W,
        "padding='same' is not supported for strided convolutions",
    ),
    "stride_type": (
        conv(2, stride=1.5), X, W, "conv2d() received an invalid combination of arguments",
    ),
    "bias": (
        lambda m, x, w: m.conv2d(x, w, x[0, :3, 0, 0]), X, W,
        "Given weight of size [2, 4, 3, 3], expected bias to be 1-dimensional with 2 elements, "
        "but got bias of size [3] instead",
    ),
    "bias_rank": (
        lambda m, x, w: m.conv2d(x, w, w[:, :1, 0, 0]), X, W, "but got bias of size [2, 1]",
    ),
    "no_tensor": (
        lambda m, x, w: m.conv2d(x, 2), X, W, "conv2d() received an invalid combination",
    ),
    "no_tensor_bias": (
        lambda m, x, w: m.conv2d(x, w, 2), X, W, "conv2d() received an invalid combination",
    ),
    "types": (
        lambda m, x, w: m.conv2d(x, w.float()), X, W, "expected scalar type Double but found Float",
    ),
    "types_half": (
        lambda m, x, w: m.conv2d(x.half(), w), X, W, "expected scalar type Half but found Double",
    ),
    "bias_type": (
        lambda m, x, w: m.conv2d(x, w, w[:, 0, 0, 0].float()), X, W,
        "Input type (double) and bias type (float) should be the same",
    ),
    "bias_type_half": (
        lambda m, x, w: m.conv2d(x, w, w[:, 0, 0, 0].half()), X, W,
        "Input type (double) and bias type (c10::Half) should be the same",
    ),
    "bool": (lambda m, x, w: m.conv2d(x > 0, w > 0), X, W, "not implemented for 'Bool'"),
    "transposed_rank": (
        transposed(2), X[0, 0], W, "Expected 3D (unbatched) or 4D (batched) input to "
        "conv_transpose2d",
    ),
    "transposed_channels": (
        transposed(2), X, W,
        "Given transposed=1, weight of size [2, 4, 3, 3], expected input[1, 4, 4, 4] to have "
        "2 channels, but got 4 channels instead",
    ),
    "transposed_bias": (
        lambda m, x, w: m.conv_transpose2d(x[:, :2], w, x[0, :3, 0, 0]), X, W,
        "Given transposed=1, weight of size [2, 4, 3, 3], expected bias to be 1-dimensional with "
        "4 elements, but got bias of size [3] instead",
    ),
    "output_padding": (
        transposed(2, output_padding=1), X[:, :2], W,
        "output padding must be smaller than either stride or dilation",
    ),
    "output_padding_negative": (
        transposed(2, output_padding=-1), X[:, :2], W, "negative output_padding is not supported",
    ),
    "output_size": (
        transposed(2, padding=3), X[:, :2], W,
        "Given input size per channel: (4 x 4). Calculated output size per channel: (0 x 0). "
        "Output size is too small",
    ),
    "tbc_rank": (
        lambda m, x, w: m.conv_tbc(x, w, w), X, W,
        "Input must have 3 dims: time, batch, in_channel",
    ),
    "tbc_channels": (
        lambda m, x, w: m.conv_tbc(x[0], w[0, :3], w[0, 0, 0]), X, W,
        "Input dim 2 (input channels) is not == dim 1 in the weight tensor",
    ),
    "tbc_bias": (
        lambda m, x, w: m.conv_tbc(x[0, :, :, :3], w[0], x[0, 0, 0]), X, W,
        "Bias size must equal dim 2 in the weight tensor (output channels).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PHRASES)
def test_refusal(case):
    call, x, w, phrase = PHRASES[case]
    refused(call, x, w, phrase=phrase)
