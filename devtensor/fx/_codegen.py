"""Writes a graph as Python."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from inspect import unwrap
from typing import Any

import devtensor as dt
from devtensor.fx.node import Node

__all__ = ["BINARY", "code_of", "qualified"]

BINARY = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "matmul": "@", "eq": "==",
    "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
"""Names of functions of `operator` to how they are written."""

WRITTEN = {name: f"{{}} {sign} {{}}" for name, sign in BINARY.items()}
WRITTEN |= {"neg": "-{}", "pos": "+{}", "invert": "~{}", "getitem": "{}[{}]"}

HOMES = ("", "nn.functional", "linalg", "fft", "special", "func", "autograd", "nn.utils.rnn")
"""Where functions are looked for, to be written by their names."""


def public(function: Callable[..., Any]) -> tuple[str, Any] | None:
    """Where PyTorch's programs find a function, and what they find there; None if they do not.

    That may be the function with something before it: mixed precision puts its casts there.
    """
    name = getattr(function, "__name__", "")
    for home in HOMES:
        place: Any = dt
        for part in filter(None, home.split(".")):
            place = getattr(place, part, None)
        found: Any = getattr(place, name, None)
        if unwrap(found) is unwrap(function):
            return ".".join(filter(None, ("torch", home, name))), found
    return None


def qualified(function: Callable[..., Any]) -> str:
    """How a function is named in code: where PyTorch's programs find it, or by its module."""
    name = getattr(function, "__name__", type(function).__name__)
    if getattr(builtins, name, None) is function:
        return name
    found = public(function)
    if found is not None:
        return found[0]
    module = getattr(function, "__module__", None) or "_"
    return f"{module.replace('_operator', 'operator')}.{name}"


PLAIN = (str, int, float, bool, complex, type(None), type(...))


class Writer:
    """Writes the nodes of a graph line by line.

    Attributes
    ----------
    globals : dict
        What the lines refer to by name.
    arguments : list of str
        Those of the function.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.globals: dict[str, Any] = {"torch": dt, "inf": float("inf"), "nan": float("nan")}
        self.arguments: list[str] = []

    def refer(self, hint: str, value: Any) -> str:
        """A name for a value; what PyTorch's programs find under ``torch`` is called by that."""
        if hint.startswith("torch.") or getattr(builtins, hint, None) is value:
            return hint
        base = name = re.sub(r"[^0-9a-zA-Z_]+", "_", hint)
        number = 0
        while self.globals.get(name, value) is not value:
            number += 1
            name = f"{base}_{number}"
        self.globals[name] = value
        return name

    def shown(self, value: Any) -> str:
        """A value among arguments, as code."""
        if isinstance(value, Node):
            return value.name
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            inner = ", ".join(map(self.shown, value))
            return f"{self.refer(type(value).__name__, type(value))}({inner})"
        if isinstance(value, tuple):
            return f"({', '.join(map(self.shown, value))}{',' * (len(value) == 1)})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.shown, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{key!r}: {self.shown(x)}' for key, x in value.items())}}}"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self.shown, (value.start, value.stop, value.step)))})"
        if type(value) in PLAIN:
            return "..." if value is ... else repr(value)
        if isinstance(value, dt.dtype):
            return f"torch.{value.name}"
        return self.refer(f"_{type(value).__name__}", value)

    def call(self, args: Any, kwargs: Any) -> str:
        """The arguments of a call."""
        named = [f"{key} = {self.shown(value)}" for key, value in kwargs.items()]
        return ", ".join([*map(self.shown, args), *named])

    def attribute(self, base: str, path: str) -> str:
        """An attribute, and those of attributes."""
        for part in path.split("."):
            base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
        return base

    def line(self, node: Node) -> str:
        """A node, without the end of the line; nothing for an argument that has its own name."""
        target: Any = node.target
        if node.op == "placeholder":
            default = f" = {self.shown(node.args[0])}" if node.args else ""
            annotated = ""
            if node.type is not None:
                annotated = f" : {self.refer(annotation(node.type), node.type)}"
            self.arguments.append(f"{target}{annotated}{default}")
            raw = target.replace("*", "")
            return "" if raw == node.name else f"{node.name} = {raw}\n"
        if node.op == "output":
            return f"return {self.shown(node.args[0])}"
        if node.op == "call_method":
            called = self.attribute(self.shown(node.args[0]), target)
            return f"{node.name} = {called}({self.call(node.args[1:], node.kwargs)})"
        if node.op == "call_module":
            called = self.attribute(self.root, target)
            return f"{node.name} = {called}({self.call(node.args, node.kwargs)})"
        if node.op == "get_attr":
            return f"{node.name} = {self.attribute(self.root, target)}"
        if target.__module__ == "_operator" and target.__name__ in WRITTEN and not node.kwargs:
            written = WRITTEN[target.__name__].format(*map(self.shown, node.args))
            return f"{node.name} = {written}"
        if target is getattr and len(node.args) == 2 and isinstance(node.args[1], str):
            return f"{node.name} = {self.attribute(self.shown(node.args[0]), node.args[1])}"
        called = self.refer(qualified(target), target)
        return f"{node.name} = {called}({self.call(node.args, node.kwargs)})"


def annotation(kind: Any) -> str:
    """The name of a type in an annotation."""
    return "torch.Tensor" if kind is dt.Tensor else f"_{getattr(kind, '__name__', 'type')}"


def code_of(graph: Any, root: str) -> tuple[str, dict[str, Any]]:
    """The code of a graph and its globals; what is used no more is let go of at once."""
    seen: set[Node] = set()
    done: dict[Node, list[Node]] = {}
    for node in reversed(graph.nodes):
        done[node] = [one for one in node.all_input_nodes if one not in seen]
        seen.update(node.all_input_nodes)
    writer = Writer(root)
    lines: list[str] = []
    for node in graph.nodes:
        line = writer.line(node)
        if node.op not in ("placeholder", "output"):
            over = [*done[node], *([] if node.users else [node])]
            freed = "".join(f"{one} = " for one in over)
            line = f"{line};  {freed}None\n" if over else f"{line}\n"
        elif node.op == "output":
            line += "\n"
        lines.append(line)
    body = "".join(lines) or "pass\n"
    indented = "\n".join(f"    {line}" for line in body.split("\n"))
    arguments = ", ".join([root, *writer.arguments])
    return f"\n\n\ndef forward({arguments}):\n{indented}", writer.globals
