"""What other libraries look for: members of `Tensor` that the array API standard asks for, and a
word to einops and opt_einsum, which know the libraries of tensors by name.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from devtensor.ops.convert import to
from devtensor.tensor import Tensor, on_tensor

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""Versions of the standard that the namespace serves."""


@on_tensor
class Standard:
    """The standard's members that PyTorch's tensors do not have."""

    def __array_namespace__(self: Any, *, api_version: str | None = None) -> Any:
        """The namespace of the array API standard: :mod:`devtensor.array_api`.

        Parameters
        ----------
        api_version : str, optional
            The version that is wanted, as ``"2024.12"``.

        Raises
        ------
        ValueError
            If it is not there.
        """
        if api_version not in (None, *VERSIONS):
            raise ValueError(
                f"there is no version {api_version!r} of the array API here, only "
                f"{', '.join(VERSIONS)}"
            )
        return import_module("devtensor.array_api")

    def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Tensor:
        """On another device, under the array API's name for it.

        Parameters
        ----------
        device : device or str
        stream : object, optional
            Accepted and without effect: copies wait for what they read.
        """
        return to(self, device=device)


class Greeter:
    """Introduces tensors to a library as soon as it is imported, and does not import it itself."""

    GUESTS = ("einops._backends", "opt_einsum.backends.dispatch", "torchvision.extension")
    """The modules that must hear of tensors; a module here of the library's name tells them."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname not in self.GUESTS:
            return None
        others = [finder for finder in sys.meta_path if not isinstance(finder, Greeter)]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec: Any = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = Introduced(spec.loader)
        return spec


class Introduced:
    """Another loader, after which the module is told of tensors."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.loader.exec_module(module)
        greet(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def greet(module: Any) -> None:
    """Tell a library's module of tensors; one that has changed too much stays untold."""
    with suppress(AttributeError):
        import_module(f"{__name__}.{module.__name__.partition('.')[0]}").meet(module)


sys.meta_path.insert(0, Greeter())
for _name in Greeter.GUESTS:
    if _name in sys.modules:
        greet(sys.modules[_name])
