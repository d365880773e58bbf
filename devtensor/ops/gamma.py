"""Gamma and beta distributions: the incomplete gamma functions, random numbers, their gradients.

Integrals of the densities and their derivatives by a shape are sums over one tail of the density,
from a point to the end of its support. In the logarithm (or the logit) of the variable the
densities are concave, so a tail falls off at least exponentially once it is scaled by its slope and
its width, and the double-exponential rule (Takahasi and Mori, "Double exponential formulas for
numerical integration", 1974) meets all of them to some ten digits with the same few nodes.

A random number moves with the shape of its distribution such that its place among the others, the
cumulative distribution, stays (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients",
2018): its slope is minus the derivative of that function by the shape, divided by the density.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from math import exp, pi, prod, sqrt
from typing import Any, NoReturn

from devtensor.example import positive as positives
from devtensor.op import composite, derivative, op
from devtensor.ops.random import Bits, _reserved, _source, accepted, fraction
from devtensor.tensor import Tensor

STEP = 0.1
NODES = [
    (exp(t - exp(-t)), STEP * (1 + exp(-t)) * exp(t - exp(-t)))
    for t in (STEP * k for k in range(-38, 41))
]
"""Places from 0 to infinity, and their weights."""


def summed(weighted: Callable[[Any], Any], scale: Any) -> Any:
    """The integral of `weighted` from 0 towards ``scale * inf``, by the size of `scale`."""
    total = 0.0
    for place, weight in NODES:
        total = total + weight * weighted(place * scale)
    return total


# ---- the incomplete gamma functions


def gamma_tail(xp: Any, a: Any, x: Any, weight: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Whether the tail goes from `x` down, and its integral of `weight` by the density at `x`.

    The variable is ``log(t / x)``.
    """
    below = x < xp.clip(a, min=1.0)
    scale = xp.where(
        below,
        -1 / (xp.clip(a - x, min=0.0) + xp.minimum(a, xp.sqrt(a))),
        1 / (xp.clip(x - a, min=0.0) + xp.sqrt(x)),
    )

    def weighted(s: Any) -> Any:
        return xp.exp(a * s - x * xp.expm1(s)) * weight(s)

    return below, xp.abs(scale) * summed(weighted, scale)


def gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """The density of ``log(x)``; for large shapes as the distance from the mean, by Stirling."""
    large = a >= 10
    safe = xp.where(large, a, xp.full_like(a, 10.0))
    r = (x - safe) / safe
    inverse = 1 / (safe * safe)
    rest = (1 / 12 - (1 / 360 - (1 / 1260 - inverse / 1680) * inverse) * inverse) / safe
    far = safe * (xp.log1p(r) - r) + 0.5 * xp.log(safe / (2 * pi)) - rest
    near = a * xp.log(x) - x - xp.lgamma(xp.where(large, xp.ones_like(a), a))
    return xp.exp(xp.where(large, far, near))


def incomplete(xp: Any, a: Any, x: Any, upper: bool, order: int = 0) -> Any:
    """The integral of the density up to `x`, or from there, or its derivatives by the shape."""
    native = a.dtype
    a, x = xp.astype(a, xp.float64), xp.astype(x, xp.float64)
    plain = (a > 0) & (x > 0) & xp.isfinite(a) & xp.isfinite(x)
    shape, place = (xp.where(plain, v, xp.ones_like(v)) for v in (a, x))
    slope = xp.log(place) - xp.digamma(shape)
    spread = xp.polygamma(1, shape) if order == 2 else 0.0
    weights = (
        lambda s: 1.0,
        lambda s: s + slope,
        lambda s: (s + slope) * (s + slope) - spread,
    )
    below, tail = gamma_tail(xp, shape, place, weights[order])
    tail = tail * gamma_density(xp, shape, place)
    if order:
        result = xp.where(below ^ upper, tail, -tail)
        edge = xp.zeros_like(result)
    else:
        result = xp.where(below ^ upper, tail, 1 - tail)
        least = (x == 0) | xp.isinf(a)
        edge = xp.where(least ^ upper, xp.zeros_like(result), xp.ones_like(result))
    unknown = (a < 0) | (x < 0) | (a != a) | (x != x)
    unknown = unknown | ((a == 0) & (x == 0)) | (xp.isinf(a) & xp.isinf(x))
    edge = xp.where(unknown, xp.full_like(edge, math.nan), edge)
    return xp.astype(xp.where(plain, result, edge), native)


def density(xp: Any, a: Any, x: Any) -> Any:
    """The density of the gamma distribution, from functions that have derivatives."""
    return xp.exp(xp.xlogy(a - 1, x) - x - xp.lgamma(a))


def missing(name: str) -> Callable[..., NoReturn]:
    """A rule for what has no derivative."""

    def rule(g: Any) -> NoReturn:
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return rule


EXAMPLES = [(positives(2, 3), positives(2, 3)), (positives(2, 3), positives(3))]


@op(elementwise=True, numbers=(), accepts=("float",), examples=EXAMPLES)
def igamma(xp, input, other, /):
    """The regularized lower incomplete gamma function.

    It is the share of the gamma distribution of shape `input` that lies below `other`; NaN if one
    of them is negative.
    """
    return incomplete(xp, input, other, False)


@op(elementwise=True, numbers=(), accepts=("float",), examples=EXAMPLES)
def igammac(xp, input, other, /):
    """The regularized upper incomplete gamma function, ``1 - igamma(input, other)``."""
    return incomplete(xp, input, other, True)


@op(elementwise=True, accepts=("float",), public=False, oracle=None, inplace=False)
def igamma_slope(xp, input, other, /, order):
    """The derivative of `igamma` by `input`, of first or second order."""
    return incomplete(xp, input, other, False, order)


def igamma_slope_rule(xp: Any, g: Any, input: Any, other: Any, order: int) -> Any:
    if order > 1:
        missing("igamma: input")(g)
    return g * xp.igamma_slope(input, other, order + 1)


derivative(
    igamma,
    input=lambda xp, g, input, other: g * xp.igamma_slope(input, other, 1),
    other=lambda xp, g, input, other: g * density(xp, input, other),
)
derivative(
    igammac,
    input=lambda xp, g, input, other: -g * xp.igamma_slope(input, other, 1),
    other=lambda xp, g, input, other: -g * density(xp, input, other),
)
derivative(
    igamma_slope,
    input=igamma_slope_rule,
    other=lambda xp, g, input, other, order: (
        g
        * density(xp, input, other)
        * (
            xp.log(other) - xp.digamma(input)
            if order == 1
            else (xp.log(other) - xp.digamma(input)) ** 2 - xp.polygamma_of(input, 1)
        )
    ),
)


# ---- random numbers


def gamma_logarithms(bits: Bits, shape: Any) -> Any:
    """Logarithms of numbers of the gamma distribution, for a vector of shapes.

    Marsaglia and Tsang, "A simple method for generating gamma variables", 2000, with the normal
    number made from a uniform one. A shape below 1 is raised by 1 and the number shrunk.
    """
    xp, count = bits.xp, shape.shape[0]
    shape = xp.clip(shape, min=2.0**-1000)
    small = shape < 1
    d = xp.where(small, shape + 1, shape) - 1 / 3
    c = 1 / xp.sqrt(9 * d)

    def propose(u: Any, v: Any) -> tuple[Any, Any]:
        x = sqrt(2) * xp.erfinv(2 * u - 1)
        root = 1 + c * x
        outside = root <= 0
        root = xp.where(outside, xp.ones_like(root), root)
        logarithm = 3 * xp.log(root)
        x = xp.where(outside, xp.zeros_like(x), x)
        room = 0.5 * x * x + d - d * root * root * root + d * logarithm
        # NaN is accepted, or it would never end
        refused = outside | (xp.log(xp.clip(v, min=2.0**-60)) >= room)
        return xp.log(d) + logarithm, ~refused

    result = accepted(bits, count, propose)
    shrunk = xp.log(xp.clip(fraction(bits, count, xp.float64, 2**31), min=2.0**-54))
    return result + xp.where(small, shrunk / shape, xp.zeros_like(result))


@op(promotes=None, accepts=("float",), public=False, node="StandardGammaBackward0", oracle=None)
def standard_gamma_at(xp: Any, input: Any, /, seed: int, offset: int) -> Any:
    """Numbers of the gamma distribution with the shapes `input`, never 0."""
    shapes = xp.reshape(xp.astype(input, xp.float64), (-1,))
    found = xp.exp(gamma_logarithms(Bits(xp, seed, offset), shapes))
    found = xp.astype(xp.reshape(found, input.shape), input.dtype)
    return xp.clip(found, min=float(xp.finfo(input.dtype).smallest_normal))


@op(elementwise=True, accepts=("float",), method=False, oracle=None, inplace=False)
def _standard_gamma_grad(xp: Any, input: Any, output: Any, /) -> Any:
    """How the numbers `output` of the gamma distribution move with their shapes `input`."""
    a, x = xp.astype(input, xp.float64), xp.astype(output, xp.float64)
    slope = xp.log(x) - xp.digamma(a)
    below, tail = gamma_tail(xp, a, x, lambda s: s + slope)
    return xp.astype(xp.where(below, -x * tail, x * tail), output.dtype)


derivative(
    standard_gamma_at, input=lambda xp, g, input, out: g * xp._standard_gamma_grad(input, out)
)
derivative(
    _standard_gamma_grad,
    input=missing("_standard_gamma_grad: self"),
    output=missing("_standard_gamma_grad: output"),
)


def _numbers(name: str, op: Any, input: Tensor, generator: Any) -> Tensor:
    return _reserved(_source(name, generator), input.numel(), 64, partial(op, input))


@composite(method=False, oracle=None)
def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Numbers of the gamma distribution with the shapes `input` and rate 1.

    Their gradients are implicit: a number keeps its place among the others as the shape changes.
    """
    return _numbers("_standard_gamma", standard_gamma_at, input, generator)


# ---- Dirichlet's distribution


@op(promotes=None, accepts=("float",), public=False, node="DirichletBackward0", oracle=None)
def sample_dirichlet_at(xp: Any, input: Any, /, seed: int, offset: int) -> Any:
    """Shares of 1, from the logarithms of numbers of the gamma distribution."""
    shapes = xp.reshape(xp.astype(input, xp.float64), (-1,))
    found = xp.reshape(gamma_logarithms(Bits(xp, seed, offset), shapes), input.shape)
    if prod(input.shape) == 0:
        return xp.astype(found, input.dtype)
    found = xp.exp(found - xp.max(found, axis=-1, keepdims=True))
    limits = xp.finfo(input.dtype)
    found = xp.astype(found / xp.sum(found, axis=-1, keepdims=True), input.dtype)
    return xp.clip(found, min=float(limits.smallest_normal), max=1 - float(limits.eps) / 2)


def beta_tail(xp: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """The integral of ``log(t) - E log(t)`` over a tail of the beta distribution.

    It is divided by the density at `x`, both of the logit of the variable; `y` is ``1 - x``. The
    tail is the one that goes down from the point, unless that has a plateau before its fall.
    """
    total = a + b
    slope = a - total * x
    down = xp.where(x < 0.5, (slope >= 0) | (total * x < 1), (slope >= 0) & (total * y >= 1))
    own, other = xp.where(down, a, b), xp.where(down, b, a)
    near = xp.where(down, x, y)
    width = xp.where(near < 0.5, xp.sqrt(own), xp.sqrt(a * b / total))
    scale = -1 / (xp.clip(xp.where(down, slope, -slope), min=0.0) + xp.minimum(own, width))
    mean = xp.digamma(total) - xp.digamma(a) + xp.log(x)

    def weighted(s: Any) -> Any:
        away = -xp.log1p(near * xp.expm1(s))
        towards = s + away
        ratio = xp.exp(own * towards + other * away)
        return ratio * (xp.where(down, towards, away) + mean)

    integral = xp.abs(scale) * summed(weighted, scale)
    return xp.where(down, -integral, integral)


@op(elementwise=True, accepts=("float",), method=False, oracle=None, inplace=False)
def _dirichlet_grad(xp: Any, x: Any, alpha: Any, total: Any, /) -> Any:
    """How a share `x` moves with its own shape, divided by what is left, ``1 - x``."""
    native = x.dtype
    x, a, total = (xp.astype(v, xp.float64) for v in (x, alpha, total))
    y = xp.clip(1 - x, min=2.0**-54)
    rest = xp.clip(total - a, min=2.0**-1000)
    return xp.astype(x * beta_tail(xp, a, rest, x, y), native)


def dirichlet_rule(xp: Any, g: Any, input: Any, out: Any) -> Any:
    """All shares shrink in proportion when one of them grows."""
    total = xp.broadcast_to(xp.sum(input, axis=-1, keepdims=True), input.shape)
    return xp._dirichlet_grad(out, input, total) * (g - xp.sum(out * g, axis=-1, keepdims=True))


derivative(sample_dirichlet_at, input=dirichlet_rule)
derivative(
    _dirichlet_grad,
    x=missing("_dirichlet_grad: x"),
    alpha=missing("_dirichlet_grad: alpha"),
    total=missing("_dirichlet_grad: total"),
)


@composite(method=False, oracle=None)
def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Numbers of Dirichlet's distribution: shares of 1 along the last dimension, by shapes `input`.

    Their gradients are implicit: a share keeps its place among the others as its shape changes.
    """
    return _numbers("_sample_dirichlet", sample_dirichlet_at, input, generator)
