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
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from devtensor.autograd.mode import tell
from devtensor.dtype import PYTHON, dtype
from devtensor.plan import Plan, saved
from devtensor.return_types import returned
from devtensor.route import hand_over, routed

Function = Callable[..., Any]
EMPTY = inspect.Parameter.empty


class Op:
    """An operation; `op` makes it of a kernel and the fields that `docs/adding-an-op.rst` explains.

    Attributes
    ----------
    name, doc : str
    kernel : callable
        The forward: ``kernel(xp, *arrays, **params)``.
    inputs : tuple of str
        Names of what may be a tensor; `star` among them stands for any number.
    others : dict
        Other names under which inputs and parameters may be given.
    params : dict
        The other parameters and their defaults.
    outputs : tuple of str or list or None
        Names of several results; `list` if their number varies; None for one.
    rules : dict
        A gradient rule to an input's name, or one under ``"together"``.
    factor : str
        The parameter that older programs give behind the first input, if there is one.
    halves : dict
        What `devtensor.halves` has made of it: kernels by device, and plans by what they want.
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
        refuses: Function | None = None,
        numbers: tuple[str, ...] | None = None,
        exact_out: bool | Callable[..., bool] = False,
        apart: bool = False,
        ordered: bool = False,
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
        rounds: str | None = "default",
        keeps: bool = False,
        rounded: str = "",
    ) -> None:
        self.complex_rules = complex_rules
        if rounds == "default":
            formula = elementwise and promotes is not None and among is None
            rounds = "once" if formula else None
        self.rounds, self.keeps, self.rounded = rounds, keeps, rounded
        self.kernel, self.name = kernel, kernel.__name__
        self.doc = inspect.getdoc(kernel) or ""
        self.examples, self.oracle = tuple(examples), oracle
        self.elementwise, self.promotes, self.among = elementwise, promotes, among
        self.accepts, self.refusal, self.refuses = accepts, refusal, refuses
        self.exact_out, self.apart, self.ordered = exact_out, apart, ordered
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
        alone = len(names) == 1 and self.star is None
        self.numbers = () if numbers is None and alone else numbers
        self.others = other_names((*self.inputs, *self.params))
        if self.inputs:  # the first is the input, whatever it is called
            unused = {"input", *other_names(["input"])} - {*self.inputs, *self.params}
            self.others.update(dict.fromkeys(sorted(unused), self.inputs[0]))
        factors = [n for n in ("alpha", "value") if n in self.params and n not in self.positional]
        self.factor = factors[0] if factors and elementwise and len(self.inputs) > 1 else ""
        self.written = tuple([self.inputs.index(name) for name in self.writes])
        self.rules: dict[str, Function] = {}
        self.rule_names: dict[str, tuple[str, ...]] = {}
        self.function: Function = kernel
        self.packed: Any = returned(self.name, outputs) if isinstance(outputs, tuple) else list
        self.plans: dict[Any, Plan | None] = {}
        self.bound: dict[Any, Function] = {}
        self.halves: dict[Any, Any] = {}

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
        if self.factor and len(args) == len(self.inputs) + 1 and isinstance(args[1], (int, float)):
            tell(
                f"This overload of {self.name} is deprecated: {self.factor} behind the first "
                f"argument. Give it by name, as {self.name}(..., {self.factor}={args[1]})",
                UserWarning,
            )
            args, kwargs = (args[0], *args[2:]), {self.factor: args[1], **kwargs}
        if len(args) > len(names):
            raise TypeError(
                f"{self.name}() takes {len(names)} positional arguments but {len(args)} were given"
            )
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            name = self.others.get(name, name)
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


ALIASES = {
    "axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other",
    "indices": "indices_or_sections", "sections": "indices_or_sections",
    "split_size": "split_size_or_sections", "tensor_indices_or_sections": "indices_or_sections",
    "element": "elements", "test_element": "test_elements", "axis0": "dim0", "axis1": "dim1",
}  # fmt: skip
"""Other names of parameters that PyTorch accepts, too."""


def other_names(names: Sequence[str]) -> dict[str, str]:
    """The other names under which arguments called `names` may be given."""
    return {alias: name for alias, name in ALIASES.items() if name in names and alias not in names}


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
    """Define an operation by its kernel; see the module's text, and `Op` for the fields.

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


def is_flag(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is True or False."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return isinstance(parameter.default, bool) and parameter.kind in kinds


def with_aliases(function: Function) -> Function:
    """Let a function be called with the other names of its parameters, too."""
    listed = inspect.signature(function).parameters
    others = other_names(list(listed))
    stars = [name for name, p in listed.items() if p.kind is p.VAR_POSITIONAL]
    shape = next((name for name in stars if name in ("dims", "size")), None)
    flags = [(place, name) for place, (name, p) in enumerate(listed.items()) if is_flag(p)]
    first = flags[0][0] if flags else len(listed)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for alias in others.keys() & kwargs.keys():
                kwargs[others[alias]] = kwargs.pop(alias)
            if args and shape in kwargs:  # which may be given by name, as one sequence
                args = (*args, kwargs.pop(shape))
            kind = kwargs.get("dtype")
            if kind is not None and kind.__class__ is not dtype:
                if kind.__class__ is not type:
                    refuse_wrong(args, kwargs)
                kwargs["dtype"] = PYTHON.get(kind, kind)
        if routed((*args, *kwargs.values()) if kwargs else args):
            if stars == ["args"] and args[-1].__class__ in (list, tuple):
                args = (*args[:-1], *args[-1])  # operands in one sequence are told one by one
            return hand_over(call, args, kwargs)
        if flags and (kwargs or len(args) > first):
            for place, name in flags:
                value = args[place] if place < len(args) else kwargs.get(name, False)
                if value is not True and value is not False:
                    refuse_wrong(args, kwargs)
                    break
        try:
            return function(*args, **kwargs)
        except Exception as failed:  # what an argument is comes before what is wrong with it
            if not (isinstance(failed, TypeError) and str(failed).startswith(function.__name__)):
                sure = not isinstance(failed, (AttributeError, KeyError, TypeError, ValueError))
                refuse_wrong(args, kwargs, isinstance(failed, AttributeError), sure)
            raise

    def refuse_wrong(args: Any, kwargs: Any, tensors: bool = False, sure: bool = False) -> None:
        from devtensor.expected import wrong  # stands above this file

        if error := wrong(function, args, kwargs, tensors, sure):
            raise error from None

    return call


@lru_cache(None)
def in_place(function: Any) -> Function:
    """The form of an operation that writes its result into its first input."""
    made: Function = forms[1](function.op)
    return made
