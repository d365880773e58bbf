"""Operations in which nobody needs to look at indices before they are used: what is sorted is in
range, and where the operation refuses wrong ones, the kernels that use them note it on their way.

Where parts of an array are changed in place, indices are looked at first. Those of masks are known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import dpnp
import numpy as np

from devtensor.op import catalogue
from devtensor.ops import index as common

from .. import extras_index, guarded
from ..lookup import STRICT, TRUST, WRAP
from ..masks import marked
from ..memory import contiguous

READERS = {
    "take": guarded.take,
    "take_along_axis": guarded.take_along_axis,
    "get": extras_index.get,
}
CHANGES = {
    name: getattr(extras_index, name) for name in ("put", "scatter", "scatter_add", "index_add")
}


class Looking:
    """A namespace whose functions do with indices what `look` says.

    If `here` is true, those that change an array change it in place.

    Attributes
    ----------
    looks : bool
        Whether operations need not do so themselves.
    """

    def __init__(self, space: Any, look: str, here: bool = False) -> None:
        self._space, self.looks = space, look != WRAP
        for name, function in READERS.items():
            setattr(self, name, partial(function, look=look))
        for name, function in CHANGES.items():
            setattr(self, name, partial(function, look=look, here=here))

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(self._space, name)
        return found


_spaces: dict[Any, Looking] = {}


def looking(
    look: str, kernel: Callable[..., Any], xp: Any, /, *args: Any, **kwargs: Any
) -> Any:  # fmt: skip
    """Run a kernel in such a namespace; where it finds wrong indices, as it is, to say so.

    A single number has no place to look up, so that its kernel reads none.
    """
    if not args[0].ndim:
        return kernel(xp, *args, **kwargs)
    try:
        return kernel(space_of(xp, look), *args, **kwargs)
    except IndexError:
        return kernel(xp, *args, **kwargs)


def space_of(xp: Any, look: str, here: bool = False) -> Looking:
    """The namespace beside that of a device."""
    found = _spaces.get((xp._device, look, here))
    if found is None:
        found = _spaces[xp._device, look, here] = Looking(xp, look, here)
    return found


def writing(
    look: str, kernel: Callable[..., Any], xp: Any, out: Any, /, *args: Any, **kwargs: Any
) -> None:  # fmt: skip
    """Run a kernel that changes a part of its first array on that itself."""
    try:
        kernel(space_of(xp, look, True), out, *args, **kwargs)
    except IndexError:
        kernel(xp, out, *args, **kwargs)  # which says what is wrong


def nonzero_at(xp: Any, input: Any, /) -> Any:
    """`nonzero_at`, without an array for each dimension."""
    found = marked(input)
    return common.nonzero_at.kernel(xp, input) if found is None else found.coordinates()


def masked_scatter(xp: Any, input: Any, mask: Any, source: Any, /) -> Any:
    """`masked_scatter`, without counting the elements before each one."""
    if mask.dtype == np.bool_ and input.dtype == source.dtype:
        size = np.broadcast_shapes(input.shape, mask.shape)
        found = marked(dpnp.broadcast_to(mask, size))
        if found is not None and found.total <= prod(source.shape):
            out = contiguous(dpnp.broadcast_to(input, size))
            found.fill(out, source)
            return out
    return common.masked_scatter.kernel(xp, input, mask, source)


NAMES = {
    TRUST: (
        "sort topk kthvalue mode max_dim min_dim median_all median_dim nanmedian_all nanmedian_dim"
    ),
    STRICT: "gather_at scatter_at scatter_add_at index_select_at index_add_at index_copy_at",
}
KERNELS: dict[str, Callable[..., Any]] = {
    "nonzero_at": nonzero_at,
    "masked_scatter": masked_scatter,
    **{
        name: partial(looking, look, found.kernel)
        for look, names in NAMES.items()
        for name in names.split()
        if name in catalogue and (found := catalogue[name].op) is not None
    },
}
WRITERS: dict[str, Callable[..., None]] = {
    name: partial(writing, WRAP if name == "put_at" else STRICT, found.kernel)
    for name in ("put_at", "scatter_at", "scatter_add_at", "index_add_at", "index_copy_at")
    if (found := catalogue[name].op) is not None
}
