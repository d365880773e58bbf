"""Reading and writing at arrays of indices, in copies."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from .kernels import elementwise
from .memory import contiguous, forward, view_as_real
from .runtime import cupy, home

__all__ = ["bincount", "get", "index_add", "put", "scatter", "scatter_add"]


# ---- indices out of range, which CuPy takes as if the array repeated itself

_flags: dict[int, Any] = {}
_lock = Lock()


def checked(pairs: list[tuple[Any, int]]) -> None:
    """Wait for the device, and look whether integer indices are in range.

    Raises
    ------
    IndexError
    """
    pairs = [(index, size) for index, size in pairs if index.size]
    if not pairs:
        return
    with _lock:  # one flag for each device, which is 0 between calls
        place = home(pairs[0][0])
        flag = _flags.get(place)
        if flag is None:
            flag = _flags[place] = cupy.zeros(1, np.int32)
        kernel = elementwise("outside")
        for index, size in pairs:
            kernel(index, size, flag)
        if not int(flag[0]):
            return
        flag.fill(0)
    for index, size in pairs:
        low, high = int(index.min()), int(index.max())
        if low < -size or high >= size:
            wrong = low if low < -size else high
            raise IndexError(f"index {wrong} is out of bounds for axis of size {size}")


def positive(index: Any, size: int) -> Any:
    """Indices counted from the start, as int64."""
    index = index.astype(np.int64, copy=False)
    return cupy.where(index < 0, index + size, index)


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


def get(x: Any, key: Any, /) -> Any:
    """Elements at a key of slices, integer arrays and masks, as NumPy reads it.

    Waits for the device, to check the indices, or to count those of a mask.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    """
    return forward(x[key_of(x, key)])


def put(x: Any, key: Any, values: Any, accumulate: bool = False, /) -> Any:
    """A copy of `x` with `values` at a key, or added there, however often an index is repeated.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    ValueError
        If `values` do not broadcast to what the key selects.
    """
    key = key_of(x, key)
    out = contiguous(x)
    values = cast(values, x.dtype)
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


def along(x: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """The key of the places ``[i, index[i, j], ...]``, in range."""
    checked([(index, x.shape[dim])])
    return tuple(
        [
            index if d == dim else cupy.arange(n).reshape((n,) + (1,) * (index.ndim - d - 1))
            for d, n in enumerate(index.shape)
        ]
    )


def scatter(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` with the elements of `src` at ``[i, index[i, j], ...]`` along `dim`."""
    out = contiguous(x)
    if index.size:
        out[along(x, index, dim)] = cupy.broadcast_to(cast(src, x.dtype), index.shape)
    return out


def scatter_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to which `src` is added at ``[i, index[i, j], ...]`` along `dim`."""
    out = contiguous(x)
    if index.size:
        src = cupy.broadcast_to(cast(src, x.dtype), index.shape)
        add_at(out, along(x, index, dim), src)
    return out


def index_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """A copy of `x` to whose parts `index`, a vector, along `dim` those of `src` are added."""
    checked([(index, x.shape[dim])])
    out = contiguous(x)
    if index.size and out.size:
        rows = cupy.moveaxis(cast(src, x.dtype), dim, 0)
        seen = cupy.moveaxis(out, dim, 0)
        add_at(seen, (index,), cupy.broadcast_to(rows, (index.shape[0], *seen.shape[1:])))
    return out


# ---- adding up, by atomic additions: the order, and so the rounding, of floats varies

WIDER = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32",
         "float16": "float32", "bfloat16": "float32"}  # fmt: skip


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
