"""`launch` without questions, for operations on groups, on mixed types, on nothing.

What `devtensor.fast` writes a function for has some inputs of one type. Here are the others, and
the casts that make several types one. They do what `launch` does when all inputs are plain tensors,
or numbers, and nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, MODE, RECORD, unwatched
from devtensor.autograd.node import Call, Part
from devtensor.autograd.saved import record, watch
from devtensor.device import device as Device
from devtensor.device import resolve
from devtensor.expected import check_parameters
from devtensor.launch import made, target_of, view
from devtensor.op import EMPTY, Op, catalogue
from devtensor.operands import TRACKS, known, several, takes
from devtensor.plan import LATER
from devtensor.route import PLAIN
from devtensor.space import kernel_for, native
from devtensor.tensor import Tensor, wrap

Function = Callable[..., Any]


def brisk(op: Op, slow: Function) -> Function:
    """The form of an operation that has inputs, with `slow` for all that is not common."""
    count, star, listed = len(op.inputs), op.star, op.outputs is not None
    among = range(count) if op.among is None else [op.inputs.index(name) for name in op.among]
    mixed = op.promotes is None
    numbers = [op.numbers is None or name in op.numbers for name in op.inputs]
    taken = takes(op)
    required = [name for name, default in op.params.items() if default is EMPTY]
    positional, names = op.positional, op.params.keys()
    looks = op.public or op.operator is not None  # at the kinds of its parameters
    refuses, rules, looking = op.refuses, op.rules, op.view
    bound, cls = op.bound, Tensor
    if op.varargs is not None:
        return slow

    def quickly(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the call gives; `LATER` if more is to be asked."""
        mode = unwatched()
        more = len(args) - count
        if mode is None or more < 0:
            return LATER
        params = op.params
        if kwargs or more or required:
            if more > len(positional):
                return LATER
            params = {**params, **dict(zip(positional, args[count:], strict=False)), **kwargs}
            if kwargs and (
                params.keys() != names or not kwargs.keys().isdisjoint(positional[:more])
            ):
                return LATER
            for name in required:
                if params[name] is EMPTY:
                    return LATER
            if looks:
                check_parameters(op, params)
        inputs: list[Any] = list(args[:count])
        if star is not None:
            group = inputs[star]
            if (group.__class__ is not list and group.__class__ is not tuple) or not group:
                return LATER
            inputs[star:] = group
        device = dtype = None
        arrays: list[Any] = []
        edges: list[Any] = []
        loose = tracked = False
        recorded = rules and mode is RECORD
        for place, x in enumerate(inputs):
            if x.__class__ is not cls and not PLAIN[x.__class__]:
                loose = True
                arrays.append(None)
                edges.append(None)
                continue
            if x._device is not device:
                if device is not None:
                    return LATER
                device = x._device
            array = x._array
            native_type = array.dtype
            if mixed:
                if not taken[native_type]:
                    return LATER
            elif (star is not None or place in among) and native_type is not dtype:
                if dtype is not None or not taken[native_type]:
                    return LATER
                dtype = native_type
            arrays.append(array)
            if recorded:
                edge = x._node if x._alias is None else x._alias.live(x)
                if edge is not None:
                    if edge is INFERENCE:
                        return LATER
                    tracked = True
                edges.append(edge)
        if device is None:
            return LATER
        for place, x in enumerate(inputs) if loose else ():
            kind = x.__class__
            if PLAIN[kind]:
                continue
            # Where no tensor says the type, the numbers do.
            if dtype is None or star is not None or (kind is not float and kind is not int):
                return LATER
            if not numbers[place]:
                return LATER
            t = dtype if place in among else native(dtypes.of_number(x), device)
            x = inputs[place] = known(x, t, device)
            if x is None:
                return LATER
            arrays[place] = x._array
        if refuses is not None:
            refuses(*args[:count])
        try:
            kernel = bound[device] if device in bound else kernel_for(op, device)
            result = kernel(*arrays, **params)
        except Exception:  # to be said in other words
            return LATER
        outs: Any = several(result, device, mode.edge) if listed else made(result, device, mode)
        if looking:
            view(op, outs, inputs[0], params, mode)
        plan = op.plan(tuple([edge is not None for edge in edges])) if tracked else None
        if plan is None:
            pass
        elif not plan.plain and dtypes.of(arrays[0].dtype) in dtypes.HALVES:
            record(op, inputs, params, outs, edges, mode)
        elif listed:
            follow(plan, plan.link(*edges, *inputs, outs), outs, device, params)
        elif TRACKS[outs._array.dtype]:
            links = plan.link(*edges, *inputs, outs)
            outs._node = Call.make(plan, links, outs._array.shape, device, params)
        if not listed:
            return outs
        return tuple(outs) if op.packed is list else op.packed(*outs)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = quickly(args, kwargs)
        return slow(*args, **kwargs) if found is LATER else found

    return call


def follow(
    plan: Any, links: tuple[Any, ...], outs: list[Tensor | None], device: Device, params: Any
) -> None:
    """Put a launch with several results on the tape."""
    if not any(out is not None and TRACKS[out._array.dtype] for out in outs):
        return
    shapes: Any = tuple([() if out is None else out._array.shape for out in outs])
    node = Call.make(plan, links, shapes, device, params)
    for index, out in enumerate(outs):
        if out is None:
            continue
        if TRACKS[out._array.dtype]:
            out._node = Part(node, index, shapes[index])
        elif plan.outs and any(s.place == ~index and not s.part for s in plan.saves):
            watch(node, index, out)


def brisk_factory(op: Op, slow: Function) -> Function:
    """The form of an operation without inputs, with `slow` for all that is not common.

    Only this package calls such an operation, so nobody asks whether its arguments fit.
    """
    known = op.params.keys()
    before = op.positional.index("dtype") if "dtype" in known else len(known)
    uses: dict[Device, tuple[Function, dict[Any, Any], type]] = {}

    def use(place: Device) -> tuple[Function, dict[Any, Any], type]:
        backend = place.backend
        found = uses[place] = kernel_for(op, place), backend.native, backend.array_types[0]
        return found

    def call(
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        out: Any = None,
        **kwargs: Any,
    ) -> Any:
        mode: Any = MODE.get()
        if mode is not RECORD:
            mode = unwatched()
        if mode is not None and out is None and not requires_grad and len(args) <= before:
            place = resolve(device)
            try:
                kernel, native_types, kind = uses[place] if place in uses else use(place)
                if dtype is None:
                    result = kernel(*args, **kwargs)
                else:
                    result = kernel(*args, dtype=native_types[dtype], **kwargs)
            except Exception:  # to be said in other words
                pass
            else:
                if result.__class__ is kind:
                    return wrap(result, place, mode.edge)
                return made(result, place, mode)
        if dtype is not None:
            kwargs["dtype"] = dtype
        return slow(args, kwargs, device, requires_grad, out)

    return call


TARGETS: dict[Any, Any] = {}
"""The types found, by the operation's rule and by what its operands are."""


def in_one_type(op: Op, given: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of a call with its tensors in one type; None if more is to be asked.

    The cast is a launch of the common kind, after which the operation itself is one, too.
    """
    if op.promotes is None or op.among is not None or unwatched() is None:
        return None
    device: Any = None
    inputs: list[Any] = []
    key: list[Any] = [op.promotes, dtypes.get_default_dtype()]
    for name in op.inputs:
        x: Any = given.get(name)
        kind = x.__class__
        if PLAIN[kind]:
            if x._device is not device:
                if device is not None:
                    return None
                device = x._device
            array = x._array
            key += array.dtype, not array.ndim
        elif kind is float or kind is int or (x is None and name in op.defaults):
            key.append(kind)
        else:
            return None
        inputs.append(x)
    if device is None:
        return None
    if op.refuses is not None:
        op.refuses(*inputs)
    kinds = tuple(key)
    target: Any = TARGETS.get(kinds)
    if target is None:
        target = TARGETS[kinds] = target_of(op, [x for x in inputs if x is not None])
    if op.keeps and target in dtypes.HALVES:  # a number stays what it is
        return None
    if op.accepts is not None and target.kind not in op.accepts:
        return None
    if target.kind == "int" and int in kinds:  # of bools: powers know a number by its tensor's type
        return None
    cast = catalogue["cast"].function
    changed = {
        name: cast(x, target)
        for name, x in zip(op.inputs, inputs, strict=True)
        if PLAIN[x.__class__] and dtypes.of(x._array.dtype) is not target
    }
    return {**given, **changed} if changed else None
