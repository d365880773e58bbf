"""What the package imports when it is asked for: modules, and names that stand in some of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["find"]

MODULES = {
    "amp",
    "array_api",
    "backends",
    "cuda",
    "distributions",
    "fft",
    "func",
    "signal",
    "testing",
}
HOMES = {
    "amp.autocast_mode": "autocast autocast_decrement_nesting autocast_increment_nesting "
    "clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
    "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled "
    "set_autocast_cache_enabled set_autocast_dtype",
    "amp.grad_scaler": "GradScaler",
    "func": "vmap",
}
"""A module, and the names of it that the package has, too."""

_HOME = {name: module for module, names in HOMES.items() for name in names.split()}


def find(name: str) -> Any:
    """What the package has by a name, imported now.

    Raises
    ------
    AttributeError
        If that is nothing.
    """
    if name in _HOME:
        return getattr(import_module(f"devtensor.{_HOME[name]}"), name)
    if name in MODULES:
        return import_module(f"devtensor.{name}")
    raise AttributeError(f"module 'devtensor' has no attribute {name!r}")
