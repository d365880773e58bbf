"""Sparse matrices whose rows or columns are counted (``torch.sparse_csr`` and its kin).

They are kept as coordinates and values, and differ from others in what they say of themselves: so
every operation is theirs, too. Where entries come in blocks, each element of a block is an entry.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.ops.convert import alias
from devtensor.settings import layout as Layout
from devtensor.settings import sparse_bsc, sparse_bsr, sparse_csc, sparse_csr
from devtensor.sparse._make import coalesced
from devtensor.sparse._tensor import SparseTensor
from devtensor.tensor import Tensor

__all__ = ["CompressedTensor", "Kind", "in_rows", "of_layout", "pair", "shown", "to_layout"]

OTHER = {"coalesce", "sparse_resize_", "sparse_resize_and_clear_"}
"""What is for tensors of coordinates alone."""

TURNED = {sparse_csr: sparse_csc, sparse_csc: sparse_csr, sparse_bsr: sparse_bsc,
          sparse_bsc: sparse_bsr}  # fmt: skip
"""The layout of the transposed matrix."""

TURNING = {"t", "transpose", "mT", "mH", "H", "numpy_T"}


class Kind(NamedTuple):
    """How a matrix is told.

    Attributes
    ----------
    layout : layout
    block : tuple of int
        The rows and columns of a block of entries.
    """

    layout: Layout
    block: tuple[int, int] = (1, 1)

    @property
    def by_rows(self) -> bool:
        """Whether it is rows that are counted, or rows of blocks."""
        return self.layout in (sparse_csr, sparse_bsr)

    @property
    def blocked(self) -> bool:
        """Whether entries come in blocks."""
        return self.layout in (sparse_bsr, sparse_bsc)

    @property
    def turned(self) -> Kind:
        """That of the transposed matrix."""
        return Kind(TURNED[self.layout], self.block[::-1])

    @property
    def names(self) -> tuple[str, str]:
        """What the numbers of entries and their places are called."""
        return ("crow_indices", "col_indices") if self.by_rows else ("ccol_indices", "row_indices")


class CompressedTensor(SparseTensor):
    """A sparse matrix that says where its rows or columns begin; or a batch of such matrices."""

    __slots__ = ("_kind",)
    _kind: Kind
    is_sparse = False

    @classmethod
    def of(cls, indices: Tensor, values: Tensor, size: Any, kind: Kind) -> CompressedTensor:
        """One of coordinates in the order of rows and their values."""
        made = cls(indices, values, size, True)
        made._kind = kind
        return made

    def _new(self, *parts: Any) -> CompressedTensor:
        made = type(self)(*parts)
        made._kind = self._kind
        return made

    @property
    def layout(self) -> Any:
        """``torch.sparse_csr``, or one of the others."""
        return self._kind.layout

    @property
    def is_sparse_csr(self) -> bool:  # type: ignore[override]
        """Whether it is its rows that are counted."""
        return self._kind.layout is sparse_csr

    def _nnz(self) -> int:
        """The entries or blocks of each matrix."""
        return self._told()[1].shape[-1]

    # ---- its parts

    def _places(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Which line and which place in it each entry is in, and the order in which they are told.

        Within blocks entries are in row order.
        """
        (*outer, row, column), kind = self._parts[0], self._kind
        h, w = kind.block
        pair = (row // h, column // w) if kind.blocked else (row, column)
        line, place = pair if kind.by_rows else pair[::-1]
        key = dt.zeros_like(row)
        for one, length in zip(outer, self._size, strict=False):
            key = key * length + one
        key = key * self._lines() + line
        if kind.blocked:
            lengths = self._size[len(outer) : len(outer) + 2]
            key = key * max(lengths) + place
            key = (key * h + row % h) * w + column % w
        order = None if len(key) < 2 or bool((key.diff() >= 0).all()) else key.argsort(stable=True)
        return line, place, order

    def _lines(self) -> int:
        """The number of rows, columns, or rows or columns of blocks."""
        at = self.sparse_dim() - 2
        kind = self._kind
        return self._size[at + (not kind.by_rows)] // kind.block[not kind.by_rows]

    def _told(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where each line begins among the entries, the places in lines, and the values."""
        line, place, order = self._places()
        values, batch = self._parts[1], tuple(self._size[: self.sparse_dim() - 2])
        matrices, each = prod(batch), prod(self._kind.block)
        if order is not None:
            line, place, values = line[order], place[order], values.index_select(0, order)
        count = values.shape[0] // (each * matrices) if matrices else 0
        line, place = line[::each].reshape(matrices, count), place[::each].reshape(*batch, count)
        lines = self._lines()
        ends = dt.arange(lines, device=line.device).expand(matrices, lines).contiguous()
        behind = dt.searchsorted(line.contiguous(), ends, right=True).reshape(*batch, lines)
        begins = dt.cat([behind.new_zeros(*batch, 1), behind], -1)
        block = self._kind.block if self._kind.blocked else ()
        shape = (*batch, count, *block, *values.shape[1:])
        told = alias(values) if values.shape == shape else values.reshape(shape)
        return begins, place, told

    def values(self) -> Tensor:
        """The values of the entries, or of the blocks."""
        return self._told()[2]

    def crow_indices(self) -> Tensor:
        """Where each row begins among the entries, and where the last one ends."""
        return self._part("crow_indices", 0)

    def col_indices(self) -> Tensor:
        """The column of each entry."""
        return self._part("col_indices", 1)

    def ccol_indices(self) -> Tensor:
        """Where each column begins among the entries, and where the last one ends."""
        return self._part("ccol_indices", 0)

    def row_indices(self) -> Tensor:
        """The row of each entry."""
        return self._part("row_indices", 1)

    def _part(self, name: str, number: int) -> Tensor:
        if self._kind.names[number] != name:
            kind = "column" if self._kind.by_rows else "row"
            raise refused(name, self.layout, f"{kind} compressed")
        return self._told()[number]

    def indices(self) -> Tensor:
        """Refused, as are the others of tensors of coordinates."""
        raise refused("indices", self.layout)

    def is_coalesced(self) -> bool:
        """Refused."""
        raise refused("is_coalesced", self.layout)

    def _shown(self) -> tuple[dict[str, Tensor], bool]:
        """What is printed, by name, and whether the rest begins a line of its own."""
        return dict(zip((*self._kind.names, "values"), self._told(), strict=True)), False

    def __reduce_ex__(self, protocol: Any) -> Any:
        rebuild, _ = super().__reduce_ex__(protocol)
        return rebuild, (self.layout, (*[one.detach() for one in self._told()], self._size))

    def _become(self, other: SparseTensor) -> SparseTensor:
        """Take over what another one has, in the same layout."""
        return super()._become(of_layout(other, self._kind))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The same; what is made of such matrices is told as they are."""
        name = func.__name__
        given = (*args, *(kwargs or {}).values())
        first = next(one for one in flat(given) if isinstance(one, cls))
        if name in OTHER:
            raise refused(name, first.layout)
        result = super().__torch_function__(func, types, args, kwargs)
        if result.__class__ is not SparseTensor or name in ("to_sparse", "to_sparse_coo"):
            return result
        kind = first._kind.turned if name in TURNING else first._kind
        return of_layout(result, kind) if fits(result, first, kind) else result


def flat(values: Any) -> list[Any]:
    """Values, and those in lists of them."""
    return [x for v in values for x in (v if isinstance(v, (list, tuple)) else (v,))]


def fits(result: SparseTensor, first: CompressedTensor, kind: Kind) -> bool:
    """Whether a result can be told as the matrix that it was made of."""
    count = result.sparse_dim()
    if count != first.sparse_dim() or result.ndim != first.ndim:
        return False
    sizes = zip(result.shape[count - 2 : count], kind.block, strict=True)
    return not any(n % m for n, m in sizes) and even(result, coalesced(result)._parts[0])


def even(input: SparseTensor, indices: Tensor) -> bool:
    """Whether all matrices of a batch have as many entries."""
    outer = input.shape[: input.sparse_dim() - 2]
    if not outer or not prod(outer):
        return True
    key = dt.zeros_like(indices[0])
    for row, length in zip(indices, outer, strict=False):
        key = key * length + row
    counts = key.bincount(minlength=prod(outer))
    return bool((counts == counts[0]).all())


def refused(name: str, layout: Layout, wanted: str = "coordinate") -> RuntimeError:
    """The error for what is asked of another layout."""
    cure = "call .to_sparse() first" if wanted == "coordinate" else "convert it first"
    return RuntimeError(
        f"{name} expected sparse {wanted} tensor layout but got {shown(layout)}; {cure}"
    )


def in_rows(input: SparseTensor) -> CompressedTensor:
    """A sparse matrix with its rows counted."""
    return of_layout(input, Kind(sparse_csr))


def to_layout(layout: Layout) -> Any:
    """The rule of a conversion, such as ``to_sparse_csr``.

    A tensor of coordinates must have two of them; what is told in lines may be a batch.
    """

    def call(
        input: SparseTensor, blocksize: Any = (1, 1), dense_dim: int | None = None
    ) -> CompressedTensor:
        if input.sparse_dim() != 2 and not isinstance(input, CompressedTensor):
            raise RuntimeError(
                "Only tensors with two sparse dimensions can be converted to the "
                f"{shown(layout)} layout, got self with {input.sparse_dim()} sparse dimensions; "
                "call .to_dense() first"
            )
        return of_layout(input, Kind(layout, pair(blocksize)))

    return call


def pair(size: Any) -> tuple[int, int]:
    """The rows and columns of a block; one number is both."""
    return (size, size) if isinstance(size, int) else tuple(size)


def shown(layout: Layout) -> str:
    """A layout as PyTorch's messages have it."""
    return layout.name.title().replace("_", "")


def of_layout(input: SparseTensor, kind: Kind) -> CompressedTensor:
    """A sparse matrix, or a batch of them, told in a layout.

    Raises
    ------
    RuntimeError
        If it is no matrix, its sizes are not those of whole blocks, or the matrices of a batch
        have not as many entries.
    """
    if isinstance(input, CompressedTensor) and input._kind == kind:
        return input
    name, count = f"to_{kind.layout.name}", input.sparse_dim()
    if count < 2:
        raise RuntimeError(
            f"{name}(): expected a matrix, got size {list(input.shape)} with {count} sparse "
            "dimensions"
        )
    whole = coalesced(input)
    indices, values = whole._parts
    if kind.blocked:
        indices, values = filled(whole, kind.block, name)
    if not even(input, indices):
        raise RuntimeError(
            f"Expect the same number of specified elements per batch. {name}() got size "
            f"{list(input.shape)}"
        )
    made = CompressedTensor.of(indices, values, whole.shape, kind)
    made._origin = whole._origin
    return made


def filled(input: SparseTensor, block: tuple[int, int], name: str) -> tuple[Tensor, Tensor]:
    """The coordinates of all blocks in which a tensor has entries, and the values there."""
    count = input.sparse_dim()
    size, (h, w) = tuple(input.shape[:count]), block
    if min(block) < 1 or size[-2] % h or size[-1] % w:
        raise RuntimeError(
            f"{name}: tensor sparse size ({size[-2]},{size[-1]}) must be divisible by given "
            f"blocksize ({h},{w})"
        )
    (*outer, row, column), values = input._parts
    fewer = (*size[:-2], size[-2] // h, size[-1] // w)
    over = SparseTensor(dt.stack([*outer, row // h, column // w]), values, fewer)
    _, number = dt.unique(over._keys(), return_inverse=True)
    blocks = coalesced(SparseTensor(over._parts[0], row, over.shape))._parts[0]
    shape = (blocks.shape[1], h, w)
    down = dt.arange(h, device=row.device).reshape(1, h, 1)
    along = dt.arange(w, device=row.device).reshape(1, 1, w)
    *rest, first, second = [one.reshape(-1, 1, 1) for one in blocks]
    indices = dt.stack(
        [one.expand(shape).reshape(-1) for one in (*rest, first * h + down, second * w + along)]
    )
    room = values.new_zeros((indices.shape[1], *values.shape[1:]))
    made = SparseTensor(
        indices, room.index_copy(0, (number * h + row % h) * w + column % w, values), input.shape
    )
    order = made._keys().argsort()
    return indices[:, order], made._parts[1].index_select(0, order)


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
