"""LU, eigenvalues, reflections and their like against PyTorch."""

import math

import numpy as np
import pytest
import torch
from beside_torch import floats, refused, same, tensors

import devtensor as dt
from devtensor.ops import decomposition
from devtensor.space import kernel_for, space_of

pytestmark = pytest.mark.filterwarnings("ignore:torch:UserWarning")  # of what is deprecated
SHAPES = [(3, 3), (1, 1), (4, 3), (3, 5), (2, 3, 3), (2, 2, 4, 2), (0, 3), (2, 0, 0), (0, 3, 3)]
SQUARE = [(3, 3), (1, 1), (2, 4, 4), (2, 1, 3, 3), (0, 0)]


def matrices(*shape, seed=0):
    """Random matrices, well away from singular ones."""
    x = floats(*shape, seed=seed)
    return x + 2 * np.eye(shape[-2], shape[-1])[:, ::-1]


def positive(*shape, seed=0):
    x = floats(*shape, seed=seed)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


def second(call, *arrays, rtol=1e-7):
    """Assert that gradients of gradients agree."""
    found = []
    for m in (dt, torch):
        inputs = tensors(m, arrays, True)
        out = call(m, *inputs)
        slopes = m.autograd.grad((out * out * out).sum(), inputs, create_graph=True)
        total = sum((s * s * m.cos(x.detach())).sum() for s, x in zip(slopes, inputs, strict=True))
        total.backward()
        found.append([x.grad.numpy() for x in inputs])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * np.abs(two).max())


def both(call, *arrays):
    same(call, *arrays)
    second(call, *arrays)


def pairs(m, x, y):
    """A complex tensor of two real ones."""
    return m.complex(x, y)


def parts(m, *outs):
    return [m.view_as_real(x.resolve_conj()) if x.dtype.is_complex else x for x in outs]


# ---- LU


@pytest.mark.parametrize("shape", SHAPES)
def test_lu(shape):
    same(lambda m, A: m.linalg.lu_factor_ex(A), matrices(*shape))
    same(lambda m, A: m.linalg.lu_factor(A), matrices(*shape))
    same(lambda m, A: m.linalg.lu(A), matrices(*shape))
    same(lambda m, A: m.lu_unpack(*m.linalg.lu_factor(A)), matrices(*shape))
    same(lambda m, A: A.lu(get_infos=True), matrices(*shape))
    if 0 not in shape:
        second(lambda m, A: m.linalg.lu_factor(A)[0], matrices(*shape))
        second(lambda m, A: m.linalg.lu(A)[1].sum() + m.linalg.lu(A)[2], matrices(*shape))


@pytest.mark.parametrize("shape", [(70, 70), (90, 40), (40, 90)])
def test_large_lu(shape):
    A = floats(*shape)
    P, L, U = dt.linalg.lu(dt.tensor(A))
    np.testing.assert_allclose((P @ L @ U).numpy(), A, atol=1e-12)
    same(lambda m, A: m.linalg.lu_factor(A)[1], A, grad=False)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_complex_lu(shape):
    def call(m, x, y):
        return parts(m, *m.linalg.lu(pairs(m, x, y))[1:])

    same(call, floats(*shape), floats(*shape, seed=1))


def test_without_exchanges():
    A = positive(2, 4, 4)
    P, L, U = dt.linalg.lu(dt.tensor(A), pivot=False)
    assert (dt.eye(4, dtype=dt.float64) == P).all()
    np.testing.assert_allclose((L @ U).numpy(), A, atol=1e-12)
    A[0, 0, 0] = 0
    assert dt.linalg.lu_factor_ex(dt.tensor(A), pivot=False).info.tolist() == [1, 0]


def test_singular_matrices():
    singular = np.array([[[1.0, 2], [2, 4]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]])
    same(lambda m, A: m.linalg.lu_factor_ex(A.detach()), singular, grad=False)
    for one in singular[::2]:
        refused(lambda m, A: m.linalg.lu_factor(A), one, phrase="is zero and using it on lu_solve")
    refused(lambda m, A: m.linalg.lu_factor_ex(A, check_errors=True), singular, phrase="element 0")


def test_lu_unpack_in_part():
    for options in ({"unpack_data": False}, {"unpack_pivots": False}):
        same(
            lambda m, A, o=options: m.lu_unpack(*m.linalg.lu_factor(A), **o),
            matrices(4, 3),
            grad=False,
        )


@pytest.mark.parametrize(
    "options", [{}, {"left": False}, {"adjoint": True}, {"left": False, "adjoint": True}]
)
def test_lu_solve(options):
    def call(m, A, B):
        return m.linalg.lu_solve(*m.linalg.lu_factor(A), B, **options)

    for size, sides in (((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 1)), ((2, 3, 3), (3, 2))):
        B = floats(*sides, seed=1)
        B = B if options.get("left", True) else np.swapaxes(B, -1, -2).copy()
        both(call, matrices(*size), B)

    def turned(m, x, y, B):
        A = pairs(m, x, y)
        return parts(m, m.linalg.lu_solve(*m.linalg.lu_factor(A), pairs(m, B, B), **options))

    same(turned, floats(3, 3), floats(3, 3, seed=1), floats(3, 3, seed=2))


def test_older_lu():
    both(lambda m, A, b: m.lu_solve(b, *m.linalg.lu_factor(A)), matrices(3, 3), floats(3, 2))
    same(lambda m, A: m.lu(A), matrices(2, 3, 3))


def test_lu_refusals():
    A, B = matrices(3, 3), floats(3, 2)
    refused(lambda m, A: m.linalg.lu_factor(A[0]), A, phrase="Expected tensor with 2 or more")
    refused(lambda m, A: m.linalg.lu_factor(A.half()), A, phrase="not implemented for 'Half'")
    refused(lambda m, A: m.linalg.lu_factor(A.long()), A, phrase="not implemented for 'Long'")

    def solve(m, A, B):
        return m.linalg.lu_solve(*m.linalg.lu_factor(A), B)

    refused(solve, A, B[:2], phrase="Incompatible shapes of A and B for the equation AX = B")
    refused(solve, A, B[:, 0], phrase="must have at least 2 dimensions")
    refused(solve, A, B.astype("float32"), phrase="Expected LU and B to have the same dtype")
    refused(
        lambda m, A, B: m.linalg.lu_solve(A, m.ones(2, dtype=m.int32), B), A, B,
        phrase="Number of pivots per batch should be same",
    )  # fmt: skip
    refused(
        lambda m, A: m.lu_unpack(A, m.full((3,), 4, dtype=m.int32)), A, phrase="must be between 1"
    )


# ---- numbers in place of errors


@pytest.mark.parametrize("shape", SQUARE)
def test_nothing_wrong(shape):
    right = floats(*shape[:-1], 2, seed=1)
    for call in (
        lambda m, A: m.linalg.inv_ex(A),
        lambda m, A: m.linalg.cholesky_ex((A + A.mT) / 2),
        lambda m, A: m.linalg.cholesky_ex((A + A.mT) / 2, upper=True),
    ):
        same(call, positive(*shape))
    same(lambda m, A, B: m.linalg.solve_ex(A, B), matrices(*shape), right)
    same(lambda m, A, B: m.linalg.solve_ex(A, B.mT, left=False), matrices(*shape), right)


def test_something_wrong():
    A = np.array([[[1.0, 2], [2, 4]], [[2, 0], [1, 1]], [[0, 0], [0, 0]]])
    for name in ("inv_ex", "cholesky_ex"):
        found = []
        for m in (dt, torch):
            x = m.tensor(A.tolist(), dtype=m.float64, requires_grad=True)
            value, info = getattr(m.linalg, name)(x if name == "inv_ex" else (x + x.mT) / 2)
            assert str(info.dtype) in ("int32", "torch.int32")
            value[1].sum().backward()
            found.append((info.numpy(), value[1].detach().numpy(), x.grad[1].numpy()))
            assert not value[0].isfinite().all() or m is torch
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two)
        with pytest.raises(
            dt.linalg.LinAlgError, match=r"\(Batch element 0\): .* not be completed"
        ):
            getattr(dt.linalg, name)((dt.tensor(A) + dt.tensor(A).mT) / 2, check_errors=True)
    result, info = dt.linalg.solve_ex(dt.tensor(A), dt.ones(3, 2, 1, dtype=dt.float64))
    assert info.tolist() == [2, 0, 1]
    assert result.isfinite().all(1).tolist() == [[False], [True], [False]]
    result, info = dt.linalg.solve_ex(dt.tensor(A[0]), dt.ones(2, dtype=dt.float64))
    assert info.item() == 2
    assert not result.isfinite().any()
    with pytest.raises(dt.linalg.LinAlgError, match="input matrix is singular"):
        dt.linalg.solve_ex(dt.tensor(A), dt.tensor(A), check_errors=True)


def test_orders_of_minors():
    for size in (2, 3, 5):
        for seed in range(5):
            A = floats(size, size, seed=seed)
            A = A + A.T + size * np.eye(size)
            same(lambda m, A: m.linalg.cholesky_ex(A.detach()).info, A, grad=False)


# ---- triangular factors


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_solve(upper):
    def factor(m, A):
        return m.linalg.cholesky((A + A.mT) / 2, upper=upper)

    for shape, sides in (((3, 3), (3, 2)), ((2, 3, 3), (3, 2)), ((3, 3), (2, 3, 1))):
        both(
            lambda m, A, B: m.cholesky_solve(B, factor(m, A), upper),
            positive(*shape),
            floats(*sides),
        )
        both(lambda m, A: m.cholesky_inverse(factor(m, A), upper), positive(*shape))

    def turned(m, x, y, B):
        A = pairs(m, x, y)
        L = m.linalg.cholesky(A @ A.mH + 3 * m.eye(3), upper=upper)
        return parts(m, m.cholesky_solve(pairs(m, B, B), L, upper), m.cholesky_inverse(L, upper))

    same(turned, floats(3, 3), floats(3, 3, seed=1), floats(3, 2, seed=2), grad=False)


@pytest.mark.parametrize("upper", [False, True])
def test_gradients_of_cholesky_solve_are_of_both_triangles(upper):
    for L, sides in ((matrices(3, 3), (3, 2)), (matrices(2, 3, 3), (3, 2))):
        second(lambda m, L, B: m.cholesky_solve(B, L, upper), L, floats(*sides))
        second(lambda m, L: m.cholesky_inverse(L, upper), L)


def test_triangular_solve():
    A, b = matrices(3, 3), floats(2, 3, 2)
    for options in ({}, {"upper": False}, {"transpose": True}, {"unitriangular": True}):
        same(lambda m, A, b, o=options: m.triangular_solve(b, A, **o), A, b)
    assert dt.tensor(b).triangular_solve(dt.tensor(A)).cloned_coefficient.shape == (2, 3, 3)


def test_triangular_refusals():
    A, b = matrices(3, 3), floats(3, 2)
    for name in ("cholesky_solve", "triangular_solve"):
        refused(
            lambda m, A, b, name=name: getattr(m, name)(b, A), A, b[:2],
            phrase=f"Incompatible matrix sizes for {name}: each A matrix is 3 by 3 but each b",
        )  # fmt: skip
        refused(lambda m, A, b, name=name: getattr(m, name)(b[0], A), A, b, phrase="at least 2 dim")
        refused(
            lambda m, A, b, name=name: getattr(m, name)(b, A[:2]), A, b, phrase="square matrices"
        )
    refused(lambda m, A: m.cholesky_inverse(A[0]), A, phrase="at least 2 dimensions")
    refused(lambda m, A: m.cholesky_inverse(A[:2]), A, phrase="square matrices")


# ---- eigenvalues


def in_order(m, values, vectors=None):
    """Eigenvalues by size, and projections on the spaces of their vectors, which are unique."""
    order = m.argsort(values.real * 7 + values.imag.abs() + values.imag / 3, -1)
    values = values.gather(-1, order)
    if vectors is None:
        return m.view_as_real(values)
    vectors = vectors.gather(-1, order.unsqueeze(-2).expand(vectors.shape))
    found = vectors.mT.unsqueeze(-1) * vectors.mT.conj().unsqueeze(-2)
    return m.view_as_real(values), m.view_as_real(found.resolve_conj())


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (2, 4, 4), (5, 5), (0, 0), (2, 0, 0)])
def test_eigenvalues(shape):
    A = floats(*shape, seed=3)
    same(lambda m, A: in_order(m, *m.linalg.eig(A)), A)
    same(lambda m, A: in_order(m, m.linalg.eigvals(A)), A)
    same(lambda m, A: in_order(m, m.linalg.eigvals(A.detach())), A, grad=False)


def test_complex_eigenvalues():
    def call(m, x, y):
        return in_order(m, *m.linalg.eig(pairs(m, x, y)))

    same(call, floats(4, 4), floats(4, 4, seed=1))


def test_second_gradients_of_eigenvalues():
    second(lambda m, A: in_order(m, m.linalg.eigvals(A)), floats(4, 4))
    second(lambda m, A: in_order(m, *m.linalg.eig(A))[1], floats(3, 3))


def test_eigenvectors_are_such():
    for dtype in (dt.float32, dt.float64):
        A = dt.tensor(floats(2, 5, 5).tolist(), dtype=dtype)
        values, vectors = dt.linalg.eig(A)
        assert values.dtype is (dt.complex64 if dtype is dt.float32 else dt.complex128)
        product = A.to(values.dtype) @ vectors
        assert dt.allclose(product, vectors * values.unsqueeze(-2), atol=1e-5)


def test_eigenvalues_refused():
    A = floats(3, 3)
    for name in ("eig", "eigvals"):
        refused(lambda m, A, n=name: getattr(m.linalg, n)(A[:2]), A, phrase="square matrices")
        refused(lambda m, A, n=name: getattr(m.linalg, n)(A[0]), A, phrase="at least 2 dimensions")
    refused(lambda m, A: m.linalg.eig(A * math.nan), A, phrase="infs or NaNs")
    with pytest.raises(RuntimeError, match="infs or NaNs"):
        dt.linalg.eigvals(dt.tensor(A * math.inf))
    refused(
        lambda m, A: m.view_as_real(m.linalg.eig(A.requires_grad_())[1])[..., 0].sum().backward(),
        np.array([[0.0, 1], [-2, 0.3]]),
        phrase="specified up to multiplication by e^{i phi}",
    )


# ---- reflections


@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (2, 4, 2), (2, 4), (3, 0), (1, 1)])
def test_geqrf(shape):
    same(lambda m, A: m.geqrf(A.detach()), floats(*shape), grad=False)
    same(lambda m, A: parts(m, *m.geqrf(pairs(m, A, A * A).detach())), floats(*shape), grad=False)


@pytest.mark.parametrize(
    ("shape", "count"), [((4, 3), 3), ((4, 3), 2), ((3, 3), 3), ((2, 4, 2), 2)]
)
def test_householder_product(shape, count):
    tau = floats(*shape[:-2], count, seed=1)
    both(lambda m, A, tau: m.linalg.householder_product(A, tau), floats(*shape), tau)
    same(lambda m, A, tau: m.orgqr(A, tau), floats(*shape), tau)
    tau[..., 0] = 0
    same(lambda m, A, tau: m.linalg.householder_product(A, tau), floats(*shape), tau)


def test_householder_product_makes_q():
    for x in (floats(2, 5, 3), floats(5, 3) + 1j * floats(5, 3, seed=1)):
        A = dt.tensor(x)
        Q = dt.linalg.householder_product(*dt.geqrf(A))
        np.testing.assert_allclose(Q.numpy(), np.linalg.qr(x)[0], atol=1e-12)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_ormqr(left, transpose):
    other = floats(4, 2, seed=2) if left else floats(2, 4, seed=2)

    def call(m, A, tau, other):
        return m.ormqr(A, tau, other, left, transpose)

    both(call, floats(4, 3), floats(3, seed=1), other)


def test_reflections_refused():
    A, tau = floats(4, 3), floats(4)

    def product(m, A, tau):
        return m.linalg.householder_product(A, tau)

    refused(product, A[0], tau, phrase="input must have at least 2 dimensions")
    refused(product, A.T.copy(), tau, phrase="must be greater than or equal to input.shape[-1]")
    refused(product, A, tau, phrase="must be greater than or equal to tau.shape[-1]")
    refused(product, A, tau[:3].astype("float32"), phrase="tau dtype Float does not match input")
    refused(product, A, floats(2, 3), phrase="Expected tau to have one dimension less than input")
    refused(product, floats(2, 4, 3), floats(3, 3), phrase="Expected batch dimensions of tau")
    refused(lambda m, A: m.geqrf(A[0]), A, phrase="input must have at least 2 dimensions")
    refused(lambda m, A: m.geqrf(A.long()), A, phrase="\"geqrf_cpu\" not implemented for 'Long'")
    refused(
        lambda m, A, tau: m.ormqr(A, tau[:3], A[:3]), A, tau,
        phrase="other.shape[-2] must be equal to input.shape[-2]",
    )  # fmt: skip


# ---- symmetric matrices


def symmetric(*shape, seed=0):
    x = floats(*shape, seed=seed)
    return x + np.swapaxes(x, -1, -2)


@pytest.mark.parametrize(
    "shape", [(3, 3), (1, 1), (2, 4, 4), (12, 12), (80, 80), (0, 0), (2, 0, 0)]
)
def test_ldl(shape):
    for seed in range(3):
        A = symmetric(*shape, seed=seed)
        B = floats(*shape[:-1], 2, seed=9)
        same(lambda m, A: m.linalg.ldl_factor_ex(A), A, grad=False)
        same(lambda m, A: m.linalg.ldl_factor(A), A, grad=False)

        def solve(m, A, B):
            return m.linalg.ldl_solve(*m.linalg.ldl_factor(A), B)

        same(solve, A, B, grad=False)
        found = solve(dt, dt.tensor(A), dt.tensor(B)).numpy()
        np.testing.assert_allclose(found, np.linalg.solve(A, B), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("hermitian", [False, True])
def test_complex_ldl(hermitian):
    def call(m, x, y, B):
        A = pairs(m, x, y)
        A = A + (A.mH if hermitian else A.mT)
        LD, pivots = m.linalg.ldl_factor(A, hermitian=hermitian)
        X = m.linalg.ldl_solve(LD, pivots, pairs(m, B, B), hermitian=hermitian)
        return [*parts(m, LD), pivots, *parts(m, X)]

    for seed in range(4):
        same(call, floats(5, 5, seed=seed), floats(5, 5, seed=9), floats(5, 2), grad=False)


def test_ldl_reads_the_lower_triangle():
    A = symmetric(4, 4)
    other = np.tril(A) + np.triu(floats(4, 4, seed=5), 1)
    one, two = (dt.linalg.ldl_factor(dt.tensor(x)) for x in (A, other))
    assert (one.LD == two.LD).all()
    assert (one.pivots == two.pivots).all()


def test_ldl_solve_has_gradients():
    """PyTorch has none."""
    A = dt.tensor([[0.0, 1, 2], [1, 0.5, 3], [2, 3, 0]], dtype=dt.float64)
    B = dt.tensor(floats(3, 2)).requires_grad_()
    LD, pivots = dt.linalg.ldl_factor(A)
    assert (pivots < 0).any()
    LD.requires_grad_()
    dt.linalg.ldl_solve(LD, pivots, B).sum().backward()
    np.testing.assert_allclose(B.grad.numpy(), np.linalg.solve(A.numpy(), np.ones((3, 2))))
    assert dt.autograd.gradcheck(lambda x, b: dt.linalg.ldl_solve(x, pivots, b), (LD, B))


def test_ldl_of_singular_matrices():
    same(lambda m, A: m.linalg.ldl_factor_ex(A), np.zeros((3, 3)), grad=False)
    with pytest.raises(dt.linalg.LinAlgError, match="singular"):
        dt.linalg.ldl_factor(dt.zeros(2, 2))
    with pytest.raises(dt.linalg.LinAlgError, match=r"\(Batch element 1\)"):
        dt.linalg.ldl_factor_ex(dt.stack([dt.eye(2), dt.zeros(2, 2)]), check_errors=True)


def test_ldl_refused():
    A, B = symmetric(3, 3), floats(3, 2)
    refused(lambda m, A: m.linalg.ldl_factor(A[0]), A, phrase="at least 2 dimensions")
    refused(lambda m, A: m.linalg.ldl_factor(A[:2]), A, phrase="square matrices")
    refused(lambda m, A: m.linalg.ldl_factor(A.half()), A, phrase="not implemented for 'Half'")
    refused(lambda m, A: m.linalg.ldl_factor(A.long()), A, phrase="Got Long")

    def solve(m, A, B, change=lambda p: p):
        LD, pivots = m.linalg.ldl_factor(A)
        return m.linalg.ldl_solve(LD, change(pivots), B)

    refused(solve, A, B[:2], phrase="each A matrix is 3 by 3 but each b matrix is 2 by 2")
    refused(solve, A, B.astype("float32"), phrase="found b of type Float and A of type Double")
    refused(lambda m, A, B: solve(m, A, B, lambda p: p.double()), A, B, phrase="to be integers")
    refused(lambda m, A, B: solve(m, A, B, lambda p: p[:2]), A, B, phrase="pivots with shape [2]")


# ---- tensors and powers


def test_tensorinv():
    both(lambda m, A: m.linalg.tensorinv(A, 1), matrices(6, 6).reshape(6, 3, 2))
    both(lambda m, A: m.linalg.tensorinv(A), matrices(6, 6).reshape(2, 3, 6))
    refused(lambda m, A: m.linalg.tensorinv(A, 0), floats(4, 4), phrase="strictly positive integer")
    refused(lambda m, A: m.linalg.tensorinv(A, 2), floats(2, 3, 5), phrase="but got 5 != 6")
    with pytest.raises(dt.linalg.LinAlgError, match="singular"):
        dt.linalg.tensorinv(dt.zeros(4, 2, 2), 1)


def test_tensorsolve():
    A = matrices(6, 6).reshape(2, 3, 6)
    both(lambda m, A, B: m.linalg.tensorsolve(A, B), A, floats(2, 3))
    both(lambda m, A, B: m.linalg.tensorsolve(A, B), A.reshape(2, 3, 3, 2), floats(2, 3))
    turned = np.moveaxis(A, 2, 0).copy()
    both(lambda m, A, B: m.linalg.tensorsolve(A, B, dims=(0,)), turned, floats(2, 3))
    refused(
        lambda m, A, B: m.linalg.tensorsolve(A, B), floats(2, 3, 5), floats(2, 3), phrase="5 != 6"
    )


def test_powers():
    for options in ({}, {"N": 2}, {"N": 5}):
        both(lambda m, x, o=options: m.linalg.vander(x, **o), floats(3))
        both(lambda m, x, o=options: m.linalg.vander(x, **o), floats(2, 3))
        same(lambda m, x, o=options: m.linalg.vander(x, **o), np.array([0, 1, 2]))
    same(lambda m, x: m.linalg.vander(x), np.array([0.0, 2.0, 0.0]))
    same(lambda m, x: m.linalg.vander(x), np.array([1, 2, 3], "uint8"))
    for n in (1, 0, -1):
        refused(lambda m, x, n=n: m.linalg.vander(x, N=n), floats(3), phrase="N must be greater")
    refused(lambda m, x: m.linalg.vander(x), np.array([True, False]), phrase="but got Bool")


# ---- few singular values


@pytest.mark.parametrize("shape", [(20, 8), (8, 20), (2, 9, 12)])
def test_few_singular_values(shape):
    A = dt.tensor(floats(*shape[:-1], 3) @ floats(*shape[:-2], 3, shape[-1], seed=1))
    U, S, V = dt.svd_lowrank(A, q=4)
    assert U.shape == (*shape[:-1], 4)
    assert V.shape == (*shape[:-2], shape[-1], 4)
    np.testing.assert_allclose((U * S.unsqueeze(-2) @ V.mT).numpy(), A.numpy(), atol=1e-9)
    np.testing.assert_allclose(
        (V.mT @ V).numpy(), np.broadcast_to(np.eye(4), (*shape[:-2], 4, 4)), atol=1e-9
    )
    M = A.mean(-2, keepdim=True)
    centred = dt.svd_lowrank(A, q=4, M=M)
    again = dt.pca_lowrank(A, q=4)
    np.testing.assert_allclose(centred[1].numpy(), again[1].numpy(), atol=1e-9)
    exact = torch.linalg.svdvals(torch.tensor((A - M).numpy()))[..., :4]
    np.testing.assert_allclose(again[1].numpy(), exact.numpy(), atol=1e-9)
    assert dt.pca_lowrank(A)[1].shape == (*shape[:-2], 6)


def test_few_singular_values_refused():
    refused(lambda m, A: m.pca_lowrank(A, q=9), floats(5, 4), phrase="not greater than min(m, n)=4")
    refused(lambda m, A: m.pca_lowrank(A, niter=-1), floats(5, 4), phrase="must be non-negative")


# ---- the common kernels


@pytest.mark.parametrize("name", ["lu_packed", "qr_packed", "row_exchanges"])
def test_the_common_kernels_agree_with_numpys(name):
    function = getattr(decomposition, name)
    space, own = space_of(dt.device("cpu")), kernel_for(function.op, dt.device("cpu"))
    calls = [(floats(*s),) for s in SHAPES] + [(floats(3, 3) + 1j * floats(3, 3, seed=1),)]
    if name == "row_exchanges":
        calls = [(np.array([[3, 3, 3], [1, 2, 3]], "int32"), 3), (np.array([4, 2], "int32"), 4)]
    for arguments in calls:
        one, two = function.kernel(space, *arguments), own(*arguments)
        for a, b in zip(*((x,) if name == "row_exchanges" else x for x in (one, two)), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, atol=1e-12)
