"""Choices and loops as functions, which PyTorch's compiler wants (``torch.cond``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.tensor import Tensor

__all__ = ["cond", "while_loop"]


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """What one of two functions gives for `operands`.

    Parameters
    ----------
    pred : bool or Tensor
        One element. If it is true it is `true_fn` that is called.
    true_fn, false_fn : callable
    operands : tuple or list

    Raises
    ------
    RuntimeError
        If `pred` has not one element.

    Examples
    --------
    >>> import devtensor as dt
    >>> x = dt.ones(2)
    >>> dt.cond(x.sum() > 1, lambda x: x * 2, lambda x: x * 3, (x,))
    tensor([2., 2.])
    """
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    made: Any = true_fn(*operands) if pred else false_fn(*operands)
    return made


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> Any:
    """What `body_fn` has made of some values once `cond_fn` is no longer true of them.

    Raises
    ------
    RuntimeError
        If one of the functions is not callable.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (dt.tensor(0), dt.ones(1)))
    (tensor(3), tensor([8.]))
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("Expect cond_fn and body_fn to be callable.")
    carried = tuple(carried_inputs)
    while cond_fn(*carried):
        carried = tuple(body_fn(*carried))
    return carried
