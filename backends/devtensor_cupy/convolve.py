"""Convolutions: one product of the weight with the columns of all windows of a batch.

A kernel lays the columns out, and another adds them up on the way back. Results of the product
stand by channel, then by image; a third kernel brings them in order, and adds the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.ops import conv as common
from devtensor_formulas.windows import Sizes, convolving

from .raw import FLOATS, SOURCES, Source, launch, ordered, type_of
from .runtime import cupy
from .windows import READ, columns, images_of

# (first, second, run) as (second, first, run)
SOURCES["turned"] = Source(
    f"{READ}, const T* __restrict__ bias, const N firsts, const N seconds, const N run",
    "N rest = i; const N k = rest % run; rest /= run;"
    "const N one = rest % firsts, two = rest / firsts;"
    "const T v = x[(one * seconds + two) * run + k]; out[i] = bias ? (T)((A)v + (A)bias[one]) : v;",
    FLOATS,
)


def turned(x: Any, firsts: int, seconds: int, shape: Sizes, bias: Any = None) -> Any:
    """An array whose first two dimensions, of these sizes, change places; each of the first ones
    may get a number added.
    """
    out = cupy.empty(shape, x.dtype)
    args = (out, x, 0 if bias is None else ordered(bias), firsts, seconds)
    launch("turned", out.size, (*args, x.size // (firsts * seconds)), type_of(x))
    return out


def product(left: Any, right: Any, groups: int) -> Any:
    """The product of matrices, one to a group."""
    return left[0] @ right[0] if groups == 1 else left @ right


def convolution(
    xp: Any, input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution`."""
    (outputs, *_), kernel = weight.shape, weight.shape[2:]
    matrix = weight.reshape(groups, outputs // groups, -1)
    parts = []
    for some in common.shares(input.shape, kernel, size):
        images = ordered(input[some])
        n = images.shape[0]
        laid = columns(images, (images.shape[2:], size, kernel, *where))
        found = product(matrix, laid.reshape(groups, matrix.shape[2], -1), groups)
        parts.append(turned(found, outputs, n, (n, outputs, *size), bias))
    return parts[0] if len(parts) == 1 else cupy.concatenate(parts)


def convolution_spread(
    xp: Any, input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution_spread`."""
    outputs, many, *kernel = weight.shape
    out, channels = input.shape[2:], many * groups
    matrix = weight.reshape(groups, outputs // groups, -1).transpose(0, 2, 1)
    parts = []
    for some in common.shares((input.shape[0], channels), tuple(kernel), out):
        g = ordered(input[some])
        n = g.shape[0]
        lined = turned(g, n, outputs, (groups, outputs // groups, n * prod(out)))
        laid = product(matrix, lined, groups)
        parts.append(images_of(laid, n, channels, (size, out, tuple(kernel), *where)))
    found = parts[0] if len(parts) == 1 else cupy.concatenate(parts)
    return common.with_bias(xp, found, bias)


def convolution_weight(
    xp: Any, input: Any, grad: Any, _: None, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution_weight`."""
    outputs, out = grad.shape[1], grad.shape[2:]
    total: Any = None
    for some in common.shares(input.shape, size, out):
        images, g = ordered(input[some]), ordered(grad[some])
        n = images.shape[0]
        laid = columns(images, (images.shape[2:], out, size, *where))
        laid = laid.reshape(groups, -1, n * prod(out)).transpose(0, 2, 1)
        lined = turned(g, n, outputs, (groups, outputs // groups, n * prod(out)))
        part = product(lined, laid, groups)
        total = part if total is None else total + part
    return total.reshape(outputs, input.shape[1] // groups, *size)


def takes(x: Any) -> bool:
    """Whether there are kernels for arrays like this."""
    return x.dtype.kind in "fV"


def adds(x: Any) -> bool:
    """Whether what is added up of an array needs more digits than it has."""
    return bool(x.itemsize == 2)


def sums(x: Any) -> bool:
    """The same, of products alone, which add up in single precision by themselves."""
    return bool(x.dtype.kind != "f")


FUNCTIONS: tuple[tuple[Any, Any], ...] = (
    (convolution, sums), (convolution_spread, adds), (convolution_weight, sums),
)  # fmt: skip
KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: convolving(function, getattr(common, function.__name__).kernel, takes, wider)
    for function, wider in FUNCTIONS
}
