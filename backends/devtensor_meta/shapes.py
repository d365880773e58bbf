"""Arrays that are a shape, a type and strides, and the one rule by which functions take them.

An array here is a NumPy array over memory that is not there: NumPy computes what views of it look
like, and nothing reads it. What a function of the library returns is found by calling NumPy's on
small models of the arrays, in which every length but 0 and 1 is a small one, in the same order.
Lengths of results depend on those of arguments by sums of multiples and halves (`concat`, `matmul`,
a transform of real numbers), so a model for each length shows how.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import wraps
from math import floor
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

Function = Callable[..., Any]


class Values(NotImplementedError):
    """The values of an array were asked for."""


def refuse(what: str) -> Any:
    """Raise `Values`."""
    raise Values(
        f"{what} needs the values of a tensor on the device meta, which has a shape and a type but "
        "no data; give it memory with torch.empty_like(tensor, device='cpu'), or a module with its "
        "to_empty(device='cpu')"
    )


class Shape:
    """An array without elements.

    Attributes
    ----------
    inner : NumPy array
        Over memory that is not there, so it must not be read.
    """

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    ndim = property(lambda self: self.inner.ndim)
    size = property(lambda self: self.inner.size)
    device = property(lambda self: "meta")
    T = property(lambda self: Shape(self.inner.T))
    mT = property(lambda self: Shape(self.inner.mT))

    def __getitem__(self, key: Any) -> Shape:
        return at(self, key if isinstance(key, tuple) else (key,))

    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing is written."""

    def _refuse(self) -> Any:
        return refuse("this")

    __bool__ = __int__ = __float__ = __complex__ = __index__ = _refuse

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("Cannot pack tensors on meta: there are no data that could be shared")


def blank(shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Shape:
    """An array of its own; `order` lists its dimensions from the widest step to the narrowest."""
    steps, step = [0] * len(shape), np.dtype(dtype).itemsize
    for d in reversed(range(len(shape)) if order is None else order):
        steps[d] = step
        step *= shape[d] or 1
    return Shape(as_strided(np.empty(1, dtype), shape, steps, writeable=False))


def order_of(x: Any) -> list[int]:
    """The dimensions of a NumPy array from the widest step to the narrowest."""
    return sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))


def mapped(function: Function, value: Any) -> Any:
    """Arguments with `function` of each array in them; lists and tuples are searched."""
    if isinstance(value, (list, tuple)):
        parts = [mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value) if isinstance(value, Shape) else value


def at(x: Shape, key: tuple[Any, ...]) -> Shape:
    """Elements at a key of slices and of arrays of integers."""
    arrays = [part for part in key if isinstance(part, Shape)]
    if any(part.dtype == bool for part in arrays):
        refuse("a choice by a mask")
    if not arrays:
        return Shape(x.inner[key])

    def kept(part: Any) -> Any:
        return part if part is ... else slice(None)

    seen = x.inner[tuple([k if isinstance(k, slice) or k is None else kept(k) for k in key])]
    chosen = [0 if isinstance(k, int) else k if isinstance(k, Shape) else kept(k) for k in key]
    return modelled(lambda x, *parts: x[parts])(Shape(seen), *chosen)


def model(x: Shape, lengths: dict[int, int], whole: int) -> Any:
    """A NumPy array like `x` with other lengths: of ones or an identity; of integers `whole`."""
    shape = [lengths.get(n, n) for n in x.shape]
    order = order_of(x.inner)
    made = np.empty([shape[d] for d in order], x.dtype).transpose(np.argsort(order))
    made[...] = whole if x.dtype.kind in "iu" else 1
    if x.ndim > 1 and x.dtype.kind in "fcV":
        made[...] = np.eye(*shape[-2:])
    places = zip(shape, x.inner.strides, strict=True)
    spread = [slice(None) if step or n < 2 else slice(1) for n, step in places]
    return made if slice(1) not in spread else np.broadcast_to(made[tuple(spread)], shape)


def modelled(function: Function, whole: int = 0) -> Function:
    """A function of NumPy arrays as one of ours; it is shown integers that are all `whole`."""

    @wraps(function, updated=())
    def call(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        given: list[Shape] = []
        mapped(given.append, [*args, *kwargs.values()])
        lengths = sorted({n for x in given for n in x.shape if n > 1})
        plain = {n: 4 * place for place, n in enumerate(lengths, 1)}
        sources: dict[int, Any] = {}

        def run(lengths: dict[int, int]) -> Any:
            def one(x: Shape) -> Any:
                made = model(x, lengths, whole)
                sources[id(made)] = made, x
                return made

            return function(*mapped(one, args), **{k: mapped(one, v) for k, v in kwargs.items()})

        first = run(plain)
        longer = [run({**plain, n: plain[n] + 2}) for n in lengths]

        def result(found: Any, others: Sequence[Any]) -> Any:
            if isinstance(found, (list, tuple)):
                parts = [result(one, rest) for one, *rest in zip(found, *others, strict=True)]
                return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)
            if not isinstance(found, (np.ndarray, np.generic)):
                return found
            if id(found) in sources:
                return sources[id(found)][1]
            shape = []
            for d, length in enumerate(found.shape):
                exact = float(length)
                for n, other in zip(lengths, others, strict=True):
                    exact += (n - plain[n]) * (other.shape[d] - length) / 2
                shape.append(floor(exact))
            return blank(shape, found.dtype, order_of(found))

        return result(first, longer)

    return call


SIGNS = (
    "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le eq ne gt ge "
    "neg pos abs invert"
)
"""Python's operators."""


def _operator(name: str) -> None:
    function = modelled(getattr(operator, name))
    place = name.strip("_")
    setattr(Shape, f"__{place}__", function)
    setattr(Shape, f"__r{place}__", lambda self, other: function(other, self))


for _name in SIGNS.split():
    _operator(_name)
