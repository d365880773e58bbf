"""What an array library must offer to be a device, and the finding of the libraries that do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from math import prod
from threading import local
from typing import Any, ClassVar

from . import dtype as dtypes

GROUP = "devtensor.backends"


class Backend:
    """An array library as a kind of device.

    A subclass sets the attributes and overrides what its library does otherwise. Arrays are the
    library's own; indices count the devices of this kind.
    """

    kind: str
    """The device type that it serves, as ``"cpu"``."""
    host: bool = False
    """Whether its memory is the host's, so that there is one device without an index."""
    data: bool = True
    """Whether its arrays have elements, which can be read."""
    xp: Any
    """The array API namespace, version 2024.12, with the EXTRAS beside it."""
    array_types: tuple[type, ...]
    """Classes of its arrays; the first is what kernels return, others are wrapped into it."""
    packages: tuple[str, ...] = ()
    """Packages whose arrays it takes as its own; by their names the backend is found and loaded."""
    within: tuple[Any, ...] = ()
    """Devices whose arrays its arrays are batches of; those of libraries are of none."""
    kernels: ClassVar[dict[str, Callable[..., Any]]] = {}
    """Kernels of its own, by the name of the operation that they replace."""
    writers: ClassVar[dict[str, Callable[..., None]]] = {}
    """For operations that change a part of their first input: kernels that change it in place.

    They are used where that array lies in rows and shares no memory with the others, and refuse
    what they refuse before they write."""

    def __init__(self) -> None:
        self._here = local()
        self.native: dict[dtypes.dtype, Any] = {}
        for t in dtypes.ALL:
            native = self.native_dtype(t)
            if native is not None:
                self.native[t] = native
                dtypes.OF[native] = t

    def setup(self) -> None:
        """Make the library's settings that belong to a thread or context; called once in each."""

    def native_dtype(self, t: dtypes.dtype) -> Any:
        """The library's type object for `t`; None if it has none."""
        return getattr(self.xp, t.name, None)

    def count(self) -> int:
        """How many devices of this kind there are."""
        return 1

    def current(self) -> Any:
        """The index used when none is named, in this thread; None if there are no indices."""
        return getattr(self._here, "index", 0)

    def set_current(self, index: int) -> None:
        """Use `index` in this thread when none is named."""
        self._here.index = index

    def namespace(self, index: int | None) -> Any:
        """`xp` for kernels on device `index`; its factories may make their arrays there."""
        return self.xp

    def bind(self, kernel: Callable[..., Any], index: int | None) -> Callable[..., Any]:
        """`kernel`, made to run on device `index`; the place to enter a device's context."""
        return kernel

    def spread(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """`kernel` as it is called on large arrays; the place to let threads share them."""
        return kernel

    def array(self, data: Any, native: Any, index: int | None) -> Any:
        """An array of its own memory from numbers, nested sequences or a host (NumPy) array."""
        raise NotImplementedError

    def adopt(self, data: Any) -> Any:
        """The same memory as an array of this library, or None if it belongs to another library."""
        return data if isinstance(data, self.array_types) else None

    def from_buffer(self, buffer: Any, native: Any, count: int, offset: int) -> Any:
        """An array over the memory of a buffer; only the host's library can."""
        raise TypeError(f"{self.kind} arrays cannot look at the memory of a host buffer")

    def index_of(self, array: Any) -> int | None:
        """The index of the device on which `array` lives."""
        return None if self.host else 0

    def to_host(self, array: Any) -> Any:
        """`array` as a NumPy array; the same memory where that is possible."""
        raise NotImplementedError

    def write(self, target: Any, value: Any) -> None:
        """Copy `value`, of any type and of a shape that broadcasts, into the memory of `target`."""
        target[...] = value

    def strides(self, array: Any) -> tuple[int, ...]:
        """Steps in elements."""
        raise NotImplementedError

    def pointer(self, array: Any) -> int:
        """The address of the first element."""
        raise NotImplementedError

    def owns(self, array: Any) -> bool:
        """Whether `array` is alone in holding its memory's allocation (it is no view)."""
        raise NotImplementedError

    def shares(self, one: Any, two: Any) -> bool:
        """Whether a result of reshaping lies in the memory of what was reshaped."""
        return self.pointer(one) == self.pointer(two)

    def overlaps(self, array: Any) -> bool:
        """Whether several elements share one place in memory, as in an expanded array."""
        strides = self.strides(array)
        return 0 in strides and any(
            n > 1 and not step for n, step in zip(array.shape, strides, strict=True)
        )

    def reused(self, kernel: Any, arrays: Any, others: int) -> Any:
        """The kernel's result in the memory of the first array; None if that cannot be.

        `others` is how many references to the array there are besides those of the caller.
        """
        return None

    def written(self, kernel: Any, arrays: Any) -> bool:
        """Write the kernel's result over the first array without another; False if it cannot be."""
        return False

    def filled(self, array: Any, mask: Any, value: Any) -> bool:
        """Write a number where a mask of the same shape is true; False if nothing was written."""
        return False

    def aimed(
        self, array: Any, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """What a function gives; in it the kernel of the operation `name` may write its result over
        `array`, and return that, if the result has its shape and type.
        """
        return function(*args, **kwargs)

    def in_rows(self, array: Any) -> bool:
        """Whether the elements lie one after another, in row order."""
        step = 1
        for n, s in zip(reversed(array.shape), reversed(self.strides(array)), strict=True):
            if n != 1 and s != step:
                return False
            step *= n
        return True

    def added(self, into: Any, other: Any) -> Any:
        """The sum of two arrays of one shape, in the first's memory if that is possible."""
        return into + other

    def placed(self, index: int | None) -> dict[str, Any]:
        """The keyword with which the library's factories are told the device `index`."""
        return {}

    def storage_offset(self, array: Any) -> int:
        """How many elements lie between the start of the allocation and the first element."""
        return 0

    def itemsize(self, array: Any) -> int:
        """Bytes of one element."""
        return dtypes.of(array.dtype).itemsize

    def nbytes(self, array: Any) -> int:
        """Bytes of all elements."""
        return prod(array.shape) * self.itemsize(array)

    def allocated(self, array: Any) -> int:
        """Bytes of the allocation in which `array` lies."""
        return self.nbytes(array)

    def synchronize(self, index: int | None) -> None:
        """Wait for the work under way on a device."""

    # ---- what `devtensor.accelerator` asks of backends other than the host's

    def properties(self, index: int) -> dict[str, Any]:
        """What is known of a device: at least ``name`` and ``total_memory``, in bytes."""
        return {"name": f"{self.kind}:{index}", "total_memory": self.memory_info(index)[1]}

    def memory_info(self, index: int) -> tuple[int, int]:
        """Free and total bytes of a device's memory."""
        return 0, 0

    def memory_statistics(self, index: int) -> dict[str, int]:
        """Bytes in use by arrays and held for them, now and at most since `reset_peaks`.

        The keys are ``allocated``, ``reserved``, ``peak_allocated`` and ``peak_reserved``.
        """
        return dict.fromkeys(("allocated", "reserved", "peak_allocated", "peak_reserved"), 0)

    def reset_peaks(self, index: int) -> None:
        """Let the largest numbers so far be the present ones."""

    def release(self) -> None:
        """Give memory that no array uses back to the system."""

    def new_stream(self, index: int, priority: int) -> Any:
        """A further queue of work on a device; None if the library has one queue for each."""
        return None

    def current_stream(self, index: int) -> Any:
        """The queue that takes this thread's work on a device; None as above."""
        return None

    def on_stream(self, stream: Any, index: int) -> AbstractContextManager[Any]:
        """A context in which work goes to a queue that `new_stream` made."""
        return nullcontext()

    def stream_synchronize(self, stream: Any, index: int) -> None:
        """Wait for the work in a queue."""
        self.synchronize(index)

    def new_event(self, index: int, timing: bool) -> Any:
        """A mark that can be set in a queue.

        It has the methods ``record(stream)``, ``wait(stream)``, ``synchronize()``, ``query()`` and
        ``elapsed_time(end)``, which is in milliseconds; the streams are those of `new_stream`.
        """
        raise NotImplementedError(f"{self.kind} devices have no events here")


def contiguous_where_free(steps: list[int], shape: Sequence[int]) -> tuple[int, ...]:
    """`steps`, with those that a contiguous tensor would have where none is taken.

    None is along a dimension of length 1 for which a library says 0, nor anywhere without elements.
    """
    empty, following = 0 in shape, 1
    for d in range(len(steps) - 1, -1, -1):
        if empty or (shape[d] == 1 and not steps[d]):
            steps[d] = following
        following = steps[d] * (shape[d] or 1)
    return tuple(steps)


_registered: dict[str, Callable[[], Backend]] = {}
_loaded: dict[str, Backend] = {}
_found: dict[str, Any] | None = None


def _entry_points() -> dict[str, Any]:
    global _found
    if _found is None:
        _found = {point.name: point for point in entry_points(group=GROUP)}
    return _found


def register(kind: str, make: Callable[[], Backend]) -> None:
    """Offer a backend for `kind`, as an entry point of the group ``devtensor.backends`` does."""
    _registered[kind] = make


def kinds() -> set[str]:
    """The kinds of device that an installed backend serves."""
    return {*_registered, *_entry_points()}


def load(kind: str) -> Backend:
    """The backend for `kind`; its package is imported at the first call."""
    backend = _loaded.get(kind)
    if backend is None:
        make = _registered.get(kind) or _entry_points()[kind].load()
        backend = _loaded.setdefault(kind, make())
        backend.setup()
    return backend


def loaded() -> tuple[Backend, ...]:
    """The backends in use so far."""
    return tuple(_loaded.values())


def owner(data: Any) -> Backend | None:
    """The backend whose library made the array `data`; None if it is no array of a loaded one."""
    cls = data.__class__
    for backend in _loaded.values():
        if issubclass(cls, backend.array_types):
            return backend
    return None
