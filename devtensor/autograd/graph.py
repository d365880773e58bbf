"""The graph for those who look at it: nodes, edges, hooks for what is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from devtensor.autograd.engine import Walk, running
from devtensor.autograd.node import GradientEdge, Node
from devtensor.autograd.saved import (
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from devtensor.autograd.view import edge_of

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge of a tensor that requires gradients.

    Raises
    ------
    RuntimeError
        If it does not.
    """
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(edge.node, edge.index)


def increment_version(tensor: Any) -> None:
    """Say that a tensor's memory, or that of several, was written by other means."""
    from devtensor.autograd.mode import users_place
    from devtensor.autograd.view import memory_of
    from devtensor.tensor import Tensor

    for x in (tensor,) if isinstance(tensor, Tensor) else tensor:
        memory_of(x).written("increment_version", *users_place(1))


class MultiHandle:
    """Takes several hooks off again."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all"
) -> MultiHandle:
    """Call `fn` when the gradients of several tensors are known.

    Parameters
    ----------
    tensors : sequence of Tensor
    fn : callable
        In each pass, with ``mode="all"``, it gets a list of gradients, None where there is none;
        with ``"any"`` the first one.
    mode : {"all", "any"}
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    groups: WeakKeyDictionary[Walk, Group] = WeakKeyDictionary()
    nodes = [edge.node if (edge := edge_of(t)) is not None else None for t in tensors]

    def hook_for(place: int) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            walk = running()
            assert walk is not None
            group = groups.get(walk)
            if group is None:
                group = groups[walk] = Group(fn, len(nodes))
                if mode == "any":
                    fn(g)
                    return
                reached = walk.reached()
                group.waiting = sum(node in reached for node in nodes)
                walk.ends.append(group.finish)
            group.add(place, g)

        return hook

    return MultiHandle([t.register_hook(hook_for(i)) for i, t in enumerate(tensors)])


class Group:
    """The gradients that a hook for several tensors waits for in one pass."""

    def __init__(self, fn: Callable[..., Any], count: int) -> None:
        self.fn = fn
        self.found: list[Any] = [None] * count
        self.waiting = 0

    def add(self, place: int, g: Any) -> None:
        """Note a gradient; with the last one, call the hook."""
        self.found[place] = g
        self.waiting -= 1
        if not self.waiting:
            self.fn(self.found)

    def finish(self) -> None:
        """Call the hook at the end of the pass if some gradients have not come."""
        if self.waiting > 0:
            self.fn(self.found)
