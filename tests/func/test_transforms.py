"""Derivatives of functions, beside PyTorch's and finite differences."""

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import func
from sides import SIDES, freed
from transformed import beside


def array(*shape):
    return np.random.default_rng(7 * len(shape) + sum(shape)).standard_normal(shape)


V, W, A = array(4), array(4, 4), array(3, 4)


def energy(lib):
    """A number from a vector and a matrix, with many terms."""
    return lambda x, w: lib.sin(x @ w).cumsum(0).prod() + (x**3).sum() * lib.exp(-w.sum() / 9)


def layer(x, w):
    return (x @ w).tanh()


def hidden(lib, x):
    with lib.no_grad():
        c = x**2
    return (x * c).sum()


PROGRAMS = {
    "grad": lambda lib, f, x, w: f.grad(energy(lib))(x, w),
    "grad of both": lambda lib, f, x, w: f.grad(energy(lib), (1, 0))(x, w),
    "grad by a negative number": lambda lib, f, x, w: f.grad(energy(lib), (-1,))(x, w),
    "grad of a dict": lambda lib, f, x, w: f.grad(
        lambda d: (d["a"] * d["b"][0]).sum() + (d["b"][1] ** 2).sum()
    )({"a": x, "b": [x * 2, w]}),
    "grad with aux": lambda lib, f, x, w: f.grad(
        lambda x: ((x**2).sum(), {"aux": x * 3}), has_aux=True
    )(x),
    "grad with a number as aux": lambda lib, f, x, w: f.grad(
        lambda x: ((x**2).sum(), 1), has_aux=True
    )(x),
    "grad and value": lambda lib, f, x, w: f.grad_and_value(energy(lib))(x, w),
    "grad and value, aux": lambda lib, f, x, w: f.grad_and_value(
        lambda x: ((x**2).sum(), x), has_aux=True
    )(x),
    "grad by keyword": lambda lib, f, x, w: f.grad(energy(lib))(x, w=w),
    "grad, unused": lambda lib, f, x, w: f.grad(lambda x, w: (x * 2).sum(), (0, 1))(x, w),
    "grad, constant": lambda lib, f, x, w: f.grad(lambda x: lib.ones(()))(x),
    "grad, itself": lambda lib, f, x, w: f.grad(lambda s: s)(x[0]),
    "grad of grad": lambda lib, f, x, w: f.grad(lambda x: f.grad(energy(lib))(x, w).prod())(x),
    "grad thrice": lambda lib, f, x, w: f.grad(f.grad(f.grad(lib.sin)))(x[0]),
    "grad within no_grad": lambda lib, f, x, w: under_no_grad(lib, f, x, w),
    "no_grad within grad": lambda lib, f, x, w: f.grad(lambda x: hidden(lib, x))(x),
    "no_grad between": lambda lib, f, x, w: f.grad(lambda x: (x * constant(lib, f, x)).sum())(x),
    "perturbations": lambda lib, f, x, w: f.grad(
        lambda a: a * f.grad(lambda b: a * b)(lib.ones((), dtype=x.dtype))
    )(x[0]),
    "levels are constants": lambda lib, f, x, w: f.grad(
        lambda a: f.grad(lambda b: (a**2) * b + b**2 * a)(a * 3)
    )(x[0]),
    "vjp": lambda lib, f, x, w: f.vjp(layer, x, w)[1](x * 2),
    "vjp output": lambda lib, f, x, w: f.vjp(layer, x, w)[0],
    "vjp twice": lambda lib, f, x, w: [f.vjp(layer, x, w)[1](g) for g in (x, x * 2)],
    "vjp, nested": lambda lib, f, x, w: f.vjp(
        lambda d: {"a": d["x"] @ w, "b": (d["x"].sum(),)}, {"x": x}
    )[1]({"a": x, "b": (x[1],)}),
    "vjp with aux": lambda lib, f, x, w: f.vjp(lambda x: (x * 2, x), x, has_aux=True)[2],
    "vjp, other structure": lambda lib, f, x, w: f.vjp(layer, x, w)[1]((x, x)),
    "vjp, other shape": lambda lib, f, x, w: f.vjp(layer, x, w)[1](x[:2]),
    "vjp, number": lambda lib, f, x, w: f.vjp(layer, x, w)[1](2.0),
    "vjp of no tensor": lambda lib, f, x, w: f.vjp(lambda x: x, 3.0),
    "vjp to no tensor": lambda lib, f, x, w: f.vjp(lambda x: 3.0, x),
    "vjp, no pair": lambda lib, f, x, w: f.vjp(lambda x: x, x, has_aux=True),
    "vjp, other type": lambda lib, f, x, w: f.vjp(lambda x: x * 2, x)[1](x.float()),
    "jvp": lambda lib, f, x, w: f.jvp(layer, (x, w), (x * 2, w * 3)),
    "jvp with aux": lambda lib, f, x, w: f.jvp(
        lambda x: (x.exp(), x), (x,), (x * 0 + 1,), has_aux=True
    ),
    "jvp, nested": lambda lib, f, x, w: f.jvp(
        lambda d: (d["a"] * d["b"], d["a"].sum()), ({"a": x, "b": x},), ({"a": x, "b": x * 2},)
    ),
    "jvp, independent": lambda lib, f, x, w: f.jvp(lambda x: lib.ones(2), (x,), (x,)),
    "jvp, strict": lambda lib, f, x, w: f.jvp(lambda x: lib.ones(2), (x,), (x,), strict=True),
    "jvp, no tuple": lambda lib, f, x, w: f.jvp(layer, x, x),
    "jvp, other structure": lambda lib, f, x, w: f.jvp(layer, (x, w), (x,)),
    "jvp, other shape": lambda lib, f, x, w: f.jvp(lambda x: x, (x,), (x[:2],)),
    "jvp of nothing": lambda lib, f, x, w: f.jvp(lambda: x, (), ()),
    "jvp to no tensor": lambda lib, f, x, w: f.jvp(lambda x: 3.0, (x,), (x,)),
    "jvp of integers": lambda lib, f, x, w: f.jvp(lambda x: x, (lib.arange(3),), (lib.arange(3),)),
    "jvp along integers": lambda lib, f, x, w: f.jvp(lambda x: x * 2, (x,), (lib.arange(4),)),
    "jacfwd, no randomness": lambda lib, f, x, w: f.jacfwd(layer, randomness="no")(x, w),
    "jvp of jvp": lambda lib, f, x, w: f.jvp(
        lambda x: f.jvp(lambda y: layer(y, w), (x,), (x * x,))[1], (x,), (x.cos(),)
    ),
    "grad of jvp": lambda lib, f, x, w: f.grad(
        lambda x: f.jvp(lambda y: layer(y, w), (x,), (x * x,))[1].sum()
    )(x),
    "jvp of grad": lambda lib, f, x, w: f.jvp(f.grad(lambda y: layer(y, w).sum()), (x,), (x * x,)),
    "linearize": lambda lib, f, x, w: linearized(f, x, w),
    "jacrev": lambda lib, f, x, w: f.jacrev(layer)(x, w),
    "jacrev of both": lambda lib, f, x, w: f.jacrev(layer, (0, 1))(x, w),
    "jacrev, nested": lambda lib, f, x, w: f.jacrev(lambda d, w: (d["x"] @ w, {"s": d["x"].sum()}))(
        {"x": x, "y": w}, w
    ),
    "jacrev with aux": lambda lib, f, x, w: f.jacrev(lambda x: (x**2, x), has_aux=True)(x),
    "jacrev in chunks": lambda lib, f, x, w: f.jacrev(layer, chunk_size=3)(x, w),
    "jacrev, one by one": lambda lib, f, x, w: f.jacrev(layer, chunk_size=1)(x, w),
    "jacrev, no chunk": lambda lib, f, x, w: f.jacrev(layer, chunk_size=0)(x, w),
    "jacrev to no tensor": lambda lib, f, x, w: f.jacrev(lambda x: 3.0)(x),
    "jacrev of integers": lambda lib, f, x, w: f.jacrev(lambda x: x)(lib.arange(2)),
    "jacrev, no argument": lambda lib, f, x, w: f.jacrev(lambda x: x, argnums=1)(x),
    "jacrev by a scalar": lambda lib, f, x, w: f.jacrev(lambda s: s**2)(x[0]),
    "jacrev by complex": lambda lib, f, x, w: f.jacrev(lambda z: z.abs())(x + 1j),
    "jacrev of complex": lambda lib, f, x, w: f.jacrev(lambda x: lib.exp(1j * x))(x),
    "jacfwd by complex": lambda lib, f, x, w: f.jacfwd(lambda z: z.abs())(x + 1j),
    "jacfwd of complex": lambda lib, f, x, w: f.jacfwd(lambda x: lib.exp(1j * x))(x),
    "jacrev of truth": lambda lib, f, x, w: f.jacrev(lambda x: x > 0)(x),
    "jacfwd of whole numbers": lambda lib, f, x, w: f.jacfwd(lambda x: (x > 0).long())(x),
    "jacrev, nothing out": lambda lib, f, x, w: f.jacrev(lambda x: x[:0])(x),
    "jacrev, nothing in": lambda lib, f, x, w: f.jacrev(lambda x: x.sum() * w)(x[:0]),
    "jacfwd, nothing out": lambda lib, f, x, w: f.jacfwd(lambda x: x[:0])(x),
    "jacrev, two types": lambda lib, f, x, w: f.jacrev(lambda x: (x.float() * 2, x.double()))(x),
    "jacfwd, two types": lambda lib, f, x, w: f.jacfwd(lambda x: (x.float() * 2, x.double()))(x),
    "write to what is tracked": lambda lib, f, x, w: f.grad(lambda x: x.mul_(2).sum())(
        x.requires_grad_() * 1
    ),
    "write to a leaf": lambda lib, f, x, w: f.vmap(lambda x: x.mul_(2))(x.requires_grad_()),
    "jacrev of a scalar": lambda lib, f, x, w: f.jacrev(lambda s: s * x)(x[0]),
    "jacfwd": lambda lib, f, x, w: f.jacfwd(layer)(x, w),
    "jacfwd of both": lambda lib, f, x, w: f.jacfwd(layer, (0, 1))(x, w),
    "jacfwd, pair": lambda lib, f, x, w: f.jacfwd(lambda x, w: (x @ w, x), (1,))(x, w),
    "jacfwd with aux": lambda lib, f, x, w: f.jacfwd(lambda x: (x**2, x), has_aux=True)(x),
    "jacfwd of integers": lambda lib, f, x, w: f.jacfwd(lambda x: x)(lib.arange(2)),
    "jacfwd of jacrev": lambda lib, f, x, w: f.jacfwd(f.jacrev(layer))(x, w),
    "jacrev of jacfwd": lambda lib, f, x, w: f.jacrev(f.jacfwd(layer))(x, w),
    "jacfwd twice": lambda lib, f, x, w: f.jacfwd(f.jacfwd(layer))(x, w),
    "hessian": lambda lib, f, x, w: f.hessian(energy(lib))(x, w),
    "hessian of both": lambda lib, f, x, w: f.hessian(energy(lib), (0, 1))(x, w),
    "hessian of linear": lambda lib, f, x, w: f.hessian(lambda x: (2 * x).sum())(x),
    "grad of what is not one number": lambda lib, f, x, w: f.grad(lambda x: x)(x),
    "grad of no tensor": lambda lib, f, x, w: f.grad(lambda x: 3.0)(x),
    "grad, no pair": lambda lib, f, x, w: f.grad(lambda x: x.sum(), has_aux=True)(x),
    "grad, no argument": lambda lib, f, x, w: f.grad(lambda x: x.sum(), 3)(x),
    "grad, twice the same": lambda lib, f, x, w: f.grad(lambda x: x.sum(), (0, 0))(x),
    "grad, no numbers": lambda lib, f, x, w: f.grad(lambda x: x.sum(), ())(x),
    "grad by text": lambda lib, f, x, w: f.grad(lambda x: x.sum(), "x")(x),
    "grad of integers": lambda lib, f, x, w: f.grad(lambda x: x.sum())(lib.arange(3)),
    "grad by a float": lambda lib, f, x, w: f.grad(lambda x: x)(3.0),
    "grad of complex": lambda lib, f, x, w: f.grad(lambda z: z.sum())(x + 0j),
    "grad by complex": lambda lib, f, x, w: f.grad(lambda z: (z * z.conj()).real.sum())(x + 2j * x),
    "jvp of complex": lambda lib, f, x, w: f.jvp(lambda z: z**2, (x + 1j,), (1j * x,)),
    "write to the input": lambda lib, f, x, w: f.grad(lambda x: x.mul_(2).sum())(x),
    "write within": lambda lib, f, x, w: f.grad(lambda x: x.clone().mul_(x).sum())(x),
}


def under_no_grad(lib, f, x, w):
    with lib.no_grad():
        found = f.grad(lambda x: f.grad(energy(lib))(x, w).sum())(x)
    assert not found.requires_grad
    return found


def constant(lib, f, x):
    with lib.no_grad():
        return f.grad(lambda y: (y**3).sum())(x)


def linearized(f, x, w):
    output, push = f.linearize(layer, x, w)
    return output, push(x, w), push(x * 2, w * 0)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_derivatives(name):
    beside(PROGRAMS[name], V, W)


BATCHES = {
    "grads of examples": lambda lib, f, x, w: f.vmap(f.grad(energy(lib)), (0, None))(x, w),
    "grads by what is shared": lambda lib, f, x, w: f.vmap(f.grad(energy(lib), 1), (0, None))(x, w),
    "grads and values": lambda lib, f, x, w: f.vmap(f.grad_and_value(energy(lib)), (0, None))(x, w),
    "grads of examples and weights": lambda lib, f, x, w: f.vmap(
        f.grad(energy(lib), (0, 1)), (0, None), out_dims=(1, 2)
    )(x, w),
    "hessians": lambda lib, f, x, w: f.vmap(f.hessian(energy(lib)), (0, None))(x, w),
    "jacobians back": lambda lib, f, x, w: f.vmap(f.jacrev(layer, (0, 1)), (0, None))(x, w),
    "jacobians forth": lambda lib, f, x, w: f.vmap(f.jacfwd(layer, (0, 1)), (0, None))(x, w),
    "jacobian of a batch, back": lambda lib, f, x, w: f.jacrev(
        lambda w: f.vmap(layer, (0, None))(x, w)
    )(w),
    "jacobian of a batch, forth": lambda lib, f, x, w: f.jacfwd(
        lambda w: f.vmap(layer, (0, None))(x, w)
    )(w),
    "jacobian of a batch of grads": lambda lib, f, x, w: f.jacrev(
        lambda w: f.vmap(f.grad(lambda a: layer(a, w).prod()))(x)
    )(w),
    "jacobian forth of a batch of grads": lambda lib, f, x, w: f.jacfwd(
        lambda w: f.vmap(f.grad(lambda a: layer(a, w).prod()), out_dims=1)(x)
    )(w),
    "grad of a batch": lambda lib, f, x, w: f.grad(
        lambda w: f.vmap(layer, (0, None))(x, w).prod(0).sum()
    )(w),
    "grad of grads": lambda lib, f, x, w: f.grad(
        lambda w: (f.vmap(f.grad(lambda a, w: layer(a, w).sum()), (0, None))(x, w) ** 2).sum()
    )(w),
    "directions": lambda lib, f, x, w: f.vmap(
        lambda t: f.jvp(lambda a: layer(a, w), (x[0],), (t,))
    )(x),
    "directions of examples": lambda lib, f, x, w: f.vmap(
        lambda a, t: f.jvp(lambda a: layer(a, w), (a,), (t,))[1]
    )(x, x * 2),
    "vjps": lambda lib, f, x, w: f.vmap(f.vjp(lambda a: layer(a, w), x[0])[1])(x),
    "vjps within": lambda lib, f, x, w: f.vmap(
        lambda a: f.vmap(f.vjp(lambda a: layer(a, w), a)[1])(x)
    )(x),
    "two levels of grads": lambda lib, f, x, w: f.vmap(
        f.vmap(f.grad(lambda a, b: (a * b).sin() * a), (0, None)), (None, 0)
    )(x[0], x[1]),
    "vector-hessian product": lambda lib, f, x, w: f.vmap(
        lambda a, v: f.vjp(f.grad(lambda a: energy(lib)(a, w)), a)[1](v)[0]
    )(x, x.cos()),
    "laplacian": lambda lib, f, x, w: f.vmap(
        lambda a: f.hessian(lambda a: energy(lib)(a, w))(a).diagonal().sum()
    )(x),
    "data-dependent rules": lambda lib, f, x, w: f.vmap(
        f.jacrev(lambda a: (a * (a > 0)).prod() + a.cumprod(0))
    )(x),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.filterwarnings("ignore")
def test_derivatives_and_batches(name):
    beside(BATCHES[name], A, W)


def test_against_differences(device):
    x, w = dt.tensor(V, device=device), dt.tensor(W, device=device)
    f = energy(dt)
    step = 1e-6
    differences = np.zeros(4)
    for i in range(4):
        sides = []
        for sign in (1, -1):
            moved = V.copy()
            moved[i] += sign * step
            sides.append(float(f(dt.tensor(moved, device=device), w)))
        differences[i] = (sides[0] - sides[1]) / (2 * step)
    for found in (
        func.grad(f)(x, w),
        func.jacrev(f)(x, w),
        func.jacfwd(f)(x, w),
        func.vmap(func.grad(f), (0, None))(x[None], w)[0],
    ):
        assert found.device is x.device
        np.testing.assert_allclose(np.asarray(found.tolist()), differences, rtol=1e-6)
    second = np.asarray(func.hessian(f)(x, w).tolist())
    rows = [
        (np.asarray(func.grad(f)(dt.tensor(V + e, device=device), w).tolist())
         - np.asarray(func.grad(f)(dt.tensor(V - e, device=device), w).tolist())) / (2 * step)
        for e in np.eye(4) * step
    ]  # fmt: skip
    np.testing.assert_allclose(second, rows, rtol=1e-5, atol=1e-7)


# ---- what stands outside


def test_outer_gradients_reach_results():
    x = dt.tensor(V, requires_grad=True)
    w = dt.tensor(W, requires_grad=True)
    found = func.grad(energy(dt))(x, w)
    assert found.requires_grad
    found.sum().backward()
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (V, W))
    torch.func.grad(energy(torch))(tx, tw).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy())
    np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy())


def test_outer_gradients_of_what_a_function_holds():
    w = dt.tensor(W, requires_grad=True)
    value, pull = func.vjp(lambda x: layer(x, w), dt.tensor(V))
    assert value.requires_grad
    (pulled,) = pull(dt.ones(4, dtype=dt.float64))
    pulled.sum().backward()
    tw = torch.tensor(W, requires_grad=True)
    torch.func.vjp(lambda x: layer(x, tw), torch.tensor(V))[1](torch.ones(4).double())[
        0
    ].sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy())


def test_results_are_free_where_nothing_outside_wants_gradients():
    x = dt.tensor(V)
    gradient, (value, aux) = func.grad_and_value(lambda x: ((x**2).sum(), x * 2), has_aux=True)(x)
    output, pull = func.vjp(lambda x: x**2, x)
    derivative = func.jvp(lambda x: x**2, (x,), (x,))[1]
    jacobian = func.jacrev(lambda x: x**2)(x)
    for found in (gradient, value, aux, output, pull(x)[0], derivative, jacobian):
        assert not found.requires_grad
    assert x.grad is None
    assert not x.requires_grad


def test_a_leaf_outside_keeps_its_grad():
    x = dt.tensor(V, requires_grad=True)
    func.grad(lambda y: (y**2).sum())(x)
    assert x.grad is None
    with dt.no_grad():
        assert not func.grad(lambda y: (y**2).sum())(x).requires_grad


def test_within_inference_mode():
    with dt.inference_mode():
        found = func.grad(lambda x: (x**2).sum())(dt.tensor(V))
        nested = func.vmap(func.grad(lambda x: x**2))(dt.tensor(V))
    np.testing.assert_allclose(found.numpy(), 2 * V)
    np.testing.assert_allclose(nested.numpy(), 2 * V)


def test_nothing_is_left_behind():
    x = dt.tensor(V)
    kept = []

    def call(y):
        kept.append(y)
        return (y**2).sum()

    func.grad(call)(x)
    inner = kept.pop()
    with freed(inner):
        del inner


def test_anomaly_mode():
    with dt.autograd.set_detect_anomaly(True):
        found = func.vmap(func.grad(lambda x: (x**2).sum()))(dt.tensor(A))
        np.testing.assert_allclose(found.numpy(), 2 * A)
        with pytest.raises(RuntimeError, match="nan values"):
            func.vmap(func.grad(lambda x: (x.sqrt() * 0).sum()))(dt.zeros(2, 3))


def test_hooks_within():
    seen = []

    def call(x):
        y = x * 2
        y.register_hook(lambda g: seen.append(g.shape) or g * 10)
        return y.sum()

    np.testing.assert_allclose(func.grad(call)(dt.tensor(V)).numpy(), np.full(4, 20.0))
    found = func.vmap(func.grad(call))(dt.tensor(A))
    np.testing.assert_allclose(found.numpy(), np.full((3, 4), 20.0))
    assert seen == [dt.Size([4])] * 2


@SIDES
@pytest.mark.parametrize("name", ["grad", "vmap", "vjp", "jacrev"])
def test_backward_within_is_refused(lib, name):
    x = lib.ones(2, requires_grad=True)

    def program(a):
        (x * 2).sum().backward()
        return a.sum()

    transform = getattr(lib.func, name)
    with pytest.raises(RuntimeError, match=r"backward\(\) called inside a functorch transform"):
        transform(program, x.detach()) if name == "vjp" else transform(program)(x.detach())
    assert x.grad is None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
