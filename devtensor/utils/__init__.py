"""Tools around training: data loading, and what else PyTorch keeps in ``torch.utils``."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["data"]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: most programs need few of them.
    if name == "swap_tensors":
        return importlib.import_module(f"{__name__}._swap").swap_tensors
    if not name.startswith("__"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
