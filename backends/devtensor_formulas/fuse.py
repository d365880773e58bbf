"""Large arrays: a formula in one pass over the memory, or in a few along each row.

An operation is a formula of array operations, and libraries of arrays make a pass over the memory
for each, with others where operands are broadcast. Here the formula is given symbols in the place
of arrays, which note what is done with them; that is written in OpenCL C, and compiled once for
each formula. Numbers in it are arguments of the kernel, so that other numbers need no other kernel.

Small arrays are not worth a kernel of their own: what a result is, to the last bit, depends on the
size of the arrays and on how they lie, but on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from devtensor.op import Op, catalogue
from devtensor.ops.reduce import count

from .aim import AIM, aimed, taken
from .engine import Engine
from .formula import ROWS, Formula
from .plans import Plan, Ready
from .trace import HALF, TYPES, Symbol, Trace, Untraceable

SHARED = 64
"""Numbers of formulas that are kept for arrays of other shapes."""
MANY = 4096
"""Plans that are kept."""
CHARS = frozenset([c for c in "?bhilqBHILQefd" if np.dtype(c).name in TYPES])
"""Types that kernels know, by their letters, which are found sooner than their names."""
_formulas: dict[Any, Formula] = {}
_plans: dict[Any, Any] = {}


def formula_of(xp: Any) -> Formula:
    """The namespace for formulas beside that of a device."""
    found = _formulas.get(xp._device)
    if found is None:
        found = _formulas[xp._device] = Formula(xp)
    return found


def keep(key: Any, plan: Any) -> None:
    """Keep a plan; False where there can be none."""
    if len(_plans) >= MANY:
        _plans.clear()
    _plans[key] = plan


class Fuser:
    """Formulas as kernels, for the arrays of a library.

    Parameters
    ----------
    engine : Engine
        What the library gives.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.Array: Any = engine.Array
        self.lies = engine.lies

    # ---- plans

    def signature(self, x: Any) -> Any:
        """What of an argument decides about the plan.

        Raises
        ------
        TypeError
            If its numbers do.
        """
        kind = x.__class__
        if kind is self.Array:
            return self.lies(x)
        if kind is float:  # 0.0 and -0.0 are equal, and NaN is not
            return x if x and x == x else repr(x)
        if kind is int or kind is bool:  # which equal floats
            return repr(x)
        if kind is tuple or kind is list:
            return tuple([self.signature(one) for one in x])
        if isinstance(x, (self.Array, np.ndarray)):
            raise TypeError("numbers")
        return repr(x) if isinstance(x, (int, float)) else x

    def ready(
        self, trace: Trace, results: list[Any], several: bool, arrays: list[Any],
        targets: list[Any],
    ) -> Ready:  # fmt: skip
        """The plan for a formula that has been written down; one for all that differ in numbers.

        Raises
        ------
        Untraceable
            If there is none.
        """
        shown = [(x.node.name, x.shape) if x.__class__ is Symbol else None for x in results]
        given = tuple(map(self.signature, (*arrays, *targets)))
        key = self, trace.signature(), tuple(shown), several, given, len(targets)
        plan = _plans.get(key)
        if plan is None:
            plan = Plan(self.engine, trace, results, several, arrays, targets)
            keep(key, plan)
        return Ready(plan, trace.numbers, results, trace.form())

    def can_be_written(self, targets: list[Any], given: list[Any]) -> bool:
        """Whether kernels may write to arrays what they make of others, one by one."""
        engine = self.engine
        arrays = [x for x in targets if x is not None]
        place = engine.place(given[0])
        for n, x in enumerate(arrays):
            if engine.place(x) != place:
                return False
            if not all([engine.apart(x, y) for y in given]):
                return False
            if not all([engine.apart(x, y, False) for y in arrays[:n]]):
                return False
        return True

    # ---- formulas for arrays

    def large(self, x: Any) -> bool:
        """Whether an array is worth a kernel of its own, and one that kernels know."""
        return self.worth(x, x.size)

    def worth(self, x: Any, size: int) -> bool:
        """Whether so many elements are, which come from `x`."""
        return size >= self.engine.limit and x.dtype.char in CHARS and self.engine.takes_source(x)

    def along(
        self, arrays: list[Any], write: Callable[..., Any], *how: Any, targets: Sequence[Any] = ()
    ) -> Any:
        """What a formula gives for large arrays, or None; `how` tells it from other formulas.

        It may be written in `targets`, which lie apart from the arrays.
        """
        like = arrays[0]
        key = self, how, len(targets), *map(self.signature, (*arrays, *targets))
        found: Any = _plans.get(key)
        if found is None:
            trace = Trace(like.dtype, like.device)
            symbols = [trace.given(place, x.dtype, x.shape) for place, x in enumerate(arrays)]
            try:
                result = write(*symbols)
                several = isinstance(result, tuple)
                results = list(result) if several else [result]
                found = self.ready(trace, results, several, arrays, list(targets))
            except Untraceable:
                found = False
            keep(key, found)
        return found.run(arrays, list(targets)) if found else None

    def copied(self, x: Any) -> Any:
        """A copy in row order."""
        found = None
        if self.large(x):
            found = self.along([x], lambda same: same.trace.made("{0}", same))
        return self.engine.copy(x) if found is None else found

    def moved(self, x: Any, out: Any) -> bool:
        """Copy a large array into one of its shape and type, apart from it; False if that cannot
        be.
        """

        def write(same: Symbol) -> Symbol:
            return same.trace.made("{0}", same)

        return self.large(x) and self.along([x], write, targets=[out]) is out

    def reduced(self, name: str, x: Any, axis: Any, keepdims: bool) -> Any:
        """The standard's `sum`, `max`, `argmax` and the like of a large array; or None."""
        write = getattr(Formula(None), name)
        how = name, axis, keepdims
        return self.along([x], lambda s: write(s, axis=axis, keepdims=keepdims), *how)

    def chosen(self, condition: Any, x1: Any, x2: Any) -> Any:
        """The standard's `where` of arrays in one place, one of which is large; or None."""
        arrays = [condition, x1, x2]
        place = self.engine.place(condition)
        for x in arrays:
            if x.__class__ is not self.Array or x.dtype.char not in CHARS:
                return None
            if self.engine.place(x) != place:
                return None
        if not (condition.size and x1.size and x2.size):
            return None
        return self.along(arrays, Formula(None).where, "where")

    def kernels(self, usual: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        """Kernels for operations element by element or along rows, and for steps of optimizers.

        Parameters
        ----------
        usual : mapping
            Kernels that are better than an operation's own where these are of no use.
        """
        return {
            name: Fused(self, entry.op, usual.get(name))
            for name, entry in catalogue.items()
            if entry.op is not None
            and entry.op.inputs
            and entry.op.star is None
            and (entry.op.elementwise or entry.op.writes or name in ROWS)
        }


class Fused:
    """The kernel of an operation, in the form of formulas.

    Parameters
    ----------
    fuser : Fuser
    op : Op
    usual : callable, optional
        The kernel for all other arrays; by default that of the operation, which is the formula.
    """

    def __init__(self, fuser: Fuser, op: Op, usual: Callable[..., Any] | None = None) -> None:
        self.fuser, self.engine = fuser, fuser.engine
        self.Array: Any = fuser.Array
        self.op, self.formula, self.count = op, op.kernel, len(op.inputs)
        self.kernel = op.kernel if usual is None else usual
        # The steps of an optimizer share one formula for all parameters, so it is worth while.
        self.least = 1 if op.writes else None
        self.writes = op.written if op.writes else ()
        self.kinds = "fdebhilBHIL?" if op.name in ROWS else "fd"
        self.name = self.__name__ = op.name
        self.shared: dict[Any, Ready] = {}
        self.direct = fuser.engine.direct or not op.elementwise

    def __call__(self, xp: Any, /, *arrays: Any, **params: Any) -> Any:
        target = taken(self.name) if AIM.names else None
        targets = [] if target is None else [target]
        Array, kinds = self.Array, self.kinds
        least = self.engine.limit if self.least is None else self.least
        for like in arrays:
            known = like.__class__ is Array and like.size >= least and like.dtype.char in kinds
            if known and like.ndim:
                break
        else:
            if not self.direct:  # who looks at arguments is not taken for the library's function
                arrays[0].shape  # noqa: B018
            return self.kernel(xp, *arrays, **params)
        fuser = self.fuser
        given = [x for x in arrays[: self.count] if x.__class__ is Array]
        if self.writes:
            written = [arrays[n] for n in self.writes]
            targets = [x if x.__class__ is Array else None for x in written]  # not the host's
        if targets and not fuser.can_be_written(targets, given):
            targets = []
        signature, lies = fuser.signature, fuser.lies
        key: Any = [self]
        host: tuple[Any, ...] = ()
        try:
            for x in arrays:
                if x.__class__ is Array:
                    key.append(lies(x))
                elif x.__class__ is np.ndarray and not x.ndim:  # the number of a step
                    key.append(x.dtype)
                    host += (x.item(),)
                else:
                    key.append(signature(x))
            if targets:
                key += "targets", *map(signature, targets)
            if params:
                key += *params, *map(signature, params.values())
            key = tuple(key)
            found: Any = _plans.get(key)
        except TypeError:
            key = found = None
        if found and host and found.host != host:
            found = self.renewed(found, host, arrays, params)
        if found is None:
            try:
                found = self.planned(xp, like, arrays, given, targets, params)
                if host:
                    found.host = host
                    self.share(found, arrays, params)
            except (Untraceable, AttributeError, TypeError):
                # A step without a counterpart, or an error of the caller's, which comes again.
                found = False
            if key is not None:
                keep(key, found)
        return found.run(given, targets) if found else self.kernel(xp, *arrays, **params)

    def fits(self, like: Any, arrays: tuple[Any, ...]) -> bool:
        """Whether all arrays are of kinds that kernels know, and in one place."""
        if not self.engine.takes_source(like):
            return False
        where = self.engine.place
        place = where(like)
        for x in arrays[: self.count]:
            if x.__class__ is not self.Array:
                # The number of an optimizer's step is on the host.
                if x is not None and not (x.__class__ is np.ndarray and not x.ndim):
                    return False
            elif not x.size or x.dtype.char not in CHARS or where(x) != place:
                return False
        return True

    def warns(self, x: Any, params: dict[str, Any]) -> bool:
        """Whether the operation has a warning, which a plan that is kept would give only once."""
        if self.op.name not in ("variance", "deviation"):
            return False
        return count(x.shape, params.get("dim")) <= params.get("correction", 0)

    def values(self, host: Any, arrays: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """What decides about the numbers of a formula that knows no shapes."""
        inputs = arrays[: self.count]
        kinds = [x.dtype.char if hasattr(x, "dtype") else None for x in inputs]
        signature = self.fuser.signature
        named = map(signature, params.values())
        return host, *kinds, *map(signature, arrays[self.count :]), *params, *named

    def share(self, made: Ready, arrays: tuple[Any, ...], params: dict[str, Any]) -> None:
        """Let formulas for arrays of other shapes know the numbers of this one."""
        if len(self.shared) > SHARED:
            self.shared.clear()
        self.shared.setdefault(self.values(made.host, arrays, params), made)

    def renewed(
        self, found: Ready, host: Any, arrays: tuple[Any, ...], params: dict[str, Any]
    ) -> Ready | None:
        """The plan with the numbers that another array's has found, if there is such a one."""
        other = self.shared.get(self.values(host, arrays, params))
        if other is None or other.form != found.form or found.plan.reduces:
            return None
        made = Ready(found.plan, other.numbers, other.rest, found.form)
        made.host = host
        return made

    def planned(
        self, xp: Any, like: Any, arrays: tuple[Any, ...], given: list[Any], targets: list[Any],
        params: dict[str, Any],
    ) -> Ready:  # fmt: skip
        """Write the formula down for arrays like these."""
        if not self.fits(like, arrays) or self.warns(like, params):
            raise Untraceable(self.name)
        trace = Trace(like.dtype, like.device)
        places = iter(range(len(given)))
        symbols = [
            trace.given(next(places), x.dtype, x.shape) if x.__class__ is self.Array else x
            for x in arrays[: self.count]
        ]
        result = self.formula(formula_of(xp), *symbols, *arrays[self.count :], **params)
        several = isinstance(result, (tuple, list))
        results = list(result) if several else [result]
        return self.fuser.ready(trace, results, several, given, targets)

    def in_halves(self) -> Fused:
        """The same of float16, which is widened before the formula and rounded after it."""
        count = self.count

        def rounded(xp: Any, x: Any) -> Any:
            return x if x is None or x.dtype != np.float32 else xp.astype(x, HALF)

        def once(xp: Any, /, *arrays: Any, **params: Any) -> Any:
            wide = [
                xp.astype(x, np.float32) if getattr(x, "dtype", None) == HALF else x
                for x in arrays[:count]
            ]
            formula = self.formula if isinstance(xp, Formula) else self
            result = formula(xp, *wide, *arrays[count:], **params)
            if isinstance(result, (tuple, list)):
                return [rounded(xp, x) for x in result]
            return rounded(xp, result)

        made = Fused(self.fuser, self.op, once)
        made.formula, made.kinds, made.direct = once, "e", True
        return made

    def into(self, xp: Any, *arrays: Any) -> Any:
        """The result, in the memory of the first array where that is possible."""
        return aimed(self.engine.kind, arrays[0], self.op.name, self, xp, *arrays)
