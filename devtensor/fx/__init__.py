"""Graphs of what modules call (``torch.fx``): traced, changed, and run as Python code again."""

from __future__ import annotations

from typing import Any

from devtensor.fx import (
    graph_module,
    immutable_collections,
    interpreter,
    node,
    proxy,
    subgraph_rewriter,
)
from devtensor.fx._symbolic_trace import PH, Tracer, is_fx_tracing, symbolic_trace, wrap
from devtensor.fx.graph import Graph, PythonCode
from devtensor.fx.graph_module import GraphModule
from devtensor.fx.interpreter import Interpreter, Transformer
from devtensor.fx.node import Node, map_arg
from devtensor.fx.proxy import Proxy
from devtensor.fx.subgraph_rewriter import replace_pattern
from devtensor.refusal import absent

__all__ = ["PH", "Graph", "GraphModule", "Interpreter", "Node", "Proxy", "PythonCode", "Tracer",
           "Transformer", "graph_module", "immutable_collections", "interpreter", "is_fx_tracing",
           "map_arg", "node", "proxy", "replace_pattern", "subgraph_rewriter", "symbolic_trace",
           "wrap"]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("experimental", "traceback"):
        return absent(f"fx.{name}")  # which PyTorch has, for its compiler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
