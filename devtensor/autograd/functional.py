"""Jacobians, Hessians and their products with vectors, of any function of tensors.

All of them turn recording on for themselves, so they work inside `no_grad`. With ``create_graph``
their results can be differentiated again; with ``strict`` a gradient that is zero because nothing
connects output and input is an error instead of zeros.
"""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.autograd.evaluation import (
    INDEPENDENT,
    OUTPUTS,
    Evaluation,
    Function,
    Tensors,
    as_tuple,
    gradients,
    zeros_for_none,
)  # fmt: skip
from devtensor.func._jacobian import forward

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


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
        Compute all rows at once, as :func:`devtensor.vmap` does, instead of one after another.
    strategy : {"reverse-mode", "forward-mode"}
        With `vectorize`, whether to go back from the outputs, or forth from the inputs, which is
        better where these are few.

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
        If something is independent in strict mode, options exclude each other, or
        `inference_mode` is on.
    NotImplementedError
        For ``"forward-mode"`` with `create_graph`, or without `vectorize`.
    """
    check_strategy(strategy)
    if strategy == "forward-mode":
        for name, given in (("create_graph", create_graph), ("strict", strict)):
            if given:
                error = NotImplementedError if name == "create_graph" else RuntimeError
                raise error(
                    f"torch.autograd.functional.jacobian: `{name}=True` and "
                    '`strategy="forward-mode"` are not supported together (yet). Please either '
                    f'set `{name}=False` or `strategy="reverse-mode"`.'
                )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
                "implemented for `vectorize=True`."
            )
        return forth(func, inputs)
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )
    at = Evaluation("jacobian", inputs, create_graph, strict)
    outputs = at.call(func)
    blocks = tuple(at.rows(number, out, vectorize) for number, out in enumerate(outputs))
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
    vectorize, outer_jacobian_strategy
        As those of :func:`jacobian`, for the derivatives of the gradient.

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


def forth(func: Function, inputs: Any) -> Any:
    """The Jacobian from directions of the inputs."""
    at = Evaluation("jacobian", inputs, False, False)

    def call(*inputs: Any) -> Tensors:
        at.one_output, outputs = as_tuple(func(*inputs), OUTPUTS, "jacobian")
        return outputs

    blocks, _, _ = forward(call, tuple([x.detach() for x in at.inputs]), False, real=False)
    found = tuple([at.returned(tuple(block), at.one_input) for block in blocks])
    return found[0] if at.one_output else found
