"""Adagrad: steps scaled by all gradients so far."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import adagrad_update
from devtensor.tensor import Tensor

from ._functional import adagrad
from ._steps import Stepwise, check_eps, check_lr, check_not_negative, check_ways, counter

__all__ = ["Adagrad", "adagrad"]


class Adagrad(Stepwise):
    """Steps against the gradient, divided by the root of the sum of all its squares so far.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The length of the first step.
    lr_decay : float
        After ``n`` steps the length is divided by ``1 + n * lr_decay``.
    weight_decay : float
        How much of the parameter is added to its gradient.
    initial_accumulator_value : float
        Where the sum begins.
    eps : float
        Added to the root.
    foreach, fused : bool, optional
        Accepted; there is one way to calculate a step here.
    maximize : bool
        Whether to step along the gradient instead of against it.
    differentiable : bool
        Whether gradients flow through the step.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    _formula = adagrad_update
    _memory = ("sum",)
    _sparse = ""
    _added: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "fused": None,
    }

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
        )
        check_eps(eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_ways(fused, foreach, differentiable)
        for group in self.param_groups:
            for p in group["params"]:
                self._start(group, p, self.state[p])

    def share_memory(self) -> None:
        """Let other processes see the sums."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        first = self.defaults["initial_accumulator_value"]
        state["step"] = counter()
        state["sum"] = dt.full_like(p, complex(first, first) if p.dtype.is_complex else first)

    def _scattered(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        lr, lr_decay, eps, weight_decay, maximize = self._options(group)
        if weight_decay != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        state["step"] += 1
        grad = grad.coalesce()
        state["sum"].add_(grad * grad)
        root = state["sum"].sparse_mask(grad).values().sqrt() + eps
        length = lr / (1 + (state["step"].item() - 1) * lr_decay)
        step = dt.sparse_coo_tensor(
            grad.indices(), grad.values() / root, grad.shape, is_coalesced=True
        )
        p.add_(step, alpha=length if maximize else -length)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        lr = self._option(group, "lr")
        return lr, group["lr_decay"], group["eps"], group["weight_decay"], group["maximize"]
