"""Tensors and the host: numbers, lists, NumPy arrays, other libraries' arrays, pickling."""

from __future__ import annotations

import math
from typing import Any

import devtensor.dtype as dtypes
from devtensor import backend as backends
from devtensor import printing
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.node import Leaf
from devtensor.autograd.view import requires_grad
from devtensor.device import device as Device
from devtensor.device import get_default_device, resolve
from devtensor.op import catalogue
from devtensor.ops.convert import to
from devtensor.size import Size
from devtensor.space import native
from devtensor.tensor import Tensor, makers, on_tensor, wrap

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


def _interface(tensor: Any, name: str) -> Any:
    """What an array library reads of a tensor's array to look at its memory.

    Raises
    ------
    AttributeError
        If the array is none of that library's kind.
    RuntimeError
        If it requires gradients, which would not know of what is written.
    """
    found = getattr(tensor._array, name)
    if requires_grad(tensor):
        raise RuntimeError(
            f"Can't get {name} on Variable that requires grad. If gradients aren't required, use "
            "var.detach() to get Variable that doesn't require grad."
        )
    return found


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


def to_numpy(tensor: Any, force: bool = False) -> Any:
    """The tensor as a NumPy array over the same memory (``torch.Tensor.numpy``).

    Parameters
    ----------
    tensor : Tensor
    force : bool
        Detach and copy to the host where that is needed.

    Raises
    ------
    RuntimeError
        If it requires gradients and recording is on.
    TypeError
        If it is not on the cpu.
    """
    if not force:
        if requires_grad(tensor) and current().recording:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if not tensor._device.backend.host:
            raise TypeError(
                f"can't convert {tensor._device} device type tensor to numpy. Use Tensor.cpu() to "
                "copy the tensor to host memory first."
            )
    return tensor._device.backend.to_host(tensor._array)


@on_tensor
class Host:
    """Python's and NumPy's protocols on `Tensor`."""

    __array_priority__ = 1000

    def numpy(self: Any, *, force: bool = False) -> Any:
        """A NumPy array over the same memory; see :func:`devtensor.host.to_numpy`."""
        return to_numpy(self, force)

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        array = to_numpy(self)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError("a copy is needed to change the dtype, and copy=False was given")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self: Any, **kwargs: Any) -> Any:
        if requires_grad(self):
            raise RuntimeError("Can't export tensors that require gradient, use tensor.detach()")
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self: Any) -> Any:
        return self._array.__dlpack_device__()

    @property
    def __cuda_array_interface__(self: Any) -> Any:
        return _interface(self, "__cuda_array_interface__")

    @property
    def __sycl_usm_array_interface__(self: Any) -> Any:
        return _interface(self, "__sycl_usm_array_interface__")

    @property
    def __usm_ndarray__(self: Any) -> Any:  # what dpnp reads without a copy
        return _interface(self, "__usm_ndarray__")

    def item(self: Any) -> Any:
        """The one element as a Python number.

        Raises
        ------
        RuntimeError
            If there is not exactly one.
        """
        if math.prod(self._array.shape) != 1:
            raise RuntimeError(
                f"a Tensor with {math.prod(self._array.shape)} elements cannot be converted to "
                f"Scalar: its shape is {list(self._array.shape)}; use tolist()"
            )
        return self._device.backend.to_host(self._array).item()

    def tolist(self: Any) -> Any:
        """The elements as nested lists of Python numbers; a number if there are no dimensions."""
        return self._device.backend.to_host(self._array).tolist()

    def __bool__(self: Any) -> bool:
        count = math.prod(self._array.shape)
        if count != 1:
            many = "more than one value" if count else "no values"
            raise RuntimeError(
                f"Boolean value of Tensor with {many} is ambiguous: its shape is "
                f"{list(self._array.shape)}; use .any() or .all()"
            )
        return bool(self.item())

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __complex__(self: Any) -> complex:
        return complex(self.item())

    def __index__(self: Any) -> int:
        if self.dtype.kind not in ("int", "bool") or math.prod(self._array.shape) != 1:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, got "
                f"{self.dtype!r} of shape {list(self._array.shape)}"
            )
        return int(self.item())

    def __len__(self: Any) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self._array.shape[0])

    def __iter__(self: Any) -> Any:
        if not self._array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self: Any, element: Any) -> bool:
        if isinstance(element, (Tensor, *NUMBERS)):
            return bool((self == element).any())
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element).__name__}."
        )

    def __hash__(self: Any) -> int:
        return id(self)

    def __repr__(self: Any, *, tensor_contents: Any = None) -> str:
        return printing.tensor_repr(self)

    def __format__(self: Any, spec: str) -> str:
        return printing.format_tensor(self, spec)

    def __reversed__(self: Any) -> Tensor:
        return self.flip(0) if self._array.ndim else self

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        from devtensor.serialization import reduce_tensor  # serialization stands above tensors

        return reduce_tensor(self, protocol)
