"""The type stubs, made of the catalogue and of what other files put on `Tensor`.

Types come from annotations, else from docstrings, else from what an operation's definition says:
its inputs are tensors, and where they are promoted numbers, too. What a function of other
operations returns is found by running its examples. What cannot be told is `Any`.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import devtensor as dt
from devtensor import later
from devtensor.example import Sample
from devtensor.op import Entry, catalogue
from devtensor.tensor import Tensor

HOMES = {
    "": "devtensor", "nn": "devtensor.nn.functional", "linalg": "devtensor.linalg",
    "special": "devtensor.special", "fft": "devtensor.fft",
}  # fmt: skip
"""Where public names live, by an entry's home."""
MODULES = ("nn.functional", "linalg", "special", "fft")
"""Modules that only gather names, and have stubs of their own."""

HEAD = "# Written by `python -m devtensor.ops --write`; do not edit.\n"
TYPES = """\
from builtins import (
    bool as _bool,
    complex as _complex,
    float as _float,
    int as _int,
    object as _object,
    str as _str,
    tuple as _tuple,
)
from collections.abc import Callable as _Callable, Iterator as _Iterator, Sequence as _Sequence
from typing import Any as _Any, Literal as _Literal, NamedTuple as _NamedTuple
from typing import Self as _Self, overload as _overload

from devtensor.device import device as _device
from devtensor.dtype import dtype as _dtype
from devtensor.random import Generator as _Generator
from devtensor.size import Size as _Size
from devtensor.tensor import Tensor as _Tensor
"""
ALIASES = """
_Number = _bool | _int | _float | _complex
_Dims = _int | _Sequence[_int]
_Place = _device | _str | _int | None
"""

WORDS = {
    "Any": "_Any",
    "Callable": "_Callable",
    "Device": "_device",
    "Dims": "_Dims",
    "Dtype": "_dtype",
    "Generator": "_Generator",
    "None": "None",
    "Sequence": "_Sequence",
    "Size": "_Size",
    "Tensor": "_Tensor",
    "bool": "_bool",
    "complex": "_complex",
    "dtype": "_dtype",
    "dtypes": "",
    "float": "_float",
    "int": "_int",
    "str": "_str",
    "tuple": "_tuple",
}
"""Names in annotations as the stubs have them."""

DOCUMENTED = {
    "Tensor": "_Tensor",
    "Tensor of bool": "_Tensor",
    "Tensor of int64": "_Tensor",
    "Tensor of int64 or int32": "_Tensor",
    "Tensor or None": "_Tensor | None",
    "Tensor or number": "_Tensor | _Number",
    "Tensor or float": "_Tensor | _float",
    "float or Tensor": "_Tensor | _float",
    "number or 0-d Tensor": "_Tensor | _Number",
    "int or Tensor": "_int | _Tensor",
    "number": "_Number",
    "bool": "_bool",
    "int": "_int",
    "float": "_float",
    "str": "_str",
    "dtype": "_dtype",
    "Generator": "_Generator",
    "sequence of int": "_Sequence[_int]",
    "sequence of Tensor": "_Sequence[_Tensor]",
    "int or tuple of int": "_Dims",
    "int or sequence of int": "_Dims",
}
"""Types as docstrings put them."""

TAKEN = {(f"conv{n}d", "padding"): "_Dims | _str" for n in (1, 2, 3)}
"""Types of parameters of which neither annotations nor docstrings say all, by operation."""

NUMBERS_FIRST = ("float_power",)
"""Composites whose `input` may be a number."""

NAMED = {
    "dtype": "_dtype | None",
    "generator": "_Generator | None",
    "keepdim": "_bool",
    "device": "_Place",
    "requires_grad": "_bool",
}
"""Types of parameters that mean the same everywhere."""

OVERLOADS: dict[str, tuple[tuple[str, str], ...]] = {
    **{
        name: (
            ("input: _Tensor", "_Tensor"),
            ("input: _Tensor, dim: _int, keepdim: _bool = False", "ValuesIndices"),
            *([("input: _Tensor, other: _Tensor", "_Tensor")] if name in ("max", "min") else []),
        )
        for name in ("max", "min", "median", "nanmedian")
    },
    "where": (
        ("condition: _Tensor", "_tuple[_Tensor, ...]"),
        (
            "condition: _Tensor, input: _Tensor | _Number, other: _Tensor | _Number",
            "_Tensor",
        ),
    ),
}
"""Functions whose result's type depends on their arguments."""

FLAGS = {
    "return_indices": "_tuple[_Tensor, _Tensor]",
    "return_inverse": "_tuple[_Tensor, ...]",
    "as_tuple": "_tuple[_Tensor, ...]",
}
"""What is returned where a flag is set, and not a tensor."""

MEMBERS = {
    "size": (("self", "_Size"), ("self, dim: _int", "_int")),
    "stride": (("self", "_tuple[_int, ...]"), ("self, dim: _int", "_int")),
    "type": (
        ("self, dtype: None = None, non_blocking: _bool = False", "_str"),
        ("self, dtype: _dtype | _str, non_blocking: _bool = False", "_Tensor"),
    ),
    "to": (
        (
            "self, dtype: _dtype, non_blocking: _bool = False, copy: _bool = False, *, "
            "memory_format: _Any = None",
            "_Tensor",
        ),
        (
            "self, device: _Place = None, dtype: _dtype | None = None, "
            "non_blocking: _bool = False, copy: _bool = False, *, memory_format: _Any = None",
            "_Tensor",
        ),
        (
            "self, other: _Tensor, non_blocking: _bool = False, copy: _bool = False, *, "
            "memory_format: _Any = None",
            "_Tensor",
        ),
    ),
    "where": (("self, condition: _Tensor, other: _Tensor | _Number", "_Tensor"),),
    "__getitem__": (("self, key: _Any", "_Tensor"),),
    "__setitem__": (("self, key: _Any, value: _Tensor | _Number", "None"),),
    "__iter__": (("self", "_Iterator[_Tensor]"),),
    "__contains__": (("self, element: _object", "_bool"),),
    "__reduce_ex__": (("self, protocol: _Any", "_Any"),),
    "__repr__": (("self", "_str"),),
    "_make_subclass": (("cls: _Any, data: _Any, require_grad: _bool = False", "_Any"),),
}
"""Methods that other files put on `Tensor` and whose annotations say too little."""

PLAIN = (
    "antialias", "destination", "dilation", "dim", "dims", "indices_or_sections", "kernel_size",
    "lambd", "normalized_shape", "output_padding", "output_ratio", "output_size", "pad", "padding",
    "repeats", "s", "scale_factor", "shape", "shapes", "size", "sizes", "source",
    "split_size_or_sections", "stride",
)  # fmt: skip
"""Parameters of composites for which a tuple of numbers in an example is no shape of a tensor."""

Signatures = Iterable[tuple[str, str]]


def defaults(value: Any) -> str:
    """A default in a stub: itself if it is short and plain."""
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        return repr(value)
    return "..."


class Makers:
    """Makes the stubs; keeps the named results that were met on the way."""

    def __init__(self) -> None:
        self.results: dict[str, tuple[str, ...]] = {}
        self.entries: dict[int, Entry] = {id(e.function): e for e in catalogue.values()}

    # ---- what an operation returns

    def named(self, fields: tuple[str, ...]) -> str:
        """The name of the type of a result with named parts."""
        name = "".join(word.capitalize() for field in fields for word in field.split("_"))
        self.results[name] = fields
        return name

    def returned(self, entry: Entry) -> str:
        """The type of an operation's result."""
        op = entry.op
        if op is not None:
            if isinstance(op.outputs, tuple):
                return self.named(op.outputs)
            return "_Tensor" if op.outputs is None else "_tuple[_Tensor, ...]"
        annotated = translate(inspect.signature(entry.function).return_annotation)
        if annotated is not None and "_Any" not in annotated:
            return annotated
        found = {self.told(result) for result in results(entry)}
        return found.pop() if len(found) == 1 else "_Any"

    def told(self, result: Any) -> str:
        """The type of a result that was computed."""
        if isinstance(result, Tensor):
            return "_Tensor"
        if hasattr(result, "_fields"):
            return self.named(result._fields)
        if isinstance(result, (tuple, list)) and all(isinstance(x, Tensor) for x in result):
            if isinstance(result, list):
                return "list[_Tensor]"
            return "_tuple[_Tensor, ...]"
        kind = WORDS.get(type(result).__name__)
        return kind if kind and type(result) in (bool, int, float, str) else "_Any"

    # ---- what it takes

    def taken(self, entry: Entry, p: inspect.Parameter) -> str:
        """The type of a parameter."""
        op = entry.op
        optional = " | None" if p.default is None else ""
        told = documented(entry, p.name)
        if op is not None and p.name in op.inputs:
            place = op.inputs.index(p.name)
            if op.star == place:
                return "_Sequence[_Tensor]"
            several = len(op.inputs) > 1
            numbers = several and (op.elementwise or (op.promotes is not None and place > 0))
            if numbers or "_Number" in (told or ""):
                return f"_Tensor | _Number{optional}"
            return f"_Tensor{optional}"
        if (entry.name, p.name) in TAKEN:
            return TAKEN[entry.name, p.name]
        if p.name == "place" or p.kind is p.VAR_KEYWORD:
            return "_Any"
        annotated = translate(p.annotation)
        if annotated is not None and annotated != "_Any":
            return annotated
        if p.name in NAMED:
            return NAMED[p.name]
        if told is not None:
            return told if not optional or "None" in told else told + optional
        if p.default is True or p.default is False:
            return "_bool"
        first = next(iter(inspect.signature(entry.function).parameters))
        if p.name == first == "input" and entry.name not in NUMBERS_FIRST:
            return "_Tensor"
        return "_Any"

    def signatures(self, entry: Entry, form: str = "") -> Iterator[tuple[str, str]]:
        """An operation's signatures.

        Parameters
        ----------
        entry : Entry
        form : {"", "method", "write"}
            Of the function, of the method, or of the method or function in place.
        """
        if entry.name in OVERLOADS and not form.startswith("write"):
            for text, result in OVERLOADS[entry.name]:
                if result == "ValuesIndices":
                    self.named(("values", "indices"))
                yield text.replace("input: _Tensor", "self") if form == "method" else text, result
            return
        parameters = list(inspect.signature(entry.function).parameters.values())
        returned = self.returned(entry)
        flag = next((p for p in parameters if p.name in FLAGS and entry.op is None), None)
        if flag is not None and flag.default is False:
            yield from self.flagged(entry, parameters, flag, form)
            return
        shown = [(p, self.taken(entry, p)) for p in parameters]
        if form and shown:
            shown = shown[1:] if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL else []
        yield self.line(entry, shown, form), self.result(returned, form)
        op = entry.op
        if op is not None and op.varargs is not None:
            spread = []
            for p, kind in shown:
                if p.name == op.varargs:
                    spread.append((p.replace(kind=p.VAR_POSITIONAL, default=p.empty), "_int"))
                elif p.name in op.params:
                    spread.append((p.replace(kind=p.KEYWORD_ONLY), kind))
                else:
                    spread.append((p, kind))
            yield self.line(entry, spread, form), self.result(returned, form)

    def flagged(
        self, entry: Entry, parameters: list[inspect.Parameter], flag: inspect.Parameter, form: str
    ) -> Iterator[tuple[str, str]]:
        """The signatures of a function that returns something else if a flag is set."""
        for value, result in (("False", "_Tensor"), ("True", FLAGS[flag.name]), ("", "_Any")):
            shown = []
            named = False
            for p in parameters[1:] if form else parameters:
                kind, there = self.taken(entry, p), p
                if value == "False" and (p is flag or p.name.startswith("return_")):
                    kind = "_Literal[False]"
                elif value == "True" and p is flag:
                    kind = "_Literal[True]"
                    named, there = True, p.replace(default=p.empty)
                if named and there.kind is p.POSITIONAL_OR_KEYWORD:
                    there = there.replace(kind=p.KEYWORD_ONLY)
                shown.append((there, kind))
            yield self.line(entry, shown, form), result

    def result(self, returned: str, form: str) -> str:
        return "_Self" if form == "write method" else "_Tensor" if form == "write" else returned

    def line(self, entry: Entry, shown: list[tuple[inspect.Parameter, str]], form: str) -> str:
        """The text between the parentheses."""
        parts = []
        if form == "write":
            parts.append("input: _Tensor")
        elif form:
            parts.append("self")
        keyword = False
        for p, kind in shown:
            if p.kind is p.VAR_POSITIONAL:
                keyword = True
            elif p.kind is p.KEYWORD_ONLY and not keyword:
                parts.append("*")
                keyword = True
            parts.append(parameter(p, kind))
        op = entry.op
        if op is not None and not form and op.view is False and "out" not in op.params:
            out = "_Tensor" if op.outputs is None else "_Sequence[_Tensor]"
            parts += [*([] if keyword else ["*"]), f"out: {out} | None = None"]
        return ", ".join(parts)

    # ---- the stubs

    def define(self, name: str, value: Any, module: Any) -> Iterator[str]:
        """The lines for a public name of a module: a class or a function."""
        entry = self.entries.get(id(value))
        if entry is not None:
            yield from functions(name, list(self.signatures(entry)))
            return
        if inspect.isclass(value) or inspect.isfunction(value):
            source = import_module(value.__module__)
            found: Any = getattr(source, value.__name__, None)
            if found is value:
                if source is module:
                    yield from functions(name, [plain(value)])
                else:
                    yield from imported(value.__module__, value.__name__, name)
                return
        written = catalogue.get(name.removesuffix("_"))
        if name.endswith("_") and written is not None:
            yield from functions(name, list(self.signatures(written, "write")))
            return
        if module is import_module("devtensor.nn.functional"):  # a form with `inplace`
            last = "inplace: _bool = False"
            own = getattr(import_module("devtensor.nn._functional_forms"), name, None)
            base = [plain(own)] if own is not None else list(self.signatures(catalogue[name]))
            for shown, returned in base:
                before, star, after = shown.partition(", *")
                line = f"{before}, {last}{star}{after}"
                yield f"def {name}({line}) -> {returned}: ..."

    def package(self) -> str:
        """The stub of `devtensor`: its imports, and the catalogue's functions."""
        source = Path(dt.__file__).read_text(encoding="utf-8")
        bound: set[str] = set()
        lines: list[str] = []
        for node in ast.parse(source).body:
            if isinstance(node, ast.ImportFrom) and node.module not in ("__future__", "typing"):
                names = [a for a in node.names if not (a.asname or a.name).startswith("_")]
                if names and names[0].name == "*":
                    lines.append(f"from {node.module} import *")
                    bound |= set(import_module(str(node.module)).__all__)
                    continue
                for a in names:
                    bound.add(a.asname or a.name)
                    lines += imported(str(node.module), a.name, a.asname or a.name)
            elif isinstance(node, ast.Assign):
                for target in ast.walk(node.targets[0]):
                    if isinstance(target, ast.Name) and target.id != "__all__":
                        bound.add(target.id)
                        value = getattr(dt, target.id)
                        kind = WORDS.get(type(value).__name__, "None")
                        lines.append(f"{target.id}: {kind}")
        for name in sorted(vars(dt)):
            if name not in bound and not name.startswith("_"):
                value = getattr(dt, name)
                if inspect.isfunction(value):
                    lines += self.define(name, value, dt)
        shown = [name for name in later.MODULES if not name.startswith("_")]
        lines += [f"from devtensor import {name} as {name}" for name in sorted(shown)]
        homes = [(f"devtensor.{module}", name) for name, module in sorted(later.HOME.items())]
        lines += [x for home, name in homes if name[0] != "_" for x in imported(home, name, name)]
        lines += [f"{name} = _Tensor.{name}" for name in sorted(later.METHODS)]
        return self.file(lines)

    def module(self, name: str) -> str:
        """The stub of a module that gathers names."""
        module = import_module(f"devtensor.{name}")
        lines: list[str] = []
        names = getattr(module, "__all__", None) or [
            n for n, value in vars(module).items()
            if not n.startswith("_") and id(value) in self.entries
        ]  # fmt: skip
        for one in sorted(names):
            lines += self.define(one, getattr(module, one), module)
        return self.file(lines)

    def members(self) -> str:
        """The stub of what is put on `Tensor`, as the class `Members` that it has as a base."""
        tree = ast.parse(Path(inspect.getsourcefile(Tensor) or "").read_text(encoding="utf-8"))
        here = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor")
        own = {n.name for n in here.body if isinstance(n, ast.FunctionDef)}
        properties: list[str] = []
        lines: list[str] = []
        for name, member in sorted(vars(Tensor).items()):
            if name in own or (name.startswith("_") and name in SILENT):
                continue
            if isinstance(member, property):
                properties += self.property_of(name, member)
            else:
                lines += self.member(name, member)
        body = "".join(f"    {line}\n" for line in (*properties, *lines))
        classes = "".join(
            f"\nclass {name}(_NamedTuple):\n" + "".join(f"    {f}: _Tensor\n" for f in fields)
            for name, fields in sorted(self.results.items())
        )
        return f"{HEAD}{TYPES}{ALIASES}{classes}\nclass Members:\n{body}"

    def property_of(self, name: str, member: Any) -> Iterator[str]:
        """The lines of a property."""
        entry = self.entries.get(id(member.fget))
        annotated = translate(inspect.signature(member.fget).return_annotation)
        kind = self.returned(entry) if entry is not None else annotated or "_Any"
        yield "@property"
        yield f"def {name}(self) -> {kind}: ..."
        if member.fset is not None:
            taken = list(inspect.signature(member.fset).parameters.values())[1]
            taken_kind = translate(taken.annotation) or "_Any"
            if taken_kind == "_Any":
                taken_kind = kind
            yield f"@{name}.setter"
            yield f"def {name}(self, value: {taken_kind}) -> None: ..."

    def member(self, name: str, member: Any) -> Iterator[str]:
        """The lines of a method or a constant."""
        static = isinstance(member, staticmethod)
        if name in MEMBERS:
            yield from functions(name, MEMBERS[name], "@staticmethod" if static else "")
            return
        entry = self.entries.get(id(member))
        if entry is not None:
            form = "write method" if name.endswith("_") else "method"
            yield from functions(name, list(self.signatures(entry, form)))
        elif name.startswith("__") and name.endswith("__") and name[2:-2] in OPERATORS:
            yield operator(name)
        elif name.endswith("_") and not name.startswith("_") and self.base(name) is not None:
            base = self.base(name)
            assert base is not None
            yield from functions(name, list(self.signatures(base, "write method")))
        elif inspect.isfunction(member):
            yield from functions(name, [plain(member)])
        elif member is None or isinstance(member, (bool, int, str)):
            yield f"{name}: {WORDS[type(member).__name__] if member is not None else 'None'}"

    def base(self, name: str) -> Entry | None:
        """The entry whose form in place this is."""
        if getattr(Tensor, name).__module__ not in ("devtensor.fast", "devtensor.methods"):
            return None
        plain_name = name.removesuffix("_")
        for entry in catalogue.values():
            if plain_name in (entry.name, *entry.aliases):
                return entry
        return None

    def file(self, lines: list[str]) -> str:
        """A stub of functions, with what they need."""
        text = "\n".join(lines) + "\n"
        used = sorted(name for name in self.results if re.search(rf"\b{name}\b", text))
        head = f"from devtensor._members import {', '.join(f'{n} as {n}' for n in used)}\n"
        return f"{HEAD}{TYPES}{head if used else ''}{ALIASES}\n{text}"


SILENT = (
    "__annotations__", "__dict__", "__doc__", "__init_subclass__", "__module__", "__new__",
    "__slots__", "__weakref__", "_alias", "_array", "_device", "_node", "_rest",
    "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
    "lshift", "rshift", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip
OPERATORS = {
    **{f"{mark}{name}": 2 for name in BINARY for mark in ("", "r", "i")},
    **{name: 1 for name in ("neg", "pos", "abs", "invert")},
}


def operator(name: str) -> str:
    """The line of an operator."""
    if OPERATORS[name[2:-2]] == 1:
        return f"def {name}(self) -> _Tensor: ..."
    other = "_Tensor" if "matmul" in name else "_Tensor | _Number"
    note = ""
    if name in ("__eq__", "__ne__"):
        other, note = "_Any", "  # type: ignore[override]  # elementwise, as PyTorch's"
    in_place = name[2] == "i" and name != "__invert__" and name[3:-2] in BINARY
    return f"def {name}(self, other: {other}) -> {'_Self' if in_place else '_Tensor'}: ...{note}"


def translate(annotation: Any) -> str | None:
    """An annotation with the stubs' names; None if it is none, or has other names."""
    if annotation is inspect.Signature.empty:
        return None
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "?")
    text = text.replace("dtypes.", "")
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    if not words <= set(WORDS):
        return "_Any"
    return re.sub(r"[A-Za-z_]\w*", lambda m: WORDS[m[0]], text)


def documented(entry: Entry, name: str) -> str | None:
    """A parameter's type as the docstring tells it."""
    doc = inspect.getdoc(entry.function) or ""
    found = re.search(rf"^(?:\*?\w+, )*\*?{name}(?:, \*?\w+)* : (.*)$", doc, re.MULTILINE)
    if found is None:
        return None
    told = found[1].removesuffix(", optional")
    if re.fullmatch(r'\{("[^"]*"(, )?)+\}', told):
        return "_str"
    return DOCUMENTED.get(told[0].lower() + told[1:] if told.startswith("N") else told)


def parameter(p: inspect.Parameter, kind: str) -> str:
    """A parameter in a stub."""
    mark = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
    default = "" if p.default is p.empty else f" = {defaults(p.default)}"
    return f"{mark}{p.name}: {kind}{default}"


def plain(function: Callable[..., Any]) -> tuple[str, str]:
    """The signature of a function that is no operation, by its annotations."""
    found = inspect.signature(function)
    parts = []
    keyword = False
    for number, p in enumerate(found.parameters.values()):
        if p.kind is p.VAR_POSITIONAL:
            keyword = True
        elif p.kind is p.KEYWORD_ONLY and not keyword:
            parts.append("*")
            keyword = True
        if number == 0 and p.name == "self":
            parts.append("self")
        else:
            parts.append(parameter(p, translate(p.annotation) or "_Any"))
    return ", ".join(parts), translate(found.return_annotation) or "_Any"


def imported(module: str, name: str, shown: str) -> Iterator[str]:
    """The lines that give a module a name of another one; only an unchanged one is public."""
    if name == shown:
        yield f"from {module} import {name} as {name}"
        return
    value = getattr(import_module(module), name)
    yield f"from {module} import {name} as _{shown}_"
    kind = WORDS.get(type(value).__name__)
    yield f"{shown}: {kind}" if kind else f"{shown} = _{shown}_"


def functions(name: str, signatures: Signatures, mark: str = "") -> Iterator[str]:
    """The lines of a function, overloaded if it has several signatures."""
    listed = list(dict.fromkeys(signatures))
    for shown, result in listed:
        if len(listed) > 1:
            yield "@_overload"
        if mark:
            yield mark
        yield f"def {name}({shown}) -> {result}: ..."


def results(entry: Entry) -> Iterator[Any]:
    """What an entry's examples give."""
    with dt.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dt.manual_seed(0)
        for example in entry.examples:
            args = list(example) if isinstance(example, tuple) else [example]
            kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
            names = list(inspect.signature(entry.function).parameters)
            names += names[-1:] * len(args)
            listed = [made(v, name) for v, name in zip(args, names, strict=False)]
            yield entry.function(*listed, **{name: made(v, name) for name, v in kwargs.items()})


def made(value: Any, name: str) -> Any:
    """An argument of an example, with tensors in the place of their descriptions."""
    if isinstance(value, list):
        return [made(v, name) for v in value]
    if isinstance(value, Sample):
        return sample(value)
    if isinstance(value, tuple) and name not in PLAIN:
        shape = all(type(v) is int for v in value)
        return dt.rand(value) if shape else tuple([made(v, name) for v in value])
    return value


def sample(value: Sample) -> Tensor:
    """A tensor as a sample describes it; only its type and shape matter here."""
    if value.kind == "fixed":
        return dt.tensor(value.data)
    if value.kind == "ints":
        return dt.randint(value.low, value.high, value.shape)
    if value.kind == "bools":
        return dt.rand(value.shape) < 0.5
    if value.kind == "spd":
        return dt.eye(value.shape[-1]).expand(value.shape).contiguous()
    if value.kind == "complex":
        return dt.complex(dt.rand(value.shape), dt.rand(value.shape))
    return dt.rand(value.shape)


def stubs() -> dict[str, str]:
    """The text of each stub by its path below the package."""
    makers = Makers()
    texts = {"__init__.pyi": makers.package()}
    for name in MODULES:
        texts[f"{name.replace('.', '/')}.pyi"] = makers.module(name)
    texts |= import_module("devtensor.array_api._stub").stubs(makers)
    texts["_members.pyi"] = makers.members()
    return texts
