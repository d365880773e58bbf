"""Calling a module with other parameters, by its older name; see `devtensor.func`."""

from __future__ import annotations

import warnings
from typing import Any

__all__ = ["functional_call"]


def _reparametrize_module(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
) -> Any:
    """A block in which a module holds other tensors."""
    from devtensor.func._modules import exchanged

    return exchanged(module, parameters_and_buffers, tie_weights, strict)


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in the place of its parameters and buffers.

    Parameters
    ----------
    module : Module
    parameters_and_buffers : dict
        Tensors by dotted name.
    args, kwargs
        What the module is called with.
    tie_weights, strict : bool
        See `devtensor.func.functional_call`, which is the newer name.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be "
        "removed in a future version of PyTorch. Please use `torch.func.functional_call` instead "
        "which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    from devtensor.func import functional_call as call

    return call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
