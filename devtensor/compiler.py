"""What programs say to PyTorch's compiler (``torch.compiler``), which is not here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
    "set_stance",
]

F = TypeVar("F")


def compile(model: Any = None, **options: Any) -> Any:
    """Return `model` as it is; see `devtensor.compile`."""
    from devtensor.settings import compile as identity

    return identity(model, **options)


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return the function; nothing would compile it."""
    return fn if fn is not None else (lambda function: function)


def allow_in_graph(fn: F) -> F:
    """Return the function."""
    return fn


def assume_constant_result(fn: F) -> F:
    """Return the function."""
    return fn


def is_compiling() -> bool:
    """False: code is always run as it is."""
    return False


def is_dynamo_compiling() -> bool:
    """False: code is always run as it is."""
    return False


def is_exporting() -> bool:
    """False: code is always run as it is."""
    return False


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """None."""
    return []


def reset() -> None:
    """Nothing was compiled."""


def cudagraph_mark_step_begin() -> None:
    """No graphs are recorded."""


@contextmanager
def set_stance(stance: str = "default", **options: Any) -> Any:
    """A block like any other."""
    yield
