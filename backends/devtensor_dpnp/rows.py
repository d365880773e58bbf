"""Kernels along rows: formulas in which numbers are added up, or compared, along some axes.

A program is one kernel. It has a row for each place of the axes that are kept, and goes along the
others once for each reduction that needs the result of another, and at last to write what each
element becomes; what it needs on the way it calculates again. Either a work item has a row of its
own, where the neighbours in memory belong to other rows or rows are short, or a sub-group of
`LANES` work items goes along a row together.

Sums are made of blocks, whose own rounding errors are caught when they are added.
"""

from __future__ import annotations

import hashlib
from math import prod
from typing import Any

import numpy as np

from .launch import TYPES
from .trace import BOOL, HALF, Node, Shape, Untraceable, inner

LANES = 16
"""Work items that go along a row together: a sub-group."""
TEAM = 16
"""Rows of one work group."""
BLOCK = 16
"""Steps of a work item after which it starts a new partial sum."""
SHORT = 24
"""A row with fewer neighbours in memory belongs to a single work item."""
WIDE = 64
"""Work items beside each other, at least, where there is a second dimension of them."""

MORE = {"max": ">", "min": "<", "argmax": ">", "argmin": "<"}
NOWHERE = "LONG_MAX"


class State:
    """The variables in which a reduction keeps what it has seen.

    Parameters
    ----------
    node : Node
        The reduction.
    """

    def __init__(self, node: Node) -> None:
        self.node, self.how = node, node.how
        source = node.needs[0].dtype
        kind = inner(source)
        self.kind = "int" if kind in ("char", "uchar", "short", "ushort") else kind
        self.real = source.kind == "f"
        self.value, self.place = f"{node.name}a", f"{node.name}p"
        self.lost, self.part = f"{node.name}e", f"{node.name}b"
        self.exact = not (self.how == "sum" and self.real)

    def first(self) -> str:
        """What it is before anything was seen."""
        start = {"sum": "0", "prod": "1", "any": "0", "all": "1"}.get(self.how)
        if start is None:
            most = MORE[self.how] == "<"
            if self.real:
                start = "INFINITY" if most else "-INFINITY"
            else:
                info = np.iinfo(self.node.needs[0].dtype)
                start = str(info.max) + "UL" * (info.bits == 64 and not info.min) if most else (
                    f"({info.min + 1} - 1)" if info.min else "0"
                )  # fmt: skip
        lines = f"{self.kind} {self.value} = {start};"
        if self.how.startswith("arg"):
            lines += f" long {self.place} = {NOWHERE};"
        if not self.exact:
            lines += f" {self.kind} {self.lost} = 0;"
        return lines

    def step(self) -> str:
        """One more element, which has been calculated."""
        x, value = self.node.needs[0].name, self.value
        if self.how == "sum":
            return f"{value if self.exact else self.part} += {x};"
        if self.how == "prod":
            return f"{value} *= {x};"
        if self.how in ("any", "all"):
            return f"{value} {'|' if self.how == 'any' else '&'}= {x};"
        if self.how in ("max", "min"):
            return f"{value} = {self.wins(x, value)} ? {x} : {value};"
        place = self.node.needs[1].name
        newer = f"{x} != {x} && {value} == {value}"
        return (
            f"if ({x} {MORE[self.how]} {value} || ({newer})) {{ {value} = {x}; "
            f"{self.place} = {place}; }}"
        )

    def wins(self, one: str, two: str) -> str:
        """Whether a number is more than another, or NaN."""
        test = f"{one} {MORE[self.how]} {two}"
        return f"({test} || {one} != {one})" if self.real else f"({test})"

    def close(self) -> str:
        """Add a block's sum to the others, and what that loses to what was lost."""
        if self.exact:
            return ""
        a, e, b, t, z = self.value, self.lost, self.part, "total", "back"
        return (
            f"{{ {self.kind} {t} = {a} + {b}, {z} = {t} - {a}; "
            f"{e} += ({a} - ({t} - {z})) + ({b} - {z}); {a} = {t}; }}"
        )

    def done(self) -> str:
        """Bring a work item's variables into one; of infinite sums nothing was lost."""
        if self.exact:
            return ""
        return f"{self.value} = fabs({self.value}) < INFINITY ? {self.value} + {self.lost} : {self.value};"

    def join(self) -> str:
        """What the work items of a sub-group have seen, to all of them."""
        lines, a, p = [], self.value, self.place
        for step in [1 << i for i in range(LANES.bit_length() - 1)]:
            other = f"{self.kind} o = intel_sub_group_shuffle_xor({a}, {step}u);"
            if self.how.startswith("arg"):
                equal = f"o == {a} || (o != o && {a} != {a})"
                lines.append(
                    f"{{ {other} long q = intel_sub_group_shuffle_xor({p}, {step}u); "
                    f"if (o {MORE[self.how]} {a} || (o != o && {a} == {a}) || (({equal}) && q < "
                    f"{p})) {{ {a} = o; {p} = q; }} }}"
                )
                continue
            result = {
                "sum": f"{a} + o", "prod": f"{a} * o", "any": f"{a} | o", "all": f"{a} & o",
            }.get(self.how) or f"{self.wins('o', a)} ? o : {a}"  # fmt: skip
            lines.append(f"{{ {other} {a} = {result}; }}")
        return "\n    ".join(lines)

    def result(self) -> str:
        """The node of the reduction itself."""
        name, text = self.node.name, self.value
        if self.how.startswith("arg"):
            # Where all are as small as can be, none was more.
            return f"long {name} = {self.place} == {NOWHERE} ? 0 : {self.place};"
        return f"{inner(self.node.dtype)} {name} = {text};"


def space_of(nodes: list[Node]) -> Shape:
    """The axes of a formula."""
    shapes = {n.shape for n in nodes if n.shape}
    if len({len(shape) for shape in shapes}) > 1:
        raise Untraceable("shapes of different lengths")
    return tuple([max(sizes) for sizes in zip(*shapes, strict=True)])


class Group:
    """Neighbouring axes that are gone along as one."""

    def __init__(self, size: int, gone: bool, steps: list[int]) -> None:
        self.size, self.gone, self.steps = size, gone, steps


class Program:
    """One kernel of a formula.

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
    """

    def __init__(
        self,
        nodes: list[Node],
        axes: Shape,
        outs: list[tuple[Node, int]],
        held: dict[Node, int],
        steps: Any,
    ) -> None:
        self.axes, self.outs, self.held = axes, outs, held
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
        self.slots = [*map(self.slot, self.loads), *[slot for _, slot in outs]]
        self.groups = self.grouped(
            [steps(s, n.shape) for s, n in zip(self.slots, self.where, strict=True)]
        )
        self.kept = [g for g, x in enumerate(self.groups) if not x.gone]
        self.gone = [g for g, x in enumerate(self.groups) if x.gone]
        self.rows = prod([self.groups[g].size for g in self.kept])
        self.count = prod([self.groups[g].size for g in self.gone])
        last = self.groups[-1] if self.groups else None
        self.together = bool(
            last is not None and last.gone and (last.size >= SHORT or not self.kept)
        )

    def slot(self, node: Node) -> int | None:
        """The number of the array in which a node is found."""
        return node.place if node.how == "given" else self.held.get(node)

    def below(self, node: Node) -> tuple[Node, ...]:
        """What a node is calculated from."""
        return () if self.slot(node) is not None else node.needs

    def closure(self, targets: list[Node], through: bool = True) -> set[Node]:
        """All that is needed for some nodes; if not `through`, what lies below reductions is not."""
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
        return any(self.along(node) for node, _ in self.outs)

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
        for d in order:
            n, gone, mine = self.space[d], d in self.axes, [s[d] for s in steps]
            if groups and groups[-1].gone == gone:
                before = groups[-1].steps
                if all(b == s * n for b, s in zip(before, mine, strict=True)):
                    groups[-1] = Group(groups[-1].size * n, gone, mine)
                    continue
            groups.append(Group(n, gone, mine))
        return groups

    def along(self, node: Node) -> bool:
        """Whether a node differs from element to element of a row."""
        shape = node.shape
        return bool(shape) and any(shape[d] != 1 for d in self.axes)

    # ---- the source

    def address(self, k: int) -> str:
        """Where in array `k` the number is."""
        terms = []
        for g, group in enumerate(self.groups):
            step = group.steps[k]
            if step:
                terms.append(f"i{g}" if step == 1 else f"i{g} * s{k}_{g}")
        if self.chunked and k >= len(self.loads):
            terms.append(f"chunk * s{k}_c")
        return " + ".join(terms) or "0"

    def line(self, node: Node) -> str:
        """The statement that calculates a node."""
        name, kind = node.name, inner(node.dtype)
        if self.slot(node) is not None:
            k = self.loads.index(node)
            place = f"[{self.address(k)}]"
            if node.dtype == HALF:
                return f"float {name} = vload_half({place[1:-1]}, x{k});"
            return f"{kind} {name} = x{k}{place}{' != 0' if node.dtype == BOOL else ''};"
        if node.how == "number":
            return ""
        if node.how == "place":
            return f"long {name} = i{self.gone[0]};"
        if node.how == "best":
            return f"{kind} {name} = {node.needs[0].name}a;"
        if node.axes:
            return ""
        return f"{kind} {name} = {node.text};"

    def lines(self, targets: list[Node], done: set[Node], along: bool, depth: int) -> list[str]:
        """The statements for some nodes that were not calculated yet."""
        wanted, found = self.closure(targets, not along), []
        for node in self.nodes:
            if node in wanted and node not in done and self.depth[node] <= depth:
                if self.along(node) == along:
                    if not along:
                        done.add(node)
                    found.append(self.line(node))
        return [x for x in found if x]

    def loops(self, body: list[str], states: list[State]) -> str:
        """Go along the row."""
        text = "\n        ".join([*body, *[s.step() for s in states]])
        opened, closed = [], []
        for g in self.gone[:-1]:
            opened.append(f"for (long i{g} = {self.start(g)}; i{g} < {self.end(g)}; i{g}++) {{")
            closed.append("}")
        g = self.gone[-1]
        blocks = any(not s.exact for s in states)
        lanes = LANES if self.together else 1
        stop = f"min(b + {BLOCK * lanes}, {self.end(g)})" if blocks else self.end(g)
        parts = " ".join(f"{s.kind} {s.part} = 0;" for s in states if not s.exact)
        opened.append(f"for (long b = {self.start(g)}; b < {self.end(g)};) {{ long stop = {stop};")
        opened.append(parts)
        if self.together:
            opened.append(
                f"for (; b + {LANES} <= stop; b += {LANES}) {{ long i{g} = b + lane;\n{text} }}\n"
                f"if (b < stop) {{ long i{g} = b + lane; if (i{g} < stop) {{ {text} }} b = stop; }}"
            )
        else:
            opened.append(f"for (; b < stop; b++) {{ long i{g} = b;\n{text} }}")
        return "\n    ".join([*opened, *[s.close() for s in states], "}", *closed])

    def start(self, g: int) -> str:
        return "low" if self.chunked and g == self.cut else "0"

    def end(self, g: int) -> str:
        return "high" if self.chunked and g == self.cut else f"n{g}"

    def rows_of(self) -> list[str]:
        """Which row it is."""
        if self.together:
            lines = [
                f"long row = get_group_id(0) * {TEAM}l + get_sub_group_id();",
                "long lane = get_sub_group_local_id();",
                "if (row >= rows) return;",
            ]
            kept = list(self.kept)
        elif self.flat():
            lines = ["long row = get_global_id(0);", "if (row >= rows) return;"]
            kept = list(self.kept)
        else:
            g = self.kept[-1]
            lines = [
                f"long i{g} = get_global_id(0), row = get_global_id(1);",
                f"if (i{g} >= n{g}) return;",
            ]
            kept = self.kept[:-1]
        for position, g in enumerate(reversed(kept)):
            if position == len(kept) - 1:
                lines.append(f"long i{g} = row;")
            else:
                lines.append(f"long i{g} = row % n{g}; row /= n{g};")
        if self.chunked:
            lines.append("long chunk = get_global_id(2);")
            lines.append(f"long low = chunk * length, high = min(low + length, n{self.cut});")
        return lines

    def flat(self) -> bool:
        """Whether work items are counted in one dimension."""
        return len(self.kept) < 2 or self.groups[self.kept[-1]].size < WIDE

    def store(self, k: int, node: Node) -> str:
        """Write a node."""
        place = self.address(len(self.loads) + k)
        if node.dtype == HALF:
            return f"vstore_half_rte({node.name}, {place}, o{k});"
        return f"o{k}[{place}] = {node.name};"

    def write(self, chunks: int = 1) -> tuple[str, str, list[Any], Shape, Shape | None]:
        """The source, its kernel's name, the arguments, and how many work items there are.

        Arguments are ("array", number), or a type and a number.
        """
        self.chunked = chunks > 1
        self.cut = self.longest() if self.gone else 0
        lines, done = self.rows_of(), set[Node]()
        targets = [node for node, _ in self.outs]
        for phase in range(self.phases + 1):
            lines += self.lines(targets, done, False, phase)
            if phase == self.phases:
                break
            states = [
                State(n)
                for n in self.nodes
                if n.axes and n not in self.held and self.depth[n] == phase + 1
            ]
            operands = [n for s in states for n in s.node.needs]
            lines += [s.first() for s in states]
            lines.append(self.loops(self.lines(operands, done, True, phase), states))
            lines += [s.done() for s in states]
            if self.together:
                lines += [s.join() for s in states]
            lines += [s.result() for s in states]
        stores = [(self.along(n), self.store(k, n)) for k, (n, _) in enumerate(self.outs)]
        if any(along for along, _ in stores):
            body = self.lines(targets, done, True, self.phases)
            body += [text for along, text in stores if along]
            lines.append(self.loops(body, []) if self.gone else "\n".join(body))
        each = " ".join(text for along, text in stores if not along)
        if each:
            lines.append(f"if (lane == 0) {{ {each} }}" if self.together else each)
        parameters, arguments = self.parameters(chunks)
        attribute = f"__attribute__((intel_reqd_sub_group_size({LANES})))" if self.gone else ""
        source = (
            f"#pragma OPENCL FP_CONTRACT OFF\n{attribute}"
            f"__kernel void $name({', '.join(parameters)}) {{\n    "
            + "\n    ".join([x for x in lines if x])
            + "\n}"
        )
        name = f"f{hashlib.sha256(source.encode()).hexdigest()[:24]}"
        return source.replace("$name", name), name, arguments, *self.items(chunks)

    def parameters(self, chunks: int) -> tuple[list[str], list[Any]]:
        """The kernel's parameters, and its arguments."""
        count = len(self.loads)
        texts, arguments = [], []
        for k, (node, slot) in enumerate(zip(self.where, self.slots, strict=True)):
            kind = TYPES[node.dtype.name]
            own = f"const {kind}* x{k}" if k < count else f"{kind}* o{k - count}"
            texts.append(f"__global {own}")
            arguments.append(("array", slot))
        for node in self.numbers:
            texts.append(f"const {inner(node.dtype)} {node.name}")
            arguments.append((inner(node.dtype), node.place))
        longs = {f"n{g}": group.size for g, group in enumerate(self.groups)}
        for g, group in enumerate(self.groups):
            for k, step in enumerate(group.steps):
                if step not in (0, 1):
                    longs[f"s{k}_{g}"] = step
        longs["rows"] = self.rows
        if chunks > 1:
            longs["length"] = self.length(chunks)
            for k in range(count, len(self.where)):
                longs[f"s{k}_c"] = prod(self.where[k].shape)
        for name, value in longs.items():
            texts.append(f"const long {name}")
            arguments.append(("long", value))
        return texts, arguments

    def longest(self) -> int:
        """The group that is divided, where rows are."""
        return max(self.gone, key=lambda g: self.groups[g].size)

    def chunks(self, wanted: int, most: int) -> int:
        """In how many parts to go along rows, for `wanted` teams of work items at least.

        Steps of single work items through the memory are long, so they take `most` at most.
        """
        size = self.groups[self.longest()].size
        if self.together:
            parts = min(-(-wanted // self.rows), size // (LANES * BLOCK))
        else:
            parts = min(-(-wanted * LANES // self.rows), size // (2 * BLOCK))
            parts = max(parts, size // most)
        return -(-size // self.length(max(parts, 1)))

    def length(self, chunks: int) -> int:
        """Elements of a part, a multiple of what work items do together."""
        size = self.groups[self.longest()].size
        return -(-size // (chunks * LANES)) * LANES

    def items(self, chunks: int) -> tuple[Shape, Shape | None]:
        """How many work items there are, and in a group, if that matters."""
        if self.together:
            group = min(TEAM, self.rows)
            return (chunks, 1, -(-self.rows // TEAM) * TEAM * LANES), (1, 1, TEAM * LANES)
        if self.flat():
            return (chunks, 1, -(-self.rows // WIDE) * WIDE), None
        wide = self.groups[self.kept[-1]].size
        return (chunks, self.rows // wide, -(-wide // WIDE) * WIDE), None
