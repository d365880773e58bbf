"""Orthogonal weights against PyTorch's."""

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn
from devtensor.nn.utils import parametrizations

torch = pytest.importorskip("torch")
MAPS = ("matrix_exp", "cayley", "householder")


class Holder:
    """The same matrix as a parameter in each library."""

    def __new__(cls, t, value):
        module = t.nn.Module()
        module.weight = t.nn.Parameter(t.tensor(value))
        return module


def of(t):
    return t.nn.utils.parametrizations.orthogonal


def matrix(*shape, dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    made = random.standard_normal(shape)
    if dtype == "complex128":
        made = made + 1j * random.standard_normal(shape)
    return made.astype(dtype)


def array(x):
    return x.detach().resolve_conj().numpy()


@pytest.mark.parametrize("way", MAPS)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3), (2, 3, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_values_and_gradients_are_pytorchs(way, shape, dtype):
    if dtype == "complex128" and way == "householder":
        with pytest.raises(ValueError, match="does not support complex tensors"):
            of(dt)(Holder(dt, matrix(*shape, dtype=dtype)), orthogonal_map=way)
        return
    value, cotangent = matrix(*shape, dtype=dtype), matrix(*shape, dtype=dtype, seed=1)
    theirs = of(torch)(Holder(torch, value), orthogonal_map=way)
    ours = of(dt)(Holder(dt, value), orthogonal_map=way)
    np.testing.assert_allclose(array(ours.weight), array(theirs.weight), rtol=1e-9, atol=1e-12)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    # A step away, around PyTorch's centre: the columns that complete it are random.
    state["parametrizations.weight.original"] += torch.tensor(0.3 * cotangent)
    ours.load_state_dict({k: dt.tensor(v.numpy()) for k, v in state.items()})
    np.testing.assert_allclose(array(ours.weight), array(theirs.weight), rtol=1e-9, atol=1e-12)
    grads = []
    for t, module in ((torch, theirs), (dt, ours)):
        (module.weight * t.tensor(cotangent)).abs().square().sum().backward()
        grads.append(array(module.parametrizations.weight.original.grad))
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_reflections_without_a_centre(shape):
    found = []
    value = matrix(*shape)
    value[:, 0] = 0
    value[0, 0] = 2  # a column that needs no reflection
    for t in (torch, dt):
        module = of(t)(Holder(t, value), orthogonal_map="householder", use_trivialization=False)
        with t.no_grad():
            module.weight = t.tensor(matrix(*shape, seed=3))
        found.append((module.weight, module.parametrizations.weight.original))
    for theirs, mine in zip(*found, strict=True):
        np.testing.assert_allclose(array(mine), array(theirs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("way", [None, *MAPS])
@pytest.mark.parametrize("trivial", [True, False])
def test_columns_are_orthonormal_whatever_is_learned(way, trivial):
    layer = parametrizations.orthogonal(
        nn.Linear(3, 5), orthogonal_map=way, use_trivialization=trivial
    )
    steps = dt.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach()
    for _ in range(3):
        steps.zero_grad()
        layer(dt.ones(2, 3)).square().sum().backward()
        steps.step()
    assert not dt.allclose(layer.weight, before, atol=1e-3)
    dt.testing.assert_close(layer.weight.T @ layer.weight, dt.eye(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: of(t)(t.nn.Linear(2, 2), "missing"),
        lambda t: of(t)(t.nn.Linear(2, 2), "bias"),
        lambda t: of(t)(t.nn.Linear(2, 2), orthogonal_map="euler"),
        lambda t: setattr(of(t)(t.nn.Linear(2, 2)), "weight", t.ones(3, 2)),
        lambda t: setattr(
            of(t)(t.nn.Linear(2, 2), use_trivialization=False), "weight", t.ones(2, 2)
        ),
    ],
)
def test_what_pytorch_refuses_is_refused(call):
    errors = []
    for t in (torch, dt):
        with pytest.raises((ValueError, NotImplementedError)) as caught:
            call(t)
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[1]).startswith(str(errors[0])[:60])
