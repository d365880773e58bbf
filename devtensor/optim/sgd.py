"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import sgd_update
from devtensor.tensor import Tensor

from ._functional import sgd
from ._steps import Stepwise, check_ways

__all__ = ["SGD", "sgd"]


class SGD(Stepwise):
    """Steps against the gradient, with momentum if wanted.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The length of a step, as a part of the gradient.
    momentum : float
        How much of the last step is taken again.
    dampening : float
        How much of the gradient the momentum leaves out.
    weight_decay : float or Tensor
        How much of the parameter is added to its gradient.
    nesterov : bool
        Whether the gradient counts as that at the place where the momentum leads.
    maximize : bool
        Whether to step along the gradient instead.
    foreach, fused : bool, optional
        Accepted; there is one way to calculate a step here.
    differentiable : bool
        Whether gradients flow through the step.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    _formula = sgd_update
    _sparse = ""
    _counters: ClassVar[tuple[str, ...]] = ()
    _added: ClassVar[dict[str, Any]] = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_ways(fused, foreach, differentiable)

    def _step_group(self, group: dict[str, Any]) -> None:
        update = self._update(group, 1)
        lr, decay = self._option(group, "lr"), self._option(group, "weight_decay")
        momentum, dampening = group["momentum"], group["dampening"]
        nesterov, maximize = group["nesterov"], group["maximize"]
        buffer: Tensor | None = None
        damped = dampening
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            if grad.is_sparse:
                if not (momentum or decay):
                    p.add_(grad, alpha=lr if maximize else -lr)
                    continue
                grad = grad.to_dense()
            if momentum != 0:
                state = self.state[p]
                buffer, damped = state.get("momentum_buffer"), dampening
                if buffer is None:
                    # The first gradient counts in full.
                    buffer, damped = dt.zeros_like(p), 0.0
                    state["momentum_buffer"] = buffer
            update(p, grad, buffer, lr, decay, momentum, damped, nesterov, maximize)
