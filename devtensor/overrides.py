"""Types that act as tensors, by PyTorch's names (``torch.overrides``).

Operations ask the arguments whose class has a ``__torch_function__``, and modes that are entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import wraps
from typing import Any

from devtensor.autograd.mode import Block, current
from devtensor.op import catalogue
from devtensor.route import ACTING, Handlers, Unrouted, actors, hand_over
from devtensor.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "TorchFunctionMode",
    "get_ignored_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

DisableTorchFunctionSubclass = Unrouted


class DisableTorchFunction(Unrouted):
    """A block in which neither subclasses nor modes are asked what functions do."""

    def __enter__(self) -> None:
        super().__enter__()
        self.blocks = ExitStack()
        for _ in current().functions:
            self.blocks.enter_context(Handlers(None))

    def __exit__(self, *error: object) -> None:
        self.blocks.close()
        super().__exit__(*error)


class TorchFunctionMode(Handlers):
    """A block in which a method is asked first what functions do.

    Subclass it, and define ``__torch_function__(self, func, types, args=(), kwargs=None)``. Within
    that method the mode is off.

    Examples
    --------
    >>> import devtensor as torch
    >>> class Count(torch.overrides.TorchFunctionMode):
    ...     calls = 0
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         self.calls += 1
    ...         return func(*args, **(kwargs or {}))
    >>> with Count() as count:
    ...     _ = torch.ones(2) * 2 + 1
    >>> count.calls >= 2
    True
    """

    def __init__(self) -> None:
        Block.__init__(self, self)

    def __enter__(self) -> Any:
        super().__enter__()
        return self

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """What a function does."""
        raise NotImplementedError


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments is to be asked."""
    return bool(actors(relevant_args))


def has_torch_function_unary(x: Any) -> bool:
    """Whether an argument is to be asked."""
    return bool(actors((x,)))


def has_torch_function_variadic(*args: Any) -> bool:
    """Whether one of the arguments is to be asked."""
    return bool(actors(args))


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the arguments say that a function does.

    Raises
    ------
    TypeError
        If none of them says anything.
    """
    return hand_over(public_api, args, kwargs, actors(relevant_args))


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Let a function of one's own ask the arguments that `dispatcher` returns."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            relevant = actors(dispatcher(*args, **kwargs))
            return (
                hand_over(call, args, kwargs, relevant) if relevant else function(*args, **kwargs)
            )

        return call

    return decorate


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions that ask their arguments, by where they are."""
    found: dict[Any, list[Callable[..., Any]]] = {}
    for entry in catalogue.values():
        if entry.public:
            found.setdefault(entry.home or "torch", []).append(entry.function)
    return found


def get_ignored_functions() -> set[Callable[..., Any]]:
    """The functions that do not: those without a tensor among their arguments."""
    return {entry.function for entry in catalogue.values() if entry.op and not entry.op.inputs}


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or says by ``__torch_function__`` that it acts as one."""
    return isinstance(inp, Tensor) or ACTING[type(inp)]


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether a function is one of those that tensors have as methods, or reads a property."""
    return any(
        value.__get__ == func if isinstance(value, property) else value is func
        for value in vars(Tensor).values()
    )


def resolve_name(f: Any) -> str | None:
    """The name of a function, as ``torch.add``."""
    name = getattr(f, "__name__", None)
    return f"torch.{name}" if name else None
