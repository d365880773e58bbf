"""The Jacobian of a function in two ways: by finite differences, and by backward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.autograd.modes import no_grad
from devtensor.autograd.passes import grad
from devtensor.tensor import Tensor

Tensors = tuple[Any, ...]
Matrix = Any
"""A Jacobian: a row to each element of the input, a column to each element of the output."""


class GradcheckError(RuntimeError):
    """A gradient is not what finite differences say."""


class Limits(NamedTuple):
    """How closely the two must agree."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_grad_dtypes: bool
    fast_mode: bool

    def agree(self, analytical: Matrix, numerical: Matrix) -> bool:
        """Whether two Jacobians are the same within the tolerances."""
        dtype = dt.promote_types(analytical.dtype, numerical.dtype)
        return bool(
            dt.allclose(analytical.to(dtype), numerical.to(dtype), rtol=self.rtol, atol=self.atol)
        )


def as_tuple(value: Any) -> Tensors:
    """One thing or a sequence of things as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def tracked(value: Any) -> bool:
    """Whether it is a tensor that requires gradients."""
    return isinstance(value, Tensor) and bool(value.requires_grad)


def differentiable(outputs: Any) -> Tensors:
    """The outputs that a backward pass can begin at."""
    return tuple(x for x in as_tuple(outputs) if tracked(x))


def random_like(tensor: Any, generator: Any, gaps: bool) -> Any:
    """Numbers from -1 to 1 in the shape of a tensor, perhaps with gaps between them in memory."""
    shape = (*tensor.shape, 2) if gaps else tuple(tensor.shape)
    made = dt.rand(shape, generator=generator, dtype=tensor.dtype, device=tensor.device) * 2 - 1
    return (made[..., 0] if gaps else made).detach()


def elements(tensor: Any) -> Iterator[tuple[int, ...]]:
    """The index of every element."""
    return product(*(range(n) for n in tensor.shape))


def evaluated(func: Any, inputs: Tensors) -> list[Any]:
    """The values of a function's outputs."""
    return [x.detach().clone() for x in as_tuple(func(*inputs)) if isinstance(x, Tensor)]


def moved(func: Any, inputs: Tensors, place: int, change: Callable[[Any], None]) -> list[Any]:
    """The values of a function's outputs, while `change` has written to an input.

    It is the input itself that is changed, for functions that hold it as well, as a module its
    parameters; afterwards it is as before.
    """
    values = inputs[place].data
    before = values.clone()
    with no_grad():
        change(values)
    try:
        return evaluated(func, inputs)
    finally:
        with no_grad():
            values.copy_(before)


def slopes(
    func: Any, inputs: Tensors, place: int, eps: float, step: Callable[[Any, Any], None]
) -> list[Any]:
    """The change of each output, when one input is changed by ``step(values, eps)``."""
    up = moved(func, inputs, place, lambda values: step(values, eps))
    down = moved(func, inputs, place, lambda values: step(values, -eps))
    for a, b in zip(up, down, strict=True):
        for what, x, y in (("shape", a.shape, b.shape), ("dtype", a.dtype, b.dtype)):
            if x != y:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are "
                    f"perturbed by {eps}, but got: {what}s {x} and {y}."
                )
    return [(a - b) / (2 * eps) for a, b in zip(up, down, strict=True)]


def numerical(func: Any, inputs: Tensors, place: int, eps: float) -> list[Matrix]:
    """The Jacobian of each output with respect to one input, by central differences."""
    x = inputs[place]
    rows: list[list[Any]] = []
    for index in elements(x):

        def step(copy: Any, by: Any, index: Any = index, unit: complex = 1) -> None:
            copy[index] += by * unit

        changes = slopes(func, inputs, place, eps, step)
        if x.is_complex():
            turned = slopes(func, inputs, place, eps, partial(step, unit=1j))
            changes = [a + 1j * b for a, b in zip(changes, turned, strict=True)]
        rows.append([change.reshape(-1) for change in changes])
    if not rows:
        outputs = evaluated(func, inputs)
        return [dt.zeros(0, x.numel(), dtype=x.dtype, device=x.device) for x in outputs]
    return [dt.stack(list(column)) for column in zip(*rows, strict=True)]


def pulled(output: Any, wanted: Sequence[Any], gradient: Any, limits: Limits) -> list[Any]:
    """The gradients of the inputs, from two passes that must agree."""
    found = [
        grad([output], wanted, [gradient], retain_graph=True, allow_unused=True) for _ in range(2)
    ]
    result = []
    for x, one, other in zip(wanted, *found, strict=True):
        if one is None:
            result.append(dt.zeros_like(x))
            continue
        if limits.check_grad_dtypes and one.dtype != x.dtype:
            raise GradcheckError("Gradient has dtype mismatch")
        if one.shape != x.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
        if not bool(dt.all(dt.abs(one - other) <= limits.nondet_tol)):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient.The tolerance for nondeterminism was {limits.nondet_tol}."
            )
        result.append(one.detach())
    return result


def analytical(output: Any, wanted: Sequence[Any], limits: Limits) -> list[Matrix]:
    """The Jacobian of an output with respect to each of the wanted inputs, by backward passes."""
    columns = []
    for index in elements(output):
        gradient = dt.zeros_like(output).detach()
        gradient[index] = 1
        columns.append([g.reshape(-1) for g in pulled(output, wanted, gradient, limits)])
    if not columns:
        return [dt.zeros(x.numel(), 0, dtype=x.dtype, device=x.device) for x in wanted]
    return [dt.stack(list(rows), dim=1) for rows in zip(*columns, strict=True)]
