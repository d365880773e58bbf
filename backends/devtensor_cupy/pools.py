"""Pooling by kernels of our own: `windows`, and windows that divide a plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.ops import pool as common
from devtensor_formulas import windows
from devtensor_formulas.windows import DIMS, Sizes, each

from .raw import FLOATS, SOURCES, Source, brief, launch, ordered, type_of
from .runtime import cupy
from .windows import READ, place, walked

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
    f"T* __restrict__ out, long long* __restrict__ which, const T* __restrict__ x, {PARTS}",
    SHARE.replace("$FIRST", "A best = 0; long long best_of = -1;").replace(
        "$TURN", "if (best_of < 0 || v > best || v != v) { best = v; best_of = at; }"
    )
    + "out[i] = (T)best; which[i] = best_of;",
    FLOATS,
)


def shared(name: str, like: Any, shape: Sizes, given: list[Any], sizes: Sizes, size: Sizes) -> Any:
    """A new array, each of its elements made of windows that divide planes."""
    out = cupy.empty(shape, like.dtype)
    args = (out, *given, *windows.numbers(sizes, size))
    launch(name, out.size, args, type_of(like), most=like.size)
    return out


POOLS = windows.Pools(walked, shared, ordered)


def own(name: str, kinds: str) -> Callable[..., Any]:
    """A kernel that leaves arrays of other kinds, and empty ones, to the common one."""
    plain, function = getattr(common, name).kernel, getattr(POOLS, name)

    def run(xp: Any, x: Any, /, *which: Any, **params: Any) -> Any:
        if x.size and type_of(x) == "bfloat16":
            return brief(xp, run, x, *which, **params)
        fits = x.size and x.dtype.kind in kinds and windows.dims_of(params) <= DIMS
        return (function if fits else plain)(xp, x, *which, **params)

    return run


KERNELS: dict[str, Callable[..., Any]] = {
    name: own(name, kinds) for name, (kinds, _) in windows.POOLS.items()
}
