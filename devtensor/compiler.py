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
    "nested_compile_region",
    "reset",
    "set_stance",
    "substitute_in_graph",
    "wrap_numpy",
]

F = TypeVar("F")


def compile(model: Any = None, **options: Any) -> Any:
    """Return `model` to be run as it is; see `devtensor.compile`."""
    from devtensor.settings import compile as identity

    return identity(model, **options)


def disable(
    fn: Any = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True
) -> Any:
    """Return the function; nothing would compile it."""
    return fn if fn is not None else allow_in_graph


def allow_in_graph(fn: F) -> F:
    """Return the function."""
    return fn


assume_constant_result = wrap_numpy = allow_in_graph


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """Return the function; nothing would compile it."""
    return fn if fn is not None else allow_in_graph


def substitute_in_graph(original_fn: Any, **options: Any) -> Any:
    """A decorator that returns the function, for which nothing is put in place of another."""
    return allow_in_graph


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


def set_default_backend(backend: Any) -> None:
    """Without effect."""


def get_default_backend() -> str:
    """The name of PyTorch's own."""
    return "inductor"


def reset() -> None:
    """Nothing was compiled."""


def cudagraph_mark_step_begin() -> None:
    """No graphs are recorded."""


@contextmanager
def set_stance(stance: str = "default", **options: Any) -> Any:
    """A block like any other."""
    yield
