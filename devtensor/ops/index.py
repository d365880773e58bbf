"""Reading and writing by index: subscripts, gather and scatter, masks, searching."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations as _choose
from itertools import combinations_with_replacement as _choose_again
from math import prod
from numbers import Number
from operator import index as as_int
from typing import Any

from devtensor.autograd.overwrite import write_masked
from devtensor.coo import gradient
from devtensor.dtype import bool_, int32, int64, of, uint8, uint64
from devtensor.example import bools, distinct, fixed, ints, normal
from devtensor.op import composite, derivative, in_place, op
from devtensor.operands import known
from devtensor.ops.arguments import anywhere, axis, batched
from devtensor.ops.create import arange, converted, tensor_of
from devtensor.ops.elementwise import where
from devtensor.ops.results import placed, with_out
from devtensor.ops.shape import (
    ahead,
    as_strided,
    broadcast_tensors,
    cat,
    copied,
    expand,
    expanded,
    item_select,
    ravel,
    reshape,
    slice_view,
    spread,
    together,
    unsqueeze,
)
from devtensor.ops.sort import unique
from devtensor.options import refuse_overlap
from devtensor.tensor import Tensor

# ---- what a key means

_ALL = slice(None)
_INDEX_TYPES = "tensors used as indices must be long, int, byte or bool tensors"


def _checked_slice(part: slice) -> slice:
    start, stop, step = part.start, part.stop, part.step
    if step is not None:
        step = as_int(step)
        if step == 0:
            raise ValueError("slice step cannot be zero")
        if step < 0:
            raise ValueError(
                f"step must be greater than zero, got step={step}; use flip() to reverse the order"
            )
    try:
        return slice(
            None if start is None else as_int(start), None if stop is None else as_int(stop), step
        )
    except TypeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


def _as_index(input: Any, part: Any) -> Any:
    """A list, range or host array in a key as a tensor of ints or bools."""
    made = tensor_of(part, input.device)
    return made.to(int64) if not made.numel() and made.dtype.kind == "float" else made


def _stands_for_tuple(key: Any) -> bool:
    """Whether a list is read as a tuple: PyTorch does so if it holds more than numbers."""
    return len(key) < 32 and any(
        part is None or part is Ellipsis or isinstance(part, (slice, list, tuple, range, Tensor))
        for part in key
    )


def parse(input: Any, key: Any) -> tuple[tuple[Any, ...] | None, list[Any], list[int]]:
    """Read a subscript: the part that a view can do, and the index tensors left over.

    Parameters
    ----------
    input : Tensor
    key : object
        What stands between the brackets.

    Returns
    -------
    basic : tuple or None
        A key of ints, slices, None and an ellipsis; None if it would change nothing.
    arrays : list of Tensor
        Ints or bools, each with at least one dimension.
    places : list of int
        Which entry of a key each of them is, after the basic part is done; the others are ``:``.

    Raises
    ------
    IndexError
        If the key does not suit the shape.
    """
    if isinstance(key, list) and _stands_for_tuple(key):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated; use "
            "x[tuple(seq)] instead of "
            "x[seq], or x[tensor(seq)] for one index.",
            UserWarning,
            stacklevel=4,
        )
        key = tuple(key)
    shape = input.shape
    ndim = len(shape)
    parts: list[Any] = []
    named = 0
    for part in key if isinstance(key, tuple) else (key,):
        kind = part.__class__
        if kind is bool or part is None or part is Ellipsis:
            pass
        elif kind is int:
            named += 1
        elif kind is slice:
            named += 1
            part = _checked_slice(part)
        else:
            if not isinstance(part, Tensor):
                part = _other(input, part)
            if isinstance(part, Tensor):
                if part.dtype is uint8:
                    warnings.warn(
                        "indexing with dtype torch.uint8 is now deprecated, please use a dtype "
                        "torch.bool instead.",
                        UserWarning,
                        stacklevel=4,
                    )
                    part = part.to(bool_)
                if part.dtype is bool_:
                    named += part.ndim
                    part = part if part.ndim else unsqueeze(part, 0), part.ndim
                elif part.dtype not in (int64, int32):
                    raise IndexError(f"{_INDEX_TYPES}, got {part.dtype}")
                else:
                    named += 1
                    if not part.ndim and not hasattr(part._device, "cross"):  # no vmap's
                        part = int(part)
            else:
                named += 1
        parts.append(part)
    if named > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim} (got {named})")

    basic: list[Any] = []
    arrays: list[Any] = []
    places: list[int] = []
    changes = False
    dim = entry = (
        0  # the dimension of `input`, and the entry of a key for what the basic part leaves
    )
    free = ndim - named
    for part in parts:
        kind = part.__class__
        if kind is int:
            if not -shape[dim] <= part < shape[dim]:
                raise IndexError(
                    f"index {part} is out of bounds for dimension {dim} with size {shape[dim]}"
                )
            basic.append(part)
            changes, dim = True, dim + 1
            continue
        if part is Ellipsis:
            basic += [_ALL] * free
            dim, entry, free = dim + free, entry + free, 0
            continue
        if kind is slice:
            basic.append(part)
            changes, dim = changes or part != _ALL, dim + 1
        elif part is None:
            basic.append(None)
            changes = True
        elif kind is bool:
            basic.append(None)
            changes = True
            arrays.append(tensor_of([part], input.device))
            places.append(entry)
        elif kind is tuple:
            mask, covered = part
            if covered:
                if tuple(mask.shape) != tuple(shape[dim : dim + covered]):
                    raise IndexError(
                        f"The shape of the mask {list(mask.shape)} at index "
                        f"{_mismatch(mask.shape, shape[dim:])} does not "
                        f"match the shape of the indexed tensor {list(shape)} at index {dim}"
                    )
                basic += [_ALL] * covered
                dim += covered
            else:
                basic.append(None)
                changes = True
            arrays.append(mask)
            places.append(entry)
        else:
            basic.append(_ALL)
            arrays.append(part)
            places.append(entry)
            dim += 1
        entry += 1
    arrays = [x if x.device is input.device else _beside(input, x) for x in arrays]
    return (*basic, ...) if changes else None, arrays, places


def _beside(input: Any, index: Any) -> Any:
    """An index from elsewhere on the device of `input`; one of another device is refused."""
    place = index.device.backend
    if not (place.host or place.within or input.device.backend.within):
        raise RuntimeError(
            "indices should be either on cpu or on the same device as the indexed tensor "
            f"({input.device}), but got one on {index.device}; move it with .to()"
        )
    return index.to(input.device)


def _mismatch(one: Sequence[int], two: Sequence[int]) -> int:
    return next((d for d, (m, n) in enumerate(zip(one, two, strict=False)) if m != n), 0)


def _other(input: Any, part: Any) -> Any:
    """An entry of a key that is no tensor: an int of another type, or a sequence."""
    if isinstance(part, (list, tuple, range)):
        return _as_index(input, part)
    if hasattr(part, "__array__") and getattr(part, "ndim", False):
        return _as_index(input, part)
    try:
        return as_int(part)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
            "valid indices "
            f"(got {type(part).__name__})"
        ) from None


def _plain_key(key: tuple[Any, ...], shape: Sequence[int]) -> tuple[Any, ...] | None:
    """What `parse` makes of a key of ints and slices alone; None if it may be anything else."""
    if len(key) > len(shape):
        return None
    changes = False
    for part, length in zip(key, shape, strict=False):
        kind = part.__class__
        if kind is int:
            if not -length <= part < length:
                return None
            changes = True
        elif kind is slice:
            for end in (part.start, part.stop):
                if end is not None:
                    if end.__class__ is not int:
                        return None
                    changes = True
            step = part.step
            if step is not None:
                if step.__class__ is not int or step < 1:
                    return None
                changes = True
        else:
            return None
    return (*key, ...) if changes else None


def _lists(input: Any, key: tuple[Any, ...]) -> bool:
    """Whether a key holds nothing but index tensors that nothing has to be done to."""
    for part in key:
        if part.__class__ is not Tensor or part._device is not input._device or not part.ndim:
            return False
        dtype = part.dtype
        if dtype is not int64 and dtype is not int32:
            return False
    return 0 < len(key) <= input.ndim


def _selects(input: Any, key: Any) -> bool:
    """Whether a key that is a tensor is an index or a mask that nothing has to be done to."""
    if key._device is not input._device:
        return False
    rank, ndim, dtype = key.ndim, input.ndim, key.dtype
    if dtype is bool_:
        return 0 < rank <= ndim and key._array.shape == input._array.shape[:rank]
    return rank > 0 and ndim > 0 and (dtype is int64 or dtype is int32)


def getitem(input: Any, key: Any) -> Any:
    """``input[key]``: a view, or a copy if there are index tensors, lists or masks.

    Raises
    ------
    IndexError
        If the key does not suit the shape.
    """
    kind = key.__class__
    if kind is int:
        return item_select(input, key)
    if kind is tuple:
        plain = _plain_key(key, input._array.shape)
        if plain is not None:
            return slice_view(input, plain)
        if _lists(input, key):
            return index(input, key, tuple(range(len(key))))
    elif kind is slice:
        if input.ndim:
            return slice_view(input, (_checked_slice(key), ...))
    elif kind is Tensor and _selects(input, key):
        return index(input, (key,), (0,))
    basic, arrays, places = parse(input, key)
    if basic is not None:
        input = slice_view(input, basic)
    elif not arrays:
        return slice_view(input, (...,))
    return index(input, arrays, tuple(places)) if arrays else input


def setitem(input: Any, key: Any, value: Any) -> None:
    """``input[key] = value``, in place.

    Parameters
    ----------
    input : Tensor
    key : object
        As in ``input[key]``.
    value : Tensor or number
        Broadcast to what the key selects.

    Raises
    ------
    IndexError
        If the key does not suit the shape.
    RuntimeError
        If the value does not suit the place.
    TypeError
        If it is neither a tensor nor a number.
    """
    given = isinstance(value, Tensor)
    if not given and value.__class__ is not float and not isinstance(value, Number):
        raise TypeError(
            f"can't assign a {type(value).__name__} to a torch.{input.dtype.legacy}Tensor; make "
            "it a tensor first"
        )
    arrays: list[Any] = []
    places: list[int] = []
    if key is True:  # all, in one more dimension
        key = None
    elif key is False:  # nothing
        if not given:
            converted(value, input.dtype)
        return
    kind = key.__class__
    basic = _plain_key(key, input._array.shape) if kind is tuple else None
    if kind is int:
        target = item_select(input, key)
    elif basic is not None:
        target = slice_view(input, basic)
    elif kind is Tensor and _selects(input, key):
        target, arrays, places = input, [key], [0]
    elif kind is tuple and _lists(input, key):
        target, arrays, places = input, list(key), list(range(len(key)))
    else:
        basic, arrays, places = parse(input, key)
        target = input if basic is None else slice_view(input, basic)
    if not arrays:
        if given:
            if value.ndim:
                value = _stripped(value, target.ndim)
                expanded(value.shape, target.shape)
            target.copy_(value)
        else:
            target.fill_(value)
        return
    if len(arrays) == 1 and arrays[0].dtype is bool_ and (not given or not value.ndim):
        mask, rest = arrays[0], target.ndim - places[0] - arrays[0].ndim
        if not rest and (value.__class__ is float or value.__class__ is int):
            made = known(value, target._array.dtype, target._device)
            if made is not None and write_masked(target, mask, made, "masked_fill_"):
                return
        target.masked_fill_(reshape(mask, (*mask.shape, *(1,) * rest)) if rest else mask, value)
        return
    if not given:
        value = tensor_of(value, target.device, target.dtype)
    elif value.device is not target.device and not value.ndim:
        value = value.to(target.device)
    _same_dtype(target, value)
    in_place(put_at)(target, value, arrays, places=tuple(places))


def _stripped(value: Any, ndim: int) -> Any:
    """`value` without leading dimensions of length 1 that its place does not have."""
    extra = value.ndim - ndim
    return (
        reshape(value, value.shape[extra:])
        if extra > 0 and value.shape[:extra] == (1,) * extra
        else value
    )


# ---- reading and writing


def _key(indices: Sequence[Any], places: Sequence[int]) -> tuple[Any, ...]:
    key: list[Any] = [_ALL] * (places[-1] + 1)
    for place, part in zip(places, indices, strict=True):
        key[place] = part
    return (*key, ...)


def _refused(
    xp: Any, shape: Sequence[int], indices: Sequence[Any], places: Sequence[int], reason: Exception
) -> Exception:
    """The error for index arrays that the library refused."""
    dim = entry = 0
    shapes = []
    for part, place in zip(indices, places, strict=True):
        dim, entry = dim + place - entry, place + 1
        if xp.isdtype(part.dtype, "bool"):
            dim += part.ndim
            shapes.append([int(xp.sum(xp.astype(part, xp.int64)))])
            continue
        shapes.append(list(part.shape))
        if 0 not in part.shape:
            for extreme in (int(xp.max(part)), int(xp.min(part))):
                if not -shape[dim] <= extreme < shape[dim]:
                    return IndexError(
                        f"index {extreme} is out of bounds for dimension {dim} with size "
                        f"{shape[dim]}"
                    )
        dim += 1
    listed = ", ".join(map(str, shapes))
    try:
        together([tuple(s) for s in shapes])
    except RuntimeError:
        return IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}"
        )
    return IndexError(f"{reason} (indices of shapes {listed} for a tensor of shape {list(shape)})")


@op(
    promotes=None,
    public=False,
    node="IndexBackward0",
    examples=[
        ((4, 3), [ints(2, 2, high=4)], (0,)),
        ((4, 3), [ints(5, high=3)], (1,)),
        ((4, 3), [bools(4, 3)], (0,)),
        ((2, 4, 3), [ints(2, high=2), ints(2, high=3)], (0, 2)),
    ],
)
def index(xp: Any, input: Any, /, *indices: Any, places: Any) -> Any:
    """Elements at index arrays; `places` are their entries in a key otherwise made of ``:``."""
    try:
        return xp.get(input, _key(indices, places))
    except IndexError as reason:
        raise _refused(xp, input.shape, indices, places, reason) from None


derivative(
    index,
    input=lambda xp, g, input_shape, indices, places: xp.index_spread(
        g, indices, input_shape, places
    ),
)


@op(
    promotes=None,
    public=False,
    examples=[
        ((2, 2, 3), [ints(2, 2, high=4)], (4, 3), (0,)),
        ((4, 5), [ints(5, high=3)], (4, 3), (1,)),
    ],
)
def index_spread(xp: Any, input: Any, /, *indices: Any, size: Any, places: Any) -> Any:
    """Zeros of shape `size` to which `input` is added at index arrays."""
    return xp.put(
        xp.zeros(size, dtype=input.dtype), _key(indices, places), input, _may_repeat(xp, indices)
    )


derivative(index_spread, input=lambda xp, g, indices, places: xp.index(g, indices, places))


def _may_repeat(xp: Any, indices: Sequence[Any]) -> bool:
    return len(indices) > 1 or not xp.isdtype(indices[0].dtype, "bool")


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="IndexPutBackward0",
    examples=[
        ((4, 3), (2, 3), [fixed([2, 0])], (0,)),
        ((4, 3), (3,), [fixed([1, 1])], (0,), True),
        ((4, 3), (), [fixed([2, 0])], (1,)),
    ],
)
def put_at(
    xp: Any, input: Any, values: Any, /, *indices: Any, places: Any, accumulate: bool = False
) -> Any:
    """A copy of `input` with `values` at index arrays, or added there."""
    key = _key(indices, places)
    try:
        return xp.put(input, key, values, accumulate)
    except IndexError as reason:
        raise _refused(xp, input.shape, indices, places, reason) from None
    except ValueError:
        try:
            size = list(xp.get(input, key).shape)
        except IndexError as reason:
            raise _refused(xp, input.shape, indices, places, reason) from None
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            "indexing result of shape "
            f"{size}"
        ) from None


derivative(
    put_at,
    input=lambda xp, g, values_shape, indices, places, accumulate: (
        g
        if accumulate
        else xp.put_at(g, xp.zeros((), dtype=g.dtype, device=g.device), indices, places)
    ),
    values=lambda xp, g, values_shape, indices, places: spread(
        xp, xp.index(g, indices, places), values_shape
    ),
)


@composite(
    method=True, examples=[((4, 3), (fixed([2, 0]),), (3,)), ((4, 3), (fixed([1, 1]),), (3,), True)]
)
def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of `input` in which ``[indices]`` is `values`, or has `values` added.

    Parameters
    ----------
    input : Tensor
    indices : sequence of Tensor
        Ints or bools, which broadcast together.
    values : Tensor
        Of the dtype of `input`; broadcast to the selection.
    accumulate : bool
        Whether to add; places named twice then get both.
    """
    target, arrays, places = _put_arguments(input, indices, values)
    return put_at(target, values, arrays, places=places, accumulate=accumulate)


@composite(
    method=True,
    examples=[
        ((3, 4), (fixed([2, 0]),), (4,)),
        ((3, 4), (fixed([1, 1]), fixed([0, 0])), (2,), True),
    ],
)
def index_put_(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """Set ``input[indices]`` to `values`, or add them there."""
    target, arrays, places = _put_arguments(input, indices, values)
    in_place(put_at)(target, values, arrays, places=places, accumulate=accumulate)
    return input


def _put_arguments(
    input: Any, indices: Sequence[Any], values: Any
) -> tuple[Any, list[Any], tuple[int, ...]]:
    _same_dtype(input, values)
    basic, arrays, places = parse(input, tuple(map(_part, indices)))
    return input if basic is None else slice_view(input, basic), arrays, tuple(places)


def _part(index: Any) -> Any:
    """A part of a key: all where there is none, and a number as a list of one."""
    if index is None:
        return _ALL
    return index if index.ndim or index.dtype.kind == "bool" else reshape(index, (1,))


def _same_dtype(input: Any, values: Any) -> None:
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{input.dtype.legacy} for the destination "
            f"and {values.dtype.legacy} for the source. Convert the source with .to({input.dtype})."
        )


@op(
    promotes=None,
    public=False,
    node="TakeBackward0",
    examples=[((2, 3), ints(2, 2, high=6)), ((), fixed([0, -1]))],
)
def take_at(xp: Any, input: Any, index: Any, /) -> Any:
    """Elements of the flattened `input`, in the shape of `index`."""
    return xp.index(xp.reshape(input, (-1,)), [index], (0,))


derivative(
    take_at,
    input=lambda xp, g, input_shape, index: xp.reshape(
        xp.index_spread(g, [index], (prod(input_shape),), (0,)), input_shape
    ),
)


@composite(method=True, examples=[((2, 3), ints(2, 2, high=6))])
@with_out(apart=True)
def take(input: Any, index: Any) -> Any:
    """Elements of the flattened `input`, in the shape of `index`.

    Raises
    ------
    IndexError
        If there is no such element.
    """
    _long(index, "take")
    try:
        return take_at(input, index)
    except IndexError:
        raise _no_element(index, input.numel()) from None


def _no_element(index: Any, count: int) -> IndexError:
    wrong = next(i for i in ravel(index).tolist() if not -count <= i < count)
    return IndexError(
        f"out of range: tried to access index {wrong} on a tensor of {count} elements."
    )


@composite(
    method=True,
    examples=[
        ((2, 3), fixed([0, -1]), normal(2)),
        ((2, 3), fixed([0, 0]), normal(2), True),
    ],
)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of `input` whose flattened elements at `index` are `source`, or have it added."""
    source = _put_source(input, index, source)
    try:
        flat = put_at(reshape(input, (-1,)), source, [ravel(index)], (0,), accumulate)
    except IndexError:
        raise _no_element(index, input.numel()) from None
    return reshape(flat, input.shape)


@composite(method=True, examples=[((2, 3), fixed([0, -1]), normal(2))])
def put_(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Set the flattened elements of `input` at `index` to `source`, or add it there."""
    return input.copy_(put(input, index, source, accumulate))


def _long(index: Any, name: str, error: type[Exception] = RuntimeError) -> None:
    """Refuse indices that are not int64."""
    if index.dtype is not int64:
        raise error(
            f"{name}(): Expected a long tensor for index (Expected dtype int64 for index), but "
            f"got {index.dtype.legacy}; convert with .long()"
        )


def _put_source(input: Any, index: Any, source: Any) -> Any:
    _long(index, "put_")
    if source.numel() != index.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{input.dtype.legacy} and "
            f"source.dtype = {source.dtype.legacy}"
        )
    return ravel(source)


# ---- along one dimension: gather


def _inside(
    xp: Any, index: Any, size: int, dim: int, error: type[Exception] = RuntimeError, text: str = ""
) -> None:
    """Refuse indices outside ``0 .. size - 1``; a library would wrap negative ones silently."""
    if 0 not in index.shape and not getattr(xp, "looks", False):  # its functions look otherwise
        for extreme in (int(xp.max(index)), int(xp.min(index))):
            if not 0 <= extreme < size:
                raise error(
                    text or f"index {extreme} is out of bounds for dimension {dim} with size {size}"
                )


def _cut(x: Any, shape: Sequence[int], dim: int | None = None) -> Any:
    """The first ``shape[d]`` places of each dimension but `dim`."""
    if tuple(x.shape) == tuple(shape):
        return x
    return x[(*[_ALL if d == dim else slice(0, n) for d, n in enumerate(shape)], ...)]


def _mesh(xp: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """The key of the places ``[i, index[i, j], ...]``."""
    ndim = index.ndim
    return tuple(
        [
            index
            if d == dim
            else xp.reshape(xp.arange(n, dtype=xp.int64), (1,) * d + (n,) + (1,) * (ndim - d - 1))
            for d, n in enumerate(index.shape)
        ]
    )


@op(
    ordered=True,
    promotes=None,
    public=False,
    node="GatherBackward0",
    examples=[
        ((3, 4), ints(3, 2, high=4), 1),
        ((3, 4), ints(2, 3, high=3), 0),
        ((), fixed([0, 0]), 0),
    ],
)
def gather_at(xp: Any, input: Any, index: Any, /, dim: int) -> Any:
    """Elements along `dim` at `index`, whose other coordinates are those of the result."""
    _inside(xp, index, input.shape[dim] if input.ndim else 1, dim)
    if not input.ndim or index.ndim != input.ndim:  # or nothing is picked
        return xp.reshape(
            xp.take(xp.reshape(input, (-1,)), xp.reshape(index, (-1,)), axis=0), index.shape
        )
    return xp.take_along_axis(_cut(input, index.shape, dim), index, axis=dim)


derivative(
    gather_at,
    input=lambda xp, g, input_shape, index, dim: xp.gather_spread(g, index, input_shape, dim),
)


@op(promotes=None, public=False, node="GatherBackward0", complex_rules=True)
def gather_of(xp: Any, input: Any, index: Any, /, dim: int) -> Any:
    """The same with a gradient that is sparse."""
    return xp.gather_at(input, index, dim)


def gather_of_rule(xp: Any, g: Any, input_shape: Any, index: Any, dim: int) -> Any:
    count, ndim = prod(index.shape), len(input_shape)
    rows = []
    for place in range(ndim):
        if place == dim:
            row = xp.astype(index, xp.int64)
        else:
            lengths = [n if d == place else 1 for d, n in enumerate(index.shape)]
            row = xp.reshape(xp.arange(index.shape[place], dtype=xp.int64), tuple(lengths))
            row = xp.broadcast_to(row, index.shape)
        rows.append(xp.reshape(row, (count,)))
    places = xp.stack(rows) if rows else xp.zeros((0, count), dtype=xp.int64)
    return gradient(xp, places, xp.reshape(g, (count,)), input_shape)


derivative(gather_of, input=gather_of_rule)


@op(promotes=None, public=False, examples=[((3, 2), ints(3, 2, high=4), (3, 4), 1)])
def gather_spread(xp: Any, input: Any, index: Any, /, size: Any, dim: int) -> Any:
    """Zeros of shape `size` to which `input` is added at `index` along `dim`."""
    return _scattered(xp, xp.zeros(size, dtype=input.dtype), index, input, dim, True)


derivative(gather_spread, input=lambda xp, g, index, dim: xp.gather_at(g, index, dim))


def _scattered(xp: Any, input: Any, index: Any, src: Any, dim: int, add: bool) -> Any:
    """A copy of `input` with `src` at `index` along `dim`."""
    if 0 in index.shape:
        return copied(xp, input)
    if not input.ndim or not index.ndim:
        size = input.shape
        flat = xp.reshape(input, (-1,))
        return xp.reshape(
            xp.put(flat, (xp.reshape(index, (-1,)),), xp.reshape(src, (-1,)), add), size
        )
    src = _cut(src, index.shape) if src.ndim else xp.broadcast_to(src, index.shape)
    if all(
        n == m for d, (n, m) in enumerate(zip(input.shape, index.shape, strict=True)) if d != dim
    ):
        return (xp.scatter_add if add else xp.scatter)(input, dim, index, src)
    return xp.put(input, _mesh(xp, index, dim), src, add)


def _padded(xp: Any, g: Any, size: Any) -> Any:
    """`g` with zeros after it, up to `size`."""
    return (
        g
        if tuple(g.shape) == tuple(size)
        else xp.slice_spread(g, size, tuple([slice(0, n) for n in g.shape]))
    )


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="ScatterBackward0",
    examples=[
        ((3, 4), fixed([[0, 2], [1, 0]]), (2, 2), 1),
        ((3, 4), fixed([[2, 0, 1, 1]]), (3, 4), 0),
    ],
)
def scatter_at(xp: Any, input: Any, index: Any, src: Any, /, dim: int) -> Any:
    """A copy of `input` with `src` at `index` along `dim`."""
    _inside(xp, index, input.shape[dim] if input.ndim else 1, dim)
    return _scattered(xp, input, index, src, dim, False)


derivative(
    scatter_at,
    input=lambda xp, g, index, dim: xp.scatter_at(
        g, index, xp.zeros((), dtype=g.dtype, device=g.device), dim
    ),
    src=lambda xp, g, index, src_shape, dim: _padded(xp, xp.gather_at(g, index, dim), src_shape),
)


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="ScatterAddBackward0",
    examples=[((3, 4), ints(2, 2, high=3), (2, 2), 0), ((3, 4), ints(3, 5, high=4), (3, 6), 1)],
)
def scatter_add_at(xp: Any, input: Any, index: Any, src: Any, /, dim: int) -> Any:
    """A copy of `input` to which `src` is added at `index` along `dim`."""
    _inside(xp, index, input.shape[dim] if input.ndim else 1, dim)
    return _scattered(xp, input, index, src, dim, True)


derivative(
    scatter_add_at,
    input=lambda g: g,
    src=lambda xp, g, index, src_shape, dim: _padded(xp, xp.gather_at(g, index, dim), src_shape),
)


def _along(input: Any, dim: int, index: Any, name: str, other: str = "input") -> int:
    """`dim`, after the checks that gather and scatter share."""
    ndim, dtype = input.ndim, index.dtype
    dim = axis(dim, ndim)
    if dtype is not int64 and dtype is not int32 and 0 not in index.shape:
        raise RuntimeError(f"{name}: Expected dtype int32/int64 for index, got {index.dtype}")
    if index.ndim != ndim and max(index.ndim, 1) != max(ndim, 1) and 0 not in index.shape:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as {other} tensor; got "
            f"{list(index.shape)} and "
            f"{list(input.shape)}"
        )
    return dim


@composite(method=True, examples=[((3, 4), 1, ints(3, 2, high=4)), ((3, 4), 0, ints(2, 3, high=3))])
@with_out(apart=True)
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Pick elements along `dim`: ``out[i, j] = input[index[i, j], j]`` for ``dim=0``.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64 or int32
        As many dimensions as `input`, and no larger except along `dim`. The result has its shape.
    sparse_grad : bool
        Let the gradient of `input` be a sparse tensor of the elements that were picked, if it is a
        leaf.

    Raises
    ------
    RuntimeError
        If shapes do not suit, or an index is out of bounds.
    """
    dim = _along(input, dim, index, "gather()")
    if _exceeds(index, input, dim):
        raise RuntimeError(
            f"Size does not match at dimension {_first_larger(index.shape, input.shape, dim)} "
            "expected index "
            f"{list(index.shape)} to be no larger than self {list(input.shape)} apart from "
            f"dimension {dim}"
        )
    sparse = sparse_grad and input.is_leaf and not batched(input, index)
    return (gather_of if sparse else gather_at)(input, index, dim)


def _exceeds(one: Any, two: Any, dim: int = -1) -> bool:
    """Whether a tensor of as many dimensions as another is longer than it in any but `dim`."""
    longer, shorter = one._array.shape, two._array.shape
    if longer == shorter or len(longer) != len(shorter):
        return False
    return any([m > n and d != dim for d, (m, n) in enumerate(zip(longer, shorter, strict=True))])


def _first_larger(one: Sequence[int], two: Sequence[int], dim: int) -> int:
    return next(d for d, (m, n) in enumerate(zip(one, two, strict=True)) if d != dim and m > n)


def _scatter_arguments(input: Any, dim: int, index: Any, src: Any) -> int:
    dim = _along(input, dim, index, "scatter()", "self")
    if isinstance(src, Tensor):
        if src.dtype is not input.dtype:
            raise RuntimeError(
                f"scatter(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and "
                f"{src.dtype}"
            )
        if 0 in index._array.shape:
            return dim
        if src.ndim != index.ndim and max(src.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as src tensor; got "
                f"{list(index.shape)} and "
                f"{list(src.shape)}"
            )
        if _exceeds(index, src):
            raise _too_large(index, input, dim, src)
    if 0 not in index._array.shape and _exceeds(index, input, dim):
        raise _too_large(index, input, dim, src)
    return dim


def _too_large(index: Any, input: Any, dim: int, src: Any) -> RuntimeError:
    tail = (
        f" and to be no larger size than src {list(src.shape)}" if isinstance(src, Tensor) else ""
    )
    return RuntimeError(
        f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart "
        f"from dimension {dim}" + tail
    )


def _scatter_call(
    input: Any, dim: int, index: Any, src: Any, value: Any, reduce: str | None
) -> tuple[Any, tuple[Any, ...]]:
    """The operation behind a call of `scatter`, and its arguments after `input`."""
    if value is not None:
        src = value
    if src is None:
        raise TypeError(
            "scatter() missing 1 required argument: 'src' (a tensor) or 'value' (a number)"
        )
    dim = _scatter_arguments(input, dim, index, src)
    if not isinstance(src, Tensor):
        src = tensor_of(src, input.device, input.dtype)
    if reduce is None:
        return scatter_at, (index, src, dim)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply. Got {reduce!r}.")
    if reduce == "add":
        return scatter_add_at, (index, src, dim)
    return scatter_reduce_at, (
        index,
        expand(src, index.shape) if not src.ndim else src,
        dim,
        "prod",
        True,
    )


@composite(
    method=True,
    examples=[((3, 4), 1, fixed([[0, 2], [1, 0]]), (2, 2)), ((3, 4), 0, fixed([[2, 0]]), 1.5)],
)
@with_out(over=True)
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """A copy of `input` with `src` written along `dim`.

    For ``dim=0``: ``out[index[i, j], j] = src[i, j]``.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64 or int32
    src : Tensor or number
        At least as large as `index`, or one number for all places.
    value : number, optional
        The same as a number for `src`.
    reduce : {"add", "multiply"}, optional
        Combine with what is there instead of replacing it.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not suit, or an index is out of bounds.
    """
    call, rest = _scatter_call(input, dim, index, src, value, reduce)
    return call(input, *rest)


@composite(
    method=True,
    examples=[((3, 4), 0, fixed([[2, 0, 1]]), (1, 3)), ((3, 4), 1, fixed([[2], [0]]), 1.5)],
)
def scatter_(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """Write `src` into `input` along `dim`; see :func:`scatter`."""
    call, rest = _scatter_call(input, dim, index, src, value, reduce)
    return in_place(call)(input, *rest)


@composite(
    method=True,
    examples=[((3, 4), 0, ints(2, 2, high=3), (2, 2)), ((3, 4), 1, ints(3, 5, high=4), (3, 6))],
)
@with_out(over=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of `input` to which `src` is added along `dim`.

    For ``dim=0``: ``out[index[i, j], j] += src[i, j]``.
    """
    return scatter_add_at(
        input, index, src, _scatter_arguments(input, dim, index, _tensor(src, "scatter_add"))
    )


@composite(method=True, examples=[((3, 4), 0, fixed([[2, 0, 2]]), (1, 3))])
def scatter_add_(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Add `src` to `input` along `dim`; see :func:`scatter_add`."""
    dim = _scatter_arguments(input, dim, index, _tensor(src, "scatter_add"))
    return in_place(scatter_add_at)(input, index, src, dim)


def _tensor(src: Any, name: str) -> Any:
    if not isinstance(src, Tensor):
        raise TypeError(
            f"{name}(): argument 'src' (position 3) must be Tensor, not {type(src).__name__}"
        )
    return src


def _combine(xp: Any, reduce: str, one: Any, two: Any) -> Any:
    if reduce == "prod":
        return one * two
    if reduce == "amax":
        return xp.maximum(one, two)
    return xp.minimum(one, two) if reduce == "amin" else one + two


def _counts(xp: Any, like: Any, index: Any, dim: int, include_self: bool) -> Any:
    """How many values meet at each place, at least 1."""
    start = xp.full(like.shape, int(include_self), dtype=like.dtype)
    return xp.maximum(
        _scattered(xp, start, index, xp.ones(index.shape, dtype=like.dtype), dim, True),
        xp.ones_like(like),
    )


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="ScatterReduceBackward0",
    examples=[
        ((3, 4), ints(2, 2, high=3), (2, 2), 0, reduce, own)
        for reduce in ("sum", "prod", "mean")
        for own in (True, False)
    ]
    + [
        (distinct(3, 4), ints(3, 5, high=4), distinct(3, 5), 1, reduce, own)
        for reduce in ("amax", "amin")
        for own in (True, False)
    ],
)
def scatter_reduce_at(
    xp: Any, input: Any, index: Any, src: Any, /, dim: int, reduce: str, include_self: bool
) -> Any:
    """A copy of `input` whose places at `index` along `dim` are combined with `src`."""
    _inside(xp, index, input.shape[dim] if input.ndim else 1, dim)
    if 0 in index.shape:
        return copied(xp, input)
    if not input.ndim or not index.ndim:
        flat = [xp.reshape(x, (-1,)) for x in (input, index, src)]
        return xp.reshape(scatter_reduce_at.kernel(xp, *flat, 0, reduce, include_self), input.shape)
    src = _cut(src, index.shape)
    if reduce in ("sum", "mean"):
        zero = xp.zeros((), dtype=input.dtype)
        total = _scattered(
            xp,
            input if include_self else _scattered(xp, input, index, zero, dim, False),
            index,
            src,
            dim,
            True,
        )
        if reduce == "sum":
            return total
        count = _counts(xp, input, index, dim, include_self)
        return total // count if xp.isdtype(input.dtype, "integral") else total / count
    # in rounds: the first value to meet each place, then the second, and so on
    steps = [prod(input.shape[d + 1 :]) for d in range(input.ndim)]
    where = xp.zeros((1,) * input.ndim, dtype=xp.int64)
    for key, step in zip(_mesh(xp, index, dim), steps, strict=True):
        where = where + xp.astype(key, xp.int64) * step
    where = xp.reshape(xp.broadcast_to(where, index.shape), (-1,))
    order = xp.argsort(where, stable=True)
    where = xp.take(where, order, axis=0)
    values = xp.take(xp.reshape(src, (-1,)), order, axis=0)
    turn = xp.arange(where.shape[0], dtype=xp.int64) - xp.searchsorted(where, where)
    out = xp.reshape(input, (-1,))
    for k in range(int(xp.max(turn)) + 1):
        now = xp.nonzero(turn == k)[0]
        place, value = xp.take(where, now, axis=0), xp.take(values, now, axis=0)
        if k or include_self:
            value = _combine(xp, reduce, xp.take(out, place, axis=0), value)
        out = xp.put(out, (place,), value, False)
    return xp.reshape(out, input.shape)


def _scatter_reduce_rule(
    xp: Any,
    g: Any,
    input: Any,
    index: Any,
    src: Any,
    out: Any,
    dim: int,
    reduce: str,
    include_self: bool,
) -> tuple[Any, None, Any]:
    def at(x: Any) -> Any:
        return xp.gather_at(x, index, dim)

    def only_untouched(x: Any) -> Any:
        return (
            x
            if include_self
            else xp.scatter_at(x, index, xp.zeros((), dtype=x.dtype, device=x.device), dim)
        )

    near = _cut(src, index.shape)
    if reduce == "sum":
        ours, theirs = g, at(g)
    elif reduce == "mean":
        start = xp.ones_like(g) if include_self else xp.zeros_like(g)
        count = xp.scatter_add_at(start, index, xp.ones_like(near), dim)
        share = g / xp.where(count == 0, xp.ones_like(count), count)
        ours, theirs = share, at(share)
    elif reduce == "prod":
        one = xp.ones_like
        own = xp.where(input == 0, one(input), input)
        ours = g * xp.scatter_reduce_at(own, index, src, dim, "prod", include_self) / own
        zero = near == 0
        zeros = at(xp.scatter_add_at(xp.zeros_like(g), index, xp.astype(zero, g.dtype), dim))
        alone = xp.logical_and(zero, zeros == 1)
        others = xp.scatter_reduce_at(
            input, index, xp.where(alone, one(near), near), dim, "prod", include_self
        )
        safe = xp.where(zero, one(near), near)
        theirs = xp.where(alone, at(g * others), at(g * out) / safe)
    else:
        chosen = xp.astype(near == at(out), g.dtype)
        own = only_untouched(xp.astype(input == out, g.dtype))
        count = xp.scatter_add_at(own, index, chosen, dim)
        share = g / xp.where(count == 0, xp.ones_like(count), count)
        return own * share, None, _padded(xp, chosen * at(share), src.shape)
    return only_untouched(ours), None, _padded(xp, theirs, src.shape)


derivative(scatter_reduce_at, together=_scatter_reduce_rule)


def _require_order(name: str, reduce: str, input: Any) -> None:
    """Raise NotImplementedError if complex numbers, which have no order, are to be compared."""
    if reduce in ("amax", "amin") and input.is_complex():
        raise NotImplementedError(
            f"\"{name}_{reduce}\" not implemented for '{input.dtype.legacy}': complex numbers have "
            "no order"
        )


def _reduce_arguments(input: Any, dim: int, index: Any, src: Any, reduce: str) -> int:
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    dim = _scatter_arguments(input, dim, index, _tensor(src, "scatter_reduce"))
    _require_order("scatter_reduce", reduce, input)
    return dim


@composite(
    method=True,
    examples=[
        ((3, 4), 0, ints(2, 2, high=3), (2, 2), "sum"),
        ((3, 4), 0, ints(2, 2, high=3), (2, 2), "mean", {"include_self": False}),
    ],
)
@with_out(over=True)
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of `input` whose places at `index` are reduced with the values of `src` put there.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64 or int32
    src : Tensor
    reduce : {"sum", "prod", "mean", "amax", "amin"}
    include_self : bool
        Whether the elements of `input` take part where values fall.
    """
    dim = _reduce_arguments(input, dim, index, src, reduce)
    return scatter_reduce_at(input, index, src, dim, reduce, include_self)


@composite(method=True, examples=[((3, 4), 0, fixed([[2, 0, 2]]), (1, 3), "amax")])
def scatter_reduce_(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Reduce `src` into `input` along `dim`; see :func:`scatter_reduce`."""
    dim = _reduce_arguments(input, dim, index, src, reduce)
    return in_place(scatter_reduce_at)(input, index, src, dim, reduce, include_self)


def _reduced_parts(
    input: Any, dim: int, index: Any, source: Any, reduce: str
) -> tuple[int, Any, Any]:
    """The arguments of scatter_reduce that reduce whole parts."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    dim = _part_arguments(input, dim, index, source, "index_reduce", RuntimeError)
    _require_order("index_reduce", reduce, input)
    if not input.ndim:
        return dim, reshape(index, ()), reshape(source, ())
    line = (1,) * dim + (-1,) + (1,) * (input.ndim - dim - 1)
    return dim, expand(reshape(index, line), tuple(source.shape)), source


@composite(
    method=True,
    examples=[
        ((3, 4), 0, fixed([2, 0, 2]), normal(3, 4), "prod"),
        ((3, 4), 1, fixed([1, 1]), normal(3, 2), "mean", {"include_self": False}),
    ],
)
@with_out(over=True)
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of `input` whose parts `index` are reduced with those of `source`.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64 or int32
        1-d: which part of `input` meets each part of `source`.
    source : Tensor
    reduce : {"prod", "mean", "amax", "amin"}
    include_self : bool
        Whether the parts of `input` take part where those of `source` fall.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not suit, or `reduce` is another word.
    """
    dim, places, source = _reduced_parts(input, dim, index, source, reduce)
    return scatter_reduce_at(input, places, source, dim, reduce, include_self)


@composite(method=True, examples=[((3, 4), 0, fixed([2, 0, 2]), normal(3, 4), "amax")])
def index_reduce_(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Reduce parts of `source` into the parts `index` of `input`; see :func:`index_reduce`."""
    dim, places, source = _reduced_parts(input, dim, index, source, reduce)
    return in_place(scatter_reduce_at)(input, places, source, dim, reduce, include_self)


@op(promotes=None, public=False, examples=[(fixed([[0, -1], [-3, 2]]), 3)])
def from_start(xp: Any, input: Any, /, size: int) -> Any:
    """Indices of which negative ones count from the end, as numbers from 0 on."""
    return xp.where(input < 0, input + size, input)


@composite(
    method=True,
    examples=[
        ((3, 4), ints(3, 2, high=4), 1),
        ((3, 4), ints(1, 2, high=4), 1),
        ((3, 4), ints(5, high=12)),
    ],
)
@with_out(apart=True)
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Pick elements along `dim` at `indices`, which broadcast with `input` in other dimensions.

    Without `dim` both are flattened.
    """
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = axis(dim, input.ndim)
    if indices.dtype is not int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{indices.dtype.legacy}"
        )
    indices = from_start(indices, input.shape[dim])
    near, there = input._array.shape, indices._array.shape
    if near[:dim] == there[:dim] and near[dim + 1 :] == there[dim + 1 :]:
        return gather_at(input, indices, dim)
    rest = together([(*x.shape[:dim], 1, *x.shape[dim + 1 :]) for x in (input, indices)])
    input, indices = [
        expand(x, (*rest[:dim], x.shape[dim], *rest[dim + 1 :])) for x in (input, indices)
    ]
    return gather_at(input, indices, dim)


# ---- along one dimension: one list


def _vector(index: Any, name: str) -> None:
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{index.dtype.legacy} and "
            f"size: {list(index.shape)}"
        )
    dtype = index.dtype
    if dtype is not int64 and dtype is not int32:
        raise RuntimeError(
            f"{name}(): Expected dtype int32 or int64 for index (int32/int64) but got: "
            f"{index.dtype.legacy}"
        )


@op(
    promotes=None,
    public=False,
    node="IndexSelectBackward0",
    examples=[((3, 4), ints(5, high=3), 0), ((3, 4), ints(2, high=4), 1), ((3, 4), fixed(1), 0)],
)
def index_select_at(xp: Any, input: Any, index: Any, /, dim: int) -> Any:
    """The parts of `input` along `dim` that `index` lists."""
    _inside(
        xp,
        index,
        input.shape[dim] if input.ndim else 1,
        dim,
        IndexError,
        "index out of range in self",
    )
    if not input.ndim:
        return copied(xp, input)
    return xp.take(input, xp.reshape(index, (-1,)), axis=dim)


derivative(
    index_select_at,
    input=lambda xp, g, input_shape, index, dim: xp.index_select_spread(g, index, input_shape, dim),
)


@op(promotes=None, public=False, examples=[((5, 4), ints(5, high=3), (3, 4), 0)])
def index_select_spread(xp: Any, input: Any, index: Any, /, size: Any, dim: int) -> Any:
    """Zeros of shape `size` to which the parts of `input` are added where `index` says."""
    if not size:
        return copied(xp, input)
    return xp.index_add(xp.zeros(size, dtype=input.dtype), dim, xp.reshape(index, (-1,)), input)


derivative(index_select_spread, input=lambda xp, g, index, dim: xp.index_select_at(g, index, dim))


@composite(
    method=True,
    examples=[((3, 4), 0, ints(5, high=3)), ((3, 4), -1, ints(2, high=4)), ((), 0, fixed([0]))],
)
@with_out(apart=True)
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The parts of `input` along `dim` that `index` lists.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64 or int32
        A vector; negative ones do not count from the end.

    Raises
    ------
    IndexError
        If an index is out of range.
    """
    _vector(index, "index_select")
    if not input.ndim and index.numel() != 1:
        raise RuntimeError(
            f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)"
        )
    return index_select_at(input, index, axis(dim, input.ndim))


def times(xp: Any, source: Any, alpha: Any) -> Any:
    """`source` times a number, which wraps in unsigned types, as sums do."""
    if alpha == 1:
        return source
    if xp.isdtype(source.dtype, "unsigned integer") and alpha < 0:
        source, alpha = xp.zeros_like(source) - source, -alpha
    return source * alpha


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="IndexAddBackward0",
    examples=[((3, 4), ints(5, high=3), (5, 4), 0), ((3, 4), ints(2, high=4), (3, 2), 1, 2.0)],
)
def index_add_at(xp: Any, input: Any, index: Any, source: Any, /, dim: int, alpha: Any = 1) -> Any:
    """A copy of `input` to whose parts `index` those of `source` are added."""
    _inside(xp, index, input.shape[dim] if input.ndim else 1, dim)
    source = times(xp, source, alpha)
    if not input.ndim:
        return input + xp.reshape(source, ())
    return xp.index_add(input, dim, xp.reshape(index, (-1,)), source)


derivative(
    index_add_at,
    input=lambda g: g,
    source=lambda xp, g, index, source_shape, dim, alpha: (
        xp.reshape(xp.index_select_at(g, index, dim), source_shape) * alpha
    ),
)


def _part_arguments(
    input: Any, dim: int, index: Any, source: Any, name: str, error: type[Exception]
) -> int:
    """`dim`, after the checks that index_add and index_copy share."""
    ndim = input.ndim
    dim = axis(dim, ndim)
    _vector(index, name)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): self ({input.dtype.legacy}) and source ({source.dtype.legacy}) must have "
            "the same scalar type "
            "(self and source expected to have the same dtype)"
        )
    sizes, shape = source._array.shape, input._array.shape
    length = sizes[dim] if len(sizes) > dim else 1
    if prod(index._array.shape) != length:
        raise error(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim): "
            f"({length}), for dim: {dim}"
        )
    if ndim and (
        len(sizes) != ndim or shape[:dim] != sizes[:dim] or shape[dim + 1 :] != sizes[dim + 1 :]
    ):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            "Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}. Source/destination tensor "
            "must have same slice "
            "shapes."
        )
    return dim


@composite(
    method=True,
    examples=[
        ((3, 4), 0, ints(5, high=3), normal(5, 4)),
        ((3, 4), 1, ints(2, high=4), normal(3, 2), {"alpha": 2.0}),
    ],
)
@with_out(over=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy of `input` to whose parts `index` those of `source`, times `alpha`, are added."""
    return index_add_at(
        input,
        index,
        source,
        _part_arguments(input, dim, index, source, "index_add_", RuntimeError),
        alpha,
    )


@composite(
    method=True,
    examples=[
        ((3, 4), 0, ints(5, high=3), normal(5, 4)),
        ((3, 4), 1, ints(2, high=4), normal(3, 2), {"alpha": 2.0}),
    ],
)
def index_add_(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Add the parts of `source`, times `alpha`, to the parts `index` of `input`."""
    dim = _part_arguments(input, dim, index, source, "index_add_", RuntimeError)
    return in_place(index_add_at)(input, index, source, dim, alpha)


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="IndexCopyBackward0",
    examples=[((3, 4), fixed([2, 0]), (2, 4), 0), ((3, 4), fixed([3, 1]), (3, 2), 1)],
)
def index_copy_at(xp: Any, input: Any, index: Any, source: Any, /, dim: int) -> Any:
    """A copy of `input` whose parts `index` are those of `source`."""
    size = input.shape[dim] if input.ndim else 1
    _inside(xp, index, size, dim, IndexError)
    if not input.ndim:
        return xp.reshape(copied(xp, source), ())
    return xp.put(input, (*ahead(dim), xp.reshape(index, (-1,)), ...), source, False)


derivative(
    index_copy_at,
    input=lambda xp, g, index, source_shape, dim: xp.index_copy_at(
        g, index, xp.zeros(source_shape, dtype=g.dtype, device=g.device), dim
    ),
    source=lambda xp, g, index, source_shape, dim: xp.reshape(
        xp.index_select_at(g, index, dim), source_shape
    ),
)


@composite(
    method=True,
    examples=[
        ((3, 4), 0, fixed([2, 0]), normal(2, 4)),
        ((3, 4), 1, fixed([3, 1]), normal(3, 2)),
    ],
)
@with_out(over=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of `input` whose parts `index` along `dim` are those of `source`."""
    return index_copy_at(input, index, source, _copy_arguments(input, dim, index, source))


@composite(method=True, examples=[((3, 4), 0, fixed([2, 0]), normal(2, 4))])
def index_copy_(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Copy the parts of `source` to the parts `index` of `input`."""
    dim = _copy_arguments(input, dim, index, source)
    return in_place(index_copy_at)(input, index, source, dim)


def _copy_arguments(input: Any, dim: int, index: Any, source: Any) -> int:
    """`dim`, after the checks of index_copy."""
    _long(index, "index_copy_")
    if input.ndim and source.ndim and input.ndim != source.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must "
            f"match. Source dimensionality ({source.ndim}), destination dimensionality "
            f"({input.ndim})"
        )
    return _part_arguments(input, dim, index, source, "index_copy_", IndexError)


def _fill_arguments(
    input: Any, dim: int, index: Any, value: Any
) -> tuple[list[Any], Any, tuple[int, ...]]:
    dim = axis(dim, input.ndim)
    if index.ndim > 1:
        raise RuntimeError(f"Index has to be a vector/scalar, got shape {list(index.shape)}")
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    _long(index, "index_fill_", IndexError)
    if isinstance(value, Tensor) and value.is_complex() and not input.is_complex():
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported: got a "
            f"value of {value.dtype!r} for {input.dtype!r}"
        )
    value = (
        value.to(input.dtype)
        if isinstance(value, Tensor)
        else tensor_of(value, input.device, input.dtype)
    )
    index = reshape(index, (-1,))
    if value.requires_grad:  # a part that is named twice is filled once
        index = unique(where(index < 0, index + (input.shape[dim] if input.ndim else 1), index))
    return [index], value, (dim,)


@composite(method=True, examples=[((3, 4), 0, fixed([2, 0]), 1.5), ((3, 4), 1, fixed([-1]), ())])
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` whose parts `index` along `dim` are filled with `value`."""
    arrays, value, places = _fill_arguments(input, dim, index, value)
    if not input.ndim:
        return reshape(put_at(reshape(input, (1,)), value, arrays, places), ())
    return put_at(input, value, arrays, places)


@composite(method=True, examples=[((3, 4), 0, fixed([2, 0]), 1.5), ((3, 4), 1, fixed([-1]), ())])
def index_fill_(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Fill the parts `index` of `input` along `dim` with `value`."""
    arrays, value, places = _fill_arguments(input, dim, index, value)
    in_place(put_at)(input if input.ndim else unsqueeze(input, 0), value, arrays, places)
    return input


@composite(
    method=True, examples=[((3, 4), 2, 0), ((2, 3), fixed([2, 0]), 0), ((2, 3), 2), (ints(3),)]
)
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Repeat each element in place: ``[a, a, b, b]`` for two times ``[a, b]``.

    Parameters
    ----------
    input : Tensor
        If it is the only argument, it holds the repeats of 0, 1, 2, ...
    repeats : int or Tensor
        How often; one for all, or one for each place along `dim`.
    dim : int, optional
        By default the input is flattened.
    output_size : int, optional
        The length of the result along `dim`, if it is known.

    Raises
    ------
    RuntimeError
        If `repeats` are negative or do not fit, or `output_size` is another length.
    """
    result = _repeated(input, repeats, dim)
    length = result.shape[0 if dim is None else dim]
    if output_size is not None and output_size != length:
        raise RuntimeError(
            f"repeat_interleave: Invalid output_size, expected {length} but got {output_size}"
        )
    return result


@op(
    promotes=None,
    public=False,
    node="ViewBackward0",
    examples=[((3, 4), 2, 0), ((2, 3), 3, 1), ((2, 3), 1, 1), ((2, 3), 0, 0)],
)
def stretched(xp: Any, input: Any, /, repeats: int, dim: int) -> Any:
    """Each place along `dim` as often as `repeats` says."""
    shape = input.shape
    wide = xp.expand_dims(input, axis=dim + 1)
    wide = xp.broadcast_to(wide, (*shape[: dim + 1], repeats, *shape[dim + 1 :]))
    size = (*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])
    return xp.reshape(copied(xp, wide), size)


derivative(
    stretched,
    input=lambda xp, g, input_shape, repeats, dim: xp.sum(
        xp.reshape(g, (*input_shape[: dim + 1], repeats, *input_shape[dim + 1 :])), axis=dim + 1
    ),
)


def _repeated(input: Any, repeats: Any, dim: int | None) -> Any:
    if repeats is None:
        return _positions(input)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    if not input.ndim:
        input = reshape(input, (1,))
    dim = axis(dim, input.ndim)
    if not isinstance(repeats, Tensor):
        if not isinstance(repeats, int):
            repeats = tensor_of(repeats, input.device)
        elif repeats < 0:
            raise RuntimeError(f"Repeats must be non-negative, got {repeats}")
    elif repeats.numel() == 1 and repeats.dtype.kind == "int":
        repeats = int(repeats)
        if repeats < 0:
            raise RuntimeError(f"repeats can not be negative, but is a tensor of {repeats}")
    if isinstance(repeats, int):
        return stretched(input, repeats, dim)
    if repeats.numel() != input.shape[dim]:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got "
            f"repeats.size(0) = {repeats.shape[0]} and input.size({dim}) = {input.shape[dim]}"
        )
    return index_select_at(input, _positions(repeats), dim)


def _positions(repeats: Any) -> Any:
    if repeats.dtype not in (int64, int32):
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{repeats.dtype.legacy}'"
        )
    if repeats.ndim != 1:
        raise RuntimeError(
            f"repeat_interleave only accept 1D vector as repeat, got shape {list(repeats.shape)}"
        )
    return repeated_positions(repeats)


@op(promotes=None, public=False, examples=[(ints(4, high=3),)])
def repeated_positions(xp: Any, repeats: Any, /) -> Any:
    """0, 1, 2, ... each as often as `repeats` says."""
    if 0 not in repeats.shape and int(xp.min(repeats)) < 0:
        raise RuntimeError("repeats can not be negative")
    return xp.repeat(xp.arange(repeats.shape[0], dtype=repeats.dtype), repeats)


@composite(method=False, examples=[((4,),), ((3,), 3), ((3,), 2, True)])
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to choose `r` elements of a vector, as rows."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input[:0]
    chosen = list((_choose_again if with_replacement else _choose)(range(input.shape[0]), r))
    return index(input, [reshape(tensor_of(chosen, input.device, int64), (-1, r))], (0,))


# ---- masks


def _fits(input: Any, mask: Any, value: Any) -> None:
    """Refuse a value that the type of `input` cannot hold."""
    if isinstance(value, Number):
        converted(value, of(input.dtype))
    elif (
        isinstance(value, Tensor) and value.is_complex() and not (value.ndim or input.is_complex())
    ):
        converted(value.item(), of(input.dtype))


@op(
    ordered=True,
    elementwise=True,
    among=("input",),
    refuses=_fits,
    examples=[((2, 3), bools(2, 3), 1.5), ((2, 3), bools(3), ()), ((3,), bools(2, 3), 0.0)],
)
def masked_fill(xp: Any, input: Any, mask: Any, value: Any, /) -> Any:
    """A copy of `input` that holds `value` wherever `mask` is True.

    Parameters
    ----------
    input : Tensor
    mask : Tensor of bool
        Broadcasts with `input`.
    value : number or 0-d Tensor
    """
    if not xp.isdtype(mask.dtype, "bool"):
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    return xp.where(mask, xp.astype(value, input.dtype, copy=False), input)


derivative(
    masked_fill,
    input=lambda xp, g, mask: xp.where(mask, xp.zeros_like(g), g),
    value=lambda xp, g, mask: xp.sum(xp.where(mask, g, xp.zeros_like(g))),
)


@composite(method=True, examples=[((2, 3), bools(2, 3)), ((2, 3), bools(3)), ((3,), bools(2, 3))])
@with_out(apart=True)
def masked_select(input: Any, mask: Any) -> Any:
    """The elements of `input` where `mask` is True, in one dimension; the two broadcast."""
    if mask.dtype is not bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    if input.shape != mask.shape:
        input, mask = broadcast_tensors(input, mask)
    if not input.ndim:
        input, mask = unsqueeze(input, 0), unsqueeze(mask, 0)
    return index(input, [mask], (0,))


@op(
    promotes=None,
    inplace=True,
    examples=[
        ((2, 3), fixed([[True, False, True], [False, True, True]]), (4,)),
        ((2, 3), fixed([True, False, True]), (2, 4)),
    ],
)
def masked_scatter(xp: Any, input: Any, mask: Any, source: Any, /) -> Any:
    """A copy of `input` with the elements of `source`, one after another, where `mask` is True.

    Raises
    ------
    RuntimeError
        If `source` has too few elements, or another dtype.
    """
    if not xp.isdtype(mask.dtype, "bool"):
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if input.dtype != source.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} "
            f"and {source.dtype}"
        )
    size = together([tuple(input.shape), tuple(mask.shape)])
    mask = xp.reshape(xp.broadcast_to(mask, size), (-1,))
    turn = xp.cumulative_sum(xp.astype(mask, xp.int64))
    input = xp.broadcast_to(input, size)
    count = int(turn[-1]) if 0 not in mask.shape else 0
    if count > prod(source.shape):
        raise RuntimeError(
            f"Number of elements of source < number of ones in mask: {prod(source.shape)} < {count}"
        )
    if not count:
        return copied(xp, input)
    found = xp.take(
        xp.reshape(source, (-1,)), xp.where(mask, turn - 1, xp.zeros_like(turn)), axis=0
    )
    return xp.reshape(xp.where(mask, found, xp.reshape(input, (-1,))), size)


derivative(
    masked_scatter,
    input=lambda xp, g, input_shape, mask: spread(
        xp, xp.where(mask, xp.zeros_like(g), g), input_shape
    ),
    source=lambda xp, g, mask, source_shape: xp.masked_collect(g, mask, source_shape),
)


@op(promotes=None, public=False, examples=[((2, 3), fixed([True, False, True]), (2, 4))])
def masked_collect(xp: Any, input: Any, mask: Any, /, size: Any) -> Any:
    """The elements of `input` where `mask` is True, and zeros after them, up to `size`."""
    found = xp.get(
        xp.reshape(input, (-1,)), (xp.reshape(xp.broadcast_to(mask, input.shape), (-1,)),)
    )
    out = xp.zeros((prod(size),), dtype=input.dtype)
    out[: found.shape[0]] = found
    return xp.reshape(out, size)


derivative(
    masked_collect,
    input=lambda xp, g, input_shape, mask: xp.masked_scatter(
        xp.zeros(input_shape, dtype=g.dtype, device=g.device), mask, g
    ),
)


# ---- memory


def _places(x: Any) -> Any:
    """Where in its memory the elements of a tensor lie."""
    found = tensor_of(x.storage_offset(), x.device)
    for length, step in zip(x.shape, x.stride(), strict=True):
        found = unsqueeze(found, -1) + arange(length, device=x.device) * step
    return found


def written_by_strides(torch: Any, input: Any, src: Any, *strides: Any) -> Any:
    """`as_strided_scatter` by PyTorch, as a write into a view."""
    torch.as_strided_scatter(input.detach(), src.detach(), *strides)  # It refuses what it refuses.
    out = input.clone()
    out.as_strided(*strides).copy_(src)
    return out


@composite(
    method=True,
    examples=[
        ((3, 4), (2, 2), (2, 2), (4, 1), 1),
        ((6,), (2, 2), (2, 2), (3, 1)),
        ((4,), (), (), (), 2),
    ],
    oracle=written_by_strides,  # PyTorch's gradient of its own is another.
)
@with_out()
def as_strided_scatter(
    input: Any,
    src: Any,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Any:
    """A copy of `input` in which what :func:`as_strided` would show is `src`.

    Parameters
    ----------
    input : Tensor
    src : Tensor
        Of shape `size`.
    size, stride, storage_offset
        As for :func:`as_strided`.

    Raises
    ------
    RuntimeError
        If `src` has another shape, or the strides reach one place twice, or outside the memory of
        `input`.
    """
    part = as_strided(input.detach(), size, stride, storage_offset)
    if part.shape != src.shape:
        raise RuntimeError(
            "as_strided_scatter: expected src to have a size equal to the slice of self. src size "
            f"= {list(src.shape)}, slice size = {list(part.shape)}"
        )
    if not src.numel() or not input.numel():
        return input.clone()
    refuse_overlap(part, (), True)
    own, there = _places(input), _places(part).reshape(-1)
    order = arange(1, src.numel() + 1, device=src.device)
    count = 1 + max(x.storage_offset() + _reach(x.shape, x.stride()) for x in (input, part))
    number = order.new_zeros(count).scatter(0, there, order)[own]
    taken = src.to(input.dtype).reshape(-1)[(number - 1).clamp(min=0)]
    return where(number > 0, taken, input)


def _reach(size: Sequence[int], stride: Sequence[int]) -> int:
    """How far from the first element the last one lies."""
    return sum((length - 1) * step for length, step in zip(size, stride, strict=True))


# ---- searching


@op(promotes=None, public=False, examples=[(fixed([[0, 1, 0], [2, 0, 3]]),), ((2, 3),)])
def nonzero_at(xp: Any, input: Any, /) -> Any:
    """The coordinates of all elements that are not zero, as rows."""
    if not input.ndim:
        return xp.zeros((int(bool(input != 0)), 0), dtype=xp.int64)
    return xp.stack([xp.astype(x, xp.int64, copy=False) for x in xp.nonzero(input)], axis=1)


@composite(
    method=True, examples=[(fixed([[0, 1, 0], [2, 0, 3]]),), (fixed([0, 1]), {"as_tuple": True})]
)
def nonzero(input: Any, *, as_tuple: bool = False, out: Any = None) -> Any:
    """The coordinates of all elements that are not zero.

    Parameters
    ----------
    input : Tensor
    as_tuple : bool
        False: one tensor with a row for each. True: a tensor for each dimension, fit as an index.
    out : Tensor of int64, optional
        Where that one tensor is put.
    """
    if out is not None and not isinstance(out, Tensor):
        raise TypeError(f"nonzero(): argument 'out' must be Tensor, not {type(out).__name__}")
    if out is not None and as_tuple:
        raise RuntimeError("nonzero does not support the out kwarg when as_tuple is True")
    if not as_tuple:
        if out is not None:
            refuse_overlap(out, [input], True)
        found = nonzero_at(input)
        return found if out is None else placed("nonzero", found, out, [input], False)
    if not input.ndim:
        input = reshape(input, (1,))
    return (
        tuple([nonzero_at(input)[:, d] for d in range(input.ndim)])
        if input.ndim == 1
        else nonzero_at(input).unbind(1)
    )


@composite(
    method=True,
    examples=[
        (fixed([[0, 1, 0], [2, 0, 3]]), {"size": 4}),
        (fixed([0, 1, 5]), {"size": 1, "fill_value": 7}),
    ],
)
@with_out()
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """The coordinates of the first `size` elements that are not zero.

    Parameters
    ----------
    input : Tensor
    size : int
        The number of rows, whatever `input` holds.
    fill_value : int, optional
        What stands in the rows that are left.

    Raises
    ------
    RuntimeError
        If `size` is negative.
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = nonzero_at(input)
    found = found[: min(size, found.shape[0])]
    return cat([found, found.new_full((size - found.shape[0], input.ndim), fill_value)])


@composite(method=True, examples=[(fixed([[0, 1, 0], [2, 0, 3]]),)])
def argwhere(input: Any) -> Any:
    """The coordinates of all elements that are not zero, as rows."""
    return nonzero_at(input)


@op(
    promotes=None,
    public=False,
    examples=[(fixed([1.0, 2.0, 3.0]), fixed([[0.5, 2.0], [2.5, 9.0]]), False)],
)
def search(xp: Any, sorted_sequence: Any, input: Any, /, right: bool) -> Any:
    """Where to put `input` in the last dimension of `sorted_sequence` so that it stays sorted."""
    side = "right" if right else "left"
    if sorted_sequence.ndim == 1:
        flat = xp.searchsorted(sorted_sequence, xp.reshape(input, (-1,)), side=side)
        return xp.astype(xp.reshape(flat, input.shape), xp.int64, copy=False)
    if 0 in sorted_sequence.shape or 0 in input.shape:
        return xp.zeros(input.shape, dtype=xp.int64)
    rows = xp.reshape(sorted_sequence, (-1, sorted_sequence.shape[-1]))
    wanted = xp.reshape(input, (-1, input.shape[-1]))
    found = [xp.searchsorted(rows[i, ...], wanted[i, ...], side=side) for i in range(rows.shape[0])]
    return xp.astype(xp.reshape(xp.stack(found), input.shape), xp.int64, copy=False)


@composite(
    method=False,
    examples=[
        (fixed([1.0, 2.0, 3.0]), fixed([[0.5, 2.0], [2.5, 9.0]])),
        (fixed([1.0, 2.0]), 1.0, {"right": True}),
    ],
)
@with_out()
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where values belong in a sorted sequence.

    Parameters
    ----------
    sorted_sequence : Tensor
        Ascending along its last dimension: one vector, or one for each row of `input`.
    input : Tensor or number
    out_int32 : bool
        Whether the result is int32 instead of int64.
    right : bool
        Whether a value goes behind equal ones.
    side : {"left", "right"}, optional
        The same in words.
    sorter : Tensor, optional
        Indices that sort `sorted_sequence`.
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    shape = sorted_sequence.shape
    if not isinstance(input, Tensor):
        input = tensor_of(input, sorted_sequence.device)
    kinds = {sorted_sequence.dtype.kind, input.dtype.kind}
    if "complex" in kinds or kinds == {"bool"}:
        raise NotImplementedError(
            f"\"searchsorted_out_cpu\" not implemented for '{input.dtype.legacy}': numbers with an "
            "order are sorted"
        )
    if not input.ndim and len(shape) != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            "dimension is 1, but we got "
            f"boundaries tensor dim({len(shape)}) and input value's dim({input.ndim}) "
            f"numel({input.numel()})"
        )
    if len(shape) != 1 and shape[:-1] != input.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor "
            f"and input value tensor must match, but we got boundaries tensor {list(shape)} and "
            "input value tensor "
            f"{list(input.shape)}"
        )
    if sorter is not None:
        if sorter.shape != shape:
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got "
                "boundary tensor "
                f"{list(shape)} and got sorter tensor {list(sorter.shape)}"
            )
        if sorter.dtype is not int64:
            raise RuntimeError(
                "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype "
                f"{sorter.dtype.legacy}"
            )
        sorted_sequence = gather_at(sorted_sequence, sorter, len(shape) - 1)
    found = search(sorted_sequence, input, right or side == "right")
    return found.to(int32) if out_int32 else found


@composite(method=False, examples=[(fixed([[0.5, 2.0], [2.5, 9.0]]), fixed([1.0, 2.0, 3.0]))])
@with_out()
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the interval between `boundaries` in which each value lies."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@op(promotes=None, public=False, examples=[(ints(2, 3, high=4), 4)])
def one_hot_at(xp: Any, input: Any, /, num_classes: int) -> Any:
    """1 at the place that each element names, 0 elsewhere."""
    return xp.astype(
        xp.expand_dims(input, axis=-1) == xp.arange(num_classes, dtype=input.dtype), xp.int64
    )


@composite(home="nn", examples=[(fixed([[0, 2], [1, 1]]),), (fixed([0, 2]), 4)])
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Classes as vectors: 1 at the place that the class names, 0 elsewhere.

    Parameters
    ----------
    tensor : Tensor of int64
    num_classes : int
        Length of the new last dimension; by default one more than the largest class.
    """
    if tensor.dtype is not int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor. Got {tensor.dtype}."
        )
    if not tensor.numel():
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return one_hot_at(tensor, num_classes)
    if num_classes == -1:
        num_classes = int(tensor.max()) + 1
    if anywhere(tensor.view(uint64) >= max(num_classes, 0)):  # among them what is negative
        if anywhere(tensor < 0):
            raise RuntimeError("Class values must be non-negative.")
        raise RuntimeError(
            f"Class values must be smaller than num_classes. Got {int(tensor.max())} for "
            f"num_classes={num_classes}."
        )
    return one_hot_at(tensor, num_classes)


@composite(method=False, examples=[(fixed([5, 7]), (3, 4)), (fixed([[0, 23]]), (2, 3, 4))])
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Places in a flattened tensor of `shape` as coordinates: one tensor a dimension."""
    if indices.dtype.kind != "int":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 0 for n in lengths):
        raise ValueError(f"'shape' cannot have negative values, but got {lengths}")
    indices = indices.to(int64)
    coordinates = []
    for length in reversed(lengths):
        coordinates.append(indices % length)
        indices = indices // length
    return tuple(coordinates[::-1])
