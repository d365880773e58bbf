"""Large arrays: a formula in one pass over the memory.

An operation that works element by element is a formula of array operations, and dpnp makes a pass
over the memory for each. Here the formula is given symbols in the place of arrays, which note what
is done with them; that is written as one kernel in OpenCL C, compiled once for each formula.
Numbers in it are arguments of the kernel, so that other numbers need no other kernel.

Small arrays are not worth a kernel of their own: what a result is, to the last bit, depends on the
size of the arrays, but on nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import dpnp
import numpy as np

from devtensor.op import Op, catalogue

from .launch import double, kernel, launch, single, takes_source, whole
from .trace import ONE, OPERATORS, TESTS, TWO, Symbol, Trace, Untraceable, as_real, held

LIMIT = 1 << 13
"""Elements from which on a kernel of its own is made for a formula."""
GROUP = 256
Array = dpnp.ndarray
BOOL = np.dtype(bool)


class Formula:
    """The namespace of a formula."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = self._made(name)
        return found

    def _made(self, name: str) -> Any:
        entry = catalogue.get(name)
        if name in ONE or name in TESTS:
            text = ONE.get(name) or TESTS[name]
            return self._real(
                name, lambda x: x.trace.symbol(text.format(as_real(x)), name in TESTS)
            )
        if name in TWO:
            return self._real(name, lambda a, b: self._two(TWO[name], a, b))
        if name in OPERATORS:
            return self._real(name, lambda a, b: self._operator(OPERATORS[name], a, b))
        real = getattr(self._space, name)
        if not callable(real) or isinstance(real, type):
            return real
        library = hasattr(self._space._device.backend.xp, name)
        if not library and entry is not None and entry.op is not None and entry.op.elementwise:
            op = entry.op

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
        trace = symbol.trace
        return trace.symbol(text.format(trace.name(a), trace.name(b)))

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
        trace = symbol.trace
        if any(x.truth for x in chosen):
            if len(chosen) != 2 or not (x1.truth and x2.truth):
                raise Untraceable("where")
            return trace.symbol(f"{condition.name} ? {x1.name} : {x2.name}", True)
        return trace.symbol(f"{condition.name} ? {trace.name(x1)} : {trace.name(x2)}")

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
        if x.truth and dtype == x.trace.like.dtype:
            return x.trace.symbol(f"(T){x.name}")
        raise Untraceable("astype")

    def full_like(self, x: Any, value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """One number everywhere."""
        if x.__class__ is not Symbol:
            return self._space.full_like(x, value, dtype=dtype)
        if x.truth or (dtype is not None and np.dtype(dtype) != x.dtype):
            raise Untraceable("full_like")
        return x.trace.symbol(x.trace.name(value))

    def zeros_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """Zeros."""
        return self.full_like(x, 0.0, dtype=dtype)

    def ones_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        """Ones."""
        return self.full_like(x, 1.0, dtype=dtype)


_formulas: dict[Any, Formula] = {}


class Fused:
    """The kernel of an operation that works element by element.

    Parameters
    ----------
    op : Op
    """

    def __init__(self, op: Op) -> None:
        self.op, self.kernel = op, op.kernel
        # The steps of an optimizer share one formula for all parameters, so it is worth while.
        self.least = 1 if op.writes else None
        self.__name__ = op.name

    def __call__(self, xp: Any, /, *arrays: Any, **params: Any) -> Any:
        like, least = None, LIMIT if self.least is None else self.least
        for x in arrays:
            if x.__class__ is Array and x.ndim and x.size >= least:
                like = x
                break
        if like is None or not self.fits(like, arrays):
            return self.kernel(xp, *arrays, **params)
        try:
            return self.run(xp, like, arrays, params)
        except (Untraceable, AttributeError, TypeError):
            # A step without a counterpart, or an error of the caller's, which then comes again.
            return self.kernel(xp, *arrays, **params)

    def fits(self, like: Any, arrays: tuple[Any, ...]) -> bool:
        """Whether all arrays are of one kind and in one place."""
        if like.dtype.char not in "fd" or not takes_source(like):
            return False
        for x in arrays[: len(self.op.inputs)]:
            if x is None or (x.__class__ is np.ndarray and not x.ndim):
                continue  # the number of an optimizer's step is on the host
            if x.__class__ is not Array:
                return False
            if x.ndim and (
                x.shape != like.shape
                or x.dtype != like.dtype
                or not x.flags.c_contiguous
                or x.sycl_queue != like.sycl_queue
            ):
                return False
        return True

    def run(self, xp: Any, like: Any, arrays: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Write the formula down, and run it as a kernel."""
        formula = _formulas.get(xp._device)
        if formula is None:
            formula = _formulas[xp._device] = Formula(xp)
        trace = Trace(like)
        count = len(self.op.inputs)
        symbols = [trace.given(x) if x.__class__ is Array and x.ndim else x for x in arrays[:count]]
        result = self.kernel(formula, *symbols, *arrays[count:], **params)
        several = isinstance(result, (tuple, list))
        results = list(result) if several else [result]
        outs, stores = [], []
        for i, value in enumerate(results):
            if value.__class__ is Symbol:
                outs.append(xp.empty(like.shape, dtype=value.dtype))
                kind = "uchar" if value.truth else "T"
                stores.append((kind, f"o{len(outs) - 1}[i] = {value.name};"))
                results[i] = outs[-1]
        if not outs:
            raise Untraceable("no result")
        source = written(trace, stores)
        queue = like.sycl_queue
        name = f"f{hashlib.sha256(source.encode()).hexdigest()[:24]}"
        run = kernel(queue, source.replace("$name", name), name, T=like.dtype)
        number = single if like.dtype.char == "f" else double
        args = [*outs, *trace.inputs, *[number(c) for c in trace.constants], whole(like.size)]
        launch(queue, run, args, (-(-like.size // GROUP) * GROUP,))
        return tuple(results) if several else results[0]


def written(trace: Trace, stores: list[tuple[str, str]]) -> str:
    """The formula in OpenCL C."""
    parameters = [f"__global {kind}* o{n}" for n, (kind, _) in enumerate(stores)]
    parameters += [f"__global const T* x{n}" for n in range(len(trace.inputs))]
    parameters += [f"const T c{n}" for n in range(len(trace.constants))]
    body = "\n        ".join([*trace.lines, *[line for _, line in stores]])
    return f"""
#pragma OPENCL FP_CONTRACT OFF
typedef $T T;
__kernel void $name({", ".join([*parameters, "const ulong n"])}) {{
    size_t i = get_global_id(0);
    if (i < n) {{
        {body}
    }}
}}"""


def kernels() -> dict[str, Callable[..., Any]]:
    """Kernels for all operations that work element by element, and for the steps of optimizers."""
    return {
        name: Fused(entry.op)
        for name, entry in catalogue.items()
        if entry.op is not None
        and entry.op.inputs
        and entry.op.star is None
        and (entry.op.elementwise or entry.op.writes)
    }
