"""New arrays: like others, and on a device that is named."""

from __future__ import annotations

from math import copysign
from math import prod as product
from typing import Any

import numpy as np

from devtensor.errors import OutOfMemoryError

from .guarded import astype
from .runtime import cupy, home, on

__all__ = ["empty_like", "from_dlpack", "full_like", "ones_like", "zeros_like"]


# ---- new arrays like others


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of `x`."""
    return cupy.zeros(x.shape, x.dtype if dtype is None else dtype)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape of `x`."""
    return cupy.ones(x.shape, x.dtype if dtype is None else dtype)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array in the shape of `x` with anything in it."""
    return cupy.empty(x.shape, x.dtype if dtype is None else dtype)


def full_like(x: Any, fill_value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """One number in the shape of `x`."""
    dtype = np.dtype(x.dtype if dtype is None else dtype)
    return filled(x.shape, fitting(fill_value, dtype), dtype)


def filled(shape: Any, value: Any, dtype: Any) -> Any:
    """An array of one number; `cupy.full` takes several times as long to start."""
    if dtype is None or isinstance(value, cupy.ndarray):
        return cupy.full(shape, value, dtype)
    if value == 0 and not signed(value):
        return cupy.zeros(shape, dtype)
    made = cupy.empty(shape, dtype)
    if value == 0:  # CuPy's `fill` clears the memory, so that the sign is lost
        made[...] = cupy.asarray([value], dtype)
    else:
        made.fill(value)
    return made


def signed(value: Any) -> bool:
    """Whether a number that is 0 may be the negative one."""
    return isinstance(value, complex) or (isinstance(value, float) and copysign(1, value) < 0)


def fitting(value: Any, dtype: Any) -> Any:
    """A number that an integer type has; others wrap around."""
    if isinstance(value, int) and not isinstance(value, bool) and dtype.kind in "iu":
        return dtype.type(np.array(value % (1 << 64), np.uint64).astype(dtype))
    return value


# ---- new arrays, which are made on a device


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """The array behind a DLPack object; on the same memory where it is a GPU's."""
    kind, index = x.__dlpack_device__()
    if kind in (2, 13):
        with on(index):
            return cupy.from_dlpack(x)
    return cupy.asarray(np.from_dlpack(x))


def fits(shape: Any, dtype: Any, index: int) -> tuple[int, ...]:
    """The shape as a tuple, if there can be such an array.

    Raises
    ------
    OutOfMemoryError
    """
    dims = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    count = product(map(int, dims))
    if count >= 1 << 43 and (size := count * np.dtype(dtype).itemsize) >= 1 << 47:
        raise OutOfMemoryError(
            f"CUDA out of memory on cuda:{index}: tried to allocate {size / 2**30:.0f} GiB for the "
            f"shape {list(dims)}"
        )
    return dims


def factories(index: int) -> dict[str, Any]:
    """The standard's functions that make arrays, for one device."""

    def placed(device: Any) -> int:
        return index if device is None else int(getattr(device, "id", device))

    def filler(name: str) -> Any:
        function = getattr(cupy, name)

        def make(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
            place = placed(device)
            with on(place):
                return function(fits(shape, dtype, place), np.float64 if dtype is None else dtype)

        make.__name__, make.__doc__ = name, function.__doc__
        return make

    def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
        place = placed(device)
        if dtype is not None:
            dtype = np.dtype(dtype)
            fill_value = fitting(fill_value, dtype)
        with on(place):
            return filled(fits(shape, dtype, place), fill_value, dtype)

    def arange(
        start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
    ) -> Any:
        with on(placed(device)):
            return cupy.arange(start, stop, step, dtype)

    def linspace(
        start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None,
        endpoint: bool = True,
    ) -> Any:  # fmt: skip
        with on(placed(device)):
            return cupy.linspace(start, stop, num, endpoint, False, dtype)

    def eye(
        n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None,
        device: Any = None,
    ) -> Any:  # fmt: skip
        with on(placed(device)):
            return cupy.eye(n_rows, n_cols, k, np.float64 if dtype is None else dtype)

    def asarray(
        obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None
    ) -> Any:
        if isinstance(obj, cupy.ndarray):
            if device is not None and placed(device) != home(obj):
                raise ValueError("asarray takes an array to no other device; use Backend.array")
            with on(home(obj)):
                if dtype is not None and obj.dtype != dtype:
                    return astype(obj, dtype)
                return cupy.array(obj, copy=True, order="C") if copy else obj
        with on(placed(device)):
            return cupy.array(obj, dtype, order="C")

    made = {name: filler(name) for name in ("empty", "zeros", "ones")}
    found = (full, arange, linspace, eye, asarray)
    return {**made, **{function.__name__: function for function in found}}
