"""Adam: steps scaled by means of the gradient and of its square."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import adam_update
from devtensor.tensor import Tensor

from ._functional import adam
from ._steps import (
    Stepwise,
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    check_ways,
    scalar,
)

__all__ = ["Adam", "AdamW", "adam"]


def check_kinds(lr: Any, betas: Any, foreach: bool | None, capturable: bool) -> None:
    """Raise ValueError for tensors among the options where PyTorch takes none."""
    strict = foreach and not capturable
    if isinstance(lr, Tensor) and strict:
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
    check_lr(lr)
    check_betas(betas)
    if not (
        (isinstance(betas[0], float) and isinstance(betas[1], float))
        or (isinstance(betas[0], Tensor) and isinstance(betas[1], Tensor))
    ):
        raise ValueError("betas must be either both floats or both Tensors")
    for place, beta in enumerate(betas):
        if isinstance(beta, Tensor):
            if strict:
                raise ValueError(
                    f"betas[{place}] as a Tensor is not supported for capturable=False and "
                    "foreach=True"
                )
            if beta.numel() != 1:
                raise ValueError(f"Tensor betas[{place}] must be 1-element")


class Adam(Stepwise):
    """Steps along a running mean of the gradients, divided by the root of that of their squares.

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
    amsgrad : bool
        Whether to divide by the largest mean of the squares so far.
    maximize : bool
        Whether to step along the gradient instead of against it.
    foreach, fused, capturable : bool, optional
        Accepted; there is one way to calculate a step here.
    differentiable : bool
        Whether gradients flow through the step.
    decoupled_weight_decay : bool
        Whether the parameter itself is shrunk instead, as in AdamW.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    _formula = adam_update
    _memory = ("exp_avg", "exp_avg_sq")
    _sparse = "Adam does not support sparse gradients, please consider SparseAdam instead"
    _added: ClassVar[dict[str, Any]] = {
        **Stepwise._added,
        "amsgrad": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_kinds(lr, betas, foreach, capturable)
        check_eps(eps)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": tuple(map(scalar, betas)),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_ways(fused, foreach, differentiable)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        super()._start(group, p, state)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = dt.zeros_like(p)

    def _names(self, group: dict[str, Any]) -> tuple[str | None, ...]:
        most = "max_exp_avg_sq" if group["amsgrad"] else None
        return "exp_avg", "exp_avg_sq", most, "step"

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        betas = group["betas"]
        if not group["differentiable"]:
            betas = map(float, betas)
        decay = self._option(group, "weight_decay")
        return (
            self._option(group, "lr"), *betas, group["eps"], decay,
            group["decoupled_weight_decay"], group["maximize"],
        )  # fmt: skip


class AdamW(Adam):
    """`Adam` that shrinks the parameters instead of adding their decay to the gradients.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr, betas, eps, amsgrad, maximize, foreach, capturable, differentiable, fused
        As for `Adam`.
    weight_decay : float
        Every step multiplies a parameter by ``1 - lr * weight_decay``.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
