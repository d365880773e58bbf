"""The states of generators where some tensors are, as ``torch.utils.checkpoint`` gives them.

All devices draw from one generator, so each of them has its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor
from devtensor.utils._pytree import tree_leaves


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """The numbers of the accelerators on which tensors are, and the state of each.

    Parameters
    ----------
    *args : object
        Tensors, at any depth of lists, tuples and dictionaries; those on the cpu do not count.
    """
    tensors = [one for one in tree_leaves(args) if isinstance(one, Tensor)]
    numbers = [one.get_device() for one in tensors if one.device.type != "cpu"]
    return numbers, [dt.get_rng_state() for _ in numbers]


def set_device_states(
    devices: Sequence[int], states: Sequence[Tensor], *, device_type: str | None = None
) -> None:
    """Set the states that `get_device_states` gave.

    Parameters
    ----------
    devices : sequence of int
    states : sequence of Tensor
    device_type : str, optional
        Without effect: one generator serves all.
    """
    for _, state in zip(devices, states, strict=False):
        dt.set_rng_state(state)
