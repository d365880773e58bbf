"""Adadelta: steps in the units of the parameters."""

from __future__ import annotations

from typing import Any

from devtensor.ops.optimizer import adadelta_update
from devtensor.tensor import Tensor

from ._functional import adadelta
from ._steps import Stepwise, check_eps, check_lr, check_not_negative

__all__ = ["Adadelta", "adadelta"]


class Adadelta(Stepwise):
    """Steps scaled by the ratio of the steps of late to the gradients of late.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        Multiplies each step.
    rho : float
        How much of their old values the running means keep.
    eps : float
        Added under the roots.
    weight_decay : float
        How much of the parameter is added to its gradient.
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

    _formula = adadelta_update
    _memory = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_eps(eps)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        lr = self._option(group, "lr")
        return lr, group["rho"], group["eps"], group["weight_decay"], group["maximize"]
