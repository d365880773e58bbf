"""Going into `vmap` and out of it: tensors between a device and the one with an axis of examples.

All ways are on the tape, so gradients pass through `vmap`. A gradient may itself come with further
axes of examples, where the way back runs under a `vmap` of its own (as in `jacrev`). Those are
newer than the axis that is put in or taken out here, so they stay outside of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.autograd.function import Function
from devtensor.autograd.view import edge_of, memory_of
from devtensor.device import device as Device
from devtensor.func._device import BatchDevice, batched, depth
from devtensor.ops.convert import detach, to_device
from devtensor.space import space_of
from devtensor.tensor import Tensor, wrap


class Level(NamedTuple):
    """A `vmap` that is running."""

    size: int
    randomness: str


LEVELS: ContextVar[tuple[Level, ...]] = ContextVar("levels", default=())


def base(device: Device) -> Device:
    """The library's device beneath all axes of examples."""
    while isinstance(device, BatchDevice):
        device = device.inner
    return device


# ---- arrays


def put_in(array: Any, device: Device, newer: int, dim: int) -> Any:
    """An array with its axis `dim` as the axis of examples, beneath the `newer` ones."""
    if newer:
        assert isinstance(device, BatchDevice)
        made = put_in(array.value, device.inner, newer - 1, dim + array.many)
        return made_on(batched(device), made, array.many)
    moved = space_of(device).moveaxis(array, dim, 0) if dim else array
    return made_on(batched(device), moved, True)


def taken_out(array: Any, device: Any, newer: int, dim: int, size: int | None) -> Any:
    """An array with the axis of examples, beneath the `newer` ones, as its axis `dim`."""
    if newer:
        made = taken_out(array.value, device.inner, newer - 1, dim + array.many, size)
        return made_on(device.inner, made, array.many)
    assert size is not None or array.many
    value = array.value if array.many else array.all(size)
    return space_of(device.inner).moveaxis(value, 0, dim) if dim else value


def made_on(device: Any, value: Any, many: bool, fixed: bool = False) -> Any:
    """A batch on its device."""
    return device.backend.make(value, many, None, fixed)


# ---- tensors


def within(tensor: Tensor, array: Any, device: Device) -> Tensor:
    """Another look at a tensor's memory, on another device and outside of the graph."""
    made: Tensor = detach(tensor)
    made._array, made._device = array, device
    return made


class Enter(Function):
    """A tensor with one of its dimensions as the examples."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, newer: int, dim: int) -> Tensor:
        ctx.dim, ctx.size = dim, x.shape[dim]
        ctx.level = depth(x._device) + 1 - newer
        return within(x, put_in(x._array, x._device, newer, dim), batched(x._device))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        g = share(g, ctx.level)  # it may be the same for all examples
        return leave(g, depth(g._device) - ctx.level, ctx.dim, ctx.size), None, None


class Leave(Function):
    """A tensor with the examples as one of its dimensions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, newer: int, dim: int, size: int | None) -> Tensor:
        ctx.dim = dim
        ctx.level = depth(x._device) - newer
        array = taken_out(x._array, x._device, newer, dim, size)
        return within(x, array, dropped(x._device))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        g = share(g, ctx.level - 1)
        return enter(g, depth(g._device) + 1 - ctx.level, ctx.dim), None, None, None


class Share(Function):
    """A tensor that all examples share."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int | None) -> Tensor:
        ctx.size, ctx.level = size, depth(x._device) + 1
        device = batched(x._device)
        return within(x, made_on(device, x._array, False, fixed=True), device)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        g = share(g, ctx.level)
        return leave(g, depth(g._device) - ctx.level, 0, ctx.size).sum(0), None


def dropped(device: Any) -> Device:
    """The device with one axis of examples less."""
    inner: Device = device.inner
    return inner


def enter(x: Tensor, newer: int, dim: int) -> Tensor:
    """A tensor with one of its dimensions as the examples, beneath `newer` levels."""
    x = x if dt.is_grad_enabled() else x.detach()
    made: Tensor = Enter.apply(x, newer, dim)
    return made


def leave(x: Tensor, newer: int, dim: int, size: int | None) -> Tensor:
    """A tensor with the examples beneath `newer` levels as one of its dimensions."""
    x = x if dt.is_grad_enabled() else x.detach()
    made: Tensor = Leave.apply(x, newer, dim, size)
    return made


def share(x: Tensor, to: int) -> Tensor:
    """A tensor as one of `to` levels, all of whose examples share it from here on."""
    while (level := depth(x._device)) < to:
        if dt.is_grad_enabled() and edge_of(x) is not None:
            levels = LEVELS.get()
            x = Share.apply(x, levels[level].size if level < len(levels) else None)
        else:
            device = batched(x._device)
            x = within(x, made_on(device, x._array, False, fixed=True), device)
    return x


def crossed(x: Tensor, device: Device) -> Tensor:
    """A tensor on another device, where one of the two is within `vmap`.

    Its values may be different for each example: then it stays within, on the library's device.
    """
    if base(x._device) is not base(device):
        x = moved(x, to_device, base(device))
    return share(x, depth(device)) if depth(x._device) < depth(device) else x


def moved(x: Any, move: Any, device: Device) -> Any:
    """A tensor with all its axes of examples on another library's device."""
    if not isinstance(x._device, BatchDevice):
        return move(x, device)
    if not x._array.many:
        array = x._array.value
        return share(moved(wrap(array, x._device.inner), move, device), depth(x._device))
    return enter(moved(leave(x, 0, 0, None), move, device), 0, 0)


@contextmanager
def unwritten(tensors: Sequence[Any]) -> Iterator[None]:
    """A block within which tensors must not be written: their history outside would not know.

    Raises
    ------
    RuntimeError
        If they were.
    """
    watched = [(memory_of(x), x) for x in tensors]
    before = [memory.stamp for memory, _ in watched]
    yield
    for (memory, x), stamp in zip(watched, before, strict=True):
        if memory.stamp != stamp:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation: an "
                f"argument of shape {list(x.shape)} was written within a transform. Write to a "
                "clone of it"
            )
