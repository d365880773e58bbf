"""Kernels of our own on ``cuda``: what the examples of operations do not reach.

They run where CuPy finds a device: a GPU, or the stand-in. Values are NumPy's or those of the cpu.
"""

import numpy as np
import pytest

import devices
import devtensor as dt

ABSENT = devices.absent("cuda")
pytestmark = pytest.mark.skipif(
    ABSENT is not None, reason="" if ABSENT is None else devices.missing("cuda", ABSENT)
)
F = dt.nn.functional


def beside(call, *arrays, grads=True):
    """The same on both devices: results, and gradients of their squares, are equal."""
    found = []
    for device in ("cuda:0", "cpu"):
        xs = [
            dt.tensor(a, device=device, requires_grad=grads and a.dtype.kind == "f") for a in arrays
        ]
        given = call(*xs)
        outs = list(given) if isinstance(given, (tuple, list)) else [given]
        wanted = [x for x in xs if x.requires_grad]
        if wanted:
            outs += dt.autograd.grad((outs[0] * outs[0]).sum(), wanted)
        found.append([out.detach().cpu().numpy() for out in outs])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def whole(*shape, low=-8, high=9, dtype=np.float32, seed=0):
    """Small whole numbers, whose sums are exact."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


# ---- windows


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True, return_indices=True),
        lambda x: F.max_pool2d(x.transpose(2, 3), (2, 3), (1, 2), dilation=2),
        lambda x: F.avg_pool2d(x, 4, 2, 1, ceil_mode=True, divisor_override=8),
        lambda x: F.avg_pool2d(x, 2, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (4, 1)),
        lambda x: F.adaptive_max_pool2d(x, (3, 4), return_indices=True),
        lambda x: F.max_pool3d(x, 2),
        lambda x: F.max_pool1d(x[0], 3, 1, 1),
    ],
)  # fmt: skip
def test_pools(call):
    beside(call, whole(2, 3, 8, 7))


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_pools_of_other_types(dtype):
    x = whole(1, 2, 5, 6, dtype=dtype)
    beside(lambda x: F.max_pool2d(x, 2, 1), x, grads=False)
    if dtype == "float16":  # whose sums are single
        beside(lambda x: F.avg_pool2d(x, 2, 1), x * np.float16(2048) + x)


def test_the_last_of_several_nan_is_the_largest():
    x = np.full((1, 1, 4, 6), -np.inf, np.float32)
    x[0, 0, 1, 1] = x[0, 0, 2, 0] = x[0, 0, 3, 5] = np.nan
    beside(lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True), x, grads=False)
    beside(lambda x: F.adaptive_max_pool2d(x, (2, 3), return_indices=True), x, grads=False)


@pytest.mark.parametrize(
    "images, weight, how",
    [
        ((2, 3, 6, 5), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}),
        ((3, 4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
        ((1, 4, 7), (4, 1, 3), {"groups": 4, "padding": 1}),
        ((2, 2, 3, 4, 3), (3, 2, 2, 2, 2), {}),
    ],
)
def test_convolutions(images, weight, how):
    function = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[len(images)]
    bias = whole(weight[0], seed=2)
    beside(
        lambda x, w, b: function(x, w, b, **how),
        whole(*images), whole(*weight, low=-2, high=3, seed=1), bias,
    )  # fmt: skip


def test_convolutions_of_half_precision():
    beside(
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        whole(2, 3, 5, 4, low=-1, high=3, dtype=np.float16),
        whole(4, 3, 3, 3, low=-1, high=3, dtype=np.float16),
        whole(4, dtype=np.float16),
    )  # fmt: skip


def test_convolutions_in_parts(monkeypatch):
    from devtensor.ops import conv

    monkeypatch.setattr(conv, "COLUMNS", 200)  # so that there are several
    beside(lambda x, w: F.conv2d(x, w), whole(3, 2, 5, 5), whole(2, 2, 3, 3, low=-2, high=3))
    beside(lambda x, w: F.conv_transpose2d(x, w), whole(3, 2, 5, 5), whole(2, 2, 3, 3, high=3))


# ---- indices and masks


@pytest.mark.parametrize(
    "call",
    [
        lambda x, i: x[i - 6],
        lambda x, i: x[:, :, i % 4],
        lambda x, i: x.transpose(0, 2)[i % 4],
        lambda x, i: x.transpose(1, 2).index_select(1, i % 4),
        lambda x, i: x.index_add(0, i, x[:5] * 2, alpha=3),
        lambda x, i: F.embedding(i, x.reshape(6, 32), padding_idx=2),
        lambda x, i: x.gather(2, i[:4].expand(6, 8, 4) % 4),
        lambda x, i: x.gather(0, i[:3, None, None].expand(3, 5, 2)),
        lambda x, i: x.scatter_add(0, i[:, None, None].expand(5, 8, 4), x[:5]),
        lambda x, i: x.index_put((i,), x[0], accumulate=True),
        lambda x, i: x[i, i],
    ],
)  # fmt: skip
def test_lookups(call):
    beside(call, whole(6, 8, 4), np.array([5, 0, 2, 2, 5]))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "complex64"])
def test_lookups_of_other_types(dtype):
    x, i = whole(5, 3, low=0, high=2, dtype=dtype), np.array([4, 1, 1])
    beside(lambda x, i: (x[i], x[:, i % 3]), x, i, grads=False)
    beside(lambda x, i: x.index_add(0, i, x[:3]), x, i, grads=False)
    beside(lambda x, i: x.scatter_add(0, i[None], x[:1]), x, i, grads=False)


@pytest.mark.parametrize("shape", [(5,), (3, 1500), (2, 3, 4, 300), (2, 2, 2, 2, 2), (0, 3)])
def test_masks(shape):
    x, mask = whole(*shape), whole(*shape, low=0, high=2, dtype=bool, seed=1)
    beside(lambda x, m: x[m], x, mask)
    beside(lambda m: m.nonzero(), mask, grads=False)
    beside(lambda x: x.nonzero(as_tuple=True), x, grads=False)
    beside(lambda x, m: x.index_put((m,), x[m] * 2), x, mask)
    beside(lambda x, m: x.masked_scatter(m, x * 2), x, mask)
    if shape[0] and len(shape) > 1:
        beside(lambda x, m: x[m.reshape(*shape[:2], -1)[:, :, 0]], x, mask)
        beside(lambda x, m: x[:, m[0]], x, mask)


# ---- order


def with_ties(shape, dtype):
    """Few numbers, often equal, and all that is special among floats."""
    x = whole(
        *shape, low=0 if dtype[0] in "ub" else -4, high=2 if dtype == "bool" else 5, dtype=dtype
    )
    if x.dtype.kind == "f":
        x.flat[::5], x.flat[1::7], x.flat[2], x.flat[3] = -0.0, np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]
)
@pytest.mark.parametrize("shape", [(3, 9, 2), (40, 65), (11,)])
def test_order(shape, dtype):
    x = with_ties(shape, dtype)
    if dtype in ("int8", "uint8") and shape == (40, 65):
        return  # their kernels are those of the other shapes
    for dim in range(len(shape)):
        for descending in (False, True):
            how = {"dim": dim, "descending": descending, "stable": True}
            beside(lambda x, how=how: (*x.sort(**how), x.argsort(**how)), x, grads=False)
    found = dt.tensor(x, device="cuda:0").sort(0).values.cpu().numpy()
    wanted = np.take_along_axis(x, np.argsort(x, 0, kind="stable"), 0)
    np.testing.assert_array_equal(found, wanted)
    if x.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_few_of_many(dtype):
    x = with_ties((3, 700), dtype)
    ours = dt.tensor(x, device="cuda:0")
    for dim, k, largest in [
        (1, 1, True),
        (1, 5, False),
        (1, 40, True),
        (1, 40, False),
        (0, 2, True),
    ]:
        wanted = dt.tensor(x).sort(dim, descending=largest, stable=True)
        for found, all_ in zip(ours.topk(k, dim, largest), wanted, strict=True):
            first = all_.narrow(dim, 0, k)
            np.testing.assert_array_equal(found.cpu().numpy(), first.numpy())
    wanted = dt.tensor(x).sort(1, stable=True)
    for found, all_ in zip(ours.kthvalue(350), wanted, strict=True):
        np.testing.assert_array_equal(found.cpu().numpy(), all_[:, 349].numpy())


def test_gradients_of_what_is_in_order():
    x = np.random.default_rng(0).permutation(600).reshape(3, 200).astype(np.float32)
    beside(lambda x: x.sort(1, descending=True), x)
    beside(lambda x: x.topk(7), x)
    beside(lambda x: x.kthvalue(7, 1), x)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_distinct_elements(dtype):
    x = whole(60, 70, low=0, high=2 if dtype == "bool" else 300, dtype=dtype)
    both = {"return_inverse": True, "return_counts": True}
    beside(lambda x: x.unique(**both), x, grads=False)
    beside(lambda x: x.unique_consecutive(**both), x, grads=False)


# ---- random numbers


@pytest.mark.parametrize("dtype", [dt.float16, dt.float32, dt.float64])
@pytest.mark.parametrize("count", [0, 1, 2, 1023])
def test_random_floats(dtype, count):
    def drawn(device):
        dt.manual_seed(2**40 + 7)
        x = dt.empty(count, dtype=dtype, device=device)
        chances = dt.linspace(0, 1, count, dtype=dt.float64).to(dtype).to(device)
        exact = [dt.rand(count, dtype=dtype, device=device), x.uniform_(-2, 6).clone(),
                 dt.bernoulli(chances), x.bernoulli_(0.3).clone()]  # fmt: skip
        near = [dt.randn(count, dtype=dtype, device=device), x.normal_(1, 2).clone(),
                x.exponential_(3).clone()]  # fmt: skip
        return [[x.cpu().double().numpy() for x in part] for part in (exact, near)]

    for exact, part in zip(
        (True, False), zip(drawn("cuda:0"), drawn("cpu"), strict=True), strict=True
    ):
        for ours, theirs in zip(*part, strict=True):
            if exact:
                np.testing.assert_array_equal(ours, theirs)
            else:
                eps = {dt.float16: 1e-3, dt.float32: 1e-5, dt.float64: 1e-13}[dtype]
                np.testing.assert_allclose(ours, theirs, rtol=eps, atol=eps)


@pytest.mark.parametrize("p", [0.5, 3 / 65536, 0.3, 0.0, 1.0])
def test_coins(p):
    def drawn(device):
        dt.manual_seed(5)
        return dt.empty(1001, dtype=dt.bool, device=device).bernoulli_(p).tolist()

    assert drawn("cuda:0") == drawn("cpu")


def test_whole_numbers():
    def drawn(device):
        dt.manual_seed(5)
        spans = ((-5, 1000, dt.int64), (0, 200, dt.uint8), (0, 2**40, dt.int64))
        return [
            dt.randint(*span[:2], (101,), dtype=span[2], device=device).tolist() for span in spans
        ]

    assert drawn("cuda:0") == drawn("cpu")


def test_what_is_no_probability_is_refused():
    for wrong in (1.5, -1.0, float("nan")):
        with pytest.raises(RuntimeError, match="p_in >= 0"):
            dt.bernoulli(dt.tensor([0.5, wrong], device="cuda:0"))
    assert dt.bernoulli(dt.ones(3, device="cuda:0")).tolist() == [1, 1, 1]


# ---- images of other sizes, triangles, joined arrays


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(8, 14), (3, 2), (1, 21)])
def test_resized_images(mode, align, size):
    x = whole(2, 3, 4, 7, dtype=np.float64)
    found = []
    for device in ("cuda:0", "cpu"):
        y = dt.tensor(x, device=device, requires_grad=True)
        z = F.interpolate(y, size, mode=mode, align_corners=align)
        (g,) = dt.autograd.grad((z * z).sum(), y)
        found.append([z.detach().cpu().numpy(), g.cpu().numpy()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "bool", "complex128"])
def test_triangles_and_joined_arrays(dtype):
    x = whole(2, 3, 4, low=0, high=2, dtype=dtype)
    for k in (-1, 0, 2):
        beside(lambda x, k=k: (x.tril(k), x.transpose(1, 2).triu(k)), x, grads=False)
    for dim in range(3):
        beside(
            lambda x, dim=dim: dt.cat(
                [x, x[:, :, :0], x.narrow(dim, 1, 1)] if dim == 2 else [x, x.narrow(dim, 1, 1)], dim
            ),
            x,
            grads=False,
        )
        beside(
            lambda x, dim=dim: dt.stack([x.transpose(0, 2), x.transpose(0, 2)], dim), x, grads=False
        )
    beside(lambda x: dt.cat([x] * 12), x, grads=False)


def test_classes_as_vectors():
    x = np.array([[1, 0], [3, 1]])
    beside(lambda x: F.one_hot(x), x)
    beside(lambda x: F.one_hot(x.t(), 5), x)
    for wrong, words in ((-1, "non-negative"), (5, "smaller than num_classes")):
        with pytest.raises(RuntimeError, match=words):
            F.one_hot(dt.tensor([0, wrong], device="cuda:0"), 5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_left_out_is_multiplied_by_zero(dtype):
    x = whole(5, 7, dtype=dtype)
    x[0] = np.inf
    x[1] = -0.0

    def dropped(x):
        dt.manual_seed(1)
        return F.dropout(x, 0.4)

    beside(dropped, x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 2, return_indices=True),
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.conv2d(x, x[:, :, :2, :2]),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda x: x.sort(2, descending=True, stable=True),
        lambda x: x.unique(return_counts=True),
        lambda x: dt.rand_like(x),
    ],
)
def test_bfloat16(call):
    found = []
    for device in ("cuda:0", "cpu"):
        dt.manual_seed(0)
        given = call(dt.tensor(whole(2, 2, 4, 6, low=-2, high=3), device=device).bfloat16())
        outs = given if isinstance(given, tuple) else (given,)
        found.append([(x.dtype, x.tolist()) for x in outs])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "write",
    [
        lambda x, i, v: x.__setitem__(i - 3, v),
        lambda x, i, v: x.__setitem__((slice(None), i), v[:, :1]),
        lambda x, i, v: x.index_put_((i,), v, accumulate=True),
        lambda x, i, v: x.index_add_(0, i, v, alpha=2),
        lambda x, i, v: x.index_copy_(0, i, v),
        lambda x, i, v: x.scatter_(0, i[:, None].expand(3, 9000), v),
        lambda x, i, v: x.scatter_add_(0, i[:, None].expand(3, 9000), v),
        lambda x, i, v: x.scatter_add_(0, i[:, None].expand(3, 9), v),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_large_arrays_are_written_where_they_are(write, dtype):
    def changed(x, i, v):
        x = x.clone()
        place = x.data_ptr()
        write(x, i, v)
        assert x.data_ptr() == place
        return x

    x, v = whole(3, 9000, low=0, dtype=dtype), whole(3, 9000, low=0, dtype=dtype, seed=1)
    beside(changed, x, np.array([2, 0, 1]), v, grads=False)
    ours = dt.tensor(x, device="cuda:0")
    for wrong in ([0, 1, 9000], [-9004, 1, 2]):
        with pytest.raises((IndexError, RuntimeError)):
            write(ours, dt.tensor(wrong, device="cuda:0"), dt.tensor(v, device="cuda:0"))
    np.testing.assert_array_equal(ours.cpu().numpy(), x)


@pytest.mark.parametrize("dtype", [dt.int64, dt.uint8, dt.float32, dt.float64, dt.float16])
def test_counted_numbers(dtype):
    parts = [(0.1, 2.0, 0.3)] if dtype.is_floating_point else []
    for given in ((7,), (3, 40, 4), (5, -3, -2), (0, 0), *parts):
        ours, theirs = [dt.arange(*given, dtype=dtype, device=d) for d in ("cuda:0", "cpu")]
        assert ours.dtype == dtype and ours.tolist() == theirs.tolist()


SUMS = {
    "index_add": (lambda x, i, y: x.index_add(0, i[:, 0], y), lambda i: (i[:, 0],)),
    "scatter_add": (
        lambda x, i, y: x.scatter_add(1, i % 6, y[:7]),
        lambda i: (np.arange(7)[:, None], i[:7] % 6),
    ),
    "index_put": (
        lambda x, i, y: x.index_put((i - 7, i % 6), y, accumulate=True),
        lambda i: (i - 7, i % 6),
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_floats_are_added_in_order_where_that_is_asked_for(name, monkeypatch):
    from devtensor_cupy import lookup

    call, key = SUMS[name]
    random = np.random.default_rng(3)
    x, y = (random.standard_normal((n, 6)).astype(np.float32) for n in (7, 400))
    i = random.integers(0, 7, (400, 6))
    if name == "scatter_add":
        x, i = random.standard_normal((7, 6)).astype(np.float32), i[:7]
    launched, launch = [], lookup.launch

    def noted(kernel, *args, **more):
        launched.append(kernel)
        launch(kernel, *args, **more)

    monkeypatch.setattr(lookup, "launch", noted)
    dt.use_deterministic_algorithms(True)
    try:
        found = call(*(dt.tensor(a, device="cuda") for a in (x, i, y)))
    finally:
        dt.use_deterministic_algorithms(False)
    wanted = x.copy()
    np.add.at(wanted, key(i), y[: len(i)] if name == "scatter_add" else y)
    np.testing.assert_array_equal(found.cpu().numpy(), wanted)
    assert "add_in_order" in launched and not {"add_row", "add_each"} & set(launched)
