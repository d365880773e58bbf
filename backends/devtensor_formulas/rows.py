"""Kernels along rows: formulas in which numbers are added up, or compared, along some axes.

A program is one kernel. It has a row for each place of the axes that are kept, and goes along the
others once for each reduction that needs the result of another, and at last to write what each
element becomes; what it needs on the way it calculates again. A work item has a row of its own
where the neighbours in memory belong to other rows, or where rows are short. Otherwise it goes
along the row by vectors, or `lanes` work items go together, a sub-group: on a processor those take
twice as long.
"""

from __future__ import annotations

import hashlib
from math import prod
from typing import Any

from .layout import BLOCK, MOST, NARROW, Layout
from .statements import WIDTH, State, expression, load, several, store
from .trace import TYPES, Node, Shape, inner


class Program(Layout):
    """One kernel of a formula."""

    def address(self, k: int) -> str:
        """Where in array `k` the number is."""
        terms = []
        for g, group in enumerate(self.groups):
            if group.steps[k]:
                terms.append(f"i{g}" if group.steps[k] == 1 else f"i{g} * s{k}_{g}")
        if self.chunked and k >= len(self.loads):
            terms.append(f"chunk * s{k}_c")
        return " + ".join(terms) or "0"

    def step(self, k: int) -> str:
        """How far neighbours in a row are from each other in array `k`."""
        step = self.groups[-1].steps[k] if self.groups else 0
        return str(step) if step in (0, 1) else f"s{k}_{len(self.groups) - 1}"

    def line(self, node: Node, wide: bool) -> str:
        """The statement that calculates a node."""
        name, kind = node.name, several(inner(node.dtype), wide)
        if self.slot(node) is not None:
            k = self.loads.index(node)
            return f"{kind} {name} = {load(node, f'x{k}', self.address(k), self.step(k), wide)};"
        if node.how == "number" or node.axes:
            return ""
        if node.how == "place":
            g = self.group_of.get(node.place)
            places = ", ".join(map(str, range(WIDTH)))
            more = f" + (long{WIDTH})({places})" if wide and g == self.gone[-1] else ""
            return f"{kind} {name} = {0 if g is None else f'i{g}'}{more};"
        if node.how == "best":
            return f"{kind} {name} = {node.needs[0].name}a;"
        return f"{kind} {name} = {expression(node, wide, self.varies)};"

    def lines(self, targets: list[Node], done: set[Node], depth: int) -> list[str]:
        """The statements for some nodes, as far as these are the same all along a row."""
        wanted, found = self.closure(targets), []
        for node in self.nodes:
            here = node in wanted and node not in done and self.depth[node] <= depth
            if here and not self.varies[node]:
                done.add(node)
                found.append(self.line(node, False))
        return [x for x in found if x]

    def body(self, targets: list[Node], states: list[State], stores: bool, wide: bool) -> str:
        """What is done with an element, or with several."""
        wanted = self.closure(targets, False)
        lines = [self.line(n, wide) for n in self.nodes if n in wanted and self.varies[n]]
        lines += [s.step() for s in states]
        if stores:
            lines += self.stores(True, wide)
        return "\n        ".join([x for x in lines if x])

    def stores(self, along: bool, wide: bool = False) -> list[str]:
        """Write what differs from element to element, or what does not."""
        count = len(self.loads)
        return [
            store(node, f"o{k}", self.address(count + k), self.step(count + k), wide)
            for k, (node, _) in enumerate(self.outs)
            if self.varies[node] == along
        ]

    def loops(self, targets: list[Node], states: list[State], stores: bool = False) -> list[str]:
        """Go along the row."""
        vectors = [State(s.node, True) for s in states] if self.wide else []
        lines, closed = [*[s.first() for s in [*states, *vectors]], "{"], ["}"]
        for g in self.gone[:-1]:
            lines.append(
                f"for ({self.whole} i{g} = {self.start(g)}; i{g} < {self.end(g)}; i{g}++) {{"
            )
            closed.append("}")
        g = self.gone[-1]
        end = self.end(g)
        one = self.body(targets, states, stores, False)
        lines.append(f"{self.whole} b = {self.start(g)};")
        if self.wide:
            lines += self.blocks(
                f"b + {WIDTH} <= {end}", f"{end} - {WIDTH - 1}", WIDTH, g, "b", vectors,
                self.body(targets, vectors, stores, True),
            )  # fmt: skip
        if self.together and not self.wide:
            lines += self.blocks(
                f"b + {self.lanes} <= {end}", f"{end} - {self.lanes - 1}", self.lanes, g,
                "b + lane", states, one,
            )  # fmt: skip
            lines.append(f"{{ {self.whole} i{g} = b + lane; if (i{g} < {end}) {{")
            lines += [*[s.open() for s in states], one, *[s.close() for s in states], "} }"]
        else:
            lines += self.blocks(f"b < {end}", end, 1, g, "b", states, one)
        lines += closed
        lines += [s.done() for s in [*states, *vectors]]
        for s, v in zip(states, vectors, strict=False):
            lines += [s.join(f"{v.value}.s{k}", f"{v.place}.s{k}") for k in range(WIDTH)]
        if self.together and not self.wide:
            lines += self.exchanged(states, min(self.lanes, MOST))
            if self.lanes > MOST and states:
                lines += self.across(states)
        return lines

    def exchanged(self, states: list[State], count: int) -> list[str]:
        """Bring together what `count` work items beside each other have seen, in all of them."""
        lines = []
        for s in states:
            for step in [1 << k for k in range(count.bit_length() - 1)]:
                shuffled = [
                    f"intel_sub_group_shuffle_xor({x}, {step}u)" for x in (s.value, s.place)
                ]
                lines.append(s.join(*shuffled))
        return lines

    def across(self, states: list[State]) -> list[str]:
        """Bring together what the sub-groups of a work group have seen."""
        count = self.lanes // MOST
        held = [(s, *one) for s in states for one in s.variables()]
        lines = [f"__local {kind} {name}s[{count}];" for _, kind, name in held]
        shared = " ".join([f"{name}s[lane / {MOST}] = {name};" for _, _, name in held])
        lines.append(f"if (lane % {MOST} == 0) {{ {shared} }}")
        lines.append("barrier(CLK_LOCAL_MEM_FENCE);")
        lines += [f"{name} = {name}s[lane % {count}];" for _, _, name in held]
        return [*lines, *self.exchanged(states, count)]

    def blocks(
        self, more: str, end: str, step: int, g: int, place: str, states: list[State], body: str
    ) -> list[str]:
        """A loop; with sums of floats, one over blocks and one in each."""
        if all(s.exact for s in states):
            return [
                f"for (; {more}; b += {step}) {{ {self.whole} i{g} = {place};\n        {body} }}"
            ]
        return [
            f"while ({more}) {{ {self.whole} stop = min(b + {BLOCK * step}, {end});",
            *[s.open() for s in states],
            f"for (; b < stop; b += {step}) {{ {self.whole} i{g} = {place};\n        {body} }}",
            *[s.close() for s in states],
            "}",
        ]

    def start(self, g: int) -> str:
        """Where to begin to go along a group."""
        return "low" if self.chunked and g == self.cut else "0"

    def end(self, g: int) -> str:
        """Where to end."""
        return "high" if self.chunked and g == self.cut else f"n{g}"

    def rows_of(self) -> list[str]:
        """Which row it is."""
        kept, whole = list(self.kept), self.whole
        if self.wide:
            lines = [f"{whole} row = get_global_id(0);"]
        elif self.together:
            lines = [
                f"{whole} row = get_group_id(0) * ({whole}){self.team()} + get_sub_group_id();",
                f"{whole} lane = get_sub_group_local_id();",
                "if (row >= rows) return;",
            ]
        elif self.several > 1:
            g = kept.pop()
            lines = [
                f"{whole} first = get_group_id(0) * ({whole})get_local_size(0) * {self.several}",
                "    + get_local_id(0);",
                f"{whole} row = get_global_id(1);" if kept else "",
            ]
        elif self.flat():
            lines = [f"{whole} row = get_global_id(0);", "if (row >= rows) return;"]
        else:
            g = kept.pop()
            lines = [
                f"{whole} i{g} = get_global_id(0), row = get_global_id(1);",
                f"if (i{g} >= n{g}) return;",
            ]
        for g in reversed(kept[1:]):
            lines.append(f"{whole} i{g} = row % n{g}; row /= n{g};")
        if kept:
            lines.append(f"{whole} i{kept[0]} = row;")
        if self.chunked:
            lines.append(f"{whole} chunk = get_global_id(2);")
            lines.append(f"{whole} low = chunk * length, high = min(low + length, n{self.cut});")
        return lines

    def write(self, chunks: int = 1) -> tuple[str, str, list[Any], Shape, Shape | None]:
        """The source, its kernel's name, the arguments, and how many work items there are.

        Arguments are ("array", which), (a type, which number of the trace), or ("size", a number).
        """
        self.chunked = chunks > 1
        self.whole = "int" if self.machine.narrow and self.reach(chunks) < NARROW else "long"
        self.cut = self.longest() if self.gone else 0
        parameters, arguments = self.parameters(chunks)
        lines = [*self.rows_of(), *(self.each() if self.several == 1 else self.beside())]
        attribute = ""
        if self.together and not self.wide:
            attribute = f"#define LANES {self.lanes}\n"
        if self.wide:
            attribute = "__attribute__((reqd_work_group_size(1, 1, 1)))\n"
        elif self.gone:
            attribute += f"__attribute__((intel_reqd_sub_group_size({self.lanes})))\n"
        source = (
            f"#pragma OPENCL FP_CONTRACT OFF\n{attribute}"
            f"__kernel void $name({', '.join(parameters)}) {{\n    "
            + "\n    ".join([x for x in lines if x])
            + "\n}"
        )
        name = f"f{hashlib.sha256(source.encode()).hexdigest()[:24]}"
        return source.replace("$name", name), name, arguments, *self.items(chunks)

    def beside(self) -> list[str]:
        """What is done with several elements: all are read before the first is written."""
        g = self.kept[-1]
        held = [f"{inner(n.dtype)} {n.name}s[{self.several}];" for n in self.loads]
        read = [
            f"{n.name}s[u] = {load(n, f'x{k}', self.address(k), self.step(k), False)};"
            for k, n in enumerate(self.loads)
        ]
        work = [
            f"{inner(n.dtype)} {n.name} = {n.name}s[u];" if n in self.loads else self.line(n, False)
            for n in self.nodes
        ]
        lines = held
        for body in (read, [*work, *self.stores(False)]):
            lines += ["#pragma unroll", f"for (int u = 0; u < {self.several}; u++) {{"]
            lines.append(f"{self.whole} i{g} = first + u * ({self.whole})get_local_size(0);")
            lines += [f"if (i{g} < n{g}) {{", *body, "} }"]
        return lines

    def each(self) -> list[str]:
        """What a work item does with its row or element."""
        lines, done = list[str](), set[Node]()
        targets = [node for node, _ in self.outs]
        for phase in range(self.phases + 1):
            lines += self.lines(targets, done, phase)
            if phase < self.phases:
                reductions = [
                    n for n in self.nodes
                    if n.axes and n not in self.held and self.depth[n] == phase + 1
                ]  # fmt: skip
                states = [State(n, False) for n in reductions]
                lines += self.loops([x for n in reductions for x in n.needs], states)
                lines += [s.result() for s in states]
        if self.writes_elements():
            lines += self.loops([n for n in targets if self.varies[n]], [], True)
        each = self.stores(False)
        if each and self.together and not self.wide:
            each = ["if (lane == 0) {", *each, "}"]
        return [*lines, *each]

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
            kind = inner(node.dtype)
            kind = "int" if kind in ("char", "uchar", "short", "ushort") else kind
            texts.append(f"const {kind} {node.name}")
            arguments.append((kind, node.place))
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
            texts.append(f"const {self.whole} {name}")
            arguments.append(("size", value))
        return texts, arguments
