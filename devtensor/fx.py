"""Graph capture by name (``torch.fx``): programs are run, and not turned into graphs."""

from __future__ import annotations

from typing import TypeVar

from devtensor.refusal import refused

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
