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


def a_function(library, forward, back=None):
    """A parametrization of those functions."""
    body = {"forward": lambda self, *x: forward(*x)}
    if back is not None:
        body["right_inverse"] = lambda self, x: back(x)
    return type("Function", (library.nn.Module,), body)()


REFUSED = {
    "no tensor": (lambda x: 3, None),
    "another type": (lambda x: x > 0, None),
    "another shape": (lambda x: x[0], None),
    "no original": (lambda x: x, lambda x: 3),
    "original of another type": (lambda x: x, lambda x: x.double()),
    "no originals": (lambda x, y: x, lambda x: (x, 3)),
}


@pytest.mark.parametrize("already", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_what_a_parametrization_may_not_do(case, already):
    said = []
    for library in (dt, torch):
        register = library.nn.utils.parametrize.register_parametrization
        layer = library.nn.Linear(2, 2)
        if already:
            register(layer, "weight", library.nn.Identity())
        count = len(layer.state_dict())
        with pytest.raises((ValueError, TypeError, AttributeError)) as raised:
            register(layer, "weight", a_function(library, *REFUSED[case]))
        assert len(layer.state_dict()) == count
        said.append((raised.type, " ".join(str(raised.value).split()[:7])))
    assert already or said[0] == said[1]
    if case != "no originals":
        assert said[0][0] is said[1][0] is ValueError


@pytest.mark.parametrize(
    "back",
    [
        lambda x: 3,
        lambda x: [x],
        lambda x: (x, x.double()),
        lambda x: (x, 3),
        lambda x: x.double(),
    ],
)
def test_what_a_way_back_may_not_give(back):
    for several in (False, True):
        said = []
        for library in (dt, torch):
            layer = library.nn.Linear(2, 2)

            def first(x, several=several):
                return (x, x) if several else x

            part = a_function(library, lambda x, *_: x, first)
            library.nn.utils.parametrize.register_parametrization(layer, "weight", part)
            type(part).right_inverse = lambda self, x: back(x)
            kept = [p.tolist() for p in layer.parameters()]
            try:
                layer.weight = library.zeros(2, 2)
                said.append(None)
            except ValueError as error:
                said.append(str(error)[:39])
                # PyTorch has written the first of several by then.
                assert library is torch or [p.tolist() for p in layer.parameters()] == kept
        assert said[0] == said[1]


def test_cached_tensors_are_computed_once():
    calls = []
    layer = nn.Linear(2, 2)
    part = a_function(dt, lambda x: calls.append(1) or x * 2, lambda x: x / 2)
    parametrize.register_parametrization(layer, "weight", part)
    calls.clear()
    with parametrize.cached():
        first = layer.weight
        with parametrize.cached():
            assert layer.weight is first
        assert layer.weight is first and len(calls) == 1
        layer.weight = dt.ones(2, 2)
        assert layer.weight.tolist() == [[1, 1], [1, 1]]  # what is set is what is read
    assert layer.weight is not layer.weight


def test_removal_keeps_the_parameter_that_an_optimizer_has():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    part = a_function(dt, lambda x: x * 2, lambda x: x / 2)
    parametrize.register_parametrization(layer, "weight", part)
    layer.weight = dt.ones(2, 2)
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is weight and weight.tolist() == [[1, 1], [1, 1]]
    assert type(layer) is nn.Linear


def test_parametrizations_are_copied_and_not_pickled():
    import pickle

    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    part = a_function(dt, lambda x, y: x + y, lambda x: (x, x * 0))
    parametrize.register_parametrization(layer, "weight", part)
    parametrize.register_parametrization(layer, "bias", nn.ReLU())
    assert parametrize.transfer_parametrizations_and_params(layer, other) is other
    np.testing.assert_array_equal(array(layer.weight), array(other.weight))
    np.testing.assert_array_equal(array(layer.bias), array(other.bias))
    assert parametrize.type_before_parametrizations(other) is nn.Linear
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(array(layer.weight), array(twin.weight))
    assert twin.parametrizations.weight.original0 is not layer.parametrizations.weight.original0
    with pytest.raises(RuntimeError, match=r"only supported through state_dict\(\)"):
        pickle.dumps(layer)


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:.*weight_norm. is deprecated")
def test_what_waits_for_a_shape_says_so():
    for library in (dt, torch):
        waiting, holds = library.nn.LazyLinear(2), library.nn.parameter
        for tensor in (waiting.weight, holds.UninitializedBuffer(persistent=False)):
            for use in (
                lambda x: x + 1,
                library.empty_like,
                lambda x: x.detach(),
                library.neg,
            ):
                with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
                    use(tensor)
            assert tensor.dtype is library.float32 and tensor.is_floating_point()
            assert isinstance(tensor, library.nn.Buffer) == (tensor is not waiting.weight)
        assert tensor.persistent is False
        with pytest.raises(RuntimeError, match="share memory on an uninitialized"):
            library.nn.Sequential(waiting).share_memory()
        with pytest.raises(RuntimeError, match="shape of an uninitialized"):
            library.nn.Linear(3, 2).load_state_dict(waiting.state_dict())
        for normalized in (library.nn.utils.weight_norm, library.nn.utils.spectral_norm):
            with pytest.raises(ValueError, match="can't have uninitialized parameters"):
                normalized(waiting)
        with pytest.raises(IndexError, match=r"expected to be in range of \[-2, 1\] but got 4"):
            library.nn.utils.parametrizations.spectral_norm(library.nn.Linear(2, 2), dim=4)
