"""Copies, other types, other devices, and writing over what is there."""

from __future__ import annotations

from numbers import Number
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.overwrite import write_plainly
from devtensor.autograd.saved import record
from devtensor.autograd.view import Owner, edge_of, memory_of
from devtensor.backend import owner
from devtensor.device import device as Device
from devtensor.device import resolve
from devtensor.dtype import dtype as Dtype
from devtensor.example import ints
from devtensor.op import catalogue, composite, derivative, in_place, op
from devtensor.operands import known
from devtensor.ops.shape import spread, together
from devtensor.route import PLAIN, hand_over, routed
from devtensor.space import native
from devtensor.tensor import Tensor, wrap


def as_dtype(xp: Any, g: Any, dtype: Any) -> Any:
    """A gradient in the type of the input: of a complex one for a real input, the real part."""
    if g.dtype == dtype:
        return g
    if dtypes.of(g.dtype).kind == "complex" and dtypes.of(dtype).kind != "complex":
        g = xp.real(g)
    return g if g.dtype == dtype else xp.astype(g, dtype)


# ---- copies


@op(promotes=None, public=False, node="ToCopyBackward0", examples=[((2, 3), dtypes.float64)])
def cast(xp: Any, input: Any, /, dtype: Any) -> Any:
    """The elements in another type."""
    if dtypes.of(input.dtype).kind == "complex" and dtypes.of(dtype).kind not in (
        "complex",
        "bool",
    ):
        input = xp.real(input)
    return xp.astype(input, dtype)


derivative(cast, input=lambda xp, g, input_dtype: as_dtype(xp, g, input_dtype))


@op(promotes=None, public=False, node="CloneBackward0", examples=[((2, 3),), ((),)])
def duplicate(xp: Any, input: Any, /) -> Any:
    """The same elements in memory of their own."""
    return xp.asarray(input, copy=True)


derivative(duplicate, input=lambda g: g)


@composite(method=True, examples=[((2, 3),), ((),)])
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """Copy into memory of its own; the gradient passes through (``torch.clone``)."""
    return duplicate(input)


@op(view=True, promotes=None, public=False, node="AliasBackward0", examples=[((2, 3),)])
def alias(xp: Any, input: Any, /) -> Any:
    """The same memory, seen whole."""
    return input[...]


derivative(alias, input=lambda g: g)


def detach(input: Any) -> Any:
    """The same memory outside the graph (``torch.detach``).

    It shares the version counter with `input`. Of an inference tensor it is one, too.
    """
    if not PLAIN[input.__class__] and routed((input,)):
        return hand_over(detach, (input,), {})
    out = wrap(input._array, input._device)
    if input.is_inference():
        out._node = INFERENCE
    else:
        out._alias = Owner(memory_of(input))
    return out


# ---- other devices


def moved(x: Any, device: Device) -> Any:
    """An array or tensor on another device."""
    if isinstance(x, Tensor):
        return to_device(x, device)
    backend = owner(x)
    assert backend is not None
    return transfer(x, backend, device)


def transfer(array: Any, backend: Any, device: Device) -> Any:
    """A native array as an array on `device`, of its own memory.

    Between devices of one kind its backend knows the way; between kinds it leads over the host.
    """
    target = device.backend
    t = dtypes.of(array.dtype)
    source = array if target is backend else backend.to_host(array)
    return target.array(source, native(t, device), device.index)


@op(promotes=None, public=False, node="ToCopyBackward0")
def carried(xp: Any, input: Any, /, source: Any) -> Any:
    """What has come from the device `source`; the bytes have been copied before."""
    return input


derivative(carried, input=lambda g, source: moved(g, source))


def to_device(input: Any, device: Device) -> Any:
    """The elements on another device; the gradient comes back."""
    for place in (device, input._device):
        if hasattr(place, "cross"):  # a device within `vmap`
            return place.cross(input, device)
    mode = current()
    array = transfer(input._array, input._device.backend, device)
    out = wrap(array, device, mode.edge)
    node = None
    edge = edge_of(input) if mode.recording else None
    params = {"source": input._device}
    if edge is not None:
        node = record(carried.op, [input], params, out, [edge], mode)
    for book in mode.ledgers:
        book.add(carried.op, [input], params, out, node, mode)
    return out


DTYPES = {**dtypes.NAMES, **dtypes.ALIASES}


def to(input: Any, *args: Any, **kwargs: Any) -> Any:
    """In another type or on another device (``torch.Tensor.to``).

    Parameters
    ----------
    input : Tensor
    *args
        A dtype, a device, or a tensor whose dtype and device are taken; in PyTorch's order.
    dtype, device, non_blocking, copy, memory_format
        The same by name. `non_blocking` is accepted: copies wait for what they read.

    Returns
    -------
    Tensor
        `input` itself if there is nothing to change and `copy` is False.
    """
    if len(args) == 1 and not kwargs and (args[0] is input._device or args[0] is input.dtype):
        return input
    dtype, device, copy = read_to(args, kwargs)
    source = input
    if device is not None:
        device = resolve(device)
        if device is not input._device:
            # What is smaller travels.
            if (
                dtype is not None
                and dtype is not input.dtype
                and dtype.itemsize < input.dtype.itemsize
            ):
                input = cast(input, dtype)
            input = to_device(input, device)
    if dtype is not None and dtype is not input.dtype:
        input = cast(input, dtype)
    return duplicate(input) if copy and input is source else input


def read_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool]:
    """The dtype, device and `copy` that a call of `to` asks for."""
    given = dict(kwargs)
    rest = list(args)
    dtype: Any = None
    device: Any = None
    if rest:
        first = rest.pop(0)
        if isinstance(first, Tensor):
            dtype, device = first.dtype, first._device
        elif isinstance(first, (Dtype, type)) and (
            first in dtypes.PYTHON or first.__class__ is Dtype
        ):
            dtype = dtypes.PYTHON.get(first, first)
        elif first is None or isinstance(first, (str, int, Device)):
            device = first
            if rest and (isinstance(rest[0], Dtype) or rest[0] is None):
                dtype = rest.pop(0)
        else:
            raise TypeError(
                f"to() received an invalid combination of arguments - got "
                f"({type(first).__name__}); it takes a dtype, a device or a Tensor"
            )
    for name, value in zip(("non_blocking", "copy"), rest, strict=False):
        given.setdefault(name, value)
    other = given.pop("other", None)
    if other is not None:
        dtype, device = other.dtype, other._device
    dtype = given.pop("dtype", dtype)
    dtype = dtypes.PYTHON.get(dtype, dtype)
    device = given.pop("device", device)
    copy = bool(given.pop("copy", False))
    for name in ("non_blocking", "memory_format"):
        given.pop(name, None)
    if given:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(given))}'")
    if dtype is not None and not isinstance(dtype, Dtype):
        raise TypeError(f"to(): argument 'dtype' must be dtype, not {type(dtype).__name__}")
    return dtype, device, copy


# ---- writing


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="CopyBackwards",
    examples=[((2, 3), (3,)), ((2, 3), ())],
)
def copied_from(xp: Any, input: Any, src: Any, /) -> Any:
    """`src` in the shape and type of `input`."""
    if src.shape != input.shape:
        shape = together([tuple(input.shape), tuple(src.shape)])
        if shape != tuple(input.shape):
            raise RuntimeError(
                f"output with shape {list(input.shape)} doesn't match the broadcast shape "
                f"{list(shape)}: copy_() cannot change the shape of what it writes to"
            )
        src = xp.broadcast_to(src, shape)
    if src.dtype == input.dtype:
        return src
    if dtypes.of(src.dtype).kind == "complex" and dtypes.of(input.dtype).kind != "complex":
        src = xp.real(src)
    return xp.astype(src, input.dtype)


derivative(
    copied_from,
    input=lambda xp, g: xp.zeros_like(g),
    src=lambda xp, g, src_shape, src_dtype: as_dtype(xp, spread(xp, g, src_shape), src_dtype),
)


@composite(method=True, examples=[((2, 3), (3,)), ((2, 3), ints(2, 3)), ((2, 3), 1.5)])
def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write the elements of `src`, which broadcasts and may have any type, over `input`."""
    if not isinstance(src, Tensor):
        if not isinstance(src, (bool, int, float, complex)):
            raise TypeError(
                f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
            )
        return filled_over(input, src)
    if src._device is not input._device:
        src = to_device(src, input._device)
    if write_plainly(input, src, "copy_"):
        return input
    return in_place(copied_from)(input, src)


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="FillBackward0",
    examples=[((2, 3), ())],
)
def filled_with(xp: Any, input: Any, value: Any, /) -> Any:
    """`value` at every place of `input`."""
    if value.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    if dtypes.of(value.dtype).kind == "complex" and dtypes.of(input.dtype).kind != "complex":
        value = xp.real(value)
    return xp.broadcast_to(xp.astype(value, input.dtype), input.shape)


derivative(
    filled_with,
    input=lambda xp, g: xp.zeros_like(g),
    value=lambda xp, g, value_dtype: as_dtype(xp, xp.sum(g), value_dtype),
)


def value_for(input: Any, value: Any) -> Any:
    """A number as a 0-d tensor of the type of `input`."""
    if isinstance(value, Tensor):
        return value if value._device is input._device else to_device(value, input._device)
    if hasattr(value, "item") and not value.ndim:  # a scalar of the host's library
        value = value.item()
    if not isinstance(value, Number):
        raise TypeError(
            "fill_() received an invalid combination of arguments - got (Tensor, "
            f"{type(value).__name__}), but the value must be a number or a 0-d Tensor"
        )
    return catalogue["filled"].function(
        (), catalogue_number(value, input.dtype), dtype=input.dtype, device=input._device
    )


def catalogue_number(value: Any, dtype: Dtype) -> Any:
    """A number that fits a type; see `devtensor.ops.create.converted`."""
    from devtensor.ops.create import converted  # creation is built on this file's floor

    return converted(value, dtype)


def filled_over(input: Any, value: Any) -> Any:
    """`input` with a number, or the number in a 0-d tensor, written at every place."""
    kind = value.__class__
    if (kind is float or kind is int) and PLAIN[input.__class__]:
        made = known(value, input._array.dtype, input._device)
        if made is not None:
            if write_plainly(input, made, "fill_"):
                return input
            return in_place(filled_with)(input, made)
    return in_place(filled_with)(input, value_for(input, value))


@composite(method=True, examples=[((2, 3), 1.5), ((2, 3), ())])
def fill_(input: Any, value: Any) -> Any:
    """Write a number, or the number in a 0-d tensor, at every place."""
    return filled_over(input, value)


@composite(method=False, examples=[((2, 3), 1.5), ((2, 3), ())])
def fill(input: Any, value: Any) -> Any:
    """A tensor like `input` with `value` at every place."""
    return filled_with(input, value_for(input, value)).clone()


@composite(method=True, examples=[((2, 3),)])
def zero_(input: Any) -> Any:
    """Write zero at every place."""
    return filled_over(input, 0)


@op(
    promotes=None,
    public=False,
    node="CopySlices",
    examples=[((3, 4), (4,), (("slice_view", {"key": (1, ...)}, None),))],
)
def overlay(xp: Any, input: Any, src: Any, /, steps: Any) -> Any:
    """A copy of `input` with `src` written where a chain of views looks."""
    out = xp.asarray(input, copy=True)
    seen(xp, out, steps)[...] = src
    return out


def seen(xp: Any, x: Any, steps: Any) -> Any:
    """What a chain of views shows of `x`."""
    for name, params, number in steps:
        x = xp.operation(name)(x, **params)
        if number is not None:
            x = x[number]
    return x


derivative(
    overlay,
    input=lambda xp, g, src_shape, steps: xp.overlay(
        g, xp.zeros(src_shape, dtype=g.dtype, device=g.device), steps
    ),
    src=lambda xp, g, steps: seen(xp, g, steps),
)
