"""Checkpoints that keep the results of some operations, and compute the others again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from typing import Any

from devtensor._ops import OpOverload, OpOverloadPacket
from devtensor.dispatch import TorchDispatchMode, popped

__all__ = [
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "create_selective_checkpoint_contexts",
]


class CheckpointPolicy(Enum):
    """Whether the result of an operation should be kept, or computed again."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


KEPT = {True, CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE}


class SelectiveCheckpointContext:
    """What a policy is told beside the operation."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


class Kept:
    """The result of an operation, and which version of it that was."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.seen: list[tuple[Any, int]] = []

    def take(self, changes_allowed: bool) -> Any:
        """The result; RuntimeError if it was written since."""
        if not changes_allowed and any(x._version != then for x, then in self.seen):
            raise RuntimeError(
                "Tensor cached during selective activation checkpoint has been mutated: use the "
                "form without underscore, or let the policy recompute what is written in place"
            )
        return self.value


RECOMPUTED = Kept(None)
CONSUMED = Kept(None)

Results = dict[Any, list[Kept]]
"""To each operation, what became of each of its calls."""


class FirstRun(TorchDispatchMode):
    """Asks the policy about each operation, and keeps what it says."""

    def __init__(self, policy: Callable[..., Any], results: Results) -> None:
        self.policy, self.results = policy, results
        self.last: Kept | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        context = SelectiveCheckpointContext(is_recompute=False, op_output=made)
        kept = self.policy(context, func, *args, **(kwargs or {})) in KEPT
        self.last = Kept(made) if kept else None
        self.results[func].append(self.last or RECOMPUTED)
        return made

    def add(
        self, op: Any, inputs: Any, params: Any, outs: Any, node: Any, mode: Any,
        written: bool = False,
    ) -> None:  # fmt: skip
        """Note which version of a result is kept."""
        if self.last is not None and not written:
            with popped():
                results = [x for x in (outs if isinstance(outs, list) else [outs]) if x is not None]
                self.last.seen = [(x.detach(), x._version) for x in results]
        self.last = None


class SecondRun(TorchDispatchMode):
    """Gives what was kept, and lets the rest be computed."""

    def __init__(self, results: Results, changes_allowed: bool) -> None:
        self.results, self.changes_allowed = results, changes_allowed
        self.calls: dict[Any, int] = {}

    def __enter__(self) -> Any:
        self.calls = defaultdict(int)
        return super().__enter__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        place, found = self.calls[func], self.results[func]
        self.calls[func] += 1
        if place >= len(found):
            raise RuntimeError(
                f"{func} invocation index {place} encountered during backward but not found in "
                "storage. This can happen if the operations in the checkpointed region are "
                "nondeterministic or depend on global state that changed between forward and "
                "backward."
            )
        if found[place] is CONSUMED:
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any "
                "region computed under selective activation checkpoint."
            )
        if found[place] is RECOMPUTED:
            return func(*args, **(kwargs or {}))
        kept, found[place] = found[place], CONSUMED
        return kept.take(self.changes_allowed)


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[TorchDispatchMode, TorchDispatchMode]:
    """Two contexts for `checkpoint`: what a policy keeps in the first run is not computed again.

    Parameters
    ----------
    policy_fn_or_list : callable or list of OpOverload
        Called as ``policy(context, operation, *args, **kwargs)`` after each operation of the first
        run, it returns a `CheckpointPolicy`, or a bool. Or the operations whose results are kept,
        such as ``torch.ops.aten.mm.default``.
    allow_cache_entry_mutation : bool
        Whether what was kept may be written in place before backward.

    Raises
    ------
    TypeError
        If the policy is neither.
    ValueError
        If something in the list is no form of an operation.

    Examples
    --------
    >>> from functools import partial
    >>> import devtensor as dt
    >>> from devtensor.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> x = dt.ones(2, 2, requires_grad=True)
    >>> products = partial(create_selective_checkpoint_contexts, [dt.ops.aten.mm.default])
    >>> y = checkpoint(lambda x: (x @ x).exp(), x, use_reentrant=False, context_fn=products)
    >>> y.sum().backward()  # which computes no product of the forward again
    >>> x.grad
    tensor([[29.5562, 29.5562],
            [29.5562, 29.5562]])
    """
    if isinstance(policy_fn_or_list, list):
        for one in policy_fn_or_list:
            if not isinstance(one, OpOverload):
                more = (
                    " Please update the OpOverloadPacket to a specific OpOverload. For example, if "
                    "you have `torch.ops.aten.mm`, change it to `torch.ops.aten.mm.default`."
                    if isinstance(one, OpOverloadPacket) else ""
                )  # fmt: skip
                raise ValueError(
                    f"Expected op in `op_list` to be an OpOverload but got: {one} of type "
                    f"{type(one)}.{more}"
                )

        def policy(context: Any, operation: Any, *args: Any, **kwargs: Any) -> bool:
            return operation in policy_fn_or_list

    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    results: Results = defaultdict(list)
    return FirstRun(policy, results), SecondRun(results, allow_cache_entry_mutation)
