"""Windows of planes by kernels of our own.

With functions of arrays they take a pass, or several, for each place within a window. Here one
kernel reads or adds up all of them, in the same order.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from devtensor_formulas import windows
from devtensor_formulas.windows import NUMBERS, WIDTH, Sizes, each

from .raw import FLOATS, SOURCES, Source, launch, type_of
from .runtime import cupy

READ = "T* __restrict__ out, const T* __restrict__ x"


def place(letter: str) -> str:
    """The thread's place: the plane, and in each dimension one of the places, or of the windows."""
    return (
        f"N rest = i; const int c2 = rest % {letter}2; rest /= {letter}2;"
        f"const int c1 = rest % {letter}1; rest /= {letter}1;"
        f"const int c0 = rest % {letter}0; const N plane = rest / {letter}0;"
    )


FORTH = place("m") + each(
    "const int f# = c# * s# - p#, a# = f# < 0 ? (d# - 1 - f#) / d# : 0;"
    "const int e# = min(k#, (n# - f# + d# - 1) / d#);"
)
"""Where the thread's window starts, and from which to which of its elements there are any."""
WALK = each("for (int i# = a#; i# < e#; i#++)") + (
    "{ const A v = x[((plane * n0 + (f0 + i0 * d0)) * n1 + (f1 + i1 * d1)) * n2 + (f2 + i2 * d2)];"
    "const int number = (i0 * k1 + i1) * k2 + i2; $TURN }"
)
"""Along the elements of a window."""
BACK = place("n") + each(
    "const int a# = max(0, (c# + p# - (k# - 1) * d# + s# - 1) / s#);"
    "const int e# = min(m#, (c# + p#) / s# + 1);"
)
"""From which to which window have the thread's place."""
MEET = (
    each(
        "for (int o# = e# - 1; o# >= a#; o#--) { int i# = c# + p# - o# * s#;"
        "if (i# % d#) continue; i# /= d#;"
    )
    + "const int number = (i0 * k1 + i1) * k2 + i2; $TURN }}}"
)
"""Along windows, in the order of their elements."""
WINDOW = "((plane * m0 + o0) * m1 + o1) * m2 + o2"


def forth(first: str, turn: str, last: str) -> str:
    """For a window: what is done first, with each element, and last."""
    return FORTH + first + WALK.replace("$TURN", turn) + last


def back(first: str, turn: str, last: str) -> str:
    """For a place of a plane: what is done first, with each window, and last."""
    return BACK + first + MEET.replace("$TURN", turn) + last


def add(name: str, parameters: str, body: str, types: tuple[str, ...] = FLOATS) -> None:
    """A kernel whose parameters end with the numbers of windows."""
    SOURCES[name] = Source(f"{parameters}, {NUMBERS}", body, types)


ORDERED = (*FLOATS, "int8", "int64")
# Of several NaN the last one counts.
LARGER = "if (best_of < 0 || v > best || v != v) { best = v; best_of = number; }"
BEST = "A best = 0; int best_of = -1;"
add(
    "max",
    "T* __restrict__ out, int* __restrict__ which, const T* __restrict__ x",
    forth(BEST, LARGER, "out[i] = (T)best; which[i] = max(best_of, 0);"),
    ORDERED,
)
add("max_alone", READ, forth(BEST, LARGER, "out[i] = (T)best;"), ORDERED)
add(
    "chosen",
    f"{READ}, const I* __restrict__ which",
    FORTH
    + "const int number = which[i], i2 = number % k2, i1 = number / k2 % k1, i0 = number / k2 / k1;"
    "out[i] = x[((plane * n0 + (f0 + i0 * d0)) * n1 + (f1 + i1 * d1)) * n2 + (f2 + i2 * d2)];",
)
add(
    "chosen_spread",
    f"{READ}, const I* __restrict__ which",
    back(
        "A sum = 0;",
        f"const N at = {WINDOW}; if (which[at] == number) sum += (A)x[at];",
        "out[i] = (T)sum;",
    ),
)


def area(letter: str) -> str:
    """How many elements of a window count, whose number in each dimension has this name."""
    return f"(A)(divisor ? divisor : {each(WIDTH.replace('@', f'{letter}#'), ' * ')})"


MEANS = f"{READ}, const int border, const int divisor"
add("mean", MEANS, forth("A sum = 0;", "sum += v;", f"out[i] = (T)(sum / {area('c')});"))
add(
    "mean_spread",
    MEANS,
    back("A sum = 0;", f"sum += (A)x[{WINDOW}] / {area('o')};", "out[i] = (T)sum;"),
)

# A thread lays out what stands at one place of a channel's windows, so that it divides once.
COLUMNS = """
    const N places = (N)m0 * m1 * m2;
    N rest = i; const int c2 = rest % m2; rest /= m2; const int c1 = rest % m1; rest /= m1;
    const int c0 = rest % m0; rest /= m0;
    const N image = rest % images, channel = rest / images, all = images * places;
    const T* from = x + (image * channels + channel) * n0 * n1 * n2;
    T* to = out + channel * k0 * k1 * k2 * all + i % all;
    const int f0 = c0 * s0 - p0, f1 = c1 * s1 - p1, f2 = c2 * s2 - p2;
    $EACH {
        const int a0 = f0 + i0 * d0, a1 = f1 + i1 * d1, a2 = f2 + i2 * d2;
        const bool there = a0 >= 0 && a0 < n0 && a1 >= 0 && a1 < n1 && a2 >= 0 && a2 < n2;
        *to = there ? from[((N)a0 * n1 + a1) * n2 + a2] : (T)0;
        to += all;
    }""".replace("$EACH", each("for (int i# = 0; i# < k#; i#++)"))
add("columns", f"{READ}, const N images, const N channels", COLUMNS)
add(
    "images",
    f"{READ}, const N images, const N channels",
    BACK + "const N image = plane / channels, channel = plane % channels, places = (N)m0 * m1 * m2;"
    "const T* from = x + (channel * k0 * k1 * k2 * images + image) * places; A sum = 0;"
    + MEET.replace("$TURN", "sum += from[number * images * places + ((N)o0 * m1 + o1) * m2 + o2];")
    + "out[i] = sum;",
    ("float32", "float64"),
)


@lru_cache(1024)
def numbers(*where: Sizes) -> Sizes:
    """The numbers of windows, as kernels take them."""
    return tuple(windows.numbers(*where))


def walked(
    name: str, like: Any, shape: Sizes, given: list[Any], where: tuple[Sizes, ...],
    which: Any = None,
) -> Any:  # fmt: skip
    """What `devtensor_formulas.windows.Pools` asks for, with one thread to each element."""
    out = cupy.empty(shape, like.dtype)
    args = (out, *given, *numbers(*where))
    index = "int32" if which is None else which.name
    launch(name, out.size, args, type_of(like), index, like.size)
    return out


def columns(images: Any, where: tuple[Sizes, ...]) -> Any:
    """All windows of images (n, channels, *sizes), of shape (channels, elements, n, places)."""
    n, channels = images.shape[:2]
    places, elements = prod(where[1]), prod(where[2])
    out = cupy.empty((channels, elements, n, places), images.dtype)
    args = (out, images, n, channels, *numbers(*where))
    launch("columns", channels * n * places, args, type_of(images), most=out.size)
    return out


def images_of(laid: Any, n: int, channels: int, where: tuple[Sizes, ...]) -> Any:
    """The adjoint of `columns`: images to which the elements of windows are added."""
    return walked("images", laid, (n, channels, *where[0]), [laid, n, channels], where)
