"""The common cases of `launch`, asked no question that they do not raise.

Each function here does what `launch` does when all inputs are tensors (or one is a number) of one
type on one device and nobody watches; in every other case it calls `launch`. A test holds the two
against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import get_ident
from typing import Any

from devtensor import dtype as dtypes
from devtensor.autograd.mode import INFERENCE, MODE, RECORD
from devtensor.autograd.node import Call, tick
from devtensor.autograd.view import viewed
from devtensor.autograd.write import write, write_many
from devtensor.device import device as Device
from devtensor.launch import create, into, launch
from devtensor.op import EMPTY, Op, forms
from devtensor.space import kernel_for, natives
from devtensor.tensor import Tensor, constant, new

Function = Callable[..., Any]
mode_of = MODE.get
new_node = Call.__new__


class Taken(dict[Any, bool]):
    """Which native types an operation computes in as they are, found when first asked."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op

    def __missing__(self, native: Any) -> bool:
        kind = dtypes.of(native).kind
        op = self.op
        fits = op.accepts is None or kind in op.accepts
        floats = op.promotes != "float" or kind in ("float", "complex")
        self[native] = fits and floats
        return self[native]


class Bound(dict[Device, Function]):
    """An operation's kernels by device, found when first asked."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op

    def __missing__(self, device: Device) -> Function:
        kernel = self[device] = kernel_for(self.op, device)
        return kernel


_scalars: dict[Any, Tensor] = {}


def scalar(number: Any, dtype: Any, device: Device) -> Tensor | None:
    """A number as a 0-d tensor of a native type; None if it would change the type."""
    kind = dtypes.of(dtype).kind
    if kind == "bool" or (kind == "int" and number.__class__ is float):
        return None
    try:
        made = constant(device.backend.array(number, dtype, device.index), device)
    except OverflowError:
        return None
    # 0.0 and -0.0 would share a place, and NaN would find none.
    if number.__class__ is int or (number and not math.isnan(number)):
        if len(_scalars) > 4096:
            _scalars.clear()
        _scalars[number, number.__class__, dtype, device] = made
    return made


def general(op: Op) -> Function:
    """The form that takes any arguments."""
    star = op.star

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        inputs, params = op.bind(args, kwargs)
        if star is not None:
            group = inputs[star]
            if isinstance(group, Tensor) or not hasattr(group, "__iter__"):
                raise TypeError(
                    f"{op.name}(): argument '{op.inputs[star]}' (position {star + 1}) must be "
                    f"tuple of Tensors, not {type(group).__name__}"
                )
            inputs[star:] = group
        if out is not None:
            return into(op, inputs, params, out)
        return launch(op, inputs, params)

    return call


def factory(op: Op) -> Function:
    """The form of an operation without inputs."""

    def call(
        *args: Any, device: Any = None, requires_grad: bool = False, out: Any = None, **kwargs: Any
    ) -> Any:
        _, params = op.bind(args, kwargs)
        return create(op, params, device, requires_grad, out)

    return call


def unary(op: Op, slow: Function) -> Function:
    """One tensor, no parameters."""
    takes, bound = Taken(op), Bound(op)

    def call(input: Any) -> Any:
        if not isinstance(input, Tensor):
            return slow(input)
        array, device = input._array, input._device
        if not takes[array.dtype]:
            return slow(input)
        edge = plan = None
        mode = mode_of()
        if mode is RECORD:
            alias = input._alias
            edge = input._node if alias is None else alias.live(input)
            if edge is not None:
                plan = op.plan((True,))
                if edge is INFERENCE:
                    return slow(input)
        elif mode.plain and mode.thread == get_ident():
            edge = mode.edge
        else:
            return slow(input)
        try:
            result = bound[device](array)
        except Exception:
            return slow(input)
        if result.__class__ is not array.__class__:
            result = device.backend.xp.asarray(result)
        out = new()
        out._array = result
        out._device = device
        out._alias = out._rest = None
        if plan is None:
            out._node = edge if mode is not RECORD else None
            return out
        node = new_node(Call)
        node.plan = plan
        node.links = plan.link(edge, input, result)
        node.clock = tick()
        node.shape = result.shape
        node.device = device
        node.params = PARAMS
        node.extra = None
        out._node = node
        return out

    return call


PARAMS: dict[str, Any] = {}
"""The parameters of an operation without any."""


def binary(op: Op, slow: Function) -> Function:
    """Two tensors, or a tensor and a number, and no parameters."""
    takes, bound = Taken(op), Bound(op)
    number_too = op.promotes is not None

    def call(input: Any, other: Any) -> Any:
        if not isinstance(input, Tensor):
            return slow(input, other)
        array, device = input._array, input._device
        dtype = array.dtype
        if not isinstance(other, Tensor):
            kind = other.__class__
            if (kind is not float and kind is not int) or not number_too:
                return slow(input, other)
            number = _scalars.get((other, kind, dtype, device))
            if number is None:
                number = scalar(other, dtype, device)
                if number is None:
                    return slow(input, other)
            b: Any = number
            second = number._array
        elif other._device is device and other._array.dtype is dtype:
            b = other
            second = other._array
        else:
            return slow(input, other)
        if not takes[dtype]:
            return slow(input, other)
        plan = None
        mode = mode_of()
        if mode is RECORD:
            alias = input._alias
            edge = input._node if alias is None else alias.live(input)
            alias = b._alias
            edge2 = b._node if alias is None else alias.live(b)
            if edge is not None:
                if edge is INFERENCE or edge2 is INFERENCE:
                    return slow(input, other)
                plan = op.plan(BOTH if edge2 is not None else FIRST)
            elif edge2 is not None:
                if edge2 is INFERENCE:
                    return slow(input, other)
                plan = op.plan(SECOND)
        elif mode.plain and mode.thread == get_ident():
            edge = mode.edge
        else:
            return slow(input, other)
        try:
            result = bound[device](array, second)
        except Exception:
            return slow(input, other)
        if result.__class__ is not array.__class__:
            result = device.backend.xp.asarray(result)
        out = new()
        out._array = result
        out._device = device
        out._alias = out._rest = None
        if plan is None:
            out._node = None if mode is RECORD else edge
            return out
        node = new_node(Call)
        node.plan = plan
        node.links = plan.link(edge, edge2, input, b, result)
        node.clock = tick()
        node.shape = result.shape
        node.device = device
        node.params = PARAMS
        node.extra = None
        out._node = node
        return out

    return call


FIRST, SECOND, BOTH = (True, False), (False, True), (True, True)


def with_params(op: Op, slow: Function) -> Function:
    """Any number of tensors, and parameters; views, too."""
    takes, bound = Taken(op), Bound(op)
    count = len(op.inputs)
    names = op.positional
    defaults = {k: v for k, v in op.params.items() if v is not EMPTY}
    required = len(op.params) - len(defaults)
    has_dtype = any("dtype" in name for name in op.params)
    one_type = op.promotes is not None
    varargs, is_view, maybe = op.varargs is not None, bool(op.view), op.view == "maybe"

    def call(*args: Any, **kwargs: Any) -> Any:
        given = len(args)
        if given < count or varargs:
            return bound_call(args, kwargs)
        params = defaults
        if given > count or kwargs:
            params = {**defaults, **dict(zip(names, args[count:], strict=False)), **kwargs}
            if len(params) != len(op.params) or given - count > len(names):
                return slow(*args, **kwargs)
            for name in kwargs:
                if name not in op.params:
                    return slow(*args, **kwargs)
        elif required:
            return slow(*args, **kwargs)
        return run(args[:count], params, args, kwargs)

    def bound_call(args: Any, kwargs: Any) -> Any:
        if "out" in kwargs:
            return slow(*args, **kwargs)
        inputs, params = op.bind(args, kwargs)
        return run(inputs, params, args, kwargs)

    def run(inputs: Any, params: Any, args: Any, kwargs: Any) -> Any:
        first = inputs[0]
        if not isinstance(first, Tensor):
            return slow(*args, **kwargs)
        device = first._device
        dtype = first._array.dtype
        mode = mode_of()
        recording = mode is RECORD
        if not takes[dtype] or not (recording or (mode.plain and mode.thread == get_ident())):
            return slow(*args, **kwargs)
        edges: list[Any] = []
        arrays: list[Any] = []
        tracked = False
        for x in inputs:
            if x is None:
                arrays.append(None)
                edges.append(None)
                continue
            if not isinstance(x, Tensor) or x._device is not device:
                return slow(*args, **kwargs)
            array = x._array
            if one_type and array.dtype is not dtype:
                return slow(*args, **kwargs)
            arrays.append(array)
            if recording:
                alias = x._alias
                edge = x._node if alias is None else alias.live(x)
                if edge is not None:
                    if edge is INFERENCE:
                        return slow(*args, **kwargs)
                    tracked = True
                edges.append(edge)
        if is_view and first._node is INFERENCE:
            return slow(*args, **kwargs)
        result = bound[device](*arrays, **(natives(params, device) if has_dtype else params))
        if result.__class__ is not first._array.__class__:
            result = device.backend.xp.asarray(result)
        out = new()
        out._array = result
        out._device = device
        out._node = mode.edge
        out._alias = out._rest = None
        if is_view and (not maybe or device.backend.shares(result, first._array)):
            viewed(out, first, op, params, None, mode.name)
            out._node = None
        if tracked:
            plan = op.plan(tuple([edge is not None for edge in edges]))
            if plan is not None and dtypes.OF[result.dtype].kind in ("float", "complex"):
                node = new_node(Call)
                node.plan = plan
                node.links = plan.link(*edges, *inputs, result)
                node.clock = tick()
                node.shape = result.shape
                node.device = device
                node.params = params
                node.extra = None
                out._node = node
        return out

    return call


def form(op: Op) -> Function:
    """The function that users call."""
    if op.writes:

        def step(*args: Any, **kwargs: Any) -> None:
            write_many(op, *op.bind(args, kwargs))

        return step
    if not op.inputs:
        return factory(op)
    slow = general(op)
    if op.star is not None or op.outputs is not None or op.among is not None:
        return slow
    if op.params or len(op.inputs) > 2 or op.view or op.defaults:
        return with_params(op, slow)
    core = unary(op, slow) if len(op.inputs) == 1 else binary(op, slow)
    count = len(op.inputs)

    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != count:
            return slow(*args, **kwargs)
        return core(*args)

    call.core = core  # type: ignore[attr-defined]
    return call


def in_place_form(op: Op) -> Function:
    """The function that writes into its first input and returns it."""
    star = op.star

    def call(*args: Any, **kwargs: Any) -> Any:
        inputs, params = op.bind(args, kwargs)
        if star is not None:
            inputs[star:] = inputs[star]
        return write(op, inputs, params)

    call.__name__ = call.__qualname__ = f"{op.name}_"
    call.__doc__ = f"The in-place form of :func:`{op.name}`: writes the result over its first input."
    return call


forms[:] = [form, in_place_form]
