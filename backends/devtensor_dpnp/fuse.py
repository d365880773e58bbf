"""Large arrays: a formula in one pass over the memory, or in a few along each row.

An operation is a formula of array operations, and dpnp makes a pass over the memory for each, with
others where operands are broadcast. Here the formula is given symbols in the place of arrays,
which note what is done with them; that is written in OpenCL C, and compiled once for each formula.
Numbers in it are arguments of the kernel, so that other numbers need no other kernel.

Small arrays are not worth a kernel of their own: what a result is, to the last bit, depends on the
size of the arrays and on how they lie, but on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from devtensor.op import Op, catalogue
from devtensor.ops.reduce import count

from .aim import aimed, taken
from .formula import ROWS, Formula
from .launch import TYPES, launch, signed, takes_source
from .memory import ordered
from .native import Array, apart, fresh, wrap
from .plans import NUMBERS, Plan
from .trace import Symbol, Trace, Untraceable

LIMIT = 1 << 13
"""Elements from which on a kernel of its own is made for a formula."""
MANY = 4096
"""Plans that are kept."""
_formulas: dict[Any, Formula] = {}
_plans: dict[Any, Any] = {}


class Ready:
    """A plan with the numbers of a formula.

    Parameters
    ----------
    plan : Plan
    numbers, results : list
        Those of the formula; results are symbols, and other things.
    """

    __slots__ = ("launches", "plan", "rest")

    def __init__(self, plan: Plan, numbers: list[Any], results: list[Any]) -> None:
        def made(kind: str, value: Any) -> tuple[Any, Any]:
            if kind == "array":
                return value, None
            return None, signed(value) if kind == "size" else NUMBERS[kind](numbers[value])

        self.plan = plan
        self.rest = [None if x.__class__ is Symbol else x for x in results]
        self.launches = [
            (function, [made(*argument) for argument in arguments], size, group)
            for function, arguments, size, group in plan.launches
        ]

    def run(self, arrays: list[Any], targets: list[Any]) -> Any:
        """What the formula gives for some arrays: new ones, or targets."""
        plan = self.plan
        queue = plan.queue
        slots = [ordered(x) if n in plan.dense else x for n, x in enumerate(arrays)]
        slots += targets
        slots += [wrap(fresh(shape, dtype, queue)) for shape, dtype in plan.made]
        for function, given, size, group in self.launches:
            args = [slots[n] if c is None else c for n, c in given]
            launch(queue, function, args, size, group)
        results = [
            x if slot is None else slots[slot]
            for slot, x in zip(plan.results, self.rest, strict=True)
        ]
        return tuple(results) if plan.several else results[0]


def ready(
    trace: Trace, results: list[Any], several: bool, arrays: list[Any], targets: list[Any]
) -> Ready:  # fmt: skip
    """The plan for a formula that has been written down; one for all that differ in numbers alone.

    Raises
    ------
    Untraceable
        If there is none.
    """
    shown = [(x.node.name, x.shape) if x.__class__ is Symbol else None for x in results]
    given = tuple(map(signature, (*arrays, *targets)))
    key = arrays[0].sycl_queue, trace.signature(), tuple(shown), several, given, len(targets)
    plan = _plans.get(key)
    if plan is None:
        plan = Plan(trace, results, several, arrays, targets)
        keep(key, plan)
    return Ready(plan, trace.numbers, results)


def formula_of(xp: Any) -> Formula:
    """The namespace for formulas beside that of a device."""
    found = _formulas.get(xp._device)
    if found is None:
        found = _formulas[xp._device] = Formula(xp)
    return found


class Fused:
    """The kernel of an operation, in the form of formulas.

    Parameters
    ----------
    op : Op
    usual : callable, optional
        The kernel for all other arrays; by default that of the operation, which is the formula.
    """

    def __init__(self, op: Op, usual: Callable[..., Any] | None = None) -> None:
        self.op, self.formula, self.count = op, op.kernel, len(op.inputs)
        self.kernel = op.kernel if usual is None else usual
        # The steps of an optimizer share one formula for all parameters, so it is worth while.
        self.least = 1 if op.writes else None
        self.kinds = "fdebhilBHIL?" if op.name in ROWS else "fd"
        self.__name__ = op.name

    def __call__(self, xp: Any, /, *arrays: Any, **params: Any) -> Any:
        target = taken(self.op.name)
        targets = [] if target is None else [target]
        like, least = None, LIMIT if self.least is None else self.least
        for x in arrays:
            if x.__class__ is Array and x.size >= least and x.ndim:
                like = x
                break
        if like is None or not self.fits(like, arrays) or self.warns(like, params):
            return self.kernel(xp, *arrays, **params)
        if self.op.writes:
            written = [arrays[n] for n in self.op.written]
            targets = [x if x.__class__ is Array else None for x in written]  # not the host's
        return self.run(xp, like, arrays, targets, params)

    def fits(self, like: Any, arrays: tuple[Any, ...]) -> bool:
        """Whether all arrays are of kinds that kernels know, and in one place."""
        if like.dtype.char not in self.kinds or not takes_source(like):
            return False
        queue = like.sycl_queue
        for x in arrays[: self.count]:
            if x.__class__ is not Array:
                # The number of an optimizer's step is on the host.
                if x is not None and not (x.__class__ is np.ndarray and not x.ndim):
                    return False
            elif not x.size or x.dtype.name not in TYPES or x.sycl_queue != queue:
                return False
        return True

    def warns(self, x: Any, params: dict[str, Any]) -> bool:
        """Whether the operation has a warning, which a plan that is kept would give only once."""
        if self.op.name not in ("variance", "deviation"):
            return False
        return count(x.shape, params.get("dim")) <= params.get("correction", 0)

    def run(
        self, xp: Any, like: Any, arrays: tuple[Any, ...], targets: list[Any],
        params: dict[str, Any],
    ) -> Any:  # fmt: skip
        """Run the kernels that are the formula for arrays like these."""
        given = [x for x in arrays[: self.count] if x.__class__ is Array]
        if targets and not can_be_written(targets, given):
            targets = []
        key: Any
        try:
            key = (
                self,
                like.sycl_queue,
                *[signature(x) for x in arrays],
                *[("target", signature(x)) for x in targets],
                *[(name, signature(x)) for name, x in params.items()],
            )
            found: Any = _plans.get(key)
        except TypeError:
            key = found = None
        if found is None:
            try:
                found = self.planned(xp, like, arrays, given, targets, params)
            except (Untraceable, AttributeError, TypeError):
                # A step without a counterpart, or an error of the caller's, which comes again.
                found = False
            if key is not None:
                keep(key, found)
        return found.run(given, targets) if found else self.kernel(xp, *arrays, **params)

    def planned(
        self, xp: Any, like: Any, arrays: tuple[Any, ...], given: list[Any], targets: list[Any],
        params: dict[str, Any],
    ) -> Ready:  # fmt: skip
        """Write the formula down for arrays like these."""
        trace = Trace(like.dtype, like.device)
        places = iter(range(len(given)))
        symbols = [
            trace.given(next(places), x.dtype, x.shape) if x.__class__ is Array else x
            for x in arrays[: self.count]
        ]
        result = self.formula(formula_of(xp), *symbols, *arrays[self.count :], **params)
        several = isinstance(result, (tuple, list))
        return ready(trace, list(result) if several else [result], several, given, targets)

    def into(self, xp: Any, *arrays: Any) -> Any:
        """The result, in the memory of the first array where that is possible."""
        return aimed(arrays[0], self.op.name, self, xp, *arrays)


def can_be_written(targets: list[Any], given: list[Any]) -> bool:
    """Whether kernels may write to arrays of some queue what they make of others, one by one."""
    arrays = [x for x in targets if x is not None]
    queue = given[0].sycl_queue
    for n, x in enumerate(arrays):
        if x.sycl_queue != queue:
            return False
        a = x._array_obj
        if not all([apart(a, y._array_obj) for y in given]):
            return False
        if not all([apart(a, y._array_obj, False) for y in arrays[:n]]):
            return False
    return True


def signature(x: Any) -> Any:
    """What of an argument decides about the plan.

    Raises
    ------
    TypeError
        If its numbers do.
    """
    if x.__class__ is Array:
        a = x._array_obj
        return a.shape, None if a.flags.c_contiguous else a.strides, a.dtype.char
    if x.__class__ is tuple or x.__class__ is list:
        return tuple([signature(one) for one in x])
    if isinstance(x, (Array, np.ndarray)):
        raise TypeError("numbers")
    return repr(x) if isinstance(x, (int, float)) else x


def large(x: Any) -> bool:
    """Whether an array is worth a kernel of its own, and one that kernels know."""
    return worth(x, x.size)


def worth(x: Any, size: int) -> bool:
    """Whether so many elements are, which come from `x`."""
    return size >= LIMIT and x.dtype.name in TYPES and takes_source(x)


def keep(key: Any, plan: Any) -> None:
    """Keep a plan; False where there can be none."""
    if len(_plans) >= MANY:
        _plans.clear()
    _plans[key] = plan


def along(
    arrays: list[Any], write: Callable[..., Any], *how: Any, targets: Sequence[Any] = ()
) -> Any:
    """What a formula gives for large arrays, or None; `how` tells it from other formulas.

    It may be written in `targets`, which lie apart from the arrays.
    """
    like = arrays[0]
    key = like.sycl_queue, how, len(targets), *map(signature, (*arrays, *targets))
    found: Any = _plans.get(key)
    if found is None:
        trace = Trace(like.dtype, like.device)
        symbols = [trace.given(place, x.dtype, x.shape) for place, x in enumerate(arrays)]
        try:
            result = write(*symbols)
            several = isinstance(result, tuple)
            found = ready(
                trace, list(result) if several else [result], several, arrays, list(targets)
            )
        except Untraceable:
            found = False
        keep(key, found)
    return found.run(arrays, list(targets)) if found else None


def copied(x: Any) -> Any:
    """A copy in row order: dpnp takes 6 to 30 times NumPy's time where elements lie otherwise."""
    found = along([x], lambda same: same.trace.made("{0}", same)) if large(x) else None
    return x.copy(order="C") if found is None else found


def moved(x: Any, out: Any) -> bool:
    """Copy a large array into one of its shape and type, apart from it; False if that cannot be."""

    def write(same: Symbol) -> Symbol:
        return same.trace.made("{0}", same)

    return large(x) and along([x], write, targets=[out]) is out


def reduced(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """The standard's `sum`, `max`, `argmax` and the like of a large array; or None."""
    write = getattr(Formula(None), name)
    return along([x], lambda s: write(s, axis=axis, keepdims=keepdims), name, axis, keepdims)


def chosen(condition: Any, x1: Any, x2: Any) -> Any:
    """The standard's `where` of arrays in one place, one of which is large; or None."""
    arrays = [condition, x1, x2]
    queue = condition.sycl_queue
    for x in arrays:
        if x.__class__ is not Array or x.dtype.name not in TYPES or x.sycl_queue != queue:
            return None
    if not (condition.size and x1.size and x2.size):
        return None
    return along(arrays, Formula(None).where, "where")


def kernels(usual: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Kernels for operations element by element or along rows, and for the steps of optimizers.

    Parameters
    ----------
    usual : mapping
        Kernels that are better than an operation's own where these are of no use.
    """
    return {
        name: Fused(entry.op, usual.get(name))
        for name, entry in catalogue.items()
        if entry.op is not None
        and entry.op.inputs
        and entry.op.star is None
        and (entry.op.elementwise or entry.op.writes or name in ROWS)
    }
