"""Making modules whose parameters are unset."""

from __future__ import annotations

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
        If it is no module's class.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, dt.nn.Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    # The values are computed all the same, as no device holds shapes without values.
    return module_cls(*args, **kwargs)
