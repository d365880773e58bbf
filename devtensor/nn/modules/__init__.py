"""The layers under the names of the files in which PyTorch keeps them."""

import sys

from devtensor.nn import (
    activation,
    batchnorm,
    container,
    conv,
    dropout,
    linear,
    loss,
    module,
    normalization,
    padding,
    pooling,
    rnn,
    sparse,
    transformer,
)

__all__ = [
    "activation",
    "batchnorm",
    "container",
    "conv",
    "dropout",
    "linear",
    "loss",
    "module",
    "normalization",
    "padding",
    "pooling",
    "rnn",
    "sparse",
    "transformer",
]

for _name in __all__:  # so that `from devtensor.nn.modules.module import Module` finds the same
    sys.modules[f"{__name__}.{_name}"] = globals()[_name]
