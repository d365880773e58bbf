"""The one path of every operation: device, type, kernel, wrap, record.

This is the specification. `devtensor.fast` has the same for the common cases, without the
questions that they do not raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, Mode, current
from devtensor.autograd.saved import record
from devtensor.autograd.view import edge_of, viewed, viewed_each
from devtensor.device import device as Device
from devtensor.device import resolve
from devtensor.dtype import NUMBERS
from devtensor.expected import check_inputs
from devtensor.halves import half_kernel_for, kept_type
from devtensor.op import Op, catalogue
from devtensor.space import kernel_for, native, natives
from devtensor.tensor import Constant, Tensor, constant, wrap


def launch(op: Op, inputs: list[Any], params: dict[str, Any], device: Device | None = None) -> Any:
    """Run `op`, and put it on the tape if the mode says so and a gradient is wanted.

    Parameters
    ----------
    op : Op
    inputs : list
        Tensors and numbers, and what is absent as None; the star's already spread out.
    params : dict
        All parameters by name.
    device : device, optional
        Where to run; that of the inputs if not given.

    Raises
    ------
    RuntimeError
        If the inputs are on different devices, or an inference tensor would have to be saved.
    TypeError
        If an input is neither a tensor nor a number.
    """
    mode = current()
    if device is None:
        device = common_device(op, inputs)
    inputs = promote(op, inputs, device)
    arrays = [x._array if x is not None else None for x in inputs]
    edges = [edge_of(x) for x in inputs] if mode.recording and (op.rules or op.view) else []
    result = answer(op, inputs, arrays, params, device, mode)
    if op.outputs is None:
        outs: Any = made(result, device, mode)
    else:
        outs = [None if r is None else made(r, device, mode) for r in result]
    if op.view:
        view(op, outs, inputs[0], params, mode)
    node = None
    if op.rules and any(edge is not None for edge in edges):
        node = record(op, inputs, params, outs, edges, mode)
    for book in mode.ledgers:
        book.add(op, inputs, params, outs, node, mode)
    if op.outputs is None:
        return outs
    return op.packed(*outs) if op.packed is not list else tuple(outs)


def answer(
    op: Op, inputs: list[Any], arrays: list[Any], params: dict[str, Any], device: Device, mode: Mode
) -> Any:
    """What the kernel gives, or who is asked instead of it."""
    if mode.servers:
        return mode.servers[-1].serve(op, inputs, params, device)
    return run(op, arrays, params, device)


def run(op: Op, arrays: list[Any], params: dict[str, Any], device: Device) -> Any:
    """Call the kernel; if shapes do not broadcast, say so as PyTorch does."""
    halves = any([a is not None and dtypes.of(a.dtype) in dtypes.HALVES for a in arrays])
    kernel = half_kernel_for(op, device) if halves else kernel_for(op, device)
    try:
        return kernel(*arrays, **natives(params, device))
    except ValueError:  # a library on shapes
        if op.elementwise:
            broadcast([tuple(a.shape) for a in arrays if a is not None])
        raise
    except OverflowError as error:
        raise RuntimeError(
            f"value cannot be converted without overflow: {error} ({op.shown}() got {params})"
        ) from None


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape to which all broadcast.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    found: list[int] = []  # from the last dimension on
    for shape in shapes:
        found += [1] * (len(shape) - len(found))
        for i, n in enumerate(reversed(shape)):
            if n != found[i] and 1 not in (n, found[i]):
                raise RuntimeError(
                    f"The size of tensor a ({found[i]}) must match the size of tensor b ({n}) at "
                    f"non-singleton dimension {max(map(len, shapes)) - 1 - i}: shapes "
                    f"{', '.join(str(list(s)) for s in shapes)} do not broadcast"
                )
            if n != 1:
                found[i] = n
    return tuple(reversed(found))


def made(array: Any, device: Device, mode: Mode) -> Tensor:
    """A tensor around what a kernel returned."""
    backend = device.backend
    if array.__class__ is not backend.array_types[0]:
        array = backend.xp.asarray(array)
    return wrap(array, device, mode.edge)


def view(op: Op, outs: Any, source: Tensor, params: dict[str, Any], mode: Mode) -> None:
    """Record that the results look at the memory of an input, unless both are free of records."""
    if op.view == "maybe" and not source._device.backend.shares(outs._array, source._array):
        return
    several = op.outputs is not None
    if source.is_inference():
        for out in outs if several else (outs,):
            out._node = INFERENCE
        return
    made_in = mode.name
    if not several:
        outs._node = None
        viewed(outs, source, op, params, None, made_in)
        return
    for out in outs:
        out._node = None
    viewed_each(outs, source, op, params, made_in)


def common_device(op: Op, inputs: Sequence[Any]) -> Device:
    """The device of the inputs; a 0-d tensor of the host may join any other.

    Raises
    ------
    RuntimeError
        If there are several.
    """
    found: Device | None = None
    scalar: Device | None = None
    for x in inputs:
        if isinstance(x, Tensor):
            place = x._device
            if place.backend.host and not x._array.ndim:
                scalar = scalar or place
            elif found is None:
                found = place
            elif place is not found:
                found = joined(op, inputs, found, place)
    return found or scalar or resolve(None)


def joined(op: Op, inputs: Sequence[Any], one: Device, other: Device) -> Device:
    """Of two devices the one that is within a `vmap` over the other; RuntimeError if none is."""
    for outer, inner in ((one, other), (other, one)):
        if any(inner is place for place in outer.backend.within):
            return outer
    listed = ", ".join(f"{name!r} on {x._device}" for name, x in named_inputs(op, inputs))
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{one} and {other}! ({op.shown}() got {listed}; move them to one device with .to())"
    )


def named_inputs(op: Op, inputs: Sequence[Any]) -> list[tuple[str, Tensor]]:
    """The tensors among the inputs with their names."""
    names = [op.inputs[min(i, len(op.inputs) - 1)] for i in range(len(inputs))]
    return [(n, x) for n, x in zip(names, inputs, strict=True) if isinstance(x, Tensor)]


def promote(op: Op, inputs: list[Any], device: Device) -> list[Any]:
    """The inputs as tensors on one device, of one type if the operation asks for that."""
    check_inputs(op, inputs)
    if op.refuses is not None:
        op.refuses(*inputs)
    for i, x in enumerate(inputs):
        if x is not None and not isinstance(x, (Tensor, *NUMBERS)):
            inputs[i] = tensor_like(op, i, x, device)
    members = range(len(inputs))
    if op.among is not None:
        members = [i for i in members if op.inputs[i] in op.among]  # type: ignore[assignment]
    joined = [inputs[i] for i in members if inputs[i] is not None]
    as_they_are = op.promotes is None and all(isinstance(x, Tensor) for x in joined)
    target = None if as_they_are else target_of(op, joined)
    accept(op, joined, target)
    result: list[Any] = []
    for i, x in enumerate(inputs):
        if x is None:
            result.append(None)
            continue
        member = i in members and op.promotes is not None
        if not isinstance(x, Tensor):
            t = target if i in members and fits(x, target) else dtypes.of_number(x)
            assert t is not None
            t = kept_type(op, t)
            array = device.backend.array(x, native(t, device), device.index)
            result.append(constant(array, device))
            continue
        if x._device is not device:
            from devtensor.ops.convert import to_device  # operations are built on this file

            if (x := to_device(x, device))._device is not device:  # left where it was, in `vmap`
                raise x._device.refusal()
        if member and target is not None:
            lone = i == 1 == len(inputs) - 1 and not x._array.ndim and x.dtype.kind == "float"
            number = x.__class__ is Constant
            wanted = kept_type(op, target) if number or (lone and x.dtype is not target) else target
            if x.dtype is not wanted:
                x = catalogue["cast"].function(x, wanted)
        result.append(x)
    return result


def fits(number: Any, dtype: dtypes.dtype | None) -> bool:
    """Whether a number can take part as `dtype` without changing its category."""
    if dtype is None:
        return False
    order = ("bool", "int", "float", "complex")
    return order.index(dtypes.of_number(number).kind) <= order.index(dtype.kind)


def tensor_like(op: Op, place: int, value: Any, device: Device) -> Any:
    """A host array or scalar among the inputs as a tensor or number.

    Raises
    ------
    TypeError
        If it is none.
    """
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        return (
            value.item()
            if not value.shape
            else catalogue["constant"].function(value, device=device)
        )
    name = op.inputs[min(place, len(op.inputs) - 1)]
    raise TypeError(
        f"{op.shown}(): argument '{name}' (position {place + 1}) must be Tensor, "
        f"not {type(value).__name__}"
    )


def target_of(op: Op, inputs: Sequence[Any]) -> dtypes.dtype | None:
    """The type in which an operation on these inputs is computed, by PyTorch's rules."""
    target = common_dtype(inputs)
    if op.promotes == "float" and target is not None and target.kind in ("int", "bool"):
        target = dtypes.get_default_dtype()
    return target


def common_dtype(inputs: Sequence[Any]) -> dtypes.dtype | None:
    """The type that inputs have in common, by PyTorch's rules."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    numbers = [x for x in inputs if not isinstance(x, Tensor)]
    made = [x for x in tensors if x.__class__ is Constant]  # of numbers, by the quick forms
    if made and len(made) < len(tensors):
        tensors = [x for x in tensors if x.__class__ is not Constant]
        numbers += [{"int": 0, "float": 0.0, "complex": 0j}[x.dtype.kind] for x in made]
    return dtypes.common(
        [x.dtype for x in tensors if x._array.ndim],
        [x.dtype for x in tensors if not x._array.ndim],
        numbers,
    )


def accept(op: Op, inputs: Sequence[Any], target: dtypes.dtype | None) -> None:
    """Refuse types that the operation is not defined for.

    Raises
    ------
    NotImplementedError
        As PyTorch does; RuntimeError where it has a message of its own.
    """
    if op.accepts is None:
        return
    if op.promotes is None:
        found = [x.dtype for x in inputs if isinstance(x, Tensor)]
    else:
        found = [] if target is None else [target]
    for t in found:
        if t.kind not in op.accepts:
            if op.refusal is not None:
                raise RuntimeError(op.refusal)
            place = next((x._device.type for x in inputs if isinstance(x, Tensor)), "cpu")
            raise NotImplementedError(
                f"\"{op.name}_{place}\" not implemented for '{t.legacy}': {op.name}() takes "
                f"{' and '.join(op.accepts)} tensors; convert with .to()"
            )
