"""Holds gradients against finite differences: `gradcheck` and `gradgradcheck`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.autograd import backcheck, forthcheck
from devtensor.autograd.jacobians import (
    GradcheckError,
    Limits,
    Tensors,
    as_tuple,
    differentiable,
    random_like,
    tracked,
)
from devtensor.autograd.passes import grad, scattered

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
        Accepted and without effect: sparse tensors are checked where they have entries.

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
    func, given = of_values(func, as_tuple(inputs))
    try:
        check_inputs(given)
        if check_backward_ad:
            backcheck.check(func, given, limits, check_undefined_grad, check_batched_grad)
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
    func, given = of_values(func, as_tuple(inputs))
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


def of_values(func: Callable[..., Any], inputs: Tensors) -> tuple[Callable[..., Any], Tensors]:
    """A function of the values of sparse inputs, and these; what it gives is dense."""
    if all(getattr(x, "layout", dt.strided) is dt.strided for x in inputs):
        return func, inputs
    values = [x.detach()._values().requires_grad_(x.requires_grad) if scattered(x) else x
              for x in inputs]  # fmt: skip

    def call(*given: Any) -> Any:
        whole = [x._like(v) if scattered(x) else v for x, v in zip(inputs, given, strict=True)]
        found = func(*whole)
        parts = found if isinstance(found, (tuple, list)) else (found,)
        dense = tuple(one.to_dense() if scattered(one) else one for one in parts)
        return dense if isinstance(found, (tuple, list)) else dense[0]

    return call, tuple(values)


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
