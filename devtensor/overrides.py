"""Types that act as tensors, by PyTorch's names (``torch.overrides``).

Functions do not ask their arguments for ``__torch_function__``: subclasses of `Tensor` are tensors
here, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.refusal import refused
from devtensor.tensor import Tensor

__all__ = [
    "TorchFunctionMode",
    "get_ignored_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

WHY = "functions do not ask arguments for __torch_function__; subclass Tensor, or write a function"

TorchFunctionMode = refused("overrides.TorchFunctionMode", WHY)
handle_torch_function = refused("overrides.handle_torch_function", WHY)
wrap_torch_function = refused("overrides.wrap_torch_function", WHY)
get_overridable_functions = refused("overrides.get_overridable_functions", WHY)
get_ignored_functions = refused("overrides.get_ignored_functions", WHY)


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """False: nothing is overridden."""
    return False


has_torch_function_unary = has_torch_function_variadic = lambda *args: False


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or says by ``__torch_function__`` that it acts as one."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether a function is one of those that tensors have as methods."""
    return any(value is func for value in vars(Tensor).values())


def resolve_name(f: Any) -> str | None:
    """The name of a function, as ``torch.add``."""
    name = getattr(f, "__name__", None)
    return f"torch.{name}" if name else None
