"""Reading and writing at arrays of indices, in copies."""

from __future__ import annotations

from math import prod
from typing import Any

import dpnp
import numpy as np

from .launch import kernel, launch, signed, takes_source, whole
from .memory import forward, host_view, ordered, to_host, view_as_real

__all__ = ["bincount", "get", "index_add", "put", "scatter", "scatter_add"]

OUTSIDE = """
__kernel void outside(__global const long* index, const long size, __global int* found) {
    long i = index[get_global_id(0)];
    if (i < -size || i >= size) found[0] = 1;
}"""


def checked(pairs: list[tuple[Any, int]]) -> None:
    """Wait for the device, and look whether integer indices are in range.

    dpnp takes those that are not as the nearest that is, and kernels would write anywhere.

    Raises
    ------
    IndexError
    """
    for index, size in pairs:
        if not index.size:
            continue
        if index.sycl_device.is_cpu:  # its memory is the host's, so NumPy looks
            seen = host_view(index)
            low, high = int(seen.min()), int(seen.max())
        elif takes_source(index):
            found = dpnp.zeros(1, dtype=np.int32, sycl_queue=index.sycl_queue)
            flat = ordered(index.astype(np.int64, copy=False))
            run = kernel(index.sycl_queue, OUTSIDE, "outside")
            launch(index.sycl_queue, run, [flat, signed(size), found], (flat.size,))
            if not int(found[0]):
                continue
            low, high = int(index.min()), int(index.max())
        else:
            low, high = int(index.min()), int(index.max())
        if low < -size or high >= size:
            wrong = low if low < -size else high
            raise IndexError(f"index {wrong} is out of bounds for axis of size {size}")


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
            for where in dpnp.nonzero(part):
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


def get(x: Any, key: Any, /) -> Any:
    """Elements at a key of slices, integer arrays and masks, as NumPy reads it.

    dpnp refuses arrays that are separated by a slice.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    """
    seen, found = indices(x, key)
    if not found:
        return seen
    together(found)
    checked([(index, seen.shape[d]) for d, index in found])
    return gathered(seen, found)


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


def put(x: Any, key: Any, values: Any, accumulate: bool = False, /) -> Any:
    """A copy of `x` with `values` at a key, or added there, however often an index is repeated.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    ValueError
        If `values` do not broadcast to what the key selects.
    """
    places = dpnp.arange(x.size, dtype=np.int64, sycl_queue=x.sycl_queue).reshape(x.shape)
    places = get(places, key)
    values = dpnp.broadcast_to(cast(values, x.dtype), places.shape)
    out = x.copy(order="C")
    flat = out.reshape(-1)
    if accumulate:
        add_at(flat, places.reshape(-1), values.reshape(-1))
    else:
        flat[places.reshape(-1)] = values.reshape(-1)
    return out


def cast(values: Any, dtype: Any) -> Any:
    """`values` in a type, by force."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "c" and dtype.kind != "c":
        values = dpnp.real(values)
    return values.astype(dtype)


# ---- along a dimension


def along(x: Any, index: Any, dim: int) -> Any:
    """Places in the flat `x` of the elements ``[i, index[i, j], ...]``."""
    checked([(index, x.shape[dim])])
    places = from_start(index, x.shape[dim]) * prod(x.shape[dim + 1 :])
    for d, n in enumerate(index.shape):
        if d != dim and n > 1:
            step = prod(x.shape[d + 1 :])
            count = dpnp.arange(n, dtype=np.int64, sycl_queue=x.sycl_queue) * step
            places = places + count.reshape((n,) + (1,) * (index.ndim - d - 1))
    return places


def scatter(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` with the elements of `src` at ``[i, index[i, j], ...]`` along `dim`."""
    out = x.copy(order="C")
    if index.size:
        places = along(x, index, dim).reshape(-1)
        src = dpnp.broadcast_to(cast(src, x.dtype), index.shape)
        out.reshape(-1)[places] = src.reshape(-1)
    return out


def scatter_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to which `src` is added at ``[i, index[i, j], ...]`` along `dim`."""
    out = x.copy(order="C")
    if not index.size:
        return out
    src = dpnp.broadcast_to(cast(src, x.dtype), index.shape)
    lanes = [n for d, n in enumerate(x.shape) if d != dim] == [
        n for d, n in enumerate(index.shape) if d != dim
    ]
    if lanes and takes_source(x):
        checked([(index, x.shape[dim])])
        inner = prod(x.shape[dim + 1 :])
        index = ordered(from_start(index, x.shape[dim]))
        add_lanes(out, index, src, x.shape[dim], index.shape[dim], inner)
        return out
    add_at(out.reshape(-1), along(x, index, dim).reshape(-1), src.reshape(-1))
    return out


def index_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to whose parts `index`, a vector, along `dim` those of `src` are added."""
    checked([(index, x.shape[dim])])
    out = dpnp.moveaxis(x, dim, 0).copy(order="C")
    if not index.size or not out.size:
        return x.copy(order="C")
    shape = (index.shape[0], *out.shape[1:])
    src = dpnp.broadcast_to(dpnp.moveaxis(cast(src, x.dtype), dim, 0), shape)
    index = from_start(index, x.shape[dim])
    inner = prod(out.shape[1:])
    if takes_source(x):
        add_rows(out, ordered(index), src, inner)
    else:
        steps = dpnp.arange(inner, dtype=np.int64, sycl_queue=x.sycl_queue)
        places = index[:, None] * inner + steps
        add_at(out.reshape(-1), places.reshape(-1), src.reshape(-1))
    return dpnp.moveaxis(out, 0, dim).copy(order="C") if dim else out


# ---- adding up: dpnp has nothing like NumPy's `add.at`

# One work item for each column adds its rows in their order, so that results do not vary.
ROWS = """
__kernel void rows(__global $T* out, __global const long* index, __global const $T* src,
                   const ulong count, const ulong inner) {
    size_t i = get_global_id(0);
    for (ulong k = 0; k < count; k++) {
        __global $T* place = out + index[k] * inner + i;
        *place = $ADD;
    }
}"""
LANES = """
__kernel void lanes(__global $T* out, __global const long* index, __global const $T* src,
                    const ulong size, const ulong count, const ulong inner) {
    size_t i = get_global_id(0), o = get_global_id(1);
    for (ulong j = 0; j < count; j++) {
        ulong k = (o * count + j) * inner + i;
        __global $T* place = out + (o * size + index[k]) * inner + i;
        *place = $ADD;
    }
}"""


def adding(source: str, at: str, dtype: Any) -> str:
    """A kernel that adds ``src[at]`` to ``*place``; of bools it is the disjunction."""
    sign = "|" if dtype == np.bool_ else "+"
    return source.replace("$ADD", f"*place {sign} src[{at}]")


def reals(*arrays: Any) -> tuple[Any, ...]:
    """Complex arrays as real ones of twice the length, with the number 2; others with 1."""
    if arrays[0].dtype.kind != "c":
        return (*arrays, 1)
    return (*[view_as_real(a) for a in arrays], 2)


def add_rows(out: Any, index: Any, src: Any, inner: int) -> None:
    """Add the rows of `src` to those of `out`, which lies in order."""
    out, src, parts = reals(out, ordered(src))
    name = "rows_bool" if out.dtype == np.bool_ else "rows"
    source = adding(ROWS, "k * inner + i", out.dtype).replace("rows(", f"{name}(")
    run = kernel(out.sycl_queue, source, name, T=out.dtype)
    inner *= parts
    args = [out, index, src, whole(index.size), whole(inner)]
    launch(out.sycl_queue, run, args, (inner,))


def add_lanes(out: Any, index: Any, src: Any, size: int, count: int, inner: int) -> None:
    """Add along a dimension of `size` of `out`, of `count` of `src`."""
    if out.dtype.kind == "c":
        twice = dpnp.repeat(index[..., None], 2, axis=-1)
        out, src, index, inner = view_as_real(out), view_as_real(ordered(src)), twice, inner * 2
    name = "lanes_bool" if out.dtype == np.bool_ else "lanes"
    source = adding(LANES, "k", out.dtype).replace("lanes(", f"{name}(")
    run = kernel(out.sycl_queue, source, name, T=out.dtype)
    args = [out, ordered(index), ordered(src), whole(size), whole(count), whole(inner)]
    launch(out.sycl_queue, run, args, (index.size // (count * inner), inner))


def add_at(flat: Any, places: Any, values: Any) -> None:
    """Add vectors of values at places of the vector `flat`."""
    if not places.size:
        return
    if takes_source(flat):
        add_rows(flat, ordered(places), values, 1)
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
