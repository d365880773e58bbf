"""Notes shapes and types in a graph's nodes, by running it."""

from __future__ import annotations

from typing import Any, NamedTuple

from devtensor.fx.interpreter import Interpreter
from devtensor.fx.node import Node, map_aggregate
from devtensor.tensor import Tensor

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What is noted of a tensor."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any = None
    is_quantized: bool = False
    qparams: Any = None


def noted(value: Any) -> Any:
    """What is noted of a result."""
    if not isinstance(value, Tensor):
        return value
    return TensorMetadata(value.shape, value.dtype, value.requires_grad, value.stride())


class ShapeProp(Interpreter):
    """Runs a graph, and notes ``meta["tensor_meta"]`` and ``meta["type"]`` of its nodes."""

    def run_node(self, n: Node) -> Any:
        """The result of a node, of which shapes and types are noted."""
        result = super().run_node(n)
        found = any(isinstance(x, Tensor) for x in tensors(result))
        if found:
            n.meta["tensor_meta"] = map_aggregate(result, noted)
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run the graph on arguments."""
        return self.run(*args)


def tensors(value: Any) -> list[Any]:
    """What is in collections."""
    found: list[Any] = []
    map_aggregate(value, found.append)
    return found
