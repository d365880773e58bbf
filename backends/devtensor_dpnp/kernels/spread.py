"""What goes back to one place of each row, written as the row is, with zeros."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.ops import index as common
from devtensor_formulas.formula import Formula
from devtensor_formulas.trace import Symbol

from ..fuse import along, worth

FORMULA = Formula(None)


def gather_spread(xp: Any, input: Any, index: Any, /, size: Any, dim: int) -> Any:
    """`gather_spread`, where there is one place to a row: those are known to be in range.

    The common way fills zeros, looks at all places, and adds one by one.
    """
    one = index.ndim == len(size) and index.shape == (*size[:dim], 1, *size[dim + 1 :])
    if one and input.shape == index.shape and worth(input, prod(size)):

        def write(g: Symbol, place: Symbol) -> Any:
            there = FORMULA.all_places(g.trace, tuple(size), dim) == place
            return FORMULA.where(there, g, 0.0)

        found = along([input, index], write, "spread", tuple(size), dim)
        if found is not None:
            return found
    return common.gather_spread.kernel(xp, input, index, size, dim)


KERNELS: dict[str, Callable[..., Any]] = {"gather_spread": gather_spread}
