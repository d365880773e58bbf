"""Casts what listed operations are given, while a block of `autocast` is open.

A block is an entry on the stack of the gradient mode, so it holds where it was set and nowhere
else. Launches then take their long way, on which the listed operations cast first: their short
ways are as they were. What listed functions of several operations call is wrapped when the first
block is entered.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from threading import Lock
from types import FunctionType
from typing import Any

import devtensor as dt
from devtensor.amp._policy import CPU, OTHERS, function_of
from devtensor.autograd.mode import Block, current
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

__all__ = ["Cast", "casts", "install"]

Function = Callable[..., Any]


class Cast:
    """What an open block asks for; it stands among the ledgers and writes nothing down.

    Attributes
    ----------
    kind : str or None
        The kind of device for which it asks; None for all.
    dtype : dtype or None
        The lower precision.
    enabled, caches : bool
    cache : dict
        Parameters in lower precision, until the outermost block ends.
    """

    __slots__ = ("cache", "caches", "dtype", "enabled", "kind")

    def __init__(self, kind: str | None, dtype: Dtype | None, enabled: bool, caches: bool) -> None:
        self.kind, self.dtype, self.enabled, self.caches = kind, dtype, enabled, caches
        outer = next(iter(casts().values()), None)
        self.cache: dict[int, Any] = {} if outer is None else outer.cache

    def add(self, *_: Any, **__: Any) -> None:
        """A launch is of no concern."""

    add_function = writes = add

    def lowered(self, x: Tensor) -> Tensor:
        """A tensor in lower precision; a parameter's is kept for the next use."""
        assert self.dtype is not None
        keep = self.caches and x.dtype is dt.float32 and x.is_leaf and x.requires_grad
        if not keep:
            return x.to(self.dtype)
        found = self.cache.get(id(x))
        mark = (self.dtype, x._version, current().recording)
        if found is None or found[0]() is not x or found[1] != mark:
            found = self.cache[id(x)] = weakref.ref(x), mark, x.to(self.dtype)
        made: Tensor = found[2]
        return made


def casts() -> dict[str, Cast]:
    """What is asked for each kind of device here, the innermost of each kind."""
    found: dict[str, Cast] = {}
    for book in reversed(current().ledgers):
        if book.__class__ is Cast:
            if book.kind is None:
                break
            found.setdefault(book.kind, book)
    return found


class Untouched(Block):
    """A block in which nothing is cast: the inside of a function that has been given its types."""

    kind = "cast"

    def __init__(self) -> None:
        super().__init__(Cast(None, None, False, False))


def tensors(value: Any) -> list[Tensor]:
    """The tensors in an argument."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [x for one in value for x in tensors(one)]
    return []


def mapped(value: Any, change: Function) -> Any:
    """An argument with its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    if value.__class__ in (list, tuple):
        return type(value)(mapped(one, change) for one in value)
    return value


def converted(name: str, values: list[Any], given: dict[str, Any]) -> list[Any] | None:
    """The arguments in the types that the lists ask for; None if they may stay as they are."""
    asked = casts()
    found = [x for value in values for x in tensors(value) if eligible(x, asked)]
    if not found or given.get("dtype") is not None or given.get("out") is not None:
        return None
    kind = found[0].device.type
    policy = (CPU if kind == "cpu" else OTHERS).get(name)
    if callable(policy):
        policy = policy(*values[: len(values) - len(given)], **given)
    if policy is None:
        return None
    if policy == "refused":
        raise RuntimeError(
            f"torch.{name} and torch.nn.BCELoss are unsafe to autocast: in {asked[kind].dtype} the "
            "sigmoid before them loses what the logarithm needs. Combine the two by "
            "binary_cross_entropy_with_logits, or leave autocast for them"
        )
    lower = asked[kind].dtype
    if policy == "lower":
        return [mapped(v, lambda x: asked[kind].lowered(x) if eligible(x, asked) else x)
                for v in values]  # fmt: skip
    target: Any = dt.float32
    if policy == "widest" and all(x.dtype is lower for x in found):
        target = lower
    return [mapped(v, lambda x: x.to(target) if eligible(x, asked) else x) for v in values]


def eligible(x: Tensor, asked: dict[str, Cast]) -> bool:
    """Whether a tensor is cast at all."""
    cast = asked.get(x.device.type)
    return (
        cast is not None and cast.enabled and x.dtype.kind == "float" and x.dtype is not dt.float64
    )


# ---- where calls are met

_lock = Lock()
_installed: list[bool] = []


def install() -> None:
    """Make the listed functions cast where a block is open; once in a process."""
    with _lock:
        if _installed:
            return
        several: dict[int, tuple[Function, str]] = {}
        for name in {**CPU, **OTHERS}:
            function = function_of(name)
            op = getattr(function, "op", None)
            if op is None or not slowly(function, name):
                several[id(function)] = function, name
            if op is not None and op.operator is not None:
                for operator in (f"__{op.operator}__", f"__r{op.operator}__"):
                    slowly(getattr(Tensor, operator, None), name)
        for function, name in several.values():
            within(function, name)
        _installed.append(True)


def within(function: Any, name: str) -> None:
    """Cast in a function of several operations, behind the question who says what it does.

    It stays the same object, as tables of ``__torch_function__`` know it by that.
    """
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cell = cells["slow"] if "slow" in cells else cells["function"]
    cell.cell_contents = wrapped(cell.cell_contents, name)


def slowly(function: Any, name: str) -> bool:
    """Cast on an operation's long way; False if it has no other."""
    space = function.__globals__ if type(function) is FunctionType else {}
    if "_slow" not in space:
        return False
    for way in ("_slow", "_general"):
        space[way] = arriving(space[way], name)
    return True


def arriving(way: Function, name: str) -> Function:
    """An operation's long way, behind the casts."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not current().ledgers:
            return way(*args, **kwargs)
        # The first way is given its arguments by name.
        named = args[0] if args and isinstance(args[0], dict) else None
        given = kwargs if named is None else {**named, **(args[1] or {})} if args[1:] else named
        values = [*(args if named is None else named.values()), *kwargs.values()]
        changed = converted(name, values, given)
        if changed is None:
            return way(*args, **kwargs)
        if named is not None:
            return way(dict(zip(named, changed, strict=True)), *args[1:])
        count = len(args)
        return way(*changed[:count], **dict(zip(kwargs, changed[count:], strict=True)))

    return call


def wrapped(function: Function, name: str) -> Function:
    """A function of several operations, behind the casts."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not current().ledgers:
            return function(*args, **kwargs)
        changed = converted(name, [*args, *kwargs.values()], kwargs)
        if changed is None:
            return function(*args, **kwargs)
        count = len(args)
        with Untouched():
            return function(*changed[:count], **dict(zip(kwargs, changed[count:], strict=True)))

    return call
