"""Muon: momentum made orthogonal."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import muon_update
from devtensor.tensor import Tensor

from ._functional import muon
from ._steps import Stepwise, check_lr, number

__all__ = ["Muon", "muon"]


class Muon(Stepwise):
    """Steps along a matrix that is nearly orthogonal and near the momentum of a matrix.

    It is for the hidden matrices of a network; vectors, embeddings and the last layer are better
    left to `AdamW`. The iteration calculates in the dtype of the parameter (PyTorch: in bfloat16).

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The length of a step.
    weight_decay : float
        Every step multiplies a parameter by ``1 - lr * weight_decay``.
    momentum : float
        How much of its old value the running mean of the gradients keeps.
    nesterov : bool
        Whether to look ahead along the mean.
    ns_coefficients : tuple of three floats
        Coefficients of the iteration's polynomial.
    eps : float
        The smallest norm that a matrix is divided by.
    ns_steps : int
        How often to iterate.
    adjust_lr_fn : str, optional
        How the length depends on the shape: ``"original"`` or ``"match_rms_adamw"``.

    Raises
    ------
    ValueError
        If an option is out of its range or a parameter is no matrix.
    """

    _formula = muon_update
    _counters = ()
    _memory = ("momentum_buffer",)
    _added: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}"
                    )

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        if p.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        state["momentum_buffer"] = dt.zeros_like(p)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        if group["ns_steps"] >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        return (
            number(group["lr"]), group["weight_decay"], group["momentum"], group["nesterov"],
            tuple(group["ns_coefficients"]), group["eps"], group["ns_steps"],
            group["adjust_lr_fn"],
        )  # fmt: skip
