"""`launch` without questions, for operations on groups, on mixed types, on nothing.

What `devtensor.fast` writes a function for has some inputs of one type. Here are the others; they
do what `launch` does when all inputs are plain tensors there, or numbers, and nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, MODE, RECORD
from devtensor.autograd.node import Call
from devtensor.autograd.saved import record
from devtensor.device import device as Device
from devtensor.device import resolve
from devtensor.expected import check_parameters
from devtensor.launch import view
from devtensor.op import EMPTY, Op
from devtensor.operands import TRACKS, known, several, takes
from devtensor.route import PLAIN
from devtensor.space import kernel_for, native, natives
from devtensor.tensor import Tensor, wrap

Function = Callable[..., Any]


def brisk(op: Op, slow: Function) -> Function:
    """The form of an operation that has inputs, with `slow` for all that is not common."""
    count, star, listed = len(op.inputs), op.star, op.outputs is not None
    among = range(count) if op.among is None else [op.inputs.index(name) for name in op.among]
    mixed = op.promotes is None
    numbers = [op.numbers is None or name in op.numbers for name in op.inputs]
    taken = takes(op)
    whole = EMPTY not in op.params.values()
    refuses, single = op.refuses, star is None and not listed
    if op.varargs is not None:
        return slow

    def call(*args: Any, **kwargs: Any) -> Any:
        mode = MODE.get()
        if mode is not RECORD and not (mode.plain and mode.thread == get_ident()):
            return slow(*args, **kwargs)
        params = op.params
        if kwargs or len(args) > count or not whole:
            given = dict(zip(op.positional, args[count:], strict=False))
            if (
                len(args) > count + len(given)
                or not (given.keys() | kwargs.keys()) <= params.keys()
            ):
                return slow(*args, **kwargs)
            params = {**params, **given, **kwargs}
            if len(given) + len(kwargs) > len(params) or EMPTY in params.values():
                return slow(*args, **kwargs)
            check_parameters(op, params)
        if len(args) < count:
            return slow(*args, **kwargs)
        inputs: list[Any] = list(args[:count])
        if star is not None:
            group = inputs[star]
            if (group.__class__ is not list and group.__class__ is not tuple) or not group:
                return slow(*args, **kwargs)
            inputs[star:] = group
        device = dtype = None
        for place, x in enumerate(inputs):
            if not PLAIN[x.__class__]:
                continue
            if x._device is not device:
                if device is not None:
                    return slow(*args, **kwargs)
                device = x._device
            array = x._array
            if mixed:
                if not taken[array.dtype]:
                    return slow(*args, **kwargs)
            elif (star is not None or place in among) and array.dtype is not dtype:
                if dtype is not None or not taken[array.dtype]:
                    return slow(*args, **kwargs)
                dtype = array.dtype
        if device is None:
            return slow(*args, **kwargs)
        for place, x in enumerate(inputs):
            if PLAIN[x.__class__]:
                continue
            kind = x.__class__
            if mixed or star is not None or (kind is not float and kind is not int):
                return slow(*args, **kwargs)
            if not numbers[place]:
                return slow(*args, **kwargs)
            if dtype is None:  # the numbers say the type
                return slow(*args, **kwargs)
            t = dtype if place in among else native(dtypes.of_number(x), device)
            made = known(x, t, device)
            if made is None:
                return slow(*args, **kwargs)
            inputs[place] = made
        if refuses is not None:
            refuses(*args[:count])
        edges: list[Any] = []
        tracked = False
        if mode is RECORD and op.rules:
            for x in inputs:
                edge = x._node if x._alias is None else x._alias.live(x)
                if edge is INFERENCE:
                    return slow(*args, **kwargs)
                tracked = tracked or edge is not None
                edges.append(edge)
        try:
            result = kernel_for(op, device)(*[x._array for x in inputs], **params)
        except Exception:  # to be said in other words
            return slow(*args, **kwargs)
        outs: Any
        if listed:
            outs = several(result, device, mode.edge)
        else:
            if result.__class__ is not device.backend.array_types[0]:
                result = device.backend.xp.asarray(result)
            outs = wrap(result, device, mode.edge)
        if op.view:
            view(op, outs, inputs[0], params, mode)
        if tracked and single:
            plan = op.plan(tuple([edge is not None for edge in edges]))
            if plan is not None and plan.link is not None and TRACKS[result.dtype]:
                links = plan.link(*edges, *inputs, outs)
                outs._node = Call.make(plan, links, result.shape, device, params)
        elif tracked:
            record(op, inputs, params, outs, edges, mode)
        if not listed:
            return outs
        return tuple(outs) if op.packed is list else op.packed(*outs)

    return call


def brisk_factory(
    op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], place: Any
) -> Tensor | None:
    """What an operation without inputs makes; None if more is to be asked."""
    mode = MODE.get()
    if mode is not RECORD and not (mode.plain and mode.thread == get_ident()):
        return None
    params = {**dict(zip(op.positional, args, strict=False)), **kwargs}
    if len(args) + len(kwargs) != len(params) or params.keys() != op.params.keys():
        return None
    device: Device = (
        place if place.__class__ is Device and place.index is not None else resolve(place)
    )
    check_parameters(op, params)
    try:
        result = kernel_for(op, device)(**natives(params, device))
    except Exception:  # to be said in other words
        return None
    if result.__class__ is not device.backend.array_types[0]:
        result = device.backend.xp.asarray(result)
    return wrap(result, device, mode.edge)
