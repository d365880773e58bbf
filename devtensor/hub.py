"""PyTorch Hub's names (``torch.hub``): programs of others are not fetched and run here."""

from __future__ import annotations

import os
from pathlib import Path

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


def get_dir() -> str:
    """The folder for what was fetched by PyTorch: ``$TORCH_HOME/hub``, ``~/.cache/torch/hub``."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return _folder.get("set") or str(Path(home).expanduser() / "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder that :func:`get_dir` names."""
    _folder["set"] = os.path.expanduser(d)
