"""Arithmetic and functions of numbers, element by element.

The operators `+`, `-` and `/` are operations of their own (`plus`, `minus`, `true_divide`): they
take no further arguments, so a backend can call its library's function directly.
"""

from __future__ import annotations

import math
from typing import Any

from devtensor.dtype import bfloat16, complex128, float64, get_default_dtype, int64, of, uint8
from devtensor.example import bools, distinct, fixed, ints, unit
from devtensor.example import positive as positives
from devtensor.halves import apart, once, rounded
from devtensor.op import composite, derivative, in_place, op
from devtensor.operands import was_number
from devtensor.ops.arguments import readable, require_tensors, various
from devtensor.ops.results import with_out
from devtensor.tensor import Tensor, on_tensor

LN2, LN10 = math.log(2), math.log(10)
ARITHMETIC = ("float", "complex", "int")
INEXACT = ("float", "complex")


def kind(x: Any) -> str:
    """The kind of numbers in an array or tensor, as ``"float"``."""
    return of(x.dtype).kind


def half(x: Any) -> bool:
    """Whether numbers are stored in two bytes: too few to add many of them."""
    return kind(x) == "float" and of(x.dtype).itemsize == 2


def widened(xp: Any, *xs: Any) -> list[Any]:
    """Numbers of two bytes as those of four, in which steps are computed; others as they are."""
    return [xp.astype(x, xp.float32) if x is not None and half(x) else x for x in xs]


def narrowed(xp: Any, like: Any, xs: Any) -> tuple[Any, ...]:
    """Results in the type of an operand."""
    return tuple([None if x is None else xp.astype(x, like.dtype) for x in xs])


def in_range(number: int, dtype: Any, name: str) -> None:
    """Refuse an integer that `dtype` cannot hold; small negative ones wrap around, as in C.

    Raises
    ------
    RuntimeError, OverflowError
        The latter if it does not even fit 64 bits.
    """
    reach = 2 ** (8 * dtype.itemsize - dtype.is_signed)
    if not -reach <= number < reach:
        error = RuntimeError if -(2**63) <= number < 2**64 else OverflowError
        raise error(
            f"value cannot be converted to type {dtype.name} without overflow: {name}() got "
            f"{number} beside {dtype!r}"
        )


def no_complex(text: str) -> Any:
    """What refuses complex operands with a text, as PyTorch does before it looks for a kernel."""

    def refuse(*inputs: Any) -> None:
        for x in inputs:
            if x is not None and kind_or_number(x) == "complex":
                raise NotImplementedError(text)

    return refuse


def masked(xp: Any, condition: Any, g: Any) -> Any:
    """`g` where `condition` holds, else 0."""
    return xp.where(condition, g, xp.zeros_like(g))


def back_to(xp: Any, g: Any, dtype: Any) -> Any:
    """A gradient in the type `dtype` of the input, where the kernel has converted it."""
    return g if g.dtype == dtype else xp.astype(g, dtype)


# ---- sums and differences ----


def times_alpha(name: str, x: Any, alpha: Any) -> Any:
    """`x` times `alpha`, a number that must fit the kind of `x`."""
    if alpha is True and kind(x) == "bool":
        return x
    if isinstance(alpha, bool) and kind(x) != "bool":
        raise RuntimeError(
            f"Boolean alpha only supported for Boolean results. {name}() got alpha={alpha} for "
            f"{of(x.dtype)!r}"
        )
    if isinstance(alpha, float) and kind(x) in ("int", "bool"):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number. "
            f"{name}() got alpha={alpha} for {of(x.dtype)!r}"
        )
    if isinstance(alpha, complex) and kind(x) != "complex":
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number. "
            f"{name}() got alpha={alpha} for {of(x.dtype)!r}"
        )
    if kind(x) == "bool":
        return x if alpha else x ^ x
    if kind(x) == "int" and alpha < 0 and not of(x.dtype).is_signed:
        alpha %= 2 ** (8 * of(x.dtype).itemsize)
    return x * alpha


@op(
    elementwise=True,
    public=False,
    operator="add",
    node="AddBackward0",
    oracle=lambda torch, a, b: a + b,
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), 2.5), ((), (2,)), (ints(2, 3), (2, 3))],
)
def plus(xp, input, other, /):
    """What ``+`` does."""
    return xp.add(input, other)


derivative(plus, input=lambda g: g, other=lambda g: g)


@op(
    elementwise=True,
    rounded="alpha",
    examples=[((2, 3), (3,)), ((2, 3), (2, 1), {"alpha": 2.5}), ((2, 3), 2, {"alpha": -1})],
)
def add(xp, input, other, /, *, alpha=1):
    """Add `alpha` times `other` to `input`.

    Parameters
    ----------
    input, other : Tensor or number
        They broadcast.
    alpha : number, optional
        A factor of `other`.

    Raises
    ------
    RuntimeError
        If `alpha` is of a higher kind than the result, as a float for integers.
    """
    if alpha == 1 and alpha is not True:
        return xp.add(input, other)
    return xp.add(input, times_alpha("add", other, alpha))


derivative(add, input=lambda g: g, other=lambda xp, g, alpha: g if alpha == 1 else xp.mul(g, alpha))


def no_bools(input, other):
    """Refuse to subtract from or by bools."""
    bools = [kind_or_number(x) == "bool" for x in (input, other)]
    if all(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` "
            "or `logical_xor()` operator instead."
        )
    if any(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )


@op(
    elementwise=True,
    public=False,
    operator="sub",
    node="SubBackward0",
    accepts=ARITHMETIC,
    refuses=no_bools,
    oracle=lambda torch, a, b: a - b,
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), (2.5, (2, 3)), ((), ())],
)
def minus(xp, input, other, /):
    """What ``-`` does."""
    return xp.subtract(input, other)


derivative(minus, input=lambda g: g, other=lambda g: -g)


@op(
    elementwise=True,
    rounded="alpha",
    aliases=("subtract",),
    accepts=ARITHMETIC,
    refuses=no_bools,
    examples=[((2, 3), (3,)), ((2, 3), (2, 1), {"alpha": 2.5}), ((2, 3), 2)],
)
def sub(xp, input, other, /, *, alpha=1):
    """Subtract `alpha` times `other` from `input`.

    Parameters
    ----------
    input, other : Tensor or number
        They broadcast.
    alpha : number, optional
        A factor of `other`.

    Raises
    ------
    RuntimeError
        For bool tensors, and if `alpha` is of a higher kind than the result.
    """
    if alpha == 1 and alpha is not True:
        return xp.subtract(input, other)
    return xp.subtract(input, times_alpha("sub", other, alpha))


derivative(sub, input=lambda g: g, other=lambda xp, g, alpha: xp.mul(g, -alpha))


@op(
    elementwise=True,
    rounded="alpha",
    method=False,
    numbers=("other",),
    accepts=ARITHMETIC,
    refuses=no_bools,
    examples=[((2, 3), (3,)), ((2, 3), 2.5, {"alpha": 2})],
)
def rsub(xp, input, other, /, *, alpha=1):
    """Subtract `alpha` times `input` from `other`."""
    return xp.subtract(other, times_alpha("rsub", input, alpha))


derivative(rsub, input=lambda xp, g, alpha: xp.mul(g, -alpha), other=lambda g: g)


# ---- products and quotients ----


@op(
    elementwise=True,
    keeps=True,
    operator="mul",
    aliases=("multiply",),
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), 2.5), ((), (2,)), ((2, 3), ints(3))],
)
def mul(xp, input, other, /):
    """Multiply `input` by `other`."""
    return xp.multiply(input, other)


derivative(mul, input=lambda g, other: g * other, other=lambda g, input: g * input)


def quotient_rule(g: Any, input: Any, other: Any) -> Any:
    """The gradient of a divisor."""
    return -g * (input / other / other)


@op(
    elementwise=True,
    keeps=True,
    promotes="float",
    operator="truediv",
    node="DivBackward0",
    examples=[
        ((2, 3), positives(2, 3)),
        ((2, 3), positives(3)),
        ((2, 3), 2.5),
        (1, positives(2)),
        (ints(3), positives(3)),
    ],
)
def true_divide(xp, input, other, /):
    """Divide `input` by `other`; integers give floats."""
    return xp.divide(input, other)


derivative(true_divide, input=lambda g, other: g / other, other=quotient_rule)


def refuse_zero(xp: Any, other: Any) -> None:
    """Integers cannot be divided by 0."""
    if kind(other) == "int" and xp.any(other == 0):
        raise RuntimeError(
            "ZeroDivisionError: division of integers by 0; convert the tensors with .float() for "
            "inf and nan"
        )


def rounded_quotient(xp: Any, input: Any, other: Any, rounding_mode: str) -> Any:
    if rounding_mode == "floor":
        refuse_zero(xp, other)
        return xp.floor_divide(input, other)
    if rounding_mode == "trunc":
        if kind(input) != "int":
            return xp.trunc(xp.divide(input, other))
        refuse_zero(xp, other)
        low = xp.floor_divide(input, other)
        short = xp.logical_and(low < 0, low * other != input)
        return low + xp.astype(short, low.dtype)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


@op(
    elementwise=True,
    keeps=True,
    aliases=("divide",),
    examples=[
        ((2, 3), positives(2, 3)),
        ((2, 3), 2.5, {"rounding_mode": "floor"}),
        (ints(2, 3, low=-5), ints(3, low=1)),
        (ints(6, low=-9, high=9), ints(6, low=1), {"rounding_mode": "trunc"}),
        (ints(6, low=-9, high=9), -4, {"rounding_mode": "floor"}),
    ],
)
def div(xp, input, other, /, *, rounding_mode=None):
    """Divide `input` by `other`.

    Parameters
    ----------
    input, other : Tensor or number
        They broadcast.
    rounding_mode : {None, "trunc", "floor"}, optional
        None: no rounding; integers give floats. ``"trunc"``: towards 0. ``"floor"``: down.

    Raises
    ------
    RuntimeError
        For another `rounding_mode`, and if integers are divided by 0 and rounded.
    """
    if rounding_mode is not None:
        if kind(input) in ("complex", "bool"):
            raise NotImplementedError(
                f"\"div_{rounding_mode}_cpu\" not implemented for '{of(input.dtype).legacy}': only "
                "quotients of real numbers are rounded; convert with .to()"
            )
        return rounded_quotient(xp, input, other, rounding_mode)
    if kind(input) in ("int", "bool"):
        inexact = getattr(xp, get_default_dtype().name)
        input, other = xp.astype(input, inexact), xp.astype(other, inexact)
    return xp.divide(input, other)


derivative(
    div,
    input=lambda xp, g, other, rounding_mode: (
        g / other if rounding_mode is None else xp.zeros_like(g)
    ),
    other=lambda xp, g, input, other, rounding_mode: (
        quotient_rule(g, input, other) if rounding_mode is None else xp.zeros_like(g)
    ),
)


@op(
    elementwise=True,
    keeps=True,
    operator="floordiv",
    accepts=("float", "int"),
    examples=[
        (ints(6, low=-9, high=9), ints(6, low=1)),
        (ints(6, low=-9, high=9), -4),
        (7, ints(3, low=1)),
        (positives(3), 0.75),
    ],
)
def floor_divide(xp, input, other, /):
    """Divide and round down.

    Raises
    ------
    RuntimeError
        If integers are divided by 0.
    """
    refuse_zero(xp, other)
    return xp.floor_divide(input, other)


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="mod",
    accepts=("float", "int"),
    examples=[
        ((2, 3), positives(2, 3)),
        ((2, 3), -0.7),
        (5.5, positives(3)),
        (ints(6, low=-9, high=9), -4),
    ],
)
def remainder(xp, input, other, /):
    """What is left of `input` after division by `other`, rounded down; it has the sign of `other`.

    Where nothing is left, the 0 has the sign of `input`.

    Raises
    ------
    RuntimeError
        If integers are divided by 0.
    """
    refuse_zero(xp, other)
    rest = xp.remainder(input, other)
    return rest if kind(rest) == "int" else xp.where(rest == 0, xp.copysign(rest, input), rest)


derivative(
    remainder, input=lambda g: g, other=lambda xp, g, input, other: -g * xp.floor(input / other)
)


@op(
    numbers=("other",),
    elementwise=True,
    accepts=("float", "int"),
    examples=[((2, 3), positives(2, 3)), ((2, 3), -0.7), (ints(6, low=-9, high=9), -4)],
)
def fmod(xp, input, other, /):
    """What is left of `input` after division by `other`, rounded towards 0.

    It has the sign of `input`.

    Raises
    ------
    RuntimeError
        If integers are divided by 0.
    """
    refuse_zero(xp, other)
    if kind(input) == "int":  # the size of the least one is none of the type
        rest = xp.remainder(input, other)
        return xp.where((rest != 0) & ((rest < 0) != (input < 0)), rest - other, rest)
    return xp.copysign(xp.remainder(xp.abs(input), xp.abs(other)), input)


derivative(fmod, input=lambda g: g, other=lambda xp, g, input, other: -g * xp.trunc(input / other))


def power_base_rule(xp: Any, g: Any, input: Any, exponent: Any) -> Any:
    if not (getattr(exponent, "shape", ()) or various(exponent)):
        number = float if kind_or_number(exponent) != "complex" else complex
        value = number(exponent) if readable(exponent) else None
        if value in (0, 1, 2):
            return xp.zeros_like(g) if value == 0 else g if value == 1 else g * (input + input)
        return g * (input ** (exponent - 1) * exponent)
    # The power -1 of an exponent 0 may be inf or NaN, but the slope is 0.
    lower = xp.where(exponent == 0, xp.ones_like(exponent), exponent - 1)
    return g * (exponent * input**lower)


def half_power_base_rule(xp: Any, g: Any, input: Any, exponent: Any) -> Any:
    if half(exponent) or various(exponent):  # of as many exponents, in steps that are rounded
        return power_base_rule(xp, g, input, exponent)
    if readable(exponent) and float(exponent) == 0:
        return xp.zeros_like(g)
    return g * xp.mul(xp.operation("pow")(input, exponent - 1), exponent)


def kind_or_number(x: Any) -> str:
    """`kind`, also of Python numbers."""
    return kind(x) if hasattr(x, "dtype") else type(x).__name__


def power_exponent_rule(xp: Any, g: Any, input: Any, exponent: Any, out: Any) -> Any:
    part = xp.real(exponent) if kind(exponent) == "complex" else exponent
    flat = xp.logical_and(input + xp.zeros_like(exponent) == 0, part >= 0)
    slope = out * xp.log(xp.where(flat, xp.ones_like(out), input + xp.zeros_like(out)))
    return g * xp.where(flat, xp.zeros_like(slope), slope)


NO_FRACTION = (
    "Integers to negative integer powers are not allowed: pow() would give fractions. Convert the "
    "base with .float() first."
)


def no_fraction(base, exponent):
    """Refuse a number as the power of integers that would be a fraction, or is out of range."""
    number = isinstance(exponent, int) and not isinstance(exponent, bool)
    if not number or not hasattr(base, "dtype") or kind(base) != "int":
        return
    if exponent < 0:
        raise RuntimeError(NO_FRACTION)
    in_range(exponent, of(base.dtype), "pow")


def half_power(xp: Any, input: Any, exponent: Any) -> Any:
    """`pow` of numbers of two bytes; of two numbers one may be in full, and is rounded first."""
    short = input.dtype if half(input) else exponent.dtype
    if xp._device.backend.host and of(short) is bfloat16 and not exponent.ndim:
        if exponent == 3:  # PyTorch rounds each product
            return input * input * input
        if exponent == -2:
            return xp.reciprocal(input * input)
    given = [x if half(x) else xp.astype(x, short) for x in (input, exponent)]
    return xp.astype(xp.pow(*widened(xp, *given)), short)


@op(
    rounds=None,
    keeps=True,
    numbers=("input", "exponent"),
    elementwise=True,
    operator="pow",
    refuses=no_fraction,
    examples=[
        (positives(2, 3), (2, 3)),
        ((2, 3), 2),
        ((2, 3), 3.0),
        (positives(2, 3), 0.5),
        (2.5, (2, 3)),
        (ints(2, 3), ints(2, 3)),
        (fixed([0.0, 1.0]), 0),
    ],
)
def pow(xp, input, exponent, /):
    """Raise `input` to the power `exponent`.

    Raises
    ------
    RuntimeError
        If integers are raised to a negative Python number; to tensors of such they are, and the
        fractions are cut to 0.
    """
    if half(input) or half(exponent):
        return half_power(xp, input, exponent)
    if kind(input) == "bool":
        return xp.logical_or(input, xp.logical_not(exponent))
    if kind(input) == "int" and of(exponent.dtype).is_signed and xp.any(exponent < 0):
        if not exponent.ndim and was_number(exponent, xp._device):
            raise RuntimeError(NO_FRACTION)
        # A fraction is cut to 0; 1 and -1 are their own reciprocals.
        power = xp.pow(input, xp.where(exponent < 0, exponent % 2, exponent))
        kept = xp.logical_or(exponent >= 0, xp.abs(input) == 1)
        return xp.where(kept, power, xp.zeros_like(power))
    return xp.pow(input, exponent)


def half_power_exponent_rule(xp: Any, g: Any, input: Any, exponent: Any, out: Any) -> Any:
    if half(input):
        return power_exponent_rule(xp, g, input, exponent, out)
    slope = xp.mul(out, xp.log(xp.where(input == 0, xp.ones_like(input), input)))
    return g * xp.where(xp.logical_and(input == 0, exponent < 0), -out, slope)


derivative(
    pow,
    input=apart(power_base_rule, half_power_base_rule),
    exponent=apart(power_exponent_rule, half_power_exponent_rule),
)


@composite(
    method=True,
    examples=[(positives(2, 3), (2, 3)), (ints(2, 3, low=1), -1.5)],
    oracle=lambda torch, *args: torch.float_power(*args),
)
@with_out(over=True)
def float_power(input: Any, exponent: Any) -> Any:
    """Raise `input` to the power `exponent` in float64 (complex128 for complex numbers)."""
    wide = complex128 if "complex" in map(kind_or_number, (input, exponent)) else float64
    return pow(*[x.to(wide) if hasattr(x, "dtype") else x for x in (input, exponent)])


@op(
    exact_out=True,
    elementwise=True,
    operator="neg",
    aliases=("negative",),
    accepts=ARITHMETIC,
    examples=[((2, 3),), (ints(3),)],
    refusal="Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
    "invert a mask, use the "
    "`~` or `logical_not()` operator instead.",
)
def neg(xp, input, /):
    """The numbers with the other sign."""
    return xp.negative(input)


derivative(neg, input=lambda g: -g)


@composite(method=True, examples=[((2, 3),), (ints(3),)])
def positive(input: Any) -> Any:
    """The tensor itself; it may not hold bools."""
    if kind(input) == "bool":
        raise RuntimeError(
            "The `+` operator, on a bool tensor is not supported: positive() got torch.bool of "
            f"shape {list(input.shape)}"
        )
    return input


@on_tensor
class Positive:
    """The operator ``+`` of one operand, which makes no new tensor."""

    def __pos__(self: Any) -> Any:
        return positive(self)


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def reciprocal(xp, input, /):
    """1 divided by `input`."""
    return xp.reciprocal(input)


derivative(reciprocal, input=lambda g, out: -g * (out * out))

# ---- sign and size ----


@op(
    exact_out=True,
    elementwise=True,
    operator="abs",
    aliases=("absolute",),
    accepts=ARITHMETIC,
    complex_rules=True,
    examples=[(distinct(2, 3),), (ints(3, low=-4),)],
)
def abs(xp, input, /):
    """Absolute values."""
    return xp.abs(input)


derivative(abs, input=lambda xp, g, input: g * xp.sgn(input))


@composite(method=True, aliases=("absolute_",), examples=[(distinct(2, 3),)])
def abs_(input: Any) -> Any:
    """The in-place form of :func:`abs`, which complex numbers have none of."""
    if input.dtype.kind == "complex":
        raise RuntimeError(
            "In-place abs is not supported for complex tensors: abs() returns real numbers"
        )
    return in_place(abs)(input)


def signs(xp: Any, input: Any) -> Any:
    """The sign of NaN is 0, as in PyTorch; of complex numbers with NaN it is NaN."""
    if kind(input) == "bool":
        return xp.asarray(input, copy=True)
    found = xp.sign(input)
    if kind(input) == "complex":
        return found
    return xp.where(found != found, xp.zeros_like(found), found)


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float", "int", "bool"),
    refuses=no_complex(
        "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn "
        "instead."
    ),
    examples=[(distinct(2, 3),), (ints(3, low=-4),)],
)
def sign(xp, input, /):
    """-1, 0 or 1, as the number is negative, 0 (or NaN) or positive."""
    return signs(xp, input)


derivative(sign, input=lambda xp, g: xp.zeros_like(g))


@op(
    exact_out=True,
    elementwise=True,
    complex_rules=True,
    examples=[(distinct(2, 3),), (ints(3, low=-4),)],
)
def sgn(xp, input, /):
    """The sign; of a complex number, the number of size 1 in its direction."""
    return signs(xp, input)


def sgn_rule(xp: Any, g: Any, input: Any) -> Any:
    if kind(input) != "complex":
        return xp.zeros_like(g)
    size = xp.abs(input)
    sign = xp.sgn(input)
    along = xp.astype(xp.real(xp.conj(sign) * g), g.dtype)
    # Across the direction the sign turns, along it nothing changes; at 0 it has no direction.
    return (g - along * sign) / xp.where(size == 0, xp.ones_like(size), size) * xp.abs(sign)


derivative(sgn, input=sgn_rule)


@op(
    numbers=("other",),
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[(distinct(2, 3), distinct(2, 3)), (distinct(3), -1)],
)
def copysign(xp, input, other, /):
    """The size of `input` with the sign of `other`; the sign of 0 counts."""
    return xp.copysign(input, other)


derivative(
    copysign,
    input=lambda xp, g, input, out: g * xp.sign(input) * xp.sign(out),
    other=lambda xp, g: xp.zeros_like(g),
)


@op(exact_out=True, elementwise=True, examples=[((2, 3),)])
def conj_physical(xp, input, /):
    """The complex conjugate; real numbers as they are."""
    return xp.conj(input) if kind(input) == "complex" else xp.asarray(input, copy=True)


derivative(conj_physical, input=lambda xp, g: xp.conj_physical(g))


@composite(method=True, examples=[((2, 3),)])
def conj(input: Any) -> Any:
    """The complex conjugate; a real tensor itself."""
    return conj_physical(input) if input.dtype.is_complex else input


# ---- powers, exponentials and logarithms ----


@op(elementwise=True, examples=[((2, 3),), (ints(3, low=-4),), (bools(3),)])
def square(xp, input, /):
    """`input` times itself; bools as int64."""
    return xp.square(input if input.dtype != xp.bool else xp.astype(input, xp.int64))


derivative(square, input=lambda g, input: g * (input + input))


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def sqrt(xp, input, /):
    """Square root."""
    return xp.sqrt(input)


derivative(sqrt, input=lambda g, out: g / (out + out))


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def rsqrt(xp, input, /):
    """1 divided by the square root."""
    return 1 / xp.sqrt(input)


derivative(
    rsqrt,
    input=apart(
        lambda xp, g, out: -0.5 * g * (out * out * out),
        lambda xp, g, out: xp.mul(g, -0.5) * xp.operation("pow")(out, xp.asarray(3)),
    ),
)


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def exp(xp, input, /):
    """e to the power `input`."""
    return xp.exp(input)


derivative(exp, input=lambda g, out: g * out)


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def exp2(xp, input, /):
    """2 to the power `input`."""
    return 2**input


derivative(exp2, input=lambda xp, g, out: xp.mul(g * out, LN2))


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def expm1(xp, input, /):
    """e to the power `input`, minus 1; exact near 0."""
    return xp.expm1(input)


derivative(expm1, input=lambda g, out: g * (out + 1))


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def log(xp, input, /):
    """Natural logarithm."""
    return xp.log(input)


derivative(log, input=lambda g, input: g / input)


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def log2(xp, input, /):
    """Logarithm to the base 2."""
    return xp.log2(input)


derivative(log2, input=lambda xp, g, input: g / xp.mul(input, LN2))


@op(elementwise=True, promotes="float", examples=[(positives(2, 3),), (ints(3, low=1),)])
def log10(xp, input, /):
    """Logarithm to the base 10."""
    return xp.log10(input)


derivative(log10, input=lambda xp, g, input: g / xp.mul(input, LN10))


@op(
    node="Log1PBackward0",
    elementwise=True,
    promotes="float",
    examples=[(positives(2, 3),), (ints(3),)],
)
def log1p(xp, input, /):
    """Natural logarithm of ``1 + input``; exact near 0."""
    return xp.log1p(input)


derivative(log1p, input=lambda g, input: g / (input + 1))


@op(
    numbers=(),
    elementwise=True,
    accepts=("float", "complex"),
    examples=[((2, 3), (2, 3)), ((2, 3), (3,))],
)
def logaddexp(xp, input, other, /):
    """Logarithm of the sum of the exponentials of `input` and `other`, without overflow."""
    return log_add(xp, input, other)


def log_add(xp: Any, input: Any, other: Any) -> Any:
    """`logaddexp` of arrays, which libraries have for real numbers alone."""
    if kind(input) != "complex":
        return xp.logaddexp(input, other)
    first = xp.real(input) >= xp.real(other)
    large, small = xp.where(first, input, other), xp.where(first, other, input)
    # What is infinite in both has no difference; the larger one is then the result.
    endless = xp.logical_and(xp.isinf(xp.real(large)), xp.real(large) == xp.real(small))
    away = xp.where(endless, xp.zeros_like(small), small - large)
    grown = large + xp.log1p(xp.exp(away))
    both = xp.log(xp.exp(large) + xp.exp(small))
    return xp.where(endless, xp.where(xp.real(large) < 0, large, both), grown)


derivative(
    logaddexp,
    input=lambda xp, g, input, other: g / (1 + xp.exp(other - input)),
    other=lambda xp, g, input, other: g / (1 + xp.exp(input - other)),
)


@op(numbers=(), elementwise=True, accepts=("float",), examples=[((2, 3), (2, 3)), ((2, 3), (3,))])
def logaddexp2(xp, input, other, /):
    """Logarithm to the base 2 of the sum of the powers of 2, without overflow."""
    return xp.logaddexp(input * LN2, other * LN2) / LN2


derivative(
    logaddexp2,
    input=lambda g, input, other: g / (1 + 2 ** (other - input)),
    other=lambda g, input, other: g / (1 + 2 ** (input - other)),
)


@op(
    rounds="steps",
    numbers=("input", "other"),
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[((2, 3), positives(2, 3)), (fixed([0.0, 1.0]), 2.0), (2, positives(3))],
)
def xlogy(xp, input, other, /):
    """`input` times the logarithm of `other`; 0 where `input` is 0, unless `other` is NaN."""
    flat = xp.logical_and(input == 0, other == other)
    return xp.where(
        flat, xp.zeros_like(input), input * xp.log(xp.where(flat, xp.ones_like(other), other))
    )


def xlogy_rule(xp: Any, g: Any, input: Any, other: Any) -> Any:
    flat = xp.logical_and(input == 0, other <= 0)
    return xp.where(flat, xp.zeros_like(g), g * xp.log(other + xp.zeros_like(g)))


derivative(xlogy, input=xlogy_rule, other=lambda g, input, other: g * input / other)


@op(
    rounds="steps",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[(fixed([0.2, 0.5, 0.9]),), (fixed([-0.5, 0.2, 0.5, 0.9]), {"eps": 0.3})],
)
def logit(xp, input, /, eps=None):
    """The inverse of `sigmoid`: the logarithm of ``input / (1 - input)``.

    Parameters
    ----------
    input : Tensor
    eps : float, optional
        First move numbers into the range from `eps` to ``1 - eps``.
    """
    if eps is not None:
        input = xp.clip(input, eps, 1 - eps)
    return xp.log(input / (1 - input))


def logit_rule(xp: Any, g: Any, input: Any, eps: float | None) -> Any:
    low = 0.0 if eps is None else eps
    inside = xp.logical_and(input >= low, input <= 1 - low)
    slope = g / (input * (1 - input))
    return xp.where(inside, slope, xp.full_like(slope, math.nan if eps is None else 0.0))


derivative(logit, input=logit_rule)


# ---- angles ----


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def sin(xp, input, /):
    """Sine."""
    return xp.sin(input)


derivative(sin, input=lambda xp, g, input: g * xp.cos(input))


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def cos(xp, input, /):
    """Cosine."""
    return xp.cos(input)


derivative(cos, input=lambda xp, g, input: g * -xp.sin(input))


@op(elementwise=True, promotes="float", examples=[(unit(2, 3),), (ints(3),)])
def tan(xp, input, /):
    """Tangent."""
    return xp.tan(input)


derivative(tan, input=lambda g, out: g * (1 + out * out))


@op(
    elementwise=True,
    promotes="float",
    aliases=("arcsin",),
    examples=[(unit(2, 3),), (ints(3, high=2),)],
)
def asin(xp, input, /):
    """The angle, in radians, whose sine is `input`."""
    return xp.asin(input)


derivative(asin, input=lambda xp, g, input: g * xp.rsqrt(1 - input * input))


@op(
    elementwise=True,
    promotes="float",
    aliases=("arccos",),
    examples=[(unit(2, 3),), (ints(3, high=2),)],
)
def acos(xp, input, /):
    """The angle, in radians, whose cosine is `input`."""
    return xp.acos(input)


derivative(acos, input=lambda xp, g, input: g * -xp.rsqrt(1 - input * input))


@op(elementwise=True, promotes="float", aliases=("arctan",), examples=[((2, 3),), (ints(3),)])
def atan(xp, input, /):
    """The angle, in radians, whose tangent is `input`."""
    return xp.atan(input)


derivative(atan, input=lambda g, input: g / (input * input + 1))


def atan2_rule(xp: Any, g: Any, input: Any, other: Any, numerator: Any) -> Any:
    size = input * input + other * other
    slope = g * numerator * xp.reciprocal(xp.where(size == 0, xp.ones_like(size), size))
    return masked(xp, size != 0, slope)


@op(
    numbers=(),
    elementwise=True,
    promotes="float",
    accepts=("float",),
    aliases=("arctan2",),
    examples=[(distinct(2, 3), distinct(2, 3)), (distinct(2, 3), positives(3))],
)
def atan2(xp, input, other, /):
    """The angle, in radians, of the point ``(other, input)``, in all four quadrants."""
    return xp.atan2(input, other)


derivative(
    atan2,
    input=lambda xp, g, input, other: atan2_rule(xp, g, input, other, other),
    other=lambda xp, g, input, other: atan2_rule(xp, g, input, other, -input),
)


@op(numbers=(), elementwise=True, accepts=("float",), examples=[((2, 3), (2, 3)), ((2, 3), (3,))])
def hypot(xp, input, other, /):
    """Length of the hypotenuse of a right triangle with these sides."""
    return xp.hypot(input, other)


derivative(
    hypot,
    input=lambda g, input, out: g * input / out,
    other=lambda g, other, out: g * other / out,
)


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def sinh(xp, input, /):
    """Hyperbolic sine."""
    return xp.sinh(input)


derivative(sinh, input=lambda xp, g, input: g * xp.cosh(input))


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),)])
def cosh(xp, input, /):
    """Hyperbolic cosine."""
    return xp.cosh(input)


derivative(cosh, input=lambda xp, g, input: g * xp.sinh(input))


@op(elementwise=True, promotes="float", examples=[((2, 3),), (ints(3),), ((),), ((0, 3),)])
def tanh(xp, input, /):
    """Hyperbolic tangent."""
    return xp.tanh(input)


derivative(tanh, input=once(lambda g, out: g * (1 - out * out)))


@op(elementwise=True, promotes="float", aliases=("arcsinh",), examples=[((2, 3),), (ints(3),)])
def asinh(xp, input, /):
    """Inverse of the hyperbolic sine."""
    return xp.asinh(input)


derivative(asinh, input=lambda xp, g, input: g * xp.rsqrt(input * input + 1))


@op(
    elementwise=True,
    promotes="float",
    aliases=("arccosh",),
    examples=[(fixed([1.5, 2.0, 4.0]),), (ints(3, low=2),)],
)
def acosh(xp, input, /):
    """Inverse of the hyperbolic cosine."""
    return xp.acosh(input)


derivative(acosh, input=lambda xp, g, input: g * xp.rsqrt(input * input - 1))


@op(elementwise=True, promotes="float", aliases=("arctanh",), examples=[(unit(2, 3),)])
def atanh(xp, input, /):
    """Inverse of the hyperbolic tangent."""
    return xp.atanh(input)


derivative(atanh, input=lambda g, input: g / (1 - input * input))


@op(
    node="Deg2RadBackward0",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[((2, 3),), (ints(3),)],
    refusal="deg2rad is not supported for complex tensors.",
)
def deg2rad(xp, input, /):
    """Degrees to radians."""
    return input * (math.pi / 180)


derivative(deg2rad, input=lambda xp, g: xp.mul(g, math.pi / 180))


@op(
    node="Rad2DegBackward0",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[((2, 3),), (ints(3),)],
    refusal="rad2deg is not supported for complex tensors.",
)
def rad2deg(xp, input, /):
    """Radians to degrees."""
    return input * (180 / math.pi)


derivative(rad2deg, input=lambda xp, g: xp.mul(g, 180 / math.pi))


@op(
    elementwise=True,
    promotes="float",
    examples=[(distinct(2, 3),), (fixed([0.0, 0.5, 2.0]),), (ints(3),)],
)
def sinc(xp, input, /):
    """``sin(pi * input) / (pi * input)``, which is 1 at 0."""
    angle = xp.where(input == 0, xp.ones_like(input), input) * math.pi
    return xp.where(input == 0, xp.ones_like(input), xp.sin(angle) / angle)


def sinc_rule(xp: Any, g: Any, input: Any) -> Any:
    small = xp.abs(input) < 1e-3
    x = xp.where(small, xp.ones_like(input), input)
    angle = x * math.pi
    far = (xp.cos(angle) - xp.sin(angle) / angle) / x
    # Close to 0 its series, so that the slope of the slope is right there, too.
    near = input * (input * input * (math.pi**4 / 30) - math.pi**2 / 3)
    return g * xp.where(small, near, far)


def half_sinc_rule(xp: Any, g: Any, input: Any) -> Any:
    square = xp.mul(input * input, math.pi)
    angle, safe = xp.mul(input, math.pi), xp.where(square == 0, xp.ones_like(square), square)
    slope = g * ((angle * xp.cos(angle) - xp.sin(angle)) / safe)
    return xp.where(square == 0, xp.zeros_like(slope), slope)


derivative(sinc, input=apart(sinc_rule, half_sinc_rule))


@op(
    elementwise=True,
    promotes="float",
    complex_rules=True,
    examples=[(distinct(2, 3),), (ints(3, low=-2, high=2),)],
)
def angle(xp, input, /):
    """The angle of complex numbers in radians; for real ones 0, or pi if negative."""
    if kind(input) == "complex":
        return xp.atan2(xp.imag(input), xp.real(input))
    flat = xp.where(input < 0, xp.full_like(input, math.pi), xp.zeros_like(input))
    return xp.where(input != input, input, flat)


def angle_rule(xp: Any, g: Any, input: Any) -> Any:
    if kind(input) != "complex":
        return xp.zeros_like(g)
    size = xp.abs(input)
    flat = size == 0
    return xp.sgn(input) * 1j * masked(xp, ~flat, g / xp.where(flat, xp.ones_like(size), size))


derivative(angle, input=angle_rule)


# ---- rounding ----


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float", "int"),
    examples=[(distinct(2, 3),), (ints(3),)],
)
def floor(xp, input, /):
    """The largest whole number that is not above `input`."""
    return xp.floor(input)


derivative(floor, input=lambda xp, g: xp.zeros_like(g))


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float", "int"),
    examples=[(distinct(2, 3),), (ints(3),)],
)
def ceil(xp, input, /):
    """The smallest whole number that is not below `input`."""
    return xp.ceil(input)


derivative(ceil, input=lambda xp, g: xp.zeros_like(g))


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float", "int"),
    aliases=("fix",),
    examples=[(distinct(2, 3),), (ints(3),)],
)
def trunc(xp, input, /):
    """The nearest whole number towards 0."""
    return xp.trunc(input)


derivative(trunc, input=lambda xp, g: xp.zeros_like(g))


@op(exact_out=True, elementwise=True, accepts=("float",), examples=[(distinct(2, 3),)])
def frac(xp, input, /):
    """What remains after the point; it has the sign of `input`."""
    return input - xp.trunc(input)


derivative(frac, input=lambda g: g)


@op(
    exact_out=True,
    elementwise=True,
    accepts=("float", "int"),
    examples=[
        (distinct(2, 3),),
        (ints(3),),
        (distinct(2, 3), {"decimals": 1}),
        (distinct(2, 3), {"decimals": -1}),
    ],
)
def round(xp, input, /, *, decimals=0):
    """The nearest whole number; halves go to the even one.

    Parameters
    ----------
    input : Tensor
    decimals : int, optional
        How many digits to keep after the point; negative: digits before it become 0.

    Raises
    ------
    RuntimeError
        If `decimals` is given for integers.
    """
    if decimals == 0:
        return xp.round(input)
    if kind(input) == "int":
        raise NotImplementedError(
            f"\"round_cpu\" not implemented for '{of(input.dtype).legacy}' with "
            f"decimals={decimals}: convert with .float()"
        )
    if decimals > 0:
        return xp.round(input * 10.0**decimals) / 10.0**decimals
    return xp.round(input / 10.0**-decimals) * 10.0**-decimals


derivative(round, input=lambda xp, g: xp.zeros_like(g))


# ---- the larger and the smaller ----


@op(
    numbers=(),
    elementwise=True,
    accepts=("float", "int", "bool"),
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        (ints(3), ints(3)),
        (fixed([1.0, 2.0]), fixed([1.0, 0.0])),
    ],
    refusal="maximum not implemented for complex tensors.",
)
def maximum(xp, input, other, /):
    """The larger of two numbers, or NaN if one is; equal ones share the gradient."""
    return xp.maximum(input, other)


def half_of_ties(xp: Any, g: Any, wins: Any, ties: Any) -> Any:
    return xp.where(wins, xp.where(ties, g / 2, g), xp.zeros_like(g))


derivative(
    maximum,
    input=lambda xp, g, input, other: half_of_ties(xp, g, ~(input < other), input == other),
    other=lambda xp, g, input, other: half_of_ties(xp, g, ~(other < input), input == other),
)


@op(
    numbers=(),
    elementwise=True,
    accepts=("float", "int", "bool"),
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        (ints(3), ints(3)),
        (fixed([1.0, 2.0]), fixed([1.0, 0.0])),
    ],
    refusal="minimum not implemented for complex tensors.",
)
def minimum(xp, input, other, /):
    """The smaller of two numbers, or NaN if one is; equal ones share the gradient."""
    return xp.minimum(input, other)


derivative(
    minimum,
    input=lambda xp, g, input, other: half_of_ties(xp, g, ~(input > other), input == other),
    other=lambda xp, g, input, other: half_of_ties(xp, g, ~(other > input), input == other),
)


@op(
    numbers=(),
    elementwise=True,
    accepts=("float", "int", "bool"),
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), (ints(3), ints(3))],
    refusal="fmax not implemented for complex tensors.",
)
def fmax(xp, input, other, /):
    """The larger of two numbers; a number beats NaN."""
    return xp.where(
        input != input, other, xp.where(other != other, input, xp.maximum(other, input))
    )  # in that order, as libraries give the second of two zeros, and PyTorch the first


derivative(
    fmax,
    input=lambda xp, g, input, other: masked(xp, (input >= other) | (other != other), g),
    other=lambda xp, g, input, other: masked(xp, ~((input >= other) | (other != other)), g),
)


@op(
    numbers=(),
    elementwise=True,
    accepts=("float", "int", "bool"),
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), (ints(3), ints(3))],
    refusal="fmin not implemented for complex tensors.",
)
def fmin(xp, input, other, /):
    """The smaller of two numbers; a number beats NaN."""
    return xp.where(
        input != input, other, xp.where(other != other, input, xp.minimum(other, input))
    )


derivative(
    fmin,
    input=lambda xp, g, input, other: masked(xp, (input <= other) | (other != other), g),
    other=lambda xp, g, input, other: masked(xp, ~((input <= other) | (other != other)), g),
)

no_complex_clamp = no_complex(
    "clamp is not supported for complex types: they have no order; convert with .real or .abs()"
)


@op(
    elementwise=True,
    accepts=("float", "int", "bool"),
    aliases=("clip",),
    refuses=no_complex_clamp,
    examples=[
        ((2, 3), -0.5, 0.5),
        ((2, 3), None, 0.5),
        ((2, 3), 0),
        (ints(6), 1, 3),
        (ints(6), 0.5),
        ((2, 3), (3,), positives(2, 1)),
        ((2, 3), (3,)),
        ((2, 3), None, (3,)),
    ],
)
def clamp(xp, input, min=None, max=None, /):
    """Move numbers into a range.

    Parameters
    ----------
    input : Tensor
    min, max : Tensor or number, optional
        The ends; one may be left out. Where `min` is above `max`, the result is `max`.

    Raises
    ------
    RuntimeError
        If there is neither `min` nor `max`.
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None:
        input = xp.maximum(input, min)
    return input if max is None else xp.minimum(input, max)


def clamp_rule(xp: Any, g: Any, input: Any, min: Any, max: Any) -> Any:
    if min is None or max is None:
        return masked(xp, input <= max if min is None else input >= min, g)
    return masked(xp, (input >= min) & (input <= max), g)


def clamp_min_rule(xp: Any, g: Any, input: Any, min: Any, max: Any) -> Any:
    return masked(xp, input < min if max is None else (input < min) & (min < max), g)


def clamp_max_rule(xp: Any, g: Any, input: Any, min: Any, max: Any) -> Any:
    return masked(xp, input > max if min is None else (input > max) | (max < min), g)


derivative(clamp, input=clamp_rule, min=clamp_min_rule, max=clamp_max_rule)


@op(
    numbers=("min",),
    elementwise=True,
    accepts=("float", "int", "bool"),
    refuses=no_complex_clamp,
    examples=[((2, 3), 0.5), ((2, 3), (3,)), (ints(6), 2)],
)
def clamp_min(xp, input, min, /):
    """Raise numbers below `min` to it."""
    return xp.maximum(input, min)


derivative(
    clamp_min,
    input=lambda xp, g, input, min: masked(xp, input >= min, g),
    min=lambda xp, g, input, min: masked(xp, input < min, g),
)


@op(
    numbers=("max",),
    elementwise=True,
    accepts=("float", "int", "bool"),
    refuses=no_complex_clamp,
    examples=[((2, 3), 0.5), ((2, 3), (3,)), (ints(6), 2)],
)
def clamp_max(xp, input, max, /):
    """Lower numbers above `max` to it."""
    return xp.minimum(input, max)


derivative(
    clamp_max,
    input=lambda xp, g, input, max: masked(xp, input <= max, g),
    max=lambda xp, g, input, max: masked(xp, input > max, g),
)


# ---- several at once ----


@op(
    elementwise=True,
    keeps=True,
    exact_out=lambda input, end, weight: hasattr(weight, "dtype"),
    promotes=None,
    numbers=("weight",),
    examples=[((2, 3), (2, 3), 0.25), ((2, 3), (3,), (2, 1)), ((2, 3), (2, 3), 0.75)],
)
def lerp(xp, input, end, weight, /):
    """Go from `input` to `end`, by the part `weight` of the way.

    Parameters
    ----------
    input, end : Tensor
    weight : Tensor or number
        0 gives `input`, 1 gives `end`; both exactly.

    Raises
    ------
    RuntimeError
        If the tensors are not of one type.
    NotImplementedError
        For integers and bools.
    """
    dtype = of(input.dtype)
    number = not weight.ndim and dtype.kind not in INEXACT  # it could not be of the same type
    number = number or (half(input) and not weight.ndim)  # in float32
    for name, x in (("end", end), ("weight", input if number else weight)):
        if x.dtype != input.dtype:
            raise RuntimeError(
                f"expected dtype {dtype.legacy.lower()} for `{name}` but got dtype "
                f"{of(x.dtype).legacy.lower()}: lerp() takes one type; convert with .to()"
            )
    if dtype.kind not in INEXACT:
        raise NotImplementedError(
            f"\"lerp_kernel\" not implemented for '{dtype.legacy}': lerp() takes float and complex "
            "tensors; convert with .to()"
        )
    if number and weight.dtype != input.dtype:
        weight = xp.astype(weight, xp.float32)
    input, end, weight = widened(xp, input, end, weight)
    way = end - input
    return xp.where(xp.abs(weight) < 0.5, input + weight * way, end - way * (1 - weight))


derivative(
    lerp,
    input=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, input, end: g * (end - input),
)


def scaled(xp: Any, x: Any, value: Any) -> Any:
    """`x` times the number `value`, in the type of `x`."""
    if kind(x) == "int":
        value = int(value)
    return x if value == 1 else xp.mul(x, value)


@op(
    elementwise=True,
    accepts=ARITHMETIC,
    examples=[
        ((2, 3), (2, 3), (3,)),
        ((2, 3), (2, 1), (3,), {"value": -0.5}),
        (ints(3), ints(3), ints(3), {"value": 2}),
    ],
)
def addcmul(xp, input, tensor1, tensor2, /, *, value=1):
    """Add `value` times `tensor1` times `tensor2` to `input`."""
    return xp.add(input, scaled(xp, xp.multiply(tensor1, tensor2), value))


derivative(
    addcmul,
    input=lambda g: g,
    tensor1=lambda xp, g, tensor2, value: g * scaled(xp, tensor2, value),
    tensor2=lambda xp, g, tensor1, value: g * scaled(xp, tensor1, value),
)


@op(
    elementwise=True,
    accepts=INEXACT,
    examples=[((2, 3), (2, 3), positives(3)), ((2, 3), (2, 1), positives(3), {"value": -0.5})],
    refusal="Integer division with addcdiv is no longer supported: convert the tensors with "
    ".float().",
)
def addcdiv(xp, input, tensor1, tensor2, /, *, value=1):
    """Add `value` times `tensor1` divided by `tensor2` to `input`."""
    return xp.add(input, scaled(xp, xp.divide(tensor1, tensor2), value))


derivative(
    addcdiv,
    input=lambda g: g,
    tensor1=apart(
        lambda xp, g, tensor2, value: g * (value / tensor2),
        lambda xp, g, tensor2, value: (
            g * xp.true_divide(rounded(float(value), of(tensor2.dtype)), tensor2)
        ),
    ),
    tensor2=lambda xp, g, tensor1, tensor2, value: (
        -g * (scaled(xp, tensor1, value) / (tensor2 * tensor2))
    ),
)


@op(
    elementwise=True,
    public=False,
    among=("input", "other"),
    node="WhereBackward0",
    oracle=lambda torch, *args: torch.where(*args),
    examples=[
        (fixed([[True, False]]), (2, 2), (2, 1)),
        (fixed([True, False]), (2,), 1.5),
        (fixed([True, False]), 1.5, 2),
    ],
)
def choose(xp, condition, input, other, /):
    """`input` where `condition` is true, else `other`."""
    if kind(condition) != "bool":
        if of(condition.dtype) is uint8:  # masks of older programs
            return xp.where(condition != 0, input, other)
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{of(condition.dtype).legacy} and shape {list(condition.shape)}; write condition != 0"
        )
    return xp.where(condition, input, other)


derivative(
    choose,
    input=lambda xp, g, condition: masked(xp, condition, g),
    other=lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g),
)


def chosen(condition: Any, input: Any, other: Any) -> Any:
    """`choose`, which Python's integers must fit."""
    for one, two in ((input, other), (other, input)):
        if isinstance(one, int) and not isinstance(one, bool):
            beside = two.dtype if hasattr(two, "dtype") else int64
            if beside.kind == "int":
                in_range(one, beside, "where")
    return choose(condition, input, other)


@composite(
    method=False,
    examples=[
        (fixed([[True, False]]), (2, 2), (2, 1)),
        (fixed([True, False]), (2,), 1.5),
        (bools(2, 3),),
    ],
)
@with_out(over=True)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` is true, else `other`.

    Parameters
    ----------
    condition : Tensor
        Of bools.
    input, other : Tensor or number
        All three broadcast. Without them the result is a tuple with the indices, along each
        dimension, of what is true.

    Raises
    ------
    RuntimeError
        If `condition` is not of bools.
    TypeError
        If only one of `input` and `other` is given.
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if input is None or other is None:
        raise TypeError("where() takes both input and other, or neither of them")
    return chosen(condition, input, other)


@on_tensor
class Where:
    """The method `where`, whose first argument is the condition."""

    def where(self: Any, condition: Any, other: Any) -> Any:
        """The tensor where `condition` is true, else `other`; see :func:`where`."""
        return chosen(condition, self, other)


# ---- numbers as they are stored ----


def ends(xp: Any, dtype: Any) -> tuple[float, float]:
    """The smallest and the largest finite number of a floating dtype."""
    info = xp.finfo(dtype)
    return float(info.min), float(info.max)


@op(
    rounds=None,
    exact_out=True,
    elementwise=True,
    examples=[
        (fixed([1.0, float("nan"), float("inf"), -float("inf")]),),
        ((2, 3), {"nan": 1.0, "posinf": 2.0, "neginf": 3.0}),
        (ints(3),),
    ],
)
def nan_to_num(xp, input, /, nan=0.0, posinf=None, neginf=None):
    """Put finite numbers in the place of NaN and infinities.

    Parameters
    ----------
    input : Tensor
    nan : float, optional
        In the place of NaN.
    posinf, neginf : float, optional
        In the place of inf and -inf; by default the largest and smallest finite numbers.
    """
    if kind(input) in ("int", "bool"):
        return xp.asarray(input, copy=True)
    if kind(input) == "complex":
        parts = [
            nan_to_num.kernel(xp, part(input), nan, posinf, neginf) for part in (xp.real, xp.imag)
        ]
        return xp.astype(parts[0], input.dtype) + parts[1] * 1j
    low, high = ends(xp, input.dtype)
    out = xp.where(
        input == math.inf, xp.full_like(input, high if posinf is None else posinf), input
    )
    out = xp.where(input == -math.inf, xp.full_like(input, low if neginf is None else neginf), out)
    return xp.where(input != input, xp.full_like(input, 0.0 if nan is None else nan), out)


derivative(nan_to_num, input=lambda xp, g, input: masked(xp, xp.isfinite(input), g))


@op(
    exact_out=True,
    numbers=(),
    elementwise=True,
    promotes=None,
    accepts=("float", "int", "bool"),
    examples=[(fixed([-1.0, 0.0, 2.0]), (3,)), (ints(3, low=-1, high=2), ints(3))],
    refusal="heaviside is not yet implemented for complex tensors.",
)
def heaviside(xp, input, values, /):
    """0 for negative numbers (and NaN), 1 for positive ones, `values` for 0."""
    if input.dtype != values.dtype:
        raise RuntimeError(
            "heaviside is not yet implemented for tensors with different dtypes: got "
            f"{of(input.dtype)!r} and {of(values.dtype)!r}; convert one with .to()"
        )
    return xp.where(input == 0, values, xp.astype(input > 0, input.dtype))


@composite(method=True, examples=[((2, 3), ints(2, 3)), ((2, 3), ints(3))])
@with_out(casts=True)
def ldexp(input: Any, other: Any) -> Any:
    """`input` times 2 to the power `other`."""
    require_tensors("ldexp", input=input, other=other)
    if input.dtype.is_floating_point and kind(other) == "bool":
        raise NotImplementedError(
            "\"ldexp\" not implemented for 'Bool': the exponents `other` must be numbers, got "
            f"torch.bool of shape {list(other.shape)}"
        )
    power = pow(2.0, other)
    if input.dtype.is_floating_point and kind(other) == "int":
        power = power.to(input.dtype)
    return mul(input, power)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float",),
    outputs=("mantissa", "exponent"),
    examples=[(distinct(2, 3),), (fixed([0.0, 1.0, -8.0]),)],
    refusal="torch.frexp() only supports floating-point dtypes",
)
def frexp(xp, input, /):
    """Split numbers into a mantissa from 0.5 to 1 and a power of 2.

    Returns
    -------
    mantissa : Tensor
        Has the sign of `input`.
    exponent : Tensor
        int32; ``mantissa * 2**exponent`` is `input`.
    """
    ordinary = xp.logical_and(xp.isfinite(input), input != 0)
    x = xp.where(ordinary, input, xp.ones_like(input))
    exponent = xp.floor(xp.log2(xp.abs(x))) + 1
    half = xp.floor(exponent / 2)  # In two steps, as 2**exponent may overflow.
    mantissa = x / 2**half / 2 ** (exponent - half)
    # The logarithm may have been rounded up or down to the wrong whole number.
    shift = xp.astype(xp.abs(mantissa) >= 1, x.dtype) - xp.astype(xp.abs(mantissa) < 0.5, x.dtype)
    mantissa, exponent = mantissa / 2**shift, exponent + shift
    return (
        xp.where(ordinary, mantissa, input),
        xp.astype(xp.where(ordinary, exponent, xp.zeros_like(exponent)), xp.int32),
    )


derivative(frexp, input=lambda xp, gs, exponent: gs[0] / 2.0 ** xp.astype(exponent, gs[0].dtype))


@op(rounds=None, numbers=(), elementwise=True, accepts=("float",), examples=[((2, 3), (2, 3))])
def nextafter(xp, input, other, /):
    """The next number that the type can store, from `input` towards `other`."""
    if not half(input):
        return xp.nextafter(input, other)
    # CuPy computes NaN from infinities, and others keep the wrong sign of 0. By their bits, the
    # numbers of either sign count up from 0.
    onward = xp.astype((input > 0) == (other > input), xp.int16) * 2 - 1
    bits = xp.where(
        input == 0,
        xp.astype(other < 0, xp.int16) * -32768 + 1,
        xp.reinterpret(input, xp.int16) + onward,
    )
    bits = xp.where(input == other, xp.reinterpret(other, xp.int16), bits)
    found = xp.reinterpret(bits, input.dtype)
    return xp.where((input != input) | (other != other), input + other, found)


derivative(
    nextafter,
    input=lambda xp, g, input, other: masked(xp, input != other, g),
    other=lambda xp, g, input, other: masked(xp, input == other, g),
)


# ---- whole numbers ----


@op(
    numbers=(),
    elementwise=True,
    accepts=("int",),
    examples=[(ints(6, low=-20, high=20), ints(6, low=-20, high=20))],
)
def gcd(xp, input, other, /):
    """Greatest common divisor, never negative; 0 for two zeros."""
    a, b = xp.broadcast_arrays(input, other)
    while xp.any(b != 0):
        done = b == 0
        a, b = (
            xp.where(done, a, b),
            xp.where(done, b, xp.remainder(a, xp.where(done, xp.ones_like(b), b))),
        )
    return xp.abs(a)


@op(
    numbers=(),
    elementwise=True,
    accepts=("int",),
    examples=[(ints(6, low=-20, high=20), ints(6, low=-20, high=20))],
)
def lcm(xp, input, other, /):
    """Least common multiple, never negative; 0 if one number is 0."""
    divisor = gcd.kernel(xp, input, other)
    return xp.abs(
        xp.floor_divide(input, xp.where(divisor == 0, xp.ones_like(divisor), divisor)) * other
    )


# ---- special functions ----


@op(elementwise=True, promotes="float", accepts=("float",), examples=[((2, 3),), (ints(3),)])
def erf(xp, input, /):
    """The error function."""
    return xp.erf(input)


def bell(xp: Any, input: Any, height: float) -> Any:
    """A bell curve of that height."""
    return xp.mul(xp.exp(-(input * input)), height)


derivative(erf, input=lambda xp, g, input: bell(xp, input, 2 / math.sqrt(math.pi)) * g)


@op(elementwise=True, promotes="float", accepts=("float",), examples=[((2, 3),), (ints(3),)])
def erfc(xp, input, /):
    """1 minus the error function."""
    return xp.erfc(input)


derivative(erfc, input=lambda xp, g, input: bell(xp, input, -2 / math.sqrt(math.pi)) * g)


@op(elementwise=True, promotes="float", accepts=("float",), examples=[(unit(2, 3),)])
def erfinv(xp, input, /):
    """The inverse of the error function."""
    return xp.erfinv(input)


derivative(erfinv, input=lambda xp, g, out: xp.mul(xp.exp(out * out), math.sqrt(math.pi) / 2) * g)


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[(positives(2, 3),), (ints(3, low=1),)],
)
def lgamma(xp, input, /):
    """Natural logarithm of the absolute value of the gamma function."""
    return xp.lgamma(input)


derivative(lgamma, input=lambda xp, g, input: g * xp.digamma(input))


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[(positives(2, 3),), (ints(3, low=1),)],
)
def digamma(xp, input, /):
    """The slope of `lgamma`."""
    return xp.digamma(input)


derivative(digamma, input=lambda xp, g, input: g * xp.polygamma(1, input))


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    public=False,
    node="PolygammaBackward0",
    examples=[(positives(2, 3), 1), (positives(2, 3), 2)],
    oracle=lambda torch, input, n: torch.polygamma(n, input),
)
def polygamma_of(xp, input, /, n):
    """The `n`-th derivative of `digamma`."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got n={n}")
    return xp.digamma(input) if n == 0 else xp.polygamma(n, input)


derivative(polygamma_of, input=lambda xp, g, input, n: g * xp.polygamma(n + 1, input))


@composite(method=True, examples=[(1, positives(2, 3)), (0, positives(2, 3)), (2, ints(3, low=1))])
@with_out(casts=True)
def polygamma(n: Any, input: Any) -> Any:
    """The `n`-th derivative of `digamma`; as a method, of the tensor: ``input.polygamma(n)``.

    Raises
    ------
    RuntimeError
        If `n` is negative.
    """
    return polygamma_of(n, input) if isinstance(n, Tensor) else polygamma_of(input, n)


@composite(method=True, examples=[(positives(2, 3), 2), (fixed([3.0, 4.5]), 3)])
@with_out(casts=True)
def mvlgamma(input: Any, p: int) -> Any:
    """Logarithm of the multivariate gamma function of dimension `p`.

    Raises
    ------
    RuntimeError
        If `p` is not positive.
    """
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, got p={p}")
    if kind(input) == "bool":
        raise RuntimeError(
            "The input tensor may not be a boolean tensor: mvlgamma() got shape "
            f"{list(input.shape)}"
        )
    total = lgamma(input) + p * (p - 1) / 4 * math.log(math.pi)
    for j in range(1, p):
        total = total + lgamma(input - j / 2)
    return total


def bessel(xp: Any, x: Any, order: int) -> Any:
    """The modified Bessel function of the first kind times ``exp(-x)``; order 0 or 1, x >= 0.

    Up to 30 by the trapezoidal rule on its integral, which for periodic functions converges at
    once; above by the asymptotic series.
    """
    near = xp.where(x > 30, xp.ones_like(x), x)
    count = 32
    total = (1 + (-1) ** order * xp.exp(-2 * near)) / 2
    for k in range(1, count):
        cosine = math.cos(math.pi * k / count)
        total = total + xp.exp(near * (cosine - 1)) * cosine**order
    far = xp.where(x > 30, x, xp.full_like(x, 30.0))
    term = series = xp.ones_like(far)
    for k in range(1, 16):
        term = term * (((2 * k - 1) ** 2 - 4 * order) / (8 * k)) / far
        series = series + term
    return xp.where(x > 30, series / xp.sqrt(2 * math.pi * far), total / count)


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    examples=[((2, 3),), (ints(3),), (fixed([-40.0, 10.0, 0.0]),)],
)
def i0(xp, input, /):
    """The modified Bessel function of the first kind, of order 0."""
    return xp.i0(input)


derivative(i0, input=lambda xp, g, input: g * xp.special_i1(input))


@op(
    node="SpecialI0EBackward0",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[((2, 3),), (fixed([-40.0, 10.0, 0.0]),)],
    oracle=lambda torch, x: torch.special.i0e(x),
)
def special_i0e(xp, input, /):
    """`i0` times ``exp(-abs(input))``."""
    return bessel(xp, xp.abs(input), 0)


derivative(
    special_i0e, input=lambda xp, g, input, out: g * (xp.special_i1e(input) - xp.sign(input) * out)
)


@op(
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[((2, 3),), (fixed([-40.0, 10.0, 0.0]),)],
    oracle=lambda torch, x: torch.special.i1(x),
)
def special_i1(xp, input, /):
    """The modified Bessel function of the first kind, of order 1."""
    size = xp.abs(input)
    return xp.sign(input) * xp.exp(size) * bessel(xp, size, 1)


def ratio_at_zero(xp: Any, out: Any, input: Any) -> Any:
    """The function of order 1 divided by its argument, which is 1/2 at 0."""
    x = xp.where(input == 0, xp.ones_like(input), input)
    return xp.where(input == 0, xp.full_like(input, 0.5), out / x)


derivative(
    special_i1, input=lambda xp, g, input, out: g * (xp.i0(input) - ratio_at_zero(xp, out, input))
)


@op(
    node="SpecialI1EBackward0",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[((2, 3),), (fixed([-40.0, 10.0, 0.0]),)],
    oracle=lambda torch, x: torch.special.i1e(x),
)
def special_i1e(xp, input, /):
    """`special_i1` times ``exp(-abs(input))``."""
    return xp.sign(input) * bessel(xp, xp.abs(input), 1)


derivative(
    special_i1e,
    input=lambda xp, g, input, out: (
        g * (xp.special_i0e(input) - xp.sign(input) * out - ratio_at_zero(xp, out, input))
    ),
)


@op(
    rounds="steps",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[((2, 3),), (ints(3),)],
    oracle=lambda torch, x: torch.special.ndtr(x),
)
def special_ndtr(xp, input, /):
    """The part of a standard normal distribution that lies below `input`."""
    if half(input):
        x = xp.mul(input, math.sqrt(0.5))
        return xp.mul(xp.where(x < -1, xp.erfc(-x), 1 + xp.erf(x)), 0.5)
    return xp.erfc(input * -math.sqrt(0.5)) / 2


derivative(
    special_ndtr,
    input=lambda xp, g, input: (
        xp.mul(g, math.sqrt(1 / (2 * math.pi))) * xp.exp(-(input * input / 2))
    ),
)


@op(
    rounds="steps",
    numbers=("input", "other"),
    node="SpecialXlog1PyBackward0",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[((2, 3), positives(2, 3)), (fixed([0.0, 1.0]), 2.0), (2, positives(3))],
    oracle=lambda torch, *args: torch.special.xlog1py(*args),
)
def special_xlog1py(xp, input, other, /):
    """`input` times the logarithm of ``1 + other``; 0 where `input` is 0, unless `other` is NaN."""
    flat = xp.logical_and(input == 0, other == other)
    return xp.where(
        flat, xp.zeros_like(input), input * xp.log1p(xp.where(flat, xp.ones_like(other), other))
    )


def half_xlog1py_rule(xp: Any, g: Any, input: Any, other: Any) -> Any:
    flat = xp.logical_and(input == 0, other <= -1)
    return masked(xp, ~flat, g * xp.log1p(xp.where(flat, xp.zeros_like(other), other)))


derivative(
    special_xlog1py,
    input=apart(lambda xp, g, input, other: xlogy_rule(xp, g, input, other + 1), half_xlog1py_rule),
    other=lambda g, input, other: g * input / (other + 1),
)


@op(
    rounds="steps",
    elementwise=True,
    promotes="float",
    accepts=("float",),
    home="special",
    method=False,
    examples=[(positives(2, 3),), (fixed([0.0, 1.0, -1.0]),)],
    oracle=lambda torch, x: torch.special.entr(x),
)
def special_entr(xp, input, /):
    """Entropy to each element: ``-x * log(x)``; 0 at 0 and -inf below."""
    inside = xp.where(input > 0, input, xp.ones_like(input))
    below = xp.where(input < 0, xp.full_like(input, -math.inf), xp.zeros_like(input))
    return xp.where(input > 0, -input * xp.log(inside), xp.where(input != input, input, below))


derivative(special_entr, input=lambda xp, g, input: g * (-1 - xp.log(input)))
