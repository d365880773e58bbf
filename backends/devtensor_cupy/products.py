"""Linear algebra: CuPy's, which calls cuSOLVER and cuBLAS, with the arguments of the standard.

Singular and indefinite matrices are noticed, which takes waiting for the device.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from . import guarded
from .memory import contiguous
from .runtime import cupy

__all__ = ["linalg"]


def noticing() -> Any:
    """A context in which what cuSOLVER could not do is an error; else it would be garbage."""
    import cupyx

    return cupyx.errstate(linalg="raise")


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The Cholesky factors."""
    with noticing():
        found = cupy.linalg.cholesky(x)
    return cupy.conj(found.swapaxes(-1, -2)) if upper else found


def det(x: Any, /) -> Any:
    """The determinants."""
    return cupy.linalg.det(x)


def slogdet(x: Any, /) -> Any:
    """The signs of the determinants, and the logarithms of their sizes."""
    return cupy.linalg.slogdet(x)


def inv(x: Any, /) -> Any:
    """The inverse matrices."""
    with noticing():
        return cupy.linalg.inv(x)


def solve(x1: Any, x2: Any, /) -> Any:
    """The solutions of systems of equations, with a vector or matrices on the right."""
    if x2.ndim == 1:
        return solve(x1, x2[:, None])[..., 0]
    batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    x1 = cupy.broadcast_to(x1, (*batch, *x1.shape[-2:]))
    x2 = cupy.broadcast_to(x2, (*batch, *x2.shape[-2:]))
    if not x2.size:
        return contiguous(x2)
    with noticing():
        return cupy.linalg.solve(contiguous(x1), contiguous(x2))


def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """The factors of which one is orthogonal and one an upper triangle."""
    with noticing():
        return cupy.linalg.qr(x, mode)


def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """The singular value decomposition."""
    with noticing():
        return cupy.linalg.svd(x, full_matrices, True)


def svdvals(x: Any, /) -> Any:
    """The singular values."""
    with noticing():
        return cupy.linalg.svd(x, False, False)


def eigh(x: Any, /) -> Any:
    """The eigenvalues and eigenvectors of Hermitian matrices."""
    with noticing():
        return cupy.linalg.eigh(x, "L")


def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of Hermitian matrices."""
    with noticing():
        return cupy.linalg.eigvalsh(x, "L")


def of_any(name: str, x: Any) -> Any:
    """Eigenvalues of matrices that need not be Hermitian."""
    solver = getattr(cupy.linalg, name, None)
    if solver is None:
        raise NotImplementedError(
            f"linalg.{name}: CuPy {cupy.__version__} has none; update to 14, or use .cpu()"
        )
    with noticing():
        return solver(x)


def eig(x: Any, /) -> Any:
    """The eigenvalues and eigenvectors of any matrices."""
    return of_any("eig", x)


def eigvals(x: Any, /) -> Any:
    """The eigenvalues of any matrices."""
    return of_any("eigvals", x)


def pinv(x: Any, /, *, rtol: float | None = None) -> Any:
    """The pseudo-inverse matrices."""
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    with noticing():
        return cupy.linalg.pinv(x, rtol)


def matrix_power(x: Any, n: int, /) -> Any:
    """Powers of matrices."""
    return cupy.linalg.matrix_power(x, n)


def matrix_rank(x: Any, /, *, rtol: float | None = None) -> Any:
    """How many singular values are not small."""
    values = svdvals(x)
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    return (values > rtol * values.max(-1, None, True)).sum(-1)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norms of vectors."""
    axes = tuple(range(x.ndim)) if axis is None else axis
    size = cupy.absolute(x)
    if ord == np.inf:
        return size.max(axes, None, keepdims)
    if ord == -np.inf:
        return size.min(axes, None, keepdims)
    if ord == 0:
        return (size != 0).sum(axes, size.dtype, None, keepdims)
    return (size**ord).sum(axes, None, None, keepdims) ** (1 / ord)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of matrices."""
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        sums = cupy.absolute(x).sum(-2 if abs(ord) == 1 else -1)
        found = sums.max(-1) if ord > 0 else sums.min(-1)
    else:
        values = svdvals(x)
        found = {"nuc": lambda: values.sum(-1), 2: lambda: values.max(-1)}.get(
            ord, lambda: values.min(-1)
        )()
    return found[..., None, None] if keepdims else found


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices; a view."""
    return cupy.diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of diagonals."""
    return cupy.trace(x, offset, -2, -1, dtype)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The products of vectors in space."""
    return cupy.cross(x1, x2, axis=axis)


def outer(x1: Any, x2: Any, /) -> Any:
    """All products of the elements of two vectors."""
    return x1[:, None] * x2


linalg = SimpleNamespace(
    cholesky=cholesky, cross=cross, det=det, diagonal=diagonal, eig=eig, eigh=eigh,
    eigvals=eigvals, eigvalsh=eigvalsh,
    inv=inv, matmul=guarded.matmul, matrix_norm=matrix_norm, matrix_power=matrix_power,
    matrix_rank=matrix_rank, matrix_transpose=guarded.matrix_transpose, outer=outer, pinv=pinv,
    qr=qr, slogdet=slogdet, solve=solve, svd=svd, svdvals=svdvals, tensordot=guarded.tensordot,
    trace=trace, vecdot=guarded.vecdot, vector_norm=vector_norm,
)  # fmt: skip
