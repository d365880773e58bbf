"""The layers under the names of the files in which PyTorch keeps them."""

from __future__ import annotations

import sys
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

from devtensor import nn
from devtensor.nn.modules import utils as utils

INSTANCES = """
InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d LazyInstanceNorm2d
LazyInstanceNorm3d
"""
LOSSES = """
CosineEmbeddingLoss HingeEmbeddingLoss LinearCrossEntropyLoss LinearCrossEntropyOptions
MarginRankingLoss
MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss SoftMarginLoss TripletMarginLoss
TripletMarginWithDistanceLoss
"""
SAME = "adaptive batchnorm conv dropout lazy linear module normalization padding pooling sparse"
FILES = {
    **dict.fromkeys(SAME.split(), ""),
    "activation": "MultiheadAttention",
    "channelshuffle": "ChannelShuffle",
    "container": "ParameterDict ParameterList",
    "distance": "CosineSimilarity PairwiseDistance",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": INSTANCES,
    "loss": LOSSES,
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "rnn": "GRUCell LSTMCell RNNCell RNNCellBase",
    "transformer": "TransformerDecoderLayer TransformerEncoderLayer",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}
"""PyTorch's files, and the classes in them that are in another file here."""
UNDERLINED = {
    "_addindent": "module.indented",
    "_BatchNorm": "batchnorm.BatchNorm",
    "_InstanceNorm": "batchnorm.InstanceNorm",
    "_NormBase": "batchnorm.Normalization",
    "_CircularPadNd": "padding.CircularPad",
    "_ConstantPadNd": "padding.ConstantPad",
    "_ReflectionPadNd": "padding.ReflectionPad",
    "_ReplicationPadNd": "padding.ReplicationPad",
    "_get_activation_fn": "transformer_layer.activation_of",
    "_shape_t": "common_types._size_any_t",
    "_get_clones": "transformer.clones",
    "_generate_square_subsequent_mask": "transformer.causal_mask",
    "_LazyNormBase": "batchnorm.LazyNormalization",
    "_LazyConvXdMixin": "conv.LazyConvolution",
    "_ConvTransposeMixin": "conv.TransposedConvolution",
    "_ConvNd": "conv.Convolution",
    "_ConvTransposeNd": "conv.TransposedConvolution",
    "_DropoutNd": "dropout.Dropout",
    "_EXTRA_STATE_KEY_SUFFIX": "_state.EXTRA",
    "_IncompatibleKeys": "_state.IncompatibleKeys",
    "_Loss": "loss.Loss",
    "_WeightedLoss": "loss.WeightedLoss",
    "_MaxPoolNd": "pooling.MaxPool",
    "_MaxUnpoolNd": "pooling.MaxUnpool",
    "_LPPoolNd": "pooling.LPPool",
    "_AdaptiveAvgPoolNd": "pooling.AdaptiveAvgPool",
    "_AdaptiveMaxPoolNd": "pooling.AdaptiveMaxPool",
    "_global_backward_hooks": "_everywhere.everywhere.backward",
    "_global_backward_pre_hooks": "_everywhere.everywhere.backward_pre",
    "_global_buffer_registration_hooks": "_everywhere.everywhere.buffer",
    "_global_forward_hooks": "_everywhere.everywhere.post",
    "_global_forward_hooks_always_called": "_everywhere.everywhere.post.always_called",
    "_global_forward_hooks_with_kwargs": "_everywhere.everywhere.post.with_kwargs",
    "_global_forward_pre_hooks": "_everywhere.everywhere.pre",
    "_global_module_registration_hooks": "_everywhere.everywhere.module",
    "_global_parameter_registration_hooks": "_everywhere.everywhere.parameter",
}
"""PyTorch's names of what layers have in common, which programs ask for, and where it is here."""


class File(ModuleType):
    """One of PyTorch's files: its names are found where they are here.

    The classes stand in it, as programs look for them there: ``vars(nn.modules.activation)``.
    """

    def fill(self, others: str) -> dict[str, Any]:
        """Enter the classes of our file of this name, and others; return them by name."""
        home = getattr(nn, self.__name__.rpartition(".")[2], None)
        vars(self).update({name: getattr(home, name) for name in getattr(home, "__all__", ())})
        vars(self).update({name: getattr(nn, name) for name in others.split()})
        return {name: value for name, value in vars(self).items() if isinstance(value, type)}

    def __getattr__(self, name: str) -> Any:
        place, _, own = UNDERLINED.get(name, "").partition(".")
        if place:
            return attrgetter(own)(import_module(f"devtensor.nn.{place}"))
        last = self.__name__.rpartition(".")[2]
        for home in (getattr(nn, last, None), nn):
            if hasattr(home, name) and not name.startswith("__"):
                return getattr(home, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


for _name in FILES:
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = File(f"{__name__}.{_name}")


def fill() -> None:
    """Enter the classes in their files and here, once all are there."""
    here = globals()
    for name, others in FILES.items():
        here.update(here[name].fill(others))
