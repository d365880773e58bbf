"""How the rules of an operation become one function, and what it needs is written down.

For each choice of inputs whose gradients are wanted, the rules are joined in a `Plan`: what is to
be saved, and the way back as compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from devtensor.dtype import of

if TYPE_CHECKING:
    from devtensor.op import Op

Function = Callable[..., Any]


class Save(NamedTuple):
    """One thing that a plan saves: a value (``part == ""``), or only its shape or dtype."""

    name: str
    place: int
    """Number of the input, or ``~number`` of the output."""
    part: str = ""


class Plan:
    """What a recorded launch saves, and how its gradients are computed.

    Attributes
    ----------
    wanted : tuple of bool
        For each input, whether its gradient is.
    saves : tuple of Save
    edges : int
        How many gradients are wanted.
    pull : callable
        ``pull(xp, g, saved, params)`` gives the wanted gradients as a tuple.
    back : callable or None
        The same for bare arrays and the links of a node: it opens what was saved, delivers the
        gradients, and returns the first; `LATER` if something must be looked at more closely.
    even : bool
        Whether each gradient has the shape of the result, or of the input that it is for.
    uses_params : bool
    less : dict
        What `narrowed` has made.
    form : callable or None
        What has made it of the operation's own plan for the same inputs.
    holds : int
        How many values it saves, besides shapes and types.
    turned : Plan or None
        What `for_complex` has made.
    plain : bool
        Whether nothing that is saved is itself a group of tensors.
    link : callable
        ``link(edges..., inputs..., out)`` makes the links of a node.
    outs : bool
        Whether an output is saved.
    """

    __slots__ = (
        "back", "edges", "even", "form", "holds", "less", "link", "op", "outs", "plain", "pull",
        "saves", "source", "turned", "uses_params", "wanted",
    )  # fmt: skip
    back: Function | None
    edges: int
    even: bool
    form: Function | None
    holds: int
    less: dict[tuple[bool, ...], tuple[Plan, list[int]]]
    link: Function
    op: Op
    outs: bool
    plain: bool
    pull: Function
    saves: tuple[Save, ...]
    source: str
    turned: Plan | None
    uses_params: bool
    wanted: tuple[bool, ...]

    @classmethod
    def make(cls, op: Op, wanted: tuple[bool, ...], changed: Function | None = None) -> Plan | None:
        """Compile the rules of `op` into one function for the gradients that are wanted.

        `changed` gives what is called in the place of a rule, and with what.
        """
        where = places(op, len(wanted))
        if "together" not in op.rules:
            wanted = tuple([want and where[i] in op.rules for i, want in enumerate(wanted)])
        if True not in wanted:
            return None
        self = cls()
        self.op, self.wanted = op, wanted
        self.edges = wanted.count(True)
        self.uses_params = False
        found: list[Save] = []
        scope: dict[str, Any] = {}

        def argument(name: str, number: int) -> str:
            if name in ("xp", "g"):
                return name
            if name == "gs":
                return "g"
            if name == "needs":
                scope["needs"] = wanted
                return "needs"
            if name == "i":
                assert op.star is not None
                return str(number - op.star)
            if name in op.params:
                self.uses_params = True
                return f"p[{name!r}]"
            save = saved(op, name)
            if save not in found:
                found.append(save)
            return f"s[{found.index(save)}]"

        def call(key: str, number: int) -> str:
            rule, names = op.rules[key], [argument(n, number) for n in op.rule_names[key]]
            if changed is not None:
                rule, names = changed(rule, names)
            scope[f"rule_{key}"] = rule
            return f"rule_{key}({', '.join(names)})"

        if "together" in op.rules:
            body = call("together", 0)
            calls_of = (body, [f"r[{i}]" for i, want in enumerate(wanted) if want])
            if not all(wanted):
                body = f"(lambda r: ({', '.join(calls_of[1])},))({body})"
        else:
            calls_of = ("", [call(where[i], i) for i, want in enumerate(wanted) if want])
            body = f"({', '.join(calls_of[1])},)"
        self.source = f"lambda xp, g, s, p: {body}"
        self.pull = eval(self.source, scope)
        self.saves = tuple(found)
        self.plain = all(save.part or save.place != op.star for save in found)
        self.holds = sum(not save.part for save in found)
        self.link = linker(op, wanted, found)
        self.back = backward(op, scope, calls_of, found, self.edges)
        self.even = op.elementwise
        self.outs = any(save.place < 0 and not save.part for save in found)
        self.form = self.turned = None
        self.less = {}
        return self

    def for_complex(self) -> Plan:
        """The plan for complex numbers, whose gradients are conjugates of derivatives.

        Rules are written as for real numbers. Where one multiplies by a derivative, complex
        gradients ask for its conjugate: the rule is given a conjugate, and what it gives is
        conjugated. Rules that save no values multiply by none.
        """
        if not self.holds or self.op.complex_rules:
            return self
        if self.turned is None:
            turned = Plan()
            self.turned = turned
            for name in Plan.__slots__:
                setattr(turned, name, getattr(self, name))
            turned.back, turned.pull, turned.less = None, conjugated(self.pull), {}
            turned.form = Plan.for_complex
        return self.turned

    def narrowed(self, asked: tuple[bool, ...]) -> tuple[Plan, list[int]]:
        """The plan for some of the gradients, and which of the saved values it takes.

        Parameters
        ----------
        asked : tuple of bool
            For each gradient that is wanted, whether it is.
        """
        found = self.less.get(asked)
        if found is None:
            given = iter(asked)
            plan = self.op.plan(tuple([want and next(given) for want in self.wanted]))
            assert plan is not None
            if self.form is not None:
                plan = self.form(plan)
            found = self.less[asked] = plan, [self.saves.index(save) for save in plan.saves]
        return found

    def links(self, names: Sequence[str]) -> str:
        """The text of a node's links from the names of edges, inputs and result."""
        return links_of(self.op, self.wanted, list(self.saves), names)


def conjugated(pull: Function) -> Function:
    """`pull`, which is linear, between two conjugations."""

    def call(xp: Any, g: Any, saved: Any, params: Any) -> tuple[Any, ...]:
        def conjugate(x: Any) -> Any:
            return xp.conj_physical(x) if x is not None and of(x.dtype).kind == "complex" else x

        g = list(map(conjugate, g)) if isinstance(g, list) else conjugate(g)
        return tuple(map(conjugate, pull(xp, g, saved, params)))

    return call


def links_of(op: Op, wanted: tuple[bool, ...], saves: list[Save], names: Sequence[str]) -> str:
    """The text of a node's links, made of the names of edges, inputs and result, in that order."""
    count = len(wanted)
    edges, inputs, out = names[:count], names[count : 2 * count], names[-1]
    parts = {"": "", "shape": "._array.shape", "dtype": "._array.dtype"}
    shown = [edge for edge, want in zip(edges, wanted, strict=True) if want]
    for save in saves:
        if save.place == op.star:
            group = [f"{name}{parts[save.part]}" for name in inputs[op.star :]]
            shown.append(f"({', '.join(group)},)")
        elif save.place >= 0:
            name = inputs[save.place]
            one = f"{name}{parts[save.part]}"
            optional = save.part and op.inputs[save.place] in op.defaults
            shown.append(f"(None if {name} is None else {one})" if optional else one)
        else:
            one = out if op.outputs is None else f"{out}[{~save.place}]"
            shown.append(f"{one}.{save.part}" if save.part else one)
    return f"({', '.join(shown)},)"


def linker(op: Op, wanted: tuple[bool, ...], saves: list[Save]) -> Function:
    """Compile the making of a node's links from edges, tensors and what resulted."""
    count = range(len(wanted))
    names = [*(f"e{i}" for i in count), *(f"x{i}" for i in count), "out"]
    made: Function = eval(f"lambda {', '.join(names)}: {links_of(op, wanted, saves, names)}")
    return made


def backward(
    op: Op, scope: dict[str, Any], calls: tuple[str, list[str]], saves: list[Save], edges: int
) -> Function:
    """Compile a plan's common way back; see `Plan`."""
    taken = [*(f"e{i}" for i in range(edges)), *(f"v{k}" for k in range(len(saves)))]
    lines = ["def back(xp, g, links, clock, p, deliver):"]
    if saves:
        lines.append(f" if len(links) != {len(taken)}: return LATER")
    lines.append(f" {', '.join(taken)}, = links")
    for k, save in enumerate(saves):
        if save.part:
            continue
        if save.place < 0:
            lines.append(f" if v{k}.__class__ is Packed: return LATER")
            continue
        if save.place == op.star:
            lines.append(f" for x in v{k}:")
            lines.append("  if x.__class__ is Packed: return LATER")
            lines.append("  a = x._alias")
            lines.append("  if a is not None and a.memory.stamp > clock: return LATER")
            lines.append(f" v{k} = tuple([x._array for x in v{k}])")
            continue
        lines.append(f" if v{k} is not None:" if op.inputs[save.place] in op.defaults else " if 1:")
        lines.append(f"  if v{k}.__class__ is Packed: return LATER")
        lines.append(f"  a = v{k}._alias")
        lines.append("  if a is not None and a.memory.stamp > clock: return LATER")
        lines.append(f"  v{k} = v{k}._array")
    first, each = calls
    if first:
        lines.append(f" r = {first}")
    lines += [f" deliver(e{i}, {one})" for i, one in enumerate(each) if i]
    lines.append(f" return {each[0]}")
    source = "\n".join(lines)
    for k in range(len(saves)):
        source = source.replace(f"s[{k}]", f"v{k}")
    space = {**scope, "LATER": LATER, "Packed": packed[0]}
    exec(source, space)
    made: Function = space["back"]
    return made


LATER: Any = object()
"""What `Plan.back` returns when it has done nothing."""

packed: list[type] = []
"""The class of what hooks have put away; `devtensor.autograd.saved` puts it here."""


def places(op: Op, number: int) -> list[str]:
    """The name of each input, the star's repeated to make `number`."""
    if op.star is None:
        return list(op.inputs)
    extra = number - len(op.inputs) + 1
    names = list(op.inputs)
    names[op.star : op.star + 1] = [op.inputs[op.star]] * extra
    return names


def saved(op: Op, name: str) -> Save:
    """What a rule's parameter called `name` stands for."""
    for part, endings in (("", ("",)), ("shape", ("_shape", "_shapes")), ("dtype", ("_dtype",))):
        for ending in endings:
            base = name[: len(name) - len(ending)] if ending else name
            if not name.endswith(ending):
                continue
            if base in op.inputs:
                return Save(base, op.inputs.index(base), part)
            if base == "out" and op.outputs is None:
                return Save(base, ~0, part)
            if isinstance(op.outputs, tuple) and base in op.outputs:
                return Save(base, ~op.outputs.index(base), part)
    raise TypeError(
        f"a rule of {op.name!r} asks for {name!r}, which is neither an input {op.inputs}, an "
        f"output, a parameter {tuple(op.params)}, nor one of xp, g, gs, needs, i"
    )
