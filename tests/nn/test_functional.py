"""Functions that are written with other functions, against PyTorch: values and gradients."""

import itertools

import numpy as np
import pytest

import devtensor as dt
from devtensor.nn import functional as F
from samples import numpy as array

torch = pytest.importorskip("torch")
TF = torch.nn.functional


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def ints(*shape, high=4):
    return np.random.default_rng(0).integers(0, high, shape)


LINE, IMAGE, VOLUME = (2, 3, 7), (2, 3, 5, 6), (1, 2, 4, 3, 5)

RESIZE = [
    (IMAGE, {"size": (10, 12)}),
    (IMAGE, {"size": (4, 9)}),
    (IMAGE, {"scale_factor": 1.5}),
    (IMAGE, {"scale_factor": (1.5, 0.7), "recompute_scale_factor": True, "mode": "bilinear"}),
    (LINE, {"scale_factor": 2.3, "mode": "nearest-exact"}),
    (IMAGE, {"size": 3, "mode": "nearest-exact"}),
    (VOLUME, {"scale_factor": 2}),
    (IMAGE, {"size": (2, 3), "mode": "area"}),
    (LINE, {"size": 3, "mode": "area"}),
    (LINE, {"size": 4, "mode": "linear", "align_corners": True}),
    *[
        (IMAGE, {"mode": mode, "align_corners": align, **how})
        for mode in ("bilinear", "bicubic")
        for align in (True, False)
        for how in ({"size": (8, 3)}, {"scale_factor": 1.7}, {"size": 1})
    ],
    (IMAGE, {"size": (3, 4), "mode": "bilinear", "antialias": True}),
    (IMAGE, {"size": (3, 9), "mode": "bicubic", "antialias": True}),
    (IMAGE, {"size": (3, 9), "mode": "bilinear", "antialias": True, "align_corners": True}),
    (VOLUME, {"size": (3, 6, 2), "mode": "trilinear"}),
]

THETA = floats(2, 2, 3)
THETA3 = floats(1, 3, 4) / 2

CASES = [
    *[("interpolate", [floats(*shape)], kwargs) for shape, kwargs in RESIZE],
    *[
        ("grid_sample", [floats(*IMAGE), floats(2, 4, 3, 2, seed=1) * 1.2], kwargs)
        for kwargs in (
            {"mode": mode, "padding_mode": padding, "align_corners": align}
            for mode, padding, align in itertools.product(
                ("bilinear", "nearest", "bicubic"),
                ("zeros", "border", "reflection"),
                (True, False),
            )
        )
    ],
    ("grid_sample", [floats(*VOLUME), floats(1, 2, 3, 2, 3)], {"align_corners": False}),
    ("affine_grid", [THETA], {"size": (2, 1, 4, 5), "align_corners": False}),
    ("affine_grid", [THETA], {"size": (2, 1, 4, 5), "align_corners": True}),
    ("affine_grid", [THETA3], {"size": (1, 1, 4, 5, 2), "align_corners": False}),
    *[
        ("pad", [floats(*shape)], {"pad": pad, "mode": mode})
        for mode in ("reflect", "replicate", "circular")
        for shape, pad in (
            ((3, 5), (2, 1)),
            (LINE, (3, 0)),
            (IMAGE, (1, 2, 0, 3)),
            (VOLUME, (1,) * 6),
        )
    ],
    ("pad", [floats(*IMAGE)], {"pad": (1, -2, 3, 0), "value": 3.0}),
    ("pad", [floats(3)], {"pad": (1, 1)}),
    ("unfold", [floats(*IMAGE)], {"kernel_size": 2, "stride": 2, "padding": 1}),
    ("unfold", [floats(3, 5, 6)], {"kernel_size": (2, 3)}),
    ("fold", [floats(12, 20)], {"output_size": (5, 6), "kernel_size": 2}),
    ("normalize", [floats(3, 4)], {}),
    ("normalize", [floats(3, 4)], {"p": 1, "dim": 0}),
    ("cosine_similarity", [floats(3, 4), floats(4, seed=1)], {"dim": -1}),
    ("cosine_similarity", [floats(3, 1, 4), floats(1, 2, 4, seed=1)], {"dim": 2}),
    ("pairwise_distance", [floats(3, 4), floats(4, seed=1)], {"p": 3.0}),
    ("pdist", [floats(5, 3)], {}),
    ("pdist", [floats(5, 3)], {"p": 1.0}),
    ("one_hot", [ints(2, 3)], {}),
    ("one_hot", [ints(2, 3)], {"num_classes": 6}),
    ("bilinear", [floats(2, 3), floats(2, 4), floats(5, 3, 4), floats(5)], {}),
    ("pixel_shuffle", [floats(2, 2, 8, 3, 2)], {"upscale_factor": 2}),
    ("pixel_unshuffle", [floats(3, 4, 6)], {"downscale_factor": 2}),
    ("channel_shuffle", [floats(2, 6, 3)], {"groups": 3}),
    ("local_response_norm", [floats(*VOLUME)], {"size": 2}),
    ("lp_pool2d", [np.abs(floats(*IMAGE))], {"norm_type": 1.5, "kernel_size": (2, 3)}),
    ("softmax", [floats(3, 4)], {"dim": 0}),
    ("softmax", [floats(3, 4)], {"dim": 0, "dtype": "float32"}),
    ("softmin", [floats(3, 4)], {"dim": -1}),
    ("log_softmax", [floats(3, 4)], {"dim": -1}),
    *[
        (name, [floats(3, 4)], {})
        for name in [
            "relu",
            "relu6",
            "elu",
            "selu",
            "celu",
            "leaky_relu",
            "silu",
            "mish",
            "hardtanh",
            "hardswish",
            "hardsigmoid",
        ]
    ],
    ("threshold", [floats(3, 4)], {"threshold": 0.1, "value": 2.0}),
    ("embedding_bag", [ints(6), floats(4, 3), np.array([0, 2, 2])], {"mode": "sum"}),
    ("embedding_bag", [ints(6), floats(4, 3), np.array([0, 2, 2])], {"mode": "max"}),
]


def run(lib, functional, name, inputs, kwargs):
    kwargs = dict(kwargs)
    if "dtype" in kwargs:
        kwargs["dtype"] = getattr(lib, kwargs["dtype"])
    tensors = [lib.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    out = getattr(functional, name)(*tensors, **kwargs)
    if out.requires_grad:
        (out * lib.tensor(floats(*out.shape, seed=9), dtype=out.dtype)).sum().backward()
    return out, [x.grad for x in tensors]


@pytest.mark.parametrize(
    "name, inputs, kwargs",
    CASES,
    ids=[f"{i}-{c[0]}{c[2]}".replace(" ", "") for i, c in enumerate(CASES)],
)
@pytest.mark.filterwarnings("ignore")
def test_function(name, inputs, kwargs):
    out, gradients = run(dt, F, name, inputs, kwargs)
    wanted, wanted_gradients = run(torch, TF, name, inputs, kwargs)
    assert str(out.dtype) == str(wanted.dtype)
    assert tuple(out.shape) == tuple(wanted.shape)
    np.testing.assert_allclose(array(out), array(wanted), rtol=1e-5, atol=1e-6)
    for number, (x, y) in enumerate(zip(gradients, wanted_gradients, strict=True)):
        if y is not None and not (x is None and not y.any()):
            np.testing.assert_allclose(
                array(x), array(y), rtol=1e-5, atol=1e-6, err_msg=f"gradient {number}"
            )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("channels", [3, 5])  # PyTorch has a kernel for each
def test_images_of_bytes_are_resized_to_the_last_digit(mode, antialias, align, channels):
    image = np.random.default_rng(0).integers(0, 256, (1, channels, 30, 17))
    for size in ((7, 40), (64, 5)):
        ours, theirs = (
            lib.nn.functional.interpolate(
                lib.tensor(image, dtype=lib.uint8), size, None, mode, align, antialias=antialias
            ).tolist()
            for lib in (dt, torch)
        )
        assert ours == theirs


@pytest.mark.parametrize(
    "name, args",
    [
        ("relu", ()),
        ("relu6", ()),
        ("elu", (0.5,)),
        ("celu", (0.5,)),
        ("selu", ()),
        ("leaky_relu", (0.3,)),
        ("silu", ()),
        ("mish", ()),
        ("hardtanh", (-0.5, 0.5)),
        ("hardswish", ()),
        ("hardsigmoid", ()),
        ("threshold", (0.1, 2.0)),
        ("dropout", (0.0, True)),
    ],
)
def test_inplace_forms(name, args):
    function = getattr(F, name)
    for how in ((), (True,)):
        leaf = dt.tensor(floats(3, 4), requires_grad=True)
        x = leaf * 1
        expected = function(x.detach(), *args)
        kwargs = {} if how else {"inplace": True}
        out = function(x, *args, *how, **kwargs)
        assert out is x
        np.testing.assert_allclose(array(x), array(expected), rtol=1e-6)
        x.sum().backward()
        other = dt.tensor(floats(3, 4), requires_grad=True)
        function(other, *args).sum().backward()
        np.testing.assert_allclose(array(leaf.grad), array(other.grad), rtol=1e-6)


def test_gumbel_softmax():
    logits = dt.tensor(np.log([[0.7, 0.2, 0.1]] * 4000), requires_grad=True)
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(array(soft).sum(-1), 1, rtol=1e-6)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(np.unique(array(hard).round(6))) == {0, 1}
    np.testing.assert_allclose(array(hard).mean(0), [0.7, 0.2, 0.1], atol=0.04)
    (hard * dt.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert np.abs(array(logits.grad)).max() > 0


BAD = [
    ("interpolate", [floats(*IMAGE)], {}),
    ("interpolate", [floats(*IMAGE)], {"size": 3, "scale_factor": 2}),
    ("interpolate", [floats(*IMAGE)], {"size": (3, 4, 5)}),
    ("interpolate", [floats(*IMAGE)], {"size": 3, "align_corners": True}),
    ("interpolate", [floats(*LINE)], {"size": 3, "mode": "bilinear"}),
    ("interpolate", [floats(*IMAGE)], {"size": 3, "mode": "odd"}),
    ("interpolate", [floats(*LINE)], {"size": 3, "mode": "linear", "antialias": True}),
    ("grid_sample", [floats(*IMAGE), floats(2, 4, 3, 2)], {"mode": "odd"}),
    ("grid_sample", [floats(*IMAGE), floats(2, 4, 3, 3)], {"align_corners": False}),
    ("pad", [floats(*IMAGE)], {"pad": (1, 1), "mode": "odd"}),
    ("pad", [floats(*LINE)], {"pad": (7, 0), "mode": "reflect"}),
    ("pad", [floats(*LINE)], {"pad": (8, 0), "mode": "circular"}),
    ("pad", [floats(*IMAGE)], {"pad": (1,) * 4, "mode": "reflect", "value": 3.0}),
    ("one_hot", [ints(3) - 5], {}),
    ("one_hot", [ints(3)], {"num_classes": 1}),
    ("pixel_shuffle", [floats(2, 3)], {"upscale_factor": 2}),
    ("pixel_unshuffle", [floats(2, 3, 3)], {"downscale_factor": 2}),
    ("channel_shuffle", [floats(2, 3, 3)], {"groups": 2}),
    ("unfold", [floats(*IMAGE)], {"kernel_size": 9}),
    ("embedding_bag", [ints(3), floats(4, 3)], {}),
    ("embedding_bag", [ints(2, 3), floats(4, 3)], {"mode": "odd"}),
    ("cosine_embedding_loss", [floats(3, 4), floats(3, 4), floats(3, 4)], {}),
    ("margin_ranking_loss", [floats(3), floats(3), floats(3, 1)], {}),
    ("multi_margin_loss", [floats(3, 4), ints(3)], {"p": 3}),
    ("gaussian_nll_loss", [floats(3, 4), floats(3, 4), -np.ones((3, 4))], {}),
    ("gaussian_nll_loss", [floats(3, 4), floats(3, 4), np.ones((2, 4))], {}),
]


@pytest.mark.parametrize("name, inputs, kwargs", BAD, ids=[f"{c[0]}{c[2]}" for c in BAD])
def test_bad_arguments_raise_what_pytorch_raises(name, inputs, kwargs):
    try:
        getattr(TF, name)(*[torch.tensor(x) for x in inputs], **kwargs)
    except Exception as error:
        theirs = error
    else:
        pytest.fail("PyTorch takes it")
    with pytest.raises(type(theirs)):
        getattr(F, name)(*[dt.tensor(x) for x in inputs], **kwargs)


def test_the_shelf_is_complete():
    names = [
        name
        for name in dir(TF)
        if name.islower()
        and not name.startswith(("_", "has_torch", "handle_torch", "assert_int", "boolean"))
        and not name.endswith(("_", "_mm", "_tbc", "with_indices"))
        and callable(getattr(TF, name))
        and name not in ("linear_cross_entropy", "native_channel_shuffle")
    ]
    missing = [name for name in names if not hasattr(F, name)]
    assert not missing


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_what_lies_outside_an_image_is_zero_without_a_sign(mode):
    grid = dt.tensor([[[[-4.0, 0.0], [3.0, 3.0], [0.0, 0.0]]]])
    sampled = F.grid_sample(-dt.ones(1, 1, 4, 4), grid, mode=mode, align_corners=False)
    assert sampled.signbit().tolist() == [[[[False, False, True]]]]


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("shape", [(1, 2, 4, 8), (1, 1, 2, 4, 4)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_slopes_where_pixels_are_met(shape, align, mode):
    # A network that learns to move images begins there: its first grid is that of the pixels.
    space = shape[2:]
    if mode == "bicubic" and len(space) == 3:
        return
    slopes = []
    for lib in (dt, torch):
        lines = [
            lib.tensor(
                [2 * i / (n - 1) - 1 if align else (2 * i + 1) / n - 1 for i in range(n)],
                dtype=lib.float64,
            )
            for n in space
        ]
        places = lib.stack(lib.meshgrid(*lines, indexing="ij")[::-1], -1).unsqueeze(0)
        places.requires_grad_()
        image = lib.tensor(floats(*shape)).requires_grad_()
        out = lib.nn.functional.grid_sample(image, places, mode, align_corners=align)
        (out * lib.tensor(floats(*out.shape, seed=1))).sum().backward()
        slopes.append((out.tolist(), places.grad.tolist(), image.grad.tolist()))
    for ours, theirs in zip(*slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


LOSSES_OF_TWO_BYTES = {
    "l1": lambda F, x, how: F.l1_loss(x, x * 0, reduction=how),
    "mse": lambda F, x, how: F.mse_loss(x.sqrt(), x * 0, reduction=how),
    "smooth_l1": lambda F, x, how: F.smooth_l1_loss(x, x * 0, reduction=how),
    "huber": lambda F, x, how: F.huber_loss(x, x * 0, reduction=how),
    "logits": lambda F, x, how: F.binary_cross_entropy_with_logits(x, x * 0, reduction=how),
    "nll": lambda F, x, how: F.nll_loss(
        -x.reshape(-1, 1), (x * 0).long(), x[1:2] * 0.75, reduction=how
    ),
    "cross_entropy": lambda F, x, how: F.cross_entropy(
        x.reshape(-1, 1) * (x.new_ones(2).cumsum(0) - 1), (x * 0).long(), reduction=how
    ),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES_OF_TWO_BYTES)
def test_losses_of_numbers_of_two_bytes_are_added_up_in_four(name, dtype):
    if getattr(dt, dtype) not in dt.ones(1).device.backend.native:
        pytest.skip(f"no {dtype} there")
    # In two bytes, adding a small one to the large one changes nothing.
    values = [4096.0 if dtype == "float16" else 256.0] + [1.0] * 127
    for how in ("mean", "sum"):
        found = []
        for lib, kind in ((dt, getattr(dt, dtype)), (torch, torch.float64)):
            x = lib.tensor(values).to(kind)
            found.append(float(LOSSES_OF_TWO_BYTES[name](lib.nn.functional, x, how)))
        np.testing.assert_allclose(*found, rtol=0.6 * float(dt.finfo(getattr(dt, dtype)).eps))


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("align", [False, True])
def test_what_lies_outside_is_not_read(mode, padding, align):
    """Infinite pixels in a corner do not reach places beyond another one."""
    results = []
    for lib in (dt, torch):
        image = lib.zeros(1, 1, 4, 4)
        image[0, 0, 0, 0] = float("inf")
        image.requires_grad_()
        grid = lib.tensor([[[[3.0, 3.0], [1.0, 1.0], [1.2, 0.5]]]], requires_grad=True)
        sampled = lib.nn.functional.grid_sample(image, grid, mode, padding, align_corners=align)
        slopes = lib.autograd.grad(sampled.sum(), (image, grid))
        results.append([x.tolist() for x in (sampled, *slopes)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
