"""The machine's accelerator, whatever its make (``torch.accelerator``).

`Accelerator` has the functions for one kind of device; `devtensor.cuda` and `devtensor.xpu` are
each one of it, and the functions of this module ask the one that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from devtensor import backend as backends
from devtensor import random
from devtensor.device import ACCELERATORS, accelerator_kind, usable
from devtensor.device import device as Device
from devtensor.streams import Event, Stream

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


class Accelerator:
    """What can be asked of the devices of one kind, and told them.

    Functions that take a `device` take a device, its text, its index, or None for the current one.

    Parameters
    ----------
    kind : str
        The device type, as ``"xpu"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def backend(self) -> Any:
        """The backend that serves these devices.

        Raises
        ------
        RuntimeError
            If there is none; it says what to install.
        """
        return Device(self.kind).backend

    def index(self, device: Any = None) -> int:
        """The index that `device` names.

        Raises
        ------
        RuntimeError
            If there is no such device.
        ValueError
            If it is one of another kind.
        """
        if device is None:
            return int(self.backend.current())
        found: Any = Device(self.kind, device) if isinstance(device, int) else Device(device)
        if found.type != self.kind:
            raise ValueError(f"Expected a {self.kind} device, but got: {found}")
        resolved: int = found.resolve().index
        return resolved

    # ---- devices

    def is_available(self) -> bool:
        """Whether there is a device of this kind, and a library for it."""
        return usable(self.kind)

    def init(self) -> None:
        """Load the library; that also happens when a device is first used."""
        _ = self.backend

    def is_initialized(self) -> bool:
        """Whether the library is loaded."""
        return any(backend.kind == self.kind for backend in backends.loaded())

    def device_count(self) -> int:
        """How many devices there are; 0 where none can be used."""
        return int(self.backend.count()) if self.is_available() else 0

    def current_device(self) -> int:
        """The index of the device that is meant when none is named, in this thread."""
        return int(self.backend.current())

    def set_device(self, device: Any) -> None:
        """Make a device the current one of this thread; a negative index changes nothing."""
        if not (isinstance(device, int) and device < 0):
            self.backend.set_current(self.index(device))

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        """Make a device the current one in a `with` block; None or a negative one does nothing."""
        before = self.current_device()
        if device is not None:
            self.set_device(device)
        try:
            yield
        finally:
            self.backend.set_current(before)

    def device_of(self, obj: Any) -> Any:
        """The same for the device of a tensor; one of another kind changes nothing."""
        place = getattr(obj, "device", None)
        return self.device(place if getattr(place, "type", None) == self.kind else None)

    def synchronize(self, device: Any = None) -> None:
        """Wait for all work under way on a device."""
        self.backend.synchronize(self.index(device))

    def get_device_name(self, device: Any = None) -> str:
        """What the device is called; a CPU that serves as one says so."""
        return str(self.backend.properties(self.index(device))["name"])

    def get_device_properties(self, device: Any = None) -> SimpleNamespace:
        """What is known of a device, as attributes: ``name``, ``total_memory`` and others."""
        return SimpleNamespace(**self.backend.properties(self.index(device)))

    # ---- memory

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Free and total bytes of a device's memory."""
        free, total = self.backend.memory_info(self.index(device))
        return int(free), int(total)

    def memory_stats(self, device: Any = None) -> dict[str, int]:
        """Numbers about memory by PyTorch's names: ``allocated_bytes.all.current`` and others."""
        if not self.is_available():
            return {}
        found = self.backend.memory_statistics(self.index(device))
        return {
            "allocated_bytes.all.current": found["allocated"],
            "allocated_bytes.all.peak": found["peak_allocated"],
            "reserved_bytes.all.current": found["reserved"],
            "reserved_bytes.all.peak": found["peak_reserved"],
        }

    def memory_allocated(self, device: Any = None) -> int:
        """Bytes that arrays use."""
        return self.memory_stats(device).get("allocated_bytes.all.current", 0)

    def max_memory_allocated(self, device: Any = None) -> int:
        """The most bytes that arrays have used since :meth:`reset_peak_memory_stats`."""
        return self.memory_stats(device).get("allocated_bytes.all.peak", 0)

    def memory_reserved(self, device: Any = None) -> int:
        """Bytes that arrays use, and that are kept for the next ones."""
        return self.memory_stats(device).get("reserved_bytes.all.current", 0)

    def max_memory_reserved(self, device: Any = None) -> int:
        """The most of them since :meth:`reset_peak_memory_stats`."""
        return self.memory_stats(device).get("reserved_bytes.all.peak", 0)

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        """Count the peaks anew."""
        if self.is_available():
            self.backend.reset_peaks(self.index(device))

    def empty_cache(self) -> None:
        """Give kept memory back to the system."""
        if self.is_initialized():
            self.backend.release()

    # ---- random numbers: all devices share the default generator, so that seeds mean the same

    def manual_seed(self, seed: int) -> None:
        """Seed the default generator, which serves all devices."""
        random.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """The same."""
        random.manual_seed(seed)

    def seed(self) -> None:
        """Seed the default generator from the operating system."""
        random.seed()

    def seed_all(self) -> None:
        """The same."""
        random.seed()

    def initial_seed(self) -> int:
        """The seed that the default generator started from."""
        return random.initial_seed()

    def get_rng_state(self, device: Any = None) -> Any:
        """The state of the default generator."""
        return random.get_rng_state()

    def set_rng_state(self, new_state: Any, device: Any = None) -> None:
        """Set it."""
        random.set_rng_state(new_state)

    def get_rng_state_all(self) -> list[Any]:
        """The state of the one default generator, once for each device."""
        return [self.get_rng_state() for _ in range(self.device_count())]

    def set_rng_state_all(self, new_states: Any) -> None:
        """Set the state of the default generator to the first of those given, if there is one."""
        for state in [*new_states][:1]:
            self.set_rng_state(state)

    # ---- streams

    def current_stream(self, device: Any = None) -> Stream:
        """The queue that takes this thread's work on a device."""
        index = self.index(device)
        return Stream(self, index, self.backend.current_stream(index))

    def new_stream(self, device: Any = None, priority: int = 0) -> Stream:
        """A further queue; where the library has one for each device, that one."""
        index = self.index(device)
        return Stream(self, index, self.backend.new_stream(index, priority))

    @contextmanager
    def stream(self, stream: Stream | None) -> Iterator[None]:
        """Send the work of a `with` block to a queue; None changes nothing."""
        if stream is None:
            yield
            return
        with (
            self.device(stream.device_index),
            self.backend.on_stream(stream.native, stream.device_index),
        ):
            yield

    def new_event(self, enable_timing: bool = False, blocking: bool = False) -> Event:
        """A mark to be set in a queue."""
        return Event(self, enable_timing)


BY_KIND = {kind: Accelerator(kind) for kind in ACCELERATORS}


def _here() -> Accelerator:
    kind = accelerator_kind()
    if kind is None:
        reasons = []
        for kind in ACCELERATORS:
            try:
                _ = Device(kind).backend
            except (RuntimeError, ImportError) as reason:
                reasons.append(f"{kind}: {reason}")
        raise RuntimeError(
            "Cannot access accelerator device when none is available. " + "; ".join(reasons)
        )
    return BY_KIND[kind]


def is_available() -> bool:
    """Whether there is an accelerator."""
    return accelerator_kind() is not None


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator of this machine, as a device without an index; None without one.

    Parameters
    ----------
    check_available : bool
        Accepted: an accelerator counts only if it can be used.
    """
    kind = accelerator_kind()
    return None if kind is None else Device(kind)


def device_count() -> int:
    """How many devices the accelerator has; 0 without one."""
    kind = accelerator_kind()
    return 0 if kind is None else BY_KIND[kind].device_count()


def current_device_index() -> int:
    """The index of the device that is meant when none is named, in this thread."""
    return _here().current_device()


def set_device_index(device: Any, /) -> None:
    """Make a device the current one of this thread."""
    _here().set_device(device)


current_device_idx, set_device_idx = current_device_index, set_device_index


def device_index(device: int | None, /) -> Any:
    """Make a device the current one in a `with` block; None changes nothing."""
    return _here().device(device)


def current_stream(device: Any = None, /) -> Stream:
    """The queue that takes this thread's work on a device."""
    return _here().current_stream(device)


def set_stream(stream: Stream, /) -> None:
    """Send this thread's work to a queue from now on."""
    accelerator = stream._accelerator
    accelerator.set_device(stream.device_index)
    accelerator.backend.on_stream(stream.native, stream.device_index).__enter__()


def synchronize(device: Any = None, /) -> None:
    """Wait for all work under way on a device."""
    _here().synchronize(device)


def empty_cache() -> None:
    """Give kept memory back to the system."""
    _here().empty_cache()


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Free and total bytes of a device's memory."""
    return _here().mem_get_info(device_index)


def memory_stats(device_index: Any = None, /) -> dict[str, int]:
    """Numbers about memory by PyTorch's names."""
    return _here().memory_stats(device_index)


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes that arrays use."""
    return _here().memory_allocated(device_index)


def max_memory_allocated(device_index: Any = None, /) -> int:
    """The most bytes that arrays have used since the peaks were reset."""
    return _here().max_memory_allocated(device_index)


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes that arrays use, and that are kept for the next ones."""
    return _here().memory_reserved(device_index)


def max_memory_reserved(device_index: Any = None, /) -> int:
    """The most of them since the peaks were reset."""
    return _here().max_memory_reserved(device_index)


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Count the peaks anew."""
    _here().reset_peak_memory_stats(device_index)


reset_accumulated_memory_stats = reset_peak_memory_stats


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device, as ``devtensor.cuda`` (``torch.get_device_module``).

    Parameters
    ----------
    device : device or str, optional
        The machine's accelerator if left out, or the cpu if there is none.
    """
    kind = (accelerator_kind() or "cpu") if device is None else Device(device).type
    return import_module(f"devtensor.{kind}")
