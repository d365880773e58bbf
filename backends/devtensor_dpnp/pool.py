"""The memory of arrays, kept for the next ones.

SYCL gets each array's memory from the operating system and gives it back, and clearing fresh pages
takes longer than most operations on them. So blocks that are no longer used are kept, up to a
limit, and the bytes in use are counted, which dpctl does not do.

All of dpnp's functions get the memory of their results by calling ``dpctl.memory.MemoryUSMDevice``;
`install` puts `Memory` in that place. What it makes are objects of dpctl's own class.

Nothing may be handed out again that a kernel still reads or writes: dpnp fills new memory without
waiting for anything. So a block comes back when its `Lease` is gone, which the arrays over it hold,
and which dpnp holds for each kernel until it has run, as `Pool.held` does for kernels of our own.
(If a block were an object with memory of its own, dpnp would hold just that memory, not the object,
which would then come back too early.)
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from dpctl import memory
from dpnp.memory import MemoryUSMDevice as Shown

from devtensor.errors import OutOfMemoryError

from .runtime import DEVICES, PLACES, Forked, dpctl, refuse_fork

Raw: Any = memory.MemoryUSMDevice
DONE = dpctl.event_status_type.complete
SMALL = 1 << 14
"""Bytes below which memory is not kept: to make a block out of kept memory takes longer."""
STEP = 512
AHEAD = 4
"""Blocks of one size from which on a processor waits for some to come back instead of making more.

Work is asked for faster than it is done. Clearing the pages of one more block takes as long as the
work that would have to end, and a processor has them in its caches when they come back.
"""


def rounded(size: int) -> int:
    """The size of a block for `size` bytes: at most an eighth more."""
    step = max(STEP, 1 << max(size.bit_length() - 4, 0))
    return -(-size // step) * step


class Pool:
    """The memory of one device.

    Attributes
    ----------
    limit : int
        Bytes that are kept at most while no array uses them.
    held : deque
        The ends of kernels that may still run, with what lies behind their memory, in order. dpctl
        would let a thread wait for each end, which takes longer than most kernels.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.total = int(DEVICES[index].global_mem_size)
        self.limit = self.total // 4
        self.used = self.kept = self.peak = self.peak_reserved = 0
        self.count = 0
        self.bins: defaultdict[int, list[Any]] = defaultdict(list)
        self.lent: defaultdict[int, int] = defaultdict(int)
        self.ahead = AHEAD if DEVICES[index].is_cpu else self.total
        # Blocks come back whenever Python collects them, also in the middle of `take`: appending
        # to a deque needs no lock.
        self.returned: deque[tuple[Any, int]] = deque()
        self.held: deque[tuple[Any, list[Any]]] = deque()
        self.lock, self.turn = Lock(), Lock()

    def hold(self, end: Any, arrays: list[Any]) -> None:
        """Keep the memory of dpctl's arrays until the event `end`."""
        # Not the memory itself: that nobody else holds it tells whether it can be written over.
        self.held.append((end, [(m := a.usm_data).reference_obj or m for a in arrays]))
        self.let_go()

    def let_go(self) -> None:
        """Hold no longer what was for kernels that have run."""
        held = self.held
        if held and not Forked.here and self.turn.acquire(blocking=False):
            try:
                while held and held[0][0].execution_status == DONE:
                    held.popleft()
            finally:
                self.turn.release()

    def settle(self) -> None:
        """Count what has come back, and keep it while there is room; the lock is held."""
        self.let_go()
        returned = self.returned
        while returned:
            raw, size = returned.popleft()
            self.used -= size
            if raw is not None:
                self.lent[size] -= 1
            if raw is not None and self.kept + size <= self.limit:
                self.bins[size].append(raw)
                self.kept += size

    def take(self, wanted: int, queue: Any) -> Any:
        """Memory for `wanted` bytes.

        Raises
        ------
        OutOfMemoryError
            If there is not enough.
        """
        raw = None
        if wanted < SMALL:
            size = wanted
            made = self.allocated(Raw.__new__, (Small, size), wanted, queue)
            made.room, made.pool = size, self
        else:
            size = rounded(wanted)
            raw = self.kept_block(size)
            if raw is None and self.lent[size] >= self.ahead:
                refuse_fork()  # waiting would hang
                queue.wait()
                raw = self.kept_block(size)
            if raw is None:
                raw = self.allocated(Raw, (size,), wanted, queue)
            made = Raw(Lease(raw, size, wanted, self))
        with self.lock:
            if self.returned:
                self.settle()
            if wanted >= SMALL:
                self.lent[size] += 1
            self.used += size
            self.count += 1
            if self.used > self.peak:
                self.peak = self.used
            if self.used + self.kept > self.peak_reserved:
                self.peak_reserved = self.used + self.kept
        return made

    def kept_block(self, size: int) -> Any:
        """A block that no array uses, if one is kept."""
        with self.lock:
            self.settle()
            if free := self.bins.get(size):
                self.kept -= size
                return free.pop()
        return None

    def allocated(
        self, allocate: Callable[..., Any], given: tuple[Any, ...], wanted: int, queue: Any
    ) -> Any:
        """What `allocate` makes of what it is given, if need be with all kept memory given back.

        Raises
        ------
        OutOfMemoryError
        """
        try:
            return allocate(*given, queue=queue)
        except memory.USMAllocationError:
            queue.wait()
            self.release()
        try:
            return allocate(*given, queue=queue)
        except memory.USMAllocationError:
            most = int(DEVICES[self.index].max_mem_alloc_size)
            raise OutOfMemoryError(
                f"out of memory on xpu:{self.index}: tried to allocate {wanted / 2**20:.2f} MiB; "
                f"the device has {self.total / 2**20:.0f} MiB, of which arrays of this process "
                f"hold {self.used / 2**20:.0f} MiB, and gives at most {most / 2**20:.0f} MiB to "
                "one array. Use smaller batches, or no_grad() where no gradient is wanted"
            ) from None

    def release(self) -> None:
        """Give kept memory back to the system."""
        with self.lock:
            self.settle()
            self.bins.clear()
            self.kept = 0

    def statistics(self) -> dict[str, int]:
        """Bytes in use and kept, now and at most, and how many blocks were ever made."""
        with self.lock:
            self.settle()
            return {
                "allocated": self.used,
                "reserved": self.used + self.kept,
                "peak_allocated": self.peak,
                "peak_reserved": self.peak_reserved,
                "count": self.count,
            }

    def reset_peak(self) -> None:
        """Let the largest numbers so far be the present ones."""
        with self.lock:
            self.settle()
            self.peak, self.peak_reserved = self.used, self.used + self.kept


class Small(Shown):
    """Memory that is counted, and freed when the last array over it is gone."""

    pool: Pool | None = None  # the attribute `data` of dpnp's arrays makes one without

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.returned.append((None, self.room))


class Lease:
    """Stands behind memory that a pool lent out; when it is gone, the memory comes back."""

    __slots__ = ("__sycl_usm_array_interface__", "pool", "raw", "room")

    def __init__(self, raw: Any, room: int, wanted: int, pool: Pool) -> None:
        self.raw, self.room, self.pool = raw, room, pool
        described = raw.__sycl_usm_array_interface__
        described["shape"] = (wanted,)
        self.__sycl_usm_array_interface__ = described

    def __del__(self) -> None:
        self.pool.returned.append((self.raw, self.room))


class Kind(type(Raw)):  # type: ignore[misc]
    """Makes `Memory` look like the class in whose place it stands."""

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, Raw)

    def __subclasscheck__(cls, other: Any) -> bool:
        return issubclass(other, Raw)

    def __call__(cls, other: Any, *args: Any, **kwargs: Any) -> Any:
        if other.__class__ is int and not args and len(kwargs) == 1:
            index = PLACES.get(kwargs.get("queue"))
            if index is not None:
                return POOLS[index].take(other, kwargs["queue"])
        return Raw(other, *args, **kwargs)


class Memory(Raw, metaclass=Kind):
    """What dpnp calls for memory; it has no objects of its own."""

    __slots__ = ()


POOLS = [Pool(index) for index in range(len(DEVICES))]


def install() -> None:
    """Let dpnp get memory from the pools."""
    memory.MemoryUSMDevice = Memory
