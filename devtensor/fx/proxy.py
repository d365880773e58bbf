"""Stand-ins for values, which note what is done with them."""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import devtensor as dt
from devtensor.fx._codegen import BINARY, public
from devtensor.fx.graph import Graph
from devtensor.fx.node import Argument, Node, Target, map_aggregate

__all__ = ["Attribute", "GraphAppendingTracer", "ParameterProxy", "Proxy", "TraceError",
           "TracerBase"]  # fmt: skip


class TraceError(ValueError):
    """What a program does with a value that stands for any."""


BASE = (str, int, float, bool, complex, type(None), type(...), dt.dtype, dt.device, dt.layout,
        dt.memory_format, dt.Tensor)  # fmt: skip


class TracerBase:
    """Makes nodes of what is done with proxies.

    Attributes
    ----------
    graph : Graph
    """

    graph: Graph
    trace_asserts = False
    proxy_buffer_attributes = False

    def create_node(
        self, kind: str, target: Target, args: tuple[Argument, ...], kwargs: dict[str, Argument],
        name: str | None = None, type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """Put a node into the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The stand-in for a node's result."""
        return Proxy(node, self)

    def create_proxy(
        self, kind: str, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any],
        name: str | None = None, type_expr: Any = None, proxy_factory_fn: Any = None,
    ) -> Any:  # fmt: skip
        """A node of values and proxies, and its own proxy."""
        node = self.create_node(
            kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr
        )
        return self.proxy(node) if proxy_factory_fn is None else proxy_factory_fn(node)

    def create_arg(self, a: Any) -> Argument:
        """A value as an argument of a node.

        Raises
        ------
        NotImplementedError
            If nodes cannot have it.
        """

        def one(value: Any) -> Argument:
            if isinstance(value, Proxy):
                return value.node
            if isinstance(value, range):
                return range(*map(self.create_arg, (value.start, value.stop, value.step)))
            if hasattr(value, "__fx_create_arg__"):
                return value.__fx_create_arg__(self)
            if isinstance(value, (*BASE, Node)) or callable(value):
                return value
            raise NotImplementedError(f"argument of type: {type(value)}")

        def collected(value: Any) -> Argument:
            if isinstance(value, dict):
                if any(isinstance(key, Proxy) for key in value):
                    raise RuntimeError("Keys for dictionaries used as an argument cannot be Nodes")
                return {key: collected(x) for key, x in value.items()}
            if isinstance(value, tuple) and hasattr(value, "_fields"):
                return type(value)(*map(self.create_arg, value))
            if isinstance(value, (tuple, list)):
                return (tuple if isinstance(value, tuple) else list)(map(self.create_arg, value))
            return map_aggregate(value, one)

        return collected(a)

    def to_bool(self, obj: Proxy) -> bool:
        """Refuse to decide by a value."""
        raise TraceError(
            "symbolically traced variables cannot be used as inputs to control flow: the graph "
            "would hold for one of the ways; use torch.where, or keep the module whole as a leaf"
        )

    def iter(self, obj: Any) -> Iterator[Any]:
        """The elements of a value, as many as the program unpacks."""
        frame: FrameType | None = sys._getframe(2)
        assert frame is not None
        for step in dis.get_instructions(frame.f_code):
            if step.offset == frame.f_lasti and step.opname == "UNPACK_SEQUENCE":
                return (obj[i] for i in range(step.argval))
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
            "loop or as a *args or **kwargs function argument; index it instead"
        )

    def keys(self, obj: Proxy) -> Any:
        """The keys of a value that stands for a dictionary."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Puts the nodes into a graph that is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """Stands for the result of a node: what is done with it becomes further nodes.

    Attributes
    ----------
    node : Node
    tracer : TracerBase
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Any:
        if k.startswith("__") and k.endswith("__"):  # what Python itself asks for
            raise AttributeError(k)
        return Attribute(self, k)

    def __deepcopy__(self, memo: Any) -> Any:
        return Proxy(self.node, self.tracer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", abs, (self,), {})

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})

    def keys(self) -> Any:
        """The keys, of what stands for a dictionary."""
        return self.tracer.keys(self)

    @classmethod
    def __torch_function__(
        cls, orig_method: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """A node that calls the function; of a tensor's method or property, by its name."""
        kwargs = kwargs or {}
        tracer = next(x.tracer for x in flat((args, kwargs)) if isinstance(x, Proxy))
        found = public(orig_method)
        if found is not None:
            return tracer.create_proxy("call_function", found[1], args, kwargs)
        return tracer.create_proxy("call_method", orig_method.__name__, args, kwargs)


def flat(value: Any) -> Iterator[Any]:
    """What is in collections."""
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from flat(one)
    elif isinstance(value, dict):
        yield from flat(list(value.values()))
    else:
        yield value


class Attribute(Proxy):
    """An attribute of what a proxy stands for; called, it is a method."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override] # which is made when it is asked for
        """The node that reads the attribute, made now unless it is there."""
        if self._node is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._node = made.node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A parameter's proxy, of which shape and size are known."""

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: Any) -> None:
        super().__init__(node, tracer)
        self.param, self.name = param, name

    @property
    def shape(self) -> Any:
        """The parameter's."""
        return self.param.shape

    def size(self) -> Any:
        """The parameter's."""
        return self.param.size()

    def dim(self) -> int:
        """The parameter's."""
        number: int = self.param.dim()
        return number

    @property
    def ndim(self) -> int:
        """The parameter's."""
        return self.dim()

    def numel(self) -> int:
        """The parameter's."""
        number: int = self.param.numel()
        return number


def operation(function: Callable[..., Any], reflected: bool = False) -> Callable[..., Any]:
    """The method behind an operator."""

    def call(self: Proxy, *others: Any) -> Any:
        args = (*others, self) if reflected else (self, *others)
        return self.tracer.create_proxy("call_function", function, args, {})

    return call


COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
for _name in (*BINARY, "getitem", "neg", "pos", "invert"):
    _bare = _name.strip("_")
    setattr(Proxy, f"__{_bare}__", operation(getattr(operator, _name)))
    if _name in BINARY and _name not in COMPARED:
        setattr(Proxy, f"__r{_bare}__", operation(getattr(operator, _name), reflected=True))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign] # equality makes a node
