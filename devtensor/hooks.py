"""The handle that a hook's registration returns."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from typing import Any

__all__ = ["RemovableHandle", "called", "called_by", "described"]

numbers = itertools.count()


def described(hook: Any, node: Any) -> str:
    """A hook by its name and where it is written, and the node that it hangs on."""
    code = getattr(hook, "__code__", None)
    place = f" at {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
    name = getattr(hook, "__qualname__", None) or repr(hook)
    return f"the hook {name}{place}, registered on {node.name()}"


def called_by(hook: Any) -> str:
    """The name of a hook."""
    return getattr(hook, "__name__", None) or repr(hook)


def called(hook: Any, node: Any, *args: Any) -> Any:
    """What a hook of a node returns; an exception of it says whose it is."""
    try:
        return hook(*args)
    except Exception as error:
        error.add_note(f"raised in {described(hook, node)}")
        raise


class HookDict(dict[int, Any]):
    """Hooks by number; a dict that can be referred to weakly.

    Attributes
    ----------
    marks : dict
        What else was asked for a hook at its registration, by its number.
    """

    def __init__(self, hooks: Any = (), marks: Any = None) -> None:
        super().__init__(hooks)
        self.marks: dict[int, tuple[str, ...]] = dict(
            getattr(hooks, "marks", ()) if marks is None else marks
        )

    def marked(self) -> list[tuple[int, Any, tuple[str, ...]]]:
        """The hooks there are now, with their numbers and what was asked for them."""
        return [(number, hook, self.marks.get(number, ())) for number, hook in self.items()]

    def asked(self, mark: str) -> OrderedDict[int, bool]:
        """The numbers of the hooks for which something was asked, each with True."""
        return OrderedDict((number, True) for number, _, marks in self.marked() if mark in marks)

    with_kwargs = property(lambda self: self.asked("with_kwargs"))
    always_called = property(lambda self: self.asked("always_call"))

    def __reduce__(self) -> tuple[Any, ...]:
        return HookDict, (dict(self), self.marks)


class RemovableHandle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: HookDict) -> None:
        self.hooks = weakref.ref(hooks)
        self.id = next(numbers)

    @classmethod
    def add(
        cls, hooks: dict[int, Any], hook: Any, first: bool = False, **asked: bool
    ) -> RemovableHandle:
        """Put `hook` among `hooks`, `first` or last, and return its handle."""
        assert isinstance(hooks, HookDict)
        handle = cls(hooks)
        marks = tuple(name for name, wanted in asked.items() if wanted)
        if marks:
            hooks.marks[handle.id] = marks
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
            hooks.marks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()

    def __reduce__(self) -> tuple[Any, ...]:
        return RemovableHandle, (self.hooks() or HookDict(),)
