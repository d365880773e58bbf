"""How dense tensors become sparse ones, and what they say when they are taken for such."""

from __future__ import annotations

from typing import Any

from devtensor.settings import sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr
from devtensor.tensor import Tensor, on_tensor

REFUSED = ("_indices", "_nnz", "_values", "resize_as_sparse_", "sparse_resize_",
           "sparse_resize_and_clear_")  # fmt: skip


def refuse(name: str, error: type[Exception] = RuntimeError, kind: str = "coordinate") -> Any:
    """A method of sparse tensors that dense ones have not."""

    cure = {"coordinate": ".to_sparse()", "row compressed": ".to_sparse_csr()"}.get(
        kind, ".to_sparse_csc()"
    )

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error(
            f"{name} expected sparse {kind} tensor layout but got Strided; call {cure} first"
        )

    call.__name__ = name
    call.__doc__ = "Refused: this is for sparse tensors."
    return call


def lines(input: Any, layout: Any, dense_dim: int | None, block: Any = (1, 1)) -> Tensor:
    """The elements of matrices that are not zero, line by line."""
    from devtensor.sparse import to_sparse  # loaded with the first of them
    from devtensor.sparse._rows import Kind, of_layout, pair

    whole = to_sparse(input, input.ndim - (dense_dim or 0))
    return of_layout(whole, Kind(layout, pair(block)))


class Scarce:
    """Methods that have to do with sparse tensors."""

    def to_sparse(
        self: Any, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None,
        dense_dim: int | None = None,
    ) -> Tensor:  # fmt: skip
        """The elements that are not zero, with their coordinates (``torch.sparse_coo``).

        Parameters
        ----------
        sparse_dim : int, optional
            The dimensions with coordinates, from the first on; all by default.
        layout : layout, optional
            ``torch.sparse_coo`` by default.
        blocksize : tuple of int, optional
            The rows and columns of a block, for layouts that have blocks.
        dense_dim : int, optional
            How many dimensions stay dense, for the other layouts.

        Raises
        ------
        RuntimeError
            If that is no layout of sparse tensors.
        """
        if layout not in (None, sparse_coo):
            if not str(layout).startswith("torch.sparse"):
                raise RuntimeError(f"to_sparse(): {layout} is no layout of sparse tensors")
            block = () if blocksize is None else (blocksize,)
            return lines(self, layout, dense_dim, *block)
        from devtensor.sparse import to_sparse  # loaded with the first of them

        return to_sparse(self, sparse_dim)

    def to_sparse_coo(self: Any) -> Tensor:
        """The elements that are not zero, with their coordinates."""
        made: Tensor = self.to_sparse()
        return made

    def to_sparse_csr(self: Any, dense_dim: int | None = None) -> Tensor:
        """The elements of a matrix that are not zero, row by row (``torch.sparse_csr``).

        Parameters
        ----------
        dense_dim : int, optional
            How many dimensions stay dense, from the last on.

        Raises
        ------
        RuntimeError
            If it is no matrix, nor a batch of matrices with as many entries.
        """
        return lines(self, sparse_csr, dense_dim)

    def to_sparse_csc(self: Any, dense_dim: int | None = None) -> Tensor:
        """The same, column by column (``torch.sparse_csc``)."""
        return lines(self, sparse_csc, dense_dim)

    def to_sparse_bsr(self: Any, blocksize: Any, dense_dim: int | None = None) -> Tensor:
        """The same, by rows of blocks of such sizes (``torch.sparse_bsr``).

        Raises
        ------
        RuntimeError
            If the sizes are not those of whole blocks.
        """
        return lines(self, sparse_bsr, dense_dim, blocksize)

    def to_sparse_bsc(self: Any, blocksize: Any, dense_dim: int | None = None) -> Tensor:
        """The same, by columns of blocks (``torch.sparse_bsc``)."""
        return lines(self, sparse_bsc, dense_dim, blocksize)

    def sparse_mask(self: Any, mask: Any) -> Tensor:
        """The elements at the coordinates that a sparse tensor of the same size has.

        Raises
        ------
        RuntimeError
            If the sizes differ, or `mask` is not sparse.
        """
        from devtensor.sparse._make import masked

        return masked(self, mask)

    def sparse_dim(self: Any) -> int:
        """The number of dimensions with coordinates: 0 for a dense tensor."""
        return 0

    def dense_dim(self: Any) -> int:
        """The number of dimensions without coordinates: all of a dense tensor."""
        return int(self.ndim)


for _name in ("coalesce", "indices", "is_coalesced", "values"):
    setattr(Scarce, _name, refuse(_name))
for _name in ("ccol_indices", "col_indices", "crow_indices", "row_indices"):
    _kind = "row" if _name in ("col_indices", "crow_indices") else "column"
    setattr(Scarce, _name, refuse(_name, kind=f"{_kind} compressed"))
for _name in REFUSED:
    setattr(Scarce, _name, refuse(_name, NotImplementedError))
on_tensor(Scarce)
