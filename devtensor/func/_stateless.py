"""Modules as functions by the older names, those of ``functorch``."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from devtensor.func._modules import functional_call, stack_module_state
from devtensor.nn.module import Module

__all__ = [
    "FunctionalModule",
    "FunctionalModuleWithBuffers",
    "combine_state_for_ensemble",
    "make_functional",
    "make_functional_with_buffers",
]


class FunctionalModule(Module):
    """A module that is called with its parameters first.

    Attributes
    ----------
    stateless_model : Module
    param_names : tuple of str
    """

    def __init__(self, stateless_model: Module, param_names: Sequence[str]) -> None:
        super().__init__()
        self.stateless_model, self.param_names = stateless_model, tuple(param_names)

    def forward(self, params: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """What the module gives with these parameters."""
        state = dict(zip(self.param_names, params, strict=True))
        return functional_call(self.stateless_model, state, args, kwargs)


class FunctionalModuleWithBuffers(Module):
    """A module that is called with its parameters and its buffers first.

    Attributes
    ----------
    stateless_model : Module
    param_names, buffer_names : tuple of str
    """

    def __init__(
        self, stateless_model: Module, param_names: Sequence[str], buffer_names: Sequence[str]
    ) -> None:
        super().__init__()
        self.stateless_model = stateless_model
        self.param_names, self.buffer_names = tuple(param_names), tuple(buffer_names)

    def forward(
        self, params: Sequence[Any], buffers: Sequence[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What the module gives with these parameters and buffers."""
        names = (*self.param_names, *self.buffer_names)
        state = dict(zip(names, (*params, *buffers), strict=True))
        return functional_call(self.stateless_model, state, args, kwargs)


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModuleWithBuffers, tuple[Any, ...], tuple[Any, ...]]:
    """A module as a function, its parameters and its buffers (``functorch``'s older way).

    Parameters
    ----------
    model : Module
        It is copied, and stays as it is.
    disable_autograd_tracking : bool
        Whether the parameters are detached.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.func._stateless import make_functional_with_buffers
    >>> norm = dt.nn.BatchNorm1d(2).eval()
    >>> function, params, buffers = make_functional_with_buffers(norm)
    >>> function([2 * p for p in params], buffers, dt.ones(1, 2)).shape
    torch.Size([1, 2])
    """
    own = deepcopy(model)
    params, buffers = dict(own.named_parameters()), dict(own.named_buffers())
    values = tuple([p.detach() if disable_autograd_tracking else p for p in params.values()])
    function = FunctionalModuleWithBuffers(own, tuple(params), tuple(buffers))
    return function, values, tuple(buffers.values())


def make_functional(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModule, tuple[Any, ...]]:
    """A module without buffers as a function, and its parameters.

    Raises
    ------
    RuntimeError
        If it has buffers.
    """
    if next(model.buffers(), None) is not None:
        raise RuntimeError(
            "make_functional(model): `model` has buffers. Please use "
            "make_functional_with_buffers(model) instead."
        )
    function, params, _ = make_functional_with_buffers(model, disable_autograd_tracking)
    return FunctionalModule(function.stateless_model, function.param_names), params


def combine_state_for_ensemble(
    models: Sequence[Module],
) -> tuple[FunctionalModuleWithBuffers, tuple[Any, ...], tuple[Any, ...]]:
    """Modules of one kind as one function, with their parameters and buffers stacked for `vmap`."""
    function, _, _ = make_functional_with_buffers(models[0])
    params, buffers = stack_module_state(list(models))
    return function, tuple(params.values()), tuple(buffers.values())
