"""Processes of the standard library (``torch.multiprocessing``).

Tensors go to them by value, and those of the cpu that were moved by `share_memory_`, as the
parameters of a shared module, without a copy: what one process writes the others see.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import *

from devtensor.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


def get_all_sharing_strategies() -> set[str]:
    """One: tensors go by value, in a file if they are large."""
    return {"file_system"}


def get_sharing_strategy() -> str:
    """``"file_system"``."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accept a strategy; tensors go by value.

    Raises
    ------
    ValueError
        If PyTorch has none of that name.
    """
    if new_strategy not in ("file_system", "file_descriptor"):
        raise ValueError(f"there is no sharing strategy {new_strategy!r}")
