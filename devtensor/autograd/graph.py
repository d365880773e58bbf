"""The graph for those who look at it: nodes, edges, hooks for what is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any
from weakref import WeakKeyDictionary

from devtensor.autograd.engine import Walk, running
from devtensor.autograd.mode import current, users_place
from devtensor.autograd.mutation import allow_mutation_on_saved_tensors
from devtensor.autograd.node import Call, GradientEdge, Leaf, Node
from devtensor.autograd.saved import (
    disable_saved_tensors_hooks,
    open_tensors,
    save_on_cpu,
    saved_tensors_hooks,
)
from devtensor.autograd.settle import settle
from devtensor.autograd.tensorspace import TENSORS
from devtensor.autograd.view import edge_of, memory_of
from devtensor.hooks import RemovableHandle
from devtensor.route import Unrouted
from devtensor.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "region_activation_memory_budget",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_override_stale_capture_stream",
    "set_warn_on_accumulate_grad_stream_mismatch",
]


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge of a tensor that requires gradients; an edge is its own.

    Raises
    ------
    RuntimeError
        If it does not.
    """
    if isinstance(tensor, GradientEdge):
        return tensor
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(edge.node, edge.index)


def stepped(node: Node, grads: tuple[Any, ...]) -> Any:
    """What a node gives when it is called: the gradients of its inputs, None where none is wanted.

    It is what the engine does in one step, without hooks. What was saved stays, and results have
    the shape to which operands were broadcast; they are recorded if the mode says so.

    Raises
    ------
    TypeError
        If there is not a gradient to each output, each a tensor or None.
    """
    if len(grads) != node.count:
        raise TypeError(f"expected {node.count} arguments, got {len(grads)} instead")
    for place, g in enumerate(grads):
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"argument {place} is not a Variable: got {type(g).__name__}")
    if isinstance(node, Leaf):
        if grads[0] is not None:
            settle(node, grads[0], False, True)
        return ()
    if not isinstance(node, Call):
        raise TypeError(f"{node.name()!r} object is not callable; use its apply()")
    g = grads[0] if node.plan.op.outputs is None else list(grads)
    with Unrouted():
        found = iter(node.plan.pull(TENSORS, g, open_tensors(node), node.params))
    results = tuple([None if edge is None else next(found) for edge in node.edges()])
    return results[0] if len(results) == 1 else results


def increment_version(tensor: Any) -> None:
    """Say that a tensor's memory, or that of several, was written by other means.

    Raises
    ------
    RuntimeError
        If it is no tensor.
    """
    if not isinstance(tensor, Tensor) and not hasattr(tensor, "__iter__"):
        raise RuntimeError(
            f"increment_version expect a Iterable[Tensor] as input, got {type(tensor).__name__}"
        )
    for x in (tensor,) if isinstance(tensor, Tensor) else tensor:
        if not isinstance(x, Tensor):
            raise RuntimeError(
                "increment_version expects each element of the iterable to be a tensor, got "
                f"{type(x).__name__}"
            )
        for book in current().ledgers:
            book.writes(x)
        memory_of(x).written("increment_version", *users_place(1))


def region_activation_memory_budget(budget: float) -> Any:
    """Refuse: a budget is for programs that are compiled.

    Raises
    ------
    TypeError, ValueError
        If it is no number from 0 to 1.
    RuntimeError
        Else.
    """
    name = "torch.autograd.graph.region_activation_memory_budget"
    if isinstance(budget, bool) or not isinstance(budget, (int, float)):
        raise TypeError(f"{name}: expects a float, got {type(budget).__name__}")
    if not 0.0 <= budget <= 1.0:
        raise ValueError(f"{name}: must be in [0, 1], got {budget}")
    raise RuntimeError(
        f"{name} can only be used inside a torch.compile region; it has no effect in eager mode. "
        "Use utils.checkpoint to compute again instead of saving."
    )


def set_warn_on_accumulate_grad_stream_mismatch(enabled: bool) -> None:
    """Without effect: a gradient is added up on the queue of its tensor's device."""


def set_override_stale_capture_stream(enabled: bool) -> None:
    """Without effect: no launches are captured."""


class _unsafe_preserve_version_counter(ContextDecorator):
    """A block at whose end tensors are as if they had not been written in it.

    Saved values that are overwritten by it are then not noticed, so that whoever does it must know
    that they are right again.

    Parameters
    ----------
    tensors : Tensor or tuple of Tensor
    """

    def __init__(self, tensors: Any) -> None:
        self.tensors = (tensors,) if isinstance(tensors, Tensor) else tensors
        if not isinstance(self.tensors, tuple):
            raise AssertionError(
                f"Expected tensors to be a tuple, not {type(self.tensors).__name__}"
            )

    def __enter__(self) -> None:
        memories = [memory_of(x) for x in self.tensors]
        self.before = [(m, m.version, m.stamp, m.stamps.copy(), m.writer) for m in memories]

    def __exit__(self, *_: object) -> None:
        for memory, version, stamp, stamps, writer in self.before:
            memory.version, memory.stamp, memory.stamps, memory.writer = (
                version, stamp, stamps, writer,
            )  # fmt: skip


class MultiHandle(RemovableHandle):
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

    Raises
    ------
    AssertionError
        If a tensor requires no gradient; with ``"any"`` it does not matter.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if mode == "any":
        tensors = [t for t in tensors if t.requires_grad]
    edges = [edge_of(t) for t in tensors]
    if None in edges:
        raise AssertionError(
            "Expected gradient function to be set: register_multi_grad_hook() got a tensor at "
            f"{edges.index(None)} that requires no gradient"
        )
    groups: WeakKeyDictionary[Walk, Group] = WeakKeyDictionary()
    nodes = [edge.node for edge in edges]

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
