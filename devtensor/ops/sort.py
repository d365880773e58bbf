"""Order: sorting, the largest elements, distinct elements."""

from __future__ import annotations

from typing import Any

from devtensor.dtype import of
from devtensor.example import distinct, fixed, ints
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import axis
from devtensor.ops.elementwise import half
from devtensor.ops.results import with_out
from devtensor.ops.shape import ahead, copied


def require_ordered(name: str, input: Any, *kinds: str) -> None:
    """Refuse complex numbers, which have no order, and what else is not among `kinds`."""
    dtype = of(input.dtype)
    if dtype.kind not in kinds:
        which = "bool" if dtype.kind == "bool" else "complex"
        raise RuntimeError(
            f"{name} does not support {which} dtypes: got {dtype!r} of shape {list(input.shape)}"
        )


def _order(xp: Any, input: Any, dim: int, descending: bool) -> Any:
    """Indices that sort `input`; NaN is the largest number, equal elements keep their order."""
    if xp.isdtype(input.dtype, "bool"):
        input = xp.astype(input, xp.uint8)
    if half(input):  # libraries put bfloat16's NaN anywhere
        input = xp.astype(input, xp.float32)
    if descending and xp.isdtype(input.dtype, "real floating"):
        nan = xp.isnan(input)
        if xp.any(nan):  # libraries put NaN last in either direction
            lead = xp.argsort(xp.astype(nan, xp.uint8), axis=dim, descending=True, stable=True)
            rest = xp.take_along_axis(
                xp.where(nan, xp.full_like(input, float("inf")), input), lead, axis=dim
            )
            return xp.take_along_axis(
                lead, xp.argsort(rest, axis=dim, descending=True, stable=True), axis=dim
            )
    return xp.argsort(input, axis=dim, descending=descending, stable=True)


def _sorted(
    xp: Any, input: Any, dim: int, descending: bool, count: int | None = None
) -> tuple[Any, Any]:
    """The first `count` elements in order, and their indices."""
    dim = axis(dim, input.ndim)
    if not input.ndim:
        return copied(xp, input), xp.zeros((), dtype=xp.int64)
    order = _order(xp, input, dim, descending)
    if count is not None:
        order = order[(*ahead(dim), slice(0, count), ...)]
    order = xp.astype(order, xp.int64, copy=False)
    return xp.take_along_axis(input, order, axis=dim), order


def _unsorted(xp: Any, gs: Any, input_shape: Any, indices: Any, dim: int) -> Any:
    """The gradient, back where its elements came from."""
    return xp.gather_spread(gs[0], indices, input_shape, axis(dim, len(input_shape)))


@op(
    exact_out=True,
    promotes=None,
    outputs=("values", "indices"),
    examples=[
        (distinct(2, 4),),
        (distinct(3, 2), {"dim": 0, "descending": True}),
        ((),),
        ((0, 3),),
    ],
)
def sort(
    xp: Any, input: Any, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """Sort along `dim`.

    Parameters
    ----------
    input : Tensor
    dim : int
    descending : bool
        Largest first; NaN counts as largest.
    stable : bool
        Whether equal elements must keep their order.

    Returns
    -------
    values, indices : Tensor
        The sorted elements, and where along `dim` they stood.
    """
    require_ordered("Sort", input, "float", "int", "bool")
    return _sorted(xp, input, dim, descending)


derivative(sort, input=_unsorted)


@op(
    exact_out=True,
    promotes=None,
    examples=[(distinct(2, 4),), (distinct(3, 2), {"dim": 0, "descending": True})],
)
def argsort(
    xp: Any, input: Any, /, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    """The indices that sort `input` along `dim`."""
    require_ordered("Sort", input, "float", "int", "bool")
    dim = axis(dim, input.ndim)
    if not input.ndim:
        return xp.zeros((), dtype=xp.int64)
    return xp.astype(_order(xp, input, dim, descending), xp.int64, copy=False)


@composite(method=True, examples=[(distinct(4, 2),)])
@with_out()
def msort(input: Any) -> Any:
    """Sort along the first dimension."""
    return sort(input, 0)[0]


@op(
    ordered=True,
    exact_out=True,
    apart=True,
    promotes=None,
    outputs=("values", "indices"),
    examples=[
        (distinct(2, 5), {"k": 2}),
        (distinct(4, 2), {"k": 3, "dim": 0, "largest": False}),
        ((), {"k": 1}),
    ],
)
def topk(
    xp: Any, input: Any, /, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    """The `k` largest (or smallest) elements along `dim`.

    Parameters
    ----------
    input : Tensor
    k : int
    dim : int
    largest : bool
        False for the smallest.
    sorted : bool
        Whether they must come in order.

    Returns
    -------
    values, indices : Tensor

    Raises
    ------
    RuntimeError
        If there are fewer than `k`.
    """
    require_ordered("topk", input, "float", "int")
    size = input.shape[axis(dim, input.ndim)] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(
            f"selected index k out of range: k={k} for dimension {dim} of size {size}"
        )
    return _sorted(xp, input, dim, largest, k)


derivative(topk, input=_unsorted)


def _require_order(input: Any) -> None:
    """Refuse rows of what has no order; a single number needs none."""
    if input.ndim and input.dtype.kind not in ("float", "int"):
        raise NotImplementedError(
            f"\"kthvalue_cpu\" not implemented for '{input.dtype.legacy}': kthvalue() takes float "
            "and int tensors; convert with .to()"
        )


@op(
    ordered=True,
    exact_out=True,
    apart=True,
    promotes=None,
    refuses=_require_order,
    outputs=("values", "indices"),
    examples=[
        (distinct(2, 5), {"k": 2}),
        (distinct(4, 2), {"k": 3, "dim": 0, "keepdim": True}),
        ((), {"k": 1}),
    ],
)
def kthvalue(xp: Any, input: Any, /, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The `k`-th smallest element along `dim`, counted from 1.

    Returns
    -------
    values, indices : Tensor

    Raises
    ------
    RuntimeError
        If there are fewer than `k`.
    NotImplementedError
        If they are bools or complex numbers, unless it is a single one.
    """
    dim = axis(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if not size:
        raise IndexError(
            f"kthvalue(): Expected reduction dim {dim} to have non-zero size, got shape "
            f"{list(input.shape)}"
        )
    if not 1 <= k <= size:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {dim}: k={k} for size {size}"
        )
    values, indices = _sorted(xp, input, dim, False)
    if not input.ndim:
        return values, indices
    key = (*(slice(None),) * dim, slice(k - 1, k) if keepdim else k - 1, ...)
    return values[key], indices[key]


def _kthvalue_rule(
    xp: Any, gs: Any, input_shape: Any, indices: Any, dim: int, keepdim: bool
) -> Any:
    g, dim = gs[0], axis(dim, len(input_shape))
    if not keepdim and len(input_shape):
        g, indices = xp.expand_dims(g, axis=dim), xp.expand_dims(indices, axis=dim)
    return xp.gather_spread(g, indices, input_shape, dim)


derivative(kthvalue, input=_kthvalue_rule)


# ---- distinct


def _runs(xp: Any, different: Any, count: int) -> tuple[Any, Any, Any]:
    """Of neighbours told apart by `different`: where runs begin, whose each is, how long."""
    new = xp.concat([xp.ones((1,), dtype=xp.bool), different])
    starts = xp.astype(xp.nonzero(new)[0], xp.int64, copy=False)
    ends = xp.concat([starts[1:], xp.full((1,), count, dtype=xp.int64)])
    return starts, xp.cumulative_sum(xp.astype(new, xp.int64)) - 1, ends - starts


def _rows(xp: Any, input: Any, dim: int) -> tuple[Any, int]:
    """`input` as a matrix whose rows are its parts along `dim`."""
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    dim = axis(dim, input.ndim)
    if any(n == 0 for d, n in enumerate(input.shape) if d != dim):
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied; "
            "got shape "
            f"{list(input.shape)} and dim={dim}"
        )
    width = 1
    for d, n in enumerate(input.shape):
        width *= n if d != dim else 1
    return xp.reshape(xp.moveaxis(input, dim, 0), (input.shape[dim], width)), dim


@op(
    promotes=None,
    public=False,
    outputs=("values", "inverse", "counts"),
    examples=[(ints(3, 4), True), (ints(3, 4), False), (fixed([2, 2, 1, 1, 2]), False)],
)
def unique_flat(xp: Any, input: Any, /, ordered: bool) -> Any:
    """Distinct elements: all of them in order, or runs of neighbours."""
    flat = xp.reshape(input, (-1,))
    count = flat.shape[0]
    if not count:
        return flat[:], xp.zeros(input.shape, dtype=xp.int64), xp.zeros((0,), dtype=xp.int64)
    order = _order(xp, flat, 0, False) if ordered else None
    lined = flat if order is None else xp.take(flat, order, axis=0)
    starts, run, lengths = _runs(xp, lined[1:] != lined[:-1], count)
    inverse = run if order is None else xp.take(run, xp.argsort(order), axis=0)
    return xp.take(lined, starts, axis=0), xp.reshape(inverse, input.shape), lengths


@op(
    promotes=None,
    public=False,
    outputs=("values", "inverse", "counts"),
    examples=[(ints(5, 2, high=2), 0, True), (ints(2, 5, high=2), 1, False)],
)
def unique_rows(xp: Any, input: Any, /, dim: int, ordered: bool) -> Any:
    """Distinct parts along `dim`: all of them in lexicographic order, or runs of neighbours."""
    rows, dim = _rows(xp, input, dim)
    count, width = rows.shape
    if not count:
        return copied(xp, input), xp.zeros((0,), dtype=xp.int64), xp.zeros((0,), dtype=xp.int64)
    order = xp.arange(count, dtype=xp.int64)
    if ordered:
        for column in range(width - 1, -1, -1):
            order = xp.take(
                order, _order(xp, xp.take(rows[:, column], order, axis=0), 0, False), axis=0
            )
    lined = xp.take(rows, order, axis=0)
    starts, run, lengths = _runs(xp, xp.any(lined[1:, ...] != lined[:-1, ...], axis=1), count)
    first = xp.take(order, starts, axis=0)
    return xp.take(input, first, axis=dim), xp.take(run, xp.argsort(order), axis=0), lengths


def _wanted(found: Any, return_inverse: bool, return_counts: bool) -> Any:
    values, inverse, counts = found
    wanted = (values, *(inverse,) * return_inverse, *(counts,) * return_counts)
    return wanted if len(wanted) > 1 else values


@composite(
    method=True,
    examples=[
        (ints(3, 4),),
        (ints(3, 4), {"return_inverse": True, "return_counts": True}),
        (ints(5, 2, high=2), {"dim": 0}),
    ],
)
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, in order; or the distinct parts along `dim`.

    Parameters
    ----------
    input : Tensor
    sorted : bool
        Accepted; the result is always sorted.
    return_inverse : bool
        Also return where in the result each element of `input` is.
    return_counts : bool
        Also return how often each one occurs.
    dim : int, optional
    """
    found = unique_flat(input, True) if dim is None else unique_rows(input, dim, True)
    return _wanted(found, return_inverse, return_counts)


@composite(
    method=True,
    examples=[
        (fixed([2, 2, 1, 1, 2]),),
        (fixed([2, 2, 1, 1, 2]), {"return_inverse": True, "return_counts": True}),
    ],
)
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """One of each run of equal neighbours.

    Parameters
    ----------
    input : Tensor
    return_inverse : bool
        Also return the run of each element.
    return_counts : bool
        Also return the lengths of the runs.
    dim : int, optional
        Compare parts along `dim` instead of the flattened elements.
    """
    found = unique_flat(input, False) if dim is None else unique_rows(input, dim, False)
    return _wanted(found, return_inverse, return_counts)
