"""Tensors and the host: numbers, lists, NumPy arrays, other libraries' arrays, pickling."""

from __future__ import annotations

from typing import Any

import devtensor.dtype as dtypes
from devtensor import backend as backends
from devtensor import sequences
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.node import Leaf
from devtensor.device import device as Device
from devtensor.device import get_default_device, resolve
from devtensor.op import catalogue
from devtensor.ops.convert import to
from devtensor.route import OF_PYTORCH
from devtensor.size import Size
from devtensor.space import native
from devtensor.tensor import Tensor, makers, wrap


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
    if backend is None and OF_PYTORCH[type(data)]:
        return by_dlpack(data).to(device=place, dtype=dtype, copy=True)
    if backend is not None or sequences.array_like(data):
        own = sequences.type_of_array(data)
        array = target.array(data, native(dtype or own, place), place.index)
        return wrap(array, place, current().edge)
    numbers, shape, t = sequences.read(data, dtype)
    array = target.array(numbers, native(t, place), place.index)
    array = target.xp.reshape(array, shape) if array.shape != shape else array
    return wrap(array, place, current().edge)


def as_tensor(data: Any, dtype: dtypes.dtype | None = None, device: Any = None) -> Tensor:
    """A tensor over the memory of `data` where that is possible, else a copy.

    Parameters
    ----------
    data : Tensor, array of NumPy or of a device's library, PyTorch's tensor, number or sequence
        Sequences may be nested.
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
    """A native array, or PyTorch's, as a tensor over the same memory; None for anything else."""
    for kind in sorted(backends.kinds() - {"cpu"}) if _foreign(data) else ():
        try:
            if data.__class__.__module__.split(".")[0] in backends.load(kind).packages:
                break
        except (RuntimeError, ImportError):  # there is no such device here
            continue
    if sequences.array_like(data):
        Device("cpu").backend  # noqa: B018  the host's arrays are known when its library is loaded
    backend = backends.owner(data)
    if backend is None:
        return by_dlpack(data) if OF_PYTORCH[type(data)] else None
    sequences.type_of_array(data)
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
    requires_grad: bool | None = None,
) -> Tensor:
    """A tensor from almost anything (``torch.asarray``).

    Parameters
    ----------
    obj : object
    dtype, device : optional
    copy : bool, optional
        True: always copy. False: raise if a copy would be needed. None: as needed.
    requires_grad : bool, optional
        By default a tensor stays on the tape, and what is none does not require gradients.

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    """
    if copy and not isinstance(obj, Tensor):
        made = tensor(obj, dtype=dtype, device=device)
    else:
        made = as_tensor(obj, dtype, device)
        if copy and made is obj:
            made = obj.clone()
    if copy is False:
        source = obj if isinstance(obj, Tensor) else adopted(obj)
        if source is None:
            raise ValueError("can't alias arbitrary sequence into a tensor: pass copy=None")
        if made._device is not source._device or made.dtype is not source.dtype:
            raise ValueError(
                f"can't alias memory of {source.dtype} on {source._device} as {made.dtype} on "
                f"{made._device}: pass copy=None"
            )
    if requires_grad is not None and made.requires_grad is not requires_grad:
        made = made.detach().requires_grad_(requires_grad)
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


class Capsule:
    """A bare DLPack capsule, with the methods by which libraries ask for one."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device, which stands behind the pointer to the data.

        Raises
        ------
        RuntimeError
            If the capsule was taken before.
        """
        import ctypes  # for this alone

        named, opened = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
        named.restype, named.argtypes = ctypes.c_char_p, [ctypes.py_object]
        opened.restype, opened.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        name = named(self.capsule)
        # A version, two pointers and flags stand before the tensor in the newer structure.
        start = {b"dltensor": 0, b"dltensor_versioned": 32}.get(name)
        if start is None:
            raise RuntimeError(
                f"from_dlpack received an invalid capsule, named {name!r}. Note that DLTensor "
                "capsules can be consumed only once, so you might have already constructed a "
                "tensor from it once."
            )
        place = opened(self.capsule, name) + start + ctypes.sizeof(ctypes.c_void_p)
        kind, index = (ctypes.c_int32 * 2).from_address(place)
        return kind, index


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, by the DLPack protocol.

    Parameters
    ----------
    ext_tensor : object
        An array that has ``__dlpack__`` and ``__dlpack_device__``, or a capsule of one.
    device : device or str, optional
        Where the tensor shall be; where the array is by default.
    copy : bool, optional
        True: always copy. False: raise if a copy would be needed. None: as needed.

    Raises
    ------
    RuntimeError
        If it is something else, or a capsule that was taken before.
    BufferError
        If it is a tensor that requires gradients.
    ValueError
        If `copy` is False, and the array is on another device.

    Notes
    -----
    PyTorch's ``torch.from_dlpack``.
    """
    if isinstance(ext_tensor, Tensor) and ext_tensor.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    made = taken(ext_tensor)
    if device is not None and resolve(device) is not made._device:
        if copy is False:
            raise ValueError(
                f"cannot move DLPack tensor from device {made._device} to {resolve(device)} "
                "without copying. Set copy=None or copy=True."
            )
        return made.to(device)
    return made.clone() if copy else made


def taken(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of what has the DLPack protocol."""
    if isinstance(ext_tensor, Tensor):
        return ext_tensor
    found = adopted(ext_tensor)
    if found is not None:
        return found
    return by_dlpack(ext_tensor)


def by_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of another library's array, or of a capsule."""
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise RuntimeError(
            "from_dlpack received an invalid capsule: a "
            f"{type(ext_tensor).__name__} has no __dlpack__ and __dlpack_device__"
        )
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
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"frombuffer(): argument 'dtype' must be dtype, not {type(dtype).__name__}")
    try:
        size = memoryview(buffer).cast("B").nbytes
    except TypeError:
        raise ValueError(
            f"object does not implement Python buffer protocol: {type(buffer).__name__}"
        ) from None
    if not size or not count:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({size} bytes) minus 1"
        )
    if count < 0 and (size - offset) % dtype.itemsize:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({dtype.itemsize})"
        )
    if count * dtype.itemsize > size - offset:
        raise ValueError(
            f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} "
            f"bytes) must not be greater than actual buffer length ({size} bytes)"
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
    only = data[0] if len(data) == 1 else None
    if isinstance(only, Tensor):
        made: Tensor = catalogue["alias"].function(only)
        return made if dtype is None else to(made, dtype)
    t = dtypes.get_default_dtype() if dtype is None else dtype
    if isinstance(only, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(only).__name__}'")
    if isinstance(only, Size):
        return catalogue["empty"].function(only, dtype=t, device=device)
    if sequences.sequence(only) and getattr(only, "shape", 1) != ():
        return as_new(only, t, device)
    if len(data) == 1 and (isinstance(only, bool) or not hasattr(only, "__index__")):
        raise TypeError(
            f"new(): data must be a sequence (got {type(only).__name__}); use tensor(data)"
        )
    if not all(hasattr(n, "__index__") for n in data):
        raise TypeError(
            f"new(): Tensor(...) takes sizes or one sequence of numbers, got {list(data)!r}; "
            "use tensor(data)"
        )
    sizes = [n.__index__() for n in data] or [0]
    if max(sizes) >= 2**63:
        raise TypeError(f"new(): argument 'size' failed to unpack the object: {sizes} is too large")
    return catalogue["empty"].function(*sizes, dtype=t, device=device)


makers.append(made_of)
