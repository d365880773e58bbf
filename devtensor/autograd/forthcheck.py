"""Holds derivatives along directions against finite differences: `gradcheck` of the way forth."""

from __future__ import annotations

import math
from typing import Any

import devtensor as dt
from devtensor.autograd.jacobians import (
    GradcheckError,
    Limits,
    Tensors,
    as_tuple,
    elements,
    random_like,
    slopes,
    tracked,
)
from devtensor.autograd.modes import enable_grad
from devtensor.func import jvp, vmap
from devtensor.func._derive import Evaluation, Pushforward
from devtensor.tensor import Tensor


def smooth(value: Any) -> bool:
    """Whether it is a tensor that can have a derivative."""
    return isinstance(value, Tensor) and value.dtype.kind in ("float", "complex")


class Along:
    """A function at a point, of which the derivatives along some of its inputs are asked.

    Parameters
    ----------
    func : callable
    inputs : tuple
    wanted : list of int
        Which inputs have a direction.
    """

    def __init__(self, func: Any, inputs: Tensors, wanted: list[int]) -> None:
        self.wanted = wanted
        self.zeros = [dt.zeros_like(inputs[place]).detach() for place in wanted]
        evaluation = Evaluation()
        given = list(inputs)
        for place in wanted:
            given[place] = evaluation.track(inputs[place])
        outputs = as_tuple(func(*given))
        self.push = Pushforward(evaluation, [x for x in outputs if smooth(x)])
        # Differences are of all tensors; the numbers of those with a derivative.
        tensors = [x for x in outputs if isinstance(x, Tensor)]
        self.numbers = [number for number, x in enumerate(tensors) if smooth(x)]

    def __call__(self, place: int, direction: Any) -> list[Any]:
        """The derivative of each output along a direction of one input."""
        tangents = list(self.zeros)
        tangents[self.wanted.index(place)] = direction
        return [x.detach() for x in self.push(tangents)]


def check(func: Any, inputs: Tensors, limits: Limits, undefined: bool, batched: bool) -> None:
    """Make all checks of the way forth."""
    wanted = [place for place, x in enumerate(inputs) if tracked(x)]
    with enable_grad():
        along = Along(func, inputs, wanted)
        for number, place in enumerate(wanted):
            if limits.fast_mode:
                check_direction(func, inputs, along, number, place, limits)
            else:
                check_elements(func, inputs, along, number, place, limits)
            if undefined and len(wanted) > 1:
                check_others(func, inputs, along, number, place, limits)
            if batched:
                check_batched(func, inputs, number, place)


def mismatch(number: int, place: int, part: str, one: Any, other: Any) -> str:
    """The message for two derivatives that differ."""
    return (
        (f"While considering the {part} part of complex inputs only, " if part else "")
        + f"Jacobian computed with forward mode mismatch for output {number:d} with respect to "
        f"input {place:d},\nnumerical:{other}\nanalytical:{one}\n"
    )


def check_elements(
    func: Any, inputs: Tensors, along: Along, number: int, place: int, limits: Limits
) -> None:
    """Compare the derivatives by each element of an input."""
    x = inputs[place]
    parts = {"imaginary": 1j, "real": 1} if x.is_complex() else {"": 1}
    for part, unit in parts.items():
        analytical, numerical = [], []
        for index in elements(x):

            def step(copy: Any, by: Any, index: Any = index, unit: Any = unit) -> None:
                copy[index] += by * unit

            direction = dt.zeros_like(x).detach()
            direction[index] = unit
            analytical.append(along(place, direction))
            numerical.append(slopes(func, inputs, place, limits.eps, step))
        columns = zip(*analytical, strict=True)
        for output, column in zip(along.numbers, columns, strict=False):
            one = dt.stack([t.reshape(-1) for t in column])
            other = dt.stack([slope[output].reshape(-1) for slope in numerical])
            if not limits.agree(one, other):
                raise GradcheckError(mismatch(output, number, part, one, other))


def check_direction(
    func: Any, inputs: Tensors, along: Along, number: int, place: int, limits: Limits
) -> None:
    """Compare the derivatives along one random direction."""
    direction = random_like(inputs[place], dt.Generator().manual_seed(0), False)

    def step(copy: Any, by: Any) -> None:
        copy += direction * by

    changes = slopes(func, inputs, place, limits.eps, step)
    # The errors of all elements of the input add up.
    wide = limits._replace(atol=limits.atol * math.sqrt(max(1, direction.numel())))
    for output, one in zip(along.numbers, along(place, direction), strict=True):
        if not wide.agree(one, changes[output]):
            raise GradcheckError(
                mismatch(output, number, "", one, changes[output])
                + "\nThe above quantities relating the numerical and analytical jacobians are "
                "computed in fast mode; run without fast_mode to see the whole Jacobians."
            )


def check_others(
    func: Any, inputs: Tensors, along: Along, number: int, place: int, limits: Limits
) -> None:
    """Check that no direction of the other inputs is the same as one of zeros."""
    direction = random_like(inputs[place], dt.Generator().manual_seed(0), False)
    alone = Along(func, inputs, [place])
    for one, other in zip(alone(place, direction), along(place, direction), strict=True):
        if not limits.agree(one, other):
            raise GradcheckError(
                f"Expected the forward mode to treat inputs without a tangent as those with a "
                f"tangent of zeros, but along input {number} it gives\n{one}\nand\n{other}\n"
                'Call this function with "check_undefined_grad=False" to disable the check'
            )


def check_batched(func: Any, inputs: Tensors, number: int, place: int) -> None:
    """Compare derivatives along many directions at a time with those along single ones."""
    generator = dt.Generator().manual_seed(0)
    x = inputs[place]
    rows = [random_like(x, generator, False) for _ in range(2)]

    def call(value: Any) -> Tensors:
        given = (*inputs[:place], value, *inputs[place + 1 :])
        return tuple(y for y in as_tuple(func(*given)) if smooth(y))

    def slope(direction: Any) -> Tensors:
        found: Tensors = jvp(call, (x,), (direction,))[1]
        return found

    try:
        found = vmap(slope)(dt.stack(rows))
    except RuntimeError as error:
        raise GradcheckError(f"While computing batched gradients, got: {error}") from error
    for output, (many, *single) in enumerate(zip(found, *map(slope, rows), strict=True)):
        if not dt.allclose(many, dt.stack(single)):
            raise GradcheckError(
                f"For output {output} and input {number}, forward gradients of a batch differ from "
                f"those taken one by one:\ngot:\n{many}\n\nexpected:\n{dt.stack(single)}"
            )
