"""Nested containers as flat lists: tuples, lists, dicts, named tuples, and registered classes."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Node(NamedTuple):
    """How containers of a class are taken apart, and put together.

    Attributes
    ----------
    flatten_fn : callable
        From a container to the list of its parts, and what else is needed to make it again.
    unflatten_fn : callable
        From these two to a container.
    """

    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[list[Any], Any], Any]


NODES: dict[Any, Node] = {
    tuple: Node(lambda value: (list(value), None), lambda parts, _: tuple(parts)),
    list: Node(lambda value: (list(value), None), lambda parts, _: list(parts)),
    dict: Node(
        lambda value: (list(value.values()), list(value)),
        lambda parts, keys: dict(zip(keys, parts, strict=True)),
    ),
    OrderedDict: Node(
        lambda value: (list(value.values()), list(value)),
        lambda parts, keys: OrderedDict(zip(keys, parts, strict=True)),
    ),
    defaultdict: Node(
        lambda value: (list(value.values()), [value.default_factory, list(value)]),
        lambda parts, made: defaultdict(made[0], zip(made[1], parts, strict=True)),
    ),
    deque: Node(lambda value: (list(value), value.maxlen), deque),
    namedtuple: Node(lambda value: (list(value), type(value)), lambda parts, kind: kind(*parts)),
}
"""The classes of containers; all named tuples stand under ``namedtuple``."""


class Shape:
    """How a value was nested: what container, made of what, around which parts.

    Attributes
    ----------
    kind : type or None
        The class of the container; None for a leaf.
    context : object
        What it takes besides the parts to make it again, such as the keys of a dictionary.
    parts : tuple of Shape
    """

    __slots__ = ("context", "kind", "parts")

    def __init__(self, kind: Any, context: Any, parts: Iterable[Shape]) -> None:
        self.kind, self.context, self.parts = kind, context, tuple(parts)

    @property
    def keys(self) -> list[Any] | None:
        """The keys of a dictionary."""
        if self.kind is defaultdict:
            return list(self.context[1])
        return list(self.context) if self.kind in (dict, OrderedDict) else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shape) or (self.kind, self.parts) != (other.kind, other.parts):
            return False
        ours, theirs = self.keys, other.keys
        if ours is None or theirs is None:
            return bool(self.context == other.context)
        return set(ours) == set(theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.kind is None:
            return "*"
        keys = self.keys
        shown = [
            repr(part) if keys is None else f"{keys[i]!r}: {part}"
            for i, part in enumerate(self.parts)
        ]
        kind = self.context if self.kind is namedtuple else self.kind
        return f"{kind.__name__}({', '.join(shown)})"

    @property
    def size(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum(part.size for part in self.parts)

    # ---- by PyTorch's names

    @property
    def type(self) -> Any:
        """The class of the container; None for a leaf."""
        return self.kind

    @property
    def children_specs(self) -> list[Shape]:
        """How the parts are nested."""
        return list(self.parts)

    @property
    def num_leaves(self) -> int:
        """The number of leaves."""
        return self.size

    @property
    def num_nodes(self) -> int:
        """The number of containers and leaves."""
        return 1 + sum(part.num_nodes for part in self.parts)

    @property
    def num_children(self) -> int:
        """The number of parts."""
        return len(self.parts)

    def is_leaf(self) -> bool:
        """Whether it is no container."""
        return self.kind is None

    def children(self) -> list[Shape]:
        """How the parts are nested."""
        return list(self.parts)

    def child(self, index: int) -> Shape:
        """How one of the parts is nested."""
        return self.parts[index]

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Leaves, nested again."""
        return unflatten(list(leaves), self)


LEAF = Shape(None, None, ())


def kind_of(value: Any) -> Any:
    """The class under which a value would stand in `NODES`."""
    kind = type(value)
    named = kind not in NODES and issubclass(kind, tuple) and hasattr(kind, "_fields")
    return namedtuple if named else kind


def flatten(value: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Shape]:
    """The leaves of nested containers in order, and how they were nested.

    A container for which `is_leaf` is true stays whole.
    """
    kind = kind_of(value)
    if kind not in NODES or (is_leaf is not None and is_leaf(value)):
        return [value], LEAF
    parts, context = NODES[kind].flatten_fn(value)
    leaves: list[Any] = []
    shapes = []
    for part in parts:
        inner, shape = flatten(part, is_leaf)
        leaves += inner
        shapes.append(shape)
    return leaves, Shape(kind, context, shapes)


def unflatten(leaves: list[Any], shape: Shape) -> Any:
    """Leaves, nested again."""
    if shape.kind is None:
        return leaves[0]
    parts, start = [], 0
    for part in shape.parts:
        parts.append(unflatten(leaves[start : start + part.size], part))
        start += part.size
    return NODES[shape.kind].unflatten_fn(parts, shape.context)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Nested containers with ``function(leaf)`` in the place of each leaf."""
    leaves, shape = flatten(value)
    return unflatten([function(leaf) for leaf in leaves], shape)


def broadcast(prefix: Any, shape: Shape) -> list[Any] | None:
    """A leaf of `prefix` for each leaf of `shape`, whose outer containers it has.

    None if it has others.
    """
    kind = kind_of(prefix)
    if kind not in NODES:
        return [prefix] * shape.size
    if kind is not shape.kind:
        return None
    parts, context = NODES[kind].flatten_fn(prefix)
    keys = shape.keys
    if keys is not None:
        if set(prefix) != set(keys):
            return None
        parts = [prefix[key] for key in keys]
    elif context != shape.context or len(parts) != len(shape.parts):
        return None
    leaves: list[Any] = []
    for part, inner in zip(parts, shape.parts, strict=True):
        given = broadcast(part, inner)
        if given is None:
            return None
        leaves += given
    return leaves
