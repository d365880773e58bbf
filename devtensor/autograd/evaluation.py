"""One evaluation of a function whose Jacobians and Hessians are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt

Tensors = tuple[Any, ...]
Function = Callable[..., Any]
OUTPUTS = "outputs of the user-provided function"
INDEPENDENT = "The output of the user-provided function is independent of input {}."


def as_tuple(value: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Whether `value` is one Tensor, and it as a tuple."""
    one = not isinstance(value, tuple)
    values = (value,) if one else value
    for index, item in enumerate(values):
        if not isinstance(item, dt.Tensor):
            which = f"given {what} has" if one else f"value at index {index} has"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"{which} type {type(item)}."
            )
    return one, tuple(values)


def gradients(
    outputs: Tensors,
    inputs: Tensors,
    weights: Tensors | None,
    create_graph: bool,
    batched: bool = False,
) -> Tensors:
    """Gradients of those `outputs` that have any; None where nothing connects."""
    weighted: Sequence[Any] = weights or (None,) * len(outputs)
    pairs = [
        (out, weight)
        for out, weight in zip(outputs, weighted, strict=True)
        if out is not None and out.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    found: Tensors = dt.autograd.grad(
        [out for out, _ in pairs],
        inputs,
        [weight for _, weight in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        is_grads_batched=batched,
    )
    return found


def zeros_for_none(found: Tensors, like: Tensors) -> Tensors:
    """`found`, with zeros where it has None."""
    pairs = zip(found, like, strict=True)
    return tuple(dt.zeros_like(other) if x is None else x for x, other in pairs)


class Evaluation:
    """One function at one point, on tensors of our own so that no other history gets in."""

    def __init__(self, name: str, inputs: Any, create_graph: bool, strict: bool) -> None:
        if dt.is_inference_mode_enabled():
            raise RuntimeError(
                f"{name}: inference_mode records nothing, so every derivative would be zero. "
                f"Call it outside, or inside `with inference_mode(False):`; no_grad does no harm."
            )
        self.name, self.create_graph, self.strict = name, create_graph, strict
        self.one_input, given = as_tuple(inputs, "inputs", name)
        self.inputs = self.own(given, track=True)
        self.one_output = True

    def own(self, tensors: Tensors, track: bool) -> Tensors:
        """New tensors of the same values, with history only if the graph goes on."""
        with dt.enable_grad():
            return tuple(
                x.view_as(x)
                if self.create_graph and x.requires_grad
                else x.detach().requires_grad_(track)
                for x in tensors
            )

    def vector(self, v: Any, like: Tensors, one: bool) -> Tensors:
        """`v` as a tuple that fits `like`."""
        _, given = as_tuple(v, "v", self.name)
        if len(given) != len(like):
            raise RuntimeError(
                "The given v should contain a single Tensor."
                if one
                else f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}."
            )
        for index, (x, other) in enumerate(zip(given, like, strict=True)):
            if x.shape != other.shape:
                entry = "" if one else f"Entry {index} in "
                raise RuntimeError(
                    f"{entry}v has invalid size: should be {other.shape} but got {x.shape}."
                )
        return self.own(given, track=False)

    def input_vector(self, v: Any) -> Tensors | None:
        """`v` as a tuple that fits the inputs."""
        if v is not None:
            return self.vector(v, self.inputs, self.one_input)
        if len(self.inputs) != 1 or self.inputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function "
                "is a single Tensor with a single element."
            )
        return None

    def call(self, func: Function) -> Tensors:
        """The outputs, as a tuple."""
        with dt.enable_grad():
            out = func(*self.inputs)
        self.one_output, outputs = as_tuple(out, OUTPUTS, self.name)
        self.check(
            outputs,
            "Output {} of the user-provided function does not require gradients: it is not "
            "computed in a differentiable manner from the input.",
        )
        return outputs

    def call_for_number(self, func: Function) -> Any:
        """The output, which must be one Tensor with one element."""
        outputs = self.call(func)
        if not self.one_output:
            raise RuntimeError(f"The function given to {self.name} should return a single Tensor")
        if outputs[0].numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {self.name} should contain a single "
                f"element, but has shape {outputs[0].shape}"
            )
        return outputs[0]

    def check(self, found: Tensors, complaint: str) -> None:
        """In strict mode, raise at the first that is missing or has no history."""
        for index, x in enumerate(found) if self.strict else ():
            if x is None or not x.requires_grad:
                text = INDEPENDENT if x is None else complaint
                raise RuntimeError(text.format(index) + " This is not allowed in strict mode.")

    def filled(self, found: Tensors, like: Tensors, complaint: str, derivative: str) -> Tensors:
        """`found` with zeros where it has None, which in strict mode is an error."""
        for index, x in enumerate(found) if self.strict else ():
            if x is None:
                raise RuntimeError(complaint.format(index) + " This is not allowed in strict mode.")
            if self.create_graph and not x.requires_grad:
                raise RuntimeError(
                    f"The {derivative} of the user-provided function is independent of input "
                    f"{index}. This is not allowed in strict mode when create_graph=True."
                )
        return zeros_for_none(found, like)

    def rows(self, number: int, out: Any, vectorize: bool) -> Tensors:
        """The derivatives of output `number` to every input."""
        basis = dt.eye(out.numel(), dtype=out.dtype, device=out.device)
        basis = basis.reshape((out.numel(), *out.shape))
        if vectorize:
            found = gradients((out,), self.inputs, (basis,), self.create_graph, batched=True)
            return tuple(
                x.new_zeros(out.shape + x.shape) if g is None else g.reshape(out.shape + x.shape)
                for g, x in zip(found, self.inputs, strict=True)
            )
        complaint = f"Output {number} of the user-provided function is independent of input {{}}."
        rows = []
        for row in basis:
            pulled = gradients((out,), self.inputs, (row,), self.create_graph)
            rows.append(self.filled(pulled, self.inputs, complaint, "jacobian"))
        if not rows:
            return tuple(x.new_zeros(out.shape + x.shape) for x in self.inputs)
        blocks = zip(self.inputs, zip(*rows, strict=True), strict=True)
        return tuple(dt.stack(column).reshape(out.shape + x.shape) for x, column in blocks)

    def returned(self, tensors: Tensors, one: bool) -> Any:
        """What the user gets: detached unless the graph goes on, and no tuple if none was given."""
        if not self.create_graph:
            tensors = tuple(x.detach() for x in tensors)
        return tensors[0] if one else tensors
