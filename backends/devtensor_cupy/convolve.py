"""Convolutions: one product of the weight with the columns of all windows of a batch.

A kernel lays the columns out, and another adds them up on the way back. Results of the product
stand by channel, then by image; a third kernel brings them in order, and adds the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.ops import conv as common

from .raw import FLOATS, SOURCES, Source, launch, ordered, type_of
from .runtime import cupy
from .windows import DIMS, READ, Sizes, columns, images_of

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


def own(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel for arrays that ours are for; of others the common one."""
    plain = getattr(common, function.__name__).kernel

    def run(
        xp: Any, first: Any, second: Any, bias: Any = None, /, *, size: Sizes, stride: Sizes,
        padding: Sizes, dilation: Sizes, groups: int,
    ) -> Any:  # fmt: skip
        params = common.params(size, stride, padding, dilation, groups)
        empty = 0 in (*first.shape, *second.shape, *size)
        if empty or len(size) > DIMS or first.dtype.kind not in "fV":
            given = (first, second) if bias is None else (first, second, bias)
            return plain(xp, *given, **params)
        # What is added up before it is rounded needs no wider type: products do so by themselves.
        if first.itemsize == 2 and (function is convolution_spread or first.dtype.kind != "f"):
            wide = common.single(xp, first, second, bias)
            return xp.astype(run(xp, *wide, **params), first.dtype)
        return function(first, second, bias, size, (stride, padding, dilation), groups)

    return run


def product(left: Any, right: Any, groups: int) -> Any:
    """The product of matrices, one to a group."""
    return left[0] @ right[0] if groups == 1 else left @ right


def convolution(
    input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
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
    input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
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
    return common.with_bias(cupy, found, bias)


def convolution_weight(
    input: Any, grad: Any, _: None, size: Sizes, where: tuple[Sizes, ...], groups: int
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


FUNCTIONS: tuple[Any, ...] = (convolution, convolution_spread, convolution_weight)
KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: own(function) for function in FUNCTIONS
}
