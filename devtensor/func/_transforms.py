"""Derivatives of functions as functions, as ``torch.func`` has them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.func._derive import Evaluation, Pushforward
from devtensor.func._tree import Shape, flatten, mapped, unflatten
from devtensor.tensor import Tensor

__all__ = ["grad", "grad_and_value", "jvp", "linearize", "vjp"]

Function = Callable[..., Any]
Numbers = int | tuple[int, ...]


def chosen(args: tuple[Any, ...], argnums: Any) -> tuple[Any, list[int]]:
    """The arguments to differentiate by, and their numbers.

    Raises
    ------
    RuntimeError
        If there are none of these numbers, or a number stands twice.
    """
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for number in numbers:
        if not isinstance(number, int):
            raise RuntimeError(f"argnums elements must be int, got {type(number)}")
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    numbers = [number % len(args) for number in numbers]
    if len(set(numbers)) != len(numbers):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    picked = tuple([args[number] for number in numbers])
    return (picked[0] if isinstance(argnums, int) else picked), numbers


def replaced(args: tuple[Any, ...], numbers: list[int], argnums: Any, new: Any) -> list[Any]:
    """The arguments, some of them exchanged for others."""
    given = list(args)
    for number, value in zip(numbers, (new,) if isinstance(argnums, int) else new, strict=True):
        given[number] = value
    return given


def parts(result: Any, has_aux: bool, told: str) -> tuple[Any, Any]:
    """What a function returned as its output and what it gives besides.

    Raises
    ------
    RuntimeError
        If it should have returned a pair.
    """
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{told}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def tensors(result: Any, told: str) -> tuple[list[Any], Shape]:
    """The tensors of an output and their nesting.

    Raises
    ------
    RuntimeError
        If there is something else among them.
    """
    leaves, shape = flatten(result)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{told}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(leaf)}"
            )
    return leaves, shape


def grad_and_value(func: Function, argnums: Numbers = 0, has_aux: bool = False) -> Function:
    """Turn a function into one that gives its gradient and its value.

    Parameters
    ----------
    func : callable
        Returns a Tensor with one element and no dimensions; with `has_aux`, a tuple of it and
        anything else.
    argnums : int or tuple of int
        Which arguments to differentiate by; they hold Tensors, also nested in containers.
    has_aux : bool
        Whether `func` returns something besides.

    Returns
    -------
    callable
        Returns ``(gradient, value)``, or ``(gradient, (value, aux))``. The gradient is nested as
        the argument is; a tuple of such, if `argnums` is one.

    Raises
    ------
    RuntimeError
        If the output is no such Tensor, an argument does not exist, or it has integers.
    ValueError
        If something to differentiate by is no Tensor.

    Notes
    -----
    PyTorch's ``torch.func.grad_and_value``. A `no_grad` outside does not matter, one within `func`
    makes constants. The result can be differentiated again.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        at = Evaluation()
        picked, numbers = chosen(args, argnums)
        leaves, shape = flatten(picked)
        inside = unflatten([at.track(x) for x in leaves], shape)
        result = at.call(func, replaced(args, numbers, argnums, inside), kwargs)
        output, aux = parts(result, has_aux, "grad_and_value(f)(*args)")
        if not isinstance(output, Tensor):
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got "
                f"{type(output)}"
            )
        if output.ndim:
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor "
                f"with {output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        if output.is_complex():
            raise RuntimeError(
                "grad can be implicitly created only for real scalar outputs but got "
                f"{output.dtype!r}"
            )
        found = unflatten(at.pull([output], [dt.ones_like(output.detach())]), shape)
        value = at.released(output)
        if has_aux:
            return found, (value, mapped(at.released, aux))
        return found, value

    return wrapped


def grad(func: Function, argnums: Numbers = 0, has_aux: bool = False) -> Function:
    """Turn a function into its gradient (``torch.func.grad``).

    Parameters
    ----------
    func, argnums, has_aux
        As for :func:`grad_and_value`.

    Returns
    -------
    callable
        Returns the gradient, or ``(gradient, aux)``.

    Raises
    ------
    RuntimeError, ValueError
        As for :func:`grad_and_value`.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.func.grad(dt.func.grad(dt.sin))(dt.tensor(0.0))
    tensor(-0.)
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapped


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Evaluate a function, and get the way back through it (``torch.func.vjp``).

    Parameters
    ----------
    func : callable
        Takes and returns Tensors, also nested in containers.
    *primals : Tensor or container
        Its arguments.
    has_aux : bool
        Whether `func` returns a pair, of which only the first is differentiated.

    Returns
    -------
    output : Tensor or container
    vjp_fn : callable
        Takes a vector nested as the output, and returns its product with the Jacobian: a tuple
        with an entry for each argument. It can be called often.
    aux : object
        With `has_aux`.

    Raises
    ------
    RuntimeError
        If the output or the vector is not as said.
    ValueError
        If something in `primals` is no Tensor.
    """
    at = Evaluation()
    leaves, shape = flatten(primals)
    inside = unflatten([at.track(x) for x in leaves], shape)
    result, aux = parts(at.call(func, inside, {}), has_aux, "vjp(f, *primals)")
    outputs, nesting = tensors(result, "vjp(f, *primals)")
    if not outputs:
        raise RuntimeError(
            "vjp(f, *primals): Expected f to be a function that has non-empty output (got output = "
            f"{result})"
        )
    for x in outputs:
        if x.dtype.kind not in ("float", "complex"):
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {x.dtype!r}"
            )

    def wrapper(cotangents: Any, retain_graph: bool = True, create_graph: Any = None) -> Any:
        given, told = flatten(cotangents)
        if told != nesting:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {told}, primal output: {nesting}"
            )
        for number, (g, out) in enumerate(zip(given, outputs, strict=True)):
            if not isinstance(g, Tensor):
                raise TypeError(
                    f"gradients can be either Tensors or None, but got {type(g).__name__}"
                )
            if g.shape != out.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{number}] has a shape of {g.shape} and "
                    f"output[{number}] has a shape of {out.shape}."
                )
        return unflatten(at.pull(outputs, given), shape)

    shown = unflatten([at.released(x) for x in outputs], nesting)
    return (shown, wrapper, mapped(at.released, aux)) if has_aux else (shown, wrapper)


def pushed(
    func: Function, primals: Any, has_aux: bool, told: str
) -> tuple[Any, Shape, list[Any], Shape, Pushforward, Any]:
    """Evaluate a function, and get the way forth through its derivative."""
    at = Evaluation()
    leaves, shape = flatten(primals)
    inside = unflatten([at.track(x) for x in leaves], shape)
    result, aux = parts(at.call(func, inside, {}), has_aux, told)
    outputs, nesting = tensors(result, told)
    push = Pushforward(at, outputs)
    aux = mapped(at.released, aux) if has_aux else None
    return leaves, shape, [at.released(x) for x in outputs], nesting, push, aux


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """Evaluate a function and its derivative in a direction (``torch.func.jvp``).

    Parameters
    ----------
    func : callable
        Takes and returns Tensors, also nested in containers.
    primals : tuple
        Its arguments.
    tangents : tuple
        The direction, nested and shaped as `primals`.
    strict : bool
        Whether an output that does not depend on the arguments is an error, instead of zeros.
    has_aux : bool
        Whether `func` returns a pair, of which only the first is differentiated.

    Returns
    -------
    (output, derivative) or (output, derivative, aux)

    Raises
    ------
    RuntimeError
        If `primals`, `tangents` or the output are not as said.

    Notes
    -----
    Every gradient rule serves: the way back is differentiated, which costs about three evaluations
    whatever the number of arguments. With ``linearize`` many directions share all but the last.
    """
    told = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{told}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    given, nesting = flatten(tangents)
    leaves, shape = flatten(primals)
    if nesting != shape:
        raise RuntimeError(
            f"{told}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {shape} and tangents with structure {nesting}"
        )
    for kind, listed in (("primals", leaves), ("tangents", given)):
        if not listed:
            raise RuntimeError(f"{told}: Expected {kind} to contain at least one Tensor.")
        for x in listed:
            if not isinstance(x, Tensor):
                raise RuntimeError(
                    f"{told}: Expected {kind} to contain only Tensors, got {type(x)}"
                )
    check_float(leaves)
    check_float(given, "tangent")
    for x, t in zip(leaves, given, strict=True):
        if x.shape != t.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the "
                f"original Tensor, this is not supported. Tensor is of size {list(x.shape)} while "
                f"the given forward gradient is of size {list(t.shape)}."
            )
    _, _, outputs, shape, push, aux = pushed(func, primals, has_aux, told)
    if strict and not all(push.reached):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
            "inputs. This is not allowed with strict=True."
        )
    shown = unflatten(outputs, shape), unflatten(push(given), shape)
    return (*shown, aux) if has_aux else shown


def check_float(leaves: list[Any], kind: str = "primal") -> None:
    """Raise ValueError for primals or tangents of integers."""
    for x in leaves:
        if isinstance(x, Tensor) and x.dtype.kind not in ("float", "complex"):
            raise ValueError(
                f"Expected {kind} to be floating point or complex, but got: {x.dtype!r}"
            )


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """Evaluate a function, and get its derivative there as a function of a direction.

    Parameters
    ----------
    func : callable
        Takes and returns Tensors, also nested in containers.
    *primals : Tensor or container
        Its arguments.

    Returns
    -------
    output : Tensor or container
    jvp_fn : callable
        Takes a direction for each argument, and returns the derivative of the output.

    Raises
    ------
    RuntimeError
        If the output holds something else than Tensors, or a direction does not fit.

    Notes
    -----
    PyTorch's ``torch.func.linearize``: `func` is evaluated once.
    """
    leaves, shape, outputs, nesting, push, _ = pushed(func, primals, False, "linearize(f)")

    def jvp_fn(*tangents: Any) -> Any:
        given, told = flatten(tangents)
        if told != shape:
            raise RuntimeError(
                f"Expected the tangents {told} to have the same argspec as the primals {shape}"
            )
        for number, (x, t) in enumerate(zip(leaves, given, strict=True)):
            for what in ("shape", "dtype"):
                if getattr(x, what) != getattr(t, what):
                    raise RuntimeError(
                        f"tangent:{number} with {what} {getattr(t, what)} in flattened pytree "
                        f"doesn't match the {what} {getattr(x, what)} of the corresponding primal."
                    )
        return unflatten(push(given), nesting)

    return unflatten(outputs, nesting), jvp_fn
