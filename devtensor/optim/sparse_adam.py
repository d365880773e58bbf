"""SparseAdam: Adam for gradients of few rows."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

from ._steps import check_betas, number
from .optimizer import Optimizer

__all__ = ["SparseAdam", "sparse_adam"]


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
        for word, kind, why in (
            ("Sparse", "is_sparse", "requires dense parameter tensors"),
            ("Complex", "dtype.is_complex", "does not support complex parameters"),
        ):
            places = [
                [number, place]
                for number, group in enumerate(self.param_groups)
                for place, p in enumerate(group["params"])
                if attrgetter(kind)(p)
            ]
            if places:
                raise ValueError(f"{word} params at indices {places}: SparseAdam {why}")

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
        beta1, beta2 = group["betas"]
        sparse_adam(
            [p], [grad], [state["exp_avg"]], [state["exp_avg_sq"]], [state["step"]],
            eps=group["eps"], beta1=beta1, beta2=beta2, lr=number(group["lr"]),
            maximize=group["maximize"],
        )  # fmt: skip


def sparse_adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[int],
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    maximize: bool,
) -> None:
    """Change parameters and their means where the gradients have entries.

    Parameters
    ----------
    params, grads, exp_avgs, exp_avg_sqs : list of Tensor
        What is stepped, its sparse gradients, and the means of them and of their squares.
    state_steps : list of int
        Which step it is of each.
    eps, beta1, beta2, lr, maximize
        As of `SparseAdam`.
    """
    steps = zip(params, grads, exp_avgs, exp_avg_sqs, state_steps, strict=True)
    for p, grad, mean, square, count in steps:
        grad = grad.coalesce()
        if not grad._nnz():
            continue
        g = -grad.values() if maximize else grad.values()
        means = []
        for kept, beta, new in ((mean, beta1, g), (square, beta2, g * g)):
            old = kept.sparse_mask(grad).values()
            change = (new - old) * (1 - beta)
            kept.add_(at(grad, change))
            means.append(old + change)
        length = lr * (1 - beta2**count) ** 0.5 / (1 - beta1**count)
        p.add_(at(grad, means[0] / (means[1].sqrt() + eps)), alpha=-length)


def at(grad: Any, values: Tensor) -> Any:
    """Values where a gradient has entries."""
    return dt.sparse_coo_tensor(grad.indices(), values, grad.shape, is_coalesced=True)
