"""Looking at what a checkpoint names, without reading it."""

from __future__ import annotations

import os
import pickletools
from typing import Any

from devtensor.serialization import _allowed
from devtensor.serialization._archive import Archive
from devtensor.serialization._defaults import defaults
from devtensor.serialization._names import is_storage
from devtensor.serialization._safe import modern

__all__ = ["get_unsafe_globals_in_checkpoint"]


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """List what a checkpoint names that ``load(..., weights_only=True)`` would refuse.

    Nothing in the file is run. Names that are put together while reading are not seen.

    Parameters
    ----------
    f : str, path or binary file

    Returns
    -------
    list of str
        As ``"package.module.Name"``.

    Raises
    ------
    ValueError
        If it is no zip file.
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    start = f.tell()
    if f.read(4) != b"PK\3\4":
        raise ValueError("Expected input to be a checkpoint returned by save")
    f.seek(start)
    found: dict[str, None] = {}
    texts: list[str] = []
    known = {*defaults(), *_allowed.by_name()}
    for opcode, argument, _ in pickletools.genops(bytes(Archive(f).read("data.pkl"))):
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
        elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
            module, name = texts[-2:]
        else:
            if "UNICODE" in opcode.name:
                texts.append(str(argument))
            continue
        module, name = modern(module, name)
        if f"{module}.{name}" not in known and not is_storage(module, name):
            found[f"{module}.{name}"] = None
    return list(found)
