"""Sums, products and extremes of successive parts of a dimension."""

from __future__ import annotations

import math
from typing import Any

from devtensor.example import fixed
from devtensor.op import composite
from devtensor.ops.arguments import anywhere
from devtensor.ops.arguments import axis as which
from devtensor.ops.create import arange, full
from devtensor.ops.elementwise import where
from devtensor.ops.index import scatter_reduce, searchsorted
from devtensor.tensor import Tensor

REDUCTIONS = {
    "sum": ("sum", 0.0),
    "mean": ("sum", 0.0),
    "prod": ("prod", 1.0),
    "max": ("amax", -math.inf),
    "min": ("amin", math.inf),
}
REDUCTIONS |= {"amax": REDUCTIONS["max"], "amin": REDUCTIONS["min"]}
"""What joins the elements of a segment, and what a segment of none gives."""


def bounds(data: Tensor, lengths: Any, offsets: Any, dim: int, unsafe: bool) -> tuple[Any, Any]:
    """The lengths of all segments, and where each ends.

    Raises
    ------
    NotImplementedError
        If they are no integers.
    RuntimeError
        If neither is given, they have not the dimensions of `data` up to `dim`, or do not cover it.
    """
    given = lengths if lengths is not None else offsets
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if given.dtype.kind != "int":
        raise NotImplementedError(
            f"\"segment_reduce_cpu\" not implemented for '{given.dtype.legacy}' lengths or offsets"
        )
    if given.ndim > data.ndim:
        raise RuntimeError(
            "segment_reduce(): Expected data.dim() >= lengths_value.dim() to be true, but got "
            f"{data.ndim} and {given.ndim} dimensions; lengths have those of data up to the axis"
        )
    if given.ndim != dim + 1 or given.shape[:dim] != data.shape[:dim]:
        raise RuntimeError(
            "segment_reduce(): Expected all the dimensions of lengths or offsets but the last to "
            f"be those of data before axis {dim}, got {list(given.shape)} for {list(data.shape)}"
        )
    if lengths is None:
        starts, ends = offsets[..., :-1], offsets[..., 1:]
        return ends - starts, ends
    ends = lengths.cumsum(dim)
    if not unsafe:
        if anywhere(lengths < 0):
            raise RuntimeError("segment_reduce(): lengths contains negative value!")
        if lengths.shape[dim] and anywhere(ends[..., -1] != data.shape[dim]):
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths to sum to "
                f"data.size(lengths.dim()-1) when !unsafe, which is {data.shape[dim]} of "
                f"{list(data.shape)}, but they sum to {ends[..., -1].tolist()}"
            )
    return lengths, ends


@composite(
    examples=[
        ((5, 2), "sum", {"lengths": fixed([2, 0, 3])}),
        ((2, 4), "mean", {"lengths": fixed([[1, 3], [2, 2]]), "axis": 1}),
        ((5,), "max", {"offsets": fixed([0, 2, 5])}),
        ((4,), "min", {"lengths": fixed([0, 4]), "initial": 1}),
        ((4,), "prod", {"lengths": fixed([3, 1])}),
    ]
)
def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """One number for each of the successive segments of a dimension.

    Parameters
    ----------
    data : Tensor
        Of a floating dtype.
    reduce : {"sum", "mean", "max", "amax", "min", "amin", "prod"}
    lengths : Tensor of int64 or int32, optional
        The lengths of the segments, which together cover the dimension; with the dimensions of
        `data` before `axis`.
    indices : None
        Accepted for PyTorch's sake, which does not implement it.
    offsets : Tensor of int64 or int32, optional
        Instead of `lengths`: where each segment begins, and where the last one ends.
    axis : int, optional
    unsafe : bool, optional
        Do not check `lengths`.
    initial : float, optional
        What each segment starts from: 0, 1 or an infinity by default. A mean of none is NaN
        without it.

    Raises
    ------
    NotImplementedError
        If `data` holds no floats.
    RuntimeError
        If the segments do not fit `data`, or `reduce` is unknown.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.segment_reduce(dt.tensor([1.0, 2.0, 3.0]), "max", lengths=dt.tensor([2, 1]))
    tensor([2., 3.])
    """
    if reduce not in REDUCTIONS:
        raise RuntimeError(
            f"segment_reduce(): unsupported reduction given! {reduce}; there are "
            f"{', '.join(REDUCTIONS)}"
        )
    if indices is not None:
        raise RuntimeError(
            "segment_reduce(): indices based reduction is not supported yet; give lengths"
        )
    if data.dtype.kind != "float":
        raise NotImplementedError(
            f"\"segment_reduce_cpu\" not implemented for '{data.dtype.legacy}'; use .float()"
        )
    dim = which(axis, data.ndim)
    sizes, ends = bounds(data, lengths, offsets, dim, unsafe)
    how, start = REDUCTIONS[reduce]
    behind = (1,) * (data.ndim - dim - 1)
    shape = (*data.shape[:dim], sizes.shape[dim], *data.shape[dim + 1 :])
    places = arange(data.shape[dim], device=data.device).expand(data.shape[: dim + 1])
    number = searchsorted(ends.contiguous(), places.contiguous(), right=True)
    # What lies behind the last segment is put into one more, and left there.
    room = full(
        (*shape[:dim], shape[dim] + 1, *shape[dim + 1 :]),
        start if initial is None else initial,
        dtype=data.dtype,
        device=data.device,
    )
    number = number.reshape(*number.shape, *behind).expand(data.shape)
    result = scatter_reduce(room, dim, number, data, how).narrow(dim, 0, shape[dim])
    if reduce != "mean":
        return result.contiguous()
    count = sizes.reshape(*sizes.shape, *behind).to(data.dtype)
    if initial is None:
        return result / count
    return where(count == 0, result, result / count.clamp(min=1))


_segment_reduce = segment_reduce
"""The same by the name that PyTorch's own programs call it."""
