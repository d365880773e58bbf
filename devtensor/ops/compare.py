"""Questions about numbers: comparison, logic, bits, and whether tensors agree."""

from __future__ import annotations

import math
from typing import Any

from devtensor.dtype import of
from devtensor.example import bools, fixed, ints
from devtensor.launch import broadcast
from devtensor.op import composite, op
from devtensor.ops.elementwise import kind, no_complex
from devtensor.ops.results import with_out

NAN, INF = math.nan, math.inf
ORDERED = ("float", "int", "bool")
WHOLE = ("int", "bool")


# ---- comparison ----


@op(
    numbers=("other",),
    elementwise=True,
    operator="eq",
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 2.5), (ints(3), 1.5)],
)
def eq(xp, input, other, /):
    """Whether numbers are equal."""
    return xp.equal(input, other)


@op(
    numbers=("other",),
    elementwise=True,
    operator="ne",
    aliases=("not_equal",),
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 2.5), (ints(3), 1.5)],
)
def ne(xp, input, other, /):
    """Whether numbers differ."""
    return xp.not_equal(input, other)


@op(
    numbers=("other",),
    elementwise=True,
    operator="lt",
    aliases=("less",),
    accepts=ORDERED,
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 0.5), (ints(3), 1.5)],
)
def lt(xp, input, other, /):
    """Whether `input` is less than `other`."""
    return xp.less(input, other)


@op(
    numbers=("other",),
    elementwise=True,
    operator="le",
    aliases=("less_equal",),
    accepts=ORDERED,
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 0.5), (ints(3), 1.5)],
)
def le(xp, input, other, /):
    """Whether `input` is less than `other` or equal."""
    return xp.less_equal(input, other)


@op(
    numbers=("other",),
    elementwise=True,
    operator="gt",
    aliases=("greater",),
    accepts=ORDERED,
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 0.5), (ints(3), 1.5)],
)
def gt(xp, input, other, /):
    """Whether `input` is greater than `other`."""
    return xp.greater(input, other)


@op(
    numbers=("other",),
    elementwise=True,
    operator="ge",
    aliases=("greater_equal",),
    accepts=ORDERED,
    examples=[(ints(2, 3, high=2), ints(3, high=2)), ((2, 3), 0.5), (ints(3), 1.5)],
)
def ge(xp, input, other, /):
    """Whether `input` is greater than `other` or equal."""
    return xp.greater_equal(input, other)


# ---- logic: everything but 0 is true ----


def truth(input: Any) -> Any:
    """`input` as bools."""
    return input if kind(input) == "bool" else input != 0


@op(elementwise=True, promotes=None, examples=[(bools(2, 3),), (ints(2, 3, high=2),), ((3,),)])
def logical_not(xp, input, /):
    """Whether numbers are 0."""
    return xp.logical_not(truth(input))


@op(numbers=(), elementwise=True, examples=[(bools(2, 3), bools(3)), (ints(2, 3, high=2), (3,))])
def logical_and(xp, input, other, /):
    """Whether both numbers are other than 0."""
    return xp.logical_and(truth(input), truth(other))


@op(
    numbers=(),
    elementwise=True,
    examples=[(bools(2, 3), bools(3)), (ints(2, 3, high=2), ints(3, high=2))],
)
def logical_or(xp, input, other, /):
    """Whether one of the numbers is other than 0."""
    return xp.logical_or(truth(input), truth(other))


@op(numbers=(), elementwise=True, examples=[(bools(2, 3), bools(3)), (ints(2, 3, high=2), (3,))])
def logical_xor(xp, input, other, /):
    """Whether just one of the numbers is other than 0."""
    return xp.logical_xor(truth(input), truth(other))


# ---- bits ----


@op(
    exact_out=True,
    elementwise=True,
    operator="invert",
    accepts=WHOLE,
    examples=[(bools(2, 3),), (ints(3),)],
)
def bitwise_not(xp, input, /):
    """Every bit turned over; for bools, not."""
    return xp.bitwise_invert(input)


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="and",
    accepts=WHOLE,
    examples=[(bools(2, 3), bools(3)), (ints(2, 3), ints(3)), (ints(3), 3)],
)
def bitwise_and(xp, input, other, /):
    """The bits that are set in both numbers; for bools, and."""
    return xp.bitwise_and(input, other)


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="or",
    accepts=WHOLE,
    examples=[(bools(2, 3), bools(3)), (ints(2, 3), ints(3)), (ints(3), 3)],
)
def bitwise_or(xp, input, other, /):
    """The bits that are set in one of the numbers; for bools, or."""
    return xp.bitwise_or(input, other)


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="xor",
    accepts=WHOLE,
    examples=[(bools(2, 3), bools(3)), (ints(2, 3), ints(3)), (ints(3), 3)],
)
def bitwise_xor(xp, input, other, /):
    """The bits that are set in just one of the numbers; for bools, whether they differ."""
    return xp.bitwise_xor(input, other)


def width(x: Any) -> int:
    """How many bits a number of `x` has."""
    return 8 * of(x.dtype).itemsize


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="lshift",
    accepts=("int",),
    examples=[(ints(2, 3), ints(3)), (ints(3), 2), (ints(3), 70)],
)
def bitwise_left_shift(xp, input, other, /):
    """Shift the bits of `input` left by `other` places; 0 if that is all of them, or negative."""
    fits = xp.logical_and(other >= 0, other < width(input))
    shifted = xp.bitwise_left_shift(input, xp.where(fits, other, xp.zeros_like(other)))
    return xp.where(fits, shifted, xp.zeros_like(shifted))


@op(
    numbers=("input", "other"),
    elementwise=True,
    operator="rshift",
    accepts=("int",),
    examples=[(ints(2, 3, low=-9), ints(3)), (ints(3), 2), (ints(3, low=-5), 70)],
)
def bitwise_right_shift(xp, input, other, /):
    """Shift the bits of `input` right by `other` places, keeping its sign.

    If that is all of them, or negative, 0 or -1 remains.
    """
    fits = xp.logical_and(other >= 0, other < width(input))
    shifted = xp.bitwise_right_shift(
        input, xp.where(fits, other, xp.full_like(other, width(input) - 1))
    )
    return shifted if of(input.dtype).is_signed else shifted * xp.astype(fits, input.dtype)


# ---- what kind of number ----


@op(promotes=None, examples=[(fixed([1.0, NAN, INF, -INF]),), (ints(3),), (bools(3),)])
def isnan(xp, input, /):
    """Whether a number is NaN."""
    return input != input


@op(promotes=None, examples=[(fixed([1.0, NAN, INF, -INF]),), (ints(3),), (bools(3),)])
def isinf(xp, input, /):
    """Whether a number is infinite."""
    if kind(input) in WHOLE:
        return xp.zeros_like(input, dtype=xp.bool)
    return xp.isinf(input)


@op(promotes=None, examples=[(fixed([1.0, NAN, INF, -INF]),), (ints(3),), (bools(3),)])
def isfinite(xp, input, /):
    """Whether a number is neither infinite nor NaN."""
    if kind(input) in WHOLE:
        return xp.ones_like(input, dtype=xp.bool)
    return xp.isfinite(input)


@op(
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    refusal="isposinf does not support complex inputs.",
    examples=[(fixed([1.0, NAN, INF, -INF]),), (ints(3),), (bools(3),)],
)
def isposinf(xp, input, /):
    """Whether a number is inf."""
    return xp.zeros_like(input, dtype=xp.bool) if kind(input) in WHOLE else input == INF


@op(
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    refusal="isneginf does not support complex inputs.",
    examples=[(fixed([1.0, NAN, INF, -INF]),), (ints(3),), (bools(3),)],
)
def isneginf(xp, input, /):
    """Whether a number is -inf."""
    return xp.zeros_like(input, dtype=xp.bool) if kind(input) in WHOLE else input == -INF


@op(promotes=None, examples=[((3,),), (ints(3),)])
def isreal(xp, input, /):
    """Whether a number has no imaginary part."""
    return xp.imag(input) == 0 if kind(input) == "complex" else xp.ones_like(input, dtype=xp.bool)


@op(
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    refuses=no_complex("signbit is not implemented for complex tensors."),
    examples=[(fixed([1.0, -0.0, -INF]),), (ints(3, low=-3),), (bools(3),)],
)
def signbit(xp, input, /):
    """Whether a number is negative, or the negative 0."""
    if kind(input) == "bool":
        return xp.zeros_like(input)
    return xp.signbit(input) if kind(input) == "float" else input < 0


# ---- agreement ----


@op(
    numbers=(),
    promotes=None,
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"atol": 1.0}),
        (fixed([1.0, NAN, INF, INF]), fixed([1.0, NAN, INF, -INF])),
        (fixed([1.0, NAN]), fixed([1.0, NAN]), {"equal_nan": True}),
        (ints(6), ints(6), {"rtol": 0.5}),
        ((2, 3), (3,)),
    ],
)
def isclose(xp, input, other, /, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether numbers are equal but for a small error.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype; they broadcast.
    rtol, atol : float, optional
        The error may be ``atol + rtol * abs(other)``.
    equal_nan : bool, optional
        Whether NaN is equal to NaN.

    Raises
    ------
    RuntimeError
        If the dtypes differ, or `rtol` or `atol` is negative.
    """
    if input.dtype != other.dtype:
        raise RuntimeError(
            f"{of(input.dtype).legacy} did not match {of(other.dtype).legacy}: isclose needs "
            "input and other of one dtype; "
            "convert one with .to(dtype)"
        )
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    broadcast([tuple(input.shape), tuple(other.shape)])
    close = input == other
    if equal_nan:
        close = xp.logical_or(close, xp.logical_and(input != input, other != other))
    if rtol == 0 and atol == 0:
        return close
    if kind(input) in WHOLE:
        input, other = xp.astype(input, xp.float64), xp.astype(other, xp.float64)
    allowed = atol + rtol * xp.abs(other)
    error = xp.abs(input - other)
    return xp.logical_or(close, xp.logical_and(xp.isfinite(error), error <= allowed))


@composite(method=True, examples=[((2, 3), (2, 3)), ((2, 3), (2, 3), {"atol": 10.0})])
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all numbers are equal but for a small error.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype; they broadcast.
    rtol, atol : float, optional
        The error may be ``atol + rtol * abs(other)``.
    equal_nan : bool, optional
        Whether NaN is equal to NaN.

    Returns
    -------
    bool
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@composite(method=True, examples=[((2, 3), (2, 3)), (ints(3), (3,)), ((2, 3), (3,))])
def equal(input: Any, other: Any) -> bool:
    """Whether tensors have one shape and equal elements.

    Returns
    -------
    bool
    """
    return tuple(input.shape) == tuple(other.shape) and bool(eq(input, other).all())


@op(
    ordered=True,
    public=False,
    accepts=("float", "int"),
    refusal="Unsupported input type encountered for isin()",
    oracle=lambda torch, *args: torch.isin(*args),
    examples=[(ints(2, 3), ints(2)), (ints(2, 3), ints(0)), (ints(2, 3), 2)],
)
def is_among(xp, elements, test_elements, /):
    """Whether `elements` are found in `test_elements`."""
    tests = xp.sort(xp.reshape(test_elements, (-1,)))
    if not tests.shape[0]:
        return xp.zeros_like(elements, dtype=xp.bool)
    flat = xp.reshape(elements, (-1,))
    place = xp.clip(xp.searchsorted(tests, flat), 0, tests.shape[0] - 1)
    return xp.reshape(xp.take(tests, place, axis=0) == flat, elements.shape)


@composite(
    method=False,
    examples=[(ints(2, 3), ints(2)), (ints(2, 3), 2), (ints(2, 3), ints(2), {"invert": True})],
)
@with_out()
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether `elements` are found in `test_elements`.

    Parameters
    ----------
    elements, test_elements : Tensor or number
        At least one must be a tensor.
    assume_unique : bool, optional
        Has no effect here.
    invert : bool, optional
        Ask whether they are not found.

    Returns
    -------
    Tensor
        Bools in the shape of `elements`.
    """
    for x in (elements, test_elements):
        if hasattr(x, "dtype") and kind(x) == "bool":
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): Bool, of shape {list(x.shape)}; "
                "convert with .to()"
            )
    found = is_among(elements, test_elements)
    return logical_not(found) if invert else found
