"""The memory behind tensors: looks at all of it, as bytes or as elements of a type."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import devtensor.dtype as dtypes
from devtensor.device import resolve
from devtensor.host import frombuffer, made_of
from devtensor.refusal import refused
from devtensor.tensor import Tensor

__all__ = ["PyTorchFileReader", "PyTorchFileWriter", "TypedStorage", "UntypedStorage", "from_file"]

PyTorchFileReader = refused("PyTorchFileReader", "files are read by torch.load")
PyTorchFileWriter = refused("PyTorchFileWriter", "files are written by torch.save")

BYTE = dtypes.NAMES["uint8"]


class Memory:
    """The memory of a tensor as a row of elements.

    Attributes
    ----------
    dtype : dtype
        The type of an element.
    """

    dtype: dtypes.dtype
    _tensor: Any
    _part: Tensor | None = None

    @classmethod
    def of(cls, tensor: Any) -> Any:
        """That of a tensor."""
        made = cls.__new__(cls)
        made._tensor = tensor
        if cls is not UntypedStorage:
            made.dtype = tensor.dtype
        return made

    @property
    def device(self) -> Any:
        """Where it is."""
        return self._tensor.device

    def _row(self) -> Tensor:
        if self._part is not None:
            return self._part
        t = self._tensor.detach()
        flat = t.as_strided((self.nbytes() // t.element_size(),), (1,), 0)
        made: Tensor = flat if self.dtype is t.dtype else flat.view(self.dtype)
        return made

    def data_ptr(self) -> int:
        """The address of the first byte."""
        if self._part is not None:
            return int(self._part.data_ptr())
        t = self._tensor
        return int(t.data_ptr() - t.storage_offset() * t.element_size())

    @property
    def _cdata(self) -> int:
        """A number that only the same memory has."""
        return self.data_ptr()

    def nbytes(self) -> int:
        """The number of bytes."""
        if self._part is not None:
            return self._part.numel() * self.element_size()
        return int(self._tensor._device.backend.allocated(self._tensor._array))

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self.element_size()

    def __len__(self) -> int:
        return self.size()

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        made: UntypedStorage = UntypedStorage.of(self._tensor)
        return made

    def tolist(self) -> list[Any]:
        """The elements."""
        found: list[Any] = self._row().tolist()
        return found

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, place: Any) -> Any:
        found = self._row()[place]
        if not isinstance(place, slice):
            return found.item()
        made = self.of(self._tensor)
        made._part = found
        return made

    def __setitem__(self, place: Any, value: Any) -> None:
        self._row()[place] = value

    def fill_(self, value: Any) -> Any:
        """Set every element."""
        self._row().fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> Any:
        """Set the elements to those of another."""
        self._row().copy_(source._row())
        return self

    def clone(self) -> Any:
        """The same elements in memory of their own."""
        return self.of(self._row().clone())

    def cpu(self) -> Any:
        """The same elements in the memory of the host."""
        return self.of(self._row().cpu())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._row().__array__(dtype, copy)

    def __repr__(self) -> str:
        there = not self._tensor.is_meta
        lines = "".join(f" {element}\n" for element in self) if there else "...\n"
        name = f"torch.storage.{type(self).__name__}"
        kind = "" if self.dtype is BYTE else f"dtype={self.dtype!r}, "
        return f"{lines}[{name}({kind}device={self.device}) of size {len(self)}]"


class UntypedStorage(Memory):
    """Memory as bytes (``torch.UntypedStorage``).

    Parameters
    ----------
    data : int or sequence of int
        The number of bytes, which are then unset, or the bytes.
    device : device or str, optional
    """

    dtype = BYTE

    def __init__(self, *data: Any, device: Any = None) -> None:
        self._tensor = made_of(data, BYTE, device)

    @classmethod
    def from_file(cls, filename: str, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The first bytes of a file, read when they are looked at.

        Parameters
        ----------
        filename : str
        shared : bool
            Whether what is written reaches the file.
        nbytes : int
            How many.

        Raises
        ------
        RuntimeError
            If the file is smaller.
        """
        made: UntypedStorage = cls.of(mapped(filename, bool(shared), nbytes))
        return made


def mapped(filename: str, shared: bool, nbytes: int) -> Tensor:
    """The first bytes of a file; one that is shared is made, and grows, as far as it must."""
    if not isinstance(filename, str):
        raise TypeError(
            "from_file(): argument 'filename' (position 1) must be str, not "
            f"{type(filename).__name__}"
        )
    flags = os.O_RDWR | os.O_CREAT if shared else os.O_RDONLY
    try:
        number = os.open(filename, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        way = "read-write" if shared else "read-only"
        raise RuntimeError(
            f"unable to open file <{filename}> in {way} mode: {error.strerror} ({error.errno})"
        ) from None
    with os.fdopen(number, "r+b" if shared else "rb") as file:
        there = os.fstat(number).st_size
        if there < nbytes and not shared:
            raise RuntimeError(
                f"file <{filename}> size <{there}> is smaller than the required mapping size "
                f"<{nbytes}>"
            )
        if there < nbytes:
            file.truncate(nbytes)
        if not nbytes:
            return made_of((0,), BYTE, "cpu")
        memory = mmap.mmap(number, nbytes, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    return frombuffer(memory, dtype=BYTE)


def from_file(
    filename: str,
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: dtypes.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A one-dimensional cpu tensor over the memory of a file, which is read when it is looked at.

    Parameters
    ----------
    filename : str
    shared : bool, optional
        Whether what is written reaches the file, which is made, and grows, if it must. If not, the
        default, the file must be there.
    size : int
        The number of elements.
    dtype : dtype, optional
        Their type; the default one if left out.
    device : device, optional
        The cpu; to go elsewhere, convert the tensor.
    layout, pin_memory : optional
        Mean nothing.
    requires_grad : bool, optional

    Raises
    ------
    RuntimeError
        If there is no such file, or it is smaller.
    NotImplementedError
        If `device` is another one.

    Examples
    --------
    >>> import os, tempfile
    >>> import devtensor as dt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "numbers")
    ...     _ = dt.from_file(name, True, 3, dtype=dt.int64).fill_(7)
    ...     print(dt.from_file(name, size=2, dtype=dt.int64))
    tensor([7, 7])
    """
    if not isinstance(size, int):
        raise TypeError(f"from_file(): argument 'size' must be int, not {type(size).__name__}")
    if size < 0:
        raise RuntimeError(f"from_file(): size must not be negative, got {size}")
    if device is not None and resolve(device).type != "cpu":
        raise NotImplementedError(
            f"from_file(): files are memory of the cpu, not of {device}; use .to() on the tensor"
        )
    dtype = dtype or dtypes.get_default_dtype()
    memory = mapped(filename, bool(shared), size * dtype.itemsize)
    found: Tensor = memory.view(dtype=dtype)
    return found.requires_grad_() if requires_grad else found


class TypedStorage(Memory):
    """Memory as elements of a type (``torch.TypedStorage``).

    Parameters
    ----------
    data : int or sequence
        The number of elements, which are then unset, or the elements.
    dtype : dtype, optional
        The default one if left out.
    device : device or str, optional
    """

    def __init__(self, *data: Any, dtype: Any = None, device: Any = None) -> None:
        self.dtype = dtype or dtypes.get_default_dtype()
        self._tensor = made_of(data, self.dtype, device)


class Typed(type):
    """Classes that make memory of a type, and that memory of that type is an instance of."""

    dtype: ClassVar[dtypes.dtype]

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        return TypedStorage(*data, dtype=cls.dtype, device=device)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype


KINDS = {f"{dtype.legacy}Storage": dtype for dtype in dtypes.ALL if dtype.legacy[:4] != "UInt"}


def __getattr__(name: str) -> Any:
    if name not in KINDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    dtype = KINDS[name]
    doc = f"Memory of {dtype.name}: ``{name}(2)`` is unset, ``{name}([1, 2])`` has the data."
    made = globals()[name] = Typed(name, (), {"dtype": dtype, "__doc__": doc})
    return made
