"""Operations in which nobody needs to look at indices before they are used: what is sorted is in
range, and where the operation refuses wrong ones, the kernels that use them note it on their way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from devtensor.op import catalogue

from .. import extras_index, guarded
from ..lookup import STRICT, TRUST

FUNCTIONS = {
    name: getattr(room, name)
    for room, names in (
        (guarded, ("take", "take_along_axis")),
        (extras_index, ("get", "put", "scatter", "scatter_add", "index_add")),
    )
    for name in names
}


class Looking:
    """A namespace whose functions do with indices what `look` says.

    Attributes
    ----------
    looks : bool
        True: operations need not do so themselves.
    """

    looks = True

    def __init__(self, space: Any, look: str) -> None:
        self._space = space
        for name, function in FUNCTIONS.items():
            setattr(self, name, partial(function, look=look))

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
    space = _spaces.get((xp._device, look))
    if space is None:
        space = _spaces[xp._device, look] = Looking(xp, look)
    try:
        return kernel(space, *args, **kwargs)
    except IndexError:
        return kernel(xp, *args, **kwargs)


NAMES = {
    TRUST: (
        "sort topk kthvalue mode max_dim min_dim median_all median_dim nanmedian_all nanmedian_dim"
    ),
    STRICT: "gather_at scatter_at scatter_add_at index_select_at index_add_at index_copy_at",
}
KERNELS = {
    name: partial(looking, look, found.kernel)
    for look, names in NAMES.items()
    for name in names.split()
    if name in catalogue and (found := catalogue[name].op) is not None
}
