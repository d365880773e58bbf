"""Layouts of the weights of convolutions, of which there is one here."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M")


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Return the module: memory is in row order, and nothing is faster in another."""
    return module


convert_conv3d_weight_memory_format = convert_conv2d_weight_memory_format
