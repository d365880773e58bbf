"""Kernels for batches, of operations whose own kernel would be slow on them or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.op import catalogue

Function = Callable[..., Any]
KERNELS: dict[str, Function] = {}
"""``rule(single, xp, *arrays, **params)`` by operation; `single` is the kernel for one example."""


def rule(*names: str) -> Function:
    """Register the kernel for operations."""

    def define(function: Function) -> Function:
        for name in names:
            KERNELS[name] = function
        return function

    return define


@rule("masked_fill")
def masked_fill(single: Function, xp: Any, input: Any, mask: Any, value: Any) -> Any:
    return catalogue["masked_fill"].op.kernel(xp, input, mask, value)  # type: ignore[union-attr]
