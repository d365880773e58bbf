"""dpnp as the device ``xpu``: Intel GPUs, or the CPU by way of SYCL where there is none."""

from __future__ import annotations

import sys
from typing import Any

from devtensor.backend import Backend, contiguous_where_free, load
from devtensor.dtype import OF, dtype

__all__ = ["Dpnp"]


class Natives(dict[dtype, Any]):
    """The library's types; says why one is missing."""

    def __missing__(self, t: dtype) -> Any:
        if t.name == "bfloat16":
            raise TypeError("bfloat16 is not available on xpu: dpnp has no such type; use float32")
        from .guarded import refuse_double

        refuse_double(t.name, 0)
        raise KeyError(t)


class Dpnp(Backend):
    """dpnp's arrays, in the memory of SYCL devices.

    Raises
    ------
    RuntimeError
        If dpnp is not installed, or there is no device; says what to do.
    """

    kind = "xpu"
    packages = ("dpnp", "dpctl")

    def __init__(self) -> None:
        from . import runtime  # only now: a program that names no xpu does not import dpnp

        self.runtime = runtime
        from devtensor_formulas import aim

        from . import copies, elementwise, memory, pool
        from .kernels import KERNELS, WRITERS
        from .namespace import namespace

        pool.install()
        elementwise.install()
        self.memory, self.pools = memory, pool.POOLS
        self.into, self.aim = copies.into, aim.aimed
        self.namespace = namespace  # type: ignore[method-assign]
        self.xp = namespace(0)
        self.kernels, self.writers = KERNELS, WRITERS  # type: ignore[misc]
        self.array_types = (runtime.dpnp.ndarray,)
        # Two threads that are the first to call one of dpnp's parts wait for each other forever.
        one = runtime.dpnp.eye(2, dtype="f4")
        (runtime.dpnp.matmul(one, one) + runtime.dpnp.ones_like(one)).sum()
        self.host_array = load("cpu").array
        super().__init__()
        self.native = Natives(self.native)
        for native, t in list(OF.items()):
            if native.__class__ is type(native) and hasattr(native, "type"):
                OF[native.type] = t

    def native_dtype(self, t: dtype) -> Any:
        """The NumPy dtype, which dpnp's arrays have too; None for what no device computes in."""
        import numpy as np

        is_double = (t.itemsize == 8 and t.kind == "float") or t.itemsize == 16
        if is_double and not any(self.runtime.DOUBLE):
            return None
        native = getattr(self.xp, t.name, None)
        return None if native is None else np.dtype(native)

    # ---- devices

    def count(self) -> int:
        """How many devices SYCL shows."""
        return len(self.runtime.DEVICES)

    def placed(self, index: int | None) -> dict[str, Any]:
        """The keyword for the factories of this namespace."""
        return {"device": self.runtime.DEVICE_OBJECTS[index or 0]}

    def index_of(self, array: Any) -> int:
        """The index of the device on which `array` lives."""
        return self.runtime.index_of(array.sycl_queue)

    def synchronize(self, index: int | None) -> None:
        """Wait for the work under way on a device."""
        self.runtime.refuse_fork()
        self.runtime.QUEUES[index or 0].wait()

    def properties(self, index: int) -> dict[str, Any]:
        """What SYCL tells of a device; a CPU says that it is one in its name."""
        device = self.runtime.DEVICES[index]
        name = str(device.name).strip()
        return {
            "name": f"{name} (CPU as a SYCL device)" if device.is_cpu else name,
            "total_memory": int(device.global_mem_size),
            "type": "cpu" if device.is_cpu else "gpu",
            "vendor": str(device.vendor),
            "driver_version": str(device.driver_version),
            "platform_name": str(device.sycl_platform.name),
            "backend": device.backend.name,
            "filter_string": device.filter_string,
            "has_fp16": bool(device.has_aspect_fp16),
            "has_fp64": bool(device.has_aspect_fp64),
            "has_atomic64": bool(device.has_aspect_atomic64),
            "max_compute_units": int(device.max_compute_units),
            "max_work_group_size": int(device.max_work_group_size),
            "sub_group_sizes": list(device.sub_group_sizes),
            "max_allocation": int(device.max_mem_alloc_size),
        }

    def memory_info(self, index: int) -> tuple[int, int]:
        """Free and total bytes; of a CPU the machine's, of a GPU what is not reserved here."""
        total = int(self.runtime.DEVICES[index].global_mem_size)
        if self.runtime.DEVICES[index].is_cpu:
            import os

            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            return min(free, total), total
        return total - self.pools[index].statistics()["reserved"], total

    def memory_statistics(self, index: int) -> dict[str, int]:
        """What the pool counts."""
        return self.pools[index].statistics()

    def reset_peaks(self, index: int) -> None:
        """Let the largest numbers so far be the present ones."""
        self.pools[index].reset_peak()

    def release(self) -> None:
        """Give memory that no array uses back to the system."""
        for pool in self.pools:
            pool.release()

    def current_stream(self, index: int) -> Any:
        """The device's only queue."""
        return self.runtime.QUEUES[index]

    def new_stream(self, index: int, priority: int) -> Any:
        """The same: dpnp refuses arrays of two queues in one operation."""
        return self.runtime.QUEUES[index]

    def new_event(self, index: int, timing: bool) -> Any:
        """A mark in the queue."""
        from .events import Event

        return Event(self.runtime.QUEUES[index], timing)

    # ---- arrays from and to elsewhere

    def adopt(self, data: Any) -> Any:
        """The same memory, or None if it belongs to another library.

        Raises
        ------
        ValueError
            If elements stand backwards: dpnp computes garbage of some such arrays.
        """
        if not isinstance(data, self.runtime.dpnp.ndarray):
            return None
        if min(data._array_obj.strides, default=0) < 0:
            raise ValueError(
                "At least one stride in the given dpnp array is negative, and tensors with "
                "negative strides are not supported. (You can probably work around this by making "
                "a copy of your array with array.copy(order='C').)"
            )
        return data

    def array(self, data: Any, native: Any, index: int | None) -> Any:
        """An array of its own memory; from another device it comes over the host.

        dpnp's own copies from device to device do not wait for the work on what they read, and are
        no copies at all within one SYCL context.
        """
        runtime = self.runtime
        runtime.refuse_fork()
        index = index or 0
        if not runtime.DOUBLE[index] and native.char in "dD":
            from .guarded import refuse_double

            refuse_double(native, index)
        if isinstance(data, runtime.dpnp.ndarray):
            data = self.memory.to_host(data)
        return self.memory.from_host(self.host_array(data, native, None), runtime.QUEUES[index])

    def to_host(self, array: Any) -> Any:
        """A copy in NumPy's memory, when the work is done."""
        return self.memory.to_host(array)

    def write(self, target: Any, value: Any) -> None:
        """Copy `value`, converted as PyTorch does, into the memory of `target`."""
        if value.dtype != target.dtype:
            value = self.xp.astype(value, target.dtype)
        one, two = target._array_obj, value._array_obj
        other = one.usm_data is not two.usm_data and one.size
        if other and (one.shape == two.shape or not two.ndim):
            self.into(two, one)
        else:
            target[...] = value

    def written(self, kernel: Any, arrays: Any) -> bool:
        """The result of a kernel that writes each element where it has read it."""
        first = arrays[0]
        into = getattr(kernel, "into", None)
        if into is None or self.overlaps(first):
            return False
        bound = getattr(kernel, "__self__", None)
        if bound is None:
            return bool(into(*arrays))
        try:
            made = into(bound, *arrays)
        except Exception:  # to be said of the form that writes
            return False
        if made is not first:
            if made.shape != first.shape or made.dtype != first.dtype:
                return False
            self.write(first, made)
        return True

    def aimed(
        self, array: Any, name: str, function: Any, /, *args: Any, **kwargs: Any
    ) -> Any:  # fmt: skip
        """Let the kernel of one operation write over an array."""
        if self.overlaps(array):
            return function(*args, **kwargs)
        return self.aim(self.kind, array, name, function, *args, **kwargs)

    # ---- memory

    def strides(self, array: Any) -> tuple[int, ...]:
        """Steps in elements; a dimension of length 1 has that of a contiguous tensor."""
        steps = list(array._array_obj.strides)
        if 0 in steps or not array.size:
            return contiguous_where_free(steps, array.shape)
        return tuple(steps)

    def in_rows(self, array: Any) -> bool:
        """Whether the elements lie one after another, in row order."""
        found: bool = array._array_obj.flags.c_contiguous
        return found

    def pointer(self, array: Any) -> int:
        """The address of the first element."""
        return self.memory.pointer(array)

    def owns(self, array: Any) -> bool:
        """Whether it is the whole of its allocation, at which no other array looks."""
        whole = array.nbytes == self.memory.allocated(array) or not array.size
        # The array's own reference, and the one that is passed. Some functions of dpnp's that have
        # nothing to do put the same inner array into another outer one.
        count = sys.getrefcount
        return whole and count(array._array_obj) == 2 and count(array._array_obj.usm_data) == 2

    def shares(self, one: Any, two: Any) -> bool:
        """Whether two arrays lie in one allocation."""
        return one._array_obj.usm_data is two._array_obj.usm_data

    def overlaps(self, array: Any) -> bool:
        """Whether several elements share one place in memory, as in an expanded array."""
        steps = array._array_obj.strides
        if 0 not in steps or 0 in array.shape:  # an empty array's strides are 0 here
            return False
        return any(n > 1 and not step for n, step in zip(array.shape, steps, strict=True))

    def storage_offset(self, array: Any) -> int:
        """How many elements lie before the first one in the allocation."""
        return self.memory.offset_of(array)

    def allocated(self, array: Any) -> int:
        """Bytes of the allocation in which `array` lies."""
        return self.memory.allocated(array)
