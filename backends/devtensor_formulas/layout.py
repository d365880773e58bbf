"""How a kernel lies over the axes of a formula: which work items go where.

A kernel has a row for each place of the axes that are kept, and goes along the others. Axes whose
elements follow each other in all arrays are one.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .engine import Machine
from .trace import Node, Shape, space_of

MOST = 32
"""Work items of a sub-group at most; if more go along a row, they are a work group."""
GROUP = 256
"""Work items of a work group in which each sub-group has a row."""
NARROW = 1 << 30
"""What is counted in 32 bits is less."""
BLOCK = 16
"""Steps of a work item after which it starts a new partial sum."""
SHORT = 24
"""A row with fewer neighbours in memory belongs to a single work item."""
MANY = 1 << 18
"""Elements from which on a work item may have several."""
WIDE = 64
"""Work items beside each other, at least, where there is a second dimension of them."""


class Group:
    """Neighbouring axes that are gone along as one."""

    def __init__(self, size: int, gone: bool, steps: list[int]) -> None:
        self.size, self.gone, self.steps = size, gone, steps


class Layout:
    """The nodes of a kernel, and how it goes along them.

    Parameters
    ----------
    nodes : list of Node
        All nodes of the formula, in their order.
    axes : tuple of int
        Those that are reduced.
    outs : list of (Node, int)
        What is written, and the number of the array where.
    held : dict
        To nodes that are not calculated the number of the array where they are.
    steps : callable
        Of the number of an array and a shape in which it is seen: its step in each axis.
    machine : Machine
        What it is written for.
    """

    def __init__(
        self,
        nodes: list[Node],
        axes: Shape,
        outs: list[tuple[Node, int]],
        held: dict[Node, int],
        steps: Any,
        machine: Machine,
    ) -> None:
        self.axes, self.outs, self.held, self.machine = axes, outs, held, machine
        self.depth: dict[Node, int] = {}
        self.needed = self.closure([node for node, _ in outs])
        self.nodes = [n for n in nodes if n in self.needed]
        self.space = space_of(self.nodes)
        self.loads = [n for n in self.nodes if self.slot(n) is not None]
        self.numbers = [n for n in self.nodes if n.how == "number"]
        for node in self.nodes:
            below = [self.depth[n] for n in self.below(node)]
            self.depth[node] = max(below, default=0) + (node.axes != () and node not in held)
        self.phases = max(self.depth.values(), default=0)
        self.where = [*self.loads, *[node for node, _ in outs]]
        self.placed = [n.place for n in self.nodes if n.how == "place"]
        self.slots = [*map(self.slot, self.loads), *[slot for _, slot in outs]]
        self.groups = self.grouped(
            [steps(s, n.shape) for s, n in zip(self.slots, self.where, strict=True)]
        )
        self.kept = [g for g, x in enumerate(self.groups) if not x.gone]
        self.gone = [g for g, x in enumerate(self.groups) if x.gone]
        self.rows = prod([self.groups[g].size for g in self.kept])
        self.count = prod([self.groups[g].size for g in self.gone])
        last = self.groups[-1] if self.groups else None
        self.together = last is not None and last.gone and (last.size >= SHORT or not self.kept)
        self.wide = self.together and machine.vectors
        self.lanes = machine.lanes(last.size if last is not None and self.together else 0)
        self.several = 1
        if not self.gone and self.rows >= MANY and self.groups[-1].size >= machine.several * WIDE:
            self.several = machine.several
        self.varies = {n: self.along(n) for n in self.nodes}

    def slot(self, node: Node) -> int | None:
        """The number of the array in which a node is found."""
        return node.place if node.how == "given" else self.held.get(node)

    def below(self, node: Node) -> tuple[Node, ...]:
        """What a node is calculated from."""
        return () if self.slot(node) is not None else node.needs

    def closure(self, targets: list[Node], through: bool = True) -> set[Node]:
        """All that is needed for some nodes; unless `through`, up to the reductions."""
        found, waiting = set[Node](), list(targets)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                if through or not node.axes:
                    waiting.extend(self.below(node))
        return found

    def writes_elements(self) -> bool:
        """Whether something is written that differs along rows."""
        return any(self.varies[node] for node, _ in self.outs)

    def foreign(self) -> list[Node]:
        """Reductions along other axes, whose results this program must be given."""
        return [n for n in self.nodes if n.axes and n not in self.held and n.axes != self.axes]

    def grouped(self, steps: list[list[int]]) -> list[Group]:
        """The axes, those with the largest steps first, neighbours as one."""
        order = [d for d, n in enumerate(self.space) if n != 1]
        if steps:
            main = max(steps, key=lambda s: sum(map(bool, s)))
            order.sort(key=lambda d: -abs(main[d]))
        groups: list[Group] = []
        self.group_of: dict[int, int] = {}
        for d in order:
            n, gone, mine = self.space[d], d in self.axes, [s[d] for s in steps]
            counted = d in self.placed or (groups and len(groups) - 1 in self.group_of.values())
            if groups and groups[-1].gone == gone and not counted:
                before = groups[-1].steps
                if all(b == s * n for b, s in zip(before, mine, strict=True)):
                    groups[-1] = Group(groups[-1].size * n, gone, mine)
                    continue
            groups.append(Group(n, gone, mine))
            if d in self.placed:
                self.group_of[d] = len(groups) - 1
        return groups

    def along(self, node: Node) -> bool:
        """Whether a node differs from element to element of a row."""
        shape = node.shape
        return bool(shape) and any(shape[d] != 1 for d in self.axes)

    def flat(self) -> bool:
        """Whether work items are counted in one dimension."""
        return len(self.kept) < 2 or self.groups[self.kept[-1]].size < WIDE

    def team(self) -> int:
        """How many rows belong to a work group."""
        return 1 if self.lanes > MOST else GROUP // self.lanes

    def reach(self, chunks: int) -> int:
        """The largest number that is needed to say where elements are, or more."""
        steps = [
            sum([abs(group.steps[k]) * (group.size - 1) for group in self.groups])
            for k in range(len(self.where))
        ]
        parts = [chunks * prod(node.shape) for node, _ in self.outs]
        return max([prod(self.space), *steps, *parts])

    def longest(self) -> int:
        """The group that is divided, where rows are."""
        return max(self.gone, key=lambda g: self.groups[g].size)

    def chunks(self, wanted: int, most: int) -> int:
        """In how many parts to go along rows, for `wanted` teams of work items at least.

        Steps of single work items through the memory are long, so they take `most` at most.
        """
        size = self.groups[self.longest()].size
        if self.together:
            parts = min(-(-wanted // self.rows), size // (self.lanes * BLOCK))
        else:
            parts = min(-(-wanted * self.lanes // self.rows), size // (2 * BLOCK))
            parts = max(parts, size // most)
        return -(-size // self.length(max(parts, 1)))

    def length(self, chunks: int) -> int:
        """Elements of a part, a multiple of what work items do together."""
        size = self.groups[self.longest()].size
        return -(-size // (chunks * self.lanes)) * self.lanes

    def items(self, chunks: int) -> tuple[Shape, Shape | None]:
        """How many work items there are, and in a group, if that matters."""
        if self.wide:
            return (chunks, 1, self.rows), (1, 1, 1)
        if self.together:
            team = self.team()
            group = team * self.lanes
            return (chunks, 1, -(-self.rows // team) * group), (1, 1, group)
        wide = self.rows if self.flat() else self.groups[self.kept[-1]].size
        beside = -(-wide // self.several)
        return (chunks, self.rows // wide, -(-beside // WIDE) * WIDE), None
