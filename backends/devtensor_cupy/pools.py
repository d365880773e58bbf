"""Pooling by kernels of our own: `windows`, and windows that divide a plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from devtensor.ops import pool as common

from .raw import FLOATS, SOURCES, Source, brief, launch, ordered, type_of
from .runtime import cupy
from .windows import DIMS, READ, Sizes, each, place, walked

# ---- windows that divide a plane

PARTS = each("const int n#, const int m#", ", ")
SHARE = (
    place("m")
    + each(
        "const int f# = (long long)c# * n# / m#;"
        "const int e# = ((long long)(c# + 1) * n# + m# - 1) / m#;"
    )
    + "$FIRST"
    + each("for (int i# = f#; i# < e#; i#++)")
    + "{ const N at = ((N)i0 * n1 + i1) * n2 + i2;"
    "const A v = x[plane * n0 * n1 * n2 + at]; $TURN }"
)
SHARES = (
    place("n")
    + each(
        "const int a# = (long long)c# * m# / n#;"
        "const int b# = ((long long)(c# + 1) * m# + n# - 1) / n#;"
    )
    + "A sum = 0;"
    + each(
        "for (int o# = a#; o# < b#; o#++) {"
        "const int l# = ((long long)(o# + 1) * n# + m# - 1) / m# - (long long)o# * n# / m#;"
    )
    + f"sum += (A)x[((plane * m0 + o0) * m1 + o1) * m2 + o2] / (A)({each('l#', ' * ')});"
    "}}} out[i] = (T)sum;"
)
SOURCES["share"] = Source(
    f"{READ}, {PARTS}",
    SHARE.replace("$FIRST", "A sum = 0;").replace("$TURN", "sum += v;")
    + f"out[i] = (T)(sum / (A)({each('(e# - f#)', ' * ')}));",
    FLOATS,
)
SOURCES["share_spread"] = Source(f"{READ}, {PARTS}", SHARES, FLOATS)
SOURCES["share_max"] = Source(
    f"{READ}, long long* __restrict__ which, {PARTS}",
    SHARE.replace("$FIRST", "A best = 0; long long best_of = -1;").replace(
        "$TURN", "if (best_of < 0 || v > best || v != v) { best = v; best_of = at; }"
    )
    + "out[i] = (T)best; which[i] = best_of;",
    FLOATS,
)


def shared(
    name: str, x: Any, shape: Sizes, sizes: Sizes, size: Sizes, given: tuple[Any, ...] = ()
) -> Any:
    """A new array, each of its elements made of windows that divide planes."""
    out = cupy.empty(shape, x.dtype)
    parts = [(1,) * (DIMS - len(part)) + tuple(part) for part in (sizes, size)]
    numbers = [part[d] for d in range(DIMS) for part in parts]
    launch(name, out.size, (out, ordered(x), *given, *numbers), type_of(x), most=x.size)
    return out


# ---- the operations

WHERE = ("kernel", "size", "sizes")
"""Parameters with a number to each dimension."""


def own(kinds: str = "f") -> Callable[[Any], Callable[..., Any]]:
    """Make a kernel that leaves arrays of other kinds, and empty ones, to the common one."""

    def decorate(function: Any) -> Callable[..., Any]:
        plain = getattr(common, function.__name__).kernel

        def run(xp: Any, x: Any, /, *which: Any, **params: Any) -> Any:
            if type_of(x) == "bfloat16" and x.size:
                return brief(xp, run, x, *which, **params)
            dims = len(next(params[name] for name in WHERE if name in params))
            if dims > DIMS or not x.size or x.dtype.kind not in kinds:
                return plain(xp, x, *which, **params)
            return function(xp, x, *which, **params)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        return run

    return decorate


@own("fiu")
def max_windows(
    xp: Any, input: Any, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes, keep: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """`max_windows`."""
    dims = len(size)
    shape = (*input.shape[:-dims], *size)
    where = (input.shape[-dims:], size, kernel, stride, padding, dilation)
    which = cupy.empty(shape if keep else (0,), np.int32)
    name, given = ("max_windows", (which,)) if keep else ("max_alone", ())
    return walked(name, input, shape, (ordered(input), *given), where), which


@own("f")
def chosen(
    xp: Any, input: Any, which: Any, /, *, kernel: Sizes, stride: Sizes, padding: Sizes,
    dilation: Sizes,
) -> Any:  # fmt: skip
    """`chosen`."""
    dims = len(kernel)
    where = (input.shape[-dims:], which.shape[-dims:], kernel, stride, padding, dilation)
    given = (ordered(input), ordered(which))
    return walked("chosen", input, which.shape, given, where, type_of(which))


@own("f")
def chosen_spread(
    xp: Any, g: Any, which: Any, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes,
    padding: Sizes, dilation: Sizes,
) -> Any:  # fmt: skip
    """`chosen_spread`."""
    dims = len(kernel)
    where = (sizes, g.shape[-dims:], kernel, stride, padding, dilation)
    given = (ordered(g), ordered(which))
    return walked("chosen_spread", g, (*g.shape[:-dims], *sizes), given, where, type_of(which))


@own("f")
def avg_windows(
    xp: Any, input: Any, /, *, kernel: Sizes, size: Sizes, stride: Sizes, padding: Sizes,
    include_pad: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """`avg_windows`."""
    dims = len(size)
    where = (input.shape[-dims:], size, kernel, stride, padding, (1,) * dims)
    given = (ordered(input), int(include_pad), divisor or 0)
    return walked("mean_windows", input, (*input.shape[:-dims], *size), given, where)


@own("f")
def avg_spread(
    xp: Any, g: Any, /, *, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes,
    include_pad: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """`avg_spread`."""
    dims = len(sizes)
    where = (sizes, g.shape[-dims:], kernel, stride, padding, (1,) * dims)
    given = (ordered(g), int(include_pad), divisor or 0)
    return walked("mean_spread", g, (*g.shape[:-dims], *sizes), given, where)


@own("f")
def adaptive_avg(xp: Any, input: Any, /, *, size: Sizes) -> Any:
    """`adaptive_avg`."""
    dims = len(size)
    return shared("share", input, (*input.shape[:-dims], *size), input.shape[-dims:], size)


@own("f")
def adaptive_avg_spread(xp: Any, g: Any, /, *, sizes: Sizes) -> Any:
    """`adaptive_avg_spread`."""
    dims = len(sizes)
    return shared("share_spread", g, (*g.shape[:-dims], *sizes), sizes, g.shape[-dims:])


@own("f")
def adaptive_max(xp: Any, input: Any, /, *, size: Sizes) -> tuple[Any, Any]:
    """`adaptive_max`."""
    dims = len(size)
    shape = (*input.shape[:-dims], *size)
    places = cupy.empty(shape, np.int64)
    return shared("share_max", input, shape, input.shape[-dims:], size, (places,)), places


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        max_windows, chosen, chosen_spread, avg_windows, avg_spread, adaptive_avg,
        adaptive_avg_spread, adaptive_max,
    )
}  # fmt: skip
