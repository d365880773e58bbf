"""The array API's functions for tensors: what rules are given when the way back is recorded.

A rule is written once, for bare arrays, in the words of the array API. Here the same words mean
the catalogue's operations, so what the rule computes is on the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor.dtype as dtypes
from devtensor.op import catalogue
from devtensor.tensor import Tensor

Function = Callable[..., Any]


def f(name: str) -> Function:
    """A function of the catalogue."""
    return catalogue[name].function


def dims(x: Any, axis: Any) -> Any:
    """An axis argument as PyTorch's `dim`: a tuple, of all if none is named."""
    if axis is None:
        return tuple(range(x.ndim))
    return axis


def reduced(name: str) -> Function:
    """A reduction by its name in the catalogue."""

    def call(x: Any, /, *, axis: Any = None, keepdims: bool = False, **further: Any) -> Any:
        if isinstance(axis, tuple) and not axis:
            return x
        return f(name)(x, dims(x, axis), keepdims, **further)

    return call


def extreme(name: str) -> Function:
    """`max` or `min`."""

    def call(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        return f(name)(x, dims(x, axis), keepdims)

    return call


def place(name: str) -> Function:
    """`argmax` or `argmin`."""

    def call(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        return f(name)(x, axis, keepdims)

    return call


def made(name: str) -> Function:
    """A factory that takes a shape."""

    def call(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
        return f(name)(shape if isinstance(shape, (tuple, list)) else (shape,),
                       dtype=dtype, device=device)  # fmt: skip

    return call


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    return f("full")(shape if isinstance(shape, (tuple, list)) else (shape,), fill_value,
                     dtype=dtype, device=device)  # fmt: skip


def along(name: str) -> Function:
    """A function of one tensor and an axis."""

    def call(x: Any, /, *, axis: Any = -1) -> Any:
        return f(name)(x, axis)

    return call


def accumulated(name: str) -> Function:
    def call(x: Any, /, *, axis: Any = None, dtype: Any = None) -> Any:
        return f(name)(x, 0 if axis is None else axis)

    return call


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    return x if x.dtype is dtype else f("cast")(x, dtype)


def asarray(x: Any, /, *, dtype: Any = None, copy: bool | None = None, device: Any = None) -> Any:
    if not isinstance(x, Tensor):
        return f("constant")(x, dtype=dtype, device=device)
    if dtype is not None and x.dtype is not dtype:
        return f("cast")(x, dtype)
    return f("clone")(x) if copy else x


def flip(x: Any, /, *, axis: Any = None) -> Any:
    where = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return f("flip")(x, tuple(where))


def roll(x: Any, shift: Any, /, *, axis: Any = None) -> Any:
    return f("roll")(x, shift, axis)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return f("sort")(x, dim=axis, descending=descending, stable=stable)[0]


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return f("sort")(x, dim=axis, descending=descending, stable=stable)[1]


def take(x: Any, indices: Any, /, *, axis: int = 0) -> Any:
    return f("index_select_at")(x, indices, axis % x.ndim)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    return f("gather_at")(x, indices, axis % x.ndim)


def squeeze(x: Any, /, axis: Any) -> Any:
    return f("squeeze")(x, axis)


def tril(x: Any, /, *, k: int = 0) -> Any:
    return f("tril")(x, k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    return f("triu")(x, k)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind, or of one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, dtypes.dtype):
        return dtype is kind
    kinds = {
        "bool": ("bool",),
        "integral": ("int",),
        "signed integer": ("int",),
        "unsigned integer": ("int",),
        "real floating": ("float",),
        "complex floating": ("complex",),
        "numeric": ("int", "float", "complex"),
    }
    if kind in ("signed integer", "unsigned integer"):
        return dtype.kind == "int" and dtype.is_signed == (kind == "signed integer")
    return dtype.kind in kinds[kind]


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    return f("clamp")(x, min, max)


def joined(name: str) -> Function:
    def call(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
        return f(name)(list(arrays), axis)

    return call


def expand_dims(x: Any, /, *, axis: int = 0) -> Any:
    return f("unsqueeze")(x, axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    return f("movedim")(x, source, destination)


def matrix_transpose(x: Any, /) -> Any:
    return f("transpose")(x, -2, -1)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return f("ones_like")(x, dtype=dtype, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return f("zeros_like")(x, dtype=dtype, device=device)


def full_like(x: Any, value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return f("full_like")(x, value, dtype=dtype, device=device)


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    return f("arange")(start, stop, step, dtype=dtype, device=device)


def eye(
    n: int, m: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    return f("eye")(n, m, dtype=dtype, device=device)


def finfo(dtype: Any) -> Any:
    """The limits of a floating dtype, as `devtensor.finfo`."""
    from devtensor.limits import finfo as limits

    return limits(dtype)


# Functions that have another name in the catalogue, with the same arguments by place.
RENAMED = {
    "multiply": "mul",
    "divide": "true_divide",
    "subtract": "sub",
    "negative": "neg",
    "power": "pow",
    "permute_dims": "permute",
    "bitwise_invert": "bitwise_not",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "where": "choose",
    "concat": "cat",
    "conj": "conj",
    "broadcast_to": "expand",
}

ADAPTED: dict[str, Any] = {
    name: reduced(name) for name in ("sum", "mean", "prod")
} | {
    "max": extreme("amax"),
    "min": extreme("amin"),
    "any": reduced("any"),
    "all": reduced("all"),
    "argmax": place("argmax"),
    "argmin": place("argmin"),
    "cumulative_sum": accumulated("cumsum"),
    "cumulative_prod": accumulated("cumprod"),
    "zeros": made("zeros"),
    "ones": made("ones"),
    "empty": made("empty"),
    "concat": joined("cat"),
    "stack": joined("stack"),
} | {
    function.__name__: function
    for function in (
        full, astype, asarray, flip, roll, sort, argsort, take, take_along_axis, squeeze, tril,
        triu, isdtype, clip, expand_dims, moveaxis, matrix_transpose, ones_like, zeros_like,
        full_like, arange, eye, finfo,
    )
}  # fmt: skip


class Linear:
    """`xp.linalg`: the catalogue's names begin with ``linalg_``."""

    def __getattr__(self, name: str) -> Any:
        return catalogue[f"linalg_{name}" if f"linalg_{name}" in catalogue else name].function


class TensorSpace:
    """The namespace for tensors."""

    linalg = Linear()

    def __init__(self) -> None:
        self.__dict__.update(ADAPTED)
        self.__dict__.update(dtypes.NAMES)

    def __getattr__(self, name: str) -> Any:
        entry = catalogue.get(RENAMED.get(name, name))
        if entry is None:
            raise AttributeError(f"the catalogue has no operation {name!r}")
        self.__dict__[name] = entry.function
        return entry.function

    def operation(self, name: str) -> Function:
        """An operation of the catalogue, also where the array API has that name."""
        return catalogue[name].function


TENSORS = TensorSpace()
