"""Kernels that do better in NumPy than the common ones, by the name of their operation."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

KERNELS: dict[str, Callable[..., Any]] = {}
WRITERS: dict[str, Callable[..., None]] = {}
"""Those that write into their first array: `Backend.writers`."""

for _module in sorted(info.name for info in iter_modules(__path__)):
    _room = import_module(f"{__name__}.{_module}")
    _found = getattr(_room, "KERNELS", {})
    if _twice := KERNELS.keys() & _found.keys():
        raise RuntimeError(f"{_module} defines kernels that another file has too: {_twice}")
    KERNELS.update(_found)
    WRITERS.update(getattr(_room, "WRITERS", {}))
