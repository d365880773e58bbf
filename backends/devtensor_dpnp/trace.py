"""Symbols in the place of arrays, which note what is done with them in OpenCL C."""

from __future__ import annotations

from typing import Any

import dpnp
import numpy as np

Array = dpnp.ndarray
BOOL = np.dtype(bool)


class Untraceable(Exception):
    """The formula does something that has no counterpart in a kernel."""


class Trace:
    """A formula being written down."""

    def __init__(self, like: Any) -> None:
        self.like = like
        self.lines: list[str] = []
        self.inputs: list[Any] = []
        self.constants: list[float] = []

    def symbol(self, text: str, truth: bool = False) -> Symbol:
        """The result of an expression."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{'int' if truth else 'T'} {name} = {text};")
        return Symbol(self, name, truth)

    def given(self, array: Any, single: bool = False) -> Symbol:
        """An array that the kernel reads."""
        self.inputs.append(array)
        return self.symbol(f"x{len(self.inputs) - 1}[{'0' if single else 'i'}]")

    def name(self, value: Any) -> str:
        """A symbol's name, or that of the argument in which a number is passed."""
        if value.__class__ is Symbol:
            return value.name if not value.truth else f"(T){value.name}"
        if isinstance(value, (float, int, np.floating)) and value.__class__ is not bool:
            self.constants.append(float(value))
            return f"c{len(self.constants) - 1}"
        if isinstance(value, Array) and not value.ndim and value.dtype == self.like.dtype:
            return self.given(value, True).name
        raise Untraceable(value)


class Symbol:
    """Stands for an array in a formula."""

    __slots__ = ("name", "trace", "truth")
    __array_ufunc__ = None  # NumPy's scalars leave operators to it

    def __init__(self, trace: Trace, name: str, truth: bool) -> None:
        self.trace, self.name, self.truth = trace, name, truth

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return BOOL if self.truth else self.trace.like.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, that of all arrays."""
        shape: tuple[int, ...] = self.trace.like.shape
        return shape

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    @property
    def device(self) -> Any:
        """The device of the arrays."""
        return self.trace.like.device

    def __bool__(self) -> bool:
        raise Untraceable("a decision by elements")

    __hash__ = None  # type: ignore[assignment]


def binary(text: str, truth: bool = False, back: bool = False, bools: bool = False) -> Any:
    """An operator; `text` has {0} and {1} for the operands, all bools if `bools` says so."""

    def call(self: Symbol, other: Any) -> Symbol:
        trace = self.trace
        if bools:
            if not (self.truth and other.__class__ is Symbol and other.truth):
                raise Untraceable(text)
            return trace.symbol(text.format(self.name, other.name), True)
        if self.truth and (other.__class__ is not Symbol or other.truth):
            raise Untraceable(text)  # the type of the result is decided elsewhere
        one, two = trace.name(self), trace.name(other)
        return trace.symbol(text.format(*((two, one) if back else (one, two))), truth)

    return call


for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}"))
    setattr(Symbol, f"__r{_name}__", binary(f"{{0}} {_sign} {{1}}", back=True))
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}", True))
for _name, _sign in {"and": "&", "or": "|", "xor": "^"}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}", True, bools=True))


def _power(self: Symbol, other: Any) -> Symbol:
    if self.truth:
        raise Untraceable("**")
    if other.__class__ in (int, float) and other == 2:
        return self.trace.symbol(f"{self.name} * {self.name}")
    return self.trace.symbol(f"pow({self.name}, {self.trace.name(other)})")


def as_real(self: Symbol) -> str:
    if self.truth:
        raise Untraceable("bools")
    return self.name


setattr(Symbol, "__pow__", _power)  # noqa: B010
setattr(Symbol, "__neg__", lambda self: self.trace.symbol(f"-{as_real(self)}"))  # noqa: B010
setattr(Symbol, "__abs__", lambda self: self.trace.symbol(f"fabs({as_real(self)})"))  # noqa: B010


def _invert(self: Symbol) -> Symbol:
    if not self.truth:
        raise Untraceable("~")
    return self.trace.symbol(f"!{self.name}", True)


setattr(Symbol, "__invert__", _invert)  # noqa: B010

SAME = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh "
    "atanh floor ceil trunc erf erfc"
)
ONE = {
    **{name: f"{name}({{0}})" for name in SAME.split()},
    "abs": "fabs({0})", "negative": "-{0}", "square": "{0} * {0}", "reciprocal": "1 / {0}",
    "round": "rint({0})", "positive": "{0}",
    "sign": "{0} > 0 ? (T)1 : {0} < 0 ? (T)-1 : {0}",
}  # fmt: skip
TESTS = {
    "isnan": "{0} != {0}",
    "isinf": "fabs({0}) == INFINITY",
    "isfinite": "fabs({0}) < INFINITY",
    "signbit": "signbit({0}) != 0",
}
TWO = {
    "maximum": "({0} != {0} || {0} > {1}) ? {0} : {1}",
    "minimum": "({0} != {0} || {0} < {1}) ? {0} : {1}",
    "copysign": "copysign({0}, {1})", "hypot": "hypot({0}, {1})", "atan2": "atan2({0}, {1})",
}  # fmt: skip
OPERATORS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "pow": "pow",
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq",
    "not_equal": "ne", "logical_and": "and", "logical_or": "or", "logical_xor": "xor",
}  # fmt: skip


def held(*values: Any) -> Symbol | None:
    """The first symbol among arguments."""
    return next((v for v in values if v.__class__ is Symbol), None)
