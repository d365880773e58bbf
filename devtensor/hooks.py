"""The handle that a hook's registration returns."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

__all__ = ["RemovableHandle"]

numbers = itertools.count()


class HookDict(dict[int, Any]):
    """Hooks by number; a dict that can be referred to weakly."""

    def __reduce__(self) -> tuple[Any, ...]:
        return HookDict, (dict(self),)


class RemovableHandle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: HookDict) -> None:
        self.hooks = weakref.ref(hooks)
        self.id = next(numbers)

    @classmethod
    def add(cls, hooks: dict[int, Any], hook: Any, first: bool = False) -> RemovableHandle:
        """Put `hook` among `hooks`, `first` or last, and return its handle."""
        assert isinstance(hooks, HookDict)
        handle = cls(hooks)
        if first:
            others = dict(hooks)
            hooks.clear()
            hooks[handle.id] = hook
            hooks.update(others)
        else:
            hooks[handle.id] = hook
        return handle

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        hooks = self.hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()

    def __reduce__(self) -> tuple[Any, ...]:
        return RemovableHandle, (self.hooks() or HookDict(),)
