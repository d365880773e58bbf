"""Questions about tensors and types."""

from __future__ import annotations

from typing import Any

import devtensor.dtype as dtypes
from devtensor.expected import number
from devtensor.launch import common_dtype
from devtensor.limits import finfo, iinfo
from devtensor.storage import Memory
from devtensor.tensor import Tensor

__all__ = [
    "finfo",
    "iinfo",
    "is_complex",
    "is_floating_point",
    "is_inference",
    "is_nonzero",
    "is_storage",
    "is_tensor",
    "numel",
    "result_type",
    "scalar_tensor",
    "typename",
]


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, Memory)


def is_floating_point(input: Any) -> bool:
    """Whether the type of `input` is a real floating one."""
    return bool(input.dtype.kind == "float")


def is_complex(input: Any) -> bool:
    """Whether the type of `input` is complex."""
    return bool(input.dtype.kind == "complex")


def is_nonzero(input: Any) -> bool:
    """Whether the one element of `input` is not zero."""
    return bool(input)


def is_inference(input: Any) -> bool:
    """Whether `input` was made in inference mode."""
    return bool(input.is_inference())


def numel(input: Any) -> int:
    """The number of elements."""
    return int(input.numel())


def typename(obj: Any) -> str:
    """The name of an object's type; a tensor's as PyTorch spells it."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = type(obj)
    built_in = kind.__module__ == "builtins"
    return kind.__qualname__ if built_in else f"{kind.__module__}.{kind.__qualname__}"


def result_type(*operands: Any, **named: Any) -> dtypes.dtype:
    """The type of the result of arithmetic with two tensors or numbers.

    They may be called `tensor` and `other`, `scalar` and `tensor`, or `scalar1` and `scalar2`.

    Raises
    ------
    TypeError
        If there are more or fewer, or they are called otherwise.
    """
    for names in (("tensor", "other"), ("scalar", "tensor"), ("scalar1", "scalar2")):
        rest = names[len(operands) :]
        given = [*operands, *[named[name] for name in rest if name in named]]
        if named.keys() != {*rest} or len(given) != 2 or not all(map(fits, names, given)):
            continue
        found = common_dtype(
            [x if isinstance(x, (Tensor, *dtypes.NUMBERS)) else x.item() for x in given]
        )
        assert found is not None
        return found
    kinds = [type(x).__name__ for x in operands]
    raise TypeError(
        "result_type() received an invalid combination of arguments: got "
        f"{kinds + [f'{name}={type(x).__name__}' for name, x in named.items()]}; give two tensors "
        "or numbers"
    )


def fits(name: str, value: Any) -> bool:
    """Whether a value may be the operand of that name."""
    if name == "tensor":
        return isinstance(value, Tensor)
    return number(value) or (name == "other" and isinstance(value, Tensor))


def scalar_tensor(s: Any, *, dtype: Any = None, **place: Any) -> Any:
    """A 0-d tensor of a number, of the default dtype if none is given."""
    from devtensor.host import tensor

    place.pop("layout", None)
    return tensor(s, dtype=dtype or dtypes.get_default_dtype(), **place)
