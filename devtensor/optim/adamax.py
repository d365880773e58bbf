"""Adamax: Adam by the largest gradient."""

from __future__ import annotations

from typing import Any

from devtensor.ops.optimizer import adamax_update
from devtensor.tensor import Tensor

from ._functional import adamax
from ._steps import Stepwise, check_betas, check_eps, check_lr, check_not_negative

__all__ = ["Adamax", "adamax"]


class Adamax(Stepwise):
    """Steps along a running mean of the gradients, divided by the largest of late.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        About the length of a step.
    betas : tuple of two floats
        How much of its old value the mean keeps, and the largest.
    eps : float
        Added to the size of each gradient.
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

    _formula = adamax_update
    _memory = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        lr = self._option(group, "lr")
        return lr, *group["betas"], group["eps"], group["weight_decay"], group["maximize"]
