"""Lists and dictionaries that cannot be changed: the arguments of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["immutable_dict", "immutable_list"]


def refusing(kind: type, names: str) -> dict[str, Callable[..., Any]]:
    """The methods of a kind that change it, which raise TypeError."""

    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"'{type(self).__name__}' object does not support mutation: the arguments of a node "
            f"are set as a whole, node.args = ...; copy it with {kind.__name__}(...) to change it"
        )

    return dict.fromkeys(names.split(), refuse)


class immutable_list(list[Any]):
    """A list that cannot be changed."""

    def __hash__(self) -> int:  # type: ignore[override] # it cannot be changed
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return immutable_list, (tuple(self),)


class immutable_dict(dict[Any, Any]):
    """A dictionary that cannot be changed."""

    def __hash__(self) -> int:  # type: ignore[override] # it cannot be changed
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return immutable_dict, (tuple(self.items()),)


CHANGES = {
    immutable_list: "__delitem__ __iadd__ __imul__ __setitem__ append clear extend insert pop "
    "remove reverse sort",
    immutable_dict: "__delitem__ __ior__ __setitem__ clear pop popitem setdefault update",
}
for _kind, _names in CHANGES.items():
    for _name, _method in refusing(_kind.__bases__[0], _names).items():
        setattr(_kind, _name, _method)
