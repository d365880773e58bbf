"""How PyTorch's files name things, and what they are here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from types import BuiltinFunctionType, FunctionType
from typing import Any

from devtensor.device import device
from devtensor.dtype import ALL, uint8, uint16, uint32, uint64
from devtensor.dtype import dtype as DType
from devtensor.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter
from devtensor.serialization import _rebuild
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["StorageType", "checked", "find", "storage_type", "text", "torch_name"]

WIDE_UNSIGNED = (uint16, uint32, uint64)


class StorageType:
    """A class of PyTorch's storages, such as ``torch.FloatStorage``: a name for a dtype.

    Attributes
    ----------
    name : str
    dtype : devtensor.dtype
        Of the elements; uint8 for ``UntypedStorage``.
    """

    __slots__ = ("dtype", "name")

    def __init__(self, name: str, dtype: DType) -> None:
        self.name, self.dtype = name, dtype

    def __repr__(self) -> str:
        return f"StorageType({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return storage_type, (self.name,)


UNTYPED = StorageType("UntypedStorage", uint8)
STORAGES = {
    f"{dtype.legacy}Storage": StorageType(f"{dtype.legacy}Storage", dtype)
    for dtype in ALL
    if dtype not in WIDE_UNSIGNED
}
STORAGES["UntypedStorage"] = UNTYPED
OF_DTYPE = {kind.dtype: kind for kind in STORAGES.values() if kind is not UNTYPED}

MODULES = ("nn", "optim", "nn.functional", "utils.data", "")
"""Parts of the two libraries that have the same names in them."""


def storage_type(name: str) -> StorageType:
    """The storage class called `name`.

    Raises
    ------
    TypeError
        If its elements have no dtype here.
    """
    try:
        return STORAGES[name]
    except KeyError:
        raise TypeError(f"the file holds a {name}, whose elements have no dtype here") from None


def is_storage(module: str, name: str) -> bool:
    """Whether a name in a file is that of a storage class."""
    return name.endswith("Storage") and (
        module in ("torch", "torch.storage") or (module.startswith("torch.") and name in STORAGES)
    )


@cache
def fixed() -> dict[tuple[str, str], Any]:
    """What has a name of its own in PyTorch's files."""
    table: dict[tuple[str, str], Any] = {
        ("torch._utils", name): getattr(_rebuild, name) for name in _rebuild.__all__
    }
    name = "_rebuild_from_type_v2"
    table["torch._tensor", name] = table.pop(("torch._utils", name))
    table["torch.serialization", "_get_layout"] = _rebuild._get_layout
    table["torch.nn.parameter", "Parameter"] = Parameter
    table["torch.nn.parameter", "UninitializedParameter"] = UninitializedParameter
    table["torch.nn.parameter", "UninitializedBuffer"] = UninitializedBuffer
    table["torch", "Size"] = Size
    table["torch", "Tensor"] = Tensor
    table["torch", "device"] = device
    for dtype in ALL:
        table["torch", dtype.name] = dtype
    return table


@cache
def names() -> dict[int, tuple[str, str]]:
    """The table the other way round, by identity."""
    return {id(value): name for name, value in fixed().items()}


def torch_name(value: Any) -> tuple[str, str] | None:
    """The module and name under which PyTorch knows `value`; None if it does not.

    Parameters
    ----------
    value : object
        A class, function or dtype of this library, or anything else.
    """
    kind = type(value)
    if kind is StorageType:
        return ("torch.storage" if value is UNTYPED else "torch"), value.name
    known = names().get(id(value))
    if known is not None:
        return known
    if not isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return None
    name = value.__name__
    if str(value.__module__).partition(".")[0] == "devtensor":
        for part in MODULES:
            ours = sys.modules.get(f"devtensor.{part}".rstrip("."))
            if getattr(ours, name, None) is value:
                return f"torch.{part}".rstrip("."), name
    return None


def find(module: str, name: str, otherwise: Callable[[str, str], Any]) -> Any:
    """What a file means by `name` in `module`; PyTorch's names are looked up here.

    Parameters
    ----------
    module, name : str
    otherwise : callable
        Finds names of other libraries.

    Raises
    ------
    AttributeError
        If this library has nothing under that name.
    """
    if module.partition(".")[0] != "torch":
        return otherwise(module, name)
    if is_storage(module, name):
        return storage_type(name)
    if module == "torch" and f"{name.removesuffix('Tensor')}Storage" in STORAGES:
        return Tensor  # FloatTensor and its kin
    module = "torch._tensor" if module == "torch.tensor" else module
    known = fixed().get((module, name))
    if known is not None:
        return known
    inner = module.split(".")[1:]
    places = [".".join(["devtensor", *inner[:n]]) for n in range(len(inner), -1, -1)]
    for place in (*places, "devtensor.nn.functional"):
        try:
            value: Any = importlib.import_module(place)
            for part in name.split("."):
                value = getattr(value, part)
        except (ImportError, AttributeError):
            continue
        return value
    raise AttributeError(
        f"the file needs {module}.{name}, and devtensor has nothing under that name; "
        "a state_dict would need only the tensors"
    )


def checked(saved_id: Any, length: int) -> tuple[StorageType, str, str, int]:
    """The parts of the id of a storage.

    Raises
    ------
    RuntimeError
        If it is none.
    """
    if isinstance(saved_id, tuple) and len(saved_id) >= length:
        name, kind, key, location, count = (text(part) for part in saved_id[:5])
        if (
            name == "storage"
            and isinstance(kind, StorageType)
            and isinstance(key, str)
            and isinstance(location, str)
            and type(count) is int
            and count >= 0
        ):
            return kind, key, location, count
    raise RuntimeError(f"the file refers to a storage in a way that is unknown: {saved_id!r:.200}")


def text(part: Any) -> Any:
    """Text that Python 2 wrote, as text."""
    return part.decode("ascii") if isinstance(part, bytes) else part
