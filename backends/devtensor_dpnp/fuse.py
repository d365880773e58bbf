"""Kernels from formulas for dpnp's arrays: what the package `devtensor_formulas` asks of a library.

dpnp makes a pass over the memory for each step of a formula, and slow ones where operands are
broadcast.
"""

from __future__ import annotations

import ctypes
from typing import Any

from devtensor_formulas.engine import Engine, Machine, Shape
from devtensor_formulas.fuse import Fuser

from . import native
from .launch import double, kernel, launch, signed, single, takes_source, whole, word
from .memory import ordered

NUMBERS = {
    "float": single, "double": double, "int": ctypes.c_int32, "uint": word,
    "long": signed, "ulong": whole, "size": signed,
}  # fmt: skip
"""What arguments of kernels are made with, by their types."""
FEW = 1 << 16
"""Elements that a processor's core may as well go along alone; of a GPU it is a sixteenth."""
LANES = 16
"""Work items of a sub-group, which go along a row together."""


def goes_alone(device: Any) -> bool:
    """Whether a work item goes along a row alone, with vectors: that of a processor does."""
    return bool(device.is_cpu)


class Sycl(Engine):
    """dpnp's arrays; their place is a queue."""

    kind = "xpu"
    Array = native.Array
    limit = 1 << 13
    direct = True

    def place(self, x: Any) -> Any:
        """The queue of an array."""
        return x.sycl_queue

    def takes_source(self, x: Any) -> bool:
        """Whether its device takes OpenCL's source."""
        return takes_source(x)

    def machine(self, place: Any) -> Machine | None:
        """What kernels for a device depend on."""
        device = place.sycl_device
        alone, few = goes_alone(device), FEW if device.is_cpu else FEW // 16
        if not alone and LANES not in device.sub_group_sizes:
            return None
        return Machine(
            device.max_compute_units, few, few // LANES, alone, lambda count: LANES, False, 1
        )

    def in_rows(self, x: Any) -> bool:
        """Whether the elements of an array lie in row order."""
        found: bool = x._array_obj.flags.c_contiguous
        return found

    def steps(self, x: Any) -> Shape:
        """The strides, which dpnp counts in elements."""
        found: Shape = x._array_obj.strides
        return found

    def ordered(self, x: Any) -> Any:
        """An array, or a copy in row order."""
        return ordered(x)

    def copy(self, x: Any) -> Any:
        """dpnp's copy, which takes 6 to 30 times NumPy's time where elements lie otherwise."""
        return x.copy(order="C")

    def fresh(self, shape: Shape, dtype: Any, place: Any) -> Any:
        """A new array with anything in it."""
        return native.wrap(native.fresh(shape, dtype, place))

    def apart(self, a: Any, b: Any, same: bool = True) -> bool:
        """Whether what is written to one array changes nothing of another still to be read."""
        return native.apart(a._array_obj, b._array_obj, same)

    def compiled(self, place: Any, source: str, name: str) -> Any:
        """The kernel of a source."""
        return kernel(place, source, name)

    def prepared(
        self, function: Any, arguments: list[Any], numbers: list[Any], size: Shape,
        group: Shape | None,
    ) -> Any:  # fmt: skip
        """The kernel, its arguments with None for arrays, and how many work items there are."""
        made = [
            None if kind == "array" else NUMBERS[kind](value if kind == "size" else numbers[value])
            for kind, value in arguments
        ]
        places = [value if kind == "array" else None for kind, value in arguments]
        return function, list(zip(places, made, strict=True)), size, group

    def launch(self, place: Any, prepared: Any, arrays: list[Any]) -> None:
        """Run a kernel in order."""
        function, given, size, group = prepared
        args = [arrays[n] if c is None else c for n, c in given]
        launch(place, function, args, size, group)


FUSER = Fuser(Sycl())
along, worth, large = FUSER.along, FUSER.worth, FUSER.large
chosen, copied, moved, reduced = FUSER.chosen, FUSER.copied, FUSER.moved, FUSER.reduced
kernels = FUSER.kernels
