"""What a file may name by default when nothing in it is run, and what a call of it does."""

from __future__ import annotations

import codecs
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import cache
from pickle import UnpicklingError
from typing import Any

from devtensor.device import device
from devtensor.dtype import named
from devtensor.errors import DevtensorWarning
from devtensor.serialization._names import fixed, storage_type
from devtensor.serialization._rebuild import _rebuild_from_type_v2

__all__ = ["calls", "check_key", "defaults", "keys_of", "make_frozenset"]

DEEPEST_KEY = 32


def check_key(key: Any) -> None:
    """Refuse keys so deep that hashing them would end the process."""
    level = [key]
    for _ in range(DEEPEST_KEY):
        level = [item for value in level if type(value) in (tuple, frozenset) for item in value]
        if not level:
            return
    raise UnpicklingError("the file holds a key that is nested too deeply")


def keys_of(items: Iterable[Any]) -> list[Any]:
    listed = list(items)
    for key in listed:
        check_key(key)
    return listed


def make_set(items: Iterable[Any] = ()) -> set[Any]:
    return set(keys_of(items))


def make_frozenset(items: Iterable[Any] = ()) -> frozenset[Any]:
    return frozenset(keys_of(items))


def make_ordered(items: Iterable[Any] = ()) -> OrderedDict[Any, Any]:
    pairs = [(key, value) for key, value in (items.items() if type(items) is dict else items)]
    keys_of(key for key, _ in pairs)
    return OrderedDict(pairs)


def make_counter(items: Any = ()) -> Counter[Any]:
    keys_of(items)
    return Counter(items)


def make_bytes(text: str, encoding: str = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UnpicklingError(f"the file encodes bytes as {encoding!r}")
    return text.encode("latin1")


def make_bytearray(data: Any = b"", encoding: str = "latin1") -> bytearray:
    # A number would ask for that much memory.
    if type(data) not in (str, bytes, bytearray):
        raise UnpicklingError("the file makes a bytearray of something other than bytes")
    return bytearray(make_bytes(data, encoding) if type(data) is str else data)


def make_device(kind: Any, index: Any = None) -> device:
    """The device that is named, or the host if there is no such device here."""
    try:
        return device(kind, index)
    except RuntimeError:
        name = kind if index is None else f"{kind}:{index}"
        warnings.warn(
            f"The file names the device {name!r}, which is not here; it is read as 'cpu'.",
            DevtensorWarning,
            stacklevel=2,
        )
        return device("cpu")


def make_of_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor of a class of its own, by one of the functions that make tensors."""
    makers = [value for (module, _), value in fixed().items() if module == "torch._utils"]
    if not any(function is maker for maker in makers):
        raise UnpicklingError(f"Trying to call reduce for unrecognized function {function}")
    return _rebuild_from_type_v2(function, kind, args, state)


@cache
def defaults() -> dict[str, tuple[Any, Callable[..., Any] | None]]:
    """What files may name: the thing itself, and what a call of it does (None: no call)."""
    table: dict[str, tuple[Any, Callable[..., Any] | None]] = {
        "collections.OrderedDict": (OrderedDict, make_ordered),
        "collections.Counter": (Counter, make_counter),
        "_codecs.encode": (codecs.encode, make_bytes),
        "builtins.bytearray": (bytearray, make_bytearray),
        "builtins.set": (set, make_set),
        "builtins.frozenset": (frozenset, make_frozenset),
        "builtins.complex": (complex, complex),
    }
    for (module, name), value in fixed().items():
        if isinstance(value, type):
            call: Any = {"Size": value, "Parameter": value, "device": make_device}.get(name)
        elif value is _rebuild_from_type_v2:
            call = make_of_type
        else:
            call = value if callable(value) else None
        table[f"{module}.{name}"] = (value, call)
    # The names that picklers which cannot write PyTorch's give to the same things.
    for entry in list(table.values()):
        if hasattr(entry[0], "__qualname__"):
            table.setdefault(f"{entry[0].__module__}.{entry[0].__qualname__}", entry)
    table[f"{named.__module__}.named"] = (named, named)
    table[f"{storage_type.__module__}.storage_type"] = (storage_type, storage_type)
    return table


@cache
def calls() -> dict[int, Callable[..., Any]]:
    """What may be called, by identity."""
    return {id(value): call for value, call in defaults().values() if call is not None}
