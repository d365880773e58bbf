"""Gradients of sparse tensors, and sparse gradients: of tables, in hooks, in optimizers."""

import warnings

import pytest
import torch

import devtensor as dt
from devtensor.sparse import SparseTensor

LOOKED_UP = [[0, 2], [2, 1]]


def quiet(call, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args)


def leaf(lib, device="cpu"):
    return lib.sparse_coo_tensor(
        [[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 1.0], (2, 3), requires_grad=True,
        device=device,
    )  # fmt: skip


PROGRAMS = {
    "mm": lambda lib, s: lib.sparse.mm(s, lib.ones(3, 2, device=s.device)),
    "to_dense": lambda lib, s: s.to_dense(),
    "sum": lambda lib, s: lib.sparse.sum(s),
    "mul": lambda lib, s: (s * 2).to_dense(),
    "values": lambda lib, s: s.coalesce().values(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradient_of_a_sparse_leaf_is_sparse(name, device):
    theirs, ours = quiet(leaf, torch), leaf(dt, device)
    for lib, s in ((torch, theirs), (dt, ours)):
        assert s.is_leaf and s.grad_fn is None and s.requires_grad
        for _ in range(2):
            PROGRAMS[name](lib, s).sum().backward()
    assert type(ours.grad) is SparseTensor and ours.grad.is_coalesced()
    assert repr(ours.grad.cpu()) == repr(theirs.grad.coalesce())
    (again,) = dt.autograd.grad(PROGRAMS[name](dt, ours).sum(), ours)
    assert (again * 2).to_dense().tolist() == theirs.grad.to_dense().tolist()


def test_a_sparse_root_takes_a_gradient_of_either_kind(device):
    for kind in (lambda g: g, lambda g: g.to_sparse()):
        s = leaf(dt, device)
        (s * 3).backward(kind(dt.ones(2, 3, device=device)))
        assert s.grad.to_dense().tolist() == [[0.0, 0.0, 3.0], [3.0, 0.0, 3.0]]
    with pytest.raises(RuntimeError, match="size"):
        (s * 3).backward(dt.ones(3, 2, device=device))


def test_hooks_of_a_sparse_tensor(device):
    s, seen = leaf(dt, device), []
    s.register_hook(lambda g: seen.append(g) or g * 10)
    (s * 2).to_dense().sum().backward()
    assert seen[0].is_sparse and seen[0].to_dense().tolist() == [[0.0, 0.0, 2.0], [2.0, 0.0, 2.0]]
    assert s.grad.to_dense().tolist() == [[0.0, 0.0, 20.0], [20.0, 0.0, 20.0]]
    s.grad = None
    assert s.grad is None
    assert not s.detach().requires_grad and not (s * 2).detach().requires_grad
    with dt.no_grad():
        assert not (s * 2).requires_grad
    with dt.inference_mode():
        assert (leaf(dt, device) * 2).is_inference()


def test_a_function_of_ones_own_keeps_a_sparse_tensor(device):
    class Product(dt.autograd.Function):
        @staticmethod
        def forward(ctx, s, x):
            ctx.save_for_backward(s)
            return s @ x

        @staticmethod
        def backward(ctx, g):
            (s,) = ctx.saved_tensors
            return None, s.t() @ g

    x = dt.ones(3, 2, device=device, requires_grad=True)
    Product.apply(leaf(dt, device).detach(), x).sum().backward()
    assert x.grad.tolist() == [[4.0, 4.0], [0.0, 0.0], [9.0, 9.0]]


def test_gradcheck_takes_sparse_tensors(device):
    indices = dt.tensor([[0, 1, 1], [2, 0, 2]], device=device)
    values = dt.tensor([3.0, 4.0, 5.0], dtype=dt.float64, device=device)
    s = dt.sparse_coo_tensor(indices, values, (2, 3)).requires_grad_()
    x = dt.tensor([[1.0], [0.5], [2.0]], dtype=dt.float64, device=device, requires_grad=True)
    assert dt.autograd.gradcheck(lambda s, x: (dt.sparse.mm(s, x), s * 2), (s, x), masked=True)
    assert dt.autograd.gradgradcheck(lambda s, x: dt.sparse.mm(s * s, x), (s, x), masked=True)
    with pytest.raises(dt.autograd.jacobians.GradcheckError):
        dt.autograd.gradcheck(lambda s: s.detach() * 2 + s, (s,))


def test_transforms(device):
    s = leaf(dt, device).detach()
    rows = dt.arange(6.0, device=device).reshape(2, 3)
    assert dt.vmap(lambda x: s @ x)(rows).tolist() == (rows @ s.to_dense().t()).tolist()
    assert dt.func.jacrev(lambda x: s @ x)(rows[0]).tolist() == s.to_dense().tolist()
    _, along = dt.func.jvp(lambda x: s @ x, (rows[0],), (rows[1],))
    assert along.tolist() == (s @ rows[1]).tolist()
    w, places = table(dt, device).detach(), dt.tensor([[0, 2], [1, 1]], device=device)

    def total(w, row):
        return dt.nn.functional.embedding(row, w, sparse=True).sum()

    assert dt.func.grad(total)(w, places[0]).is_sparse
    each = dt.vmap(dt.func.grad(total), in_dims=(None, 0))(w, places)
    assert each.sum(-1).tolist() == [[3.0, 0.0, 3.0, 0.0], [0.0, 6.0, 0.0, 0.0]]


# ---- tables


def table(lib, device="cpu"):
    return lib.nn.Parameter(lib.arange(12.0, device=device).reshape(4, 3))


def looked_up(lib, weight, **options):
    indices = lib.tensor(LOOKED_UP, device=weight.device)
    return lib.nn.functional.embedding(indices, weight, sparse=True, **options)


STEPS = {
    "once": lambda lib, w: looked_up(lib, w).pow(2).sum().backward(),
    "padding": lambda lib, w: looked_up(lib, w, padding_idx=1).pow(2).sum().backward(),
    "twice": lambda lib, w: [looked_up(lib, w).sum().backward() for _ in range(2)],
    "with itself": lambda lib, w: (
        looked_up(lib, w).sum() + looked_up(lib, w).pow(2).sum() + looked_up(lib, w).sum()
    ).backward(),
    "then dense": lambda lib, w: [looked_up(lib, w).sum().backward(), w.pow(2).sum().backward()],
    "after dense": lambda lib, w: [w.pow(2).sum().backward(), looked_up(lib, w).sum().backward()],
    "with dense": lambda lib, w: (
        looked_up(lib, w).sum() + w.pow(2).sum() + looked_up(lib, w).pow(2).sum() + w.sum()
    ).backward(),
    "with dense first": lambda lib, w: (
        w.pow(2).sum() + w.sum() + looked_up(lib, w).sum() + w.sum()
    ).backward(),
    "hook": lambda lib, w: [
        w.register_hook(lambda g: g * 2), looked_up(lib, w).sum().backward(),
    ],
    "recorded": lambda lib, w: quiet(
        lambda: looked_up(lib, w).pow(3).sum().backward(create_graph=True)
    ),
    "recorded with dense": lambda lib, w: quiet(
        lambda: (looked_up(lib, w).sum() + w.pow(2).sum()).backward(create_graph=True)
    ),
    "grad": lambda lib, w: setattr(
        w, "grad", lib.autograd.grad(looked_up(lib, w).pow(2).sum(), w)[0]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_a_table_gets_a_sparse_gradient(name, device):
    theirs, ours = table(torch), table(dt, device)
    STEPS[name](torch, theirs)
    STEPS[name](dt, ours)
    assert ours.grad.is_sparse == theirs.grad.is_sparse
    assert ours.grad.shape == (4, 3)
    assert ours.grad.to_dense().tolist() == theirs.grad.to_dense().tolist()
    if ours.grad.is_sparse:
        mine, other = ours.grad.coalesce(), theirs.grad.coalesce()
        assert mine.indices().tolist() == other.indices().tolist()


def test_a_table_of_complex_numbers(device):
    found = []
    for sparse in (True, False):
        w = table(dt, device).detach().to(dt.complex64) * (1 - 2j)
        w.requires_grad_()
        row = dt.tensor(LOOKED_UP, device=device)
        rows = dt.nn.functional.embedding(row, w, sparse=sparse)
        rows.abs().pow(2).sum().backward()
        found.append(w.grad)
    assert found[0].is_sparse
    dt.testing.assert_close(found[0].to_dense(), found[1])


def test_second_derivatives_through_a_table(device):
    w = dt.nn.Parameter(dt.arange(12.0, device=device, dtype=dt.float64).reshape(4, 3))
    (g,) = dt.autograd.grad(looked_up(dt, w).pow(3).sum(), w, create_graph=True)
    assert g.is_sparse and g.requires_grad
    (second,) = dt.autograd.grad(g.to_dense().sum(), w)
    times = dt.tensor([[1.0], [1.0], [2.0], [0.0]], dtype=dt.float64, device=device)
    assert second.to_dense().tolist() == (6 * w * times).tolist()


def test_a_table_that_is_computed_gets_a_dense_gradient(device):
    w = table(dt, device)
    looked_up(dt, w * 2).sum().backward()
    assert not w.grad.is_sparse and w.grad[3].tolist() == [0.0] * 3


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags(mode, device):
    found = []
    for lib, place in ((torch, "cpu"), (dt, device)):
        bag = lib.nn.EmbeddingBag(4, 3, mode=mode, sparse=True, _weight=table(lib, place).detach())
        row = lib.tensor([0, 1, 3, 3], device=place)
        bag(row, lib.tensor([0, 3], device=place)).pow(2).sum().backward()
        found.append(bag.weight.grad.coalesce())
    assert found[1].indices().tolist() == found[0].indices().tolist()
    dt.testing.assert_close(found[1].values().cpu(), dt.tensor(found[0].values().tolist()))


def test_gradients_are_the_parameters_own(device):
    w = table(dt, device)
    rows = looked_up(dt, w)
    g = dt.ones(2, 2, 3, device=device)
    rows.backward(g)
    w.grad.mul_(0)
    assert g.tolist() == [[[1.0] * 3] * 2] * 2
    looked_up(dt, w).sum().backward()  # its gradient is one number, expanded
    w.grad.mul_(2)
    assert dt.nn.utils.clip_grad_norm_([w], 1e9) > 0


# ---- optimizers

OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"maximize": True}), ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adagrad", {}), ("Adagrad", {"lr_decay": 0.1, "maximize": True}), ("SparseAdam", {}),
    ("SparseAdam", {"maximize": True, "betas": (0.5, 0.7)}), ("LBFGS", {}),
    ("Adagrad", {"weight_decay": 0.1}), ("Adam", {}), ("AdamW", {}), ("RMSprop", {}),
    ("Adamax", {}), ("NAdam", {}), ("RAdam", {}), ("Rprop", {}), ("ASGD", {}), ("Adadelta", {}),
    ("Adafactor", {}), ("Muon", {}),
]  # fmt: skip


def trained(lib, name, options, device="cpu"):
    """A table after some steps, or why there are none."""
    w = lib.nn.Parameter(lib.arange(12.0, device=device).reshape(4, 3) / 8)
    made = getattr(lib.optim, name)([w], lr=0.5, **options)

    def closure():
        made.zero_grad()
        row = lib.tensor([[0, 2], [2, len(losses)]], device=device)
        loss = (lib.nn.functional.embedding(row, w, sparse=True) ** 2).sum()
        loss.backward()
        return loss

    losses = []
    try:
        while len(losses) < 3:
            losses.append(made.step(closure))
    except RuntimeError as error:
        return str(error), w
    return None, w


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizers(name, options, device):
    text, theirs = quiet(trained, torch, name, options)
    said, ours = trained(dt, name, options, device)
    assert said == text
    dt.testing.assert_close(ours.detach().cpu(), dt.tensor(theirs.tolist()), rtol=1e-5, atol=1e-6)


def test_a_scaler_takes_sparse_gradients(device):
    w = table(dt, device)
    optimizer = dt.optim.SGD([w], lr=1.0)
    scaler = dt.amp.GradScaler(device)
    scaler.scale(looked_up(dt, w).sum()).backward()
    scaler.unscale_(optimizer)
    assert w.grad.is_coalesced() and w.grad.values().tolist() == [[1.0] * 3, [1.0] * 3, [2.0] * 3]
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    before = w.tolist()
    assert before[0] == [-1.0, 0.0, 1.0]
    scaler.scale(looked_up(dt, w).sum() * float("inf")).backward()
    scaler.step(optimizer)
    assert w.tolist() == before


def test_a_function_of_ones_own_gives_a_sparse_gradient(device):
    class Ones(dt.autograd.Function):
        @staticmethod
        def forward(ctx, w):
            return w.sum()

        @staticmethod
        def backward(ctx, g):
            rows = dt.tensor([[0, 1]], device=g.device)
            return dt.sparse_coo_tensor(rows, dt.ones(2, 3, device=g.device), (4, 3))

    w = table(dt, device)
    Ones.apply(w).backward()
    assert w.grad.is_sparse
    whole = [[2.0] * 3, [2.0] * 3, [0.0] * 3, [0.0] * 3]
    w.grad = None
    Ones.apply(w * 2).backward()  # what is not a leaf computes with dense ones
    assert w.grad.tolist() == whole
    w.grad = None
    (w * 2).backward(dt.sparse_coo_tensor(dt.tensor([[0, 1]], device=device),
                                          dt.ones(2, 3, device=device), (4, 3)))  # fmt: skip
    assert w.grad.tolist() == whole


def test_nothing_is_written_before_a_refusal(device):
    dense, w = table(dt, device), table(dt, device)
    optimizer = dt.optim.Adam([dense, w])
    (dense.sum() + looked_up(dt, w).sum()).backward()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()
    assert dense.tolist() == w.tolist() and not optimizer.state
    sparse_adam = dt.optim.SparseAdam([w, dense])
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        sparse_adam.step()
    assert not sparse_adam.state


PICKS = {
    "rows": ((3, 4), 0, [[0, 2, 2], [1, 2, 0]]),
    "columns": ((3, 4), 1, [[3], [0]]),
    "a list": ((5,), 0, [4, 4, 1]),
    "one of a list": ((5,), 0, 3),
    "of a number": ((), 0, [0, 0]),
    "a number": ((), 0, 0),
    "none": ((3, 4), 1, [[], [], []]),
    "a cube": ((2, 3, 2), -1, [[[1, 1], [0, 1]]]),
}


@pytest.mark.parametrize("name", PICKS)
def test_what_was_picked_gets_a_sparse_gradient(name, device):
    shape, dim, index = PICKS[name]

    def grads(lib, place):
        x = lib.ones(*shape, device=place, requires_grad=True) if shape else lib.ones(
            (), device=place, requires_grad=True
        )  # fmt: skip
        picked = lib.gather(x, dim, lib.tensor(index, dtype=lib.int64, device=place),
                            sparse_grad=True)  # fmt: skip
        weights = lib.arange(1.0, picked.numel() + 1, device=place).reshape(picked.shape)
        (picked * weights).sum().backward()
        return x.grad

    ours, theirs = grads(dt, device), grads(torch, "cpu")
    assert ours.is_sparse and theirs.is_sparse and ours.layout is dt.sparse_coo
    assert ours._indices().tolist() == theirs._indices().tolist()
    assert ours._values().tolist() == theirs._values().tolist()
    assert ours.to_dense().tolist() == theirs.to_dense().tolist()


def test_what_is_computed_gets_a_dense_gradient_from_a_pick(device):
    x = dt.ones(3, device=device, requires_grad=True)
    index = dt.tensor([2, 2], device=device)
    (x * 2).gather(0, index, sparse_grad=True).sum().backward()
    assert not x.grad.is_sparse and x.grad.tolist() == [0.0, 0.0, 4.0]
    y = dt.ones(3, dtype=dt.float64, device=device, requires_grad=True)
    (g,) = dt.autograd.grad((y.gather(0, index, sparse_grad=True) ** 2).sum(), y, create_graph=True)
    assert g.to_dense().tolist() == [0.0, 0.0, 4.0]
    assert dt.vmap(lambda row: row.gather(0, index, sparse_grad=True))(
        dt.ones(2, 3, device=device)
    ).shape == (2, 2)  # fmt: skip


@pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
def test_gradients_are_added_where_they_are(lib):
    layer = lib.nn.Embedding(4, 2, sparse=True)
    layer(lib.tensor([1])).sum().backward()
    first = layer.weight.grad
    layer(lib.tensor([1, 3])).sum().backward()
    assert layer.weight.grad is first
    assert first.to_dense().tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]
