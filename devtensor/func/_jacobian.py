"""Jacobians and Hessians of functions: all derivatives of all outputs."""

from __future__ import annotations

import functools
from typing import Any

import devtensor as dt
from devtensor.func._levels import base
from devtensor.func._transforms import (
    Function,
    Numbers,
    check_float,
    chosen,
    pushed,
    replaced,
    vjp,
)  # fmt: skip
from devtensor.func._tree import flatten, unflatten
from devtensor.func._vmap import check_randomness, vmap
from devtensor.tensor import Tensor

__all__ = ["hessian", "jacfwd", "jacrev"]


def basis(leaves: list[Any]) -> tuple[list[Any], list[int]]:
    """For each element of tensors a set of tensors that are 1 there and 0 elsewhere, stacked."""
    sizes = [x.numel() for x in leaves]
    total, start = sum(sizes), 0
    found = []
    for x, size in zip(leaves, sizes, strict=True):
        made = dt.zeros(total, size, dtype=x.dtype, device=base(x.device))
        made.diagonal(-start).fill_(1)
        found.append(made.reshape((total, *x.shape)))
        start += size
    return found, sizes


def check_real(name: str, what: str, leaves: list[Any]) -> None:
    """Raise RuntimeError for complex tensors, whose derivatives are no single numbers."""
    for number, x in enumerate(leaves):
        if isinstance(x, Tensor) and x.is_complex():
            raise RuntimeError(
                f"{name}: Expected all {what}s to be real but received complex tensor at flattened "
                f"{what} idx: {number}. Take its real and imaginary parts as separate {what}s"
            )


def jacrev(
    func: Function,
    argnums: Numbers = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """Turn a function into its Jacobian, by the way back (``torch.func.jacrev``).

    It is the better one of the two where there are fewer outputs than inputs.

    Parameters
    ----------
    func : callable
        Takes and returns Tensors, also nested in containers.
    argnums : int or tuple of int
        Which arguments to differentiate by.
    has_aux : bool
        Whether `func` returns a pair, of which only the first is differentiated.
    chunk_size : int, optional
        How many rows are computed at a time; all by default.

    Returns
    -------
    callable
        Returns for each output a Tensor of shape ``output.shape + input.shape``, nested as the
        output and then as the argument; with `has_aux` a tuple of that and the rest.

    Raises
    ------
    RuntimeError
        If the output holds something else than Tensors, or an argument has integers.
    ValueError
        If `chunk_size` is not positive.
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        picked, numbers = chosen(args, argnums)
        inputs, shape = flatten(picked)
        check_real("jacrev", "input", inputs)

        def call(new: Any) -> Any:
            return func(*replaced(args, numbers, argnums, new), **kwargs)

        output, pull, *aux = vjp(call, picked, has_aux=has_aux)
        outputs, nesting = flatten(output)
        check_real("jacrev", "output", outputs)
        rows, sizes = basis(outputs)

        def row(*gs: Any) -> list[Any]:
            return flatten(pull(unflatten(list(gs), nesting)))[0]

        if sum(sizes):
            found = vmap(row, chunk_size=chunk_size)(*rows)
        else:
            found = [x.new_zeros((0, *x.shape)) for x in inputs]
        blocks, start = [], 0
        for out, size in zip(outputs, sizes, strict=True):
            blocks.append(unflatten(
                [x.narrow(0, start, size).reshape((*out.shape, *x.shape[1:])) for x in found],
                shape,
            ))  # fmt: skip
            start += size
        result = unflatten(blocks, nesting)
        return (result, aux[0]) if has_aux else result

    return wrapped


def forward(
    func: Function, primals: tuple[Any, ...], has_aux: bool, real: bool = True
) -> tuple[list[list[Any]], Any, Any]:
    """For each output the derivatives by each input, from directions; the nesting; what is aux."""
    told = "jvp(f, primals, tangents)"
    inputs, _, outputs, nesting, push, aux = pushed(func, primals, has_aux, told)
    if real:
        check_real("jacfwd", "output", outputs)
    columns, sizes = basis(inputs)
    if sum(sizes):
        found = vmap(lambda *ts: push(ts), out_dims=-1)(*columns)
    else:
        found = [out.new_zeros((*out.shape, 0)) for out in outputs]
    blocks = []
    for whole in found:
        pieces, start = [], 0
        for x, size in zip(inputs, sizes, strict=True):
            piece = whole.narrow(-1, start, size)
            pieces.append(piece.reshape((*whole.shape[:-1], *x.shape)))
            start += size
        blocks.append(pieces)
    return blocks, nesting, aux


def jacfwd(
    func: Function, argnums: Numbers = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """Turn a function into its Jacobian, by directions (``torch.func.jacfwd``).

    It is the better one of the two where there are fewer inputs than outputs.

    Parameters
    ----------
    func, argnums, has_aux
        As for :func:`jacrev`.
    randomness : {"error", "different", "same"}
        Accepted: `func` is evaluated once, so it draws once.

    Returns
    -------
    callable
        As that of :func:`jacrev`.

    Raises
    ------
    RuntimeError
        If the output holds something else than Tensors, or `randomness` is another word.
    ValueError
        If an argument has integers.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        picked, numbers = chosen(args, argnums)
        check_float(flatten(picked)[0])
        check_randomness(randomness)
        check_real("jacfwd", "input", flatten(picked)[0])

        def call(new: Any) -> Any:
            return func(*replaced(args, numbers, argnums, new), **kwargs)

        shape = flatten(picked)[1]
        found, nesting, aux = forward(call, (picked,), has_aux)
        blocks = [unflatten(pieces, shape) for pieces in found]
        result = unflatten(blocks, nesting)
        return (result, aux) if has_aux else result

    return wrapped


def hessian(func: Function, argnums: Numbers = 0) -> Function:
    """Turn a function into its matrix of second derivatives (``torch.func.hessian``).

    Parameters
    ----------
    func, argnums
        As for :func:`jacrev`.

    Returns
    -------
    callable
        The Jacobian of the Jacobian. Both are computed by the way back, which is the faster one
        here as the forward mode is made of it.
    """
    return jacrev(jacrev(func, argnums), argnums)
