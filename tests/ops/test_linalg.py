"""Products, decompositions and norms against PyTorch: values, gradients of both orders, errors."""

import math

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same

import devtensor as dt

SQUARE = floats(3, 3, seed=1)
BATCH = floats(2, 3, 3, seed=2)
TALL = floats(2, 4, 3, seed=3)
WIDE = floats(3, 5, seed=4)


def definite(*batch):
    x = floats(*batch, 3, 3, seed=5)
    return x @ np.swapaxes(x, -1, -2) + np.eye(3)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (5, 3, 4)),
        ((2, 1), (1, 3)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((0, 2, 3), (3, 2)),
        ((0,), (0,)),
    ],
)
def test_matmul(left, right):
    same(lambda m, x, y: (x @ y, m.matmul(x, y)), floats(*left), floats(*right, seed=1))


def test_matmul_of_views_and_types():
    same(lambda m, x, y: x.mT @ y.permute(1, 0, 2), TALL, floats(4, 2, 5))
    same(lambda m, x: x.flip(0) @ x[::2].mT, floats(4, 3))
    same(lambda m, x, y: x.expand(4, 2, 3) @ y, floats(2, 3), floats(3, 2))
    same(lambda m, x: (x @ x, x.int() @ x.int()), ints(3, 3))
    same(lambda m, x, y: x.half() @ y.half(), floats(4, 3), floats(3, 2), grad=False, rtol=2e-2)
    same(
        lambda m, x, y: x @ y,
        floats(4, 3).astype("float32"),
        floats(3, 2).astype("float32"),
        rtol=1e-5,
    )


PRODUCTS = {
    "mm": (lambda m, x, y: (m.mm(x, y), x.mm(y)), (2, 3), (3, 4)),
    "bmm": (lambda m, x, y: (m.bmm(x, y), x.bmm(y)), (2, 3, 4), (2, 4, 5)),
    "mv": (lambda m, x, y: (m.mv(x, y), x.mv(y)), (2, 3), (3,)),
    "dot": (lambda m, x, y: (m.dot(x, y), x.dot(y), x.vdot(y)), (3,), (3,)),
    "outer": (lambda m, x, y: (m.outer(x, y), x.ger(y)), (3,), (2,)),
    "inner": (lambda m, x, y: (m.inner(x, y), x.inner(y[0]), m.inner(x, y[0, 0])), (2, 3), (4, 3)),
    "kron": (lambda m, x, y: (m.kron(x, y), x.kron(y[0]), m.kron(x[0], y)), (2, 3), (4, 3)),
    "chain": (lambda m, x, y: m.linalg.multi_dot([x, y, x, y[:, 0]]), (4, 2), (2, 4)),
    "tensordot": (
        lambda m, x, y: (
            m.tensordot(x, y),
            m.tensordot(x, y, ([2, -2], [1, 0])),
            m.tensordot(x, y, ((1,), (-3,))),
        ),
        (2, 4, 3),
        (4, 3, 5),
    ),
    "tensordot_none": (lambda m, x, y: m.tensordot(x, y, dims=0), (2,), (3, 2)),
    "tensordot_one": (lambda m, x, y: m.tensordot(x, y, ([1], [0])), (2, 1), (3, 4)),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_product(case):
    call, left, right = PRODUCTS[case]
    same(call, floats(*left), floats(*right, seed=1))


SUMS = {
    "addmm": ("addmm", (2, 4), (2, 3), (3, 4)),
    "addmm_row": ("addmm", (4,), (2, 3), (3, 4)),
    "addmm_number": ("addmm", (), (2, 3), (3, 4)),
    "addmv": ("addmv", (2,), (2, 3), (3,)),
    "addbmm": ("addbmm", (2, 4), (5, 2, 3), (5, 3, 4)),
    "baddbmm": ("baddbmm", (5, 2, 4), (5, 2, 3), (5, 3, 4)),
    "baddbmm_row": ("baddbmm", (2, 1), (5, 2, 3), (5, 3, 4)),
    "addr": ("addr", (2, 3), (2,), (3,)),
}


@pytest.mark.parametrize("case", SUMS)
@pytest.mark.parametrize("factors", [{}, {"beta": 0.5, "alpha": 2.0}, {"beta": 0}])
def test_product_added(case, factors):
    name, *shapes = SUMS[case]
    arrays = [floats(*shape, seed=i) for i, shape in enumerate(shapes)]
    same(lambda m, *xs: getattr(m, name)(*xs, **factors), *arrays)


def test_beta_of_zero_ignores_what_is_there():
    bad = np.full((2, 4), np.nan)
    same(lambda m, x, y, z: m.addmm(x, y, z, beta=0), bad, floats(2, 3), floats(3, 4), grad=False)


def test_product_added_in_place():
    same(
        lambda m, x, y, z: x.clone().addmm_(y, z, beta=2), floats(2, 4), floats(2, 3), floats(3, 4)
    )


EQUATIONS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "bij,bjk->bik": [(5, 2, 3), (5, 3, 4)],
    "ij->ji": [(2, 3)],
    "ij": [(2, 3)],
    "ba": [(2, 3)],
    "ij->": [(2, 3)],
    "ij->j": [(2, 3)],
    "ii->i": [(3, 3)],
    "ii": [(3, 3)],
    "iji->j": [(3, 2, 3)],
    "i,j->ij": [(2,), (3,)],
    "i,i->": [(3,), (3,)],
    "i,i->i": [(3,), (3,)],
    "bhid,bhjd->bhij": [(2, 3, 4, 5), (2, 3, 6, 5)],
    "...ij,...jk->...ik": [(5, 2, 3), (3, 4)],
    "...ij,...jk": [(5, 2, 3), (1, 3, 4)],
    "...i,i->...": [(2, 4, 3), (3,)],
    "i...->...": [(3, 4)],
    "...->": [(2, 3)],
    "...": [(2, 3)],
    "ab,bc,cd->ad": [(2, 3), (3, 4), (4, 5)],
    "ab,ab,ab->a": [(2, 3), (2, 3), (2, 3)],
    "ij,kl->i": [(2, 3), (4, 5)],
    "ij,jk->ik ": [(2, 1), (4, 4)],
    " i j , j -> i ": [(2, 3), (3,)],
    "bA,aB": [(2, 3), (4, 5)],
    "->": [()],
    ",i->i": [(), (3,)],
    "iij,j->i": [(3, 3, 2), (2,)],
    "ij,j->ij": [(0, 3), (3,)],
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    arrays = [floats(*shape, seed=i) for i, shape in enumerate(EQUATIONS[equation])]
    same(lambda m, *xs: m.einsum(equation, *xs), *arrays)


def test_einsum_other_forms():
    x, y = floats(2, 3), floats(3, 4)
    same(lambda m, x, y: m.einsum("ij,jk", [x, y]), x, y)
    same(lambda m, x, y: m.einsum(x, [0, 1], y, [1, 2]), x, y)
    same(lambda m, x, y: m.einsum(x, [0, 1], y, [1, 2], [2, 0]), x, y)
    same(lambda m, x, y: m.einsum(x, [30, 1], y, [1, 2], [2, 30]), x, y)
    same(lambda m, x: m.einsum(x, [..., 1], [...]), x)
    same(lambda m, x: m.einsum("ij,jk->ik", x, x), ints(3, 3))


EINSUM_ERRORS = {
    "ij,jk->ik": ([(2, 3), (4, 4)], "does not broadcast with previously seen size 3"),
    "ii->i": ([(3, 4)], "is repeated for operand 0 but the sizes don't match, 4 != 3"),
    "ij": ([(2, 3, 4)], "the number of subscripts in the equation (2) does not match"),
    "ij,jk": ([(2, 3)], "fewer operands were provided"),
    "i": ([(2,), (2,)], "more operands were provided"),
    "ij->il": ([(2, 3)], "output subscript l does not appear"),
    "ij->ii": ([(2, 3)], "output subscript i appears more than once"),
    "i1->i": ([(2, 3)], "invalid subscript given at index 1"),
    "ij->i1": ([(2, 3)], "invalid subscript given at index 5"),
    "...i...": ([(2, 3)], "for operand 0 for which an ellipsis was already found"),
    ".i": ([(2, 3)], "for operand 0 that is not part of any ellipsis"),
}


@pytest.mark.parametrize("equation", EINSUM_ERRORS)
def test_einsum_refuses(equation):
    shapes, phrase = EINSUM_ERRORS[equation]
    refused(
        lambda m, *xs: m.einsum(equation, *xs), *[floats(*shape) for shape in shapes], phrase=phrase
    )


def test_einsum_refuses_arguments():
    refused(lambda m, x: m.einsum("ij"), floats(2), phrase="must specify the equation string")
    refused(lambda m, x: m.einsum(x, [60]), floats(2), phrase="valid range [0, 52)")


REFUSALS = {
    "mat": (lambda m, x, y: x @ y, (2, 3), (4, 5), None),
    "mat_batch": (lambda m, x, y: x @ y, (2, 2, 3), (4, 5), None),
    "mat_vec": (lambda m, x, y: x @ y, (2, 2, 3), (4,), None),
    "vec_mat": (lambda m, x, y: x @ y, (3,), (4, 5), None),
    "vec": (lambda m, x, y: x @ y, (3,), (4,), None),
    "batches": (lambda m, x, y: x @ y, (3, 2, 3), (2, 3, 5), None),
    "batch_sizes": (lambda m, x, y: x @ y, (2, 2, 3), (2, 4, 5), None),
    "number": (lambda m, x, y: x @ y, (), (3,), None),
    "types": (
        lambda m, x, y: x @ y.float(),
        (2, 3),
        (3, 2),
        "expected m1 and m2 to have the same dtype",
    ),
    "types_vec": (
        lambda m, x, y: x @ y.float(),
        (3,),
        (3,),
        "dot : expected both vectors to have same dtype",
    ),
    "mm": (lambda m, x, y: m.mm(x, y), (3,), (3, 2), "self must be a matrix"),
    "mm_other": (lambda m, x, y: m.mm(x, y), (2, 3), (3,), "mat2 must be a matrix"),
    "bmm": (lambda m, x, y: m.bmm(x, y), (2, 3), (3,), "batch1 must be a 3D tensor"),
    "bmm_sizes": (lambda m, x, y: m.bmm(x, y), (2, 3, 4), (3, 4, 4), None),
    "mv": (lambda m, x, y: m.mv(x, y), (2, 3), (2,), None),
    "dot": (
        lambda m, x, y: m.dot(x, y),
        (2, 2),
        (2,),
        "1D tensors expected, but got 2D and 1D tensors",
    ),
    "outer": (lambda m, x, y: m.outer(x, y), (2, 2), (2,), None),
    "inner": (lambda m, x, y: m.inner(x, y), (2, 3), (2, 4), None),
    "addmm": (lambda m, x, y: m.addmm(x, y, y), (2, 2), (2, 3), None),
    "addmm_shape": (lambda m, x, y: m.addmm(x, y, y.T), (4, 4), (2, 3), None),
    "baddbmm": (lambda m, x, y: m.baddbmm(x, y, y.mT), (2, 2), (2, 3, 4), None),
    "tensordot": (
        lambda m, x, y: m.tensordot(x, y, 1),
        (2, 3),
        (4, 4),
        "contracted dimensions need to match",
    ),
    "tensordot_lists": (
        lambda m, x, y: m.tensordot(x, y, ([0], [0, 1])),
        (2, 3),
        (2, 3),
        "same length",
    ),
    "multi_dot": (lambda m, x, y: m.linalg.multi_dot([x, y]), (2, 3), (4, 4), None),
    "solve": (lambda m, x, y: m.linalg.solve(x, y), (2, 2), (3,), None),
    "solve_square": (lambda m, x, y: m.linalg.solve(x, y), (2, 3), (2,), None),
    "triangular": (lambda m, x, y: m.linalg.solve_triangular(x, y, upper=True), (2, 2), (2,), None),
    "lstsq": (
        lambda m, x, y: m.linalg.lstsq(x, y),
        (3, 2),
        (4, 1),
        "input.size(-2) should match other.size(-2)",
    ),
    "cross": (lambda m, x, y: m.linalg.cross(x, y), (2, 2), (2, 2), None),
    "vecdot": (lambda m, x, y: m.linalg.vecdot(x, y), (2, 3), (2, 4), None),
    "cdist": (lambda m, x, y: m.cdist(x, y), (2, 3), (4, 4), None),
    "cdist_p": (lambda m, x, y: m.cdist(x, y, p=-1), (2, 3), (4, 3), "non-negative p"),
    "cdist_mode": (lambda m, x, y: m.cdist(x, y, compute_mode="x"), (2, 3), (4, 3), None),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case):
    call, left, right, phrase = REFUSALS[case]
    refused(call, floats(*left), floats(*right), phrase=phrase)


ONE = {
    "inv": (lambda m, x: m.linalg.inv(x), "square"),
    "inverse": (lambda m, x: (m.inverse(x), x.inverse()), "square"),
    "det": (lambda m, x: (m.linalg.det(x), x.det()), "square"),
    "slogdet": (lambda m, x: (m.linalg.slogdet(x), x.slogdet()), "square"),
    "svdvals": (lambda m, x: m.linalg.svdvals(x), "any"),
    "svd_product": (lambda m, x: rebuilt(*m.linalg.svd(x, full_matrices=False)), "any"),
    "svd_values": (lambda m, x: m.linalg.svd(x).S, "any"),
    "svd_vectors": (
        lambda m, x: [part.abs() for part in m.linalg.svd(x, full_matrices=False)],
        "any",
    ),
    "svd_old": (lambda m, x: m.view_as_real(again(*m.svd(m.complex(x, x.flip(-1))))), "any"),
    "qr": (lambda m, x: m.linalg.qr(x), "any"),
    "qr_R": (lambda m, x: m.linalg.qr(x).R, "any"),
    "qr_Q": (lambda m, x: m.linalg.qr(x).Q, "any"),
    "pinv": (lambda m, x: (m.linalg.pinv(x), m.linalg.pinv(x, atol=0.9, rtol=0.1)), "any"),
    "matrix_power": (
        lambda m, x: [m.linalg.matrix_power(x, n) for n in (1, 2, 5, -1, -3)],
        "square",
    ),
    "matrix_exp": (
        lambda m, x: (m.linalg.matrix_exp(x), m.matrix_exp(x * 5), (x * 0.1).matrix_exp()),
        "square",
    ),
    "matrix_rank": (
        lambda m, x: (m.linalg.matrix_rank(x), m.linalg.matrix_rank(x, atol=1.0)),
        "any",
    ),
    "cond": (lambda m, x: (m.linalg.cond(x), m.linalg.cond(x, -2)), "any"),
    "diagonal": (
        lambda m, x: (m.linalg.diagonal(x), m.linalg.diagonal(x, offset=-1, dim1=-1, dim2=-2)),
        "any",
    ),
}


def rebuilt(U, S, Vh):
    return (U * S.unsqueeze(-2)) @ Vh


def again(U, S, V):
    return rebuilt(U, S, V.mH)


@pytest.mark.parametrize("case", ONE)
@pytest.mark.parametrize("which", ["square", "batch", "tall", "wide"])
def test_of_one_matrix(case, which):
    call, kind = ONE[case]
    if kind == "square" and which in ("tall", "wide"):
        pytest.skip("takes square matrices")
    x = {"square": SQUARE, "batch": BATCH, "tall": TALL, "wide": WIDE}[which]
    same(call, x, rtol=1e-5)


DEFINITE = {
    "cholesky": lambda m, x: (m.linalg.cholesky(x), m.linalg.cholesky(x, upper=True)),
    "eigvalsh": lambda m, x: (m.linalg.eigvalsh(x), m.linalg.eigvalsh(x, UPLO="U")),
    "eigh": lambda m, x: [part.abs() for part in m.linalg.eigh(x)],
    "eigh_values": lambda m, x: m.linalg.eigh(x, "U").eigenvalues,
    "logdet": lambda m, x: (m.logdet(x), x.logdet()),
    "pinv": lambda m, x: m.linalg.pinv(x, hermitian=True),
    "rank": lambda m, x: m.linalg.matrix_rank(x, hermitian=True),
}


@pytest.mark.parametrize("case", DEFINITE)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_of_a_definite_matrix(case, batch):
    # Which triangle holds the slope is a matter of taste; symmetrise, and it does not matter.
    same(lambda m, x: DEFINITE[case](m, (x + x.mT) / 2), definite(*batch), rtol=1e-5)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(
    "shapes", [((3, 3), (3, 3)), ((2, 3, 3), (3, 3)), ((3, 3), (2, 3, 3)), ((2, 3, 3), (2, 3, 3))]
)
def test_solve(left, shapes):
    a, b = (floats(*shape, seed=i) for i, shape in enumerate(shapes))
    same(lambda m, a, b: m.linalg.solve(a, b, left=left), a, b, rtol=1e-5)
    for upper in (True, False):
        for ones in (True, False):
            same(
                lambda m, a, b, u=upper, o=ones: m.linalg.solve_triangular(
                    a, b, upper=u, left=left, unitriangular=o
                ),
                a + 3 * np.eye(3),
                b,
                rtol=1e-5,
            )


def test_solve_of_vectors():
    same(lambda m, a, b: m.linalg.solve(a, b), SQUARE, floats(3), rtol=1e-5)
    same(lambda m, a, b: m.linalg.solve(a, b), BATCH, floats(2, 3), rtol=1e-5)
    same(lambda m, a, b: m.linalg.solve(a, b), BATCH, floats(3), rtol=1e-5)


@pytest.mark.parametrize(
    "shapes", [((4, 3), (4, 2)), ((3, 4), (3, 2)), ((2, 4, 3), (2, 4, 1)), ((4, 3), (4,))]
)
def test_lstsq(shapes):
    a, b = (floats(*shape, seed=i) for i, shape in enumerate(shapes))
    same(lambda m, a, b: m.linalg.lstsq(a, b).solution, a, b, rtol=1e-5)
    same(lambda m, a, b: m.linalg.lstsq(a, b).rank, a, b, grad=False)


def test_singular_matrices():
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    zero = dt.zeros(2, 2)
    for call in (
        lambda: dt.linalg.inv(zero),
        lambda: dt.linalg.solve(zero, zero),
        lambda: dt.linalg.cholesky(zero),
        lambda: dt.linalg.matrix_power(zero, -1),
    ):
        with pytest.raises(dt.linalg.LinAlgError, match=r"singular|positive-definite"):
            call()
    same(
        lambda m, x: (m.linalg.det(x * 0), x[:0, :0].det(), m.logdet(x * 0), m.logdet(-x.exp())),
        singular,
        grad=False,
    )
    same(lambda m, x: m.linalg.matrix_power(x, 0), singular, grad=False)
    # A determinant of 0 has a slope all the same. (PyTorch gives 0 here.)
    x = dt.tensor(singular.tolist(), requires_grad=True)
    dt.linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.tolist(), [[4, -2], [-2, 1]], rtol=1e-5)
    same(lambda m, x: m.linalg.matrix_rank(x), singular)


def test_qr_modes():
    same(lambda m, x: m.linalg.qr(x, mode="complete"), WIDE, rtol=1e-5)
    same(lambda m, x: [part.abs() for part in m.linalg.qr(x, mode="complete")], TALL, grad=False)
    same(lambda m, x: m.linalg.qr(x, mode="r"), TALL, grad=False)
    refused(lambda m, x: m.linalg.qr(x, mode="x"), TALL, phrase="qr received unrecognized mode 'x'")
    x = dt.tensor(TALL.tolist(), requires_grad=True)
    with pytest.raises(RuntimeError, match="not differentiable when mode='complete'"):
        dt.linalg.qr(x, mode="complete").R.sum().backward()


NORMS = {
    "vector": lambda m, x, p: (m.linalg.vector_norm(x, p), m.linalg.vector_norm(x, p, dim=1)),
    "vector_dims": lambda m, x, p: m.linalg.vector_norm(x, p, dim=(0, -1), keepdim=True),
    "old": lambda m, x, p: (m.norm(x, p), x.norm(p, 1), x.norm(p, (0, 2), True)),
    "norm": lambda m, x, p: (m.linalg.norm(x.flatten(), p), m.linalg.norm(x, p, dim=0)),
}


@pytest.mark.parametrize("case", NORMS)
@pytest.mark.parametrize("p", [2, 1, 0, math.inf, -math.inf, 3, 0.5, -1, 2.5])
def test_vector_norm(case, p):
    same(lambda m, x: NORMS[case](m, x, p), floats(2, 3, 4), rtol=1e-5)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norm(ord):
    same(lambda m, x: m.linalg.matrix_norm(x, ord), floats(2, 3, 4), rtol=1e-5)
    same(
        lambda m, x: m.linalg.matrix_norm(x, ord, dim=(2, 0), keepdim=True),
        floats(2, 3, 4),
        rtol=1e-5,
    )
    same(
        lambda m, x: (m.linalg.norm(x[0], ord), m.linalg.norm(x, ord, (0, 1))),
        floats(2, 3, 4),
        rtol=1e-5,
    )


def test_norms_at_zero_and_of_nothing():
    x = np.array([[0.0, 0.0], [0.0, 2.0]])
    for p in (2, 1, 3, math.inf):
        same(lambda m, x, p=p: m.linalg.vector_norm(x, p, dim=1), x)
    same(lambda m, x: (x.norm(), m.linalg.norm(x), m.linalg.vector_norm(x, 1)), floats(0, 3))
    same(
        lambda m, x: m.linalg.vector_norm(x, dtype=m.float64),
        floats(3).astype("float32"),
        rtol=1e-5,
    )
    same(
        lambda m, x: (m.norm(x, dtype=m.float64), x.norm("nuc")),
        floats(2, 3).astype("float32"),
        rtol=1e-5,
    )
    refused(
        lambda m, x: m.linalg.vector_norm(x, math.inf),
        floats(0),
        phrase="does not have an identity",
    )
    refused(
        lambda m, x: m.linalg.vector_norm(x),
        ints(3),
        phrase="Expected a floating point or complex tensor as input. Got Long",
    )
    refused(lambda m, x: m.linalg.norm(x, 2), floats(2, 3, 4))
    refused(lambda m, x: m.linalg.matrix_norm(x, 3), floats(2, 3))
    refused(lambda m, x: m.linalg.matrix_norm(x, dim=(0, 0)), floats(2, 3))


@pytest.mark.parametrize("p", [0.0, 0.7, 1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize(
    "shapes", [((4, 3), (5, 3)), ((2, 4, 3), (5, 3)), ((30, 3), (4, 3)), ((0, 3), (4, 3))]
)
def test_cdist(p, shapes):
    a, b = (floats(*shape, seed=i) for i, shape in enumerate(shapes))
    same(lambda m, x, y: m.cdist(x, y, p), a, b, rtol=1e-5, grad=p > 0)


def test_distance_of_a_point_from_itself():
    same(lambda m, x: m.cdist(x, x), floats(3, 2))
    same(
        lambda m, x, y: m.cdist(x, y, compute_mode="use_mm_for_euclid_dist"),
        floats(3, 2),
        floats(2, 2, seed=1),
        rtol=1e-5,
    )
    same(lambda m, x, y: (m.dist(x, y), x.dist(y, 1)), floats(3, 2), floats(2, seed=1))


def test_cross_vecdot_trace():
    x, y = floats(2, 3), floats(2, 3, seed=1)
    same(lambda m, x, y: (m.linalg.cross(x, y), m.cross(x, y, dim=1), x.cross(y, -1)), x, y)
    same(lambda m, x, y: m.linalg.cross(x, y[:1]), x, y)
    same(lambda m, x, y: m.linalg.cross(x.T, y.T, dim=0), x, y)
    same(
        lambda m, x, y: (
            m.linalg.vecdot(x, y),
            m.linalg.vecdot(x, y, dim=0),
            m.linalg.vecdot(x, y[0]),
        ),
        x,
        y,
    )
    same(lambda m, x, y: (m.trace(x), x.T.trace(), m.trace(x @ y.T)), x, y)
    same(lambda m, x: (m.trace(x), x.int().trace()), ints(3, 3))
    refused(lambda m, x: m.trace(x), floats(3))


SECOND = {
    "matmul": lambda m, x: x @ x[0] @ x,
    "inv": lambda m, x: m.linalg.inv(x),
    "det": lambda m, x: m.linalg.det(x),
    "solve": lambda m, x: m.linalg.solve(x, x.mT),
    "cholesky": lambda m, x: m.linalg.cholesky(x @ x.mT + 1),
    "svd": lambda m, x: m.linalg.svd(x, full_matrices=False).U.abs(),
    "svdvals": lambda m, x: m.linalg.svdvals(x),
    "eigh": lambda m, x: m.linalg.eigh(x + x.mT).eigenvectors.abs(),
    "qr": lambda m, x: m.linalg.qr(x).Q,
    "pinv": lambda m, x: m.linalg.pinv(x),
    "matrix_exp": lambda m, x: m.linalg.matrix_exp(x),
    "einsum": lambda m, x: m.einsum("bij,bkj,bii->ik", x, x, x),
    "norm": lambda m, x: x.norm(dim=-1) + m.linalg.norm(x, 3, dim=-1),
    "slogdet": lambda m, x: m.linalg.slogdet(x).logabsdet,
}


@pytest.mark.parametrize("case", SECOND)
def test_second_derivative(case):
    found = []
    for m in (dt, torch):
        x = m.tensor(BATCH.tolist(), dtype=m.float64, requires_grad=True)
        y = SECOND[case](m, x)
        weight = m.tensor(floats(*y.shape, seed=8).tolist(), dtype=m.float64).reshape(y.shape)
        (slope,) = m.autograd.grad((y * weight).sum(), x, create_graph=True)
        (bend,) = m.autograd.grad(slope.square().sum(), x)
        found.append(np.array(bend.tolist()))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)
