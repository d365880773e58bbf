"""Trades time for memory: what a part of a network saves for backward is computed again then.

Within :func:`checkpoint` a hook takes everything that is saved, and keeps only a note of its shape.
The first note that backward opens makes the function run once more; the hook of that run fills in
the values of all notes that are still held.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import FrameType
from typing import Any

import devtensor as dt
from devtensor.amp.autocast_mode import blocks_here
from devtensor.autograd import Function
from devtensor.autograd.engine import Walk
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.utils._device_states import get_device_states as get_device_states
from devtensor.utils._device_states import set_device_states as set_device_states

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not compute what the first one did."""


class Enough(BaseException):
    """Ends a second run that has computed all that is needed.

    No Exception, so that an ``except Exception`` in the user's function lets it pass.
    """


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing, for the first and the second run."""
    return nullcontext(), nullcontext()


_forced: dict[str, bool | None] = {"early_stop": None, "debug": None}


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Say for all checkpoints made inside whether a second run ends once it has all it needs."""
    yield from _forcing("early_stop", enable)


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Say for all checkpoints made inside whether their errors list the operations of both runs."""
    yield from _forcing("debug", enabled)


def _forcing(name: str, value: bool | None) -> Iterator[None]:
    before, _forced[name] = _forced[name], value
    try:
        yield
    finally:
        _forced[name] = before


# ---- what is kept


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
        walk = walk_in_progress()
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


def walk_in_progress() -> Walk | None:
    """The backward pass that is under way in this thread; None outside of one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is Walk.run.__code__:
            walk: Walk = frame.f_locals["self"]
            return walk
        frame = frame.f_back
    return None


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


# ---- the second variant, which runs backward within backward


class CheckpointFunction(Function):
    """Runs a function unrecorded, and records it in backward."""

    @staticmethod
    def forward(ctx: Any, function: Any, preserve: bool, *args: Any) -> Any:
        if not any(isinstance(x, dt.Tensor) and x.requires_grad for x in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.again = as_first(function, preserve, nullcontext())
        ctx.others = [None if isinstance(x, dt.Tensor) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, dt.Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        walk = walk_in_progress()
        if walk is not None and walk.needed is not None:
            raise RuntimeError(
                "When use_reentrant=True, checkpoint is incompatible with .grad() or passing an "
                "`inputs` parameter to .backward(). To resolve this error, you can either set "
                "use_reentrant=False, or call .backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[place] = tensor.detach()
            if tensor.requires_grad:
                inputs[place].requires_grad_()
        with dt.inference_mode(False), dt.enable_grad():
            outputs = ctx.again(*inputs)
        pairs = [
            (out, g)
            for out, g in zip(as_tuple(outputs), gradients, strict=True)
            if isinstance(out, dt.Tensor) and out.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        dt.autograd.backward([out for out, _ in pairs], [g for _, g in pairs])
        return None, None, *(x.grad if isinstance(x, dt.Tensor) else None for x in inputs)


def as_tuple(value: Any) -> tuple[Any, ...]:
    """One thing or several as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


# ---- what users call

ADVICE = (
    "the use_reentrant parameter should be passed explicitly. use_reentrant=False is recommended, "
    "but if you need to preserve the current default behavior, you can pass use_reentrant=True"
)
CHECKS = ("default", "none")


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function without keeping what its backward needs (``torch.utils.checkpoint``).

    Backward runs the function a second time. Its random numbers are then the same as in the first.

    Parameters
    ----------
    function : callable
        Must compute the same from the same arguments.
    *args, **kwargs
        Its arguments; keyword arguments only without `use_reentrant`.
    use_reentrant : bool
        Pass False. True selects the older variant: its first run is unrecorded, it knows only
        gradients of its positional arguments, and it refuses ``autograd.grad``.
    preserve_rng_state : bool
        Whether the second run draws the same random numbers; True by default.
    context_fn : callable, optional
        Gives two contexts, for the first and the second run.
    determinism_check : {"default", "none"}
        Whether shapes, types and devices of both runs are compared.
    debug : bool
        Whether an error lists the operations of both runs.
    early_stop : bool
        Whether the second run ends once it has all that backward needs.

    Returns
    -------
    object
        What `function` returns.

    Raises
    ------
    CheckpointError
        In backward, if the second run saves other tensors than the first.
    ValueError
        If an argument is unknown, or does not go with `use_reentrant`.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.checkpoint import checkpoint
    >>> x = dt.ones(3, requires_grad=True)
    >>> y = checkpoint(lambda t: (t * t).exp(), x, use_reentrant=False)
    >>> y.sum().backward()
    >>> x.grad
    tensor([5.4366, 5.4366, 5.4366])
    """
    if use_reentrant is None:
        warnings.warn(f"checkpoint: {ADVICE}.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in CHECKS:
        raise ValueError(
            f"determinism_check should be one of {list(CHECKS)}, but got {determinism_check}"
        )
    listing = None
    if debug if _forced["debug"] is None else _forced["debug"]:
        if context_fn is not noop_context_fn:
            raise ValueError("debug=True is incompatible with non-default context_fn")
        listing = Listing()
    first, second = context_fn() if listing is None else (listing.first, listing.second)
    if not dt.is_grad_enabled() or dt.is_inference_mode_enabled():
        return function(*args, **kwargs)
    stop = early_stop if _forced["early_stop"] is None else _forced["early_stop"]
    again = as_first(function, preserve, second)
    run = Run(lambda *a: again(*a, **kwargs), args, stop, determinism_check == "default")

    def unpack(note: Note) -> Any:
        try:
            return run.unpack(note)
        except CheckpointError as error:
            if listing is None:
                raise
            raise listing.error(error) from error

    done = False
    with saved_tensors_hooks(run.pack, unpack), first:
        result = function(*args, **kwargs)
        done = True
    if not done:
        raise RuntimeError(
            "checkpoint: the forward context provided by context_fn suppressed an exception raised "
            "during the checkpointed forward. This is not supported because checkpoint cannot "
            "return a value for a failed forward."
        )
    run.complete = True
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Call functions one after the other, checkpointing them in groups but for the last group.

    Parameters
    ----------
    functions : Sequential or sequence of callables
    segments : int
        How many groups.
    input : Tensor
        What the first function gets.
    use_reentrant, preserve_rng_state
        As in :func:`checkpoint`.

    Returns
    -------
    Tensor
        What the last function returns.
    """
    if use_reentrant is None:
        warnings.warn(f"checkpoint_sequential: {ADVICE}.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = (
        list(functions.children()) if isinstance(functions, dt.nn.Sequential) else list(functions)
    )
    size = len(steps) // segments
    if size == 0 and segments > 1:
        raise ValueError(
            f"checkpoint_sequential: {len(steps)} functions make no {segments} segments"
        )

    def through(some: Sequence[Any]) -> Callable[[Any], Any]:
        def call(x: Any) -> Any:
            for step in some:
                x = step(x)
            return x

        return call

    last = size * (segments - 1)
    for start in range(0, last, size or 1):
        group = through(steps[start : start + size])
        input = checkpoint(group, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return through(steps[last:])(input)
