"""einops, opt_einsum, safetensors, jaxtyping and torchvision on tensors."""

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import devtensor as dt
from devtensor import neighbours

random = np.random.default_rng(0)
A = random.standard_normal((2, 3, 4))

REARRANGED = {
    "a b c -> c (b a)": {},
    "a b (c d) -> a d c b": {"c": 2},
    "a b c -> b 1 c a": {},
    "... c -> c ...": {},
}
REDUCED = {"a b c -> a": {}, "a b (c d) -> b c": {"d": 2}, "a b c -> ()": {}}


def tensor(device, array=A):
    return dt.tensor(array, device=device, requires_grad=True)


@pytest.mark.parametrize("pattern", REARRANGED)
def test_einops_rearrange(pattern, device):
    einops = pytest.importorskip("einops", reason="einops is not installed")
    x = tensor(device)
    y = einops.rearrange(x, pattern, **REARRANGED[pattern])
    np.testing.assert_array_equal(
        y.detach().cpu(), einops.rearrange(A, pattern, **REARRANGED[pattern])
    )
    y.square().sum().backward()
    np.testing.assert_allclose(x.grad.cpu(), 2 * A)


@pytest.mark.parametrize("operation", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("pattern", REDUCED)
def test_einops_reduce(pattern, operation, device):
    einops = pytest.importorskip("einops", reason="einops is not installed")
    x = tensor(device)
    y = einops.reduce(x, pattern, operation, **REDUCED[pattern])
    np.testing.assert_allclose(
        y.detach().cpu(), einops.reduce(A, pattern, operation, **REDUCED[pattern])
    )
    assert y.requires_grad and y.device is x.device


def test_einops_rest(device):
    einops = pytest.importorskip("einops", reason="einops is not installed")
    x = tensor(device).detach()
    np.testing.assert_array_equal(
        einops.repeat(x, "a b c -> a (b 2) c d", d=2).cpu(),
        einops.repeat(A, "a b c -> a (b 2) c d", d=2),
    )
    np.testing.assert_allclose(
        einops.einsum(x, x, "a b c, a b d -> c d").cpu(),
        einops.einsum(A, A, "a b c, a b d -> c d"),
    )
    packed, shapes = einops.pack([x, x[:, 0]], "a * c")
    first, second = einops.unpack(packed, shapes, "a * c")
    assert first.equal(x) and second.equal(x[:, 0])
    assert einops.parse_shape(x, "a _ c") == {"a": 2, "c": 4}
    assert einops.rearrange([x, x], "n a b c -> a b c n").shape == (2, 3, 4, 2)
    np.testing.assert_array_equal(einops.asnumpy(x), A)
    assert einops.reduce(x > 0, "a b c -> b", "any").dtype is dt.bool
    assert einops.reduce(x > 0, "a b c -> b", "all").dtype is dt.bool
    with pytest.raises(NotImplementedError):
        einops.reduce(dt.ones(2, dtype=dt.int64), "a -> ", "mean")


def test_einops_by_the_standard(device):
    array_api = pytest.importorskip("einops.array_api", reason="einops is not installed")
    y = array_api.reduce(tensor(device).detach(), "a b c -> c a", "sum")
    np.testing.assert_allclose(y.cpu(), A.sum(1).T)


@pytest.mark.parametrize("first", ["einops", "devtensor"])
def test_order_of_imports(first):
    pytest.importorskip("einops", reason="einops is not installed")
    pytest.importorskip("opt_einsum", reason="opt_einsum is not installed")
    others = "import einops, opt_einsum\n"
    own = "import devtensor as dt, sys\n"
    code = others + own if first == "einops" else own + "assert 'einops' not in sys.modules\n"
    code += others + (
        "x = dt.ones(2, 3)\n"
        "assert einops.rearrange(x, 'a b -> b a').shape == (3, 2)\n"
        "assert isinstance(opt_einsum.contract('ab,cb->ac', x, x), dt.Tensor)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_library_that_changed_stays_as_it_is():
    class Other:
        __name__ = "einops._backends"

    neighbours.greet(Other())
    assert not hasattr(Other, "devtensor_backend")


CONTRACTIONS = ["ij,jk,kl->li", "bij,bjk->bik", "ij,ij->", "ii->i", "i,j,k->kji", "abc,cd,d->ba"]


@pytest.mark.parametrize("equation", CONTRACTIONS)
def test_opt_einsum(equation, device):
    opt_einsum = pytest.importorskip("opt_einsum", reason="opt_einsum is not installed")
    terms = equation.partition("->")[0].split(",")
    arrays = [random.standard_normal([3] * len(term)) for term in terms]
    tensors = [tensor(device, array) for array in arrays]
    found = opt_einsum.contract(equation, *tensors)
    assert found.device is tensors[0].device
    np.testing.assert_allclose(found.detach().cpu(), np.einsum(equation, *arrays), atol=1e-12)
    found.sum().backward()
    assert all(x.grad is not None for x in tensors)
    expression = opt_einsum.contract_expression(equation, *[array.shape for array in arrays])
    np.testing.assert_allclose(expression(*tensors).detach().cpu(), found.detach().cpu())


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool", "bfloat16"])
def test_safetensors(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    kept = {
        "weight": dt.arange(6).reshape(2, 3).to(getattr(dt, dtype)),
        "empty": dt.empty(0, 3, dtype=getattr(dt, dtype)),
        "number": dt.ones((), dtype=getattr(dt, dtype)),
    }
    safetensors.save_file({k: x.numpy() for k, x in kept.items()}, tmp_path / "model.safetensors")
    read = safetensors.load_file(tmp_path / "model.safetensors")
    for name, x in kept.items():
        y = dt.from_numpy(read[name])
        assert y.dtype is x.dtype and y.shape == x.shape and y.equal(x)


def test_safetensors_of_a_module(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    one, two = dt.nn.Linear(3, 2), dt.nn.Linear(3, 2)
    file = tmp_path / "layer.safetensors"
    safetensors.save_file({k: x.numpy() for k, x in one.state_dict().items()}, file)
    two.load_state_dict({k: dt.from_numpy(x) for k, x in safetensors.load_file(file).items()})
    x = dt.ones(4, 3)
    assert one(x).equal(two(x))


def test_jaxtyping(device):
    jaxtyping = pytest.importorskip("jaxtyping", reason="jaxtyping is not installed")
    x = tensor(device)
    assert isinstance(x, jaxtyping.Float[dt.Tensor, "2 b c"])
    assert isinstance(x, jaxtyping.Float64[dt.Tensor, "..."])
    assert not isinstance(x, jaxtyping.Float32[dt.Tensor, "..."])
    assert not isinstance(x, jaxtyping.Int[dt.Tensor, "..."])
    assert not isinstance(x, jaxtyping.Float[dt.Tensor, "a a b"])
    assert isinstance(x > 0, jaxtyping.Bool[dt.Tensor, "a b c"])
    assert isinstance(x.to(dt.int8), jaxtyping.Int8[dt.Tensor, "a b c"])

    @jaxtyping.jaxtyped(typechecker=None)
    def f(x):
        assert isinstance(x, jaxtyping.Shaped[dt.Tensor, "a b c"])
        return isinstance(x[0], jaxtyping.Shaped[dt.Tensor, "b c"])

    assert f(x)


def suppressed(boxes, scores, most):
    """The boxes that are left, pair by pair."""
    left = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for j in left:
            a, b = boxes[i], boxes[j]
            sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            shared = np.prod(np.maximum(sides, 0))
            if shared > most * (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared):
                break
        else:
            left.append(i)
    return left


@pytest.mark.parametrize("count", [0, 1, 40])
def test_torchvisions_suppression_of_boxes(count, device):
    extension = SimpleNamespace(__name__="torchvision.extension", torch=dt)
    neighbours.greet(extension)
    extension._assert_has_ops()
    chance = np.random.RandomState(count)
    boxes, scores = chance.randint(0, 8, (count, 4)) + 0.0, chance.randint(0, 9, count)
    boxes[:, 2:] += boxes[:, :2] + 1
    given = dt.tensor(boxes, device=device), dt.tensor(scores, device=device)
    for most in (0.25, 0.5):
        left = dt.ops.torchvision.nms(*given, most)
        assert left.dtype is dt.int64 and left.device is given[0].device
        assert left.tolist() == suppressed(boxes, scores, most)


def test_boxes_that_do_not_fit_their_scores_are_refused():
    nms = import_module("devtensor.neighbours.torchvision").nms
    for boxes, scores, text in (
        (dt.ones(4), dt.ones(1), "boxes should be a 2d tensor, got 1D"),
        (dt.ones(2, 3), dt.ones(2), "boxes should have 4 elements in dimension 1, got 3"),
        (dt.ones(2, 4), dt.ones(2, 1), "scores should be a 1d tensor, got 2D"),
        (dt.ones(2, 4), dt.ones(3), "same number of elements in dimension 0, got 2 and 3"),
    ):
        with pytest.raises(RuntimeError, match=text):
            nms(boxes, scores, 0.5)


BOXES = [[0, 0, 0, 5, 6], [1, 2.3, 1.6, 7.9, 8.2], [0, -2, -3, 3, 4], [1, 6, 6, 20, 20]]
BOXES += [[0, 3.5, 4.5, 3.6, 4.6], [1, 30, 30, 40, 40]]


def regions(name):
    """torchvision's operator of a name, as its modules call it."""
    neighbours.greet(SimpleNamespace(__name__="torchvision.extension", torch=dt))
    return getattr(dt.ops.torchvision, name)


def bin_of(start, size, bins, number, length):
    """The first pixel of a bin and the one behind its last."""
    edges = np.floor(number * size / bins), np.ceil((number + 1) * size / bins)
    return [int(np.clip(edge + start, 0, length)) for edge in edges]


def rounded(value):
    return int(np.sign(value) * np.floor(abs(value) + 0.5))


@pytest.mark.parametrize(("bins", "scale"), [((2, 3), 1.0), ((3, 2), 0.5)])
def test_torchvisions_regions_are_pooled(bins, scale, device):
    image, (high, wide) = random.standard_normal((2, 12, 9, 8)), bins
    x = dt.tensor(image, device=device, requires_grad=True)
    rois = dt.tensor(BOXES, dtype=dt.float64, device=device)
    largest, places = regions("roi_pool")(x, rois, scale, *bins)
    means, channels = regions("ps_roi_pool")(x, rois, scale, *bins)
    assert places.dtype is channels.dtype is dt.int32
    slope = np.zeros_like(image)
    for k, (number, *box) in enumerate(BOXES):
        left, top, right, bottom = [rounded(side * scale) for side in box]
        for i in range(high):
            for j in range(wide):
                rows = slice(*bin_of(top, max(bottom - top + 1, 1), high, i, 9))
                columns = slice(*bin_of(left, max(right - left + 1, 1), wide, j, 8))
                part = image[number][:, rows, columns]
                wanted, places_wanted = np.zeros(12), np.full(12, -1)
                if part.size:
                    wanted, best = part.max((1, 2)), part.reshape(12, -1).argmax(1)
                    width = part.shape[2]
                    row, column = best // width + rows.start, best % width + columns.start
                    places_wanted = row * 8 + column
                    np.add.at(slope, (number, np.arange(12), row, column), 1)
                np.testing.assert_array_equal(largest[k, :, i, j].detach().cpu(), wanted)
                assert places[k, :, i, j].tolist() == places_wanted.tolist()
                own = np.arange(12 // (high * wide)) * high * wide + i * wide + j
                assert channels[k, :, i, j].tolist() == own.tolist()
                rows = slice(*bin_of(top, max(bottom - top, 1), high, i, 8))
                columns = slice(*bin_of(left, max(right - left, 1), wide, j, 7))
                part = image[number][own, rows, columns]
                wanted = part.mean((1, 2)) if part.size else np.zeros(len(own))
                np.testing.assert_allclose(means[k, :, i, j].detach().cpu(), wanted, atol=1e-12)
    largest.sum().backward()
    np.testing.assert_array_equal(x.grad.cpu(), slope)
    (slope,) = dt.autograd.grad(
        means.sum(), x
    )  # of each mean the slopes make 1, or 0 if it is empty
    assert abs(slope.sum().item() - (means != 0).sum().item()) < 1e-9


def between(image, y, x):
    """A value between the pixels of an image whose edge goes on for one pixel."""
    high, wide = image.shape
    if not (-1 <= y <= high and -1 <= x <= wide):
        return 0.0
    y, x = np.clip(y, 0, high - 1), np.clip(x, 0, wide - 1)
    rows, columns = np.arange(high), np.arange(wide)
    down, across = np.clip(1 - abs(rows - y), 0, 1), np.clip(1 - abs(columns - x), 0, 1)
    return down @ image @ across


@pytest.mark.parametrize("ratio", [2, 0])
def test_torchvisions_regions_are_sampled(ratio, device):
    image, high, wide = random.standard_normal((2, 12, 9, 8)), 2, 3
    x = dt.tensor(image, device=device, requires_grad=True)
    rois = dt.tensor(BOXES, dtype=dt.float64, device=device)
    found, _ = regions("ps_roi_align")(x, rois, 0.75, high, wide, ratio)
    for k, (number, *box) in enumerate(BOXES):
        left, top, right, bottom = [side * 0.75 - 0.5 for side in box]
        down, across = (bottom - top) / high, (right - left) / wide
        many, much = [ratio or int(np.ceil(step)) for step in (down, across)]
        for c, i, j in np.ndindex(2, high, wide):
            samples = [
                between(
                    image[number, (c * high + i) * wide + j],
                    top + (i + (row + 0.5) / many) * down,
                    left + (j + (column + 0.5) / much) * across,
                )
                for row in range(many)
                for column in range(much)
            ]
            assert abs(found[k, c, i, j].item() - np.mean(samples)) < 1e-12
    found.sum().backward()
    assert abs(x.grad.sum().item()) > 1


@pytest.mark.parametrize(
    ("groups", "offsets", "stride", "padding", "gap"),
    [
        (1, 1, (1, 1), (0, 0), (1, 1)),
        (2, 1, (2, 1), (1, 1), (1, 1)),
        (1, 2, (1, 2), (2, 1), (2, 1)),
    ],
)
def test_torchvisions_bent_windows(groups, offsets, stride, padding, gap, device):
    torch = pytest.importorskip("torch")
    kernel, image = (3, 2), random.standard_normal((2, 4, 7, 6))
    weight = random.standard_normal((6, 4 // groups, *kernel))
    bias = random.standard_normal(6)
    steps = zip((7, 6), padding, gap, kernel, stride, strict=True)
    places = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in steps]
    shape = (2, offsets, *kernel, 2, *places)
    operator = regions("deform_conv2d")

    def run(image, offset, mask, weight, bias):
        offset = offset.reshape(2, -1, *places)
        mask = mask.reshape(2, -1, *places)
        given = (*stride, *padding, *gap, groups, offsets, True)
        return operator(image, weight, offset, mask, bias, *given)

    def here(array):
        return dt.tensor(array, device=device)

    mask = np.ones((2, offsets, *kernel, *places))
    straight = run(here(image), here(np.zeros(shape)), here(mask), here(weight), here(bias))
    # Moved by one pixel down and two across, windows see an image that is moved the other way.
    offset = np.zeros(shape) + np.array([1.0, 2.0]).reshape(2, 1, 1)
    moved = run(here(image), here(offset), here(0.5 * mask), here(weight), here(0 * bias))
    wide = np.pad(image, ((0, 0), (0, 0), (8, 8), (8, 8)))

    def plain(down, across, bias):
        high, far = 8 - padding[0] + down, 8 - padding[1] + across
        part = wide[:, :, high : high + 7 + 2 * padding[0], far : far + 6 + 2 * padding[1]]
        given = (torch.tensor(part), torch.tensor(weight), torch.tensor(bias))
        return torch.nn.functional.conv2d(*given, stride, 0, gap, groups).numpy()

    np.testing.assert_allclose(straight.cpu(), plain(0, 0, bias), atol=1e-12)
    np.testing.assert_allclose(moved.cpu(), 0.5 * plain(1, 2, 0 * bias), atol=1e-12)
    if device == "cpu" and groups == 1:
        arrays = (image[:, :], random.uniform(0.1, 0.9, shape), mask * 0.7, weight, bias)
        inputs = [here(array).requires_grad_() for array in arrays]
        assert dt.autograd.gradcheck(run, inputs, fast_mode=True)
    with pytest.raises(RuntimeError, match="need an offset of shape"):
        run(here(image[:, :, :5]), here(offset), here(mask), here(weight), here(bias))


def test_pytorchs_torchvision_is_left_alone():
    extension = SimpleNamespace(__name__="torchvision.extension", torch=None)
    neighbours.greet(extension)
    assert not hasattr(extension, "_assert_has_ops")
