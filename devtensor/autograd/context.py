"""What `forward`, `backward` and `jvp` of a user's `Function` share: its `ctx`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

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
