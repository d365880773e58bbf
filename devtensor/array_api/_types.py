"""Types by the standard's rules: promotion, limits, kinds, and casting."""

from __future__ import annotations

import numbers
from functools import reduce
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.dtype import NAMES, common, of
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

Number = bool | int | float | complex


def promoted(one: Dtype, other: Dtype) -> Dtype:
    """The smallest type that holds both.

    Where the standard has no rule, for types of different kinds, it is PyTorch's.

    Raises
    ------
    TypeError
        If there is none, as for uint64 beside int64.
    """
    if one.kind != "int" or other.kind != "int" or one.is_signed == other.is_signed:
        return dt.promote_types(one, other)
    unsigned, signed = (other, one) if one.is_signed else (one, other)
    size = max(2 * unsigned.itemsize, signed.itemsize)
    if size > 8:
        raise TypeError(
            f"{one!r} and {other!r} have no common integer type; convert one of them with astype()"
        )
    return NAMES[f"int{8 * size}"]


def result_type(*arrays_and_dtypes: Tensor | Dtype | Number) -> Dtype:
    """The type of the result of arithmetic with such operands.

    A Python number has no type of its own: it only counts if its kind is the higher one.

    Parameters
    ----------
    *arrays_and_dtypes : Tensor, dtype or number
        At least one must be no number.

    Raises
    ------
    ValueError
        If all are numbers.
    TypeError
        If there is no common type.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.result_type(xp.int8, xp.uint8)
    torch.int16
    >>> xp.result_type(xp.ones((), dtype=xp.float64), xp.float32, 1.0)
    torch.float64
    """
    types: list[Dtype] = []
    bare: list[Number] = []
    for operand in arrays_and_dtypes:
        if isinstance(operand, (bool, int, float, complex)):
            bare.append(operand)
        else:
            types.append(type_of(operand))
    if not types:
        raise ValueError(
            f"result_type() takes at least one Tensor or dtype, got {list(arrays_and_dtypes)}"
        )
    found = common([reduce(promoted, types)], (), bare)
    assert found is not None
    return found


def type_of(operand: Any) -> Dtype:
    """The type of a tensor or an array, or a type itself.

    Raises
    ------
    TypeError
        If it is neither.
    """
    return of(getattr(operand, "dtype", operand))


def joined(*operands: Any) -> tuple[Any, ...]:
    """Operands of one operation as tensors of their common type.

    PyTorch's operations promote by themselves, but a tensor without dimensions counts for less
    there, and some take no numbers.

    Raises
    ------
    TypeError
        If they are something else, or no tensor is among them, or there is no common type.
    """
    tensors = [x for x in operands if isinstance(x, Tensor)]
    if len(tensors) == len(operands) and len({x.dtype for x in tensors}) == 1:
        return operands
    if not tensors or not all(isinstance(x, (Tensor, numbers.Number)) for x in operands):
        raise TypeError(
            "operands must be tensors and numbers, and one of them a tensor, got "
            f"{', '.join(type(x).__name__ for x in operands)}; make tensors with asarray()"
        )
    shared, place = result_type(*operands), tensors[0].device

    def cast(x: Any) -> Tensor:
        return x.to(shared) if isinstance(x, Tensor) else dt.full((), x, dtype=shared, device=place)

    return tuple(map(cast, operands))


def can_cast(from_: Tensor | Dtype, to: Dtype, /) -> bool:
    """Whether promotion leads from a type to another one.

    Parameters
    ----------
    from_ : Tensor or dtype
    to : dtype

    Returns
    -------
    bool
        False, too, where the standard has no rule: for a float that would become an integer, or an
        integer that would become a float.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.can_cast(xp.int8, xp.int64), xp.can_cast(xp.int64, xp.int8)
    (True, False)
    """
    source = type_of(from_)
    ruled = source.kind == to.kind or (source.kind, to.kind) == ("float", "complex")
    try:
        return ruled and promoted(source, to) is to
    except TypeError:
        return False


class finfo_object(NamedTuple):
    """What :func:`finfo` returns."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Dtype


class iinfo_object(NamedTuple):
    """What :func:`iinfo` returns."""

    bits: int
    max: int
    min: int
    dtype: Dtype


def finfo(type: Tensor | Dtype, /) -> finfo_object:
    """The limits of a floating type; of a complex one, those of its parts.

    Parameters
    ----------
    type : Tensor or dtype

    Returns
    -------
    finfo_object
        With `bits`, `eps`, `max`, `min`, `smallest_normal` and `dtype`.

    Raises
    ------
    TypeError
        If it is no floating type.
    """
    real = type_of(type).to_real()
    found = dt.finfo(real)
    return finfo_object(found.bits, found.eps, found.max, found.min, found.smallest_normal, real)


def iinfo(type: Tensor | Dtype, /) -> iinfo_object:
    """The limits of an integer type.

    Parameters
    ----------
    type : Tensor or dtype

    Returns
    -------
    iinfo_object
        With `bits`, `max`, `min` and `dtype`.

    Raises
    ------
    TypeError
        If it is no integer type.
    """
    own = type_of(type)
    found = dt.iinfo(own)
    return iinfo_object(found.bits, found.max, found.min, own)


KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float16", "bfloat16", "float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
"""The standard's kinds of types, those that hold no others."""
KINDS["integral"] = KINDS["signed integer"] + KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]


def isdtype(dtype: Dtype, kind: Dtype | str | tuple[Dtype | str, ...]) -> bool:
    """Whether a type is of a kind.

    Parameters
    ----------
    dtype : dtype
    kind : dtype, str or tuple of them
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"integral"``,
        ``"real floating"``, ``"complex floating"``, ``"numeric"``, or a type; of several, any.

    Raises
    ------
    ValueError
        If there is no such kind.
    TypeError
        If `kind` is something else.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.isdtype(xp.uint8, "integral"), xp.isdtype(xp.uint8, ("bool", xp.int8))
    (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, Dtype):
        return dtype is kind
    if not isinstance(kind, str):
        raise TypeError(
            f"isdtype(): argument 'kind' must be dtype, str or tuple, not {type(kind).__name__}"
        )
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; there are {', '.join(map(repr, KINDS))}")
    return dtype.name in KINDS[kind]


def accumulated(dtype: Dtype) -> Dtype:
    """The type in which sums and products of a type are taken, unless another one is named."""
    if dtype.kind not in ("int", "bool"):
        return dtype
    return dt.uint64 if dtype.kind == "int" and not dtype.is_signed else dt.int64
