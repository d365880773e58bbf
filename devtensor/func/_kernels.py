"""Kernels for batches, of operations whose own kernel would be slow on them or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.func._batch import Batch, Unbatchable
from devtensor.func._calls import DYNAMIC, MASKED, batches, looped, wrapped
from devtensor.func._rules import size_of, ups
from devtensor.op import catalogue

Function = Callable[..., Any]
KERNELS: dict[str, Function] = {}
"""By operation: ``rule(name, single, xp, *arrays, **params)``; `single` is the kernel of one."""


def rule(*names: str) -> Function:
    """Register the kernel for operations."""

    def define(function: Function) -> Function:
        for name in names:
            KERNELS[name] = function
        return function

    return define


@rule("masked_fill")
def by_itself(name: str, single: Function, xp: Any, *arrays: Any, **params: Any) -> Any:
    """The operation's own kernel, on batches."""
    return catalogue[name].op.kernel(xp, *arrays, **params)  # type: ignore[union-attr]


# ---- operations along dimensions: the library's kernel, with the dimensions moved up by one

ALONG = """
amax amin argmax argmin argsort count_nonzero cummax cummin cumprod cumsum deviation
fft_c2c fft_c2r fft_r2c flip kthvalue linalg_vector_norm log_softmax log_softmax_slope logcumsumexp
logsumexp max_dim mean median_dim min_dim mode nanmedian_dim nansum prod recur resized
resized_spread select softmax softmax_slope sort split_with_sizes squeeze sum topk unbind variance
"""
DIMS = ("dim", "dims", "dim0", "dim1", "dim2", "dimension")
ALL = {"amax", "amin", "mean", "sum"}
"""Those that take all dimensions as a tuple."""


@rule(*ALONG.split(), "diagonal", "transpose", "unfold")
def along(name: str, single: Function, xp: Any, *arrays: Any, **params: Any) -> Any:
    op: Any = catalogue[name].op
    ndim = arrays[0].ndim
    asked = {key: params.get(key, op.params[key]) for key in op.params if key in DIMS}
    if name in ALL and asked["dim"] in ((), []):
        asked["dim"] = None
    if not ndim or (None in asked.values() and name not in ALL):
        return op.kernel(xp, *arrays, **params)
    params.update({key: ups(value, ndim) for key, value in asked.items()})
    return values(single, *arrays, **params)


def values(single: Function, *arrays: Any, **params: Any) -> Any:
    """The library's kernel on the values of batches."""
    size = size_of(arrays)
    given = [x.all(size) if isinstance(x, Batch) else x for x in arrays]
    return wrapped(
        single(*given, **params), True, next(x for x in arrays if x is not None).__class__
    )


# ---- images: dimensions before those of the image count examples anyway


@rule("adaptive_avg", "adaptive_avg_spread", "adaptive_max", "avg_spread", "avg_windows", "chosen",
      "chosen_spread", "max_windows")  # fmt: skip
def on_values(name: str, single: Function, xp: Any, *arrays: Any, **params: Any) -> Any:
    """The library's kernel on the values."""
    return values(single, *arrays, **params)


def folded(x: Any, axis: int, size: int) -> Any:
    """A value whose axis of examples is made one with the axis behind `axis`."""
    inner = x.inner
    value = x.all(size)
    shape = value.shape
    value = inner.moveaxis(value, 0, axis) if axis else value
    return inner.reshape(value, (*shape[1 : axis + 1], size * shape[axis + 1], *shape[axis + 2 :]))


def opened(x: Any, value: Any, axis: int, size: int) -> Any:
    """A batch of a value in which the examples were folded into an axis."""
    shape = value.shape
    parts = (*shape[:axis], size, shape[axis] // (size or 1), *shape[axis + 1 :])
    value = x.inner.reshape(value, parts)
    return x.made(x.inner.moveaxis(value, axis, 0) if axis else value, True)


@rule("convolution", "convolution_spread")
def convolution(
    name: str,
    single: Function,
    xp: Any,
    input: Any,
    weight: Any,
    bias: Any = None,
    /,
    **params: Any,
) -> Any:
    """Examples of one weight are more images; those of several are more groups of channels."""
    size = size_of((input, weight, bias))
    if not size:
        return looped(lambda *given: single(*given, **params), input, weight, bias)
    if not weight.many and not (bias is not None and bias.many):
        shared = None if bias is None else bias.value
        return opened(
            input, single(folded(input, 0, size), weight.value, shared, **params), 0, size
        )
    params["groups"] *= size
    given = None if bias is None else folded(bias, 0, size)
    found = single(folded(input, 1, size), folded(weight, 0, size), given, **params)
    return opened(input, found, 1, size)


@rule("convolution_weight")
def convolution_weight(
    name: str, single: Function, xp: Any, input: Any, grad: Any, /, **params: Any
) -> Any:
    """Each example is a group of channels."""
    size = size_of((input, grad))
    if not size:
        return looped(lambda *given: single(*given, **params), input, grad)
    params["groups"] *= size
    found = single(folded(input, 1, size), folded(grad, 1, size), **params)
    return opened(input, found, 0, size)


# ---- results whose shape the values decide


@rule("nonzero_at", "repeated_positions", "unique_flat", "unique_rows")
def dynamic(name: str, single: Function, xp: Any, *arrays: Any, **params: Any) -> Any:
    raise RuntimeError(DYNAMIC.format(name=name))


@rule("index")
def index(name: str, single: Function, xp: Any, input: Any, *indices: Any, places: Any) -> Any:
    for k in indices:
        if k.many and xp.isdtype(k.dtype, "bool"):
            raise RuntimeError(MASKED)
    return catalogue[name].op.kernel(xp, input, *indices, places=places)  # type: ignore[union-attr]


# ---- random numbers

draws: list[Function] = []
"""Tells of a level how its draws are; `devtensor.func._random` puts it here."""


def random(name: str, single: Function, xp: Any, *arrays: Any, **params: Any) -> Any:
    """A draw: of one set of numbers for all examples, or of one for each."""
    op: Any = catalogue[name].op
    level, step = draws[0](xp._device.depth)
    make = xp._device.backend.make
    size, randomness = level
    if name == "draw":
        if randomness == "same":
            return make(single(**params), False)
        return make(single(**{**params, "size": (size, *params["size"])}), True)
    try:
        if arrays:
            return op.kernel(xp, *arrays, **params)
    except Unbatchable:
        pass
    if randomness == "same":
        if not any(x.many for x in batches(arrays)):
            return wrapped(single(*[x.value for x in arrays], **params), False, make)
        return looped(lambda *values: single(*values, **params), *arrays)
    first = params["offset"]
    rows = make(make.inner.arange(size), True)
    return looped(
        lambda row, *values: single(*values, **{**params, "offset": first + int(row) * step}),
        rows, *arrays,
    )  # fmt: skip


random.always = True  # type: ignore[attr-defined]  # also where no argument is a batch of many
for _name, _entry in catalogue.items():
    if _entry.op is not None and {"seed", "offset"} <= set(_entry.op.params):
        KERNELS[_name] = random
