"""Users' operations within transforms: `vmap`, `generate_vmap_rule` and `jvp` of a `Function`.

The operations are those with which PyTorch tests its own; their source runs here with `torch` as
another name of ours.
"""

import ast
import inspect
import warnings

import numpy as np
import pytest
import torch
from torch.testing._internal import autograd_function_db

import devtensor as dt
from devtensor.autograd import forward_ad
from sides import SIDES, leaf, nested
from transformed import beside

THEIRS = vars(autograd_function_db)
OURS = {"torch": dt, "np": np}
_kept = [
    node
    for node in ast.parse(inspect.getsource(autograd_function_db)).body
    if isinstance(node, ast.ClassDef) or getattr(node, "name", "") == "to_numpy"
]
exec(compile(ast.Module(_kept, []), "operations", "exec"), OURS)

rng = np.random.default_rng(5)
X, Y = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))

OPERATIONS = {
    "NumpyCube": lambda lib, op: lambda x: op(x)[0],
    "CubeGenVmap": lambda lib, op: lambda x: op(x)[0],
    "NumpyMul": lambda lib, op: lambda x: op(x, x.sin()),
    "MulGenVmap": lambda lib, op: lambda x: op(x, x.sin()),
    "NumpyExp_": lambda lib, op: lambda x: op(x.clone()),
    "NumpySort": lambda lib, op: lambda x: op(x, -1)[0] ** 2,
    "SortGenVmap": lambda lib, op: lambda x: op(x, -1)[0] ** 2,
    "Select": lambda lib, op: lambda x: op(x, 1) ** 2,
    "SelectGenVmap": lambda lib, op: lambda x: op(x, 1) ** 2,
    "ScaleGradGenVmap": lambda lib, op: lambda x: op(x, 0.5).sin(),
    "ZeroGradientsGenVmap": lambda lib, op: lambda x: op(x, x)[0],
    "ForwardHasDefaultArgs": lambda lib, op: lambda x: op(x).sin(),
}
PROGRAMS = {
    "call": lambda lib, f, t, x, y: t(x),
    "vmap": lambda lib, f, t, x, y: f.vmap(t)(x),
    "vmap of columns": lambda lib, f, t, x, y: f.vmap(t, 1, -1)(x),
    "vmap of vmap": lambda lib, f, t, x, y: f.vmap(f.vmap(lambda v: t(lib.stack([v, v * 2]))))(x),
    "one level of two": lambda lib, f, t, x, y: f.vmap(
        lambda v: f.vmap(lambda w: t(v) * w.sum())(y[:2])
    )(x),
    "grad": lambda lib, f, t, x, y: f.grad(lambda v: t(v).sum())(x),
    "vmap of grad": lambda lib, f, t, x, y: f.vmap(f.grad(lambda v: t(v).sum()))(x),
    "grad of vmap": lambda lib, f, t, x, y: f.grad(lambda v: f.vmap(t)(v).sum())(x),
    "grad of grad": lambda lib, f, t, x, y: f.grad(
        lambda v: f.grad(lambda v: t(v).sum())(v).sin().sum()
    )(x),
    "gradients by what is shared": lambda lib, f, t, x, y: f.vmap(
        lambda a: f.grad(lambda v: (t(v) * a[0]).sum())(y[0])
    )(x),
    "batches of what is shared": lambda lib, f, t, x, y: f.vmap(
        lambda a: f.grad(lambda v: (f.vmap(t)(v) * a[0]).sum())(y)
    )(x),
    "jvp": lambda lib, f, t, x, y: f.jvp(t, (x,), (y,)),
    "jvp of vmap": lambda lib, f, t, x, y: f.jvp(f.vmap(t), (x,), (y,)),
    "vmap of jvp": lambda lib, f, t, x, y: f.vmap(lambda a, b: f.jvp(t, (a,), (b,)))(x, y),
    "grad of jvp": lambda lib, f, t, x, y: f.grad(lambda v: f.jvp(t, (v,), (y,))[1].sum())(x),
    "jvp of grad": lambda lib, f, t, x, y: f.jvp(f.grad(lambda v: t(v).sum()), (x,), (y,)),
    "jacrev": lambda lib, f, t, x, y: f.jacrev(t)(x[0]),
    "jacfwd": lambda lib, f, t, x, y: f.jacfwd(t)(x[0]),
    "jacfwd of jacrev": lambda lib, f, t, x, y: f.jacfwd(f.jacrev(t))(x[0]),
    "vmap of jacfwd": lambda lib, f, t, x, y: f.vmap(f.jacfwd(t))(x),
    "vmap of jacrev": lambda lib, f, t, x, y: f.vmap(f.jacrev(t))(x),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_pytorch(name, program):
    def run(lib, f, x, y):
        apply = (OURS if lib is dt else THEIRS)[name].apply
        return PROGRAMS[program](lib, f, OPERATIONS[name](lib, apply), x, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's operations write NumPy's view of a tensor
        beside(run, X, Y)


def own(lib, rule, **extra):
    """An operation ``x * y`` in NumPy, with a rule for batches."""

    class Times(lib.autograd.Function):
        generate_vmap_rule = extra.get("generate", False)

        @staticmethod
        def forward(x, y):
            return lib.tensor(x.detach().numpy() * y.detach().numpy())

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

        vmap = staticmethod(rule)

    return Times


@SIDES
def test_what_a_rule_is_told(lib):
    seen = []

    def rule(info, in_dims, x, y):
        seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape), tuple(y.shape)))
        return Times.apply(x, y), 0

    Times = own(lib, rule)
    x, y = lib.tensor(X), lib.tensor(Y[0])
    f = lib.func
    found = f.vmap(Times.apply, (0, None), randomness="same")(x, y)
    np.testing.assert_allclose(found.numpy(), X * Y[0])
    assert seen == [(4, "same", (0, None), (4, 3), (3,))]
    seen.clear()
    # A tensor of an outer level alone is no batch of the inner one.
    found = f.vmap(lambda a: f.vmap(lambda b: Times.apply(a, a) + b)(y))(x)
    np.testing.assert_allclose(found.numpy(), (X * X)[:, None] + Y[0][:, None])
    assert seen == [(4, "error", (0, 0), (4, 3), (4, 3))]


@SIDES
@pytest.mark.parametrize(
    ("rule", "error", "words"),
    [
        (lambda info, dims, x, y: x, RuntimeError, "to have two returns"),
        (lambda info, dims, x, y: (x, 0, 0), RuntimeError, "3 returns"),
        (lambda info, dims, x, y: (x, (0, 0)), RuntimeError, "incompatible"),
    ],
    ids=["one", "three", "dims"],
)
def test_what_a_rule_must_return(lib, rule, error, words):
    with pytest.raises(error, match=words):
        lib.func.vmap(own(lib, rule).apply)(lib.tensor(X), lib.tensor(Y))


@SIDES
def test_two_rules_are_refused(lib):
    both = own(lib, lambda info, dims, x, y: (x, 0), generate=True)
    with pytest.raises(RuntimeError, match="generate_vmap_rule=True and an overridden vmap"):
        lib.func.vmap(both.apply)(lib.tensor(X), lib.tensor(Y))


@SIDES
def test_tensors_by_keyword_are_refused(lib):
    class Keyword(lib.autograd.Function):
        @staticmethod
        def forward(x, *, y):
            return x + y

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x, *, y):
            return x + y, 0

    with pytest.raises(NotImplementedError, match="kwarg-only Tensor"):
        lib.func.vmap(lambda x: Keyword.apply(x, y=x))(lib.tensor(X))


@SIDES
def test_a_rule_outside_of_the_graph_has_the_gradient_of_the_operation(lib):
    def rule(info, in_dims, x, y):
        return lib.tensor(x.detach().numpy() * y.detach().numpy()), 0

    Times = own(lib, rule)
    f = lib.func
    x, y = lib.tensor(X), lib.tensor(Y)
    found = f.vmap(f.grad(lambda a, b: Times.apply(a, b).sum(), (0, 1)))(x, y)
    np.testing.assert_allclose(found[0].numpy(), Y)
    np.testing.assert_allclose(found[1].numpy(), X)


@pytest.mark.parametrize("generate", [True, False])
def test_gradients_of_what_examples_share_are_summed(generate):
    class Times(dt.autograd.Function):
        generate_vmap_rule = generate

        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

    x, y = dt.tensor(X), dt.tensor(Y[0], requires_grad=True)
    dt.vmap(Times.apply, (0, None))(x, y).sum().backward()
    np.testing.assert_allclose(y.grad.numpy(), X.sum(0))
    found = dt.func.grad(lambda y: dt.vmap(lambda a: Times.apply(a, y))(x).sum())(y.detach())
    np.testing.assert_allclose(found.numpy(), X.sum(0))


def forth(lib, jvp, materialize=True):
    """An operation of two arguments that saves one for each way."""

    class Both(lib.autograd.Function):
        @staticmethod
        def forward(x, y, count, scale):
            return x * y, x + 1

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.set_materialize_grads(materialize)
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[1], output[1])
            ctx.scale = inputs[3]

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * x, None, None, None

        @staticmethod
        def jvp(ctx, *tangents):
            return jvp(ctx, *tangents)

    return Both


# PyTorch's forward mode compiles its rules, and says that it should not, when it is first used.
FORTH = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@FORTH
@SIDES
@pytest.mark.parametrize("materialize", [True, False])
def test_what_jvp_is_told(lib, materialize):
    seen = []

    def jvp(ctx, *tangents):
        y, output = ctx.saved_tensors
        seen.append((nested(tangents[0]), nested(tangents[1]), tangents[2:], nested(y)))
        assert nested(output) == [2.0, 3.0]
        return tangents[0] * ctx.scale, tangents[0]

    apply = forth(lib, jvp, materialize).apply
    x, y, t = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0), leaf(lib, 1.0, -1.0).detach()
    count = lib.arange(2)
    value, slope = lib.func.jvp(lambda x: apply(x, y.detach(), count, 10), (x.detach(),), (t,))
    assert nested(slope) == [[10.0, -10.0], [1.0, -1.0]]
    assert nested(value) == [[3.0, 8.0], [2.0, 3.0]]
    unknown = [0.0, 0.0] if materialize else None
    assert seen == [([1.0, -1.0], unknown, (None, None), [3.0, 4.0])]
    # The way back has saved the other argument.
    apply(x, y, count, 10)[0].sum().backward()
    assert nested(x.grad) == [1.0, 2.0]
    ad = forward_ad if lib is dt else torch.autograd.forward_ad
    with ad.dual_level():
        found = ad.unpack_dual(apply(ad.make_dual(x.detach(), t), y, count, 2)[0])
    assert nested(found.tangent) == [2.0, -2.0]


@FORTH
@SIDES
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda t: t, "invalid number of forward gradients"),
        (lambda t: (t, t, t), "invalid number of forward gradients"),
        (lambda t: (t, t[:1]), "different size"),
        (lambda t: (t, 3), "expected Variable or None"),
    ],
    ids=["one", "three", "shape", "number"],
)
def test_what_jvp_must_return(lib, result, words):
    apply = forth(lib, lambda ctx, t, *_: result(t)).apply
    x = lib.tensor(X[0])
    with pytest.raises(RuntimeError, match=words):
        lib.func.jvp(lambda x: apply(x, x, None, 1), (x,), (x,))


def test_jvp_alone_is_enough():
    class Forth(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x.exp()

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return t * x.exp()

    x = dt.tensor(X[0])
    np.testing.assert_allclose(
        dt.func.jacfwd(dt.func.jacfwd(Forth.apply))(x).numpy(),
        np.exp(X[0])[:, None, None] * np.eye(3)[:, :, None] * np.eye(3)[:, None, :],
    )
    with pytest.raises(TypeError, match="save_for_forward"):
        dt.autograd.Function.save_for_forward(None, 3)
