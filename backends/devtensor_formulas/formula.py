"""The namespace in which a formula is given symbols and says what it does with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.op import catalogue

from .trace import (
    BOOL,
    HALF,
    ONE,
    OPERATORS,
    PLACE,
    TESTS,
    TWO,
    Symbol,
    Untraceable,
    as_real,
    held,
)

_NAMES = """
softmax softmax_slope log_softmax log_softmax_slope native_layer_norm norm_slopes fused_rms_norm
native_group_norm native_batch_norm fixed_batch_norm variance deviation logsumexp linalg_vector_norm
sum mean nansum prod amax amin max_all min_all max_dim min_dim aminmax argmax argmin count_nonzero
all any squared_error logit_entropy centred
"""
ROWS = frozenset(_NAMES.split())
"""Operations whose formulas go along rows: what they reduce may come back to each element."""


class Formula:
    """The namespace of a formula."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = self._made(name)
        return found

    def _made(self, name: str) -> Any:
        entry = catalogue.get(name)
        if name in ONE:
            return self._real(name, lambda x: x.trace.made(ONE[name], as_real(x)))
        if name in TESTS:
            return self._real(name, lambda x: x.trace.made(TESTS[name], as_real(x), dtype=BOOL))
        if name in TWO:
            return self._real(name, lambda a, b: self._two(TWO[name], a, b))
        if name in OPERATORS:
            return self._real(name, lambda a, b: self._operator(OPERATORS[name], a, b))
        real = getattr(self._space, name)
        if not callable(real) or isinstance(real, type):
            return real
        library = hasattr(self._space._device.backend.xp, name)
        op = None if entry is None else entry.op
        if not library and op is not None and (op.elementwise or name in ROWS):

            def call(*args: Any, **kwargs: Any) -> Any:
                inputs, params = op.bind(args, kwargs)
                return op.kernel(self, *inputs, **params)

            return self._real(name, call)
        return self._real(name, None)

    def _real(self, name: str, traced: Any) -> Any:
        """`traced` for symbols, the function of the real namespace for the rest."""
        real = getattr(self._space, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if held(*args) is None and held(*kwargs.values()) is None:
                return real(*args, **kwargs)
            if traced is None:
                raise Untraceable(name)
            return traced(*args, **kwargs)

        return call

    def _two(self, text: str, a: Any, b: Any) -> Symbol:
        symbol = held(a, b)
        assert symbol is not None
        for x in (a, b):
            if x.__class__ is Symbol:
                as_real(x)
        return symbol.trace.made(text, a, b)

    def _operator(self, name: str, a: Any, b: Any) -> Any:
        if a.__class__ is Symbol:
            return getattr(a, f"__{name}__")(b)
        if name in ("add", "sub", "mul", "truediv"):
            return getattr(b, f"__r{name}__")(a)
        raise Untraceable(name)

    def where(self, condition: Any, x1: Any, x2: Any, /) -> Any:
        """Elements of `x1` where `condition` is true, else of `x2`."""
        symbol = held(condition, x1, x2)
        if symbol is None:
            return self._space.where(condition, x1, x2)
        chosen = [x for x in (x1, x2) if x.__class__ is Symbol]
        if condition.__class__ is not Symbol or not condition.truth or not chosen:
            raise Untraceable("where")
        if any(x.truth for x in chosen) and not (len(chosen) == 2 and x1.truth and x2.truth):
            raise Untraceable("where")
        return symbol.trace.made("{0} ? {1} : {2}", condition, x1, x2)

    def clip(self, x: Any, /, min: Any = None, max: Any = None) -> Any:
        """Numbers moved into an interval."""
        if held(x, min, max) is None:
            return self._space.clip(x, min, max)
        if min is not None:
            x = self._two(TWO["maximum"], x, min)
        return x if max is None else self._two(TWO["minimum"], x, max)

    def astype(self, x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
        """A symbol of a type."""
        if x.__class__ is not Symbol:
            return self._space.astype(x, dtype, copy=copy)
        dtype = np.dtype(dtype)
        if dtype == x.dtype:
            return x
        rounded = x.dtype == HALF and x.node.how != "given"
        if dtype.kind not in "iuf" or rounded or (x.dtype.kind == "f" and dtype.kind != "f"):
            raise Untraceable("astype")
        return x.trace.made("{0}", x, dtype=dtype)

    # ---- constants

    def full_like(self, x: Any, value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """One number everywhere."""
        if x.__class__ is not Symbol:
            return self._space.full_like(x, value, dtype=dtype)
        dtype = x.dtype if dtype is None else np.dtype(dtype)
        if dtype == BOOL:
            raise Untraceable("full_like")
        number = x.trace.number(float(value) if dtype.kind == "f" else int(value), dtype)
        made = x.trace.node("value", dtype, x.node.shape, (number,), "{0}")
        return Symbol(x.trace, made, x.shape)

    def zeros_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """Zeros."""
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """Ones."""
        return self.full_like(x, 1, dtype=dtype)

    def asarray(self, x: Any, /, *, copy: bool | None = None, **how: Any) -> Any:
        """A symbol, which is written nowhere."""
        return x if x.__class__ is Symbol else self._space.asarray(x, copy=copy, **how)

    # ---- shapes

    def reshape(self, x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
        """The elements in another shape."""
        if x.__class__ is not Symbol:
            return self._space.reshape(x, shape)
        return x.reshaped(tuple(shape))

    def squeeze(self, x: Any, /, axis: Any) -> Any:
        """The elements without axes of length 1."""
        if x.__class__ is not Symbol:
            return self._space.squeeze(x, axis)
        gone = {d % x.ndim for d in ((axis,) if isinstance(axis, int) else axis)}
        if any(x.shape[d] != 1 for d in gone):
            raise Untraceable("squeeze")
        return x.reshaped(tuple([n for d, n in enumerate(x.shape) if d not in gone]))

    def expand_dims(self, x: Any, /, *, axis: int = 0) -> Any:
        """The elements with one more axis of length 1."""
        if x.__class__ is not Symbol:
            return self._space.expand_dims(x, axis=axis)
        axis %= x.ndim + 1
        return x.reshaped((*x.shape[:axis], 1, *x.shape[axis:]))

    # ---- reductions

    def _along(self, name: str, x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
        if x.__class__ is not Symbol:
            more = {} if dtype is None else {"dtype": dtype}
            return getattr(self._space, name)(x, axis=axis, keepdims=keepdims, **more)
        if dtype is not None:
            x = self.astype(x, dtype)
        if x.truth != (name in ("any", "all")) or (x.dtype == HALF and name in ("sum", "prod")):
            raise Untraceable(name)
        if x.dtype.kind in "iu" and x.dtype.itemsize < 8 and name in ("sum", "prod"):
            raise Untraceable(name)  # the result is wider
        return x.trace.reduced(name, x, axis, keepdims)

    def sum(self, x: Any, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """Numbers added up."""
        return self._along("sum", x, axis, keepdims, dtype)

    def prod(
        self, x: Any, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None
    ) -> Any:
        """Numbers multiplied."""
        return self._along("prod", x, axis, keepdims, dtype)

    def max(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        """The largest numbers."""
        return self._along("max", x, axis, keepdims, None)

    def min(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        """The smallest numbers."""
        return self._along("min", x, axis, keepdims, None)

    def any(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether something is true."""
        return self._along("any", x, axis, keepdims, None)

    def all(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether everything is true."""
        return self._along("all", x, axis, keepdims, None)

    def mean(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        """The mean of floats."""
        if x.__class__ is not Symbol:
            return self._space.mean(x, axis=axis, keepdims=keepdims)
        total = self.sum(as_real(x), axis=axis, keepdims=keepdims)
        count = np.prod(x.shape, dtype=int) // max(1, np.prod(total.shape, dtype=int))
        return total / int(count)

    def places(self, x: Any, axis: int) -> Symbol:
        """Where along an axis each element stands."""
        axis %= x.ndim
        if x.shape != x.node.shape:
            raise Untraceable("places")
        return self.all_places(x.trace, x.shape, axis)

    def all_places(self, trace: Any, shape: Any, axis: int) -> Symbol:
        """Where along an axis each element of a shape stands."""
        return Symbol(trace, trace.node("place", PLACE, shape, place=axis), shape)

    def _best(self, name: str, x: Any, axis: int | None, keepdims: bool) -> Any:
        if x.__class__ is not Symbol:
            return getattr(self._space, name)(x, axis=axis, keepdims=keepdims)
        if axis is None:
            if keepdims:
                raise Untraceable(name)
            x, axis = x.reshaped((-1,)), 0
        if x.truth or not 1 < x.shape[axis] < 1 << 31:
            raise Untraceable(name)
        return x.trace.reduced(name, x, axis, keepdims, PLACE, self.places(x, axis).node)

    def argmax(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """Where the largest number stands first."""
        return self._best("argmax", x, axis, keepdims)

    def argmin(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """Where the smallest number stands first."""
        return self._best("argmin", x, axis, keepdims)

    def take_along_axis(self, x: Any, indices: Any, /, *, axis: int = -1) -> Any:
        """The numbers that stand at the places of the largest or the smallest."""
        if held(x, indices) is None:
            return self._space.take_along_axis(x, indices, axis=axis)
        for one in (x, indices):
            if one.__class__ is not Symbol or one.shape != one.node.shape:
                raise Untraceable("take_along_axis")
        node = indices.node
        if node.needs[:1] != (x.node,) or node.axes != (axis % x.ndim,):
            raise Untraceable("take_along_axis")
        if not node.how.startswith("arg"):
            raise Untraceable("take_along_axis")
        best = x.trace.node("best", x.dtype, node.shape, (node,))
        return Symbol(x.trace, best, indices.shape)
