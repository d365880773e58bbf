"""Orthogonal weights, weight normalization and spectral normalization."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn.module import Module
from devtensor.nn.utils._orthogonal import orthogonal
from devtensor.nn.utils.parametrize import register_parametrization
from devtensor.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The norm over all dimensions but one."""
    if dim is None:
        return dt.linalg.vector_norm(v)
    others = [i for i in range(v.ndim) if i != dim % v.ndim]
    norm: Tensor = dt.linalg.vector_norm(v, dim=others, keepdim=True) if others else v.abs()
    return norm


class _WeightNorm(Module):
    """Makes a weight of its length `original0` and its direction `original1`."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        return direction * (length / norm_except(direction, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Split a weight into length and direction."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn the length and the direction of a weight apart.

    Parameters
    ----------
    module : Module
        Whose parameter `name` is replaced.
    dim : int, optional
        Every slice along it has a length of its own; None for one length in all.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    """Divides a weight by an estimate of its largest singular value."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, "
                f"but got n_power_iterations={n_power_iterations}"
            )
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}] but got "
                f"{dim}): spectral_norm's dim, for a weight of shape {list(weight.shape)}"
            )
        self.dim = dim % ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            with dt.no_grad():
                matrix = self._matrix(weight)
                rows, columns = matrix.shape
                place: dict[str, Any] = {"dtype": weight.dtype, "device": weight.device}
                self.register_buffer("_u", F.normalize(dt.randn(rows, **place), dim=0, eps=eps))
                self.register_buffer("_v", F.normalize(dt.randn(columns, **place), dim=0, eps=eps))
                self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: Tensor, count: int) -> None:
        with dt.no_grad():
            for _ in range(count):
                self._u.copy_(F.normalize(dt.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(dt.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # Copies: the next step writes to the buffers before this one's backward may have run.
        u, v = self._u.clone(), self._v.clone()
        return weight / dt.dot(u, dt.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Take the value as it is."""
        return value


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Keep the largest singular value of a weight at 1.

    Parameters
    ----------
    module : Module
        Whose parameter `name` is replaced.
    n_power_iterations : int
        Steps of the estimate at every call, in training.
    eps : float
        The least length to divide by.
    dim : int, optional
        The dimension of the outputs; 1 for transposed convolutions, else 0.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, dim, eps)
    )
