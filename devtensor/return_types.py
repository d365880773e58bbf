"""The classes of several results that have names (``torch.return_types``), as ``max``."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

RETURNED: dict[str, Any] = {}
"""The classes of several results, by name."""


def returned(name: str, fields: tuple[str, ...]) -> type:
    """The class of several results, which have names and are shown as PyTorch shows them."""
    name = name.removesuffix("_dim")
    return as_shown(name, type(name, (namedtuple(name, fields),), {"__slots__": ()}))


def as_shown(name: str, made: Any) -> Any:
    """A class of named results under PyTorch's name, shown as there."""

    def show(self: Any) -> str:
        parts = [f"{field}={value!r}" for field, value in zip(made._fields, self, strict=True)]
        return f"torch.return_types.{name}(\n" + ",\n".join(parts) + ")"

    made.__name__ = made.__qualname__ = name
    made.__module__ = "torch.return_types"
    made.__reduce__ = lambda self: (returned_again, (name, tuple(self)))
    made.__repr__ = show
    made.n_fields = made.n_sequence_fields = len(made._fields)
    made.n_unnamed_fields = 0
    RETURNED[name] = made
    return made


def returned_again(name: str, values: tuple[Any, ...]) -> Any:
    """Several results as they were before they were pickled or copied."""
    return RETURNED[name](*values)


def __getattr__(name: str) -> Any:
    if name not in RETURNED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return RETURNED[name]


def __dir__() -> list[str]:
    return sorted(RETURNED)
