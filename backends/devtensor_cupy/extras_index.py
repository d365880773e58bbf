"""Reading and writing at arrays of indices, in copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor_formulas import keys

from . import masks
from .lookup import WIDER, add_in_order, checked, in_order, read, write
from .memory import contiguous, forward, view_as_real
from .runtime import cupy

__all__ = ["bincount", "get", "index_add", "put", "scatter", "scatter_add"]


# ---- keys


def mask(part: Any) -> bool:
    """Whether a part of a key is an array of bools."""
    return isinstance(part, cupy.ndarray) and part.dtype == np.bool_


def key_of(x: Any, key: Any) -> tuple[Any, ...]:
    """A key whose arrays are in range and broadcast, as CuPy takes it.

    Raises
    ------
    IndexError
    """
    key = key if isinstance(key, tuple) else (key,)
    parts = [cupy.asarray(p) if isinstance(p, (np.ndarray, list)) else p for p in key]
    taken = sum([0 if p is None or p is Ellipsis else p.ndim if mask(p) else 1 for p in parts])
    if taken > x.ndim:
        raise IndexError(
            f"too many indices for array: array is {x.ndim}-dimensional, but {taken} were indexed"
        )
    pairs, shapes = [], []
    dim = 0
    for part in parts:
        if part is None:
            continue
        if part is Ellipsis:
            dim += x.ndim - taken
        elif mask(part):
            if part.shape != x.shape[dim : dim + part.ndim]:
                raise IndexError(
                    f"boolean index of shape {list(part.shape)} does not match the indexed array's "
                    f"{list(x.shape)} at dimension {dim}"
                )
            dim += part.ndim
        elif isinstance(part, cupy.ndarray):
            if part.dtype.kind not in "iu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            pairs.append((part, x.shape[dim]))
            shapes.append(part.shape)
            dim += 1
        else:
            dim += 1
    if shapes and not any(mask(part) for part in parts):
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            raise IndexError(
                "shape mismatch: indexing arrays could not be broadcast together with shapes "
                f"{' '.join([str(list(shape)) for shape in shapes])}"
            ) from None
    if pairs:
        checked(pairs)
    return tuple(parts)


def alone(x: Any, key: Any) -> tuple[int, Any] | None:
    """The dimension and the array of a key with one array of whole numbers; None for others."""
    found = keys.alone(key, cupy.ndarray, "iu")
    return found if found is not None and found[0] < x.ndim else None


def get(x: Any, key: Any, /) -> Any:
    """Elements at a key of slices, integer arrays and masks, as NumPy reads it.

    Waits for the device, to check the indices, or to count those of a mask.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    """
    one = alone(x, key)
    if one is not None:
        return read(x, *one, False)
    marked = keys.alone_mask(x, key, cupy.ndarray)
    if marked is not None:
        return masks.chosen(x, *marked)
    try:
        return forward(x[key_of(x, key)])
    except ValueError as reason:  # only counting tells what a mask broadcasts with
        raise IndexError(str(reason)) from None


def put(x: Any, key: Any, values: Any, accumulate: bool = False, /) -> Any:
    """A copy of `x` with `values` at a key, or added there, however often an index is repeated.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    ValueError
        If `values` do not broadcast to what the key selects.
    """
    one, values = alone(x, key), cast(values, x.dtype)
    if one is not None:
        out, (axis, index) = contiguous(x), one
        shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
        write(out, axis, index, cupy.broadcast_to(values, shape), False, accumulate)
        return out
    marked = keys.alone_mask(x, key, cupy.ndarray)
    if marked is not None and marked[1].ndim == x.ndim and not accumulate:
        return masks.replaced(x, marked[1], values)
    key = key_of(x, key)
    out = contiguous(x)
    if accumulate:
        add_at(out, key, values)
    else:
        out[key] = values
    return out


def cast(values: Any, dtype: Any) -> Any:
    """`values` in a type, by force."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "c" and dtype.kind != "c":
        values = values.real
    return values.astype(dtype)


# ---- along a dimension


def scatter(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` with the elements of `src` at ``[i, index[i, j], ...]`` along `dim`."""
    out = contiguous(x)
    write(out, dim, index, cupy.broadcast_to(cast(src, x.dtype), index.shape), True, False)
    return out


def scatter_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to which `src` is added at ``[i, index[i, j], ...]`` along `dim`."""
    out = contiguous(x)
    write(out, dim, index, cupy.broadcast_to(cast(src, x.dtype), index.shape), True, True)
    return out


def index_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to whose parts `index`, a vector, along `dim` those of `src` are added."""
    out = contiguous(x)
    shape = (*x.shape[:dim], index.shape[0], *x.shape[dim + 1 :])
    write(out, dim, index, cupy.broadcast_to(cast(src, x.dtype), shape), False, True)
    return out


# ---- adding up, by atomic additions: the order, and so the rounding, of floats varies, unless
# it is asked for


def add_at(out: Any, key: tuple[Any, ...], values: Any) -> None:
    """Add values at a key of `out`, in its memory."""
    name = out.dtype.name
    if out.dtype.kind == "c":
        parts = view_as_real(out)
        for part, more in ((parts[..., 0], values.real), (parts[..., 1], values.imag)):
            add_at(part, key, more)
        return
    if name in WIDER:
        wide = out.astype(WIDER[name])
        add_at(wide, key, values.astype(WIDER[name]))
        out[...] = wide != 0 if name == "bool" else wide.astype(out.dtype)
        return
    if name == "int64":  # CuPy 13 adds only those without a sign; the bits are the same
        out, values = out.view(np.uint64), values.astype(out.dtype, copy=False).view(np.uint64)
    if in_order(out):
        total = contiguous(out)
        places = cupy.arange(out.size).reshape(out.shape)[key]
        add_in_order(total, places, cupy.broadcast_to(values.astype(out.dtype), places.shape))
        out[...] = total
        return
    cupy.add.at(out, key, values)


def bincount(x: Any, weights: Any = None, minlength: int = 0, /) -> Any:
    """How often each number from 0 on is in the vector `x`, or the sum of its weights (float64)."""
    if not x.size:
        return cupy.zeros(minlength, np.int64 if weights is None else np.float64)
    x = x.astype(np.int64, copy=False)
    low, high = int(x.min()), int(x.max())
    if low < 0:
        raise ValueError("bincount: numbers must not be negative")
    total = cupy.zeros(max(high + 1, minlength), np.int64 if weights is None else np.float64)
    more = cupy.ones(x.shape, np.int64) if weights is None else weights.astype(np.float64)
    add_at(total, (x,), more)
    return total
