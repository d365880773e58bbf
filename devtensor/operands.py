"""What the quick forms know of operands: types, numbers as tensors, arrays as tensors."""

from __future__ import annotations

import math
from typing import Any

import devtensor.dtype as dtypes
from devtensor.device import device as Device
from devtensor.op import Op
from devtensor.space import native
from devtensor.tensor import Tensor, constant, wrap

SCALARS: dict[Any, Tensor] = {}
"""Numbers that `scalar` has made, by number or its text, class, native type and device."""


def scalar(number: Any, dtype: Any, device: Device) -> Tensor | None:
    """A number as a 0-d tensor of a native type; None if it would change the type."""
    t = dtypes.of(dtype)
    if t.kind == "bool" or (t.kind == "int" and number.__class__ is float):
        return None
    if number.__class__ is int and not -(2**63) <= number < 2**64:
        return None
    # 0.0 and -0.0 would share a place, and NaN would find none: they are kept by their texts.
    plain = number.__class__ is int or (number and not math.isnan(number))
    key = number if plain else repr(number), number.__class__, dtype, device
    if not plain and key in SCALARS:
        return SCALARS[key]
    low = -(2 ** (8 * t.itemsize - 1)) if t.is_signed else 0
    if t.kind == "int" and not low <= number < low + 2 ** (8 * t.itemsize):
        return None  # it would wrap, also where the integers are about to become floats
    try:
        made = constant(device.backend.array(number, dtype, device.index), device)
    except (OverflowError, RuntimeError):
        return None
    if len(SCALARS) > 4096:
        SCALARS.clear()
    SCALARS[key] = made
    return made


def known(number: Any, dtype: Any, device: Device) -> Tensor | None:
    """`scalar`, unless it has been made before."""
    made = SCALARS.get((number, number.__class__, dtype, device))
    return scalar(number, dtype, device) if made is None else made


KEPT: dict[Any, Tensor] = {}
"""The same for numbers that stay in float32 beside those of two bytes, by the type of these."""


def kept(number: Any, dtype: Any, device: Device) -> Tensor | None:
    """A number in float32 beside those of two bytes of a native type."""
    made = scalar(number, native(dtypes.float32, device), device)
    if made is not None and number and not math.isnan(number):
        if len(KEPT) > 4096:
            KEPT.clear()
        KEPT[number, number.__class__, dtype, device] = made
    return made


def was_number(array: Any, device: Device) -> bool:
    """Whether a 0-d array is what `scalar` has made of an integer."""
    made = SCALARS.get((int(array), int, array.dtype, device))
    return made is not None and made._array is array


def several(arrays: Any, device: Device, edge: Any) -> list[Tensor | None]:
    """Tensors around the arrays that a kernel returned."""
    cls = device.backend.array_types[0]
    outs: list[Tensor | None] = []
    for array in arrays:
        if array is None:
            outs.append(None)
            continue
        if array.__class__ is not cls:
            array = device.backend.xp.asarray(array)
        outs.append(wrap(array, device, edge))
    return outs


def typed(dtype: Any, device: Device) -> Any:
    """The native form of a type that is asked for; TypeError if gradients need a second look."""
    if dtype.kind == "complex":
        raise TypeError
    return native(dtype, device)


class takes(dict[Any, bool]):
    """Whether an operation computes in a native type as it is, found when first asked.

    With `half` it is of numbers of two bytes that it is asked, without, of the others.
    """

    def __init__(self, op: Op, half: bool = False) -> None:
        super().__init__()
        self.op, self.half = op, half

    def __missing__(self, native: Any) -> bool:
        op, dtype = self.op, dtypes.of(native)
        kind = dtype.kind
        fits = op.accepts is None or kind in op.accepts
        floats = op.promotes != "float" or kind in ("float", "complex")
        # Complex gradients, numbers of two bytes, and what may be refused need a second look.
        moves = not op.rounds and (not op.rules or op.view or op.star is not None)
        easy = self.half if dtype in dtypes.HALVES else not self.half
        easy = easy or (moves and dtype is dtypes.float16)
        easy = easy and not (kind == "complex" and op.rules)
        easy = easy and not (kind == "bool" and op.refuses is not None)
        self[native] = fits and floats and easy
        return self[native]


class Tracks(dict[Any, bool]):
    """Whether results of a native type carry gradients, found when first asked."""

    def __missing__(self, native: Any) -> bool:
        self[native] = dtypes.of(native).kind in ("float", "complex")
        return self[native]


TRACKS = Tracks()
