"""What the optimizers share that change one parameter after the other by a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import devtensor as dt
from devtensor.tensor import Tensor

from .optimizer import Optimizer

__all__ = [
    "Stepwise",
    "check_betas",
    "check_eps",
    "check_lr",
    "check_not_negative",
    "check_ways",
    "counter",
    "number",
    "scalar",
]


def number(value: Any) -> Any:
    """An option as a number, if it is a tensor with one element."""
    return value.item() if isinstance(value, Tensor) else value


def scalar(value: Any) -> Any:
    """An option without dimensions, if it is a tensor."""
    return value.squeeze() if isinstance(value, Tensor) and value.ndim else value


def check_lr(lr: Any, text: str = "Invalid learning rate: {}") -> None:
    """Raise ValueError unless `lr` is a number from 0 on, or a tensor with one such element."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(text.format(lr))


def check_not_negative(**options: Any) -> None:
    """Raise ValueError unless all are numbers from 0 on."""
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {name} value: {value}")


def check_eps(eps: Any) -> None:
    """Raise ValueError unless `eps` is a number from 0 on."""
    if not eps >= 0.0:
        raise ValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas: Any) -> None:
    """Raise ValueError unless both are from 0 up to, not including, 1."""
    for place in (0, 1):
        if not 0.0 <= betas[place] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {place}: {betas[place]}")


def check_ways(fused: Any, foreach: Any, differentiable: Any) -> None:
    """Raise RuntimeError if options exclude each other.

    There is one way to calculate a step here, so that `foreach`, `fused` and `capturable` change
    nothing else.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def counter(value: float = 0.0) -> Tensor:
    """A number that an optimizer remembers, on the host."""
    double = dt.get_default_dtype() is dt.float64
    made: Tensor = dt.tensor(value, dtype=dt.float64 if double else dt.float32, device="cpu")
    return made


def recorded(formula: Any, memory: int) -> Callable[..., None]:
    """`formula` with history, for `differentiable`: gradients flow through the step.

    It works on copies of what it then writes to, as their old values may be needed on the way back.
    """

    def update(param: Tensor, grad: Tensor, *args: Any) -> None:
        written = (param, *args[:memory])
        old = [None if x is None else x.clone() for x in written]
        new = formula.kernel(dt, old[0], grad, *old[1:], *args[memory:])
        for target, value in zip(written, new, strict=True):
            if target is not None:
                target.copy_(value)

    return update


class Stepwise(Optimizer):
    """An optimizer whose step is a formula, applied to each parameter that has a gradient.

    A subclass names the formula, what it keeps of a parameter, and in `_options` the formula's
    options.
    """

    _formula: ClassVar[Any]
    """The operation in `devtensor.ops.optimizer`."""
    _memory: ClassVar[tuple[str, ...]] = ()
    """What is kept of a parameter, as zeros at first."""
    _counters: ClassVar[tuple[str, ...]] = ("step",)
    """Which numbers are kept of a parameter, as tensors without dimensions."""
    _added: ClassVar[dict[str, Any]] = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
    }
    """Options that groups saved by older versions may lack."""
    _sparse: ClassVar[str] = "{} does not support sparse gradients"
    """Why a sparse gradient is refused; nothing if it is not."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._added.items():
                group.setdefault(name, value)
            for p in group["params"]:
                kept = self.state.get(p, {})
                for name in self._counters:
                    if name in kept and not isinstance(kept[name], Tensor):
                        kept[name] = counter(float(kept[name]))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once, each by its gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, with its gradients, and returns it.

        Returns
        -------
        The result of the closure; None without one.
        """
        loss = None
        if closure is not None:
            with dt.enable_grad():
                loss = closure()
        if self._sparse:
            self._refuse_sparse()
        with dt.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _refuse_sparse(self) -> None:
        """Raise RuntimeError if a gradient is sparse."""
        for group in self.param_groups:
            for p in group["params"]:
                if (grad := p.grad) is not None and grad.is_sparse:
                    raise RuntimeError(self._sparse.format(type(self).__name__))

    def _scattered(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        """Change a parameter by a sparse gradient."""
        raise NotImplementedError

    def _step_group(self, group: dict[str, Any]) -> None:
        """Change the parameters of one group."""
        names, options = self._names(group), self._options(group)
        update, memory = self._update(group, len(names)), self.state
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            state = memory[p]
            if not state:
                self._start(group, p, state)
            if grad.is_sparse:
                self._scattered(group, p, grad, state)
                continue
            kept = self._recall(state, names)
            update(p, grad, *kept, *options)

    def _start(self, group: dict[str, Any], p: Tensor, state: dict[str, Any]) -> None:
        """Begin the memory of a parameter."""
        for name in self._counters:
            state[name] = counter()
        for name in self._memory:
            state[name] = dt.zeros_like(p)

    def _names(self, group: dict[str, Any]) -> tuple[str | None, ...]:
        """What the formula takes of the memory, in its order; None for what is not used."""
        return (*self._memory, *self._counters)

    def _recall(self, state: dict[str, Any], names: tuple[str | None, ...]) -> list[Any]:
        """What is kept of a parameter under these names."""
        return [state[name] if name else None for name in names]

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The options of the formula, in its order."""
        raise NotImplementedError

    def _update(self, group: dict[str, Any], memory: int) -> Any:
        """The formula as this group wants it."""
        formula = type(self)._formula
        return recorded(formula, memory) if group.get("differentiable") else formula

    def _option(self, group: dict[str, Any], name: str) -> Any:
        """An option that may be a tensor; a number, unless gradients flow through the step."""
        value = group[name]
        if not isinstance(value, Tensor):
            return value
        return scalar(value) if group.get("differentiable") else value.item()
