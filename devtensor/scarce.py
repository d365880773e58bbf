"""How dense tensors become sparse ones, and what they say when they are taken for such."""

from __future__ import annotations

from typing import Any

from devtensor.settings import sparse_coo, sparse_csr
from devtensor.tensor import Tensor, on_tensor

REFUSED = ("_indices", "_nnz", "_values", "resize_as_sparse_", "sparse_resize_",
           "sparse_resize_and_clear_")  # fmt: skip


def refuse(name: str, error: type[Exception] = RuntimeError, kind: str = "coordinate") -> Any:
    """A method of sparse tensors that dense ones have not."""

    cure = ".to_sparse()" if kind == "coordinate" else ".to_sparse_csr()"

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error(
            f"{name} expected sparse {kind} tensor layout but got Strided; call {cure} first"
        )

    call.__name__ = name
    call.__doc__ = "Refused: this is for sparse tensors."
    return call


def other_layout(name: str) -> Any:
    """A method that would make a tensor of a layout that is not here."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"to_sparse_{name}(): there is no layout sparse_{name}; call .to_sparse_csr() or "
            ".to_sparse()"
        )

    call.__name__ = f"to_sparse_{name}"
    call.__doc__ = f"Refused: there is no layout ``torch.sparse_{name}``."
    return call


class Scarce:
    """Methods that have to do with sparse tensors."""

    def to_sparse(
        self: Any, sparse_dim: int | None = None, *, layout: Any = None, **_: Any
    ) -> Tensor:
        """The elements that are not zero, with their coordinates (``torch.sparse_coo``).

        Parameters
        ----------
        sparse_dim : int, optional
            The dimensions with coordinates, from the first on; all by default.
        layout : layout, optional
            ``torch.sparse_coo`` or ``torch.sparse_csr``.

        Raises
        ------
        NotImplementedError
            If another layout is asked for.
        """
        if layout is sparse_csr:
            made: Tensor = self.to_sparse_csr()
            return made
        if layout not in (None, sparse_coo):
            raise NotImplementedError(
                f"to_sparse(): there is no layout {layout}; take {sparse_coo} or {sparse_csr}"
            )
        from devtensor.sparse import to_sparse  # loaded with the first of them

        return to_sparse(self, sparse_dim)

    def to_sparse_coo(self: Any) -> Tensor:
        """The elements that are not zero, with their coordinates."""
        made: Tensor = self.to_sparse()
        return made

    def to_sparse_csr(self: Any, dense_dim: int | None = None) -> Tensor:
        """The elements of a matrix that are not zero, row by row (``torch.sparse_csr``).

        Raises
        ------
        RuntimeError
            If it is no matrix.
        """
        from devtensor.sparse import in_rows, to_sparse

        return in_rows(to_sparse(self))

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
    setattr(Scarce, _name, refuse(_name, kind="row compressed"))
for _name in REFUSED:
    setattr(Scarce, _name, refuse(_name, NotImplementedError))
for _name in ("csc", "bsr", "bsc"):
    setattr(Scarce, f"to_sparse_{_name}", other_layout(_name))
on_tensor(Scarce)
