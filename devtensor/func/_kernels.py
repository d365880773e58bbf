"""Kernels for batches, of operations whose own kernel would be slow on them or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
KERNELS: dict[str, Function] = {}
"""``rule(single, xp, *arrays, **params)`` by operation; `single` is the kernel for one example."""
