"""The type stubs, made of the catalogue and of what other files put on `Tensor`.

Types come from annotations, else from docstrings, else from what an operation's definition says:
its inputs are tensors, and where they are promoted numbers, too. What a function of other
operations returns is found by running its examples. What cannot be told is `Any`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import devtensor as dt
from devtensor import later
from devtensor.op import Entry, catalogue
from devtensor.stublines import (
    documented,
    functions,
    imported,
    operator,
    parameter,
    plain,
    results,
    translate,
)  # fmt: skip
from devtensor.stubwords import (
    ALIASES,
    FLAGS,
    HEAD,
    MEMBERS,
    MODULES,
    NAMED,
    NUMBERS_FIRST,
    OPERATORS,
    OVERLOADS,
    SILENT,
    TAKEN,
    TYPES,
    WORDS,
)  # fmt: skip
from devtensor.tensor import Tensor


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


def stubs() -> dict[str, str]:
    """The text of each stub by its path below the package."""
    makers = Makers()
    texts = {"__init__.pyi": makers.package()}
    for name in MODULES:
        texts[f"{name.replace('.', '/')}.pyi"] = makers.module(name)
    texts |= import_module("devtensor.array_api._stub").stubs(makers)
    texts["_members.pyi"] = makers.members()
    return texts
