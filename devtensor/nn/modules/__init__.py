"""The layers under the names of the files in which PyTorch keeps them."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from devtensor import nn

FILES = (
    "activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance",
    "dropout", "flatten", "fold", "instancenorm", "lazy", "linear", "loss", "module",
    "normalization", "padding", "pixelshuffle", "pooling", "rnn", "sparse", "transformer",
    "upsampling",
)  # fmt: skip
UNDERLINED = {
    "_BatchNorm": "batchnorm.BatchNorm",
    "_InstanceNorm": "batchnorm.InstanceNorm",
    "_NormBase": "batchnorm.Normalization",
    "_CircularPadNd": "padding.CircularPad",
    "_ConstantPadNd": "padding.ConstantPad",
    "_ReflectionPadNd": "padding.ReflectionPad",
    "_ReplicationPadNd": "padding.ReplicationPad",
    "_get_activation_fn": "transformer_layer.activation_of",
    "_ConvNd": "conv.Convolution",
    "_ConvTransposeNd": "conv.TransposedConvolution",
    "_DropoutNd": "dropout.Dropout",
    "_IncompatibleKeys": "_state.IncompatibleKeys",
    "_Loss": "loss.Loss",
    "_WeightedLoss": "loss.WeightedLoss",
    "_MaxPoolNd": "pooling.MaxPool",
    "_MaxUnpoolNd": "pooling.MaxUnpool",
    "_LPPoolNd": "pooling.LPPool",
    "_AdaptiveAvgPoolNd": "pooling.AdaptiveAvgPool",
    "_AdaptiveMaxPoolNd": "pooling.AdaptiveMaxPool",
}
"""PyTorch's names of what layers have in common, which programs ask for, and where it is here."""


class File(ModuleType):
    """One of PyTorch's files: its names are found where they are here."""

    def __getattr__(self, name: str) -> Any:
        place, _, own = UNDERLINED.get(name, "").partition(".")
        if place:
            return getattr(import_module(f"devtensor.nn.{place}"), own)
        last = self.__name__.rpartition(".")[2]
        for home in (getattr(nn, last, None), nn):
            if hasattr(home, name) and not name.startswith("__"):
                return getattr(home, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


for _name in FILES:
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = File(f"{__name__}.{_name}")


def __getattr__(name: str) -> Any:
    if name[:1].isupper():  # the classes, which the package has, too
        return getattr(nn, name)
    raise AttributeError(f"module 'devtensor.nn.modules' has no attribute {name!r}")
