"""What is saved for backward, and how it is opened again."""

from __future__ import annotations

import sys
from typing import Any

from devtensor.autograd.mode import INFERENCE, MODE, Block, Mode, line_at, users_place
from devtensor.autograd.modes import no_grad
from devtensor.autograd.node import FREED, Call, Part, extra_of, tick
from devtensor.autograd.view import Owner, memory_of
from devtensor.dtype import HALVES, of
from devtensor.halves import half_plan
from devtensor.hooks import called, described
from devtensor.plan import packed as packed_classes
from devtensor.tensor import Constant, Tensor, wrap

REFUSED = (
    "Inference tensors cannot be saved for backward. Please make a clone to use it in autograd "
    "instead: {what} is an inference tensor of shape {shape}, which {node} would have to save"
)


class Packed:
    """A saved tensor that a user's hooks have put away."""

    __slots__ = ("content", "edge", "memory", "stamp", "unpack", "what")

    def __init__(self, tensor: Tensor, hooks: tuple[Any, Any], edge: Any) -> None:
        pack, self.unpack = hooks
        self.memory = memory_of(tensor)
        self.stamp = tick()
        self.edge = edge
        self.what = type_of(tensor)
        before = self.memory.version
        with no_grad(), without_hooks():
            self.content = pack(tensor)
        if self.memory.version != before:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook can not be modified by in-place operations as this can lead "
                "to unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook."
            )

    def stale(self, memory: Any) -> bool:
        """Whether a memory was written since, if that matters to the hooks."""
        return memory.stamp > self.stamp and not getattr(self.unpack, "copies", False)

    def open(self, node: Any) -> Tensor:
        """The tensor that the unpack hook gives."""
        if self.stale(self.memory):
            raise changed(node, self.what, self.memory, self.stamp)
        with no_grad(), without_hooks():
            tensor = called(self.unpack, node, self.content)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(tensor).__name__}: {described(self.unpack, node)}"
            )
        return tensor


packed_classes.append(Packed)


class without_hooks(Block):
    """Within it no hook is called for what is saved."""

    kind = "hooks"

    def __init__(self) -> None:
        super().__init__(None)


def type_of(tensor: Tensor) -> str:
    """A tensor's type and shape as PyTorch's messages have them."""
    name = "torch." if tensor._device.type == "cpu" else f"torch.{tensor._device.type}."
    return f"[{name}{tensor.dtype.legacy}Tensor {list(tensor._array.shape)}]"


def changed(node: Any, what: str, memory: Any, time: int) -> RuntimeError:
    """The error for a saved value that was overwritten."""
    extra = node.extra
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what}, is at version {memory.version}; expected version "
        f"{memory.version_at(time)} instead. Hint: enable anomaly detection to find the operation "
        "that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True). "
        f"{node.name()} saved it"
        + (f" at {extra.line}" if extra and extra.line else "")
        + f", and {memory.describe_writer()} wrote it; write out of place, or save a clone."
    )


def refuse_inference(op: Any, name: str, value: Any) -> None:
    """Raise RuntimeError if `value` is an inference tensor."""
    if isinstance(value, Tensor) and value.is_inference():
        raise RuntimeError(
            REFUSED.format(what=f"{name!r}", shape=list(value._array.shape), node=op.node)
        )


def record(op: Any, inputs: list[Any], params: Any, outs: Any, edges: list[Any], mode: Mode) -> Any:
    """Put a launch on the tape with just the values that the wanted rules name.

    Returns the node, or None if no gradient can be wanted.
    """
    plan = op.plan(tuple([edge is not None for edge in edges]))
    several = op.outputs is not None
    listed = outs if several else (outs,)
    tracked = [out for out in listed if out is not None and out.dtype.kind in ("float", "complex")]
    if plan is None or not tracked:
        return None
    if any(x is not None and of(x._array.dtype).kind == "complex" for x in (*inputs, *tracked)):
        plan = plan.for_complex()
    elif any(x is not None and of(x._array.dtype) in HALVES for x in inputs):
        plan = half_plan(plan)
    star = op.star
    links: list[Any] = [e for e, want in zip(edges, plan.wanted, strict=True) if want]
    values: list[Any] = []
    for name, place, part in plan.saves:
        if place < 0:
            value = listed[~place]
        elif place == star:
            value = tuple(inputs[star:])
        else:
            value = inputs[place] if place < len(inputs) else None
        if part:
            values.append(_described(value, part))
            continue
        for one in value if place == star else (value,):
            refuse_inference(op, name, one)
        values.append(value)
    shapes = [tuple(out._array.shape) if out is not None else () for out in listed]
    shape: Any = tuple(shapes) if several else shapes[0]
    node = Call.make(plan, (), shape, listed[0]._device, params)
    for index, out in enumerate(listed):
        if out is not None and out.dtype.kind in ("float", "complex"):
            out._node = Part(node, index, shapes[index]) if several else node
    for (_, place, part), value in zip(plan.saves, values, strict=True):
        if part or value is None:
            links.append(value)
        elif place == star:
            links.append(tuple([_kept(node, x, None, mode) for x in value]))
        else:
            links.append(_kept(node, value, ~place if place < 0 else None, mode))
    node.links = tuple(links)
    if mode.anomaly:
        extra_of(node).line = line_at(*users_place(2))
    return node


def _described(value: Any, part: str) -> Any:
    if isinstance(value, tuple):
        return tuple([_described(x, part) for x in value])
    if value is None:
        return None
    return tuple(value._array.shape) if part == "shape" else value._array.dtype


def _kept(node: Call, tensor: Any, output: int | None, mode: Mode) -> Any:
    """What the tape holds of a saved tensor: of an output the array, so that no cycle arises."""
    if not isinstance(tensor, Tensor) or tensor.__class__ is Constant:
        return tensor
    if isinstance(mode.hooks, tuple):
        seen = tensor
        if output is not None:
            seen = wrap(tensor._array, tensor._device)
            seen._alias = Owner(memory_of(tensor))
        return Packed(seen, mode.hooks, output)
    if output is None:
        return tensor
    if tensor._alias is not None or tensor._node is None:
        watch(node, output, tensor)
    return tensor._array


def watch(node: Call, output: int, tensor: Tensor) -> None:
    """Let a node know of writes to one of its outputs that it has saved.

    Outputs that are tracked lead to the node, so they tell it when their memory is first shared
    or written; others, as indices, must be watched from the start.
    """
    extra_of(node).memories.append((output, memory_of(tensor)))


def _output_check(node: Call) -> None:
    """Raise if an output that the node has saved was written since."""
    if node.extra is not None:
        for number, memory in node.extra.memories:
            if memory.stamp > node.clock:
                saved = zip(node.plan.saves, node.links[node.plan.edges :], strict=True)
                value = next(v for s, v in saved if s.place == ~number and not s.part)
                time = node.clock
                if value.__class__ is Packed:
                    if not value.stale(memory):
                        continue
                    what, time = value.what, value.stamp
                else:
                    what = type_of(wrap(value, node.device))
                raise changed(
                    node, f"{what}, which is output {number} of {node.name()}", memory, time
                )


def _checked(node: Call, tensor: Tensor) -> None:
    alias = tensor._alias
    if alias is not None and alias.memory.stamp > node.clock:
        what = type_of(tensor)
        if tensor._node is not None and tensor._node is not INFERENCE:
            index, source = tensor._node.index, tensor._node.node
            what += f", which is output {index} of {source.name()}"
        raise changed(node, what, alias.memory, node.clock)


def open_arrays(node: Call) -> list[Any]:
    """What a node has saved, as bare arrays."""
    plan = node.plan
    links: Any = node.links
    first = plan.edges
    if plan.saves and len(links) == first:
        raise RuntimeError(FREED)
    if node.extra is not None:
        _output_check(node)
    if plan.plain:
        opened = []
        for value in links[first:]:
            if isinstance(value, Tensor):
                alias = value._alias
                if alias is not None and alias.memory.stamp > node.clock:
                    _checked(node, value)
                opened.append(value._array)
            elif value.__class__ is Packed:
                opened.append(value.open(node)._array)
            else:
                opened.append(value)
        return opened
    return [_bare(node, value) for value in links[first:]]


def _bare(node: Call, value: Any) -> Any:
    if isinstance(value, Tensor):
        _checked(node, value)
        return value._array
    if value.__class__ is Packed:
        return value.open(node)._array
    if value.__class__ is tuple:
        return tuple([_bare(node, x) for x in value])
    return value


def open_tensors(node: Call) -> list[Any]:
    """What a node has saved, as tensors in their place in the graph."""
    return [open_saved(node, number) for number in range(len(node.plan.saves))]


def open_saved(node: Call, number: int) -> Any:
    """One of the things that a node has saved, as a tensor in its place in the graph."""
    plan = node.plan
    links: Any = node.links
    if len(links) == plan.edges:
        raise RuntimeError(FREED)
    _output_check(node)
    (_, place, part), value = plan.saves[number], links[plan.edges + number]
    if part:
        return _tensor_dtype(value) if part == "dtype" else value
    if isinstance(value, tuple):
        return tuple([_tensor(node, x, place + i) for i, x in enumerate(value)])
    return _tensor(node, value, place)


def _tensor_dtype(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple([_tensor_dtype(x) for x in value])
    return None if value is None else of(value)


def _tensor(node: Call, value: Any, place: int) -> Any:
    if value is None:
        return None
    if value.__class__ is Packed:
        tensor = value.open(node)
        if value.edge is not None:
            return _output(node, tensor._array, value.edge)
        # What comes back takes the place in the graph of what was put away.
        wanted = node.plan.wanted
        links: Any = node.links
        edge = links[sum(wanted[:place])] if wanted[place] else None
        return wrap(tensor._array, tensor._device, edge)
    if isinstance(value, Tensor):
        _checked(node, value)
        return value
    return _output(node, value, ~place) if place < 0 else value


def _output(node: Call, array: Any, index: int) -> Tensor:
    if of(array.dtype).kind not in ("float", "complex"):
        return wrap(array, node.device)
    if node.plan.op.outputs is None:
        return wrap(array, node.device, node)
    return wrap(array, node.device, Part(node, index, tuple(array.shape)))


class saved_tensors_hooks(Block):
    """Puts away what is saved for backward (``torch.autograd.graph.saved_tensors_hooks``).

    Parameters
    ----------
    pack_hook : callable
        Gets each tensor as it is saved, and returns any object to keep in its stead.
    unpack_hook : callable
        Gets that object, and returns the tensor, whenever it is needed.
    """

    kind = "hooks"

    def __init__(self, pack_hook: Any, unpack_hook: Any) -> None:
        super().__init__((pack_hook, unpack_hook))

    def __enter__(self) -> None:
        hooks = MODE.get().hooks
        if isinstance(hooks, str):
            raise RuntimeError(hooks)
        self._open(sys._getframe(1))


class disable_saved_tensors_hooks(Block):
    """Refuses hooks for saved tensors, with a message of your own.

    Parameters
    ----------
    error_message : str
    """

    kind = "hooks"

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)

    def __enter__(self) -> None:
        if isinstance(MODE.get().hooks, tuple):
            raise RuntimeError(self._value)
        self._open(sys._getframe(1))


class save_on_cpu(saved_tensors_hooks):
    """Keeps what is saved for backward in the host's memory.

    Parameters
    ----------
    pin_memory : bool
        Accepted and without effect: copies wait for their queue.
    device_type : str
        Accepted and without effect.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Any) -> Any:
            return tensor.device, tensor.detach().cpu().clone()

        def unpack(packed: Any) -> Any:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)
