"""A function's evaluation on the tape, and the ways back and forth through it.

A transform makes of each input a tensor of its own, at which its way back ends: what encloses it
sees a function of the original, and what it encloses a constant. One tape serves all levels, as a
gradient is always asked for with respect to places in the graph. The forward mode differentiates
the way back: that is linear in the gradient it starts from, and its own derivative with respect to
that gradient, pulled back from tangents of the inputs, is the tangent of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt
from devtensor.autograd.context import FORTH
from devtensor.autograd.function import Function
from devtensor.autograd.node import Leaf
from devtensor.autograd.passes import TRANSFORMED, walked
from devtensor.autograd.view import edge_of
from devtensor.func._device import depth
from devtensor.func._levels import LEVELS, share, unwritten, within
from devtensor.tensor import Tensor

Tensors = Sequence[Any]


class Track(Function):
    """The same tensor at a place of its own in the graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return within(x, x._array, x._device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class Evaluation:
    """One evaluation of a function whose derivatives are wanted.

    Attributes
    ----------
    inputs : list of Tensor
        What the function is given, each at a place of its own in the graph.
    recorded : bool
        Whether the evaluation is itself a step of something that is differentiated.
    """

    def __init__(self) -> None:
        self.recorded = dt.is_grad_enabled()
        self.inputs: list[Tensor] = []
        self.ends: set[Any] = set()

    def track(self, x: Any) -> Tensor:
        """An input as the function is given it.

        Raises
        ------
        ValueError
            If it is no Tensor.
        RuntimeError
            If it has integers.
        """
        if not isinstance(x, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        if x.dtype.kind not in ("float", "complex"):
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients, got an "
                f"input of {x.dtype!r} and shape {list(x.shape)}; convert it with .float(), or "
                "leave it out of argnums"
            )
        x = share(x, len(LEVELS.get()))
        if self.recorded and edge_of(x) is not None:
            made: Tensor = Track.apply(x)
        else:
            made = within(x.clone() if x.is_inference() else x, x._array, x._device)
            made._node = Leaf(made)
            self.ends.add(made._node)
        self.inputs.append(made)
        return made

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call with recording on, whatever the mode outside is."""
        token = TRANSFORMED.set(True)
        try:
            with dt.inference_mode(False), unwritten(self.inputs), dt.enable_grad():
                return function(*args, **kwargs)
        finally:
            TRANSFORMED.reset(token)

    def outer(self, tensors: Tensors) -> bool:
        """Whether tensors depend on something else that wants gradients."""
        stack = [edge.node for x in tensors if (edge := edge_of(x)) is not None]
        seen = set(stack)
        while stack:
            node = stack.pop()
            if isinstance(node, Leaf):
                if node not in self.ends:
                    return True
                continue
            for edge in node.edges():
                if edge is not None and edge.node not in seen:
                    seen.add(edge.node)
                    stack.append(edge.node)
        return False

    def released(self, x: Any) -> Any:
        """A result outside of this evaluation, to which it is a constant.

        Raises
        ------
        RuntimeError
            If it is no Tensor.
        """
        if not isinstance(x, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(x)}")
        if edge_of(x) is None:
            return x
        return x if self.recorded and self.outer([x]) else x.detach()

    def pull(self, outputs: Tensors, gradients: Tensors, record: bool | None = None) -> list[Any]:
        """The gradients of the inputs from those of outputs."""
        return self.back(outputs, gradients, self.inputs, record)

    def back(
        self, outputs: Tensors, gradients: Tensors, targets: Tensors, record: bool | None = None
    ) -> list[Any]:
        """The gradients of tensors from those of what was made of them; zeros where none comes."""
        roots = [
            (x, g if g.dtype is x.dtype else g.to(x.dtype))
            for x, g in zip(outputs, gradients, strict=True)
            if edge_of(x) is not None
        ]
        found: list[Any] = [None] * len(targets)
        if roots:
            if record is None:
                record = dt.is_grad_enabled() and (
                    any(edge_of(g) is not None for _, g in roots)
                    or self.outer([x for x, _ in roots])
                )
            plain = not record and all(g._device is edge_of(x).node.device for x, g in roots)
            if plain:
                outs, gs = zip(*roots, strict=True)
                with dt.inference_mode(False):
                    found = list(dt.autograd.grad(outs, list(targets), gs, True, allow_unused=True))
            else:
                starts = [(edge_of(x), g) for x, g in roots]
                found = walked(starts, [edge_of(x) for x in targets], record)
        return [dt.zeros_like(x) if g is None else g for g, x in zip(found, targets, strict=True)]


class Pushforward:
    """The tangents of outputs as a linear function of those of the inputs.

    Attributes
    ----------
    reached : tuple of bool
        For each output, whether it depends on the inputs.
    """

    def __init__(self, evaluation: Evaluation, outputs: Tensors) -> None:
        self.evaluation, self.outputs = evaluation, outputs
        self.weights: list[Tensor] = []
        tracked = [x for x in outputs if edge_of(x) is not None]
        with dt.inference_mode(False), dt.enable_grad():
            for x in tracked:
                weight = share(dt.zeros_like(x.detach()), depth(x._device))
                weight._node = Leaf(weight)
                evaluation.ends.add(weight._node)
                self.weights.append(weight)
            token = FORTH.set(True)
            try:
                self.pulled = evaluation.pull(tracked, self.weights, record=True)
            finally:
                FORTH.reset(token)
        self.reached = tuple([edge_of(x) is not None for x in outputs])

    def __call__(self, tangents: Tensors) -> list[Any]:
        """The tangents of the outputs."""
        found = iter(self.evaluation.back(self.pulled, tangents, self.weights))
        return [
            next(found) if reached else dt.zeros_like(x.detach())
            for x, reached in zip(self.outputs, self.reached, strict=True)
        ]
