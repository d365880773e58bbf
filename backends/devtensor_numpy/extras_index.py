"""Reading and writing at arrays of indices, which the array API lacks, in copies."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bincount", "get", "index_add", "put", "scatter", "scatter_add"]

Array = np.ndarray[Any, Any]


def get(x: Any, key: tuple[Any, ...], /) -> Any:
    """Elements at a key of slices, integer arrays and masks, as NumPy reads it.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    """
    return x[key]


def put(x: Any, key: tuple[Any, ...], values: Any, accumulate: bool = False, /) -> Array:
    """A copy of `x` with `values` at a key, or added there, however often an index is repeated.

    Raises
    ------
    IndexError
        If an index is out of range, or the arrays do not broadcast.
    ValueError
        If `values` do not broadcast to what the key selects.
    """
    out = np.array(x, order="C")
    if accumulate:
        np.add.at(out, key, values)
    else:
        out[key] = values
    return out


def along(x: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """The key of the places ``[i, index[i, j], ...]``."""
    return tuple(
        [
            index if d == dim else np.arange(n).reshape((n,) + (1,) * (index.ndim - d - 1))
            for d, n in enumerate(index.shape)
        ]
    )


def scatter(x: Any, dim: int, index: Any, src: Any, /) -> Array:
    """A copy of `x` with the elements of `src` at ``[i, index[i, j], ...]`` along `dim`."""
    out = np.array(x, order="C")
    out[along(x, index, dim)] = src
    return out


def scatter_add(x: Any, dim: int, index: Any, src: Any, /) -> Array:
    """A copy of `x` to which `src` is added at ``[i, index[i, j], ...]`` along `dim`."""
    out = np.array(x, order="C")
    np.add.at(out, along(x, index, dim), src)
    return out


def index_add(x: Any, dim: int, index: Any, src: Any, /) -> Array:
    """A copy of `x` to whose parts `index`, a vector, along `dim` those of `src` are added."""
    out = np.array(x, order="C")
    np.add.at(np.moveaxis(out, dim, 0), index, np.moveaxis(src, dim, 0))
    return out


def bincount(x: Any, weights: Any = None, minlength: int = 0, /) -> Array:
    """How often each number from 0 on is in the vector `x`, or the sum of its weights (float64)."""
    return np.bincount(x.astype(np.int64, copy=False), weights, minlength)
