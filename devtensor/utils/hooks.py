"""Hooks, where PyTorch keeps what has to do with them (``torch.utils.hooks``)."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from devtensor.hooks import RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]

F = TypeVar("F")


def unserializable_hook(f: F) -> F:
    """Mark a function as a hook that need not go with a tensor into a file or another process."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn of the hooks of a tensor that would be lost in a file, but for those marked so."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
                "you can decorate the function with @torch.utils.hooks.unserializable_hook to "
                "suppress this warning",
                stacklevel=2,
            )
