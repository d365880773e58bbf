"""Kernels of this package, by the names of the operations that they replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor_formulas import attention

from .. import fuse, views
from . import conv, index, loss, pool, random, spread

KERNELS: dict[str, Callable[..., Any]] = {
    "item_select": views.item_select,
    **random.KERNELS,
    **index.KERNELS,
    **conv.KERNELS,
    **pool.KERNELS,
    **loss.KERNELS,
    **attention.kernels(fuse.FUSER),
    **spread.KERNELS,
    **fuse.kernels(index.KERNELS),
}
WRITERS: dict[str, Callable[..., None]] = index.WRITERS
"""Those that write into their first array: `Backend.writers`."""
