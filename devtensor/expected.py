"""What kind of value each parameter takes, and the refusal of all others.

Calls on the common path are not looked at: what is wrong there fails, and then it is found here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import devtensor.dtype as dtypes
from devtensor.dtype import NUMBERS
from devtensor.op import EMPTY, Op
from devtensor.tensor import Tensor

WHOLE = (
    "chunks", "decimals", "diagonal", "dim0", "dim1", "dim2", "dimension", "index", "k",
    "minlength", "n", "num_classes", "offset", "step",
)  # fmt: skip
"""Parameters that are one integer."""
SEVERAL = ("dim", "dims", "pad", "repeats", "shape", "shifts", "size", "split_sizes")
"""Parameters that are an integer or several."""
TENSORS = (
    "append", "aweights", "bias", "boundaries", "condition", "elements", "fweights", "index",
    "indices", "mask", "other", "pos_weight", "prepend", "sorted_sequence", "sorter", "source",
    "src", "test_elements", "weight", "x", "y",
)  # fmt: skip
"""Parameters of composites that are tensors, if they are given and the call fails."""
FREE = ("ord",)
"""Parameters that may be of several kinds, and are looked at where they are used."""


def whole(value: Any) -> bool:
    """Whether a value counts: an integer, of Python or of an array library, or a tensor of one."""
    if value.__class__ is int:
        return True
    if isinstance(value, bool):
        return False
    if isinstance(value, Tensor):
        return value.dtype.kind == "int" and not value.ndim
    return isinstance(value, int) or (hasattr(value, "__index__") and not hasattr(value, "__len__"))


def number(value: Any) -> bool:
    """Whether a value is one number."""
    if isinstance(value, NUMBERS):
        return True
    return (isinstance(value, Tensor) or hasattr(value, "dtype")) and not value.shape


def wholes(value: Any) -> bool:
    """Whether a value is an integer or several."""
    if isinstance(value, (tuple, list)):
        return all(map(whole, value))
    return whole(value)


def tensor(value: Any) -> bool:
    """Whether a value is a tensor or can be made one."""
    return isinstance(value, Tensor) or hasattr(value, "__array__")


def tensors_of(value: Any) -> bool:
    """Whether a value is several tensors, which may stand in a sequence of their own."""
    if not isinstance(value, (tuple, list)):
        return False
    return all(tensor(x) or tensors_of(x) for x in value)


KINDS: dict[str, Callable[[Any], bool]] = {
    "Tensor": tensor,
    "bool": lambda value: isinstance(value, bool) or type(value).__name__ == "bool",
    "dtype": lambda value: isinstance(value, dtypes.dtype),
    "int": whole,
    "Number": number,
    "str": lambda value: isinstance(value, str),
    "tuple of ints": wholes,
    "tuple of Tensors": tensors_of,
}


def kind_of(name: str, default: Any = EMPTY) -> str | None:
    """The kind of value that a parameter takes, by its name and default; None if any."""
    if name in FREE:
        return None
    if "dtype" in name:
        return "dtype"
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, str):
        return "str"
    if name in SEVERAL:
        return "tuple of ints"
    if name in WHOLE:
        return "int"
    return "Number" if isinstance(default, (int, float)) else None


@lru_cache(None)
def parameters(op: Op) -> dict[str, tuple[str, Callable[[Any], bool]]]:
    """For each parameter whose kind is known, its name and whether a value is of it."""
    if not op.public and op.operator is None:
        return {}  # only this package calls it
    found = {name: kind_of(name, default) for name, default in op.params.items()}
    return {name: (kind, KINDS[kind]) for name, kind in found.items() if kind is not None}


def unfit(function: str, name: str, place: int | None, kind: str, value: Any) -> TypeError:
    """The error that says as PyTorch does that an argument is of the wrong kind."""
    where = "" if place is None else f" (position {place})"
    return TypeError(
        f"{function}(): argument '{name}'{where} must be {kind}, not {type(value).__name__}"
    )


def check_parameters(op: Op, params: dict[str, Any]) -> None:
    """Refuse parameters of the wrong kind; Python's types become dtypes.

    Raises
    ------
    TypeError
    """
    known = parameters(op)
    for name, value in params.items() if known else ():
        if value is op.params[name] or name not in known:
            continue
        kind, fits = known[name]
        if kind == "dtype":
            params[name] = value = dtypes.PYTHON.get(value, value)
        if not fits(value):
            place = None
            if name in op.positional:
                place = len(op.inputs) + op.positional.index(name) + 1
            raise unfit(op.shown, name, place, kind, value)
        if kind == "bool":
            params[name] = bool(value)  # NumPy's are none of Python's.


def check_inputs(op: Op, inputs: Sequence[Any]) -> None:
    """Refuse inputs that are missing, and numbers where none may be or that do not fit 64 bits.

    Raises
    ------
    TypeError, OverflowError
    """
    if not op.public and op.operator is None:
        return  # only this package calls it
    for place, value in enumerate(inputs):
        name = op.inputs[min(place, len(op.inputs) - 1)]
        if value is None:
            if name not in op.defaults:
                raise unfit(op.shown, name, place + 1, "Tensor", value)
        elif not isinstance(value, NUMBERS):
            continue
        elif op.numbers is not None and name not in op.numbers:
            raise unfit(op.shown, name, place + 1, "Tensor", value)
        elif value.__class__ is int and not -(2**63) <= value < 2**64:
            raise OverflowError(
                f"int too big to convert: {op.shown}(): argument '{name}' (position {place + 1}) "
                f"must fit in 64 bits, got {value}"
            )
    if op.numbers and all(isinstance(value, NUMBERS) for value in inputs):
        given = ", ".join(type(value).__name__ for value in inputs)
        raise TypeError(
            f"{op.shown}() received an invalid combination of arguments - got ({given}), but one "
            f"of {', '.join(op.inputs)} must be Tensor"
        )


def wrong(
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    tensors: bool = False,
    sure: bool = False,
) -> TypeError | None:
    """The error that names the argument of the wrong kind in a call of a composite, or None.

    Parameters
    ----------
    function : callable
    args, kwargs
        The call.
    tensors : bool, optional
        Whether the call has failed as it does where something is no tensor.
    sure : bool, optional
        Whether it may have failed for something else: then only annotations count.
    """
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    for place, parameter in enumerate(signature.parameters.values()):
        name, default = parameter.name, parameter.default
        if name not in given or parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = given[name]
        kind = annotated(parameter)
        if kind is None and not sure:
            kind = "Tensor" if tensor_by_name(parameter) else kind_of(name, default)
        if tensors and name in TENSORS:
            kind = "Tensor"
        elif tensors and name == "tensors":
            kind = "tuple of Tensors"
        elif parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if kind is None or value is default or KINDS[kind](value):
            continue
        position = None if parameter.kind is parameter.KEYWORD_ONLY else place + 1
        return unfit(function.__name__, name, position, kind, value)
    return None


def annotated(parameter: inspect.Parameter) -> str | None:
    """The kind that an annotation says."""
    said = parameter.annotation
    if said in ("Tensor", "int", "bool", "str"):
        return str(said)
    return "Number" if said == "float" else None


def tensor_by_name(parameter: inspect.Parameter) -> bool:
    """Whether a parameter must be a tensor for what it is called."""
    called = parameter.name in ("input", "self", "tensor", "target")
    return called and parameter.default is EMPTY and parameter.annotation in ("Any", EMPTY)
