"""The functions of the standard that are operations of the catalogue under other names.

A line is the standard's own signature; behind ``->`` is the operation if it is called otherwise.
The function is written from that: what is positional only is handed on by place, the rest by the
name that PyTorch has for it, operands `x1`, `x2` or `arrays` in their common type; and what has
`axis` and `keepdims` reduces.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import devtensor as dt
from devtensor.array_api._types import accumulated, joined
from devtensor.tensor import Tensor

Function = Callable[..., Any]
Axis = int | tuple[int, ...] | None

RENAMED = {"axis": "dim", "axes": "dim", "keepdims": "keepdim", "k": "diagonal", "shape": "size"}
"""PyTorch's names of parameters."""

FUNCTIONS = """
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)
meshgrid(*arrays, indexing='xy')
tril(x, /, *, k=0)
triu(x, /, *, k=0)
abs(x, /)
acos(x, /)
acosh(x, /)
add(x1, x2, /)
asin(x, /)
asinh(x, /)
atan(x, /)
atan2(x1, x2, /)
atanh(x, /)
bitwise_and(x1, x2, /)
bitwise_invert(x, /) -> bitwise_not
bitwise_left_shift(x1, x2, /)
bitwise_or(x1, x2, /)
bitwise_right_shift(x1, x2, /)
bitwise_xor(x1, x2, /)
ceil(x, /)
conj(x, /)
copysign(x1, x2, /)
cos(x, /)
cosh(x, /)
divide(x1, x2, /)
equal(x1, x2, /) -> eq
exp(x, /)
expm1(x, /)
floor(x, /)
floor_divide(x1, x2, /)
greater(x1, x2, /)
greater_equal(x1, x2, /)
hypot(x1, x2, /)
imag(x, /)
isfinite(x, /)
isinf(x, /)
isnan(x, /)
less(x1, x2, /)
less_equal(x1, x2, /)
log(x, /)
log10(x, /)
log1p(x, /)
log2(x, /)
logaddexp(x1, x2, /)
logical_and(x1, x2, /)
logical_not(x, /)
logical_or(x1, x2, /)
logical_xor(x1, x2, /)
maximum(x1, x2, /)
minimum(x1, x2, /)
multiply(x1, x2, /)
negative(x, /)
nextafter(x1, x2, /)
not_equal(x1, x2, /)
positive(x, /)
pow(x1, x2, /)
real(x, /)
reciprocal(x, /)
signbit(x, /)
sin(x, /)
sinh(x, /)
sqrt(x, /)
square(x, /)
subtract(x1, x2, /)
tan(x, /)
tanh(x, /)
trunc(x, /)
broadcast_arrays(*arrays) -> broadcast_tensors
broadcast_to(x, /, shape)
expand_dims(x, /, axis) -> unsqueeze
moveaxis(x, source, destination, /)
permute_dims(x, /, axes) -> permute
stack(arrays, /, *, axis=0)
unstack(x, /, *, axis=0) -> unbind
tile(x, repetitions, /)
argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
max(x, /, *, axis=None, keepdims=False) -> amax
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False) -> amin
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
argsort(x, /, *, axis=-1, descending=False, stable=True)
isin(x1, x2, /, *, invert=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
"""


def sized(shape: int | Iterable[int]) -> tuple[int, ...]:
    """A shape, which may be given as one length."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


def reduced(operation: Function, x: Tensor, axis: Axis, **others: Any) -> Tensor:
    """Reduce dimensions: of none of them, unlike in PyTorch, the shape stays as it is."""
    if "dtype" in others and others["dtype"] is None:
        others["dtype"] = accumulated(x.dtype)
    if axis == ():
        return operation(x[..., None], dim=-1, **{**others, "keepdim": False})
    return operation(x, dim=axis, **others)


SPACE = {"joined": joined, "reduced": reduced, "sized": sized}
"""What the written functions call."""


def named(home: Any, name: str) -> Function:
    """The operation of a name, from `home` or from the top of the package."""
    return getattr(home, name, None) or getattr(dt, name)


def functions(lines: str, home: Any = dt) -> dict[str, Function]:
    """The functions that the lines declare, by name.

    Parameters
    ----------
    lines : str
        One signature each.
    home : module
        Where the operations have their public names.
    """
    made = {}
    for line in lines.strip().splitlines():
        declared, _, operation = line.partition(" -> ")
        name, _, parameters = declared.partition("(")
        made[name] = function(name, f"({parameters}", named(home, operation or name))
    return made


def function(name: str, signature: str, operation: Function) -> Function:
    """The function `name` of the standard, by an operation."""
    inputs, others = [], []
    theirs = inspect.signature(operation).parameters
    ours = inspect.signature(eval(f"lambda {signature[1:-1]}: 0")).parameters
    for p in ours.values():
        wanted = RENAMED.get(p.name, p.name)
        wanted = f"{wanted}s" if f"{wanted}s" in theirs else wanted
        value = "sized(shape)" if p.name == "shape" else p.name
        if p.kind is p.VAR_POSITIONAL:
            inputs.append(f"*{value}")
        elif p.kind is p.POSITIONAL_ONLY or (
            wanted in theirs and theirs[wanted].kind is p.VAR_POSITIONAL
        ):
            inputs.append(value)
        else:
            others.append(f"{wanted}={value}")
    if inputs == ["x1", "x2"]:
        inputs = ["*joined(x1, x2)"]
    elif inputs == ["arrays"]:
        inputs = ["joined(*arrays)"]
    call = f"operation({', '.join([*inputs, *others])})"
    if "axis" in ours and "keepdims" in ours:
        others.remove("dim=axis")
        call = f"reduced(operation, x, axis, {', '.join(others)})"
    space: dict[str, Any] = {**SPACE, "operation": operation}
    exec(f"def {name}{signature}: return {call}", space)
    made: Function = space[name]
    first = (inspect.getdoc(operation) or "").split("\n\n")[0]
    made.__doc__ = f"{first}\n\nThe standard's ``{name}{signature}``."
    made.__module__ = "devtensor.array_api"
    return made
