"""Nested containers as flat lists: tuples, lists, dicts and named tuples of leaves."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any


class Shape:
    """How a value was nested: what container, with which keys, around which parts.

    Attributes
    ----------
    kind : type or None
        The class of the container; None for a leaf.
    keys : tuple
        The keys of a dictionary.
    parts : tuple of Shape
    """

    __slots__ = ("extra", "keys", "kind", "parts")

    def __init__(
        self, kind: Any, keys: tuple[Any, ...], parts: tuple[Shape, ...], extra: Any = None
    ) -> None:
        self.kind, self.keys, self.parts, self.extra = kind, keys, parts, extra

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Shape)
            and (self.kind, self.parts) == (other.kind, other.parts)
            and set(self.keys) == set(other.keys)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.kind is None:
            return "*"
        shown = [
            f"{key!r}: {part}" for key, part in zip(self.keys, self.parts, strict=True)
        ] if self.keys else list(map(repr, self.parts))  # fmt: skip
        return f"{self.kind.__name__}({', '.join(shown)})"

    @property
    def size(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum(part.size for part in self.parts)


LEAF = Shape(None, (), ())


def parted(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], Any] | None:
    """The keys and parts of a container, and what its class wants besides; None for a leaf."""
    kind = type(value)
    if kind in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return (), tuple(value), None
    if kind in (dict, OrderedDict, defaultdict):
        return tuple(value), tuple(value.values()), getattr(value, "default_factory", None)
    if kind is deque:
        return (), tuple(value), value.maxlen
    return None


def flatten(value: Any) -> tuple[list[Any], Shape]:
    """The leaves of nested containers in order, and how they were nested."""
    found = parted(value)
    if found is None:
        return [value], LEAF
    keys, parts, extra = found
    leaves: list[Any] = []
    shapes = []
    for part in parts:
        inner, shape = flatten(part)
        leaves += inner
        shapes.append(shape)
    return leaves, Shape(type(value), keys, tuple(shapes), extra)


def unflatten(leaves: list[Any], shape: Shape) -> Any:
    """Leaves, nested again."""
    if shape.kind is None:
        return leaves[0]
    parts, start = [], 0
    for part in shape.parts:
        parts.append(unflatten(leaves[start : start + part.size], part))
        start += part.size
    kind = shape.kind
    if kind is defaultdict:
        return defaultdict(shape.extra, zip(shape.keys, parts, strict=True))
    if issubclass(kind, dict):
        return kind(zip(shape.keys, parts, strict=True))
    if kind is deque:
        return deque(parts, shape.extra)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Nested containers with ``function(leaf)`` in the place of each leaf."""
    leaves, shape = flatten(value)
    return unflatten([function(leaf) for leaf in leaves], shape)


def broadcast(prefix: Any, shape: Shape) -> list[Any] | None:
    """A leaf of `prefix` for each leaf of `shape`, whose outer containers it has.

    None if it has others.
    """
    if shape.kind is None:
        return [prefix] if parted(prefix) is None else None
    found = parted(prefix)
    if found is None:
        return [prefix] * shape.size
    keys, parts, _ = found
    if type(prefix) is not shape.kind or len(parts) != len(shape.parts):
        return None
    if keys or shape.keys:
        if set(keys) != set(shape.keys):
            return None
        parts = tuple([prefix[key] for key in shape.keys])
    leaves: list[Any] = []
    for part, inner in zip(parts, shape.parts, strict=True):
        given = broadcast(part, inner)
        if given is None:
            return None
        leaves += given
    return leaves
