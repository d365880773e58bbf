"""Values that are saved for backward may be overwritten: they are copied before they are."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from devtensor.autograd.mode import current
from devtensor.autograd.modes import no_grad
from devtensor.autograd.saved import saved_tensors_hooks, without_hooks
from devtensor.autograd.view import memory_of
from devtensor.ops.convert import clone
from devtensor.tensor import Tensor
from devtensor.watch import Watch

__all__ = ["allow_mutation_on_saved_tensors"]

Key = tuple[int, int, int]


class Handle:
    """Stands for one version of a tensor, as long as a node has saved it.

    Attributes
    ----------
    key : tuple of int
        Its memory, its place in that, and how often the memory had been written.
    """

    def __init__(self, key: Key) -> None:
        self.key = key


class Keeper(Watch):
    """What is saved in a block, and what of it was copied.

    Attributes
    ----------
    original, cloned : mapping
        The tensors that are as they were saved, and the copies of those that are not.
    """

    kind = "ledger"

    def __init__(self) -> None:
        super().__init__()
        self.original: MutableMapping[Handle, Tensor] = WeakKeyDictionary()
        self.cloned: MutableMapping[Handle, Tensor] = WeakKeyDictionary()
        self.tid_to_weakhandle: MutableMapping[Key, Handle] = WeakValueDictionary()
        self._within: dict[int, WeakSet[Handle]] = {}

    def pack(self, tensor: Tensor) -> Handle:
        """Keep a tensor; the same version of it once."""
        memory = memory_of(tensor)
        key = id(memory), id(tensor._array), memory.version
        handle = self.tid_to_weakhandle.get(key)
        if handle is None:
            handle = self.tid_to_weakhandle[key] = Handle(key)
            self.original[handle] = tensor
            self._within.setdefault(id(memory), WeakSet()).add(handle)
        return handle

    def unpack(self, handle: Handle) -> Tensor:
        """The tensor as it was saved."""
        found = self.cloned.get(handle)
        found = self.original.get(handle) if found is None else found
        if found is None or self not in current().ledgers:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
                "in which the graph was originally recorded."
            )
        return found

    def writes(self, target: Tensor) -> None:
        """Copy what is saved of a memory that is about to be written."""
        memory = memory_of(target)
        for handle in list(self._within.pop(id(memory), ())):
            with no_grad(), without_hooks():
                self.cloned[handle] = clone(self.original.pop(handle))
            self.tid_to_weakhandle.pop(handle.key, None)

    def clear(self) -> None:
        """Forget all."""
        for kept in (self.original, self.cloned, self.tid_to_weakhandle, self._within):
            kept.clear()


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[Keeper]:
    """Let tensors that are saved for backward be overwritten: they are copied before.

    The way back must run in the same block. See ``torch.autograd.graph``.

    Raises
    ------
    RuntimeError
        If such a block is open.

    Examples
    --------
    >>> import devtensor as dt
    >>> x = dt.ones(2, requires_grad=True)
    >>> with dt.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x * 3
    ...     out = (y * y).sum()
    ...     y = y.zero_()
    ...     out.backward()
    >>> x.grad
    tensor([18., 18.])
    """
    if any(isinstance(book, Keeper) for book in current().ledgers):
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    keeper = Keeper()

    def unpack(handle: Handle) -> Tensor:
        return keeper.unpack(handle)

    unpack.copies = True  # type: ignore[attr-defined]  # see `Packed.stale`
    with saved_tensors_hooks(keeper.pack, unpack), keeper:
        try:
            yield keeper
        finally:
            keeper.clear()
