"""Turns a module or a function into a graph by running it on proxies."""

from __future__ import annotations

import builtins
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any

import devtensor as dt
from devtensor.fx.graph import Graph
from devtensor.fx.graph_module import GraphModule
from devtensor.fx.node import Argument
from devtensor.fx.proxy import ParameterProxy, Proxy, TracerBase, flat
from devtensor.nn.module import Module

__all__ = ["PH", "Tracer", "is_fx_tracing", "symbolic_trace", "wrap"]

WRAPPED: dict[tuple[int, str], dict[str, Any]] = {}
"""The functions that `wrap` was told of: the globals in which they are, by those and their name."""

tracing: list[Any] = []
"""The tracers at work, the innermost last."""


def is_fx_tracing() -> bool:
    """Whether a tracer is at work."""
    return bool(tracing)


def wrap(fn_or_name: Any) -> Any:
    """Keep a function whole: calls of it in this file become one node.

    Parameters
    ----------
    fn_or_name : callable or str
        A function of the file that calls `wrap`, or its name.
    """
    if not isinstance(fn_or_name, str) and not callable(fn_or_name):
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    WRAPPED[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


def as_node(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that becomes a node where it is given a proxy."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = next((x for x in flat((args, kwargs)) if isinstance(x, Proxy)), None)
        if given is None:
            return function(*args, **kwargs)
        return given.tracer.create_proxy("call_function", function, args, kwargs)

    return call


class Placeholder:
    """Says of an argument among concrete ones that it is to be a placeholder."""


PH = Placeholder()


class Tracer(TracerBase):
    """Traces modules; methods may be overridden.

    Parameters
    ----------
    autowrap_modules : tuple of module
        Their functions are kept whole.
    autowrap_functions : tuple of callable
        So are these.
    param_shapes_constant : bool
        Whether shapes of parameters are numbers.
    """

    def __init__(
        self,
        autowrap_modules: tuple[ModuleType, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._autowrap_modules = autowrap_modules
        self._autowrap_functions = autowrap_functions
        self.param_shapes_constant = param_shapes_constant

    # ---- what may be overridden

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a module stays a call in the graph; by default those of ``torch.nn``."""
        own = m.__module__.startswith(("devtensor.nn", "torch.nn"))
        return own and not isinstance(m, dt.nn.Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The path of a module in the root; NameError if it is not there."""
        found = next((path for path, one in self.root.named_modules() if one is mod), None)
        if found is None:
            raise NameError("module is not installed as a submodule")
        return found

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What a call of a module gives."""
        path = self.path_of_module(m)
        if not self.is_leaf_module(m, path):
            return forward(*args, **kwargs)
        return self.create_proxy("call_module", path, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What is read of a module: of a parameter, its proxy."""
        if isinstance(attr_val, dt.nn.Parameter):
            named = self.root.named_parameters()
        elif self.proxy_buffer_attributes and isinstance(attr_val, dt.Tensor):
            named = self.root.named_buffers()
        else:
            return attr_val
        path = next((path for path, one in named if one is attr_val), None)
        if path is None:
            return attr_val
        if path not in parameter_proxy_cache:
            made = self.create_proxy("get_attr", path, (), {})
            if self.param_shapes_constant:
                made = ParameterProxy(self, made.node, path, attr_val)
            parameter_proxy_cache[path] = made
        return parameter_proxy_cache[path]

    def create_arg(self, a: Any) -> Argument:
        """A value as an argument: a tensor becomes an attribute of the root."""
        if isinstance(a, dt.nn.Parameter):
            path = next((path for path, one in self.root.named_parameters() if one is a), None)
            if path is None:
                raise NameError("parameter is not a member of this module")
            return self.create_node("get_attr", path, (), {})
        if isinstance(a, dt.Tensor):
            path = next((path for path, one in self.root.named_buffers() if one is a), None)
            return self.create_node("get_attr", path or self._constant(a), (), {})
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)

    def _constant(self, value: Any) -> str:
        """The name of an attribute of the root for a tensor."""
        found = next((name for name, one in self._constants.items() if one is value), None)
        if found is None:
            number = 0
            while hasattr(self.root, f"_tensor_constant{number}"):
                number += 1
            found = f"_tensor_constant{number}"
            self._constants[found] = value
            setattr(self.root, found, value)
        return found

    # ---- the trace

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """A placeholder for each argument of a function, and what it is called with."""
        listed = list(inspect.signature(root_fn).parameters.values())
        args: list[Any] = [self.root] if is_module else []
        named: dict[str, Any] = {}
        for parameter in listed[1:] if is_module else listed:
            name = parameter.name
            star: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
            default = () if parameter.default is parameter.empty else (parameter.default,)
            kind = None if parameter.annotation is parameter.empty else parameter.annotation
            made = self.create_proxy(
                "placeholder", star.get(parameter.kind, "") + name, default, {},
                type_expr=None if isinstance(kind, str) else kind,
            )  # fmt: skip
            # One that is fixed stays among the arguments, and nobody uses it.
            if concrete_args and concrete_args.get(name, PH) is not PH:
                made = concrete_args[name]
            if parameter.kind is parameter.KEYWORD_ONLY:
                named[name] = made
            elif parameter.kind is parameter.VAR_POSITIONAL:
                args.append(made)
            elif parameter.kind is parameter.VAR_KEYWORD:
                named[name] = made
            else:
                args.append(made)
        stars = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in listed)
        bare = getattr(root_fn, "__func__", root_fn)
        if stars or named:
            code = bare.__code__
            order = [p.name for p in listed if p.name in code.co_varnames]
            values = dict(zip([p.name for p in listed if p.name not in named], args, strict=True))
            return unstarred(bare), [(values | named)[name] for name in order]
        return bare, args

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module or a function.

        Parameters
        ----------
        root : Module or callable
        concrete_args : dict, optional
            Arguments that are not to be placeholders.
        """
        is_module = isinstance(root, Module)
        self.root = root if is_module else Module()
        function = type(root).forward if is_module else root
        self.root_module_name = type(root).__name__ if is_module else ""
        self._constants = {
            name: value for name, value in vars(self.root).items() if isinstance(value, dt.Tensor)
        }
        self.graph = Graph(tracer_cls=type(self))
        with self._patched(function):
            called, args = self.create_args_for_root(function, is_module, concrete_args)
            result = called(*args)
            self.create_node("output", "output", (self.create_arg(result),), {})
        return self.graph

    @contextmanager
    def _patched(self, function: Any) -> Iterator[None]:
        """A block in which modules and functions ask this tracer what they do."""
        before = [(Module, name, getattr(Module, name)) for name in ("__call__", "__getattr__")]
        plain_call, plain_getattr = before[0][2], before[1][2]
        proxies: dict[str, Any] = {}

        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            def forward(*args: Any, **kwargs: Any) -> Any:
                return plain_call(module, *args, **kwargs)

            return self.call_module(module, forward, args, kwargs)

        def read(module: Any, name: str) -> Any:
            return self.getattr(name, plain_getattr(module, name), proxies)

        spaces = [(space, name) for (_, name), space in WRAPPED.items()]
        for module in self._autowrap_modules:
            for name, value in vars(module).items():
                if callable(value) and not name.startswith("_"):
                    spaces.append((vars(module), name))
        own = getattr(function, "__globals__", {})
        spaces += [
            (own, n) for n, v in own.items() if any(v is f for f in self._autowrap_functions)
        ]
        olds = [(space, name, space.get(name)) for space, name in spaces]
        tracing.append(self)
        try:
            Module.__call__, Module.__getattr__ = call, read  # type: ignore[assignment, method-assign]
            for space, name, old in olds:
                space[name] = as_node(old if old is not None else getattr(builtins, name))
            yield
        finally:
            tracing.pop()
            for place, name, old in before:
                setattr(place, name, old)
            for space, name, old in olds:
                if old is None:
                    del space[name]
                else:
                    space[name] = old


def unstarred(function: Any) -> Any:
    """A function whose ``*args`` and ``**kwargs`` are arguments like the others."""
    code = function.__code__
    stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    plain = code.replace(
        co_argcount=count,
        co_posonlyargcount=0,
        co_kwonlyargcount=0,
        co_flags=code.co_flags & ~stars,
    )
    return FunctionType(plain, function.__globals__, function.__name__, None, function.__closure__)


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """A module or a function as a module that runs the graph of its calls.

    Parameters
    ----------
    root : Module or callable
        It is run once, on stand-ins for its arguments.
    concrete_args : dict, optional
        Arguments that are fixed to values.

    Raises
    ------
    TraceError
        If what it calls depends on the values of tensors.

    Examples
    --------
    >>> import devtensor as torch
    >>> traced = torch.fx.symbolic_trace(lambda x: torch.relu(x) + 1)
    >>> print(traced.code.strip())
    def forward(self, x):
        relu = torch.relu(x);  x = None
        add = relu + 1;  relu = None
        return add
    >>> traced(torch.tensor([-1.0, 1.0]))
    tensor([1., 2.])
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
