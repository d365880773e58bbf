"""Further linear algebra: LU, eigenvalues of any matrix, Householder's reflections.

What is in `devtensor.ops.linalg` comes from the array library; of this the array API has little, so
the kernels work column by column on all matrices of a batch at once. Rules are written as for real
numbers, with transposed matrices; where they are not, `complex_rules` says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from devtensor.dtype import int32, of
from devtensor.example import fixed, spd
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import anywhere, axes
from devtensor.ops.create import eye
from devtensor.ops.elementwise import conj, half
from devtensor.ops.index import gather
from devtensor.ops.linalg import (
    LinAlgError,
    adjoint,
    failing_with,
    kind_of,
    linalg_cholesky,
    linalg_inv,
    linalg_qr,
    linalg_solve,
    linalg_solve_triangular,
    linalg_svd,
    matmul,
    require_batches,
    require_equation,
    require_matrices,
    sum_to,
    swap,
)
from devtensor.ops.random import randn
from devtensor.ops.results import with_out
from devtensor.ops.shape import cat, diag_embed, movedim, tril, triu
from devtensor.return_types import as_shown

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


def require_single(name: str, input: Tensor) -> None:
    """Raise NotImplementedError unless there are decompositions for the type of `input`."""
    dtype = of(input.dtype)
    if dtype.kind not in ("float", "complex") or half(input):
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{dtype.legacy}': convert with .float()"
        )


def batched(xp: Any, x: Any) -> Any:
    """The matrices of `x` in one dimension."""
    return xp.reshape(x, (math.prod(x.shape[:-2]), *x.shape[-2:]))


def magnitude(xp: Any, x: Any) -> Any:
    """The sizes of numbers, of complex ones as LAPACK compares them."""
    if kind_of(x).kind == "complex":
        return xp.abs(xp.real(x)) + xp.abs(xp.imag(x))
    return xp.abs(x)


def column(xp: Any, x: Any) -> Any:
    """Vectors as matrices of one column."""
    return xp.expand_dims(x, axis=-1)


def row(xp: Any, x: Any) -> Any:
    """Vectors as matrices of one row."""
    return xp.expand_dims(x, axis=-2)


# ---- LU


@op(
    public=False,
    promotes=None,
    outputs=("LU", "pivots", "info"),
    node="LinalgLuFactorExBackward0",
    examples=[((3, 3),), ((4, 3),), ((2, 3, 4),), ((3, 3), {"pivot": False})],
)
def lu_packed(xp, A, /, pivot=True):
    """Both triangles of ``P @ L @ U`` in one matrix, the exchanges of rows, and what went wrong.

    The diagonal of `L` is 1 and left out. `pivots` counts from 1: row `i` was exchanged with that
    one. `info` is the number of the first 0 in the diagonal of `U`, or 0.
    """
    batch, (height, width) = tuple(A.shape[:-2]), A.shape[-2:]
    x = batched(xp, A)
    rows, columns = xp.arange(height), xp.arange(width)
    info = xp.zeros((x.shape[0],), dtype=xp.int64)
    pivots = []
    for j in range(min(height, width)):
        if pivot:
            sizes = magnitude(xp, x[:, :, j])
            best = xp.argmax(xp.where(rows >= j, sizes, xp.full_like(sizes, -1)), axis=1)
            best = xp.expand_dims(xp.astype(best, xp.int64), axis=-1)
            here = xp.full_like(best, j)
            source = xp.where(rows == j, best, xp.where(rows == best, here, rows))
            source = xp.broadcast_to(column(xp, source), x.shape)
            x = xp.take_along_axis(x, xp.asarray(source, copy=True), axis=1)
        else:
            best = xp.full((x.shape[0], 1), j + 1) - 1
        pivots.append(best + 1)
        corner = x[:, j, j]
        empty = corner == 0
        info = xp.where(xp.logical_and(info == 0, empty), xp.full_like(info, j + 1), info)
        corner = xp.where(empty, xp.ones_like(corner), corner)
        factors = x[:, :, j] / xp.expand_dims(corner, axis=-1)
        factors = xp.where(rows > j, factors, xp.zeros_like(factors))
        right = x[:, j, :]
        right = xp.where(columns > j, right, xp.zeros_like(right))
        factors = column(xp, factors)
        x = x - factors * row(xp, right)
        below = xp.logical_and(column(xp, rows > j), columns == j)
        x = xp.where(below, factors, x)
    exchanged = xp.concat(pivots, axis=1) if pivots else xp.zeros((x.shape[0], 0), dtype=xp.int64)
    return (
        xp.reshape(x, A.shape),
        xp.reshape(xp.astype(exchanged, xp.int32), (*batch, len(pivots))),
        xp.reshape(xp.astype(info, xp.int32), batch),
    )


def lu_rule(xp, gs, LU, pivots):
    """The gradient through the square part, and through what lies below or beside it."""
    g = gs[0]
    height, width = LU.shape[-2:]
    k = min(height, width)
    square, g_lower = LU[..., :k, :k], g[..., :k, :k]
    g_upper, below, beside = g_lower, None, None
    if height > k:  # its L is what was below, divided by U
        below = xp.linalg_solve_triangular(swap(xp, square), g[..., k:, :], upper=False, left=False)
        g_upper = g_upper - xp.matmul(swap(xp, LU[..., k:, :]), below)
    if width > k:
        beside = xp.linalg_solve_triangular(
            swap(xp, square), g[..., k:], upper=True, unitriangular=True
        )
        g_lower = g_lower - xp.matmul(beside, swap(xp, LU[..., k:]))
    inner = xp.tril(g_lower + xp.matmul(swap(xp, xp.tril(square, k=-1)), g_lower), k=-1)
    inner = inner + xp.triu(xp.matmul(g_upper, swap(xp, xp.triu(square))))
    inner = xp.linalg_solve_triangular(swap(xp, square), inner, upper=True, unitriangular=True)
    inner = xp.linalg_solve_triangular(swap(xp, square), inner, upper=False, left=False)
    if below is not None:
        inner = xp.concat([inner, below], axis=-2)
    if beside is not None:
        inner = xp.concat([inner, beside], axis=-1)
    return xp.matmul(xp.row_exchanges(pivots, height, inner.dtype), inner)


derivative(lu_packed, A=lu_rule)


@op(public=False, promotes=None, examples=[(fixed([[2, 3, 3], [1, 2, 3]]), 3), (fixed([3, 4]), 4)])
def row_exchanges(xp, pivots, /, size, dtype=None):
    """The matrices that exchange rows as `pivots` say, the last exchange first."""
    if size and bool(xp.any(xp.logical_or(pivots < 1, pivots > size))):
        raise RuntimeError(
            "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. "
            "Did you properly pass the result of lu_factor?"
        )
    batch, count = tuple(pivots.shape[:-1]), pivots.shape[-1]
    flat = xp.astype(xp.reshape(pivots, (math.prod(batch), count)), xp.int64)
    places = xp.arange(size)
    order = xp.asarray(xp.broadcast_to(places, (flat.shape[0], size)), copy=True)
    for i in range(count):  # what was to be at `i` goes where `pivots` say, and the other way
        there = flat[:, i : i + 1] - 1
        here = xp.full_like(there, i)
        source = xp.where(places == i, there, xp.where(places == there, here, places))
        order = xp.take_along_axis(order, source, axis=1)
    dtype = xp.float32 if dtype is None else dtype
    found = xp.astype(column(xp, places) == row(xp, order), dtype)
    return xp.reshape(found, (*batch, size, size))


def require_lu(name: str, A: Tensor) -> None:
    """Raise unless `A` can be decomposed."""
    if A.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead"
        )
    require_single("lu_cpu", A)


class Triangles(NamedTuple):
    """What :func:`linalg_lu` gives."""

    P: Tensor
    L: Tensor
    U: Tensor


as_shown("linalg_lu", Triangles)


class Factors(NamedTuple):
    """What :func:`linalg_lu_factor` gives."""

    LU: Tensor
    pivots: Tensor


as_shown("linalg_lu_factor", Factors)


class FactorsAndInfo(NamedTuple):
    """What :func:`linalg_lu_factor_ex` gives."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


as_shown("linalg_lu_factor_ex", FactorsAndInfo)


def first_wrong(info: Tensor) -> str:
    """Where in a batch the first failure is, as PyTorch writes it."""
    if not info.ndim:
        return ""
    return f" (Batch element {next(i for i, n in enumerate(info.flatten().tolist()) if n)}):"


def first_number(info: Tensor) -> int:
    """The first number that is not 0, or 0."""
    if not anywhere(info != 0):
        return 0
    return next(n for n in info.flatten().tolist() if n)


def refuse_zero(name: str, info: Tensor) -> None:
    """Raise RuntimeError if an `U` has a 0 in its diagonal."""
    number = first_number(info)
    if number:
        raise RuntimeError(
            f"{name}:{first_wrong(info)} U[{number},{number}] is zero and using it on lu_solve "
            "would result in a division by zero. If you still want to perform the factorization, "
            "consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


@composite(home="linalg", examples=[((3, 3),), ((2, 4, 3),), ((3, 4),)])
@with_out()
def linalg_lu_factor(A: Tensor, *, pivot: bool = True) -> Factors:
    """Lower and upper triangular factors of matrices, packed into one, for `lu_solve`.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    pivot : bool, optional
        Whether rows may be exchanged, without which digits are lost.

    Returns
    -------
    (LU, pivots)
        `LU` of the shape of `A`; `pivots` says, counted from 1, which row each was exchanged with.

    Raises
    ------
    NotImplementedError
        If `A` is not of single or double precision.
    RuntimeError
        If `A` is not at least 2-d, or a matrix is singular.
    """
    require_lu("torch.lu_factor", A)
    LU, pivots, info = lu_packed(A, pivot)
    refuse_zero("torch.linalg.lu_factor", info)
    return Factors(LU, pivots)


@composite(home="linalg", examples=[((3, 3),), ((2, 4, 3),), ((3, 4),)])
@with_out()
def linalg_lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False
) -> FactorsAndInfo:
    """As `lu_factor`, with numbers in place of errors.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    pivot : bool, optional
        Whether rows may be exchanged.
    check_errors : bool, optional
        Raise errors all the same.

    Returns
    -------
    (LU, pivots, info)
        `info` is 0, or the number, counted from 1, of the first 0 in the diagonal of `U`.
    """
    require_lu("torch.lu_factor_ex", A)
    found = lu_packed(A, pivot)
    if check_errors:
        refuse_zero("torch.linalg.lu_factor_ex", found[2])
    return FactorsAndInfo(*found)


@composite(home="linalg", examples=[((3, 3),), ((2, 4, 3),), ((3, 4),)])
@with_out()
def linalg_lu(A: Tensor, *, pivot: bool = True) -> Triangles:
    """Lower and upper triangular factors of matrices: ``A = P @ L @ U``.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    pivot : bool, optional
        Whether rows may be exchanged, without which digits are lost.

    Returns
    -------
    (P, L, U)
        A permutation of rows, and triangular matrices; the diagonal of `L` is 1.
    """
    require_lu("linalg.lu", A)
    LU, pivots, _ = lu_packed(A, pivot)
    return Triangles(row_exchanges(pivots, A.shape[-2], A.dtype), *both_triangles(LU))


def both_triangles(LU: Tensor) -> tuple[Tensor, Tensor]:
    """The factors that are packed into one matrix."""
    height, width = LU.shape[-2:]
    k = min(height, width)
    lower = tril(LU[..., :k], -1) + eye(height, k, dtype=LU.dtype, device=LU.device)
    return lower, triu(LU[..., :k, :])


class Unpacked(NamedTuple):
    """What :func:`lu_unpack` gives."""

    P: Tensor
    L: Tensor
    U: Tensor


as_shown("lu_unpack", Unpacked)


@composite(examples=[((3, 3), fixed([2, 2, 3])), ((4, 3), fixed([2, 4, 3]))], oracle=None)
@with_out()
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Unpacked:
    """The factors that `linalg.lu_factor` has packed.

    Parameters
    ----------
    LU_data, LU_pivots : Tensor
        What `linalg.lu_factor` gave.
    unpack_data : bool, optional
        Whether `L` and `U` are wanted; they are empty otherwise.
    unpack_pivots : bool, optional
        Whether `P` is.

    Returns
    -------
    (P, L, U)

    Raises
    ------
    RuntimeError
        If the pivots are none.
    """
    P = L = U = LU_data.new_empty((0,))
    if unpack_pivots:
        if of(LU_pivots.dtype).kind != "int":
            raise RuntimeError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
                "dtype. Note: this function is intended to be used with the output produced by "
                "torch.linalg.lu_factor"
            )
        P = row_exchanges(LU_pivots, LU_data.shape[-2], LU_data.dtype)
    if unpack_data:
        L, U = both_triangles(LU_data)
    return Unpacked(P, L, U)


@composite(
    home="linalg",
    examples=[
        (spd(3), fixed([1, 2, 3]), (3, 2)),
        (spd(2), fixed([2, 2]), (3, 2), {"left": False}),
        (spd(2), fixed([2, 2]), (2, 3), {"adjoint": True}),
    ],
    oracle=None,
)
@with_out()
def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """Solve ``A @ X = B`` for `X`, where `A` has been decomposed by `lu_factor`.

    Parameters
    ----------
    LU, pivots : Tensor
        What `lu_factor` gave.
    B : Tensor
        Shape ``(..., n, k)``.
    left : bool, optional
        Set to False to solve ``X @ A = B``.
    adjoint : bool, optional
        Take the conjugate transposed of `A` instead.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    name = "linalg.lu_solve"
    require_matrices(f"torch.{name}", LU)
    if of(pivots.dtype).kind != "int":
        raise RuntimeError(
            f"{name}: pivots should be a Tensor of scalar type torch.int32, got {pivots.dtype}"
        )
    if LU.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected LU and B to have the same dtype, but found LU of type "
            f"{of(LU.dtype).legacy} and B of type {of(B.dtype).legacy} instead"
        )
    require_equation(name, LU, B, left)
    if tuple(pivots.shape[-1:]) != tuple(LU.shape[-1:]):
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix, "
            f"got {list(pivots.shape)} and {list(LU.shape)}"
        )
    P = row_exchanges(pivots, LU.shape[-1], LU.dtype)
    if left:
        return conj(solved(LU, P, conj(B), True)) if adjoint else solved(LU, P, B, False)
    # The transposed equations: A @ X.mH = B.mH and A.mT @ X.mT = B.mT.
    if adjoint:
        return conj(solved(LU, P, conj(B.mT), False)).mT
    return solved(LU, P, B.mT, True).mT


def solved(LU: Tensor, P: Tensor, B: Tensor, transposed: bool) -> Tensor:
    """The solution of ``P @ L @ U @ X = B``, or of the equation with these transposed."""
    if transposed:
        half_way = linalg_solve_triangular(LU.mT, B, upper=False)
        found = linalg_solve_triangular(LU.mT, half_way, upper=True, unitriangular=True)
        return matmul(P, found)
    half_way = linalg_solve_triangular(LU, matmul(P.mT, B), upper=False, unitriangular=True)
    result: Tensor = linalg_solve_triangular(LU, half_way, upper=True)
    return result


@composite(method=True, examples=[((3, 2), spd(3), fixed([1, 2, 3]))], oracle=None)
@with_out()
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """Solve ``A @ X = b``; `linalg.lu_solve` is the newer name."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


@composite(method=True, examples=[((3, 3),), ((2, 3, 3), {"get_infos": True})])
@with_out(casts=True)
def lu(input: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """Triangular factors packed into one matrix, and pivots; `linalg.lu_factor` is the newer name.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, n)``.
    pivot : bool, optional
        Whether rows may be exchanged.
    get_infos : bool, optional
        Whether to give `info`, too. Singular matrices are no errors.
    """
    found = linalg_lu_factor_ex(input, pivot=pivot)
    return tuple(found if get_infos else found[:2])


# ---- with numbers in place of errors


class Inverse(NamedTuple):
    """What :func:`linalg_inv_ex` gives."""

    inverse: Tensor
    info: Tensor


as_shown("linalg_inv_ex", Inverse)


class Solution(NamedTuple):
    """What :func:`linalg_solve_ex` gives."""

    result: Tensor
    info: Tensor


as_shown("linalg_solve_ex", Solution)


class CholeskyFactor(NamedTuple):
    """What :func:`linalg_cholesky_ex` gives."""

    L: Tensor
    info: Tensor


as_shown("linalg_cholesky_ex", CholeskyFactor)


def no_info(A: Tensor) -> Tensor:
    """Zeros, one to each matrix."""
    zeros: Tensor = A.new_zeros(A.shape[:-2], dtype=int32)
    return zeros


def regular(A: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
    """Which matrices are as they should be, for use with the matrices, and those with 1 for others.

    The numbers where a matrix is not as it should be are infinite, as 1 / 0.
    """
    fine = (info == 0).unsqueeze(-1).unsqueeze(-1)
    one = eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return fine, A.where(fine, one)


@composite(home="linalg", examples=[(spd(3),), (spd(2, 3),)])
@with_out()
def linalg_inv_ex(A: Tensor, *, check_errors: bool = False) -> Inverse:
    """Inverses of square matrices, with numbers in place of errors.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.
    check_errors : bool, optional
        Raise errors all the same.

    Returns
    -------
    (inverse, info)
        Where a matrix is singular, `info` is the number of the first 0 in the diagonal of its
        upper triangular factor, and the inverse is infinite.

    Raises
    ------
    LinAlgError
        If a matrix is singular and `check_errors` is set.
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.inv", A)
    try:
        return Inverse(linalg_inv(A), no_info(A))
    except LinAlgError:
        info = lu_packed(A.detach())[2]
    if check_errors:
        raise LinAlgError(
            f"linalg.inv_ex:{first_wrong(info)} The diagonal element {first_number(info)} is zero, "
            "the inversion could not be completed because the input matrix is singular."
        )
    fine, safe = regular(A, info)
    return Inverse(linalg_inv(safe).masked_fill(~fine, math.inf), info)


@composite(home="linalg", examples=[(spd(3), (3, 2)), (spd(3), (2, 3), {"left": False})])
@with_out()
def linalg_solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> Solution:
    """Solve ``A @ X = B`` for `X`, with numbers in place of errors.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.
    B : Tensor
        Shape ``(..., n, k)``, or ``(n,)`` or ``(..., n)`` for vectors.
    left : bool, optional
        Set to False to solve ``X @ A = B``.
    check_errors : bool, optional
        Raise errors all the same.

    Returns
    -------
    (result, info)
        Where a matrix is singular, `info` is the number of the first 0 in the diagonal of its
        upper triangular factor, and the result is infinite.
    """
    require_matrices("linalg.solve", A)
    try:
        return Solution(linalg_solve(A, B, left=left), no_info(A))
    except LinAlgError:
        info = lu_packed(A.detach())[2]
    if check_errors:
        raise LinAlgError(
            f"torch.linalg.solve_ex:{first_wrong(info)} The solver failed because the input matrix "
            "is singular."
        )
    fine, safe = regular(A, info)
    result = linalg_solve(safe, B, left=left)
    fine = fine if result.ndim >= A.ndim else fine.squeeze(-1)
    return Solution(result.masked_fill(~fine, math.inf), info)


@op(public=False, promotes=None, examples=[(fixed([[1.0, 2.0], [2.0, 1.0]]),), (spd(3, 2),)])
def wrong_minors(xp, A, /):
    """The order of the first leading minor that is not positive, or 0, of symmetric matrices."""
    batch, size = tuple(A.shape[:-2]), A.shape[-1]
    x = batched(xp, A)
    rows = xp.arange(size)
    info = xp.zeros((x.shape[0],), dtype=xp.int64)
    for j in range(size):
        corner = xp.real(x[:, j, j]) if kind_of(A).kind == "complex" else x[:, j, j]
        wrong = xp.logical_and(info == 0, ~(corner > 0))
        info = xp.where(wrong, xp.full_like(info, j + 1), info)
        corner = xp.where(corner > 0, corner, xp.ones_like(corner))
        below = xp.where(rows > j, x[:, :, j], xp.zeros_like(x[:, :, j]))
        across = xp.conj(below) if kind_of(A).kind == "complex" else below
        x = x - column(xp, below / xp.expand_dims(corner, axis=-1)) * row(xp, across)
    return xp.reshape(xp.astype(info, xp.int32), batch)


@composite(
    home="linalg", examples=[(spd(3),), (spd(2, 3),), (spd(3), {"upper": True})], oracle=None
)
@with_out()
def linalg_cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False
) -> CholeskyFactor:
    """Cholesky's factor of symmetric matrices, with numbers in place of errors.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``, symmetric; only the lower triangle is read.
    upper : bool, optional
        Give the transposed, upper factor.
    check_errors : bool, optional
        Raise errors all the same.

    Returns
    -------
    (L, info)
        Where a matrix is not positive definite, `info` is the order of the first leading minor
        that is not positive, and the factor is NaN.

    Raises
    ------
    LinAlgError
        If a matrix is not positive definite and `check_errors` is set.
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    try:
        return CholeskyFactor(linalg_cholesky(A, upper=upper), no_info(A))
    except LinAlgError:
        info = wrong_minors(A.detach())
    if check_errors:
        raise LinAlgError(
            f"linalg.cholesky_ex:{first_wrong(info)} The factorization could not be completed "
            "because the input is not positive-definite (the leading minor of order "
            f"{first_number(info)} is not positive-definite)."
        )
    fine, safe = regular(A, info)
    return CholeskyFactor(linalg_cholesky(safe, upper=upper).masked_fill(~fine, math.nan), info)


# ---- solutions from Cholesky's and other triangular factors


@op(
    promotes=None,
    examples=[((3, 2), spd(3)), ((2, 3, 1), spd(3), {"upper": True})],
    oracle=None,
    complex_rules=True,
)
def cholesky_solve(xp, B, L, /, upper=False):
    """Solve ``A @ X = B`` for `X`, where `L` is Cholesky's factor of `A`.

    Only one triangle of `L` is read. Its gradient, as in PyTorch, is that of ``L @ L.mH`` with
    respect to all of `L`.

    Parameters
    ----------
    B : Tensor
        Shape ``(..., n, k)``.
    L : Tensor
        Shape ``(..., n, n)``.
    upper : bool, optional
        Whether the factor is the upper one.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    require_sides("cholesky_solve", B, L)
    lower = adjoint(xp, L) if upper else L
    half_way = xp.linalg_solve_triangular(lower, B, upper=False)
    return xp.linalg_solve_triangular(adjoint(xp, lower), half_way, upper=True)


def cholesky_solve_rule(
    xp: Any, g: Any, L: Any, out: Any, B_shape: Any, L_shape: Any, upper: bool, needs: Any
) -> Any:
    g = xp.cholesky_solve(g, L, upper=upper)
    slope = None
    if needs[1]:
        product = xp.matmul(g, adjoint(xp, out))
        product = product + adjoint(xp, product)
        slope = xp.matmul(L, product) if upper else xp.matmul(product, L)
        slope = -sum_to(xp, slope, L_shape)
    return sum_to(xp, g, B_shape) if needs[0] else None, slope


derivative(cholesky_solve, together=cholesky_solve_rule)


def require_sides(name: str, b: Tensor, A: Tensor) -> None:
    """Raise RuntimeError unless ``A @ X = b`` is an equation of matrices."""
    for what, x in (("b", b), ("u", A)):
        if x.ndim < 2:
            raise RuntimeError(
                f"{what} should have at least 2 dimensions, but has {x.ndim} dimensions instead"
            )
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} "
            "matrices"
        )
    if A.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {A.shape[-1]} by "
            f"{A.shape[-1]} but each b matrix is {b.shape[-2]} by {b.shape[-1]}"
        )


@composite(method=True, examples=[(spd(3),), (spd(2, 3), {"upper": True})], oracle=None)
@with_out(casts=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """Inverses of matrices of which Cholesky's factors are given.

    Parameters
    ----------
    L : Tensor
        Shape ``(..., n, n)``.
    upper : bool, optional
        Whether the factor is the upper one.
    """
    require_matrices("cholesky_inverse", L)
    return cholesky_solve(eye(L.shape[-1], dtype=L.dtype, device=L.device), L, upper)


class Triangular(NamedTuple):
    """What :func:`triangular_solve` gives."""

    solution: Tensor
    cloned_coefficient: Tensor


as_shown("triangular_solve", Triangular)


@composite(
    method=True,
    examples=[((3, 2), spd(3)), ((3, 2), spd(3), {"upper": False, "transpose": True})],
)
@with_out()
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Triangular:
    """Solve ``A @ X = b`` where `A` is triangular; `linalg.solve_triangular` is the newer name.

    Parameters
    ----------
    b : Tensor
        Shape ``(..., n, k)``.
    A : Tensor
        Shape ``(..., n, n)``.
    upper : bool, optional
        Which triangle of `A` counts.
    transpose : bool, optional
        Take the transposed of `A` instead.
    unitriangular : bool, optional
        Take the diagonal of `A` as 1 whatever is there.

    Returns
    -------
    (solution, cloned_coefficient)
        The second is a copy of `A`.
    """
    require_sides("triangular_solve", b, A)
    batch = require_batches(A.shape[:-2], b.shape[:-2])
    matrix, above = (A.mT, not upper) if transpose else (A, upper)
    solution = linalg_solve_triangular(matrix, b, upper=above, unitriangular=unitriangular)
    return Triangular(solution, A.expand(*batch, *A.shape[-2:]).clone())


# ---- eigenvalues of any square matrix


@op(
    home="linalg",
    method=False,
    promotes=None,
    outputs=("eigenvalues", "eigenvectors"),
    node="LinalgEigBackward0",
    complex_rules=True,
    oracle=None,
    # A random gradient would depend on the phases of the vectors.
    examples=[((0, 0),), ((2, 0, 0),)],
)
def linalg_eig(xp, A, /):
    """Eigenvalues and eigenvectors of square matrices: ``A @ V = V * L``.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Returns
    -------
    (eigenvalues, eigenvectors)
        Complex, in no particular order; the vectors are the columns, of length 1. What is
        differentiated must not depend on their phases.

    Raises
    ------
    LinAlgError
        If the iteration does not converge.
    RuntimeError
        If the matrices are not square, not finite, or not of single or double precision.
    """
    require_eig(xp, A)
    dtype = complex_type(xp, A)
    if 0 in A.shape:
        return xp.zeros(A.shape[:-1], dtype=dtype), xp.zeros(A.shape, dtype=dtype)
    with failing_with("linalg.eig: The algorithm failed to converge."):
        values, vectors = xp.linalg.eig(A)
    return xp.astype(values, dtype), xp.astype(vectors, dtype)


def require_eig(xp: Any, A: Any) -> None:
    """Raise RuntimeError unless `A` has eigenvalues."""
    require_matrices("linalg.eig", A)
    if not bool(xp.all(xp.isfinite(A))):
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")


def complex_type(xp: Any, x: Any) -> Any:
    """The complex type of the precision of `x`."""
    return xp.complex64 if x.dtype in (xp.float32, xp.complex64) else xp.complex128


def eig_rule(xp, gs, A_dtype, eigenvalues, eigenvectors):
    g_values, g_vectors = gs
    across = adjoint(xp, eigenvectors)
    inner = None if g_values is None else xp.diag_embed(g_values)
    if g_vectors is not None:
        along = xp.matmul(across, g_vectors)
        own = xp.diagonal(along, 0, -2, -1)
        if anywhere(xp.abs(xp.imag(own)) > 1e-2, xp):
            raise RuntimeError(
                "linalg_eig_backward: The eigenvectors in the complex case are specified up to "
                "multiplication by e^{i phi}. The specified loss function depends on this "
                "quantity, so it is ill-defined."
            )
        # The vectors keep their length.
        lengths = xp.astype(xp.real(own), eigenvectors.dtype)
        along = along - xp.matmul(across, eigenvectors * row(xp, lengths))
        gaps = xp.conj(row(xp, eigenvalues) - column(xp, eigenvalues))
        one = xp.diag_embed(xp.ones_like(eigenvalues))
        turned = along / (gaps + one) * (1 - one)
        inner = turned if inner is None else inner + turned
    result = xp.solve_matrices(across, xp.matmul(inner, across))
    return xp.real(result) if of(A_dtype).kind == "float" else result


derivative(linalg_eig, A=eig_rule)


@op(public=False, promotes=None, oracle=None, examples=[((0, 0),)])
def eigenvalues_alone(xp, A, /):
    """Eigenvalues of square matrices, without a gradient."""
    require_eig(xp, A)
    if 0 in A.shape:
        return xp.zeros(A.shape[:-1], dtype=complex_type(xp, A))
    with failing_with("linalg.eigvals: The algorithm failed to converge."):
        return xp.astype(xp.linalg.eigvals(A), complex_type(xp, A))


@composite(home="linalg", examples=[((0, 0),)], oracle=None)
@with_out(casts=True)
def linalg_eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of square matrices, complex, in no particular order.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Raises
    ------
    LinAlgError
        If the iteration does not converge.
    RuntimeError
        If the matrices are not square, not finite, or not of single or double precision.
    """
    result: Tensor = linalg_eig(A)[0] if A.requires_grad else eigenvalues_alone(A)
    return result


# ---- Householder's reflections


class Reflections(NamedTuple):
    """What :func:`geqrf` gives."""

    a: Tensor
    tau: Tensor


as_shown("geqrf", Reflections)


@op(
    public=False, promotes=None, outputs=("a", "tau"), examples=[((4, 3),), ((2, 3, 3),), ((2, 4),)]
)
def qr_packed(xp, A, /):
    """`R`, and below its diagonal the vectors of the reflections that make `Q`; their factors."""
    batch, (height, width) = tuple(A.shape[:-2]), A.shape[-2:]
    x = batched(xp, A)
    rows, columns = xp.arange(height), xp.arange(width)
    factors = []
    imaginary = kind_of(A).kind == "complex"
    for j in range(min(height, width)):
        whole, corner = x[:, :, j], x[:, j, j]
        below = xp.where(rows > j, whole, xp.zeros_like(whole))
        rest = xp.sum(xp.abs(below) ** 2, axis=1)
        real = xp.real(corner) if imaginary else corner
        flat = xp.logical_and(rest == 0, xp.imag(corner) == 0) if imaginary else rest == 0
        length = xp.sqrt(xp.abs(corner) ** 2 + rest)
        beta = xp.where(real < 0, length, -length)
        beta = xp.where(flat, xp.ones_like(beta), beta)
        tau = (xp.astype(beta, x.dtype) - corner) / beta
        tau = xp.where(flat, xp.zeros_like(tau), tau)
        scale = xp.where(flat, xp.ones_like(corner), corner - xp.astype(beta, x.dtype))
        vector = below / xp.expand_dims(scale, axis=-1) + xp.astype(rows == j, x.dtype)
        turned = xp.conj(vector) if imaginary else vector
        # What is reflected: the column itself, and all behind it.
        part = xp.where(columns >= j, x, xp.zeros_like(x))
        product = xp.matmul(row(xp, turned), part)
        back = xp.conj(tau) if imaginary else tau
        x = x - column(xp, vector * xp.expand_dims(back, axis=-1)) * product
        kept = xp.logical_and(column(xp, rows > j), columns == j)
        x = xp.where(kept, column(xp, vector), x)
        factors.append(tau)
    tau = xp.stack(factors, axis=1) if factors else xp.zeros((x.shape[0], 0), dtype=x.dtype)
    return xp.reshape(x, A.shape), xp.reshape(tau, (*batch, len(factors)))


@composite(method=True, examples=[((4, 3),), ((2, 3, 3),)])
@with_out(casts=True)
def geqrf(input: Tensor) -> Reflections:
    """What `ormqr` and `linalg.householder_product` take: a QR decomposition as reflections.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, n)``.

    Returns
    -------
    (a, tau)
        `a` holds `R`, and below its diagonal the vectors of the reflections; `tau` their factors.
        There is no gradient.

    Raises
    ------
    NotImplementedError
        If the input is not of single or double precision.
    RuntimeError
        If it is not at least 2-d.
    """
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    require_single("geqrf_cpu", input)
    return Reflections(*qr_packed(input))


def require_reflections(name: str, input: Tensor, tau: Tensor) -> None:
    """Raise RuntimeError unless `input` and `tau` can be reflections."""
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {of(tau.dtype).legacy} does not match input dtype "
            f"{of(input.dtype).legacy}"
        )
    if tau.ndim != input.ndim - 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.ndim} and input.ndim is equal to {input.ndim}"
        )
    if tuple(tau.shape[:-1]) != tuple(input.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(tau.shape[:-1])}"
        )


def reflections(input: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """`V` and `T`, with which the product of all reflections is ``1 - V @ T @ V.mH``."""
    height, count = input.shape[-2], tau.shape[-1]
    one = eye(height, count, dtype=input.dtype, device=input.device)
    V = tril(input[..., :count], -1) + one
    between = tau.unsqueeze(-1) * triu(matmul(V.mH, V), 1)
    T = linalg_solve_triangular(between, diag_embed(tau), upper=True, unitriangular=True)
    return V, T


@composite(home="linalg", examples=[((4, 3), (3,)), ((4, 3), (2,)), ((2, 3, 3), (2, 3))])
@with_out(casts=True)
def linalg_householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of reflections, as `geqrf` gives them.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, n)``, with the vectors of the reflections below its diagonal.
    tau : Tensor
        Shape ``(..., k)``: their factors.

    Returns
    -------
    Tensor
        Shape ``(..., m, n)``.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    name = "torch.linalg.householder_product"
    if input.ndim >= 2:
        if input.shape[-2] < input.shape[-1]:
            raise RuntimeError(
                f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
            )
        if tau.ndim and input.shape[-1] < tau.shape[-1]:
            raise RuntimeError(
                f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
            )
    require_reflections(name, input, tau)
    V, T = reflections(input, tau)
    width = input.shape[-1]
    one = eye(input.shape[-2], width, dtype=input.dtype, device=input.device)
    result: Tensor = one - matmul(V, matmul(T, V[..., :width, :].mH))
    return result


@composite(method=True, examples=[((4, 3), (3,))])
@with_out(casts=True)
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """The first columns of the product of reflections; the same as `linalg.householder_product`."""
    return linalg_householder_product(input, input2)


@composite(
    method=True,
    examples=[
        ((4, 3), (3,), (4, 2)),
        ((4, 3), (3,), (2, 4), {"left": False}),
        ((4, 3), (3,), (4, 2), {"transpose": True}),
    ],
)
@with_out()
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """Multiply a matrix by the product of all reflections, as `geqrf` gives them.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, k)``, with the vectors of the reflections below its diagonal.
    tau : Tensor
        Shape ``(..., k)``: their factors.
    other : Tensor
        Shape ``(..., m, n)``, or ``(..., n, m)`` unless `left`.
    left : bool, optional
        Whether the reflections are the left factor.
    transpose : bool, optional
        Whether their product is conjugated and transposed.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    name = "torch.ormqr"
    for which, matrix in (("input", input), ("other", other)):
        if matrix.ndim < 2:
            raise RuntimeError(f"{name}: {which} must have at least 2 dimensions.")
    side = -2 if left else -1
    if input.ndim >= 2 and other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    require_reflections(name, input, tau)
    if tau.shape[-1] != min(other.shape[side], input.shape[-1]):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1]), "
            f"but got {tau.shape[-1]} for {list(other.shape)} and {list(input.shape)}"
        )
    if other.ndim != input.ndim:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but got "
            f"other.ndim equal to {other.ndim} and input.ndim is equal to {input.ndim}"
        )
    V, T = reflections(input, tau)
    T = T.mH if transpose else T
    result: Tensor = (
        matmul(V, matmul(T, matmul(V.mH, other)))
        if left
        else matmul(matmul(matmul(other, V), T), V.mH)
    )
    return other - result


# ---- equations of tensors, and matrices of powers


@composite(
    home="linalg",
    examples=[
        ((4, 2, 2), {"ind": 1}),
        ((2, 2, 4),),
    ],
)
@with_out(casts=True)
def linalg_tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of a tensor as a map from its last dimensions to its first `ind` ones.

    Parameters
    ----------
    A : Tensor
        The products of its first `ind` lengths and of the others are the same.
    ind : int, optional
        How many dimensions the results of the map have.

    Returns
    -------
    Tensor
        Shape ``A.shape[ind:] + A.shape[:ind]``.

    Raises
    ------
    LinAlgError
        If there is no inverse.
    RuntimeError
        If the lengths do not fit.
    """
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    if not A.ndim:
        raise RuntimeError("linalg.tensorinv: a 0-d tensor is no map between dimensions")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(last):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(last)} != {math.prod(first)}"
        )
    size = math.prod(first)
    return linalg_inv(A.reshape(size, size)).reshape(*last, *first)


@composite(home="linalg", examples=[((2, 3, 6), (2, 3)), ((2, 6, 3), (2, 3), {"dims": (1,)})])
@with_out(casts=True)
def linalg_tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """Solve ``tensordot(A, X, X.ndim) = B`` for `X`.

    Parameters
    ----------
    A : Tensor
        Its lengths are those of `B` and then those of `X`.
    B : Tensor
    dims : sequence of int, optional
        Dimensions of `A` that are put last first.

    Raises
    ------
    LinAlgError
        If there is no solution.
    RuntimeError
        If the lengths do not fit.
    """
    if dims is not None:
        moved = axes(dims, A.ndim)
        A = movedim(A, moved, tuple(range(A.ndim - len(moved), A.ndim)))
    first, last = A.shape[: B.ndim], A.shape[B.ndim :]
    size = math.prod(last)
    if size != math.prod(first):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {size} != {math.prod(first)}"
        )
    return linalg_solve(A.reshape(size, size), B.reshape(size)).reshape(last)


@composite(home="linalg", examples=[((3,),), ((2, 3), {"N": 4}), (fixed([0.0, 2.0]), {"N": 3})])
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde's matrices: the powers of numbers, from 0 up.

    Parameters
    ----------
    x : Tensor
        Shape ``(..., n)``.
    N : int, optional
        How many powers; by default `n`.

    Returns
    -------
    Tensor
        Shape ``(..., n, N)``.

    Raises
    ------
    RuntimeError
        If there are fewer than 2 powers, or the numbers are bools.
    """
    if x.dtype.kind == "bool" or (x.dtype.itemsize == 2 and x.dtype.kind == "float"):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{x.dtype.legacy}"
        )
    x = x if x.ndim else x.reshape((1,))
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError(f"N must be greater than 1. Got {count}")
    across = x.unsqueeze(-1)
    powers = across.expand(*x.shape, count - 1).cumprod(-1)
    return cat([across.new_ones(across.shape, dtype=powers.dtype), powers], -1)


# ---- few singular values of large matrices


def nearly_spanning(A: Tensor, q: int, niter: int) -> Tensor:
    """`q` orthonormal columns that nearly span what `A` maps to, found from random vectors."""
    start = randn(A.shape[-1], q, dtype=A.dtype, device=A.device)
    Q = linalg_qr(matmul(A, start))[0]
    for _ in range(niter):
        Q = linalg_qr(matmul(A.mH, Q))[0]
        Q = linalg_qr(matmul(A, Q))[0]
    result: Tensor = Q
    return result


@composite(examples=[((5, 4), {"q": 2}), ((3, 6), {"q": 3})], oracle=None)
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values of large matrices, and their vectors, nearly.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    q : int, optional
        How many.
    niter : int, optional
        How often the subspace that they are searched in is bettered.
    M : Tensor, optional
        Subtracted from `A` first.

    Returns
    -------
    (U, S, V)
        ``U @ diag(S) @ V.mH`` is nearly `A`. The subspace is found from random vectors.
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    if M is not None:
        A = A - M
    wide = A.shape[-2] < A.shape[-1]
    tall = A.mH if wide else A
    Q = nearly_spanning(tall, q, niter)
    U, S, Vh = linalg_svd(matmul(Q.mH, tall), full_matrices=False)
    U, V = matmul(Q, U), Vh.mH
    return (V, S, U) if wide else (U, S, V)


@composite(examples=[((5, 4), {"q": 2})], oracle=None)
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of the rows of a large matrix, nearly.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``: `m` samples of `n` numbers.
    q : int, optional
        How many components; by default 6, or as many as there are.
    center : bool, optional
        Whether to subtract the mean of the samples.
    niter : int, optional
        How often the subspace that they are searched in is bettered.

    Returns
    -------
    (U, S, V)
        The columns of `V` are the components.

    Raises
    ------
    ValueError
        If `q` or `niter` is out of range.
    """
    most = min(A.shape[-2:])
    q = min(6, most) if q is None else q
    if not 0 <= q <= most:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={most}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


# ---- symmetric matrices that need not be positive

BUNCH_KAUFMAN = (1 + math.sqrt(17)) / 8
"""Below this share of what stands beside it, a diagonal element is no good pivot."""


@op(
    public=False,
    promotes=None,
    outputs=("LD", "pivots", "info"),
    node="LinalgLdlFactorExBackward0",
    examples=[(spd(3),), (fixed([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]),)],
)
def ldl_packed(xp, A, /, hermitian=False):
    """`L`, and `D` with blocks of one or two, in one matrix; row exchanges; what went wrong.

    Bunch and Kaufman's algorithm, packed as LAPACK packs it.
    """
    batch, size = tuple(A.shape[:-2]), A.shape[-1]
    matrices = batched(xp, A)
    found = [ldl_one(xp, matrices[i, ...], hermitian) for i in range(matrices.shape[0])]
    flat = [number for _, pivots, _ in found for number in pivots]
    pivots = xp.reshape(xp.asarray(flat, dtype=xp.int32), (*batch, size))
    info = xp.reshape(xp.asarray([info for *_, info in found], dtype=xp.int32), batch)
    LD = xp.stack([x for x, *_ in found]) if found else matrices
    return xp.reshape(LD, A.shape), pivots, info


def ldl_one(xp: Any, A: Any, hermitian: bool) -> tuple[Any, list[int], int]:
    """`ldl_packed` of one matrix, of which the lower triangle is read."""
    size, info = A.shape[0], 0
    turned = hermitian and kind_of(A).kind == "complex"
    lower = xp.tril(A, k=-1)
    across = xp.matrix_transpose(lower)
    diagonal = xp.tril(xp.triu(A))
    if turned:
        diagonal = xp.astype(xp.real(diagonal), A.dtype)
    # `x` is what is left to decompose, with both its triangles.
    x = diagonal + lower + (xp.conj(across) if turned else across)
    result = xp.asarray(xp.tril(x), copy=True)
    pivots: list[int] = []
    k = 0
    while k < size:
        step, best = pivot_of(xp, x)
        last = k + step - 1
        if best is None:
            info = info or k + 1
            best = 0
        place = k + best
        pivots += [place + 1] if step == 1 else [-(place + 1)] * 2
        if place != last:
            order = list(range(size - k))
            order[last - k], order[place - k] = order[place - k], order[last - k]
            index = xp.asarray(order)
            x = xp.take(xp.take(x, index, axis=0), index, axis=1)
        block, beside, rest = x[:step, :step], x[step:, :step], x[step:, step:]
        result[k : k + step, k : k + step] = xp.tril(block)
        if step == 2:
            factors = xp.matrix_transpose(
                xp.linalg.solve(xp.matrix_transpose(block), xp.matrix_transpose(beside))
            )
        else:
            corner = xp.where(block == 0, xp.ones_like(block), block)
            factors = beside / corner
        result[k + step :, k : k + step] = factors
        across = xp.matrix_transpose(beside)
        x = rest - xp.matmul(factors, xp.conj(across) if turned else across)
        k += step
    return result, pivots, info


def pivot_of(xp: Any, x: Any) -> tuple[int, int | None]:
    """The size of the next block, and which row its last becomes; None for a column of zeros."""
    sizes = magnitude(xp, x[:, 0])
    own, most, best = float(sizes[0]), 0.0, 0
    if x.shape[0] > 1:
        best = 1 + int(xp.argmax(sizes[1:]))
        most = float(sizes[best])
    if not (own > 0 or most > 0):
        return 1, None
    if own >= BUNCH_KAUFMAN * most:
        return 1, 0
    sizes = magnitude(xp, x[best, :])
    others = xp.where(xp.arange(x.shape[0]) == best, xp.zeros_like(sizes), sizes)
    beside = float(xp.max(others))
    if own >= BUNCH_KAUFMAN * most * (most / beside):
        return 1, 0
    if float(sizes[best]) >= BUNCH_KAUFMAN * beside:
        return 1, best
    return 2, best


class LdlFactors(NamedTuple):
    """What :func:`linalg_ldl_factor` gives."""

    LD: Tensor
    pivots: Tensor


as_shown("linalg_ldl_factor", LdlFactors)


class LdlFactorsAndInfo(NamedTuple):
    """What :func:`linalg_ldl_factor_ex` gives."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


as_shown("linalg_ldl_factor_ex", LdlFactorsAndInfo)


def require_ldl(A: Tensor) -> None:
    """Raise unless `A` can be decomposed."""
    if half(A):
        raise NotImplementedError(
            f"\"ldl_factor_kernel_cpu\" not implemented for '{of(A.dtype).legacy}': convert with "
            ".float()"
        )
    require_matrices("torch.linalg.ldl_factor_ex", A)


@composite(home="linalg", examples=[(spd(3),), (spd(2, 3),)])
@with_out()
def linalg_ldl_factor(A: Tensor, *, hermitian: bool = False) -> LdlFactors:
    """Factors of symmetric matrices, ``A = L @ D @ L.mT`` with rows exchanged, for `ldl_solve`.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``; only the lower triangle is read.
    hermitian : bool, optional
        Whether complex matrices are conjugate symmetric.

    Returns
    -------
    (LD, pivots)
        `D` has blocks of one or two rows in its diagonal; `pivots` are negative for those of two.
        There is no gradient.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or a column of zeros is left.
    """
    require_ldl(A)
    LD, pivots, info = ldl_packed(A, hermitian)
    refuse_column("linalg.ldl_factor", info)
    return LdlFactors(LD, pivots)


def refuse_column(name: str, info: Tensor) -> None:
    """Raise LinAlgError if a block of `D` is 0."""
    if first_number(info):
        raise LinAlgError(
            f"{name}:{first_wrong(info)} The block {first_number(info)} of the diagonal is zero: "
            "the matrix is singular. linalg.ldl_factor_ex decomposes it all the same."
        )


@composite(home="linalg", examples=[(spd(3),), (spd(2, 3),)])
@with_out()
def linalg_ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False
) -> LdlFactorsAndInfo:
    """As `ldl_factor`, with numbers in place of errors.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``; only the lower triangle is read.
    hermitian : bool, optional
        Whether complex matrices are conjugate symmetric.
    check_errors : bool, optional
        Raise errors all the same.

    Returns
    -------
    (LD, pivots, info)
        `info` is 0, or the number, counted from 1, of the first block of `D` that is 0.
    """
    require_ldl(A)
    found = ldl_packed(A, hermitian)
    if check_errors:
        refuse_column("linalg.ldl_factor_ex", found[2])
    return LdlFactorsAndInfo(*found)


@op(
    public=False,
    promotes=None,
    outputs=("source", "apart", "order"),
    examples=[(fixed([1, -3, -3]),), (fixed([[2, 2, 3], [1, 2, 3]]),)],
)
def ldl_places(xp, pivots, /):
    """Where elements of `L` stand in a packed matrix, which belong to `D`, and row exchanges."""
    batch, size = tuple(pivots.shape[:-1]), pivots.shape[-1]
    flat = xp.reshape(pivots, (math.prod(pivots.shape),))
    listed = [int(flat[i]) for i in range(flat.shape[0])]
    found = [places_of(listed[i * size : (i + 1) * size]) for i in range(math.prod(batch))]
    source, apart, order = (
        xp.asarray([n for one in found for n in one[part]], dtype=dtype)
        for part, dtype in enumerate((xp.int64, xp.bool, xp.int64))
    )
    square = (*batch, size, size)
    # The sources were listed column by column.
    source = xp.matrix_transpose(xp.reshape(source, square))
    return xp.asarray(source, copy=True), xp.reshape(apart, square), xp.reshape(order, pivots.shape)


def places_of(pivots: list[int]) -> tuple[list[int], list[bool], list[int]]:
    """`ldl_places` of one matrix."""
    size = len(pivots)
    sources = [list(range(size)) for _ in range(size)]
    apart = [False] * size**2
    order = list(range(size))
    k = 0
    while k < size:
        step = 1 if pivots[k] > 0 else 2
        last, place = k + step - 1, abs(pivots[k]) - 1
        if step == 2:
            apart[last * size + k] = True
        # What was decomposed before is exchanged, too.
        for rows in (order, *sources[:k]):
            rows[last], rows[place] = rows[place], rows[last]
        k += step
    return [n for rows in sources for n in rows], apart, order


@composite(home="linalg", examples=[(spd(3), fixed([1, 2, 3]), (3, 2))])
@with_out()
def linalg_ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """Solve ``A @ X = B`` for `X`, where `A` has been decomposed by `ldl_factor`.

    Parameters
    ----------
    LD, pivots : Tensor
        What `ldl_factor` gave.
    B : Tensor
        Shape ``(..., n, k)``.
    hermitian : bool, optional
        As for `ldl_factor`.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    name = "torch.linalg.ldl_solve"
    require_matrices(name, LD)
    require_sides(name, B, LD)
    if LD.dtype is not B.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {of(B.dtype).legacy} "
            f"and A of type {of(LD.dtype).legacy} instead."
        )
    if of(pivots.dtype).kind != "int":
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {of(pivots.dtype).legacy}")
    if tuple(pivots.shape) != tuple(LD.shape[:-1]):
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {list(pivots.shape)} instead"
        )
    source, apart, order = ldl_places(pivots)
    lower = tril(LD, -1)
    beside = lower.masked_fill(~apart, 0)
    D = diag_embed(LD.diagonal(0, -2, -1)) + beside + (beside.mH if hermitian else beside.mT)
    L = gather(lower.masked_fill(apart, 0), -2, source)
    P = eye(LD.shape[-1], dtype=LD.dtype, device=LD.device)[order].mT
    found = linalg_solve_triangular(L, matmul(P.mT, B), upper=False, unitriangular=True)
    found = linalg_solve(D, found)
    across = L.mH if hermitian else L.mT
    return matmul(P, linalg_solve_triangular(across, found, upper=True, unitriangular=True))
