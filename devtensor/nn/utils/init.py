"""Making modules whose parameters are unset."""

from __future__ import annotations

import inspect
from typing import Any

import devtensor as dt

__all__ = ["skip_init"]


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Any:
    """Make a module without computing initial values, for one whose state is loaded afterwards.

    Parameters
    ----------
    module_cls : type
        Of a module that takes `device`.
    *args, **kwargs
        What it is made with.

    Raises
    ------
    RuntimeError
        If it is no class of modules, or of such as take no `device`.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, dt.nn.Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError(
            f"Module must support a 'device' arg to skip initialization, but {module_cls.__name__} "
            "does not"
        )
    device = kwargs.pop("device", None) or dt.get_default_device()
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
