"""Intel's GPUs, or the CPU by way of SYCL where there is none (``torch.xpu``).

Memory is counted by devtensor's own pool. dpnp has one queue for each device, so every `Stream` is
that queue.
"""

from __future__ import annotations

from typing import Any

from devtensor import accelerator

_xpu = accelerator.BY_KIND["xpu"]

is_available = _xpu.is_available
init = _xpu.init
is_initialized = _xpu.is_initialized
device_count = _xpu.device_count
current_device = _xpu.current_device
set_device = _xpu.set_device
device = _xpu.device
device_of = _xpu.device_of
synchronize = _xpu.synchronize
get_device_name = _xpu.get_device_name
get_device_properties = _xpu.get_device_properties
mem_get_info = _xpu.mem_get_info
memory_stats = _xpu.memory_stats
memory_allocated = _xpu.memory_allocated
max_memory_allocated = _xpu.max_memory_allocated
memory_reserved = _xpu.memory_reserved
max_memory_reserved = _xpu.max_memory_reserved
reset_peak_memory_stats = _xpu.reset_peak_memory_stats
reset_accumulated_memory_stats = _xpu.reset_peak_memory_stats
empty_cache = _xpu.empty_cache
manual_seed = _xpu.manual_seed
manual_seed_all = _xpu.manual_seed_all
seed = _xpu.seed
seed_all = _xpu.seed_all
initial_seed = _xpu.initial_seed
get_rng_state = _xpu.get_rng_state
set_rng_state = _xpu.set_rng_state
get_rng_state_all = _xpu.get_rng_state_all
set_rng_state_all = _xpu.set_rng_state_all
current_stream = _xpu.current_stream
stream = _xpu.stream
set_stream = accelerator.set_stream

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
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
    """The queue of a device."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        made = _xpu.new_stream(device, priority)
        super().__init__(_xpu, made.device_index, made.native)


class Event(accelerator.Event):
    """A mark in the queue of a device."""

    def __init__(self, enable_timing: bool = False) -> None:
        super().__init__(_xpu, enable_timing)


def get_device_capability(device: Any = None) -> dict[str, Any]:
    """What is known of a device, as a dictionary."""
    return vars(_xpu.get_device_properties(device))
