"""What programs say of the operations whose results a checkpoint should keep."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from typing import Any

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


class SelectiveCheckpointContext:
    """What a policy is told beside the operation."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """Two contexts that do nothing: all of a checkpoint is computed again, whatever the policy.

    Gradients are the same; only time and memory are others.

    Parameters
    ----------
    policy_fn_or_list : callable or list
        The policy, or the operations whose results must be kept.
    allow_cache_entry_mutation : bool
        Accepted.

    Raises
    ------
    TypeError
        If the policy is neither.
    """
    if not callable(policy_fn_or_list) and not isinstance(policy_fn_or_list, list):
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    return nullcontext(), nullcontext()
