"""The sparse tensor: coordinates, the values there, and a size.

It has no memory of its own. Its place in the graph is that of its values, a tensor like any other,
so what is computed with these is on the tape, on every device, without a rule for gradients. What
an operation makes of it stands in `devtensor.sparse._table`; it is asked there, below everything
else that a class or mode may say of a function (`devtensor.route`).
"""

from __future__ import annotations

from math import prod
from typing import Any

import devtensor as dt
from devtensor.coo import Coo
from devtensor.ops.convert import alias
from devtensor.route import lowest
from devtensor.settings import sparse_coo
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["SparseTensor"]


def of_values(name: str) -> Any:
    """A slot of a tensor that is the one of the values."""
    return property(
        lambda self: getattr(self._parts[1], name),
        lambda self, value: setattr(self._parts[1], name, value),
    )


class SparseTensor(Tensor):
    """A tensor that keeps only some of its elements (``torch.sparse_coo``).

    Make one with :func:`devtensor.sparse_coo_tensor` or :meth:`Tensor.to_sparse`.
    """

    # _parts      the coordinates, of shape (sparse dimensions, entries), and the values
    # _size       the shape of the whole
    # _coalesced  whether coordinates are in order, and none is there twice
    # _origin     the name of what made it, if that is on the tape
    __slots__ = ("_coalesced", "_origin", "_parts", "_size")
    _parts: tuple[Tensor, Tensor]
    _size: Size
    _coalesced: bool
    _origin: str
    __torch_function_always__ = True  # no other memory is there that one could work on

    _node, _alias, _rest, _device = map(of_values, ("_node", "_alias", "_rest", "_device"))

    def __new__(
        cls, indices: Tensor, values: Tensor, size: Any, coalesced: bool = False
    ) -> SparseTensor:
        made: SparseTensor = object.__new__(cls)
        made._parts, made._size = (indices, values), Size(size)
        made._coalesced, made._origin = coalesced, ""
        return made

    @property
    def _array(self) -> Any:
        indices, values = self._parts
        return Coo(indices._array, values._array, self._size, self._device, self._coalesced)

    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return self._size

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._size)

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return self._parts[1].dtype

    @property
    def device(self) -> Any:
        """Where coordinates and values are."""
        return self._parts[1].device

    def _like(self, values: Tensor, coalesced: bool | None = None) -> SparseTensor:
        """Other values at the same coordinates."""
        kept = self._coalesced if coalesced is None else coalesced
        size = (*self._size[: self.sparse_dim()], *values.shape[1:])
        return self._new(self._parts[0], values, size, kept)

    def _new(self, *parts: Any) -> SparseTensor:
        """One of the same class, of other parts."""
        return type(self)(*parts)

    def _become(self, other: SparseTensor) -> SparseTensor:
        """Take over what another one has: what writing comes to."""
        self._parts, self._size = other._parts, other._size
        self._coalesced, self._origin = other._coalesced, other._origin
        return self

    def _keys(self) -> Tensor:
        """A number to each entry, that of its place among all in row order."""
        indices, _ = self._parts
        found = dt.zeros(self._parts[1].shape[0], dtype=dt.int64, device=self.device)
        for row, length in zip(indices, self._size, strict=False):
            found = found * length + row
        return found

    # ---- what it is

    @property
    def layout(self) -> Any:
        """``torch.sparse_coo``."""
        return sparse_coo

    is_sparse, is_sparse_csr, is_quantized, is_nested, is_mkldnn, name = (
        True, False, False, False, False, None,
    )  # fmt: skip
    is_ipu = is_maia = is_mps = is_mtia = is_vulkan = is_xla = False

    def sparse_dim(self) -> int:
        """The number of dimensions with coordinates."""
        return self._parts[0].shape[0]

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return self._parts[1].ndim - 1

    def _nnz(self) -> int:
        return self._parts[1].shape[0]

    def is_coalesced(self) -> bool:
        """Whether coordinates are in order, and none is there twice."""
        return self._coalesced

    def indices(self) -> Tensor:
        """The coordinates, shape ``(sparse dimensions, entries)``.

        Raises
        ------
        RuntimeError
            If it is not coalesced.
        """
        self._check_coalesced("indices")
        return self._indices()

    def values(self) -> Tensor:
        """The values, shape ``(entries, *dense dimensions)``.

        Raises
        ------
        RuntimeError
            If it is not coalesced.
        """
        self._check_coalesced("values")
        made: Tensor = alias(self._parts[1])
        return made

    def _check_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def _indices(self) -> Tensor:
        return self._parts[0].detach()

    def _values(self) -> Tensor:
        return self._parts[1].detach()

    def _coalesced_(self, coalesced: bool) -> SparseTensor:
        self._coalesced = coalesced
        return self

    def stride(self, dim: int | None = None) -> Any:
        """Zeros: there are no steps in memory."""
        return (0,) * self.ndim if dim is None else 0

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of its type as PyTorch spells it; with a dtype, in that type."""
        if dtype is not None:
            return self.to(getattr(dtype, "dtype", dtype))
        kind, _, name = str(self._parts[1].type()).rpartition(".")
        return f"{kind}.sparse.{name}"

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """In another type or on another device; see :func:`devtensor.ops.convert.to`."""
        indices, values = self._parts
        moved = values.to(*args, **kwargs)
        if moved is values:
            return self
        return self._new(indices.to(moved.device), moved, self._size, self._coalesced)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._size[0]

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def item(self) -> Any:
        """The one element as a Python number."""
        if prod(self._size) != 1:
            raise RuntimeError(
                f"a Tensor with {prod(self._size)} elements cannot be converted to Scalar: its "
                f"shape is {list(self._size)}"
            )
        return self.to_dense().item()

    def __bool__(self) -> bool:
        if prod(self._size) != 1:
            return bool(Tensor.__bool__(self))  # refuses
        return bool(self.item())

    def numpy(self, *, force: bool = False) -> Any:
        """Refused: NumPy has no sparse arrays."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.numpy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from devtensor.sparse._text import text

        return text(self, *self._shown())

    def _shown(self) -> tuple[dict[str, Tensor], bool]:
        """What is printed, by name, and whether the rest begins a line of its own."""
        return dict(zip(("indices", "values"), self._parts, strict=True)), True

    # ---- copies

    def detach(self) -> SparseTensor:
        """The same values outside the graph."""
        return self._like(self._parts[1].detach())

    def detach_(self) -> SparseTensor:
        """Take the tensor out of the graph, in place."""
        return self._become(self.detach())

    @property
    def data(self) -> Any:
        """The same values outside the graph; writes to them go unnoticed."""
        return self._like(self._parts[1].data)

    @data.setter
    def data(self, value: Any) -> None:
        self._become(value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            if not self.is_leaf:
                self._parts[1].__deepcopy__(memo)  # refuses
            indices, values = self._parts
            copied = values.detach().clone().requires_grad_(self.requires_grad)
            memo[id(self)] = self._new(indices.clone(), copied, self._size, self._coalesced)
        return memo[id(self)]

    def __copy__(self) -> Any:
        return self.detach().requires_grad_(self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        from devtensor.serialization._rebuild import _rebuild_sparse_tensor

        parts = [part.detach() for part in self._parts]
        return _rebuild_sparse_tensor, (sparse_coo, (*parts, self._size, self._coalesced))

    # ---- its place in the graph

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for it; can be set on leaves."""
        return bool(self._parts[1].requires_grad)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._parts[1].requires_grad = wanted

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Set `requires_grad` and return the tensor."""
        self._parts[1].requires_grad_(requires_grad)
        return self

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has added up: a sparse tensor; None before."""
        found = self._parts[1].grad
        return None if found is None else self._gradient(found)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._parts[1].grad = None if value is None else self._at_values(value)

    def _gradient(self, g: Tensor) -> SparseTensor:
        """The gradient of its values as its own.

        Entries of one place have one gradient, and in the whole it is there once.
        """
        if self._coalesced:
            return self._like(g)
        places, entry = dt.unique(self._keys(), return_inverse=True)
        room = dt.zeros((len(places), *g.shape[1:]), dtype=g.dtype, device=g.device)
        return from_keys(places, room.index_copy(0, entry, g), self._size)

    def _at_values(self, g: Any) -> Tensor:
        """A gradient of its own, sparse or dense, as one of its values."""
        if tuple(g.shape) != tuple(self._size):
            raise RuntimeError(
                f"a gradient of size {list(g.shape)} is no gradient of a sparse tensor of size "
                f"{list(self._size)}"
            )
        flat = g.to_dense().reshape(-1, *self._size[self.sparse_dim() :])
        found: Tensor = flat.index_select(0, self._keys())
        return found

    def register_hook(self, hook: Any) -> Any:
        """Call ``hook(gradient)`` when it is known; a tensor that it returns replaces it."""

        def of_the_whole(g: Any) -> Any:
            made = hook(self._gradient(g))
            return None if made is None else self._at_values(made)

        return self._parts[1].register_hook(of_the_whole)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what the table says."""
        name = func.__name__
        if name in KEPT:
            return func.__wrapped__(*args, **(kwargs or {}))
        from devtensor.sparse._table import TABLE  # of what uses this class

        rule = TABLE.get(name)
        if rule is None:
            raise missing(name, lowest((*args, *(kwargs or {}).values())).device.type)
        given = dict(kwargs or {})
        out = given.pop("out", None)
        result = rule(*args, **given)
        if out is not None:
            if isinstance(out, SparseTensor) is not isinstance(result, SparseTensor):
                raise RuntimeError(
                    f"{name}(): of out and the result one is sparse and one is dense: "
                    f"{out.layout} and {result.layout}"
                )
            sparse = isinstance(out, SparseTensor)
            return out._become(result) if sparse else out.resize_(result.shape).copy_(result)
        if isinstance(result, SparseTensor) and not result._origin:
            result._origin = f"{''.join(map(str.capitalize, name.split('_')))}Backward0"
        return result


NAMES = """
backward dim element_size get_device grad_fn is_complex is_conj is_cpu is_cuda is_floating_point
is_leaf is_meta is_neg is_nonzero is_pinned is_same_size is_shared is_signed is_xpu itemsize
ndimension nelement numel output_nr pin_memory register_post_accumulate_grad_hook retain_grad
retains_grad share_memory_ size
"""
KEPT = frozenset(NAMES.split())
"""Members of all tensors that hold for these, too."""


def from_keys(keys: Tensor, values: Tensor, size: Any) -> SparseTensor:
    """The coalesced tensor of values at places that are given by their numbers, in order."""
    rows = []
    lengths = size[: len(size) - values.ndim + 1]
    for length in reversed(lengths):
        rows.append(keys % max(length, 1))
        keys = keys // max(length, 1)
    indices = dt.stack(rows[::-1]) if rows else keys.new_zeros(0, len(keys))
    return SparseTensor(indices, values, size, True)


def missing(name: str, place: str = "cpu") -> NotImplementedError:
    """The error for an operation that is not in the table."""
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the 'Sparse{place.upper()}' backend: "
        f"there is no {name}() of sparse tensors; call .to_dense() first"
    )


def dimension(dim: int, ndim: int) -> int:
    """A dimension counted from the first.

    Raises
    ------
    IndexError
        If there is none such.
    """
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
            f"but got {dim})"
        )
    return dim % ndim
