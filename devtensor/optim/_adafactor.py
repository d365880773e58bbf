"""Adafactor: Adam's scaling from the means of rows and columns."""

from __future__ import annotations

from typing import Any, ClassVar

import devtensor as dt
from devtensor.ops.optimizer import adafactor_update
from devtensor.tensor import Tensor

from ._functional import adafactor
from ._steps import Stepwise, check_lr, counter, number

__all__ = ["Adafactor", "adafactor"]


class Adafactor(Stepwise):
    """Steps scaled by the squares of the gradients, of which a matrix keeps two vectors only.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups.
    lr : float or Tensor
        The largest step, relative to the parameter.
    beta2_decay : float
        The power of the number of steps with which the means become slower.
    eps : tuple of two floats
        The smallest mean (None is that of the dtype), and the smallest size of a parameter.
    d : float
        Above this root mean square an update is cut down to it.
    weight_decay : float
        Every step multiplies a parameter by ``1 - lr * weight_decay``.
    foreach : bool, optional
        Accepted; there is one way to calculate a step here.
    maximize : bool
        Whether to step along the gradient instead of against it.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    _formula = adafactor_update
    _added: ClassVar[dict[str, Any]] = {"foreach": None}

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        if p.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        state["step"] = counter()
        if p.ndim > 1:
            *batch, rows, columns = p.shape
            state["row_var"] = dt.zeros(*batch, rows, 1, dtype=p.dtype, device=p.device)
            state["col_var"] = dt.zeros(*batch, 1, columns, dtype=p.dtype, device=p.device)
        else:
            state["variance"] = dt.zeros_like(p)

    def _names(self, group: dict[str, Any]) -> tuple[str | None, ...]:
        return "row_var", "col_var", "variance", "step"

    def _recall(self, state: dict[str, Any], names: tuple[str | None, ...]) -> list[Any]:
        return [state.get(name or "") for name in names]  # of vectors another than of matrices

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            number(group["lr"]), group["beta2_decay"], *group["eps"], group["d"],
            group["weight_decay"], group["maximize"],
        )  # fmt: skip
