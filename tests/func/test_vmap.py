"""`vmap` as PyTorch has it: where dimensions go, what is refused, writes, random numbers."""

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import func
from transformed import beside


def array(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)


X, Y = array(3, 4), array(4, 3)


DIMENSIONS = {
    "identity": lambda lib, f, x: f.vmap(lambda a: a)(x),
    "second": lambda lib, f, x: f.vmap(lambda a: a, in_dims=1)(x),
    "last": lambda lib, f, x: f.vmap(lambda a: a * 2, in_dims=-1)(x),
    "out second": lambda lib, f, x: f.vmap(lambda a: a, out_dims=1)(x),
    "out last": lambda lib, f, x: f.vmap(lambda a: a, out_dims=-1)(x),
    "out too far": lambda lib, f, x: f.vmap(lambda a: a, out_dims=2)(x),
    "pair": lambda lib, f, x: f.vmap(lambda a, b: a * b, in_dims=(0, None))(x, x[0]),
    "pair by dict": lambda lib, f, x: f.vmap(
        lambda d: d["a"] - d["b"], in_dims=({"a": 0, "b": 1},)
    )({"a": x, "b": x.T}),
    "prefix": lambda lib, f, x: f.vmap(lambda t, c: t[0] + t[1] + c, in_dims=(0, None))(
        (x, x), 2.0
    ),
    "nested prefix": lambda lib, f, x: f.vmap(
        lambda t: t[0] + t[1]["c"], in_dims=((0, {"c": None}),)
    )((x, {"c": x[1]})),
    "several outs": lambda lib, f, x: f.vmap(lambda a: (a, {"s": a.sum()}), out_dims=(1, {"s": 0}))(
        x
    ),
    "one out for all": lambda lib, f, x: f.vmap(lambda a: [a, (a.exp(),)], out_dims=1)(x),
    "keyword": lambda lib, f, x: f.vmap(lambda a, b=None: a + b)(x, b=x[0]),
    "shared out": lambda lib, f, x: f.vmap(lambda a: lib.ones(2, dtype=x.dtype))(x),
    "shared out none": lambda lib, f, x: f.vmap(lambda a: lib.ones(2), out_dims=None)(x),
    "batched out none": lambda lib, f, x: f.vmap(lambda a: a, out_dims=None)(x),
    "sum": lambda lib, f, x: f.vmap(lambda a: a.sum())(x),
    "no examples": lambda lib, f, x: f.vmap(lambda a: a.sin().sum())(x[:0]),
    "one example": lambda lib, f, x: f.vmap(lambda a: a.softmax(0))(x[:1]),
    "list in_dims": lambda lib, f, x: f.vmap(lambda a, b: a, in_dims=[0, None])(x, x),
    "text in_dims": lambda lib, f, x: f.vmap(lambda a: a, in_dims="a")(x),
    "too many in_dims": lambda lib, f, x: f.vmap(lambda a: a, in_dims=(0, 0))(x),
    "other keys": lambda lib, f, x: f.vmap(lambda d: d["a"], in_dims=({"b": 0},))({"a": x}),
    "no in_dims": lambda lib, f, x: f.vmap(lambda a: a, in_dims=None)(x),
    "none mapped": lambda lib, f, x: f.vmap(lambda a: a, in_dims=(None,))(x),
    "beyond": lambda lib, f, x: f.vmap(lambda a: a, in_dims=2)(x),
    "before": lambda lib, f, x: f.vmap(lambda a: a, in_dims=-3)(x),
    "number": lambda lib, f, x: f.vmap(lambda a, b: a)(x, 3),
    "no arguments": lambda lib, f, x: f.vmap(lambda: x)(),
    "other size": lambda lib, f, x: f.vmap(lambda a, b: a)(x, x.T),
    "0-d": lambda lib, f, x: f.vmap(lambda a: a)(x.sum()),
    "returns None": lambda lib, f, x: f.vmap(lambda a: None)(x),
    "returns number": lambda lib, f, x: f.vmap(lambda a: 3.0)(x),
    "text out_dims": lambda lib, f, x: f.vmap(lambda a: a, out_dims="a")(x),
    "few out_dims": lambda lib, f, x: f.vmap(lambda a: (a, a), out_dims=(0,))(x),
    "one out_dim in a tuple": lambda lib, f, x: f.vmap(lambda a: a, out_dims=(1,))(x),
    "other out keys": lambda lib, f, x: f.vmap(lambda a: {"a": a}, out_dims={"b": 1})(x),
    "no function": lambda lib, f, x: f.vmap(3)(x),
    "chunks": lambda lib, f, x: f.vmap(lambda a: (a * 2, a.sum()), out_dims=(1, 0), chunk_size=2)(
        x
    ),
    "chunks beyond": lambda lib, f, x: f.vmap(lambda a: a.cos(), in_dims=1, chunk_size=7)(x),
    "no chunk": lambda lib, f, x: f.vmap(lambda a: a, chunk_size=0)(x),
    "shapes": lambda lib, f, x: f.vmap(
        lambda a: (
            a * a.ndim + len(a) + a.numel() + a.shape[0] + a.size(-1) + a.dim() + a.stride()[0]
        )
    )(x),
    "nested": lambda lib, f, x: f.vmap(lambda a: f.vmap(lambda b: (a * b).sum())(x))(x),
    "nested dims": lambda lib, f, x: f.vmap(
        f.vmap(lambda a, b: a + 2 * b, in_dims=(None, 0)), in_dims=(1, None), out_dims=-1
    )(x, x[0]),
    "three levels": lambda lib, f, x: f.vmap(f.vmap(f.vmap(lambda a: a.exp())))(x[None]),
    "kept order": lambda lib, f, x: f.vmap(lambda a, b: (b.sum(), a), in_dims=(1, 0))(x.T, x),
}


@pytest.mark.parametrize("name", DIMENSIONS)
def test_dimensions(name):
    beside(DIMENSIONS[name], X)


def add_to_part(lib, a):
    a = a.clone()
    a[1:] += 1
    a[0] = a[2] * 3
    return a


def write_new(lib, a):
    made = a.new_zeros(2, 4)
    made[0] = a
    made[1].add_(a.exp())
    return made


def write_through_view(lib, a):
    base = lib.zeros_like(a)
    left, right = base[:2], base[2:]
    left.copy_(a[2:])
    return base + right, base * 2


def write_zeros(lib, a):
    made = lib.zeros(4, dtype=a.dtype)
    made[0] = a[0]
    return made


def loop_over_rows(lib, a):
    total = a[0] * 0
    for row in a:
        total = total + row
    return total


INSIDE = {
    "in place": lambda lib, f, x: f.vmap(lambda a: a.clone().mul_(2).add_(a))(x),
    "in place of the input": lambda lib, f, x: (f.vmap(lambda a: a.mul_(2))(x), x),
    "part": lambda lib, f, x: f.vmap(lambda a: add_to_part(lib, a))(x),
    "new": lambda lib, f, x: f.vmap(lambda a: write_new(lib, a))(x),
    "view": lambda lib, f, x: f.vmap(lambda a: write_through_view(lib, a))(x),
    "shared target": lambda lib, f, x: f.vmap(lambda a: write_zeros(lib, a))(x),
    "shared copy_": lambda lib, f, x: f.vmap(lambda a: lib.zeros(4, dtype=x.dtype).copy_(a))(x),
    "shared target, shared value": lambda lib, f, x: f.vmap(
        lambda a: a + lib.zeros(4, dtype=x.dtype).add_(1)
    )(x),
    "iteration": lambda lib, f, x: f.vmap(lambda a: loop_over_rows(lib, a))(x),
    "unpacking": lambda lib, f, x: f.vmap(lambda a: a.unbind()[1] - a.chunk(2)[0].sum())(x),
    "index": lambda lib, f, x: f.vmap(lambda i: x[1][i])(lib.tensor([2, 0])),
    "index both": lambda lib, f, x: f.vmap(lambda a, i: a[i])(
        x, lib.tensor([[2, 0], [1, 1], [3, 0]])
    ),
    "index rows": lambda lib, f, x: f.vmap(
        lambda a, i: a[:, i] * a[i][:, None].sum(), in_dims=(None, 0)
    )(x[:, :3], lib.tensor([[2, 0], [1, 1], [2, 0]])),
    "index apart": lambda lib, f, x: f.vmap(lambda i: x.reshape(3, 2, 2)[i, :, i % 2])(
        lib.tensor([[2, 0], [1, 1]])
    ),
    "negative index": lambda lib, f, x: f.vmap(lambda a, i: a[i])(x, lib.tensor([-1, -2, 0])),
    "write at index": lambda lib, f, x: f.vmap(lambda a, i: a.clone().index_fill_(0, i, 7.0))(
        x, lib.tensor([[2], [0], [1]])
    ),
    "where": lambda lib, f, x: f.vmap(lambda a: lib.where(a > 0, a, a.exp()))(x),
    "masked_fill": lambda lib, f, x: f.vmap(lambda a: a.masked_fill(a > 0, 0.0))(x),
    "masked_fill of complex": lambda lib, f, x: f.vmap(lambda a, v: a.masked_fill(x[0] > 0, v))(
        x + 0j, x[:, 0] + 1j
    ),
    "slopes of powers": lambda lib, f, x: f.vmap(lambda a, e: f.vjp(lib.pow, a, e)[1](a))(
        x.abs() + 1, x[:, 0].round()
    ),
    "mask write": lambda lib, f, x: f.vmap(lambda a: lib.relu(a).index_put((a.argmax(),), a.sum()))(
        x
    ),
    "einsum": lambda lib, f, x: f.vmap(lambda a: lib.einsum("i,j->ji", a, a[:2]))(x),
    "matrices": lambda lib, f, x: f.vmap(lambda a: (a @ x.T, x @ a, a.outer(a) @ a))(x),
    "linalg": lambda lib, f, x: f.vmap(
        lambda a: lib.linalg.solve(lib.diag(a) + 2 * lib.eye(4, dtype=x.dtype), a)
    )(x.abs()),
    "item": lambda lib, f, x: f.vmap(lambda a: a.sum().item())(x),
    "float": lambda lib, f, x: f.vmap(lambda a: float(a.sum()) * a)(x),
    "if": lambda lib, f, x: f.vmap(lambda a: a if a.sum() > 0 else -a)(x),
    "if of what is shared": lambda lib, f, x: f.vmap(lambda a: a if x.sum() > 9 else -a)(x),
    "range": lambda lib, f, x: f.vmap(lambda i: [i for _ in range(i)])(lib.tensor([1, 2])),
    "list index": lambda lib, f, x: f.vmap(lambda i: [x, x][i])(lib.tensor([1, 0])),
    "tolist": lambda lib, f, x: f.vmap(lambda a: a.tolist())(x),
    "contains": lambda lib, f, x: f.vmap(lambda a: 3 in a)(x),
    "nonzero": lambda lib, f, x: f.vmap(lambda a: a.nonzero())(x),
    "mask": lambda lib, f, x: f.vmap(lambda a: a[a > 0])(x),
    "masked_select": lambda lib, f, x: f.vmap(lambda a: a.masked_select(a > 0))(x),
    "unique": lambda lib, f, x: f.vmap(lambda a: a.unique())(x),
    "one-argument where": lambda lib, f, x: f.vmap(lambda a: lib.where(a > 0))(x),
    "repeat by a tensor": lambda lib, f, x: f.vmap(lambda i: lib.repeat_interleave(i))(
        lib.tensor([[1, 2], [2, 2]])
    ),
    "random": lambda lib, f, x: f.vmap(lambda a: a + lib.rand(4))(x),
    "random dropout": lambda lib, f, x: f.vmap(lambda a: lib.nn.functional.dropout(a))(x),
    "no such randomness": lambda lib, f, x: f.vmap(lambda a: a, randomness="often")(x),
    "different in place, shared": lambda lib, f, x: f.vmap(
        lambda a: lib.zeros(2).normal_(), randomness="different"
    )(x),
    "shared operand": lambda lib, f, x: f.vmap(lambda a: lib.cat([a, x[0], a.sum().reshape(1)]))(x),
    "0-d beside wide": lambda lib, f, x: f.vmap(lambda s: s * x)(x[0]),
    "types": lambda lib, f, x: f.vmap(lambda s: s + lib.ones(2, dtype=lib.float32))(x[0]),
    "numbers": lambda lib, f, x: f.vmap(lambda a: (2 - a) / 3 + (a > 0) * 1 + 2**a)(x),
    "batch norm": lambda lib, f, x: f.vmap(
        lambda a: lib.nn.functional.batch_norm(a, None, None, training=True)
    )(x.reshape(1, 3, 4).repeat(2, 1, 1)),
    "running statistics": lambda lib, f, x: slopes_and_statistics(lib, f, "batch_norm", x),
    "of each image": lambda lib, f, x: slopes_and_statistics(lib, f, "instance_norm", x),
    "statistics that are shared": lambda lib, f, x: f.vmap(
        lambda a: lib.nn.functional.instance_norm(a, lib.zeros(3), lib.ones(3))
    )(x.reshape(1, 1, 3, 4).float()),
}


def slopes_and_statistics(lib, f, name, x):
    """Batched slopes of a normalization, which counts what it saw once."""
    mean, var = lib.zeros(3, dtype=x.dtype), lib.ones(3, dtype=x.dtype)
    norm = getattr(lib.nn.functional, name)

    def pull(g):
        return f.vjp(lambda a: norm(a, mean, var, None, None, True), lib.stack([x, x * x]))[1](g)

    return f.vmap(pull)(lib.stack([x, -x, x + 1]).unsqueeze(1).expand(3, 2, 3, 4)), mean, var


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.filterwarnings("ignore")
def test_inside(name):
    beside(INSIDE[name], X)


def test_a_scalar_of_the_host_joins_a_batch(device):
    x = dt.tensor(X, device=device)
    found = dt.vmap(lambda a: a * dt.tensor(2.0))(x)
    assert found.device is x.device
    np.testing.assert_allclose(np.asarray(found.tolist()), X * 2)


def test_the_device_is_the_same_to_users(device):
    x = dt.tensor(X, device=device)
    seen = []

    def call(a):
        seen.append((a.device == x.device, a.device.type, str(a.device)))
        return a + dt.ones(4, device=a.device) + a.to(x.device) + a.to(a.device)

    np.testing.assert_allclose(np.asarray(dt.vmap(call)(x).tolist()), 3 * X + 1)
    assert seen == [(True, x.device.type, str(x.device))]


def test_from_one_device_to_another(other_device):
    x = dt.tensor(X, requires_grad=True)

    def call(a):
        there = (a * 2).to(other_device)
        return there.sin(), (there * 3).cpu()

    there, back = dt.vmap(call)(x)
    assert there.device is dt.device(other_device).resolve()
    assert back.device is x.device
    np.testing.assert_allclose(np.asarray(there.tolist()), np.sin(2 * X))
    back.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full_like(X, 6))


def test_what_is_shared_is_computed_once():
    w, x = dt.tensor(Y), dt.tensor(X)
    with dt.ledger() as book:
        dt.vmap(lambda a: a @ (w * 2))(x)
    assert "mul" in str(book) or "plus" in str(book) or len(book) == 2


def test_messages_say_what_to_do():
    x = dt.tensor(X)
    with pytest.raises(RuntimeError, match=r"\.item\(\).*where\("):
        dt.vmap(lambda a: a.sum().item())(x)
    with pytest.raises(RuntimeError, match=r"boolean mask.*masked_fill"):
        dt.vmap(lambda a: a[a > 0])(x)
    with pytest.raises(RuntimeError, match=r"randomness error mode.*'same' or 'different'"):
        dt.vmap(lambda a: dt.rand(3))(x)
    with pytest.raises(RuntimeError, match="new_zeros"):
        dt.vmap(lambda a: dt.zeros(4, dtype=a.dtype).copy_(a))(x)


def test_what_escapes_is_told():
    kept = []
    dt.vmap(lambda a: kept.append(a) or a)(dt.tensor(X))
    with pytest.raises(RuntimeError, match="escaped"):
        dt.vmap(lambda a: a)(kept[0])
    with pytest.raises(RuntimeError):
        kept[0].sum().item()


def test_a_shared_target_is_left_alone():
    shared = dt.zeros(4, dtype=dt.float64)
    with pytest.raises(RuntimeError, match="inplace"):
        dt.vmap(lambda a: shared.add_(a))(dt.tensor(X))
    assert shared.tolist() == [0.0] * 4
    dt.vmap(lambda a: shared.add_(1) + a)(dt.tensor(X))
    assert shared.tolist() == [1.0] * 4


def test_gradients_pass_through():
    w = dt.tensor(Y, requires_grad=True)
    x = dt.tensor(X, requires_grad=True)
    dt.vmap(lambda a: (a @ w).tanh(), in_dims=0, out_dims=1)(x).square().sum().backward()
    tw = torch.tensor(Y, requires_grad=True)
    tx = torch.tensor(X, requires_grad=True)
    (tx @ tw).tanh().square().sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy())
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy())


def test_second_gradients_pass_through():
    w = dt.tensor(Y, requires_grad=True)
    assert dt.autograd.gradgradcheck(
        lambda w: dt.vmap(lambda a: (a @ w).tanh().prod())(dt.tensor(X)), (w,)
    )


def test_no_grad_and_inference_mode():
    x = dt.tensor(X, requires_grad=True)
    with dt.no_grad():
        assert not dt.vmap(lambda a: a * 2)(x).requires_grad
    with dt.inference_mode():
        found = dt.vmap(lambda a: a * 2)(x)
    assert found.is_inference()
    np.testing.assert_allclose(found.numpy(), X * 2)


def test_functions_of_users():
    class Cube(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

    x = dt.tensor(X)
    np.testing.assert_allclose(dt.vmap(Cube.apply)(x).numpy(), X**3)
    found = dt.vmap(func.grad(lambda a: Cube.apply(a).sum()))(x)
    np.testing.assert_allclose(found.numpy(), 3 * X**2)


# ---- random numbers


@pytest.mark.parametrize("draw", [
    lambda a: dt.rand(3), lambda a: dt.rand_like(a), lambda a: a.clone().normal_(),
    lambda a: dt.nn.functional.dropout(a.abs() + 1), lambda a: dt.bernoulli(a.sigmoid() * 0 + 0.5),
    lambda a: dt.randperm(50), lambda a: dt.multinomial(a.softmax(0), 40, replacement=True),
    lambda a: dt.poisson(a * 0 + 20), lambda a: dt.rand(3, device="cpu"),
    lambda a: dt.normal(a * 0, 1.0), lambda a: dt.zeros_like(a).exponential_(),
])  # fmt: skip
def test_random_numbers(draw):
    x = dt.tensor(X)
    dt.manual_seed(0)
    rows = dt.vmap(lambda a: draw(a * 0), randomness="same")(x)
    assert (rows == rows[0]).all()
    rows = dt.vmap(lambda a: draw(a * 0), randomness="same", chunk_size=2)(x)
    assert (rows == rows[0]).all()
    rows = dt.vmap(draw, randomness="different")(x)
    assert not (rows[0] == rows[1]).all()
    assert not (rows[1] == rows[2]).all()


def test_random_numbers_are_drawn_once():
    def draws(count):
        dt.manual_seed(3)
        first = dt.vmap(lambda a: dt.rand_like(a), randomness="different")(dt.zeros(count, 4))
        return dt.cat([first.flatten(), dt.rand(40)])

    found = draws(6)
    assert len(found.unique()) == len(found)
    assert dt.equal(found, draws(6))


def test_random_numbers_of_two_levels():
    def call(outer, inner):
        return dt.vmap(
            lambda a: dt.vmap(lambda b: b * 0 + dt.rand(4), randomness=inner)(a), randomness=outer
        )(dt.zeros(3, 2, 4))

    both = call("different", "different").reshape(6, 4)
    assert len(both.unique()) == 24
    rows = call("different", "same")
    assert dt.equal(rows[:, 0], rows[:, 1])
    assert len(rows.unique()) == 12
    rows = call("same", "different")
    assert dt.equal(rows[0], rows[2])
    assert len(rows.unique()) == 8


# ---- what is shared until it is written


def test_zeros_become_many_when_an_example_writes():
    def call(a):
        made = dt.zeros(2, 3, dtype=a.dtype, device=a.device)
        view = made.T[1:]
        other = made[0]
        view[0, 0] = a[0]
        other.add_(a[:3])
        return made, view.sum(), other

    made, total, other = dt.vmap(call)(dt.tensor(X))
    expected = np.zeros((3, 2, 3))
    expected[:, 0, 1] = X[:, 0]
    expected[:, 0] += X[:, :3]
    np.testing.assert_allclose(made.numpy(), expected)
    np.testing.assert_allclose(total.numpy(), expected[:, :, 1:].sum((1, 2)))
    np.testing.assert_allclose(other.numpy(), expected[:, 0])


def test_text():
    seen = []
    dt.vmap(lambda a: seen.append(repr(a)) or seen.append(str(a.sum())) or a)(dt.ones(2, 3))
    assert seen[0].split("\n") == [
        "BatchedTensor(lvl=1, bdim=0, value=",
        "    tensor([[1., 1., 1.],",
        "            [1., 1., 1.]])",
        ")",
    ]
    assert "value=\n    tensor([3., 3.])" in seen[1]


def test_debug_unwrap():
    seen = []
    dt.vmap(lambda a: seen.append(func.debug_unwrap(a)) or a)(dt.tensor(X))
    np.testing.assert_allclose(seen[0].numpy(), X)


def test_functionalize():
    def double(a):
        a = a.clone()
        a.mul_(2)
        return a

    np.testing.assert_allclose(func.functionalize(double)(dt.tensor(X)).numpy(), X * 2)
    with pytest.raises(RuntimeError, match="invalid argument"):
        func.functionalize(double, remove="all")
