"""dpnp as the device ``xpu``: Intel GPUs, or the CPU by way of SYCL where there is none."""

from __future__ import annotations

from typing import Any

from devtensor.backend import Backend, load
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
        from . import memory, pool
        from .namespace import namespace

        pool.install()
        self.memory, self.pools = memory, pool.POOLS
        self.namespace = namespace  # type: ignore[method-assign, assignment]
        self.xp = namespace(0)
        self.array_types = (runtime.dpnp.ndarray,)
        self.host_array = load("cpu").array
        super().__init__()
        self.native = Natives(self.native)
        for native, t in list(OF.items()):
            if native.__class__ is type(native) and hasattr(native, "type"):
                OF[native.type] = t

    def native_dtype(self, t: dtype) -> Any:
        """The NumPy dtype, which dpnp's arrays have too; None for what no device here computes in."""
        import numpy as np

        if t.itemsize >= 8 and t.kind == "float" or t.itemsize == 16:
            if not any(self.runtime.DOUBLE):
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

    # ---- arrays from and to elsewhere

    def array(self, data: Any, native: Any, index: int | None) -> Any:
        """An array of its own memory."""
        runtime = self.runtime
        runtime.refuse_fork()
        index = index or 0
        if not runtime.DOUBLE[index] and native.char in "dD":
            from .guarded import refuse_double

            refuse_double(native, index)
        return runtime.dpnp.asarray(
            self.host_array(data, native, None), sycl_queue=runtime.QUEUES[index]
        )

    def to_host(self, array: Any) -> Any:
        """A copy in NumPy's memory, when the work is done."""
        return self.memory.to_host(array)

    def write(self, target: Any, value: Any) -> None:
        """Copy `value`, converted as PyTorch does, into the memory of `target`."""
        if value.dtype != target.dtype:
            value = self.xp.astype(value, target.dtype)
        target[...] = value

    # ---- memory

    def strides(self, array: Any) -> tuple[int, ...]:
        """Steps in elements; a dimension of length 1 has that of a contiguous tensor."""
        steps = list(array._array_obj.strides)
        if 0 in steps or not array.size:
            shape, empty = array.shape, not array.size
            following = 1
            for d in range(len(steps) - 1, -1, -1):
                if empty or (shape[d] == 1 and not steps[d]):
                    steps[d] = following
                following = steps[d] * (shape[d] or 1)
        return tuple(steps)

    def pointer(self, array: Any) -> int:
        """The address of the first element."""
        return self.memory.pointer(array)

    def owns(self, array: Any) -> bool:
        """Whether no other array looks at its memory."""
        import sys

        # The array's own reference, and the one that is passed.
        return sys.getrefcount(array._array_obj.usm_data) == 2

    def shares(self, one: Any, two: Any) -> bool:
        """Whether two arrays lie in one allocation."""
        return one._array_obj.usm_data is two._array_obj.usm_data

    def overlaps(self, array: Any) -> bool:
        """Whether several elements share one place in memory, as in an expanded array."""
        steps = array._array_obj.strides
        return 0 in steps and any(
            n > 1 and not step for n, step in zip(array.shape, steps, strict=True)
        )

    def storage_offset(self, array: Any) -> int:
        """How many elements lie before the first one in the allocation."""
        return self.memory.offset_of(array)

    def allocated(self, array: Any) -> int:
        """Bytes of the allocation in which `array` lies."""
        return self.memory.allocated(array)
