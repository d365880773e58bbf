"""Making one batch of many samples."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from functools import cache
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

Collate = Callable[..., Any]
TEXT_OR_OBJECTS = "SUOV"
np_str_obj_array_pattern = re.compile(r"[SaUO]")  # by PyTorch's name: libraries search with it


@cache
def numpy_kind(kind: Any) -> str:
    """``"array"`` or ``"scalar"`` for NumPy's classes that tensors can be made of, else ``""``."""
    names = {base.__name__ for base in kind.__mro__ if base.__module__.partition(".")[0] == "numpy"}
    if "ndarray" in names:
        return "array"
    return "scalar" if names & {"number", "bool", "bool_"} else ""


def default_convert(data: Any) -> Any:
    """Make tensors of the NumPy arrays in a sample, and leave everything else.

    Parameters
    ----------
    data : object
        A sample; arrays are also found within dictionaries, tuples and sequences.
    """
    if isinstance(data, Tensor):
        return data
    kind: Any = type(data)
    if numpy_kind(kind):
        if numpy_kind(kind) == "array" and data.dtype.kind in TEXT_OR_OBJECTS:
            return data
        return dt.as_tensor(data)
    if isinstance(data, Mapping):
        return like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        items = [default_convert(item) for item in data]
        return kind(*items) if hasattr(data, "_fields") else items
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return like_sequence(data, [default_convert(item) for item in data])
    return data


def default_collate(batch: Any) -> Any:
    """Make one batch of a list of samples: tensors with a first dimension more.

    Tensors are stacked; NumPy arrays and numbers become tensors. Dictionaries, tuples and lists
    keep their form around the batches of their items (tuples become lists, named ones stay).
    Texts and bytes remain a list.

    Parameters
    ----------
    batch : list
        Samples, all of the same form.

    Raises
    ------
    TypeError
        If the samples are something else.
    RuntimeError
        If their sizes differ.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Any, *, collate_fn_map: dict[Any, Collate] | None = None) -> Any:
    """Make one batch with functions of your own.

    Parameters
    ----------
    batch : list
    collate_fn_map : dict, optional
        From classes (or tuples of them) to functions ``f(batch, collate_fn_map=...)``.
    """
    first = batch[0]
    kind: Any = type(first)
    if collate_fn_map is not None:
        known = collate_fn_map.get(kind)
        if known is not None:
            return known(batch, collate_fn_map=collate_fn_map)
        numpy = numpy_kind(kind) if collate_fn_map is default_collate_fn_map else ""
        if numpy:
            return (collate_numpy_array_fn if numpy == "array" else collate_numpy_scalar_fn)(batch)
        for classes, function in collate_fn_map.items():
            if isinstance(first, classes):
                return function(batch, collate_fn_map=collate_fn_map)

    def together(items: Any) -> Any:
        return collate(items, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return like_mapping(
            first, {key: together([sample[key] for sample in batch]) for key in first}
        )
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(together(items) for items in zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        items = [together(items) for items in zip(*batch, strict=True)]
        return items if isinstance(first, tuple) else like_sequence(first, items)
    raise refusal(kind)


def refusal(kind: Any) -> TypeError:
    """The error for samples of which no batch can be made."""
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {kind}"
    )


def like_mapping(model: Any, items: dict[Any, Any]) -> Any:
    """`items` in a mapping of the kind of `model`, if it can be made."""
    try:
        if isinstance(model, MutableMapping):
            twin = copy.copy(model)  # which may have more to it than its items
            twin.update(items)
            return twin
        return type(model)(items)
    except TypeError:
        return items


def like_sequence(model: Any, items: list[Any]) -> Any:
    """`items` in a sequence of the kind of `model`, if it can be made."""
    if type(model) is list:
        return items
    try:
        if isinstance(model, MutableSequence):
            twin = copy.copy(model)
            for i, item in enumerate(items):
                twin[i] = item
            return twin
        return type(model)(items)
    except TypeError:
        return items


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Stack tensors."""
    return dt.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Stack NumPy arrays."""
    if batch[0].dtype.kind in TEXT_OR_OBJECTS:
        raise refusal(batch[0].dtype)
    return default_collate([dt.as_tensor(item) for item in batch])


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Put NumPy's numbers into a tensor of their type."""
    return dt.stack([dt.as_tensor(item) for item in batch], 0)


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Put floats into a tensor, in double precision."""
    return dt.tensor(list(batch), dtype=dt.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Put ints or bools into a tensor."""
    return dt.tensor(list(batch))


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Leave texts as they are."""
    return batch


default_collate_fn_map: dict[Any, Collate] = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
"""What `default_collate` does with samples of each class; others may be added."""
