"""First values: their distributions, bounds, and what is refused."""

import math

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn
from devtensor.nn import init

torch = pytest.importorskip("torch")

RANDOM = [
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    dt.manual_seed(0)
    torch.manual_seed(0)


def array(x):
    return x.detach().numpy()


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("shape", [(60, 100), (40, 8, 5, 5)])
def test_distributions_are_those_of_pytorch(name, shape):
    x, y = dt.empty(*shape), torch.empty(*shape)
    assert getattr(init, name)(x) is x
    getattr(torch.nn.init, name)(y)
    x, y = np.sort(array(x).ravel()), np.sort(array(y).ravel())
    spread = y.std()
    assert abs(x.mean() - y.mean()) < 0.08 * spread
    middle = slice(len(x) // 50, -len(x) // 50)  # quantiles, without the far ends
    assert np.abs(x[middle] - y[middle]).max() < 0.2 * spread
    if "uniform" in name or "trunc" in name:
        assert np.abs(x).max() <= np.abs(y).max() * 1.01


@pytest.mark.parametrize("name", [*RANDOM, "ones_", "zeros_", "eye_"])
def test_nothing_is_recorded(name):
    p = nn.Parameter(dt.empty(4, 4))
    assert getattr(init, name)(p) is p
    assert p.is_leaf and p.requires_grad


def test_generator():
    first, second = dt.empty(5), dt.empty(5)
    for fill in (init.uniform_, init.normal_, init.trunc_normal_):
        for x in (first, second):
            fill(x, generator=dt.Generator().manual_seed(7))
        assert (array(first) == array(second)).all()


def test_fixed_values():
    assert (array(init.constant_(dt.empty(3), 2.5)) == 2.5).all()
    assert (array(init.ones_(dt.empty(3))) == 1).all()
    assert (array(init.zeros_(dt.empty(3))) == 0).all()
    assert (array(init.eye_(dt.empty(3, 4))) == np.eye(3, 4)).all()
    for shape, groups in (((6, 4, 3), 1), ((6, 2, 3, 3), 3), ((4, 4, 3, 3, 3), 1)):
        ours = init.dirac_(dt.empty(*shape), groups)
        theirs = torch.nn.init.dirac_(torch.empty(*shape), groups)
        assert (array(ours) == theirs.numpy()).all()


def test_truncated_normal_stays_inside():
    x = array(init.trunc_normal_(dt.empty(10_000), mean=1.0, std=2.0, a=0.0, b=1.5))
    assert x.min() >= 0 and x.max() <= 1.5
    with pytest.warns(UserWarning, match="more than 2 std"):
        init.trunc_normal_(dt.empty(3), mean=10.0)


def test_orthogonal_matrices():
    for shape in ((5, 5), (3, 8), (8, 3), (4, 3, 2)):
        x = array(init.orthogonal_(dt.empty(*shape), gain=2.0)).reshape(shape[0], -1)
        product = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
        np.testing.assert_allclose(product, 4 * np.eye(min(x.shape)), atol=1e-5)


def test_sparse_columns():
    x = array(init.sparse_(dt.empty(10, 7), sparsity=0.35))
    assert ((x == 0).sum(0) == 4).all()
    assert 0.002 < x[x != 0].std() < 0.03


def test_gains():
    for name, param in (
        ("linear", None),
        ("conv2d", None),
        ("conv_transpose3d", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.2),
        ("selu", None),
    ):
        assert math.isclose(
            init.calculate_gain(name, param), torch.nn.init.calculate_gain(name, param)
        )
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        init.calculate_gain("odd")
    with pytest.raises(ValueError, match="not a valid number"):
        init.calculate_gain("leaky_relu", True)


def test_what_is_refused():
    for fill in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_):
        with pytest.raises(ValueError, match="fewer than 2 dimensions"):
            fill(dt.empty(3))
    with pytest.raises(ValueError, match="Mode odd not supported"):
        init.kaiming_normal_(dt.empty(3, 3), mode="odd")
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(dt.empty(3))
    with pytest.raises(ValueError, match="2 dimensions"):
        init.sparse_(dt.empty(3), 0.1)
    with pytest.raises(ValueError, match="2 or more dimensions"):
        init.orthogonal_(dt.empty(3))
    with pytest.raises(ValueError, match="3, 4, or 5 dimensions"):
        init.dirac_(dt.empty(3, 3))
    with pytest.raises(ValueError, match="divisible by groups"):
        init.dirac_(dt.empty(3, 3, 3), 2)
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(dt.empty(0, 3))


def test_old_names_warn():
    with pytest.warns(FutureWarning, match="xavier_uniform_"):
        init.xavier_uniform(dt.empty(3, 3))


@pytest.mark.parametrize(
    "name, args",
    [
        ("Linear", (50, 40)),
        ("Bilinear", (20, 10, 15)),
        ("Conv2d", (16, 20, 3)),
        ("ConvTranspose2d", (16, 20, 3)),
        ("Embedding", (100, 20)),
        ("LSTM", (20, 30)),
        ("GRUCell", (20, 30)),
        ("MultiheadAttention", (40, 4)),
        ("TransformerEncoderLayer", (40, 4, 60)),
        ("BatchNorm1d", (10,)),
        ("PReLU", (3,)),
    ],
)
def test_layers_begin_as_those_of_pytorch(name, args):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (key, x), y in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        x, y = np.sort(array(x).ravel()), np.sort(array(y).ravel())
        spread = y.std()
        if spread < 1e-7:
            np.testing.assert_array_equal(x, y, err_msg=key)
            continue
        assert abs(x.std() / spread - 1) < 6 / math.sqrt(len(x)), key
        assert abs(x.mean() - y.mean()) < 8 * spread / math.sqrt(len(x)), key
        assert np.abs(x).max() < np.abs(y).max() * (1.5 if "embed" in name.lower() else 1.2), key
