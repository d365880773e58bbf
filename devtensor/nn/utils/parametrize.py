"""Parameters that are functions of other parameters."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import devtensor as dt
from devtensor.nn.container import ModuleDict, ModuleList
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

KEPT: ContextVar[dict[tuple[int, str], Tensor] | None] = ContextVar("KEPT", default=None)
"""The tensors computed in a block of `cached`, by module and name."""


def name_of(value: Any) -> str:
    """The class of `value`, as messages name it."""
    return type(value).__name__


def place(module: Module, name: str, tensor: Tensor) -> None:
    """Give `module` a parameter or a buffer."""
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def differing(
    one: Tensor, other: Tensor, attributes: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """The attributes in which two tensors differ, with both values."""
    for what in attributes:
        values = getattr(one, what), getattr(other, what)
        if values[0] != values[1]:
            yield what, *values


def same(value: Any, tensor: Tensor) -> None:
    """Raise ValueError if `value` is no tensor of the type and shape of `tensor`."""
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {name_of(value)}.")
    for what, before, after in differing(tensor, value, ("dtype", "shape")):
        raise ValueError(
            f"Registering a parametrization may not change the {what} of the tensor, unless "
            "`unsafe` flag is enabled.\n"
            f"unparametrized {what}: {before}\nparametrized {what}: {after}"
        )


class ParametrizationList(ModuleList):
    """The functions that make one tensor, and the parameters they begin with.

    Attributes
    ----------
    original : Parameter
        What the first function takes; `original0`, `original1`, ... if it takes several.
    is_tensor : bool
        Whether it takes one.
    ntensors : int
        How many it takes.
    unsafe : bool
        Whether the shape and the type of the tensor may be others than those of the original.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shaped = original.detach()
        new: Any = original
        with dt.no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # then the value is the original
                        new = module.right_inverse(new)
        must = (
            "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
        )
        if not isinstance(new, Tensor | Sequence):
            raise ValueError(f"{must} Got {name_of(new)}")
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            for what, before, after in differing(original, new, ("dtype", "device")):
                raise ValueError(
                    f"When `right_inverse` outputs one tensor, it may not change the {what}.\n"
                    f"original.{what}: {before}\nright_inverse(original).{what}: {after}"
                )
            original.data = new.detach()  # the same one, so that an optimizer goes on with it
            place(self, "original", original)
        for number, part in enumerate(() if isinstance(new, Tensor) else new):
            if not isinstance(part, Tensor):
                raise ValueError(
                    f"{must} Got element {number} of the sequence with type {name_of(part)}."
                )
            if isinstance(original, Parameter):
                part = Parameter(part.detach(), original.requires_grad)
            place(self, f"original{number}", part)
        if not unsafe:
            with dt.no_grad():
                same(self(), shaped)

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
        """Set the originals so that the tensor becomes `value`.

        Raises
        ------
        RuntimeError
            If a parametrization has no `right_inverse`.
        ValueError
            If it gives something else than the originals are.
        """
        new: Any = value
        with dt.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {name_of(module)} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
        if self.is_tensor:
            if not isinstance(new, Tensor):
                raise ValueError(f"`right_inverse` should return a tensor. Got {name_of(new)}")
            new = [new]
        must = "'right_inverse' must return a sequence of tensors"
        if not isinstance(new, Sequence):
            raise ValueError(f"{must}. Got {name_of(new)}.")
        if len(new) != self.ntensors:
            raise ValueError(
                f"{must} of length {self.ntensors}. Got a sequence of length {len(new)}."
            )
        originals = self._originals()
        for number, (original, part) in enumerate(zip(originals, new, strict=True)):
            if not isinstance(part, Tensor):
                raise ValueError(f"{must}. Got element {number} of type {name_of(part)}")
            if part.dtype != original.dtype:
                which = ("The tensor", "") if self.is_tensor else (f"Tensor {number}", number)
                raise ValueError(
                    f"{which[0]} returned by `right_inverse` has dtype {part.dtype} while "
                    f"`original{which[1]}` has dtype {original.dtype}"
                )
        for original, part in zip(originals, new, strict=True):
            original.data = part.detach()


@contextmanager
def cached() -> Iterator[None]:
    """A block in which every parametrized tensor is computed once, at its first use.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(dt.nn.Linear(2, 2), "weight", dt.nn.ReLU())
    >>> with parametrize.cached():
    ...     print(layer.weight is layer.weight)
    True
    """
    if KEPT.get() is not None:  # the outer block's are those of the inner one
        yield
        return
    token = KEPT.set({})
    try:
        yield
    finally:
        KEPT.reset(token)


def read(name: str, module: Any) -> Tensor:
    """Compute a parametrized tensor."""
    kept, key = KEPT.get(), (id(module), name)
    if kept is not None and key in kept:
        return kept[key]
    value: Tensor = module.parametrizations[name]()
    if kept is not None:
        kept[key] = value
    return value


def write(name: str, module: Any, value: Tensor) -> None:
    """Set a parametrized tensor by way of its originals."""
    (KEPT.get() or {}).pop((id(module), name), None)
    module.parametrizations[name].right_inverse(value)


class Parametrized:
    """Mixed into the class of a module that has parametrized tensors."""

    def __getstate__(self) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict()."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = memo.get(id(self))
        if twin is None:
            twin = memo[id(self)] = type(self).__new__(type(self))
            twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Tell whether `module` has a parametrized tensor, or whether one of that name."""
    shelf = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(shelf, ModuleDict):
        return False
    return tensor_name in shelf if tensor_name is not None else len(shelf) > 0


def type_before_parametrizations(module: Any) -> type:
    """The class of a module without its parametrizations."""
    kind = type(module)
    return kind.__bases__[0] if is_parametrized(module) else kind


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
        Skip the check that shape and type stay.

    Returns
    -------
    Module
        The same module.

    Raises
    ------
    ValueError
        If there is no such tensor, or its shape or type would not stay.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        shelf = module.parametrizations[tensor_name]
        if not unsafe:
            with dt.no_grad():
                checked(shelf(), parametrization, tensor_name)
        shelf.append(parametrization)
        shelf.unsafe |= unsafe
        return module
    original = module._parameters.get(tensor_name, module._buffers.get(tensor_name))
    if original is None:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    shelf = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        kind = type(module)
        bases, body = (kind, Parametrized), {"__module__": __name__}
        module.__class__ = type(f"Parametrized{kind.__name__}", bases, body)
        module.parametrizations = ModuleDict()
    setattr(
        type(module),
        tensor_name,
        property(functools.partial(read, tensor_name), functools.partial(write, tensor_name)),
    )
    module.parametrizations[tensor_name] = shelf
    return module


def checked(tensor: Tensor, parametrization: Any, name: str) -> None:
    """Raise ValueError if a further parametrization changes the tensor's shape or type."""
    made = parametrization(tensor)
    same(made, tensor)
    if not hasattr(parametrization, "right_inverse"):
        return
    with suppress(NotImplementedError):
        back = parametrization.right_inverse(made)
        if not isinstance(back, Tensor):
            raise ValueError(
                f"parametrization.right_inverse must return a tensor. Got: {name_of(back)}"
            )
        for what, before, after in differing(tensor, back, ("dtype", "shape")):
            raise ValueError(
                "The tensor returned by parametrization.right_inverse must have the same "
                f"{what} as module.{name}, unless the `unsafe` flag is enabled.\n"
                f"module.{name}.{what}: {before}\nreturned {what}: {after}"
            )


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make a parametrized tensor an ordinary one again.

    With `leave_parametrized` it keeps its present value, else it becomes the original. If there is
    one original, it is this same parameter that the module has afterwards.

    Raises
    ------
    ValueError
        If the tensor is not parametrized, or there are several originals to become.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    shelf = module.parametrizations[tensor_name]
    if not shelf.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    value = shelf() if leave_parametrized else shelf.original
    if shelf.is_tensor:
        kept = shelf.original
        kept.data = value.detach()
    else:
        kept = Parameter(value.detach()) if value.requires_grad else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    place(module, tensor_name, kept)
    return module


def transfer_parametrizations_and_params(
    from_module: Any, to_module: Any, tensor_name: str | None = None
) -> Any:
    """Give a module the parametrizations of another, with their originals.

    Parameters
    ----------
    from_module, to_module : Module
    tensor_name : str, optional
        All that are parametrized if left out.

    Returns
    -------
    Module
        `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in from_module.parametrizations if tensor_name is None else (tensor_name,):
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        for original in source._parameters | source._buffers:
            setattr(target, original, getattr(source, original))
    return to_module
