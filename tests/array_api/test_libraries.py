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
        left = dt.library.Namespace("torchvision").nms(*given, most)
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


def test_pytorchs_torchvision_is_left_alone():
    extension = SimpleNamespace(__name__="torchvision.extension", torch=None)
    neighbours.greet(extension)
    assert not hasattr(extension, "_assert_has_ops")
