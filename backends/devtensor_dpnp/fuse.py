"""Large arrays: a formula in one pass over the memory, or in a few along each row.

An operation is a formula of array operations, and dpnp makes a pass over the memory for each, with
others where operands are broadcast. Here the formula is given symbols in the place of arrays,
which note what is done with them; that is written in OpenCL C, and compiled once for each formula.
Numbers in it are arguments of the kernel, so that other numbers need no other kernel.

Small arrays are not worth a kernel of their own: what a result is, to the last bit, depends on the
size of the arrays and on how they lie, but on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from devtensor.op import Op, catalogue
from devtensor.ops.reduce import count

from .formula import ROWS, Formula
from .launch import TYPES, launch, takes_source
from .memory import ordered
from .native import Array, fresh, wrap
from .plans import Plan
from .trace import Trace, Untraceable

LIMIT = 1 << 13
"""Elements from which on a kernel of its own is made for a formula."""
MANY = 4096
"""Plans that are kept."""
_formulas: dict[Any, Formula] = {}
_plans: dict[Any, Any] = {}


def run(plan: Plan, arrays: list[Any]) -> Any:
    """What a formula gives for some arrays."""
    queue = plan.queue
    slots = [ordered(x) if n in plan.dense else x for n, x in enumerate(arrays)]
    slots += [wrap(fresh(shape, dtype, queue)) for shape, dtype in plan.made]
    for function, given, size, group in plan.launches:
        args = [slots[n] if c is None else c for n, c in given]
        launch(queue, function, args, size, group)
    results = [x if slot is None else slots[slot] for slot, x in plan.results]
    return tuple(results) if plan.several else results[0]


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
        like, least = None, LIMIT if self.least is None else self.least
        for x in arrays:
            if x.__class__ is Array and x.size >= least and x.ndim:
                like = x
                break
        if like is None or not self.fits(like, arrays) or self.warns(like, params):
            return self.kernel(xp, *arrays, **params)
        return self.run(xp, like, arrays, params)

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

    def run(self, xp: Any, like: Any, arrays: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Run the kernels that are the formula for arrays like these."""
        given = [x for x in arrays[: self.count] if x.__class__ is Array]
        key: Any
        try:
            key = (
                self,
                like.sycl_queue,
                *[signature(x) for x in arrays],
                *[(name, signature(x)) for name, x in params.items()],
            )
            plan: Any = _plans.get(key)
        except TypeError:
            key = plan = None
        if plan is None:
            try:
                plan = self.planned(xp, like, arrays, given, params)
            except (Untraceable, AttributeError, TypeError):
                # A step without a counterpart, or an error of the caller's, which comes again.
                plan = False
            if key is not None:
                keep(key, plan)
        return run(plan, given) if plan else self.kernel(xp, *arrays, **params)

    def planned(
        self, xp: Any, like: Any, arrays: tuple[Any, ...], given: list[Any], params: dict[str, Any]
    ) -> Plan:
        """Write the formula down for arrays like these."""
        trace = Trace(like.dtype, like.device)
        places = iter(range(len(given)))
        symbols = [
            trace.given(next(places), x.dtype, x.shape) if x.__class__ is Array else x
            for x in arrays[: self.count]
        ]
        result = self.formula(formula_of(xp), *symbols, *arrays[self.count :], **params)
        several = isinstance(result, (tuple, list))
        return Plan(trace, list(result) if several else [result], several, given)


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


def along(arrays: list[Any], write: Callable[..., Any], *how: Any) -> Any:
    """What a formula gives for large arrays, or None; `how` tells it from other formulas."""
    like = arrays[0]
    key = like.sycl_queue, how, *map(signature, arrays)
    plan: Any = _plans.get(key)
    if plan is None:
        trace = Trace(like.dtype, like.device)
        symbols = [trace.given(place, x.dtype, x.shape) for place, x in enumerate(arrays)]
        try:
            result = write(*symbols)
            several = isinstance(result, tuple)
            plan = Plan(trace, list(result) if several else [result], several, arrays)
        except Untraceable:
            plan = False
        keep(key, plan)
    return run(plan, arrays) if plan else None


def copied(x: Any) -> Any:
    """A copy in row order: dpnp takes 6 to 30 times NumPy's time where elements lie otherwise."""
    found = along([x], lambda same: same.trace.made("{0}", same)) if large(x) else None
    return x.copy(order="C") if found is None else found


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
