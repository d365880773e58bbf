"""RAdam: Adam that waits until it knows the variance."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.ops.optimizer import radam_update
from devtensor.tensor import Tensor

from ._functional import radam
from ._steps import Stepwise, check_betas, check_eps, check_lr, check_not_negative

__all__ = ["RAdam", "radam"]


class RAdam(Stepwise):
    """`Adam` that divides by the root of the squares only when enough of them have been seen.

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

    _formula = radam_update
    _memory = ("exp_avg", "exp_avg_sq")
    _added: ClassVar[dict[str, Any]] = {**Stepwise._added, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
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
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            self._option(group, "lr"), *group["betas"], group["eps"], group["weight_decay"],
            group["decoupled_weight_decay"], group["maximize"],
        )  # fmt: skip
