"""SparseAdam: Adam for gradients of few rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

from ._steps import check_betas, number
from .optimizer import Optimizer

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam for sparse gradients: what has no gradient in a step keeps its value and its means.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or groups; dense ones.
    lr : float or Tensor
        The length of a step.
    betas : tuple of float
        How much of the means of gradients and of their squares is kept in a step.
    eps : float
        Added to the root of the mean of squares.
    maximize : bool
        Whether to step along the gradient instead of against it.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        places = [
            [number, place]
            for number, group in enumerate(self.param_groups)
            for place, p in enumerate(group["params"])
            if p.dtype.is_complex
        ]
        if places:
            raise ValueError(
                f"Complex params at indices {places}: SparseAdam does not support complex "
                "parameters"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once, each where its gradient has entries.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, with its gradients, and returns it.

        Raises
        ------
        RuntimeError
            If a gradient is dense.
        """
        loss = None
        if closure is not None:
            with dt.enable_grad():
                loss = closure()
        given = [
            (group, p) for group in self.param_groups for p in group["params"]
            if p.grad is not None
        ]  # fmt: skip
        if any(not p.grad.is_sparse for _, p in given):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        with dt.no_grad():
            for group, p in given:
                self._step(group, p, p.grad.coalesce())
        return loss

    def _step(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        """Change a parameter and its means where its gradient has entries."""
        state = self.state[p]
        if not state:
            state.update(step=0, exp_avg=dt.zeros_like(p), exp_avg_sq=dt.zeros_like(p))
        state["step"] += 1
        if not grad._nnz():
            return
        g = -grad.values() if group["maximize"] else grad.values()
        means = []
        for name, beta, new in zip(("exp_avg", "exp_avg_sq"), group["betas"], (g, g * g),
                                   strict=True):  # fmt: skip
            old = state[name].sparse_mask(grad).values()
            change = (new - old) * (1 - beta)
            state[name].add_(at(grad, change))
            means.append(old + change)
        first, second = [1 - beta ** state["step"] for beta in group["betas"]]
        length = number(group["lr"]) * second**0.5 / first
        p.add_(at(grad, means[0] / (means[1].sqrt() + group["eps"])), alpha=-length)


def at(grad: Any, values: Tensor) -> Any:
    """Values where a gradient has entries."""
    return dt.sparse_coo_tensor(grad.indices(), values, grad.shape, is_coalesced=True)
