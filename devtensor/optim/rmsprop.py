"""RMSprop: steps scaled by the gradients of late."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import rmsprop_update
from devtensor.tensor import Tensor

from ._functional import rmsprop
from ._steps import Stepwise, check_eps, check_lr, check_not_negative

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(Stepwise):
    """Steps against the gradient, divided by the root of a running mean of its square.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        About the length of a step.
    alpha : float
        How much of its old value the mean keeps.
    eps : float
        Added to the root.
    weight_decay : float
        How much of the parameter is added to its gradient.
    momentum : float
        How much of the last step is taken again.
    centered : bool
        Whether to divide by the deviation of the gradient instead.
    maximize : bool
        Whether to step along the gradient instead of against it.
    foreach, capturable : bool, optional
        Accepted; there is one way to calculate a step here.
    differentiable : bool
        Whether gradients flow through the step.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    _formula = rmsprop_update
    _memory = ("square_avg",)
    _added: ClassVar[dict[str, Any]] = {**Stepwise._added, "momentum": 0, "centered": False}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_not_negative(momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        super()._start(group, p, state)
        if group["momentum"] > 0:
            state["momentum_buffer"] = dt.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = dt.zeros_like(p)

    def _names(self, group: dict[str, Any]) -> tuple[str | None, ...]:
        mean = "grad_avg" if group["centered"] else None
        buffer = "momentum_buffer" if group["momentum"] > 0 else None
        return "square_avg", mean, buffer, "step"

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            self._option(group, "lr"), group["alpha"], group["eps"], group["weight_decay"],
            group["momentum"], group["maximize"],
        )  # fmt: skip
