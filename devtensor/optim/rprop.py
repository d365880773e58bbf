"""Rprop: steps by the signs of the gradients."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.ops.optimizer import rprop_update
from devtensor.tensor import Tensor

from ._functional import rprop
from ._steps import Stepwise, check_lr

__all__ = ["Rprop", "rprop"]


class Rprop(Stepwise):
    """Steps whose length grows while the sign of the gradient stays, and shrinks when it turns.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The length of the first step.
    etas : tuple of two floats
        By what the length shrinks, and by what it grows.
    step_sizes : tuple of two floats
        The smallest and the largest length.
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

    _formula = rprop_update
    _memory = ("prev",)

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        super()._start(group, p, state)
        lr = float(group["lr"])
        state["step_size"] = dt.full_like(p, complex(lr, lr) if p.dtype.is_complex else lr)

    def _names(self, group: dict[str, Any]) -> tuple[str | None, ...]:
        return "prev", "step_size", "step"

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return *group["etas"], *group["step_sizes"], group["maximize"]
