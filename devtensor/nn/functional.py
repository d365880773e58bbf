"""The functions of neural networks: those of the catalogue, and those written with others."""

from __future__ import annotations

from typing import Any

from devtensor.nn import (
    _functional_attention,
    _functional_ctc,
    _functional_distance,
    _functional_forms,
    _functional_image,
    _functional_linear_loss,
    _functional_resize,
    _functional_window,
    _reduction,
)
from devtensor.op import catalogue, in_place
from devtensor.route import asking_first

# Functions of the whole package that are expected here too.
SHARED = (
    "adaptive_avg_pool1d", "adaptive_max_pool1d", "alpha_dropout", "avg_pool1d", "bilinear",
    "binary_cross_entropy_with_logits", "celu", "channel_shuffle", "conv1d", "conv2d", "conv3d",
    "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_similarity",
    "dropout", "feature_alpha_dropout", "hardshrink", "logsigmoid", "max_pool1d",
    "max_pool1d_with_indices", "max_pool2d", "max_pool3d", "pairwise_distance", "pdist",
    "pixel_shuffle", "pixel_unshuffle", "prelu", "relu", "rrelu", "selu", "sigmoid", "tanh",
    "threshold",
)  # fmt: skip


def gather() -> dict[str, Any]:
    """Collect the functions by name: written here, of the catalogue, and their further forms."""
    shelf: dict[str, Any] = {}
    for module in (
        _functional_attention,
        _functional_ctc,
        _functional_distance,
        _functional_image,
        _functional_linear_loss,
        _functional_resize,
        _functional_window,
    ):
        shelf |= {name: asking_first(getattr(module, name)) for name in module.__all__}
    for name, entry in catalogue.items():
        if entry.home == "nn" or name in SHARED:
            shelf[name] = entry.function
    forms = _functional_forms
    shelf |= {name: asking_first(getattr(forms, name)) for name in forms.__all__}
    for name in ("celu", "elu", "hardtanh", "leaky_relu", "relu", "selu", "threshold"):
        shelf[f"{name}_"] = in_place(shelf[name])
    for name in _functional_forms.INPLACE:
        if name in shelf:
            shelf[name] = _functional_forms.with_inplace(shelf[name])
    for function in shelf.values():
        if function.__module__.startswith("devtensor.nn."):
            function.__module__ = __name__  # where it is found, also by pickle
    return shelf


globals().update(gather())
globals().update(
    # What copies of PyTorch's layers take from inside this file.
    _canonical_mask=_functional_attention.canonical_mask,
    _in_projection_packed=_functional_attention.project,
    _mha_shape_check=_functional_attention.check_attention,
    _none_or_dtype=_functional_attention.none_or_dtype,
    _Reduction=_reduction,
)
__all__ = sorted(gather())


def __getattr__(name: str) -> Any:
    raise AttributeError(f"devtensor.nn.functional has no function {name!r}")
