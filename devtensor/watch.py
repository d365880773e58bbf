"""Blocks that are told of every launch, or asked, those of the way back among them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from devtensor.autograd.engine import running
from devtensor.autograd.mode import Block, Mode, current
from devtensor.autograd.node import Node

__all__ = ["Beneath", "Watch", "servers", "step", "through"]


class Watch(Block):
    """A block whose `add` is called after each launch within it.

    While one is open, rules of the way back run on tensors, so that what they compute is a launch,
    too. A subclass of the kind ``"ledger"`` does not ask for that.
    """

    kind = "watch"

    def __init__(self) -> None:
        super().__init__(None)

    def __enter__(self) -> Any:
        self._open(sys._getframe(1))
        return self

    def _open(self, frame: FrameType) -> None:
        self._value = self  # only while its entry is made, so that it holds no cycle
        super()._open(frame)
        self._value = None

    def add(
        self, op: Any, inputs: Any, params: Any, outs: Any, node: Any, mode: Mode,
        written: bool = False,
    ) -> None:  # fmt: skip
        """Be told of a launch.

        Parameters
        ----------
        op : Op
        inputs : list of Tensor or None
            What the kernel got, the star's spread out.
        params : dict
        outs : Tensor or list of Tensor
        node : Node or None
            The launch in the graph, if it was recorded.
        mode : Mode
        written : bool
            Whether the result was written over the first input.
        """

    def writes(self, target: Any) -> None:
        """Be told that the memory of a tensor is about to be written."""

    def add_function(self, cls: Any, outs: Any, node: Any, mode: Mode) -> None:
        """Be told of a call of a user's `Function`."""

    def call_custom(self, name: str, args: Any, kwargs: Any, call: Callable[[], Any]) -> Any:
        """Make a call of a user's own operator, whose qualified name and arguments are told."""
        return call()


class Beneath(Block):
    """A block in which the innermost mode of launches is not asked, and nobody is told of them."""

    kind = "dispatch"

    def __init__(self) -> None:
        super().__init__(None)


def servers() -> tuple[Any, ...]:
    """Who is asked what launches do, the outermost first."""
    return current().servers


def step() -> Node | None:
    """The node whose step of the way back is under way in this thread; None outside of one."""
    walk = running()
    return walk.node if walk is not None else None


def through(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call an operator of a user's own, through all who watch."""
    call = partial(function, *args, **kwargs)
    for book in current().ledgers:
        if isinstance(book, Watch):
            call = partial(book.call_custom, name, args, kwargs, call)
    return call()
