"""Activations: functions between the layers of a network."""

from __future__ import annotations

import math
from typing import Any

from devtensor.dtype import bfloat16, float64, of
from devtensor.example import distinct, fixed, ints, unit
from devtensor.halves import apart, once
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import axis
from devtensor.ops.elementwise import back_to, half, kind, masked, no_complex, tanh

NAN = math.nan


def refuse(name: str, input: Any) -> None:
    """Raise the error for a dtype that an activation does not take."""
    raise NotImplementedError(
        f"\"{name}\" not implemented for '{of(input.dtype).legacy}': convert input of shape "
        f"{list(input.shape)} with .float()"
    )


# ---- linear in pieces ----


@op(
    rounds=None,
    elementwise=True,
    accepts=("float", "int"),
    refusal="Boolean inputs not supported for relu",
    refuses=no_complex("relu is not supported for complex types: they have no order"),
    examples=[((2, 3),), (ints(3, low=-3),), ((),)],
)
def relu(xp, input, /):
    """Negative numbers become 0."""
    return xp.maximum(input, 0)


# NaN counts as positive, so that it does not stop the gradient.
derivative(relu, input=lambda xp, g, out: xp.gate(g, out))


@op(rounds=None, elementwise=True, public=False, oracle=None, examples=[((2, 3), distinct(2, 3))])
def gate(xp, input, control, /):
    """`input` where `control` is positive or NaN, else 0."""
    return masked(xp, ~(control <= 0), input)


derivative(gate, input=lambda xp, g, control: xp.gate(g, control))


@op(
    elementwise=True,
    accepts=("float", "int"),
    refusal="Bool and complex inputs not supported for hardtanh",
    home="nn",
    method=False,
    examples=[((2, 3),), ((2, 3), -0.5, 0.25), (ints(6, low=-4),)],
)
def hardtanh(xp, input, /, min_val=-1.0, max_val=1.0):
    """Move numbers into the range from `min_val` to `max_val`.

    Raises
    ------
    ValueError
        If `min_val` is above `max_val`.
    """
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: got {min_val} and {max_val}")
    if kind(input) == "int":
        if min_val <= -1 and not of(input.dtype).is_signed:
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
        min_val, max_val = int(min_val), int(max_val)
    return xp.clamp(input, min_val, max_val)


derivative(
    hardtanh,
    input=lambda xp, g, input, min_val, max_val: masked(
        xp, ~((input <= min_val) | (input >= max_val)), g
    ),
)


@op(
    elementwise=True,
    accepts=("float", "int"),
    refusal="Bool and complex inputs not supported for hardtanh",
    home="nn",
    method=False,
    examples=[(fixed([-1.0, 0.5, 3.0, 7.0]),), (ints(6, low=-4, high=9),)],
)
def relu6(xp, input, /):
    """Move numbers into the range from 0 to 6."""
    return xp.clamp(input, 0, 6)


derivative(relu6, input=lambda xp, g, input: masked(xp, ~((input <= 0) | (input >= 6)), g))


@op(
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[(distinct(2, 3),), (distinct(2, 3), 0.3), (distinct(2, 3), -2.0)],
)
def leaky_relu(xp, input, /, negative_slope=0.01):
    """Negative numbers are multiplied by `negative_slope`."""
    return xp.where(input > 0, input, input * negative_slope)


derivative(
    leaky_relu,
    input=once(lambda xp, g, input, negative_slope: xp.where(input > 0, g, g * negative_slope)),
)


@op(
    elementwise=True,
    public=False,
    accepts=("float",),
    node="PreluKernelBackward0",
    oracle=None,
    examples=[(distinct(2, 3), (3,))],
)
def prelu_kernel(xp, input, weight, /):
    """Negative numbers are multiplied by `weight`."""
    return xp.where(input > 0, input, input * weight)


derivative(
    prelu_kernel,
    input=lambda xp, g, input, weight: xp.where(input > 0, g, g * weight),
    weight=lambda xp, g, input: xp.where(input > 0, xp.zeros_like(g), g * input),
)


@composite(
    method=True,
    examples=[
        (distinct(2, 3), (3,)),
        (distinct(2, 3, 4), (3,)),
        (distinct(4), (1,)),
        (distinct(2, 3), (1,)),
    ],
)
def prelu(input: Any, weight: Any) -> Any:
    """Negative numbers are multiplied by `weight`, which is learned.

    Parameters
    ----------
    input : Tensor
    weight : Tensor
        One number, or one to each channel, which is dimension 1.

    Raises
    ------
    RuntimeError
        If `weight` has another size or type.
    """
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype.legacy} and "
            f"{weight.dtype.legacy}: convert one with .to()"
        )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if weight.ndim and weight.shape[0] != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        if weight.shape[0] != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.shape[0]} and channel size = {channels}."
            )
        weight = weight.reshape((channels, *(1,) * (input.ndim - 2)))
    elif weight.ndim and not input.ndim:
        weight = weight.reshape(())
    return prelu_kernel(input, weight)


@composite(method=False, examples=[(distinct(2, 3),), (distinct(2, 3), 0.1, 0.5)])
def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> Any:
    """Negative numbers are multiplied by a slope, in training a random one to each.

    Parameters
    ----------
    input : Tensor
    lower, upper : float, optional
        Where the slopes lie.
    training : bool, optional
    generator : Generator, optional
        Makes the random slopes.

    Raises
    ------
    RuntimeError
        If `lower` is above `upper`.
    """
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}"
        )
    if training:
        slope = input.detach().clone().uniform_(lower, upper, generator=generator)
        return prelu_kernel(input, slope)
    return leaky_relu(input, (lower + upper) / 2)


@op(
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[(fixed([-4.0, -1.0, 2.0, 5.0]),)],
)
def hardsigmoid(xp, input, /):
    """`sigmoid` in three straight lines: ``(input + 3) / 6`` between 0 and 1."""
    return xp.clip(input + 3, 0, 6) / 6


derivative(
    hardsigmoid, input=once(lambda xp, g, input: masked(xp, (input > -3) & (input < 3), g / 6))
)


@op(
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[(fixed([-4.0, -1.0, 2.0, 5.0]),)],
)
def hardswish(xp, input, /):
    """`silu` with `hardsigmoid` in the place of `sigmoid`."""
    return input * (xp.clip(input + 3, 0, 6) / 6)


derivative(hardswish, input=lambda xp, g, input: xp.hardswish_slope(g, input))


@op(
    elementwise=True,
    accepts=("float",),
    public=False,
    oracle=None,
    examples=[((2, 3), fixed([-4.0, -1.0, 5.0]))],
)
def hardswish_slope(xp, input, x, /):
    """`input` times the slope of `hardswish` at `x`."""
    return masked(xp, ~(x <= -3), xp.where(x < 3, input * (x / 3 + 0.5), input))


derivative(
    hardswish_slope,
    input=lambda xp, g, x: xp.hardswish_slope(g, x),
    x=lambda xp, g, input, x: masked(xp, (x > -3) & (x < 3), g * input / 3),
)


@op(
    rounded="lambd",
    exact_out=True,
    elementwise=True,
    accepts=("float",),
    examples=[(distinct(2, 3),), (distinct(2, 3), 1.0)],
)
def hardshrink(xp, input, /, lambd=0.5):
    """Numbers from ``-lambd`` to `lambd` become 0."""
    return masked(xp, ~((input >= -lambd) & (input <= lambd)), input)


derivative(
    hardshrink,
    input=lambda xp, g, input, lambd: masked(xp, ~((input >= -lambd) & (input <= lambd)), g),
)


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[(distinct(2, 3),), (distinct(2, 3), 1.0)],
)
def softshrink(xp, input, /, lambd=0.5):
    """Move numbers towards 0 by `lambd`, but not beyond.

    Raises
    ------
    RuntimeError
        If `lambd` is negative.
    """
    if lambd < 0:
        raise RuntimeError(
            f"lambda must be in range [0, inf) for input dtype {of(input.dtype).legacy}, but "
            f"found {lambd}"
        )
    return input - xp.clip(input, -lambd, lambd)


derivative(
    softshrink,
    input=lambda xp, g, input, lambd: masked(xp, ~((input >= -lambd) & (input <= lambd)), g),
)


@op(
    elementwise=True,
    accepts=("float", "int"),
    method=False,
    examples=[(distinct(2, 3), 0.5, -2.0), (ints(6), 2, 1)],
)
def threshold(xp, input, /, threshold, value):
    """Numbers up to `threshold` become `value`."""
    if kind(input) == "int":
        threshold, value = int(threshold), int(value)
    return xp.where(input <= threshold, xp.full_like(input, value), input)


derivative(threshold, input=lambda xp, g, input, threshold: masked(xp, ~(input <= threshold), g))


# ---- curves ----


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),), ((),)])
def sigmoid(xp, input, /):
    """``1 / (1 + exp(-input))``: a number between 0 and 1."""
    return 1 / (1 + xp.exp(-input))


derivative(sigmoid, input=once(lambda g, out: g * (1 - out) * out, bfloat16))


@op(
    exact_out=True,
    node="LogSigmoidBackward0",
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[((2, 3),), (fixed([-50.0, 50.0]),)],
)
def logsigmoid(xp, input, /):
    """Logarithm of `sigmoid`, without overflow."""
    return xp.minimum(input, 0) - xp.log1p(xp.exp(-xp.abs(input)))


derivative(
    logsigmoid,
    input=apart(
        lambda xp, g, input: g * xp.sigmoid(-input),
        lambda xp, g, input: xp.logsigmoid_slope(g, input, xp.exp(-xp.abs(input))),
    ),
)


@op(
    elementwise=True,
    accepts=("float",),
    public=False,
    oracle=None,
    examples=[((2, 3), fixed([-1.0, 0.5, 1.0]), fixed([0.37, 0.61, 0.37]))],
)
def logsigmoid_slope(xp, input, x, part, /):
    """`input` times the slope of `logsigmoid` at `x`; `part` is ``exp(-abs(x))``, rounded."""
    slope = part / (1 + part)
    return input * xp.where(x < 0, 1 - slope, slope)


derivative(
    logsigmoid_slope,
    input=lambda xp, g, x, part: xp.logsigmoid_slope(g, x, part),
    part=lambda xp, g, input, x, part: (
        g * input * xp.where(x < 0, -xp.ones_like(x), xp.ones_like(x)) / ((1 + part) * (1 + part))
    ),
)


@op(
    elementwise=True,
    accepts=("float", "complex"),
    home="nn",
    method=False,
    examples=[((2, 3),), (fixed([-60.0, 60.0]),)],
)
def silu(xp, input, /):
    """`input` times its `sigmoid`."""
    return input / (1 + xp.exp(-input))


derivative(silu, input=lambda xp, g, input: xp.silu_slope(g, input))


@op(elementwise=True, public=False, oracle=None, examples=[((2, 3), (2, 3))])
def silu_slope(xp, input, x, /):
    """`input` times the slope of `silu` at `x`."""
    s = 1 / (1 + xp.exp(-x))
    return input * (s * (1 + x * (1 - s)))


def silu_bend(xp: Any, g: Any, input: Any, x: Any) -> Any:
    s = xp.sigmoid(x)
    return g * input * (s * (1 - s) * (2 + x * (1 - 2 * s)))


derivative(silu_slope, input=lambda xp, g, x: xp.silu_slope(g, x), x=silu_bend)


@op(
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[((2, 3),), (fixed([-60.0, 60.0]),)],
)
def mish(xp, input, /):
    """`input` times the hyperbolic tangent of its `softplus`."""
    return input * xp.tanh(xp.softplus(input))


def mish_rule(xp: Any, g: Any, input: Any) -> Any:
    t = xp.tanh(xp.softplus(input))
    return g * (t + input * xp.sigmoid(input) * (1 - t * t))


derivative(mish, input=once(mish_rule))


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[
        ((2, 3),),
        ((2, 3), {"beta": 2.0}),
        (fixed([-60.0, 19.0, 21.0]),),
        ((2, 3), 1.0, 0.5),
    ],
)
def softplus(xp, input, /, beta=1.0, threshold=20.0):
    """A smooth `relu`: ``log(1 + exp(beta * input)) / beta``.

    Parameters
    ----------
    input : Tensor
    beta : float, optional
    threshold : float, optional
        Where ``beta * input`` is above it, the result is `input` itself.
    """
    x = input if beta == 1 else input * beta
    curve = xp.logaddexp(x, xp.zeros_like(x))
    return xp.where(x > threshold, input, curve if beta == 1 else curve / beta)


derivative(
    softplus,
    input=once(
        lambda xp, g, input, beta, threshold: xp.where(
            input * beta > threshold, g, g * xp.sigmoid(input * beta)
        )
    ),
)


def exponential_unit(xp: Any, input: Any, size: float, rate: float, scale: float) -> Any:
    """``scale * input`` if positive, else a curve that falls to ``-scale * size``."""
    below = xp.expm1(xp.minimum(input, 0) * rate) * (size * scale)
    return xp.where(input > 0, input * scale, below)


def exponential_slope(xp: Any, g: Any, input: Any, size: float, rate: float, scale: float) -> Any:
    below = xp.clip(input, max=0)
    return g * xp.where(
        input > 0, xp.full_like(input, scale), xp.exp(below * rate) * (size * rate * scale)
    )


@op(
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[((2, 3),), ((2, 3), 0.5), (fixed([-90.0, 90.0]),)],
)
def elu(xp, input, /, alpha=1.0):
    """Negative numbers become ``alpha * (exp(input) - 1)``."""
    return exponential_unit(xp, input, alpha, 1, 1)


derivative(
    elu, input=once(lambda xp, g, input, alpha: exponential_slope(xp, g, input, alpha, 1, 1))
)


@op(
    elementwise=True,
    accepts=("float",),
    method=False,
    node="EluBackward0",
    examples=[((2, 3),), ((2, 3), 0.5)],
)
def celu(xp, input, /, alpha=1.0):
    """Negative numbers become ``alpha * (exp(input / alpha) - 1)``.

    Raises
    ------
    RuntimeError
        If `alpha` is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return exponential_unit(xp, input, alpha, 1 / alpha, 1)


derivative(
    celu,
    input=once(lambda xp, g, input, alpha: exponential_slope(xp, g, input, alpha, 1 / alpha, 1)),
)

# With these a layer keeps mean 0 and variance 1.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@op(elementwise=True, accepts=("float",), method=False, node="EluBackward0", examples=[((2, 3),)])
def selu(xp, input, /):
    """`elu`, scaled so that layers keep mean 0 and variance 1."""
    return exponential_unit(xp, input, SELU_ALPHA, 1, SELU_SCALE)


derivative(
    selu,
    input=once(lambda xp, g, input: exponential_slope(xp, g, input, SELU_ALPHA, 1, SELU_SCALE)),
)

ROOT = math.sqrt(2 / math.pi)
CUBE = 0.044715


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float",),
    home="nn",
    method=False,
    examples=[((2, 3),), ((2, 3), {"approximate": "tanh"}), (fixed([-20.0, 20.0]),)],
)
def gelu(xp, input, /, *, approximate="none"):
    """`input` times the part of a standard normal distribution that lies below it.

    Parameters
    ----------
    input : Tensor
    approximate : {"none", "tanh"}, optional
        ``"tanh"`` for a formula with a hyperbolic tangent that is nearly the same.

    Raises
    ------
    RuntimeError
        If `approximate` is another word.
    """
    if approximate == "none":
        return input * 0.5 * (1 + xp.erf(input * math.sqrt(0.5)))
    if approximate == "tanh":
        return input * 0.5 * (1 + xp.tanh(ROOT * (input + CUBE * input * input * input)))
    raise RuntimeError(
        f"approximate argument must be either none or tanh. Got approximate={approximate!r}"
    )


derivative(gelu, input=lambda xp, g, input, approximate: xp.gelu_slope(g, input, approximate))


@op(
    elementwise=True,
    public=False,
    oracle=None,
    examples=[((2, 3), (2, 3), "none"), ((2, 3), (2, 3), "tanh")],
)
def gelu_slope(xp, input, x, /, approximate):
    """`input` times the slope of `gelu` at `x`."""
    if approximate == "none":
        below = 0.5 * (1 + xp.erf(x * math.sqrt(0.5)))
        return input * (below + x * xp.exp(x * x * -0.5) * (ROOT / 2))
    t = xp.tanh(ROOT * (x + CUBE * x * x * x))
    return input * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * CUBE * x * x))


def gelu_bend(xp: Any, g: Any, input: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        return g * input * ((2 - x * x) * xp.exp(x * x * -0.5) * (ROOT / 2))
    t = xp.tanh(ROOT * (x + CUBE * x * x * x))
    rate = ROOT * (1 + 3 * CUBE * x * x)
    return g * input * ((1 - t * t) * (rate - x * t * rate * rate + 3 * CUBE * ROOT * x * x))


derivative(
    gelu_slope,
    input=lambda xp, g, x, approximate: xp.gelu_slope(g, x, approximate),
    x=gelu_bend,
)


@composite(method=False, home="nn", examples=[((2, 3),)])
def tanhshrink(input: Any) -> Any:
    """`input` minus its hyperbolic tangent."""
    return input - tanh(input)


@composite(method=False, home="nn", examples=[(distinct(2, 3),)])
def softsign(input: Any) -> Any:
    """``input / (1 + abs(input))``."""
    return input / (input.abs() + 1)


@composite(method=False, home="nn", examples=[((2, 4),), ((4, 3), {"dim": 0})])
def glu(input: Any, dim: int = -1) -> Any:
    """The first half of `input` along `dim` times the `sigmoid` of the second half.

    Raises
    ------
    RuntimeError
        If `dim` cannot be halved.
    """
    if not input.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    dim = axis(dim, input.ndim)
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]} in "
            "input of shape "
            f"{list(input.shape)}"
        )
    length = input.shape[dim] // 2
    return gated(*input.split_with_sizes((length, length), dim))


@op(
    elementwise=True,
    promotes="float",
    public=False,
    node="GluBackward0",
    oracle=None,
    examples=[((2, 3), (2, 3))],
)
def gated(xp, input, control, /):
    """`input` times the `sigmoid` of `control`."""
    return input * xp.sigmoid(control)


derivative(
    gated,
    input=lambda xp, g, control: xp.sigmoid(control) * g,
    control=lambda xp, g, input, control: xp.gated_slope(g, input, xp.sigmoid(control)),
)


@op(elementwise=True, public=False, oracle=None, examples=[((2, 3), (2, 3), unit(2, 3))])
def gated_slope(xp, input, x, part, /):
    """`input` times the slope of `gated` where `x` is let through by `part`."""
    return (1 - part) * part * x * input


derivative(
    gated_slope,
    input=lambda xp, g, x, part: xp.gated_slope(g, x, part),
    x=lambda xp, g, input, part: xp.gated_slope(g, input, part),
    part=lambda g, input, x, part: g * input * x * (1 - (part + part)),
)


# ---- numbers along a dimension as probabilities ----


def inexact(xp: Any, name: str, input: Any, dtype: Any) -> Any:
    """`input`, converted to `dtype` if given, which must be a floating type."""
    if dtype is not None:
        input = xp.astype(input, dtype, copy=False)
    if kind(input) != "float":
        refuse(name, input)
    return input


@op(
    rounds="once",
    ordered=True,
    exact_out=True,
    promotes=None,
    examples=[
        ((2, 3), 1),
        ((2, 3), 0),
        ((2, 3, 2), -2),
        ((), 0),
        ((0, 3), 1),
        ((2, 0), 1),
        (ints(2, 3), 1, {"dtype": float64}),
    ],
)
def softmax(xp, input, /, dim, dtype=None):
    """Turn numbers along `dim` into probabilities: their exponentials, divided by the sum of these.

    Parameters
    ----------
    input : Tensor
    dim : int
    dtype : dtype, optional
        Convert `input` to it first.

    Raises
    ------
    IndexError
        If there is no such dimension.
    """
    input = inexact(xp, "softmax", input, dtype)
    dim = axis(dim, input.ndim)
    if half(input):  # by `dtype`
        return xp.astype(xp.softmax(xp.astype(input, xp.float32), dim), input.dtype)
    if not input.ndim:
        return xp.ones_like(input) + (input - input)
    if 0 in input.shape:
        return xp.zeros_like(input)
    powers = xp.exp(input - xp.max(input, axis=dim, keepdims=True))
    return powers / xp.sum(powers, axis=dim, keepdims=True)


derivative(
    softmax,
    input=lambda xp, g, out, input_dtype, dim: back_to(
        xp, xp.softmax_slope(g, out, dim), input_dtype
    ),
)


@op(
    rounds="once",
    public=False,
    oracle=None,
    examples=[((2, 3), (2, 3), 1), ((2, 3), (2, 3), 0), ((), (), 0)],
)
def softmax_slope(xp, input, y, /, dim):
    """The gradient of the input of `softmax`, from that of its result `y`."""
    part = input * y
    total = xp.sum(part, axis=axis(dim, part.ndim), keepdims=True) if part.ndim else part
    return part - y * total


def softmax_bend(xp: Any, g: Any, input: Any, y: Any, dim: int) -> Any:
    def total(x: Any) -> Any:
        return xp.sum(x, axis=axis(dim, x.ndim), keepdims=True) if x.ndim else x

    return g * (input - total(input * y)) - input * total(g * y)


derivative(softmax_slope, input=lambda xp, g, y, dim: xp.softmax_slope(g, y, dim), y=softmax_bend)


@op(
    ordered=True,
    exact_out=True,
    promotes=None,
    examples=[
        ((2, 3), 1),
        ((2, 3), 0),
        ((2, 3, 2), -2),
        ((), 0),
        ((0, 3), 1),
        ((2, 0), 1),
        (ints(2, 3), 1, {"dtype": float64}),
    ],
)
def log_softmax(xp, input, /, dim, dtype=None):
    """Logarithm of `softmax`, without its loss of digits.

    Parameters
    ----------
    input : Tensor
    dim : int
    dtype : dtype, optional
        Convert `input` to it first.

    Raises
    ------
    IndexError
        If there is no such dimension.
    """
    input = inexact(xp, "log_softmax", input, dtype)
    dim = axis(dim, input.ndim)
    if half(input):
        return xp.astype(log_softmax.kernel(xp, xp.astype(input, xp.float32), dim), input.dtype)
    if not input.ndim:
        return input - input
    if 0 in input.shape:
        return xp.zeros_like(input)
    below = input - xp.max(input, axis=dim, keepdims=True)
    return below - xp.log(xp.sum(xp.exp(below), axis=dim, keepdims=True))


derivative(
    log_softmax,
    input=lambda xp, g, out, input_dtype, dim: back_to(
        xp, xp.log_softmax_slope(g, out, dim), input_dtype
    ),
)


@op(
    rounds="once",
    public=False,
    oracle=None,
    examples=[((2, 3), (2, 3), 1), ((2, 3), (2, 3), 0), ((), (), 0)],
)
def log_softmax_slope(xp, input, y, /, dim):
    """The gradient of the input of `log_softmax`, from that of its result `y`."""
    total = xp.sum(input, axis=axis(dim, input.ndim), keepdims=True) if input.ndim else input
    return input - xp.exp(y) * total


def log_softmax_turn(xp: Any, g: Any, y: Any, dim: int) -> Any:
    part = g * xp.exp(y)
    return g - (xp.sum(part, axis=axis(dim, part.ndim), keepdims=True) if part.ndim else part)


def log_softmax_bend(xp: Any, g: Any, input: Any, y: Any, dim: int) -> Any:
    total = xp.sum(input, axis=axis(dim, input.ndim), keepdims=True) if input.ndim else input
    return -g * xp.exp(y) * total


derivative(log_softmax_slope, input=log_softmax_turn, y=log_softmax_bend)
