"""Trades time for memory: what a part of a network saves for backward is computed again then."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import devtensor as dt
from devtensor.autograd import Function
from devtensor.autograd.engine import running
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.utils._device_states import DefaultDeviceType as DefaultDeviceType
from devtensor.utils._device_states import check_backward_validity as check_backward_validity
from devtensor.utils._device_states import detach_variable as detach_variable
from devtensor.utils._device_states import get_device_states as get_device_states
from devtensor.utils._device_states import set_device_states as set_device_states
from devtensor.utils._recomputed import CheckpointError, Listing, Note, Run, as_first
from devtensor.utils._selective import CheckpointPolicy as CheckpointPolicy
from devtensor.utils._selective import SelectiveCheckpointContext as SelectiveCheckpointContext
from devtensor.utils._selective import (
    create_selective_checkpoint_contexts as create_selective_checkpoint_contexts,
)

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
        walk = running()
        if walk is not None and walk.needed is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
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
