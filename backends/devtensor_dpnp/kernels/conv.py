"""Convolutions: products of the weight with the columns of windows, which one kernel lays out, and
another adds up on the way back. Functions of arrays do that in a pass for each place within a
window, with dpnp in 5 to 10 times the time of NumPy's kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.ops import conv as common
from devtensor.ops.elementwise import half
from devtensor_formulas.windows import Sizes, convolving, each

from ..launch import takes_source
from ..memory import ordered
from ..windows import BACK, walked

READ = "__global const $T* restrict x"
COLUMNS = (
    "long rest = plane; int i2 = rest % k2; rest /= k2; int i1 = rest % k1; rest /= k1;"
    "int i0 = rest % k0; rest /= k0;"
    + each("int f# = c# * s# - p# + i# * d#;", dims=2)
    + """
    int shift = i2 * d2 - p2, low = shift < 0 ? min(m2, ($S - 1 - shift) / $S) : 0;
    int high = shift < n2 ? min(m2, (n2 - 1 - shift) / $S + 1) : 0;
    if (f0 < 0 || f0 >= n0 || f1 < 0 || f1 >= n1) low = high = 0;
    high = max(low, high);
    __global const $T* restrict line = x + ((rest * n0 + f0) * n1 + f1) * n2 + shift;
    for (int c = 0; c < low; c++) row[c] = 0;
    for (int c = low; c < high; c++) row[c] = line[c * $S];
    for (int c = high; c < m2; c++) row[c] = 0;"""
)
SUMS = BACK.replace(
    "$LINE",
    "__global const $T* restrict all = x + "
    "((((plane * k0 + i0) * k1 + i1) * k2 * m0 + o0) * m1 + o1) * m2;",
).replace(
    "$TURN", "row[c * $S + shift] += all[(long)i2 * m0 * m1 * m2 + c];"
)  # fmt: skip


def columns(images: Any, kernel: Sizes, out: Sizes, *where: Sizes) -> Any:
    """All windows of images (n, channels, *sizes), of shape (n, channels, elements, *out)."""
    shape = (*images.shape[:2], prod(kernel), *out)
    given, sizes = [ordered(images)], images.shape[2:]
    return walked(
        "columns", READ, COLUMNS, images, shape, given, False, (sizes, out, kernel, *where)
    )


def images_of(columns: Any, size: Sizes, kernel: Sizes, *where: Sizes) -> Any:
    """The adjoint of `columns`: images of a size to which the elements of windows are added."""
    shape, out = (*columns.shape[:2], *size), columns.shape[3:]
    given = [ordered(columns)]
    return walked("images", READ, SUMS, columns, shape, given, True, (size, out, kernel, *where))


def convolution(
    xp: Any, input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution`."""
    (outputs, *_), kernel = weight.shape, weight.shape[2:]
    matrix = xp.reshape(weight, (groups, outputs // groups, prod(weight.shape[1:])))
    parts = []
    for some in common.shares(input.shape, kernel, size):
        laid = columns(input[some], kernel, size, *where)
        laid = xp.reshape(laid, (laid.shape[0], groups, matrix.shape[2], prod(size)))
        found = xp.matmul(matrix, laid)
        parts.append(xp.reshape(found, (found.shape[0], outputs, *size)))
    return common.with_bias(xp, common.joined(xp, parts), bias)


def convolution_spread(
    xp: Any, input: Any, weight: Any, bias: Any, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution_spread`."""
    outputs, many, *kernel = weight.shape
    out, elements = input.shape[2:], prod(kernel)
    matrix = xp.reshape(weight, (groups, outputs // groups, many * elements))
    matrix = xp.permute_dims(matrix, (0, 2, 1))
    parts = []
    for some in common.shares((input.shape[0], many * groups), tuple(kernel), out):
        g = input[some]
        g = xp.reshape(g, (g.shape[0], groups, outputs // groups, prod(out)))
        laid = xp.reshape(xp.matmul(matrix, g), (g.shape[0], many * groups, elements, *out))
        parts.append(images_of(laid, size, tuple(kernel), *where))
    return common.with_bias(xp, common.joined(xp, parts), bias)


def convolution_weight(
    xp: Any, input: Any, grad: Any, _: None, size: Sizes, where: tuple[Sizes, ...], groups: int
) -> Any:
    """`convolution_weight`."""
    outputs, out = grad.shape[1], grad.shape[2:]
    total: Any = None
    for some in common.shares(input.shape, size, out):
        laid = columns(input[some], size, out, *where)
        laid = xp.reshape(laid, (laid.shape[0], groups, -1, prod(out)))
        g = xp.reshape(grad[some], (laid.shape[0], groups, outputs // groups, prod(out)))
        found = xp.matmul(g, xp.permute_dims(laid, (0, 1, 3, 2)))
        part = xp.sum(found, axis=0, dtype=input.dtype)
        total = part if total is None else total + part
    return xp.reshape(total, (outputs, input.shape[1] // groups, *size))


FUNCTIONS: tuple[Any, ...] = (convolution, convolution_spread, convolution_weight)
KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: convolving(
        function, getattr(common, function.__name__).kernel, takes_source, half
    )
    for function in FUNCTIONS
}
