"""Exchanging what two tensors are (``torch.utils.swap_tensors``)."""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

from devtensor.tensor import Tensor

SLOTS = ("__class__", "__dict__", "_alias", "_array", "_device", "_node", "_rest")


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Let each of two tensors be what the other one was; whoever holds them sees the change.

    Parameters
    ----------
    t1, t2 : Tensor

    Raises
    ------
    RuntimeError
        If there are weak references to one of them.

    Examples
    --------
    >>> import devtensor as dt
    >>> x, y = dt.ones(2), dt.zeros(3)
    >>> dt.utils.swap_tensors(x, y)
    >>> x.tolist(), y.tolist()
    ([0.0, 0.0, 0.0], [1.0, 1.0])
    """
    for name, tensor in (("t1", t1), ("t2", t2)):
        own = getattr(tensor._node, "tensor", None)
        if any(one is not own for one in weakref.getweakrefs(tensor)):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    one, two = ([getattr(t, name) for name in SLOTS] for t in (t1, t2))
    for tensor, values in ((t1, two), (t2, one)):
        for name, value in zip(SLOTS, values, strict=True):
            setattr(tensor, name, value)
        node = tensor._node
        if hasattr(node, "tensor"):  # gradients end there: what was recorded meant the other one
            tensor._node = None
            made = tensor.requires_grad_()._node
            made.extra, node.extra = node.extra, None
            node.register_prehook(poisoned)


def poisoned(_: Any) -> NoReturn:
    """Refuse a backward pass that ends in a tensor which has become another one."""
    raise RuntimeError(
        "Trying to execute AccumulateGrad node that was poisoned by swap_tensors this can happen "
        "when you try to run backward on a tensor that was swapped: run the forward again"
    )
