"""The lines of type stubs: how one name, parameter or function is written in them."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

import devtensor as dt
from devtensor.example import Sample
from devtensor.op import Entry
from devtensor.stubwords import BINARY, DOCUMENTED, OPERATORS, PLAIN, WORDS
from devtensor.tensor import Tensor

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
