"""Statements in OpenCL C, about one element or about `WIDTH` beside each other.

Compilers for processors make wide registers of vectors, and of work items only where these need
nothing of each other. Several truths beside each other are integers with all bits or none.
"""

from __future__ import annotations

import numpy as np

from .trace import BOOL, HALF, PLACE, TYPES, Node, inner

WIDTH = 8
"""Elements in a vector."""
MORE = {"max": ">", "min": "<", "argmax": ">", "argmin": "<"}
NOWHERE = "INT_MAX"
SIGNED = {1: "char", 2: "short", 4: "int", 8: "long"}


def several(kind: str, wide: bool) -> str:
    """The type of one or several numbers."""
    return f"{kind}{WIDTH}" if wide else kind


def truths(kind: str) -> str:
    """The type of what comparisons of vectors of a type give."""
    sizes = {"char": 1, "short": 2, "half": 2, "int": 4, "float": 4, "long": 8, "double": 8}
    return SIGNED[sizes[kind.removeprefix("u")]]


def operand(node: Node, kind: str, wide: bool, along: bool) -> str:
    """An operand of an expression on numbers of a type; `along` if it is a vector, where `wide`."""
    if not wide:
        return f"({kind}){node.name}" if node.dtype == BOOL and kind != "int" else node.name
    own = inner(node.dtype)
    if not along:
        return f"({kind}{WIDTH})(({kind}){node.name})"
    if own == kind:
        return node.name
    return f"convert_{kind}{WIDTH}({node.name}{' & 1' if node.dtype == BOOL else ''})"


def condition(node: Node, kind: str, wide: bool, along: bool) -> str:
    """A truth that chooses between numbers of a type, or is combined with another."""
    if not wide:
        return node.name
    kind = truths(kind)
    if not along:
        return f"({kind}{WIDTH})(({kind})({node.name} ? -1 : 0))"
    return node.name if kind == "int" else f"convert_{kind}{WIDTH}({node.name})"


def expression(node: Node, wide: bool, along: dict[Node, bool]) -> str:
    """The value of a node."""
    known = [n.dtype for n in node.needs if n.dtype != BOOL]
    kind = inner(known[0]) if known else "int"
    names = []
    for k, need in enumerate(node.needs):
        chooses = k == 0 and node.text.startswith("{0} ?")
        if need.dtype == BOOL and (chooses or (not known and node.dtype == BOOL)):
            names.append(condition(need, kind, wide, along[need]))
        else:
            names.append(operand(need, kind, wide, along[need]))
    text = node.text.format(*names, T=several(kind, wide))
    result = inner(node.dtype)
    if wide and node.dtype == BOOL:
        return f"convert_int{WIDTH}({text})"
    if wide and result != kind:
        masked = f"({text}) & 1" if not known else text
        return f"convert_{result}{WIDTH}({masked})"
    return text


def load(node: Node, array: str, place: str, step: str, wide: bool) -> str:
    """Read numbers from an array; neighbours are `step` apart."""
    half = node.dtype == HALF
    if not wide or step == "0":
        one = f"vload_half({place}, {array})" if half else f"{array}[{place}]"
        one = f"({one} != 0)" if node.dtype == BOOL else one
        if not wide:
            return one
        return (
            f"(int{WIDTH})(-{one})"
            if node.dtype == BOOL
            else f"({several(inner(node.dtype), True)})({one})"
        )
    if step == "1":
        many = f"vload{'_half' if half else ''}{WIDTH}(0, {array} + {place})"
    else:
        places = [f"{place} + {k} * {step}" for k in range(WIDTH)]
        parts = [f"vload_half({p}, {array})" if half else f"{array}[{p}]" for p in places]
        kind = "float" if half else TYPES[node.dtype.name]
        many = f"({kind}{WIDTH})({', '.join(parts)})"
    return (
        f"convert_int{WIDTH}({many} != ({TYPES['bool']}{WIDTH})(0))" if node.dtype == BOOL else many
    )


def store(node: Node, array: str, place: str, step: str, wide: bool) -> str:
    """Write numbers into an array."""
    name, half = node.name, node.dtype == HALF
    if wide and step == "1":
        if half:
            return f"vstore_half{WIDTH}_rte({name}, 0, {array} + {place});"
        value = f"convert_uchar{WIDTH}({name} & 1)" if node.dtype == BOOL else name
        return f"vstore{WIDTH}({value}, 0, {array} + {place});"
    pairs = [(name, place)]
    if wide:
        pairs = [(f"{name}.s{k}", f"{place} + {k} * {step}") for k in range(WIDTH)]
    if half:
        return " ".join(f"vstore_half_rte({x}, {p}, {array});" for x, p in pairs)
    test = " != 0" if node.dtype == BOOL else ""
    return " ".join(f"{array}[{p}] = {x}{test};" for x, p in pairs)


class State:
    """The variables in which a reduction keeps what it has seen.

    Sums of floats are made of blocks: `part` is the sum of a block, `value` that of those before,
    and `lost` is what was lost to rounding where they were added.

    Parameters
    ----------
    node : Node
        The reduction.
    wide : bool
        Whether they are vectors.
    """

    def __init__(self, node: Node, wide: bool) -> None:
        self.node, self.how, self.wide = node, node.how, wide
        source = node.needs[0].dtype
        kind = inner(source)
        self.one = "int" if kind in ("char", "uchar", "short", "ushort") else kind
        self.kind, self.real = several(self.one, wide), source.kind == "f"
        names = [f"{node.name}{'w' if wide else ''}{letter}" for letter in "apeb"]
        self.value, self.place, self.lost, self.part = names
        self.exact = not (self.how == "sum" and self.real)
        self.places = several(truths(self.one) if wide else "long", wide)

    def first(self) -> str:
        """What it is before anything was seen."""
        start = {"sum": "0", "prod": "1", "any": "0", "all": "-1"}.get(self.how)
        if start is None:
            low = MORE[self.how] == ">"
            if self.real:
                start = "-INFINITY" if low else "INFINITY"
            else:
                info = np.iinfo(self.node.needs[0].dtype)
                suffix = "ul" if info.bits == 64 and not info.min else "l"
                start = f"{info.max}{suffix}"
                if low:
                    start = f"(-{info.max}{suffix} - 1)" if info.min else "0"
        lines = f"{self.kind} {self.value} = ({self.kind})(({self.one}){start});"
        if self.how.startswith("arg"):
            lines += f" {self.places} {self.place} = {NOWHERE};"
        if not self.exact:
            lines += f" {self.kind} {self.lost} = 0;"
        return lines

    def step(self) -> str:
        """One more element, or several, which have been calculated."""
        x, value = self.node.needs[0].name, self.value
        if inner(self.node.needs[0].dtype) != self.one and self.wide:
            x = f"convert_{self.kind}({x})"
        if self.how == "sum":
            return f"{value if self.exact else self.part} += {x};"
        if self.how == "prod":
            return f"{value} *= {x};"
        if self.how in ("any", "all"):
            truth = x if self.wide else f"-({x} != 0)"
            return f"{value} {'|' if self.how == 'any' else '&'}= {truth};"
        if self.how in ("max", "min"):
            return f"{value} = {self.wins(x, value)} ? {x} : {value};"
        place = self.node.needs[1].name
        test = f"{x} {MORE[self.how]} {value} || ({x} != {x} && {value} == {value})"
        if not self.real:
            test = f"{x} {MORE[self.how]} {value}"
        if not self.wide:
            return f"if ({test}) {{ {value} = {x}; {self.place} = {place}; }}"
        if self.node.needs[1].dtype == PLACE:
            place = f"convert_{self.places}({place})"
        return (
            f"{{ {self.places} c = {test}; {value} = c ? {x} : {value}; "
            f"{self.place} = c ? {place} : {self.place}; }}"
        )

    def wins(self, one: str, two: str) -> str:
        """Whether a number is more than another, or NaN."""
        test = f"{one} {MORE[self.how]} {two}"
        return f"({test} || {one} != {one})" if self.real else f"({test})"

    def variables(self) -> list[tuple[str, str]]:
        """The types and names of those that hold the result."""
        places = [(self.places, self.place)] if self.how.startswith("arg") else []
        return [(self.kind, self.value), *places]

    def open(self) -> str:
        """Start a block."""
        return "" if self.exact else f"{self.kind} {self.part} = 0;"

    def close(self) -> str:
        """Add a block's sum to the others, and what that loses to what was lost."""
        if self.exact:
            return ""
        a, e, b = self.value, self.lost, self.part
        return (
            f"{{ {self.kind} t = {a} + {b}, z = t - {a}; "
            f"{e} += ({a} - (t - z)) + ({b} - z); {a} = t; }}"
        )

    def done(self) -> str:
        """Bring several variables into one; of infinite sums nothing was lost."""
        a, e = self.value, self.lost
        return "" if self.exact else f"{a} = fabs({a}) < INFINITY ? {a} + {e} : {a};"

    def join(self, other: str, place: str) -> str:
        """What others have seen, too."""
        a, p = self.value, self.place
        if self.how.startswith("arg"):
            equal = f"o == {a} || (o != o && {a} != {a})"
            return (
                f"{{ {self.kind} o = {other}; long q = {place}; "
                f"if (o {MORE[self.how]} {a} || (o != o && {a} == {a}) || (({equal}) && q < {p})) "
                f"{{ {a} = o; {p} = q; }} }}"
            )
        result = {
            "sum": f"{a} + o", "prod": f"{a} * o", "any": f"{a} | o", "all": f"{a} & o",
        }.get(self.how) or f"{self.wins('o', a)} ? o : {a}"  # fmt: skip
        return f"{{ {self.kind} o = {other}; {a} = {result}; }}"

    def result(self) -> str:
        """The node of the reduction itself."""
        name, value = self.node.name, self.value
        if self.how.startswith("arg"):
            # Where all are as small as can be, none was more.
            return f"long {name} = {self.place} == {NOWHERE} ? 0 : {self.place};"
        test = " != 0" if self.how in ("any", "all") else ""
        return f"{inner(self.node.dtype)} {name} = {value}{test};"
