"""Kernels from formulas for CuPy's arrays: what the package `devtensor_formulas` asks of a library.

CuPy starts a kernel for each step of a formula, and each makes a pass over the memory.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np

from devtensor_formulas.engine import Engine, Machine, Shape, span
from devtensor_formulas.fuse import Fuser

from .dialect import translated
from .memory import contiguous
from .runtime import cupy

NUMBERS = {
    "float": np.float32, "double": np.float64, "int": np.int32, "uint": np.uint32,
    "long": np.int64, "ulong": np.uint64,
}  # fmt: skip
"""What arguments of kernels are made with, by their types."""
OPTIONS = ("--fmad=false",)
"""Products are rounded before they are added to, as in kernels of one step."""
BLOCK = 256
"""Threads of a block, where each has an element or a row of its own."""
TEAMS = 16
"""A quarter of the warps that a multiprocessor has room for."""
FEW = 1 << 16
"""Elements of a row that a block may as well go along alone: two launches more cost as much."""
ALONE = 1 << 7
"""Those that a thread may."""


def lanes(count: int) -> int:
    """Threads that go along a row together which has so many neighbours in memory."""
    return 32 if count < 512 else 128 if count < 1024 else 256 if count < 8192 else 1024


@cache
def machine(index: int) -> Machine:
    """What kernels for a device depend on."""
    units = cupy.cuda.runtime.getDeviceProperties(index)["multiProcessorCount"]
    return Machine(TEAMS * int(units), FEW, ALONE, False, lanes, True, 4)


class Cuda(Engine):
    """CuPy's arrays; their place is the number of a device, which is the current one."""

    kind = "cuda"
    Array = cupy.ndarray
    limit = 1 << 8
    direct = False

    def place(self, x: Any) -> Any:
        """The number of the device of an array."""
        return x.data.device_id

    def machine(self, place: Any) -> Machine | None:
        """What kernels for a device depend on."""
        return machine(place)

    def in_rows(self, x: Any) -> bool:
        """Whether the elements of an array lie in row order."""
        found: bool = x._c_contiguous  # `flags` makes an object first
        return found

    def steps(self, x: Any) -> Shape:
        """The strides, in elements."""
        size = x.itemsize
        return tuple([step // size for step in x.strides])

    def lies(self, x: Any) -> Any:
        """What of an array decides about a kernel."""
        steps = None if x._c_contiguous else x.strides
        return x.data.device_id, x.shape, steps, x.dtype.char

    def ordered(self, x: Any) -> Any:
        """An array, or a copy in row order."""
        return x if x._c_contiguous else contiguous(x)

    def copy(self, x: Any) -> Any:
        """CuPy's copy."""
        return contiguous(x)

    def fresh(self, shape: Shape, dtype: Any, place: Any) -> Any:
        """A new array with anything in it."""
        return cupy.ndarray(shape, dtype)

    def apart(self, a: Any, b: Any, same: bool = True) -> bool:
        """Whether what is written to one array changes nothing of another still to be read."""
        first, second = a.data.ptr, b.data.ptr
        if first == second and a.shape == b.shape and a.strides == b.strides:
            return same
        if first <= second:
            if a._c_contiguous and first + a.nbytes <= second:
                return True
        elif b._c_contiguous and second + b.nbytes <= first:
            return True
        low, high = span(first, a.shape, a.strides, a.itemsize)
        start, end = span(second, b.shape, b.strides, b.itemsize)
        return high <= start or end <= low

    def compiled(self, place: Any, source: str, name: str) -> Any:
        """The kernel of a source, and the type of its sizes; CuPy keeps both on disk."""
        module = cupy.RawModule(code=translated(source), options=OPTIONS)
        sizes = np.int64 if "const long rows" in source else np.int32
        return module.get_function(name).kernel, sizes

    def prepared(
        self, function: Any, arguments: list[Any], numbers: list[Any], size: Shape,
        group: Shape | None,
    ) -> Any:  # fmt: skip
        """The kernel, its grid and block, which arrays it takes, and its other argument."""
        run, whole = function
        block = group[2] if group is not None else min(BLOCK, size[2])
        across = -(-size[2] // block)
        made: list[Any] = [
            NUMBERS[kind](numbers[value]) for kind, value in arguments if kind in NUMBERS
        ]
        made += [whole(value) for kind, value in arguments if kind == "size"]
        made += [whole(across), whole(size[1])]
        made.sort(key=lambda number: -number.itemsize)
        raw = b"".join([number.tobytes() for number in made])
        raw += bytes(-len(raw) % 8)  # as the struct ends
        given = np.frombuffer(bytearray(raw), f"V{len(raw)}")
        arrays = [value for kind, value in arguments if kind == "array"]
        taken = itemgetter(*arrays, arrays[0])  # of one index it would give no tuple
        return run, (across * size[1] * size[0],), (block,), taken, given

    def launch(self, place: Any, prepared: Any, arrays: list[Any]) -> None:
        """Run a kernel in the current stream."""
        function, grid, block, taken, given = prepared
        function(grid, block, (*taken(arrays)[:-1], given))


FUSER = Fuser(Cuda())
