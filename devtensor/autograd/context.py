"""What `forward`, `backward` and `jvp` of a user's `Function` share: its `ctx`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from devtensor.autograd.view import requires_grad
from devtensor.tensor import Tensor

if TYPE_CHECKING:
    from devtensor.autograd.functionnode import FunctionNode

FORTH: ContextVar[bool] = ContextVar("forth", default=False)
"""Whether the way back is walked to be differentiated itself, as the forward mode does."""


class FunctionCtx:
    """What `forward` and `backward` of a `Function` share: the `ctx`."""

    def __init__(self) -> None:
        self.to_save: tuple[Any, ...] = ()
        self.for_jvp: tuple[Any, ...] | None = None
        self.dirty: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()
        self.materialize_grads = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for `backward`, which finds them in ``ctx.saved_tensors``.

        Raises
        ------
        TypeError
            If one is neither a tensor nor None.
        """
        check_saved("save_for_backward", tensors)
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`, which finds them in ``ctx.saved_tensors``.

        Raises
        ------
        TypeError
            If one is neither a tensor nor None.
        """
        check_saved("save_for_forward", tensors)
        self.for_jvp = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Say which inputs `forward` has written in place; it must return them."""
        self.dirty = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros for outputs without a gradient, instead of None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, as long as the graph is not freed."""
        return self.node().open(FORTH.get())

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """What was saved, by a name of old."""
        text = "'saved_variables' is deprecated; use 'saved_tensors'"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    node: Callable[[], FunctionNode]
    dtypes: list[Any]
    kinds: list[Any]
    writes: bool

    def name(self) -> str:
        """The name of the node."""
        return self.node().name()

    @property
    def next_functions(self) -> Any:
        """The edges of the node."""
        return self.node().next_functions

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for users."""
        return self.node().metadata


def check_saved(name: str, tensors: tuple[Any, ...]) -> None:
    """Raise TypeError unless all are tensors or None."""
    for number, x in enumerate(tensors):
        if x is not None and not isinstance(x, Tensor):
            raise TypeError(
                f"{name} can only save variables, but argument {number} is of type "
                f"{type(x).__name__}"
            )


def check_dirty(dirty: tuple[Any, ...], args: tuple[Any, ...], outputs: list[Any]) -> None:
    """Warn of what was marked as written and is no input; raise RuntimeError for views."""
    if not all(any(x is a for a in args) for x in dirty):
        warnings.warn(
            "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
            "have been mutated should be passed to ctx.mark_dirty().",
            UserWarning,
            stacklevel=4,
        )
    if any(x._is_view() and requires_grad(x) for x in dirty) and len(outputs) > 1:
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your "
            "Function cannot return more than one Tensor. Either .clone() the input, or make two "
            "Functions of it: one that writes, and one that does the rest"
        )
