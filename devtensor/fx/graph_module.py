"""A module whose forward is the code of a graph."""

from __future__ import annotations

import copy
import itertools
import linecache
from typing import Any

import devtensor as dt
from devtensor.fx.graph import Graph, PythonCode
from devtensor.nn.module import Module

__all__ = ["GraphModule", "reduce_graph_module"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"
numbers = itertools.count()


def compiled(code: PythonCode) -> Any:
    """The function of a graph's code, whose lines errors can show."""
    file = f"<eval_with_key>.{next(numbers)}"
    space = dict(code.globals)
    exec(compile(code.src, file, "exec"), space)
    linecache.cache[file] = (len(code.src), None, code.src.splitlines(True), file)
    return space["forward"]


def _copy_attr(from_module: Module, to_module: Module, target: str) -> None:
    """Give a module what another has at a path, with the modules on the way there."""
    *way, last = target.split(".")
    for name in way:
        source, found = getattr(from_module, name), getattr(to_module, name, None)
        if source is found:
            return
        if found is None:
            found = Module()
            setattr(to_module, name, found)
        from_module, to_module = source, found
    value = getattr(from_module, last)
    if isinstance(value, dt.Tensor) and not isinstance(value, dt.nn.Parameter):
        to_module.register_buffer(last, value)
    else:
        setattr(to_module, last, value)


def _assign_attr(from_obj: Any, to_module: Module, target: str) -> None:
    """Put a value at a path of a module."""
    *way, last = target.split(".")
    for name in way:
        if not hasattr(to_module, name):
            setattr(to_module, name, Module())
        to_module = getattr(to_module, name)
    if isinstance(from_obj, dt.Tensor) and not isinstance(from_obj, dt.nn.Parameter):
        to_module.register_buffer(last, from_obj)
    else:
        setattr(to_module, last, from_obj)


class _CodeOnlyModule(Module):
    """A module of what was stored, before it has its graph again."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


class GraphModule(Module):
    """A module whose forward is generated from a graph; each has a class of its own.

    Parameters
    ----------
    root : Module or dict
        Has what the graph's nodes name: parameters, buffers, modules.
    graph : Graph
    class_name : str

    Attributes
    ----------
    graph : Graph
        Set it, or call `recompile`, after it has changed.
    code : str
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        base = next(c for c in cls.__mro__ if c.__qualname__.split(".")[-1] != "GraphModuleImpl")

        class GraphModuleImpl(base):  # type: ignore[valid-type, misc]
            pass

        return super().__new__(GraphModuleImpl)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        self.__class__.__name__ = class_name
        named = [
            node.target
            for node in graph.nodes
            if node.op in ("get_attr", "call_module") and isinstance(node.target, str)
        ]
        paths = sorted(dict.fromkeys(named), key=lambda path: path.count("."))
        if isinstance(root, Module):
            self.training = getattr(root, "training", True)
            for path in paths:
                _copy_attr(root, self, path)
        elif isinstance(root, dict):
            for path in paths:
                if path not in root:
                    raise RuntimeError(
                        f"Node {path} referenced target {path} but that target was not provided in "
                        "`root`!"
                    )
                _assign_attr(root[path], self, path)
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.meta: dict[str, Any] = {}
        self._graph: Any = None
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The graph; when it is set, the code is made anew."""
        found: Graph = self._graph
        return found

    @graph.setter
    def graph(self, graph: Graph) -> None:
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        self.__dict__["_graph"] = graph
        graph.owning_module = self
        self.recompile()

    def recompile(self) -> PythonCode:
        """Make the code of the graph anew; call it after the graph has changed."""
        made = self.graph.python_code(root_module="self")
        self.__dict__["_code"] = made.src
        type(self).forward = compiled(made)  # type: ignore[method-assign] # its own class
        return made

    @property
    def code(self) -> str:
        """The source of its forward."""
        source: str = self.__dict__["_code"]
        return source

    def print_readable(self, print_output: bool = True, **_: Any) -> str:
        """The code as that of a class; printed, too, by default."""
        body = self.code.strip().replace("\n", "\n    ")
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {body}\n"
        if print_output:
            print(text)
        return text

    # ---- modules within

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a path; False if something else is on the way."""
        owner: Any = self
        *way, last = target.split(".")
        for name in way:
            if not hasattr(owner, name):
                setattr(owner, name, Module())
            owner = getattr(owner, name)
            if not isinstance(owner, Module):
                return False
        owner.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Take away the module at a path; False if there is none."""
        *way, last = target.split(".")
        owner: Any = self
        for name in way:
            owner = getattr(owner, name, None)
        if not isinstance(getattr(owner, last, None), Module):
            return False
        delattr(owner, last)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Take away the modules that no node names."""
        used = {n.target for n in self.graph.nodes if n.op in ("call_module", "get_attr")}
        for path, _ in list(self.named_modules()):
            needed = any(f"{t}.".startswith(f"{path}.") or path.startswith(f"{t}.") for t in used)
            if path and not needed:
                self.delete_submodule(path)

    # ---- copies

    def _own(self) -> dict[str, Any]:
        """What it has besides its graph."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code")}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        state = copy.deepcopy(self._own(), memo)
        return reduce_graph_module(state, copy.deepcopy(self.graph), type(self).__name__)

    def __copy__(self) -> Any:
        return reduce_graph_module(self._own(), copy.deepcopy(self.graph), type(self).__name__)

    def __reduce__(self) -> Any:
        return reduce_graph_module, (self._own(), self.graph, type(self).__name__)


def reduce_graph_module(state: dict[str, Any], graph: Graph, name: str) -> GraphModule:
    """A module out of what was stored of it."""
    made: GraphModule = GraphModule.__new__(GraphModule)
    Module.__init__(made)
    made.__dict__.update(state)
    type(made).__name__ = name
    made.graph = graph
    return made
