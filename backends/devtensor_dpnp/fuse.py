"""Large arrays: a formula in one pass over the memory, or in a few along each row.

An operation is a formula of array operations, and dpnp makes a pass over the memory for each, with
others where operands are broadcast. Here the formula is given symbols in the place of arrays, which
note what is done with them; that is written in OpenCL C, and compiled once for each formula. Numbers
in it are arguments of the kernel, so that other numbers need no other kernel.

Small arrays are not worth a kernel of their own: what a result is, to the last bit, depends on the
size of the arrays, but on nothing else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from devtensor.op import Op, catalogue

from .formula import ROWS, Formula
from .launch import TYPES, double, kernel, launch, single, takes_source
from .memory import ordered
from .native import Array, fresh, wrap
from .rows import LANES, Program
from .trace import Node, Shape, Symbol, Trace, Untraceable

LIMIT = 1 << 13
"""Elements from which on a kernel of its own is made for a formula."""
MANY = 4096
"""Plans that are kept."""
NUMBERS = {
    "float": single, "double": double, "int": ctypes.c_int32, "uint": ctypes.c_uint32,
    "long": ctypes.c_int64, "ulong": ctypes.c_uint64, "short": ctypes.c_int16,
    "ushort": ctypes.c_uint16, "char": ctypes.c_int8, "uchar": ctypes.c_uint8,
}  # fmt: skip
FEW = 1 << 16
"""Elements that a processor's core may as well go along alone; of a GPU it is a sixteenth."""
CHUNK = 512
"""Elements of a row that is gone along in several parts, if they are not neighbours in memory."""

_formulas: dict[Any, Formula] = {}
_plans: dict[Any, Any] = {}


def in_order(shape: Shape) -> list[int]:
    """The steps of an array in row order; 0 where there is one element only."""
    steps, step = [0] * len(shape), 1
    for d in reversed(range(len(shape))):
        if shape[d] != 1:
            steps[d], step = step, step * shape[d]
    return steps


class Plan:
    """The kernels of a formula for arrays of some shapes.

    Parameters
    ----------
    trace : Trace
        The formula.
    results : list
        What it gave: symbols, and other things.
    several : bool
        Whether it gave a tuple.
    arrays : list
        The arrays that it was given.
    """

    def __init__(
        self, trace: Trace, results: list[Any], several: bool, arrays: list[Any]
    ) -> None:
        self.nodes, self.arrays, self.several = trace.nodes, arrays, several
        self.queue = arrays[0].sycl_queue
        device = self.queue.sycl_device
        self.vectors = bool(device.is_cpu)
        self.units, self.few = device.max_compute_units, FEW if device.is_cpu else FEW // 16
        self.dense: set[int] = set()
        self.made: list[tuple[Shape, Any]] = []
        self.launches: list[Any] = []
        self.held: dict[Node, int] = {}
        self.results: list[Any] = []
        self.wanted: dict[Node, int] = {}
        for x in results:
            if x.__class__ is not Symbol:
                if isinstance(x, Array):
                    raise Untraceable("a result from elsewhere")
                self.results.append((None, x))
                continue
            if prod(x.shape) != prod(x.node.shape):
                raise Untraceable("a broadcast result")
            node = x.node
            if node in self.wanted:  # each result has memory of its own
                node = trace.made("{0}", Symbol(trace, node, node.shape), dtype=node.dtype).node
            self.wanted[node] = self.new(x.shape, x.dtype)
            self.results.append((self.wanted[node], None))
        if not self.wanted:
            raise Untraceable("no result")
        self.schedule()
        del self.nodes, self.arrays, self.held, self.wanted

    def new(self, shape: Shape, dtype: Any) -> int:
        """The number of a new array."""
        self.made.append((shape, dtype))
        return len(self.arrays) + len(self.made) - 1

    def slot(self, node: Node) -> int:
        """The number of the array for a result."""
        found = self.wanted.pop(node, None)
        return self.new(node.shape, node.dtype) if found is None else found

    def steps(self, slot: int, shape: Shape) -> list[int]:
        """The steps of an array seen in a shape, to each axis of the formula."""
        if 0 <= slot < len(self.arrays) and slot not in self.dense:
            a = self.arrays[slot]._array_obj
            if not a.flags.c_contiguous:
                pairs = [(n, s) for n, s in zip(a.shape, a.strides, strict=True) if n != 1]
                if [n for n, _ in pairs] == [n for n in shape if n != 1]:
                    rest = iter(pairs)
                    found = [0 if n == 1 else next(rest)[1] for n in shape]
                    return found or [0] * self.ndim
                self.dense.add(slot)
        return in_order(shape) or [0] * self.ndim

    def schedule(self) -> None:
        """Divide the formula into programs."""
        kinds: list[Shape] = []
        for node in self.nodes:
            if node.axes and node.axes not in kinds:
                kinds.append(node.axes)
        below = {node: self.axes_below(node) for node in self.wanted}
        for axes in kinds:
            later = kinds[kinds.index(axes) + 1 :]
            mine = [
                n for n in self.wanted if axes in below[n] and not below[n].intersection(later)
            ]
            lent = self.lent(axes, [n for n in self.wanted if below[n].intersection(later)])
            targets = [*mine, *[n for n in lent if n not in mine]]
            if not targets:
                continue
            if self.enough(self.program(axes, [(n, -1) for n in targets])):
                outs = {n: self.slot(n) for n in targets}
                self.add(self.program(axes, list(outs.items())))
                self.held.update({n: outs[n] for n in lent})
            else:
                self.in_parts(axes, targets)
        shapes: dict[Shape, list[tuple[Node, int]]] = {}
        for node, slot in self.wanted.items():
            shapes.setdefault(node.shape, []).append((node, slot))
        for several in shapes.values():
            self.add(self.program((), several))

    def axes_below(self, node: Node) -> set[Shape]:
        """The axes of all reductions from which a node is made."""
        found, seen, waiting = set[Shape](), set[Node](), [node]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting.extend(one.needs)
                if one.axes:
                    found.add(one.axes)
        return found

    def lent(self, axes: Shape, targets: list[Node]) -> list[Node]:
        """Reductions along some axes of which nodes of later programs are made."""
        found, seen, waiting = list[Node](), set[Node](), list(targets)
        while waiting:
            one = waiting.pop()
            if one not in seen and one not in self.held:
                seen.add(one)
                if one.axes == axes or (one.how == "best" and one.needs[0].axes == axes):
                    found.append(one)
                else:
                    waiting.extend(one.needs)
        return found

    def program(self, axes: Shape, outs: list[tuple[Node, int]]) -> Program:
        """The kernel that reduces along some axes."""
        self.ndim = max(len(n.shape) for n, _ in outs)
        found = Program(self.nodes, axes, outs, self.held, self.steps, self.vectors)
        if found.foreign():
            raise Untraceable("rows need columns that need rows")
        return found

    def enough(self, program: Program) -> bool:
        """Whether it keeps all units of the device busy, or there is little to do."""
        if program.together:
            return program.rows >= 4 * self.units or program.count <= self.few
        if program.phases == 1 and program.count > 2 * CHUNK and not program.writes_elements():
            return False
        return program.rows >= 4 * self.units * LANES or program.count <= self.few // LANES

    def in_parts(self, axes: Shape, targets: list[Node]) -> None:
        """Reduce rows in several parts each, by kernels of their own for each phase."""
        while True:
            program = self.program(axes, [(n, -1) for n in targets])
            first = [
                n
                for n in program.nodes
                if program.slot(n) is None
                and program.depth[n] == 1
                and (n.axes or n.how == "best")
            ]
            if not first:
                return
            self.reduce(axes, first)

    def reduce(self, axes: Shape, nodes: list[Node]) -> None:
        """Reductions that need no others: first of the parts, then of what was found there."""
        args = [n for n in nodes if n.axes and n.how.startswith("arg")]
        best = {n.needs[0]: n for n in nodes if n.how == "best"}
        for node in args:  # places are compared by the numbers that stand there
            if node not in best:
                best[node] = Node(f"{node.name}w", "best", node.needs[0].dtype, node.shape, (node,))
                self.nodes.append(best[node])
        nodes = [*[n for n in nodes if n.axes], *best.values()]
        held = {n: self.slot(n) for n in nodes}
        rough = self.program(axes, [(n, -1) for n in nodes])
        chunks = rough.chunks(4 * self.units, CHUNK)
        if chunks == 1:
            self.add(self.program(axes, list(held.items())))
            self.held.update(held)
            return
        outs = [(n, self.new((chunks, *n.shape), n.dtype)) for n in nodes]
        self.add(self.program(axes, outs), chunks)
        found = dict(outs)
        for shape in {n.shape for n in nodes}:
            inner, targets = list[Node](), list[tuple[Node, int]]()
            for node in [n for n in nodes if n.axes and n.shape == shape]:
                parts = (chunks, *shape)
                several = [node] if node not in best else [best[node], node]
                needs = [
                    Node(f"{n.name}g", "given", n.dtype, parts, place=found[n]) for n in several
                ]
                joined = Node(
                    f"{node.name}j", node.how, node.dtype, (1, *shape), tuple(needs), axes=(0,)
                )
                inner += [*needs, joined]
                targets.append((joined, held[node]))
                if node in best:
                    most = best[node]
                    kept = Node(f"{most.name}k", "best", most.dtype, joined.shape, (joined,))
                    inner.append(kept)
                    targets.append((kept, held[most]))
            self.ndim = len(shape) + 1
            self.add(Program(inner, (0,), targets, {}, self.steps, self.vectors))
        self.held.update(held)

    def add(self, program: Program, chunks: int = 1) -> None:
        """One more kernel."""
        source, name, arguments, size, group = program.write(chunks)
        function = kernel(self.queue, source, name)
        given = [
            (value, None) if kind == "array" else (None, NUMBERS[kind](value))
            for kind, value in arguments
        ]
        self.launches.append((function, given, size, group))

    def run(self, arrays: list[Any]) -> Any:
        """What the formula gives for some arrays."""
        queue = self.queue
        slots = [ordered(x) if n in self.dense else x for n, x in enumerate(arrays)]
        slots += [wrap(fresh(shape, dtype, queue)) for shape, dtype in self.made]
        for function, given, size, group in self.launches:
            args = [slots[n] if c is None else c for n, c in given]
            launch(queue, function, args, size, group)
        results = [x if slot is None else slots[slot] for slot, x in self.results]
        return tuple(results) if self.several else results[0]


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
        if like is None or not self.fits(like, arrays):
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
            plan = _plans.get(key)
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
        return plan.run(given) if plan else self.kernel(xp, *arrays, **params)

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
    return x.size >= LIMIT and x.dtype.name in TYPES and takes_source(x)


def keep(key: Any, plan: Any) -> None:
    """Keep a plan; False where there can be none."""
    if len(_plans) >= MANY:
        _plans.clear()
    _plans[key] = plan


def along(arrays: list[Any], write: Callable[..., Any], *how: Any) -> Any:
    """What a formula gives for large arrays, or None; `how` tells it from other formulas."""
    like = arrays[0]
    key = like.sycl_queue, how, *map(signature, arrays)
    plan = _plans.get(key)
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
    return plan.run(arrays) if plan else None


def copied(x: Any) -> Any:
    """A copy of a large array in row order."""
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
    if any(x.dtype.name not in TYPES or x.sycl_queue != queue or not x.size for x in arrays):
        return None
    return along(arrays, Formula(None).where, "where")


def kernels(usual: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Kernels for operations element by element or along rows, and for the steps of optimizers.

    Parameters
    ----------
    usual : dict
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
