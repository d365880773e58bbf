"""The numbers in nested sequences: their shape, their type, and what is refused among them."""

from __future__ import annotations

import math
from functools import reduce
from itertools import chain
from typing import Any

import devtensor.dtype as dtypes
from devtensor.device import device as Device
from devtensor.dtype import NUMBERS
from devtensor.tensor import Tensor

PLAIN = set(NUMBERS)
LISTS = {list, tuple, range}
DEEPEST = 64


def sequence(data: Any) -> bool:
    """Whether numbers can be read from `data` one by one: a list, a tuple, a host's array."""
    if isinstance(data, (Tensor, dict, set)):
        return False
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


def array_like(data: Any) -> bool:
    """Whether `data` is an array or scalar of the host's library."""
    return hasattr(data, "__array__") and hasattr(data, "dtype") and not isinstance(data, type)


def scalar(kind: Any) -> bool:
    """Whether a class is one of scalars of the host's library, and not of arrays."""
    return hasattr(kind, "__array__") and hasattr(kind, "item") and not hasattr(kind, "__setitem__")


def type_of_array(data: Any) -> dtypes.dtype:
    """The dtype of an array of the host's library.

    Raises
    ------
    TypeError
        If there is no such dtype.
    ValueError
        If its bytes are the other way round.
    """
    if not getattr(data.dtype, "isnative", True):
        raise ValueError(
            "given numpy array has byte order different from the native byte order "
            f"({data.dtype}): convert it with .astype(array.dtype.newbyteorder('='))"
        )
    Device("cpu").backend  # noqa: B018  the host's types are known when its library is loaded
    return dtypes.of(data.dtype)


def read(data: Any, dtype: dtypes.dtype | None) -> tuple[list[Any], tuple[int, ...], dtypes.dtype]:
    """The numbers in nested sequences in order, the shape, and `dtype` or else their own type.

    Raises
    ------
    TypeError, RuntimeError
        If there is something else than numbers in them.
    ValueError
        If they are ragged, too deep, or a number does not fit 64 bits.
    """
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    kinds: set[Any] = set()
    if data.__class__ in LISTS and (found := set(map(type, data))) <= PLAIN:
        numbers, shape, kinds = list(data), (len(data),), found
    else:
        shape = shape_of(data)
        numbers = evenly(data, shape)
        if numbers is None:
            numbers = []
            gather(data, shape, 0, numbers, kinds)
        else:
            kinds.update(map(type, numbers))
    if dtype is None:
        dtype = common_type(numbers, kinds)
    if not kinds <= PLAIN:
        scalars = {kind for kind in kinds if scalar(kind)}
        numbers = [
            x if (kind := x.__class__) in PLAIN else x.item() if kind in scalars
            else number_of(x, dtype)
            for x in numbers
        ]  # fmt: skip
        kinds = set(map(type, numbers))
    return fitting(numbers, kinds, dtype), shape, dtype


def shape_of(data: Any) -> tuple[int, ...]:
    """The shape that the first items have."""
    shape = []
    while sequence(data) and getattr(data, "shape", None) != ():
        shape.append(len(data))
        if len(shape) > DEEPEST:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        if not shape[-1]:
            break
        try:
            data = data[0]
        except (KeyError, TypeError, IndexError):
            raise TypeError(f"cannot read numbers from {type(data).__name__}") from None
    return tuple(shape)


def evenly(data: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """What stands in lists and tuples that are nested evenly; None of anything else."""
    found = [data]
    for size in shape:
        if not set(map(type, found)) <= LISTS or set(map(len, found)) != {size}:
            return None
        found = list(chain.from_iterable(found))
    return found


def gather(
    data: Any, shape: tuple[int, ...], depth: int, numbers: list[Any], kinds: set[Any]
) -> None:
    """Append the numbers in `data` to a list, and what they are to a set."""
    if depth == len(shape):
        numbers.append(data)
        kinds.add(data.__class__)
        return
    if not sequence(data):
        raise TypeError(
            f"not a sequence: expected {shape[depth]} items at dim {depth}, got "
            f"{type(data).__name__}"
        )
    if len(data) != shape[depth]:
        raise ValueError(
            f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})"
        )
    if array_like(data) and tuple(data.shape) == shape[depth:]:
        kinds.add(type_of_array(data))
        numbers += data.reshape(-1).tolist()
    elif depth == len(shape) - 1:
        items = list(data)
        numbers += items
        kinds.update(map(type, items))
    else:
        for item in data:
            gather(item, shape, depth + 1, numbers, kinds)


def common_type(numbers: list[Any], kinds: set[Any]) -> dtypes.dtype:
    """The dtype of numbers of some kinds together: classes, and dtypes of arrays."""
    found = []
    for kind in kinds:
        if isinstance(kind, dtypes.dtype):
            found.append(kind)
        elif kind in PLAIN:
            found.append(dtypes.of_number(kind()))
        else:
            alike = (x for x in numbers if x.__class__ is kind)
            first = next(alike)
            found.append(type_of(first))
            if not (isinstance(first, NUMBERS) or scalar(kind)):  # whose class says it all
                found += {type_of(x) for x in alike}
    return reduce(dtypes.promote_types, found) if found else dtypes.get_default_dtype()


def type_of(data: Any) -> dtypes.dtype:
    """The dtype of one thing among the numbers."""
    if isinstance(data, Tensor):
        return data.dtype
    if array_like(data):
        return type_of_array(data)
    if isinstance(data, NUMBERS):
        return dtypes.of_number(data)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if isinstance(data, (list, tuple)):
        return common_type(list(data), set(map(type, data)))
    raise RuntimeError(
        f"Could not infer dtype of {type(data).__name__}: a tensor is made of numbers, of "
        "sequences of them, or of an array"
    )


def number_of(data: Any, dtype: dtypes.dtype) -> Any:
    """One thing among the numbers as a Python number."""
    whole = dtype.kind in ("int", "bool")
    if isinstance(data, Tensor):
        if data.numel() != 1:
            if whole:
                raise TypeError(
                    "only integer tensors of a single element can be converted to an index, got "
                    f"shape {list(data.shape)}: join tensors with stack()"
                )
            raise ValueError(
                "only one element tensors can be converted to Python scalars, got shape "
                f"{list(data.shape)}: join tensors with stack()"
            )
        return data.item()
    if isinstance(data, NUMBERS):
        return data
    if array_like(data) and not data.shape:
        return data.item()
    if hasattr(data, "__index__") and not isinstance(data, type):
        return data.__index__()
    if not whole and hasattr(data, "__float__") and not isinstance(data, type):
        return float(data)
    raise unfit(data, dtype)


def unfit(data: Any, dtype: dtypes.dtype) -> TypeError:
    """The error for what cannot be a number of a type."""
    kind = type(data).__name__
    if dtype.kind in ("int", "bool"):
        return TypeError(f"'{kind}' object cannot be interpreted as an integer, for {dtype!r}")
    return TypeError(f"must be real number, not {kind}, for {dtype!r}")


def fitting(numbers: list[Any], kinds: set[Any], dtype: dtypes.dtype) -> list[Any]:
    """Numbers of some classes that fit `dtype`, converted as PyTorch converts them."""
    if dtype.kind == "bool":
        return numbers if kinds == {bool} else list(map(bool, numbers))
    if any(issubclass(kind, complex) for kind in kinds) and dtype.kind != "complex":
        raise unfit(next(x for x in numbers if isinstance(x, complex)), dtype)
    if dtype.kind == "int" and numbers:
        low, high = bounds(dtype)
        if kinds <= {int, bool} and low <= min(numbers) and max(numbers) < high:
            return numbers
        return [whole(number, dtype) for number in numbers]
    return numbers


def bounds(dtype: dtypes.dtype) -> tuple[int, int]:
    """The least number of an integer type, and the first one that is too large."""
    high: int = 2 ** (8 * dtype.itemsize - dtype.is_signed)
    return -high if dtype.is_signed else 0, high


def whole(number: Any, dtype: dtypes.dtype) -> int:
    """A number as an integer of a type; small negative ones wrap around, as in C."""
    if isinstance(number, float) and not math.isfinite(number):
        raise RuntimeError(f"cannot convert {number} to an integer of type {dtype!r}")
    found = int(number)
    low, high = bounds(dtype)
    below = isinstance(number, float) and number < low
    if low <= found < high and not below:
        return found
    if isinstance(number, int) and not -(2**63) <= found < 2**63:
        raise ValueError(f"Overflow when unpacking long long: {found} does not fit {dtype!r}")
    if below or not -high <= found < high:
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name} without overflow: {number}"
        )
    return found % high
