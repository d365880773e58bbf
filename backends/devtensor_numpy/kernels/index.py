"""Indexing where NumPy has a faster way than general keys, and faster sums into repeated places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from math import prod
from typing import Any

import numpy as np

from devtensor.ops import index as common
from devtensor_numpy.quick import isdtype, key_along

Array = np.ndarray
FEW = 1 << 12  # Indices that are looked up by other ways than many, as calls themselves take time.
ROWS = 1 << 10  # Elements from which on sorting rows costs less than adding them one by one.
WRITERS: dict[str, Callable[..., None]] = {}
"""Kernels that write into their first array, which is contiguous and shares no memory."""


def writing(kernel: Callable[..., None]) -> Callable[..., Array]:
    """`kernel` on a copy of its first array. It refuses what it refuses before it writes."""
    WRITERS[kernel.__name__] = kernel

    @wraps(kernel)
    def on_copy(xp: Any, input: Array, /, *others: Any, **params: Any) -> Array:
        out = np.array(input, order="C")
        kernel(xp, out, *others, **params)
        return out

    return on_copy


UNSIGNED = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}


def _inside(index: Array, size: int, dim: int, *report: Any) -> None:
    """Refuse indices outside ``0 .. size - 1``: read as unsigned, negative ones are large."""
    count = index.size
    if not count:
        return
    places = index.view(UNSIGNED[index.itemsize])
    # Of few, where the largest is is found sooner than what it is.
    largest = places.item(places.argmax()) if count <= FEW else int(places.max())
    if largest >= size:
        common._inside(np, index, size, dim, *report)


def _add_rows(out: Array, index: Array, rows: Array) -> None:
    """``out[index[i]] += rows[i]``, a row for each place at a time instead of a row at a time."""
    if out.ndim == 1 or rows.size < ROWS:
        np.add.at(out, index, rows)
        return
    # Numbers of 16 bits are sorted by their digits.
    keys = index.astype(np.uint16) if len(out) <= 1 << 16 else index
    order = keys.argsort(kind="stable")
    places = index[order]
    new = np.empty(places.shape, dtype=bool)
    new[0] = True
    np.not_equal(places[1:], places[:-1], out=new[1:])
    if new.all():
        out[index] += rows
        return
    starts = new.nonzero()[0]
    # `reduceat` takes long for many places, and for many rows unless they are short.
    short = 64 if rows.size < 1 << 17 else 32
    if rows.size <= short * len(rows) and len(rows) >= 8 * len(starts):
        out[places[starts]] += np.add.reduceat(rows.take(order, 0), starts, 0)
        return
    counts = np.diff(starts, append=places.size)
    busiest = (-counts).argsort(kind="stable")  # those that wait for more rows come first
    starts, counts = starts[busiest], counts[busiest]
    total = rows.take(order[starts], 0)
    turn, left = 1, int((counts > 1).sum())
    while left and turn < 16:
        total[:left] += rows.take(order[starts[:left] + turn], 0)
        turn += 1
        left = int((counts[:left] > turn).sum())
    for i in range(left):
        total[i] += rows.take(order[starts[i] + turn : starts[i] + counts[i]], 0).sum(0)
    out[places[starts]] += total


def _add_along(out: Array, dim: int, index: Array, rows: Array) -> None:
    """``out[..., index[i], ...] += rows[..., i, ...]`` along `dim`."""
    if not index.size or not out.size:
        return
    first, lined = out, rows
    if dim:
        order = (dim, *range(dim), *range(dim + 1, out.ndim))
        first, lined = out.transpose(order), rows.transpose(order)
    if dim and rows.size * 4 >= out.size:  # in one piece, rows are read and written faster
        whole = np.ascontiguousarray(first)
        _add_rows(whole, index, np.ascontiguousarray(lined))
        first[...] = whole
    else:
        _add_rows(first, index, lined)


def _add_at(out: Array, indices: Sequence[Array], places: Sequence[int], values: Array) -> None:
    """``out[key] += values`` for index arrays at `places` of a key."""
    first, count = places[0], len(places)
    adjacent = places[-1] - first == count - 1
    if not adjacent or values.size < ROWS or any(part.dtype == bool for part in indices):
        np.add.at(out, common._key(indices, places), values)
        return
    if count == 1:
        flat, shape = indices[0], indices[0].shape
        if flat.size and int(flat.min()) < 0:
            flat = np.where(flat < 0, flat + out.shape[first], flat)
    else:
        parts = [
            np.where(part < 0, part + n, part)
            for part, n in zip(indices, out.shape[first:], strict=False)
        ]
        flat = parts[0].astype(np.intp)
        for part, n in zip(parts[1:], out.shape[first + 1 :], strict=False):
            flat = flat * n + part
        shape = flat.shape
    before, inner = out.shape[:first], prod(out.shape[first : first + count])
    after = out.shape[first + count :]
    values = np.broadcast_to(values, (*before, *shape, *after)).reshape(
        prod(before), flat.size, prod(after)
    )
    whole = out.reshape(prod(before), inner, prod(after))  # `out` is contiguous, so this is a view
    if whole.shape[0] == 1 and whole.shape[2] == 1:
        _add_rows(whole.reshape(-1), flat.reshape(-1), values.reshape(-1))
    else:
        _add_along(whole, 1, flat.reshape(-1), values)


def index(xp: Any, input: Array, /, *indices: Array, places: Any) -> Any:
    """`index`; whole rows are fetched by `take`, twice as fast."""
    try:
        if len(indices) == 1:
            part, place = indices[0], places[0]
            if part.dtype != bool:
                return input.take(part, place)
            if not place and input.shape[: part.ndim] == part.shape and part.size:
                return _kept(input, part)
        return input[common._key(indices, places)]
    except IndexError as reason:
        raise common._refused(xp, input.shape, indices, places, reason) from None


def take_at(xp: Any, input: Array, index: Array, /) -> Any:
    """`take_at`; what is no place is refused as an `IndexError`, in other words later."""
    return input.reshape(-1).take(index)


def _kept(input: Array, mask: Array) -> Array:
    """The parts of `input` where the mask of its first dimensions is True."""
    parts = input.reshape(mask.size, *input.shape[mask.ndim :])
    return parts.take(np.flatnonzero(mask), 0, mode="wrap")


def nonzero_at(xp: Any, input: Array, /) -> Array:
    """`nonzero_at`: the places in flat memory, and from them the coordinates."""
    if not input.ndim or not input.size:
        return common.nonzero_at.kernel(xp, input)
    rest = np.flatnonzero(input if input.dtype == bool else input != 0)
    found = np.empty((len(rest), input.ndim), np.int64)
    for d in range(input.ndim - 1, 0, -1):
        size = input.shape[d]
        above = rest // size
        np.subtract(rest, above * size, out=found[:, d])
        rest = above
    found[:, 0] = rest
    return found


def index_spread(xp: Any, input: Array, /, *indices: Array, size: Any, places: Any) -> Any:
    """`index_spread`."""
    out = np.zeros(size, dtype=input.dtype)
    if len(indices) == 1 and indices[0].dtype == bool:
        out[common._key(indices, places)] = input
    else:
        _add_at(out, indices, places, input)
    return out


@writing
def put_at(
    xp: Any, out: Array, values: Array, /, *indices: Array, places: Any, accumulate: bool = False
) -> None:
    """`put_at`."""
    key = common._key(indices, places)
    try:
        if accumulate:
            np.broadcast_to(values, out[key].shape)
        else:
            out[key] = values
    except (IndexError, ValueError):  # to be said in other words
        out[...] = common.put_at.kernel(
            xp, out, values, *indices, places=places, accumulate=accumulate
        )
    else:
        if accumulate:
            _add_at(out, indices, places, values)


def gather_at(xp: Any, input: Array, index: Array, /, dim: int) -> Any:
    """`gather_at` as one look-up in flat memory, or by coordinates if there are few."""
    if not input.ndim or not index.ndim or index.size == 0:
        return common.gather_at.kernel(xp, input, index, dim)
    _inside(index, input.shape[dim], dim)
    if not input.flags.c_contiguous:
        return input[key_along(index, dim)]
    places = _flat_places(input.shape, index, dim)
    mode: Any = "raise" if index.size <= FEW else "wrap"
    return input.reshape(-1).take(places, mode=mode).reshape(index.shape)


@writing
def scatter_at(xp: Any, out: Array, index: Array, src: Array, /, dim: int) -> None:
    """`scatter_at` as one assignment."""
    if not out.ndim or not index.ndim or not index.size:
        out[...] = common.scatter_at.kernel(xp, out, index, src, dim)
        return
    _inside(index, out.shape[dim], dim)
    values = _first_of(src, index.shape) if src.ndim else src
    out.reshape(-1)[_flat_places(out.shape, index, dim)] = values


def _first_of(src: Array, shape: tuple[int, ...]) -> Array:
    """The first places of an array, as many as `shape` has, in one dimension."""
    return (src if src.shape == shape else src[tuple(map(slice, shape))]).reshape(-1)


def _flat_places(shape: tuple[int, ...], index: Array, dim: int) -> Any:
    """Positions in a flattened array of `shape` of the places ``[i, index[i, j], ...]``."""
    lines = _lines if index.size <= FEW else _lines.__wrapped__
    step, start = lines(shape, index.shape, dim)
    where = index if step == 1 else index.astype(np.intp, copy=False) * step
    return (where if start is None else where + start).reshape(-1)


@lru_cache(256)
def _lines(shape: tuple[int, ...], sizes: tuple[int, ...], dim: int) -> tuple[int, Any]:
    """The step along `dim` in flat memory, and where each of the lines along it begins."""
    start: Any = None
    step = along = 1
    for d in range(len(shape) - 1, -1, -1):
        if d == dim:
            along = step
        elif sizes[d] > 1:
            line = np.arange(sizes[d]).reshape((-1,) + (1,) * (len(shape) - d - 1)) * step
            start = line if start is None else start + line
        step *= shape[d]
    if start is not None:
        start.flags.writeable = False
    return along, start


def _scatter_sum(out: Array, index: Array, src: Array, dim: int) -> None:
    """``out[i, index[i, j], ...] += src[i, j, ...]`` in contiguous `out`."""
    if index.size:
        np.add.at(
            out.reshape(-1),
            _flat_places(out.shape, index, dim),
            _first_of(src, index.shape),
        )


def gather_spread(xp: Any, input: Array, index: Array, /, size: Any, dim: int) -> Any:
    """`gather_spread`."""
    if not size or not index.ndim:
        return common.gather_spread.kernel(xp, input, index, size, dim)
    out = np.zeros(size, dtype=input.dtype)
    _scatter_sum(out, index, input, dim)
    return out


@writing
def scatter_add_at(xp: Any, out: Array, index: Array, src: Array, /, dim: int) -> None:
    """`scatter_add_at`."""
    if not out.ndim or not index.ndim or not src.ndim:
        out[...] = common.scatter_add_at.kernel(xp, out, index, src, dim)
        return
    _inside(index, out.shape[dim], dim)
    _scatter_sum(out, index, src, dim)


_AT = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
_START = {
    "prod": lambda t: 1,
    "amax": lambda t: _limit(t, "min"),
    "amin": lambda t: _limit(t, "max"),
}


def _limit(dtype: np.dtype, which: str) -> Any:
    if isdtype(dtype, "real floating"):
        return -np.inf if which == "min" else np.inf
    return which == "max" if dtype.kind == "b" else getattr(np.iinfo(dtype), which)


@writing
def scatter_reduce_at(
    xp: Any, out: Array, index: Array, src: Array, /, dim: int, reduce: str, include_self: bool
) -> None:
    """`scatter_reduce_at` in one pass over the values."""
    ufunc = _AT.get(reduce)
    if ufunc is None or not out.ndim or not index.ndim or not index.size:
        out[...] = common.scatter_reduce_at.kernel(xp, out, index, src, dim, reduce, include_self)
        return
    _inside(index, out.shape[dim], dim)
    flat, places = out.reshape(-1), _flat_places(out.shape, index, dim)
    if not include_self:
        flat[places] = _START[reduce](out.dtype)
    ufunc.at(flat, places, _first_of(src, index.shape))


def index_select_at(xp: Any, input: Array, index: Array, /, dim: int) -> Any:
    """`index_select_at`."""
    if not input.ndim:
        return common.index_select_at.kernel(xp, input, index, dim)
    _inside(index, input.shape[dim], dim, IndexError, "index out of range in self")
    return input.take(index.reshape(-1), dim)


def index_select_spread(xp: Any, input: Array, index: Array, /, size: Any, dim: int) -> Any:
    """`index_select_spread`."""
    if not size:
        return common.index_select_spread.kernel(xp, input, index, size, dim)
    out = np.zeros(size, dtype=input.dtype)
    _add_along(out, dim, index.reshape(-1), input)
    return out


@writing
def index_add_at(
    xp: Any, out: Array, index: Array, source: Array, /, dim: int, alpha: Any = 1
) -> None:
    """`index_add_at`."""
    if not out.ndim:
        out[...] = common.index_add_at.kernel(xp, out, index, source, dim, alpha)
        return
    _inside(index, out.shape[dim], dim)
    _add_along(out, dim, index.reshape(-1), common.times(xp, source, alpha))


@writing
def index_copy_at(xp: Any, out: Array, index: Array, source: Array, /, dim: int) -> None:
    """`index_copy_at`."""
    if not out.ndim:
        out[...] = common.index_copy_at.kernel(xp, out, index, source, dim)
        return
    _inside(index, out.shape[dim], dim, IndexError)
    key: Any = (*common.ahead(dim), index.reshape(-1), ...)
    out[key] = source


def masked_scatter(xp: Any, input: Array, mask: Array, source: Array, /) -> Any:
    """`masked_scatter` as one assignment."""
    size = common.together([input.shape, mask.shape])
    mask = np.broadcast_to(mask, size)
    if mask.dtype != bool or source.dtype != input.dtype or np.count_nonzero(mask) > source.size:
        return common.masked_scatter.kernel(xp, input, mask, source)
    out = np.array(np.broadcast_to(input, size), order="C")
    out[mask] = source.reshape(-1)[: np.count_nonzero(mask)]
    return out


def stretched(xp: Any, input: Array, /, repeats: int, dim: int) -> Any:
    """`stretched`."""
    return input.repeat(repeats, dim)


def one_hot_at(xp: Any, input: Array, /, num_classes: int) -> Any:
    """`one_hot_at`."""
    out = np.zeros((*input.shape, num_classes), dtype=np.int64)
    out.reshape(-1, num_classes)[np.arange(input.size), input.reshape(-1)] = 1
    return out


KERNELS = {
    "index": index,
    "take_at": take_at,
    "nonzero_at": nonzero_at,
    "index_spread": index_spread,
    "put_at": put_at,
    "gather_at": gather_at,
    "gather_spread": gather_spread,
    "scatter_add_at": scatter_add_at,
    "scatter_reduce_at": scatter_reduce_at,
    "index_select_at": index_select_at,
    "index_select_spread": index_select_spread,
    "index_add_at": index_add_at,
    "index_copy_at": index_copy_at,
    "scatter_at": scatter_at,
    "masked_scatter": masked_scatter,
    "stretched": stretched,
    "one_hot_at": one_hot_at,
}
