"""What stands for a sparse tensor where dense ones have an array: in a gradient on its way back."""

from __future__ import annotations

from typing import Any

from devtensor.device import device as Device
from devtensor.tensor import Tensor, wrap

__all__ = ["Coo", "gradient"]


class Coo:
    """Coordinates and values, as bare arrays of one device.

    Attributes
    ----------
    indices : array of int64
        Shape ``(sparse dimensions, entries)``.
    values : array
        Shape ``(entries, *dense dimensions)``.
    shape : list of int
        Of the whole. No tuple is equal to a list, so the way back looks twice at such a gradient.
    coalesced : bool
        Whether the coordinates are in order and none is there twice.
    device : device
    """

    __slots__ = ("coalesced", "device", "indices", "shape", "values")

    def __init__(
        self, indices: Any, values: Any, shape: Any, device: Device, coalesced: bool = False
    ) -> None:
        self.indices, self.values, self.shape = indices, values, list(shape)
        self.device, self.coalesced = device, coalesced

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def tensor(self, node: Any = None) -> Tensor:
        """The sparse tensor of these; `node` is what `wrap` is given."""
        from devtensor.sparse import SparseTensor  # loaded with the first of them

        indices, values = (wrap(x, self.device, node) for x in (self.indices, self.values))
        return SparseTensor(indices, values, self.shape, self.coalesced)

    def dense(self) -> Any:
        """The whole as an array."""
        return self.tensor().to_dense()._array

    def __add__(self, other: Any) -> Any:
        if other.__class__ is not Coo:
            return self.dense() + other
        return (self.tensor() + other.tensor())._array


def gradient(xp: Any, indices: Any, values: Any, shape: Any) -> Any:
    """A sparse gradient of what a rule is given: of tensors a tensor, of arrays a `Coo`."""
    if not isinstance(values, Tensor):
        return Coo(indices, values, shape, xp._device)
    from devtensor.sparse import SparseTensor

    return SparseTensor(indices, values, shape)
