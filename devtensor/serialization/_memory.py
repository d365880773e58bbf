"""The memory of tensors as bytes, and tensors over bytes."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import devtensor as dt
from devtensor.device import device as Device
from devtensor.dtype import bfloat16, bool_, float32, uint8
from devtensor.dtype import dtype as DType
from devtensor.errors import DevtensorWarning
from devtensor.tensor import Tensor

__all__ = ["Memory", "Storage", "raw"]

MOST_DIMENSIONS = 64
TRUTH = bytes([0] + [1] * 255)


def raw(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor, on the host and without a copy where that can be."""
    host = tensor.device.backend.to_host(tensor._array)
    view: memoryview = host.reshape(-1).view("u1").data
    return view


def over(buffer: Any, dtype: DType) -> Tensor:
    """A flat tensor on the host that shares memory with a writable buffer."""
    if not len(buffer):
        return dt.empty(0, dtype=dtype, device="cpu")
    return dt.frombuffer(buffer, dtype=dtype)


class Memory:
    """All the memory that a tensor and its views share, as one flat tensor.

    Attributes
    ----------
    flat : Tensor
        Every element of the memory, in order.
    key : object
        Equal for two tensors that share memory, as long as both live.
    offset : int
        Where in `flat` the tensor begins.
    stride : tuple of int
        The tensor's steps in `flat`.
    """

    __slots__ = ("flat", "key", "offset", "stride")

    def __init__(self, tensor: Tensor) -> None:
        tensor = tensor.detach()
        storage = tensor.untyped_storage()
        itemsize = tensor.dtype.itemsize
        self.offset = tensor.storage_offset()
        self.stride = tuple(tensor.stride())
        count, rest = divmod(storage.nbytes(), itemsize)
        steps = zip(tensor.shape, self.stride, strict=True)
        end = self.offset + sum((n - 1) * step for n, step in steps) + 1
        if tensor.numel() == count and not self.offset and tensor.is_contiguous():
            self.flat = tensor.reshape(-1)
        elif (
            # Elements that lie across the grid of the memory (a buffer seen from byte 1 on), or
            # a library that does not tell how large it is.
            rest or end > count or tensor.data_ptr() - storage.data_ptr() != self.offset * itemsize
        ):
            storage = self._apart(tensor)
        else:
            try:
                self.flat = tensor.as_strided((count,), (1,), 0)
            except RuntimeError:  # the same
                storage = self._apart(tensor)
        count = self.flat.numel()
        place = tensor.device
        there = count and place.backend.data
        self.key = (place, storage.data_ptr(), count) if there else object()

    def _apart(self, tensor: Tensor) -> Any:
        """See a copy instead, which shares memory with nothing."""
        self.flat = tensor.clone().contiguous().reshape(-1)
        self.offset, self.stride = 0, contiguous(tuple(tensor.shape))
        return self.flat.untyped_storage()


def contiguous(size: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    strides = [1]
    for length in reversed(size[1:]):
        strides.append(strides[-1] * max(length, 1))
    return tuple(reversed(strides[: len(size)]))


class Storage:
    """Memory that was read from a file, before it is seen as tensors.

    This is what a callable `map_location` gets; it returns the storage itself, what one of the
    methods `cpu`, `cuda`, `xpu` or `to` gives, or None.

    Parameters
    ----------
    buffer : writable bytes-like
        The bytes, on the host.
    dtype : devtensor.dtype
        What the file says the elements are.
    swapped : bool
        Whether the bytes of an element stand in the other order than this machine's.
    """

    __slots__ = ("_flats", "buffer", "device", "dtype", "swapped")

    def __init__(self, buffer: Any, dtype: DType, swapped: bool = False) -> None:
        self.buffer, self.dtype, self.swapped = buffer, dtype, swapped
        self.device = Device("cpu")
        self._flats: dict[DType, Tensor] = {}

    def nbytes(self) -> int:
        """The number of bytes."""
        return len(self.buffer)

    size = nbytes
    __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte; 0 if there is none."""
        return over(self.buffer, uint8).data_ptr() if len(self.buffer) else 0

    def to(self, device: Any) -> Storage:
        """The same bytes for tensors on another device."""
        moved = Storage(self.buffer, self.dtype, self.swapped)
        moved.device = Device(device).resolve()
        return moved

    def cpu(self) -> Storage:
        """The same bytes for tensors on the host."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Storage:
        """The same bytes for tensors on a CUDA device."""
        return self.to("cuda" if device is None else Device(device))

    def xpu(self, device: Any = None) -> Storage:
        """The same bytes for tensors on an XPU device."""
        return self.to("xpu" if device is None else Device("xpu", device))

    def flat(self, dtype: DType) -> Tensor:
        """All elements as one tensor on the device; the same one each time."""
        found = self._flats.get(dtype)
        if found is None:
            found = self._flats[dtype] = self._make(dtype)
        return found

    def _make(self, dtype: DType, again: bool = False) -> Tensor:
        buffer = self.buffer
        whole = len(buffer) // dtype.itemsize * dtype.itemsize
        if whole != len(buffer):
            buffer = memoryview(buffer)[:whole]
        if self.swapped:
            buffer = swap(buffer, dtype)
        if dtype is bool_ and bytes(buffer).strip(b"\0\1"):
            buffer = bytearray(bytes(buffer).translate(TRUTH))
        if dtype is bfloat16 and not has_bfloat16(self.device):
            if not again:
                warnings.warn(
                    f"The file holds bfloat16 tensors, which {self.device} does not have; they "
                    "are read as float32, with the same values.",
                    DevtensorWarning,
                    stacklevel=2,
                )
            buffer, dtype = widen(buffer), float32
        return over(buffer, dtype).to(self.device)

    def filled(self) -> None:
        """Bring the tensors made so far up to date with bytes that were read after them."""
        for dtype, flat in self._flats.items():
            with dt.no_grad():
                flat.copy_(self._make(dtype, again=True))

    def tensor(self, dtype: DType, offset: Any, size: Any, stride: Any) -> Tensor:
        """A tensor that sees this memory.

        Raises
        ------
        RuntimeError
            If it would see anything beside it.
        """
        size, stride = self._check(dtype, offset, size, stride)
        count = math.prod(size)
        if not count:
            return dt.empty(size, dtype=self.flat(dtype).dtype, device=self.device)
        flat = self.flat(dtype)
        if count == flat.shape[0] and stride == contiguous(size):
            return flat.reshape(size).data
        return flat.as_strided(size, stride, offset).data

    def _check(
        self, dtype: DType, offset: Any, size: Any, stride: Any
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        size, stride = tuple(size), tuple(stride)
        numbers = (offset, *size, *stride)
        if any(type(n) is not int or n < 0 for n in numbers) or len(size) != len(stride):
            raise RuntimeError(
                f"the file describes an impossible tensor: size {size}, stride {stride}, "
                f"storage offset {offset}"
            )
        if len(size) > MOST_DIMENSIONS:
            raise RuntimeError(
                f"the file describes a tensor of {len(size)} dimensions; at most "
                f"{MOST_DIMENSIONS} are possible"
            )
        count = math.prod(n for n in size if n)
        if count * dtype.itemsize >= 1 << 63:
            raise RuntimeError(f"the file describes an impossible tensor: size {size}")
        if 0 in size:
            return size, stride
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if (last + 1) * dtype.itemsize > len(self.buffer):
            raise RuntimeError(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, "
                f"and itemsize {dtype.itemsize} requiring a storage size of "
                f"{(last + 1) * dtype.itemsize} are out of bounds for storage of size "
                f"{len(self.buffer)}"
            )
        return size, stride


def has_bfloat16(device: Device) -> bool:
    """Whether tensors on `device` can be bfloat16."""
    return all(bfloat16 in d.backend.native for d in (Device("cpu"), device))


def widen(buffer: Any) -> bytearray:
    """The bytes of bfloat16 numbers as those of the float32 numbers of the same value."""
    wide = bytearray(2 * len(buffer))
    first = 2 if sys.byteorder == "little" else 0
    wide[first::4] = buffer[0::2]
    wide[first + 1 :: 4] = buffer[1::2]
    return wide


def swap(buffer: Any, dtype: DType) -> bytearray:
    """The bytes of numbers with the order in each number turned round."""
    width = dtype.itemsize // (2 if dtype.is_complex else 1)
    turned = bytearray(len(buffer))
    for i in range(width):
        turned[i::width] = buffer[width - 1 - i :: width]
    return turned
