"""What operations make of sparse tensors, beside PyTorch: values, types, flags and slopes."""

import warnings

import numpy as np
import pytest
import torch

import devtensor as dt

torch.set_num_threads(1)


def plain(x):
    """A result as NumPy's arrays: of a sparse one the coalesced coordinates and values."""
    if isinstance(x, (tuple, list)):
        return [plain(one) for one in x]
    if getattr(x, "is_sparse", False):
        whole = x.detach().coalesce()
        parts = [plain(whole.indices()), plain(whole.values())]
        return [tuple(x.shape), str(x.dtype), x.sparse_dim(), x.dense_dim(), *parts]
    if hasattr(x, "detach"):
        return [str(x.dtype), np.asarray(x.detach().cpu().tolist())]
    return x


def same(ours, theirs):
    """Assert that two nests of arrays are equal but for roundings."""
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)
    else:
        assert ours == theirs


class Make:
    """Makes the same tensors on either side; what has slopes is kept."""

    def __init__(self, lib, device="cpu", dtype="float64", slopes=True):
        self.lib, self.device, self.slopes = lib, device, slopes
        self.dtype = getattr(lib, dtype)
        self.leaves = []
        self.random = np.random.default_rng(0)

    def tensor(self, values, wanted=True):
        made = self.lib.tensor(np.asarray(values).tolist(), dtype=self.dtype, device=self.device)
        if self.slopes and wanted and (made.is_floating_point() or made.is_complex()):
            made.requires_grad_()
            self.leaves.append(made)
        return made

    def draw(self, *shape):
        """Small whole numbers, none of them zero: their sums are exact."""
        return self.random.choice([-3, -2, -1, 1, 2, 3, 4], shape)

    def dense(self, *shape):
        return self.tensor(self.draw(*shape))

    def ints(self, values):
        return self.lib.tensor(values, device=self.device)

    def sparse(self, *shape, entries=5, dense=0, coalesced=False):
        """A sparse tensor with coordinates out of order, and some of them twice."""
        count = len(shape) - dense
        indices = [self.random.integers(0, n, entries).tolist() for n in shape[:count]]
        if entries > 1:
            for row in indices:
                row[-1] = row[0]
        values = self.dense(entries, *shape[count:])
        made = self.lib.sparse_coo_tensor(
            self.lib.tensor(indices, dtype=self.lib.int64, device=self.device), values, shape
        )
        return made.coalesce() if coalesced else made


def outcome(call, make):
    """A result, and the gradients of the values that it was made of, None if that fails."""
    result = call(make.lib, make)
    found = plain(result)
    listed = [one for one in (result if isinstance(result, (tuple, list)) else [result])
              if getattr(one, "requires_grad", False)]  # fmt: skip
    total = 0
    for one in listed:
        whole = one.to_dense() if one.is_sparse else one
        weight = make.lib.arange(1, whole.numel() + 1, dtype=whole.dtype, device=make.device)
        total = total + (whole.reshape(-1) * weight).sum()
    try:
        if listed:
            total.backward()
    except (NotImplementedError, RuntimeError):
        if make.lib is dt:
            raise
        return found, None
    gradients = [leaf.grad for leaf in make.leaves]
    return found, [None if g is None else plain(g.to_dense()) for g in gradients]


def check(call, device, dtype="float64", slopes=True):
    """Assert that a call gives what it gives in PyTorch, and has its gradients.

    Where PyTorch has none these are checked by differences.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, slope = outcome(call, Make(torch, "cpu", dtype, slopes))
    ours = Make(dt, device, dtype, slopes)
    found, gradients = outcome(call, ours)
    same(found, theirs)
    if slope is not None and any(one is not None for one in slope):
        same(gradients, slope)
    elif any(one is not None for one in gradients):
        points = tuple(leaf.detach().requires_grad_() for leaf in ours.leaves)

        def again(*leaves):
            made = Make(dt, device, dtype, slopes)
            given = iter(leaves)
            made.tensor = lambda values, wanted=True: (
                next(given) if wanted else Make.tensor(made, values, False)
            )
            result = call(dt, made)
            result = result if isinstance(result, list) else [result]
            return tuple(one.to_dense() for one in result if one.requires_grad)

        assert dt.autograd.gradcheck(again, points)


def written(x, other=None):
    """A tensor after some operators that write."""
    x += x.clone() if other is None else other
    x *= 3
    x -= x.clone() * 2
    x /= 2
    return x


CASES = {
    "to_dense": lambda lib, m: m.sparse(3, 4).to_dense(),
    "to_dense of hybrid": lambda lib, m: m.sparse(3, 4, 2, dense=1).to_dense(),
    "to_dense of nothing": lambda lib, m: m.sparse(3, 4, entries=0).to_dense(),
    "coalesce": lambda lib, m: m.sparse(3, 4, 2, entries=9, dense=1).coalesce(),
    "values": lambda lib, m: m.sparse(3, 4).coalesce().values(),
    "indices": lambda lib, m: m.sparse(3, 4).coalesce().indices(),
    "to_sparse": lambda lib, m: m.tensor([[0, 2, 0], [1, 0, 3]]).to_sparse(),
    "to_sparse(1)": lambda lib, m: m.tensor([[0, 0], [1, 0], [0, 2]]).to_sparse(1),
    "to_sparse of a number": lambda lib, m: m.tensor(3).to_sparse(),
    "sparse_mask": lambda lib, m: m.dense(3, 4).sparse_mask(m.sparse(3, 4, coalesced=True)),
    "sparse_mask of sparse": lambda lib, m: m.sparse(3, 4, coalesced=True).sparse_mask(
        m.sparse(3, 4, coalesced=True).detach()
    ),
    "add": lambda lib, m: m.sparse(3, 4) + m.sparse(3, 4),
    "add of coalesced": lambda lib, m: lib.add(
        m.sparse(3, 4, coalesced=True), m.sparse(3, 4, coalesced=True), alpha=2
    ),
    "add of itself": lambda lib, m: (lambda s: s + s)(m.sparse(3, 4, coalesced=True)),
    "add of hybrids": lambda lib, m: m.sparse(3, 4, dense=1) + m.sparse(3, 4, dense=1),
    "dense + sparse": lambda lib, m: m.dense(3, 4) + m.sparse(3, 4),
    "dense + hybrid": lambda lib, m: lib.add(m.dense(3, 4), m.sparse(3, 4, dense=1), alpha=3),
    "sub": lambda lib, m: m.sparse(3, 4) - m.sparse(3, 4),
    "dense - sparse": lambda lib, m: m.dense(3, 4) - m.sparse(3, 4),
    "mul": lambda lib, m: (
        m.sparse(3, 4, coalesced=True) * m.sparse(3, 4, entries=9, coalesced=True)
    ),
    "mul of nothing": lambda lib, m: (
        m.sparse(3, 4, coalesced=True) * m.sparse(3, 4, entries=0, coalesced=True)
    ),
    "mul of uncoalesced": lambda lib, m: (m.sparse(3, 4) * m.sparse(3, 4, entries=9)).to_dense(),
    "mul by a number": lambda lib, m: m.sparse(3, 4) * 2.5,
    "number times": lambda lib, m: 2 * m.sparse(3, 4),
    "mul by dense": lambda lib, m: m.sparse(3, 4) * m.dense(3, 4),
    "mul by a row": lambda lib, m: m.dense(4) * m.sparse(3, 4),
    "mul of hybrid by dense": lambda lib, m: m.sparse(3, 4, dense=1) * m.dense(3, 4),
    "mul by a scalar tensor": lambda lib, m: m.sparse(3, 4) * m.tensor(2, wanted=False),
    "div": lambda lib, m: m.sparse(3, 4) / 4,
    "floor_divide": lambda lib, m: m.sparse(3, 4, coalesced=True).detach() // 2,
    "neg": lambda lib, m: -m.sparse(3, 4),
    "pow": lambda lib, m: m.sparse(3, 4, coalesced=True) ** 2,
    "mm": lambda lib, m: lib.mm(m.sparse(3, 4), m.dense(4, 2)),
    "sparse.mm": lambda lib, m: lib.sparse.mm(m.sparse(3, 4), m.dense(4, 2)),
    "spmm": lambda lib, m: lib.spmm(m.sparse(3, 4, entries=0), m.dense(4, 2)),
    "matmul": lambda lib, m: m.sparse(3, 4) @ m.dense(4, 2),
    "matmul by a vector": lambda lib, m: m.sparse(3, 4) @ m.dense(4),
    "mv": lambda lib, m: lib.mv(m.sparse(3, 4), m.dense(4)),
    "dense @ sparse": lambda lib, m: m.dense(2, 3) @ m.sparse(3, 4),
    "sparse @ sparse": lambda lib, m: lib.sparse.mm(
        m.sparse(3, 4, entries=7, coalesced=True), m.sparse(4, 5, entries=9, coalesced=True)
    ),
    "bmm": lambda lib, m: lib.bmm(m.sparse(2, 3, 4, entries=9, coalesced=True), m.dense(2, 4, 2)),
    "addmm": lambda lib, m: lib.addmm(
        m.dense(3, 2), m.sparse(3, 4), m.dense(4, 2), beta=2, alpha=3
    ),
    "sparse.addmm": lambda lib, m: lib.sparse.addmm(m.dense(3, 2), m.sparse(3, 4), m.dense(4, 2)),
    "linear": lambda lib, m: lib.nn.functional.linear(m.sparse(3, 4), m.dense(2, 4)),
    "hspmm": lambda lib, m: lib.hspmm(m.sparse(3, 4).detach(), m.dense(4, 2).detach()),
    "smm": lambda lib, m: lib.smm(m.sparse(3, 4).detach(), m.dense(4, 2).detach()),
    "sspaddmm": lambda lib, m: lib.sspaddmm(
        m.sparse(3, 2).detach(), m.sparse(3, 4).detach(), m.dense(4, 2).detach(), alpha=2
    ),
    "sum": lambda lib, m: m.sparse(3, 4).sum(),
    "sum(dim)": lambda lib, m: m.sparse(3, 4).detach().sum(1, keepdim=True),
    "sparse.sum": lambda lib, m: lib.sparse.sum(m.sparse(3, 4)),
    "sparse.sum over one": lambda lib, m: lib.sparse.sum(m.sparse(3, 4), 0),
    "sparse.sum over rest": lambda lib, m: lib.sparse.sum(m.sparse(3, 4, 2, dense=1), [0, 2]),
    "sparse.sum to dense": lambda lib, m: lib.sparse.sum(m.sparse(3, 4, dense=1), 0),
    "norm": lambda lib, m: m.sparse(3, 4).norm(),
    "any": lambda lib, m: m.sparse(3, 4).detach().any(),
    "softmax": lambda lib, m: lib.sparse.softmax(m.sparse(3, 4), 1),
    "softmax along the first": lambda lib, m: lib.sparse.softmax(m.sparse(3, 4, entries=9), 0),
    "softmax within": lambda lib, m: lib.sparse.softmax(m.sparse(3, 4, dense=1), 1),
    "log_softmax": lambda lib, m: lib.sparse.log_softmax(m.sparse(3, 4, 2, entries=9, dense=1), 1),
    "t": lambda lib, m: m.sparse(3, 4).t(),
    "transpose": lambda lib, m: m.sparse(2, 3, 4).transpose(0, 2),
    "permute": lambda lib, m: m.sparse(2, 3, 4).permute(2, 0, 1),
    "permute of hybrid": lambda lib, m: m.sparse(2, 3, 4, dense=1).detach().permute(1, 0, 2),
    "unsqueeze": lambda lib, m: [m.sparse(3, 4, dense=1).detach().unsqueeze(d) for d in range(3)],
    "cat": lambda lib, m: lib.cat([m.sparse(3, 4), m.sparse(2, 4)]),
    "cat along the last": lambda lib, m: lib.cat([m.sparse(3, 4), m.sparse(3, 2)], -1),
    "cat of hybrids": lambda lib, m: lib.cat(
        [m.sparse(3, 4, dense=1).detach(), m.sparse(3, 2, dense=1).detach()], 1
    ),
    "stack": lambda lib, m: lib.stack([m.sparse(3, 4).detach(), m.sparse(3, 4).detach()], 1),
    "index_select": lambda lib, m: m.sparse(3, 4, entries=9).index_select(1, m.ints([3, 0, 3])),
    "index_select within": lambda lib, m: (
        m.sparse(3, 4, dense=1).detach().index_select(1, m.ints([3, 0, 3]))
    ),
    "select": lambda lib, m: [
        m.sparse(3, 4).select(1, 2),
        m.sparse(3, 4, 2, dense=1).select(0, -1),
    ],
    "row": lambda lib, m: m.sparse(3, 4)[0],
    "element": lambda lib, m: m.sparse(3, 4, coalesced=True)[0, 1],
    "rows": lambda lib, m: list(m.sparse(3, 4).detach()),
    "narrow_copy": lambda lib, m: m.sparse(3, 4).detach().narrow_copy(1, 1, 2),
    "clone": lambda lib, m: m.sparse(3, 4).clone(),
    "to": lambda lib, m: m.sparse(3, 4).to(lib.float32),
    "double": lambda lib, m: m.sparse(3, 4).float().double(),
    "zeros_like": lambda lib, m: lib.zeros_like(m.sparse(3, 4, dense=1)),
    "new_zeros": lambda lib, m: m.sparse(3, 4).new_zeros(2, 5),
    "zeros": lambda lib, m: lib.zeros(2, 3, layout=lib.sparse_coo, dtype=lib.int32),
    "size alone": lambda lib, m: lib.sparse_coo_tensor(size=(2, 3)),
    "smallest size": lambda lib, m: lib.sparse_coo_tensor([[0, 2], [1, 1]], [1.5, 2.5]),
    "mul_": lambda lib, m: m.sparse(3, 4).detach().mul_(2),
    "add_": lambda lib, m: m.sparse(3, 4).detach().add_(m.sparse(3, 4).detach(), alpha=3),
    "dense add_": lambda lib, m: m.dense(3, 4).detach().add_(m.sparse(3, 4).detach()),
    "dense mul_": lambda lib, m: m.dense(3, 4).detach().mul_(m.sparse(3, 4).detach()),
    "operators that write": lambda lib, m: written(m.sparse(3, 4).detach()),
    "dense +=": lambda lib, m: written(m.dense(3, 4).detach(), m.sparse(3, 4).detach()),
    "zero_": lambda lib, m: m.sparse(3, 4).detach().zero_(),
    "copy_": lambda lib, m: m.sparse(3, 4).detach().copy_(m.sparse(3, 4).detach()),
    "sqrt_": lambda lib, m: m.sparse(3, 4).detach().coalesce().abs_().sqrt_(),
    "sparse_resize_": lambda lib, m: m.sparse(3, 4).detach().sparse_resize_((5, 6), 2, 0),
    "sparse_resize_and_clear_": lambda lib, m: (
        m.sparse(3, 4).detach().sparse_resize_and_clear_((5, 6, 2), 2, 1)
    ),
    "resize_as_sparse_": lambda lib, m: (
        m.sparse(3, 4).detach().resize_as_sparse_(m.sparse(5, 6).detach())
    ),
    "numbers": lambda lib, m: [
        len(m.sparse(3, 4)),
        m.sparse(3, 4)._nnz(),
        m.sparse(3, 4).numel(),
        m.sparse(3, 4).dim(),
        lib.is_nonzero(lib.tensor(2.0).to_sparse()),
        m.sparse(1, 1, entries=1).detach().item(),
        tuple(m.sparse(3, 4).size()),
        m.sparse(3, 4).is_same_size(m.dense(3, 4)),
        str(m.sparse(3, 4).layout),
        m.sparse(3, 4).is_coalesced(),
        m.sparse(3, 4, entries=1).coalesce().is_coalesced(),
        m.sparse(3, 4).t().is_coalesced(),
        m.sparse(3, 4, coalesced=True).neg().is_coalesced(),
        m.dense(2).sparse_dim(),
        m.dense(2, 3).dense_dim(),
        m.sparse(3, 4).is_sparse,
        m.dense(2).is_sparse,
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name, device):
    check(CASES[name], device)


SMALL = ("asin", "atanh", "erfinv")
UNARY = """
abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor frac isinf isnan isneginf isposinf
log1p neg positive rad2deg relu round sgn sign signbit sin sinh sqrt square tan tanh trunc
nan_to_num
"""


@pytest.mark.parametrize("name", UNARY.split())
def test_functions_that_keep_zeros(name, device):
    def call(lib, m):
        s = m.sparse(3, 4, coalesced=True) * 0.125 if name in SMALL else m.sparse(3, 4)
        return getattr(lib, name)(s.abs() if name in ("sqrt", "log1p", "erfinv") else s)

    check(call, device)


KINDS = ["bool", "uint8", "int32", "int64", "float16", "float32", "complex128"]


@pytest.mark.parametrize("dtype", KINDS)
def test_types(dtype, device):
    def call(lib, m):
        values = lib.tensor([1, 0, 1, 2], device=m.device).to(m.dtype)
        indices = lib.tensor([[1, 0, 1, 0], [2, 0, 2, 1]], device=m.device)
        s = lib.sparse_coo_tensor(indices, values, (2, 3))
        found = [s.coalesce(), s.to_dense(), s.to(lib.complex128), lib.zeros_like(s)]
        if dtype not in ("bool", "float16"):
            found += [s + s, s * 2, s.sum(), s.sum(0), lib.sparse.sum(s, 0), lib.cat([s, s]), s.t()]
            found.append(s @ lib.ones(3, 2, device=m.device).to(m.dtype))
        return found

    if not device.startswith("strict") or dtype != "float16":  # which it has not
        check(call, device, dtype, False)


def test_second_derivatives(device):
    values = dt.tensor([1.5, -2.0, 0.5, 3.0], dtype=dt.float64, device=device, requires_grad=True)
    dense = dt.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 1.0]], dtype=dt.float64, device=device,
                      requires_grad=True)  # fmt: skip
    indices = dt.tensor([[1, 0, 1, 0], [2, 0, 2, 1]], device=device)

    def call(v, d):
        s = dt.sparse_coo_tensor(indices, v, (2, 3))
        product = dt.sparse.mm(s * s.t().t(), d)
        return product, dt.sparse.softmax(s, 1).to_dense(), (s.coalesce().sin() + s).to_dense()

    assert dt.autograd.gradcheck(call, (values, dense))
    assert dt.autograd.gradgradcheck(call, (values, dense))


def diagonals(lib, values, offsets, shape, **options):
    return lib.sparse.spdiags(lib.tensor(values), lib.tensor(offsets), shape, **options)


DIAGONALS = {
    "three": lambda lib: diagonals(lib, [[0, 1, 2], [3, 4, 5], [6, 7, 8]], [0, -1, 2], (3, 3)),
    "one": lambda lib: diagonals(lib, [1, 2, 3], [1], (2, 4)),
    "a number": lambda lib: diagonals(lib, [1.5, 2, 3], 0, (2, 4)),
    "rows": lambda lib: diagonals(lib, [1, 2, 3], 0, (2, 4), layout=lib.sparse_csr),
    "columns": lambda lib: diagonals(lib, [1, 2, 3], [-1], (3, 2), layout=lib.sparse_csc),
    "twice": lambda lib: diagonals(lib, [[1], [2]], [0, 0], (2, 2)),
    "too few": lambda lib: diagonals(lib, [[1], [2]], [0], (2, 2)),
    "broken": lambda lib: diagonals(lib, [[1]], [0.5], (2, 2)),
    "cube": lambda lib: diagonals(lib, [[1]], [0], (2, 2, 2)),
    "dense": lambda lib: diagonals(lib, [[1]], [0], (2, 2), layout=lib.strided),
}


@pytest.mark.parametrize("name", DIAGONALS)
def test_diagonals(name):
    outcomes = []
    for lib in (torch, dt):
        try:
            made = DIAGONALS[name](lib)
            outcomes.append((str(made.layout), made.to_dense().tolist(), made._nnz()))
        except Exception as error:
            outcomes.append((type(error), str(error).split("(")[0].split(":")[0].rstrip(". ")))
    theirs, ours = outcomes
    assert ours[0] == theirs[0]
    assert ours[1:] == theirs[1:] or ours[1].startswith(theirs[1])


def test_products_at_the_entries(device):
    pattern = [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    for name in ("to_sparse", "to_sparse_csr", "to_sparse_csc"):
        x = getattr(dt.tensor(pattern, device=device), name)()
        left = dt.arange(4.0, device=device).reshape(2, 2).requires_grad_()
        right = dt.arange(6.0, device=device).reshape(2, 3)
        made = dt.sparse.sampled_addmm(x, left, right, beta=2, alpha=3)
        theirs = torch.sparse.sampled_addmm(
            torch.tensor(pattern).to_sparse_csr(), torch.arange(4.0).reshape(2, 2),
            torch.arange(6.0).reshape(2, 3), beta=2, alpha=3,
        )  # fmt: skip
        assert made.layout is x.layout and made.to_dense().tolist() == theirs.to_dense().tolist()
        made.sum().backward()
        assert left.grad.tolist() == [[6.0, 24.0], [3.0, 12.0]]
    batch = dt.stack([dt.eye(2), dt.eye(2).flip(0)]).to_sparse_csr()
    twos = dt.full((2, 2, 2), 2.0)
    assert (dt.sparse.sampled_addmm(batch, twos, twos).to_dense() == 9 * batch.to_dense()).all()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        dt.sparse.sampled_addmm(batch, twos, dt.ones(2, 3, 2))
    with pytest.raises(RuntimeError, match="Expected self to be sparse"):
        dt.sparse.sampled_addmm(twos, twos, twos)
