"""Bessel functions, Airy's and Hurwitz' zeta function, by sums that converge to every digit.

Integrals of smooth functions over a period, or of such that fall off fast on both sides, are sums
over equal steps but for an error that falls exponentially with the number of steps. Far out the
asymptotic series have all digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.dtype import of
from devtensor.example import fixed, positive
from devtensor.op import op
from devtensor.ops.elementwise import half
from devtensor.ops.special import SHARED, named

EULER = 0.5772156649015329  # Euler's constant
FAR = 25.0  # from here on the asymptotic series of waves have all digits
QUARTER = 32  # angles in a quarter of the circle, for waves up to there
ORDERS = 32  # Bessel functions of twice these orders are 0 below there
STEEP = {"float32": 6.0}  # the same for Airy's function, below its negative; or 9


def in_single(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that computes half precision in single precision."""

    def call(xp: Any, input: Any, /) -> Any:
        if half(input):
            return xp.astype(kernel(xp, xp.astype(input, xp.float32)), input.dtype)
        return kernel(xp, input)

    call.__name__, call.__doc__ = kernel.__name__, kernel.__doc__
    return call


def full(xp: Any, x: Any, number: float) -> Any:
    """As many of one number, made there: a library's own way may wait for what is under way."""
    return xp.zeros_like(x) + number


def chosen(xp: Any, where: Any, x: Any, other: float) -> Any:
    """`x` where a series is good for it, a harmless number elsewhere."""
    return xp.where(where, x, full(xp, x, other))


# ---- waves: the first and second kind

ANGLES = [(j + 0.5) * math.pi / (2 * QUARTER) for j in range(QUARTER)]
WEIGHTS = [
    sum((-1) ** k * math.cos(2 * k * angle) / k for k in range(1, ORDERS + 1)) / QUARTER
    for angle in ANGLES
]
"""Those of the angles in Neumann's series of the second kind."""


def first_kind(xp: Any, x: Any, order: int) -> Any:
    """The Bessel function of the first kind near 0, a mean over a quarter of the circle."""
    total = xp.zeros_like(x)
    for angle in ANGLES:
        sine = math.sin(angle)
        total = total + (xp.cos(x * sine) if order == 0 else sine * xp.sin(x * sine))
    return total / QUARTER


def second_kind(xp: Any, x: Any, order: int) -> Any:
    """The Bessel function of the second kind near 0, by those of the first of all even orders."""
    total = xp.zeros_like(x)
    for angle, weight in zip(ANGLES, WEIGHTS, strict=True):
        sine = math.sin(angle)
        total = total + (
            weight * xp.cos(x * sine) if order == 0 else weight * sine * xp.sin(x * sine)
        )
    log = xp.log(x / 2) + EULER
    found = log * first_kind(xp, x, order) - 2 * total
    if order == 1:
        found = found - first_kind(xp, x, 0) / x
    return 2 / math.pi * found


def far_away(xp: Any, x: Any, order: int, second: bool) -> Any:
    """Either kind far from 0: a wave of slowly falling height."""
    term: Any = 1.0
    sums: list[Any] = [xp.ones_like(x), xp.zeros_like(x)]
    for k in range(1, 25):
        term = term * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k) / x
        sums[k % 2] = sums[k % 2] + (term if k % 4 < 2 else -term)
    # Of the phase, x - order * pi / 2 - pi / 4, the sine and the cosine as sums: nothing is lost.
    sine, cosine = xp.sin(x), xp.cos(x)
    if order == 0:
        sine, cosine = sine - cosine, sine + cosine
    else:
        sine, cosine = -sine - cosine, sine - cosine
    wave = sine * sums[0] + cosine * sums[1] if second else cosine * sums[0] - sine * sums[1]
    return wave / xp.sqrt(math.pi * x)


def waves(xp: Any, input: Any, order: int, second: bool) -> Any:
    """A Bessel function of the first or second kind."""
    size = xp.abs(input)
    near = size < FAR
    close = chosen(xp, near, size, 1.0)
    if second:
        close = chosen(xp, close > 0, close, 1.0)
    inside = (second_kind if second else first_kind)(xp, close, order)
    finite = xp.logical_and(xp.logical_not(near), xp.isfinite(size))
    outside = far_away(xp, chosen(xp, finite, size, FAR), order, second)
    found = xp.where(near, inside, outside)
    if second:
        found = xp.where(input == 0, full(xp, found, -math.inf), found)
        found = xp.where(input < 0, full(xp, found, math.nan), found)
    elif order == 1:
        found = xp.where(input < 0, -found, found)
    return xp.where(xp.isfinite(input), found, full(xp, found, math.nan))


# ---- what falls: the modified second kind

FALLING = 0.25  # the step of the sum where the number is 2
TERMS = 14  # of the series near 0


def falling(xp: Any, x: Any, order: float) -> Any:
    """The modified function of the second kind times ``exp(x)``, away from 0."""
    step = FALLING * xp.sqrt(2 / x)  # the bell gets narrower
    total = full(xp, x, 0.5)
    for k in range(1, 26):
        t = k * step
        total = total + xp.cosh(order * t) * xp.exp(-2 * x * xp.square(xp.sinh(t / 2)))
    return total * step


def rising(xp: Any, x: Any, order: int) -> Any:
    """The modified function of the second kind near 0, by its series around the logarithm."""
    square, log = x * x / 4, xp.log(x / 2) + EULER
    total, term, harmonic = xp.zeros_like(x), xp.ones_like(x), 0.0
    for k in range(TERMS):
        digits = harmonic if order == 0 else harmonic + 0.5 / (k + 1)
        total = total + term * (digits - log)
        term = term * square / ((k + 1) * (k + 1 + order))
        harmonic += 1 / (k + 1)
    return total if order == 0 else 1 / x - total * x / 2


def modified(xp: Any, input: Any, order: int, scaled: bool) -> Any:
    """A modified Bessel function of the second kind, perhaps times ``exp(input)``."""
    near = input < 2
    close = chosen(xp, xp.logical_and(near, input > 0), input, 1.0)
    inside = rising(xp, close, order)
    away = chosen(xp, xp.logical_and(input >= 2, xp.isfinite(input)), input, 2.0)
    outside = falling(xp, away, order)
    if scaled:
        inside = inside * xp.exp(close)
    else:
        outside = outside * xp.exp(-away)
    found = xp.where(near, inside, outside)
    found = xp.where(input == 0, full(xp, found, math.inf), found)
    found = xp.where(input == math.inf, xp.zeros_like(found), found)
    return xp.where(input >= 0, found, full(xp, found, math.nan))


def define(name: str, text: str, value: Callable[[Any, Any], Any]) -> None:
    """Put a function of one number into the catalogue."""

    def kernel(xp: Any, input: Any, /) -> Any:
        return value(xp, input)

    kernel.__name__ = f"special_{name}"
    kernel.__doc__ = f"{text}; there is no derivative."
    examples = [(positive(2, 3),), (fixed([0.0, 0.3, 2.0, 7.5, 24.0, 26.0, 90.0, -3.0]),)]
    op(**SHARED, examples=examples, oracle=named(name))(in_single(kernel))


for _order in (0, 1):
    define(f"bessel_j{_order}", f"The Bessel function of the first kind of order {_order}",
           lambda xp, x, n=_order: waves(xp, x, n, False))  # type: ignore[misc]  # fmt: skip
    define(f"bessel_y{_order}", f"The Bessel function of the second kind of order {_order}",
           lambda xp, x, n=_order: waves(xp, x, n, True))  # type: ignore[misc]  # fmt: skip
    _text = f"The modified Bessel function of the second kind of order {_order}"
    define(f"modified_bessel_k{_order}", _text,
           lambda xp, x, n=_order: modified(xp, x, n, False))  # type: ignore[misc]  # fmt: skip
    define(f"scaled_modified_bessel_k{_order}", f"{_text} times ``exp(input)``",
           lambda xp, x, n=_order: modified(xp, x, n, True))  # type: ignore[misc]  # fmt: skip


# ---- Airy's function

SHIFT, STEP, COUNT = 0.45, 0.076, 120


def airy_near(xp: Any, x: Any) -> Any:
    """Airy's integral along a line above the real one, on which it falls off as a bell."""
    total = full(xp, x, 0.5)
    for k in range(1, COUNT):
        s = k * STEP
        height = math.exp(-SHIFT * s * s)
        total = total + height * xp.cos(s**3 / 3 - s * SHIFT**2 + x * s)
    return total * xp.exp(SHIFT**3 / 3 - x * SHIFT) * (STEP / math.pi)


def airy_below(xp: Any, x: Any) -> Any:
    """Airy's function far below 0, a wave, by its asymptotic series."""
    z = -x
    phase = 2 / 3 * z * xp.sqrt(z)
    term: Any = 1.0
    sums: list[Any] = [xp.ones_like(z), xp.zeros_like(z)]
    for k in range(1, 22):
        term = term * ((6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1))) / phase
        sums[k % 2] = sums[k % 2] + (term if k % 4 < 2 else -term)
    sine, cosine = xp.sin(phase), xp.cos(phase)
    wave = (cosine + sine) * sums[0] + (sine - cosine) * sums[1]
    return wave / (xp.sqrt(2 * math.pi * xp.sqrt(z)))


def airy(xp: Any, input: Any) -> Any:
    steep = STEEP.get(of(input.dtype).name, 9.0)
    middle = xp.logical_and(input > -steep, input < 2.5)
    near = airy_near(xp, chosen(xp, middle, input, 0.0))
    above = chosen(xp, input >= 2.5, input, 2.5)
    above = chosen(xp, above < 1e8, above, 1e8)  # where it has long been 0
    power = 2 / 3 * above * xp.sqrt(above)
    fall = xp.sqrt(above / 3) * falling(xp, power, 1 / 3) * xp.exp(-power) / math.pi
    low = xp.logical_and(input <= -steep, xp.isfinite(input))
    below = airy_below(xp, chosen(xp, low, input, -steep))
    found = xp.where(middle, near, xp.where(input >= 2.5, fall, below))
    return xp.where(xp.isfinite(input), found, full(xp, found, math.nan))


@op(
    **SHARED,
    examples=[((2, 3),), (fixed([-20.0, -9.0, -8.9, 0.0, 2.4, 2.6, 9.0]),)],
    oracle=named("airy_ai"),
)
def special_airy_ai(xp: Any, input: Any, /) -> Any:
    """Airy's function, a wave below 0 that falls fast above it; there is no derivative."""
    return in_single(airy)(xp, input)


# ---- Hurwitz' zeta function

EARLY = 10  # terms before the sum is taken for an integral
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330,
)  # fmt: skip


def zeta_above(xp: Any, s: Any, q: Any) -> Any:
    """The function for `s` above 1 and `q` above 0, by Euler's and Maclaurin's formula."""
    total, place = xp.zeros_like(s), q
    for _ in range(EARLY):
        total = total + xp.pow(place, -s)
        place = place + 1
    last = xp.pow(place, -s)
    rest = last * (place / (s - 1) + 0.5)
    term = last * (s / place)
    for k, number in enumerate(BERNOULLI):
        rest = rest + number / math.factorial(2 * k + 2) * term
        term = term * ((s + 2 * k + 1) / place) * ((s + 2 * k + 2) / place)
    return xp.where(xp.isinf(s), total, total + rest)


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    numbers=("input", "other"),
    home="special",
    method=False,
    inplace=False,
    examples=[
        (fixed([2.0, 3.5, 1.0, 0.5]), fixed([1.0, 0.3, 2.0, 2.0])),
        (fixed([2.0, 3.0, 40.0]), fixed([-1.5, -2.0, 0.7])),
        (fixed([2.0, 1.1]), 1.0),
    ],
    oracle=named("zeta"),
)
def special_zeta(xp: Any, input: Any, other: Any, /) -> Any:
    """Hurwitz' zeta function: the sum of ``(other + k) ** -input`` over `k` from 0 on.

    Parameters
    ----------
    input, other : Tensor or number
        They broadcast. The sum is infinite for ``input == 1`` and at whole numbers `other` up to 0;
        it is NaN for ``input < 1``, and for negative `other` where `input` is a fraction.
        There is no derivative.
    """
    if half(input):
        single = [xp.astype(x, xp.float32) for x in (input, other)]
        return xp.astype(special_zeta.kernel(xp, *single), input.dtype)
    s, q = input + xp.zeros_like(other), other + xp.zeros_like(input)
    # Below 0 the first terms are powers of negative numbers: their exponent must be whole.
    defined = xp.where(q > 0, s > 1, xp.logical_and(s == xp.floor(s), q != xp.floor(q)))
    good = xp.logical_and(s > 1, defined)
    s, q = chosen(xp, good, s, 2.0), chosen(xp, good, q, 1.0)
    below, part = q < 0, q - xp.floor(q)
    total = zeta_above(xp, s, xp.where(below, part, q))
    # They end at ``part - 1``, and are those of a sum above 0 up to the sign.
    first, last = xp.where(below, 1 - part, q), xp.where(below, 1 - q, q)
    early = zeta_above(xp, s, first) - zeta_above(xp, s, last)
    total = xp.where(below, xp.where(s % 2 == 0, total + early, total - early), total)
    infinite = xp.logical_or(input == 1, xp.logical_and(input > 1, other == xp.floor(other)))
    rest = xp.where(infinite, full(xp, total, math.inf), full(xp, total, math.nan))
    return xp.where(good, total, rest)
