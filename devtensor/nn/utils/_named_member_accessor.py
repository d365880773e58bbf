"""Exchanges tensors of modules (``torch.nn.utils._named_member_accessor``)."""

from __future__ import annotations

from typing import Any

from devtensor.nn.module import Module
from devtensor.tensor import Tensor

__all__ = ["set_tensor", "swap_tensor"]

MISSING = object()


def set_tensor(module: Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a parameter, a buffer or an attribute."""
    for shelf in (module._parameters, module._buffers):
        if name in shelf:
            shelf[name] = tensor  # type: ignore[assignment] # a parameter may become a tensor
            return
    setattr(module, name, tensor)


def swap_tensor(module: Module, name: str, tensor: Any, allow_missing: bool = False) -> Any:
    """Put a tensor in the place of another, which is returned.

    Parameters
    ----------
    module : Module
    name : str
        Of a parameter, a buffer or an attribute of the module itself.
    tensor : Tensor
    allow_missing : bool
        Whether there may be none so far.

    Raises
    ------
    AttributeError
        If there is none.
    KeyError
        If the name has a dot or is empty.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.nn.utils._named_member_accessor import swap_tensor
    >>> layer = dt.nn.Linear(2, 1)
    >>> before = swap_tensor(layer, "weight", dt.ones(1, 2))
    >>> layer.weight, before.shape
    (tensor([[1., 1.]]), torch.Size([1, 2]))
    """
    if not isinstance(module, Module):
        raise TypeError(f"{module} is not an instance of torch.nn.Module")
    if "." in name or not name:
        raise KeyError(f"tensor name must be one of the module itself, got {name!r}")
    before = getattr(module, name, MISSING)
    if before is MISSING and not allow_missing:
        raise AttributeError(f"{module._get_name()} has no attribute {name!r}")
    set_tensor(module, name, tensor)
    return None if before is MISSING else before
