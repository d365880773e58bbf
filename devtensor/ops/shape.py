"""Views and other rearrangements: what changes where elements stand, not what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, prod
from typing import Any

from devtensor.dtype import dtype as Dtype
from devtensor.dtype import float64, int32
from devtensor.example import complexes, ints
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import axes, axis
from devtensor.ops.elementwise import conj
from devtensor.ops.results import with_out
from devtensor.size import Size

# ---- helpers


def inferred(size: Sequence[int], count: int) -> tuple[int, ...]:
    """`size` with its -1 filled in, for `count` elements.

    Raises
    ------
    RuntimeError
        If `count` elements do not fill such a shape.
    """
    size = tuple(size)
    for position, length in enumerate(size):
        if length < -1:
            raise RuntimeError(
                f"invalid shape dimension {length} at index {position} of shape {list(size)}"
            )
    if size.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if -1 in size:
        rest = -prod(size)
        if rest == 0 and count == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(size)} because the "
                "unspecified "
                "dimension size -1 can be any value and is ambiguous"
            )
        if rest and count % rest == 0:
            return tuple([count // rest if length == -1 else length for length in size])
    elif prod(size) == count:
        return size
    raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {count}")


def spread(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` down to `shape`, from which it was expanded."""
    extra = len(g.shape) - len(shape)
    stretched = [extra + d for d, n in enumerate(shape) if n == 1 and g.shape[extra + d] != 1]
    dims = (*range(extra), *stretched)
    return xp.reshape(xp.sum(g, axis=dims), shape) if dims else g


def inverse(dims: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `dims`."""
    ndim = len(dims)
    back = [0] * ndim
    for position, dim in enumerate(dims):
        back[dim % ndim] = position
    return tuple(back)


def ahead(dim: int) -> tuple[slice, ...]:
    """The part of a key that passes over the first `dim` dimensions."""
    return (slice(None),) * dim


def offsets(sizes: Sequence[int]) -> list[int]:
    """Where pieces of these sizes begin, laid end to end."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return starts


def copied(xp: Any, input: Any) -> Any:
    return xp.asarray(input, copy=True)


# ---- another shape


@op(
    view=True,
    promotes=None,
    public=False,
    node="ViewBackward0",
    examples=[((2, 6), (3, 4)), ((2, 6), (-1,))],
)
def view_shape(xp: Any, input: Any, /, size: Any) -> Any:
    """The same memory in another shape."""
    size = inferred(size, prod(input.shape))
    try:
        return xp.reshape(input, size, copy=False)
    except ValueError:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead. "
            f"Got input of shape {list(input.shape)} and size {list(size)}."
        ) from None


derivative(view_shape, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))


@op(
    view=True,
    promotes=None,
    public=False,
    node="ViewBackward1",
    examples=[(ints(2, 4), int32), (ints(3), float64)],
)
def view_dtype(xp: Any, input: Any, /, dtype: Any) -> Any:
    """The same memory read as another type."""
    return xp.reinterpret(input, dtype)


@composite(method=True, examples=[((2, 6), 3, 4), ((2, 6), -1)])
def view(input: Any, *size: Any, dtype: Any = None) -> Any:
    """The same memory in another shape, or read as another data type.

    Parameters
    ----------
    input : Tensor
    *size : int or sequence of int
        The wanted shape, where one length may be -1, to be worked out from the others. A dtype
        alone reads the bytes as that type; the last dimension shrinks or grows if its elements
        are larger or smaller.

    Raises
    ------
    RuntimeError
        If the elements do not fill the shape, or no strides can express it; :func:`reshape` then
        copies.
    """
    first = size[0] if size else dtype
    if first is None:
        raise TypeError("view() received an invalid combination of arguments: give a size or dtype")
    if isinstance(first, Dtype):
        return view_dtype(input, first)
    if len(size) == 1 and not isinstance(first, int):
        size = tuple(first) if hasattr(first, "__len__") else (int(first),)
    return view_shape(input, size)


@op(
    view="maybe",
    promotes=None,
    varargs="shape",
    node="ViewBackward0",
    examples=[
        ((2, 6), {"shape": (3, 4)}),
        ((2, 6), {"shape": (-1,)}),
        ((), {"shape": (1, 1)}),
        ((0, 3), {"shape": (3, 0)}),
    ],
)
def reshape(xp: Any, input: Any, /, shape: Any) -> Any:
    """Give the elements another shape; a view where strides can express it, else a copy.

    Parameters
    ----------
    input : Tensor
    shape : ints
        The wanted shape; one length may be -1, to be worked out from the others.

    Raises
    ------
    RuntimeError
        If the elements do not fill the shape.
    """
    return xp.reshape(input, inferred(shape, prod(input.shape)))


derivative(reshape, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))


@composite(method=True, examples=[((2, 6), (3, 4))])
def view_as(input: Any, other: Any) -> Any:
    """The same memory in the shape of `other`."""
    return view_shape(input, other.shape)


@composite(method=True, examples=[((2, 6), (3, 4))])
def reshape_as(input: Any, other: Any) -> Any:
    """Give `input` the shape of `other`."""
    return reshape(input, other.shape)


@composite(
    method=True, examples=[((2, 3, 4),), ((2, 3, 4), {"start_dim": 1}), ((2, 3, 4), 0, -2), ((),)]
)
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join dimensions `start_dim` to `end_dim` into one.

    Raises
    ------
    RuntimeError
        If `start_dim` comes after `end_dim`.
    """
    shape = input.shape
    ndim = len(shape)
    first, last = axis(start_dim, ndim), axis(end_dim, ndim)
    if first > last:
        raise RuntimeError(
            "flatten() has invalid args: start_dim cannot come after end_dim, got "
            f"start_dim={start_dim}, "
            f"end_dim={end_dim} for input of shape {list(shape)}"
        )
    if first == last and ndim:
        return input
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


@composite(method=True, examples=[((2, 12), 1, (3, 4)), ((2, 12), -1, (3, -1))])
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Split dimension `dim` into dimensions of `sizes`, of which one may be -1.

    Raises
    ------
    RuntimeError
        If `sizes` do not multiply to the length of `dim`.
    """
    shape = input.shape
    if not shape:
        raise RuntimeError("unflatten: a 0-d tensor has no dimension to split")
    dim = axis(dim, len(shape))
    sizes = tuple(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        sizes = inferred(sizes, shape[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[dim]}) "
            "in the input tensor"
        ) from None
    return view_shape(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@composite(method=True, examples=[((2, 3),), ((),)])
def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    return reshape(input, (-1,))


@op(
    view=True,
    promotes=None,
    examples=[
        ((1, 3, 1),),
        ((1, 3, 1), {"dim": 0}),
        ((1, 3, 1), {"dim": (0, -1)}),
        ((1, 3), {"dim": 1}),
        ((),),
    ],
)
def squeeze(xp: Any, input: Any, /, dim: Any = None) -> Any:
    """Drop dimensions of length 1: all of them, or those in `dim`.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int, optional
        Dimensions to drop; those of another length stay.
    """
    shape = input.shape
    wanted = (
        range(len(shape))
        if dim is None
        else axes(dim, len(shape))
        if shape
        else axes(dim, 0) and ()
    )
    return xp.squeeze(input, axis=tuple([d for d in wanted if shape[d] == 1]))


derivative(squeeze, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))


@op(
    view=True,
    promotes=None,
    examples=[((2, 3), {"dim": 0}), ((2, 3), {"dim": -1}), ((), {"dim": 0})],
)
def unsqueeze(xp: Any, input: Any, /, dim: int) -> Any:
    """Put a dimension of length 1 before place `dim`."""
    return input[(*ahead(axis(dim, input.ndim + 1)), None, ...)]


derivative(unsqueeze, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))


# ---- another order of dimensions


@op(
    view=True,
    promotes=None,
    varargs="dims",
    examples=[((2, 3, 4), {"dims": (2, 0, 1)}), ((2, 3), {"dims": (-1, 0)})],
)
def permute(xp: Any, input: Any, /, dims: Any) -> Any:
    """Put the dimensions in the order `dims`.

    Raises
    ------
    RuntimeError
        If `dims` does not name every dimension once.
    """
    ndim = input.ndim
    dims = tuple(dims)
    if len(dims) != ndim:
        raise RuntimeError(
            "permute(): number of dimensions in the tensor input does not match the length of the "
            "desired ordering of "
            f"dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(dims)}"
        )
    order = tuple([axis(d, ndim) for d in dims])
    if len(set(order)) != ndim:
        raise RuntimeError(f"permute(): duplicate dims are not allowed. Got dims={dims}.")
    return xp.permute_dims(input, order)


derivative(permute, input=lambda xp, g, dims: xp.permute_dims(g, inverse(tuple(dims))))


def _swapped(ndim: int, dim0: int, dim1: int) -> list[int]:
    order = list(range(max(ndim, 1)))
    dim0, dim1 = axis(dim0, ndim), axis(dim1, ndim)
    order[dim0], order[dim1] = dim1, dim0
    return order[:ndim]


@op(
    view=True,
    promotes=None,
    aliases=("swapaxes", "swapdims"),
    examples=[
        ((2, 3, 4), {"dim0": 0, "dim1": 2}),
        ((2, 3), {"dim0": -1, "dim1": 0}),
        ((), {"dim0": 0, "dim1": -1}),
    ],
)
def transpose(xp: Any, input: Any, /, dim0: int, dim1: int) -> Any:
    """Swap dimensions `dim0` and `dim1`."""
    return xp.permute_dims(input, tuple(_swapped(input.ndim, dim0, dim1)))


derivative(
    transpose,
    input=lambda xp, g, dim0, dim1: xp.permute_dims(g, tuple(_swapped(len(g.shape), dim0, dim1))),
)


@op(view=True, promotes=None, examples=[((2, 3),), ((3,),), ((),)])
def t(xp: Any, input: Any, /) -> Any:
    """Transpose a matrix; a vector or a number stays as it is.

    Raises
    ------
    RuntimeError
        If `input` has more than 2 dimensions.
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return xp.permute_dims(input, (1, 0)[-input.ndim :]) if input.ndim == 2 else input[...]


derivative(t, input=lambda xp, g: xp.permute_dims(g, tuple(range(len(g.shape)))[::-1]))


@op(
    view=True,
    promotes=None,
    public=False,
    node="PermuteBackward0",
    examples=[((2, 3),), ((2, 3, 4),), ((),)],
)
def numpy_T(xp: Any, input: Any, /) -> Any:
    """All dimensions in reverse order."""
    return xp.permute_dims(input, tuple(range(input.ndim))[::-1])


derivative(numpy_T, input=lambda xp, g: xp.permute_dims(g, tuple(range(len(g.shape)))[::-1]))


def _matrix_transposed(input: Any, name: str) -> Any:
    ndim = input.ndim
    if ndim == 1:
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return transpose(input, -2, -1) if ndim else input


@composite(examples=[((2, 3),), ((2, 3, 4),)])
def mT(input: Any) -> Any:
    """Transpose the matrices in the last two dimensions."""
    return _matrix_transposed(input, "mT")


@composite(examples=[((2, 3),), ((2, 3, 4),)])
def mH(input: Any) -> Any:
    """Transpose and conjugate the matrices in the last two dimensions."""
    return conj(_matrix_transposed(input, "mH"))


@composite(examples=[((2, 3),)])
def H(input: Any) -> Any:
    """Transpose and conjugate a matrix."""
    if input.ndim not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {input.ndim}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if input.ndim > 2 else "")
        )
    return conj(_matrix_transposed(input, "H"))


@composite(method=True, examples=[((2, 3),), ((2, 3, 4),)])
def adjoint(input: Any) -> Any:
    """Transpose and conjugate the matrices in the last two dimensions."""
    if input.ndim == 1:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return conj(_matrix_transposed(input, "adjoint"))


@composite(
    method=True, aliases=("moveaxis",), examples=[((2, 3, 4), 0, 2), ((2, 3, 4), (0, 1), (-1, 0))]
)
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Move dimensions `source` to places `destination`; the others keep their order."""
    ndim = input.ndim
    if source.__class__ is int and destination.__class__ is int and ndim:
        order = list(range(ndim))
        order.insert(axis(destination, ndim), order.pop(axis(source, ndim)))
        return permute(input, order)
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should "
            "contain the same number "
            f"of dims as destination ({list(destination)} dims)"
        )
    places = [tuple([axis(d, ndim) for d in dims]) for dims in (source, destination)]
    for name, dims, given in zip(
        ("source", "destination"), places, (source, destination), strict=True
    ):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    order = [d for d in range(ndim) if d not in places[0]]
    for to, dim in sorted(zip(places[1], places[0], strict=True)):
        order.insert(to, dim)
    return permute(input, order[:ndim])


# ---- parts and stretches


@op(
    rounds="steps",
    view=True,
    promotes=None,
    varargs="size",
    examples=[
        ((1, 3), {"size": (2, 3)}),
        ((3, 1), {"size": (2, -1, 4)}),
        ((), {"size": (2, 2)}),
        ((2, 3), {"size": (2, 3)}),
    ],
)
def expand(xp: Any, input: Any, /, size: Any) -> Any:
    """Stretch dimensions of length 1, and add leading ones, without copying.

    Parameters
    ----------
    input : Tensor
    size : ints
        The wanted shape; -1 keeps a dimension as it is.

    Raises
    ------
    RuntimeError
        If a dimension of another length than 1 would change.
    """
    return xp.broadcast_to(input, expanded(input.shape, size))


def expanded(shape: tuple[int, ...], size: Sequence[int]) -> tuple[int, ...]:
    """What ``expand(size)`` makes of `shape`."""
    size = tuple(size)
    extra = len(size) - len(shape)
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.Tensor{{{list(shape)}}}, size={list(size)}): the number of sizes "
            f"provided ({len(size)}) must be "
            f"greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    target = list(size)
    for d, length in enumerate(size):
        if d < extra:
            if length < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({length}) isn't allowed in a leading, "
                    f"non-existing dimension {d}"
                )
            continue
        own = shape[d - extra]
        if length == -1:
            target[d] = own
        elif length != own and (own != 1 or length < 0):
            raise RuntimeError(
                f"The expanded size of the tensor ({length}) must match the existing size ({own}) "
                "at non-singleton "
                f"dimension {d}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
            )
    return tuple(target)


derivative(expand, input=lambda xp, g, input_shape: spread(xp, g, input_shape))


@composite(method=True, examples=[((1, 3), (2, 3))])
def expand_as(input: Any, other: Any) -> Any:
    """Expand `input` to the shape of `other`."""
    return expand(input, other.shape)


@composite(method=True, examples=[((3,), (2, 3)), ((), (2,))])
def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """Expand `input` to the shape `size`."""
    return expand(input, size)


@composite(method=True, examples=[((2, 3), 1, 3), ((2, 3), (3,)), ((2, 3), (2, 3))])
def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum `input` down to a shape that expands to its own."""
    if not size:
        raise TypeError('sum_to_size() missing 1 required positional arguments: "size"')
    target = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    shape = tuple(input.shape)
    extra = len(shape) - len(target)
    if extra < 0 or any(m not in (1, n) for m, n in zip(target, shape[extra:], strict=True)):
        raise RuntimeError(f"size {{{list(target)}}} is not expandable to size {{{list(shape)}}}.")
    dims = [d for d, n in enumerate(shape) if d < extra or (target[d - extra] == 1 and n != 1)]
    return reshape(input.sum(dims), target) if dims or not target else input


@composite(method=False, examples=[((2, 1), (3,)), ((2, 3), 1)])
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which tensors of these shapes broadcast.

    Raises
    ------
    RuntimeError
        If they do not.
    """
    tuples = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    result = [1] * max(map(len, tuples), default=0)
    for position, shape in enumerate(tuples):
        for d in range(-1, -len(shape) - 1, -1):
            if shape[d] < 0 and result[d] == 1:
                raise ValueError(
                    "Attempting to broadcast a dimension with negative length! The shape at index "
                    f"{position} is {shape}"
                )
            if shape[d] == 1 or shape[d] == result[d]:
                continue
            if result[d] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {shape[d]} at {d}! "
                    "Mismatching argument at index "
                    f"{position} had {shape}; but expected shape should be broadcastable to "
                    f"{result}"
                )
            result[d] = shape[d]
    return Size(result)


def together(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape of operands, or the error that an operation on them raises."""
    result = shapes[0]
    for shape in shapes[1:]:
        if shape == result:
            continue
        ndim = max(len(result), len(shape))
        one = (1,) * (ndim - len(result)) + tuple(result)
        two = (1,) * (ndim - len(shape)) + tuple(shape)
        for d, (m, n) in enumerate(zip(one, two, strict=True)):
            if m != n and m != 1 and n != 1:
                raise RuntimeError(
                    f"The size of tensor a ({m}) must match the size of tensor b ({n}) at "
                    f"non-singleton dimension {d}"
                )
        result = tuple([n if m == 1 else m for m, n in zip(one, two, strict=True)])
    return tuple(result)


@composite(method=False, examples=[((2, 1), (3,)), ((), (2,))])
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Expand all tensors to their common shape."""
    tensors = _gathered(tensors)
    if not tensors:
        return ()
    shape = together([x.shape for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


@op(
    view=True,
    promotes=None,
    public=False,
    node="SelectBackward0",
    examples=[((2, 3), 1), ((3,), -1)],
)
def item_select(xp: Any, input: Any, /, index: int) -> Any:
    """``input[index]`` for an int."""
    try:
        return input[index, ...]
    except IndexError:
        raise no_such_item(input.shape, 0, index) from None


derivative(
    item_select,
    input=lambda xp, g, input_shape, index: xp.slice_spread(g, input_shape, (index, ...)),
)


def no_such_item(shape: tuple[int, ...], dim: int, index: int) -> IndexError:
    """The error for a number that is no index of dimension `dim`."""
    if not shape:
        return IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` "
            "in C++ to convert a "
            "0-dim tensor to a number"
        )
    return IndexError(f"index {index} is out of bounds for dimension {dim} with size {shape[dim]}")


@op(
    view=True,
    promotes=None,
    public=False,
    node="SliceBackward0",
    examples=[
        ((4, 3), (slice(1, 3), ...)),
        ((4, 3), (slice(None), 1, ...)),
        ((3,), (None, slice(0, 3, 2), ...)),
    ],
)
def slice_view(xp: Any, input: Any, /, key: Any) -> Any:
    """``input[key]`` for a checked tuple of ints, slices and None that ends in an ellipsis."""
    return input[key]


derivative(slice_view, input=lambda xp, g, input_shape, key: xp.slice_spread(g, input_shape, key))


@op(promotes=None, public=False, examples=[((2, 3), (4, 3), (slice(1, 3), ...))])
def slice_spread(xp: Any, input: Any, /, size: Any, key: Any) -> Any:
    """Zeros of shape `size` in which ``[key]`` holds `input`."""
    out = xp.zeros(size, dtype=input.dtype)
    _write(xp, out, key, input)
    return out


def _write(xp: Any, out: Any, key: Any, src: Any) -> None:
    """Do ``out[key] = src``; the array API knows no None there."""
    plain = tuple([k for k in key if k is not None])
    if len(plain) != len(key):
        src = xp.reshape(xp.broadcast_to(src, out[key].shape), out[plain].shape)
    out[plain] = src


derivative(slice_spread, input=lambda xp, g, key: xp.slice_view(g, key))


@op(promotes=None, public=False, examples=[((4, 3), (2, 3), (slice(1, 3), ...))])
def slice_put(xp: Any, input: Any, src: Any, /, key: Any) -> Any:
    """A copy of `input` in which ``[key]`` holds `src`."""
    out = copied(xp, input)
    _write(xp, out, key, xp.astype(src, input.dtype, copy=False))
    return out


derivative(
    slice_put,
    input=lambda xp, g, src_shape, key: xp.slice_put(g, xp.zeros_like(xp.slice_view(g, key)), key),
    src=lambda xp, g, key: xp.slice_view(g, key),
)


@op(
    view=True,
    promotes=None,
    examples=[((2, 3), {"dim": 0, "index": 1}), ((2, 3), {"dim": -1, "index": -1})],
)
def select(xp: Any, input: Any, /, dim: int, index: Any) -> Any:
    """The part of `input` at `index` along `dim`; the dimension is dropped.

    Raises
    ------
    IndexError
        If there is no such dimension or index.
    """
    ndim = input.ndim
    if not ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = axis(dim, ndim), int(index)
    try:
        return input[(*ahead(dim), index, ...)]
    except IndexError:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at "
            f"dimension {dim}"
        ) from None


def _select_key(ndim: int, dim: int, index: Any) -> tuple[Any, ...]:
    return (*ahead(axis(dim, ndim)), int(index), ...)


derivative(
    select,
    input=lambda xp, g, input_shape, dim, index: xp.slice_spread(
        g, input_shape, _select_key(len(input_shape), dim, index)
    ),
)


@composite(method=True, examples=[((2, 5), 1, 2, 3), ((2, 5), -1, -3, 2)])
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """The `length` places from `start` on along `dim`.

    Raises
    ------
    RuntimeError
        If they reach beyond the dimension.
    """
    shape = input.shape
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative. Got length={length}.")
    if hasattr(start, "dtype") and (start.ndim or start.dtype.kind != "int"):
        raise RuntimeError(
            "start must be an 0-dim integral Tensor.: narrow() got one of "
            f"{start.dtype} and shape {list(start.shape)}"
        )
    dim, begin = axis(dim, len(shape)), int(start)
    size = shape[dim]
    if not -size <= begin <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {begin})"
        )
    if begin < 0:
        begin += size
    if begin + length > size:
        raise RuntimeError(f"start ({begin}) + length ({length}) exceeds dimension size ({size}).")
    return slice_view(input, (*ahead(dim), slice(begin, begin + length), ...))


@composite(method=True, examples=[((4, 3), (3,), 0, 1), ((4, 3), (4,), -1, 2)])
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of `input` whose part at `index` along `dim` is `src`."""
    dim = axis(dim, input.ndim)
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor: select_scatter() got one")
    if not -input.shape[dim] <= index < input.shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at "
            f"dimension {dim}"
        )
    return _embedded(input, src, "select_scatter", _select_key(input.ndim, dim, index))


@composite(
    method=True, examples=[((4, 3), (2, 3), {"start": 1, "end": 3}), ((4, 3), (4, 2), 1, 0, 3, 2)]
)
@with_out()
def slice_scatter(
    input: Any,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """A copy of `input` whose slice ``start:end:step`` along `dim` is `src`."""
    if step <= 0:
        raise RuntimeError(f"slice step must be positive, got step={step}")
    return _embedded(
        input, src, "slice_scatter", (*ahead(axis(dim, input.ndim)), slice(start, end, step), ...)
    )


def _embedded(input: Any, src: Any, name: str, key: Any) -> Any:
    part = slice_view(input, key)
    if part.shape != src.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, "
            f"slice size = {list(part.shape)}"
        )
    return slice_put(input, src, key)


# ---- diagonals


def _diagonal(rows: int, columns: int, offset: int) -> tuple[int, slice]:
    """Length of a matrix' diagonal, and its place in the flattened matrix."""
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = offset if offset >= 0 else -offset * columns
    stop = start + (count - 1) * (columns + 1) + 1
    return count, slice(start, stop, columns + 1) if count else slice(0, 0)


def _apart(ndim: int, dim1: int, dim2: int) -> tuple[int, int]:
    dim1, dim2 = axis(dim1, ndim), axis(dim2, ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return dim1, dim2


def _last(ndim: int, dim1: int, dim2: int) -> tuple[int, ...]:
    return (*[d for d in range(ndim) if d not in (dim1, dim2)], dim1, dim2)


@op(
    view=True,
    promotes=None,
    examples=[
        ((3, 4),),
        ((3, 4), {"offset": -1}),
        ((2, 3, 4), {"offset": 1, "dim1": 0, "dim2": -1}),
        ((2, 2), {"offset": 5}),
    ],
)
def diagonal(xp: Any, input: Any, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonals of the matrices in dimensions `dim1` and `dim2`, as a view; they come last.

    Parameters
    ----------
    input : Tensor
    offset : int
        Which diagonal: above the main one if positive, below if negative.
    dim1, dim2 : int
    """
    dim1, dim2 = _apart(input.ndim, dim1, dim2)
    return xp.linalg.diagonal(xp.permute_dims(input, _last(input.ndim, dim1, dim2)), offset=offset)


derivative(
    diagonal,
    input=lambda xp, g, input_shape, offset, dim1, dim2: xp.diagonal_spread(
        g, input_shape, offset, dim1, dim2
    ),
)


def _with_diagonal(
    xp: Any, input: Any, size: Sequence[int], offset: int, dim1: int, dim2: int
) -> Any:
    """Zeros of shape `size` whose diagonal is `input`."""
    order = _last(len(size), *_apart(len(size), dim1, dim2))
    rows, columns = size[order[-2]], size[order[-1]]
    out = xp.zeros((*input.shape[:-1], rows * columns), dtype=input.dtype)
    out[..., _diagonal(rows, columns, offset)[1]] = input
    return xp.permute_dims(xp.reshape(out, (*input.shape[:-1], rows, columns)), inverse(order))


@op(
    promotes=None,
    public=False,
    examples=[((3,), {"size": (3, 4), "offset": 0, "dim1": 0, "dim2": 1})],
)
def diagonal_spread(xp: Any, input: Any, /, size: Any, offset: int, dim1: int, dim2: int) -> Any:
    """Zeros of shape `size` whose diagonal is `input`."""
    return _with_diagonal(xp, input, size, offset, dim1, dim2)


derivative(
    diagonal_spread,
    input=lambda xp, g, offset, dim1, dim2: xp.diagonal(g, offset, dim1, dim2),
)


@op(promotes=None, public=False, examples=[((3, 4), (3,), 0, 0, 1)])
def diagonal_put(xp: Any, input: Any, src: Any, /, offset: int, dim1: int, dim2: int) -> Any:
    """A copy of `input` whose diagonal is `src`."""
    order = _last(input.ndim, *_apart(input.ndim, dim1, dim2))
    moved = xp.permute_dims(input, order)
    rows, columns = moved.shape[-2:]
    out = copied(xp, xp.reshape(moved, (*moved.shape[:-2], rows * columns)))
    out[..., _diagonal(rows, columns, offset)[1]] = xp.astype(src, input.dtype, copy=False)
    return xp.permute_dims(xp.reshape(out, moved.shape), inverse(order))


derivative(
    diagonal_put,
    input=lambda xp, g, src_shape, offset, dim1, dim2: xp.diagonal_put(
        g, xp.zeros(src_shape, dtype=g.dtype, device=g.device), offset, dim1, dim2
    ),
    src=lambda xp, g, offset, dim1, dim2: xp.diagonal(g, offset, dim1, dim2),
)


@composite(method=True, examples=[((3, 4), (3,)), ((3, 4), (2,), -1), ((2, 3, 4), (3, 2), 0, 0, 2)])
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of `input` whose diagonal is `src`."""
    part = diagonal(input, offset, dim1, dim2)
    if part.shape != src.shape:
        raise RuntimeError(
            "diagonal_scatter: expected src to have a size equal to the slice of self. src size "
            f"= {list(src.shape)}, "
            f"slice size = {list(part.shape)}"
        )
    return diagonal_put(input, src, offset, dim1, dim2)


@op(
    ordered=True,
    promotes=None,
    examples=[((3,),), ((2, 3), {"offset": 1}), ((2, 3), {"offset": -1, "dim1": 0, "dim2": 2})],
)
def diag_embed(xp: Any, input: Any, /, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, zero but for their diagonals, which are the last dimension of `input`."""
    if not input.ndim:
        raise RuntimeError("diag_embed(): the input needs at least one dimension")
    ndim = input.ndim + 1
    first, second = _apart(ndim, dim1, dim2)
    side = input.shape[-1] + abs(offset)
    size = list(input.shape[:-1])
    for d in sorted((first, second)):
        size.insert(d, side)
    return _with_diagonal(xp, input, size, offset, first, second)


derivative(
    diag_embed,
    input=lambda xp, g, offset, dim1, dim2: xp.diagonal(g, offset, dim1, dim2),
)


@composite(method=True, examples=[((3,),), ((3, 4),), ((3, 4), -1), ((3,), 2)])
@with_out()
def diag(input: Any, diagonal: int = 0) -> Any:
    """A vector as the diagonal of a matrix, or a copy of a matrix' diagonal.

    Raises
    ------
    RuntimeError
        If `input` is neither a vector nor a matrix.
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return _diagonal_view(input, diagonal).clone()


_diagonal_view = diagonal


@composite(method=True, examples=[((3,),), ((2, 2), 1)])
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix whose diagonal holds all elements of `input`."""
    return diag_embed(ravel(input), offset)


def _matrices(input: Any, name: str) -> Any:
    if input.ndim < 2:
        raise RuntimeError(
            f"{name}: input tensor must have at least 2 dimensions, got shape {list(input.shape)}"
        )
    return input


@op(
    exact_out=True,
    ordered=True,
    promotes=None,
    inplace=True,
    examples=[((3, 4),), ((2, 3, 3), {"diagonal": -1}), ((3, 4), {"diagonal": 2})],
)
def tril(xp: Any, input: Any, /, diagonal: int = 0) -> Any:
    """Set everything above diagonal `diagonal` of each matrix to zero."""
    return xp.tril(_matrices(input, "tril"), k=diagonal)


derivative(tril, input=lambda xp, g, diagonal: xp.tril(g, k=diagonal))


@op(
    exact_out=True,
    ordered=True,
    promotes=None,
    inplace=True,
    examples=[((3, 4),), ((2, 3, 3), {"diagonal": -1}), ((3, 4), {"diagonal": 2})],
)
def triu(xp: Any, input: Any, /, diagonal: int = 0) -> Any:
    """Set everything below diagonal `diagonal` of each matrix to zero."""
    return xp.triu(_matrices(input, "triu"), k=diagonal)


derivative(triu, input=lambda xp, g, diagonal: xp.triu(g, k=diagonal))


# ---- windows and free strides


@op(
    view=True,
    promotes=None,
    examples=[
        ((7,), {"dimension": 0, "size": 3, "step": 2}),
        ((2, 5), {"dimension": -1, "size": 2, "step": 1}),
        ((), {"dimension": 0, "size": 1, "step": 1}),
    ],
)
def unfold(xp: Any, input: Any, /, dimension: int, size: int, step: int) -> Any:
    """All slices of length `size`, every `step` places along `dimension`, in a new last dimension.

    Raises
    ------
    RuntimeError
        If `size` exceeds the dimension, or `step` is not positive.
    """
    dim = axis(dimension, input.ndim)
    length = input.shape[dim] if input.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input.ndim:
        return xp.reshape(input, (1,))[:size]
    return xp.sliding_window(input, size, step, dim)


derivative(
    unfold,
    input=lambda xp, g, input_shape, dimension, size, step: xp.unfold_spread(
        g, input_shape, dimension, size, step
    ),
)


@op(promotes=None, public=False, examples=[((3, 3), (7,), 0, 3, 2)])
def unfold_spread(xp: Any, input: Any, /, shape: Any, dimension: int, size: int, step: int) -> Any:
    """The sum of windows back into the places from which `unfold` took them."""
    if not shape:
        return xp.sum(input)
    dim = axis(dimension, len(shape))
    out = xp.zeros(shape, dtype=input.dtype)
    count = input.shape[dim]
    before = ahead(dim)
    last = xp.moveaxis(input, dim, -2)
    if size <= count:  # one pass a place of the window, or one a window
        for k in range(size):
            out[(*before, slice(k, k + step * (count - 1) + 1, step), ...)] += xp.moveaxis(
                last[..., k], -1, dim
            )
    else:
        for n in range(count):
            out[(*before, slice(n * step, n * step + size), ...)] += xp.moveaxis(
                last[..., n, :], -1, dim
            )
    return out


derivative(
    unfold_spread,
    input=lambda xp, g, dimension, size, step: xp.unfold(g, dimension, size, step),
)


@op(
    view=True,
    promotes=None,
    public=False,
    node="AsStridedBackward0",
    examples=[((12,), (2, 3), (4, 1), 1, (1,))],
)
def strided(xp: Any, input: Any, /, size: Any, stride: Any, start: int, own: Any) -> Any:
    """Elements at `start`, counted from the first, and every `stride`; `own` are our strides."""
    return xp.as_strided(input, size, stride, start)


def _positions(xp: Any, g: Any, size: Sequence[int], stride: Sequence[int], start: int) -> Any:
    where = xp.zeros((1,) * len(size), dtype=xp.int64) + start
    for d, (length, step) in enumerate(zip(size, stride, strict=True)):
        along = xp.arange(length, dtype=xp.int64) * step
        where = where + xp.reshape(along, (-1,) + (1,) * (len(size) - d - 1))
    return xp.reshape(xp.broadcast_to(where, tuple(size)), (-1,))


@op(promotes=None, public=False, examples=[((2, 3), (12,), (2, 3), (4, 1), 1, (1,))])
def strided_spread(
    xp: Any, input: Any, /, shape: Any, size: Any, stride: Any, start: int, own: Any
) -> Any:
    """What a tensor of `shape` and strides `own` gets from its places in a strided view."""
    if 0 in shape:
        return xp.zeros(shape, dtype=input.dtype)
    to, of = _positions(xp, input, size, stride, start), _positions(xp, input, shape, own, 0)
    low = min(0, start)
    extent = (
        max(
            start + sum((n - 1) * s for n, s in zip(size, stride, strict=True)),
            sum((n - 1) * s for n, s in zip(shape, own, strict=True)),
        )
        - low
        + 1
    )
    memory = xp.zeros((extent,), dtype=input.dtype)
    if 0 not in size:
        memory = xp.index_add(memory, 0, to - low, xp.reshape(input, (-1,)))
    return xp.reshape(xp.take(memory, of - low, axis=0), shape)


derivative(
    strided_spread,
    input=lambda xp, g, shape, size, stride, start, own: xp.strided_spread(
        g, size, shape, own, -start, stride
    ),
)
derivative(
    strided,
    input=lambda xp, g, input_shape, size, stride, start, own: xp.strided_spread(
        g, input_shape, size, stride, start, own
    ),
)


@composite(
    method=True, examples=[((12,), (2, 3), (4, 1), 1), ((3, 4), (3,), (5,)), ((4,), (2, 2), (1, 1))]
)
def as_strided(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """A view with strides of your own.

    Parameters
    ----------
    input : Tensor
    size, stride : sequences of int
        The shape, and the steps in elements; not negative.
    storage_offset : int, optional
        Where in the memory the first element lies; that of `input` by default.

    Raises
    ------
    RuntimeError
        If the view would reach outside the memory of `input`.
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape, got size={size} and stride={stride}"
        )
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    start = 0 if storage_offset is None else storage_offset - input.storage_offset()
    return strided(input, size, stride, start, tuple(input.stride()))


# ---- one tensor as several


def _pieces(xp: Any, gs: Any, shape: tuple[int, ...], sizes: Sequence[int], dim: int) -> Any:
    """The gradients of pieces joined along `dim`; absent ones are zeros."""
    like = next(g for g in gs if g is not None)
    return xp.concat(
        [
            xp.zeros((*shape[:dim], size, *shape[dim + 1 :]), dtype=like.dtype, device=like.device)
            if g is None
            else g
            for g, size in zip(gs, sizes, strict=True)
        ],
        axis=dim,
    )


@op(
    view=True,
    promotes=None,
    outputs=list,
    node="SplitBackward0",
    examples=[((5, 2), {"split_sizes": (2, 3)}), ((2, 5), {"split_sizes": (1, 0, 4), "dim": -1})],
)
def split_with_sizes(xp: Any, input: Any, /, split_sizes: Any, dim: int = 0) -> Any:
    """Cut `input` along `dim` into views of the given sizes.

    Raises
    ------
    RuntimeError
        If the sizes do not add up to the length of the dimension.
    """
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = axis(dim, input.ndim)
    sizes = tuple(split_sizes)
    if min(sizes, default=0) < 0:
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(sizes)}"
        )
    if sum(sizes) != input.shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input.shape[dim]} (input "
            "tensor's size at "
            f"dimension {dim}), but got split_sizes={list(sizes)}"
        )
    before, starts = ahead(dim), offsets(sizes)
    return [input[(*before, slice(start, end), ...)] for start, end in pairwise(starts)]


derivative(
    split_with_sizes,
    input=lambda xp, gs, input_shape, split_sizes, dim: _pieces(
        xp, gs, input_shape, split_sizes, axis(dim, len(input_shape))
    ),
)


@composite(method=True, examples=[((5, 2), 2), ((5, 2), [1, 4]), ((2, 5), 3, -1)])
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Cut `input` along `dim` into views of one size, the last perhaps smaller, or of given sizes.

    Parameters
    ----------
    input : Tensor
    split_size_or_sections : int or sequence of int
    dim : int
    """
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(input, tuple(split_size_or_sections), dim)
    size = split_size_or_sections
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    length = input._array.shape[axis(dim, input.ndim)]
    if size == 0 and length:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}"
        )
    return split_with_sizes(input, _even(length, size), dim)


def _even(length: int, size: int) -> tuple[int, ...]:
    """As many times `size` as there is place for in a length, and what is left."""
    count = max(ceil(length / size), 1) if size else 1
    return (size,) * (count - 1) + (length - size * (count - 1),)


@composite(method=True, examples=[((5, 2), 2), ((2, 5), 4, -1)])
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """Cut `input` along `dim` into at most `chunks` equal views; the last may be smaller."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input._array.shape[axis(dim, input.ndim)]
    sizes = _even(length, ceil(length / chunks)) if length else (0,) * chunks
    return split_with_sizes(input, sizes, dim)


@composite(method=True, examples=[((5, 2), 2), ((2, 5), (1, 3), 1), ((5,), (3, 1, 9, -1))])
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    """Cut `input` along `dim` into a number of parts as equal as can be, or at the given places.

    Parameters
    ----------
    input : Tensor
    indices_or_sections : int or sequence of int or Tensor
    dim : int
    """
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = axis(dim, input.ndim)
    length = input.shape[dim]
    if hasattr(indices_or_sections, "tolist"):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        least, longer = divmod(length, sections)
        return split_with_sizes(input, (least + 1,) * longer + (least,) * (sections - longer), dim)
    cuts = [0, *[slice(cut).indices(length)[1] for cut in indices_or_sections], length]
    before = ahead(dim)
    return tuple(
        [
            slice_view(input, (*before, slice(start, max(start, end)), ...))
            for start, end in pairwise(cuts)
        ]
    )


def _split_along(input: Any, indices_or_sections: Any, dim: int, least: int, name: str) -> Any:
    if input.ndim < least:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
            f"with {input.ndim} "
            "dimensions!"
        )
    number = hasattr(indices_or_sections, "__index__")
    if not number and not isinstance(indices_or_sections, (tuple, list)):
        raise TypeError(
            f"{name}() received an invalid combination of arguments. It takes the number of parts, "
            f"or a tuple of places, not {type(indices_or_sections).__name__}"
        )
    if isinstance(indices_or_sections, int) and (
        indices_or_sections == 0 or input.shape[dim] % indices_or_sections
    ):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the "
            f"dimension {input.shape[dim]} "
            f"is not divisible by the split_size {indices_or_sections}!"
        )
    return tensor_split(input, indices_or_sections, dim)


@composite(method=True, examples=[((2, 4), 2), ((4,), (1, 3))])
def hsplit(input: Any, indices_or_sections: Any) -> Any:
    """Cut `input` into equal parts, or at the given places, along dimension 1 (a vector: 0)."""
    return _split_along(input, indices_or_sections, 0 if input.ndim == 1 else 1, 1, "hsplit")


@composite(method=True, examples=[((4, 2), 2), ((4, 2), (1, 3))])
def vsplit(input: Any, indices_or_sections: Any) -> Any:
    """Cut `input` into equal parts, or at the given places, along dimension 0."""
    return _split_along(input, indices_or_sections, 0, 2, "vsplit")


@composite(method=True, examples=[((1, 2, 4), 2), ((1, 2, 4), (1, 3))])
def dsplit(input: Any, indices_or_sections: Any) -> Any:
    """Cut `input` into equal parts, or at the given places, along dimension 2."""
    return _split_along(input, indices_or_sections, 2, 3, "dsplit")


@op(
    view=True,
    promotes=None,
    outputs=list,
    method=False,
    examples=[((2, 3),), ((2, 3), {"dim": 1}), ((3,), {"dim": -1})],
)
def unbind(xp: Any, input: Any, /, dim: int = 0) -> Any:
    """The parts of `input` along `dim`, as views without that dimension."""
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    dim = axis(dim, input.ndim)
    before = ahead(dim)
    return [input[(*before, i, ...)] for i in range(input.shape[dim])]


def _unbind_rule(xp: Any, gs: Any, input_shape: Any, dim: int) -> Any:
    dim = axis(dim, len(input_shape))
    like = next(g for g in gs if g is not None)
    zero = None if all(g is not None for g in gs) else xp.zeros_like(like)
    return xp.stack([zero if g is None else g for g in gs], axis=dim)


derivative(unbind, input=_unbind_rule)


# ---- several tensors as one


def _gathered(tensors: Any) -> tuple[Any, ...]:
    """Tensors given one by one, or as one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(tensors[0])
    return tuple(tensors)


@op(
    ordered=True,
    promotes="same",
    numbers=(),
    aliases=("concat", "concatenate"),
    method=False,
    examples=[
        ([(2, 3), (4, 3)],),
        ([(2, 3), (2, 1)], {"dim": 1}),
        ([(2, 3), (2, 3)], {"dim": -1}),
        ([(0,), (2, 3)],),
    ],
)
def cat(xp: Any, /, *tensors: Any, dim: int = 0) -> Any:
    """Join tensors along `dim`.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one shape except along `dim`; those of shape (0,) are passed over.
    dim : int

    Raises
    ------
    RuntimeError
        If the shapes do not match.
    """
    try:
        return xp.concat(tensors, axis=dim)
    except (ValueError, IndexError, TypeError):
        return xp.concat(_joinable(tensors, dim), axis=dim)


def _joinable(tensors: Sequence[Any], dim: int) -> list[Any]:
    """The tensors to join, without empty vectors; or the error that says why they cannot be."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for position, x in enumerate(tensors):
        if not x.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {position}) cannot be concatenated"
            )
    kept = [(position, x) for position, x in enumerate(tensors) if x.shape != (0,)]
    if not kept:
        return [tensors[0]]
    shape = kept[0][1].shape
    dim = axis(dim, len(shape))
    for position, x in kept:
        if x.ndim != len(shape):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(shape)} and {x.ndim}"
            )
        for d, (expected, got) in enumerate(zip(shape, x.shape, strict=True)):
            if d != dim and expected != got:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{expected} but got size {got} "
                    f"for tensor number {position} in the list."
                )
    return [x for _, x in kept]


def _cat_rule(xp: Any, g: Any, i: int, tensors_shapes: Any, dim: int) -> Any:
    if tensors_shapes[i] == (0,):
        return xp.zeros((0,), dtype=g.dtype, device=g.device)
    dim = axis(dim, len(g.shape))
    start = sum(shape[dim] for shape in tensors_shapes[:i] if shape != (0,))
    return g[(*ahead(dim), slice(start, start + tensors_shapes[i][dim]), ...)]


derivative(cat, tensors=_cat_rule)


@op(
    ordered=True,
    promotes="same",
    numbers=(),
    method=False,
    examples=[
        ([(2, 3), (2, 3)],),
        ([(2, 3), (2, 3)], {"dim": -1}),
        ([(), ()],),
        ([(2,)], {"dim": 1}),
    ],
)
def stack(xp: Any, /, *tensors: Any, dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension `dim`.

    Raises
    ------
    RuntimeError
        If the shapes differ.
    """
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0].shape
    for position, x in enumerate(tensors):
        if x.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 "
                f"and {list(x.shape)} at "
                f"entry {position}"
            )
    return xp.stack(tensors, axis=axis(dim, len(shape) + 1))


derivative(stack, tensors=lambda xp, g, i, dim: g[_select_key(len(g.shape), dim, i)])


def _sequence(tensors: Any, name: str) -> list[Any]:
    if hasattr(tensors, "dtype"):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    made = list(tensors)
    if not made:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return made


@composite(examples=[([(2,), (3,)],), ([(2, 1), (2, 3)],), ([(), ()],)])
def hstack(tensors: Sequence[Any], *, out: Any = None) -> Any:
    """Join tensors along dimension 1, vectors along dimension 0."""
    parts = [atleast_1d(x) for x in _sequence(tensors, "hstack")]
    return cat(parts, dim=0 if parts[0].ndim == 1 else 1, out=out)


@composite(aliases=("row_stack",), examples=[([(3,), (3,)],), ([(2, 3), (3,)],)])
def vstack(tensors: Sequence[Any], *, out: Any = None) -> Any:
    """Join tensors along dimension 0; vectors become rows."""
    return cat([atleast_2d(x) for x in _sequence(tensors, "vstack")], dim=0, out=out)


@composite(examples=[([(3,), (3,)],), ([(2, 3), (2, 3)],)])
def dstack(tensors: Sequence[Any], *, out: Any = None) -> Any:
    """Join tensors along dimension 2."""
    return cat([atleast_3d(x) for x in _sequence(tensors, "dstack")], dim=2, out=out)


@composite(examples=[([(3,), (3, 2)],), ([(), ()],)])
def column_stack(tensors: Sequence[Any], *, out: Any = None) -> Any:
    """Join tensors along dimension 1; vectors become columns."""
    parts = _sequence(tensors, "column_stack")
    return cat([reshape(x, (-1, 1)) if x.ndim <= 1 else x for x in parts], dim=1, out=out)


@composite(examples=[((2, 3), (), (2,))])
def block_diag(*tensors: Any) -> Any:
    """A matrix with the given ones along its diagonal and zeros elsewhere."""
    rows = []
    for position, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{position} has {x.ndim} "
                "dimensions"
            )
        rows.append(atleast_2d(x))
    starts = offsets([x.shape[1] for x in rows])
    return cat(
        [
            constant_pad_nd(x, (start, starts[-1] - end))
            for x, start, end in zip(rows, starts[:-1], starts[1:], strict=True)
        ]
    )


def _atleast(tensors: Any, widen: Callable[[Any], Any]) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return widen(tensors[0])
    return tuple([widen(x) for x in _gathered(tensors)])


@composite(examples=[((),), ((2,),)])
def atleast_1d(*tensors: Any) -> Any:
    """Give numbers (0-d tensors) one dimension."""
    return _atleast(tensors, lambda x: x if x.ndim else reshape(x, (1,)))


@composite(examples=[((),), ((2,),), ((2, 3),)])
def atleast_2d(*tensors: Any) -> Any:
    """Give tensors at least two dimensions; vectors become rows."""
    return _atleast(tensors, lambda x: x if x.ndim > 1 else reshape(x, (1, -1)))


@composite(examples=[((),), ((2,),), ((2, 3),), ((1, 2, 3),)])
def atleast_3d(*tensors: Any) -> Any:
    """Give tensors at least three dimensions; matrices get one at the end."""
    return _atleast(
        tensors,
        lambda x: x if x.ndim > 2 else unsqueeze(x, 2) if x.ndim == 2 else reshape(x, (1, -1, 1)),
    )


@composite(
    method=False, examples=[((2,), (3,)), ((2,), (3,), {"indexing": "xy"}), ((2,), (), (3,))]
)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid, from the coordinates along each of its axes.

    Parameters
    ----------
    *tensors : Tensor
        Vectors or numbers.
    indexing : {"ij", "xy"}
        Order of the first two dimensions: that of the arguments, or swapped.
    """
    tensors = _gathered(tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: shape "
                f"{list(x.shape)}"
            )
    if len({x.dtype for x in tensors}) > 1:
        raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    if any(x.device != tensors[0].device for x in tensors):
        raise RuntimeError(
            "torch.meshgrid expects all tensors to have the same device, got "
            f"{', '.join(str(x.device) for x in tensors)}"
        )
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    size = tuple([x.numel() for x in tensors])
    grids = [
        expand(reshape(x, (-1,) + (1,) * (len(tensors) - d - 1)), size)
        for d, x in enumerate(tensors)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@composite(method=False, examples=[((2,), (3,)), ((3,),)])
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element from each vector, as rows."""
    tensors = _gathered(tensors)
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(x) for x in meshgrid(*tensors)], dim=1)


# ---- repetition


@op(
    promotes=None,
    varargs="repeats",
    examples=[
        ((2, 3), {"repeats": (2, 1)}),
        ((3,), {"repeats": (2, 2)}),
        ((2, 3), {"repeats": (0, 2)}),
        ((), {"repeats": (3,)}),
    ],
)
def repeat(xp: Any, input: Any, /, repeats: Any) -> Any:
    """Lay copies of `input` side by side: `repeats` of them along each dimension.

    Raises
    ------
    RuntimeError
        If there are fewer `repeats` than dimensions, or one is negative.
    """
    repeats = tuple(repeats)
    extra = len(repeats) - input.ndim
    if extra < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor; "
            f"got repeats={list(repeats)} for shape {list(input.shape)}"
        )
    size = [n * r for n, r in zip((1,) * extra + tuple(input.shape), repeats, strict=True)]
    if any(r < 0 for r in repeats):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(size)}: {size}")
    return xp.tile(input, repeats)


def _repeat_rule(xp: Any, g: Any, input_shape: Any, repeats: Any) -> Any:
    repeats = tuple(repeats)
    extra = len(repeats) - len(input_shape)
    between = list(repeats[:extra])
    for r, n in zip(repeats[extra:], input_shape, strict=True):
        between += [r, n]
    dims = tuple(range(extra)) + tuple(range(extra, len(between), 2))
    return xp.sum(xp.reshape(g, tuple(between)), axis=dims) if dims else g


derivative(repeat, input=_repeat_rule)


@composite(method=True, examples=[((2, 3), (2,)), ((3,), (2, 2)), ((2, 3), (2, 1))])
def tile(input: Any, *dims: Any) -> Any:
    """Lay copies of `input` side by side, `dims` of them along the last dimensions."""
    if not dims:
        raise TypeError('tile() missing 1 required positional arguments: "dims"')
    dims = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return repeat(input, (1,) * (input.ndim - len(dims)) + dims)


@op(
    promotes=None,
    varargs="dims",
    examples=[((2, 3), {"dims": (0,)}), ((2, 3), {"dims": (0, -1)}), ((), {"dims": ()})],
)
def flip(xp: Any, input: Any, /, dims: Any) -> Any:
    """Reverse the order along `dims`; a copy."""
    # every backend's copy is laid out afresh, so that no negative stride leaves it
    along = axes(tuple(dims), input.ndim)
    return copied(xp, xp.flip(input, axis=along if input.ndim else ()))


derivative(
    flip,
    input=lambda xp, g, dims: xp.flip(
        g, axis=axes(tuple(dims), len(g.shape)) if len(g.shape) else ()
    ),
)


@composite(method=True, examples=[((2, 3),)])
def fliplr(input: Any) -> Any:
    """Reverse the order along dimension 1."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@composite(method=True, examples=[((2, 3),)])
def flipud(input: Any) -> Any:
    """Reverse the order along dimension 0."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


def _opposite(shifts: Any) -> Any:
    return -shifts if isinstance(shifts, int) else tuple([-s for s in shifts])


@op(
    ordered=True,
    promotes=None,
    examples=[
        ((5,), {"shifts": 2}),
        ((2, 3), {"shifts": -1}),
        ((2, 3), {"shifts": (1, -1), "dims": (0, 1)}),
        ((2, 3), {"shifts": 4, "dims": 1}),
        ((3, 2), {"shifts": 1, "dims": 0}),
    ],
)
def roll(xp: Any, input: Any, /, shifts: Any, dims: Any = None) -> Any:
    """Move elements `shifts` places along `dims`; what leaves at the end comes back at the start.

    Parameters
    ----------
    input : Tensor
    shifts : int or tuple of int
    dims : int or tuple of int, optional
        By default the tensor is rolled as if it were flat.
    """
    if isinstance(shifts, int):
        shifts = (shifts,)
    dims = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if len(dims) != len(shifts) and (dims or len(shifts) != 1):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    if not dims:
        return xp.roll(input, shifts[0])
    if not input.ndim:
        raise IndexError(
            f"Dimension specified as {dims[0]} but tensor has no dimensions: roll() got shape []"
        )
    return xp.roll(input, tuple(shifts), axis=tuple([axis(d, input.ndim) for d in dims]))


def _rolled_back(xp: Any, g: Any, shifts: Any, dims: Any) -> Any:
    return xp.roll(g, _opposite(shifts), axis=None if dims == () else dims)


derivative(roll, input=_rolled_back)


@composite(method=True, examples=[((2, 3),), ((2, 3), 2), ((2, 3), -1, (1, 0)), ((2, 3), 4)])
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turn the plane of `dims` by 90 degrees, `k` times."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1]:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    first, second = axis(dims[0], input.ndim), axis(dims[1], input.ndim)
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return flip(input, (first, second))
    return transpose(flip(input, (second if k == 1 else first,)), first, second)


@composite(method=True, examples=[((2, 2), (2, 3)), ((2,), (1, 3, 2)), ((), (2,))])
@with_out(casts=True, apart=True)
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: `other` laid out once for each element of `input`, times it."""
    ndim = max(input.ndim, other.ndim)
    one = (1,) * (ndim - input.ndim) + tuple(input.shape)
    two = (1,) * (ndim - other.ndim) + tuple(other.shape)
    outer = tuple([n for pair in zip(one, (1,) * ndim, strict=True) for n in pair])
    inner = tuple([n for pair in zip((1,) * ndim, two, strict=True) for n in pair])
    return reshape(
        reshape(input, outer) * reshape(other, inner),
        tuple([m * n for m, n in zip(one, two, strict=True)]),
    )


# ---- padding


def _margins(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """(before, after) of every dimension, from a list that starts with the last dimension."""
    pairs = [(pad[2 * d], pad[2 * d + 1]) for d in range(len(pad) // 2)]
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


@op(
    promotes=None,
    examples=[
        ((2, 3), {"pad": (1, 2)}),
        ((2, 3), {"pad": (0, 1, 2, 0), "value": 1.5}),
        ((2, 4), {"pad": (-1, 1)}),
    ],
)
def constant_pad_nd(xp: Any, input: Any, /, pad: Any, value: Any = 0) -> Any:
    """Surround `input` with `value`.

    `pad` lists places before and after, from the last dimension on; negative ones cut off.
    """
    pad = tuple(pad)
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. "
            f"Pad length is {len(pad)} "
            f"while the input has {input.ndim} dimensions."
        )
    margins = _margins(pad, input.ndim)
    size = [n + before + after for n, (before, after) in zip(input.shape, margins, strict=True)]
    for d, (n, new) in enumerate(zip(input.shape, size, strict=True)):
        if new < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {margins[d][0]} and {margins[d][1]} "
                "resulted in a negative "
                f"output size, which is invalid. Check dimension {d} of your input."
            )
    if xp.isdtype(input.dtype, ("bool", "integral")):
        value = bool(value) if xp.isdtype(input.dtype, "bool") else int(value)
    out = xp.full(tuple(size), value, dtype=input.dtype)
    target = tuple(
        [slice(max(b, 0), n - max(a, 0)) for n, (b, a) in zip(size, margins, strict=True)]
    )
    source = tuple(
        [slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(input.shape, margins, strict=True)]
    )
    if 0 not in [s.stop - s.start for s in target]:
        out[(*target, ...)] = input[(*source, ...)]
    return out


derivative(
    constant_pad_nd, input=lambda xp, g, pad: xp.constant_pad_nd(g, tuple([-p for p in pad]))
)


def _pad_dim(input: Any, dim: int, before: int, after: int, mode: str) -> Any:
    length = input.shape[dim]
    cut = [max(-before, 0), length - max(-after, 0)]
    if mode == "reflect":
        if before >= length or after >= length:
            raise RuntimeError(
                "Padding size should be less than the corresponding input dimension, but got: "
                "padding "
                f"({before}, {after}) at dimension {dim} of input {list(input.shape)}"
            )
        left, right = (1, before + 1), (length - 1 - after, length - 1)
    elif mode == "circular":
        if before > length or after > length:
            raise RuntimeError(
                f"Padding value causes wrapping around more than once. Got padding ({before}, "
                f"{after}) at dimension {dim} "
                f"of input {list(input.shape)}"
            )
        left, right = (length - before, length), (0, after)
    else:
        left, right = (0, 1), (length - 1, length)
    if cut[1] - cut[0] + max(before, 0) + max(after, 0) <= 0 or not length:
        raise RuntimeError(
            f"input of shape {list(input.shape)} is too small for padding ({before}, {after})"
        )
    if mode == "circular" and (
        before < 0 or after < 0
    ):  # the ends that meet are those left after cutting
        input, length = narrow(input, dim, cut[0], cut[1] - cut[0]), cut[1] - cut[0]
        left, right, cut = (length - max(before, 0), length), (0, max(after, 0)), [0, length]
    body = input if cut == [0, length] else narrow(input, dim, cut[0], cut[1] - cut[0])
    parts = [body]
    for place, count, (start, end) in ((0, before, left), (2, after, right)):
        if count > 0:
            edge = narrow(input, dim, start, end - start)
            if mode == "reflect":
                edge = flip(edge, (dim,))
            elif mode == "replicate":
                edge = expand(edge, (*input.shape[:dim], count, *input.shape[dim + 1 :]))
            parts.insert(place, edge)
    return cat(parts, dim=dim) if len(parts) > 1 else body


@composite(
    home="nn",
    examples=[
        ((2, 3), (1, 2)),
        ((2, 3, 4), (1, 2), "reflect"),
        ((2, 3, 4), (1, 2), "replicate"),
        ((1, 2, 3, 4), (1, 2, 1, 0), "circular"),
    ],
)
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Surround `input` with a constant, or with more of itself.

    Parameters
    ----------
    input : Tensor
    pad : sequence of int
        Places to add before and after each dimension, the last dimension first; negative ones
        cut off.
    mode : {"constant", "reflect", "replicate", "circular"}
        All but the first take tensors with one or two dimensions more than are padded.
    value : float, optional
        The constant; 0 by default.

    Raises
    ------
    RuntimeError
        If `pad` does not suit the shape of `input`.
    """
    pad = tuple(pad)
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got pad={pad}")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but "
            "got padding length "
            f"{len(pad)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f'Unrecognised padding mode {mode}; choose "constant", "reflect", "replicate" or '
            '"circular"'
        )
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    count = len(pad) // 2
    if count not in (1, 2, 3) or input.ndim not in (count + 1, count + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now; got "
            f"pad={pad} for input of "
            f"shape {list(input.shape)}"
        )
    for d, (before, after) in enumerate(_margins(pad, input.ndim)):
        if before or after:
            input = _pad_dim(input, d, before, after, mode)
    return input


# ---- memory and complex parts


@op(promotes=None, public=False, node="CloneBackward0", examples=[((2, 3),)])
def contiguous_copy(xp: Any, input: Any, /) -> Any:
    """A copy whose elements lie in order."""
    return xp.contiguous(input)


derivative(contiguous_copy, input=lambda g: g)


@composite(method=True, examples=[((2, 3),)])
def contiguous(input: Any, memory_format: Any = None) -> Any:
    """`input` itself if its elements lie in memory in order, else a copy where they do."""
    return input if input.is_contiguous() else contiguous_copy(input)


@op(
    view=True,
    promotes=None,
    public=False,
    node="RealBackward0",
    examples=[(complexes(2, 3),), (complexes(),)],
)
def real_part(xp: Any, input: Any, /) -> Any:
    """The real parts, as a view."""
    return xp.real(input)


derivative(real_part, input=lambda xp, g, input_dtype: xp.astype(g, input_dtype))


@op(
    view=True,
    promotes=None,
    public=False,
    node="ImagBackward0",
    examples=[(complexes(2, 3),), (complexes(),)],
)
def imaginary_part(xp: Any, input: Any, /) -> Any:
    """The imaginary parts, as a view."""
    return xp.imag(input)


derivative(imaginary_part, input=lambda xp, g, input_dtype: xp.astype(g, input_dtype) * 1j)


@composite(method=True, examples=[((2, 3),)])
def resolve_conj(input: Any) -> Any:
    """The tensor itself: conjugates are computed at once here."""
    return input


@composite(method=True, examples=[((2, 3),)])
def resolve_neg(input: Any) -> Any:
    """The tensor itself: negatives are computed at once here."""
    return input


@composite(method=False, examples=[((2, 3),)])
def real(input: Any) -> Any:
    """The real parts of a complex tensor, as a view; a real tensor itself."""
    return real_part(input) if input.dtype.is_complex else input


@composite(method=False, examples=[(complexes(2, 3),)])
def imag(input: Any) -> Any:
    """The imaginary parts of a complex tensor, as a view.

    Raises
    ------
    RuntimeError
        If `input` is real.
    """
    if not input.dtype.is_complex:
        raise RuntimeError(
            f"imag is not implemented for tensors with non-complex dtypes. Got {input.dtype}."
        )
    return imaginary_part(input)


@op(view=True, promotes=None, method=False, examples=[(complexes(2, 3),), (complexes(),)])
def view_as_real(xp: Any, input: Any, /) -> Any:
    """A complex tensor as a real one whose last dimension holds the two parts; a view."""
    if not xp.isdtype(input.dtype, "complex floating"):
        raise RuntimeError(f"view_as_real is only supported for complex tensors, got {input.dtype}")
    return xp.view_as_real(input)


derivative(view_as_real, input=lambda xp, g: xp.view_as_complex(xp.contiguous(g)))


@op(view=True, promotes=None, method=False, examples=[((3, 2),), ((2,),)])
def view_as_complex(xp: Any, input: Any, /) -> Any:
    """A real tensor, whose last dimension holds the two parts, as a complex one; a view."""
    if not xp.isdtype(input.dtype, "real floating"):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            "tensor of scalar type: "
            f"{input.dtype}"
        )
    if not input.ndim or input.shape[-1] != 2:
        raise RuntimeError(
            f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}"
        )
    return xp.view_as_complex(input)


derivative(view_as_complex, input=lambda xp, g: xp.view_as_real(g))
