"""The common cases of `launch`, asked no question that they do not raise.

For each operation a function is written that does what `launch` does when all inputs are tensors
(or one of them a number) of one type on one device, and nobody watches; in every other case it
calls `launch`. A test holds the two against each other. The function is written and compiled when
it is first called, so that importing the catalogue costs nothing.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator
from threading import get_ident
from types import FunctionType
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, MODE, RECORD
from devtensor.autograd.node import Call, Part, tick
from devtensor.autograd.saved import watch
from devtensor.autograd.view import viewed
from devtensor.autograd.write import write, write_many, write_straight
from devtensor.device import device as Device
from devtensor.launch import create, into, launch
from devtensor.op import EMPTY, Op, forms
from devtensor.space import kernel_for, plain_for
from devtensor.tensor import Tensor, constant, new, wrap

Function = Callable[..., Any]
MISSING = object()
NUMBERS = (bool, int, float, complex)
PARAMS: dict[str, Any] = {}
"""The parameters of a launch whose rules ask for none."""


# ---- what the written functions call


def take(op: Op, space: dict[str, Any]) -> Callable[[Any], bool]:
    """Whether an operation computes in a native type as it is; the last such type is kept."""
    known: dict[Any, bool] = {}

    def taken(native: Any) -> bool:
        if native not in known:
            dtype = dtypes.of(native)
            kind = dtype.kind
            fits = op.accepts is None or kind in op.accepts
            floats = op.promotes != "float" or kind in ("float", "complex")
            # Complex gradients, and bfloat16 beside Python's numbers, need a second look.
            easy = dtype is not dtypes.bfloat16 and not (kind == "complex" and op.rules)
            known[native] = fits and floats and easy
        if known[native]:
            space["_taken"] = native
        return known[native]

    return taken


def use_device(op: Op, space: dict[str, Any]) -> Callable[[Device], tuple[Any, ...]]:
    """Finds an operation's kernels on a device, with parameters and without; the last are kept."""

    def use(device: Device) -> tuple[Device, Function, Function]:
        # One object, so that threads never see half of it.
        space["_here"] = found = device, kernel_for(op, device), plain_for(op, device)
        return found

    return use


class Plans(dict[int, Any]):
    """An operation's plans by the inputs that are tracked, as a number in binary."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op

    def __missing__(self, tracked: int) -> Any:
        wanted = tuple([bool(tracked >> i & 1) for i in range(len(self.op.inputs))])
        plan = self[tracked] = self.op.plan(wanted)
        return plan


_scalars: dict[Any, Tensor] = {}


def scalar(number: Any, dtype: Any, device: Device) -> Tensor | None:
    """A number as a 0-d tensor of a native type; None if it would change the type."""
    t = dtypes.of(dtype)
    if t.kind == "bool" or (t.kind == "int" and number.__class__ is float):
        return None
    low = -(2 ** (8 * t.itemsize - 1)) if t.is_signed else 0
    if t.kind == "int" and not low <= number < low + 2 ** (8 * t.itemsize):
        return None  # it would wrap, also where the integers are about to become floats
    try:
        made = constant(device.backend.array(number, dtype, device.index), device)
    except (OverflowError, RuntimeError):
        return None
    # 0.0 and -0.0 would share a place, and NaN would find none.
    if number.__class__ is int or (number and not math.isnan(number)):
        if len(_scalars) > 4096:
            _scalars.clear()
        _scalars[number, number.__class__, dtype, device] = made
    return made


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


def follow(
    plan: Any, links: tuple[Any, ...], outs: list[Tensor | None], device: Device, params: Any
) -> None:
    """Put a launch with several results on the tape."""
    if not any(out is not None and TRACKS[out._array.dtype] for out in outs):
        return
    shapes: Any = tuple([() if out is None else out._array.shape for out in outs])
    node = Call(plan, links, shapes, device, params)
    for index, out in enumerate(outs):
        if out is None:
            continue
        if TRACKS[out._array.dtype]:
            out._node = Part(node, index, shapes[index])
        elif plan.outs and any(s.place == ~index and not s.part for s in plan.saves):
            watch(node, index, out)


class Tracks(dict[Any, bool]):
    """Whether results of a native type carry gradients, found when first asked."""

    def __missing__(self, native: Any) -> bool:
        self[native] = dtypes.of(native).kind in ("float", "complex")
        return self[native]


TRACKS = Tracks()


def operand(value: Any) -> bool:
    """Whether an operator takes `value` beside a tensor."""
    return isinstance(value, (Tensor, *NUMBERS)) or (
        hasattr(value, "__array__") and hasattr(value, "dtype")
    )


# ---- forms that take anything


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


def fallback(op: Op) -> Function:
    """What a written function calls when the case is not the common one."""
    call = general(op)

    defaults = {**op.defaults, **op.params}

    def slow(given: dict[str, Any], named: dict[str, Any]) -> Any:
        # What has its default may have been given by another name.
        said = {
            k: v
            for k, v in given.items()
            if v is not MISSING and not (named and k in defaults and v is defaults[k])
        }
        return call(**said, **named)

    return slow


def operator_fallback(op: Op) -> Function:
    """The same for an operator, which leaves what it does not know to the other operand."""
    call = general(op)

    def slow(given: dict[str, Any], named: dict[str, Any]) -> Any:
        inputs = [given[name] for name in op.inputs]
        return call(*inputs) if all(map(operand, inputs)) else NotImplemented

    return slow


# ---- the written functions


def written(op: Op, order: tuple[int, ...] | None = None) -> Iterator[str]:
    """The source of an operation's function, line by line.

    Parameters
    ----------
    op : Op
    order : tuple of int, optional
        For an operator: the order in which it is given the inputs. The first is then a tensor.
    """
    inputs, count = op.inputs, len(op.inputs)
    params = list(op.params)
    numbers = op.promotes is not None and count == 2
    if order is not None:
        signature = [inputs[i] for i in order]
        given, named = inputs, "None"
    elif op.varargs is not None:
        signature = [*(f"{n}=MISSING" for n in inputs), f"*{op.varargs}", "**_named"]
        given, named = (*inputs, *params), "_named"
    else:
        signature = [f"{n}={'None' if n in op.defaults else 'MISSING'}" for n in inputs]
        keyword = False
        for name in params:
            if name not in op.positional and not keyword:
                keyword = True
                signature.append("*")
            signature.append(f"{name}={f'default_{name}'}")
        signature.append("**_named")
        given, named = (*inputs, *params), "_named"
    shown = ", ".join(f"{n!r}: {n}" for n in given)
    slow = f"return _slow({{{shown}}}, {named})"
    lead = inputs[order[0] if order else 0]
    yield f"def call({', '.join(signature)}):"
    if op.varargs is not None and order is None:
        name = op.varargs
        shown = ", ".join(f"{n!r}: {n}" for n in inputs)
        yield f" if _named or not {name}:"
        yield f"  if {name}: return _general({', '.join(inputs)}, *{name}, **_named)"
        yield f"  return _slow({{{shown}}}, _named)"
        yield f" if len({name}) == 1 and not hasattr({name}[0], '__index__'): {name} = {name}[0]"
    elif order is None:
        yield f" if _named: {slow}"
        for name in params:
            if "dtype" in name:
                yield f" if {name} is not None: {slow}"
            elif op.params[name] is EMPTY:
                yield f" if {name} is MISSING: {slow}"
    yield f" if {lead}.__class__ is not Tensor and not isinstance({lead}, Tensor): {slow}"
    k = inputs.index(lead)
    yield f" _a{k} = {lead}._array; _d = {lead}._device; _t = _a{k}.dtype"
    for i, name in enumerate(inputs):
        if name == lead:
            continue
        if name in op.defaults:
            yield f" if {name} is None: _a{i} = None"
            yield f" elif not isinstance({name}, Tensor): {slow}"
            yield " else:"
        elif numbers:
            yield f" _c = {name}.__class__"
            yield " if _c is float or _c is int:"
            yield f"  _x = _scalars.get(({name}, _c, _t, _d))"
            yield "  if _x is None:"
            yield f"   _x = _scalar({name}, _t, _d)"
            yield f"   if _x is None: {slow}"
            yield f"  {name} = _x; _a{i} = _x._array"
            yield f" elif _c is not Tensor and not isinstance({name}, Tensor): {slow}"
            yield " else:"
        else:
            yield f" if not isinstance({name}, Tensor): {slow}"
            yield " else:"
        yield f"  _a{i} = {name}._array"
        same = f" or _a{i}.dtype is not _t" if op.promotes is not None else ""
        yield f"  if {name}._device is not _d{same}: {slow}"
    if op.accepts is not None or op.promotes is not None or op.rules:
        yield f" if _t is not _taken and not _take(_t): {slow}"
    if op.view:
        yield f" if {lead}._node is INFERENCE: {slow}"
    yield " _m = _mode()"
    yield " _tracked = 0"
    yield " if _m is RECORD:"
    for i, name in enumerate(inputs):
        bit = 1 << i
        if name in op.defaults:
            yield f"  _e{i} = None if {name} is None else {name}._node if {name}._alias is None else {name}._alias.live({name})"  # noqa: E501
        else:
            yield f"  _e{i} = {name}._node if {name}._alias is None else {name}._alias.live({name})"
        yield f"  if _e{i} is not None:"
        yield f"   if _e{i} is INFERENCE: {slow}"
        yield f"   _tracked {'|=' if count > 1 else '='} {bit}"
    yield "  _o_node = None"
    yield " elif _m.plain and _m.thread == _get_ident(): _o_node = _m.edge"
    yield f" else: {slow}"
    arguments = [f"_a{i}" for i in range(count)]
    arguments += [f"{name}={name}" for name in params if "dtype" not in name]
    yield " _k = _here"
    yield " if _k[0] is not _d: _k = _use_device(_d)"
    plain = f"_k({', '.join(f'_a{i}' for i in range(count))})"
    deep = ""
    if params:
        default = " and ".join(f"{n} is default_{n}" for n in params if "dtype" not in n)
        yield f" if {default or 'True'}:"
        deep = " "
    yield f"{deep} _k = _k[2]"
    if op.elementwise and order is None:
        yield f"{deep} if _o_node is INFERENCE and _a{k}.size > 8191 and _refs({lead}) == DYING and {lead}._node is INFERENCE and {lead}._alias is None:"  # noqa: E501
        yield f"{deep}  _r = _reuse(_k, {lead}, _d, ({', '.join(arguments[:count])},))"
        yield f"{deep}  if _r is not None:"
        yield f"{deep}   {lead}._array = None"
        yield f"{deep}   return _wrap(_r, _d, INFERENCE)"
    yield f"{deep} try: _r = {plain}"
    yield f"{deep} except Exception: {slow}"
    if params:
        yield " else:"
        yield f"  try: _r = _k[1]({', '.join(arguments)})"
        yield f"  except (ValueError, OverflowError): {slow}"  # to be said in other words
    packed = "{" + ", ".join(f"{n!r}: {n}" for n in params) + "}" if params else "PARAMS"
    links = [f"_e{i}" for i in range(count)] + list(inputs) + ["_r"]
    if op.outputs is not None:
        yield " _o = _several(_r, _d, _o_node)"
        if op.rules:
            yield " if _tracked:"
            yield "  _plan = _plans[_tracked]"
            yield "  if _plan is not None:"
            yield "   _r = [None if x is None else x._array for x in _o]"
            yield f"   _follow(_plan, _plan.link({', '.join(links)}), _o, _d, {packed})"
        yield " return _op.packed(*_o)"
        return
    yield f" if _r.__class__ is not _a{k}.__class__: _r = _d.backend.xp.asarray(_r)"
    yield " _o = _new()"
    yield " _o._array = _r; _o._device = _d; _o._node = _o_node; _o._alias = _o._rest = None"
    if op.view:
        if op.view == "maybe":
            yield f" if _d.backend.shares(_r, _a{k}):"
        else:
            yield " if True:"
        yield f"  _p = {packed}"
        yield f"  _viewed(_o, {lead}, _op, _p, None, _m.name); _o._node = None"
        yield f" else: _p = {packed}"
        packed = "_p"
    if op.rules:
        check = " and _tracks[_r.dtype]" if op.promotes is None else ""
        uses = packed if op.view or not params else f"{packed} if _plan.uses_params else PARAMS"
        yield f" if _tracked{check}:"
        if count > 3:
            yield "  _plan = _plans[_tracked]"
            yield "  if _plan is None: return _o"
            yield f"  _links = _plan.link({', '.join(links)})"
        else:  # the few ways to be tracked, each with its plan
            for tracked in range((1 << count) - 1, 0, -1):
                plan = op.plan(tuple([bool(tracked >> i & 1) for i in range(count)]))
                yield f"  {'if' if tracked == (1 << count) - 1 else 'elif'} _tracked == {tracked}:"
                if plan is None:
                    yield "   return _o"
                else:
                    yield f"   _plan = _plans[{tracked}]; _links = {plan.links(links)}"
        yield "  _n = _new_node(Call); _n.plan = _plan; _n.links = _links"
        yield "  _n.clock = _tick(); _n.shape = _r.shape; _n.device = _d; _n.extra = None"
        yield f"  _n.params = {uses}"
        yield "  _o._node = _n"
    yield " return _o"


def reuse(kernel: Function, dying: Tensor, device: Device, arrays: tuple[Any, ...]) -> Any:
    """The result in the memory of an operand that nobody else can see; None if that cannot be."""
    if dying.__class__ is not Tensor or weakref.getweakrefcount(dying):
        return None
    return device.backend.reused(kernel, arrays, sys.getrefcount(dying._array) - SEEN)


def calibrate() -> tuple[int, int]:
    """How often a temporary is counted inside a function that it was passed to, and its array.

    Returns -1 for the first where temporaries cannot be told from what a variable holds.
    """

    class Thing:
        slot: Any = None

        def method(self, *_: Any, **__: Any) -> int:
            return sys.getrefcount(self)

    held = Thing()
    dying = Thing().method()
    apart = held.method() > dying and getattr(sys, "_is_gil_enabled", lambda: True)()

    def inner(thing: Thing, arrays: tuple[Any, ...]) -> int:
        return sys.getrefcount(thing.slot)

    def outer(thing: Thing) -> int:
        array = thing.slot
        return inner(thing, (array,))

    held.slot = object()
    return (dying if apart else -1), outer(held)


DYING, SEEN = calibrate()

SHARED: dict[str, Any] = {
    "Call": Call, "DYING": DYING, "INFERENCE": INFERENCE, "MISSING": MISSING, "PARAMS": PARAMS,
    "RECORD": RECORD, "Tensor": Tensor, "_follow": follow, "_get_ident": get_ident,
    "_mode": MODE.get, "_new": new, "_new_node": Call.__new__, "_refs": sys.getrefcount,
    "_reuse": reuse, "_scalar": scalar, "_scalars": _scalars, "_several": several, "_tick": tick,
    "_tracks": TRACKS, "_viewed": viewed, "_wrap": wrap,
}  # fmt: skip
"""Globals of the written functions. Names of parameters begin with no underscore."""


def stub(*args: Any, **kwargs: Any) -> Any:
    """Stands for a function until it is first called; its globals are the function's own."""
    _specialise()  # type: ignore[name-defined]  # noqa: F821
    return _function(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def quick(op: Op, order: tuple[int, ...] | None = None) -> FunctionType:
    """An operation's function, or its operator's, that is written at the first call."""
    space: dict[str, Any] = {
        **SHARED,
        "_op": op,
        "_here": (None, None, None),
        "_taken": None,
        "_plans": Plans(op),
        "_general": general(op),
        "_slow": fallback(op) if order is None else operator_fallback(op),
        "__builtins__": __builtins__,
        "__name__": f"devtensor.fast.{op.name}",
    }
    space.update(_take=take(op, space), _use_device=use_device(op, space))
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
        return general(op)
    return quick(op)


def plain_operand(x: Any, device: Device, dtype: Any, mode: Any) -> bool:
    """Whether an operand is a tensor of that type there, and no gradient may be wanted for it."""
    if not isinstance(x, Tensor) or x._device is not device or x._array.dtype is not dtype:
        return False
    return mode is not RECORD or (x._node is None and x._alias is None)


def in_place_form(op: Op) -> Function:
    """The function that writes into its first input and returns it."""
    star = op.star
    count = len(op.inputs)
    straight = op.elementwise and op.among is None and op.outputs is None and count < 3
    kernels: dict[Device, Function] = {}

    def quickly(target: Tensor, args: tuple[Any, ...]) -> bool:
        """Write without asking what need not be asked; False if it must be."""
        mode = MODE.get()
        if mode is not RECORD and not (mode.plain and mode.thread == get_ident()):
            return False
        device, array = target._device, target._array
        arrays: tuple[Any, ...] = (array,)
        if count == 2:
            other = args[1]
            kind = other.__class__
            if kind is float or kind is int:
                other = _scalars.get((other, kind, array.dtype, device)) or scalar(
                    other, array.dtype, device
                )
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
        plain = straight and not kwargs and len(args) == count and isinstance(args[0], Tensor)
        if plain and quickly(args[0], args):
            return args[0]
        inputs, params = op.bind(args, kwargs)
        if star is not None:
            inputs[star:] = inputs[star]
        return write(op, inputs, params)

    name = call.__name__ = call.__qualname__ = f"{op.name}_"
    call.__doc__ = (
        f"The in-place form of :func:`{op.name}`: writes the result over its first input."
    )
    return call


def operator_form(op: Op, reflected: bool = False) -> Function:
    """The method behind an operator; reflected, it is given the right operand first."""
    if len(op.inputs) == 1:
        return quick(op, (0,))
    return quick(op, (1, 0) if reflected else (0, 1))


forms[:] = [form, in_place_form]
