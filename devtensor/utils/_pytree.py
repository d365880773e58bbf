"""Nested containers as flat lists, by PyTorch's names (``torch.utils._pytree``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from devtensor.func._tree import LEAF, NODES, Node, Shape, flatten, kind_of, unflatten

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any
TreeSpec = Shape
SUPPORTED_NODES, NodeDef = NODES, Node
_get_node_type = kind_of
_dict_flatten, _dict_unflatten = NODES[dict]
IsLeaf = Callable[[Any], bool] | None


def register_pytree_node(
    cls: type, flatten_fn: Callable[..., Any], unflatten_fn: Callable[..., Any], **_: Any
) -> None:
    """Let objects of a class be containers.

    Parameters
    ----------
    cls : type
    flatten_fn : callable
        From an object to the list of its parts, and what else is needed to make it again.
    unflatten_fn : callable
        From these two to an object.

    Raises
    ------
    ValueError
        If the class is registered already.
    """
    if cls in NODES:
        raise ValueError(f"{cls} is already registered as pytree node")
    NODES[cls] = Node(flatten_fn, unflatten_fn)


class SequenceKey(NamedTuple):
    """The way from a sequence to one of its parts."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


class MappingKey(NamedTuple):
    """The way from a dictionary to one of its parts."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[MappingKey, Any]], list[Any]]:
    """The parts of a dictionary with the ways to them, and its keys."""
    return [(MappingKey(key), part) for key, part in d.items()], list(d)


_register_pytree_node = register_pytree_node


def LeafSpec() -> TreeSpec:
    """How a leaf is nested: not at all."""
    return LEAF


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and how they were nested; what `is_leaf` is true of stays whole."""
    return flatten(tree, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """Leaves, nested again.

    Raises
    ------
    ValueError
        If there are too many or too few.
    """
    listed = list(leaves)
    if len(listed) != treespec.size:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(listed)} but the spec "
            f"refers to a pytree that holds {treespec.size} items ({treespec})."
        )
    return unflatten(listed, treespec)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves in order."""
    return flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """The leaves in order, one by one."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeSpec:
    """How the leaves are nested."""
    return flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """The same containers with ``func(leaf, ...)`` in the place of each leaf.

    Parameters
    ----------
    func : callable
    tree : object
    *rests : object
        Nested as `tree` is; their leaves are further arguments.
    is_leaf : callable, optional
        Containers of which it is true stay whole.

    Raises
    ------
    ValueError
        If they are nested otherwise.

    Examples
    --------
    >>> from devtensor.utils._pytree import tree_map
    >>> tree_map(lambda x: x * 2, {"a": (1, 2), "b": [3]})
    {'a': (2, 4), 'b': [6]}
    """
    leaves, shape = flatten(tree, is_leaf)
    columns = [leaves]
    for rest in rests:
        others, other = flatten(rest, is_leaf)
        if other != shape:
            raise ValueError(f"tree_map(): the trees are nested as {shape} and as {other}")
        columns.append(others)
    return unflatten([func(*row) for row in zip(*columns, strict=True)], shape)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Call ``func(leaf, ...)`` for each leaf, and return `tree`."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kind: Any, func: Any, tree: Any = None, is_leaf: IsLeaf = None) -> Any:
    """The same with leaves of a type, or for which a function is true, changed by `func`."""
    wanted = kind if callable(kind) and not isinstance(kind, type) else None

    def change(leaf: Any) -> Any:
        return func(leaf) if (wanted(leaf) if wanted else isinstance(leaf, kind)) else leaf

    return tree_map(change, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether something is true of all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether something is true of a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
