"""Reading and writing at arrays of indices, in copies."""

from __future__ import annotations

from math import prod
from typing import Any

import dpnp
import numpy as np

from .launch import takes_source
from .lookup import TRUST, WRAP, Middle, alike, checked, joint, taken, write
from .masks import alone, chosen, nonzero, replace
from .memory import forward, host_view, ordered, to_host, view_as_real

__all__ = ["bincount", "get", "index_add", "put", "scatter", "scatter_add"]


def from_start(index: Any, size: int) -> Any:
    """Indices counted from the start, as int64."""
    index = index.astype(np.int64, copy=False)
    return dpnp.where(index < 0, index + size, index)


# ---- keys


def indices(x: Any, key: Any) -> tuple[Any, list[tuple[int, Any]]]:
    """A key as a view by its slices, and integer arrays with the dimensions of it that they index.

    Raises
    ------
    IndexError
    """
    key = key if isinstance(key, tuple) else (key,)
    parts = [
        dpnp.asarray(part, sycl_queue=x.sycl_queue) if isinstance(part, np.ndarray) else part
        for part in key
    ]
    taken = sum([0 if p is None or p is Ellipsis else p.ndim if mask(p) else 1 for p in parts])
    if taken > x.ndim:
        raise IndexError(
            f"too many indices for array: array is {x.ndim}-dimensional, but {taken} were indexed"
        )
    dots = [i for i, p in enumerate(parts) if p is Ellipsis]
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (x.ndim - taken)
    arrays = any(isinstance(p, dpnp.ndarray) for p in parts)
    basic: list[Any] = []
    found: list[tuple[int, Any]] = []
    source = 0  # dimension of x
    place = 0  # dimension of the view
    for part in parts:
        if part is None:
            basic.append(None)
            place += 1
        elif isinstance(part, slice):
            basic.append(part)
            source, place = source + 1, place + 1
        elif mask(part):
            if part.shape != x.shape[source : source + part.ndim]:
                raise IndexError(
                    f"boolean index of shape {list(part.shape)} does not match the indexed array's "
                    f"{list(x.shape)} at dimension {source}"
                )
            for where in nonzero(part):
                basic.append(slice(None))
                found.append((place, where))
                source, place = source + 1, place + 1
        elif isinstance(part, dpnp.ndarray):
            if part.dtype.kind not in "iu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            basic.append(slice(None))
            found.append((place, part))
            source, place = source + 1, place + 1
        elif arrays:  # a number beside arrays counts as one
            n = x.shape[source]
            if not -n <= part < n:
                raise IndexError(f"index {part} is out of bounds for axis {source} with size {n}")
            basic.append(slice(None))
            one = dpnp.asarray(int(part), dtype=np.int64, sycl_queue=x.sycl_queue)
            found.append((place, one))
            source, place = source + 1, place + 1
        else:
            basic.append(part)
            source += 1
    return forward(x[tuple(basic)]), found


def mask(part: Any) -> bool:
    """Whether a part of a key is an array of bools."""
    return isinstance(part, dpnp.ndarray) and part.dtype == np.bool_


def get(x: Any, key: Any, /, *, look: str = WRAP) -> Any:
    """Elements at a key of slices, integer arrays and masks, as NumPy reads it.

    dpnp refuses arrays that are separated by a slice.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    """
    mask = alone(x, key)
    if mask is not None:
        return chosen(x, *mask)
    seen, found = indices(x, key)
    if not found:
        return seen
    shape = together(found)
    pairs = [(index, seen.shape[d]) for d, index in found]
    if takes_source(x):
        seen, axis, arrays = adjacent(seen, found)
        middle, places = joint(seen, axis, arrays, look)
        if not middle.joins:
            middle, places = joint(ordered(seen), axis, arrays, look)
        shape = (*seen.shape[:axis], *shape, *seen.shape[axis + len(arrays) :])
        return taken(middle, shape, places, places.size, middle.inner, False, pairs, look)
    checked(pairs, look)
    return gathered(seen, found)


def adjacent(seen: Any, found: list[tuple[int, Any]]) -> tuple[Any, int, list[Any]]:
    """A view in which the indexed dimensions follow each other, the first of them, and the indices;
    those that did not come first.
    """
    dims = [d for d, _ in found]
    if dims[-1] - dims[0] != len(dims) - 1:
        rest = [d for d in range(seen.ndim) if d not in dims]
        seen, dims = dpnp.permute_dims(seen, (*dims, *rest)), [0]
    return seen, dims[0], [index for _, index in found]


def together(found: list[tuple[int, Any]]) -> tuple[int, ...]:
    """The shape to which index arrays broadcast.

    Raises
    ------
    IndexError
    """
    try:
        return np.broadcast_shapes(*[index.shape for _, index in found])
    except ValueError:
        raise IndexError(
            "shape mismatch: indexing arrays could not be broadcast together with shapes "
            f"{' '.join([str(list(index.shape)) for _, index in found])}"
        ) from None


def gathered(seen: Any, found: list[tuple[int, Any]]) -> Any:
    """Elements at integer arrays for some dimensions."""
    dims = [d for d, _ in found]
    arrays = [index for _, index in found]
    if dims[-1] - dims[0] == len(dims) - 1:
        if len(arrays) == 1:
            return dpnp.take(seen, arrays[0], axis=dims[0])
        return seen[(*[slice(None)] * dims[0], *arrays)]
    rest = [d for d in range(seen.ndim) if d not in dims]
    return dpnp.permute_dims(seen, (*dims, *rest))[tuple(arrays)]


def put(
    x: Any, key: Any, values: Any, accumulate: bool = False, /, *, look: str = WRAP,
    here: bool = False,
) -> Any:  # fmt: skip
    """A copy of `x` with `values` at a key, or added there, however often an index is repeated.

    If `here` is true it is `x` itself, which lies in row order, and changes only if all is well.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    ValueError
        If `values` do not broadcast to what the key selects.
    """
    out = x if here else x.copy(order="C")
    mask = alone(x, key)
    if mask is not None:
        replace(out, *mask, cast(values, x.dtype), accumulate)
        return out
    if takes_source(x) and put_at(out, key, values, accumulate, look, here):
        return out
    places = dpnp.arange(x.size, dtype=np.int64, sycl_queue=x.sycl_queue).reshape(x.shape)
    places = get(places, key, look=look)
    values = dpnp.broadcast_to(cast(values, x.dtype), places.shape)
    flat = out.reshape(-1)
    if accumulate:
        add_at(flat, places.reshape(-1), values.reshape(-1))
    else:
        flat[places.reshape(-1)] = values.reshape(-1)
    return out


def put_at(out: Any, key: Any, values: Any, accumulate: bool, look: str, first: bool) -> bool:
    """Write at a key into an array that lies in order; False if this is not the way to do it.

    If `first` is true, indices are looked at before something is written.
    """
    seen, found = indices(out, key)
    if not found or seen._array_obj.usm_data is not out._array_obj.usm_data:
        return False
    shape, pairs = together(found), [(index, seen.shape[d]) for d, index in found]
    if first:
        checked(pairs, look)
        look = TRUST
    seen, axis, arrays = adjacent(seen, found)
    middle, places = joint(seen, axis, arrays, look)
    if not middle.joins:
        return False
    shape = (*seen.shape[:axis], *shape, *seen.shape[axis + len(arrays) :])
    src = dpnp.broadcast_to(cast(values, out.dtype), shape)
    write(middle, places, src, places.size, middle.inner, False, accumulate, pairs, look)
    return True


def cast(values: Any, dtype: Any) -> Any:
    """`values` in a type, by force."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "c" and dtype.kind != "c":
        values = dpnp.real(values)
    return values.astype(dtype)


# ---- along a dimension


def along(x: Any, index: Any, dim: int, look: str) -> Any:
    """Places in the flat `x` of the elements ``[i, index[i, j], ...]``."""
    checked([(index, x.shape[dim])], look)
    places = from_start(index, x.shape[dim]) * prod(x.shape[dim + 1 :])
    for d, n in enumerate(index.shape):
        if d != dim and n > 1:
            step = prod(x.shape[d + 1 :])
            count = dpnp.arange(n, dtype=np.int64, sycl_queue=x.sycl_queue) * step
            places = places + count.reshape((n,) + (1,) * (index.ndim - d - 1))
    return places


def scattered(
    x: Any, dim: int, index: Any, src: Any, add: bool, look: str, here: bool
) -> Any:  # fmt: skip
    """A copy of `x` with `src` at, or added at, ``[i, index[i, j], ...]`` along `dim`."""
    out = x if here else x.copy(order="C")
    if not index.size:
        return out
    if here:
        checked([(index, x.shape[dim])], look)
        look = TRUST
    src = dpnp.broadcast_to(cast(src, x.dtype), index.shape)
    if alike(x.shape, index.shape, dim) and takes_source(x):
        count, inner = index.shape[dim], prod(index.shape[dim + 1 :])
        pairs = [(index, x.shape[dim])]
        write(Middle(out, dim), index, src, count, inner, True, add, pairs, look)
        return out
    places, flat, src = along(x, index, dim, look).reshape(-1), out.reshape(-1), src.reshape(-1)
    if add:
        add_at(flat, places, src)
    else:
        flat[places] = src
    return out


def scatter(
    x: Any, dim: int, index: Any, src: Any, /, *, look: str = WRAP, here: bool = False
) -> Any:  # fmt: skip
    """A copy of `x` with the elements of `src` at ``[i, index[i, j], ...]`` along `dim`."""
    return scattered(x, dim, index, src, False, look, here)


def scatter_add(
    x: Any, dim: int, index: Any, src: Any, /, *, look: str = WRAP, here: bool = False
) -> Any:  # fmt: skip
    """A copy of `x` to which `src` is added at ``[i, index[i, j], ...]`` along `dim`."""
    return scattered(x, dim, index, src, True, look, here)


def index_add(
    x: Any, dim: int, index: Any, src: Any, /, *, look: str = WRAP, here: bool = False
) -> Any:  # fmt: skip
    """A copy of `x` to whose parts `index`, a vector, along `dim` those of `src` are added."""
    out = x if here else x.copy(order="C")
    shape = (*x.shape[:dim], index.shape[0], *x.shape[dim + 1 :])
    src = dpnp.broadcast_to(cast(src, x.dtype), shape)
    if takes_source(x):
        if here:
            checked([(index, x.shape[dim])], look)
            look = TRUST
        middle, pairs = Middle(out, dim), [(index, x.shape[dim])]
        write(middle, index, src, index.size, middle.inner, False, True, pairs, look)
        return out
    key = (*[slice(None)] * dim, index)
    return put(x, key, src, True, look=look, here=here)


# ---- adding up: dpnp has nothing like NumPy's `add.at`


def add_at(flat: Any, places: Any, values: Any) -> None:
    """Add vectors of values at places of the vector `flat`."""
    if not places.size:
        return
    if takes_source(flat):
        write(Middle(flat, 0), places, values, places.size, 1, False, True, [], TRUST)
    elif flat.dtype.kind == "f":
        total = dpnp.bincount(places, weights=values, minlength=flat.size)
        flat += total.astype(flat.dtype)
    elif flat.dtype.kind == "c":
        for part, more in (
            (view_as_real(flat)[:, 0], dpnp.real(values)),
            (view_as_real(flat)[:, 1], dpnp.imag(values)),
        ):
            add_at(part, places, more)
    else:  # counts of integers are exact on the host alone
        there = to_host(flat)
        np.add.at(there, to_host(places), to_host(values))
        flat[...] = dpnp.asarray(there, sycl_queue=flat.sycl_queue)


def bincount(x: Any, weights: Any = None, minlength: int = 0, /) -> Any:
    """How often each number from 0 on is in the vector `x`, or the sum of its weights."""
    queue = x.sycl_queue
    if not x.size:  # dpnp refuses it
        dtype = np.int64 if weights is None else np.float64
        return dpnp.zeros(minlength, dtype=dtype, sycl_queue=queue)
    if x.sycl_device.is_cpu:
        highest, lowest = int(host_view(x).max()), int(host_view(x).min())
    else:
        highest, lowest = int(x.max()), int(x.min())
    if lowest < 0:
        raise ValueError("bincount: numbers must not be negative")
    count = max(highest + 1, minlength)
    x = x.astype(np.int64, copy=False)
    if weights is None:
        total = dpnp.zeros(count, dtype=np.int64, sycl_queue=queue)
        add_at(total, x, dpnp.ones(x.size, dtype=np.int64, sycl_queue=queue))
        return total
    kind = np.float64 if queue.sycl_device.has_aspect_fp64 else np.float32
    total = dpnp.zeros(count, dtype=kind, sycl_queue=queue)
    add_at(total, x, weights.astype(kind, copy=False))
    return total
