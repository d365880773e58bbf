"""How the functions that kernels and rules use work on a `Batch`: the array API and the EXTRAS.

A rule is given the library's function, and calls it once for all examples, mostly with its axes
moved up by one. What has no rule is called for one example after another.
"""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.func._batch import WHOLE, Batch, Unbatchable, shown, spread
from devtensor.func._calls import DYNAMIC, Function, batches, looped

RULES: dict[str, Function] = {}
"""``rule(function, *arguments)`` by the name of a function of the namespace."""


def rule(*names: str) -> Function:
    """Register the rule for functions of the namespace."""

    def define(function: Function) -> Function:
        for name in names:
            RULES[name] = function
        return function

    return define


def size_of(*args: Any) -> int:
    """The number of examples."""
    size: int = next(x.value.shape[0] for x in batches(args) if x.many)
    return size


def up(axis: int, ndim: int) -> int:
    """The axis of the value for one of an example."""
    if not -ndim <= axis < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got "
            f"{axis})"
        )
    return axis % ndim + 1


def ups(axis: Any, ndim: int) -> Any:
    """The same for one or several axes; all of an example for None."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    return up(axis, ndim) if isinstance(axis, int) else tuple([up(a, ndim) for a in axis])


# ---- element by element

SPREAD = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift
bitwise_or bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh digamma divide equal
erf erfc erfinv exp expm1 floor floor_divide fmax fmin greater greater_equal hypot i0 imag isfinite
isinf isnan less less_equal lgamma log log10 log1p log2 logaddexp logical_and logical_not logical_or
logical_xor maximum minimum multiply negative nextafter not_equal polygamma positive pow real
reciprocal remainder round sign signbit sin sinh sqrt square subtract tan tanh trunc where
"""
RULES.update(dict.fromkeys(SPREAD.split(), spread))


@rule("astype")
def astype(function: Function, x: Batch, dtype: Any, /, **kwargs: Any) -> Any:
    value = x.value
    made = function(value, dtype, **kwargs)
    return x if made is value else x.made(made, x.many)


@rule("asarray")
def asarray(function: Function, x: Any, /, **kwargs: Any) -> Any:
    value = x.value
    made = function(value, **kwargs)
    return x if made is value else x.made(made, x.many)


@rule("finfo", "iinfo", "isdtype", "result_type", "can_cast")
def of_types(function: Function, *args: Any) -> Any:
    return function(*[x.dtype if isinstance(x, Batch) else x for x in args])


# ---- along axes


@rule("sum", "mean", "prod", "max", "min", "any", "all", "std", "var", "count_nonzero")
def reduced(function: Function, x: Batch, /, *, axis: Any = None, **kwargs: Any) -> Any:
    made = x.made(function(x.value, axis=ups(axis, x.ndim), **kwargs), True)
    if not made.ndim and function.__name__ in WHOLE:
        made.verdict = function.__name__
    return made


@rule("argmax", "argmin")
def place(function: Function, x: Batch, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is not None and x.ndim:
        return x.made(function(x.value, axis=up(axis, x.ndim), keepdims=keepdims), True)
    flat = x.inner.reshape(x.value, (size_of(x), x.size))
    found = function(flat, axis=1)
    if keepdims:
        found = x.inner.reshape(found, (size_of(x), *[1] * x.ndim))
    return x.made(found, True)


@rule("cumulative_sum", "cumulative_prod")
def accumulated(function: Function, x: Batch, /, *, axis: Any = None, **kwargs: Any) -> Any:
    return x.made(function(x.value, axis=up(0 if axis is None else axis, x.ndim), **kwargs), True)


@rule("sort", "argsort")
def ordered(function: Function, x: Batch, /, *, axis: int = -1, **kwargs: Any) -> Any:
    return x.made(function(x.value, axis=up(axis, x.ndim), **kwargs), True)


@rule("diff")
def differences(function: Function, x: Batch, /, *, axis: int = -1, **kwargs: Any) -> Any:
    if batches(kwargs):
        return looped(function, x, axis=axis, **kwargs)
    return x.made(function(x.value, axis=up(axis, x.ndim), **kwargs), True)


@rule("flip")
def flip(function: Function, x: Batch, /, *, axis: Any = None) -> Any:
    return x.made(function(x.value, axis=ups(axis, x.ndim)), True)


@rule("roll")
def roll(function: Function, x: Batch, shift: Any, /, *, axis: Any = None) -> Any:
    if axis is not None:
        return x.made(function(x.value, shift, axis=ups(axis, x.ndim)), True)
    flat = function(x.inner.reshape(x.value, (size_of(x), x.size)), shift, axis=1)
    return x.made(x.inner.reshape(flat, x.value.shape), True)


@rule("repeat")
def repeat(function: Function, x: Batch, repeats: Any, /, *, axis: Any = None) -> Any:
    if batches(repeats):
        if any(b.many for b in batches(repeats)):
            raise Unbatchable(DYNAMIC.format(name="repeat"))
        repeats = repeats.value
    if axis is not None:
        return x.made(function(x.value, repeats, axis=up(axis, x.ndim)), True)
    return x.made(function(x.inner.reshape(x.value, (size_of(x), x.size)), repeats, axis=1), True)


@rule("tile")
def tile(function: Function, x: Batch, repetitions: Any, /) -> Any:
    repetitions = (*[1] * (x.ndim - len(repetitions)), *repetitions)
    return x.made(function(shown(x, len(repetitions)), (1, *repetitions)), True)


# ---- shapes


def viewing(step: Function) -> Function:
    """A rule for what looks at the memory of its first argument."""

    def call(function: Function, x: Batch, /, *args: Any, **kwargs: Any) -> Any:
        def again(x: Any) -> Any:
            return call(function, x, *args, **kwargs)

        if not x.many:
            return x.made(function(x.value, *args, **kwargs), False, (x, again))
        return x.made(step(function, x, *args, **kwargs), True, (x, again))

    call.views = True  # type: ignore[attr-defined]
    return call


@rule("reshape")
@viewing
def reshape(function: Function, x: Batch, /, shape: Any, **kwargs: Any) -> Any:
    shape = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if -1 in shape:
        others = prod([n for n in shape if n != -1])
        shape[shape.index(-1)] = x.size // others if others else 0
    if prod(shape) != x.size:
        raise ValueError(f"cannot reshape an array of shape {x.shape} into {tuple(shape)}")
    return function(x.value, (size_of(x), *shape), **kwargs)


@rule("broadcast_to")
@viewing
def broadcast_to(function: Function, x: Batch, /, shape: Any) -> Any:
    return function(shown(x, len(shape)), (size_of(x), *shape))


@rule("expand_dims")
@viewing
def expand_dims(function: Function, x: Batch, /, *, axis: Any = 0) -> Any:
    return function(x.value, axis=ups(axis, x.ndim + 1))


@rule("squeeze")
@viewing
def squeeze(function: Function, x: Batch, /, axis: Any) -> Any:
    return function(x.value, axis=ups(axis, x.ndim))


@rule("permute_dims")
@viewing
def permute_dims(function: Function, x: Batch, /, axes: Any) -> Any:
    return function(x.value, (0, *ups(tuple(axes), x.ndim)))


@rule("moveaxis")
@viewing
def moveaxis(function: Function, x: Batch, source: Any, destination: Any, /) -> Any:
    return function(x.value, ups(source, x.ndim), ups(destination, x.ndim))


@rule("matrix_transpose", "contiguous", "view_as_real", "view_as_complex")
@viewing
def as_it_is(function: Function, x: Batch, /) -> Any:
    return function(x.value)


@rule("tril", "triu", "reinterpret")
def on_values(function: Function, x: Batch, /, *args: Any, **kwargs: Any) -> Any:
    return x.made(function(x.value, *args, **kwargs), True)


@rule("sliding_window")
@viewing
def sliding_window(function: Function, x: Batch, size: int, step: int, dim: int, /) -> Any:
    return function(x.value, size, step, up(dim, x.ndim))


@rule("as_strided")
@viewing
def as_strided(function: Function, x: Batch, size: Any, stride: Any, start: int = 0, /) -> Any:
    step = x.inner._device.backend.strides(x.value)[0]
    return function(x.value, (size_of(x), *size), (step, *stride), start)


@rule("concat")
def concat(function: Function, arrays: Any, /, *, axis: Any = 0) -> Any:
    size, like = size_of(arrays), batches(arrays)[0]
    values = [x.all(size) for x in arrays]
    if axis is None:
        values = [like.inner.reshape(v, (size, prod(v.shape[1:]))) for v in values]
    return like.made(function(values, axis=1 if axis is None else up(axis, arrays[0].ndim)), True)


@rule("stack")
def stack(function: Function, arrays: Any, /, *, axis: int = 0) -> Any:
    size, like = size_of(arrays), batches(arrays)[0]
    values = [x.all(size) for x in arrays]
    return like.made(function(values, axis=up(axis, arrays[0].ndim + 1)), True)


@rule("unstack")
def unstack(function: Function, x: Batch, /, *, axis: int = 0) -> Any:
    return tuple([x.made(v, True) for v in function(x.value, axis=up(axis, x.ndim))])


@rule("broadcast_arrays")
def broadcast_arrays(function: Function, *arrays: Any) -> Any:
    size, ndim = size_of(arrays), max(x.ndim for x in arrays)
    found = function(*[shown(x.made(x.all(size), True), ndim) for x in arrays])
    return tuple([arrays[0].made(v, True) for v in found])


@rule("zeros_like", "ones_like", "empty_like")
def filled_like(function: Function, x: Batch, /, *, dtype: Any = None, device: Any = None) -> Any:
    make = getattr(x.inner, function.__name__.removesuffix("_like"))
    return x.made(make(x.shape, dtype=x.dtype if dtype is None else dtype), False)


@rule("full_like")
def full_like(
    function: Function, x: Batch, fill: Any, /, *, dtype: Any = None, device: Any = None
) -> Any:
    dtype = x.dtype if dtype is None else dtype
    if isinstance(fill, Batch):
        return RULES["broadcast_to"](x.inner.broadcast_to, RULES["astype"](
            x.inner.astype, fill, dtype), x.shape)  # fmt: skip
    return x.made(x.inner.full(x.shape, fill, dtype=dtype), False)


@rule("nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values")
def dynamic(function: Function, *args: Any, **kwargs: Any) -> Any:
    raise Unbatchable(DYNAMIC.format(name=function.__name__))


@rule("bincount")
def bincount(function: Function, x: Batch, weights: Any = None, minlength: int = 0, /) -> Any:
    inner, size = x.inner, size_of(x, weights)
    value = x.all(size)
    top = int(inner.max(value)) + 1 if prod(value.shape) else 0
    width = max(top, minlength)
    if weights is not None:
        weights = inner.reshape(weights.all(size), (-1,))
    rows = inner.reshape(inner.arange(size) * width, (size, 1))
    flat = function(inner.reshape(inner.astype(value, rows.dtype) + rows, (-1,)), weights,
                    size * width)  # fmt: skip
    return x.made(inner.reshape(flat, (size, width)), True)


@rule("searchsorted")
def searchsorted(function: Function, x1: Any, x2: Any, /, **kwargs: Any) -> Any:
    if x1.many or batches(kwargs):
        return looped(function, x1, x2, **kwargs)
    return x2.made(function(x1.value, x2.value, **kwargs), True)
