"""What a module holds: parameters, buffers and child modules; keeping, finding and walking them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import devtensor as dt
from devtensor.nn._everywhere import everywhere
from devtensor.nn.parameter import Buffer, Parameter, Uninitialized
from devtensor.tensor import Tensor

__all__ = ["Tree"]


class Tree:
    """Holds named parameters, buffers and child modules.

    An attribute that is a `Parameter`, a `Buffer` or a module is kept in the dictionary of its
    sort, everything else is an ordinary attribute.
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]

    # -- attributes ------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for shelf in ("_parameters", "_buffers", "_modules"):
            if shelf in own and name in own[shelf]:
                return own[shelf][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        ready = "_parameters" in own
        if isinstance(value, Parameter):
            if not ready:
                raise AttributeError(
                    "cannot assign parameters before Module.__init__() call; "
                    f"call super().__init__() before setting '{name}'"
                )
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Tree):
            if not ready:
                raise AttributeError(
                    "cannot assign module before Module.__init__() call; "
                    f"call super().__init__() before setting '{name}'"
                )
            self._forget(name, keep="_modules")
            own["_modules"][name] = everywhere.placed(everywhere.module, self, name, value)
        elif ready and name in own["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{dt.typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected); write nn.Parameter(value)"
                )
            own["_parameters"][name] = None
        elif ready and name in own["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{dt.typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            own["_modules"][name] = everywhere.placed(everywhere.module, self, name, None)
        elif ready and (isinstance(value, Buffer) or name in own["_buffers"]):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{dt.typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            if isinstance(value, Buffer):
                self._forget(name, keep="_buffers")
                self.register_buffer(name, value, value.persistent)
            else:
                own["_buffers"][name] = everywhere.placed(everywhere.buffer, self, name, value)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        own = self.__dict__
        for shelf in ("_parameters", "_buffers", "_modules"):
            if name in own.get(shelf, ()):
                del own[shelf][name]
                own["_non_persistent_buffers_set"].discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        shelves = (self._parameters, self._buffers, self._modules)
        names = {*super().__dir__(), *(name for shelf in shelves for name in shelf)}
        return sorted(name for name in names if name.isidentifier())

    def _forget(self, name: str, keep: str) -> None:
        """Take `name` off every shelf but one, so that it lives in one place only."""
        own = self.__dict__
        own.pop(name, None)
        for shelf in ("_parameters", "_buffers", "_modules"):
            if shelf != keep:
                own[shelf].pop(name, None)
        if keep != "_buffers":
            own["_non_persistent_buffers_set"].discard(name)

    # -- registration ----------------------------------------------------------------------

    def _check_name(self, sort: str, name: Any, shelf: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{sort} name should be a string. Got {dt.typename(name)}")
        if "." in name:
            raise KeyError(f'{sort} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{sort} name can\'t be empty string ""')
        if hasattr(self, name) and name not in shelf:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state and is not trained.

        Parameters
        ----------
        name : str
            The attribute by which it is reached.
        tensor : Tensor or None
            The buffer; None keeps the name free of state.
        persistent : bool
            Whether `state_dict` contains it.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{dt.typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = everywhere.placed(everywhere.buffer, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, reached as the attribute `name`."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{dt.typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    f"be created explicitly. To make '{name}' a function of another tensor, "
                    "compute it in forward()."
                )
        self._parameters[name] = everywhere.placed(everywhere.parameter, self, name, param)

    def add_module(self, name: str, module: Any) -> None:
        """Add a child module, reached as the attribute `name`."""
        if not isinstance(module, Tree) and module is not None:
            raise TypeError(f"{dt.typename(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = everywhere.placed(everywhere.module, self, name, module)

    def register_module(self, name: str, module: Any) -> None:
        """Add a child module, reached as the attribute `name`; the same as `add_module`."""
        self.add_module(name, module)

    # -- finding ---------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Any:
        """Find the module of a dotted path such as `"encoder.layers.0"`; `""` is the module itself.

        Raises
        ------
        AttributeError
            If a step of the path does not exist or is no module.
        """
        module: Any = self
        for step in target.split(".") if target else ():
            if not hasattr(module, step):
                raise AttributeError(f"{module._get_name()} has no attribute `{step}`")
            module = getattr(module, step)
            if not isinstance(module, Tree):
                raise AttributeError(f"`{step}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Any, strict: bool = False) -> None:
        """Put `module` at the dotted path `target`; with `strict`, only where one already is."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Tree):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Tree):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Find the parameter of a dotted path such as `"fc1.weight"`."""
        module, name = self._owner(target)
        found = getattr(module, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Find the buffer of a dotted path such as `"norm.running_mean"`."""
        module, name = self._owner(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        found: Tensor = module._buffers[name]
        return found

    def _owner(self, target: str) -> tuple[Any, str]:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name

    def _get_name(self) -> str:
        return type(self).__name__

    # -- walking ---------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Walk over this module and all below it, each with its dotted path.

        A module reached by several paths comes once, unless `remove_duplicate` is False.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """Walk over this module and all modules below it; see :meth:`named_modules`."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Walk over the direct child modules with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Any]:
        """Walk over the direct child modules."""
        for _, module in self.named_children():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Walk over the parameters with their dotted names; with `recurse`, of children too."""
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Walk over the parameters, as one gives them to an optimizer."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Walk over the buffers with their dotted names; with `recurse`, of children too."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Walk over the buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _named_members(
        self,
        members: Callable[[Any], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()  # by identity: tensors compare by value
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else iter([(prefix, self)])
        )
        for path, module in modules:
            for name, member in members(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{path}.{name}" if path else name), member

    def _uninitialized(self) -> Iterator[Tensor]:
        """Walk over this module's own tensors that still wait for a shape."""
        for shelf in (self._parameters, self._buffers):
            for tensor in shelf.values():
                if isinstance(tensor, Uninitialized):
                    yield tensor
