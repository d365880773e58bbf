"""Writing over a tensor where nobody watches: `devtensor.autograd.write` without its questions.

Each of these does all of the write, or nothing where more may have to be asked.
"""

from __future__ import annotations

from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, RECORD, Mode, unwatched, users_place
from devtensor.autograd.node import Call, Leaf, tick
from devtensor.autograd.saved import watch
from devtensor.autograd.view import View, is_leaf, memory_of, requires_grad
from devtensor.autograd.write import rebase
from devtensor.op import Op
from devtensor.route import PLAIN
from devtensor.space import space_of
from devtensor.tensor import Tensor, wrap


def write_recorded(function: Any, target: Tensor, args: tuple[Any, ...], name: str) -> bool:
    """Write in place what a function gives, and its history; False if more is to be asked.

    The function is called with the old value in the target's stead. What it saves of that is
    copied before it is overwritten, and of the result it is the target's own memory that is saved.
    """
    alias, node, array, device = target._alias, target._node, target._array, target._device
    seen = alias.__class__ is View
    if target._rest is not None or isinstance(node, Leaf) or node is INFERENCE:
        return False
    if seen:
        if alias.made != "grad" or target.is_inference():
            return False
        node = alias.live(target)
        if node is not None and is_leaf(alias.base):
            return False
    backend = device.backend
    if backend.overlaps(array):
        return False
    for x in args[1:]:
        shared = alias and isinstance(x, Tensor) and x is not target and x._alias
        if shared and x._alias.memory is alias.memory:
            return False
    old = wrap(array, device, node)
    try:
        result = function(old, *[old if x is target else x for x in args[1:]])
    except Exception:  # to be said of the form that writes
        return False
    made, after = result._array, result._node
    if after.__class__ is not Call or made.shape != array.shape or made.dtype is not array.dtype:
        return False
    memory, plan = memory_of(target), after.plan
    saved = after.links[plan.edges :]
    if any(value is old for value in saved):
        old._array = backend.xp.asarray(array, copy=True)
    backend.write(array, made)
    if plan.outs:
        after.links = tuple([array if value is made else value for value in after.links])
        watch(after, 0, target)
    memory.written(name, *users_place(3))
    after.clock = tick()
    rebase(target, after, device)
    return True


def write_plainly(target: Tensor, source: Tensor, name: str) -> bool:
    """Copy a tensor of that type there over another if that is all; False if it may be more."""
    mode = unwatched()
    if mode is None or not PLAIN[target.__class__] or not PLAIN[source.__class__]:
        return False
    array, value, device = target._array, source._array, target._device
    if source._device is not device or value.dtype is not array.dtype:
        return False
    if value.ndim and (value.shape != array.shape or together(target, source)):
        return False
    if not free_of_records(target, mode) or (mode is RECORD and wanted(source)):
        return False
    backend = device.backend
    if backend.overlaps(array):
        return False
    backend.write(array, value)
    if target._node is not INFERENCE:
        memory_of(target).written(name, *users_place(3))
    return True


def write_result(function: Any, args: tuple[Any, ...], kwargs: Any, name: str) -> bool:
    """Write what a function gives over its first argument, if that is all; False if not."""
    mode, target = unwatched(), args[0]
    if mode is None or not free_of_records(target, mode):
        return False
    if mode is RECORD:
        for x in (*args[1:], *kwargs.values()) if kwargs else args[1:]:
            if isinstance(x, Tensor) and wanted(x):
                return False
    backend, array = target._device.backend, target._array
    if backend.overlaps(array):
        return False
    writer = backend.writers.get(name[:-1])
    if writer is not None and written_within(writer, function.op, args, kwargs):
        if target._node is not INFERENCE:
            memory_of(target).written(name, *users_place(3))
        return True
    try:
        made = backend.aimed(array, name[:-1], function, *args, **kwargs)
    except Exception:  # to be said of the form that writes
        return False
    value, node = made._array, made._node
    if (node is not None and node is not INFERENCE) or made._device is not target._device:
        return False
    if value.shape != array.shape:
        return False
    if value.dtype is not array.dtype and not dtypes.can_cast(made.dtype, target.dtype):
        return False
    if value is not array:
        backend.write(array, value)
    if target._node is not INFERENCE:
        memory_of(target).written(name, *users_place(3))
    return True


def written_within(writer: Any, op: Op, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Let a kernel write where the first argument lies; False if it did not."""
    count, target = len(op.inputs), args[0]
    inputs, device, array = list(args[:count]), target._device, target._array
    if op.star is not None:
        inputs[op.star :] = inputs[op.star]
    if not device.backend.in_rows(array) or dtypes.of(array.dtype) in dtypes.HALVES:
        return False
    arrays = [array]
    for x in inputs[1:]:
        if not PLAIN[x.__class__] or x._device is not device:
            return False
        if device.backend.shares(x._array, array):
            return False
        arrays.append(x._array)
    params = {**op.params, **dict(zip(op.positional, args[count:], strict=False)), **kwargs}
    try:
        writer(space_of(device), *arrays, **params)
    except Exception:  # to be said of the form that writes
        return False
    return True


def write_masked(target: Tensor, mask: Tensor, value: Tensor, name: str) -> bool:
    """Write a number where a mask is true if that is all; False if it may be more."""
    mode = unwatched()
    if mode is None or not PLAIN[target.__class__] or not free_of_records(target, mode):
        return False
    if mask._device is not target._device or together(target, mask):
        return False
    if not target._device.backend.filled(target._array, mask._array, value._array):
        return False
    if target._node is not INFERENCE:
        memory_of(target).written(name, *users_place(3))
    return True


def together(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are known to look at the same memory."""
    alias, other = one._alias, two._alias
    return alias is not None and other is not None and alias.memory is other.memory


def wanted(x: Tensor) -> bool:
    """Whether gradients are wanted for a tensor; most are asked for neither a node nor a view."""
    return (x._node is not None or x._alias is not None) and requires_grad(x)


def free_of_records(target: Tensor, mode: Mode) -> bool:
    """Whether a tensor may be written in a mode without a question or a record."""
    node = target._node
    if node is None:
        seen = target._alias.__class__ is View
        return not (seen and mode.recording and requires_grad(target))
    return mode.inference if node is INFERENCE else not mode.recording


def write_straight(
    kernel: Any, arrays: tuple[Any, ...], target: Tensor, name: str, mode: Mode
) -> bool:
    """Write in place without a copy, if that is all that happens; False if more may."""
    if not free_of_records(target, mode):
        return False
    if not target._device.backend.written(kernel, arrays):
        return False
    if target._node is not INFERENCE:
        memory_of(target).written(name, *users_place(3))
    return True
