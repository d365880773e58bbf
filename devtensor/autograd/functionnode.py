"""A call of a user's `Function` as a node of the graph."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from devtensor.autograd.node import FREED, Node, Part, tick
from devtensor.autograd.saved import Packed, changed, type_of
from devtensor.autograd.step import anomalous, hooked, look_for_nan, on
from devtensor.autograd.view import Owner, edge_of, memory_of
from devtensor.tensor import Tensor, wrap

if TYPE_CHECKING:
    from devtensor.autograd.context import FunctionCtx


class FunctionNode(Node):
    """A call of a `Function` on the tape."""

    __slots__ = (
        "__weakref__",
        "backward",
        "context",
        "count",
        "dirty",
        "label",
        "links",
        "outputs",
        "saved",
        "split",
        "takes",
    )
    outputs: list[tuple[int, ...]]

    def __init__(self, label: str, backward: Any, context: FunctionCtx, links: list[Any]) -> None:
        self.label, self.backward, self.context, self.links = label, backward, context, links
        self.extra = None
        self.saved: list[Any] | None = []
        self.takes = [True] * len(links)  # whether each argument was a tensor
        self.split = 0  # what was saved for `jvp` alone stands behind
        self.clock = tick()

    def name(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.label} object at {hex(id(self))}>"

    def edges(self) -> tuple[Any, ...]:
        return tuple(self.links)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        pairs = zip(super().next_functions, self.takes, strict=True)
        return tuple([pair for pair, taken in pairs if taken])

    def edge(self, index: int) -> Any:
        return Part(self, index, self.outputs[index]) if self.count > 1 else self

    def open(self, forth: bool = False) -> tuple[Any, ...]:
        """The tensors saved for the way back, or forth, each in its place in the graph."""
        if self.saved is None:
            raise RuntimeError(FREED)
        opened: list[Any] = []
        forth = forth and self.context.for_jvp is not None
        for value in self.saved[self.split :] if forth else self.saved[: self.split]:
            if value is None:
                opened.append(None)
                continue
            held, output, memory, time = value
            if held.__class__ is Packed:
                held, edge = held.open(self), memory
                if output is None and edge is not None:  # in the place of what was put away
                    held = wrap(held._array, held._device, edge)
            elif memory is not None and memory.stamp > time:
                raise changed(self, type_of(held), memory, time)
            if output is not None:
                node = self.edge(output)
                held = wrap(held._array, held._device, node)
                held._alias = Owner(memory)
            opened.append(held)
        return tuple(opened)

    def apply(self, *grads: Any) -> Any:
        """What `backward` gives for gradients of the outputs."""
        return self.backward(self.context, *grads)

    def _held(self) -> Any:
        """What is saved, each for those who put it away themselves."""
        if self.saved is None:
            raise RuntimeError(FREED)
        from devtensor.autograd.held import SavedTensor

        def one(place: int) -> SavedTensor:
            def read() -> Any:
                if self.saved is None:
                    raise RuntimeError(FREED)
                return self.saved[place] and self.saved[place][0]

            def write(hooks: Any) -> None:
                assert self.saved is not None
                held, output, *_ = self.saved[place]
                edge = edge_of(held) if output is None else None
                self.saved[place] = Packed(held, hooks, None), output, edge, 0

            return SavedTensor(read, write, lambda: self.open()[place])

        return tuple([one(place) for place in range(self.split)])

    def __getattr__(self, name: str) -> Any:
        if name == "saved_tensors":
            return self.open()
        if name == "_raw_saved_tensors":
            return self._held()
        if name.startswith("__") or name == "context":
            raise AttributeError(name)
        return getattr(self.context, name)

    def go(self, walk: Any, g: Any) -> Any:
        """The gradients of the inputs, each with where it goes."""
        several = isinstance(g, list)
        gs = list(g) if several else [g]
        create = walk.create_graph
        shown: list[Any] = []
        for number, one in enumerate(gs):
            if one is not None:
                shown.append(walk.tensor(one, self))
            elif self.context.materialize_grads and self.context.dtypes[number] is not None:
                dtype, here = self.context.dtypes[number], on(self.device)
                zeros = self.device.backend.xp.zeros(self.outputs[number], dtype=dtype, **here)
                shown.append(wrap(zeros, self.device))
            else:
                shown.append(None)
        if self.saved is None:
            raise RuntimeError(FREED)
        results = self.backward(self.context, *shown)
        if not walk.keep and self.saved:
            self.saved = None
        results = results if isinstance(results, tuple) else (results,)
        number = len(self.links)
        if len(results) > number and all(r is None for r in results[number:]):
            results = results[:number]
        if len(results) != number:
            raise RuntimeError(
                f"function {self.label} returned an incorrect number of gradients "
                f"(expected {number}, got {len(results)})"
            )
        passed: list[tuple[Any, Any]] = []
        for place, (edge, result) in enumerate(zip(self.links, results, strict=True)):
            if result is not None and not self.takes[place]:
                raise RuntimeError(
                    f"function {self.label} returned a gradient different than None at position "
                    f"{place + 1}, but the corresponding forward input was not a Variable"
                )
            if edge is None or result is None:
                passed.append((edge, None))
                continue
            if not isinstance(result, Tensor):
                raise RuntimeError(
                    f"expected Variable or None (got {type(result).__name__}): function "
                    f"{self.label} returned it at index {place}"
                )
            result = self.fitting(result, edge, place)
            passed.append((edge, result if create else result._array))
        if anomalous():
            look_for_nan(self, [v for _, v in passed])
        if self.extra is not None and self.extra.hooks:
            values = hooked(self, walk, [v for e, v in passed if e is not None], g)
            given = iter(values)
            passed = [(e, next(given) if e is not None else None) for e, _ in passed]
        return passed

    def fitting(self, result: Tensor, edge: Any, place: int) -> Tensor:
        """A gradient from `backward`, if its shape can be summed to that of the input."""
        shape, wanted = tuple(result._array.shape), tuple(edge.shape)
        if shape != wanted:
            tail = shape[len(shape) - len(wanted) :]
            if len(shape) < len(wanted) or any(
                m not in (n, 1) for n, m in zip(tail, wanted, strict=True)
            ):
                raise RuntimeError(
                    f"Function {self.label} returned an invalid gradient at index {place} - got "
                    f"{list(shape)} but expected shape compatible with {list(wanted)}"
                )
        return result


@functools.lru_cache(None)
def node_class(label: str) -> Any:
    """The class of the nodes of a Function, which has their name."""
    return type(label, (FunctionNode,), {"__slots__": ()})


def keep(node: FunctionNode, ctx: Any, outputs: list[Any], outs: list[Any], mode: Any) -> None:
    """Hold what `forward` saved."""
    node.saved = []
    node.split = len(ctx.to_save)
    for x in (*ctx.to_save, *(ctx.for_jvp or ())):
        if x is None:
            node.saved.append(None)
            continue
        if x.is_inference():
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please make a clone to use it in "
                f"autograd instead: {node.label} saves one of shape {list(x.shape)}"
            )
        output = next((i for i, o in enumerate(outputs) if o is x), None)
        if isinstance(mode.hooks, tuple):
            edge = edge_of(x) if output is None else None
            node.saved.append((Packed(x, mode.hooks, None), output, edge, 0))
            continue
        memory = memory_of(x)
        held = wrap(x._array, x._device) if output is not None else x
        node.saved.append((held, output, memory, tick()))
    ctx.to_save = ()
    if ctx.for_jvp is not None:
        ctx.for_jvp = ()
