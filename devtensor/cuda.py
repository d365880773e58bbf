"""NVIDIA's GPUs by way of CuPy (``torch.cuda``).

Memory is counted by CuPy's own pool, streams and events are CuPy's, and the current device is
CuPy's, so a program may use both libraries side by side. Asking whether there is a device imports
CuPy only if it is installed and the system has a driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from devtensor import accelerator
from devtensor.errors import OutOfMemoryError
from devtensor.legacy import of_kind
from devtensor.random import default_generator
from devtensor.refusal import absent, refused

_cuda = accelerator.BY_KIND["cuda"]

is_available = _cuda.is_available
init = _cuda.init
is_initialized = _cuda.is_initialized
device_count = _cuda.device_count
current_device = _cuda.current_device
set_device = _cuda.set_device
device = _cuda.device
device_of = _cuda.device_of
synchronize = _cuda.synchronize
get_device_name = _cuda.get_device_name
get_device_properties = _cuda.get_device_properties
mem_get_info = _cuda.mem_get_info
memory_stats = _cuda.memory_stats
memory_allocated = _cuda.memory_allocated
max_memory_allocated = _cuda.max_memory_allocated
memory_reserved = _cuda.memory_reserved
max_memory_reserved = _cuda.max_memory_reserved
reset_peak_memory_stats = _cuda.reset_peak_memory_stats
reset_accumulated_memory_stats = _cuda.reset_peak_memory_stats
empty_cache = _cuda.empty_cache
manual_seed = _cuda.manual_seed
manual_seed_all = _cuda.manual_seed_all
seed = _cuda.seed
seed_all = _cuda.seed_all
initial_seed = _cuda.initial_seed
get_rng_state = _cuda.get_rng_state
set_rng_state = _cuda.set_rng_state
get_rng_state_all = _cuda.get_rng_state_all
set_rng_state_all = _cuda.set_rng_state_all
current_stream = _cuda.current_stream
stream = _cuda.stream
set_stream = accelerator.set_stream
reset_max_memory_allocated = reset_max_memory_cached = _cuda.reset_peak_memory_stats
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved
has_half, has_magma = True, False

StreamContext = stream

NO_GRAPHS = "launches are not recorded; call the function"

__all__ = [
    "Event",
    "OutOfMemoryError",
    "Stream",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
]


class Stream(accelerator.Stream):
    """A further queue of a device.

    Work in it does not wait for work in others: let it (`wait_stream`), where it reads what they
    write. Memory that is freed is given out again in the stream that it was made in, so keep a
    tensor until another stream that reads it has been waited for.

    Parameters
    ----------
    device : device or int, optional
    priority : int
        Smaller numbers come first.
    """

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        made = _cuda.new_stream(device, priority)
        super().__init__(_cuda, made.device_index, made.native)


class Event(accelerator.Event):
    """A mark in the queue of a device.

    Parameters
    ----------
    enable_timing : bool
        Whether :meth:`elapsed_time` will be asked.
    blocking, interprocess : bool
        Accepted.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        super().__init__(_cuda, enable_timing)


def default_stream(device: Any = None) -> accelerator.Stream:
    """The queue of a device that takes work when no other is set."""
    index = _cuda.index(device)
    return accelerator.Stream(_cuda, index, _cuda.backend.default_stream(index))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a device, as ``(9, 0)``."""
    found = _cuda.get_device_properties(device)
    return found.major, found.minor


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a device can read the memory of another."""
    return bool(_cuda.backend.reaches(_cuda.index(device), _cuda.index(peer_device)))


def is_current_stream_capturing() -> bool:
    """False: launches are not recorded."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there are bfloat16 tensors, be it that the hardware computes them in float32."""
    if not _cuda.is_available() or all(t.name != "bfloat16" for t in _cuda.backend.native):
        return False
    return including_emulation or get_device_capability() >= (8, 0)


class CudaError(RuntimeError):
    """An error of the driver, by PyTorch's name."""


def ipc_collect() -> None:
    """Nothing: no memory is shared with other processes."""


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """What the pool of a device holds, as text."""
    stats = {
        "allocated": memory_allocated, "allocated at most": max_memory_allocated,
        "reserved": memory_reserved, "reserved at most": max_memory_reserved,
    }  # fmt: skip
    lines = [f"| {name:<18} | {ask(device):>16} bytes |" for name, ask in stats.items()]
    rule = "|" + "-" * (len(lines[0]) - 2) + "|"
    return "\n".join([rule, *lines, rule])


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let CuPy's pool hold no more than this part of a device's memory.

    Parameters
    ----------
    fraction : float
        From 0 to 1.
    device : device or int, optional

    Raises
    ------
    TypeError
        If `fraction` is no float.
    ValueError
        If it is out of its range.
    """
    if not isinstance(fraction, float):
        raise TypeError(f"Invalid type for fraction argument, must be `float`: got {fraction!r}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    _cuda.backend.pool.limit(_cuda.index(device), int(fraction * mem_get_info(device)[1]))


def get_per_process_memory_fraction(device: Any = None) -> float:
    """Which part of a device's memory CuPy's pool may hold."""
    limit = _cuda.backend.pool.limit_of(_cuda.index(device))
    return min(1.0, limit / mem_get_info(device)[1]) if limit else 1.0


def get_allocator_backend() -> str:
    """What manages memory: a pool of CuPy's."""
    return "cupy"


def get_sync_debug_mode() -> int:
    """0: nobody is told that the host waits for a device."""
    return 0


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Accepted and without effect."""


def is_tf32_supported() -> bool:
    """False: products are computed in their own type."""
    return False


def get_arch_list() -> list[str]:
    """None: kernels are compiled where they run."""
    return []


REFUSED = {
    "ask nvidia-smi": """
    clock_rate list_gpu_processes memory_usage power_draw temperature utilization
    """,
    "memory is CuPy's: use cupy.get_default_memory_pool()": """
    MemPool caching_allocator_alloc caching_allocator_delete change_current_allocator
    host_memory_stats memory_snapshot reset_peak_host_memory_stats use_mem_pool
    """,
    "use cupy.cuda": """
    ExternalStream cudart current_blas_handle get_stream_from_external jiterator
    """,
    NO_GRAPHS: "CUDAGraph graph graph_pool_handle make_graphed_callables",
}
"""What is not here, by what to do instead."""
for _why, _names in REFUSED.items():
    globals().update({name: refused(f"cuda.{name}", _why) for name in _names.split()})


def __getattr__(name: str) -> Any:
    if name == "amp":  # imported when it is asked for
        return import_module("devtensor.amp.cuda")
    if name == "nvtx":
        return import_module("devtensor.nvtx")
    if name in ("graphs", "memory", "random", "streams"):  # PyTorch's files of what is here
        return import_module(__name__)
    if name == "_initialized":  # programs that compute a second time ask before they save states
        return is_initialized()
    if name == "default_generators":
        return (default_generator,) * device_count()
    return absent(f"cuda.{name}") or of_kind(name, "cuda")
