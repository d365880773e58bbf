"""What CuPy's memory pool lacks: the most that was ever in use, and an error that says the cure."""

from __future__ import annotations

from typing import Any

from .runtime import COUNT, TheirFull, cupy, full, get_device, on

POOL = cupy.get_default_memory_pool()
_peaks = [[0, 0] for _ in range(COUNT)]


def counting(size: int) -> Any:
    """Memory from CuPy's pool; the peaks are kept.

    Raises
    ------
    OutOfMemoryError
        If there is not enough, also when what was kept has been given back.
    """
    try:
        memory = POOL.malloc(size)
    except TheirFull as error:
        raise full(error, get_device()) from None
    peak = _peaks[get_device()]
    used = POOL.used_bytes()
    if used > peak[0]:
        peak[0] = used
    held = POOL.total_bytes()
    if held > peak[1]:
        peak[1] = held
    return memory


def install() -> None:
    """Count from now on, if CuPy's allocator is the one that it starts with."""
    if cupy.cuda.get_allocator() == POOL.malloc:
        cupy.cuda.set_allocator(counting)


def statistics(index: int) -> dict[str, int]:
    """Bytes in use and kept, now and at most."""
    with on(index):
        used, held = int(POOL.used_bytes()), int(POOL.total_bytes())
    peak = _peaks[index]
    peak[:] = max(peak[0], used), max(peak[1], held)
    return {
        "allocated": used,
        "reserved": held,
        "peak_allocated": peak[0],
        "peak_reserved": peak[1],
    }


def reset_peaks(index: int) -> None:
    """Let the largest numbers so far be the present ones."""
    _peaks[index][:] = 0, 0
    statistics(index)


def limit(index: int, size: int) -> None:
    """Refuse to hold more bytes than this on a device."""
    with on(index):
        POOL.set_limit(size=max(size, 1))  # 0 would be no limit


def limit_of(index: int) -> int:
    """How many bytes the pool may hold on a device; 0 for as many as there are."""
    with on(index):
        return int(POOL.get_limit())


def release() -> None:
    """Give kept memory back to the driver, of all devices."""
    for index in range(COUNT):
        with on(index):
            POOL.free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()
