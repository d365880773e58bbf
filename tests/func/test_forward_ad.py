"""Dual tensors, as ``torch.autograd.forward_ad`` has them."""

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad as theirs

import devtensor as dt
from devtensor.autograd import forward_ad
from sides import outcome
from transformed import same, values

X, T = np.array([0.5, -1.5, 2.0]), np.array([1.0, 3.0, -2.0])


def run(program):
    """A program on both libraries; it is given the library, its module, and two tensors."""
    results = []
    for lib, ad in ((dt, forward_ad), (torch, theirs)):
        results.append(
            outcome(lambda lib=lib, ad=ad: program(lib, ad, lib.tensor(X), lib.tensor(T)))
        )
    ours, expected = results
    if isinstance(expected, Exception):
        assert isinstance(ours, type(expected)), (ours, expected)
    elif isinstance(ours, Exception):
        raise ours
    else:
        same(values(list(ours)), values(list(expected)))


def along(f):
    def program(lib, ad, x, t):
        with ad.dual_level():
            return ad.unpack_dual(f(lib, ad.make_dual(x, t)))

    return program


def both(lib, ad, x, t):
    with ad.dual_level() as level:
        a, b = ad.make_dual(x, t, level=level), ad.make_dual(t, x * 2)
        return [part for y in (a * b, a, x * 2) for part in ad.unpack_dual(y, level=level)]


def after(lib, ad, x, t):
    with ad.dual_level():
        y = ad.make_dual(x, t) * 2
    return ad.unpack_dual(y)


def twice(lib, ad, x, t):
    with ad.dual_level(), ad.dual_level():
        pass


def by_hand(lib, ad, x, t):
    ad.enter_dual_level()
    try:
        return ad.unpack_dual(ad.make_dual(x, t).cumsum(0))
    finally:
        ad.exit_dual_level()


def written(lib, ad, x, t):
    with ad.dual_level():
        y = ad.make_dual(x, t).clone()
        y[1:] = y[:2] * 3
        return ad.unpack_dual(y)


PROGRAMS = {
    "product": along(lambda lib, x: x * x.sin()),
    "several steps": along(lambda lib, x: (x.exp() @ x.outer(x)).softmax(0)),
    "itself": along(lambda lib, x: x),
    "detached": along(lambda lib, x: x.detach()),
    "constant": along(lambda lib, x: lib.ones(2)),
    "view": along(lambda lib, x: x[1:].reshape(2, 1)),
    "both": both,
    "after": after,
    "twice": twice,
    "by hand": by_hand,
    "written": written,
    "no level": lambda lib, ad, x, t: ad.make_dual(x, t),
    "no level to unpack": lambda lib, ad, x, t: ad.unpack_dual(x),
    "no level to exit": lambda lib, ad, x, t: ad.exit_dual_level(),
    "other shape": lambda lib, ad, x, t: along(lambda lib, y: ad.make_dual(x, t[:2]))(
        lib, ad, x, t
    ),
    "integers": lambda lib, ad, x, t: along(lambda lib, y: ad.make_dual(lib.arange(3), t))(
        lib, ad, x, t
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    run(PROGRAMS[name])


def test_with_gradients():
    def program(lib, ad, x, t):
        x.requires_grad_()
        with ad.dual_level():
            found = ad.unpack_dual((ad.make_dual(x, t) ** 3).sum())
        found.tangent.backward()
        return found.primal, found.tangent, x.grad

    run(program)


def test_within_vmap():
    def call(x):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, dt.ones_like(x))
            return forward_ad.unpack_dual(dual.tanh()).tangent

    found = dt.vmap(call)(dt.tensor(X))
    np.testing.assert_allclose(found.numpy(), 1 - np.tanh(X) ** 2)


def test_modules():
    layer = dt.nn.Linear(3, 2, dtype=dt.float64)
    with forward_ad.dual_level():
        out = layer(forward_ad.make_dual(dt.tensor(X), dt.tensor(T)))
        tangent = forward_ad.unpack_dual(out).tangent
    np.testing.assert_allclose(
        tangent.detach().numpy(), layer.weight.detach().numpy() @ T, rtol=1e-12
    )
