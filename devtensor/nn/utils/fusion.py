"""A layer and the batch normalization behind it as one layer, for evaluating."""

from __future__ import annotations

import copy
from typing import Any

import devtensor as dt
from devtensor.nn.parameter import Parameter
from devtensor.tensor import Tensor

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def fused(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float,
    gamma: Tensor | None, beta: Tensor | None, dim: int,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """The weight and bias of a layer with the normalization in them, along outputs' `dim`."""
    bias = dt.zeros_like(mean) if bias is None else bias
    gamma = dt.ones_like(mean) if gamma is None else gamma
    beta = dt.zeros_like(mean) if beta is None else beta
    scale = gamma * dt.rsqrt(var + eps)
    shape = [1] * weight.ndim
    shape[dim] = -1
    made = weight * scale.to(weight.dtype).reshape(shape)
    moved = ((bias - mean) * scale + beta).to(bias.dtype)
    return Parameter(made, weight.requires_grad), Parameter(moved, bias.requires_grad)


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """The weight and bias of a convolution that normalizes, too.

    Parameters
    ----------
    conv_w, conv_b : Tensor
        Those of the convolution.
    bn_rm, bn_rv : Tensor
        The running mean and variance.
    bn_eps : float
    bn_w, bn_b : Tensor, optional
        Those of the normalization.
    transpose : bool
        Whether the convolution is a transposed one.
    """
    return fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """The weight and bias of a linear layer that normalizes, too."""
    return fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def with_norm(layer: Any, bn: Any, dim: int) -> Any:
    """A copy of a layer with the normalization in it."""
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    made = copy.deepcopy(layer)
    made.weight, made.bias = fused(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, dim
    )
    return made


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """One convolution that does what a convolution and a batch normalization do, both in eval mode.

    Parameters
    ----------
    conv, bn : Module
        They stay as they are.
    transpose : bool
        Whether the convolution is a transposed one.

    Raises
    ------
    AssertionError
        If one of them is in training.

    Examples
    --------
    >>> import devtensor as dt
    >>> conv, bn = dt.nn.Conv2d(1, 2, 3).eval(), dt.nn.BatchNorm2d(2).eval()
    >>> x = dt.randn(1, 1, 5, 5)
    >>> dt.allclose(dt.nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    return with_norm(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One linear layer that does what a linear layer and a batch normalization do, in eval mode.

    Raises
    ------
    AssertionError
        If one of them is in training, or their numbers of features differ.
    """
    if not (linear.out_features == bn.num_features or bn.num_features == 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"{linear.out_features} and {bn.num_features}"
        )
    return with_norm(linear, bn, 0)
