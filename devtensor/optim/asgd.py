"""ASGD: stochastic gradient descent and the mean of where it has been."""

from __future__ import annotations

from typing import Any

from devtensor.ops.optimizer import asgd_update
from devtensor.tensor import Tensor

from ._functional import asgd
from ._steps import Stepwise, check_lr, check_not_negative, counter, number

__all__ = ["ASGD", "asgd"]


class ASGD(Stepwise):
    """Steps against the gradient that become shorter; keeps the mean of the parameters, too.

    The mean stands in the memory of a parameter as ``"ax"``.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The length of the first step, as a part of the gradient.
    lambd : float
        How fast the parameters and the steps shrink.
    alpha : float
        The power by which the steps do.
    t0 : float
        The step after which the mean is taken.
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

    _formula = asgd_update
    _counters = ("step", "eta", "mu")
    _memory = ("ax",)

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        super()._start(group, p, state)
        state["eta"] = counter(float(group["lr"]))
        state["mu"] = counter(1.0)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            number(group["lr"]), group["lambd"], group["alpha"], group["t0"],
            group["weight_decay"], group["maximize"],
        )  # fmt: skip
