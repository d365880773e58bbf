"""Sparse matrices whose rows are counted (``torch.sparse_csr``).

They are kept as coordinates in the order of rows, and differ from others in what they say of
themselves: so every operation is theirs, too.
"""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.ops.convert import alias
from devtensor.settings import layout as Layout
from devtensor.settings import sparse_csr
from devtensor.sparse._make import check_size, coalesced
from devtensor.sparse._tensor import SparseTensor
from devtensor.tensor import Tensor

__all__ = ["RowsTensor", "in_rows", "sparse_compressed_tensor", "sparse_csr_tensor"]

OTHER = {"coalesce", "sparse_resize_", "sparse_resize_and_clear_"}
"""What is for tensors of coordinates alone."""


class RowsTensor(SparseTensor):
    """A sparse matrix that says of its rows where they begin (``torch.sparse_csr``)."""

    __slots__ = ()
    is_sparse, is_sparse_csr = False, True

    @property
    def layout(self) -> Any:
        """``torch.sparse_csr``."""
        return sparse_csr

    def crow_indices(self) -> Tensor:
        """Where each row begins among the entries, and where the last one ends."""
        return _convert_indices_from_coo_to_csr(self._parts[0][0], self._size[0])

    def col_indices(self) -> Tensor:
        """The column of each entry."""
        column: Tensor = self._parts[0][1]
        return column

    def values(self) -> Tensor:
        """The values of the entries."""
        return alias(self._parts[1])

    def indices(self) -> Tensor:
        """Refused, as are the others of tensors of coordinates."""
        raise refused("indices")

    def is_coalesced(self) -> bool:
        """Refused."""
        raise refused("is_coalesced")

    def _shown(self) -> tuple[dict[str, Tensor], bool]:
        """What is printed, by name, and whether the rest begins a line of its own."""
        parts = {"crow_indices": self.crow_indices(), "col_indices": self.col_indices()}
        return {**parts, "values": self._parts[1]}, False

    def __reduce_ex__(self, protocol: Any) -> Any:
        rebuild, _ = super().__reduce_ex__(protocol)
        parts = self.crow_indices(), self.col_indices(), self._parts[1].detach()
        return rebuild, (sparse_csr, (*parts, self._size))

    def _become(self, other: SparseTensor) -> SparseTensor:
        """Take over what another one has, in the order of rows."""
        return super()._become(in_rows(other))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The same; what is made of matrices with rows has them, too."""
        name = func.__name__
        if name in OTHER:
            raise refused(name)
        result = super().__torch_function__(func, types, args, kwargs)
        if result.__class__ is SparseTensor and name not in ("to_sparse", "to_sparse_coo"):
            return in_rows(result) if result.sparse_dim() == result.ndim == 2 else result
        return result


def refused(name: str) -> RuntimeError:
    """The error for what is asked of the other layout."""
    return RuntimeError(
        f"{name} expected sparse coordinate tensor layout but got SparseCsr; call .to_sparse() "
        "first"
    )


def in_rows(input: SparseTensor) -> RowsTensor:
    """A sparse matrix with its rows counted.

    Raises
    ------
    RuntimeError
        If it is no matrix of numbers.
    """
    if isinstance(input, RowsTensor):
        return input
    if input.sparse_dim() != 2 or input.ndim != 2:
        raise RuntimeError(
            f"to_sparse_csr(): expected a matrix, got size {list(input.shape)} with "
            f"{input.sparse_dim()} sparse dimensions"
        )
    whole = coalesced(input)
    made = RowsTensor(*whole._parts, whole.shape, True)
    made._origin = whole._origin
    return made


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> RowsTensor:
    """Make a sparse matrix of its rows (``torch.sparse_csr_tensor``).

    Parameters
    ----------
    crow_indices : array_like of int
        Where each row begins among the entries, and where the last one ends; one more than there
        are rows.
    col_indices : array_like of int
        The column of each entry.
    values : array_like
        As many.
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
    values = dt.as_tensor(values, dtype=dtype, device=device)
    start, column = (
        dt.as_tensor(one, device=values.device).detach().to(dt.int64)
        for one in (crow_indices, col_indices)
    )
    if start.ndim != 1 or column.ndim != 1 or values.ndim != 1:
        raise RuntimeError(
            "sparse_csr_tensor(): batches and dense dimensions are not here: crow_indices, "
            f"col_indices and values must have 1 dimension, got {start.ndim}, {column.ndim} and "
            f"{values.ndim}; use sparse_coo_tensor"
        )
    counts = start.diff()
    if not len(start) or len(column) != len(values) or int(start[-1]) != len(column):
        raise RuntimeError(
            "sparse_csr_tensor(): the last of crow_indices, the length of col_indices and that of "
            f"values must be one number, got {start[-1:].tolist()}, {len(column)} and {len(values)}"
        )
    if int(start[0]) or bool((counts < 0).any()):
        raise RuntimeError("sparse_csr_tensor(): crow_indices must begin with 0 and not decrease")
    indices = _convert_indices_from_csr_to_coo(start, column)
    if size is None:
        size = len(counts), int(column.max()) + 1 if len(column) else 0
    size = tuple(size)
    check_size(indices, values, size, check_invariants)
    values = alias(values) if values.requires_grad else values.detach()
    made = RowsTensor(indices, values, size)
    made._coalesced = not len(column) or bool((made._keys().diff() > 0).all())
    if values.requires_grad:
        made._origin = "SparseCompressedTensorBackward0"
    elif requires_grad:
        made.requires_grad_()
    return made


def sparse_compressed_tensor(
    compressed_indices: Any, plain_indices: Any, values: Any, size: Any = None, *,
    layout: Layout | None = None, **options: Any,
) -> RowsTensor:  # fmt: skip
    """The same, with the layout as an argument: ``torch.sparse_csr``, there is no other.

    Raises
    ------
    NotImplementedError
        If `layout` is another one.
    """
    if layout is not sparse_csr:
        raise NotImplementedError(
            f"sparse_compressed_tensor(): the layout must be {sparse_csr}, got {layout}"
        )
    return sparse_csr_tensor(compressed_indices, plain_indices, values, size, **options)


def _convert_indices_from_coo_to_csr(
    input: Tensor, size: int, *, out_int32: bool = False
) -> Tensor:
    """Where each of `size` rows begins among entries that are in the order of rows."""
    ends = dt.arange(size, device=input.device)
    behind = dt.searchsorted(input.to(dt.int64).contiguous(), ends, right=True)
    begins = dt.cat([behind.new_zeros(1), behind])
    return begins.int() if out_int32 else begins


def _convert_indices_from_csr_to_coo(
    crow_indices: Tensor,
    col_indices: Tensor,
    *,
    out_int32: bool = False,
    transpose: bool = False,
) -> Tensor:
    """The row and column of each entry; with `transpose` the column stands first."""
    rows = dt.arange(len(crow_indices) - 1, device=crow_indices.device)
    row = dt.repeat_interleave(rows, crow_indices.diff())
    parts = [row, col_indices.to(dt.int64)]
    indices = dt.stack(parts[::-1] if transpose else parts)
    return indices.int() if out_int32 else indices
