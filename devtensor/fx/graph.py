"""A graph of calls, and the Python code that makes them."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from devtensor.fx._codegen import code_of
from devtensor.fx.node import Argument, Node, Target, map_arg

__all__ = ["Graph", "PythonCode"]


class PythonCode(NamedTuple):
    """The code of a graph.

    Attributes
    ----------
    src : str
    globals : dict
        What it refers to by name.
    """

    src: str
    globals: dict[str, Any]


class Names:
    """The names that are taken."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def create(self, candidate: str) -> str:
        """A name like the candidate that nobody has."""
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = f"_{candidate}"
        base, number = candidate, 0
        found = re.match(r"(.*)_(\d+)$", candidate)
        if found and candidate in self.taken:
            base, number = found[1], int(found[2])
        while candidate in self.taken or self.illegal(candidate):
            number += 1
            candidate = f"{base}_{number}"
        self.taken.add(candidate)
        return candidate

    def illegal(self, name: str) -> bool:
        """Whether a name means something else in code."""
        return keyword.iskeyword(name) or hasattr(builtins, name) or name in ("torch", "self")


def named_after(target: Target) -> str:
    """What the result of a call is called by default."""
    name = target if isinstance(target, str) else target.__name__
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class NodeList:
    """The nodes of a graph in order."""

    def __init__(self, graph: Graph, direction: str = "_next") -> None:
        self.graph, self.direction = graph, direction

    def __iter__(self) -> Iterator[Node]:
        root = self.graph._root
        node = getattr(root, self.direction)
        while node is not root:
            following = getattr(node, self.direction)
            if not node._erased:
                yield node
            node = following

    def __reversed__(self) -> NodeList:
        return NodeList(self.graph, "_prev")

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Graph:
    """Calls one after another, whose results go into later ones.

    Attributes
    ----------
    nodes : NodeList
    owning_module : GraphModule or None

    Examples
    --------
    >>> import devtensor as torch
    >>> graph = torch.fx.Graph()
    >>> x = graph.placeholder("x")
    >>> _ = graph.output(graph.call_function(torch.relu, (x,)))
    >>> print(graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %relu : [num_users=1] = call_function[target=torch.relu](args = (%x,), kwargs = {})
        return relu
    """

    def __init__(
        self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None
    ) -> None:
        self._names = Names()
        self._root = Node(self, "", "root", "", (), {})
        self._insert: Callable[[Node], None] = self._root.prepend
        self.owning_module, self._tracer_cls = owning_module, tracer_cls
        self._tracer_extras = tracer_extras

    @property
    def nodes(self) -> NodeList:
        """The nodes in order."""
        return NodeList(self)

    # ---- making nodes

    def create_node(
        self, op: str, target: Target, args: tuple[Argument, ...] | None = None,
        kwargs: dict[str, Argument] | None = None, name: str | None = None, type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """Put a node where nodes are put, which is at the end by default."""
        name = self._names.create(name if name is not None else named_after(target))
        node = Node(self, name, op, target, args or (), kwargs or {}, type_expr)
        self._insert(node)
        return node

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """An argument of the graph."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter or another attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a module by its path."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self, the_function: Callable[..., Any], args: Any = None, kwargs: Any = None,
        type_expr: Any = None, name: str | None = None,
    ) -> Node:  # fmt: skip
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result: Argument, type_expr: Any = None) -> Node:
        """What the graph returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A node like one of another graph, whose arguments are given by a function."""
        made = self.create_node(
            node.op, node.target, map_arg(node.args, arg_transform),
            map_arg(node.kwargs, arg_transform), node.name, node.type,
        )  # fmt: skip
        made.meta = dict(node.meta)
        return made

    def graph_copy(
        self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False
    ) -> Any:
        """Copy all nodes of another graph but the output, whose argument is returned."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], lambda x: val_map[x])
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, lambda x: val_map[x])
        return None

    def __deepcopy__(self, memo: Any = None) -> Graph:
        copied = Graph(tracer_cls=self._tracer_cls)
        result = copied.graph_copy(self, {}, return_output_node=True)
        if result is not None:
            copied.output(result[0], result[1].type).meta = dict(result[1].meta)
        return copied

    def __reduce__(self) -> Any:
        def named(args: Any) -> Any:
            return map_arg(args, lambda node: Named(node.name))

        listed = [(n.op, n.target, named(n.args), named(n.kwargs), n.name, n.type)
                  for n in self.nodes]  # fmt: skip
        return rebuilt, (listed,)

    # ---- changing it

    def erase_node(self, to_erase: Node) -> None:
        """Take away a node that nobody uses."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        to_erase._leave()
        to_erase._erased = True
        to_erase._set((), {})

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Take away the nodes that nobody uses; whether there were any."""
        before = len(self.nodes)
        for node in reversed(self.nodes):
            stays = node.is_impure() if is_impure_node is None else is_impure_node(node)
            if not node.users and not stays:
                self.erase_node(node)
        return len(self.nodes) < before

    def inserting_before(self, n: Node | None = None) -> Any:
        """A block in which nodes are put before one; by default at the beginning."""
        return self._inserting(self._root._next.prepend if n is None else n.prepend)

    def inserting_after(self, n: Node | None = None) -> Any:
        """A block in which nodes are put behind one; by default at the end."""
        last = [self._root._prev if n is None else n]

        def behind(node: Node) -> None:
            last[0].append(node)
            last[0] = node

        return self._inserting(behind)

    @contextmanager
    def _inserting(self, where: Callable[[Node], None]) -> Iterator[None]:
        before, self._insert = self._insert, where
        try:
            yield
        finally:
            self._insert = before

    # ---- looking at it

    def output_node(self) -> Node:
        """The node of what is returned."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes of a kind, and of a target if one is given."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def lint(self) -> None:
        """Raise RuntimeError if a node comes before one that it uses, or a name is there twice."""
        seen: set[Node] = set()
        for node in self.nodes:
            for one in node.all_input_nodes:
                if one.graph is not self:
                    raise RuntimeError(f"Argument '{one}' of Node '{node}' does not belong to it")
                if one not in seen:
                    raise RuntimeError(
                        f"Argument '{one}' of Node '{node}' was used before it has been defined! "
                        f"Please check that Nodes in the graph are topologically ordered\n{self}"
                    )
            if node.name in {other.name for other in seen}:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)

    def print_tabular(self) -> None:
        """Print a table of the nodes."""
        rows: list[tuple[str, ...]] = [("opcode", "name", "target", "args", "kwargs")]
        for n in self.nodes:
            target = n._pretty_print_target(n.target)
            rows.append((n.op, n.name, target, str(n.args), str(dict(n.kwargs))))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip())

    def __str__(self) -> str:
        lines = "".join(f"\n    {node.format_node()}" for node in self.nodes)
        return f"graph():{lines}"

    def python_code(self, root_module: str, **_: Any) -> PythonCode:
        """The code of a function ``forward`` that makes the calls.

        Parameters
        ----------
        root_module : str
            The name of the module in the code, such as ``"self"``.
        """
        return PythonCode(*code_of(self, root_module))


class Named(NamedTuple):
    """Stands for a node where a graph is stored."""

    name: str


def rebuilt(listed: list[tuple[Any, ...]]) -> Graph:
    """A graph out of what was stored of its nodes."""
    graph = Graph()
    made: dict[str, Node] = {}

    def back(value: Any) -> Any:
        if isinstance(value, Named):
            return made[value.name]
        if isinstance(value, (tuple, list)):
            parts = [back(x) for x in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        if isinstance(value, dict):
            return {key: back(x) for key, x in value.items()}
        if isinstance(value, slice):
            return slice(*map(back, (value.start, value.stop, value.step)))
        return value

    for op, target, args, kwargs, name, kind in listed:
        made[name] = graph.create_node(op, target, back(args), back(kwargs), name, kind)
    return graph
