"""The common cases of `launch`, asked no question that they do not raise.

For each operation a function is written that does what `launch` does when all inputs are tensors
(or one of them a number) of one type on one device, and nobody watches; in every other case it
calls `launch`. A test holds the two against each other. The function is written and compiled when
it is first called, so that importing the catalogue costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from threading import get_ident
from types import FunctionType
from typing import Any

from devtensor.autograd.mode import INFERENCE, MODE, RECORD, unwatched
from devtensor.autograd.node import Call, tick
from devtensor.autograd.overwrite import write_recorded, write_result, write_straight
from devtensor.autograd.view import viewed
from devtensor.autograd.write import in_parts, write, write_many
from devtensor.brisk import brisk, brisk_factory, follow, in_one_type
from devtensor.device import device as Device
from devtensor.dtype import HALVES, NUMBERS, of
from devtensor.expected import check_parameters
from devtensor.halves import half_kernel_for, half_plan, number_over
from devtensor.launch import launch
from devtensor.op import EMPTY, Op, catalogue, forms
from devtensor.operands import KEPT, SCALARS, TRACKS, kept, known, scalar, several, takes, typed
from devtensor.options import create, into
from devtensor.reuse import DYING, reuse
from devtensor.route import ACTING, PLAIN, hand_over, routed
from devtensor.space import kernel_for, plain_for
from devtensor.tensor import Tensor, new, wrap
from devtensor.written import written

Function = Callable[..., Any]
MISSING = object()
PARAMS: dict[str, Any] = {}
"""The parameters of a launch whose rules ask for none."""


# ---- what the written functions call


def take(op: Op, space: dict[str, Any], half: bool) -> Callable[[Any], bool]:
    """`takes`, the last such type being kept."""
    known = takes(op, half)

    def taken(native: Any) -> bool:
        if known[native]:
            space["_taken"] = native
        return known[native]

    return taken


def use_device(op: Op, space: dict[str, Any], half: bool) -> Callable[[Device], tuple[Any, ...]]:
    """Finds an operation's kernels on a device; the last are kept.

    One for calls with parameters, one for those without, and that for large arrays.
    """

    def use(device: Device) -> tuple[Device, Function, Function, Function]:
        # One object, so that threads never see half of it.
        if half:
            kernel = half_kernel_for(op, device)
            found = device, kernel, kernel, kernel
        else:
            plain = plain_for(op, device)
            found = device, kernel_for(op, device), plain, device.backend.spread(plain)
        space["_here"] = found
        return found

    return use


class Plans(dict[int, Any]):
    """An operation's plans by the inputs that are tracked, as a number in binary."""

    def __init__(self, op: Op, half: bool) -> None:
        super().__init__()
        self.op, self.half = op, half

    def __missing__(self, tracked: int) -> Any:
        wanted = tuple([bool(tracked >> i & 1) for i in range(len(self.op.inputs))])
        plan = self.op.plan(wanted)
        plan = self[tracked] = half_plan(plan) if self.half and plan is not None else plan
        return plan


def operand(value: Any) -> bool:
    """Whether an operator takes `value` beside a tensor."""
    return (
        isinstance(value, (Tensor, *NUMBERS))
        or ACTING[value.__class__]
        or (hasattr(value, "__array__") and hasattr(value, "dtype"))
    )


# ---- forms that take anything


def as_given(
    op: Op, inputs: list[Any], params: dict[str, Any], out: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call as one would write them: by place what must be given."""
    inputs = list(inputs)
    while inputs and inputs[-1] is None and op.inputs[len(inputs) - 1] in op.defaults:
        inputs.pop()
    named = {name: value for name, value in params.items() if value is not op.params[name]}
    if len(inputs) == len(op.inputs):
        for name in op.positional:
            if op.params[name] is not EMPTY:
                break
            inputs.append(named.pop(name))
    if out is not None:
        named["out"] = out
    return tuple(inputs), named


def general(op: Op) -> Function:
    """The form that takes any arguments."""
    star = op.star

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        inputs, params = op.bind(args, kwargs)
        if routed(inputs) or (out is not None and ACTING[out.__class__]):
            public = op if op.public else catalogue[op.shown].op or op
            return hand_over(public.function, *as_given(op, inputs, params, out))
        if star is not None:
            group = inputs[star]
            if isinstance(group, Tensor) or not hasattr(group, "__iter__"):
                raise TypeError(
                    f"{op.name}(): argument '{op.inputs[star]}' (position {star + 1}) must be "
                    f"tuple of Tensors, not {type(group).__name__}"
                )
            inputs[star:] = group
        check_parameters(op, params)
        if out is not None:
            return into(op, inputs, params, out)
        return launch(op, inputs, params)

    return call


def factory(op: Op) -> Function:
    """The form of an operation without inputs."""

    def slow(
        args: tuple[Any, ...], kwargs: dict[str, Any], device: Any, requires_grad: bool, out: Any
    ) -> Any:
        _, params = op.bind(args, kwargs)
        check_parameters(op, params)
        return create(op, params, device, requires_grad, out)

    return brisk_factory(op, slow)


def fallback(op: Op) -> Function:
    """What a written function calls when the case is not the common one."""
    call = general(op)
    defaults = {**op.defaults, **op.params}

    def slow(given: dict[str, Any]) -> Any:
        cast = in_one_type(op, given)
        if cast is not None:
            return op.function(**cast)
        return call(**told(given, defaults))

    return slow


def told(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What was given; what has its default may have been so by another name."""
    return {
        name: value
        for name, value in given.items()
        if value is not MISSING and (name not in defaults or value is not defaults[name])
    }


def operator_fallback(op: Op, lead: str) -> Function:
    """The same for an operator, which leaves what it does not know to the other operand.

    `lead` names the input on whose side it stands, which is a tensor.
    """
    call = general(op)

    def slow(given: dict[str, Any]) -> Any:
        inputs = [given[name] for name in op.inputs]
        first = given[lead]
        if not isinstance(first, Tensor):
            side = "" if lead == op.inputs[0] else "r"
            raise TypeError(
                f"descriptor '__{side}{op.operator}__' for 'Tensor' objects doesn't apply to a "
                f"'{type(first).__name__}' object: its first argument must be the tensor"
            )
        if op.operator == "invert" and first.dtype.kind not in ("int", "bool"):
            raise TypeError(
                "~ (operator.invert) is only implemented on integer and Boolean-type tensors, not "
                f"on {first.dtype!r} of shape {list(first.shape)}"
            )
        cast = in_one_type(op, given)
        if cast is not None:
            return op.function(**cast)
        return call(*inputs) if all(map(operand, inputs)) else NotImplemented

    return slow


def halving(op: Op, order: tuple[int, ...] | None, slow: Function) -> Function:
    """`slow`, but for numbers of two bytes their own form."""
    lead = op.inputs[0 if order is None else order[0]]
    form: list[Function] = []
    defaults = {**op.defaults, **op.params, "out": None}

    def called(given: dict[str, Any]) -> Any:
        first: Any = given.get(lead)
        half = PLAIN[first.__class__] and of(first._array.dtype) in HALVES
        if not half or op.varargs is not None:
            return slow(given)
        if not form:
            form.append(quick(op, order, True))
        if order is None:
            return form[0](**told(given, defaults))
        if order[0] and op.operator == "truediv" and given["input"].__class__ in (int, float):
            return number_over(given["input"], first)
        return form[0](*[given[op.inputs[i]] for i in order])

    return called


# ---- the written functions


SHARED: dict[str, Any] = {
    "Call": Call, "DYING": DYING, "INFERENCE": INFERENCE, "MISSING": MISSING, "PARAMS": PARAMS,
    "RECORD": RECORD, "Tensor": Tensor, "_follow": follow, "_get_ident": get_ident,
    "_mode": MODE.get, "_new": new, "_plain": PLAIN, "_refs": sys.getrefcount, "_reuse": reuse,
    "_scalar": scalar, "_scalars": SCALARS, "_several": several, "_tick": tick,
    "_tracks": TRACKS, "_typed": typed, "_viewed": viewed, "_wrap": wrap,
}  # fmt: skip
"""Globals of the written functions. Names of parameters begin with no underscore."""


def stub(*args: Any, **kwargs: Any) -> Any:
    """Stands for a function until it is first called; its globals are the function's own."""
    _specialise()  # type: ignore[name-defined]  # noqa: F821
    return _function(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def quick(op: Op, order: tuple[int, ...] | None = None, half: bool = False) -> FunctionType:
    """An operation's function, or its operator's, that is written at the first call.

    With `half` that for numbers of two bytes, which the other calls for them.
    """
    slow = fallback(op) if order is None else operator_fallback(op, op.inputs[order[0]])
    space: dict[str, Any] = {
        **SHARED,
        "_op": op,
        "_here": (None,),
        "_taken": None,
        "_plans": Plans(op, half),
        "_general": general(op),
        "_slow": slow if half else halving(op, order, slow),
        "__builtins__": __builtins__,
        "__name__": f"devtensor.fast.{op.name}",
    }
    if half and op.keeps:
        space.update(_scalars=KEPT, _scalar=kept)
    space.update(_take=take(op, space, half), _use_device=use_device(op, space, half))
    for name, value in op.params.items():
        space[f"default_{name}"] = MISSING if value is EMPTY else value
    function = FunctionType(stub.__code__, space, op.name)

    def specialise() -> None:
        source = "\n".join(written(op, order))
        exec(compile(source, f"<the fast form of {op.name}>", "exec"), space)
        made = space["call"]
        function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
        function.__code__ = made.__code__

    space.update(_specialise=specialise, _function=function)
    return function


def form(op: Op) -> Function:
    """The function that users call."""
    if op.writes:
        count, every = len(op.inputs), len(op.inputs) + len(op.positional)

        def step(*args: Any, **kwargs: Any) -> None:
            if kwargs or len(args) != every:
                inputs, params = op.bind(args, kwargs)
                args = (*inputs, *[params[name] for name in op.positional])
            write_many(op, args[:count], args[count:])

        return step
    if not op.inputs:
        return factory(op)
    listed = op.outputs is list or (op.view and op.outputs is not None)
    if op.star is not None or listed or op.among is not None:
        return brisk(op, general(op))
    return quick(op)


def plain_operand(x: Any, device: Device, dtype: Any, mode: Any) -> bool:
    """Whether an operand is a tensor of that type there, and no gradient may be wanted for it."""
    if not PLAIN[x.__class__] or x._device is not device or x._array.dtype is not dtype:
        return False
    return mode is not RECORD or (x._node is None and x._alias is None)


def in_place_form(op: Op) -> Function:
    """The function that writes into its first input and returns it."""
    star = op.star
    count = len(op.inputs)
    straight = op.elementwise and op.among is None and op.outputs is None and count < 3
    single = op.outputs is None and not op.view
    kernels: dict[Device, Function] = {}
    taken = takes(op)

    def quickly(target: Tensor, args: tuple[Any, ...]) -> bool:
        """Write without asking what need not be asked; False if it must be."""
        mode = unwatched()
        if mode is None:
            return False
        device, array = target._device, target._array
        if not taken[array.dtype]:
            return False
        arrays: tuple[Any, ...] = (array,)
        if count == 2:
            other = args[1]
            kind = other.__class__
            if kind is float or kind is int:
                other = known(other, array.dtype, device)
                if other is None:
                    return False
            elif not plain_operand(other, device, array.dtype, mode):
                return False
            arrays = array, other._array
        kernel = kernels.get(device)
        if kernel is None:
            kernel = kernels[device] = plain_for(op, device)
        return write_straight(kernel, arrays, target, name, mode)

    def call(*args: Any, **kwargs: Any) -> Any:
        if args and PLAIN[args[0].__class__] and not in_parts(op, args[0]):
            common = straight and not kwargs and len(args) == count
            if (
                (common and quickly(args[0], args))
                or (single and write_result(op.function, args, kwargs, name))
                or (single and star is None and not kwargs and MODE.get() is RECORD
                    and write_recorded(op.function, args[0], args, name))
            ):  # fmt: skip
                return args[0]
        inputs, params = op.bind(args, kwargs)
        if routed(inputs):
            return hand_over(call, *as_given(op, inputs, params, None))
        if star is not None:
            inputs[star:] = inputs[star]
        check_parameters(op, params)
        return write(op, inputs, params)

    name = call.__name__ = call.__qualname__ = f"{op.name}_"
    call.__doc__ = (
        f"The in-place form of :func:`{op.name}`: writes the result over its first input."
    )
    return call


OPERANDS = [
    Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])
    for names in (("self", "other"), ("self",))
]
"""What operators take: two of them, and one."""


def operator_form(op: Op, reflected: bool = False) -> Function:
    """The method behind an operator; reflected, it is given the right operand first."""
    single = len(op.inputs) == 1
    form: Any = quick(op, (0,) if single else (1, 0) if reflected else (0, 1))
    form.__signature__ = OPERANDS[single]
    return form


forms[:] = [form, in_place_form]
