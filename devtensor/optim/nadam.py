"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.ops.optimizer import nadam_update
from devtensor.tensor import Tensor

from ._functional import nadam
from ._steps import Stepwise, check_betas, check_eps, check_lr, check_not_negative, counter

__all__ = ["NAdam", "nadam"]


class NAdam(Stepwise):
    """`Adam` with a momentum that looks ahead, and that grows with the number of steps.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        About the length of a step.
    betas : tuple of two floats
        How much of its old value each running mean keeps.
    eps : float
        Added to the root.
    weight_decay : float
        How much of the parameter is added to its gradient.
    momentum_decay : float
        How fast the momentum grows.
    decoupled_weight_decay : bool
        Whether the parameter itself is shrunk instead.
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

    _formula = nadam_update
    _memory = ("exp_avg", "exp_avg_sq")
    _counters = ("step", "mu_product")
    _added: ClassVar[dict[str, Any]] = {**Stepwise._added, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        super()._start(group, p, state)
        state["mu_product"] = counter(1.0)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            self._option(group, "lr"), *group["betas"], group["eps"], group["weight_decay"],
            group["momentum_decay"], group["decoupled_weight_decay"], group["maximize"],
        )  # fmt: skip
