"""Derivatives: the tape, the ways back through it, and the modes that say when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Where the public names live. They are fetched when asked for: operations stand between the lower
# floors of this package and the upper ones, so it cannot import itself whole.
PLACES = {
    "Function": "function",
    "backward": "engine",
    "detect_anomaly": "anomaly",
    "enable_grad": "modes",
    "grad": "engine",
    "gradcheck": "check",
    "gradgradcheck": "check",
    "inference_mode": "modes",
    "no_grad": "modes",
    "set_detect_anomaly": "anomaly",
    "set_grad_enabled": "modes",
}
MODULES = ("anomaly", "check", "function", "functional", "graph")

__all__ = [*PLACES, "function", "functional", "graph"]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"devtensor.autograd.{PLACES[name]}"), name)
    if name in MODULES:
        return import_module(f"devtensor.autograd.{name}")
    if name == "Variable":
        return import_module("devtensor.tensor").Tensor
    raise AttributeError(f"devtensor.autograd has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
