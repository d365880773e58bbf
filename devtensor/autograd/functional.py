"""Jacobians, Hessians and their products with vectors, of any function of tensors.

All of them turn recording on for themselves, so they work inside `no_grad`. With ``create_graph``
their results can be differentiated again; with ``strict`` a gradient that is zero because nothing
connects output and input is an error instead of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Any, ...]
Function = Callable[..., Any]


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Compute `v` times the Jacobian of `func` at `inputs`.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        One vector for each output, of its shape. May be left out if the output is one number.
    create_graph : bool
        Make results that can be differentiated again.
    strict : bool
        Raise if an output does not depend on an input.

    Returns
    -------
    outputs : Tensor or tuple of Tensor
        What `func` returned.
    product : Tensor or tuple of Tensor
        As `inputs`.

    Raises
    ------
    TypeError
        If `inputs`, `v` or the outputs are no Tensors.
    RuntimeError
        If `v` does not fit the outputs, something is independent in strict mode, or
        `inference_mode` is on.
    """
    at = Evaluation("vjp", inputs, create_graph, strict)
    outputs = at.call(func)
    if v is None and (len(outputs) != 1 or outputs[0].numel() != 1):
        raise RuntimeError(
            "The vector v can only be None if the user-provided function returns "
            "a single Tensor with a single element."
        )
    v = None if v is None else at.vector(v, outputs, at.one_output)
    found = gradients(outputs, at.inputs, v, create_graph)
    product = at.filled(found, at.inputs, INDEPENDENT, "jacobian")
    return at.returned(outputs, at.one_output), at.returned(product, at.one_input)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Compute the Jacobian of `func` at `inputs` times `v`.

    It differentiates the backward pass, so it costs about three evaluations.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        One vector for each input, of its shape. May be left out if the input is one number.
    create_graph : bool
        Make results that can be differentiated again.
    strict : bool
        Raise if an output does not depend on an input.

    Returns
    -------
    outputs : Tensor or tuple of Tensor
        What `func` returned.
    product : Tensor or tuple of Tensor
        As `outputs`.

    Raises
    ------
    TypeError
        If `inputs`, `v` or the outputs are no Tensors.
    RuntimeError
        If `v` does not fit the inputs, something is independent in strict mode, or
        `inference_mode` is on.
    """
    at = Evaluation("jvp", inputs, create_graph, strict)
    v = at.input_vector(v)
    outputs = at.call(func)
    # The pullback is linear in `weights`, and its derivative to them is what we want.
    weights = tuple(dt.zeros_like(out, requires_grad=True) for out in outputs)
    pulled = gradients(outputs, at.inputs, weights, True)
    at.check(
        pulled,
        "The gradient with respect to input {} is independent of the inputs of the "
        "user-provided function.",
    )
    found = gradients(pulled, weights, v, create_graph)
    product = at.filled(
        found,
        outputs,
        "The gradient with respect to the input is independent of entry {} in the grad_outputs "
        "when using the double backward trick to compute forward mode gradients.",
        "jacobian",
    )
    return at.returned(outputs, at.one_output), at.returned(product, at.one_output)


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Compute all derivatives of the outputs of `func` to its inputs.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
    create_graph : bool
        Make a result that can be differentiated again.
    strict : bool
        Raise if an output does not depend on an input.
    vectorize : bool
        Accepted; the result is the same.
    strategy : {"reverse-mode", "forward-mode"}
        Accepted; the result is the same.

    Returns
    -------
    Tensor, tuple of Tensor, or tuple of tuples of Tensor
        Of shape ``output.shape + input.shape``; a tuple over the outputs, if they were a tuple, of
        tuples over the inputs, if they were a tuple.

    Raises
    ------
    TypeError
        If `inputs` or the outputs are no Tensors.
    RuntimeError
        If something is independent in strict mode, or `inference_mode` is on.
    """
    check_strategy(strategy)
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` '
            "are not supported together (yet). Set `create_graph=False` or "
            '`strategy="reverse-mode"`.'
        )
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Set `strict=False` or `vectorize=False`."
        )
    at = Evaluation("jacobian", inputs, create_graph, strict)
    outputs = at.call(func)
    blocks = tuple(at.rows(number, out) for number, out in enumerate(outputs))
    blocks = tuple(at.returned(block, at.one_input) for block in blocks)
    return blocks[0] if at.one_output else blocks


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Compute all second derivatives of `func`, which returns one number.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor with one element.
    inputs : Tensor or tuple of Tensor
    create_graph : bool
        Make a result that can be differentiated again.
    strict : bool
        Raise if the output or its derivative does not depend on an input.
    vectorize : bool
        Accepted; the result is the same.
    outer_jacobian_strategy : {"reverse-mode", "forward-mode"}
        Accepted; the result is the same.

    Returns
    -------
    Tensor, or tuple of tuples of Tensor
        ``hessian[i][j]`` has shape ``inputs[i].shape + inputs[j].shape``.

    Raises
    ------
    TypeError
        If `inputs` or the output are no Tensors.
    RuntimeError
        If `func` returns anything but one number, something is independent in strict mode, or
        `inference_mode` is on.
    """
    check_strategy(outer_jacobian_strategy)
    one, given = as_tuple(inputs, "inputs", "hessian")

    def slope(*inputs: Any) -> Tensors:
        at = Evaluation("hessian", inputs, True, strict)
        out = at.call_for_number(func)
        found = zeros_for_none(gradients((out,), at.inputs, None, True), at.inputs)
        at.check(found, JACOBIAN_CONSTANT)
        return found

    found = jacobian(slope, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found[0][0] if one else found


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Compute `v` times the Hessian of `func`, which returns one number.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor with one element.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        One vector for each input, of its shape. May be left out if the input is one number.
    create_graph : bool
        Make results that can be differentiated again.
    strict : bool
        Raise if the output or its derivative does not depend on an input.

    Returns
    -------
    output : Tensor
        What `func` returned.
    product : Tensor or tuple of Tensor
        As `inputs`.

    Raises
    ------
    TypeError
        If `inputs`, `v` or the output are no Tensors.
    RuntimeError
        If `v` does not fit the inputs, `func` returns anything but one number, something is
        independent in strict mode, or `inference_mode` is on.
    """
    at = Evaluation("vhp", inputs, create_graph, strict)
    v = at.input_vector(v)
    out = at.call_for_number(func)
    slopes = gradients((out,), at.inputs, None, True)
    at.check(slopes, JACOBIAN_CONSTANT)
    product = at.filled(
        gradients(slopes, at.inputs, v, create_graph),
        at.inputs,
        "The jacobian of the user-provided function is independent of input {}.",
        "hessian",
    )
    return at.returned((out,), True), at.returned(product, at.one_input)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Compute the Hessian of `func`, which returns one number, times `v`.

    Equal to `vhp` wherever the second derivatives are continuous, and slower.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor with one element.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        One vector for each input, of its shape. May be left out if the input is one number.
    create_graph : bool
        Make results that can be differentiated again.
    strict : bool
        Raise if the output or its derivative does not depend on an input.

    Returns
    -------
    output : Tensor
        What `func` returned.
    product : Tensor or tuple of Tensor
        As `inputs`.

    Raises
    ------
    TypeError
        If `inputs`, `v` or the output are no Tensors.
    RuntimeError
        If `v` does not fit the inputs, `func` returns anything but one number, something is
        independent in strict mode, or `inference_mode` is on.
    """
    at = Evaluation("hvp", inputs, create_graph, strict)
    v = at.input_vector(v)
    out = at.call_for_number(func)
    slopes = gradients((out,), at.inputs, None, True)
    at.check(slopes, JACOBIAN_CONSTANT)
    weights = tuple(dt.zeros_like(x, requires_grad=True) for x in at.inputs)
    pulled = gradients(slopes, at.inputs, weights, True)
    product = at.filled(
        gradients(pulled, weights, v, create_graph),
        at.inputs,
        "The hessian of the user-provided function is independent of entry {} in the "
        "grad_jacobian, which the double backward trick needs.",
        "hessian",
    )
    return at.returned((out,), True), at.returned(product, at.one_input)


INDEPENDENT = "The output of the user-provided function is independent of input {}."
JACOBIAN_CONSTANT = (
    "While computing the hessian, found that the jacobian of the user-provided function with "
    "respect to input {} is independent of the input, as a linear function's is."
)


def check_strategy(strategy: str) -> None:
    """Raise AssertionError, as PyTorch does, unless `strategy` is known."""
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode", '
            f"but got {strategy!r}."
        )


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
    outputs: Tensors, inputs: Tensors, weights: Tensors | None, create_graph: bool
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
        what = "outputs of the user-provided function"
        self.one_output, outputs = as_tuple(out, what, self.name)
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

    def rows(self, number: int, out: Any) -> Tensors:
        """The derivatives of output `number` to every input."""
        complaint = f"Output {number} of the user-provided function is independent of input {{}}."
        basis = dt.eye(out.numel(), dtype=out.dtype, device=out.device)
        found = []
        for row in basis:
            pulled = gradients((out,), self.inputs, (row.reshape(out.shape),), self.create_graph)
            found.append(self.filled(pulled, self.inputs, complaint, "jacobian"))
        if not found:
            return tuple(x.new_zeros(out.shape + x.shape) for x in self.inputs)
        blocks = zip(self.inputs, zip(*found, strict=True), strict=True)
        return tuple(dt.stack(column).reshape(out.shape + x.shape) for x, column in blocks)

    def returned(self, tensors: Tensors, one: bool) -> Any:
        """What the user gets: detached unless the graph goes on, and no tuple if none was given."""
        if not self.create_graph:
            tensors = tuple(x.detach() for x in tensors)
        return tensors[0] if one else tensors
