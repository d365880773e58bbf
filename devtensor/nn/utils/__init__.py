"""Helpers for gradients, parameters and sequences."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from devtensor.nn.utils import parametrizations, parametrize, rnn
from devtensor.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from devtensor.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from devtensor.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from devtensor.nn.utils.init import skip_init
from devtensor.nn.utils.memory_format import (
    convert_conv2d_weight_memory_format,
    convert_conv3d_weight_memory_format,
)
from devtensor.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from devtensor.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "convert_conv2d_weight_memory_format",
    "convert_conv3d_weight_memory_format",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]


def __getattr__(name: str) -> Any:
    if name in ("prune", "stateless"):  # imported when they are asked for
        return import_module(f"devtensor.nn.utils.{name}")
    raise AttributeError(f"module 'devtensor.nn.utils' has no attribute {name!r}")
