"""Weight normalization in its older form: a hook makes the weight before each call."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor.nn.parameter import Parameter
from devtensor.nn.utils._hooked import check_new, take_off
from devtensor.nn.utils.parametrizations import norm_except
from devtensor.tensor import Tensor

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


class WeightNorm:
    """The hook: makes `name` of the parameters `name_g`, its length, and `name_v`.

    Attributes
    ----------
    name : str
    dim : int or None
        Every slice along it has a length of its own; None for one length in all.
    """

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, None if dim == -1 else dim

    def compute_weight(self, module: Any) -> Any:
        """The weight of now."""
        length, direction = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return direction * (length / norm_except(direction, self.dim))

    def remove(self, module: Any) -> None:
        """Make the weight of now a parameter."""
        weight = self.compute_weight(module).detach()
        delattr(module, self.name)
        for part in ("_g", "_v"):
            del module._parameters[self.name + part]
        setattr(module, self.name, Parameter(weight))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn the length and the direction of a weight apart, as parameters of the module itself.

    Parameters
    ----------
    module : Module
        Whose parameter `name` becomes `name_g`, the length, and `name_v`, the direction.
    name : str
    dim : int, optional
        Every slice along it has a length of its own; None for one length in all.

    Returns
    -------
    Module
        The same.

    Raises
    ------
    RuntimeError
        If it is done to a parameter twice.
    ValueError
        If the parameter waits for its shape.

    Notes
    -----
    `parametrizations.weight_norm` is the newer form.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    check_new(module, WeightNorm, name, "weight_norm")
    made = WeightNorm(name, dim)
    weight: Tensor = getattr(module, name)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight, made.dim).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, made.compute_weight(module))
    module.register_forward_pre_hook(made)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make a normalized weight an ordinary parameter again.

    Raises
    ------
    ValueError
        If it was not normalized.
    """
    return take_off(module, WeightNorm, name, f"weight_norm of '{name}' not found in {module}")
