"""Spectral normalization in its older form: a hook divides the weight before each call."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn.parameter import Parameter
from devtensor.nn.utils._hooked import check_new, take_off
from devtensor.tensor import Tensor

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


class SpectralNorm:
    """The hook: makes `name` of the parameter `name_orig` and the buffers `name_u`, `name_v`.

    Attributes
    ----------
    name : str
    n_power_iterations : int
        Steps of the estimate at every call, in training.
    dim : int
        The dimension of the outputs.
    eps : float
        The least length to divide by.
    """

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name, self.n_power_iterations = name, n_power_iterations
        self.dim, self.eps = dim, eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix, a row to each output."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Tensor:
        """The weight of now, after further steps of the estimate if that is asked."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with dt.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.t() @ u, dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix @ v, dim=0, eps=self.eps))
                # Backward reads them after the next call has written over them.
                u, v = u.clone(), v.clone()
        return weight / dt.dot(u, matrix @ v)

    def remove(self, module: Any) -> None:
        """Make the weight of now a parameter."""
        with dt.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        delattr(module, self.name)
        for part in ("_u", "_v", "_orig"):
            delattr(module, self.name + part)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Keep the largest singular value of a weight at 1, by a parameter and buffers of the module.

    Parameters
    ----------
    module : Module
        Whose parameter `name` becomes `name_orig`.
    name : str
    n_power_iterations : int
        Steps of the estimate at every call, in training.
    eps : float
        The least length to divide by.
    dim : int, optional
        The dimension of the outputs; 1 for transposed convolutions, else 0.

    Returns
    -------
    Module
        The same.

    Raises
    ------
    RuntimeError
        If it is done to a parameter twice.
    ValueError
        If the parameter waits for its shape.

    Notes
    -----
    `parametrizations.spectral_norm` is the newer form.
    """
    check_new(module, SpectralNorm, name, "spectral_norm")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    made = SpectralNorm(name, n_power_iterations, dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    matrix = made.reshape_weight_to_matrix(weight.detach())
    u, v = (F.normalize(matrix.new_empty(n).normal_(0, 1), dim=0, eps=eps) for n in matrix.shape)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())  # a plain attribute, made anew before each call
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(made)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make a normalized weight an ordinary parameter again.

    Raises
    ------
    ValueError
        If it was not normalized.
    """
    return take_off(module, SpectralNorm, name, f"spectral_norm of '{name}' not found in {module}")
