"""Element by element: dpnp's own kernels, by a shorter way and without waiting.

dpnp's functions have two flaws here. Many give their work to oneMKL's vector functions, which on a
CPU device wait for all that is under way; and a number beside an array is copied to the device by a
way that waits, too. So these functions call dpnp's SYCL kernels themselves when the arrays are of
one type and in row order, and keep the numbers they have met on the device. In all other cases they
call dpnp's function, made to leave oneMKL out.

Kernels that are written with operators come here, too: `install` puts these functions in the place
of the operators of dpnp's arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import copysign, prod
from typing import Any

import dpnp
import dpnp.tensor as tensor
import numpy as np
from dpnp.tensor import _tensor_elementwise_impl as implementation

from devtensor_formulas.aim import taken

from .arithmetic import LIMIT, passed
from .memory import contiguous
from .native import Array, apart, fresh, ordered, run, stretched, wrap
from .runtime import PLACES
from .views import item_of, part_of

BOOL = np.dtype(bool)
REALS, COMPLEX, SIGNED, UNSIGNED = "fd", "FD", "bhil", "BHIL"


def without_mkl(function: Any) -> Any:
    """A function of dpnp's that leaves its work to SYCL's kernels alone."""
    for name in ("unary_fn_", "binary_fn_"):
        chosen = getattr(function, name, None)
        if chosen is None or chosen.__closure__ is None:
            continue
        held = dict(zip(chosen.__code__.co_freevars, chosen.__closure__, strict=True))
        plain = next((v for n, v in held.items() if n.endswith("_dp_impl_fn")), None)
        if plain is not None and plain.cell_contents is not None:
            function = copy.copy(function)
            setattr(function, name, by_position(plain.cell_contents))
    return function


def by_position(run: Any) -> Any:
    """A kernel that is given its arguments in order: some of dpnp's have other names for them."""

    def call(*arrays: Any, sycl_queue: Any, depends: Any = (), **named: Any) -> Any:
        return run(*arrays, *named.values(), sycl_queue, list(depends))

    return call


# ---- numbers

_numbers: dict[Any, Any] = {}
MANY = 4096


def number(value: Any, dtype: Any, queue: Any) -> Any:
    """A Python number as a 0-d array; None if that changes the result."""
    cls, kind = value.__class__, dtype.kind
    if kind == "f":
        if cls is not float and (cls is not int or not -(1 << 62) < value < 1 << 62):
            return None
    elif kind not in "iu" or cls is not int:
        return None
    key = value, cls, dtype, queue
    found = _numbers.get(key)
    if found is None or (value == 0 and cls is float):  # 0.0 and -0.0 would share a place
        if cls is float and value == 0:
            key = copysign(1.0, value), "zero", dtype, queue
            found = _numbers.get(key)
            if found is not None:
                return found
        if kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            return None
        found = tensor.full((), value, dtype=dtype, sycl_queue=queue)
        if len(_numbers) > MANY:
            _numbers.clear()
        _numbers[key] = found
    return found


def operand(value: Any, like: Any) -> Any:
    """`value`, or if it is a number that array of dpnp's which stands for it."""
    if isinstance(value, Array):
        return value
    found = number(value, like.dtype, like.sycl_queue)
    return value if found is None else wrap(found)


# ---- two operands


def takes(target: Any, shape: tuple[int, ...], dtype: Any, *operands: Any) -> bool:
    """Whether a result of operands can be written over an array as it is made."""
    a = target._array_obj
    if a.shape != shape or a.dtype != dtype or a.sycl_queue != operands[0].sycl_queue:
        return False
    return all([apart(a, b) for b in operands])


def two(name: str, types: str, truth: bool = False) -> Callable[[Any, Any], Any]:
    """A function of two arrays, or of one and a number."""
    kernel = getattr(implementation, f"_{name}")
    plain = without_mkl(getattr(dpnp, name))

    def slow(x1: Any, x2: Any) -> Any:
        if isinstance(x1, Array):
            x2 = operand(x2, x1)
        elif isinstance(x2, Array):
            x1 = operand(x1, x2)
        return plain(x1, x2)

    def call(x1: Any, x2: Any, /) -> Any:
        first, second = x1.__class__ is Array, x2.__class__ is Array
        if not first and not second:
            return slow(x1, x2)
        a = (x1 if first else x2)._array_obj
        dtype, queue = a.dtype, a.sycl_queue
        if dtype.char not in types or queue not in PLACES or not ordered(a):
            return slow(x1, x2)
        if first and second:
            b = x2._array_obj
            if b.dtype != dtype or b.sycl_queue != queue or not ordered(b):
                return slow(x1, x2)
        else:
            b = number(x2 if first else x1, dtype, queue)
            if b is None:
                return slow(x1, x2)
            if second:
                a, b = b, a
        shape, size, made = a.shape, a.size, BOOL if truth else dtype
        if shape != b.shape:
            try:
                shape = np.broadcast_shapes(shape, b.shape)
            except ValueError:
                return slow(x1, x2)  # which says what is wrong
            size = prod(shape)
        if not size:
            return slow(x1, x2)
        if size >= LIMIT:
            target = taken(name)
            out = None
            if target is not None and takes(target, shape, made, a, b):
                out = target._array_obj
            found = passed(name, a, b, shape, made, queue, out)
            if found is not None:
                return found if out is None else target
        a, b = stretched(a, dtype, shape), stretched(b, dtype, shape)
        out = fresh(shape, made, queue)
        run(kernel, queue, a, b, out)
        return wrap(out)

    def into(x1: Any, x2: Any, /) -> bool:
        """Write the result over the first; False if that is not the way to do it."""
        a, b = x1._array_obj, x2._array_obj
        dtype, queue = a.dtype, a.sycl_queue
        shape, lead = a.shape, a.ndim - b.ndim
        if (
            not a.size
            or dtype.char not in types
            or dtype != (BOOL if truth else b.dtype)
            or b.dtype != dtype
            or queue not in PLACES
            or b.sycl_queue != queue
            or lead < 0
            or not all([n in (1, m) for n, m in zip(b.shape, shape[lead:], strict=True)])
            or not apart(a, b)
        ):
            return False
        if a.size >= LIMIT and not ordered(b):
            b = contiguous(x2)._array_obj
        if a.size < LIMIT or passed(name, a, b, shape, dtype, queue, a) is None:
            run(kernel, queue, a, stretched(b, dtype, shape), a)
        return True

    call.__name__, call.__doc__ = name, getattr(dpnp, name).__doc__
    call.into = into  # type: ignore[attr-defined]
    return call


def one(name: str, types: str, truth: bool = False) -> Callable[[Any], Any]:
    """A function of one array."""
    kernel = getattr(implementation, f"_{name}")
    slow = without_mkl(getattr(dpnp, name))

    def call(x: Any, /) -> Any:
        a = x._array_obj if x.__class__ is Array else None
        if a is None or not a.size or not ordered(a):
            return slow(x)
        dtype = a.dtype
        if dtype.char not in types:
            return slow(x)
        queue = a.sycl_queue
        if queue not in PLACES:
            return slow(x)
        made = BOOL if truth else dtype
        out = fresh(a.shape, made, queue)
        run(kernel, queue, a, out)
        return wrap(out)

    def into(x: Any, /) -> bool:
        """Write the result over `x`; False if that is not the way to do it."""
        a = x._array_obj
        queue = a.sycl_queue
        if a.dtype.char not in types or truth or not a.size or queue not in PLACES:
            return False
        run(kernel, queue, a, a)
        return True

    call.__name__, call.__doc__ = name, getattr(dpnp, name).__doc__
    call.into = into  # type: ignore[attr-defined]
    return call


def floor_divide(x1: Any, x2: Any, /) -> Any:
    """Quotients, rounded down.

    dpnp rounds a rounded quotient of floats down, which may have come to the next whole number:
    ``1 // 0.1`` is 10 there. What `fmod` leaves is exact.
    """
    if not isinstance(x1, Array):
        x1 = operand(x1, x2)
    elif not isinstance(x2, Array):
        x2 = operand(x2, x1)
    kinds = {x.dtype.kind for x in (x1, x2) if isinstance(x, Array)}
    if "f" not in kinds or not isinstance(x1, Array) or not isinstance(x2, Array):
        return of_whole_numbers(x1, x2)
    rest, plain = dpnp.fmod(x1, x2), x1 / x2
    found = (x1 - rest) / x2
    found = dpnp.where((rest != 0) & ((x2 < 0) != (rest < 0)), found - 1, found)
    whole = dpnp.floor(found)
    whole = dpnp.where(found - whole > 0.5, whole + 1, whole)
    whole = dpnp.where(found == 0, dpnp.copysign(dpnp.zeros_like(plain), plain), whole)
    return dpnp.where(x2 == 0, plain, whole)


NUMBERS = REALS + COMPLEX + SIGNED + UNSIGNED
ORDERED = REALS + SIGNED + UNSIGNED
WHOLE = "?" + SIGNED + UNSIGNED

of_whole_numbers = two("floor_divide", SIGNED + UNSIGNED)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor_divide": floor_divide,
    **{name: two(name, NUMBERS) for name in ("add", "subtract", "multiply")},
    **{name: two(name, ORDERED) for name in ("maximum", "minimum", "remainder")},
    **{name: two(name, REALS) for name in ("divide", "pow", "atan2", "hypot", "copysign")},
    **{name: two(name, REALS) for name in ("logaddexp", "nextafter")},
    **{
        name: two(name, "?" + NUMBERS, truth=True)
        for name in ("equal", "not_equal", "logical_and", "logical_or", "logical_xor")
    },
    **{
        name: two(name, ORDERED, truth=True)
        for name in ("less", "less_equal", "greater", "greater_equal")
    },
    **{name: two(name, WHOLE) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **{
        name: two(name, SIGNED + UNSIGNED)
        for name in ("bitwise_left_shift", "bitwise_right_shift")
    },
    **{
        name: one(name, REALS)
        for name in (
            "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh",
            "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "floor", "ceil",
            "trunc", "reciprocal",
        )
    },
    **{name: one(name, REALS + SIGNED) for name in ("abs", "negative", "sign", "square")},
    **{
        name: one(name, "?" + NUMBERS, truth=True)
        for name in ("isnan", "isinf", "isfinite", "logical_not")
    },
    "bitwise_invert": one("bitwise_invert", WHOLE),
}  # fmt: skip
"""By the standard's names."""

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow",
    "mod": "remainder", "floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def operator(function: Callable[..., Any], before: Any) -> Any:
    """An operator of dpnp's arrays by one of these functions; else what was there before."""

    def call(self: Any, other: Any) -> Any:
        if other.__class__ is Array or other.__class__ is float or other.__class__ is int:
            return function(self, other)
        if other.__class__.__name__ == "Symbol":  # of a formula, which knows what to do
            return NotImplemented
        return before(self, other)

    call.__name__, call.__doc__ = before.__name__, before.__doc__
    return call


def reflected(function: Callable[..., Any], before: Any) -> Any:
    """The same with the operands in the other order."""

    def call(self: Any, other: Any) -> Any:
        if other.__class__ is float or other.__class__ is int:
            return function(other, self)
        return before(self, other)

    call.__name__, call.__doc__ = before.__name__, before.__doc__
    return call


def install() -> None:
    """Let the operators of dpnp's arrays take these ways."""
    for name, function in OPERATORS.items():
        method = f"__{name}__"
        setattr(Array, method, operator(FUNCTIONS[function], getattr(Array, method)))
        if name not in COMPARISONS:
            method = f"__r{name}__"
            setattr(Array, method, reflected(FUNCTIONS[function], getattr(Array, method)))
    Array.__neg__ = lambda self: FUNCTIONS["negative"](self)
    Array.__abs__ = lambda self: FUNCTIONS["abs"](self)
    Array.__getitem__ = item_of(Array.__getitem__)
    Array.__setitem__ = part_of(Array.__setitem__)
