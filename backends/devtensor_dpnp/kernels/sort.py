"""Operations that index with what they have sorted: those indices need no check, which waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dpnp

from devtensor.op import catalogue


class Trusting:
    """A namespace whose functions take indices as they are."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(self._space, name)
        return found

    def take(self, x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
        """Slices at indices."""
        return dpnp.take(x, indices, axis=axis)

    def take_along_axis(self, x: Any, indices: Any, /, *, axis: int = -1) -> Any:
        """Elements at indices along an axis."""
        return dpnp.take_along_axis(x, indices, axis=axis)


_spaces: dict[Any, Trusting] = {}


def trusting(kernel: Callable[..., Any], xp: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a kernel in a namespace that checks no index."""
    space = _spaces.get(xp._device)
    if space is None:
        space = _spaces[xp._device] = Trusting(xp)
    return kernel(space, *args, **kwargs)


NAMES = "sort topk median nanmedian kthvalue mode max_dim min_dim"
KERNELS = {
    name: partial(trusting, found.kernel)
    for name in NAMES.split()
    if name in catalogue and (found := catalogue[name].op) is not None
}
