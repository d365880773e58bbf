"""PyTorch Hub's names (``torch.hub``): programs of others are not fetched and run here."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse  # noqa: F401  # which programs take from here

from devtensor.refusal import refused

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
"""The beginning of a file's SHA-256 in its name."""

FETCH = "nothing is fetched from the network; download the file and read it by torch.load"
CODE = (
    "repositories of others are not fetched and run; install the model's package, or copy its "
    "class, and load its state_dict by torch.load"
)

load = refused("hub.load", CODE)
list = refused("hub.list", CODE)
help = refused("hub.help", CODE)
load_state_dict_from_url = refused("hub.load_state_dict_from_url", FETCH)
download_url_to_file = refused("hub.download_url_to_file", FETCH)

_folder: dict[str, str] = {}


def _get_torch_home() -> str:
    """The folder for what PyTorch keeps: ``$TORCH_HOME``, or ``~/.cache/torch``."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return str(Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser())


class _Progress:
    """A progress bar that is not drawn, where the package tqdm is not installed."""

    def __init__(self, iterable: Any = None, *_: Any, **__: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Any:
        return iter(self.iterable)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Count on."""

    def close(self) -> None:
        """End."""


def __getattr__(name: str) -> Any:
    if name == "tqdm":
        try:
            return import_module("tqdm").tqdm
        except ModuleNotFoundError:
            return _Progress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_dir() -> str:
    """The folder for what was fetched by PyTorch: ``$TORCH_HOME/hub``, ``~/.cache/torch/hub``."""
    return _folder.get("set") or os.path.join(_get_torch_home(), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder that :func:`get_dir` names."""
    _folder["set"] = os.path.expanduser(d)
