"""What one node holds of one tensor, for those who look at it or put it away themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.autograd.node import FREED, Call
from devtensor.autograd.saved import Packed, open_saved
from devtensor.tensor import Constant, Tensor, wrap

__all__ = ["SavedTensor", "attribute"]


def attribute(node: Call, name: str) -> Any:
    """What a node has saved under the name that PyTorch gives it, as ``_saved_self``.

    Parameters of the call are there, too, and operands that were numbers are numbers.
    """
    if name.startswith("_raw_saved_"):
        return held_by(node, name.removeprefix("_raw_saved_"))
    if not name.startswith("_saved_"):
        raise AttributeError(f"{node.plan.op.node!r} object has no attribute {name!r}")
    shown = name.removeprefix("_saved_")
    if shown in node.params:
        return node.params[shown]
    number = place_saved(node, shown)
    value = None if number is None else open_saved(node, number)
    return value.item() if value.__class__ is Constant else value


def place_saved(node: Call, shown: str) -> int | None:
    """Where among what a node saves a value is; None for one that it does not need.

    Raises
    ------
    AttributeError
        If it is neither an input nor a result.
    """
    plan, inputs = node.plan, node.plan.op.inputs
    wanted = {"self": inputs[0] if inputs else "", "result": "out"}.get(shown, shown)
    places = {save.name: number for number, save in enumerate(plan.saves) if not save.part}
    if wanted in places:
        return places[wanted]
    if wanted in (*inputs, "out"):
        return None
    raise AttributeError(
        f"{plan.op.node!r} object has no attribute '_saved_{shown}': it saves {[*places]}"
    )


class SavedTensor:
    """A tensor that a node has saved, as ``node._raw_saved_self``.

    Parameters
    ----------
    read : callable
        What the node holds now; raises RuntimeError once it is freed.
    write : callable
        Lets the node hold something else.
    open : callable
        The tensor in its place in the graph.
    """

    def __init__(
        self, read: Callable[[], Any], write: Callable[[Any], None], open: Callable[[], Any]
    ) -> None:
        self._read, self._write, self._open = read, write, open

    @property
    def data(self) -> Any:
        """What is held: a tensor, or what hooks have made of it."""
        value = self._read()
        return value.content if value.__class__ is Packed else value

    @property
    def unpack_hook(self) -> Any:
        """The hook that makes a tensor of it again; None without hooks."""
        value = self._read()
        return value.unpack if value.__class__ is Packed else None

    def unpack(self) -> Any:
        """The tensor in its place in the graph."""
        return self._open()

    def register_hooks(self, pack_hook: Any = None, unpack_hook: Any = None) -> None:
        """Put the tensor away at once.

        Parameters
        ----------
        pack_hook : callable
            Gets the tensor, and returns any object to keep in its stead.
        unpack_hook : callable
            Gets that object, and returns the tensor, whenever it is needed.

        Raises
        ------
        TypeError
            If one is not callable.
        RuntimeError
            If there is no tensor, it was freed, it has hooks, or `pack_hook` writes to it.
        """
        for name, hook in (("pack_hook", pack_hook), ("unpack_hook", unpack_hook)):
            if not callable(hook):
                raise TypeError(
                    "register_hooks(): incompatible function arguments: "
                    f"{name} must be callable, not {type(hook).__name__}"
                )
        try:
            value = self._read()
        except RuntimeError:
            text = "Calling register_hooks on a saved tensor after it has been freed. "
            raise RuntimeError(text + FREED.partition(". ")[2]) from None
        if value is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor with value None is forbidden"
            )
        if value.__class__ is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. "
                "Hint: only one pair of hooks is allowed at a time."
            )
        self._write((pack_hook, unpack_hook))


def held_by(node: Call, name: str) -> Any:
    """What a node holds under a name, as `SavedTensor`; a tuple of them for several tensors.

    Raises
    ------
    AttributeError
        If it saves nothing of that name.
    """
    place = place_saved(node, name)
    if place is None:
        return SavedTensor(lambda: None, lambda value: None, lambda: None)
    if node.plan.saves[place].place == node.plan.op.star:
        return tuple([saved_tensor(node, place, part) for part in range(len(read(node, place)))])
    return saved_tensor(node, place)


def read(node: Call, place: int) -> Any:
    """What a node holds at a place."""
    links: Any = node.links
    if len(links) == node.plan.edges:
        raise RuntimeError(FREED)
    return links[node.plan.edges + place]


def saved_tensor(node: Call, place: int, part: int | None = None) -> SavedTensor:
    """What a node holds at a place, or of the group that it holds there."""

    def held() -> Any:
        value = read(node, place)
        value = value if part is None else value[part]
        if value is None or isinstance(value, (Tensor, Packed)):
            return value
        return wrap(value, node.device)

    def put(hooks: tuple[Any, Any]) -> None:
        save = node.plan.saves[place]
        packed: Any = Packed(held(), hooks, ~save.place if save.place < 0 else None)
        links: Any = node.links
        if part is not None:
            group = links[node.plan.edges + place]
            packed = (*group[:part], packed, *group[part + 1 :])
        at = node.plan.edges + place
        node.links = (*links[:at], packed, *links[at + 1 :])

    def opened() -> Any:
        value = open_saved(node, place)
        return value if part is None else value[part]

    return SavedTensor(held, put, opened)
