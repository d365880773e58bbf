"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, TypeVar

from devtensor.nn.module import Module, indented

__all__ = ["ModuleDict", "ModuleList", "Sequential"]

Self = TypeVar("Self", bound="Numbered")


class Numbered(Module):
    """Children named "0", "1", ... in order, used like a list."""

    def _name_at(self, index: Any) -> str:
        """Give the name of the child at `index`, which may be negative."""
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index {position} is out of range")
        return list(self._modules)[position]

    def _replace_all(self, modules: list[Any]) -> None:
        self._modules.clear()
        for number, module in enumerate(modules):
            self.add_module(str(number), module)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)._of(list(self)[index])
        return self._modules[self._name_at(index)]

    @classmethod
    def _of(cls: type[Self], modules: list[Any]) -> Self:
        raise NotImplementedError

    def __setitem__(self, index: Any, module: Any) -> None:
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: Any) -> None:
        if not isinstance(index, slice):
            self._name_at(index)
        modules = list(self)
        del modules[index]
        self._replace_all(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __contains__(self, module: Any) -> bool:
        return any(module is own for own in self)

    def __add__(self: Self, other: Iterable[Any]) -> Self:
        return type(self)._of([*self, *other])

    def __iadd__(self: Self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def append(self: Self, module: Any) -> Self:
        """Add `module` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self: Self, index: int, module: Any) -> Self:
        """Put `module` before the child at `index`."""
        modules = list(self)
        modules.insert(index, module)
        self._replace_all(modules)
        return self

    def extend(self: Self, modules: Iterable[Any]) -> Self:
        """Add all `modules` at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}.extend should be called with an iterable, "
                f"but got {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int = -1) -> Any:
        """Take out the child at `key` and return it."""
        module = self[key]
        del self[key]
        return module


class Sequential(Numbered):
    """Runs modules one after another, each on the output of the one before.

    Parameters
    ----------
    *args : Module or dict
        The modules in order, or one ordered dict of names to modules.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for number, module in enumerate(args):
                self.add_module(str(number), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    @classmethod
    def _of(cls, modules: list[Any]) -> Sequential:
        return cls(*modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):  # names are kept
            return type(self)(dict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            delattr(self, name)
        if all(name.isdecimal() for name in self._modules):
            self._replace_all(list(self))

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(
                "add operator supports only objects of Sequential class, "
                f"but {type(other)} is given."
            )
        return Sequential(*self, *other)

    def __mul__(self, other: int) -> Sequential:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")
        return Sequential(*(list(self) * other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Sequential:
        return self.extend(list((self * other)[len(self) :]))

    def insert(self, index: int, module: Any) -> Sequential:
        """Put `module` before the child at `index`."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        return super().insert(index, module)


class ModuleList(Numbered):
    """Holds modules in a list, so that their parameters are found.

    Parameters
    ----------
    modules : iterable of Module, optional
        The modules to begin with.
    """

    def __init__(self, modules: Iterable[Any] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    @classmethod
    def _of(cls, modules: list[Any]) -> ModuleList:
        return cls(modules)

    def __repr__(self) -> str:
        """Write equal neighbours once, with their number."""
        lines, number = [], 0
        for text, group in groupby(repr(module) for module in self):
            count = len(list(group))
            label = f"({number})" if count == 1 else f"({number}-{number + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"{label}: {times}{indented(text)}")
            number += count
        inside = "".join(f"\n  {line}" for line in lines)
        return f"{self._get_name()}({inside}\n)" if lines else f"{self._get_name()}()"


class ModuleDict(Module):
    """Holds modules by name, so that their parameters are found.

    Parameters
    ----------
    modules : mapping or iterable of pairs, optional
        Names and modules to begin with.
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take out all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take out the module named `key` and return it."""
        return self._modules.pop(key)

    def keys(self) -> Iterable[str]:
        """Give the names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Give names with modules."""
        return self._modules.items()

    def values(self) -> Iterable[Any]:
        """Give the modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add or replace modules from a mapping or from pairs."""
        for name, module in pairs_of(modules, "ModuleDict", "ModuleDict"):
            self[name] = module


def pairs_of(given: Any, kind: str, called: str) -> Iterator[tuple[str, Any]]:
    """The names and values with which a dictionary of a `kind` is updated."""
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{called}.update should be called with an iterable of key/value pairs, but got "
            f"{type(given).__name__}"
        )
    pairs: Iterable[Any] = given.items() if hasattr(given, "items") else given
    for number, pair in enumerate(pairs):
        if not hasattr(pair, "__len__"):
            raise TypeError(
                f"{kind} update sequence element #{number} should be Iterable; is"
                f"{type(pair).__name__}"
            )
        if len(pair) != 2:
            raise ValueError(
                f"{kind} update sequence element #{number} has length {len(pair)}; 2 is required"
            )
        yield pair[0], pair[1]
