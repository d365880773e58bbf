"""Rules for batches of functions that read and write at indices, and of matrices and transforms."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.func._batch import Batch, Unbatchable, shown, spread
from devtensor.func._calls import DYNAMIC, MASKED, Function, direct, looped
from devtensor.func._rules import rule, size_of, up, ups

# ---- at indices


@rule("take")
def take(function: Function, x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    axis = (0 if axis is None else axis) % x.ndim
    if not indices.many:
        return x.made(function(x.value, indices.value, axis=axis + 1), True)
    return get(x.inner.get, x, (*[slice(None)] * axis, indices))


@rule("take_along_axis")
def take_along_axis(function: Function, x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    size = size_of(x, indices)
    return x.made(function(x.all(size), indices.all(size), axis=up(axis, x.ndim)), True)


class Places:
    """Where a key with arrays of indices points, as the library can be asked for all examples.

    The indexed axes are taken to the front, so that those of the result are there, too.
    """

    def __init__(self, x: Any, key: Any) -> None:
        inner = self.inner = x.inner
        key = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis not in [k for k in key if not isinstance(k, Batch)]:
            key.append(Ellipsis)
        at = next(i for i, k in enumerate(key) if k is Ellipsis)
        used = sum(k.ndim if self.mask(k) else 1 for k in key) - 1
        key[at : at + 1] = [slice(None)] * (x.ndim - used)
        arrays: list[Any] = []
        indexed: list[int] = []
        rest: list[Any] = []
        others: list[int] = []
        axis = 0
        for k in key:
            if isinstance(k, slice):
                rest.append(k)
                others.append(axis)
                axis += 1
                continue
            found = [k if isinstance(k, Batch) else x.made(inner.asarray(k), False)]
            if self.mask(k):
                if k.many:
                    raise Unbatchable(MASKED)
                found = [x.made(part, False) for part in inner.nonzero(k.value)]
            for part in found:
                arrays.append(part)
                indexed.append(axis)
                axis += 1
        self.order = (*indexed, *others)
        self.wide = max(k.ndim for k in arrays)
        adjacent = indexed == list(range(indexed[0], indexed[-1] + 1))
        self.first = indexed[0] if adjacent else 0
        self.arrays, self.rest = arrays, rest
        self.many = any(k.many for k in arrays)

    def mask(self, k: Any) -> bool:
        """Whether a part of the key is an array of truth values."""
        return isinstance(k, Batch) and bool(self.inner.isdtype(k.dtype, "bool"))

    def key(self, size: int | None) -> tuple[Any, ...]:
        """The key; with the number of examples for an array that is different for each."""
        arrays = [shown(k, self.wide) for k in self.arrays]
        if size is None:
            return (*arrays, *self.rest)
        if not self.many:
            return (slice(None), *arrays, *self.rest)
        rows = self.inner.reshape(self.inner.arange(size), (size, *[1] * self.wide))
        return (rows, *arrays, *self.rest)

    def moved(self, value: Any, back: bool = False) -> Any:
        """A result with the axes of the indices where one example has them, or at the front."""
        if not self.first:
            return value
        front = tuple(range(1, 1 + self.wide))
        there = tuple(range(1 + self.first, 1 + self.first + self.wide))
        return self.inner.moveaxis(value, *((there, front) if back else (front, there)))


@rule("get")
def get(function: Function, x: Any, key: Any, /) -> Any:
    at = Places(x, key)
    inner = x.inner
    if x.many:
        value = inner.permute_dims(x.value, (0, *[1 + axis for axis in at.order]))
        found = function(value, at.key(value.shape[0]))
    else:
        found = function(inner.permute_dims(x.value, at.order), at.key(None))
    return x.made(at.moved(found), True)


@rule("put")
def put(function: Function, x: Any, key: Any, values: Any, accumulate: bool = False, /) -> Any:
    size, inner = size_of(x, key, values), x.inner
    mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
    if isinstance(mask, Batch) and mask.many and inner.isdtype(mask.dtype, "bool"):
        if isinstance(values, Batch) and values.ndim:
            raise Unbatchable(DYNAMIC.format(name="put"))
        missing = [1] * (x.ndim - mask.ndim)
        whole = mask.made(inner.reshape(mask.value, (*mask.value.shape, *missing)), True)
        return spread(inner.where, whole, x + values if accumulate else values, x)
    at = Places(x, key)
    order = (0, *[1 + axis for axis in at.order])
    value = inner.permute_dims(x.all(size), order)
    made = at.key(size)
    if isinstance(values, Batch):
        shape = inner.get(value, made).shape
        target = at.moved(inner.broadcast_to(inner.zeros((1,) * len(shape)), shape)).shape
        given = values.all(size)
        given = given[(slice(None), *[None] * (len(target) - given.ndim), ...)]
        values = at.moved(inner.broadcast_to(given, target), back=True)
    back = sorted(range(len(order)), key=order.__getitem__)
    return x.made(inner.permute_dims(function(value, made, values, accumulate), tuple(back)), True)


@rule("scatter", "scatter_add")
def scatter(function: Function, x: Any, dim: int, index: Any, src: Any, /) -> Any:
    size = size_of(x, index, src)
    if not x.ndim:
        return looped(function, x, dim, index, src)
    return x.made(function(x.all(size), up(dim, x.ndim), index.all(size), src.all(size)), True)


@rule("index_add")
def index_add(function: Function, x: Any, dim: int, index: Any, src: Any, /) -> Any:
    size = size_of(x, index, src)
    if index.many:
        return put(x.inner.put, x, (*[slice(None)] * dim, index), src, True)
    return x.made(function(x.all(size), up(dim, x.ndim), index.value, src.all(size)), True)


# ---- matrices and transforms


@rule("matmul")
def matmul(function: Function, a: Any, b: Any, /) -> Any:
    row, column = a.ndim == 1, b.ndim == 1
    left, right = a.value, b.value
    if row:
        left = left[..., None, :]
    if column:
        right = right[..., :, None]
    many = [(x.many, x.ndim + (x.ndim == 1)) for x in (a, b)]
    ndim = max(n for _, n in many)
    if a.many and ndim > many[0][1]:
        left = left[(slice(None), *[None] * (ndim - many[0][1]), ...)]
    if b.many and ndim > many[1][1]:
        right = right[(slice(None), *[None] * (ndim - many[1][1]), ...)]
    if not b.many and many[1][1] == 2 and many[0][1] > 2:  # one product of large matrices
        rows = left.shape[:-1]
        flat = a.inner.reshape(left, (prod(rows), left.shape[-1]))
        found = a.inner.reshape(function(flat, right), (*rows, right.shape[-1]))
    else:
        found = function(left, right)
    if column:
        found = found[..., 0]
    if row:
        found = found[..., 0] if column else found[..., 0, :]
    return a.made(found, True)


@rule("vecdot")
def vecdot(function: Function, a: Any, b: Any, /, *, axis: int = -1) -> Any:
    return spread(lambda x, y: function(x, y, axis=axis), a, b)


NATIVE = """
cholesky det diagonal eig eigh eigvals eigvalsh inv matrix_rank matrix_transpose pinv qr slogdet svd
svdvals trace
"""
"""What works on the last two axes, whatever stands before them."""

LINALG: dict[str, Function] = dict.fromkeys(NATIVE.split(), direct)
LINALG["vecdot"] = vecdot
LINALG["matmul"] = matmul


def solve(function: Function, a: Any, b: Any, /) -> Any:
    """``linalg.solve``, where a vector is no matrix with a row for each example."""
    size = size_of(a, b)
    if b.ndim == 1:
        right = b.made(b.all(size)[..., None], True)
        return b.made(direct(function, a, right).value[..., 0], True)
    return direct(function, a.made(a.all(size), True), b.made(b.all(size), True))


LINALG["solve"] = solve


def transform(function: Function, x: Batch, /, n: Any = None, axis: int = -1, **kw: Any) -> Any:
    """A Fourier transform along one axis."""
    return x.made(function(x.value, n=n, axis=up(axis, x.ndim), **kw), True)


def transforms(function: Function, x: Batch, /, s: Any = None, axes: Any = None, **kw: Any) -> Any:
    """A Fourier transform along several axes."""
    if axes is None:
        axes = range(0 if s is None else x.ndim - len(s), x.ndim)
    return x.made(function(x.value, s=s, axes=ups(tuple(axes), x.ndim), **kw), True)


def shifted(function: Function, x: Batch, /, *, axes: Any = None) -> Any:
    """A rotation of frequencies."""
    return x.made(function(x.value, axes=ups(axes, x.ndim)), True)


FFT: dict[str, Function] = {
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), transform),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), transforms),
    **dict.fromkeys(("fftshift", "ifftshift"), shifted),
}
