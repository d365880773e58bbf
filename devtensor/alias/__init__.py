"""Lets a process import `torch` and get devtensor, and its submodules at any depth."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from devtensor.alias.borrowed import borrowed
from devtensor.refusal import absent, reason

__all__ = ["counterpart", "install"]

VERSION = "2.13.0"
"""Of PyTorch, whose programs run here: they ask, to know which functions there are."""

FOLDER = str(Path(__file__).parent)

PLACES = {"Tensor": "torch", "dtype": "torch", "device": "torch", "Size": "torch",
          "nn.parameter.Parameter": "torch.nn.parameter"}  # fmt: skip
"""Classes that programs print, and whose module libraries ask for."""


def counterpart(name: str) -> ModuleType:
    """The module of devtensor that stands for one of PyTorch.

    Parameters
    ----------
    name : str
        Such as ``"torch.nn"``.

    Raises
    ------
    ModuleNotFoundError
        If devtensor has none.

    Examples
    --------
    >>> from devtensor.alias import counterpart
    >>> counterpart("torch.nn.functional").__name__
    'devtensor.nn.functional'
    """
    if name.partition(".")[0] == "functorch":  # what `torch.func` was before
        name = "torch.func" + name.removeprefix("functorch")
    own = "devtensor" + name.removeprefix("torch")
    package, _, last = own.rpartition(".")
    if not package:
        return import_module(own)
    outer = counterpart(name.rpartition(".")[0])
    found = getattr(outer, last, None) or borrowed(name)
    # Within a package, as in PyTorch, a function may have the name of the file that has it.
    if not isinstance(found, ModuleType) and (found is None or package != "devtensor"):
        try:
            return import_module(own)
        except ModuleNotFoundError as error:
            if not f"{own}.".startswith(f"{error.name}."):
                raise
            module = absent(own.removeprefix("devtensor."))
            if module is not None:
                setattr(outer, last, module)
                return module
    if not isinstance(found, ModuleType):  # a class or a function hides a module of ours
        raise ModuleNotFoundError(
            f"No module named {name!r}: devtensor, which stands in for PyTorch here, lacks it",
            name=name,
        )
    return found


def lacking(name: str) -> bool:
    """Whether a name is that of a module of PyTorch that is not here; those of classes are not."""
    return reason(name) is not None and name.rpartition(".")[2][0].islower()


class Installed(Distribution):
    """What ``importlib.metadata`` says of PyTorch: the version whose functions are here."""

    def read_text(self, filename: str) -> str | None:
        """The text of a file of the distribution; there is one only."""
        text = f"Metadata-Version: 2.1\nName: torch\nVersion: {VERSION}\n"
        return text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        """Where a file of the distribution is."""
        return Path(FOLDER) / path


class Finder(DistributionFinder, Loader):
    """Finds modules of PyTorch among those of devtensor, and the distribution that has them."""

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008
    ) -> Iterable[Distribution]:
        return [Installed()] if context.name in (None, "torch") else []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        first, _, rest = fullname.partition(".")
        if first == "devtensor":
            # ``from torch.nn import quantized`` asks for it by our package's own name.
            if not lacking(rest) or PathFinder.find_spec(fullname, path) is not None:
                return None
            return ModuleSpec(fullname, self, is_package=True)
        if first not in ("torch", "functorch"):
            return None
        found = counterpart(fullname)
        return ModuleSpec(fullname, self, is_package=hasattr(found, "__path__"))

    def exec_module(self, module: ModuleType) -> None:
        # Importing returns what stands here afterwards, so devtensor's module keeps its own name.
        first, _, rest = module.__name__.partition(".")
        found = absent(rest) if first == "devtensor" else counterpart(module.__name__)
        # A file of ours may be a package there; what is inside it is found above, and nowhere else.
        vars(found).setdefault("__path__", [])
        sys.modules[module.__name__] = found


def install() -> None:
    """Let ``import torch`` find devtensor for as long as this process lives.

    Processes that it spawns, such as a data loader's workers, do the same.

    Raises
    ------
    RuntimeError
        If PyTorch itself has been imported already.
    """
    package = counterpart("torch")
    there = sys.modules.get("torch")
    if there not in (None, package) and getattr(there, "__file__", None) != f"{FOLDER}/torch.py":
        raise RuntimeError(
            "PyTorch has been imported in this process already, so devtensor cannot stand in for "
            "it: start the program with `python -m devtensor run`"
        )
    sys.modules["torch"] = package
    version = import_module("devtensor.torch_version").TorchVersion(VERSION)
    package.__version__ = counterpart("torch.version").__version__ = version  # type: ignore
    package.__name__ = "torch"  # some programs look at it before they patch what is in it
    for name, place in PLACES.items():
        attrgetter(name)(package).__module__ = place
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    if FOLDER not in sys.path:
        sys.path.insert(min(1, len(sys.path)), FOLDER)  # behind the program's own folder
