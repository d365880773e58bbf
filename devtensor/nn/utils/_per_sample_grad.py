"""Gradients of each example of a batch (``torch.nn.utils._per_sample_grad``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.nn.module import Module
from devtensor.tensor import Tensor
from devtensor.utils import _pytree as pytree

__all__ = ["call_for_per_sample_grads"]


def call_for_per_sample_grads(
    module: Module,
    *,
    batch_size: int | None = None,
    loss_reduction: str = "sum",
    batch_first: bool = True,
) -> Callable[..., Any]:
    """The forward of a module, whose parameters get the gradient of each example.

    After ``backward`` it is in their ``grad_sample``, of shape ``(batch, *shape)``; their ``grad``
    stays as it is.

    Parameters
    ----------
    module : Module
    batch_size : int, optional
        By default that of the tensors that the forward is given.
    loss_reduction : {"sum", "mean"}
        How the loss is made of those of the examples.
    batch_first : bool
        Whether examples are counted in the first dimension; otherwise it is the second.

    Raises
    ------
    RuntimeError
        If an argument is none of these, a parameter still has a ``grad_sample``, or the tensors
        have several batch sizes.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.nn.utils._per_sample_grad import call_for_per_sample_grads
    >>> layer = dt.nn.Linear(4, 3)
    >>> call_for_per_sample_grads(layer)(dt.ones(5, 4)).sum().backward()
    >>> layer.weight.grad_sample.shape
    torch.Size([5, 3, 4])
    """
    if loss_reduction not in ("sum", "mean"):
        raise RuntimeError(
            f"Expected loss_reduction argument to be sum or mean, got {loss_reduction}"
        )
    if not isinstance(module, Module):
        raise RuntimeError(f"Module passed must be nn.Module, got {type(module).__name__}")
    if not (batch_size is None or isinstance(batch_size, int)):
        raise RuntimeError(
            f"Batch size passed must be None or an integer, got {type(batch_size).__name__}"
        )
    if batch_size is not None and batch_size < 1:
        raise RuntimeError(f"Batch size must be positive, got {batch_size}")
    if any(getattr(p, "grad_sample", None) is not None for p in module.parameters()):
        raise RuntimeError(
            "Current Expanded Weights accumulates the gradients, which will be incorrect for "
            "multiple calls without clearing gradients. Set grad_sample of the parameters to None"
        )
    dim = 0 if batch_first else 1

    @functools.wraps(module.forward)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, shape = pytree.tree_flatten((args, kwargs))
        count = batch_size or common([x.shape[dim] for x in leaves if isinstance(x, Tensor)])
        spread = {
            name: expanded(p, count, count if loss_reduction == "mean" else 1)
            for name, p in module.named_parameters()
            if p.requires_grad
        }

        def one(parameters: dict[str, Tensor], *leaves: Any) -> Any:
            whole = [x.unsqueeze(dim) if isinstance(x, Tensor) else x for x in leaves]
            given, named = pytree.tree_unflatten(whole, shape)
            out = dt.func.functional_call(module, parameters, given, named)
            return pytree.tree_map(lambda x: x.squeeze(dim), out)

        places = [dim if isinstance(x, Tensor) else None for x in leaves]
        run = dt.func.vmap(one, (0, *places), dim, randomness="different")
        return run(spread, *leaves)

    return call


def common(sizes: list[int]) -> int:
    """The batch size; RuntimeError if there are several, or none."""
    if not sizes:
        raise RuntimeError(
            "Unable to find a tensor in the passed args and kwargs. They may not be pytree-able "
            "and so the batch size is not known. Please specify it explicitly"
        )
    for size in sizes:
        if size != sizes[0]:
            raise RuntimeError(
                "When computing batch size, found at least one input with batch size "
                f"{sizes[0]} and one with batch size {size}. Please specify it explicitly using "
                "the batch size kwarg in call_for_per_sample_grads"
            )
    return sizes[0]


def expanded(parameter: Any, count: int, factor: int) -> Tensor:
    """A parameter for each of `count` examples, whose gradient becomes its ``grad_sample``."""
    made: Tensor = parameter.detach().expand(count, *parameter.shape).requires_grad_()

    def keep(gradient: Tensor) -> None:
        before = getattr(parameter, "grad_sample", None)
        gradient = gradient * factor
        parameter.grad_sample = gradient if before is None else before + gradient

    made.register_hook(keep)
    return made
