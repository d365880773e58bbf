"""The states of generators where some tensors are, and what else ``torch.utils.checkpoint`` has.

All devices draw from one generator, so each of them has its state.
"""

from __future__ import annotations

import warnings
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


class DefaultDeviceType:
    """The kind of device whose states are kept where no tensor says it; that of the machine."""

    _kind: str | None = None

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Name the kind."""
        DefaultDeviceType._kind = device

    @staticmethod
    def get_device_type() -> str:
        """The kind that was named, or else that of the accelerator, if there is one."""
        if DefaultDeviceType._kind is None:
            found = dt.accelerator.current_accelerator(True)
            DefaultDeviceType._kind = "cpu" if found is None else found.type
        return DefaultDeviceType._kind


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among some arguments outside the graph; they want gradients as before.

    Raises
    ------
    RuntimeError
        If the arguments are no tuple.
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        [x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    )


def check_backward_validity(inputs: Any) -> None:
    """Warn if no tensor among some arguments wants a gradient."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )
