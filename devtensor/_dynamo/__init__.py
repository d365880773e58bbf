"""The compiler by its inner name (``torch._dynamo``): marks do nothing, nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from devtensor._dynamo import config, eval_frame
from devtensor.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
    set_stance,
    substitute_in_graph,
)
from devtensor.refusal import absent

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "disallow_in_graph",
    "dont_skip_tracing",
    "eval_frame",
    "forbid_in_graph",
    "graph_break",
    "is_compiling",
    "is_dynamo_supported",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "nonstrict_trace",
    "optimize",
    "optimize_assert",
    "reset",
    "run",
    "set_stance",
    "substitute_in_graph",
]

_absent = absent("_dynamo")


def __getattr__(name: str) -> Any:
    return eval_frame.OptimizedModule if name == "OptimizedModule" else getattr(_absent, name)


disallow_in_graph = forbid_in_graph = nonstrict_trace = allow_in_graph


class Unsupported(RuntimeError):
    """What the compiler raises, so never."""


exc = SimpleNamespace(Unsupported=Unsupported)


def optimize(backend: Any = "inductor", **options: Any) -> Callable[[Any], Any]:
    """The older form of ``torch.compile``: a decorator that returns what it is given."""
    from devtensor.settings import compile

    options.pop("nopython", None)
    decorator: Callable[[Any], Any] = compile(backend=backend, **options)
    return decorator


optimize_assert = optimize


def run(fn: Any = None) -> Any:
    """Return the function; nothing is compiled anew anyway."""
    return fn if fn is not None else run


dont_skip_tracing = run


def is_dynamo_supported() -> bool:
    """True: what is given to ``torch.compile`` runs, as it is."""
    return True


def graph_break(msg: str = "") -> None:
    """Nothing: there is no graph to break."""


skip_frame = step_unsupported = graph_break


def reset_code_caches() -> None:
    """Nothing was compiled."""


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Nothing is compiled for an address."""


def mark_dynamic(t: Any, index: Any, **_: Any) -> None:
    """Nothing is compiled for a size."""


maybe_mark_dynamic = mark_dynamic


def mark_static(t: Any, index: Any = None) -> None:
    """Nothing is compiled for a size."""
