"""Kernels of our own in OpenCL C, run in order with those of dpnp.

SYCL's queues that are not OpenCL's (Level Zero) take no source; there the callers have another way.
"""

from __future__ import annotations

import ctypes
from typing import Any

from devtensor_formulas.trace import TYPES

from .pool import POOLS, Raw
from .runtime import OPENCL, ORDER, PLACES, dpctl, refuse_fork

try:  # dpctl after 0.22
    from dpctl.compiler import create_kernel_bundle_from_source as compiled
except ImportError:
    from dpctl.program import create_program_from_source as compiled

whole = ctypes.c_uint64
word = ctypes.c_uint32
signed = ctypes.c_int64
integer = ctypes.c_int32
single = ctypes.c_float
double = ctypes.c_double

PAIRS = {"complex64": "float2", "complex128": "double2"}
"""Those of types of which the sum is that of their parts."""
EXTENSIONS = {
    "half": "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n",
    "double": "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n",
    "double2": "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n",
}

ALONE = "__attribute__((reqd_work_group_size(1, 1, 1)))\n"
_kernels: dict[Any, Any] = {}
_alone: set[Any] = set()


def takes_source(array: Any) -> bool:
    """Whether kernels in OpenCL C run where `array` lives."""
    index = PLACES.get(array.sycl_queue)
    return index is not None and OPENCL[index]


def kernel(queue: Any, source: str, name: str, walks: bool = False, **types: Any) -> Any:
    """The kernel `name` of a source in which ``$T`` stands for the OpenCL name of the dtype `T`.

    If a work item `walks` along elements that lie beside each other, on a processor it has a group
    of its own: compilers would make vectors of elements of several work items, which lie apart.
    """
    key = (queue, name, *types.values())
    found = _kernels.get(key)
    if found is None:
        names = TYPES | PAIRS
        used = {place: names[str(t)] for place, t in types.items()}
        head = "".join(EXTENSIONS[t] for t in set(used.values()) if t in EXTENSIONS)
        for place, t in used.items():
            source = source.replace(f"${place}", t)
        alone = walks and queue.sycl_device.is_cpu
        if alone:
            source = source.replace("__kernel", f"{ALONE}__kernel")
        found = _kernels[key] = compiled(queue, head + source).get_sycl_kernel(name)
        if alone:
            _alone.add(found)
    return found


def start(array: Any) -> Any:
    """The memory of one of dpctl's arrays from its first element on.

    The attribute `data` of dpnp's arrays says that it is that, but kernels are given the start of
    the whole allocation.
    """
    memory = array.usm_data
    return memory if memory._pointer == array._pointer else Raw(array)


def launch(
    queue: Any,
    function: Any,
    args: list[Any],
    size: tuple[int, ...],
    group: tuple[int, ...] | None = None,
) -> Any:
    """Run a kernel after all that dpnp has been asked for.

    Parameters
    ----------
    queue : SyclQueue
    function : SyclKernel
    args : list
        C-contiguous dpnp arrays, and numbers as ctypes objects.
    size : tuple of int
        How many work items; the last number is what ``get_global_id(0)`` counts.
    group : tuple of int, optional
        How many of them make a group.

    Returns
    -------
    SyclEvent or None
        Its end.
    """
    if 0 in size:
        return None
    if len(args) != function.num_args:  # dpctl would take the missing ones from the last call
        raise TypeError(f"the kernel takes {function.num_args} arguments, not {len(args)}")
    arrays, given = [], []
    for a in args:
        if isinstance(a, ctypes._SimpleCData):
            given.append(a)
        else:
            arrays.append(a._array_obj)
            given.append(start(a._array_obj))
    if group is None and function in _alone:
        group = (1,) * len(size)
    together = None if group is None else list(group)
    return after(queue, arrays, queue.submit_async, function, given, list(size), together)


def move(a: Any, out: Any) -> None:
    """Copy the bytes of an inner array in row order over another one of its size."""
    queue = a.sycl_queue
    count = a.size * a.itemsize
    after(queue, [a, out], queue.memcpy_async, start(out), start(a), count)


def after(queue: Any, arrays: list[Any], submit: Any, *given: Any) -> Any:
    """Ask for work on inner arrays after all other work; its end."""
    refuse_fork()
    order = ORDER[queue]
    event = submit(*given, order.submitted_events)
    order.add_event_pair(event, event)
    POOLS[PLACES[queue]].hold(event, arrays)
    return event


__all__ = [
    "TYPES",
    "double",
    "dpctl",
    "integer",
    "kernel",
    "launch",
    "move",
    "signed",
    "single",
    "takes_source",
    "whole",
    "word",
]  # fmt: skip
