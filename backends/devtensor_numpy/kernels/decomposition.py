"""Decompositions that NumPy does not have, in place, and those that it has under other names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devtensor.ops import decomposition as common

from .linalg import Array, is_half

PANEL = 32  # Columns that are worked on before the rest of the matrix is, by one product.


def exchange(x: Array, i: int, j: int) -> None:
    """Exchange two rows."""
    x[[i, j]] = x[[j, i]]


def decompose(x: Array, pivots: Array, pivot: bool) -> int:
    """`lu_packed` of one matrix in its own memory; gives `info`."""
    height, width = x.shape
    count, info = min(height, width), 0
    for start in range(0, count, PANEL):
        stop = min(start + PANEL, count)
        for j in range(start, stop):
            best = j + int(common.magnitude(np, x[j:, j]).argmax()) if pivot else j
            pivots[j] = best + 1
            if best != j:
                exchange(x, j, best)
            corner = x[j, j]
            if corner == 0:
                info = info or j + 1
                if pivot:
                    continue
            else:
                x[j + 1 :, j] /= corner
            x[j + 1 :, j + 1 : stop] -= np.multiply.outer(x[j + 1 :, j], x[j, j + 1 : stop])
        if stop < width:
            lower = np.tril(x[start:stop, start:stop], -1) + np.eye(stop - start, dtype=x.dtype)
            x[start:stop, stop:] = np.linalg.solve(lower, x[start:stop, stop:])
            x[stop:, stop:] -= x[stop:, start:stop] @ x[start:stop, stop:]
    return info


def lu_packed(xp: Any, A: Array, /, pivot: bool = True) -> tuple[Array, Array, Array]:
    """`lu_packed`, one matrix after the other."""
    if is_half(A.dtype):  # NumPy solves no equations in it
        return common.lu_packed.kernel(xp, A, pivot)
    batch, (height, width) = A.shape[:-2], A.shape[-2:]
    number, count = math.prod(batch), min(height, width)
    x = np.array(A, order="C")
    pivots, info = np.empty((number, count), np.int32), np.empty(number, np.int32)
    for i, matrix in enumerate(x.reshape(number, height, width)):
        info[i] = decompose(matrix, pivots[i], pivot)
    return x, pivots.reshape(*batch, count), info.reshape(batch)


def row_exchanges(xp: Any, pivots: Array, /, size: int, dtype: Any = None) -> Array:
    """`row_exchanges`, one exchange after the other."""
    if pivots.size and not 1 <= pivots.min() <= pivots.max() <= size:
        return common.row_exchanges.kernel(xp, pivots, size, dtype)
    batch, count = pivots.shape[:-1], pivots.shape[-1]
    number = math.prod(batch)
    out = np.zeros((number, size, size), np.float32 if dtype is None else dtype)
    places = np.arange(size)
    for matrix, exchanges in zip(out, pivots.reshape(number, count).tolist(), strict=True):
        order = list(range(size))
        for i, j in enumerate(exchanges):
            order[i], order[j - 1] = order[j - 1], order[i]
        matrix[order, places] = 1
    return out.reshape(*batch, size, size)


def qr_packed(xp: Any, A: Array, /) -> tuple[Array, Array]:
    """`qr_packed` by LAPACK."""
    if not A.size or is_half(A.dtype):
        return common.qr_packed.kernel(xp, A)
    packed, factors = np.linalg.qr(A, "raw")
    return np.ascontiguousarray(packed.swapaxes(-1, -2)), factors


KERNELS = {"lu_packed": lu_packed, "row_exchanges": row_exchanges, "qr_packed": qr_packed}
