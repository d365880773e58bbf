"""Modes beneath autograd by PyTorch's names (``torch.utils._python_dispatch``)."""

from __future__ import annotations

from typing import Any

from devtensor.dispatch import BaseTorchDispatchMode, TorchDispatchMode
from devtensor.dispatch import disabled as _disable_current_modes
from devtensor.dispatch import popped as _pop_mode_temporarily
from devtensor.refusal import refused
from devtensor.watch import servers

__all__ = [
    "BaseTorchDispatchMode",
    "TorchDispatchMode",
    "_disable_current_modes",
    "_get_current_dispatch_mode",
    "_get_current_dispatch_mode_stack",
    "_pop_mode_temporarily",
    "is_in_torch_dispatch_mode",
    "is_traceable_wrapper_subclass",
    "is_traceable_wrapper_subclass_type",
    "return_and_correct_aliasing",
    "transform_subclass",
]


def _get_current_dispatch_mode_stack() -> list[TorchDispatchMode]:
    """The modes, the outermost first."""
    return list(servers())


def _get_current_dispatch_mode() -> TorchDispatchMode | None:
    """The innermost mode; None outside of one."""
    return servers()[-1] if servers() else None


def is_in_torch_dispatch_mode(include_infra_modes: bool = True) -> bool:
    """Whether a mode is on."""
    return bool(servers())


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """False: no tensor is made of others."""
    return False


is_traceable_wrapper_subclass_type = is_traceable_wrapper_subclass


def return_and_correct_aliasing(func: Any, args: Any, kwargs: Any, out: Any) -> Any:
    """Return the result; launches know themselves what looks at the memory of what."""
    return out


transform_subclass = refused(
    "utils._python_dispatch.transform_subclass",
    "no tensor is made of others; write a class with __torch_function__",
)
