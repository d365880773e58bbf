"""Holds gradients against finite differences: `gradcheck` and `gradgradcheck`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import devtensor as dt
from devtensor.autograd import forthcheck
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
)  # fmt: skip
from devtensor.autograd.modes import enable_grad
from devtensor.autograd.passes import grad
from devtensor.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Hold the gradients of `func` against finite differences (``torch.autograd.gradcheck``).

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
        Those that require gradients are checked; they should be float64 or complex128.
    eps : float
        How far an element is moved, up and down.
    atol, rtol : float
        The tolerances, as in ``allclose``.
    raise_exception : bool
        Whether a failure is an error, or the result False.
    nondet_tol : float
        By how much a second backward pass may differ from the first.
    check_undefined_grad : bool
        Whether the backward must do with outputs that no gradient reaches.
    check_grad_dtypes : bool
        Whether gradients must have the type of their input.
    check_batched_grad : bool
        Whether ``grad(..., is_grads_batched=True)`` must agree with single calls.
    check_forward_ad : bool
        Whether derivatives along directions of the inputs are held against differences, too.
    check_batched_forward_grad : bool
        Whether those of a batch of directions (`vmap` of `jvp`) must agree with single ones.
    check_backward_ad : bool
        Whether to check the backward at all.
    fast_mode : bool
        Compare one random projection of each Jacobian instead of all its elements.
    masked : bool, optional
        Accepted and without effect: there are no sparse tensors.

    Returns
    -------
    bool
        True if all agree.

    Raises
    ------
    GradcheckError
        If they do not, and `raise_exception` is true.
    ValueError
        If no input requires gradients.

    Examples
    --------
    >>> import devtensor as dt
    >>> x = dt.tensor([0.5, 2.0], dtype=dt.float64, requires_grad=True)
    >>> dt.autograd.gradcheck(dt.sin, (x,))
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    limits = Limits(eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode)
    given = as_tuple(inputs)
    try:
        check_inputs(given)
        if check_backward_ad:
            check(func, given, limits, check_undefined_grad, check_batched_grad)
        if check_forward_ad:
            forthcheck.check(func, given, limits, check_undefined_grad, check_batched_forward_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Hold second derivatives against differences of the first (``torch.autograd.gradgradcheck``).

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
    grad_outputs : Tensor or tuple of Tensor, optional
        The gradients of the outputs; random ones if not given.
    gen_non_contig_grad_outputs : bool
        Whether the random ones have gaps between their elements.
    check_fwd_over_rev, check_rev_over_rev : bool
        Whether to check the derivatives of the backward along directions, and its own backward.
    eps, atol, rtol, raise_exception, nondet_tol, check_undefined_grad, check_grad_dtypes, \
check_batched_grad, fast_mode, masked
        As in :func:`gradcheck`.

    Returns
    -------
    bool
        True if all agree.

    Raises
    ------
    GradcheckError
        If they do not, and `raise_exception` is true.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError(
            "Setting check_undefined_grad=True requires check_rev_over_rev to be True"
        )
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_rev_over_rev to be True"
        )
    given = as_tuple(inputs)
    if grad_outputs is None:
        outputs = differentiable(func(*given))
        generator = dt.Generator().manual_seed(0)
        gradients = tuple(
            random_like(x, generator, gen_non_contig_grad_outputs).requires_grad_() for x in outputs
        )
    else:
        gradients = as_tuple(grad_outputs)
    count = len(given)
    wanted = [i for i, x in enumerate(given) if tracked(x)]

    def first_derivative(*args: Any) -> Tensors:
        outputs = differentiable(func(*args[:count]))
        found = grad(
            outputs, [args[i] for i in wanted], args[count:], create_graph=True, allow_unused=True
        )
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first_derivative,
        (*given, *gradients),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


# ---- inputs and outputs


def check_inputs(inputs: Tensors) -> None:
    """Refuse inputs for which finite differences would be wrong."""
    for place, x in enumerate(inputs):
        if not tracked(x):
            continue
        if x.dtype not in (dt.float64, dt.complex128):
            warnings.warn(
                f"Input #{place} requires gradient and is not a double precision floating point "
                "or complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=4,
            )
        if any(n > 1 and step == 0 for n, step in zip(x.shape, x.stride(), strict=True)):
            raise RuntimeError(
                f"The {place}th input has a dimension with stride 0. gradcheck only supports "
                "inputs that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to "
                "gradcheck."
            )
    if not any(tracked(x) for x in inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of them have requires_grad=True."
        )


# ---- the checks


def check(func: Any, inputs: Tensors, limits: Limits, undefined: bool, batched: bool) -> None:
    """Make all checks of the backward."""
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
