"""Transforms within transforms, of random programs, beside PyTorch's.

What differs on purpose is left out: `no_grad` within a forward mode, writing over what a
derivative needs there, and derivatives of what PyTorch's `linearize` returns.
"""

import random
import warnings

import numpy as np
import pytest

from transformed import BOTH, same, values


def scattered(lib, x):
    where = lib.zeros_like(x, dtype=lib.int64)
    return lib.zeros_like(x).scatter_add(-1, where, x) + x.cos()


def written(x):
    y = x.clone()
    y.mul_(2)
    return y.add_(x.cos())


def weights(lib, n):
    return lib.arange(n * 3, dtype=lib.float64).reshape(n, 3).cos()


def nested(f, x):
    found = f.vmap(lambda d: {"a": d["b"] * 2, "c": (d["b"].sum(),)}, in_dims=({"b": 0},))({"b": x})
    return found["a"] + found["c"][0].sum()


STEPS = {
    "exp": lambda lib, f, x: (x * 0.3).exp(),
    "square": lambda lib, f, x: x * x * 0.5,
    "cumsum": lambda lib, f, x: x.cumsum(-1),
    "softmax": lambda lib, f, x: x.softmax(-1),
    "matmul": lambda lib, f, x: x @ weights(lib, x.shape[-1]),
    "flip": lambda lib, f, x: x.flip(0) * 0.7 + x,
    "sort": lambda lib, f, x: x.sort(-1)[0] * x,
    "where": lambda lib, f, x: lib.where(x > 0.1, x * 2, x.sin()),
    "index": lambda lib, f, x: x[..., [0, 0, -1]],
    "cat": lambda lib, f, x: lib.cat([x, x * x], -1),
    "write": lambda lib, f, x: written(x),
    "var": lambda lib, f, x: x * (x.var() + 0.1),
    "amax": lambda lib, f, x: x * x.amax(-1, keepdim=True),
    "transpose": lambda lib, f, x: x.transpose(0, -1),
    "stack": lambda lib, f, x: lib.stack([x, x.cos()]),
    "norm": lambda lib, f, x: x / (1 + lib.linalg.vector_norm(x)),
    "prod": lambda lib, f, x: x.prod(-1, keepdim=True) + x,
    "logsumexp": lambda lib, f, x: x.logsumexp(-1, keepdim=True) * x,
    "einsum": lambda lib, f, x: lib.einsum("...i,...j->...ij", x, x.sin()),
    "clamp": lambda lib, f, x: x.clamp(-0.5, 0.6) + x.abs(),
    "gather": lambda lib, f, x: x.gather(-1, x.argsort(-1)) * x,
    "scatter": lambda lib, f, x: scattered(lib, x),
    "detach": lambda lib, f, x: x * x.detach(),
    "nested": lambda lib, f, x: nested(f, x),
    "grad": lambda lib, f, x: f.grad(lambda v: (v * v * x).sum() + v.sin().sum())(x),
    "vjp": lambda lib, f, x: f.vjp(lambda v: (v * x).cumsum(0), x)[1](x.cos())[0],
}


def small(x):
    return x if x.numel() <= 24 else x.flatten()[:5]


def both(pair):
    return pair[0] + pair[1]


TRANSFORMS = {
    "grad": lambda f, g, x, at: f.grad(lambda v: g(v).sum())(x),
    "grad and value": lambda f, g, x, at: both(f.grad_and_value(lambda v: g(v).sum())(x)),
    "grad, aux": lambda f, g, x, at: both(f.grad(lambda v: (g(v).sum(), v.sin()), has_aux=True)(x)),
    "vmap": lambda f, g, x, at: f.vmap(g, at[0], at[1])(x),
    "vmap in chunks": lambda f, g, x, at: f.vmap(g, at[0], at[1], chunk_size=2)(x),
    "vmap of two": lambda f, g, x, at: f.vmap(lambda a, b: g(a) * b.sum(), (at[0], 0))(
        x, x.transpose(0, at[0])
    ),
    "vmap, shared": lambda f, g, x, at: f.vmap(lambda a, b: g(b) * a.sum(), (0, None))(x, x),
    "jacrev": lambda f, g, x, at: small(f.jacrev(lambda v: small(g(v)))(small(x))),
    "jacrev in chunks": lambda f, g, x, at: small(
        f.jacrev(lambda v: small(g(v)), chunk_size=2)(small(x))
    ),
    "jacfwd": lambda f, g, x, at: small(f.jacfwd(lambda v: small(g(v)))(small(x))),
    "hessian": lambda f, g, x, at: small(f.hessian(lambda v: g(v).sum())(small(x))),
    "jvp": lambda f, g, x, at: both(f.jvp(g, (x,), (x.cos(),))),
    "jvp of two": lambda f, g, x, at: f.jvp(lambda a, b: g(a * b), (x, x.sin()), (x.cos(), x))[1],
    "vjp": lambda f, g, x, at: (lambda y, pull: pull(y.sin())[0])(*f.vjp(g, x)),
    "functionalize": lambda f, g, x, at: f.functionalize(g)(x),
}


def program(seed):
    """A random program: steps within up to three transforms."""
    r = random.Random(seed)
    steps = r.choices(list(STEPS), k=r.randint(1, 4))
    levels = [
        (r.choice(list(TRANSFORMS)), (r.choice([0, -1]), r.choice([0, -1])), r.random() < 0.5)
        for _ in range(r.randint(1, 3))
    ]
    shape = r.choice([(3,), (2, 3), (3, 3), (2, 2, 2)])

    def run(lib, f, x, level=0, outer=()):
        if not x.ndim:
            x = x * lib.ones(2, dtype=x.dtype)
        if level < len(levels):
            name, at, seen = levels[level]
            held = (*outer, x) if seen else outer
            return TRANSFORMS[name](f, lambda v: run(lib, f, v, level + 1, held), x, at)
        for y in outer:
            x = x * (y.sum() * 0.1 + 1)
        for step in steps:
            x = STEPS[step](lib, f, x)
            x = x.flatten()[:7] if x.numel() > 60 else x
        return x

    return run, np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("part", range(6))
def test_compositions(part):
    compared = 0
    for seed in range(part * 10, part * 10 + 10):
        run, array = program(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = run(*BOTH[1], BOTH[1][0].tensor(array))
            except RuntimeError as error:
                if "INTERNAL ASSERT" not in str(error):  # a bug of PyTorch's
                    with pytest.raises(RuntimeError):
                        run(*BOTH[0], BOTH[0][0].tensor(array))
                continue
            found = run(*BOTH[0], BOTH[0][0].tensor(array))
        if np.isfinite(values(expected)).all():
            scale = max(1, np.abs(values(expected)).max())
            same(values(found) / scale, values(expected) / scale)
            compared += 1
    assert compared > 4
