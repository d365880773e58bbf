"""What a tensor says of its shape, strides, type and place, and how it gets others."""

from __future__ import annotations

import math
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.view import requires_grad
from devtensor.ops.convert import DTYPES, cast, to
from devtensor.settings import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    strided,
)
from devtensor.storage import TypedStorage, UntypedStorage
from devtensor.tensor import Tensor, on_tensor


@on_tensor
class Look:
    """Shape, strides, type and place."""

    def size(self: Any, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        shape = self.shape
        if dim is None:
            return shape
        ndim = len(shape)
        if not ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
                f"but got {dim})"
            )
        return shape[dim]

    def dim(self: Any) -> int:
        """The number of dimensions."""
        return int(self._array.ndim)

    ndimension = dim

    def numel(self: Any) -> int:
        """The number of elements."""
        return math.prod(self._array.shape)

    nelement = numel

    def stride(self: Any, dim: int | None = None) -> Any:
        """Steps in elements, of all dimensions or one."""
        steps = tuple(self._device.backend.strides(self._array))
        return steps if dim is None else steps[dim]

    def storage_offset(self: Any) -> int:
        """How many elements of its memory lie before its first one."""
        return self._device.backend.storage_offset(self._array)

    def data_ptr(self: Any) -> int:
        """The address of the first element."""
        return self._device.backend.pointer(self._array)

    @property
    def _cdata(self: Any) -> int:
        """A number that no other tensor alive has: libraries ask by it whether two are one."""
        return id(self)

    def is_contiguous(self: Any, memory_format: Any = None) -> bool:
        """Whether the elements lie one after another, in row order."""
        step = 1
        shape, strides = self._array.shape, self.stride()
        if 0 in shape:
            return True
        for n, s in zip(reversed(shape), reversed(strides), strict=True):
            if n != 1 and s != step:
                return False
            step *= n
        return True

    def element_size(self: Any) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self: Any) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self: Any) -> int:
        """Bytes of all elements."""
        return math.prod(self._array.shape) * self.dtype.itemsize

    def is_floating_point(self: Any) -> bool:
        """Whether the type is a real floating one."""
        return self.dtype.kind == "float"

    def is_complex(self: Any) -> bool:
        """Whether the type is complex."""
        return self.dtype.kind == "complex"

    def is_signed(self: Any) -> bool:
        """Whether the type has negative numbers."""
        return self.dtype.is_signed

    def is_nonzero(self: Any) -> bool:
        """Whether the one element is not zero."""
        return bool(self)

    def is_conj(self: Any) -> bool:
        """False: conjugates are computed at once."""
        return False

    def is_neg(self: Any) -> bool:
        """False: negatives are computed at once."""
        return False

    def is_pinned(self: Any, device: Any = None) -> bool:
        """False: there is no pinned memory."""
        return False

    def is_shared(self: Any) -> bool:
        """Whether other processes see the memory, as after `share_memory_`."""
        from devtensor.multiprocessing.reductions import is_shared  # above tensors

        return is_shared(self)

    def share_memory_(self: Any) -> Tensor:
        """Move it to memory that it shares with processes to which it is given.

        On other devices than the cpu it stays this process's own.

        Raises
        ------
        RuntimeError
            If it is a view.
        """
        if self._device.type == "cpu":
            from devtensor.multiprocessing.reductions import share  # above tensors

            share(self)
        return self

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """Return the tensor: copies to devices wait for themselves."""
        return self

    def record_stream(self: Any, stream: Any) -> None:
        """Nothing: keep the tensor until the other stream that reads it has been waited for."""

    def is_set_to(self: Any, tensor: Any) -> bool:
        """Whether both are the same elements of one memory, in one shape."""
        same = self._device is tensor._device and self.data_ptr() == tensor.data_ptr()
        return bool(same and self.shape == tensor.shape and self.stride() == tensor.stride())

    def is_same_size(self: Any, other: Any) -> bool:
        """Whether the shapes are equal."""
        return bool(self.shape == other.shape)

    def get_device(self: Any) -> int:
        """The index of its device; -1 for the cpu."""
        return -1 if self._device.index is None else self._device.index

    def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        """The tensor itself, as it is dense; in another type if one is given."""
        return self if dtype is None else to(self, dtype=dtype)

    is_sparse = is_sparse_csr = False
    is_quantized = False
    is_nested = False
    is_mkldnn = False
    is_ipu = is_maia = is_mps = is_mtia = is_vulkan = is_xla = False
    name = None

    @property
    def layout(self: Any) -> Any:
        """How the elements lie in memory: ``strided``, there is no other way here."""
        return strided

    @property
    def is_cpu(self: Any) -> bool:
        """Whether it is on the cpu."""
        return self._device.type == "cpu"

    @property
    def is_cuda(self: Any) -> bool:
        """Whether it is on an NVIDIA device."""
        return self._device.type == "cuda"

    @property
    def is_xpu(self: Any) -> bool:
        """Whether it is on an Intel device."""
        return self._device.type == "xpu"

    @property
    def is_meta(self: Any) -> bool:
        """Whether it has a shape and no data."""
        return not self._device.backend.data

    def to(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        """In another type or on another device; see :func:`devtensor.ops.convert.to`."""
        return to(self, *args, **kwargs)

    def cpu(self: Any, memory_format: Any = None) -> Tensor:
        """On the cpu."""
        return to(self, device="cpu")

    def cuda(
        self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Tensor:
        """On an NVIDIA device."""
        return to(self, device="cuda" if device is None else device)

    def xpu(
        self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Tensor:
        """On an Intel device."""
        return to(self, device="xpu" if device is None else device)

    def type_as(self: Any, other: Any) -> Tensor:
        """In the type of `other`, and on its device."""
        return to(self, other)

    def type(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of its type as PyTorch spells it; with a dtype, in that type."""
        if dtype is None:
            where = "" if self._device.type == "cpu" else f"{self._device.type}."
            return f"torch.{where}{self.dtype.legacy}Tensor"
        if isinstance(dtype, str):
            legacy = dtype.rpartition(".")[2].removesuffix("Tensor")
            found = next((t for t in dtypes.ALL if t.legacy == legacy), None)
            if found is None:
                raise ValueError(f"invalid type: {dtype!r}")
            dtype = found
        elif dtype is Tensor:  # the class stands for the default type
            dtype = dtypes.get_default_dtype()
        return to(self, dtype=getattr(dtype, "dtype", dtype))

    def untyped_storage(self: Any) -> Any:
        """A look at the memory behind the tensor."""
        return UntypedStorage.of(self)

    def storage(self: Any) -> Any:
        """A look at the memory behind the tensor, as elements of its type."""
        return TypedStorage.of(self)

    def resize_(self: Any, *size: Any, memory_format: Any = None) -> Tensor:
        """Change the shape in place; elements beyond the old ones are not set.

        Parameters
        ----------
        *size : int or sequence of int
        memory_format : memory_format, optional
            Accepted where PyTorch accepts it, and without effect: the memory is in row order.

        Raises
        ------
        TypeError
            If `memory_format` is something else.
        RuntimeError
            If gradients are wanted, a size is negative, or the format is for other ranks.
        """
        shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
        check_format("resize_", memory_format, len(shape))
        if requires_grad(self):
            raise RuntimeError("cannot resize variables that require grad")
        if min(shape, default=0) < 0:
            raise RuntimeError(f"resize_(): sizes must not be negative, got {list(shape)}")
        count, wanted = math.prod(self._array.shape), math.prod(shape)
        backend = self._device.backend
        xp, place = backend.xp, backend.placed(self._device.index)
        flat = xp.reshape(self._array, (-1,))
        if wanted > count:
            longer = xp.empty((wanted,), dtype=self._array.dtype, **place)
            longer[:count] = flat
            flat = longer
        self._array = xp.reshape(flat[:wanted], shape)
        return self


def check_format(name: str, format: Any, ndim: int) -> None:
    """Refuse what is no format of memory for so many dimensions."""
    if format is None or format is contiguous_format:
        return
    if not isinstance(format, memory_format):
        raise TypeError(
            f"{name}(): argument 'memory_format' must be torch.memory_format, not "
            f"{type(format).__name__}"
        )
    rank = {channels_last: 4, channels_last_3d: 5}.get(format)
    if rank is None:
        raise RuntimeError(f"{name}(): Unsupported memory format {format}")
    if ndim != rank:
        raise RuntimeError(
            f"required rank {rank} tensor to use {format.name} format: {name}() got {ndim} sizes"
        )


def _conversion(name: str, dtype: dtypes.dtype) -> Any:
    def call(self: Any, memory_format: Any = None) -> Tensor:
        return self if self.dtype is dtype else cast(self, dtype)

    call.__name__ = name
    call.__doc__ = f"In the type {dtype.name}."
    return call


for _name, _dtype in {
    **{t.name: t for t in dtypes.ALL if t.name == "bool" or t.name == "bfloat16"},
    "half": DTYPES["float16"],
    "float": DTYPES["float32"],
    "double": DTYPES["float64"],
    "byte": DTYPES["uint8"],
    "char": DTYPES["int8"],
    "short": DTYPES["int16"],
    "int": DTYPES["int32"],
    "long": DTYPES["int64"],
    "cfloat": DTYPES["complex64"],
    "cdouble": DTYPES["complex128"],
}.items():
    setattr(Tensor, _name, _conversion(_name, _dtype))
