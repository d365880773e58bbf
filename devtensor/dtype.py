"""Data types, and PyTorch's rules for mixing them.

A mixed operation is decided by category (bool < integer < float < complex): a number or a 0-d
tensor changes the type of a tensor with dimensions only if its category is higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class dtype:
    """The type of a tensor's elements, as ``devtensor.float32``.

    Attributes
    ----------
    name : str
        The array API's name, as ``"float32"``.
    kind : str
        One of ``"bool"``, ``"int"``, ``"float"``, ``"complex"``.
    itemsize : int
        Bytes of one element.
    """

    __slots__ = ("is_signed", "itemsize", "kind", "legacy", "name")

    def __init__(
        self, name: str, kind: str, itemsize: int, legacy: str, signed: bool = True
    ) -> None:
        self.name, self.kind, self.itemsize, self.legacy, self.is_signed = (
            name,
            kind,
            itemsize,
            legacy,
            signed,
        )

    @property
    def is_floating_point(self) -> bool:
        """Whether it is a real floating type."""
        return self.kind == "float"

    @property
    def is_complex(self) -> bool:
        """Whether it is a complex type."""
        return self.kind == "complex"

    def to_real(self) -> dtype:
        """The real type of a complex type's parts; other types are returned as they are."""
        return _REAL.get(self, self)

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type."""
        return _COMPLEX.get(self, self)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return named, (self.name,)


bool_ = dtype("bool", "bool", 1, "Bool", signed=False)
uint8 = dtype("uint8", "int", 1, "Byte", signed=False)
uint16 = dtype("uint16", "int", 2, "UInt16", signed=False)
uint32 = dtype("uint32", "int", 4, "UInt32", signed=False)
uint64 = dtype("uint64", "int", 8, "UInt64", signed=False)
int8 = dtype("int8", "int", 1, "Char")
int16 = dtype("int16", "int", 2, "Short")
int32 = dtype("int32", "int", 4, "Int")
int64 = dtype("int64", "int", 8, "Long")
float16 = dtype("float16", "float", 2, "Half")
bfloat16 = dtype("bfloat16", "float", 2, "BFloat16")
float32 = dtype("float32", "float", 4, "Float")
float64 = dtype("float64", "float", 8, "Double")
complex64 = dtype("complex64", "complex", 8, "ComplexFloat")
complex128 = dtype("complex128", "complex", 16, "ComplexDouble")

ALL = (bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
       float16, bfloat16, float32, float64, complex64, complex128)  # fmt: skip
HALVES = frozenset([float16, bfloat16])
"""Those of two bytes, in which nothing is computed: `devtensor.halves`."""
NAMES = {t.name: t for t in ALL}
ALIASES = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32,
    "long": int64, "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
NUMBERS = (bool, int, float, complex)
"""The classes of Python's numbers."""

PYTHON: dict[Any, dtype] = {bool: bool_, int: int64, float: float64, complex: complex128}
"""What Python's types stand for where a dtype is asked for."""

_REAL = {complex64: float32, complex128: float64}
_COMPLEX = {float16: complex64, bfloat16: complex64, float32: complex64, float64: complex128}
_CATEGORY = {"bool": 0, "int": 1, "float": 2, "complex": 3}

OF: dict[Any, dtype] = {}
"""The dtype of every native type that a loaded backend knows; backends add theirs."""


def named(name: str) -> dtype:
    """The dtype called `name`."""
    return NAMES[name]


dtype.named = staticmethod(named)  # type: ignore[attr-defined]
"""Where picklers that import by attributes find it: `devtensor.dtype` is the class to them."""


def of(native: Any) -> dtype:
    """The dtype of an array library's own type object.

    Raises
    ------
    TypeError
        If there is no such dtype here.
    """
    if isinstance(native, dtype):
        return native
    try:
        return OF[native]
    except (KeyError, TypeError):
        raise TypeError(
            f"can't convert an array of type {native}. The only supported types are: "
            f"{', '.join(t.name for t in ALL)}."
        ) from None


_default = float32


def get_default_dtype() -> dtype:
    """The floating type of ``tensor(1.0)`` and of integer tensors after ``sin`` and its kind."""
    return _default


def set_default_dtype(d: dtype, /) -> None:
    """Make `d` the default floating type.

    Raises
    ------
    TypeError
        If `d` is no floating-point dtype.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = d


def of_number(value: bool | int | float | complex) -> dtype:
    """The dtype that a Python number stands for."""
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    return _default if isinstance(value, float) else _default.to_complex()


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that holds both, by PyTorch's table.

    Raises
    ------
    RuntimeError
        For a large unsigned type beside another integer type, as in PyTorch.
    """
    if type1 is type2:
        return type1
    low, high = sorted((type1, type2), key=lambda t: (_CATEGORY[t.kind], t.itemsize))
    if low.kind != high.kind:
        if high.kind == "complex" and low.kind == "float":
            return complex128 if low is float64 else high
        return high
    if high.kind == "float":
        return float32 if high.itemsize == 2 else high
    if low.is_signed == high.is_signed:
        return high
    unsigned, signed = (high, low) if low.is_signed else (low, high)
    if unsigned is not uint8:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{type1.legacy} and {type2.legacy}. Convert one of them with .to()."
        )
    return int16 if signed is int8 else signed


def _over(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """`higher`, lifted into the category of `lower` if that is higher."""
    if higher is None or lower is None:
        return higher or lower
    if _CATEGORY[higher.kind] >= _CATEGORY[lower.kind] and higher.kind != "bool":
        return higher
    if higher.kind == "float":
        return higher.to_complex()
    return promote_types(higher, lower)


def common(
    dimensioned: Iterable[dtype], scalars: Iterable[dtype], numbers: Iterable[Any]
) -> dtype | None:
    """The type in which an operation on such operands is computed.

    Parameters
    ----------
    dimensioned, scalars : iterables of dtype
        Types of the tensors with dimensions, and of the 0-d ones.
    numbers : iterable of Python numbers
    """
    levels: list[dtype | None] = []
    for types in (dimensioned, scalars, map(of_number, numbers)):
        level: dtype | None = None
        for t in types:
            level = t if level is None else promote_types(level, t)
        levels.append(level)
    return _over(levels[0], _over(levels[1], levels[2]))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of type `from_` may be written into a tensor of type `to`."""
    return _CATEGORY[from_.kind] <= _CATEGORY[to.kind]
