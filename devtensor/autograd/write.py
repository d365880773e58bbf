"""Writing in place: what may be written, the memory's version, the history that changes."""

from __future__ import annotations

from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, Mode, current, users_place
from devtensor.autograd.modes import enable_grad, inference_mode
from devtensor.autograd.node import Call, Leaf
from devtensor.autograd.saved import record, refuse_inference
from devtensor.autograd.view import (
    Owner,
    View,
    edge_of,
    is_leaf,
    memory_of,
    refusal,
    requires_grad,
    retain,
)
from devtensor.launch import answer, common_device, promote
from devtensor.op import Op, catalogue
from devtensor.space import kernel_for, natives, space_of
from devtensor.tensor import Tensor, wrap


def check_writable(
    name: str, target: Tensor, mode: Mode, tracked: bool, memory: bool = True
) -> None:
    """Refuse a write that PyTorch refuses, before anything is written.

    Parameters
    ----------
    name : str
        What writes, as ``"add_"``.
    target : Tensor
    mode : Mode
    tracked : bool
        Whether the write would be recorded: one of the operands requires gradients.
    memory : bool
        Whether elements are written, and not the shape alone.

    Raises
    ------
    RuntimeError
    """
    if target.is_inference() and not mode.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. "
            "You can make a clone to get a normal tensor before doing inplace update: "
            f"{name}() got an inference tensor of shape {list(target._array.shape)}"
        )
    if mode.recording and tracked:
        alias = target._alias
        if alias.__class__ is View:
            if alias.made != "grad":
                raise RuntimeError(refusal(alias, "is being"))
            if requires_grad(target) and is_leaf(alias.base):
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place "
                    f"operation. ({name}() on a view of shape {list(target._array.shape)}; "
                    "write under no_grad(), or to a clone)"
                )
        if requires_grad(target) and is_leaf(target):
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                f"({name}() on a leaf of shape {list(target._array.shape)}; write under "
                "no_grad(), or to a clone)"
            )
    if memory and target._device.backend.overlaps(target._array):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation: "
            f"{name}() got an expanded tensor of shape {list(target._array.shape)}"
        )


def write(op: Op, inputs: list[Any], params: dict[str, Any]) -> Tensor:
    """Run `op` and put its result into its first input.

    The result is computed beside it and then copied, so operands may overlap; a part of much is
    written where it is if none does.

    Raises
    ------
    RuntimeError
        If the first input may not be written, or the result fits neither its shape nor its type.
    TypeError
        If it is no tensor.
    """
    target = inputs[0]
    if not isinstance(target, Tensor):
        raise TypeError(
            f"{op.shown}_(): argument '{op.inputs[0]}' (position 1) must be Tensor, "
            f"not {type(target).__name__}"
        )
    mode, device = current(), target._device
    tracked = mode.recording and any(isinstance(x, Tensor) and requires_grad(x) for x in inputs)
    check_writable(f"{op.shown}_", target, mode, tracked)
    common = common_device(op, inputs)
    # The target is a number of the host, which operations may join; of batches `vmap` speaks.
    if common is not device and not common.backend.within:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {op.shown}_() would write to "
            f"{device} what is on {common}; move it there with .to()"
        )
    operands = promote(op, list(inputs), device)
    edges = [edge_of(x) for x in operands] if tracked else []
    plan = op.plan(tuple([e is not None for e in edges])) if tracked else None
    if plan is not None:
        for name, place, part in plan.saves:
            if place >= 0 and not part:
                refuse_inference(op, name, operands[place])
    arrays = [None if x is None else x._array for x in operands]
    writer = None if mode.servers else writer_of(op, arrays, target)
    if writer is None:
        result = answer(op, operands, arrays, params, device, mode)
        check_result(op, result, target)
    memory = memory_of(target)
    for book in mode.ledgers:
        book.writes(target)
    if plan is not None:
        keep_old(op, plan, operands, edges, memory, target)
    if writer is None:
        device.backend.write(target._array, result)
    else:
        writer(space_of(device), *arrays, **natives(params, device))
    memory.written(f"{op.shown}_", *users_place(2))
    node = None
    if tracked:
        out = wrap(target._array, device)
        out._alias = target._alias
        if plan is not None:
            node = record(op, operands, params, out, edges, mode)
        rebase(target, out._node, device)
    for book in mode.ledgers:
        book.add(op, operands, params, target, node, mode, written=True)
    return target


MANY = 1 << 12  # Elements that are not copied where a kernel can write some of them in place.


def in_parts(op: Op, target: Tensor) -> bool:
    """Whether a tensor is long, and an operation can change a part of it in place."""
    return target._array.size > MANY and op.name in target._device.backend.writers


def writer_of(op: Op, arrays: list[Any], target: Tensor) -> Any:
    """The kernel that does so; None if there is none for these arrays."""
    backend, array = target._device.backend, target._array
    if not in_parts(op, target) or arrays[0] is not array or not backend.in_rows(array):
        return None
    shared = any(x is not None and backend.shares(x, array) for x in arrays[1:])
    return None if shared else backend.writers[op.name]


def check_result(op: Op, result: Any, target: Tensor) -> None:
    """Refuse a result that does not fit where it is to be written."""
    shape = tuple(target._array.shape)
    if tuple(result.shape) != shape:
        raise RuntimeError(
            f"output with shape {list(shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}: {op.shown}_() cannot change the shape of what it writes to"
        )
    dtype = dtypes.of(result.dtype)
    if not dtypes.can_cast(dtype, target.dtype):
        raise RuntimeError(
            f"result type {dtype.legacy} can't be cast to the desired output type "
            f"{target.dtype.legacy}: {op.shown}_() writes to a {target.dtype!r} tensor; use the "
            "form without underscore"
        )


def keep_old(
    op: Op, plan: Any, operands: list[Any], edges: list[Any], memory: Any, target: Tensor
) -> None:
    """Copy those operands that are to be saved and are about to be overwritten."""
    for place in {place for _, place, part in plan.saves if place >= 0 and not part}:
        for i in range(place, len(operands) if place == op.star else place + 1):
            x = operands[i]
            if x is not None and (x is target or (x._alias and x._alias.memory is memory)):
                array = x._device.backend.xp.asarray(x._array, copy=True)
                operands[i] = wrap(array, x._device, edges[i])


def rebase(target: Tensor, node: Any, device: Any) -> None:
    """Give a written tensor, or the base that it is a view of, its new history."""
    alias = target._alias
    if alias.__class__ is not View:
        retain(target, target._node, node)
        target._node = node
        alias.rebased = alias.memory.stamp
    else:
        base = alias.base
        before = edge_of(base)
        op = catalogue["overlay"].op
        assert op is not None
        plan = op.plan((before is not None, node is not None))
        links = [e for e in (before, node) if e is not None]
        params = {"steps": tuple([(o.name, p, n) for o, p, n in alias.steps])}
        if plan is not None:
            for save in plan.saves:
                links.append(tuple(target._array.shape) if save.part else None)
            after = Call.make(plan, tuple(links), tuple(base._array.shape), device, params)
            retain(base, before, after)
            base._node = after
        alias.owner.rebased = alias.memory.stamp
        if target._rest is not None and target._rest.retains:
            alias.live(target)


def turn(target: Tensor, function: Any, args: tuple[Any, ...], kwargs: Any, name: str) -> Tensor:
    """Let a tensor become what a view of it is: the same memory in another shape.

    Raises
    ------
    RuntimeError
        If it may not be written.
    """
    mode, alias = current(), target._alias
    check_writable(name, target, mode, mode.recording and requires_grad(target), memory=False)
    if target.is_inference():
        target._array = function(target, *args, **kwargs)._array
        return target
    # The history must show the new shape, whatever the mode.
    with inference_mode(False), enable_grad():
        made = function(target, *args, **kwargs)
    node = target._node
    memory_of(target).written(name, *users_place(2))
    if isinstance(node, Leaf):
        target._array = made._array
        target._node = Leaf(target, node.inference)
        target._node.extra = node.extra
        return target
    if alias.__class__ is View:
        target._alias = made._alias
    elif alias is not None:  # others may look at it as it was, so that stays as their base
        root = wrap(target._array, target._device, node)
        root._alias = alias
        target._alias = View(root, made._alias.steps, alias, "grad")
    retain(target, node, made._node)
    target._array, target._node = made._array, made._node
    return target


def write_many(op: Op, inputs: Any, params: Any) -> None:
    """Run `op` and put its results into the inputs that it `writes`: a step of an optimizer.

    Parameters
    ----------
    op : Op
    inputs, params : sequence
        Its inputs and parameters in order.
    """
    mode = current()
    watched = mode.recording or mode.ledgers
    for place in op.written:
        target = inputs[place]
        if target is None:
            continue
        if watched or target._alias.__class__ is not Owner or target._node is INFERENCE:
            check_writable(op.name, target, mode, mode.recording and requires_grad(target))
            for book in mode.ledgers:
                book.writes(target)
    device = inputs[op.written[0]]._device
    arrays: list[Any] = []
    for x in inputs:
        if x is None:
            arrays.append(None)
            continue
        if x._device is not device:
            common_device(op, inputs)  # raises, unless it is a number of the host
        arrays.append(x._array)
    results = kernel_for(op, device)(*arrays, *params)
    for place, result in zip(op.written, results, strict=True):
        target = inputs[place]
        if target is None or result is None:
            continue
        if result is not arrays[place]:
            target._device.backend.write(target._array, result)
        memory_of(target).written(op.name)
    for book in mode.ledgers:
        named = dict(zip(op.params, params, strict=True))
        targets = [inputs[place] for place in op.written]
        book.add(op, inputs, named, targets, None, mode, written=True)
