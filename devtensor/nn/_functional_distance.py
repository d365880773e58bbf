"""Functions of distances and directions, written with other functions."""

from __future__ import annotations

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "cosine_similarity",
    "gumbel_softmax",
    "normalize",
    "pairwise_distance",
    "pdist",
]


def length(x: Tensor, p: float, dim: int, keepdim: bool = False) -> Tensor:
    """The p-norm along a dimension."""
    norm: Tensor = dt.linalg.vector_norm(x, p, dim=dim, keepdim=keepdim)
    return norm


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the p-norm along `dim`, so that it becomes 1.

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        Which norm.
    dim : int
        The dimension along which the norm is taken.
    eps : float
        The least number to divide by.
    """
    size = length(input, p, dim, keepdim=True).clamp(min=eps).expand_as(input)
    result: Tensor = dt.div(input, size, out=out)
    return result


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Give the cosine of the angle between `x1` and `x2` along `dim`; the shapes broadcast."""
    if not (x1.is_floating_point() and x2.is_floating_point()):
        raise RuntimeError(
            "expected common dtype to be floating point, yet common dtype is "
            f"{dt.promote_types(x1.dtype, x2.dtype)}; write x.float()"
        )
    x1, x2 = dt.broadcast_tensors(x1, x2)
    one = x1 / length(x1, 2, dim, keepdim=True).clamp(min=eps)
    two = x2 / length(x2, 2, dim, keepdim=True).clamp(min=eps)
    return (one * two).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Give the p-norm of `x1 - x2 + eps` along the last dimension."""
    return length(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """Give the p-norm distances of all pairs of rows: shape (n * (n - 1) / 2,)."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.is_floating_point():
        raise RuntimeError(
            f"pdist only supports floating-point dtypes, got {input.dtype}; use .float()"
        )
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows, columns = dt.triu_indices(input.shape[0], input.shape[0], 1, device=input.device)
    return length(input.index_select(0, rows) - input.index_select(0, columns), p, -1)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Draw from a relaxed categorical distribution.

    Parameters
    ----------
    logits : Tensor
        Unnormalised log-probabilities.
    tau : float
        The temperature.
    hard : bool
        Return one-hot draws, whose gradient is that of the soft ones.
    dim : int
        The dimension of the categories.
    """
    gumbels = -dt.empty_like(logits).exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    sharp = dt.zeros_like(logits).scatter(dim, index, 1.0)
    return sharp - soft.detach() + soft
