"""How dense tensors become sparse ones, and what they say when they are taken for such."""

from __future__ import annotations

from typing import Any

from devtensor.settings import sparse_coo as COO
from devtensor.tensor import Tensor, on_tensor


REFUSED = ("_indices", "_nnz", "_values", "resize_as_sparse_", "sparse_resize_",
           "sparse_resize_and_clear_")  # fmt: skip


def refuse(name: str, kind: type[Exception] = RuntimeError) -> Any:
    """A method of sparse tensors that dense ones have not."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise kind(
            f"{name} expected sparse coordinate tensor layout but got Strided; call .to_sparse() "
            "first"
        )

    call.__name__ = name
    call.__doc__ = "Refused: this is for sparse tensors."
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
            ``torch.sparse_coo``; there is no other one.

        Raises
        ------
        NotImplementedError
            If another layout is asked for.
        """
        if layout not in (None, COO):
            raise NotImplementedError(
                f"to_sparse(): of sparse layouts there is {COO}, got {layout}; leave it out"
            )
        from devtensor.sparse import to_sparse  # loaded with the first of them

        return to_sparse(self, sparse_dim)

    def to_sparse_coo(self: Any) -> Tensor:
        """The elements that are not zero, with their coordinates."""
        made: Tensor = self.to_sparse()
        return made

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
for _name in REFUSED:
    setattr(Scarce, _name, refuse(_name, NotImplementedError))
on_tensor(Scarce)
