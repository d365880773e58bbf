"""Settings that PyTorch programs make, most of which have nothing to change here.

Tensors are dense and in row order, operations are deterministic, and the array library decides on
threads, so these functions take what they are given and say what is true.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = [
    "are_deterministic_algorithms_enabled",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "memory_format",
    "preserve_format",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "strided",
    "use_deterministic_algorithms",
]


class memory_format:
    """An order of dimensions in memory; only rows are used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = memory_format("strided")

_settings: dict[str, Any] = {"threads": os.cpu_count() or 1, "matmul": "highest"}


def get_num_threads() -> int:
    """The number of threads last asked for; the machine's processors at first."""
    return int(_settings["threads"])


def set_num_threads(int: int) -> None:
    """Note a number of threads; the array library's own settings decide.

    Raises
    ------
    RuntimeError
        If it is not positive.
    """
    if int <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {int}")
    _settings["threads"] = int


def get_num_interop_threads() -> int:
    """1: operations run one after another."""
    return 1


def set_num_interop_threads(int: int) -> None:
    """Accepted and without effect."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted and without effect: there are no others."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: the same program gives the same numbers."""
    return True


def get_float32_matmul_precision() -> str:
    """The precision last asked for; products are always computed in full."""
    return str(_settings["matmul"])


def set_float32_matmul_precision(precision: str) -> None:
    """Note a precision; products are always computed in full.

    Raises
    ------
    ValueError
        If it is none of ``"highest"``, ``"high"``, ``"medium"``.
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"precision must be 'highest', 'high' or 'medium', not {precision!r}")
    _settings["matmul"] = precision


def compile(model: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Return `model` as it is: there is no compiler here (``torch.compile``)."""
    return (lambda function: function) if model is None else model
