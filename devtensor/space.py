"""Where kernels and rules find their functions: the array library's, and the catalogue's.

A kernel or a rule is given a namespace `xp`. For bare arrays it is the library's own namespace,
with the catalogue's operations beside it, bound to the device.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import devtensor.dtype as dtypes
from devtensor.device import device as Device
from devtensor.op import EMPTY, Op, catalogue


class Space:
    """The namespace that a device gives to kernels and rules."""

    def __init__(self, device: Device) -> None:
        library = device.backend.namespace(device.index)
        names = getattr(library, "__all__", None) or dir(library)
        self.__dict__.update(
            {name: getattr(library, name) for name in names if not name.startswith("_")}
        )
        self._device = device

    def _kernel(self, op: Op, device: Device) -> Callable[..., Any]:
        """The kernel of an operation as this namespace has it."""
        return kernel_for(op, device)

    def __getattr__(self, name: str) -> Any:
        entry = catalogue.get(name)
        if entry is None:
            raise AttributeError(
                f"neither {self._device.backend.kind!r}'s namespace nor the catalogue has {name!r}"
            )
        found = self.__dict__[name] = self.operation(name)
        return found

    def operation(self, name: str) -> Callable[..., Any]:
        """An operation of the catalogue, for bare arrays; also where the library has that name."""
        op = catalogue[name].op
        if op is None:  # a composite: of operations, so it works on whatever they work on
            raise AttributeError(f"{name!r} is a composite; rules and kernels use operations")
        kernel = self._kernel(op, self._device)
        star = op.star

        if star is None and not any("dtype" in name for name in op.params):
            return kernel  # its parameters are those of the operation, by place and by name
        names = op.positional
        alone = star is None and [name for name in op.params if "dtype" in name] == ["dtype"]
        before = len(op.inputs) + names.index("dtype") if alone and "dtype" in names else 0

        def call(*args: Any, **kwargs: Any) -> Any:
            dtype = kwargs.get("dtype")
            if dtype is not None and dtype.__class__ is not dtypes.dtype and len(args) <= before:
                return kernel(*args, **kwargs)
            if star is not None:
                kwargs.update(zip(names, args[star + 1 :], strict=False))
                args = (*args[:star], *args[star])
            else:
                kwargs.update(zip(names, args[len(op.inputs) :], strict=False))
                args = args[: len(op.inputs)]
            return kernel(*args, **natives(kwargs, self._device))

        return call


_spaces: dict[Device, Space] = {}


def space_of(device: Device) -> Space:
    """The namespace for bare arrays on `device`."""
    try:
        return _spaces[device]
    except KeyError:
        space = _spaces[device] = Space(device)
        return space


def natives(params: dict[str, Any], device: Device) -> dict[str, Any]:
    """Parameters as kernels get them: dtypes as the library's own."""
    made = params
    for name, value in params.items():
        if value.__class__ is dtypes.dtype:
            if made is params:
                made = params.copy()
            made[name] = native(value, device)
    return made


def native(dtype: dtypes.dtype, device: Device) -> Any:
    """The library's own object for a dtype.

    Raises
    ------
    TypeError
        If the library, or this device, has no such type.
    """
    try:
        return device.backend.native[dtype]
    except KeyError:
        raise TypeError(
            f"{dtype!r} is not available on {device}: its array library has "
            f"{', '.join(t.name for t in device.backend.native)}"
        ) from None


def kernel_for(op: Op, device: Device) -> Callable[..., Any]:
    """The kernel of `op` on `device`, ready for arrays."""
    try:
        return op.bound[device]
    except KeyError:
        ready = unbound(op, space_of(device))
        ready = op.bound[device] = device.backend.bind(ready, device.index)
        return ready


def unbound(op: Op, space: Space) -> Callable[..., Any]:
    """The kernel of `op` with its namespace."""
    kernel = space._device.backend.kernels.get(op.name, op.kernel)
    direct = None if op.params else library_function(kernel, space, len(op.inputs))
    ready = direct or MethodType(kernel, space)
    return in_order(ready, op, space) if op.ordered else ready


def plain_for(op: Op, device: Device) -> Callable[..., Any]:
    """The kernel for a call in which all parameters have their defaults."""
    backend = device.backend
    kernel = backend.kernels.get(op.name, op.kernel)
    direct = None
    if not op.ordered and all(default is not EMPTY for default in op.params.values()):
        direct = library_function(kernel, space_of(device), len(op.inputs))
    return backend.bind(direct, device.index) if direct else kernel_for(op, device)


def in_order(kernel: Callable[..., Any], op: Op, space: Space) -> Callable[..., Any]:
    """A kernel whose results lie in row order, as PyTorch's do, whatever its inputs' order is."""
    in_rows, contiguous = space._device.backend.in_rows, space.contiguous

    def placed(array: Any) -> Any:
        return array if in_rows(array) else contiguous(array)

    if op.outputs is None:
        return lambda *arrays, **params: placed(kernel(*arrays, **params))
    return lambda *arrays, **params: [placed(array) for array in kernel(*arrays, **params)]


class _Probe:
    """Stands for a namespace, and notes which of its functions is called how."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return self

        return call


class _Blank:
    """Stands for an array, and has nothing."""

    __slots__ = ()


def library_function(
    kernel: Callable[..., Any], space: Space, count: int
) -> Callable[..., Any] | None:
    """The library's function, if `kernel` does no more than call it with its own arguments."""
    probe, blanks = _Probe(), [_Blank() for _ in range(count)]
    try:
        result = kernel(probe, *blanks)
    except Exception:  # it looks at its arguments, so it does more
        return None
    if result is not probe or len(probe.calls) != 1:
        return None
    name, args, kwargs = probe.calls[0]
    same = len(args) == count and all(a is b for a, b in zip(args, blanks, strict=True))
    found: Callable[..., Any] | None = getattr(space, name, None) if same and not kwargs else None
    return found
