"""Graph capture by name (``torch.fx``): programs are run, and not turned into graphs."""

from __future__ import annotations

from typing import Any, TypeVar

from devtensor.refusal import absent, refused

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "Transformer",
           "symbolic_trace", "wrap"]  # fmt: skip

F = TypeVar("F")
WHY = "programs are not turned into graphs; the ledger and module hooks see what runs"

Graph = refused("fx.Graph", WHY)
GraphModule = refused("fx.GraphModule", WHY)
Interpreter = refused("fx.Interpreter", WHY)
Node = refused("fx.Node", WHY)
Proxy = refused("fx.Proxy", WHY)
Tracer = refused("fx.Tracer", WHY)
Transformer = refused("fx.Transformer", WHY)
symbolic_trace = refused("fx.symbolic_trace", WHY)


def wrap(fn_or_name: F) -> F:
    """Return the function."""
    return fn_or_name


def __getattr__(name: str) -> Any:
    if name in ("graph", "graph_module", "immutable_collections", "interpreter", "node", "proxy"):
        return absent(f"fx.{name}")  # which PyTorch imports with the package
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
