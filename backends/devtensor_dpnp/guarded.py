"""The standard's functions where dpnp computes something else, or nothing.

Each says what is wrong; tests/test_xpu.py tells when it no longer is.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod as product
from typing import Any

import dpnp
import numpy as np
from dpnp.backend.extensions.blas import _blas_impl as blas
from dpnp.tensor import _tensor_impl as implementation

from devtensor.errors import OutOfMemoryError

from .copies import copied, into
from .elementwise import BOOL, FUNCTIONS, operand
from .fuse import chosen, large, reduced
from .launch import TYPES, takes_source
from .lookup import WRAP, alike, checked, read
from .memory import FEW, contiguous, dense, forward, from_host
from .native import Array, fresh, run, seen, stretched, together, wrap
from .runtime import DOUBLE, ORDER, PLACES, QUEUES
from .views import expand_dims

__all__ = [
    "all",
    "any",
    "astype",
    "clip",
    "concat",
    "flip",
    "from_dlpack",
    "isdtype",
    "matmul",
    "mean",
    "stack",
    "std",
    "take",
    "take_along_axis",
    "tensordot",
    "var",
    "vecdot",
    "where",
]  # fmt: skip


# ---- types


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The numbers of `x` as another type; of complex ones the real parts, as in PyTorch."""
    if x.size >= FEW and x.dtype != dtype and {str(x.dtype), str(np.dtype(dtype))} <= set(TYPES):
        found = copied(x, np.dtype(dtype))
        if found is not None:
            return found
    if x.dtype.kind == "c" and x.dtype != dtype and np.dtype(dtype).kind != "c":
        x = x != 0 if dtype == np.bool_ else dpnp.real(x)
    if x.dtype.kind == "f" and np.dtype(dtype) in NARROW:
        # PyTorch and NumPy cut off the high bits of what does not fit; by the
        # processor dpnp takes the nearest, or 0.
        x = dpnp.astype(x, np.int64)
    return dpnp.astype(x, dtype, copy=copy)


NARROW = [np.dtype(t) for t in (np.int8, np.uint8, np.int16, np.uint16, np.uint32)]


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a data type is of a kind."""
    return bool(dpnp.isdtype(np.dtype(dtype), kind))


# ---- dpnp.where is wrong, and reads outside its operands, where strides are negative; where they
# are broadcast, it takes 20 times NumPy's time


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """Elements of `x1` where `condition` is true, else of `x2`."""
    if not isinstance(x1, dpnp.ndarray):
        x1 = operand(x1, x2)
    elif not isinstance(x2, dpnp.ndarray):
        x2 = operand(x2, x1)
    if large(condition) or (x1.__class__ is Array and large(x1)):
        found = chosen(condition, x1, x2)
        if found is not None:
            return found
    queue = together(condition, x1, x2)
    if queue is None or condition.dtype.char != "?" or (dtype := x1.dtype) != x2.dtype:
        return dpnp.where(forward(condition), forward(x1), forward(x2))
    given = [condition._array_obj, x1._array_obj, x2._array_obj]
    shapes = [a.shape for a in given]
    shape = shapes[0]
    if not shape == shapes[1] == shapes[2]:
        shape = np.broadcast_shapes(*shapes)
        types = BOOL, dtype, dtype
        given = [stretched(a, t, shape) for a, t in zip(given, types, strict=True)]
    out = fresh(shape, dtype, queue)
    run(implementation._where, queue, *given, out)
    return wrap(out)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """`x` backwards, copied: strides below 0 do not leave the library."""
    return contiguous(dpnp.flip(x, axis))


# ---- products over operands with strides 0 (broadcast ones) are garbage or an error in dpnp, and
# most products in half precision are refused


def product_of(function: Any, x1: Any, x2: Any, **how: Any) -> Any:
    """A product of operands that dpnp gets right."""
    if x1.dtype == x2.dtype == np.float16:
        x1, x2 = dpnp.astype(x1, np.float32), dpnp.astype(x2, np.float32)
        return dpnp.astype(function(dense(x1), dense(x2), **how), np.float16)
    return function(dense(x1), dense(x2), **how)


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product."""
    a, b = x1._array_obj, x2._array_obj
    dtype, queue, left, right = a.dtype, a.sycl_queue, a.shape, b.shape
    if (
        len(left) == len(right) == 2
        and left[1] == right[0]
        and min(*left, *right) > 1
        and dtype.char in "fdFD"
        and dtype == b.dtype
        and queue in PLACES
        and queue == b.sycl_queue
        and (a.flags.c_contiguous or (a.flags.f_contiguous and b.flags.c_contiguous))
        and (b.flags.c_contiguous or b.flags.f_contiguous)
    ):
        out, order = fresh((left[0], right[1]), dtype, queue), ORDER[queue]
        order.add_event_pair(*blas._gemm(queue, a, b, out, order.submitted_events)[:2])
        return wrap(out)
    return product_of(dpnp.matmul, x1, x2)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The product of vectors along an axis."""
    return product_of(dpnp.vecdot, x1, x2, axis=axis)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The product over several axes."""
    return product_of(dpnp.tensordot, x1, x2, axes=axes)


# ---- dpnp adds half precision up in half precision, which overflows; large means take it 4 to 15
# times as long as NumPy


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean."""
    if x.dtype == np.float16:
        return dpnp.mean(dpnp.astype(x, np.float32), axis=axis, keepdims=keepdims).astype(
            np.float16
        )
    found = None
    if large(x):
        over = tuple(axis) if isinstance(axis, list) else axis
        found = reduced("mean", x, over, keepdims)
    return dpnp.mean(x, axis=axis, keepdims=keepdims) if found is None else found


def var(x: Any, /, *, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The variance."""
    if x.dtype == np.float16:
        return var(
            dpnp.astype(x, np.float32), axis=axis, correction=correction, keepdims=keepdims
        ).astype(np.float16)
    return dpnp.var(x, axis=axis, correction=correction, keepdims=keepdims)


def std(x: Any, /, *, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation."""
    return dpnp.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether something is true."""
    return dpnp.any(x, axis=axis, keepdims=keepdims)


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether everything is true."""
    return dpnp.all(x, axis=axis, keepdims=keepdims)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """Numbers moved into an interval."""
    if min is None and max is None:
        return x.copy()
    low = min if min is None else operand(min, x)
    high = max if max is None else operand(max, x)
    if builtins.any(v is not None and not isinstance(v, dpnp.ndarray) for v in (low, high)):
        return dpnp.clip(x, min, max)
    if builtins.any(v is not None and v.dtype != x.dtype for v in (low, high)):
        return dpnp.clip(x, min, max)
    if low is not None:
        x = FUNCTIONS["maximum"](x, low)
    return x if high is None else FUNCTIONS["minimum"](x, high)


# ---- dpnp takes integer indices that are out of range as the nearest that is not


def take(x: Any, indices: Any, /, *, axis: int | None = None, look: str = WRAP) -> Any:
    """Slices at indices; waits for the device, to look at them."""
    if axis is None:
        axis, x = (0, x.reshape(-1)) if x.ndim != 1 else (0, x)
    if takes_source(x):
        return read(x, axis % x.ndim, indices, False, look)
    checked([(indices, x.shape[axis])], look)
    return dpnp.take(x, indices, axis=axis)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1, look: str = WRAP) -> Any:
    """Elements at indices along an axis; waits for the device, to look at them."""
    axis %= x.ndim
    if alike(x.shape, indices.shape, axis) and takes_source(x):
        return read(x, axis, indices, True, look)
    checked([(indices, x.shape[axis])], look)
    return dpnp.take_along_axis(x, indices, axis=axis)


# ---- joining


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """Arrays joined along a dimension."""
    queue = together(*arrays)
    given = [x._array_obj for x in arrays]
    ndim = given[0].ndim if given else 0
    if queue is None or axis is None or not -ndim <= axis < ndim:
        return dpnp.concat(tuple(arrays), axis=axis)
    axis, dtype, first = axis % ndim, given[0].dtype, given[0].shape
    before, after = first[:axis], first[axis + 1 :]
    size = 0
    for a in given:
        shape = a.shape
        fits = len(shape) == ndim and shape[:axis] == before and shape[axis + 1 :] == after
        if not fits or a.dtype != dtype:
            return dpnp.concat(tuple(arrays), axis=axis)
        size += shape[axis]
    out = fresh((*before, size, *after), dtype, queue)
    steps, start = out.strides, 0
    for a in given:
        part = seen(out, dtype, a.shape, steps, start * steps[axis])
        into(a, part)
        start += a.shape[axis]
    return wrap(out)


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
    """Arrays joined along a new dimension."""
    return concat([expand_dims(x, axis=axis) for x in arrays], axis=axis)


# ---- new arrays, which are made on a device


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """The array behind a DLPack object; on the same memory where it is a device's."""
    if x.__dlpack_device__()[0] == 14:
        return dpnp.from_dlpack(x)
    return dpnp.asarray(np.from_dlpack(x), sycl_queue=QUEUES[0])


def fits(shape: Any, dtype: Any, queue: Any) -> Any:
    """The shape, if there can be such an array: dpnp lets the count of its bytes overflow.

    Raises
    ------
    OutOfMemoryError, TypeError
    """
    dims = shape if isinstance(shape, (tuple, list)) else (shape,)
    size = product(map(int, dims)) * (8 if dtype is None else np.dtype(dtype).itemsize)
    if size >= 1 << 47:
        raise OutOfMemoryError(
            f"out of memory on xpu:{PLACES[queue]}: tried to allocate {size / 2**30:.0f} GiB for "
            f"the shape {list(dims)}"
        )
    return tuple(dims)


def refuse_double(dtype: Any, index: int) -> None:
    """Raise an error for double precision on a device without it.

    Raises
    ------
    TypeError
    """
    if not DOUBLE[index] and dtype is not None and np.dtype(dtype).char in "dD":
        raise TypeError(
            f"{np.dtype(dtype).name} is not available on xpu:{index}: the device computes in "
            "single precision only (SYCL's aspect fp64 is missing). Use float32 or complex64, or "
            "the cpu"
        )


def factories(index: int) -> dict[str, Any]:
    """The standard's functions that make arrays, for one device."""
    here = QUEUES[index]
    single = not DOUBLE[index]

    def placed(device: Any) -> Any:
        return here if device is None else device.sycl_queue

    def check(dtype: Any) -> None:
        if single:
            refuse_double(dtype, index)

    def filler(name: str) -> Any:
        function = getattr(dpnp, name)

        def make(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
            check(dtype)
            queue = placed(device)
            return function(fits(shape, dtype, queue), dtype=dtype, sycl_queue=queue)

        make.__name__, make.__doc__ = name, function.__doc__
        return make

    def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
        check(dtype)
        queue = placed(device)
        shape = fits(shape, dtype, queue)
        if isinstance(fill_value, int) and dtype is not None and np.dtype(dtype).kind in "iu":
            fill_value = int(np.array(fill_value % (1 << 64), np.uint64).astype(dtype))
        return dpnp.full(shape, fill_value, dtype=dtype, sycl_queue=queue)

    def arange(
        start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
    ) -> Any:
        check(dtype)
        return dpnp.arange(start, stop, step, dtype=dtype, sycl_queue=placed(device))

    def linspace(
        start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None,
        endpoint: bool = True,
    ) -> Any:  # fmt: skip
        check(dtype)
        return dpnp.linspace(
            start, stop, num, dtype=dtype, sycl_queue=placed(device), endpoint=endpoint
        )

    def eye(
        n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None,
        device: Any = None,
    ) -> Any:  # fmt: skip
        check(dtype)
        return dpnp.eye(n_rows, n_cols, k, dtype, sycl_queue=placed(device))

    def asarray(
        obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None
    ) -> Any:
        check(dtype)
        if isinstance(obj, dpnp.ndarray):
            if device is not None and device.sycl_queue != obj.sycl_queue:
                raise ValueError("asarray takes an array to no other device; use Backend.array")
            if dtype is not None and obj.dtype != dtype:
                return astype(obj, dtype)
            return contiguous(obj) if copy else obj
        found = np.array(obj, dtype, order="C")  # dpnp keeps strides below 0
        if single and dtype is None and found.dtype.char in "dD":
            found = found.astype(np.float32 if found.dtype.char == "d" else np.complex64)
        return from_host(found, placed(device))

    made = {name: filler(name) for name in ("empty", "zeros", "ones")}
    found = (full, arange, linspace, eye, asarray)
    return {**made, **{function.__name__: function for function in found}}
