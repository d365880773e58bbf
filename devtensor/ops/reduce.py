"""Reductions: many numbers into few; and running ones, which keep every step."""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.dtype import float64, get_default_dtype, int64, of, uint64
from devtensor.example import bools, distinct, fixed, ints, normal
from devtensor.example import positive as positives
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import anywhere, axis, over, require_tensors
from devtensor.ops.create import complex_of
from devtensor.ops.elementwise import (
    back_to,
    clamp,
    half,
    kind,
    log_add,
    masked,
    maximum,
    minimum,
)
from devtensor.ops.linalg import linalg_vector_norm
from devtensor.ops.results import with_out
from devtensor.ops.shape import cat
from devtensor.ops.sort import sort

NAN, INF = math.nan, math.inf
ORDERED = ("float", "int", "bool")
WHOLE = ("int", "bool")


# ---- dimensions ----


def spread(xp: Any, x: Any, shape: Sequence[int], dim: Any, keepdim: bool) -> Any:
    """The result of a reduction, repeated over the `shape` that was reduced."""
    if not keepdim and len(x.shape):
        gone = over(dim, len(shape))
        x = xp.reshape(x, tuple([1 if d in gone else n for d, n in enumerate(shape)]))
    elif not keepdim:
        return xp.broadcast_to(x, tuple(shape))
    return xp.broadcast_to(x, tuple(shape))


def count(shape: Sequence[int], dim: Any) -> int:
    """How many numbers become one."""
    return math.prod([shape[d] for d in over(dim, len(shape))])


def along(dim: int, piece: slice) -> tuple[Any, ...]:
    """The key of a piece of dimension `dim`."""
    return (*(slice(None),) * dim, piece, ...)


def require_some(name: str, input: Any, dim: Any, error: type[Exception] = RuntimeError) -> None:
    """Raise unless every dimension to be reduced has elements."""
    shape = input.shape
    if 0 not in shape:
        return
    if dim is None or (isinstance(dim, Sequence) and not dim):
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with "
            f"the 'dim' argument. Got shape {list(shape)}"
        )
    for d in over(dim, len(shape)):
        if shape[d] == 0:
            raise IndexError(
                f"{name}(): Expected reduction dim {d} to have non-zero size. Got shape "
                f"{list(shape)}"
            )


# ---- sums and means ----

EXAMPLES = [
    ((2, 3),),
    ((2, 3), {"dim": 1}),
    ((2, 3, 2), {"dim": (0, -1), "keepdim": True}),
    ((2, 3), {"dim": -2}),
    ((), {"dim": 0}),
]


def total(xp: Any, input: Any, where: tuple[int, ...], keepdim: bool, dtype: Any = None) -> Any:
    """A sum; of whole numbers as int64."""
    if dtype is None and kind(input) in WHOLE:
        dtype = xp.int64
    if dtype is not None and input.dtype != dtype:
        input = xp.astype(input, dtype)
    if half(input):
        return xp.astype(
            xp.sum(xp.astype(input, xp.float32), axis=where, keepdims=keepdim), input.dtype
        )
    return xp.sum(input, axis=where, keepdims=keepdim, dtype=dtype)


@op(
    promotes=None,
    examples=[
        *EXAMPLES,
        ((0, 3),),
        ((0, 3), {"dim": 0}),
        ((2, 3), {"dim": ()}),
        (ints(2, 3),),
        (bools(2, 3), {"dim": 0}),
        (ints(2, 3), {"dtype": float64}),
    ],
)
def sum(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """Add numbers up.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.
    dtype : dtype, optional
        Convert to it first. Integers and bools become int64 by default.
    """
    return total(xp, input, over(dim, input.ndim), keepdim, dtype)


derivative(
    sum,
    input=lambda xp, g, input_shape, input_dtype, dim, keepdim: back_to(
        xp, spread(xp, g, input_shape, dim, keepdim), input_dtype
    ),
)


@op(promotes=None, examples=[*EXAMPLES, ((0, 3),), (ints(2, 3), {"dtype": float64})])
def mean(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """Mean of numbers; NaN of none.

    Parameters
    ----------
    input : Tensor
        Of a floating dtype, unless `dtype` is given.
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.
    dtype : dtype, optional
        Convert to it first.

    Raises
    ------
    RuntimeError
        For integers and bools.
    """
    if dtype is not None and input.dtype != dtype:
        input = xp.astype(input, dtype)
    if kind(input) in WHOLE:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point "
            "or complex dtype. "
            f"Got: {of(input.dtype).legacy}. Pass dtype, or convert with .float()"
        )
    where = over(dim, input.ndim)
    number = count(input.shape, where)
    if not number:
        return xp.full_like(total(xp, input, where, keepdim), NAN)
    if half(input):
        wide = xp.sum(xp.astype(input, xp.float32), axis=where, keepdims=keepdim)
        return xp.astype(wide / number, input.dtype)
    return xp.sum(input, axis=where, keepdims=keepdim) / number


derivative(
    mean,
    input=lambda xp, g, input_shape, input_dtype, dim, keepdim: back_to(
        xp,
        spread(xp, xp.true_divide(g, max_one(count(input_shape, dim))), input_shape, dim, keepdim),
        input_dtype,
    ),
)


def max_one(n: int) -> int:
    return n or 1


@op(
    rounds="once",
    promotes=None,
    accepts=ORDERED,
    refusal="nansum does not support complex inputs",
    examples=[*EXAMPLES, (fixed([[1.0, NAN], [2.0, 3.0]]), {"dim": 1}), (ints(3),)],
)
def nansum(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """Add numbers up; NaN counts as 0.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.
    dtype : dtype, optional
        Convert to it first.

    Raises
    ------
    NotImplementedError
        If floats should be added up in another kind of dtype.
    """
    if dtype is not None and kind(input) == "float" and of(dtype).kind != "float":
        raise NotImplementedError(
            f"\"nansum_cpu\" not implemented for '{of(dtype).legacy}': nansum() adds up numbers of "
            f"{of(input.dtype)!r} in a floating dtype; convert what it gives"
        )
    return total(xp, masked(xp, input == input, input), over(dim, input.ndim), keepdim, dtype)


derivative(
    nansum,
    input=lambda xp, g, input, input_dtype, dim, keepdim: masked(
        xp, input == input, back_to(xp, spread(xp, g, input.shape, dim, keepdim), input_dtype)
    ),
)


@composite(method=True, examples=[*EXAMPLES, (fixed([[1.0, NAN], [2.0, 3.0]]), {"dim": 1})])
@with_out(casts=True)
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean of numbers that are not NaN.

    Parameters
    ----------
    input : Tensor
        Of a floating dtype.
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.
    dtype : dtype, optional
        Convert to it first.

    Raises
    ------
    RuntimeError
        For integers and bools.
    """
    if kind(input) in WHOLE:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{of(input.dtype).legacy}; convert "
            "it with .float()"
        )
    return nansum(input, dim, keepdim, dtype=dtype) / sum(input == input, dim, keepdim)


def shifted(xp: Any, x: Any, dim: int, first: Any) -> Any:
    """`x` moved one place up along `dim`, after `first`; its last part falls out."""
    return xp.concat([first, x[along(dim, slice(None, x.shape[dim] - 1))]], axis=dim)


def others(xp: Any, x: Any, dim: int) -> Any:
    """The product of all other numbers along `dim`, to each."""
    one = xp.ones_like(x[along(dim, slice(0, 1))])
    before = xp.cumulative_prod(shifted(xp, x, dim, one), axis=dim)
    after = xp.flip(
        xp.cumulative_prod(shifted(xp, xp.flip(x, axis=dim), dim, one), axis=dim), axis=dim
    )
    return before * after


@op(
    ordered=True,
    promotes=None,
    examples=[
        ((2, 3),),
        ((2, 3), {"dim": 1}),
        ((2, 3), {"dim": 0, "keepdim": True}),
        ((),),
        ((0, 3),),
        ((0, 3), {"dim": 0}),
        (ints(2, 3),),
        (fixed([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]]), {"dim": 1}),
        (fixed([2.0, 0.0, 3.0]),),
    ],
)
def prod(xp, input, /, dim=None, keepdim=False, *, dtype=None):
    """Multiply numbers.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        The dimension to reduce; all by default.
    keepdim : bool, optional
        Keep it, with length 1.
    dtype : dtype, optional
        Convert to it first. Integers and bools become int64 by default.
    """
    if dtype is None and kind(input) in WHOLE:
        dtype = xp.int64
    if dtype is not None and input.dtype != dtype:
        input = xp.astype(input, dtype)
    if half(input):
        wide = xp.prod(xp.astype(input, xp.float32), axis=over(dim, input.ndim), keepdims=keepdim)
        return xp.astype(wide, input.dtype)
    return xp.prod(input, axis=over(dim, input.ndim), keepdims=keepdim, dtype=dtype)


def prod_rule(xp: Any, g: Any, input: Any, out: Any, dim: Any, keepdim: bool) -> Any:
    shape, dtype = input.shape, input.dtype
    if g.dtype != dtype:  # The kernel has converted the input.
        input = xp.astype(input, g.dtype)
    g, out = spread(xp, g, shape, dim, keepdim), spread(xp, out, shape, dim, keepdim)
    if not len(shape):
        return back_to(xp, g, dtype)
    if not anywhere(input == 0, xp):
        return back_to(xp, g * out / input, dtype)
    if dim is None:
        rest = xp.reshape(others(xp, xp.reshape(input, (-1,)), 0), shape)
    else:
        rest = others(xp, input, axis(dim, len(shape)))
    return back_to(xp, g * rest, dtype)


derivative(prod, input=prod_rule)


# ---- spread of numbers ----


@op(
    rounds="steps",
    public=False,
    oracle=None,
    accepts=("float", "complex"),
    examples=[((2, 3), {"where": (1,)}), ((3, 2, 2), {"where": (0, 2)}), ((), {"where": ()})],
)
def centred(xp, input, /, where):
    """`input` minus its mean over some dimensions, which is its own gradient."""
    if half(input):
        return input - xp.mean(input, axis=where, keepdims=True)
    middle = xp.sum(input, axis=where, keepdims=True) / max_one(count(input.shape, where))
    return input - middle


derivative(centred, input=lambda xp, g, where: xp.centred(g, where))


@op(
    rounds="once",
    ordered=True,
    public=False,
    accepts=("float", "complex"),
    refusal="std and var only support floating point and complex dtypes",
    node="VarBackward0",
    oracle=lambda torch, x, dim, correction, keepdim: torch.var(
        x, dim, correction=correction, keepdim=keepdim
    ),
    examples=[((2, 3), None, 1, False), ((2, 3), 1, 0, True), ((3, 3), (0, 1), 2, False)],
    complex_rules=True,
)
def variance(xp, input, /, dim, correction, keepdim):
    """Variance with `correction` taken from the number of elements."""
    where = over(dim, input.ndim)
    freedom = count(input.shape, where) - correction
    if freedom <= 0:
        warnings.warn(
            "var(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input "
            f"numel divided by output numel). Got correction={correction} for shape "
            f"{list(input.shape)}",
            stacklevel=2,
        )
    away = xp.centred(input, where)
    if kind(away) == "complex":
        away = xp.abs(away)
    squares = xp.sum(away * away, axis=where, keepdims=keepdim)
    return squares / freedom if freedom > 0 else squares / xp.zeros_like(squares)


def variance_rule(xp: Any, g: Any, input: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    where = over(dim, len(input.shape))
    freedom = count(input.shape, where) - correction
    g = spread(xp, xp.mul(g, 2 / freedom if freedom > 0 else NAN), input.shape, dim, keepdim)
    return g * xp.centred(input, where)


derivative(variance, input=variance_rule)


def freedom_taken(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """`dim` and the correction, out of two forms of arguments."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased else 0
    return dim, correction


VAR_EXAMPLES = [
    ((2, 3),),
    ((2, 3), {"dim": 1}),
    ((2, 3), {"dim": (0, 1), "correction": 0}),
    ((2, 3), 0, False, True),
    ((2, 3), False),
]


@composite(method=True, examples=VAR_EXAMPLES)
@with_out(casts=True)
def var(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Variance: the mean squared distance from the mean.

    Parameters
    ----------
    input : Tensor
        Of a floating dtype.
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    unbiased : bool, optional
        Divide by one less than the number of elements (`correction` 1, else 0).
    keepdim : bool, optional
        Keep the dimensions, with length 1.
    correction : number, optional
        What to take from the number of elements before dividing by it.

    Raises
    ------
    RuntimeError
        For integers and bools.
    """
    dim, correction = freedom_taken(dim, unbiased, correction)
    return variance(input, dim, correction, keepdim)


@op(
    rounds="once",
    ordered=True,
    public=False,
    accepts=("float", "complex"),
    refusal="std and var only support floating point and complex dtypes",
    node="StdBackward0",
    oracle=lambda torch, x, dim, correction, keepdim: torch.std(
        x, dim, correction=correction, keepdim=keepdim
    ),
    examples=[((2, 3), None, 1, False), ((2, 3), 1, 0, True), ((3, 3), (0, 1), 2, False)],
    complex_rules=True,
)
def deviation(xp, input, /, dim, correction, keepdim):
    """Square root of `variance`."""
    return xp.sqrt(variance.kernel(xp, input, dim, correction, keepdim))


def deviation_rule(
    xp: Any, g: Any, input: Any, out: Any, dim: Any, correction: float, keepdim: bool
) -> Any:
    # Numbers that are all equal get no gradient, though the square root is steep at 0.
    size = xp.where(out == 0, xp.ones_like(out), out)
    g = masked(xp, out != 0, g / (size + size))
    return variance_rule(xp, g, input, dim, correction, keepdim)


derivative(deviation, input=deviation_rule)


@composite(method=True, examples=VAR_EXAMPLES)
@with_out(casts=True)
def std(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Standard deviation: the square root of the variance.

    The parameters are those of :func:`var`.
    """
    dim, correction = freedom_taken(dim, unbiased, correction)
    return deviation(input, dim, correction, keepdim)


@composite(method=False, examples=VAR_EXAMPLES)
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Variance and mean; the parameters are those of :func:`var`."""
    dim, correction = freedom_taken(dim, unbiased, correction)
    return variance(input, dim, correction, keepdim), mean(input, dim, keepdim)


@composite(method=False, examples=VAR_EXAMPLES)
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Standard deviation and mean; the parameters are those of :func:`var`."""
    dim, correction = freedom_taken(dim, unbiased, correction)
    return deviation(input, dim, correction, keepdim), mean(input, dim, keepdim)


# ---- the largest and the smallest ----


def extreme(xp: Any, name: str, input: Any, dim: Any, keepdim: bool) -> Any:
    """The standard's `max` or `min`, which know no bools."""
    where = over(dim, input.ndim)
    if not input.ndim:
        return xp.asarray(input, copy=True)
    if kind(input) == "bool":
        find = xp.any if name == "max" else xp.all
        return find(input, axis=where, keepdims=keepdim)
    return (xp.max if name == "max" else xp.min)(input, axis=where, keepdims=keepdim)


def shared(xp: Any, g: Any, input: Any, out: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of an extreme element, divided evenly among all that are equal to it."""
    g, out = spread(xp, g, input.shape, dim, keepdim), spread(xp, out, input.shape, dim, keepdim)
    equal = (input == out) | ((input != input) & (out != out))
    ties = xp.sum(xp.astype(equal, g.dtype), axis=over(dim, len(input.shape)), keepdims=True)
    return masked(xp, equal, g / ties)


EXTREME_EXAMPLES = [
    (distinct(2, 3),),
    (distinct(2, 3), {"dim": 1}),
    (distinct(2, 3, 2), {"dim": (0, -1), "keepdim": True}),
    ((), {"dim": 0}),
    (ints(2, 3), {"dim": 0}),
    (bools(2, 3),),
]


@op(exact_out=True, ordered=True, promotes=None, accepts=ORDERED, examples=EXTREME_EXAMPLES)
def amax(xp, input, /, dim=(), keepdim=False):
    """The largest number. Several that are equal share its gradient.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.

    Raises
    ------
    IndexError, RuntimeError
        If there are no numbers.
    """
    require_some("amax", input, dim)
    return extreme(xp, "max", input, dim, keepdim)


derivative(amax, input=shared)


@op(exact_out=True, ordered=True, promotes=None, accepts=ORDERED, examples=EXTREME_EXAMPLES)
def amin(xp, input, /, dim=(), keepdim=False):
    """The smallest number; the rest is as for :func:`amax`."""
    require_some("amin", input, dim)
    return extreme(xp, "min", input, dim, keepdim)


derivative(amin, input=shared)


@op(
    promotes=None,
    public=False,
    accepts=ORDERED,
    node="MaxBackward1",
    examples=[(distinct(2, 3),), (ints(3),)],
    oracle=lambda torch, x: torch.max(x),
)
def max_all(xp, input, /):
    """The largest number of all."""
    require_some("max", input, None)
    return extreme(xp, "max", input, None, False)


derivative(max_all, input=lambda xp, g, input, out: shared(xp, g, input, out, None, False))


@op(
    promotes=None,
    public=False,
    accepts=ORDERED,
    node="MinBackward1",
    examples=[(distinct(2, 3),), (ints(3),)],
    oracle=lambda torch, x: torch.min(x),
)
def min_all(xp, input, /):
    """The smallest number of all."""
    require_some("min", input, None)
    return extreme(xp, "min", input, None, False)


derivative(min_all, input=lambda xp, g, input, out: shared(xp, g, input, out, None, False))


def place_of(xp: Any, name: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    """Where the largest or smallest number stands first."""
    if kind(input) == "bool":
        input = xp.astype(input, xp.uint8)
    if not input.ndim:
        return xp.zeros((), dtype=xp.int64)
    find = xp.argmax if name == "max" else xp.argmin
    return xp.astype(find(input, axis=dim, keepdims=keepdim), xp.int64, copy=False)


def extreme_with_place(xp: Any, name: str, input: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    dim = axis(dim, input.ndim)
    require_some(name, input, dim)
    if not input.ndim:
        return xp.asarray(input, copy=True), xp.zeros((), dtype=xp.int64)
    place = place_of(xp, name, input, dim, True)
    value = xp.take_along_axis(input, place, axis=dim)
    return (value, place) if keepdim else (xp.squeeze(value, axis=dim), xp.squeeze(place, axis=dim))


def unpicked(
    xp: Any, gs: Any, input_shape: Sequence[int], indices: Any, dim: int, keepdim: bool
) -> Any:
    """The gradient, back at the elements that were picked along `dim`."""
    g, dim = gs[0], axis(dim, len(input_shape))
    if not keepdim and len(input_shape):
        g, indices = xp.expand_dims(g, axis=dim), xp.expand_dims(indices, axis=dim)
    return xp.gather_spread(g, indices, tuple(input_shape), dim)


@op(
    exact_out=True,
    promotes=None,
    public=False,
    accepts=ORDERED,
    refusal="max(): does not support complex input",
    outputs=("values", "indices"),
    node="MaxBackward0",
    oracle=lambda torch, x, dim, keepdim: torch.max(x, dim, keepdim),
    examples=[(distinct(2, 3), 1, False), (distinct(2, 3), 0, True), ((), 0, False)],
)
def max_dim(xp, input, /, dim, keepdim):
    """The largest numbers along `dim`, and where they stand."""
    return extreme_with_place(xp, "max", input, dim, keepdim)


derivative(max_dim, input=unpicked)


@op(
    exact_out=True,
    promotes=None,
    public=False,
    accepts=ORDERED,
    refusal="min(): does not support complex input",
    outputs=("values", "indices"),
    node="MinBackward0",
    oracle=lambda torch, x, dim, keepdim: torch.min(x, dim, keepdim),
    examples=[(distinct(2, 3), 1, False), (distinct(2, 3), 0, True), ((), 0, False)],
)
def min_dim(xp, input, /, dim, keepdim):
    """The smallest numbers along `dim`, and where they stand."""
    return extreme_with_place(xp, "min", input, dim, keepdim)


derivative(min_dim, input=unpicked)


def one_result(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> bool:
    """Whether :func:`max` gives no places beside the values."""
    return dim is None or hasattr(dim, "shape")


@composite(
    method=True,
    examples=[
        (distinct(2, 3),),
        (distinct(2, 3), 1),
        (distinct(2, 3), {"dim": 0, "keepdim": True}),
        ((2, 3), normal(2, 3)),
        (ints(3),),
    ],
)
@with_out(casts=one_result, over=True)
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest number of all, the largest along `dim`, or the larger of two.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        The dimension to reduce. A tensor here means `other`.
    keepdim : bool, optional
        Keep the dimension, with length 1.
    other : Tensor, optional
        Then the result is ``maximum(input, other)``.

    Returns
    -------
    Tensor, or values and indices : Tensor
        With `dim` also where, along it, the largest stand; the first of several.

    Raises
    ------
    IndexError, RuntimeError
        If there are no numbers.
    """
    if hasattr(dim, "shape"):
        dim, other = None, dim
    if other is not None:
        require_tensors("max", input=input, other=other)
        return maximum(input, other)
    require_tensors("max", input=input)
    return max_all(input) if dim is None else max_dim(input, dim, keepdim)


@composite(
    method=True,
    examples=[
        (distinct(2, 3),),
        (distinct(2, 3), 1),
        (distinct(2, 3), {"dim": 0, "keepdim": True}),
        ((2, 3), normal(2, 3)),
        (ints(3),),
    ],
)
@with_out(casts=one_result, over=True)
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest number of all, along `dim`, or the smaller of two; as for :func:`max`."""
    if hasattr(dim, "shape"):
        dim, other = None, dim
    if other is not None:
        require_tensors("min", input=input, other=other)
        return minimum(input, other)
    require_tensors("min", input=input)
    return min_all(input) if dim is None else min_dim(input, dim, keepdim)


@op(
    ordered=True,
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    outputs=("min", "max"),
    examples=[
        (distinct(2, 3),),
        (distinct(2, 3), {"dim": 1}),
        (distinct(2, 3), {"dim": 0, "keepdim": True}),
        (ints(3),),
    ],
)
def aminmax(xp, input, /, *, dim=None, keepdim=False):
    """The smallest and the largest number.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        The dimension to reduce; all by default.
    keepdim : bool, optional
        Keep it, with length 1.

    Returns
    -------
    min, max : Tensor

    Raises
    ------
    IndexError, RuntimeError
        If there are no numbers.
    """
    require_some("aminmax", input, dim)
    return tuple([extreme(xp, name, input, dim, keepdim) for name in ("min", "max")])


def aminmax_rule(xp: Any, gs: Any, input: Any, min: Any, max: Any, dim: Any, keepdim: bool) -> Any:
    parts = [
        shared(xp, g, input, out, dim, keepdim)
        for g, out in zip(gs, (min, max), strict=True)
        if g is not None
    ]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


derivative(aminmax, input=aminmax_rule)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "int"),
    refusal="argmax(): does not support bool input",
    examples=[
        (distinct(2, 3),),
        (distinct(2, 3), {"dim": 1}),
        (distinct(2, 3), {"dim": 0, "keepdim": True}),
        (ints(5, high=2),),
        ((),),
    ],
)
def argmax(xp, input, /, dim=None, keepdim=False):
    """Where the largest number stands; the first of several.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        The dimension to reduce; by default the place is counted over all elements.
    keepdim : bool, optional
        Keep the dimension, with length 1.

    Raises
    ------
    IndexError
        If there are no numbers.
    """
    require_some("argmax", input, dim, IndexError)
    return place_of(xp, "max", input, None if dim is None else axis(dim, input.ndim), keepdim)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "int"),
    refusal="argmin(): does not support bool input",
    examples=[
        (distinct(2, 3),),
        (distinct(2, 3), {"dim": 1}),
        (distinct(2, 3), {"dim": 0, "keepdim": True}),
        (ints(5, high=2),),
        ((),),
    ],
)
def argmin(xp, input, /, dim=None, keepdim=False):
    """Where the smallest number stands; the rest is as for :func:`argmax`."""
    require_some("argmin", input, dim, IndexError)
    return place_of(xp, "min", input, None if dim is None else axis(dim, input.ndim), keepdim)


# ---- truth and counts ----


def truths(xp: Any, find: Callable[..., Any], input: Any, dim: Any, keepdim: bool) -> Any:
    where = () if isinstance(dim, Sequence) and not dim else over(dim, input.ndim)
    found = find(input if kind(input) == "bool" else input != 0, axis=where, keepdims=keepdim)
    return xp.astype(found, xp.uint8) if input.dtype == xp.uint8 else found


TRUTH_EXAMPLES = [
    (bools(2, 3),),
    (bools(2, 3), {"dim": 1}),
    (ints(2, 3, high=2), {"dim": (0, 1), "keepdim": True}),
    ((0, 3), {"dim": 0}),
]


@op(ordered=True, exact_out=True, promotes=None, examples=TRUTH_EXAMPLES)
def all(xp, input, /, dim=None, keepdim=False):
    """Whether all elements are true (not 0).

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep them, with length 1.

    Returns
    -------
    Tensor
        Of bools; uint8 for uint8, as in PyTorch.
    """
    return truths(xp, xp.all, input, dim, keepdim)


@op(ordered=True, exact_out=True, promotes=None, examples=TRUTH_EXAMPLES)
def any(xp, input, /, dim=None, keepdim=False):
    """Whether one element at least is true (not 0); the rest is as for :func:`all`."""
    return truths(xp, xp.any, input, dim, keepdim)


@op(
    ordered=True,
    promotes=None,
    examples=[
        (ints(2, 3, high=2),),
        (ints(2, 3, high=2), {"dim": 1}),
        (bools(2, 3), {"dim": (0, 1)}),
        ((2, 3),),
    ],
)
def count_nonzero(xp, input, /, dim=None):
    """How many elements are not 0.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to reduce; all by default.
    """
    true = input if kind(input) == "bool" else input != 0
    return xp.sum(xp.astype(true, xp.int64), axis=over(dim, input.ndim))


@op(
    promotes=None,
    examples=[
        (ints(8),),
        (ints(8), {"minlength": 9}),
        (ints(3), fixed([0.5, 1.0, 2.0])),
        (ints(0),),
    ],
)
def bincount(xp, input, weights=None, /, minlength=0):
    """How often each number from 0 on occurs.

    Parameters
    ----------
    input : Tensor
        1-d, integers from 0 on.
    weights : Tensor, optional
        As many numbers: what each occurrence counts.
    minlength : int, optional
        The least length of the result.

    Raises
    ------
    RuntimeError
        For other shapes or negative numbers.
    """
    if kind(input) != "int":
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{of(input.dtype).legacy}': convert input with "
            ".long()"
        )
    if input.ndim != 1 or (input.shape[0] and bool(xp.any(input < 0))):
        raise RuntimeError(
            "bincount only supports 1-d non-negative integral inputs. Got input of shape "
            f"{list(input.shape)}"
        )
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, got {minlength}")
    if weights is None or 0 in input.shape:
        return xp.astype(xp.bincount(input, None, minlength), xp.int64, copy=False)
    if weights.shape != input.shape:
        raise RuntimeError(
            "weights should be 1-d and have the same length as input: got shapes "
            f"{list(weights.shape)} and "
            f"{list(input.shape)}"
        )
    wide = weights.dtype if weights.dtype == xp.float32 else xp.float64
    return xp.astype(xp.bincount(input, xp.astype(weights, wide), minlength), wide, copy=False)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float",),
    examples=[
        ((20,), {"bins": 5}),
        ((20,), {"bins": 4, "min": -1, "max": 1}),
        (fixed([1.0, 2.0, 1.0]), {"bins": 4, "min": 0, "max": 3}),
    ],
)
def histc(xp, input, /, bins=100, min=0, max=0):
    """How many numbers fall into each of `bins` ranges of equal width.

    Parameters
    ----------
    input : Tensor
    bins : int, optional
    min, max : number, optional
        The ends of all ranges; what lies outside is not counted. If equal, those of `input`.

    Raises
    ------
    RuntimeError
        If there are no bins, or `min` is above `max` or not finite.
    """
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    low, high = float(min), float(max)
    x = xp.reshape(input, (-1,))
    if low == high and x.shape[0]:
        low, high = float(xp.min(x)), float(xp.max(x))
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"torch.histc: max must be larger than min: got min={low}, max={high}")
    # A place to each number, and one more for those outside.
    inside = xp.logical_and(x >= low, x <= high)
    place = xp.floor((xp.where(inside, x, xp.full_like(x, low)) - low) * bins / (high - low))
    place = xp.where(inside, xp.clip(place, 0, bins - 1), xp.full_like(place, bins))
    return xp.astype(xp.bincount(xp.astype(place, xp.int64), None, bins + 1)[:bins], input.dtype)


# ---- logarithms of sums ----


@op(
    rounds="steps",
    promotes="float",
    examples=[
        ((2, 3), 1),
        ((2, 3, 2), (0, -1), True),
        ((), 0),
        ((0, 3), 0),
        (fixed([-INF, 1.0]), 0),
        (ints(2, 3), 0),
    ],
)
def logsumexp(xp, input, /, dim, keepdim=False):
    """Logarithm of the sum of the exponentials, without overflow.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int
    keepdim : bool, optional
        Keep the dimensions, with length 1.
    """
    where = over(dim, input.ndim)
    if 0 in [input.shape[d] for d in where]:
        return xp.log(xp.sum(input, axis=where, keepdims=keepdim))
    sizes = xp.real(input) if kind(input) == "complex" else input
    top = extreme(xp, "max", sizes, where or None, True)
    top = masked(xp, xp.isfinite(top), top)
    found = xp.log(xp.sum(xp.exp(input - top), axis=where, keepdims=True)) + top
    return found if keepdim else xp.squeeze(found, axis=where)


derivative(
    logsumexp,
    input=lambda xp, g, input, out, dim, keepdim: (
        spread(xp, g, input.shape, dim, keepdim)
        * xp.exp(input - spread(xp, out, input.shape, dim, keepdim))
    ),
)


# ---- running reductions ----


def running(xp: Any, combine: Callable[[Any, Any], Any], x: Any, dim: int) -> Any:
    """Each element combined with all before it, in steps that double."""
    size, step = x.shape[dim], 1
    while step < size:
        rest = combine(x[along(dim, slice(step, None))], x[along(dim, slice(0, size - step))])
        x = xp.concat([x[along(dim, slice(0, step))], rest], axis=dim)
        step *= 2
    return x


def widened(xp: Any, input: Any, dtype: Any) -> Any:
    """What a running sum or product is made of: int64 for whole numbers."""
    if dtype is None and kind(input) in WHOLE:
        dtype = xp.int64
    return input if dtype is None else xp.astype(input, dtype, copy=False)


def backwards_sum(xp: Any, g: Any, dim: int) -> Any:
    """Each element plus all after it."""
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=dim), axis=dim), axis=dim)


@op(
    ordered=True,
    promotes=None,
    inplace=True,
    examples=[
        ((2, 3), 1),
        ((2, 3), -2),
        ((), 0),
        ((0, 3), 0),
        (ints(2, 3), 1),
        (bools(4), 0),
        (ints(3), 0, {"dtype": float64}),
    ],
)
def cumsum(xp, input, /, dim, *, dtype=None):
    """Running sum along `dim`.

    Parameters
    ----------
    input : Tensor
    dim : int
    dtype : dtype, optional
        Convert to it first. Integers and bools become int64 by default.
    """
    x, dim = widened(xp, input, dtype), axis(dim, input.ndim)
    if not x.ndim:
        return xp.asarray(x, copy=True)
    if half(x):
        return xp.astype(xp.cumulative_sum(xp.astype(x, xp.float32), axis=dim), x.dtype)
    return xp.cumulative_sum(x, axis=dim, dtype=x.dtype)


derivative(
    cumsum,
    input=lambda xp, g, input_dtype, dim: back_to(
        xp, backwards_sum(xp, g, axis(dim, len(g.shape))) if len(g.shape) else g, input_dtype
    ),
)


@op(public=False, oracle=None, examples=[((2, 4), (2, 4), 1), ((3, 2), (3, 2), 0)])
def recur(xp, input, factor, /, dim):
    """``out[i] = input[i] + factor[i] * out[i + 1]`` along `dim`, from the last on."""
    count = input.shape[dim]
    parts: list[Any] = [None] * count
    carried = None
    for i in reversed(range(count)):
        key = along(dim, slice(i, i + 1))
        carried = input[key] if carried is None else input[key] + factor[key] * carried
        parts[i] = carried
    return xp.concat(parts, axis=dim) if parts else input[:]


def recur_turned(xp: Any, g: Any, factor: Any, dim: int) -> Any:
    """The same from the first on: what each `input` is worth."""
    before = xp.flip(xp.roll(factor, 1, axis=dim), axis=dim)
    return xp.flip(xp.recur(xp.flip(g, axis=dim), before, dim), axis=dim)


def recur_factor_rule(xp: Any, g: Any, factor: Any, out: Any, dim: int) -> Any:
    last = xp.zeros_like(out[along(dim, slice(0, 1))])
    following = xp.concat([out[along(dim, slice(1, None))], last], axis=dim)
    return recur_turned(xp, g, factor, dim) * following


derivative(recur, input=recur_turned, factor=recur_factor_rule)


@op(
    ordered=True,
    promotes=None,
    inplace=True,
    examples=[
        ((2, 3), 1),
        ((2, 3), -2),
        ((), 0),
        ((0, 3), 0),
        (ints(2, 3), 1),
        (fixed([1.5, 0.0, 2.0, 0.0, 3.0]), 0),
    ],
)
def cumprod(xp, input, /, dim, *, dtype=None):
    """Running product along `dim`.

    Parameters
    ----------
    input : Tensor
    dim : int
    dtype : dtype, optional
        Convert to it first. Integers and bools become int64 by default.
    """
    x, dim = widened(xp, input, dtype), axis(dim, input.ndim)
    if not x.ndim:
        return xp.asarray(x, copy=True)
    return xp.cumulative_prod(x, axis=dim, dtype=x.dtype)


def cumprod_rule(xp: Any, g: Any, input: Any, out: Any, dim: int) -> Any:
    dtype, dim = input.dtype, axis(dim, len(input.shape))
    if not len(input.shape) or 0 in input.shape:
        return back_to(xp, g, dtype)
    if g.dtype != dtype:
        input = xp.astype(input, g.dtype)
    if not anywhere(input == 0, xp):
        return back_to(xp, backwards_sum(xp, g * out, dim) / input, dtype)
    before = shifted(xp, out, dim, xp.ones_like(input[along(dim, slice(0, 1))]))
    return back_to(xp, before * xp.recur(g, xp.roll(input, -1, axis=dim), dim), dtype)


derivative(cumprod, input=cumprod_rule)


@op(
    ordered=True,
    exact_out=True,
    accepts=("float", "complex"),
    examples=[((2, 3), 1), ((2, 3), -2), ((), 0), ((0, 3), 0), (fixed([-90.0, 90.0, 80.0]), 0)],
)
def logcumsumexp(xp, input, /, dim):
    """Running `logsumexp` along `dim`.

    Parameters
    ----------
    input : Tensor
    dim : int
    """
    dim = axis(dim, input.ndim)
    if not input.ndim:
        return xp.asarray(input, copy=True)
    if kind(input) != "complex":
        return running(xp, xp.logaddexp, input, dim)
    found = [input[along(dim, slice(0, 1))]]  # one by one, as the order decides about whole turns
    for k in range(1, input.shape[dim]):
        found.append(log_add(xp, found[-1], input[along(dim, slice(k, k + 1))]))
    return xp.concat(found, axis=dim) if input.shape[dim] else xp.asarray(input, copy=True)


def logcumsumexp_rule(xp: Any, g: Any, input: Any, out: Any, dim: int) -> Any:
    if not len(input.shape) or 0 in input.shape:
        return g
    dim = axis(dim, len(input.shape))
    key = along(dim, slice(0, 1))
    ratio = xp.exp(out - xp.concat([out[along(dim, slice(1, None))], out[key]], axis=dim))
    share = xp.exp(input - out)
    empty = xp.real(out) == -INF if kind(out) == "complex" else out == -INF  # Nothing is there yet.
    return masked(xp, ~empty, share) * xp.recur(g, masked(xp, ~empty, ratio), dim)


derivative(logcumsumexp, input=logcumsumexp_rule)


def running_extreme(xp: Any, name: str, input: Any, dim: int) -> tuple[Any, Any]:
    """Running maximum or minimum, and where it stands; the last of equal ones, as in PyTorch."""
    dim = axis(dim, input.ndim)
    if not input.ndim:
        return xp.asarray(input, copy=True), xp.zeros((), dtype=xp.int64)
    x = xp.astype(input, xp.uint8) if kind(input) == "bool" else input
    values = running(xp, xp.maximum if name == "max" else xp.minimum, x, dim)
    line = (*(1,) * dim, input.shape[dim], *(1,) * (input.ndim - dim - 1))
    places = xp.broadcast_to(
        xp.reshape(xp.arange(input.shape[dim], dtype=xp.int64), line), input.shape
    )
    reached = xp.logical_or(x == values, x != x)
    places = running(xp, xp.maximum, masked(xp, reached, places), dim)
    return xp.astype(values, input.dtype, copy=False), places


def running_rule(xp: Any, gs: Any, input_shape: Sequence[int], indices: Any, dim: int) -> Any:
    return xp.gather_spread(gs[0], indices, tuple(input_shape), axis(dim, len(input_shape)))


RUNNING_EXAMPLES = [
    (distinct(2, 4), 1),
    (distinct(3, 2), -2),
    ((), 0),
    ((0, 3), 0),
    (ints(6, high=3), 0),
    (fixed([1.0, NAN, 2.0]), 0),
]


@op(
    ordered=True,
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    outputs=("values", "indices"),
    examples=RUNNING_EXAMPLES,
)
def cummax(xp, input, /, dim):
    """Running maximum along `dim`.

    Returns
    -------
    values, indices : Tensor
        The largest number so far, and where it stands; the last of equal ones.
    """
    return running_extreme(xp, "max", input, dim)


derivative(cummax, input=running_rule)


@op(
    ordered=True,
    exact_out=True,
    promotes=None,
    accepts=ORDERED,
    outputs=("values", "indices"),
    examples=RUNNING_EXAMPLES,
)
def cummin(xp, input, /, dim):
    """Running minimum along `dim`; the results are as for :func:`cummax`."""
    return running_extreme(xp, "min", input, dim)


derivative(cummin, input=running_rule)


# ---- middle, most common, and parts ----


def middle(xp: Any, input: Any, dim: int, keepdim: bool, skip: bool) -> tuple[Any, Any]:
    """The lower of the two middle elements, and its place; NaN if there is one, unless skipped."""
    keys = xp.astype(input, xp.float32) if half(input) else input  # bfloat16 puts NaN anywhere
    order = xp.astype(xp.argsort(keys, axis=dim, stable=True), xp.int64, copy=False)
    nan = input != input
    number = xp.sum(xp.astype(nan, xp.int64), axis=dim, keepdims=True)
    size = input.shape[dim]
    last = xp.full_like(number, (size - 1) // 2)
    if skip:
        inside = size - number
        rank = xp.where(inside > 0, (inside - 1) // 2, xp.zeros_like(number))
    else:  # Sorting puts NaN last, the first of them first.
        rank = xp.where(number > 0, size - number, last)
    place = xp.take_along_axis(order, rank, axis=dim)
    value = xp.take_along_axis(input, place, axis=dim)
    return (value, place) if keepdim else (xp.squeeze(value, axis=dim), xp.squeeze(place, axis=dim))


def middle_of_all(xp: Any, input: Any, skip: bool) -> Any:
    flat = xp.reshape(input, (-1,))
    if not flat.shape[0]:
        if kind(input) == "int":
            return xp.full((), xp.iinfo(input.dtype).min, dtype=input.dtype)
        return xp.full((), NAN, dtype=input.dtype)
    return middle(xp, flat, 0, False, skip)[0]


def middle_along(xp: Any, name: str, input: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    dim = axis(dim, input.ndim)
    require_some(name, input, dim)
    if not input.ndim:
        return xp.asarray(input, copy=True), xp.zeros((), dtype=xp.int64)
    return middle(xp, input, dim, keepdim, name == "nanmedian")


@op(
    promotes=None,
    public=False,
    accepts=("float", "int"),
    node="MedianBackward0",
    examples=[(distinct(2, 3),), (distinct(4),)],
    oracle=lambda torch, x: torch.median(x),
)
def median_all(xp, input, /):
    """The lower of the two middle numbers of all."""
    return middle_of_all(xp, input, False)


derivative(median_all, input=lambda xp, g, input, out: shared(xp, g, input, out, None, False))


@op(
    promotes=None,
    public=False,
    accepts=("float", "int"),
    node="NanmedianBackward0",
    examples=[(distinct(2, 3),), (fixed([3.0, NAN, 1.0]),)],
    oracle=lambda torch, x: torch.nanmedian(x),
)
def nanmedian_all(xp, input, /):
    """The lower of the two middle numbers of all that are not NaN."""
    return middle_of_all(xp, input, True)


derivative(nanmedian_all, input=lambda xp, g, input, out: shared(xp, g, input, out, None, False))


@op(
    promotes=None,
    public=False,
    accepts=("float", "int"),
    outputs=("values", "indices"),
    node="MedianBackward1",
    oracle=lambda torch, *args: torch.median(*args),
    examples=[(distinct(2, 4), 1, False), (distinct(3, 2), 0, True), ((), 0, False)],
)
def median_dim(xp, input, /, dim, keepdim):
    """The lower of the two middle numbers along `dim`, and where it stands."""
    return middle_along(xp, "median", input, dim, keepdim)


derivative(median_dim, input=unpicked)


@op(
    promotes=None,
    public=False,
    accepts=("float", "int"),
    outputs=("values", "indices"),
    node="NanmedianBackward1",
    oracle=lambda torch, *args: torch.nanmedian(*args),
    examples=[(distinct(2, 4), 1, False), (fixed([[3.0, NAN, 1.0], [NAN, NAN, NAN]]), 1, True)],
)
def nanmedian_dim(xp, input, /, dim, keepdim):
    """The lower of the two middle numbers along `dim` that are not NaN, and where it stands."""
    return middle_along(xp, "nanmedian", input, dim, keepdim)


derivative(nanmedian_dim, input=unpicked)

MEDIAN_EXAMPLES = [
    (distinct(2, 3),),
    (distinct(2, 4), 1),
    (distinct(3, 2), {"dim": 0, "keepdim": True}),
]


@composite(method=True, examples=MEDIAN_EXAMPLES)
@with_out()
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle number; of two middle ones the lower.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        The dimension to reduce; all by default.
    keepdim : bool, optional
        Keep it, with length 1.

    Returns
    -------
    Tensor, or values and indices : Tensor
        With `dim` also where, along it, the number stands. NaN if there is one.

    Raises
    ------
    IndexError
        If the dimension is empty.
    """
    return median_all(input) if dim is None else median_dim(input, dim, keepdim)


@composite(method=True, examples=[*MEDIAN_EXAMPLES, (fixed([3.0, NAN, 1.0]),)])
@with_out()
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle number of those that are not NaN; the rest is as for :func:`median`."""
    return nanmedian_all(input) if dim is None else nanmedian_dim(input, dim, keepdim)


@op(
    exact_out=True,
    apart=True,
    promotes=None,
    accepts=ORDERED,
    outputs=("values", "indices"),
    examples=[
        (ints(2, 9, high=3),),
        (ints(9, 2, high=3), {"dim": 0, "keepdim": True}),
        (distinct(2, 3), {"dim": 1}),
        ((),),
        (bools(7),),
    ],
)
def mode(xp, input, /, dim=-1, keepdim=False):
    """The most common number along `dim`; the smallest of several.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
    keepdim : bool, optional
        Keep the dimension, with length 1.

    Returns
    -------
    values, indices : Tensor
        The number, and where it stands last.

    Raises
    ------
    IndexError
        If the dimension is empty.
    """
    dim = axis(dim, input.ndim)
    require_some("mode", input, dim)
    if not input.ndim:
        return xp.asarray(input, copy=True), xp.zeros((), dtype=xp.int64)
    x = xp.astype(input, xp.uint8) if kind(input) == "bool" else input
    order = xp.astype(xp.argsort(x, axis=dim, stable=True), xp.int64, copy=False)
    lined = xp.take_along_axis(x, order, axis=dim)
    size = x.shape[dim]
    line = (*(1,) * dim, size, *(1,) * (x.ndim - dim - 1))
    places = xp.broadcast_to(xp.reshape(xp.arange(size, dtype=xp.int64), line), x.shape)
    new = lined[along(dim, slice(1, None))] != lined[along(dim, slice(0, size - 1))]
    new = xp.concat([xp.ones_like(lined[along(dim, slice(0, 1))], dtype=xp.bool), new], axis=dim)
    length = places - running(xp, xp.maximum, masked(xp, new, places), dim)
    best = xp.astype(xp.argmax(length, axis=dim, keepdims=True), xp.int64, copy=False)
    place = xp.take_along_axis(order, best, axis=dim)
    value = xp.take_along_axis(input, place, axis=dim)
    return (value, place) if keepdim else (xp.squeeze(value, axis=dim), xp.squeeze(place, axis=dim))


derivative(mode, input=unpicked)

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def parts(name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    """`quantile` and `nanquantile`, which differ in how they count."""
    if kind(input) != "float" or half(input):
        raise RuntimeError(
            f"{name}() input tensor must be either float or double dtype, got "
            f"{of(input.dtype).legacy}"
        )
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    several = hasattr(q, "tolist")
    if several and q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, got shape {list(q.shape)}")
    if several and q.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}() q tensor must be same dtype as the input tensor, got {q.dtype!r}"
        )
    line = several and q.ndim == 1
    wanted = q.unbind(0) if line else [q]
    if several and anywhere(((q >= 0) & (q <= 1)).logical_not()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if not several and not 0 <= q <= 1:
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
    if not input.numel():
        raise RuntimeError(
            f"{name}() input tensor must be non-empty, got shape {list(input.shape)}"
        )
    ndim, place = input.ndim, 0 if dim is None else axis(dim, input.ndim)
    x = input.reshape((-1,)) if dim is None or not ndim else input.movedim(place, -1)
    lined, size = sort(x, -1)[0], x.shape[-1]
    number = sum(x == x, -1, True)  # NaN stands last.
    found = [
        part_of(lined, number, size, value, interpolation, name == "nanquantile")
        for value in wanted
    ]
    if keepdim:
        found = [
            f.reshape((1,) * ndim) if dim is None or not ndim else f.movedim(-1, place)
            for f in found
        ]
    else:
        found = [f.squeeze(-1) for f in found]
    return cat([f.unsqueeze(0) for f in found]) if line else found[0]


def part_of(lined: Any, number: Any, size: int, q: Any, interpolation: str, skip: bool) -> Any:
    """The `q`-th part of sorted numbers, of which `number` are not NaN, with a last dimension 1."""
    last = (number - 1).clamp(min=0) if skip else number * 0 + (size - 1)
    rank = last.to(lined.dtype) * q
    below = rank.floor()
    weight = rank - below
    low = below.to(number.dtype)
    high = rank.ceil().to(number.dtype)
    if interpolation in ("lower", "higher"):
        found = lined.gather(-1, low if interpolation == "lower" else high)
    elif interpolation == "nearest":
        found = lined.gather(-1, rank.round().to(number.dtype))
    else:
        if interpolation == "midpoint":
            weight = (weight != 0).to(lined.dtype) * 0.5
        found = lined.gather(-1, low).lerp(lined.gather(-1, high), weight)
    return found if skip else found.masked_fill(number < size, NAN)


QUANTILE_EXAMPLES = [
    (distinct(2, 5), 0.3),
    (distinct(2, 5), 0.6, {"dim": 1}),
    (distinct(2, 5), fixed([0.1, 0.25, 0.9]), {"dim": 0, "keepdim": True}),
    (distinct(2, 5), 0.3, {"dim": 1, "interpolation": "nearest"}),
    (distinct(6), 0.3, {"interpolation": "midpoint"}),
    (distinct(6), 0.3, {"interpolation": "higher"}),
]


@composite(method=True, examples=QUANTILE_EXAMPLES)
@with_out()
def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The number below which the part `q` of all numbers lies.

    Parameters
    ----------
    input : Tensor
        float32 or float64.
    q : float or Tensor
        From 0 to 1; a 1-d tensor for several, which then are the first dimension of the result.
    dim : int, optional
        The dimension to reduce; all by default.
    keepdim : bool, optional
        Keep it, with length 1.
    interpolation : {"linear", "lower", "higher", "midpoint", "nearest"}, optional
        What to take where the place lies between two numbers.

    Raises
    ------
    RuntimeError
        If `q` lies outside, or `input` is empty or of another dtype.
    """
    return parts("quantile", input, q, dim, keepdim, interpolation)


@composite(
    method=True,
    examples=[
        *QUANTILE_EXAMPLES,
        (fixed([[1.0, NAN, 3.0, 5.0], [NAN, NAN, NAN, 1.0]]), 0.4, {"dim": 1}),
    ],
)
@with_out()
def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """`quantile` of the numbers that are not NaN; the parameters are the same."""
    return parts("nanquantile", input, q, dim, keepdim, interpolation)


# ---- neighbours ----


def piece(x: Any, dim: int, key: slice) -> Any:
    """A piece of a tensor along `dim`."""
    return x[along(dim, key)]


@composite(
    method=True,
    examples=[
        ((2, 4),),
        ((4, 2), {"n": 2, "dim": 0}),
        ((2, 3), {"prepend": (2, 1), "append": (2, 2)}),
        (bools(4),),
        ((3,), 5),
    ],
)
@with_out(casts=lambda input, n=1, *args, **kwargs: n != 0)
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `dim`.

    Parameters
    ----------
    input : Tensor
        At least 1-d; of bools, whether neighbours differ.
    n : int, optional
        How often to take differences.
    dim : int, optional
    prepend, append : Tensor, optional
        Put before and after `input` first.

    Raises
    ------
    RuntimeError
        For a tensor without dimensions, or a negative `n`.
    """
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = axis(dim, input.ndim)
    if n == 0:
        return input.clone()
    whole = [x for x in (prepend, input, append) if x is not None]
    if builtins.any(x.ndim != input.ndim for x in whole):
        raise RuntimeError(
            "diff expects prepend or append to be the same dimension as input: got shapes "
            f"{[list(x.shape) for x in whole]}"
        )
    x = cat(whole, dim) if len(whole) > 1 else input
    for _ in range(builtins.min(n, x.shape[dim])):
        size = x.shape[dim]
        after, before = (
            piece(x, dim, slice(1, None)),
            piece(x, dim, slice(0, builtins.max(0, size - 1))),
        )
        x = after ^ before if kind(x) == "bool" else after - before
    return x


def slopes(input: Any, dim: int, spacing: Any, edge_order: int) -> Any:
    """Slopes along a dimension from neighbours at some distance, or at 1-d coordinates."""
    size = input.shape[dim]
    steps = None
    if hasattr(spacing, "shape"):
        steps = (spacing[1:] - spacing[:-1]).reshape((-1, *(1,) * (input.ndim - dim - 1)))

    def at(first: int, last: int) -> Any:
        return input[along(dim, slice(first, last))]

    def step(first: int, last: int) -> Any:
        return spacing if steps is None else steps[first:last]

    def parabola(x: Any, y: Any, z: Any, near: Any, far: Any) -> Any:
        """The slope at `x` of a parabola through three points in a row."""
        whole = near + far
        return (
            (near + whole) / -(near * whole) * x
            + whole / (near * far) * y
            - near / (far * whole) * z
        )

    before, after = step(0, size - 2), step(1, size - 1)
    inner = (
        -after / (before * (before + after)) * at(0, size - 2)
        + (after - before) / (before * after) * at(1, size - 1)
        + before / (after * (before + after)) * at(2, size)
    )
    if edge_order == 1:
        left = (at(1, 2) - at(0, 1)) / step(0, 1)
        right = (at(size - 1, size) - at(size - 2, size - 1)) / step(size - 2, size - 1)
        return cat([left, inner, right], dim)
    left = parabola(at(0, 1), at(1, 2), at(2, 3), step(0, 1), step(1, 2))
    x, y, z = [at(size - k, size - k + 1) for k in (1, 2, 3)]
    right = -parabola(x, y, z, step(size - 2, size - 1), step(size - 3, size - 2))
    return cat([left, inner, right], dim)


@composite(
    method=False,
    examples=[
        ((5,),),
        ((4, 5), {"spacing": 2.0}),
        ((4, 5), {"dim": 1, "edge_order": 2}),
        ((4, 3), {"spacing": [0.5, 2.0]}),
    ],
)
def gradient(
    input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """Slopes of a function that is known at some points, along each dimension.

    Parameters
    ----------
    input : Tensor
        The values.
    spacing : number, or sequence of numbers or of Tensor, optional
        How far the points are from each other: in all dimensions, or in each; 1 by default. A 1-d
        tensor gives the points' coordinates, which need not be equally spaced.
    dim : int or sequence of int, optional
        The dimensions; all by default.
    edge_order : {1, 2}, optional
        How well slopes at the edges fit: from two points or from three.

    Returns
    -------
    tuple of Tensor
        One to each dimension, of the shape of `input`.

    Raises
    ------
    RuntimeError
        If `edge_order` is another number, a dimension has too few points, or the spacings do not
        fit the dimensions.
    """
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    if kind(input) == "bool" or (kind(input) == "int" and not input.dtype.is_signed):
        raise RuntimeError(
            f"torch.gradient does not support {input.dtype.name} input: slopes have signs"
        )
    where = over(dim, input.ndim)
    if isinstance(spacing, (tuple, list)):
        each = list(spacing)
        if len(each) != len(where):
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
                f"equal to the number of dimensions, {len(where)}, but got a list of length "
                f"{len(each)}"
            )
    else:
        each = [1 if spacing is None else spacing] * len(where)
    for d, step in zip(where, each, strict=True):
        if input.shape[d] <= edge_order:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1, got "
                f"size {input.shape[d]} in dimension {d} for edge_order={edge_order}"
            )
        if hasattr(step, "shape") and (step.ndim != 1 or step.shape[0] != input.shape[d]):
            raise RuntimeError(
                "torch.gradient expected each element of spacing to have one dimension with a "
                f"coordinate to each of the {input.shape[d]} points of dimension {d}, got shape "
                f"{list(step.shape)}"
            )
    found = [slopes(input, d, step, edge_order) for d, step in zip(where, each, strict=True)]
    return tuple(found)


def panels(name: str, y: Any, x: Any, dx: Any, dim: int) -> Any:
    """Areas between neighbours along `dim`."""
    if kind(y) == "bool" or (x is not None and kind(x) == "bool"):
        raise RuntimeError(
            f"{name}: received a bool input for `{'y' if kind(y) == 'bool' else 'x'}`, but bool "
            "is not supported"
        )
    if not y.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if x is not None and dx is not None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments: give x or dx, not both"
        )
    place = axis(dim, y.ndim)
    size = builtins.max(0, y.shape[place] - 1)
    heights = piece(y, place, slice(1, None)) + piece(y, place, slice(0, size))
    if x is None:
        return heights * ((1 if dx is None else dx) / 2)
    if x.ndim == 1:
        if x.shape[0] != y.shape[place]:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point: got shapes "
                f"{list(x.shape)} and {list(y.shape)}"
            )
        x = x.reshape((-1, *(1,) * (y.ndim - place - 1)))
        place = 0
    elif x.ndim < y.ndim:
        place = place - y.ndim + x.ndim
    return heights * diff(x, 1, place) / 2


TRAPEZOID_EXAMPLES = [
    ((2, 4),),
    ((2, 4), {"dx": 0.5}),
    ((4, 2), {"dim": 0}),
    ((2, 4), (4,)),
    ((2, 4), (2, 4)),
    ((4, 2), (4,), {"dim": 0}),
    (ints(4),),
]


@composite(method=False, examples=TRAPEZOID_EXAMPLES)
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The area under straight lines between points.

    Parameters
    ----------
    y : Tensor
        Heights.
    x : Tensor, optional
        Where they stand along `dim`: 1-d, or of the shape of `y`.
    dx : number, optional
        The distance of all neighbours, 1 by default.
    dim : int, optional

    Raises
    ------
    RuntimeError
        If `x` has another length, or for bools.
    """
    if x is None and y.ndim and kind(y) != "bool" and y.shape[axis(dim, y.ndim)]:
        # As PyTorch does it: small integers overflow in the sum of the ends alone.
        ends = (y.select(dim, 0) + y.select(dim, -1)) * 0.5
        return (sum(y, dim) - ends) * (1.0 if dx is None else dx)
    return sum(panels("trapezoid", y, x, dx, dim), dim)


@composite(method=False, examples=[((2, 4),), ((2, 4), (4,)), ((4, 2), {"dim": 0})])
def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """An older name of :func:`trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


@composite(method=False, examples=TRAPEZOID_EXAMPLES)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Running :func:`trapezoid` along `dim`, one shorter than `y`; the parameters are the same."""
    return cumsum(panels("cumulative_trapezoid", y, x, dx, dim), dim)


@composite(
    method=True, examples=[((2, 3), 2, 0, 0.5), ((2, 3, 2), 1, 1, 2.0), ((2, 3), 2, 0, 100.0)]
)
@with_out()
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Shrink the parts along `dim` whose norm is above `maxnorm` to it.

    Parameters
    ----------
    input : Tensor
        At least 2-d.
    p : number
        The exponent of the norm.
    dim : int
    maxnorm : number

    Raises
    ------
    RuntimeError
        If `p` is not positive, `maxnorm` is negative, or there are fewer than two dimensions.
    """
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported, got p={p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    kept = axis(dim, input.ndim)
    length = linalg_vector_norm(input, p, [d for d in range(input.ndim) if d != kept], True)
    factor = maxnorm / (length + 1e-7)
    return input * factor.masked_fill(length <= maxnorm, 1)


# ---- statistics of several variables ----


@composite(
    method=True,
    examples=[
        ((3, 5),),
        ((3, 5), {"correction": 0}),
        ((5,),),
        ((3, 5), {"fweights": ints(5, low=1)}),
        ((3, 5), {"aweights": positives(5)}),
    ],
)
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariances of variables.

    Parameters
    ----------
    input : Tensor
        Variables in rows, observations in columns; or one variable.
    correction : int, optional
        What to take from the number of observations before dividing by it.
    fweights : Tensor, optional
        Integers: how often each observation was made.
    aweights : Tensor, optional
        Weights of the observations.

    Raises
    ------
    RuntimeError
        For more than two dimensions, or weights of another shape.
    """
    if input.dtype.kind == "bool":
        raise RuntimeError(
            f"cov(): bool dtype is not supported for input, of shape {list(input.shape)}"
        )
    if input.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    single = input.ndim < 2
    x = input.reshape((1, -1)) if single else input
    if x.dtype.kind in ("int", "bool"):
        x = x.to(get_default_dtype())
    weight = None
    for name, w, kinds in (
        ("fweights", fweights, {"int": "integral"}),
        ("aweights", aweights, {"float": "floating point"}),
    ):
        if w is None:
            continue
        if w.dtype.kind not in kinds:
            raise RuntimeError(
                f"cov(): expected {name} to have {next(iter(kinds.values()))} dtype but got {name} "
                f"with {w.dtype.legacy} dtype"
            )
        if anywhere(w < 0):
            raise RuntimeError(f"cov(): {name} cannot be negative, got {w.min().item()}")
        if w.ndim > 1 or w.numel() != x.shape[1]:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the "
                "input but got "
                f"{w.numel()} != {x.shape[1]}"
            )
        weight = w if weight is None else weight * w
    if weight is None:
        average, total_weight = mean(x, 1, True), x.shape[1]
    else:
        total_weight = sum(weight)
        average = sum(x * weight, 1, True) / total_weight
    freedom = total_weight - correction
    if aweights is not None and correction:
        freedom = total_weight - correction * sum(weight * aweights) / total_weight
    freedom = clamp(freedom, 0) if hasattr(freedom, "dtype") else builtins.max(0, freedom)
    away = x - average
    found = (away if weight is None else away * weight) @ away.mH / freedom
    return found.reshape(()) if found.numel() == 1 else found


@composite(method=True, examples=[((3, 5),), ((5,),)])
def corrcoef(input: Any) -> Any:
    """Correlations of variables, which stand in rows.

    Raises
    ------
    RuntimeError
        For more than two dimensions.
    """
    if input.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    found = cov(input)
    if not found.ndim:
        return found / found
    size = found.diagonal().sqrt()
    found = found / size.unsqueeze(-1) / size.unsqueeze(0)
    if found.dtype.is_complex:
        return complex_of(found.real.clamp(-1, 1), found.imag.clamp(-1, 1))
    return found.clamp(-1, 1)


@composite(
    method=True,
    examples=[
        ((3, 5),),
        ((3, 5), 1),
        ((2, 3, 4), (0, 2), {"keepdim": True}),
        ((),),
        (ints(5),),
        (bools(2, 3), 0),
        ((2, 0), [0]),
    ],
)
@with_out()
def hash_tensor(input: Any, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Any:
    """Combine the bits of all elements by exclusive or.

    Parameters
    ----------
    input : Tensor
        Of any real type; the bits are those of the elements in float64, or as integers in int64.
    dim : int or tuple of int, optional
        The dimensions that are combined; all by default.
    keepdim : bool, optional
        Whether they stay, with size 1.
    mode : int, optional
        0; there is no other way to combine.

    Returns
    -------
    Tensor of uint64

    Raises
    ------
    IndexError
        If there is no such dimension, or one has size 0.
    RuntimeError
        If there is no such mode, or nothing to combine.
    """
    require_tensors("hash_tensor", input=input)
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if input.dtype.kind == "complex":
        raise NotImplementedError(
            f"\"xor_sum_cpu\" not implemented for '{input.dtype.legacy}': hash_tensor() takes "
            "real tensors; use torch.view_as_real"
        )
    everything = not isinstance(dim, int) and not dim
    if everything and not input.numel():
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    dims = over(dim, input.ndim)
    for one in dims:
        if not input.shape[one]:
            raise IndexError(
                f"hash_tensor: Expected reduction dim {one} to have non-zero size, got shape "
                f"{list(input.shape)}"
            )
    x = input.detach()
    bits = x.to(float64).view(int64) if x.dtype.kind == "float" else x.to(int64)
    kept = [one for one in range(input.ndim) if one not in dims]
    sizes = [input.shape[one] for one in kept]
    count = math.prod(input.shape[one] for one in dims)
    bits = bits.permute((*kept, *dims)).reshape((*sizes, count))
    while bits.shape[-1] > 1:
        half, odd = divmod(bits.shape[-1], 2)
        both = bits[..., :half] ^ bits[..., half : 2 * half]
        bits = cat([both, bits[..., 2 * half :]], -1) if odd else both
    shape = [1 if one in dims else n for one, n in enumerate(input.shape)] if keepdim else sizes
    return bits.reshape(shape).view(uint64)
