"""NumPy as the device ``cpu``."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from devtensor.backend import Backend, contiguous_where_free
from devtensor.dtype import OF, dtype

from . import namespace, quick
from .extras_shape import root
from .kernels import KERNELS, WRITERS
from .parts import BLOCK, Shared
from .quasirandom import Sobol

__all__ = ["NumPy"]

Array = np.ndarray[Any, Any]
REUSED = (
    1 << 16
)  # Bytes from which on a new array costs more than finding out whether it is needed.
FEW = 1 << 12  # Elements that are looked at one by one where that saves other calls.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # From malloc.h.


def keep_freed_memory() -> None:
    """Let glibc give arrays the memory of arrays that are gone, instead of fresh pages.

    Clearing fresh pages takes longer than most operations on them; networks of some size run 1.5
    times as fast. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(MMAP_THRESHOLD, 1 << 30)
        library.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


class NumPy(Backend):
    """NumPy's arrays, in the host's memory."""

    kind = "cpu"
    host = True
    xp: Any = namespace
    array_types = (np.ndarray, np.generic)
    kernels, writers = KERNELS, WRITERS

    sobol = Sobol

    def __init__(self) -> None:
        keep_freed_memory()
        super().__init__()
        for native, t in list(OF.items()):
            if isinstance(native, np.dtype):
                OF[native.type] = t

    def setup(self) -> None:
        """Make NumPy as silent as PyTorch where numbers overflow or are undefined.

        NumPy keeps this setting for each thread and context, so it is called once in each.
        """
        np.seterr(all="ignore")

    def native_dtype(self, t: dtype) -> Any:
        """NumPy's dtype, which arrays have; bfloat16 only with the package ml_dtypes."""
        native = getattr(namespace, t.name, None)
        return None if native is None else np.dtype(native)

    def array(self, data: Any, native: Any, index: int | None) -> Array:
        """An array of its own memory.

        A number by itself wraps around where it does not fit into an integer type.

        Raises
        ------
        RuntimeError
            If a number in a sequence does not fit into an integer type.
        """
        if data.__class__ is float and native.kind not in "iu":
            return np.array(data, native)
        if isinstance(data, (np.ndarray, np.generic)):
            with np.errstate(all="ignore"):
                return np.array(quick.astype(data, native, copy=False), order="C")
        if native.kind in "iu":
            return integers(data, native)
        with np.errstate(all="ignore"):
            return np.array(data, native)

    def adopt(self, data: Any) -> Any:
        """The same memory as a plain ndarray, or None if it belongs to another library."""
        if data.__class__ is np.ndarray:
            return data
        return np.asarray(data) if isinstance(data, self.array_types) else None

    def to_host(self, array: Array) -> Array:
        """The array itself."""
        return array

    def from_buffer(self, buffer: Any, native: Any, count: int, offset: int) -> Array:
        """An array over the memory of a buffer."""
        return np.frombuffer(buffer, native, count, offset)

    def allocated(self, array: Array) -> int:
        """Bytes of the memory of the array looked at."""
        return int(root(array).nbytes)

    def write(self, target: Array, value: Any) -> None:
        """Copy `value`, converted as PyTorch does, into the memory of `target`."""
        if value.dtype is target.dtype:
            target[...] = value
            return
        kind = value.dtype.kind
        if kind == "c" and target.dtype.kind != "c":
            value = value != 0 if target.dtype.kind == "b" else value.real
        elif kind in "fV" and target.dtype.kind in "iu":
            with np.errstate(all="ignore"):
                target[...] = value
            return
        target[...] = value

    def strides(self, array: Array) -> tuple[int, ...]:
        """Steps in elements; a dimension of length 1 has that of a contiguous tensor."""
        size = array.itemsize
        steps = [step // size for step in array.strides]
        if 0 in steps:
            return contiguous_where_free(steps, array.shape)
        return tuple(steps)

    def pointer(self, array: Array) -> int:
        """The address of the first element."""
        address: int = array.__array_interface__["data"][0]
        return address

    def owns(self, array: Array) -> bool:
        """Whether it is no view."""
        return array.flags.owndata

    def shares(self, one: Array, two: Array) -> bool:
        """Whether two arrays look at the same memory."""
        return np.may_share_memory(one, two)

    def storage_offset(self, array: Array) -> int:
        """How many elements lie before the first one in the memory of the array looked at."""
        owner = root(array)
        return (self.pointer(array) - self.pointer(owner)) // array.itemsize

    def overlaps(self, array: Array) -> bool:
        """Whether several elements share one place in memory, as in an expanded array."""
        return 0 in array.strides and super().overlaps(array)

    def spread(self, kernel: Any) -> Any:
        """A function of NumPy's own goes through large arrays part by part, by threads."""
        return Shared(kernel) if isinstance(kernel, np.ufunc) else kernel

    def reused(self, kernel: Any, arrays: Any, others: int) -> Any:
        """The result of a function of NumPy's own, written over a large array that nobody keeps."""
        first = arrays[0]
        if others or first.nbytes < REUSED or not isinstance(kernel, (np.ufunc, Shared)):
            return None
        flags = first.flags
        if not (flags.owndata and flags.writeable and flags.c_contiguous):
            return None
        for other in arrays[1:]:
            if other.ndim and (other is first or other.shape != first.shape):
                return None
        try:
            return kernel(*arrays, out=first, casting="no")
        except TypeError:  # the result has another type
            return None

    def written(self, kernel: Any, arrays: Any) -> bool:
        """The result written over the first array, by a function of NumPy's own without a copy."""
        first = arrays[0]
        if 0 in first.strides:
            return False
        if not isinstance(kernel, np.ufunc):
            try:
                made = kernel(*arrays)
                if made.dtype is not first.dtype or made.shape != first.shape:
                    return False
                first[...] = made
            except Exception:  # to be said in other words
                return False
            return True
        # NumPy 2.4's np.negative reads strided arrays as if they were not, if it is given `out`.
        if kernel is np.negative and not first.flags.c_contiguous:
            return False
        try:
            call = kernel if first.size <= BLOCK else Shared(kernel)
            call(*arrays, out=first, casting="no")
        except (TypeError, ValueError):  # another type, another shape, or not to be written
            return False
        return True

    def filled(self, array: Array, mask: Array, value: Array) -> bool:
        """Write a number where a mask is true, if there are few places."""
        if array.size > FEW or mask.shape != array.shape or 0 in array.strides:
            return False
        if mask is array or not array.flags.writeable:
            return False
        array[mask] = value
        return True

    def in_rows(self, array: Array) -> bool:
        """Whether the elements lie one after another, in row order."""
        return array.flags.c_contiguous

    def added(self, into: Any, other: Any) -> Any:
        """The sum, in the memory of `into` where it fits."""
        if into.__class__ is np.ndarray and into.dtype is other.dtype:
            try:
                into += other
                return into
            except ValueError:  # the other one is larger
                pass
        return into + other


def integers(data: Any, native: Any) -> Array:
    """Numbers as integers, cut towards 0; negative ones may wrap around in unsigned types."""
    if isinstance(data, int):
        try:
            return np.array(data, native)
        except OverflowError:
            return np.array(data % (1 << 64), np.uint64).astype(native)
    values = np.array(data)
    if values.dtype == native or values.dtype.kind == "b" or not values.size:
        return values.astype(native, copy=False)
    limits = np.iinfo(native)
    low, high = values.min(), values.max()
    # Comparing with `limits.max` itself would round it up for floats.
    if not (limits.min if native.kind == "i" else -limits.max) <= low <= high < limits.max + 1:
        raise RuntimeError(f"value cannot be converted to type {native} without overflow")
    return values.astype(native)
