"""The graph: nodes that remember how tensors were made, and how gradients go back through them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from threading import Lock
from typing import Any, NamedTuple

from devtensor.hooks import HookDict, RemovableHandle
from devtensor.tensor import Constant

_lock = Lock()
tick = count(1).__next__
"""One clock for the order of nodes and the time of writes."""


class Extra:
    """What few nodes have.

    Attributes
    ----------
    memories : list
        The numbers of outputs that the node has saved, each with its shared memory.
    outputs : dict
        What hangs on each output: a list of callables that may replace its gradient.
    hooks, prehooks : dict
        The node's own hooks, by number.
    metadata : dict
        For users.
    line : str
        Where the forward ran, in anomaly mode.
    """

    __slots__ = ("hooks", "line", "memories", "metadata", "outputs", "prehooks")

    def __init__(self) -> None:
        self.memories: list[Any] = []
        self.outputs: dict[int, HookDict] = {}
        self.hooks = HookDict()
        self.prehooks = HookDict()
        self.metadata: dict[Any, Any] = {}
        self.line = ""


class Node:
    """A step of the backward pass.

    Attributes
    ----------
    clock : int
        When it was made; later nodes go first.
    shape : tuple of int
        The shape of its first output.
    device : device
        Where its gradients are computed.
    """

    __slots__ = ("clock", "device", "extra", "shape")
    clock: int
    shape: tuple[int, ...]
    device: Any
    extra: Extra | None
    inference = False
    count = 1

    def name(self) -> str:
        """What kind of step it is, as ``"MulBackward0"``."""
        raise NotImplementedError

    def edges(self) -> tuple[Any, ...]:
        """For each input the node or output that its gradient goes to, or None."""
        raise NotImplementedError

    def edges_in_turn(self) -> tuple[Any, ...]:
        """The edges in the order in which leaves at their ends are due."""
        return self.edges()

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input: the node its gradient goes to, and which of its outputs it was."""
        return tuple([(None, 0) if e is None else (shown(e.node), e.index) for e in self.edges()])

    def edge(self, index: int) -> Any:
        """The edge to one of the outputs."""
        return self

    @property
    def node(self) -> Node:
        """The node that an edge leads to: itself."""
        return self

    @property
    def index(self) -> int:
        """Which output of the node an edge leads to: the first."""
        return 0

    requires_grad = True

    def __call__(self, *grads: Any) -> Any:
        """The gradients of its inputs from those of its outputs: one step, without hooks."""
        from devtensor.autograd.graph import stepped

        return stepped(self, grads)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for users."""
        return extra_of(self).metadata

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> Any:
        """Call ``fn(grad_inputs, grad_outputs)`` after the step; a tuple it returns replaces."""
        return RemovableHandle.add(extra_of(self).hooks, fn)

    def register_prehook(self, fn: Callable[[Any], Any]) -> Any:
        """Call ``fn(grad_outputs)`` before the step; a tuple it returns replaces them."""
        return RemovableHandle.add(extra_of(self).prehooks, fn)

    def _sequence_nr(self) -> int:
        return self.clock

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {hex(id(self))}>"


hooked_leaves = [False]
"""Whether a leaf ever got hooks: only then a pass looks for such."""


def extra_of(node: Node) -> Extra:
    """The rarely used part of a node, made if it is not there."""
    if node.extra is None:
        if isinstance(node, Leaf):
            hooked_leaves[0] = True
        with _lock:  # two threads must not make two
            if node.extra is None:
                node.extra = Extra()
    return node.extra


class GradientEdge(NamedTuple):
    """Where a tensor's gradient goes: a node, and which of its outputs the tensor was."""

    node: Node
    output_nr: int
    ownership_token: Any = None


class Part:
    """An edge to one of several outputs of a node."""

    __slots__ = ("index", "node", "shape")
    inference = False

    def __init__(self, node: Node, index: int, shape: tuple[int, ...]) -> None:
        self.node, self.index, self.shape = node, index, shape


class Leaf(Node):
    """Where gradients end: they are added to the ``.grad`` of a tensor."""

    __slots__ = ("__weakref__", "inference", "kind", "tensor")

    def __init__(self, tensor: Any, inference: bool = False) -> None:
        self.tensor: Callable[[], Any] = weakref.ref(tensor)
        self.shape = tuple(tensor._array.shape)
        self.device = tensor._device
        self.extra = None
        self.clock = 0
        self.inference = inference

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def edges(self) -> tuple[Any, ...]:
        return ()

    @property
    def variable(self) -> Any:
        """The tensor whose gradient it is."""
        return self.tensor()


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class Call(Node):
    """The launch of an operation.

    Attributes
    ----------
    plan : Plan
        The operation, and which gradients are wanted.
    links : tuple or None
        The edges that are wanted and after them what was saved; None once freed.
    params : object
        The parameters of the launch.
    """

    __slots__ = ("links", "params", "plan")
    plan: Any
    links: Any
    params: Any

    @classmethod
    def make(
        cls,
        plan: Any,
        links: tuple[Any, ...],
        shape: tuple[int, ...],
        device: Any,
        params: Any = None,
    ) -> Call:
        """A node of now. (A class without ``__init__`` is quicker to make one of.)"""
        self = cls()
        self.plan, self.links, self.params = plan, links, params
        self.clock, self.shape, self.device, self.extra = tick(), shape, device, None
        return self

    def name(self) -> str:
        name: str = self.plan.op.node
        return name

    @property
    def count(self) -> int:  # type: ignore[override]
        """The number of outputs."""
        return 1 if self.plan.op.outputs is None else len(self.shape)

    def edges(self) -> tuple[Any, ...]:
        if self.links is None:
            return ()
        wanted = iter(self.links[: self.plan.edges])
        return tuple([next(wanted) if want else None for want in self.plan.wanted])

    def edges_in_turn(self) -> tuple[Any, ...]:
        edges = self.edges()
        # In PyTorch the weight is turned by a step of its own, so that it is due after the others.
        return (*edges[2:], *edges[:2]) if self.plan.op.name == "linear" else edges

    def edge(self, index: int) -> Any:
        shapes: Any = self.shape
        return self if self.plan.op.outputs is None else Part(self, index, shapes[index])

    def free(self) -> None:
        """Drop what was saved, unless it is but numbers and shapes; the edges stay."""
        links: Any = self.links
        first = self.plan.edges
        for save, value in zip(self.plan.saves, links[first:], strict=False):
            if not save.part and value.__class__ is not Constant:
                self.links = links[:first]
                return

    def __getattr__(self, name: str) -> Any:
        from devtensor.autograd.held import attribute

        return attribute(self, name)

    def __dir__(self) -> Iterator[str]:
        yield from object.__dir__(self)
        shown = {"input": "self", "out": "result"}
        names = [shown.get(save.name, save.name) for save in self.plan.saves if not save.part]
        yield from (f"_saved_{name}" for name in (*names, *self.params))
        yield from (f"_raw_saved_{name}" for name in names)


def mark_needed(roots: Sequence[Node], targets: set[Node]) -> dict[Node, bool]:
    """Which nodes lead to the targets: True to be walked, False only to be reached."""
    needed: dict[Node, bool] = {}
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    leads: set[Node] = set()
    while stack:
        node, done = stack.pop()
        children = [e.node for e in node.edges() if e is not None]
        if done:
            through = any(child in leads for child in children)
            if through or node in targets:
                leads.add(node)
                needed[node] = through
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend([(child, False) for child in children if child not in seen])
    return needed


@functools.cache
def class_of(name: str) -> Any:
    """A class of calls whose name is that of an operation's node."""
    return type(name, (Call,), {"__slots__": ()})


def shown(node: Any) -> Any:
    """A node as programs look at it: its class has its name, as those that draw graphs show."""
    if node.__class__ is Call:
        node.__class__ = class_of(node.name())
    return node


Leaf.__name__ = Leaf.__qualname__ = "AccumulateGrad"
