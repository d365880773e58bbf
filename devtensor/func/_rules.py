"""How the functions that kernels and rules use work on a `Batch`: the array API and the EXTRAS.

A rule is given the library's function, and calls it once for all examples, mostly with its axes
moved up by one. What has no rule is called for one example after another.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.func._batch import Batch, Unbatchable, shown, spread

Function = Callable[..., Any]
RULES: dict[str, Function] = {}
"""``rule(function, *arguments)`` by the name of a function of the namespace."""

DYNAMIC = (
    "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap "
    "over {name}, whose result would have another shape for each example. Use a form whose result "
    "has a fixed shape, such as where() or masked_fill(), or call it outside of vmap"
)

MASKED = (
    "vmap: We do not support batching operators that can support dynamic shape. Attempting to "
    "batch over indexing with a boolean mask. Use where(mask, x, 0) or masked_fill() instead"
)


def batches(value: Any) -> list[Batch]:
    """The batches among nested arguments."""
    if isinstance(value, Batch):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [found for part in value for found in batches(part)]
    return []


def picked(value: Any, take: Function) -> Any:
    """Nested arguments with ``take(batch)`` in the place of each batch."""
    if isinstance(value, Batch):
        return take(value)
    if isinstance(value, (tuple, list)):
        parts = [picked(part, take) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {name: picked(part, take) for name, part in value.items()}
    return value


def wrapped(value: Any, many: bool, like: Any) -> Any:
    """Arrays that the library returned as batches; other things as they are."""
    if isinstance(value, (tuple, list)):
        parts = [wrapped(part, many, like) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return like(value, many) if hasattr(value, "dtype") and hasattr(value, "shape") else value


def direct(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call once with the values as they are: all axes but the last few count examples anyway."""
    found = batches((args, kwargs))
    ndim = max(x.ndim for x in found)
    args, kwargs = picked((args, kwargs), lambda x: shown(x, ndim))
    return wrapped(function(*args, **kwargs), True, found[0].__class__)


def looped(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call for one example after another."""
    found = batches((args, kwargs))
    like = next(x for x in found if x.many)
    size = like.value.shape[0]
    inner = like.inner
    results = []
    for i in range(size):
        results.append(function(*picked(args, one(i)), **picked(kwargs, one(i))))
    if not size:  # what an example of zeros gives tells the shape
        sample = picked((args, kwargs), lambda x: zeros_of(x))
        given = function(*sample[0], **sample[1])
        return picked_arrays(given, lambda x: like.made(
            inner.zeros((0, *x.shape), dtype=x.dtype), True))  # fmt: skip
    return stacked(results, like)


def one(number: int) -> Function:
    """Takes one example out of a batch."""
    return lambda x: x.value[number, ...] if x.many else x.value


def zeros_of(x: Batch) -> Any:
    """An example of zeros."""
    return x.inner.zeros(x.shape, dtype=x.dtype) if x.many else x.value


def picked_arrays(value: Any, make: Function) -> Any:
    """Nested results with ``make(array)`` in the place of each array."""
    if isinstance(value, (tuple, list)):
        parts = [picked_arrays(part, make) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return make(value) if hasattr(value, "dtype") and hasattr(value, "shape") else value


def stacked(results: list[Any], like: Batch) -> Any:
    """The results of single examples, in parallel, as batches."""
    first = results[0]
    if isinstance(first, (tuple, list)):
        parts = [stacked(list(column), like) for column in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if not hasattr(first, "shape"):
        return first
    if any(tuple(r.shape) != tuple(first.shape) for r in results):
        raise RuntimeError(DYNAMIC.format(name="an operation"))
    return like.made(like.inner.stack([like.inner.asarray(r) for r in results]), True)


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
    if not made.ndim and function.__name__ in ("any", "all", "max", "min"):
        made.verdict = function.__name__
    return made


@rule("argmax", "argmin")
def place(
    function: Function, x: Batch, /, *, axis: Any = None, keepdims: bool = False
) -> Any:
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


# ---- at indices


@rule("take")
def take(function: Function, x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    axis = (0 if axis is None else axis) % x.ndim
    if not indices.many:
        return x.made(function(x.value, indices.value, axis=axis + 1), True)
    return get(x.inner.get, x, (*[slice(None)] * axis, indices))


@rule("take_along_axis")
def take_along_axis(function: Function, x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    size = size_of(x, indices)
    return x.made(function(x.all(size), indices.all(size), axis=up(axis, x.ndim)), True)


class Places:
    """Where a key with arrays of indices points, as the library can be asked for all examples.

    The indexed axes are taken to the front, so that those of the result are there, too.
    """

    def __init__(self, x: Any, key: Any) -> None:
        inner = self.inner = x.inner
        key = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis not in [k for k in key if not isinstance(k, Batch)]:
            key.append(Ellipsis)
        at = next(i for i, k in enumerate(key) if k is Ellipsis)
        used = sum(k.ndim if self.mask(k) else 1 for k in key) - 1
        key[at : at + 1] = [slice(None)] * (x.ndim - used)
        arrays: list[Any] = []
        indexed: list[int] = []
        rest: list[Any] = []
        others: list[int] = []
        axis = 0
        for k in key:
            if isinstance(k, slice):
                rest.append(k)
                others.append(axis)
                axis += 1
                continue
            found = [k if isinstance(k, Batch) else x.made(inner.asarray(k), False)]
            if self.mask(k):
                if k.many:
                    raise Unbatchable(MASKED)
                found = [x.made(part, False) for part in inner.nonzero(k.value)]
            for part in found:
                arrays.append(part)
                indexed.append(axis)
                axis += 1
        self.order = (*indexed, *others)
        self.wide = max(k.ndim for k in arrays)
        adjacent = indexed == list(range(indexed[0], indexed[-1] + 1))
        self.first = indexed[0] if adjacent else 0
        self.arrays, self.rest = arrays, rest
        self.many = any(k.many for k in arrays)

    def mask(self, k: Any) -> bool:
        """Whether a part of the key is an array of truth values."""
        return isinstance(k, Batch) and bool(self.inner.isdtype(k.dtype, "bool"))

    def key(self, size: int | None) -> tuple[Any, ...]:
        """The key; with the number of examples for an array that is different for each."""
        arrays = [shown(k, self.wide) for k in self.arrays]
        if size is None:
            return (*arrays, *self.rest)
        if not self.many:
            return (slice(None), *arrays, *self.rest)
        rows = self.inner.reshape(self.inner.arange(size), (size, *[1] * self.wide))
        return (rows, *arrays, *self.rest)

    def moved(self, value: Any, back: bool = False) -> Any:
        """A result with the axes of the indices where one example has them, or at the front."""
        if not self.first:
            return value
        front = tuple(range(1, 1 + self.wide))
        there = tuple(range(1 + self.first, 1 + self.first + self.wide))
        return self.inner.moveaxis(value, *((there, front) if back else (front, there)))


@rule("get")
def get(function: Function, x: Any, key: Any, /) -> Any:
    at = Places(x, key)
    inner = x.inner
    if x.many:
        value = inner.permute_dims(x.value, (0, *[1 + axis for axis in at.order]))
        found = function(value, at.key(value.shape[0]))
    else:
        found = function(inner.permute_dims(x.value, at.order), at.key(None))
    return x.made(at.moved(found), True)


@rule("put")
def put(function: Function, x: Any, key: Any, values: Any, accumulate: bool = False, /) -> Any:
    size, inner = size_of(x, key, values), x.inner
    mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
    if isinstance(mask, Batch) and mask.many and inner.isdtype(mask.dtype, "bool"):
        if isinstance(values, Batch) and values.ndim:
            raise Unbatchable(DYNAMIC.format(name="put"))
        missing = [1] * (x.ndim - mask.ndim)
        whole = mask.made(inner.reshape(mask.value, (*mask.value.shape, *missing)), True)
        return spread(inner.where, whole, x + values if accumulate else values, x)
    at = Places(x, key)
    order = (0, *[1 + axis for axis in at.order])
    value = inner.permute_dims(x.all(size), order)
    made = at.key(size)
    if isinstance(values, Batch):
        shape = inner.get(value, made).shape
        target = at.moved(inner.broadcast_to(inner.zeros((1,) * len(shape)), shape)).shape
        given = values.all(size)
        given = given[(slice(None), *[None] * (len(target) - given.ndim), ...)]
        values = at.moved(inner.broadcast_to(given, target), back=True)
    back = sorted(range(len(order)), key=order.__getitem__)
    return x.made(inner.permute_dims(function(value, made, values, accumulate), tuple(back)), True)


@rule("scatter", "scatter_add")
def scatter(function: Function, x: Any, dim: int, index: Any, src: Any, /) -> Any:
    size = size_of(x, index, src)
    if not x.ndim:
        return looped(function, x, dim, index, src)
    return x.made(function(x.all(size), up(dim, x.ndim), index.all(size), src.all(size)), True)


@rule("index_add")
def index_add(function: Function, x: Any, dim: int, index: Any, src: Any, /) -> Any:
    size = size_of(x, index, src)
    if index.many:
        return put(x.inner.put, x, (*[slice(None)] * dim, index), src, True)
    return x.made(function(x.all(size), up(dim, x.ndim), index.value, src.all(size)), True)


# ---- matrices and transforms


@rule("matmul")
def matmul(function: Function, a: Any, b: Any, /) -> Any:
    row, column = a.ndim == 1, b.ndim == 1
    left, right = a.value, b.value
    if row:
        left = left[..., None, :]
    if column:
        right = right[..., :, None]
    many = [(x.many, x.ndim + (x.ndim == 1)) for x in (a, b)]
    ndim = max(n for _, n in many)
    if a.many and ndim > many[0][1]:
        left = left[(slice(None), *[None] * (ndim - many[0][1]), ...)]
    if b.many and ndim > many[1][1]:
        right = right[(slice(None), *[None] * (ndim - many[1][1]), ...)]
    if not b.many and many[1][1] == 2 and many[0][1] > 2:  # one product of large matrices
        rows = left.shape[:-1]
        flat = a.inner.reshape(left, (prod(rows), left.shape[-1]))
        found = a.inner.reshape(function(flat, right), (*rows, right.shape[-1]))
    else:
        found = function(left, right)
    if column:
        found = found[..., 0]
    if row:
        found = found[..., 0] if column else found[..., 0, :]
    return a.made(found, True)


@rule("vecdot")
def vecdot(function: Function, a: Any, b: Any, /, *, axis: int = -1) -> Any:
    return spread(lambda x, y: function(x, y, axis=axis), a, b)


LINALG: dict[str, Function] = dict.fromkeys(
    ["cholesky", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matrix_rank", "matrix_transpose", "pinv", "qr", "slogdet", "svd", "svdvals", "diagonal", "trace", "vecdot"],
    direct,
)
LINALG["matmul"] = matmul


def solve(function: Function, a: Any, b: Any, /) -> Any:
    """``linalg.solve``, where a vector is no matrix with a row for each example."""
    size = size_of(a, b)
    if b.ndim == 1:
        right = b.made(b.all(size)[..., None], True)
        return b.made(direct(function, a, right).value[..., 0], True)
    return direct(function, a.made(a.all(size), True), b.made(b.all(size), True))


LINALG["solve"] = solve


def transform(function: Function, x: Batch, /, n: Any = None, axis: int = -1, **kw: Any) -> Any:
    """A Fourier transform along one axis."""
    return x.made(function(x.value, n=n, axis=up(axis, x.ndim), **kw), True)


def transforms(function: Function, x: Batch, /, s: Any = None, axes: Any = None, **kw: Any) -> Any:
    """A Fourier transform along several axes."""
    if axes is None:
        axes = tuple(range(x.ndim if s is None else x.ndim - len(s), x.ndim))
        axes = tuple(range(x.ndim)) if s is None else axes
    return x.made(function(x.value, s=s, axes=ups(tuple(axes), x.ndim), **kw), True)


def shifted(function: Function, x: Batch, /, *, axes: Any = None) -> Any:
    """A rotation of frequencies."""
    return x.made(function(x.value, axes=ups(axes, x.ndim)), True)


FFT: dict[str, Function] = {
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), transform),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), transforms),
    **dict.fromkeys(("fftshift", "ifftshift"), shifted),
}
