"""Nested containers as flat lists, by PyTorch's names (``torch.utils._pytree``)."""

from __future__ import annotations

from collections import deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from devtensor.func._tree import LEAF, NODES, Node, Shape, flatten, kind_of, unflatten

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "key_get",
    "keystr",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Context = Any
TreeSpec = Shape
SUPPORTED_NODES, NodeDef = NODES, Node
_get_node_type = kind_of
_dict_flatten, _dict_unflatten = NODES[dict]
_list_flatten, _list_unflatten = NODES[list]
IsLeaf = Callable[[Any], bool] | None


def register_pytree_node(
    cls: type, flatten_fn: Callable[..., Any], unflatten_fn: Callable[..., Any], *,
    flatten_with_keys_fn: Callable[..., Any] | None = None, **_: Any,
) -> None:  # fmt: skip
    """Let objects of a class be containers.

    Parameters
    ----------
    cls : type
    flatten_fn : callable
        From an object to the list of its parts, and what else is needed to make it again.
    unflatten_fn : callable
        From these two to an object.
    flatten_with_keys_fn : callable, optional
        As `flatten_fn`, each part in a pair with the way to it.

    Raises
    ------
    ValueError
        If the class is registered already.
    """
    if cls in NODES:
        raise ValueError(f"{cls} is already registered as pytree node")
    NODES[cls] = Node(flatten_fn, unflatten_fn)
    if flatten_with_keys_fn is not None:
        WITH_KEYS[cls] = flatten_with_keys_fn


class SequenceKey(NamedTuple):
    """The way from a sequence to one of its parts."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The part."""
        return sequence[self.idx]


class MappingKey(NamedTuple):
    """The way from a dictionary to one of its parts."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The part."""
        return mapping[self.key]


class GetAttrKey(NamedTuple):
    """The way from an object to one of its attributes."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The part."""
        return getattr(obj, self.name)


def _list_flatten_with_keys(d: list[Any]) -> tuple[list[tuple[SequenceKey, Any]], None]:
    """The elements with the ways to them."""
    return [(SequenceKey(place), value) for place, value in enumerate(d)], None


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[MappingKey, Any]], list[Any]]:
    """The parts of a dictionary with the ways to them, and its keys."""
    return [(MappingKey(key), part) for key, part in d.items()], list(d)


WITH_KEYS: dict[Any, Callable[[Any], Any]] = {}
"""How objects of registered classes are taken apart, each part with the way to it."""

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


def meant(kind: Any) -> Callable[[Any], bool]:
    """Whether a leaf is of a type, or of one of several, or a function is true of it."""
    if callable(kind) and not isinstance(kind, type):
        found: Callable[[Any], bool] = kind
        return found
    return lambda leaf: isinstance(leaf, kind)


def tree_map_only(
    type_or_types_or_pred: Any, /, func: Any, tree: Any, is_leaf: IsLeaf = None
) -> Any:
    """The same with leaves of a type, or for which a function is true, changed by `func`."""
    wanted = meant(type_or_types_or_pred)
    return tree_map(lambda leaf: func(leaf) if wanted(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any, /, func: Any, tree: Any, is_leaf: IsLeaf = None
) -> Any:
    """Call `func` for such leaves, and return `tree`."""
    tree_map_only(type_or_types_or_pred, func, tree, is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether something is true of all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether something is true of a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None
) -> bool:
    """Whether something is true of all leaves of a type."""
    return all(map(pred, filter(meant(type_or_types), tree_leaves(tree, is_leaf))))


def tree_any_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None
) -> bool:
    """Whether something is true of a leaf of a type."""
    return any(map(pred, filter(meant(type_or_types), tree_leaves(tree, is_leaf))))


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether something is no container."""
    return kind_of(tree) not in NODES or (is_leaf is not None and is_leaf(tree))


# ---- ways to the leaves

KeyPath = tuple[Any, ...]


def with_keys(tree: Any) -> list[tuple[Any, Any]]:
    """The parts of a container, each with the way to it.

    Raises
    ------
    ValueError
        If its class was registered without saying that.
    """
    kind = kind_of(tree)
    if kind in WITH_KEYS:
        return list(WITH_KEYS[kind](tree)[0])
    parts, _ = NODES[kind].flatten_fn(tree)
    if kind is namedtuple:
        return [(GetAttrKey(name), part) for name, part in zip(tree._fields, parts, strict=True)]
    if isinstance(tree, dict):
        return [(MappingKey(key), part) for key, part in zip(tree, parts, strict=True)]
    if kind in (tuple, list, deque):
        return [(SequenceKey(place), part) for place, part in enumerate(parts)]
    raise ValueError(
        f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a "
        "flatten_with_keys_fn argument to register_pytree_node."
    )


def tree_leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """The leaves in order, each with the way to it."""
    if tree_is_leaf(tree, is_leaf):
        return [((), tree)]
    return [
        ((key, *path), leaf)
        for key, part in with_keys(tree)
        for path, leaf in tree_leaves_with_path(part, is_leaf)
    ]


def tree_flatten_with_path(
    tree: Any, is_leaf: IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """The same, and how the leaves were nested."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None
) -> Any:
    """The same containers with ``func(path, leaf, ...)`` in the place of each leaf.

    Examples
    --------
    >>> from devtensor.utils._pytree import keystr, tree_map_with_path
    >>> tree_map_with_path(lambda path, x: keystr(path), {"a": [1, 2]})
    {'a': ["['a'][0]", "['a'][1]"]}
    """
    paths = iter([path for path, _ in tree_leaves_with_path(tree, is_leaf)])
    return tree_map(lambda *leaves: func(next(paths), *leaves), tree, *rests, is_leaf=is_leaf)


def keystr(kp: KeyPath) -> str:
    """The way to a leaf as text."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What is at the end of a way."""
    for key in kp:
        obj = key.get(obj)
    return obj


def is_namedtuple_class(cls: Any) -> bool:
    """Whether a class is one that ``collections.namedtuple`` makes, or derived from one."""
    names = getattr(cls, "_fields", None)
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(names, tuple)


def is_namedtuple_instance(obj: object) -> bool:
    """Whether an object is of such a class."""
    return is_namedtuple_class(type(obj))


def is_structseq_class(cls: Any) -> bool:
    """Whether a class is a sequence of named parts that C code defines, as ``time.struct_time``."""
    counts = [getattr(cls, f"n_{which}", None) for which in ("fields", "sequence_fields")]
    return isinstance(cls, type) and cls.__bases__ == (tuple,) and None not in counts


def is_structseq_instance(obj: object) -> bool:
    """Whether an object is of such a class."""
    return is_structseq_class(type(obj))
