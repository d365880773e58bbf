"""Keeping gradients small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import devtensor as dt
from devtensor.op import catalogue
from devtensor.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def listed(parameters: Any) -> list[Tensor]:
    """One tensor or many, as a list."""
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


@dt.no_grad()
def get_total_norm(
    tensors: Iterable[Tensor] | Tensor,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Give the norm of all `tensors` taken together as one vector.

    Raises
    ------
    RuntimeError
        If it is infinite or no number and `error_if_nonfinite`.
    """
    tensors = listed(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return dt.tensor(0.0)
    kind, place = tensors[0].dtype, tensors[0].device
    total: Tensor
    if norm_type == 2 and all(
        [x.dtype is kind and x.device == place and x.layout is dt.strided for x in tensors]
    ):
        total = catalogue["joint_norm"].function(tensors)
    else:
        norms = [dt.linalg.vector_norm(x, norm_type).to(place) for x in tensors]
        total = dt.linalg.vector_norm(dt.stack(norms), norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@dt.no_grad()
def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale gradients of the norm `total_norm` down to `max_norm`; do not scale up."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for parameter in listed(parameters):
        if (grad := parameter.grad) is not None:
            grad.mul_(factor if grad.device == factor.device else factor.to(grad.device))


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of `parameters` down so that all together have at most `max_norm`.

    Parameters
    ----------
    parameters : iterable of Tensor or Tensor
        Whose gradients are changed, in place.
    max_norm : float
        The largest norm allowed.
    norm_type : float
        Which norm, e.g. `inf` for the largest element.
    error_if_nonfinite : bool
        Raise if the norm is infinite or no number.
    foreach : bool, optional
        Accepted and without effect.

    Returns
    -------
    Tensor
        The norm before scaling.
    """
    parameters = listed(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


clip_grad_norm = clip_grad_norm_


def clip_grad_value_(
    parameters: Iterable[Tensor] | Tensor, clip_value: float, foreach: bool | None = None
) -> None:
    """Bring every element of the gradients between `-clip_value` and `clip_value`."""
    clip_value = float(clip_value)
    with dt.no_grad():
        for parameter in listed(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(min=-clip_value, max=clip_value)


_get_total_norm, _clip_grads_with_norm_ = get_total_norm, clip_grads_with_norm_
