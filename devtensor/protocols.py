"""What Python and other array libraries ask of a tensor: numbers, iteration, their own arrays."""

from __future__ import annotations

import math
from typing import Any

from devtensor import printing
from devtensor.autograd.mode import current
from devtensor.autograd.view import requires_grad
from devtensor.dtype import NUMBERS
from devtensor.host import from_numpy
from devtensor.route import Unrouted
from devtensor.tensor import Tensor, on_tensor


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


def number(tensor: Any, kind: Any) -> Any:
    """The one element as a Python number of a kind.

    Raises
    ------
    ValueError
        If there is not exactly one.
    RuntimeError
        If it has an imaginary part that would be lost.
    """
    if math.prod(tensor._array.shape) != 1:
        raise ValueError(
            "only one element tensors can be converted to Python scalars, got shape "
            f"{list(tensor._array.shape)}; use tolist()"
        )
    value = tensor.item()
    if isinstance(value, complex) and kind is not complex:
        if value.imag:
            raise RuntimeError(
                f"value cannot be converted to type {kind.__name__} without overflow: {value}"
            )
        value = value.real
    return kind(value)


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

    def __array_wrap__(
        self: Any, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Tensor:
        """What NumPy's functions of tensors give is a tensor; bools become bytes in PyTorch."""
        return from_numpy(array.astype("uint8") if array.dtype == bool else array)

    def __dlpack__(
        self: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:  # fmt: skip
        if requires_grad(self):
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        asked = dict(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
        given = {name: value for name, value in asked.items() if value is not None}
        return self._array.__dlpack__(**given)  # not every library knows them all

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
        return number(self, float)

    def __int__(self: Any) -> int:
        return number(self, int)

    def __complex__(self: Any) -> complex:
        return number(self, complex)

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
        with Unrouted():
            return printing.tensor_repr(self)

    def __format__(self: Any, spec: str) -> str:
        return printing.format_tensor(self, spec)

    def __reversed__(self: Any) -> Tensor:
        return self.flip(0) if self._array.ndim else self

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        from devtensor.serialization import reduce_tensor  # serialization stands above tensors

        return reduce_tensor(self, protocol)
