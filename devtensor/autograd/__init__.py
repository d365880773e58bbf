"""Derivatives: the tape, the ways back through it, and the modes that say when it runs."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Where the public names live. They are fetched when asked for: operations stand between the lower
# floors of this package and the upper ones, so it cannot import itself whole.
PLACES = {
    "Function": "function",
    "SavedTensor": "held",
    "_force_original_view_tracking": "modes",
    "_unsafe_preserve_version_counter": "graph",
    "backward": "passes",
    "detect_anomaly": "anomaly",
    "enable_grad": "modes",
    "grad": "passes",
    "is_multithreading_enabled": "modes",
    "is_view_replay_enabled": "modes",
    "gradcheck": "check",
    "gradgradcheck": "check",
    "inference_mode": "modes",
    "no_grad": "modes",
    "set_detect_anomaly": "anomaly",
    "set_grad_enabled": "modes",
    "set_multithreading_enabled": "modes",
}
if TYPE_CHECKING:
    from devtensor.autograd import forward_ad as forward_ad
    from devtensor.autograd import function as function
    from devtensor.autograd import functional as functional
    from devtensor.autograd import graph as graph
    from devtensor.autograd.anomaly import detect_anomaly as detect_anomaly
    from devtensor.autograd.anomaly import set_detect_anomaly as set_detect_anomaly
    from devtensor.autograd.check import gradcheck as gradcheck
    from devtensor.autograd.check import gradgradcheck as gradgradcheck
    from devtensor.autograd.function import Function as Function
    from devtensor.autograd.modes import enable_grad as enable_grad
    from devtensor.autograd.modes import inference_mode as inference_mode
    from devtensor.autograd.modes import no_grad as no_grad
    from devtensor.autograd.modes import set_grad_enabled as set_grad_enabled
    from devtensor.autograd.modes import set_multithreading_enabled as set_multithreading_enabled
    from devtensor.autograd.passes import backward as backward
    from devtensor.autograd.passes import grad as grad
    from devtensor.tensor import Tensor as Variable
MODULES = ("anomaly", "check", "forward_ad", "function", "functional", "graph")
ELSEWHERE = {
    "anomaly_mode": "devtensor.autograd.anomaly",
    "grad_mode": "devtensor.autograd.modes",
    "profiler": "devtensor.profiler",
    "profiler_util": "devtensor.profiler",
    "variable": "devtensor.legacy",
}
"""PyTorch's files of other names than ours."""

__all__ = [name for name in PLACES if name[0] != "_"]
__all__ += ["forward_ad", "function", "functional", "graph"]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"devtensor.autograd.{PLACES[name]}"), name)
    if name in MODULES:
        return import_module(f"devtensor.autograd.{name}")
    if name == "Variable":
        return import_module("devtensor.legacy").Variable
    if name in ELSEWHERE:
        return import_module(ELSEWHERE[name])
    raise AttributeError(f"devtensor.autograd has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__


class Hidden(ModuleType):
    """PyTorch's file of `gradcheck`, which is called as the function of its name is."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self.gradcheck(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("devtensor.autograd.check"), name)


sys.modules[f"{__name__}.gradcheck"] = Hidden(f"{__name__}.gradcheck")
