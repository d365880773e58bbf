"""The type stubs of the namespace, of which most names are made when it is imported."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from devtensor.dtype import dtype as Dtype
from devtensor.op import catalogue
from devtensor.stub import Makers
from devtensor.stublines import functions, imported, parameter

TYPES = {
    "axes": "_Sequence[_int] | None",
    "correction": "_float",
    "d": "_float",
    "dtype": "_dtype | None",
    "fill_value": "_Number",
    "n": "_int",
    "ord": "_Any",
    "repetitions": "_tuple[_int, ...]",
    "rtol": "_Tensor | _float | None",
    "s": "_Sequence[_int] | None",
    "shape": "_Dims",
    "destination": "_Dims",
    "source": "_Dims",
}
"""Types of parameters that mean the same everywhere."""

TENSORS = ("x", "x1", "x2", "prepend", "append", "sorter", "arrays")
LINEAR = ("matmul", "outer", "solve")
"""Functions of two tensors of which none may be a number."""
SEVERAL = ("broadcast_arrays", "meshgrid", "unstack")
"""Functions that return a tuple of tensors."""


def taken(name: str, p: inspect.Parameter, parameters: Any) -> str:
    """The type of a parameter of the function `name`."""
    optional = " | None" if p.default is None else ""
    if p.name == "arrays" and p.kind is not p.VAR_POSITIONAL:
        return "_Sequence[_Tensor]"
    if p.name in ("x1", "x2") and list(parameters) == ["x1", "x2"] and name not in LINEAR:
        return "_Tensor | _Number"
    if p.name in TENSORS:
        return f"_Tensor{optional}"
    if p.name == "axis":
        several = "keepdims" in parameters and not name.startswith("arg")
        return f"{'_Dims' if several else '_int'}{optional}"
    if p.name == "axes" and not optional:
        return "_Sequence[_int]" if name == "permute_dims" else "_Any"
    if p.name == "device":
        return "_Place"
    if p.name in TYPES:
        told = TYPES[p.name]
        return told if "None" in told or not optional else told + optional
    return {bool: "_bool", int: "_int", str: "_str", float: "_float"}.get(type(p.default), "_Any")


def returned(name: str, makers: Makers) -> str:
    """The type of the result of the function `name`."""
    entry = catalogue.get(f"linalg_{name}")
    if entry is not None and entry.op is not None and isinstance(entry.op.outputs, tuple):
        return makers.named(entry.op.outputs)
    return "_tuple[_Tensor, ...]" if name in SEVERAL else "_Tensor"


def written(name: str, function: Any, makers: Makers) -> Iterator[str]:
    """The line of a function that was written from its signature."""
    parameters = inspect.signature(function).parameters
    parts = []
    kind = None
    for p in parameters.values():
        if kind is p.POSITIONAL_ONLY is not p.kind:
            parts.append("/")
        if p.kind is p.KEYWORD_ONLY and kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            parts.append("*")
        parts.append(parameter(p, taken(name, p, parameters)))
        kind = p.kind
    if kind is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    yield from functions(name, [(", ".join(parts), returned(name, makers))])


def lines(module: Any, makers: Makers) -> Iterator[str]:
    """The lines of a module of the namespace."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.ismodule(value):
            yield f"from devtensor.array_api import {name} as {name}"
        elif isinstance(value, Dtype):
            yield f"{name}: _dtype"
        elif not callable(value):
            yield f"{name}: {'None' if value is None else '_' + type(value).__name__}"
        elif value.__module__ in ("devtensor.array_api", module.__name__):
            yield from written(name, value, makers)
        else:
            yield from imported(value.__module__, name, name)


def stubs(makers: Makers) -> dict[str, str]:
    """The text of each stub by its path below the package."""
    texts = {}
    for name in ("", ".linalg", ".fft"):
        module = import_module(f"devtensor.array_api{name}")
        path = "array_api/__init__.pyi" if not name else f"array_api/{name[1:]}.pyi"
        texts[path] = makers.file(list(lines(module, makers)))
    return texts
