"""Numbers of two bytes, bfloat16 and float16: computed in float32, and rounded once.

That is what PyTorch's kernels do. An operation says by its field ``rounds`` which of its steps are
kernels of PyTorch's: with ``"once"`` all of it is one, so its inputs are widened and its results
rounded; with ``"product"`` so, but on devices that multiply matrices of such numbers; with
``"steps"`` each operation that it calls is one; with None it sees to that itself. Its
rules are steps, but for those that are marked by `once`.

Where an operation ``keeps`` numbers, they stay in float32 beside those of two bytes, and so does a
second operand without dimensions; elsewhere they are rounded first. Parameters stay what they are,
but for the one that is to be ``rounded``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any

import devtensor.dtype as dtypes
from devtensor.device import device as Device
from devtensor.op import Op, catalogue
from devtensor.plan import LATER, Plan
from devtensor.space import Space, in_order, space_of, unbound

Function = Callable[..., Any]


def is_half(x: Any) -> bool:
    """Whether an array is of numbers of two bytes."""
    return dtypes.of(x.dtype) in dtypes.HALVES


def kept_type(op: Op, dtype: dtypes.dtype) -> dtypes.dtype:
    """The type in which a number takes part in an operation that is computed in `dtype`."""
    return dtypes.float32 if op.keeps and dtype in dtypes.HALVES else dtype


# ---- kernels


class HalfSpace(Space):
    """The namespace for formulas whose every step is rounded."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        for name in ("sum", "mean", "cumulative_sum"):
            self.__dict__[name] = in_full(self, self.__dict__[name])
        del self.__dict__["matmul"]  # that of the catalogue adds up in float32

    def _kernel(self, op: Op, device: Device) -> Function:
        return half_kernel_for(op, device)


def in_full(xp: Any, function: Function) -> Function:
    """A reduction that adds up in float32 what is of two bytes."""

    def call(x: Any, /, **how: Any) -> Any:
        if not is_half(x) or how.get("dtype") is not None:
            return function(x, **how)
        return xp.astype(function(xp.astype(x, xp.float32), **how), x.dtype)

    return call


@cache
def half_space(device: Device) -> HalfSpace:
    """The namespace for arrays of numbers of two bytes on `device`."""
    return HalfSpace(device)


def half_kernel_for(op: Op, device: Device) -> Function:
    """The kernel of `op` on `device`, ready for arrays of which some are of two-byte numbers."""
    try:
        return op.halves[device]
    except KeyError:
        space = half_space(device) if op.rounds == "steps" else space_of(device)
        made = op.halves[device] = device.backend.bind(rounding(op, space), device.index)
        return made


def rounding(op: Op, space: Space) -> Function:
    """The kernel of `op` between the widening of its inputs, if it wants it, and the rounding."""
    backend, kernel = space._device.backend, unbound(op, space)
    single = backend.native[dtypes.float32]
    halves = {backend.native[t] for t in dtypes.HALVES if t in backend.native}
    inexact = {n for t, n in backend.native.items() if t.kind in ("float", "complex")}
    whole = op.rounds == "once" or (op.rounds == "product" and backend.host)
    wide = halves if whole else frozenset()
    if not (op.ordered or isinstance(kernel, MethodType)):  # the library rounds, if more slowly
        slow = {dtypes.bfloat16} if backend.host else set()  # in bfloat16
        wide = {t for t in wide if dtypes.of(t) in slow}
    written = written_once(op, space) if wide else {}
    typed = [name for name in op.params if "dtype" in name]
    count = None if op.star is not None else len(op.inputs)
    several, keeps, short = op.outputs is not None, op.keeps, op.rounded

    def call(*arrays: Any, **params: Any) -> Any:
        given, rest = arrays[:count], () if count is None else arrays[count:]
        half = None
        for x in given:
            t = getattr(x, "dtype", None)
            if t in halves and (half is None or t == half):
                half = t
            elif t is not None and (x.ndim or not keeps) and t in inexact:
                return kernel(*arrays, **params)  # of several types, of which it says what to do
        if half is None:
            return kernel(*arrays, **params)
        if short in params:
            params = {**params, short: rounded(params[short], dtypes.of(half))}
        exact = any([params.get(name) is not None for name in typed])
        # Beside numbers of Python's a library rounds these, too.
        if half in wide or (keeps and any([x.__class__ is float for x in given])):
            if half in written and not exact:
                return written[half](*given, *rest, **params)
            given = tuple(widened(backend.xp, half, given))
        result = kernel(*given, *rest, **params)
        if exact or (several and not whole):
            return result
        return narrowed(backend.xp, half, single, result, several)

    return call


def written_once(op: Op, space: Space) -> dict[Any, Function]:
    """The kernel of `op` that widens and rounds float16 by itself, if the backend writes one."""
    backend = space._device.backend
    own: Any = backend.kernels.get(op.name, op.kernel)
    if not hasattr(own, "in_halves"):
        return {}
    made = MethodType(own.in_halves(), space)
    return {backend.native[dtypes.float16]: in_order(made, op, space) if op.ordered else made}


def widened(xp: Any, half: Any, arrays: Any) -> list[Any]:
    """Arrays of a type of two bytes as float32; what else there is as it is."""
    return [xp.astype(x, xp.float32) if getattr(x, "dtype", None) == half else x for x in arrays]


def narrowed(xp: Any, half: Any, single: Any, result: Any, several: bool) -> Any:
    """A result, or several, in a type of two bytes where it is float32."""
    if several:
        return [narrowed(xp, half, single, r, False) for r in result]
    return result if result is None or result.dtype != single else xp.astype(result, half)


FINEST = {dtypes.bfloat16: (8, -133), dtypes.float16: (11, -24)}
"""The digits in base 2, and the exponent of the least number."""


def rounded(number: Any, dtype: dtypes.dtype) -> Any:
    """A Python float, if it is one, as a number of two bytes."""
    if number.__class__ is not float or not math.isfinite(number):
        return number
    digits, least = FINEST[dtype]
    unit = max(math.frexp(number)[1] - digits, least)
    return math.ldexp(round(math.ldexp(number, -unit)), unit)


def number_over(number: Any, x: Any) -> Any:
    """A number over a tensor: PyTorch multiplies the reciprocal, rounded, by the number."""
    return catalogue["mul"].function(catalogue["reciprocal"].function(x), number)


# ---- rules


def once(rule: Function, *types: dtypes.dtype) -> Function:
    """Mark a rule that PyTorch computes by one kernel, so that it is rounded once.

    Parameters
    ----------
    rule : callable
    types : dtype
        Of two bytes; by default both.
    """
    rule.once = types or dtypes.HALVES  # type: ignore[attr-defined]
    return rule


def apart(rule: Function, of_halves: Function) -> Function:
    """A rule, and one with the same parameters in its place for numbers of two bytes."""
    rule.of_halves = of_halves  # type: ignore[attr-defined]
    return rule


def changed(rule: Function, names: list[str]) -> tuple[Function, list[str]]:
    """What a plan calls in the place of a rule for numbers of two bytes, with what."""
    if hasattr(rule, "once"):
        return in_single(rule), ["xp", *names]
    return getattr(rule, "of_halves", rule), names


def in_single(rule: Function) -> Function:
    """A rule on numbers of four bytes in the place of those of two."""
    types = rule.once  # type: ignore[attr-defined]

    def widened(xp: Any, value: Any) -> Any:
        if value.__class__ is list:
            return [widened(xp, x) for x in value]
        half = hasattr(value, "dtype") and dtypes.of(value.dtype) in types
        return xp.astype(value, xp.float32) if half else value

    def call(xp: Any, *values: Any) -> Any:
        return rule(*[widened(xp, x) for x in values])

    return call


def half_plan(plan: Plan) -> Plan:
    """The plan for numbers of two bytes: each of its steps is rounded."""
    op, wanted = plan.op, plan.wanted
    made: Plan | None = op.halves.get(wanted)
    if made is None:
        made = Plan.make(op, wanted, changed)
        assert made is not None
        # Other operations may have wider inputs beside those of two bytes.
        alike = op.rounds or op.keeps or op.promotes is not None or len(op.inputs) == 1
        fit = like if alike else as_it_is
        made.pull, made.form = pulled(made.pull, fit), half_plan
        made.back = None if made.back is None else delivered(made.back, fit)
        op.halves[wanted] = made
    return made


def pulled(pull: Function, fit: Function) -> Function:
    """`pull` in the namespace whose steps are rounded; those on tensors are so anyway."""

    def call(xp: Any, g: Any, saved: Any, params: Any) -> tuple[Any, ...]:
        space = half_space(xp._device) if isinstance(xp, Space) else xp
        return tuple([fit(xp, r, g) for r in pull(space, g, saved, params)])

    return call


def delivered(back: Function, fit: Function) -> Function:
    """The same for a plan's common way back."""

    def call(xp: Any, g: Any, links: Any, clock: Any, params: Any, deliver: Function) -> Any:
        one = back(
            half_space(xp._device), g, links, clock, params,
            lambda edge, r: deliver(edge, fit(xp, r, g)),
        )  # fmt: skip
        return one if one is LATER else fit(xp, one, g)

    return call


def as_it_is(xp: Any, r: Any, g: Any) -> Any:
    """A gradient in the type that its rule gives it."""
    return r


def like(xp: Any, r: Any, g: Any) -> Any:
    """A gradient that a number of four bytes has widened, as the one that it was made of."""
    if g.__class__ is list:
        g = next(x for x in g if x is not None)
    if r is None or r.dtype == g.dtype or not is_half(g) or r.dtype != xp.float32:
        return r
    return xp.astype(r, g.dtype)
