"""How sparse tensors are made, look, are kept in files and say what they cannot do."""

import copy
import io
import pickle
import subprocess
import sys
import warnings
from typing import ClassVar

import pytest
import torch

import devtensor as dt
from devtensor.sparse import SparseTensor
from devtensor.sparse._table import TABLE

INDICES, VALUES = [[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 1.0]


def quietly(call, lib):
    """What a call gives, or its error's type and first words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(lib)
        except Exception as error:
            return type(error), str(error)


def some(lib, **options):
    return lib.sparse_coo_tensor(INDICES, VALUES, (2, 3), **options)


def tracked(lib):
    return lib.sparse_coo_tensor(
        lib.tensor(INDICES), lib.tensor(VALUES, requires_grad=True), (2, 3)
    )


TEXTS = {
    "plain": some,
    "coalesced": lambda lib: some(lib).coalesce(),
    "double": lambda lib: some(lib, dtype=lib.float64),
    "half": lambda lib: some(lib).to(lib.float16),
    "whole": lambda lib: lib.sparse_coo_tensor([[0, 12], [10, 0]], [1, -20], (13, 11)),
    "bool": lambda lib: lib.sparse_coo_tensor([[0, 1]], [True, False], (3,)),
    "complex": lambda lib: lib.sparse_coo_tensor([[0, 1]], [1 + 2j, -3j], (3,)),
    "leaf": lambda lib: some(lib, requires_grad=True),
    "made of tracked": tracked,
    "after coalesce": lambda lib: tracked(lib).coalesce(),
    "after mul": lambda lib: tracked(lib) * 2,
    "after add": lambda lib: tracked(lib).coalesce() + tracked(lib).coalesce(),
    "after sqrt": lambda lib: tracked(lib).sqrt(),
    "after t": lambda lib: tracked(lib).t(),
    "empty": lambda lib: lib.sparse_coo_tensor(size=(2, 3)),
    "empty of int": lambda lib: lib.zeros(2, 3, layout=lib.sparse_coo, dtype=lib.int32),
    "empty hybrid": lambda lib: lib.zeros(2, 3, 4).to_sparse(2),
    "hybrid": lambda lib: lib.arange(6.0).reshape(3, 2).to_sparse(1),
    "number": lambda lib: lib.tensor(3.0).to_sparse(),
    "long": lambda lib: lib.eye(30, dtype=lib.float64).to_sparse(),
    "longer": lambda lib: lib.ones(40, 40).to_sparse(),
    "rows": lambda lib: some(lib).to_sparse_csr(),
    "rows of int": lambda lib: lib.eye(20, dtype=lib.int32).to_sparse_csr(),
    "rows of tracked": lambda lib: lib.sparse_csr_tensor(
        lib.tensor([0, 1, 3]),
        lib.tensor([1, 0, 2]),
        lib.tensor(VALUES[:3], requires_grad=True),
        (2, 3),
    ),
    "no rows": lambda lib: lib.zeros(2, 3, layout=lib.sparse_csr),
    "list": lambda lib: [some(lib)],
}


@pytest.mark.parametrize("name", TEXTS)
def test_looks_as_in_pytorch(name):
    assert repr(quietly(TEXTS[name], dt)) == repr(quietly(TEXTS[name], torch))


def test_looks_on_another_device():
    shown = repr(some(dt, device="strict:0"))
    assert shown.endswith("device='strict:0', size=(2, 3), nnz=4, layout=torch.sparse_coo)")


ERRORS = {
    "counts": lambda lib: lib.sparse_coo_tensor([[0, 1]], [1, 2, 3], (2,)),
    "dimensions": lambda lib: lib.sparse_coo_tensor([[0, 1], [1, 0]], [1, 2], (2,)),
    "inside": lambda lib: lib.sparse_coo_tensor(
        [[0, 1], [1, 0]], [1, 2], (1, 1), check_invariants=True
    ),
    "negative": lambda lib: lib.sparse_coo_tensor([[0, -1]], [1, 2], (2,), check_invariants=True),
    "values": lambda lib: some(lib).values(),
    "indices": lambda lib: some(lib).indices(),
    "add a number": lambda lib: some(lib) + 1,
    "add sizes": lambda lib: some(lib) + some(lib).t(),
    "mul sizes": lambda lib: some(lib) * some(lib).t(),
    "div": lambda lib: some(lib) / some(lib),
    "div by dense": lambda lib: some(lib) / lib.ones(2, 3),
    "mm sizes": lambda lib: lib.mm(some(lib), lib.ones(2, 2)),
    "norm": lambda lib: some(lib).norm(dim=0),
    "numpy": lambda lib: some(lib).numpy(),
    "item": lambda lib: some(lib).item(),
    "bool": lambda lib: bool(some(lib)),
    "exp": lambda lib: some(lib).exp(),
    "view": lambda lib: some(lib).view(3, 2),
    "eq": lambda lib: some(lib) == some(lib),
    "max": lambda lib: some(lib).max(),
    "slice": lambda lib: some(lib)[:, 1:],
    "fill_": lambda lib: some(lib).fill_(1),
    "cat": lambda lib: lib.cat([some(lib), lib.ones(2, 3)]),
    "cat sizes": lambda lib: lib.cat([some(lib), some(lib).t()]),
    "add_": lambda lib: some(lib).add_(lib.ones(2, 3)),
    "copy_": lambda lib: lib.zeros(2, 3).copy_(some(lib)),
    "select": lambda lib: some(lib).select(0, 5),
    "transpose": lambda lib: some(lib).transpose(0, 3),
    "leaf": lambda lib: some(lib, requires_grad=True).mul_(2),
    "type": lambda lib: lib.sparse_coo_tensor([[0]], [1], (1,)).mul_(0.5),
    "dense coalesce": lambda lib: lib.ones(2).coalesce(),
    "dense values": lambda lib: lib.ones(2).values(),
    "dense _nnz": lambda lib: lib.ones(2)._nnz(),
    "dense crow_indices": lambda lib: lib.ones(2).crow_indices(),
    "rows' indices": lambda lib: some(lib).to_sparse_csr().indices(),
    "rows' coalesce": lambda lib: some(lib).to_sparse_csr().coalesce(),
    "rows of cubes": lambda lib: lib.sparse_coo_tensor([[0]] * 3, [1.0]).to_sparse_csr(),
    "sparse_resize_": lambda lib: some(lib).sparse_resize_((1, 1), 2, 0),
    "hybrid permute": lambda lib: lib.ones(2, 3).to_sparse(1).permute(1, 0),
    "sparse_dim": lambda lib: lib.ones(2).to_sparse(3),
    "bmm": lambda lib: lib.bmm(lib.ones(2, 2, 2), lib.ones(2, 2, 2).to_sparse()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_refuses_as_pytorch(name):
    theirs = quietly(ERRORS[name], torch)
    assert isinstance(theirs, tuple), "PyTorch does it"
    with pytest.raises(theirs[0]) as refused:
        ERRORS[name](dt)
    assert len(str(refused.value)) > 10


def test_results_are_put_where_out_says(device):
    s = some(dt, device=device)
    out = dt.empty(0, device=device)
    assert dt.mm(s, dt.ones(3, 1, device=device), out=out) is out
    assert out.tolist() == [[4.0], [9.0]]
    other = dt.zeros(1, 1, device=device).to_sparse()
    assert dt.add(s, s, out=other) is other and other.shape == (2, 3)
    with pytest.raises(RuntimeError, match="one is sparse and one is dense"):
        dt.mm(s, dt.ones(3, 1, device=device), out=other)


def test_what_has_no_rule_names_the_cure(device):
    for call in (lambda s: s.exp(), lambda s: s.tolist(), lambda s: dt.max(s), lambda s: s.nbytes,
                 lambda s: s.array, lambda s: s.expand(2, 2, 3), lambda s: s[0:1]):  # fmt: skip
        with pytest.raises(NotImplementedError, match=r"sparse tensors; call \.to_dense\(\) first"):
            call(some(dt, device=device))
    with pytest.raises(NotImplementedError, match=r"aten::exp.*'Sparse"):
        some(dt, device=device).exp()
    with pytest.raises(NotImplementedError, match="values"):
        dt.nn.Parameter(some(dt))


def test_every_rule_is_of_a_name_that_tensors_have():
    def there(name):
        known = (dt, dt.Tensor, dt.nn.functional, dt.linalg)
        private = name.removesuffix("_") in (
            "cast",
            "linalg_vector_norm",
            "minus",
            "numpy_T",
            "plus",
        )
        return private or any(hasattr(one, name) for one in known)

    assert [name for name in TABLE if not there(name)] == []


def test_memory_is_shared_with_the_values(device):
    values = dt.tensor(VALUES, device=device)
    s = dt.sparse_coo_tensor(dt.tensor(INDICES, device=device), values, (2, 3))
    values[0] = 7.0
    assert s._values().tolist() == [7.0, 4.0, 5.0, 1.0]
    s._values().mul_(2)
    assert values.tolist() == [14.0, 8.0, 10.0, 2.0]
    s.mul_(0.5)
    assert values.tolist() == [7.0, 4.0, 5.0, 1.0]
    s.requires_grad_()
    assert not values.requires_grad


def test_copies_are_apart():
    s = some(dt, requires_grad=True)
    for twin in (s.clone(), copy.deepcopy(s), pickle.loads(pickle.dumps(s))):
        assert type(twin) is SparseTensor and repr(twin._values()) == repr(s._values())
        twin.detach().mul_(2)
        assert s._values().tolist() == VALUES
    assert copy.deepcopy(s).requires_grad and copy.copy(s).is_leaf
    both = copy.deepcopy([s, s])
    assert both[0] is both[1]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(s * 2)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("name", ["plain", "coalesced", "hybrid", "empty", "rows"])
def test_files_are_pytorchs(name):
    ours, theirs = TEXTS[name](dt), TEXTS[name](torch)
    for writer, reader, kept in ((dt, torch, ours), (torch, dt, theirs), (dt, dt, ours)):
        file = io.BytesIO()
        writer.save({"s": kept}, file)
        file.seek(0)
        read = reader.load(file, weights_only=True)["s"]
        assert repr(read) == repr(theirs)
        if name != "rows":
            assert read.is_coalesced() == theirs.is_coalesced()


def test_a_module_keeps_one_as_a_buffer():
    module = dt.nn.Linear(3, 1)
    module.register_buffer("graph", some(dt).coalesce())
    module.double()
    assert module.graph.dtype is dt.float64
    other = dt.nn.Linear(3, 1).double()
    other.register_buffer("graph", dt.sparse_coo_tensor(size=(2, 3), dtype=dt.float64))
    other.load_state_dict(module.state_dict())
    dt.testing.assert_close(other.graph, module.graph)
    dt.testing.assert_close(copy.deepcopy(module).graph, module.graph)


def test_older_constructors():
    s = dt.sparse.FloatTensor(dt.tensor(INDICES), dt.tensor(VALUES), dt.Size([2, 3]))
    assert repr(s) == repr(some(dt))
    assert isinstance(s, dt.sparse.FloatTensor) and not isinstance(s, dt.sparse.DoubleTensor)
    assert not isinstance(s, dt.FloatTensor) and isinstance(s, dt.Tensor)
    assert dt.sparse.LongTensor(2, 3).shape == (2, 3)
    assert s.new(2, 2)._nnz() == 0 and s.new(s._indices(), s._values(), s.size())._nnz() == 4


def test_assert_close_tells_what_differs():
    s = some(dt)
    dt.testing.assert_close(s, s.coalesce())
    with pytest.raises(AssertionError, match="layout"):
        dt.testing.assert_close(s, s.to_dense())
    dt.testing.assert_close(s, s.to_dense(), check_layout=False)
    with pytest.raises(AssertionError, match="number of specified values"):
        dt.testing.assert_close(s, dt.ones(2, 3).to_sparse())
    with pytest.raises(AssertionError, match="COO values are not close"):
        dt.testing.assert_close(s, s * 2)
    with pytest.raises(AssertionError, match="COO indices are not equal"):
        dt.testing.assert_close(dt.eye(2).to_sparse(), dt.eye(2).flip(0).to_sparse())


def test_coordinates_are_checked_where_that_is_asked():
    def outside(lib):
        return lib.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,))

    for lib in (dt, torch):
        checks = lib.sparse.check_sparse_tensor_invariants
        assert not checks.is_enabled()
        with checks(), pytest.raises(RuntimeError, match="size is inconsistent with indices"):
            outside(lib)
        with pytest.raises(RuntimeError, match="found index 5"):
            checks()(outside)(lib)
        checks.enable()
        with checks(False):
            assert not checks.is_enabled()
        assert checks.is_enabled()
        checks.disable()
        quietly(outside, lib)


class Named(dt.Tensor):
    """A subclass that is asked what functions do."""

    asked: ClassVar[list] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.asked.append((func.__name__, types))
        return super().__torch_function__(func, types, args, kwargs)


def test_subclasses_and_modes_are_asked_first():
    s, x = some(dt), dt.ones(3, 1).as_subclass(Named)
    Named.asked.clear()
    assert type(s @ x) is Named
    assert ("matmul", (Named,)) in Named.asked

    class Mode(dt.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            names.append(func.__name__)
            return func(*args, **(kwargs or {}))

    names = []
    with Mode():
        product = dt.sparse.mm(s.coalesce(), dt.ones(3, 1)) + dt.mm(s, dt.ones(3, 1))
    assert product.tolist() == [[8.0], [18.0]]
    assert {"coalesce", "mm", "add"} <= set(names)
    with dt._C.DisableTorchFunctionSubclass():
        assert (s @ dt.ones(3, 1)).tolist() == [[4.0], [9.0]]


def test_dense_launches_ask_nothing_new():
    # What a sparse tensor needs is loaded with the first of them.
    code = (
        "import sys, devtensor as dt; dt.ones(2) @ dt.ones(2)\n"
        "print('devtensor.sparse' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def rows(lib, device="cpu"):
    return lib.sparse_csr_tensor(
        lib.tensor([0, 1, 3], device=device), lib.tensor([1, 0, 2], device=device),
        lib.tensor([2.0, 1.0, 3.0], device=device), (2, 3),
    )  # fmt: skip


def whole(x):
    """A result as nested lists, and its layout."""
    if isinstance(x, (list, tuple)):
        return [whole(one) for one in x]
    return (str(x.layout), x.to_dense().tolist()) if hasattr(x, "layout") else x


ROWS = {
    "parts": lambda lib, c, d: [c.crow_indices(), c.col_indices(), c.values()],
    "questions": lambda lib, c, d: [
        c._nnz(), c.is_sparse, c.is_sparse_csr, d.is_sparse_csr, tuple(c.shape)
    ],
    "dense": lambda lib, c, d: c.to_dense(),
    "coordinates": lambda lib, c, d: [
        c.to_sparse(), c.to_sparse_coo(), c.to_sparse().to_sparse_csr(),
    ],
    "products": lambda lib, c, d: [c @ d.t(), c @ d[0], lib.sparse.mm(c, d.t()), d.t() @ c],
    "of two": lambda lib, c, d: [c + c, c @ d.t().to_sparse_csr()],
    "elementwise": lambda lib, c, d: [c * 2, -c, c.sin(), c * d, c.double(), c.clone(), c.detach()],
    "addmm": lambda lib, c, d: lib.addmm(lib.ones(2, 2, device=d.device), c, d.t(), beta=2),
    "sum": lambda lib, c, d: c.sum(),
    "element": lambda lib, c, d: [c[0], c[1, 2]],
    "reduced": lambda lib, c, d: [
        lib.sparse.mm(c, d.t(), how) for how in ("sum", "mean", "amax", "amin")
    ],
    "converted": lambda lib, c, d: [
        lib._convert_indices_from_coo_to_csr(lib.tensor([0, 2, 2], device=d.device), 4),
        lib._convert_indices_from_csr_to_coo(c.crow_indices(), c.col_indices()),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_as_in_pytorch(name, device):
    dense = [[1.0, -2.0, 0.0], [2.0, 4.0, 3.0]]
    theirs = quietly(lambda lib: ROWS[name](lib, rows(lib), lib.tensor(dense)), torch)
    ours = ROWS[name](dt, rows(dt, device), dt.tensor(dense, device=device))
    if name == "elementwise":
        for one, other in zip(ours, theirs, strict=True):
            dtype = getattr(dt, str(other.dtype).removeprefix("torch."))
            other = dt.tensor(other.to_dense().tolist(), dtype=dtype)
            dt.testing.assert_close(one.to_dense().cpu(), other)
        assert {x.layout for x in ours} == {dt.sparse_csr}
    else:
        assert whole(ours) == whole(theirs)


def test_rows_out_of_order_are_sums_all_the_same(device):
    c = dt.sparse_csr_tensor([0, 2, 2], [2, 0], [1.0, 2.0], (2, 3), device=device)
    assert c.col_indices().tolist() == [2, 0] and c.values().tolist() == [1.0, 2.0]
    assert (c * c).to_dense().tolist() == [[4.0, 0.0, 1.0], [0.0] * 3]
    with pytest.raises(RuntimeError, match="not decrease"):
        dt.sparse_csr_tensor([0, 2, 1], [2], [1.0], (2, 3))
    with pytest.raises(RuntimeError, match="one number"):
        dt.sparse_csr_tensor([0, 1], [1, 0], [2.0, 1.0], (1, 3))


def test_rows_stay_in_order_when_they_are_written(device):
    c, other = dt.eye(3, device=device).to_sparse_csr(), dt.eye(3, device=device).flip(0)
    c.add_(other.to_sparse_csr())
    assert c.crow_indices().tolist() == [0, 2, 3, 5] and c.layout is dt.sparse_csr
    assert c.to_dense().tolist() == (dt.eye(3) + dt.eye(3).flip(0)).tolist()
    c.mul_(2)
    assert c.values().tolist() == [2.0, 2.0, 4.0, 2.0, 2.0]
