"""In which kernels, over which arrays, a formula is calculated.

Reductions along different axes take programs of their own, each of which is given what the others
found. Where there are fewer rows than a device can go along at once, rows are gone along in parts:
a kernel for each phase, and one that puts the parts together.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .engine import Engine
from .rows import Program
from .trace import Node, Shape, Symbol, Trace, Untraceable

CHUNK = 512
"""Elements of a row that is gone along in several parts, if they are not neighbours in memory."""


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
    engine : Engine
        The library of the arrays.
    trace : Trace
        The formula.
    results : list
        What it gave: symbols, and other things.
    several : bool
        Whether it gave a tuple.
    arrays : list
        The arrays that it was given.
    targets : list
        For some of the results, arrays in which they may be written.
    """

    def __init__(
        self, engine: Engine, trace: Trace, results: list[Any], several: bool, arrays: list[Any],
        targets: list[Any],
    ) -> None:  # fmt: skip
        self.engine = engine
        if any(min(engine.steps(x), default=0) < 0 for x in arrays):
            raise Untraceable("backwards")  # their memory is said to start elsewhere
        self.nodes, self.arrays, self.several = trace.nodes, [*arrays, *targets], several
        self.place = engine.place(arrays[0])
        machine = engine.machine(self.place)
        if machine is None:
            raise Untraceable("no such sub-groups")
        self.machine = machine
        self.dense = {n.place for n in trace.nodes if n.how == "given" and not self.fits(n)}
        self.made: list[tuple[Shape, Any]] = []
        self.launches: list[Any] = []
        self.held: dict[Node, int] = {}
        self.results: list[int | None] = []
        self.wanted: dict[Node, int] = {}
        alone = self.one_by_one(results)
        for k, x in enumerate(results):
            if x.__class__ is not Symbol:
                if isinstance(x, engine.Array):
                    raise Untraceable("a result from elsewhere")
                self.results.append(None)
                continue
            if prod(x.shape) != prod(x.node.shape):
                raise Untraceable("a broadcast result")
            node = x.node
            if node in self.wanted:  # each result has memory of its own
                node = trace.made("{0}", Symbol(trace, node, node.shape), dtype=node.dtype).node
            there = len(arrays) + k
            if not (alone and k < len(targets) and self.takes(there, x, node)):
                there = self.new(x.shape, x.dtype)
            self.wanted[node] = there
            self.results.append(there)
        if not self.wanted:
            raise Untraceable("no result")
        self.reduces = any(node.axes or node.how == "place" for node in self.nodes)
        self.schedule()
        del self.nodes, self.arrays, self.held, self.wanted

    def one_by_one(self, results: list[Any]) -> bool:
        """Whether one kernel makes all results, each element of those of its place alone."""
        shapes = {x.node.shape for x in results if x.__class__ is Symbol}
        return len(shapes) == 1 and not any(n.axes or n.how == "place" for n in self.nodes)

    def takes(self, slot: int, x: Symbol, node: Node) -> bool:
        """Whether an array takes a result as it is."""
        target = self.arrays[slot]
        if target is None or target.shape != x.shape or target.dtype != x.dtype:
            return False
        steps = self.engine.steps(target)
        shown = [n for n in x.shape if n != 1] == [n for n in node.shape if n != 1]
        return shown and all(n == 1 or s > 0 for n, s in zip(x.shape, steps, strict=True))

    def new(self, shape: Shape, dtype: Any) -> int:
        """The number of a new array."""
        self.made.append((shape, dtype))
        return len(self.arrays) + len(self.made) - 1

    def slot(self, node: Node) -> int:
        """The number of the array for a result."""
        found = self.wanted.pop(node, None)
        return self.new(node.shape, node.dtype) if found is None else found

    def fits(self, node: Node) -> bool:
        """Whether an array is in row order, or seen in its own shape but for axes of length 1."""
        a = self.arrays[node.place]
        if self.engine.in_rows(a):
            return True
        return [n for n in a.shape if n != 1] == [n for n in node.shape if n != 1]

    def steps(self, slot: int, shape: Shape) -> list[int]:
        """The steps of an array seen in a shape, to each axis of the formula."""
        if 0 <= slot < len(self.arrays) and slot not in self.dense:
            a = self.arrays[slot]
            if not self.engine.in_rows(a):
                steps = self.engine.steps(a)
                rest = iter([s for n, s in zip(a.shape, steps, strict=True) if n != 1])
                return [0 if n == 1 else next(rest) for n in shape] or [0] * self.ndim
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
            mine = [n for n in self.wanted if axes in below[n] and not below[n].intersection(later)]
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
        found = Program(self.nodes, axes, outs, self.held, self.steps, self.machine)
        if found.foreign():
            raise Untraceable("rows need columns that need rows")
        return found

    def enough(self, program: Program) -> bool:
        """Whether it keeps all units of the device busy, or there is little to do."""
        teams = self.teams(program)
        if program.together:
            return program.rows >= teams or program.count <= self.machine.few
        if program.phases == 1 and program.count > 2 * CHUNK and not program.writes_elements():
            return False
        return program.rows >= teams * program.lanes or program.count <= self.machine.alone

    def teams(self, program: Program) -> int:
        """How many teams of work items keep all units of the device busy."""
        return max(1, 4 * self.machine.units * self.machine.lanes(0) // program.lanes)

    def in_parts(self, axes: Shape, targets: list[Node]) -> None:
        """Reduce rows in several parts each, by kernels of their own for each phase."""
        while True:
            program = self.program(axes, [(n, -1) for n in targets])
            first = [
                n
                for n in program.nodes
                if program.slot(n) is None and program.depth[n] == 1 and (n.axes or n.how == "best")
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
        chunks = rough.chunks(self.teams(rough), CHUNK)
        if chunks == 1:
            self.add(self.program(axes, list(held.items())))
            self.held.update(held)
            return
        outs = [(n, self.new((chunks, *n.shape), n.dtype)) for n in nodes]
        self.add(self.program(axes, outs), chunks)
        for shape in {n.shape for n in nodes}:
            self.join([n for n in nodes if n.shape == shape], best, chunks, dict(outs), held)
        self.held.update(held)

    def join(
        self,
        nodes: list[Node],
        best: dict[Node, Node],
        chunks: int,
        found: dict[Node, int],
        held: dict[Node, int],
    ) -> None:
        """Reduce what was `found` in parts, and go on with that as far as no more is needed."""
        shape, made = nodes[0].shape, list[Node]()
        copies: dict[Node, Node | None] = {}

        def copy(node: Node, how: str, needs: list[Node], **more: Any) -> Node:
            size = (1, *shape) if node.shape == shape else ()
            made.append(
                Node(f"{node.name}j", how, node.dtype, size, tuple(needs), node.text, **more)
            )
            return made[-1]

        def after(node: Node) -> Node | None:
            """The same node beside the joined ones, or None."""
            if node in self.held and node not in copies:
                copies[node] = copy(node, "given", [], place=self.held[node])
            if node not in copies:
                needs = [after(n) for n in node.needs]
                known = [n for n in needs if n is not None]
                plain = node.how in ("value", "number", "given") and node.shape in (shape, ())
                whole = plain and len(known) == len(needs)
                copies[node] = copy(node, node.how, known, place=node.place) if whole else None
            return copies[node]

        for node in [n for n in nodes if n.axes]:
            several = [best[node], node] if node in best else [node]
            parts = [
                Node(f"{n.name}g", "given", n.dtype, (chunks, *shape), place=found[n])
                for n in several
            ]
            made += parts
            copies[node] = copy(node, node.how, parts, axes=(0,))
            if node in best:
                copies[best[node]] = copy(best[node], "best", [made[-1]])
        targets = [(copies[n], held[n]) for n in nodes]
        for node in [n for n in self.wanted if after(n) is not None]:
            targets.append((copies[node], self.wanted.pop(node)))
        self.ndim = len(shape) + 1
        outs = [(n, slot) for n, slot in targets if n is not None]
        self.add(Program(made, (0,), outs, {}, self.steps, self.machine))

    def add(self, program: Program, chunks: int = 1) -> None:
        """One more kernel."""
        source, name, arguments, size, group = program.write(chunks)
        function = self.engine.compiled(self.place, source, name)
        self.launches.append((function, arguments, size, group))


class Ready:
    """A plan with the numbers of a formula.

    Parameters
    ----------
    plan : Plan
    numbers, results : list
        Those of the formula; results are symbols, and other things.
    form : tuple
        Its steps, whatever the shapes are.
    """

    __slots__ = ("form", "host", "launches", "numbers", "one", "plan", "rest")

    def __init__(
        self, plan: Plan, numbers: list[Any], results: list[Any], form: tuple[Any, ...]
    ) -> None:
        self.plan, self.numbers, self.form = plan, numbers, form
        self.host: Any = None  # the numbers on the host that it was made with
        self.rest = [None if x.__class__ is Symbol else x for x in results]
        self.one = None if plan.several else plan.results[0]
        prepared = plan.engine.prepared
        self.launches = [
            prepared(function, arguments, numbers, size, group)
            for function, arguments, size, group in plan.launches
        ]

    def run(self, arrays: list[Any], targets: list[Any]) -> Any:
        """What the formula gives for some arrays: new ones, or targets."""
        plan = self.plan
        engine, place = plan.engine, plan.place
        if plan.dense:
            arrays = [engine.ordered(x) if n in plan.dense else x for n, x in enumerate(arrays)]
        fresh, launch = engine.fresh, engine.launch
        slots = [*arrays, *targets]
        for shape, dtype in plan.made:
            slots.append(fresh(shape, dtype, place))
        for prepared in self.launches:
            launch(place, prepared, slots)
        if self.one is not None:
            return slots[self.one]
        results = [
            x if slot is None else slots[slot]
            for slot, x in zip(plan.results, self.rest, strict=True)
        ]
        return tuple(results)
