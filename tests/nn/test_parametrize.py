"""Parameters that are functions of others."""

import copy

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn
from devtensor.nn.utils import parametrizations, parametrize

torch = pytest.importorskip("torch")


def array(x):
    return x.detach().numpy()


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)


def test_a_parametrized_weight():
    layer = nn.Linear(3, 3)
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert isinstance(layer, nn.Linear)
    np.testing.assert_array_equal(array(layer.weight), array(layer.weight).T)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(dt.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and type(layer.weight) is nn.Parameter
    np.testing.assert_array_equal(array(layer.weight), array(layer.weight).T)


@pytest.mark.parametrize("make", [lambda n: n.Linear(3, 4), lambda n: n.ConvTranspose2d(3, 4, 2)])
def test_weight_norm(make):
    theirs = torch.nn.utils.parametrizations.weight_norm(make(torch.nn))
    ours = parametrizations.weight_norm(make(nn))
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    ours.load_state_dict({k: dt.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(array(ours.weight), array(theirs.weight), rtol=1e-5)
    with dt.no_grad():
        ours.weight = dt.ones(*ours.weight.shape)
    np.testing.assert_allclose(array(ours.weight), 1, rtol=1e-6)


def test_spectral_norm():
    layer = parametrizations.spectral_norm(nn.Linear(4, 5), n_power_iterations=30)
    assert abs(np.linalg.svd(array(layer.weight))[1].max() - 1) < 1e-3
    layer(dt.ones(2, 4)).sum().backward()
    assert sorted(layer.state_dict()) == sorted(
        torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(4, 5)).state_dict()
    )


def test_what_is_refused():
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(nn.ReLU(), "weight", Symmetric())
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(nn.Linear(1, 1), "weight")
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(nn.Linear(2, 3), "weight", nn.Flatten(0))


def test_adaptive_softmax():
    args = (8, 20, [4, 10])
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0)
    ours = nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: dt.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((6, 8)).astype("float32")
    target = np.array([0, 3, 4, 9, 10, 19])
    found = ours(dt.tensor(x), dt.tensor(target))
    wanted = theirs(torch.tensor(x), torch.tensor(target))
    np.testing.assert_allclose(array(found.output), array(wanted.output), rtol=1e-4)
    np.testing.assert_allclose(array(found.loss), array(wanted.loss), rtol=1e-5)
    assert (array(ours.predict(dt.tensor(x))) == theirs.predict(torch.tensor(x)).numpy()).all()


def test_parametrized_copies():
    layer = parametrizations.weight_norm(nn.Linear(2, 2))
    twin = copy.deepcopy(layer)
    assert parametrize.is_parametrized(twin, "weight")
    np.testing.assert_array_equal(array(twin.weight), array(layer.weight))


def test_places_of_pytorch():
    from devtensor.nn.modules.module import Module

    assert Module is nn.Module
    assert nn.modules.conv.Conv2d is nn.Conv2d


def test_an_optimizer_goes_on_with_the_parameter_that_is_parametrized():
    class Doubled(nn.Module):
        def forward(self, x):
            return x * 2

        def right_inverse(self, x):
            return x / 2

    layer = nn.Linear(2, 1)
    weight = layer.weight
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert layer.parametrizations.weight.original is weight
    dt.testing.assert_close(layer.weight, before)


def test_an_inverse_that_is_not_there_is_the_identity():
    class Oneway(nn.Module):
        def forward(self, x):
            return x * 2

        def right_inverse(self, x):
            raise NotImplementedError

    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Oneway())
    dt.testing.assert_close(layer.weight, before * 2)
    with pytest.raises(NotImplementedError):
        layer.weight = before


@pytest.mark.parametrize("name", ["orthogonal", "spectral_norm", "weight_norm"])
def test_texts_are_those_of_pytorch(name):
    texts = [
        repr(getattr(t.nn.utils.parametrizations, name)(t.nn.Linear(3, 3))) for t in (torch, dt)
    ]
    assert texts[0] == texts[1]
