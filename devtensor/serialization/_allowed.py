"""The user's additions to what a file may name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["add_safe_globals", "by_name", "clear_safe_globals", "get_safe_globals", "safe_globals"]

BLOCKED = ("sys", "os", "posix", "nt")
"""Modules of which nothing is ever allowed."""

added: set[Any] = set()


def add_safe_globals(safe_globals: Iterable[Callable[..., Any] | tuple[Any, str]]) -> None:
    """Allow files that are loaded with ``weights_only=True`` to use some classes and functions.

    Parameters
    ----------
    safe_globals : iterable
        Classes and functions, or pairs of one and the name that files have for it
        (``"package.module.Name"``).

    Raises
    ------
    ValueError, TypeError
        If a pair is not one of a thing and a text.
    """
    new = list(safe_globals)
    for item in new:
        name_of(item)
    added.update(new)


def get_safe_globals() -> list[Callable[..., Any] | tuple[Any, str]]:
    """What `add_safe_globals` and `safe_globals` have allowed."""
    return list(added)


def clear_safe_globals() -> None:
    """Take back everything that was allowed."""
    added.clear()


class safe_globals:
    """Allow some classes and functions within a ``with`` block; see `add_safe_globals`."""

    def __init__(self, safe_globals: Iterable[Callable[..., Any] | tuple[Any, str]]) -> None:
        self.safe_globals = list(safe_globals)
        self.new: set[Any] = set()

    def __enter__(self) -> None:
        self.new = set(self.safe_globals) - added
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        added.difference_update(self.new)


def name_of(item: Any) -> str:
    """The name that files have for an entry."""
    if not isinstance(item, tuple):
        return f"{item.__module__}.{item.__qualname__}"
    if len(item) != 2:
        raise ValueError(
            "Expected tuple of length 2 (global, str of callable full path), but got tuple of "
            f"length: {len(item)}"
        )
    if type(item[1]) is not str:
        raise TypeError(
            "Expected second item in tuple to be str of callable full path, but got: "
            f"{type(item[1])}"
        )
    return item[1]


def by_name() -> dict[str, Any]:
    """What is allowed, by the name that files have for it."""
    return {name_of(item): item[0] if isinstance(item, tuple) else item for item in added}
