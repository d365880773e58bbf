"""Holds gradients against finite differences: `gradcheck` of the way back."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import devtensor as dt
from devtensor.autograd.function import Function
from devtensor.autograd.jacobians import (
    GradcheckError,
    Limits,
    Matrix,
    Tensors,
    analytical,
    as_tuple,
    differentiable,
    numerical,
    pulled,
    random_like,
    slopes,
    tracked,
)
from devtensor.autograd.modes import enable_grad
from devtensor.autograd.passes import grad
from devtensor.tensor import Tensor


def check(func: Any, inputs: Tensors, limits: Limits, undefined: bool, batched: bool) -> None:
    """Make all checks of the way back."""
    with enable_grad():
        outputs = differentiable(func(*inputs))
        if not outputs:
            check_constant(func, inputs, limits)
        if any(x.is_complex() for x in outputs):
            for name, pick in (("imaginary", dt.imag), ("real", dt.real)):
                prefix = f"While considering the {name} part of complex outputs only, "
                check_jacobians(partial(part_of, func, pick), inputs, limits, prefix)
        else:
            check_jacobians(func, inputs, limits, "")
        if batched:
            for output in outputs:
                check_batched(output, inputs)
        check_zero(outputs, inputs)
        if undefined:
            check_undefined(func, inputs)


def part_of(func: Any, pick: Any, *inputs: Any) -> Tensors:
    """The outputs of a function, the complex ones reduced to one of their parts."""
    return tuple(
        pick(x) if isinstance(x, Tensor) and x.is_complex() else x for x in as_tuple(func(*inputs))
    )


def check_constant(func: Any, inputs: Tensors, limits: Limits) -> None:
    """Check that outputs without a gradient do not depend on the inputs."""
    for place, x in enumerate(inputs):
        if tracked(x):
            for column in numerical(func, inputs, place, limits.eps):
                if bool(dt.any(column != 0)):
                    raise GradcheckError("Numerical gradient for function expected to be zero")


def check_jacobians(func: Any, inputs: Tensors, limits: Limits, prefix: str) -> None:
    """Compare the derivatives of each output with respect to each input."""
    outputs = as_tuple(func(*inputs))
    wanted = [place for place, x in enumerate(inputs) if tracked(x)]
    if limits.fast_mode:
        check_projections(func, inputs, outputs, wanted, limits, prefix)
        return
    columns = [numerical(func, inputs, place, limits.eps) for place in wanted]
    for number, output in enumerate(outputs):
        if not tracked(output):
            continue
        found = analytical(output, [inputs[place] for place in wanted], limits)
        for j, (one, other) in enumerate(zip(found, columns, strict=True)):
            if not limits.agree(one, other[number]):
                raise GradcheckError(prefix + mismatch(number, j, one, other[number]))


def mismatch(output: int, place: int, one: Matrix, other: Matrix) -> str:
    """The message for two Jacobians that differ."""
    return (
        f"Jacobian mismatch for output {output:d} with respect to input {place:d},\n"
        f"numerical:{other}\nanalytical:{one}\n"
    )


def check_projections(
    func: Any, inputs: Tensors, outputs: Tensors, wanted: list[int], limits: Limits, prefix: str
) -> None:
    """Compare one number of each Jacobian: what it is between two random vectors."""
    generator = dt.Generator().manual_seed(0)
    for number, output in enumerate(outputs):
        if not tracked(output):
            continue
        left = random_like(output, generator, False)
        found = pulled(output, [inputs[place] for place in wanted], left, limits)
        for j, (place, g) in enumerate(zip(wanted, found, strict=True)):
            right = random_like(inputs[place], generator, False)

            def step(copy: Any, by: Any, right: Any = right) -> None:
                copy += right * by

            slope = slopes(func, inputs, place, limits.eps, step)[number]
            one = dt.real(dt.sum(g * right.conj())) if g.is_complex() else dt.sum(g * right)
            other = dt.sum(slope * left)
            # The errors of all elements add up in the one number.
            scale = math.sqrt(max(1, output.numel() * g.numel()))
            if not limits._replace(atol=limits.atol * scale).agree(one, other):
                raise GradcheckError(
                    prefix
                    + mismatch(number, j, one, other)
                    + "\nThe above quantities relating the numerical and analytical jacobians are "
                    "computed in fast mode; run without fast_mode to see the whole Jacobians."
                )


def check_batched(output: Any, inputs: Tensors) -> None:
    """Compare gradients taken many at a time with those taken one by one."""
    wanted = [x for x in inputs if tracked(x)]
    generator = dt.Generator().manual_seed(0)
    rows = [random_like(output, generator, False) for _ in range(2)]
    each = [grad(output, wanted, g, retain_graph=True, allow_unused=True) for g in rows]
    try:
        found = grad(
            [output],
            wanted,
            [dt.stack(rows)],
            retain_graph=True,
            allow_unused=True,
            is_grads_batched=True,
        )
    except RuntimeError as error:
        raise GradcheckError(f"While computing batched gradients, got: {error}") from error
    for place, (many, *single) in enumerate(zip(found, *each, strict=True)):
        if many is not None and not dt.allclose(many, dt.stack(single)):
            raise GradcheckError(
                f"For input {place}, batched gradients differ from those taken one by one:\n"
                f"got:\n{many}\n\nexpected:\n{dt.stack(single)}"
            )


def check_zero(outputs: Tensors, inputs: Tensors) -> None:
    """Check that a gradient of zeros gives zeros of the right kind."""
    wanted = [x for x in inputs if tracked(x)]
    if not outputs:
        return
    zeros = [dt.zeros_like(x).detach() for x in outputs]
    found = grad(outputs, wanted, zeros, allow_unused=True, retain_graph=True)
    for g, x in zip(found, wanted, strict=True):
        if g is None:
            continue
        if bool(dt.any(g != 0)):
            raise GradcheckError("backward not multiplied by grad_output")
        for what, one, other in (
            ("type", g.dtype, x.dtype),
            ("device", g.device, x.device),
            ("size", g.shape, x.shape),
        ):
            if one != other:
                raise GradcheckError(f"grad is incorrect {what}")


class Undefined(Function):
    """Passes its input on, and no gradient back."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> None:
        return None


def check_undefined(func: Any, inputs: Tensors) -> None:
    """Check that the backward does without the gradient of any output, and of each one."""
    wanted = [x for x in inputs if tracked(x)]
    count = len(differentiable(func(*inputs)))
    without: list[set[int]] = [set(range(count))]
    if count > 1:
        without += [{number} for number in range(count)]
    advice = (
        'function with "check_undefined_grad=False" to disable the feature, or return None (or '
        "zeros) from backward for gradients that are None"
    )
    for missing in without:
        outputs = [
            Undefined.apply(x) if number in missing else x
            for number, x in enumerate(differentiable(func(*inputs)))
        ]
        if not outputs:
            return
        try:
            found = grad(
                outputs, wanted, [dt.zeros_like(x).detach() for x in outputs], allow_unused=True
            )
        except RuntimeError as error:
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Call this " + advice
            ) from error
        if any(g is not None and bool(dt.any(g != 0)) for g in found):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are "
                "undefined or zero. Call this " + advice
            )
