"""Windows of planes: what pools and convolutions ask of a device's kernels for them.

Along a dimension there are `n` places, and `m` windows of `k` elements, with a step of `s` from one
to the next and of `d` within one, the first of which starts `p` places before. Kernels have three
dimensions; further ones in front have a single place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.ops import conv

Sizes = tuple[int, ...]
Kernel = Callable[..., Any]
DIMS = 3


def each(text: str, between: str = " ", dims: int = DIMS) -> str:
    """A text for each dimension, whose number stands for ``#``."""
    return between.join([text.replace("#", str(d)) for d in range(dims)])


NUMBERS = each(", ".join([f"const int {letter}#" for letter in "nmkspd"]), ", ")
"""The parameters of a kernel that tell its windows."""


def numbers(*where: Sequence[int]) -> list[int]:
    """What stands for them, of the numbers `n`, `m`, `k`, `s`, `p` and `d` of each dimension.

    The first two may be all.
    """
    parts = [
        (0 if letter == "p" else 1,) * (DIMS - len(part)) + tuple(part)
        for letter, part in zip("nmkspd", where, strict=False)
    ]
    return [part[d] for d in range(DIMS) for part in parts]


# How many elements of a window count along a dimension; the border does with `border`.
WIDTH = "(min(@ * s# - p# + k#, n# + border * p#) - max(@ * s# - p#, -border * p#))"


class Pools:
    """The operations of `devtensor.ops.pool`, by kernels of a device.

    Parameters
    ----------
    walked : callable
        ``walked(name, like, shape, given, where, which)`` makes an array of the type of `like` by
        the kernel of that name, which is given some arrays and numbers, of windows of the numbers
        `where`, with indices of the type `which`.
    shared : callable
        ``shared(name, like, shape, given, sizes, size)`` does, of windows that divide planes.
    ordered : callable
        An array in row order.
    """

    def __init__(self, walked: Kernel, shared: Kernel, ordered: Kernel) -> None:
        self.walked, self.shared, self.ordered = walked, shared, ordered

    def max_windows(
        self, xp: Any, input: Any, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
        dilation: Sizes, keep: bool = True,
    ) -> tuple[Any, Any]:  # fmt: skip
        """`max_windows`."""
        dims = len(size)
        shape = (*input.shape[:-dims], *size)
        where = (input.shape[-dims:], size, kernel, stride, padding, dilation)
        which = xp.empty(shape if keep else (0,), dtype=xp.int32)
        name, given = ("max", [which]) if keep else ("max_alone", [])
        return self.walked(name, input, shape, [*given, self.ordered(input)], where), which

    def chosen(
        self, xp: Any, input: Any, which: Any, /, *, kernel: Sizes, stride: Sizes, padding: Sizes,
        dilation: Sizes,
    ) -> Any:  # fmt: skip
        """`chosen`."""
        dims = len(kernel)
        where = (input.shape[-dims:], which.shape[-dims:], kernel, stride, padding, dilation)
        given = [self.ordered(input), self.ordered(which)]
        return self.walked("chosen", input, which.shape, given, where, which.dtype)

    def chosen_spread(
        self, xp: Any, g: Any, which: Any, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes,
        padding: Sizes, dilation: Sizes,
    ) -> Any:  # fmt: skip
        """`chosen_spread`."""
        dims = len(kernel)
        where = (sizes, g.shape[-dims:], kernel, stride, padding, dilation)
        shape, given = (*g.shape[:-dims], *sizes), [self.ordered(g), self.ordered(which)]
        return self.walked("chosen_spread", g, shape, given, where, which.dtype)

    def avg_windows(
        self, xp: Any, input: Any, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
        include_pad: bool, divisor: int | None,
    ) -> Any:  # fmt: skip
        """`avg_windows`."""
        dims = len(size)
        where = (input.shape[-dims:], size, kernel, stride, padding, (1,) * dims)
        given = [self.ordered(input), int(include_pad), divisor or 0]
        return self.walked("mean", input, (*input.shape[:-dims], *size), given, where)

    def avg_spread(
        self, xp: Any, g: Any, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes,
        include_pad: bool, divisor: int | None,
    ) -> Any:  # fmt: skip
        """`avg_spread`."""
        dims = len(sizes)
        where = (sizes, g.shape[-dims:], kernel, stride, padding, (1,) * dims)
        given = [self.ordered(g), int(include_pad), divisor or 0]
        return self.walked("mean_spread", g, (*g.shape[:-dims], *sizes), given, where)

    def adaptive_avg(self, xp: Any, input: Any, /, *, size: Sizes) -> Any:
        """`adaptive_avg`."""
        sizes, shape = divided(input, size)
        return self.shared("share", input, shape, [self.ordered(input)], sizes, size)

    def adaptive_avg_spread(self, xp: Any, g: Any, /, *, sizes: Sizes) -> Any:
        """`adaptive_avg_spread`."""
        size, shape = divided(g, sizes)
        return self.shared("share_spread", g, shape, [self.ordered(g)], sizes, size)

    def adaptive_max(self, xp: Any, input: Any, /, *, size: Sizes) -> tuple[Any, Any]:
        """`adaptive_max`."""
        sizes, shape = divided(input, size)
        places = xp.empty(shape, dtype=xp.int64)
        given = [places, self.ordered(input)]
        return self.shared("share_max", input, shape, given, sizes, size), places


POOLS = {
    "max_windows": ("fiu", False), "chosen": ("fiu", False), "chosen_spread": ("fiu", True),
    "avg_windows": ("f", True), "avg_spread": ("f", True), "adaptive_avg": ("f", True),
    "adaptive_avg_spread": ("f", True), "adaptive_max": ("f", False),
}  # fmt: skip
"""By operation: the kinds of types it is for, and whether it adds up."""


def divided(x: Any, size: Sizes) -> tuple[Sizes, Sizes]:
    """The sizes of planes, and the shape of what has planes of other ones."""
    dims = len(size)
    return x.shape[-dims:], (*x.shape[:-dims], *size)


def dims_of(params: dict[str, Any]) -> int:
    """Of how many dimensions an operation's windows are."""
    return len(next(params[name] for name in ("kernel", "size", "sizes") if name in params))


def convolving(
    function: Kernel, plain: Kernel, takes: Callable[[Any], bool], brief: Callable[[Any], bool]
) -> Kernel:
    """An operation of `devtensor.ops.conv` by a function for arrays that it `takes`; of others by
    the common kernel. Those that are too `brief` are computed in single precision.
    """

    def run(
        xp: Any, first: Any, second: Any, bias: Any = None, /, *, size: Sizes, stride: Sizes,
        padding: Sizes, dilation: Sizes, groups: int,
    ) -> Any:  # fmt: skip
        params = conv.params(size, stride, padding, dilation, groups)
        if 0 in (*first.shape, *second.shape, *size) or len(size) > DIMS or not takes(first):
            given = (first, second) if bias is None else (first, second, bias)
            return plain(xp, *given, **params)
        if brief(first):
            single = conv.single(xp, first, second, bias)
            return xp.astype(run(xp, *single, **params), first.dtype)
        return function(xp, first, second, bias, size, (stride, padding, dilation), groups)

    return run
