"""CuPy as the device ``cuda``: NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from inspect import signature
from typing import Any

from devtensor.backend import Backend, contiguous_where_free, load
from devtensor.dtype import OF, dtype
from devtensor.space import library_function

__all__ = ["CuPy"]


class CuPy(Backend):
    """CuPy's arrays, in the memory of GPUs.

    Raises
    ------
    RuntimeError
        If CuPy is not installed, or there is no device; says what to do.
    """

    kind = "cuda"
    packages = ("cupy",)
    broken: RuntimeError | None = None
    """Why it cannot be used, found at the first try."""

    def __init__(self) -> None:
        if CuPy.broken is not None:
            raise CuPy.broken.with_traceback(None)
        try:
            from . import runtime  # only now: a program that names no cuda does not import CuPy
        except RuntimeError as reason:
            CuPy.broken = reason
            raise
        self.runtime, self.cupy = runtime, runtime.cupy
        from devtensor_formulas import aim

        from . import memory, pool
        from .fuse import Cuda
        from .indexing import WRITERS
        from .namespace import namespace
        from .override import KERNELS

        pool.install()
        self.memory, self.pool, self.aim = memory, pool, aim.aimed
        self.limit = Cuda.limit
        self.namespace = namespace  # type: ignore[method-assign]
        self.xp = namespace(0)
        self.array_types = (runtime.cupy.ndarray,)
        self.kernels, self.writers = KERNELS, WRITERS  # type: ignore[misc]
        self.host_array = load("cpu").array
        super().__init__()
        for native, t in list(OF.items()):
            if hasattr(native, "type") and hasattr(native, "char"):
                OF[native.type] = t

    def native_dtype(self, t: dtype) -> Any:
        """The NumPy dtype, which CuPy's arrays have, too; bfloat16 needs the package ml_dtypes."""
        import numpy as np

        native = getattr(self.xp, t.name, None)
        return None if native is None else np.dtype(native)

    # ---- devices

    def count(self) -> int:
        """How many devices the driver shows."""
        return self.runtime.COUNT

    def current(self) -> int:
        """CuPy's current device, in this thread."""
        return int(self.runtime.get_device())

    def set_current(self, index: int) -> None:
        """Make a device CuPy's current one, in this thread."""
        self.runtime.set_device(index)

    def bind(self, kernel: Callable[..., Any], index: int | None) -> Callable[..., Any]:
        """`kernel`, run on a device whichever is current, with CuPy's errors translated."""
        made: Any = self.runtime.bound(kernel, index or 0)
        made.plain = kernel
        made.direct = self.direct(kernel)  # for arrays that are not worth a kernel of ours
        return made

    def on(self, index: int | None) -> AbstractContextManager[Any]:
        """A context in which a device is the current one."""
        return self.runtime.on(index or 0)

    def placed(self, index: int | None) -> dict[str, Any]:
        """The keyword for the factories of this namespace."""
        return {"device": index or 0}

    def index_of(self, array: Any) -> int:
        """The index of the device on which `array` lives."""
        return int(array.data.device_id)

    def synchronize(self, index: int | None) -> None:
        """Wait for the work under way on a device, in all its streams."""
        self.runtime.refuse_fork()
        with self.runtime.on(index or 0):
            self.cupy.cuda.runtime.deviceSynchronize()

    def properties(self, index: int) -> dict[str, Any]:
        """What the driver tells of a device."""
        found = self.cupy.cuda.runtime.getDeviceProperties(index)
        name = found["name"]
        return {
            "name": name.decode() if isinstance(name, bytes) else str(name),
            "total_memory": int(found["totalGlobalMem"]),
            "major": int(found["major"]),
            "minor": int(found["minor"]),
            "multi_processor_count": int(found["multiProcessorCount"]),
            "warp_size": int(found["warpSize"]),
            "max_threads_per_multi_processor": int(found["maxThreadsPerMultiProcessor"]),
            "shared_memory_per_block": int(found["sharedMemPerBlock"]),
            "is_integrated": int(found["integrated"]),
        }

    def memory_info(self, index: int) -> tuple[int, int]:
        """Free and total bytes of a device's memory."""
        with self.runtime.on(index):
            free, total = self.cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)

    def memory_statistics(self, index: int) -> dict[str, int]:
        """What CuPy's pool counts, and the peaks since it is used here."""
        return self.pool.statistics(index)

    def reset_peaks(self, index: int) -> None:
        """Let the largest numbers so far be the present ones."""
        self.pool.reset_peaks(index)

    def release(self) -> None:
        """Give memory that no array uses back to the driver."""
        self.pool.release()

    # ---- streams

    def new_stream(self, index: int, priority: int) -> Any:
        """A further queue of work on a device, which does not wait for the default one."""
        # CuPy 13 knows no priorities, which are hints.
        known = signature(self.cupy.cuda.Stream).parameters
        how = {"priority": priority} if "priority" in known else {}
        with self.runtime.on(index):
            return self.cupy.cuda.Stream(non_blocking=True, **how)

    def current_stream(self, index: int) -> Any:
        """The queue that takes this thread's work on a device."""
        with self.runtime.on(index):
            return self.cupy.cuda.get_current_stream()

    def default_stream(self, index: int) -> Any:
        """The queue that takes work when no other is set."""
        return self.cupy.cuda.Stream.ptds if self.per_thread() else self.cupy.cuda.Stream.null

    @staticmethod
    def per_thread() -> bool:
        """Whether each thread has a default stream of its own."""
        import os

        return int(os.environ.get("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "0") or 0) != 0

    def reaches(self, index: int, other: int) -> bool:
        """Whether a device can read the memory of another."""
        return index != other and bool(self.cupy.cuda.runtime.deviceCanAccessPeer(index, other))

    @contextmanager
    def on_stream(self, stream: Any, index: int) -> Any:
        """A context in which this thread's work on a device goes to a stream."""
        with self.runtime.on(index):
            before = self.cupy.cuda.get_current_stream()
            stream.use()
        try:
            yield
        finally:
            with self.runtime.on(index):
                before.use()

    def stream_synchronize(self, stream: Any, index: int) -> None:
        """Wait for the work in a stream."""
        with self.runtime.on(index):
            stream.synchronize()

    def new_event(self, index: int, timing: bool) -> Any:
        """A mark that can be set in a stream."""
        from .events import Event

        return Event(index, timing)

    # ---- arrays from and to elsewhere

    def array(self, data: Any, native: Any, index: int | None) -> Any:
        """An array of its own memory; it is copied in the current stream of its device."""
        self.runtime.refuse_fork()
        if isinstance(data, self.cupy.ndarray):
            made = self.memory.across(data, index or 0)
            return made if made.dtype == native else self.xp.astype(made, native)
        if data.__class__ not in (float, int, bool) or not data or native.kind in "iuV":
            data = self.host_array(data, native, None)
        with self.runtime.on(index or 0):
            if data.__class__ in (float, int, bool) or data.ndim or data:
                return self.cupy.array(data, native, order="C")
            made = self.cupy.empty((), native)  # of a number by itself it loses the sign of 0
            made.set(data)
            return made

    def adopt(self, data: Any) -> Any:
        """The same memory as an array of CuPy's, or None if it belongs to another library.

        Raises
        ------
        ValueError
            If elements stand backwards: strides of tensors are not negative.
        """
        if not isinstance(data, self.cupy.ndarray):
            return None
        if min(data.strides, default=0) < 0:
            raise ValueError(
                "At least one stride in the given CuPy array is negative, and tensors with "
                "negative strides are not supported. (You can probably work around this by making "
                "a copy of your array with cupy.ascontiguousarray(array).)"
            )
        return data

    def to_host(self, array: Any) -> Any:
        """A copy in NumPy's memory, when the work before it in the current stream is done."""
        self.runtime.refuse_fork()
        with self.runtime.on(array.data.device_id):
            return array.get(order="C")

    def write(self, target: Any, value: Any) -> None:
        """Copy `value`, converted as PyTorch does, into the memory of `target`."""
        with self.runtime.on(target.data.device_id):
            if value.dtype != target.dtype:
                value = self.xp.astype(value, target.dtype)
            target[...] = value

    def written(self, kernel: Any, arrays: Any) -> bool:
        """The result of a kernel that writes each element where it has read it."""
        first, plain = arrays[0], kernel.plain
        if self.overlaps(first):
            return False
        if first.size < self.limit and kernel.direct is not None:
            plain = kernel.direct
        into = getattr(plain, "into", None)
        try:
            with self.runtime.on(first.data.device_id):
                if isinstance(plain, self.cupy.ufunc):
                    return self.over(plain, arrays)
                made = None if into is None else into(plain.__self__, *arrays)
        except Exception:  # to be said of the form that writes
            return False
        if made is None or made.shape != first.shape or made.dtype != first.dtype:
            return False
        if made is not first:
            self.write(first, made)
        return True

    def direct(self, kernel: Any) -> Any:
        """The library's function that a kernel of ours stands for, if it is one."""
        op = getattr(getattr(kernel, "__func__", None), "op", None)
        return None if op is None else library_function(op.kernel, kernel.__self__, len(op.inputs))

    def over(self, function: Any, arrays: Any) -> bool:
        """Write what one of CuPy's functions gives over its first array; False for other types.

        CuPy copies what lies there otherwise.
        """
        first = arrays[0]
        if first.dtype.char not in "fd" or any([x.dtype != first.dtype for x in arrays]):
            return False
        function(*arrays, first)
        return True

    def aimed(
        self, array: Any, name: str, function: Any, /, *args: Any, **kwargs: Any
    ) -> Any:  # fmt: skip
        """Let the kernel of one operation write over an array."""
        if self.overlaps(array):
            return function(*args, **kwargs)
        return self.aim(self.kind, array, name, function, *args, **kwargs)

    def added(self, into: Any, other: Any) -> Any:
        """The sum, in the memory of `into` where it fits."""
        with self.runtime.on(into.data.device_id):
            if into.shape == other.shape and into.dtype == other.dtype:
                return self.cupy.add(into, other, into)
            return into + other

    # ---- memory

    def strides(self, array: Any) -> tuple[int, ...]:
        """Steps in elements; a dimension of length 1 has that of a contiguous tensor."""
        size = array.itemsize
        steps = [step // size for step in array.strides]
        if 0 in steps or not array.size:
            return contiguous_where_free(steps, array.shape)
        return tuple(steps)

    def in_rows(self, array: Any) -> bool:
        """Whether the elements lie one after another, in row order."""
        found: bool = array._c_contiguous  # `flags` makes an object first
        return found

    def pointer(self, array: Any) -> int:
        """The address of the first element."""
        return int(array.data.ptr)

    def owns(self, array: Any) -> bool:
        """Whether it is no view."""
        return array.base is None

    def shares(self, one: Any, two: Any) -> bool:
        """Whether two arrays lie in one allocation."""
        return one.data.mem is two.data.mem

    def overlaps(self, array: Any) -> bool:
        """Whether several elements share one place in memory, as in an expanded array."""
        return 0 in array.strides and super().overlaps(array)

    def storage_offset(self, array: Any) -> int:
        """How many elements lie before the first one in the memory of the array looked at."""
        return int((array.data.ptr - self.memory.root(array).data.ptr) // array.itemsize)

    def itemsize(self, array: Any) -> int:
        """Bytes of one element."""
        return int(array.itemsize)

    def allocated(self, array: Any) -> int:
        """Bytes of the memory of the array looked at."""
        return int(self.memory.root(array).nbytes)
