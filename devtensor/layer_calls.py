"""What activations, losses, pools and normalizations are among calls of PyTorch's dispatcher."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.aten import REDUCTIONS
from devtensor.call import Call, Params, renamed
from devtensor.dtype import int64
from devtensor.tensor import Tensor

__all__ = ["LAYERS"]


def squared_error(inputs: Any, params: Params) -> Call:
    """The mean squared error, whose reduction is a number there."""
    return Call("mse_loss.default", (*inputs, REDUCTIONS.index(params["reduction"])), {})


def logit_entropy(inputs: Any, params: Params) -> Call:
    """The cross entropy of scores of yes, with no weights."""
    args = (*inputs, None, None, REDUCTIONS.index(params["reduction"]))
    return Call("binary_cross_entropy_with_logits.default", args, {})


def huber(inputs: Any, params: Params) -> Call:
    """The smooth absolute error or Huber's, to each element."""
    name = "smooth_l1_loss" if params["smooth"] else "huber_loss"
    return Call(f"{name}.default", (*inputs, 0, params["delta"]), {})


def class_likelihood(inputs: Any, params: Params) -> Call | None:
    """The likelihood of classes, which comes with the sum of the weights there."""
    given, target, weight = inputs
    if given.ndim not in (2, 4) or params["dim"] != 1 or target.dtype is not int64:
        return None
    name = "nll_loss2d_forward" if given.ndim == 4 else "nll_loss_forward"
    reduction = REDUCTIONS.index(params["reduction"])
    args = (given, target, weight, reduction, params["ignore_index"])
    return Call(f"{name}.default", args, {}, results=lambda made: made[0], several=2)


def windows(inputs: Any, params: Params) -> Call | None:
    """The means of windows over two dimensions or three; None if they have other sizes there."""
    (x,) = inputs
    kernel, stride, padding = [params[name] for name in ("kernel", "stride", "padding")]
    dims = len(kernel)
    room = [n + 2 * p - k for n, p, k in zip(x.shape[-dims:], padding, kernel, strict=True)]
    whole = tuple([r // s + 1 for r, s in zip(room, stride, strict=True)])
    if dims not in (2, 3) or x.ndim not in (dims + 1, dims + 2) or tuple(params["size"]) != whole:
        return None
    how = (False, params["include_pad"], params["divisor"])
    args = (x, list(kernel), list(stride), list(padding), *how)
    return Call(f"avg_pool{dims}d.default", args, {})


def adaptive_average(inputs: Any, params: Params) -> Call | None:
    """The means of parts of two dimensions."""
    if len(params["size"]) != 2 or inputs[0].ndim not in (3, 4):
        return None
    return Call("_adaptive_avg_pool2d.default", (*inputs, list(params["size"])), {})


def spread(name: str) -> Callable[[Any, Params], Call]:
    """A variance or a deviation."""

    def call(inputs: Any, params: Params) -> Call:
        named = {"correction": params["correction"], "keepdim": params["keepdim"]}
        dims = params["dim"]
        listed = [dims] if isinstance(dims, int) else dims
        return Call(f"{name}.correction", (*inputs, listed), named)

    return call


def two_bytes(x: Tensor) -> bool:
    """Whether statistics have fewer digits there than here."""
    return x.dtype.itemsize < 4


def layer_norm(inputs: Any, params: Params) -> Call | None:
    """A normalization of rows, whose statistics have other shapes there."""
    x = inputs[0]
    if two_bytes(x) or params["dims"] == 0:
        return None
    size = list(x.shape[x.ndim - params["dims"] :])
    args = (x, size, *inputs[1:], params["eps"])

    def results(made: Any) -> Any:
        out, mean, rstd = made
        return out, mean.reshape(-1, 1), rstd.reshape(-1, 1)

    return Call("native_layer_norm.default", args, {}, results=results)


def group_norm(inputs: Any, params: Params) -> Call | None:
    """A normalization of groups, whose statistics have other shapes there."""
    x, groups = inputs[0], params["groups"]
    if two_bytes(x):
        return None
    sizes = (x.shape[0], x.shape[1], prod(x.shape[2:]))

    def results(made: Any) -> Any:
        out, *statistics = made
        return out, *[s.reshape(x.shape[0], groups, 1, 1) for s in statistics]

    args = (*inputs, *sizes, groups, params["eps"])
    return Call("native_group_norm.default", args, {}, results=results)


def batch_norm(inputs: Any, params: Params) -> Call | None:
    """A normalization of channels by their own statistics, which come with the variance here."""
    x, eps = inputs[0], params["eps"]
    if two_bytes(x):
        return None

    def results(made: Any) -> Any:
        out, *statistics = made
        var = x.var([0, *range(2, x.ndim)], correction=0)
        return out, *[s.reshape(1, -1, 1) for s in (*statistics, var)]

    args = (*inputs, None, None, True, 0.0, eps)
    return Call("native_batch_norm.default", args, {}, results=results)


def fixed_batch_norm(inputs: Any, params: Params) -> Call | None:
    """The same by known statistics, which come back here."""
    x, mean, var, weight, bias = inputs
    if two_bytes(x) or mean.dtype is not x.dtype or var.dtype is not x.dtype:
        return None

    def results(made: Any) -> Any:
        shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
        rstd = (var + params["eps"]).rsqrt()
        return made[0], mean.clone().reshape(shape), rstd.reshape(shape)

    args = (x, weight, bias, mean, var, False, 0.0, params["eps"])
    return Call("native_batch_norm.default", args, {}, results=results)


LAYERS: dict[str, Callable[[Any, Params], Call | None]] = {
    "squared_error": squared_error,
    "logit_entropy": logit_entropy,
    "class_likelihood": class_likelihood,
    "huber": huber,
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    "native_batch_norm": batch_norm,
    "fixed_batch_norm": fixed_batch_norm,
    "avg_windows": windows,
    "adaptive_avg": adaptive_average,
    "variance": spread("var"),
    "deviation": spread("std"),
    "leaky_relu": renamed("leaky_relu.default", "negative_slope"),
    "elu": renamed("elu.default", "alpha"),
    "silu": renamed("silu.default"),
    "mish": renamed("mish.default"),
    "hardswish": renamed("hardswish.default"),
    "hardsigmoid": renamed("hardsigmoid.default"),
    "selu": renamed("selu.default"),
    "celu": renamed("celu.default", "alpha"),
    "hardtanh": renamed("hardtanh.default", "min_val", "max_val"),
    "relu6": lambda inputs, params: Call("hardtanh.default", (*inputs, 0.0, 6.0), {}),
    "threshold": renamed("threshold.default", "threshold", "value"),
    "gate": lambda inputs, params: Call("threshold_backward.default", (*inputs, 0), {}),
    "gelu_slope": renamed("gelu_backward.default", approximate="approximate"),
    "silu_slope": renamed("silu_backward.default"),
}
"""Ours by name, to what they are there."""
