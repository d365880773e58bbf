"""What an operation is: a kernel, its gradient rules, and what follows from them.

An operation is defined once, in `devtensor.ops`::

    @op(elementwise=True, examples=[((2, 3), (3,))])
    def mul(xp, input, other, /):
        \"\"\"Multiply `input` by `other`.\"\"\"
        return xp.multiply(input, other)

    derivative(mul, input=lambda g, other: g * other, other=lambda g, input: g * input)

What stands before the slash are inputs, what stands behind it parameters. A rule asks by name for
what it needs, and so states what is saved.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from devtensor.dtype import of

Function = Callable[..., Any]
EMPTY = inspect.Parameter.empty


class Save(NamedTuple):
    """One thing that a plan saves: a value (``part == ""``), or only its shape or dtype."""

    name: str
    place: int
    """Number of the input, or ``~number`` of the output."""
    part: str = ""


class Op:
    """An operation; `op` makes it.

    Attributes
    ----------
    name, doc : str
    kernel : callable
        The forward: ``kernel(xp, *arrays, **params)``.
    inputs : tuple of str
        Names of what may be a tensor; `star` among them stands for any number.
    params : dict
        The other parameters and their defaults.
    outputs : tuple of str or list or None
        Names of several results; `list` if their number varies; None for one.
    rules : dict
        A gradient rule to an input's name, or one under ``"together"``.
    function : callable
        What users call.
    shown : str
        What messages call it: the public name of what an operator does.
    """

    def __init__(
        self,
        kernel: Function,
        *,
        examples: Sequence[Any] = (),
        elementwise: bool = False,
        promotes: str | None = "same",
        among: tuple[str, ...] | None = None,
        accepts: tuple[str, ...] | None = None,
        refusal: str | None = None,
        view: bool | str = False,
        outputs: Any = None,
        inplace: bool | None = None,
        writes: tuple[str, ...] = (),
        varargs: str | None = None,
        operator: str | None = None,
        node: str | None = None,
        public: bool = True,
        method: bool = True,
        home: str = "",
        aliases: tuple[str, ...] = (),
        oracle: Any = "same",
        complex_rules: bool = False,
    ) -> None:
        self.complex_rules = complex_rules
        self.kernel, self.name = kernel, kernel.__name__
        self.doc = inspect.getdoc(kernel) or ""
        self.examples, self.oracle = tuple(examples), oracle
        self.elementwise, self.promotes, self.among = elementwise, promotes, among
        self.accepts, self.refusal = accepts, refusal
        self.view, self.outputs, self.writes, self.varargs = view, outputs, writes, varargs
        self.inplace = elementwise if inplace is None else inplace
        self.operator, self.public, self.home, self.aliases = operator, public, home, aliases
        self.method = method and public
        self.shown = (
            {"truediv": "div"}.get(operator, operator) if operator and not public else self.name
        )
        self.node = node or "".join(w.capitalize() for w in self.name.split("_")) + "Backward0"
        self.star: int | None = None
        names: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.positional: list[str] = []
        listed = list(inspect.signature(kernel).parameters.values())[1:]
        for p in listed:
            if p.kind is p.POSITIONAL_ONLY:
                names.append(p.name)
                if p.default is not EMPTY:
                    self.defaults[p.name] = p.default
            elif p.kind is p.VAR_POSITIONAL:
                self.star = len(names)
                names.append(p.name)
            else:
                self.params[p.name] = p.default
                if p.kind is p.POSITIONAL_OR_KEYWORD or self.star is not None:
                    self.positional.append(p.name)
        self.inputs = tuple(names)
        self.written = tuple([self.inputs.index(name) for name in self.writes])
        self.rules: dict[str, Function] = {}
        self.rule_names: dict[str, tuple[str, ...]] = {}
        self.function: Function = kernel
        self.packed: Any = namedtuple(self.name, outputs) if isinstance(outputs, tuple) else list
        self.plans: dict[Any, Plan | None] = {}
        self.bound: dict[Any, Function] = {}

    def bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Sort a call's arguments into inputs (the star's as one sequence) and parameters.

        Raises
        ------
        TypeError
            If an argument is missing, unknown or given twice.
        """
        names = (*self.inputs, *self.positional)
        if self.varargs is not None and len(args) > len(self.inputs):
            first = args[len(self.inputs)]
            rest = args[len(self.inputs) :]
            if len(rest) > 1 or isinstance(first, int) or hasattr(first, "__index__"):
                args = (*args[: len(self.inputs)], rest)
        if len(args) > len(names):
            raise TypeError(
                f"{self.name}() takes {len(names)} positional arguments but {len(args)} were given"
            )
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.params and name not in self.inputs:
                name = ALIASES.get(name, name)
            if name == "input" and "input" not in self.inputs and self.inputs:
                name = self.inputs[0]
            if name in given:
                raise TypeError(f"{self.name}() got multiple values for argument '{name}'")
            if name not in self.inputs and name not in self.params:
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{name}'")
            given[name] = value
        inputs = []
        for name in self.inputs:
            if name in given:
                inputs.append(given.pop(name))
            elif name in self.defaults:
                inputs.append(self.defaults[name])
            else:
                self.missing(name)
        for name, default in self.params.items():
            if name not in given:
                if default is EMPTY:
                    self.missing(name)
                given[name] = default
        return inputs, given

    def missing(self, name: str) -> None:
        raise TypeError(f'{self.name}() missing 1 required positional arguments: "{name}"')

    def plan(self, wanted: tuple[bool, ...]) -> Plan | None:
        """The plan for the inputs whose gradients are wanted; None if none has a rule."""
        try:
            return self.plans[wanted]
        except KeyError:
            plan = self.plans[wanted] = Plan.make(self, wanted)
            return plan

    def __repr__(self) -> str:
        return f"<op {self.name}>"


ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other"}
"""Other names of parameters that PyTorch accepts, too."""


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
        The same for bare arrays and the links of a node: it opens what was saved and delivers
        the gradients; False if something must be looked at more closely.
    uses_params : bool
    holds : int
        How many values it saves, besides shapes and types.
    turned : Plan or None
        What `for_complex` has made.
    plain : bool
        Whether nothing that is saved is itself a group of tensors.
    link : callable or None
        ``link(edges..., inputs..., out)`` makes the links of a node.
    outs : bool
        Whether an output is saved.
    """

    __slots__ = (
        "back", "edges", "holds", "link", "op", "outs", "plain", "pull", "saves", "source",
        "turned", "uses_params", "wanted",
    )  # fmt: skip
    back: Function | None
    edges: int
    holds: int
    link: Function | None
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
    def make(cls, op: Op, wanted: tuple[bool, ...]) -> Plan | None:
        """Compile the rules of `op` into one function for the gradients that are wanted."""
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
            scope[f"rule_{key}"] = op.rules[key]
            return f"rule_{key}({', '.join(argument(n, number) for n in op.rule_names[key])})"

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
        self.plain = op.star is None
        self.holds = sum(not save.part for save in found)
        self.link = linker(op, wanted, found) if self.plain and op.outputs is not list else None
        self.back = backward(op, scope, calls_of, found, self.edges) if self.plain else None
        self.outs = any(save.place < 0 and not save.part for save in found)
        self.turned = None
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
            turned.back, turned.pull = None, conjugated(self.pull)
        return self.turned

    def links(self, names: Sequence[str]) -> str:
        """The text of a node's links from the names of edges, inputs and result."""
        return links_of(self.op, self.wanted, list(self.saves), names)

    def look(self, node: Any, name: str) -> Any:
        """What a node has saved under the name that PyTorch gives it."""
        from devtensor.autograd.saved import show

        names = [s.name for s in self.saves if not s.part]
        wanted = {"self": self.op.inputs[0] if self.op.inputs else "", "result": "out"}.get(
            name, name
        )
        if wanted not in names:
            if wanted in (*self.op.inputs, "out"):
                return None
            raise AttributeError(f"{self.op.node} saves no {name!r}; it saves {names}")
        return show(node, [s.name for s in self.saves].index(wanted))


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
        if save.place >= 0:
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
        lines.append(f" if len(links) != {len(taken)}: return False")
    lines.append(f" {', '.join(taken)}, = links")
    for k, save in enumerate(saves):
        if save.part:
            continue
        if save.place < 0:
            lines.append(f" if v{k}.__class__ is Packed: return False")
            continue
        lines.append(f" if v{k} is not None:" if op.inputs[save.place] in op.defaults else " if 1:")
        lines.append(f"  if v{k}.__class__ is Packed: return False")
        lines.append(f"  a = v{k}._alias")
        lines.append("  if a is not None and a.memory.stamp > clock: return False")
        lines.append(f"  v{k} = v{k}._array")
    first, each = calls
    if first:
        lines.append(f" r = {first}")
    lines += [f" deliver(e{i}, {one})" for i, one in enumerate(each)]
    lines.append(" return True")
    source = "\n".join(lines)
    for k in range(len(saves)):
        source = source.replace(f"s[{k}]", f"v{k}")
    space = {**scope, "Packed": packed[0]}
    exec(source, space)
    made: Function = space["back"]
    return made


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


class Entry(NamedTuple):
    """A line of the catalogue."""

    name: str
    function: Function
    op: Op | None
    home: str
    public: bool
    method: bool
    aliases: tuple[str, ...]
    examples: tuple[Any, ...]
    oracle: Any


catalogue: dict[str, Entry] = {}
"""Every operation and composite by name."""

forms: list[Callable[[Op], Function]] = []
"""Makes the function that users call; `devtensor.launch` puts it here."""


def op(**fields: Any) -> Callable[[Function], Any]:
    """Define an operation by its kernel; see the module's text and the contributing guide.

    Returns the function that users call; ``.op`` is the `Op`, ``.kernel`` the kernel.
    """

    def define(kernel: Function) -> Any:
        made = Op(kernel, **fields)
        function: Any = forms[0](made)
        function.__name__ = function.__qualname__ = made.name
        function.__module__ = kernel.__module__
        function.__doc__ = made.doc
        function.__signature__ = public_signature(kernel)
        function.op, function.kernel = made, kernel
        made.function = function
        if made.name in catalogue:
            raise TypeError(
                f"there is an operation {made.name!r} in {catalogue[made.name].function.__module__}"
            )
        catalogue[made.name] = Entry(
            made.name, function, made, made.home, made.public, made.method, made.aliases,
            made.examples, made.oracle,
        )  # fmt: skip
        return function

    return define


def public_signature(kernel: Function) -> inspect.Signature:
    """A kernel's signature without `xp` and without the slash."""
    parameters = list(inspect.signature(kernel).parameters.values())[1:]
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    shown = [
        p.replace(kind=p.POSITIONAL_OR_KEYWORD)
        if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) or (starred and p.kind is p.KEYWORD_ONLY)
        else p
        for p in parameters
    ]
    return inspect.Signature(shown)


def derivative(function: Any, **rules: Function) -> None:
    """Give an operation its gradient rules, one to each differentiable input.

    Raises
    ------
    TypeError
        If a rule is for no input, or asks for what does not exist.
    """
    target: Op = function.op
    for name, rule in rules.items():
        if name != "together" and name not in target.inputs:
            raise TypeError(f"{target.name!r} has no input {name!r}, only {target.inputs}")
        asked = tuple(inspect.signature(rule).parameters)
        for argument in asked:
            if argument not in ("xp", "g", "gs", "needs", "i", *target.params):
                saved(target, argument)
        target.rules[name] = rule
        target.rule_names[name] = asked
    target.plans.clear()


def composite(
    *,
    examples: Sequence[Any] = (),
    method: bool = False,
    home: str = "",
    aliases: tuple[str, ...] = (),
    oracle: Any = "same",
) -> Callable[[Function], Function]:
    """Put a function of other operations into the catalogue."""

    def define(function: Function) -> Function:
        function = with_aliases(function)
        catalogue[function.__name__] = Entry(
            function.__name__, function, None, home, True, method, aliases, tuple(examples), oracle
        )
        return function

    return define


def with_aliases(function: Function) -> Function:
    """Let a function be called with the other names of its parameters, too."""
    names = set(inspect.signature(function).parameters)
    others = {
        alias: name for alias, name in ALIASES.items() if name in names and alias not in names
    }
    if "axis" not in others and "keepdims" not in others:
        return function

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for alias in others.keys() & kwargs.keys() if kwargs else ():
            kwargs[others[alias]] = kwargs.pop(alias)
        return function(*args, **kwargs)

    return call


@lru_cache(None)
def in_place(function: Any) -> Function:
    """The form of an operation that writes its result into its first input."""
    made: Function = forms[1](function.op)
    return made
