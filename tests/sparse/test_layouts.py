"""Matrices whose rows, columns or blocks are counted, beside PyTorch's."""

import pickle
import warnings

import pytest
import torch

import devtensor as dt

DENSE = [[1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [4.0, 0.0, 5.0, 6.0]]
LAYOUTS = {"csr": (), "csc": (), "bsr": ((1, 2),), "bsc": ((2, 2),)}
BOTH = pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
EACH = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|invariant|.* tensor support)")
        yield


def made(lib, name, device="cpu", values=DENSE):
    dense = lib.tensor(values, device=device)
    return getattr(dense, f"to_sparse_{name}")(*LAYOUTS[name])


def parts(x):
    names = ("crow_indices", "col_indices") if str(x.layout)[-1] == "r" else (
        "ccol_indices", "row_indices",
    )  # fmt: skip
    return [getattr(x, name)().tolist() for name in (*names, "values")]


def told(x):
    """A tensor as its layout and its parts."""
    if str(x.layout) in ("torch.strided", "torch.sparse_coo"):
        return str(x.layout), x.to_dense().tolist()
    return str(x.layout), parts(x), tuple(x.shape), x._nnz()


@EACH
def test_it_is_told_as_pytorchs(name, device):
    ours, theirs = made(dt, name, device), made(torch, name)
    assert told(ours) == told(theirs) and ours.device == dt.device(device)
    assert str(ours.layout) == f"torch.sparse_{name}" and ours.to_dense().tolist() == DENSE
    assert (ours.is_sparse, ours.is_sparse_csr) == (theirs.is_sparse, theirs.is_sparse_csr)
    if device == "cpu":
        assert repr(ours) == repr(theirs)
        assert ours.dense_dim() == theirs.dense_dim() and ours.sparse_dim() == theirs.sparse_dim()


@EACH
def test_operations_keep_the_layout(name, device):
    ours, theirs = made(dt, name, device), made(torch, name)
    for call in (lambda x: x.t(), lambda x: x * 2, lambda x: x.sin(), lambda x: x + x, lambda x: -x,
                 lambda x: x.clone(), lambda x: x.detach(), lambda x: x.to_sparse(),
                 lambda x: x.transpose(0, 1)):  # fmt: skip
        one, other = call(ours), call(theirs)
        assert told(one)[0] == told(other)[0]
        dt.testing.assert_close(
            one.to_dense().cpu(), dt.tensor(other.to_dense().tolist()), rtol=1e-6, atol=1e-6
        )
    assert ours.sum().item() == theirs.sum().item() == 21
    vector = dt.arange(4.0, device=device)
    assert (ours @ vector).tolist() == (dt.tensor(DENSE) @ dt.arange(4.0)).tolist()
    assert ours.double().layout is ours.layout and ours.double().dtype is dt.float64


@BOTH
def test_made_of_their_parts(lib):
    csc = lib.sparse_csc_tensor([0, 1, 1, 2], [1, 0], [1.0, 2.0])
    assert tuple(csc.shape) == (2, 3) and csc.to_dense().tolist() == [[0, 0, 2], [1, 0, 0]]
    bsr = lib.sparse_bsr_tensor([0, 1, 2], [1, 0], [[[1.0, 2.0]], [[3.0, 4.0]]], (2, 4))
    assert bsr.to_dense().tolist() == [[0, 0, 1, 2], [3, 4, 0, 0]]
    bsc = lib.sparse_bsc_tensor([0, 1, 2], [0, 0], [[[1.0, 2], [0, 1]], [[3, 4], [5, 6]]], (2, 4))
    assert bsc.to_dense().tolist() == [[1, 2, 3, 4], [0, 1, 5, 6]]
    batch = lib.sparse_csr_tensor([[0, 1, 2]] * 2, [[1, 0], [0, 1]], [[1.0, 2], [3, 4]], (2, 2, 2))
    assert batch.to_dense().tolist() == [[[0, 1], [2, 0]], [[3, 0], [0, 4]]]
    assert batch._nnz() == 2 and parts(batch)[1] == [[1, 0], [0, 1]]
    rows = lib.sparse_csr_tensor([0, 1, 2], [1, 0], [[1.0, 2], [3, 4]], (2, 2, 2))
    assert rows.to_dense().tolist() == [[[0, 0], [1, 2]], [[3, 4], [0, 0]]]
    for layout in (lib.sparse_csr, lib.sparse_csc):
        made = lib.sparse_compressed_tensor([0, 1], [0], [1.0], (1, 1), layout=layout)
        assert made.layout is layout and made.to_dense().tolist() == [[1.0]]
        assert lib.zeros(2, 3, layout=layout)._nnz() == 0
    assert made.dtype is lib.float32 and lib.tensor(DENSE).to_sparse(
        layout=lib.sparse_bsr, blocksize=(2, 2)
    ).layout is lib.sparse_bsr  # fmt: skip


@BOTH
def test_batches_of_dense_matrices(lib):
    dense = lib.tensor([DENSE, DENSE[::-1]])
    for name, block in LAYOUTS.items():
        batch = getattr(dense, f"to_sparse_{name}")(*block)
        assert batch.to_dense().tolist() == dense.tolist()
        assert batch.values().shape[0] == 2 and batch._nnz() == batch.values().shape[1]
    tail = dense.to_sparse_csr(dense_dim=1)
    assert parts(tail)[0] == [0, 3, 6] and parts(tail)[2][0] == [1, 0, 2, 0]
    with pytest.raises(RuntimeError, match="same number of specified elements per batch"):
        lib.stack([lib.eye(2), lib.ones(2, 2)]).to_sparse_csr()


REFUSED = {
    "wrong part": lambda lib: made(lib, "csc").crow_indices(),
    "other wrong part": lambda lib: made(lib, "bsr").row_indices(),
    "coordinates": lambda lib: made(lib, "bsc").indices(),
    "part of a dense one": lambda lib: lib.eye(2).ccol_indices(),
    "half a block": lambda lib: lib.ones(2, 4).to_sparse_bsr((2, 3)),
    "no blocks": lambda lib: lib.sparse_bsr_tensor([0, 1], [0], [1.0]),
    "no layout": lambda lib: lib.sparse_compressed_tensor([0, 1], [0], [1.0], (1, 1)),
    "dense layout": lambda lib: lib.sparse_compressed_tensor(
        [0, 1], [0], [1.0], (1, 1), layout=lib.strided
    ),
    "zeros in blocks": lambda lib: lib.zeros(2, 3, layout=lib.sparse_bsr),
    "a cube of coordinates": lambda lib: lib.ones(2, 2, 2).to_sparse().to_sparse_csc(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    errors = []
    for lib in (torch, dt):
        with pytest.raises(RuntimeError) as caught:
            REFUSED[name](lib)
        errors.append(str(caught.value))
    theirs, ours = errors
    words = [w for w in theirs.split("(")[0].split() if w[0].isupper() or w in ("row", "column")]
    assert all(word in ours for word in words)


@EACH
def test_gradients_are_at_the_entries(name, device):
    dense = dt.tensor(DENSE, device=device, requires_grad=True)
    x = getattr(dense, f"to_sparse_{name}")(*LAYOUTS[name])
    weight = dt.arange(16.0, device=device).reshape(4, 4)
    (x * x @ weight).sum().backward()
    wanted = 2 * dt.tensor(DENSE) * dt.arange(16.0).reshape(4, 4).sum(1)
    assert dense.grad.tolist() == wanted.tolist()
    leaf = made(dt, name, device).requires_grad_()
    (leaf @ weight).sum().backward()
    assert leaf.grad.layout is leaf.layout and parts(leaf.grad)[:2] == parts(leaf)[:2]
    there = dt.tensor(parts(leaf.grad)[2]).flatten().sum().item()
    entries = (leaf.detach().to_dense() * 0).cpu()
    for row, column in zip(*leaf.to_sparse().coalesce().indices().tolist(), strict=True):
        entries[row, column] = 1
    assert there == (entries * dt.arange(16.0).reshape(4, 4).sum(1)).sum().item()


@EACH
def test_copies_files_and_writes(name, tmp_path):
    x = made(dt, name)
    for again in (pickle.loads(pickle.dumps(x)), saved(x, tmp_path)):
        assert told(again) == told(x)
    x.mul_(2)
    assert x.layout is made(dt, name).layout and x.to_dense().tolist()[3] == [8, 0, 10, 12]
    torch.save(made(torch, name), tmp_path / "theirs")
    assert told(dt.load(tmp_path / "theirs")) == told(made(torch, name))
    dt.testing.assert_close(x, x.clone())


def saved(x, folder):
    dt.save(x, folder / "ours")
    assert told(torch.load(folder / "ours")) == told(x)
    return dt.load(folder / "ours")


def test_a_result_that_has_no_whole_blocks_is_told_by_coordinates(device):
    x = made(dt, "bsc", device)
    assert (x @ dt.eye(4, device=device).to_sparse()).layout is dt.sparse_bsc
    batch = dt.stack([dt.eye(2), dt.eye(2).flip(0)]).to_sparse_csr()
    emptied = dt.stack([dt.eye(2), dt.zeros(2, 2)]).to_sparse()
    assert (batch * emptied).layout in (dt.sparse_coo, dt.sparse_csr)
    assert (batch * emptied).to_dense().tolist() == [[[1, 0], [0, 1]], [[0, 0], [0, 0]]]
