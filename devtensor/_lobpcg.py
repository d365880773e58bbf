"""A few eigenpairs of large symmetric matrices, found by products with them alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.autograd.function import once_differentiable
from devtensor.tensor import Tensor

__all__ = ["LOBPCG", "lobpcg"]


class LOBPCG:
    """One search, as a `tracker` sees it.

    Attributes
    ----------
    A, B, iK : Tensor or None
        What was given.
    E, X, R : Tensor
        The eigenvalues and vectors so far, and what is left: ``A @ X - B @ X * E``.
    ivars, fvars, bvars, tvars : dict
        ``ivars["istep"]`` counts steps, ``ivars["converged_count"]`` the pairs that are found;
        ``tvars["rerr"]`` is how far each is from it; with ``bvars["force_stop"] = True`` it ends.
    """

    def __init__(
        self, A: Tensor, B: Tensor | None, X: Tensor, iK: Tensor | None, largest: bool
    ) -> None:
        self.A, self.B, self.iK, self.largest = A, B, iK, largest
        self.iparams = {"m": X.shape[0], "n": X.shape[1], "k": X.shape[1]}
        self.fparams: dict[str, float] = {}
        self.bparams = {"largest": largest}
        self.ivars = {"istep": 0, "converged_count": 0}
        self.bvars = {"force_stop": False}
        self.tvars: dict[str, Tensor] = {}
        self.size = [(dt.linalg.norm(by(M, X)) / dt.linalg.norm(X)).item() for M in (A, B)]
        self.fvars = {"A_norm": self.size[0], "B_norm": self.size[1]}
        self.along: Tensor | None = None
        self.best(X)

    def best(self, basis: Tensor) -> None:
        """Take the best pairs in the space that some vectors span."""
        basis = basis / dt.linalg.norm(basis, dim=0).clamp(min=1e-30)
        sizes, vectors = dt.linalg.eigh(basis.mH @ by(self.B, basis))
        # Directions that are in the span twice are left out.
        kept = sizes > sizes[-1] * basis.shape[0] * dt.finfo(sizes.dtype).eps
        basis = basis @ (vectors[:, kept] / sizes[kept].sqrt())
        values, vectors = dt.linalg.eigh(basis.mH @ by(self.A, basis))
        if self.largest:
            values, vectors = values.flip(0), vectors.flip(1)
        n = self.iparams["n"]
        self.E, self.X = values[:n], basis @ vectors[:, :n]
        self.R = by(self.A, self.X) - by(self.B, self.X) * self.E
        scale = self.size[0] + self.E.abs() * self.size[1]
        error = dt.linalg.norm(self.R, dim=0) / (dt.linalg.norm(self.X, dim=0) * scale)
        self.tvars["rerr"] = error

    def step(self) -> None:
        """Search in the space of the vectors, of what is left, and of the step before."""
        before = self.X
        parts = [before, by(self.iK, self.R)]
        self.best(dt.cat(parts if self.along is None else [*parts, self.along], 1))
        self.along = self.X - before @ (before.mH @ by(self.B, self.X))
        self.ivars["istep"] += 1

    def run(self, niter: int, tol: float, tracker: Callable[[Any], None] | None) -> None:
        """Take steps until the pairs are found, or `niter` are taken."""
        while True:
            found = int((self.tvars["rerr"] < tol).sum().item())
            self.ivars["converged_count"] = found
            if tracker is not None:
                tracker(self)
            steps = self.ivars["istep"]
            if found == self.iparams["n"] or steps == niter or self.bvars["force_stop"]:
                return
            self.step()


def by(M: Tensor | None, X: Tensor) -> Tensor:
    """``M @ X``, where `M` may be sparse or left out."""
    return X if M is None else M @ X


class Pairs(dt.autograd.Function):
    """Eigenpairs that were found, as a function of their matrix."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, B: Tensor | None, E: Tensor, X: Tensor) -> tuple[Tensor, ...]:
        """Give the pairs."""
        ctx.plain = B is None
        ctx.save_for_backward(A, E, X)
        return E.clone(), X.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gE: Tensor, gX: Tensor) -> tuple[Tensor | None, ...]:
        """Give the slope by the formulas of a whole decomposition."""
        if not ctx.plain:
            raise ValueError("lobpcg.backward does not support backward with B != I yet.")
        A, E, X = ctx.saved_tensors
        values, vectors = dt.linalg.eigh(A)
        gaps = E - values.unsqueeze(-1)
        near = gaps.abs() <= values.abs().amax() * 1e3 * dt.finfo(values.dtype).eps
        far = dt.where(near, 0.0, 1 / dt.where(near, 1.0, gaps))
        turned = vectors @ (far * (vectors.mH @ gX))
        return (X * gE + turned) @ X.mH, None, None, None


def lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Callable[[Any], None] | None = None,
    ortho_iparams: dict[str, int] | None = None,
    ortho_fparams: dict[str, float] | None = None,
    ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Tensor, Tensor]:
    """The largest or smallest eigenvalues of a symmetric matrix, and their vectors.

    Parameters
    ----------
    A : Tensor
        Shape ``(*, m, m)``; symmetric. One matrix may be sparse.
    k : int, optional
        How many; as many as `X` has columns, or 1.
    B : Tensor, optional
        Positive definite: pairs fulfil ``A @ x = B @ x * e``.
    X : Tensor, optional
        Where to begin, shape ``(*, m, n)`` with `n` not below `k`; random if left out.
    n : int, optional
        The number of random columns; `k` if left out.
    iK : Tensor, optional
        Nearly the inverse of `A`, which makes the search shorter.
    niter : int, optional
        The most steps, 1000 if left out; -1 for any number.
    tol : float, optional
        How exact, relatively; the root of the type's precision if left out.
    largest : bool, optional
        Whether the largest are wanted, the default.
    tracker : callable, optional
        Called with the :class:`~devtensor._lobpcg.LOBPCG` before each step.
    method, ortho_iparams, ortho_fparams, ortho_bparams : optional
        Mean nothing: there is one method, with an orthogonal basis.

    Returns
    -------
    (E, X)
        Shapes ``(*, k)`` and ``(*, m, k)``. The signs of vectors are arbitrary.

    Raises
    ------
    AssertionError
        If `A` is not square.
    ValueError
        If `m` is less than three times `n`.

    Notes
    -----
    There are gradients for dense `A` without `B`; they are those of ``(A + A.mT) / 2``.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.lobpcg(dt.diag(dt.arange(1.0, 10.0)), k=2)[0]
    tensor([9.0000, 8.0000])
    """
    if A.shape[-2] != A.shape[-1]:
        raise AssertionError(f"A must be square, got shape {A.shape}")
    m = A.shape[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if n is None else n) if X is None else X.shape[-1]
    n = max(n, k)
    if m < 3 * n:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than "
            f"3 x the number of requested eigenpairs (={n}); use linalg.eigh"
        )
    slope = dt.is_grad_enabled() and A.requires_grad
    if slope:
        A = (A + A.mT) / 2
    batch = A.shape[:-2]
    operands: list[Any] = [A, B, X, iK]
    found = []
    with dt.no_grad():
        for place in range(batch.numel()):
            matrix, inner, start, inverse = [
                x if x is None or x.is_sparse or not batch
                else x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])[place]
                for x in operands
            ]  # fmt: skip
            if start is None:
                start = dt.randn(m, n, dtype=A.dtype, device=A.device)
            search = LOBPCG(matrix, inner, start, inverse, largest is not False)
            exact = dt.finfo(A.dtype).eps ** 0.5 if tol is None else tol
            search.run(1000 if niter is None else niter, exact, tracker)
            found.append((search.E[:k], search.X[:, :k]))
        E = dt.stack([pair[0] for pair in found]).reshape(*batch, k)
        vectors = dt.stack([pair[1] for pair in found]).reshape(*batch, m, k)
    if slope or (B is not None and B.requires_grad):
        return Pairs.apply(A, B, E, vectors)
    return E, vectors
