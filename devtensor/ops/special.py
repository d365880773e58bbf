"""Special functions that are made of others: tails of the normal distribution, Bessel functions."""

from __future__ import annotations

import math
from typing import Any

from devtensor.example import fixed, positive
from devtensor.op import derivative, op
from devtensor.ops.elementwise import half

ROOT_HALF = math.sqrt(0.5)
FAR = 5.0  # from here on the continued fraction has all digits
TERMS = 40
STEPS = 12

SHARED: dict[str, Any] = {
    "elementwise": True,
    "promotes": "float",
    "accepts": ("float",),
    "home": "special",
    "method": False,
    "inplace": False,
}


def named(name: str) -> Any:
    """How PyTorch is called for the function `name` of ``torch.special``."""
    return lambda torch, *given: getattr(torch.special, name)(*given)


@op(**SHARED, examples=[((2, 3),), (fixed([-3.0, 0.0, 6.0, 30.0]),)], oracle=named("erfcx"))
def special_erfcx(xp: Any, input: Any, /) -> Any:
    """The complementary error function times ``exp(input**2)``, which falls slowly."""
    if half(input):
        return xp.astype(special_erfcx.kernel(xp, xp.astype(input, xp.float32)), input.dtype)
    near = xp.where(input < FAR, input, xp.zeros_like(input))
    far = xp.where(input < FAR, xp.full_like(input, FAR), input)
    fraction = far
    for k in range(TERMS, 0, -1):
        fraction = far + (0.5 * k) / fraction
    tail = 1 / (math.sqrt(math.pi) * fraction)
    found = xp.where(input >= FAR, tail, xp.exp(near * near) * xp.erfc(near))
    return xp.where(input == input, found, input)


derivative(
    special_erfcx, input=lambda g, input, out: g * (2 * input * out - 2 / math.sqrt(math.pi))
)


@op(**SHARED, examples=[((2, 3),), (fixed([-30.0, -1.0, 0.0, 9.0]),)], oracle=named("log_ndtr"))
def special_log_ndtr(xp: Any, input: Any, /) -> Any:
    """The logarithm of the normal distribution function, also far below 0."""
    if half(input):
        return xp.astype(special_log_ndtr.kernel(xp, xp.astype(input, xp.float32)), input.dtype)
    size = input * ROOT_HALF
    low = input < -1
    below = xp.where(low, size, xp.full_like(size, -1.0))
    tail = xp.log(special_erfcx.kernel(xp, -below) / 2) - below * below
    return xp.where(low, tail, xp.log1p(-xp.erfc(size) / 2))


derivative(
    special_log_ndtr,
    input=lambda xp, g, input: g * math.sqrt(2 / math.pi) / xp.special_erfcx(-ROOT_HALF * input),
)


@op(**SHARED, examples=[(fixed([0.05, 0.2, 0.5, 0.7, 0.9]),)], oracle=named("ndtri"))
def special_ndtri(xp: Any, input: Any, /) -> Any:
    """Where the normal distribution function has the value `input`; NaN outside 0 to 1."""
    if half(input):
        return xp.astype(special_ndtri.kernel(xp, xp.astype(input, xp.float32)), input.dtype)
    upper = input > 0.5
    share = xp.where(upper, 1 - input, input)
    inside = share > 0
    wanted = xp.log(xp.where(inside, share, xp.full_like(share, 0.5)))
    # Newton's steps on the logarithm, which is concave: they come from below and stay there.
    place = -xp.sqrt(-2 * wanted)
    for _ in range(STEPS):
        error = special_log_ndtr.kernel(xp, place) - wanted
        slope = special_erfcx.kernel(xp, -ROOT_HALF * place) * math.sqrt(math.pi / 2)
        place = place - error * slope
    place = xp.where(upper, -place, place)
    edge = xp.where(upper, xp.full_like(place, math.inf), xp.full_like(place, -math.inf))
    place = xp.where(inside, place, xp.where(share == 0, edge, xp.full_like(place, math.nan)))
    # In the middle the error function has all digits, also beside 0.
    middle = math.sqrt(2) * xp.erfinv(
        2 * xp.where(share > 0.1, input, xp.full_like(input, 0.5)) - 1
    )
    place = xp.where(share > 0.1, middle, place)
    return xp.where(input == input, place, input)


derivative(
    special_ndtri,
    input=lambda xp, g, out: g * math.sqrt(2 * math.pi) * xp.exp(out * out / 2),
)


@op(
    **SHARED,
    examples=[(positive(2, 3),), (fixed([0.0, 0.1, -4.0, math.inf]),)],
    oracle=named("spherical_bessel_j0"),
)
def special_spherical_bessel_j0(xp: Any, input: Any, /) -> Any:
    """The spherical Bessel function of order 0, ``sin(input) / input``; there is no derivative."""
    away = xp.abs(input) > 1e-3
    safe = xp.where(xp.logical_and(away, xp.isfinite(input)), input, xp.ones_like(input))
    found = xp.where(away, xp.sin(safe) / safe, 1 - input * input / 6)
    return xp.where(xp.isinf(input), xp.zeros_like(input), found)


@op(**SHARED, examples=[((2, 3),)], oracle=named("modified_bessel_i0"))
def special_modified_bessel_i0(xp: Any, input: Any, /) -> Any:
    """The modified Bessel function of order 0; :func:`i0` has a derivative, too."""
    return xp.i0(input)


@op(**SHARED, examples=[((2, 3),)], oracle=named("modified_bessel_i1"))
def special_modified_bessel_i1(xp: Any, input: Any, /) -> Any:
    """The modified Bessel function of order 1; ``special.i1`` has a derivative, too."""
    return xp.special_i1(input)
