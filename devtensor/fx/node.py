"""A step of a graph: what is called, with what, and who uses the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.fx.immutable_collections import immutable_dict, immutable_list

__all__ = ["Argument", "Node", "Target", "map_aggregate", "map_arg"]

Argument = Any
Target = Callable[..., Any] | str
OPERATIONS = (
    "placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root",
)  # fmt: skip


LASTING = ("_assert", "_assert_async", "setitem", "set_grad_enabled", "manual_seed")
"""Functions that do something though nobody uses what they give."""
_side_effectful_functions: set[Any] = set()
"""Others, which users name."""


class Node:
    """A step of a :class:`Graph`.

    Attributes
    ----------
    graph : Graph
    name : str
        That of the variable in the graph's code.
    op : {"placeholder", "get_attr", "call_function", "call_method", "call_module", "output"}
    target : callable or str
        The function, or the name of the method, module, attribute or argument.
    args, kwargs : tuple and dict
        What it is called with; other nodes stand for their results.
    users : dict of Node
        The nodes that have this one among their arguments.
    type : object
        What an annotation says of the result.
    meta : dict
        For whoever works on the graph.
    """

    def __init__(
        self, graph: Any, name: str, op: str, target: Target, args: tuple[Argument, ...],
        kwargs: dict[str, Argument], return_type: Any = None,
    ) -> None:  # fmt: skip
        if op not in OPERATIONS:
            raise AssertionError(f"op must be one of {', '.join(OPERATIONS)}, got {op!r}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} "
                "but a Callable is expected"
            )
        if op != "call_function" and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} "
                "but a str is expected"
            )
        self.graph, self.name, self.op, self.target = graph, name, op, target
        self.users: dict[Node, None] = {}
        self.type = return_type
        self.meta: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._args: tuple[Argument, ...] = ()
        self._kwargs: dict[str, Argument] = {}
        self._prev = self._next = self
        self._erased = False
        self._set(args, kwargs)

    def _set(self, args: Any, kwargs: Any) -> None:
        """Take arguments, and tell the nodes among them."""
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}

        def note(node: Node) -> Node:
            self._input_nodes[node] = None
            node.users[self] = None
            return node

        self._args = tuple(map_arg(tuple(args), note))
        self._kwargs = map_arg(dict(kwargs), note)

    @property
    def args(self) -> tuple[Argument, ...]:
        """The arguments by place; can be set as a whole."""
        return self._args

    @args.setter
    def args(self, args: tuple[Argument, ...]) -> None:
        self._set(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Argument]:
        """The arguments by name; can be set as a whole."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Argument]) -> None:
        self._set(self._args, kwargs)

    def update_arg(self, idx: int, arg: Argument) -> None:
        """Set one of the arguments by place."""
        args = list(self._args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Argument) -> None:
        """Put an argument before the one of a place."""
        self.args = (*self._args[:idx], arg, *self._args[idx:])

    def update_kwarg(self, key: str, arg: Argument) -> None:
        """Set one of the arguments by name."""
        self.kwargs = {**self._kwargs, key: arg}

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments."""
        return list(self._input_nodes)

    # ---- its place

    @property
    def next(self) -> Node:
        """The node behind it; the last one's is the graph's root."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before it."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move a node to before this one."""
        if self.graph is not x.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if x is not self:
            x._leave()
            before = self._prev
            before._next, x._prev = x, before
            x._next, self._prev = self, x

    def append(self, x: Node) -> None:
        """Move a node to behind this one."""
        self._next.prepend(x)

    def _leave(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    # ---- its use

    def replace_all_uses_with(
        self, replace_with: Node, delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *, propagate_meta: bool = False,
    ) -> list[Node]:  # fmt: skip
        """Let those that use it use another node; returns them."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Put another node in the place of one among the arguments."""

        def replaced(node: Node) -> Node:
            return new_input if node is old_input else node

        self._set(map_arg(self._args, replaced), map_arg(self._kwargs, replaced))

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether it must stay though nobody uses it."""
        if self.op in ("placeholder", "output") or self.target in _side_effectful_functions:
            return True
        name = self.target if isinstance(self.target, str) else self.target.__name__
        writes = name.endswith("_") and not name.endswith("__")
        return self.op in ("call_method", "call_function") and (writes or name in LASTING)

    @property
    def stack_trace(self) -> str | None:
        """Where in the program it was made, if that was recorded."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def _pretty_print_target(self, target: Target) -> str:
        from devtensor.fx._codegen import qualified

        name = target if isinstance(target, str) else qualified(target)
        return name if isinstance(target, str) or "." in name else f"builtins.{name}"

    def format_node(self, *_: Any, **__: Any) -> str | None:
        """A line about it."""
        if self.op == "placeholder":
            default = f"(default={self.args[0]})" if self.args else ""
            return (
                f"%{self.name} : [num_users={len(self.users)}] = "
                f"{self.op}[target={self.target}]{default}"
            )
        if self.op == "output":
            return f"return {self.args[0]}"
        head = f"%{self.name} : [num_users={len(self.users)}] = {self.op}"
        shown = f"{head}[target={self._pretty_print_target(self.target)}]"
        if self.op == "get_attr":
            return shown
        return (
            f"{shown}(args = {shown_argument(self.args)}, kwargs = {shown_argument(self.kwargs)})"
        )

    def __repr__(self) -> str:
        return self.name


def has_side_effect(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let calls of a function stay in graphs, though nobody uses what they give."""
    _side_effectful_functions.add(fn)
    return fn


def shown_argument(value: Argument) -> str:
    """An argument as lines about nodes show it."""
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, dict):
        pairs = [f"{key}: {shown_argument(one)}" for key, one in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(shown_argument, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return str(value)


def map_arg(a: Argument, fn: Callable[[Node], Argument]) -> Argument:
    """Arguments with what a function gives in the place of each node."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def map_aggregate(a: Argument, fn: Callable[[Argument], Argument]) -> Argument:
    """Arguments with what a function gives in the place of each that is no collection.

    Collections become ones that cannot be changed.
    """
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return immutable_list([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return immutable_dict({key: map_aggregate(x, fn) for key, x in a.items()})
    if isinstance(a, slice):
        return slice(*[map_aggregate(x, fn) for x in (a.start, a.stop, a.step)])
    return fn(a)
