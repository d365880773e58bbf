"""Parameters that are functions of other parameters."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

import devtensor as dt
from devtensor.nn.container import ModuleDict, ModuleList
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
]


class ParametrizationList(ModuleList):
    """The functions that make one tensor, and the parameters they begin with.

    Attributes
    ----------
    original : Parameter
        What the first function takes; `original0`, `original1`, ... if it takes several.
    """

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        new = original
        with dt.no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # then the value is the original
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._keep("original", new, original)
        else:
            for number, part in enumerate(new):
                self._keep(f"original{number}", part, original)
        if unsafe:
            return
        with dt.no_grad():
            result = self()
        if result.shape != original.shape:
            raise ValueError(
                "Registering a parametrization may not change the shape of the tensor, unless "
                f"`unsafe` flag is enabled: it was {tuple(original.shape)} and would become "
                f"{tuple(result.shape)}"
            )

    def _keep(self, name: str, value: Tensor, original: Tensor) -> None:
        if isinstance(original, Parameter):
            if self.is_tensor:  # the same parameter, so that an optimizer goes on with it
                original.data = value.detach()
                kept = original
            else:
                kept = Parameter(value.detach(), requires_grad=original.requires_grad)
            self.register_parameter(name, kept)
        else:
            self.register_buffer(name, value)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{number}") for number in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *others = self
        value: Tensor = first(*self._originals())
        for module in others:
            value = module(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`."""
        new: Any = value
        with dt.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
            for original, part in zip(
                self._originals(), [new] if self.is_tensor else new, strict=True
            ):
                original.copy_(part)


def read(name: str, module: Any) -> Tensor:
    """Compute a parametrized tensor."""
    value: Tensor = module.parametrizations[name]()
    return value


def write(name: str, module: Any, value: Tensor) -> None:
    """Set a parametrized tensor by way of its originals."""
    module.parametrizations[name].right_inverse(value)


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Tell whether `module` has a parametrized tensor, or whether one of that name."""
    shelf = module.__dict__.get("_modules", {}).get("parametrizations")
    if shelf is None:
        return False
    return tensor_name in shelf if tensor_name is not None else len(shelf) > 0


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Any:
    """Make a parameter or buffer of `module` the result of `parametrization(original)`.

    Parameters
    ----------
    module : Module
        Its class is replaced by one with a property of the tensor's name.
    tensor_name : str
        The parameter or buffer.
    parametrization : Module
        Takes the original and gives the tensor; `right_inverse`, if it has one, does the
        reverse. Several registered on one tensor run one after another.
    unsafe : bool
        Skip the check that the shape stays.

    Returns
    -------
    Module
        The same module.
    """
    if is_parametrized(module, tensor_name):
        shelf = module.parametrizations[tensor_name]
        if hasattr(parametrization, "right_inverse"):
            raise NotImplementedError(
                "a further parametrization with a right_inverse is not supported: register it first"
            )
        shelf.append(parametrization)
        return module
    original = module._parameters.get(tensor_name, module._buffers.get(tensor_name))
    if original is None:
        raise ValueError(
            f"Module '{type(module).__name__}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    shelf = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        kind = type(module)
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {"__module__": __name__})
        module.parametrizations = ModuleDict()
    setattr(
        type(module),
        tensor_name,
        property(functools.partial(read, tensor_name), functools.partial(write, tensor_name)),
    )
    module.parametrizations[tensor_name] = shelf
    return module


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make a parametrized tensor an ordinary one again.

    With `leave_parametrized` it keeps its present value, else it becomes the original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    shelf = module.parametrizations[tensor_name]
    if leave_parametrized:
        with dt.no_grad():
            value = shelf().detach()
    elif shelf.is_tensor:
        value = shelf.original
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    trained = bool(shelf._parameters)
    wanted = any(part.requires_grad for part in shelf._originals())
    del module.parametrizations[tensor_name]
    delattr(type(module), tensor_name)
    if not len(module.parametrizations):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    if trained:
        kept = isinstance(value, Parameter)
        module.register_parameter(tensor_name, value if kept else Parameter(value, wanted))
    else:
        module.register_buffer(tensor_name, value)
    return module
