"""Symbols in the place of arrays, which note what is done with them in OpenCL C.

What is noted are nodes: a number that comes from an array, an expression of others, or what becomes
of others along some axes. The shapes of all nodes of one formula have as many axes as the largest
array, with 1 where a node is the same all along; a symbol may show its node in another shape.
"""

from __future__ import annotations

import copy
from math import prod
from typing import Any

import numpy as np

TYPES = {
    "bool": "uchar", "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong",
    "int8": "char", "int16": "short", "int32": "int", "int64": "long",
    "float16": "half", "float32": "float", "float64": "double",
}  # fmt: skip
"""OpenCL's names of dtypes."""
BOOL, HALF, PLACE = np.dtype(bool), np.dtype(np.float16), np.dtype(np.int64)
INNER = {**TYPES, "bool": "int", "float16": "float"}
"""OpenCL's types of numbers while they are worked on; those of `TYPES` lie in the memory."""
Shape = tuple[int, ...]


class Untraceable(Exception):
    """The formula does something that has no counterpart in a kernel."""


def inner(dtype: Any) -> str:
    """OpenCL's type of a number in a formula."""
    return INNER[dtype.name]


class Node:
    """A number of a formula, one for each element of `shape`.

    Attributes
    ----------
    how : str
        "given" of array number `place`; "number" `place` of the trace's; "value", an expression;
        "place", along axis `place`; "best", what stands at the place that a reduction gave; or the
        name of a reduction over `axes`.
    needs : tuple of Node
        What it is made of.
    text : str
        The expression, with {0}, {1} for what it is made of and {T} for their type.
    """

    __slots__ = ("axes", "dtype", "how", "name", "needs", "place", "shape", "text")

    def __init__(
        self,
        name: str,
        how: str,
        dtype: Any,
        shape: Shape,
        needs: tuple[Node, ...] = (),
        text: str = "",
        axes: Shape = (),
        place: Any = None,
    ) -> None:
        self.name, self.how, self.dtype, self.shape = name, how, dtype, shape
        self.needs, self.text, self.axes, self.place = needs, text, axes, place


class Trace:
    """A formula being written down.

    Parameters
    ----------
    dtype : numpy.dtype
        The type of the numbers that it contains.
    device : object
        What symbols say about where they are.

    Attributes
    ----------
    nodes : list of Node
    numbers : list
        What other formulas of the same nodes may have others of.
    """

    def __init__(self, dtype: Any, device: Any) -> None:
        self.dtype, self.device = dtype, device
        self.nodes: list[Node] = []
        self.numbers: list[Any] = []

    def node(self, how: str, dtype: Any, shape: Shape, *more: Any, **named: Any) -> Node:
        """A new node, with a name of its own."""
        made = Node(f"v{len(self.nodes)}", how, dtype, shape, *more, **named)
        self.nodes.append(made)
        return made

    def given(self, place: int, dtype: Any, shape: Shape) -> Symbol:
        """An array that the kernel reads."""
        return Symbol(self, self.node("given", dtype, shape, place=place), shape)

    def number(self, value: Any, dtype: Any) -> Node:
        """A number, which becomes an argument of the kernel."""
        if value.__class__ is bool or not isinstance(value, (float, int, np.floating)):
            raise Untraceable(value)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            if value.__class__ is not int or not info.min <= value <= info.max:
                raise Untraceable(value)
        elif dtype.kind == "f":
            value = float(value)
        else:
            raise Untraceable(value)
        self.numbers.append(value)
        return self.node("number", dtype, (), place=len(self.numbers) - 1)

    def form(self) -> tuple[Any, ...]:
        """The steps without shapes."""
        return tuple(
            [(n.how, n.dtype.char, n.text, n.place, *[m.name for m in n.needs]) for n in self.nodes]
        )

    def signature(self) -> tuple[Any, ...]:
        """What tells formulas apart that are calculated differently."""
        return tuple(
            [
                (n.how, n.dtype.char, n.shape, n.text, n.axes, n.place, *[m.name for m in n.needs])
                for n in self.nodes
            ]
        )

    def made(self, text: str, *operands: Any, dtype: Any = None) -> Symbol:
        """The result of an expression; `text` has {0}, {1} for the operands and {T} for their type.

        The symbols among them have one type, which is that of the numbers, too.
        """
        symbols = [x for x in operands if x.__class__ is Symbol]
        common = next((x.dtype for x in symbols if x.dtype != BOOL), BOOL)
        shown, shape = aligned(symbols)
        nodes = []
        for x in operands:
            if x.__class__ is not Symbol:
                nodes.append(self.number(x, self.dtype if common == BOOL else common))
            elif x.dtype in (common, BOOL):
                nodes.append(x.at(shape))
            else:
                raise Untraceable("two types")
        node = self.node("value", common if dtype is None else dtype, shape, tuple(nodes), text)
        return Symbol(self, node, shown)

    def reduced(
        self, how: str, x: Symbol, axis: Any, keepdims: bool, dtype: Any = None, parts: Any = None
    ) -> Symbol:
        """What becomes of `x` along some axes."""
        shape = x.shape
        if shape != x.node.shape:
            raise Untraceable(how)
        axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
        gone = {d % len(shape) for d in axes if -len(shape) <= d < len(shape)}
        if len(gone) != len(axes) or (not gone and shape):
            raise Untraceable(how)
        long = tuple([d for d in sorted(gone) if shape[d] != 1])
        kept = tuple([1 if d in gone else n for d, n in enumerate(shape)])
        shown = kept if keepdims else tuple([n for d, n in enumerate(shape) if d not in gone])
        dtype = x.dtype if dtype is None else dtype
        needs = (x.node,) if parts is None else (x.node, parts)
        if not long and dtype == x.dtype:
            return Symbol(self, x.node, shown)
        if not long:
            raise Untraceable(how)
        return Symbol(self, self.node(how, dtype, kept, needs, axes=long), shown)


class Symbol:
    """Stands for an array in a formula: a node, in the shape in which it is shown."""

    __slots__ = ("node", "shape", "trace")
    __array_ufunc__ = None  # NumPy's scalars leave operators to it

    def __init__(self, trace: Trace, node: Node, shape: Shape) -> None:
        self.trace, self.node, self.shape = trace, node, shape

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self.node.dtype

    @property
    def truth(self) -> bool:
        """Whether they are bools."""
        found: bool = self.node.dtype == BOOL
        return found

    @property
    def ndim(self) -> int:
        """How many dimensions it shows."""
        return len(self.shape)

    @property
    def device(self) -> Any:
        """The device of the arrays."""
        return self.trace.device

    def reshaped(self, shape: Shape) -> Symbol:
        """The same elements in another shape."""
        size = prod(self.shape)
        if -1 in shape:
            rest = -prod(shape)
            if rest <= 0 or size % rest:
                raise Untraceable("reshape")
            shape = tuple([size // rest if n == -1 else n for n in shape])
        if prod(shape) != size or size != prod(self.node.shape):
            raise Untraceable("reshape")
        if shape == self.shape:
            return self
        if self.node.how == "given":
            return self.trace.given(self.node.place, self.dtype, shape)
        seen = copy.copy(self)
        seen.shape = shape
        return seen

    def at(self, shape: Shape) -> Node:
        """The node, for an expression whose shape is `shape`."""
        mine = self.node.shape
        if mine == shape or not mine or prod(mine) == 1 == prod(shape):
            return self.node
        if len(mine) == len(shape):
            if all(n in (1, m) for n, m in zip(mine, shape, strict=True)):
                return self.node
        elif self.node.how == "given" and len(mine) < len(shape) and self.shape == mine:
            lead = (1,) * (len(shape) - len(mine))
            return self.trace.given(self.node.place, self.dtype, (*lead, *mine)).node
        raise Untraceable("shapes")

    def __bool__(self) -> bool:
        raise Untraceable("a decision by elements")

    __hash__ = None  # type: ignore[assignment]


def aligned(symbols: list[Symbol]) -> tuple[Shape, Shape]:
    """The shape that the result of an expression shows, and that of its node."""
    first = symbols[0]
    if all(x.shape == first.shape and x.node.shape == first.node.shape for x in symbols):
        return first.shape, first.node.shape
    real = [x for x in symbols if x.shape]
    if all(x.shape == x.node.shape for x in real):
        try:
            shape = np.broadcast_shapes(*[x.shape for x in real])
        except ValueError:
            raise Untraceable("shapes") from None
        return shape, shape
    one = next(x for x in real if x.shape != x.node.shape)
    if any(x.shape != one.shape or x.node.shape != one.node.shape for x in real):
        raise Untraceable("shapes")
    return one.shape, one.node.shape


def space_of(nodes: list[Node]) -> Shape:
    """The axes of a formula."""
    shapes = {n.shape for n in nodes if n.shape}
    if len({len(shape) for shape in shapes}) > 1:
        raise Untraceable("shapes of different lengths")
    return tuple([max(sizes) for sizes in zip(*shapes, strict=True)])


def binary(text: str, truth: bool = False, back: bool = False, bools: bool = False) -> Any:
    """An operator; `text` has {0} and {1} for the operands, all bools if `bools` says so."""

    def call(self: Symbol, other: Any) -> Symbol:
        both = other.__class__ is Symbol
        if bools:
            if not (self.truth and both and other.truth):
                raise Untraceable(text)
        elif self.truth or (both and other.truth):
            if self.truth and (not both or other.truth):
                raise Untraceable(text)  # the type of the result is decided elsewhere
        elif self.dtype.kind != "f" and "/" in text:
            raise Untraceable(text)
        elif self.dtype == HALF and not truth:
            raise Untraceable(text)  # each step would be rounded
        operands = (other, self) if back else (self, other)
        return self.trace.made(text, *operands, dtype=BOOL if truth else None)

    return call


for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}"))
    setattr(Symbol, f"__r{_name}__", binary(f"{{0}} {_sign} {{1}}", back=True))
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}", True))
for _name, _sign in {"and": "&", "or": "|", "xor": "^"}.items():
    setattr(Symbol, f"__{_name}__", binary(f"{{0}} {_sign} {{1}}", True, bools=True))


def as_real(self: Symbol) -> Symbol:
    """A symbol, if it stands for floats in which is calculated."""
    if self.dtype.kind != "f" or self.dtype == HALF:
        raise Untraceable("no floats")
    return self


POWER = "{1} == 2 ? {0} * {0} : {1} == 3 ? {0} * {0} * {0} : pow({0}, {1})"
"""That of a negative number takes 70 ns."""


def _power(self: Symbol, other: Any) -> Symbol:
    as_real(self)
    if other.__class__ in (int, float) and other == 2:
        return self.trace.made("{0} * {0}", self)
    return self.trace.made(POWER, self, other)


def _invert(self: Symbol) -> Symbol:
    if not self.truth:
        raise Untraceable("~")
    return self.trace.made("!{0}", self)


def single(text: str) -> Any:
    """An operator of floats."""
    return lambda self: self.trace.made(text, as_real(self))


setattr(Symbol, "__pow__", _power)  # noqa: B010
setattr(Symbol, "__invert__", _invert)  # noqa: B010
setattr(Symbol, "__neg__", single("-{0}"))  # noqa: B010
setattr(Symbol, "__abs__", single("fabs({0})"))  # noqa: B010

SAME = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh "
    "atanh floor ceil trunc erf erfc"
)
ONE = {
    **{name: f"{name}({{0}})" for name in SAME.split()},
    "abs": "fabs({0})", "negative": "-{0}", "square": "{0} * {0}", "reciprocal": "1 / {0}",
    "round": "rint({0})", "positive": "{0}",
    "sign": "{0} > 0 ? ({T})1 : {0} < 0 ? ({T})-1 : {0}",
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
