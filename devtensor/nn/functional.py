"""The functions of neural networks: those of the catalogue, and those written with others."""

from __future__ import annotations

from typing import Any

from devtensor.nn import (
    _functional_attention,
    _functional_ctc,
    _functional_distance,
    _functional_forms,
    _functional_image,
    _functional_resize,
    _functional_window,
)
from devtensor.op import catalogue

# Functions of the whole package that are expected here too.
SHARED = (
    "celu",
    "channel_shuffle",
    "cosine_similarity",
    "dropout",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "rrelu",
    "selu",
    "sigmoid",
    "tanh",
    "threshold",
)


def gather() -> dict[str, Any]:
    """Collect the functions by name: written here, of the catalogue, and their further forms."""
    shelf: dict[str, Any] = {}
    for module in (
        _functional_attention,
        _functional_ctc,
        _functional_distance,
        _functional_image,
        _functional_resize,
        _functional_window,
    ):
        shelf |= {name: getattr(module, name) for name in module.__all__}
    for name, entry in catalogue.items():
        if entry.home == "nn" or name in SHARED:
            shelf[name] = entry.function
    shelf |= {name: getattr(_functional_forms, name) for name in _functional_forms.__all__}
    for name in _functional_forms.INPLACE:
        if name in shelf:
            shelf[name] = _functional_forms.with_inplace(shelf[name])
    return shelf


globals().update(gather())
__all__ = sorted(gather())


def __getattr__(name: str) -> Any:
    raise AttributeError(f"devtensor.nn.functional has no function {name!r}")
