"""Let an optimizer work on other parameters for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.tensor import Tensor

from .optimizer import Optimizer

__all__ = ["swap_in_optimizer_params_and_state"]

NAME = "swap_in_optimizer_params_and_state"


def check_state(state: Any) -> dict[Any, Any]:
    """`state`, which must be as in a state dict."""
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{NAME} requires swapin_optim_state['state'] to be a dict mapping packed parameter "
            f"ids to per-param state dicts, got {type(state).__name__}."
        )
    if any(isinstance(key, Tensor) for key in state):
        raise RuntimeError(
            f"{NAME} requires optimizer.state_dict()-style state keyed by packed parameter ids."
        )
    if any(isinstance(key, int) and not isinstance(value, dict) for key, value in state.items()):
        raise RuntimeError(
            f"{NAME} requires per-parameter optimizer state entries to be dictionaries."
        )
    return state


def check_group(number: int, group: dict[str, Any], new: Any) -> list[int]:
    """The parameters' numbers in a group, which must be like the optimizer's own."""
    if not isinstance(new, dict):
        raise RuntimeError(f"{NAME} requires each optimizer param group to be a dictionary.")
    ids = new.get("params")
    if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
        raise RuntimeError(
            f"{NAME} requires optimizer.state_dict()-style param_groups[*]['params'] entries keyed "
            "by packed parameter ids."
        )
    if len(group["params"]) != len(ids):
        raise RuntimeError(
            f"swapin_optim_state param group {number} has a different number of params than the "
            "live optimizer param group."
        )
    if set(new) != set(group):
        raise RuntimeError(
            f"{NAME} requires optimizer.state_dict()-style param group keys to exactly match the "
            f"live optimizer group keys for group {number}. Keys only in swap-in: "
            f"{[key for key in new if key not in group]}. Keys only in live: "
            f"{[key for key in group if key not in new]}."
        )
    return ids


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Tensor],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """Let the optimizer work on other parameters, with another state, in a ``with`` block.

    Parameters
    ----------
    optimizer : Optimizer
        It must have made a step.
    swapin_parameters : dict
        Parameters in the order of the optimizer's groups.
    swapin_optim_state : dict
        As `state_dict` of an optimizer over them returns it.

    Raises
    ------
    RuntimeError
        If the groups, or what is in them, are not like the optimizer's.
    """
    if not optimizer.state:
        raise RuntimeError(f"{NAME} requires initialized optimizer state.")
    if not isinstance(swapin_optim_state, dict):
        raise RuntimeError(f"{NAME} requires a DCP-style optimizer state_dict.")
    state = check_state(swapin_optim_state.get("state"))
    groups = swapin_optim_state.get("param_groups")
    if not isinstance(groups, list):
        raise RuntimeError(
            f"{NAME} requires swapin_optim_state['param_groups'] to be a list of param-group "
            f"dicts, got {type(groups).__name__}."
        )
    if len(groups) != len(optimizer.param_groups):
        raise RuntimeError(
            "swapin_optim_state has a different number of parameter groups than the live optimizer."
        )
    ids = [
        check_group(number, group, new)
        for number, (group, new) in enumerate(zip(optimizer.param_groups, groups, strict=True))
    ]
    params = list(swapin_parameters.values())
    if sum(map(len, ids)) > len(params):
        raise RuntimeError(
            f"{NAME} requires the explicit parameter state to match optimizer.param_groups "
            "ordering."
        )
    known = {i for some in ids for i in some}
    extra = [key for key in state if key not in known]
    if extra:
        raise RuntimeError(
            f"{NAME} requires swapin_optim_state['state'] to be keyed only by packed parameter ids "
            f"from param_groups[*]['params']; got extra keys {extra!r}."
        )
    own_state, own_groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    try:
        optimizer.state = defaultdict(dict)
        rest = iter(params)
        for group, new, numbers in zip(optimizer.param_groups, groups, ids, strict=True):
            group.update(new)
            group["params"] = [next(rest) for _ in numbers]
            for p, i in zip(group["params"], numbers, strict=True):
                optimizer.state[p] = dict(state.get(i, {}))
        yield
    finally:
        for group, own in zip(optimizer.param_groups, own_groups, strict=True):
            group.clear()
            group.update(own)
        optimizer.state = own_state
