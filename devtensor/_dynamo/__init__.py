"""The compiler by its inner name (``torch._dynamo``): marks do nothing, nothing is compiled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from devtensor.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    reset,
)
from devtensor.refusal import COMPILER, refused

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "is_compiling",
    "is_dynamo_supported",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "reset",
]

OptimizedModule = refused("_dynamo.OptimizedModule", COMPILER)
eval_frame = SimpleNamespace(OptimizedModule=OptimizedModule)


class Unsupported(RuntimeError):
    """What the compiler raises, so never."""


exc = SimpleNamespace(Unsupported=Unsupported)
config = SimpleNamespace(cache_size_limit=8, capture_scalar_outputs=False, suppress_errors=False)


def is_dynamo_supported() -> bool:
    """True: what is given to ``torch.compile`` runs, as it is."""
    return True


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Nothing is compiled for an address."""


def mark_dynamic(t: Any, index: Any, **_: Any) -> None:
    """Nothing is compiled for a size."""


def mark_static(t: Any, index: Any = None) -> None:
    """Nothing is compiled for a size."""
