"""L-BFGS: Newton's method with a curvature known from the last steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

from ._line_search import strong_wolfe
from ._steps import check_lr, number
from .optimizer import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Steps along the gradient, turned and scaled by the curvature that past steps have shown.

    One call of `step` makes up to `max_iter` steps, and needs a closure that computes the loss. It
    keeps ``2 * history_size`` copies of all parameters. There can be one group only.

    Parameters
    ----------
    params : iterable
        Parameters.
    lr : float or Tensor
        The length of a step, relative to what the curvature says.
    max_iter : int
        Steps in a call of `step`.
    max_eval : int, optional
        Calls of the closure in it; 1.25 times `max_iter` if not given.
    tolerance_grad : float
        When no element of the gradient is larger, it is done.
    tolerance_change : float
        When neither the loss nor any parameter changes by more, it is done.
    history_size : int
        How many past steps count.
    line_search_fn : str, optional
        ``"strong_wolfe"`` to search for the length of every step.

    Raises
    ------
    ValueError
        If `lr` is negative, or there are several groups.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to `max_iter` steps.

        Parameters
        ----------
        closure : callable
            Computes the loss anew, with its gradients, and returns it.

        Returns
        -------
        The loss before the first step.
        """
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        with dt.no_grad():
            return Search(self, closure).run()


class Search:
    """One call of `LBFGS.step`."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.options = optimizer.param_groups[0]
        self.params = self.options["params"]
        self.state = optimizer.state[self.params[0]]
        self.closure = closure
        self.evaluations = 0

    # ---- parameters and gradients as one vector

    def gradient(self) -> Tensor:
        """The gradients of all parameters as a vector."""
        parts = []
        for p in self.params:
            part = dt.zeros_like(p) if p.grad is None else p.grad
            parts.append(real(part.to_dense()).reshape(-1))
        joined: Tensor = dt.cat(parts)
        return joined

    def move(self, length: Any, direction: Tensor) -> None:
        """Add a part of a vector to the parameters."""
        start = 0
        for p in self.params:
            view = real(p)
            count = view.numel()
            view.add_(direction[start : start + count].view(view.shape), alpha=number(length))
            start += count

    def evaluate(self) -> Any:
        """The loss where the parameters are now; it leaves the gradients there."""
        self.evaluations += 1
        self.state["func_evals"] += 1
        with dt.enable_grad():
            return self.closure()

    def look(self, length: Any, direction: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient a part of a vector away; the parameters stay where they are."""
        places = [p.clone() for p in self.params]
        self.move(length, direction)
        loss = float(self.evaluate())
        found = self.gradient()
        for p, place in zip(self.params, places, strict=True):
            p.copy_(place)
        return loss, found

    # ---- the steps

    def run(self) -> Any:
        """Step until something says that it is enough; return the loss at the beginning."""
        state, options = self.state, self.options
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = self.evaluate()
        loss, gradient = float(first), self.gradient()
        if self.flat(gradient):
            return first
        lr = number(options["lr"])
        past = state.get("prev_flat_grad")
        direction, length = state.get("d"), state.get("t")
        before = state.get("prev_loss")
        for left in range(options["max_iter"] - 1, -1, -1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = gradient.neg()
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
                length = min(1.0, 1.0 / gradient.abs().sum().item()) * lr
            else:
                direction = self.turned(gradient, past, direction.mul(number(length)))
                length = lr
            past = gradient.clone() if past is None else past.copy_(gradient)
            before = loss
            slope = gradient.dot(direction).item()
            if slope > -options["tolerance_change"]:
                break
            if options["line_search_fn"] is not None:
                loss, gradient, length = self.searched(loss, gradient, length, direction, slope)
                self.move(length, direction)
                done = self.flat(gradient)
            else:
                self.move(length, direction)
                done = False
                if left:
                    loss = float(self.evaluate())
                    gradient = self.gradient()
                    done = self.flat(gradient)
            change = options["tolerance_change"]
            if (
                not left
                or self.evaluations >= options["max_eval"]
                or done
                or largest(direction) * abs(length) <= change
                or abs(loss - before) < change
            ):
                break
        state.update(d=direction, t=length, prev_flat_grad=past, prev_loss=before)
        return first

    def flat(self, gradient: Tensor) -> bool:
        """Whether the gradient is as small as it need be."""
        return bool(largest(gradient) <= self.options["tolerance_grad"])

    def turned(self, gradient: Tensor, past: Tensor, step: Tensor) -> Tensor:
        """The direction of the next step, after `step` has led from one gradient to the next."""
        state, size = self.state, self.options["history_size"]
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        change = gradient.sub(past)
        curvature = change.dot(step)
        if curvature > 1e-10:
            if len(changes) == size:
                for kept in (changes, steps, ro):
                    del kept[0]
            changes.append(change)
            steps.append(step)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        shares = state.setdefault("al", [None] * size)
        direction = gradient.neg()
        for i in range(len(changes) - 1, -1, -1):
            shares[i] = steps[i].dot(direction) * ro[i]
            direction.sub_(changes[i] * shares[i])
        direction = direction * state["H_diag"]
        for i in range(len(changes)):
            direction.add_(steps[i] * (shares[i] - changes[i].dot(direction) * ro[i]))
        return direction

    def searched(
        self, loss: float, gradient: Tensor, length: Any, direction: Tensor, slope: float
    ) -> tuple[float, Tensor, float]:
        """Loss, gradient and length of the step that the line search finds."""
        if self.options["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        return strong_wolfe(
            lambda length: self.look(length, direction),
            direction,
            float(length),
            loss,
            gradient,
            slope,
            tolerance_change=self.options["tolerance_change"],
            max_evaluations=self.options["max_eval"] - self.evaluations,
        )


def real(x: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, over the same memory; other tensors as they are."""
    pairs: Tensor = dt.view_as_real(x) if x.dtype.is_complex else x
    return pairs


def largest(x: Tensor) -> float:
    """The size of the largest element."""
    size: float = x.abs().max().item()
    return size
