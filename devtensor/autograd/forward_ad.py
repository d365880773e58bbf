"""Tensors with a direction, along which what is computed of them is differentiated.

As ``torch.autograd.forward_ad``::

    with forward_ad.dual_level():
        x = forward_ad.make_dual(primal, tangent)
        value, derivative = forward_ad.unpack_dual(f(x))

The derivative comes from the rules of the way back, which are differentiated themselves (see
:func:`devtensor.func.jvp`). So what is computed of duals is recorded, and recording must be on.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.autograd.view import edge_of
from devtensor.func._derive import Evaluation, Pushforward
from devtensor.tensor import Tensor

__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
    "unpack_dual",
]  # fmt: skip


class UnpackedDualTensor(NamedTuple):
    """What :func:`unpack_dual` gives: the value, and the derivative or None."""

    primal: Any
    tangent: Any


class Level:
    """What was made dual since a level was entered."""

    def __init__(self) -> None:
        self.evaluation = Evaluation()
        self.tangents: list[Tensor] = []


_level: ContextVar[Level | None] = ContextVar("level", default=None)


def enter_dual_level() -> int:
    """Begin a level; returns its number, which is 0.

    Raises
    ------
    RuntimeError
        If there is one.
    """
    if _level.get() is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _level.set(Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level; what was made in it is no longer dual.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    if _level.get() is None or level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created"
        )
    _level.set(None)


class dual_level:
    """A `with` block that is a level."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A tensor with a direction.

    Parameters
    ----------
    tensor : Tensor
        Of a floating or complex type.
    tangent : Tensor
        Of its shape.
    level : int, optional
        0, the number of the level.

    Raises
    ------
    RuntimeError
        If there is no level, the shapes differ, or the tensor is dual already.
    ValueError
        If `tensor` has integers.
    """
    found = _level.get()
    if found is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for name, x in (("tensor", tensor), ("tangent", tangent)):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"make_dual(): argument '{name}' must be Tensor, not {type(x).__name__}"
            )
        if x.dtype.kind not in ("float", "complex"):
            kind = "primal" if name == "tensor" else name
            raise ValueError(
                f"Expected {kind} to be floating point or complex, but got: {x.dtype!r}"
            )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    if depends(tensor, found):
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level 0 is not supported."
        )
    made = found.evaluation.track(tensor)
    found.tangents.append(tangent)
    return made


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor, and its derivative along the directions of what it was made of.

    Parameters
    ----------
    tensor : Tensor
    level : int, optional
        0, the number of the level.

    Returns
    -------
    UnpackedDualTensor
        Its `tangent` is None if the tensor does not depend on a dual one, or the level is over.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(dt.tensor(2.0), dt.tensor(1.0))
    ...     forward_ad.unpack_dual(x * x).tangent
    tensor(4.)
    """
    found = _level.get()
    if found is None or not depends(tensor, found):
        return UnpackedDualTensor(tensor, None)
    with dt.enable_grad():
        push = Pushforward(found.evaluation, [tensor])
    return UnpackedDualTensor(found.evaluation.released(tensor), push(found.tangents)[0])


def depends(tensor: Tensor, level: Level) -> bool:
    """Whether a tensor was made of dual ones."""
    ends = {edge_of(x).node for x in level.evaluation.inputs}
    edge = edge_of(tensor)
    stack = [] if edge is None else [edge.node]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node in ends:
            return True
        for edge in node.edges():
            if edge is not None and edge.node not in seen:
                seen.add(edge.node)
                stack.append(edge.node)
    return False
