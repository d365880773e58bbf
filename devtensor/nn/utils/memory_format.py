"""Layouts of the weights of convolutions, of which there is one here."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M")


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Return the module: weights lie in row order, whatever order of memory is asked for."""
    return module


convert_conv3d_weight_memory_format = convert_conv2d_weight_memory_format
