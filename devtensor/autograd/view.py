"""Shared memory: who sees what, when it was written, and the history of views."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any

from devtensor.autograd.mode import INFERENCE, line_at, tell
from devtensor.autograd.node import Call, Leaf, Part, extra_of, tick
from devtensor.errors import UntrackedViewWarning
from devtensor.hooks import HookDict
from devtensor.space import kernel_for, natives
from devtensor.tensor import Tensor

RECENT = 64
_lock = Lock()


class Memory:
    """What all tensors over one memory share, also those that `detach` made.

    Attributes
    ----------
    version : int
        How often it was written.
    stamp : int
        When it was last written, by the clock of the nodes.
    stamps : deque
        When it was written lately.
    writer : tuple
        The operation that last wrote it, and where: a code object and an offset in it, or None.
    """

    __slots__ = ("stamp", "stamps", "version", "writer")

    def __init__(self) -> None:
        self.version = self.stamp = 0
        self.stamps: deque[int] = deque(maxlen=RECENT)
        self.writer: tuple[str, Any, int] = ("", None, 0)

    def written(self, name: str, code: Any = None, offset: int = 0) -> None:
        """Note a write."""
        self.version += 1
        self.stamp = stamp = tick()
        self.stamps.append(stamp)
        self.writer = name, code, offset

    def describe_writer(self) -> str:
        """The operation that last wrote it, and its line."""
        name, code, offset = self.writer
        return f"{name} at {line_at(code, offset)}" if code is not None else name

    def version_at(self, time: int) -> int:
        """How often it had been written at a time; exact for the last writes only."""
        return self.version - sum(stamp > time for stamp in self.stamps)


class Owner:
    """What a tensor that is no view has once its memory is shared or written.

    Attributes
    ----------
    memory : Memory
    rebased : int
        When a write last replaced its history, so that its views must look again.
    """

    __slots__ = ("memory", "rebased")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.rebased = 0

    def live(self, tensor: Tensor) -> Any:
        """The place of the tensor in the graph: what it says."""
        return tensor._node


class View:
    """How one tensor is seen through another.

    Attributes
    ----------
    first : Tensor
        The tensor that owned the memory when the view was made; see `base`.
    steps : tuple
        The view operations that lead from `base` here, each with its parameters and, if it has
        several results, the number of the result.
    memory : Memory
    made : str
        How it was made: ``"grad"``, and the writes that are refused otherwise: ``"no_grad"``,
        ``"inference"``, ``"several"`` for one of the results of an operation; and, of a user's
        Function, ``"function 0 Name"`` for its only result, ``"several 1 Name"`` for another.
    owner : Owner
        That of `base`.
    seen : int
        The `rebased` of the owner for which the tensor's own history is right.
    """

    __slots__ = ("first", "made", "memory", "owner", "seen", "steps")

    def __init__(self, base: Tensor, steps: tuple[Any, ...], owner: Owner, made: str) -> None:
        self.first, self.steps, self.made = base, steps, made
        self.owner, self.memory = owner, owner.memory
        self.seen = owner.rebased

    @property
    def base(self) -> Tensor:
        """The tensor that owns the memory; never itself a view."""
        first = self.first
        alias = first._alias  # a view if `turn` has made it one
        return alias.base if alias.__class__ is View else first

    @property
    def stale(self) -> bool:
        """Whether the base has another history than the tensor knows of."""
        return self.seen != self.owner.rebased

    def live(self, tensor: Tensor) -> Any:
        """The place of the view in the graph, taken anew from its base if that was written."""
        if self.seen != self.owner.rebased:
            self.replay(tensor)
        node = tensor._node
        if node is None and self.base._node is not None and self.base._node is not INFERENCE:
            return self.untracked(tensor)
        return node

    def untracked(self, tensor: Tensor) -> Any:
        """The place of a view taken unrecorded of a base that is tracked: a dead end."""
        if self.made in ("no_grad", "inference"):
            made = f"in {self.made} mode"
        elif isinstance(self.base._node, Leaf):
            made = "before its base required gradients"
        else:
            return None
        tell(
            f"a view of a tensor that requires gradients was made {made}, so no gradient reaches "
            "the base through it; take the view where recording is on, or call .detach() on it",
            UntrackedViewWarning,
        )
        return Leaf(tensor)

    def replay(self, tensor: Tensor) -> None:
        """Give the view the history that its base has now."""
        if self.made != "grad":
            raise RuntimeError(refusal(self, "its base or another view of its base has been"))
        base = self.base
        node, array, device = base._node, base._array, base._device
        if isinstance(node, Leaf) or node is INFERENCE:
            node = None
        for op, params, number in self.steps:
            shape = array.shape
            array = kernel_for(op, device)(array, **natives(params, device))
            if number is not None:
                array = array[number]
            if node is not None:
                plan = op.plan((True,))
                saved = [shape if s.part == "shape" else base._array.dtype for s in plan.saves]
                node = Call.make(plan, (node, *saved), array.shape, device, params)
        retain(tensor, tensor._node, node)
        tensor._node = node
        self.seen = self.owner.rebased


def retain(tensor: Tensor, before: Any, after: Any) -> None:
    """Let what `retain_grad` has hung there follow a tensor to its new place in the graph."""
    if tensor._rest is not None and tensor._rest.retains and before is not None:
        keep = extra_of(before.node).outputs.get(before.index, HookDict()).pop(-1, None)
        if keep is not None and after is not None:
            extra_of(after.node).outputs.setdefault(after.index, HookDict())[-1] = keep


SEVERAL = (
    "This view is the output of a function that returns multiple views. Such functions do not "
    "allow the output views to be modified inplace. You should replace the inplace operation by an "
    "out-of-place one."
)
CUSTOM = (
    "This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function."
)


def refusal(view: View, what: str) -> str:
    """Why a view cannot be written, or used after its memory was written."""
    kind, *place = view.made.split(" ", 2)
    if kind in ("several", "function"):
        if not place:
            op, _, index = next(step for step in reversed(view.steps) if step[2] is not None)
            place = [str(index), op.node.removesuffix("Backward0")]
        text = f"Output {place[0]} of {place[1]} is a view and {what} modified inplace. "
        text += SEVERAL if kind == "several" else CUSTOM
    else:
        made = view.made
        where = "with grad mode enabled" if made == "no_grad" else "in normal mode"
        text = (
            f"A view was created in {made} mode and {what} modified inplace {where}. Given that "
            "this use case is ambiguous and error-prone, it is forbidden. You can clarify your "
            "code by moving both the view and the inplace either both inside the "
            f"{made} block (if you don't want the inplace to be tracked) or both outside (if you "
            "want the inplace to be tracked)."
        )
    return text


def owner_of(tensor: Tensor) -> Owner:
    """What a tensor that is no view has of its memory; made at the first need."""
    owner = tensor._alias
    if owner is None:
        with _lock:  # two threads must not make two
            owner = tensor._alias
            if owner is not None:
                return owner
            owner = tensor._alias = Owner(Memory())
        node = tensor._node
        if node is not None and node is not INFERENCE:
            source = node.node
            if isinstance(source, Call) and source.plan.outs:
                index = node.index
                if any(s.place == ~index and not s.part for s in source.plan.saves):
                    extra_of(source).memories.append((index, owner.memory))
    return owner


def memory_of(tensor: Tensor) -> Memory:
    """What the tensors over this memory share; made at the first need."""
    alias = tensor._alias
    memory: Memory = owner_of(tensor).memory if alias is None else alias.memory
    return memory


def live(tensor: Tensor) -> Any:
    """The place of a tensor in the graph: a node, a part of one, INFERENCE or None."""
    alias = tensor._alias
    return tensor._node if alias is None else alias.live(tensor)


def is_leaf(tensor: Tensor) -> bool:
    """Whether no recorded operation made the tensor."""
    node = live(tensor) if tensor._alias.__class__ is not View else tensor._node
    return not isinstance(node, (Call, Part)) and (
        node is None or node is INFERENCE or not node.edges()
    )


def edge_of(value: Any) -> Any:
    """Where a launch's gradient for an input goes; None if nowhere."""
    if not isinstance(value, Tensor):
        return None
    alias = value._alias
    node = value._node if alias is None else alias.live(value)
    return None if node is INFERENCE else node


def viewed(
    out: Tensor, source: Tensor, op: Any, params: Any, number: int | None, mode: str
) -> None:
    """Record that `out` is a view of `source`."""
    alias = source._alias
    step = (op, params, number)
    made = mode if mode != "grad" else "grad" if number is None else "several"
    if alias.__class__ is View:
        made = made if made != "grad" else alias.made
        out._alias = View(alias.base, (*alias.steps, step), alias.owner, made)
    else:
        out._alias = View(source, (step,), owner_of(source) if alias is None else alias, made)


def viewed_each(outs: Sequence[Tensor], source: Tensor, op: Any, params: Any, mode: str) -> None:
    """The same for all results of one operation."""
    alias = source._alias
    made = mode if mode != "grad" else "several"
    base, steps, owner = source, (), alias
    if alias.__class__ is View:
        base, steps, owner = alias.base, alias.steps, alias.owner
    elif alias is None:
        owner = owner_of(source)
    for number, out in enumerate(outs):
        out._alias = View(base, (*steps, (op, params, number)), owner, made)


def requires_grad(tensor: Tensor) -> bool:
    """Whether gradients are wanted for a tensor; an untracked view says what its base says."""
    alias = tensor._alias
    node = tensor._node
    if alias.__class__ is View:
        if alias.stale and alias.made == "grad":
            node = alias.live(tensor)
        if node is None:
            return requires_grad(alias.base)
    return node is not None and node is not INFERENCE
