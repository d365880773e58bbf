"""The device of batches: a library's device with one axis more, which counts the examples.

Within `vmap` tensors stand on such a device. All operations find their kernels by the device, so
they find these: the kernel of a single example, run on batches. What cannot be done for all
examples at once is done for one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from types import SimpleNamespace
from typing import Any

from devtensor.backend import Backend
from devtensor.device import device as Device
from devtensor.func._batch import ASKED, FIXED, Batch, Unbatchable, shown, spread
from devtensor.func._calls import batches, looped, picked, wrapped
from devtensor.func._kernels import KERNELS
from devtensor.func._places import FFT, LINALG
from devtensor.func._rules import RULES
from devtensor.op import Op, catalogue
from devtensor.space import kernel_for, space_of
from devtensor.tensor import wrap

Function = Callable[..., Any]


class BatchDevice(Device):
    """A device within `vmap`. To users it is equal to the one without.

    Attributes
    ----------
    inner : device
        Where the values of its batches are: a library's device, or that of an enclosing `vmap`.
    depth : int
        How many axes of examples there are.
    """

    __slots__ = ("depth", "inner")
    inner: Device
    depth: int

    def resolve(self) -> Device:
        """The device itself."""
        return self

    def cross(self, tensor: Any, device: Device) -> Any:
        """A tensor on another device, where one of the two is within `vmap`.

        What has a value for each example stays within.
        """
        from devtensor.func._levels import crossed  # the tensors' side is built on this one

        return crossed(tensor, device)

    def shown(self, tensor: Any) -> str:
        """The text of a tensor: the values of all examples."""
        array = tensor._array
        text = repr(wrap(array.value, self.inner))
        if not array.many:
            return text
        return f"BatchedTensor(lvl={self.depth}, bdim=0, value=\n{indent(text, '    ')}\n)"

    def refusal(self) -> RuntimeError:
        """The error for a value of each example that is to be written to what they share."""
        return RuntimeError(FIXED)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (self.type, self.index)


_batched: dict[Device, BatchDevice] = {}


def batched(inner: Device) -> BatchDevice:
    """The device of batches of arrays on `inner`."""
    found = _batched.get(inner)
    if found is None:
        found = object.__new__(BatchDevice)
        found.type, found.index = inner.type, inner.index
        found.inner, found.depth = inner, depth(inner) + 1
        found._backend = BatchBackend(found)  # type: ignore[assignment]
        found = _batched.setdefault(inner, found)
    return found


def depth(device: Device) -> int:
    """How many axes of examples there are on a device."""
    return device.depth if isinstance(device, BatchDevice) else 0


class BatchBackend:
    """What a backend is to its device, for batches; what is not here is the library's own."""

    host = False
    writers = Backend.writers  # none: the library's take no batches

    def __init__(self, device: BatchDevice) -> None:
        self.place = device
        self.inner = device.inner.backend
        self.within = (device.inner, *self.inner.within)
        self.make = type("Batch", (Batch,), {"__slots__": (), "inner": space_of(device.inner)})
        self.array_types = (self.make,)
        self.kernels = Kernels(self)
        self.xp = namespace(self.inner.namespace(device.inner.index), self.make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def namespace(self, index: int | None) -> Any:
        """The functions of the array API for batches."""
        return self.xp

    def array(self, data: Any, native: Any, index: int | None) -> Any:
        """An array that all examples share."""
        return self.make(self.inner.array(data, native, index), False)

    def to_host(self, array: Any) -> Any:
        """The values, if all examples have the same."""
        if array.many:
            raise RuntimeError(ASKED)
        return self.inner.to_host(array.value)

    def write(self, target: Any, value: Any) -> None:
        """Copy a batch into the memory of another."""
        if isinstance(value, Batch):
            value.look()
            if value.many:
                target.become_many(value.value.shape[0])
            value = shown(value, target.ndim)
        self.inner.write(target.value, value)

    def strides(self, array: Any) -> tuple[int, ...]:
        """Steps of a single example, in elements."""
        steps: tuple[int, ...] = self.inner.strides(array.value)
        return steps[1:] if array.many else steps

    in_rows, aimed = Backend.in_rows, Backend.aimed

    def shares(self, one: Any, two: Any) -> bool:
        """Whether two batches look at the same memory."""
        shared: bool = self.inner.shares(one.value, two.value)
        return shared

    def added(self, into: Any, other: Any) -> Any:
        """The sum of two batches."""
        return into + other

    def reused(self, kernel: Any, arrays: Any, others: int) -> Any:
        """None: a batch is never written over by an operation that does not say so."""
        return None

    def written(self, kernel: Any, arrays: Any) -> bool:
        """False, for the same reason."""
        return False


def of_value(name: str) -> Any:
    """What a backend says of an array, said of the value of a batch."""
    return lambda self, array: getattr(self.inner, name)(array.value)


for _name in ["allocated", "itemsize", "nbytes", "overlaps", "owns", "pointer", "storage_offset"]:
    setattr(BatchBackend, _name, of_value(_name))


# ---- functions and kernels for batches


def lifted(function: Function, rule: Function, make: Any) -> Function:
    """A function of the library for batches."""
    views = getattr(rule, "views", False)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = batches((args, kwargs))
        many = False
        for x in found:
            x.look()
            many = many or x.many
        if many or (views and found):
            return rule(function, *args, **kwargs)
        args, kwargs = picked(args, bare), picked(kwargs, bare)
        return wrapped(function(*args, **kwargs), False, make)

    call.__name__ = getattr(function, "__name__", "function")
    return call


def bare(x: Batch) -> Any:
    """The value of a batch."""
    return x.value


def namespace(library: Any, make: Any) -> Any:
    """A library's namespace with rules for batches around its functions."""

    def functions(source: Any, rules: dict[str, Function]) -> dict[str, Any]:
        listed = getattr(source, "__all__", None) or dir(source)
        names: dict[str, Any] = {}
        for name in listed:
            if name.startswith("_"):
                continue
            value = getattr(source, name)
            if isinstance(value, type) or not callable(value):
                names[name] = value
            else:
                names[name] = lifted(value, rules.get(name, looped), make)
        return names

    made = SimpleNamespace(**functions(library, RULES))
    made.linalg = SimpleNamespace(**functions(library.linalg, LINALG))
    made.fft = SimpleNamespace(**functions(library.fft, FFT))
    return made


class Kernels:
    """Finds the kernel of an operation for batches."""

    def __init__(self, backend: BatchBackend) -> None:
        self.backend = backend

    def get(self, name: str, default: Function) -> Function:
        """The kernel of the operation `name`."""
        op = catalogue[name].op
        assert op is not None
        return kernel(op, self.backend)


def kernel(op: Op, backend: BatchBackend) -> Function:
    """The kernel of `op` for batches.

    It is the rule in `KERNELS` if there is one, else the operation's own kernel on batches, and for
    one example after another where that has to know single values.
    """
    device = backend.place.inner
    special = KERNELS.get(op.name)
    count = None if op.star is not None else len(op.inputs)

    def run(xp: Any, *arrays: Any, **params: Any) -> Any:
        single = kernel_for(op, device)
        params.update(zip(op.positional, () if count is None else arrays[count:], strict=False))
        arrays = arrays[:count]
        many = False
        for x in arrays:
            if isinstance(x, Batch):
                x.look()
                many = many or x.many
        if not many and not hasattr(special, "always"):
            values = [x.value if isinstance(x, Batch) else x for x in arrays]
            made = wrapped(single(*values, **params), False, backend.make)
            return looking(made, arrays[0], lambda x: run(xp, x, **params)) if op.view else made
        if special is not None:
            return special(op.name, single, xp, *arrays, **params)
        if op.elementwise and op.outputs is None:
            return spread(lambda *values: single(*values, **params), *arrays)
        try:
            return op.kernel(xp, *arrays, **params)
        except Unbatchable:
            return looped(lambda *values: single(*values, **params), *arrays)

    return run


def looking(made: Any, source: Batch, step: Function) -> Any:
    """What looks at the memory of `source`, so that it follows when that becomes many."""
    if isinstance(made, Batch):
        made.source = source, step
        return made
    for number, part in enumerate(made):
        part.source = source, lambda x, number=number: step(x)[number]
    return made
