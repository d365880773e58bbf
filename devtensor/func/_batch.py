"""Many arrays of one shape as one: what tensors hold within `vmap`.

A `Batch` shows the shape, the type and the operators of a single example, while its `value` is an
array with one axis more, the first, that counts the examples. What is the same for all examples
has no such axis, so it is computed once. The value may itself be a `Batch`: then `vmap` is nested.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from math import prod
from typing import Any


class Unbatchable(RuntimeError):
    """The values of single examples are asked for, where only all of them at once are known."""


ASKED = (
    "vmap: It looks like you're calling .item() on a Tensor, or using it in data-dependent control "
    "flow: in `if`, `while`, `float()`, `int()`, or as an index of a list. It "
    "holds a value for each example, so there is no single one. Write the choice as an operation, "
    "such as where(condition, a, b), or take the value outside of vmap"
)
FIXED = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor "
    "`other` in extra_args that has more elements than `self`. This happened due to `other` being "
    "vmapped over but `self` not being vmapped over in a vmap: a value for each example cannot be "
    "written into a tensor that all examples share. Use the form that returns a new tensor, or "
    "make `self` from a batched tensor, as with x.new_zeros(...) or zeros_like(x)"
)


WHOLE = ("any", "all", "max", "min", "sum")
"""Functions whose result for a whole batch is made of those for its examples."""


class Batch:
    """An array for each example.

    Attributes
    ----------
    value : array
        The examples along its first axis; if not `many`, what is the same for all.
    many : bool
        Whether `value` has the axis of examples.
    source : tuple or None
        Of what looks at the memory of another `Batch`: that one, and how to look at it.
    verdict : str
        The function, of `WHOLE`, that gave a single number, which can be told of the whole batch:
        kernels ask whether anything has to be refused, or taken care of, at all.
    fixed : bool
        Whether the memory is seen outside of `vmap`, so that the examples cannot become different.
    """

    __slots__ = ("_value", "fixed", "many", "source", "verdict")
    inner: Any
    """The namespace of the device whose arrays the values are; a class for each device has it."""
    __array_ufunc__ = None

    def __init__(self, value: Any, many: bool, source: Any = None, fixed: bool = False) -> None:
        self._value, self.many, self.fixed = value, many, fixed
        self.source = None if many else source
        self.verdict = ""

    @property
    def value(self) -> Any:
        """The array of the library, or of the enclosing `vmap`."""
        self.look()
        return self._value

    def look(self) -> None:
        """Look again at a source whose examples have become different."""
        if self.source is not None and not self.many:
            source, step = self.source
            source.look()
            if source.many:
                found = step(source)
                self._value, self.many, self.source = found._value, True, None

    def become_many(self, size: int) -> None:
        """Give each example memory of its own, which is then written.

        Raises
        ------
        Unbatchable
            If others see the memory.
        """
        self.look()
        if self.many:
            return
        if self.source is not None:
            self.source[0].become_many(size)
            self.look()
            return
        if self.fixed:
            raise Unbatchable(FIXED)
        self._value, self.many = self.inner.asarray(self.all(size), copy=True), True

    def all(self, size: int) -> Any:
        """The value with the axis of examples, repeated if they are the same."""
        value = self.value
        if self.many:
            return value
        return self.inner.broadcast_to(value[None, ...], (size, *value.shape))

    def made(self, value: Any, many: bool, source: Any = None) -> Any:
        """Another batch on the same device."""
        return self.__class__(value, many, source)

    # ---- what kernels ask of an array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        shape = tuple(self.value.shape)
        return shape[1:] if self.many else shape

    @property
    def ndim(self) -> int:
        """The number of dimensions of an example."""
        ndim: int = self.value.ndim
        return ndim - self.many

    @property
    def size(self) -> int:
        """The number of elements of an example."""
        return prod(self.shape)

    @property
    def dtype(self) -> Any:
        """The library's type of the elements."""
        return self._value.dtype

    @property
    def device(self) -> Any:
        """The library's device."""
        return self._value.device

    @property
    def mT(self) -> Any:
        """The transposed matrices."""
        return self.made(self.value.mT, self.many, (self, lambda x: x.mT))

    @property
    def T(self) -> Any:
        """The transposed matrix."""
        return self.mT

    def single(self) -> Any:
        """The value that all examples have.

        Raises
        ------
        Unbatchable
            If they have different ones.
        """
        value = self.value
        if self.many:
            raise Unbatchable(ASKED)
        return value

    def __bool__(self) -> bool:
        if self.verdict in ("any", "all") and self.many:
            return bool(getattr(self.inner, self.verdict)(self.value))
        return bool(self.single())

    def __int__(self) -> int:
        if self.verdict in ("max", "min") and self.many and self.value.shape[0]:
            return int(getattr(self.inner, self.verdict)(self.value))
        return int(self.single())

    def __float__(self) -> float:
        return float(self.single())

    def __complex__(self) -> complex:
        if self.verdict == "sum" and self.many:
            return complex(self.inner.sum(self.value))
        return complex(self.single())

    def __index__(self) -> int:
        return operator.index(self.single())

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise Unbatchable(ASKED)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return self.made(self.value[self.key(key)], self.many, (self, lambda x: x[key]))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, Batch):
            value.look()
            if value.many:
                self.become_many(value._value.shape[0])
        whole = self.key(key)
        if isinstance(value, Batch):
            value = shown(value, self.value[whole].ndim - self.many)
        self.value[whole] = value

    def key(self, key: Any) -> Any:
        """A key of an example, of slices and numbers, as one of the value."""
        self.look()
        if not self.many:
            return key
        if isinstance(key, tuple):
            return (slice(None), *key)
        return (slice(None), key) if key is Ellipsis else (slice(None), key, ...)

    def __repr__(self) -> str:
        return f"Batch(many={self.many}, value={self.value!r})"


def shown(x: Batch, ndim: int) -> Any:
    """The value of a batch, with axes of length 1 put in until examples have `ndim` dimensions."""
    value = x.value
    missing = ndim - x.ndim
    if not x.many or missing < 1:
        return value
    return value[(slice(None), *[None] * missing, ...)]


def spread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function of arrays that broadcast gives for batches and numbers."""
    ndim, many, like = 0, False, None
    for x in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(x, Batch):
            like = x
            ndim, many = max(ndim, x.ndim), many or x.many
    listed = [shown(x, ndim) if isinstance(x, Batch) else x for x in args]
    named = {k: shown(x, ndim) if isinstance(x, Batch) else x for k, x in kwargs.items()}
    assert like is not None
    return like.made(function(*listed, **named), many)


def operand(x: Any) -> bool:
    """Whether an operator takes `x` beside a batch."""
    return isinstance(x, (Batch, bool, int, float, complex))


def binary(function: Callable[..., Any], reflected: bool = False) -> Any:
    """An operator of two operands."""

    def call(self: Batch, other: Any) -> Any:
        if not operand(other):
            return NotImplemented
        return spread(function, other, self) if reflected else spread(function, self, other)

    return call


def unary(function: Callable[..., Any]) -> Any:
    """An operator of one operand."""
    return lambda self: spread(function, self)


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    _function = getattr(operator, f"__{_name}__")
    setattr(Batch, f"__{_name}__", binary(_function))
    setattr(Batch, f"__r{_name}__", binary(_function, reflected=True))
for _name in ("lt", "le", "eq", "ne", "gt", "ge"):
    setattr(Batch, f"__{_name}__", binary(getattr(operator, _name)))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Batch, f"__{_name}__", unary(getattr(operator, _name)))
Batch.__hash__ = object.__hash__  # type: ignore[method-assign]
