"""Modules as functions of their parameters: calls with others, and stacks of those of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import devtensor as dt
from devtensor.nn.batchnorm import BatchNorm
from devtensor.tensor import Tensor

__all__ = ["functional_call", "replace_all_batch_norm_modules_", "stack_module_state"]


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
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
    parameter_and_buffer_dicts : dict or sequence of dict
        Tensors by dotted name. What is not named stays. A buffer that the module replaces, as
        batch normalization its count, is replaced in the dictionary.
    args : object or tuple
        The positional arguments; a single one need not be in a tuple.
    kwargs : dict, optional
    tie_weights : bool
        Whether a tensor also takes the places at which the module holds the same parameter.
    strict : bool
        Whether the names must be those of all parameters and buffers.

    Returns
    -------
    object
        What the module returns.

    Raises
    ------
    ValueError
        If the dictionaries are none, a name is in several, or tied names have different tensors.
    TypeError
        If something in them is no Tensor.
    RuntimeError
        If `strict` is true and names are missing or unknown.

    Notes
    -----
    PyTorch's ``torch.func.functional_call``.

    Examples
    --------
    >>> import devtensor as dt
    >>> layer = dt.nn.Linear(2, 1, bias=False)
    >>> dt.func.functional_call(layer, {"weight": dt.ones(1, 2)}, dt.ones(3, 2)).squeeze()
    tensor([2., 2., 2.])
    """
    given = one_dictionary(parameter_and_buffer_dicts)
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with exchanged(module, given, tie_weights, strict):
        return module(*arguments, **(kwargs or {}))


def one_dictionary(given: Any) -> dict[str, Any]:
    """One or several dictionaries as one."""
    if isinstance(given, dict):
        return given
    if not (isinstance(given, Sequence) and all(isinstance(part, dict) for part in given)):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(given)}"
        )
    names = [name for part in given for name in part]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
            "ambiguous"
        )
    return {name: value for part in given for name, value in part.items()}


def places(module: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """For each dotted name the dictionary in which a module keeps the tensor, and its key there."""
    found = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for shelf in (part._parameters, part._buffers):
            for name, value in shelf.items():
                if value is not None:
                    found[f"{path}.{name}" if path else name] = shelf, name
    return found


@contextmanager
def exchanged(module: Any, given: dict[str, Any], tie: bool, strict: bool) -> Iterator[None]:
    """Within the block a module holds other tensors."""
    known = places(module)
    for value in given.values():
        if not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    missing = [name for name in known if name not in given]
    unknown = [name for name in given if name not in known]
    if strict and (missing or unknown):
        listed = [
            f"\n\t{kind} key(s): {', '.join(map(repr, names))}."
            for kind, names in (("Missing", missing), ("Unexpected", unknown))
            if names
        ]
        raise RuntimeError(
            f"Error(s) in reparametrizing for {type(module).__name__}:{''.join(listed)}"
        )
    wanted = {name: value for name, value in given.items() if name in known}
    if tie:
        wanted = tied(known, wanted)
    before = {name: known[name][0][known[name][1]] for name in wanted}
    try:
        for name, value in wanted.items():
            shelf, key = known[name]
            shelf[key] = value
        yield
    finally:
        for name, value in before.items():
            shelf, key = known[name]
            if name in given:
                given[name] = shelf[key]
            shelf[key] = value


def tied(known: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The exchange, with all names of a tensor that has several.

    Raises
    ------
    ValueError
        If such names are given different tensors.
    """
    groups: dict[int, list[str]] = {}
    for name, (shelf, key) in known.items():
        groups.setdefault(id(shelf[key]), []).append(name)
    found = dict(wanted)
    for names in groups.values():
        named = [name for name in names if name in wanted]
        if len({id(wanted[name]) for name in named}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {named}, which are tied. Consider "
                "using tie_weights=False"
            )
        if named:
            found.update(dict.fromkeys(names, wanted[named[0]]))
    return found


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Stack the parameters and buffers of modules of one kind, for an ensemble under `vmap`.

    Parameters
    ----------
    models : sequence of Module

    Returns
    -------
    (params, buffers)
        Two dictionaries of Tensors by name, each with a first dimension that counts the modules.
        The stacked parameters are leaves that require gradients where the modules' do.

    Raises
    ------
    RuntimeError
        If there is no module, or they differ in class or mode.

    Notes
    -----
    PyTorch's ``torch.func.stack_module_state``.
    """
    listed = list(models)
    if not listed:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != listed[0].training for m in listed):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(listed[0]) for m in listed):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = stacked([dict(m.named_parameters()) for m in listed])
    return params, stacked([dict(m.named_buffers()) for m in listed])


def stacked(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The tensors of each name, stacked.

    Raises
    ------
    RuntimeError
        If some of them require gradients and some do not.
    """
    found = {}
    for name in states[0]:
        tensors = [state[name] for state in states]
        wanted = {x.requires_grad for x in tensors}
        if len(wanted) > 1:
            raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
        with dt.no_grad():
            made = dt.stack([x.detach() for x in tensors])
        found[name] = made.requires_grad_() if wanted.pop() else made
    return found


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Let all batch normalizations in a module use the statistics of the batch alone, in place.

    Running statistics are written in place, for all examples together, which cannot be done within
    `vmap`. Returns `root`.
    """
    for module in root.modules():
        if isinstance(module, BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
