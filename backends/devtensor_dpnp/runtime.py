"""The SYCL runtime: finding devices, one queue for each, and what must not happen to them.

Importing this module imports dpctl and dpnp, and asks SYCL for its devices, once per process.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from importlib import metadata
from typing import Any

INSTALL = 'pip install "devtensor[xpu]"'
CPU_DEVICES = "DEVTENSOR_XPU_CPU_DEVICES"
"""Environment variable: how many devices the CPU counts as (1, or 2 for tests)."""

# In the order in which they need each other; see `make_cpu_visible`.
NEEDED = ("libintlc.so.5", "libirng.so", "libimf.so", "libsvml.so", "libOpenCL.so.1")


# ---- finding the driver, before SYCL is first asked


def cpu_drivers() -> list[str]:
    """The files of the OpenCL driver for CPUs that pip installed, the linked one first."""
    folder = os.path.join(sys.prefix, "lib")
    try:
        for file in metadata.files("intel-opencl-rt") or ():
            if file.name == "libintelocl.so":
                folder = os.path.dirname(os.path.realpath(str(file.locate())))
    except metadata.PackageNotFoundError:
        pass
    found = sorted(glob.glob(os.path.join(folder, "libintelocl.so*")))
    return [path for path in found if not path.endswith(".py")]


def make_cpu_visible(count: int) -> None:
    """Tell the OpenCL loader of the CPU driver that pip installed.

    The wheel's own notice of it names a folder of the machine on which it was built, so SYCL finds
    no device unless somebody sets a variable. The loader reads it at the first call for devices.
    The wheel has the driver twice, as two files: naming both gives two independent devices.
    """
    drivers = cpu_drivers()
    if not sys.platform.startswith("linux") or not drivers:
        return
    listed = os.environ.get("OCL_ICD_FILENAMES", "")
    if "libintelocl" not in listed:
        names = [*drivers[: max(count, 1)], *([listed] if listed else [])]
        os.environ["OCL_ICD_FILENAMES"] = ":".join(names)
    folder = os.path.dirname(drivers[0])
    for name in NEEDED:  # the loader has no path of its own to them
        try:
            ctypes.CDLL(os.path.join(folder, name))
        except OSError:
            break
    os.environ.setdefault("SYCL_QUEUE_THREAD_POOL_SIZE", "6")  # fewer hang under many host tasks
    os.environ.setdefault("SYCL_CACHE_PERSISTENT", "1")  # kernels compile once per machine


def imported() -> tuple[Any, Any]:
    """The modules dpctl and dpnp.

    Raises
    ------
    RuntimeError
        With the cure, if they cannot be imported.
    """
    try:
        import dpctl
        import dpnp
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in ("dpnp", "dpctl"):
            raise
        raise RuntimeError(
            f"the device 'xpu' needs the package {missing.name}, which is not installed: run "
            f"{INSTALL}"
        ) from missing
    except ImportError as reason:
        raise RuntimeError(
            f"dpnp is installed but cannot be loaded ({reason}): its wheels need a virtual "
            f"environment or conda, where the Intel runtime libraries lie beside it; make one and "
            f"run {INSTALL}"
        ) from reason
    version = tuple(map(int, dpnp.__version__.split("+")[0].split(".")[:2]))
    if version < (0, 20):
        raise RuntimeError(
            f"the device 'xpu' needs dpnp 0.20 or later, which counts strides as NumPy does; "
            f"installed is {dpnp.__version__}: run {INSTALL} --upgrade"
        )
    return dpctl, dpnp


def wanted_devices(dpctl: Any) -> list[Any]:
    """The devices that count: GPUs, those of Level Zero first; without any, the CPU."""
    order = sorted(
        dpctl.get_devices(),
        key=lambda d: (d.backend != dpctl.backend_type.level_zero, d.filter_string),
    )
    gpus = [d for d in order if d.is_gpu]
    if gpus:  # the same GPU answers to Level Zero and to OpenCL
        return [d for d in gpus if d.backend == gpus[0].backend]
    return [d for d in order if d.is_cpu]


def why_none() -> str:
    """What could be the reason that SYCL shows no device, and the cure."""
    selector = os.environ.get("ONEAPI_DEVICE_SELECTOR")
    if selector:
        return (
            f"the environment variable ONEAPI_DEVICE_SELECTOR={selector!r} leaves none; unset it, "
            "or set it to '*:*'"
        )
    if not cpu_drivers():
        return (
            "there is no GPU driver, and the package intel-opencl-rt, which makes the CPU a "
            f"device, is missing: run {INSTALL}"
        )
    return (
        "dpctl had been asked for devices before devtensor could name the CPU driver to it, and "
        "keeps the answer: name the device 'xpu' first, or start Python with "
        f"OCL_ICD_FILENAMES={cpu_drivers()[0]}"
    )


make_cpu_visible(int(os.environ.get(CPU_DEVICES, "1")))
dpctl, dpnp = imported()

DEVICES = wanted_devices(dpctl)
if not DEVICES:
    raise RuntimeError(f"SYCL shows no device for 'xpu': {why_none()}")

# Two queues of one device count as different places, so each device has one that all use.
QUEUES = [dpctl.get_device_cached_queue(d) for d in DEVICES]
PLACES = {queue: index for index, queue in enumerate(QUEUES)}
DEVICE_OBJECTS = [dpnp.tensor.Device.create_device(queue) for queue in QUEUES]
OPENCL = [d.backend == dpctl.backend_type.opencl for d in DEVICES]
DOUBLE = [bool(d.has_aspect_fp64) for d in DEVICES]


def index_of(queue: Any) -> int:
    """The number of the device to which a queue belongs.

    Raises
    ------
    RuntimeError
        If it is not the queue that this process uses for it.
    """
    try:
        return PLACES[queue]
    except KeyError:
        raise RuntimeError(
            f"this dpnp array belongs to the queue {queue!r}, and dpnp refuses to mix queues: make "
            "it on the default queue of a device (dpnp.asarray(x, device='cpu' or 'gpu'))"
        ) from None


# ---- children of a process


class Forked:
    """Whether this process is the child of one in which SYCL was already running."""

    here = False


FORKED = (
    "the device 'xpu' cannot be used in a forked child of a process that has used it: SYCL's "
    "threads do not live on there, and waiting for them would hang. Start workers with "
    "multiprocessing's 'spawn' or 'forkserver' (DataLoader: multiprocessing_context='spawn'), or "
    "first name 'xpu' in the child"
)


def refuse_fork() -> None:
    """Raise an error in a forked child.

    Raises
    ------
    RuntimeError
    """
    if Forked.here:
        raise RuntimeError(FORKED)


def _before_fork() -> None:
    """Finish the work under way: a child would wait for it for ever when it ends."""
    if not Forked.here:
        for queue in QUEUES:
            queue.wait()


def _in_child() -> None:
    """Make every call into dpnp fail at once that would hang."""
    Forked.here = True

    def refuse(self: Any, queue: Any) -> Any:
        raise RuntimeError(FORKED)

    # All of dpnp's functions ask here what to wait for.
    type(dpctl.utils.SequentialOrderManager).__getitem__ = refuse
    # At exit SYCL waits for its threads. What is registered last runs first, and ends the process
    # with the status that Python has given; by then Python has written out its files.
    if LIBRARY is not None and hasattr(LIBRARY, "on_exit"):
        LIBRARY.on_exit(LIBRARY._exit, None)


LIBRARY = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
"""The C library of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
ORDER = dpctl.utils.SequentialOrderManager
