"""CuPy and the driver under it: finding both, saying what is wrong, and the device in use.

Importing this module imports nothing of CuPy; :func:`cupy` does, once it may.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from devtensor.errors import OutOfMemoryError

EXTRAS = {11: "", 12: "cuda12", 13: "cuda13"}
"""By the CUDA version of a driver, the extra of this package that serves it."""
INSTALL = 'pip install "devtensor[cuda13]" (or "devtensor[cuda12]" where nvidia-smi shows CUDA 12)'
OLDEST, NEWEST = (13, 6), (15, 0)
DRIVERS = {"win32": "nvcuda.dll"}


# ---- finding the library and the driver, without importing CuPy as long as possible


def wheels() -> list[str]:
    """The distributions installed here that bring a module `cupy`."""
    found = {
        name.lower().replace("_", "-")
        for distribution in metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    return sorted(n for n in found if n == "cupy" or n.startswith(("cupy-cuda", "cupy-rocm")))


def driver_there() -> bool:
    """Whether the system has NVIDIA's driver library; asking loads it."""
    try:
        ctypes.CDLL(DRIVERS.get(sys.platform, "libcuda.so.1"))
    except OSError:
        return False
    return True


def refuse_missing() -> None:
    """Raise an error if CuPy or the driver is not there.

    Raises
    ------
    RuntimeError
    """
    if find_spec("cupy") is None:
        raise RuntimeError(
            f"the device 'cuda' needs the package cupy, which is not installed: run {INSTALL}"
        )
    if not driver_there():
        raise RuntimeError(
            "the device 'cuda' needs an NVIDIA GPU and its driver, and this machine has no driver "
            f"({DRIVERS.get(sys.platform, 'libcuda.so.1')} cannot be loaded): install the driver "
            "(in a container, start it with --gpus all), or use the device 'cpu'"
        )


def imported() -> Any:
    """The module cupy.

    Raises
    ------
    RuntimeError
        With the cure, if it cannot be imported, or is too old or new.
    """
    refuse_missing()
    found = wheels()
    if len(found) > 1:
        raise RuntimeError(
            f"several packages bring CuPy, and overwrite each other's files: {', '.join(found)}. "
            f"Run pip uninstall -y {' '.join(found)}, then {INSTALL}"
        )
    try:
        import cupy
    except ImportError as reason:
        raise RuntimeError(
            f"CuPy is installed ({', '.join(found) or 'from source'}) but cannot be loaded "
            f"({reason}): run pip uninstall -y {' '.join(found) or 'cupy'}, then {INSTALL}"
        ) from reason
    version = tuple([int(part) for part in cupy.__version__.split(".")[:2]])
    if not OLDEST <= version < NEWEST:
        raise RuntimeError(
            f"the device 'cuda' needs CuPy 13.6 or 14, and {cupy.__version__} is installed: run "
            f"{INSTALL} --upgrade"
        )
    return cupy


def count_devices(cupy: Any) -> int:
    """How many devices the driver shows, at least one.

    Raises
    ------
    RuntimeError
        With the cause, if there is none.
    """
    runtime = cupy.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as reason:
        raise RuntimeError(
            f"the device 'cuda' cannot be used: {why_none(cupy, reason)}"
        ) from reason
    if not count:
        raise RuntimeError(f"the device 'cuda' cannot be used: {why_none(cupy, None)}")
    return count


def why_none(cupy: Any, reason: Any) -> str:
    """What keeps the driver from showing a device, and the cure."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return (
            f"the environment variable CUDA_VISIBLE_DEVICES={visible!r} leaves no device; unset it"
        )
    runtime = cupy.cuda.runtime
    try:
        driver, wheel = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
    except runtime.CUDARuntimeError:
        driver = wheel = 0
    if driver and driver // 1000 < wheel // 1000:
        extra = EXTRAS.get(driver // 1000, "")
        cure = (
            f'pip uninstall -y {" ".join(wheels())}, then pip install "devtensor[{extra}]"'
            if extra
            else "a newer driver"
        )
        return (
            f"the installed CuPy is built for CUDA {wheel // 1000}, and the driver serves CUDA "
            f"{driver // 1000} at most: the cure is {cure}"
        )
    told = f" ({reason})" if reason is not None else ""
    return (
        f"the driver shows no device{told}: see whether nvidia-smi lists one (in a container, "
        "start it with --gpus all), or use the device 'cpu'"
    )


# ---- children of a process


class Forked:
    """Whether this process is the child of one in which CUDA was already running."""

    here = False


FORKED = (
    "the device 'cuda' cannot be used in a forked child of a process that has used it: CUDA does "
    "not live on there. Start workers with multiprocessing's 'spawn' or 'forkserver' (DataLoader: "
    "multiprocessing_context='spawn'), or first name 'cuda' in the child"
)


def refuse_fork() -> None:
    """Raise an error in a forked child.

    Raises
    ------
    RuntimeError
    """
    if Forked.here:
        raise RuntimeError(FORKED)


def _in_child() -> None:
    Forked.here = True


# ---- the library, and the device in use


cupy = imported()
COUNT = count_devices(cupy)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

get_device: Callable[[], int] = cupy.cuda.runtime.getDevice
set_device: Callable[[int], None] = cupy.cuda.runtime.setDevice

CUDARuntimeError = cupy.cuda.runtime.CUDARuntimeError
CUDADriverError = cupy.cuda.driver.CUDADriverError
TheirFull: Any = cupy.cuda.memory.OutOfMemoryError
FAILURES = (TheirFull, CUDARuntimeError, CUDADriverError)

LATE = (
    "CUDA works asynchronously: the launch that failed may be an earlier one. Set the environment "
    "variable CUDA_LAUNCH_BLOCKING=1 to be told at once."
)


class Full(OutOfMemoryError, TheirFull):
    """Out of memory, for those who expect our error and for those who expect CuPy's."""


Full.__name__ = Full.__qualname__ = OutOfMemoryError.__name__  # which is what users are shown
Full.__module__ = OutOfMemoryError.__module__


def full(error: BaseException, index: int) -> Full:
    """The error to raise for a lack of memory."""
    return Full(
        f"CUDA out of memory on cuda:{index}: {error} Use smaller batches, or no_grad() where "
        "no gradient is wanted; devtensor.cuda.memory_stats() says what is held"
    )


def explained(error: BaseException, index: int) -> BaseException:
    """The error to raise for one of CuPy's."""
    if Forked.here:
        return RuntimeError(FORKED)
    if isinstance(error, Full):
        return error
    out = isinstance(error, TheirFull)
    if out or "OutOfMemory" in str(error) or "OUT_OF_MEMORY" in str(error):
        return full(error, index)
    if LATE not in getattr(error, "__notes__", ()):
        error.add_note(LATE)
    return error


class on:
    """A context for work on a device, in which the library's errors are translated."""

    __slots__ = ("before", "index")

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None:
        self.before = get_device()
        if self.before != self.index:
            set_device(self.index)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.before != self.index:
            set_device(self.before)
        if error is not None and isinstance(error, FAILURES):
            found = explained(error, self.index)
            if found is not error:
                raise found from error


def bound(kernel: Callable[..., Any], index: int) -> Callable[..., Any]:
    """`kernel`, run on device `index`, with the library's errors translated."""

    @wraps(kernel, assigned=("__name__", "__doc__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        before = get_device()
        if before != index:
            set_device(index)
        try:
            return kernel(*args, **kwargs)
        except FAILURES as error:
            found = explained(error, index)
            if found is error:
                raise
            raise found from error
        finally:
            if before != index:
                set_device(before)

    return call


def home(array: Any) -> int:
    """The index of the device on which an array lives."""
    index: int = array.data.device_id
    return index
