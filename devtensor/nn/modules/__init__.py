"""The layers under the names of the files in which PyTorch keeps them."""

from __future__ import annotations

import sys
from typing import Any

from devtensor import nn
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


def __getattr__(name: str) -> Any:
    if name[:1].isupper():  # the classes, which the package has, too
        return getattr(nn, name)
    raise AttributeError(f"module 'devtensor.nn.modules' has no attribute {name!r}")
