"""Types for annotations (``torch.types``)."""

from __future__ import annotations

import builtins
import math
import operator
import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from devtensor.device import device
from devtensor.dtype import dtype
from devtensor.refusal import refused
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number: TypeAlias = builtins.int | builtins.float | builtins.bool
_Number = (builtins.int, builtins.float, builtins.bool)
_int, _float, _bool = builtins.int, builtins.float, builtins.bool
_complex: TypeAlias = builtins.complex
_dtype, _device, _size = dtype, device, Size | list[builtins.int] | tuple[builtins.int, ...]
_layout: TypeAlias = Any
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
Device: TypeAlias = device | str | builtins.int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Storage: TypeAlias = Any

SymInt, SymFloat, SymBool = (
    refused(name, "sizes are Python's numbers here") for name in ("SymInt", "SymFloat", "SymBool")
)
"""Numbers of graphs: nothing is one of them."""

Stream, Event = (
    refused(name, f"devices have their own: torch.cuda.{name} or torch.xpu.{name}")
    for name in ("Stream", "Event")
)
"""Queues and marks of any device, which annotations name."""

sym_float, sym_int, sym_not, sym_sum = builtins.float, math.trunc, operator.not_, sum
sym_sqrt = math.sqrt


def _settled(choose: Any) -> Any:
    """One of two numbers, as a float if either of them is one."""

    def settled(a: Any, b: Any) -> Any:
        kind = type(a) if isinstance(a, builtins.float) else type(b)
        found = choose(a, b)
        return kind(found) if issubclass(kind, builtins.float) else found

    return settled


sym_max, sym_min = _settled(max), _settled(min)


def sym_ite(b: builtins.bool, t: Any, f: Any) -> Any:
    """`t` where `b` holds, else `f`."""
    return t if b else f
