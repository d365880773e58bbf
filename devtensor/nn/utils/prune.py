"""Pruning: entries of parameters that are held at zero (``torch.nn.utils.prune``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import devtensor as dt
from devtensor.nn.utils._hooked import hooks, take_off
from devtensor.nn.utils._pruning import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
)
from devtensor.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Hold entries at zero that are chosen at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Hold the smallest entries at zero.

    Parameters
    ----------
    module : Module
    name : str
        The parameter's.
    amount : int or float
        The entries' number, or their share.
    importance_scores : Tensor, optional
        By these they are chosen, if given.
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Hold slices at zero that are chosen at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Any:
    """Hold the slices of the smallest norm at zero."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Hold at zero what a mask has as zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Choose entries among those of several parameters together.

    Parameters
    ----------
    parameters : iterable of (Module, str)
    pruning_method : type
        A method that chooses single entries.
    importance_scores : dict, optional
        Scores by (module, name).
    **kwargs
        What the method is made with.

    Raises
    ------
    TypeError
        If the parameters are no such pairs, or the method chooses slices.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    scores = [given.get((m, n), getattr(m, n)).detach().reshape(-1) for m, n in parameters]
    masks = [
        getattr(m, f"{n}_mask", dt.ones_like(getattr(m, n))).detach().reshape(-1)
        for m, n in parameters
    ]
    method = PruningContainer()
    method._tensor_name = "temp"
    one = pruning_method(**kwargs)
    one._tensor_name = "temp"
    if one.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {one.PRUNING_TYPE}"
        )
    method.add_pruning_method(one)
    final = method.compute_mask(dt.cat(scores), dt.cat(masks))
    start = 0
    for module, name in parameters:
        parameter = getattr(module, name)
        stop = start + parameter.numel()
        custom_from_mask(module, name, mask=final[start:stop].view_as(parameter))
        start = stop


def remove(module: Any, name: str) -> Any:
    """Make a pruned parameter an ordinary one; its zeros stay.

    Raises
    ------
    ValueError
        If it was not pruned.
    """
    text = f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    return take_off(module, BasePruningMethod, name, text)


def is_pruned(module: Any) -> bool:
    """Whether a parameter of a module, or of one inside it, is pruned."""
    return any(hooks(inner, BasePruningMethod) for inner in module.modules())
