"""Tensors and the host: numbers, lists, NumPy arrays, other libraries' arrays, pickling."""

from __future__ import annotations

import math
from typing import Any

import devtensor.dtype as dtypes
from devtensor import backend as backends
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.node import Leaf
from devtensor.device import device as Device
from devtensor.device import get_default_device, resolve
from devtensor.op import catalogue
from devtensor.ops.convert import to
from devtensor.size import Size
from devtensor.space import native
from devtensor.tensor import Tensor, makers, wrap

NUMBERS = (bool, int, float, complex)


def flat_numbers(data: Any, name: str) -> tuple[list[Any], tuple[int, ...]]:
    """Nested sequences as a flat list and a shape.

    Raises
    ------
    TypeError
        If there is something else than numbers in them.
    ValueError
        If they are ragged.
    """
    if isinstance(data, NUMBERS):
        return [data], ()
    shape: tuple[int, ...]
    if isinstance(data, Tensor) or (hasattr(data, "__array__") and hasattr(data, "shape")):
        return _from_array(data)
    if isinstance(data, (str, bytes, dict, set)) or not hasattr(data, "__len__"):
        if hasattr(data, "__index__"):
            return [data.__index__()], ()
        if hasattr(data, "__float__"):
            return [float(data)], ()
        if isinstance(data, str):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    numbers: list[Any] = []
    inner: tuple[int, ...] | None = None
    try:
        items = [data[i] for i in range(len(data))]
    except (KeyError, TypeError, IndexError):
        raise TypeError(f"{name}(): cannot read numbers from {type(data).__name__}") from None
    for place, item in enumerate(items):
        if item.__class__ in NUMBERS:
            found, shape = [item], ()
        else:
            found, shape = flat_numbers(item, name)
        if inner is None:
            inner = shape
        elif shape != inner:
            here = len(shape) if len(shape) != len(inner) else 0
            if not shape or not inner:
                raise (
                    TypeError(
                        f"expected sequence of length {inner[0] if inner else 1} at dim 1, but "
                        f"item {place} is {'a number' if not shape else 'a sequence'}"
                    )
                    if inner
                    else ValueError(
                        f"only one element tensors can be converted to Python scalars, but item "
                        f"{place} has shape {list(shape)}"
                    )
                )
            raise ValueError(
                f"expected sequence of length {inner[here]} at dim {here + 1} (got {shape[here]})"
            )
        numbers += found
    return numbers, (len(items), *(inner or ()))


def _from_array(data: Any) -> tuple[list[Any], tuple[int, ...]]:
    if isinstance(data, Tensor):
        if data.requires_grad:
            data = data.detach()
        return data.flatten().tolist(), tuple(data.shape)
    return data.reshape(-1).tolist(), tuple(data.shape)


def number_type(numbers: list[Any]) -> dtypes.dtype:
    """The dtype of Python numbers together."""
    kinds = {bool: 0, int: 1, float: 2, complex: 3}
    level = 0
    for number in numbers:
        rank = kinds.get(number.__class__)
        if rank is None:
            rank = 2 if isinstance(number, float) else 1
        if rank > level:
            level = rank
    if not numbers or level == 2:
        return dtypes.get_default_dtype()
    return (dtypes.bool_, dtypes.int64, None, dtypes.get_default_dtype().to_complex())[level]  # type: ignore[return-value]


def tensor(
    data: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Copy numbers, nested sequences, or an array of any kind into a new tensor.

    Parameters
    ----------
    data : number, nested sequence, array or Tensor
    dtype : dtype, optional
        By default that of an array; for Python numbers bool, int64 or the default dtype.
    device : device or str, optional
        By default that of a tensor or device array, else the default device.
    requires_grad : bool
    pin_memory : bool
        Accepted and without effect.

    Raises
    ------
    ValueError
        If sequences are ragged.
    TypeError, RuntimeError
        If something in them is no number, or gradients are asked for integers.

    Notes
    -----
    PyTorch's ``torch.tensor``.
    """
    if isinstance(data, Tensor):
        made = detached_copy(data)
        if device is not None:
            made = made.to(device)
        if dtype is not None:
            made = made.to(dtype)
        if made._node is not None and not current().inference:
            made = wrap(made._array, made._device)
    else:
        made = as_new(data, dtype, device)
    if requires_grad:
        if made.dtype.kind not in ("float", "complex"):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients, got data "
                f"of {made.dtype!r}; pass dtype=torch.float32"
            )
        made._node = Leaf(made, made._node is INFERENCE)
    return made


def detached_copy(data: Tensor) -> Tensor:
    """A tensor's values in new memory, outside the graph."""
    array = data._device.backend.xp.asarray(data._array, copy=True)
    return wrap(array, data._device, current().edge)


def as_new(data: Any, dtype: Any, device: Any) -> Tensor:
    """Numbers or an array in new memory."""
    dtype = dtypes.PYTHON.get(dtype, dtype)
    if dtype is not None and not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"tensor(): argument 'dtype' must be dtype, not {type(dtype).__name__}")
    backend = backends.owner(data)
    if backend is not None and not backend.host:
        place = Device(backend.kind, backend.index_of(data))
        made = wrap(backend.xp.asarray(data, copy=True), place, current().edge)
        return made.to(device=device, dtype=dtype)
    place = resolve(device)
    target = place.backend
    if backend is not None or (hasattr(data, "__array__") and hasattr(data, "dtype")):
        t = dtypes.of(data.dtype) if dtype is None else dtype
        array = target.array(data, native(t, place), place.index)
        return wrap(array, place, current().edge)
    numbers, shape = flat_numbers(data, "tensor")
    t = number_type(numbers) if dtype is None else dtype
    array = target.array(checked(numbers, t), native(t, place), place.index)
    array = target.xp.reshape(array, shape) if array.shape != shape else array
    return wrap(array, place, current().edge)


def checked(numbers: list[Any], dtype: dtypes.dtype) -> list[Any]:
    """Numbers that fit `dtype`, converted as PyTorch converts them."""
    if dtype.kind == "int":
        low = -(2 ** (8 * dtype.itemsize - 1)) if dtype.is_signed else 0
        high = 2 ** (8 * dtype.itemsize - dtype.is_signed)
        result = []
        for number in numbers:
            if isinstance(number, float) and not math.isfinite(number):
                raise RuntimeError(f"cannot convert {number} to an integer of type {dtype!r}")
            if isinstance(number, complex):
                raise RuntimeError(
                    "value cannot be converted to type int64_t without overflow: "
                    f"{number} for {dtype!r}"
                )
            whole = int(number)
            if not low <= whole < high:
                if not -high <= whole < high:
                    raise RuntimeError(
                        f"value cannot be converted to type {dtype.name}_t without overflow: "
                        f"{whole}"
                    )
                whole %= high
            result.append(whole)
        return result
    if dtype.kind == "bool":
        return [bool(number) for number in numbers]
    if dtype.kind == "float":
        for number in numbers:
            if isinstance(number, complex):
                raise RuntimeError(
                    f"value cannot be converted to type {dtype.name} without overflow: {number}"
                )
    return numbers


def as_tensor(data: Any, dtype: dtypes.dtype | None = None, device: Any = None) -> Tensor:
    """A tensor over the memory of `data` where that is possible, else a copy.

    Parameters
    ----------
    data : Tensor, array of NumPy or of a device's library, number or nested sequence
    dtype : dtype, optional
    device : device or str, optional

    Notes
    -----
    PyTorch's ``torch.as_tensor``.
    """
    if isinstance(data, Tensor):
        return to(data, device=device, dtype=dtype)
    made = adopted(data)
    if made is None:
        return as_new(data, dtype, device)
    if device is None and made._device.backend.host:
        device = get_default_device()
    return to(made, device=device, dtype=dtype)


def adopted(data: Any) -> Tensor | None:
    """A native array as a tensor over the same memory; None for anything else."""
    for kind in sorted(backends.kinds() - {"cpu"}) if _foreign(data) else ():
        try:
            if data.__class__.__module__.split(".")[0] in backends.load(kind).packages:
                break
        except (RuntimeError, ImportError):  # there is no such device here
            continue
    backend = backends.owner(data)
    if backend is None:
        return None
    dtypes.of(data.dtype)
    array = backend.adopt(data)
    place = Device(backend.kind, backend.index_of(array)).resolve()
    return wrap(array, place, current().edge)


def _foreign(data: Any) -> bool:
    return hasattr(data, "__cuda_array_interface__") or hasattr(
        data, "__sycl_usm_array_interface__"
    )


def asarray(
    obj: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor from almost anything (``torch.asarray``).

    Parameters
    ----------
    obj : object
    dtype, device : optional
    copy : bool, optional
        True: always copy. False: raise if a copy would be needed. None: as needed.
    requires_grad : bool

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    """
    made = tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)
    if copy is False and (
        isinstance(obj, (*NUMBERS, list, tuple)) or (isinstance(obj, Tensor) and made is not obj)
    ):
        raise ValueError("can't alias arbitrary sequence into a tensor: pass copy=None")
    if requires_grad and not made.requires_grad:
        made = made.detach().requires_grad_()
    return made


def from_numpy(ndarray: Any) -> Tensor:
    """A cpu tensor over the memory of a NumPy array (``torch.from_numpy``).

    Raises
    ------
    TypeError
        If it is no NumPy array, or of a type without a dtype here.
    """
    cpu = Device("cpu")
    array_type: Any = cpu.backend.array_types[0]
    if not isinstance(ndarray, array_type):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if any(step < 0 for step in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not supported. (You can probably work around this by making a copy of "
            "your array with array.copy().)"
        )
    found = adopted(ndarray)
    assert found is not None
    return found


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of another library's array, by the DLPack protocol."""
    if isinstance(ext_tensor, Tensor):
        return ext_tensor
    found = adopted(ext_tensor)
    if found is not None:
        return found
    kind = {1: "cpu", 2: "cuda", 3: "cpu", 14: "xpu"}.get(ext_tensor.__dlpack_device__()[0], "cpu")
    array = Device(kind).backend.xp.from_dlpack(ext_tensor)
    made = adopted(array)
    assert made is not None
    return made


def frombuffer(
    buffer: Any,
    *,
    dtype: dtypes.dtype,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A one-dimensional cpu tensor over the memory of a buffer (``torch.frombuffer``)."""
    cpu = Device("cpu")
    view = memoryview(buffer).cast("B")
    if not view.nbytes:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    if not 0 <= offset < view.nbytes:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({view.nbytes} bytes) minus 1"
        )
    array = cpu.backend.from_buffer(buffer, native(dtype, cpu), count, offset)
    made = wrap(array, cpu, current().edge)
    return made.requires_grad_() if requires_grad else made


def made_of(data: tuple[Any, ...], dtype: dtypes.dtype | None, device: Any) -> Tensor:
    """What ``Tensor(...)`` makes: of sizes unset memory, or of one sequence or array its numbers.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if len(data) == 1 and isinstance(data[0], Tensor):
        made = data[0].detach()
        return made if dtype is None else to(made, dtype)
    t = dtypes.get_default_dtype() if dtype is None else dtype
    if len(data) == 1 and not isinstance(data[0], int) and not isinstance(data[0], Size):
        return as_new(data[0], t, device)
    sizes = data[0] if len(data) == 1 and isinstance(data[0], Size) else data
    if not all(hasattr(n, "__index__") for n in sizes):
        raise TypeError(
            f"new(): Tensor(...) takes sizes or one sequence of numbers, got {list(data)!r}; "
            "use tensor(data)"
        )
    return catalogue["empty"].function(*(sizes or (0,)), dtype=t, device=device)


makers.append(made_of)
