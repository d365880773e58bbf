"""The device ``meta``, whose tensors have a shape, a type and strides, and no data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from devtensor.backend import Backend, load
from devtensor.device import device as Device
from devtensor.op import Op, catalogue
from devtensor.space import kernel_for
from devtensor_numpy.extras_shape import root

from .namespace import NAMES, viewed
from .shapes import Shape, Values, blank, mapped, modelled, order_of

__all__ = ["Meta"]


def elementwise(op: Op, /, xp: Any, *arrays: Any, **params: Any) -> Any:
    """An operation that does the same to each element, so that a few of them will do."""
    return modelled(partial(kernel_for(op, Device("cpu")), **params), whole=1)(*arrays)


def view(op: Op, /, xp: Any, *arrays: Any, **params: Any) -> Any:
    """An operation that only looks at the memory of its argument."""
    return viewed(partial(kernel_for(op, Device("cpu")), **params))(*arrays)


def general(op: Op, common: Any, /, xp: Any, *arrays: Any, **params: Any) -> Any:
    """Another operation; one that asks for values is tried with several of them on the host.

    Raises
    ------
    NotImplementedError
        If the shape of the result depends on them.
    """
    try:
        return common(xp, *arrays, **params)
    except Values as reason:
        run = partial(kernel_for(op, Device("cpu")), **params)
        found: list[list[Any]] = []
        for values in ([1], [0], range(100)):
            with suppress(ArithmeticError, LookupError, RuntimeError, ValueError):
                result = run(*mapped(partial(filled, values), arrays))
                found.append(list(result) if op.outputs is not None else [result])
            shapes = [[part.shape for part in parts] for parts in found]
            if shapes and shapes[0] != shapes[-1]:
                break
        else:
            if found:
                made = [blank(part.shape, part.dtype, order_of(part)) for part in found[0]]
                return made if op.outputs is not None else made[0]
        raise NotImplementedError(*reason.args) from None


def filled(values: Sequence[int], x: Shape) -> Any:
    """An array in the host's memory with `values` by turns, or with identity matrices for ones."""
    made = np.resize(np.array(values, x.dtype), x.shape)
    if values == [1] and x.ndim > 1 and x.dtype.kind in "fcV":
        made[...] = np.eye(*x.shape[-2:])
    return made


class Kernels(dict[str, Any]):
    """How each operation is done here; those that are named are made of nothing else."""

    def get(self, name: str, kernel: Any = None) -> Any:
        """The kernel of an operation."""
        op = catalogue[name].op
        if name in self or op is None:
            return super().get(name, kernel)
        if op.view is True:
            return partial(view, op)
        if op.elementwise and not op.view:
            return partial(elementwise, op)
        return partial(general, op, kernel)


class Meta(Backend):
    """One device, which has no index."""

    kind = "meta"
    xp = NAMES
    array_types = (Shape,)
    data = False
    kernels = Kernels(philox=lambda xp, /, count, *_: blank((count,), xp.uint32))

    def native_dtype(self, t: Any) -> Any:
        """NumPy's."""
        return load("cpu").native.get(t)

    def current(self) -> Any:
        """None: there is no index."""

    def index_of(self, array: Shape) -> None:
        """None: there is no index."""

    def array(self, data: Any, native: Any, index: Any) -> Shape:
        """What is left of an array, or of numbers."""
        if not isinstance(data, (Shape, np.ndarray, np.generic)):
            data = load("cpu").array(data, native, None)
        found = getattr(data, "inner", data)
        return blank(found.shape, native, order_of(found))

    def to_host(self, array: Shape) -> Any:
        """Refused."""
        raise NotImplementedError(
            "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() "
            "instead of torch.nn.Module.to() when moving module from meta to a different device. "
            "(Tensor.item() cannot be called on meta tensors, nor anything else that reads "
            f"elements; this one is of shape {list(array.shape)}, and "
            "torch.empty_like(tensor, device='cpu') has memory for them.)"
        )

    def write(self, target: Shape, value: Any) -> None:
        """Nothing."""

    def strides(self, array: Shape) -> tuple[int, ...]:
        """Steps in elements."""
        return load("cpu").strides(array.inner)

    def pointer(self, array: Shape) -> int:
        """The offset: memory that is not there begins at 0."""
        return self.storage_offset(array) * array.dtype.itemsize

    def owns(self, array: Shape) -> bool:
        """Whether it is no view."""
        return root(array.inner) is array.inner

    def shares(self, one: Shape, two: Shape) -> bool:
        """Whether two arrays look at the same memory."""
        return root(one.inner) is root(two.inner)

    def storage_offset(self, array: Shape) -> int:
        """How many elements lie before the first one."""
        return load("cpu").storage_offset(array.inner)

    def allocated(self, array: Shape) -> int:
        """Bytes that the memory would have."""
        return load("cpu").allocated(array.inner)
