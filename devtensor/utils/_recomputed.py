"""What a checkpoint keeps of a function's first run, and how its second run fills it in.

A hook takes everything that is saved, and keeps only a note of its shape.
The first note that backward opens makes the function run once more; the hook of that run fills in
the values of all notes that are still held.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import devtensor as dt
from devtensor.amp.autocast_mode import blocks_here
from devtensor.autograd import Function
from devtensor.autograd.engine import running
from devtensor.autograd.graph import saved_tensors_hooks


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not compute what the first one did."""


class Enough(BaseException):
    """Ends a second run that has computed all that is needed.

    No Exception, so that an ``except Exception`` in the user's function lets it pass.
    """


class Note:
    """Stands for one saved tensor; the second run fills in its value.

    Attributes
    ----------
    value : Tensor or None
    walk : object
        The backward pass for which the value was computed.
    """

    __slots__ = ("__weakref__", "value", "walk")

    def __init__(self) -> None:
        self.value: Any = None
        self.walk: Any = None


class KeptInputs(Function):
    """Saves the inputs of a checkpoint as any operation saves its own.

    So they are checked for writing in place, and an outer checkpoint computes them again.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Any, *tensors: Any) -> Any:
        ctx.save_for_backward(*tensors)
        return anchor.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise AssertionError("nothing is computed from the anchor")


class Run:
    """One checkpointed call: how to run it again, and the notes of its first run.

    Parameters
    ----------
    again : callable
        Runs the function on its arguments as the first time.
    args : sequence
        Its arguments.
    early_stop : bool
    compare : bool
        Whether the values of the second run must look like those of the first.
    """

    def __init__(
        self, again: Callable[..., Any], args: Sequence[Any], early_stop: bool, compare: bool
    ) -> None:
        self.again, self.early_stop, self.compare = again, early_stop, compare
        self.notes: list[weakref.ref[Note]] = []
        self.looks: list[Any] = []
        self.complete = False
        self.others = [None if isinstance(x, dt.Tensor) else x for x in args]
        self.places = [i for i, x in enumerate(args) if isinstance(x, dt.Tensor)]
        self.tracked = [args[i].requires_grad for i in self.places]
        anchor = dt.empty(0, requires_grad=True)
        self.inputs: Any = KeptInputs.apply(anchor, *(args[i] for i in self.places)).grad_fn

    def arguments(self) -> list[Any]:
        """The arguments of the first run."""
        found = list(self.others)
        opened = self.inputs.saved_tensors
        for place, tensor, tracked in zip(self.places, opened, self.tracked, strict=True):
            # What an outer hook gives back may have lost its place in the graph.
            again = tracked and not tensor.requires_grad
            found[place] = tensor.detach().requires_grad_() if again else tensor
        return found

    def pack(self, tensor: Any) -> Note:
        """Keep a note instead of a tensor."""
        note = Note()
        self.notes.append(weakref.ref(note))
        self.looks.append(look_of(tensor))
        return note

    def unpack(self, note: Note) -> Any:
        """The tensor that a note stands for."""
        walk = running()
        if note.value is None or note.walk is not walk or walk is None:
            self.fill(walk)
        value, note.value, note.walk = note.value, None, None
        return value

    def fill(self, walk: Any) -> None:
        """Run the function again, and give the notes their values."""
        count = 0
        unequal: list[tuple[int, Any, Any]] = []

        def pack(tensor: Any) -> Any:
            nonlocal count
            place, count = count, count + 1
            tensor = tensor.detach()
            if place >= len(self.notes):
                if self.complete:
                    raise CheckpointError(
                        "checkpoint: trying to save more tensors during recomputation than during "
                        f"the original forward pass, which saved {len(self.notes)}"
                    )
                return tensor  # a backward pass within the function, before its first run ended
            note = self.notes[place]()
            if note is not None:
                note.value, note.walk = tensor, walk
                if look_of(tensor) != self.looks[place]:
                    unequal.append((place, self.looks[place], look_of(tensor)))
            if self.early_stop and count == len(self.notes):
                raise Enough
            return tensor

        try:
            arguments = self.arguments()
            with dt.inference_mode(False), dt.enable_grad(), saved_tensors_hooks(pack, lambda x: x):
                self.again(*arguments)
        except Enough:
            pass
        if count < len(self.notes):
            raise CheckpointError(
                "checkpoint: A different number of tensors was saved during the original forward "
                f"and recomputation.\nNumber of tensors saved during forward: {len(self.notes)}\n"
                f"Number of tensors saved during recomputation: {count}."
            )
        if unequal and self.compare:
            lines = "".join(
                f"tensor at position {place}:\nsaved metadata: {then}\nrecomputed metadata: {now}\n"
                for place, then, now in unequal
            )
            raise CheckpointError(
                "checkpoint: Recomputed values for the following tensors have different metadata "
                f"than during the forward pass.\n{lines}"
            )


def look_of(tensor: Any) -> dict[str, Any]:
    """What must be the same in both runs."""
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


def as_first(
    function: Callable[..., Any], preserve: bool, context: AbstractContextManager[Any]
) -> Callable[..., Any]:
    """`function`, to be run again later with the random numbers, device and precision of now."""
    state = dt.get_rng_state() if preserve else None
    place = dt.get_default_device()
    precision = blocks_here()

    def again(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            stack.enter_context(place)
            for block in precision:
                stack.enter_context(block)
            if state is not None:
                stack.enter_context(dt.random.fork_rng())
                dt.set_rng_state(state)
            stack.enter_context(context)
            return function(*args, **kwargs)

    return again


class Listing:
    """The ledgers of both runs, for the error of a checkpoint that is being debugged."""

    def __init__(self) -> None:
        self.first, self.second = dt.ledger(), dt.ledger()

    def error(self, error: CheckpointError) -> CheckpointError:
        """The error with both lists in front."""
        return CheckpointError(
            f"Operations of the original forward:\n{self.first}\n\n"
            f"Operations of the recomputation:\n{self.second}\n\n{error}"
        )
