"""Views made by array methods: NumPy's functions cost several times the work itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from devtensor.ops import shape as common
from devtensor.ops.arguments import axes, axis

Array = np.ndarray


def view_shape(xp: Any, input: Array, /, size: Any) -> Any:
    """`view_shape`; contiguous memory always allows it."""
    if input.flags.c_contiguous:
        return reshape(xp, input, size)
    return common.view_shape.kernel(xp, input, size)


def reshape(xp: Any, input: Array, /, shape: Any) -> Any:
    """`reshape`; lengths below -1 mean nothing, though NumPy takes them for -1."""
    try:
        if not shape or min(shape) >= 0 or (input.size and min(shape) == -1):
            return input.reshape(shape)
    except (ValueError, TypeError):
        pass
    return input.reshape(common.inferred(shape, input.size))


def permute(xp: Any, input: Array, /, dims: Any) -> Any:
    """`permute`."""
    try:
        return input.transpose(dims) if dims else common.permute.kernel(xp, input, dims)
    except (ValueError, TypeError):
        return common.permute.kernel(xp, input, dims)


def transpose(xp: Any, input: Array, /, dim0: int, dim1: int) -> Any:
    """`transpose`."""
    try:
        return input.swapaxes(dim0, dim1)
    except ValueError:
        return common.transpose.kernel(xp, input, dim0, dim1)


def t(xp: Any, input: Array, /) -> Any:
    """`t`."""
    return input.T if input.ndim <= 2 else common.t.kernel(xp, input)


def numpy_T(xp: Any, input: Array, /) -> Any:
    """All dimensions in reverse order."""
    return input.T


def squeeze(xp: Any, input: Array, /, dim: Any = None) -> Any:
    """`squeeze`."""
    if dim is None:
        return input.squeeze()
    try:
        return input.squeeze(dim) if input.shape[dim] == 1 else input[...]
    except (IndexError, TypeError):  # no such dimension, or several
        return common.squeeze.kernel(xp, input, dim)


def _strided(x: Array, size: Sequence[int], steps: Sequence[int]) -> Array:
    """A view from the first element of `x`, writable if `x` is."""
    if x.flags.c_contiguous and x.flags.writeable and x.size:
        return np.ndarray(size, x.dtype, x, 0, steps)
    return as_strided(x, size, steps)


def expand(xp: Any, input: Array, /, size: Any) -> Any:
    """`expand` by strides of 0; the result is writable, as the memory is."""
    shape, lengths = input.shape, list(size)
    extra = len(lengths) - len(shape)
    if extra < 0 or (extra and min(lengths[:extra]) < 0):
        common.expanded(shape, size)
    steps = [0] * len(lengths)
    for d, (own, step) in enumerate(zip(shape, input.strides, strict=True), extra):
        if lengths[d] == own or lengths[d] == -1:
            lengths[d], steps[d] = own, step
        elif own != 1 or lengths[d] < 0:
            common.expanded(shape, size)
    return _strided(input, lengths, steps)


def diagonal(xp: Any, input: Array, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """`diagonal`, which NumPy returns read-only."""
    try:
        view = input.diagonal(offset, dim1, dim2)
    except ValueError:
        return common.diagonal.kernel(xp, input, offset, dim1, dim2)
    if input.flags.writeable:
        view.flags.writeable = True
    return view


def unfold(xp: Any, input: Array, /, dimension: int, size: int, step: int) -> Any:
    """`unfold` by strides; the result is writable, as the memory is."""
    ndim = input.ndim
    if not -ndim <= dimension < ndim or not 0 <= size <= input.shape[dimension] or step < 1:
        return common.unfold.kernel(xp, input, dimension, size, step)
    dimension %= ndim
    shape, steps = list(input.shape), list(input.strides)
    inner = steps[dimension]
    shape[dimension] = (shape[dimension] - size) // step + 1
    steps[dimension] *= step
    return _strided(input, (*shape, size), (*steps, inner))


def unbind(xp: Any, input: Array, /, dim: int = 0) -> Any:
    """`unbind`; along the first dimension, NumPy's own iteration is faster."""
    return list(input) if not dim and input.ndim > 1 else common.unbind.kernel(xp, input, dim)


def flip(xp: Any, input: Array, /, dims: Sequence[int]) -> Any:
    """`flip`."""
    key: list[Any] = [slice(None)] * input.ndim
    along = axes(tuple(dims), input.ndim)
    for d in along if input.ndim else ():
        key[d] = slice(None, None, -1)
    return np.array(input[(*key, ...)], order="C")


def repeat(xp: Any, input: Array, /, repeats: Any) -> Any:
    """`repeat`, copied once."""
    repeats = tuple(repeats)
    extra = len(repeats) - input.ndim
    if extra < 0 or min(repeats, default=0) < 0:
        return common.repeat.kernel(xp, input, repeats)
    own = (1,) * extra + input.shape
    out = np.empty([n for pair in zip(repeats, own, strict=True) for n in pair], dtype=input.dtype)
    out[...] = input.reshape([n for length in own for n in (1, length)])
    return out.reshape([r * n for r, n in zip(repeats, own, strict=True)])


def roll(xp: Any, input: Array, /, shifts: Any, dims: Any = None) -> Any:
    """`roll` along one dimension: two copies of parts."""
    one = dims[0] if isinstance(dims, (tuple, list)) and len(dims) == 1 else dims
    if isinstance(shifts, (tuple, list)) and len(shifts) == 1:
        shifts = shifts[0]
    if not (isinstance(one, int) and isinstance(shifts, int)) or not input.size or not input.ndim:
        return common.roll.kernel(xp, input, shifts, dims)
    dim = axis(one, input.ndim)
    cut = -shifts % input.shape[dim]
    before = common.ahead(dim)
    return np.concatenate(
        [input[(*before, slice(cut, None))], input[(*before, slice(0, cut))]], axis=dim
    )


def stack(xp: Any, /, *tensors: Array, dim: int = 0) -> Any:
    """`stack` along the first dimension as a concatenation."""
    if (
        dim == 0
        and tensors
        and (shape := tensors[0].shape)
        and all(x.shape == shape for x in tensors)
    ):
        return xp.concat(tensors).reshape((len(tensors), *shape))
    return common.stack.kernel(xp, *tensors, dim=dim)


def constant_pad_nd(xp: Any, input: Array, /, pad: Any, value: Any = 0) -> Any:
    """`constant_pad_nd` into zeroed memory, which is cheaper than filled memory."""
    pad = tuple(pad)
    if value == 0 and len(pad) <= 2 * input.ndim and not len(pad) % 2 and min(pad, default=0) >= 0:
        margins = common._margins(pad, input.ndim)
        out = np.zeros(
            [n + b + a for n, (b, a) in zip(input.shape, margins, strict=True)], dtype=input.dtype
        )
        out[tuple([slice(b, b + n) for n, (b, _) in zip(input.shape, margins, strict=True)])] = (
            input
        )
        return out
    return common.constant_pad_nd.kernel(xp, input, pad, value)


def contiguous_copy(xp: Any, input: Array, /) -> Any:
    """`contiguous_copy`."""
    return np.array(input, order="C")


KERNELS = {
    "view_shape": view_shape,
    "reshape": reshape,
    "permute": permute,
    "transpose": transpose,
    "t": t,
    "numpy_T": numpy_T,
    "squeeze": squeeze,
    "expand": expand,
    "diagonal": diagonal,
    "unfold": unfold,
    "unbind": unbind,
    "flip": flip,
    "repeat": repeat,
    "roll": roll,
    "stack": stack,
    "constant_pad_nd": constant_pad_nd,
    "contiguous_copy": contiguous_copy,
}
