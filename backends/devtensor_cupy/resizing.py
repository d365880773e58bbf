"""Images in other sizes: a thread finds the pixels that its own is mixed of."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.ops import resize as common

from .raw import FLOATS, SOURCES, Source, brief, launch, ordered, type_of
from .runtime import cupy

NUMBERS = (
    "const N inner, const int olds, const int news, const double step, const int align, "
    "const int cubic"
)
# Pixel `tap` of those around a place, and its weight.
HEAD = """
__device__ A centre_(int i, int olds, A step, int align, int cubic) {
    const A centre = align ? i * step : (i + (A)0.5) * step - (A)0.5;
    return cubic ? centre : min(max(centre, (A)0), (A)(olds - 1));
}
__device__ A weight_(A distance, int cubic) {
    const A a = (A)-0.75;
    if (!cubic) return max(1 - distance, (A)0);
    if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
    return distance < 2 ? a * (((distance - 5) * distance + 8) * distance - 4) : (A)0;
}
"""
PLACE = (
    "const N c = i % inner, rest = i / inner; const int k = rest % $SIZE; const N o = rest / $SIZE;"
)
TAPS = """
    const A centre = centre_($NEW, olds, (A)step, align, cubic), low = floor(centre);
    for (int tap = cubic ? -1 : 0; tap < (cubic ? 3 : 2); tap++) {
        const A place = low + tap, share = weight_(abs(place - centre), cubic);
        const int old = min(max((int)place, 0), olds - 1);
        $TURN
    }"""
SOURCES["resized"] = Source(
    f"T* __restrict__ out, const T* __restrict__ x, {NUMBERS}",
    PLACE.replace("$SIZE", "news")
    + "A sum = 0;"
    + TAPS.replace("$NEW", "k").replace(
        "$TURN", "sum += share * (A)x[(o * olds + old) * inner + c];"
    )
    + "out[i] = (T)sum;",
    FLOATS,
    HEAD,
)
# The new pixels that may have one are between those whose places are as far from it as is reached.
SOURCES["resized_spread"] = Source(
    f"T* __restrict__ out, const T* __restrict__ x, {NUMBERS}",
    PLACE.replace("$SIZE", "olds")
    + """
    const int reach = cubic ? 3 : 2;
    const double shift = align ? 0 : 0.5;
    int start = 0, last = news - 1;
    if (step > 0) {
        if (k > reach) start = (int)min((double)news, (k - reach + shift) / step - shift - 1);
        if (k + reach < olds - 1) last = (int)min((double)last, (k + reach + shift) / step + 1);
    }
    A sum = 0;
    for (int n = max(start, 0); n <= last; n++) {"""
    + TAPS.replace("$NEW", "n").replace(
        "$TURN", "if (old == k) sum += share * (A)x[(o * news + n) * inner + c];"
    )
    + "} out[i] = (T)sum;",
    FLOATS,
    HEAD,
)


def own(name: str, back: bool) -> Callable[..., Any]:
    """The kernel of an operation; other types have the common one."""
    plain = getattr(common, name).kernel

    def run(xp: Any, x: Any, /, dim: int, size: int, step: float, align: bool, cubic: bool) -> Any:
        if type_of(x) == "bfloat16":
            return brief(xp, run, x, dim, size, step, align, cubic)
        if not x.size:
            return plain(xp, x, dim, size, step, align, cubic)
        out = cupy.empty((*x.shape[:dim], size, *x.shape[dim + 1 :]), x.dtype)
        sizes = (size, x.shape[dim]) if back else (x.shape[dim], size)
        args = (out, ordered(x), prod(x.shape[dim + 1 :]), *sizes, float(step))
        launch(name, out.size, (*args, int(align), int(cubic)), type_of(x), most=x.size)
        return out

    run.__name__, run.__doc__ = name, f"`{name}`."
    return run


KERNELS: dict[str, Callable[..., Any]] = {
    "resized": own("resized", False),
    "resized_spread": own("resized_spread", True),
}
