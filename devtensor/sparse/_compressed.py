"""Making sparse matrices of their counted rows or columns (``torch.sparse_csr_tensor``)."""

from __future__ import annotations

from math import prod
from typing import Any

import devtensor as dt
from devtensor.ops.convert import alias
from devtensor.settings import layout as Layout
from devtensor.settings import sparse_bsc, sparse_bsr, sparse_csc, sparse_csr
from devtensor.sparse._make import check_size
from devtensor.sparse._rows import TURNED, CompressedTensor, Kind, shown
from devtensor.tensor import Tensor

__all__ = [
    "sparse_bsc_tensor",
    "sparse_bsr_tensor",
    "sparse_compressed_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
]


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """Make a sparse matrix of its rows (``torch.sparse_csr_tensor``).

    Parameters
    ----------
    crow_indices : array_like of int
        Where each row begins among the entries, and where the last one ends; one more than there
        are rows. A batch of matrices has further dimensions before.
    col_indices : array_like of int
        The column of each entry.
    values : array_like
        As many; further dimensions are dense.
    size : sequence of int, optional
        The rows and columns; by default the least that holds all entries.
    dtype, device, pin_memory, requires_grad, check_invariants
        As for :func:`devtensor.sparse_coo_tensor`.

    Returns
    -------
    Tensor

    Raises
    ------
    RuntimeError
        If the parts do not belong together.

    Examples
    --------
    >>> import devtensor as dt
    >>> s = dt.sparse_csr_tensor([0, 1, 3], [1, 0, 2], [2.0, 1.0, 3.0], (2, 3))
    >>> s @ dt.ones(3)
    tensor([2., 4.])
    """
    parts = crow_indices, col_indices, values
    return compressed("sparse_csr_tensor", *parts, size, sparse_csr, **options)


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """Make a sparse matrix of its columns; see :func:`sparse_csr_tensor`."""
    parts = ccol_indices, row_indices, values
    return compressed("sparse_csc_tensor", *parts, size, sparse_csc, **options)


def sparse_bsr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """Make a sparse matrix of rows of blocks; see :func:`sparse_csr_tensor`.

    Parameters
    ----------
    crow_indices, col_indices : array_like of int
        As there, of blocks.
    values : array_like
        Shape ``(blocks, rows, columns)``.
    size : sequence of int, optional
        Of the whole matrix.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.sparse_bsr_tensor([0, 1, 2], [1, 0], [[[1.0, 2.0]], [[3.0, 4.0]]], (2, 4)).to_dense()
    tensor([[0., 0., 1., 2.],
            [3., 4., 0., 0.]])
    """
    parts = crow_indices, col_indices, values
    return compressed("sparse_bsr_tensor", *parts, size, sparse_bsr, **options)


def sparse_bsc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """Make a sparse matrix of columns of blocks; see :func:`sparse_bsr_tensor`."""
    parts = ccol_indices, row_indices, values
    return compressed("sparse_bsc_tensor", *parts, size, sparse_bsc, **options)


def sparse_compressed_tensor(
    compressed_indices: Any, plain_indices: Any, values: Any, size: Any = None, *,
    layout: Layout | None = None, **options: Any,
) -> CompressedTensor:  # fmt: skip
    """The same, with the layout as an argument.

    Raises
    ------
    RuntimeError
        If `layout` is none of the four.
    """
    if layout not in TURNED:
        raise RuntimeError(
            "sparse_compressed_tensor expected sparse compressed tensor layout but got "
            f"{'none' if layout is None else shown(layout)}; it is sparse_csr, sparse_csc, "
            "sparse_bsr or sparse_bsc"
        )
    parts = compressed_indices, plain_indices, values
    return compressed("sparse_compressed_tensor", *parts, size, layout, **options)


def compressed(
    name: str, begins: Any, places: Any, values: Any, size: Any, layout: Layout, *,
    dtype: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> CompressedTensor:  # fmt: skip
    """A tensor of a layout from its parts."""
    values = dt.as_tensor(values, dtype=dtype, device=device)
    begins, places = (
        dt.as_tensor(one, device=values.device).detach().to(dt.int64) for one in (begins, places)
    )
    batch = begins.ndim - 1
    blocked = Kind(layout).blocked
    if batch < 0 or places.ndim != batch + 1:
        raise RuntimeError(
            f"{name}(): the numbers of entries and their places must have as many dimensions, one "
            f"at least, got shapes {list(begins.shape)} and {list(places.shape)}"
        )
    if values.ndim < batch + 1 + 2 * blocked:
        raise RuntimeError(
            "values must have dimensionality > sum of batch and block dimensionalities (="
            f"{batch} + {2 * blocked}) but got {values.ndim}"
        )
    block = tuple(values.shape[batch + 1 : batch + 3]) if blocked else (1, 1)
    kind, outer, count = Kind(layout, block), tuple(begins.shape[:-1]), places.shape[-1]
    matrices, lines = prod(outer), begins.shape[-1] - 1
    flat_begins, counts = begins.reshape(matrices, lines + 1), begins.diff().reshape(-1)
    ends = flat_begins[:, -1:]
    if lines < 0 or tuple(values.shape[: batch + 1]) != (*outer, count) or bool(
        (ends != count).any()
    ):  # fmt: skip
        raise RuntimeError(
            f"{name}(): the last of {kind.names[0]}, the length of {kind.names[1]} and that of "
            f"values must be one number, got {ends.reshape(-1).tolist()}, {count} and "
            f"{list(values.shape[: batch + 1])}"
        )
    if bool((flat_begins[:, 0] != 0).any()) or bool((counts < 0).any()):
        raise RuntimeError(f"{name}(): {kind.names[0]} must begin with 0 and not decrease")
    line = dt.arange(lines, device=values.device).repeat(matrices).repeat_interleave(counts)
    place, (h, w) = places.reshape(-1), block
    row, column = (line, place) if kind.by_rows else (place, line)
    if size is None:
        most = int(place.max()) + 1 if len(place) else 0
        wide = (lines, most) if kind.by_rows else (most, lines)
        size = (*outer, wide[0] * h, wide[1] * w, *values.shape[batch + 1 + 2 * blocked :])
    down = dt.arange(h, device=row.device).reshape(1, h, 1)
    along = dt.arange(w, device=row.device).reshape(1, 1, w)
    number = dt.arange(matrices, device=row.device).repeat_interleave(count)
    above = dt.unravel_index(number, outer) if outer else ()
    shape = (len(row), h, w)
    parts = [*[one.reshape(-1, 1, 1) for one in above], row.reshape(-1, 1, 1) * h + down,
             column.reshape(-1, 1, 1) * w + along]  # fmt: skip
    indices = dt.stack([one.expand(shape).reshape(-1) for one in parts])
    entries = values.reshape(indices.shape[1], *values.shape[batch + 1 + 2 * blocked :])
    return finished(indices, entries, tuple(size), kind, requires_grad, check_invariants)


def finished(
    indices: Tensor, values: Tensor, size: tuple[int, ...], kind: Kind, requires_grad: bool,
    check_invariants: bool | None,
) -> CompressedTensor:  # fmt: skip
    """The same of coordinates that are in the order in which they were told."""
    check_size(indices, values, size, check_invariants)
    values = alias(values) if values.requires_grad else values.detach()
    made = CompressedTensor.of(indices, values, size, kind)
    key = made._keys()
    if kind.layout is not sparse_csr and len(key) > 1:
        order = key.argsort(stable=True)
        made._parts = indices[:, order], values.index_select(0, order)
        key = key[order]
    made._coalesced = len(key) < 2 or bool((key.diff() > 0).all())
    if values.requires_grad:
        made._origin = "SparseCompressedTensorBackward0"
    elif requires_grad:
        made.requires_grad_()
    return made
