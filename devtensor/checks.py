"""Checks that programs make by PyTorch's names: ``torch._check`` and its kin."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from devtensor.route import asking_first
from devtensor.tensor import Tensor

__all__ = [
    "_assert",
    "_assert_async",
    "_check",
    "_check_index",
    "_check_is_size",
    "_check_not_implemented",
    "_check_tensor_all",
    "_check_tensor_all_with",
    "_check_type",
    "_check_value",
    "_check_with",
]

Message = Callable[[], Any] | None


def _assert_async(input: Tensor, assert_msg: str | None = None) -> None:
    """Raise RuntimeError if the one element of a tensor is zero; on accelerators this waits."""
    if not isinstance(input, Tensor):
        raise TypeError(
            "_assert_async(): argument 'input' (position 1) must be Tensor, not "
            f"{type(input).__name__}"
        )
    if not input:
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")


def _check_with(error_type: type[Exception], cond: Any, message: Message) -> None:
    """Raise an error of a type, with what `message` returns, if `cond` is False."""
    if not isinstance(cond, builtins.bool):
        cure = "; torch._check_tensor_all takes tensors" if isinstance(cond, Tensor) else ""
        raise TypeError(f"cond must be a bool, but got {type(cond)}{cure}")
    if cond:
        return
    if message is None:
        raise error_type("Expected cond to be True, but got False")
    if not callable(message):
        raise TypeError(f"message must be a callable, got {type(message)}")
    raise error_type(str(message()))


def _check(cond: Any, message: Message = None) -> None:
    """Raise RuntimeError if a condition is False."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond: Any, message: Message = None) -> None:
    """Raise IndexError if a condition is False."""
    _check_with(IndexError, cond, message)


def _check_value(cond: Any, message: Message = None) -> None:
    """Raise ValueError if a condition is False."""
    _check_with(ValueError, cond, message)


def _check_type(cond: Any, message: Message = None) -> None:
    """Raise TypeError if a condition is False."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Message = None) -> None:
    """Raise NotImplementedError if a condition is False."""
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i: Any, message: Message = None, *, max: int | None = None) -> None:
    """Raise RuntimeError if a number is negative, or above `max`."""
    _check(i >= 0 and (max is None or i <= max), message)


def _check_tensor_all_with(
    error_type: type[Exception], cond: Tensor, message: Message = None
) -> None:
    """Raise an error of a type if an element of a tensor of truth values is False."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if cond.dtype.kind != "bool":
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype!r}")
    _check_with(error_type, builtins.bool(cond.all()), message)


def _check_tensor_all(cond: Tensor, message: Message = None) -> None:
    """Raise RuntimeError if an element of a tensor of truth values is False."""
    _check_tensor_all_with(RuntimeError, cond, message)


@asking_first
def _assert(condition: Any, message: Any) -> None:
    """Raise AssertionError if a condition does not hold."""
    if not condition:
        raise AssertionError(message)
