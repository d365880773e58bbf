"""How many points lie in each box of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from devtensor.example import fixed, positive
from devtensor.op import composite
from devtensor.ops.arguments import require_tensors
from devtensor.ops.create import linspace
from devtensor.ops.index import searchsorted
from devtensor.ops.results import with_out
from devtensor.return_types import returned
from devtensor.tensor import Tensor

One = returned("histogram", ("hist", "bin_edges"))
Grid = returned("histogramdd", ("hist", "bin_edges"))


def ends(points: Any, range: Sequence[float] | None, dim: int, count: int) -> tuple[float, float]:
    """The first and last edge in a dimension: those given, or those of the points."""
    if range is not None:
        if len(range) != 2 * count:
            raise RuntimeError(
                f"torch.histogramdd: for a {count}-dimensional histogram range should have "
                f"{2 * count} elements, but got {len(range)}"
            )
        low, high = [float(end) for end in range[2 * dim : 2 * dim + 2]]
    elif points.shape[0]:
        low, high = points[:, dim].min().item(), points[:, dim].max().item()
    else:
        low, high = 0.0, 1.0
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(
            f"torch.histogramdd: dimension {dim}'s range [{low}, {high}] is not finite"
        )
    if low > high:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {low} max {high} for "
            f"dimension {dim}"
        )
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def edges_of(points: Any, bins: Any, range: Any, dim: int, count: int) -> Any:
    """The edges of the bins in a dimension, from their number or as they are given."""
    if not isinstance(bins, Tensor):
        if bins <= 0:
            raise RuntimeError(
                f"torch.histogram(): bins must be > 0, but got {bins} for dimension {dim}"
            )
        low, high = ends(points, range, dim, count)
        return linspace(low, high, bins + 1, dtype=points.dtype, device=points.device)
    if bins.ndim != 1:
        raise RuntimeError(
            f"torch.histogramdd: bins tensor should have one dimension, but got {bins.ndim} "
            f"dimensions in the bins tensor for dimension {dim}"
        )
    if bins.dtype is not points.dtype:
        raise RuntimeError(
            "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got "
            f"input with dtype {points.dtype} and bins for dimension {dim} with dtype {bins.dtype}"
        )
    if bins.shape[0] < 2:
        raise RuntimeError(
            "torch.histogramdd: bins tensor should have at least 2 elements, but got "
            f"{bins.shape[0]} in the bins tensor for dimension {dim}"
        )
    return bins.detach().clone()


def counted_in(points: Any, edges: Sequence[Any], weight: Any, density: bool) -> Any:
    """The number, or the weight, of the points in each box between the edges."""
    size = [edge.shape[0] - 1 for edge in edges]
    total = math.prod(size)
    place: Any = 0
    outside: Any = points[:, 0] != points[:, 0]
    for dim, edge in enumerate(edges):
        column = points[:, dim].contiguous()
        outside = outside | ~((column >= edge[0]) & (column <= edge[-1]))
        found = searchsorted(edge, column, right=True) - 1
        place = place * size[dim] + found.clamp(max=size[dim] - 1)  # the last edge counts, too
    place = place.masked_fill(outside, total)
    found = place.bincount(weight, total + 1)[:total].reshape(size).to(points.dtype)
    if density:
        found = found / found.sum()
        for dim, edge in enumerate(edges):
            found = found / edge.diff().reshape([-1] + [1] * (len(edges) - 1 - dim))
    return found


def prepared(name: str, input: Any, weight: Any, shape: tuple[int, ...]) -> Any:
    """The weights of the points in a row, after what does not suit is refused."""
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{input.dtype.legacy}': {name}() takes float "
            "tensors; convert with .to()"
        )
    if weight is None:
        return None
    if weight.shape != shape:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension, but got input with shape "
            f"{list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor "
            f"should have the same dtype, but got input({input.dtype}), and weight({weight.dtype})"
        )
    return weight.detach().reshape(-1)


@composite(
    method=True,
    examples=[
        (positive(7), 4),
        (positive(2, 3), fixed([0.0, 0.7, 1.1, 3.0])),
        (fixed([1.0, 2.0, 1.0]), 4, {"range": [0.0, 3.0], "weight": fixed([1.0, 2.0, 4.0])}),
        (fixed([1.0, 2.0, 1.0]), 3, {"density": True}),
    ],
)
@with_out()
def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """How many numbers lie in each bin, and the edges of the bins; there is no derivative.

    Parameters
    ----------
    input : Tensor
        Its shape does not matter.
    bins : int or Tensor, optional
        The number of bins of equal width, or all edges, which increase. A bin has its left edge,
        the last one both.
    range : pair of float, optional
        The first and the last edge; those of the numbers by default. What lies outside is left out.
    weight : Tensor, optional
        What each number counts; as many as there are numbers.
    density : bool, optional
        Whether to divide by the sum and the widths, so that the integral is 1.

    Returns
    -------
    hist, bin_edges : Tensor

    Raises
    ------
    RuntimeError
        If `bins`, `range` or `weight` do not suit.
    """
    require_tensors("histogram", input=input)
    points = input.detach().reshape(-1, 1)
    flat = None if weight is None else weight.reshape(-1)
    weight = prepared("histogram", points, flat, points.shape[:1])
    edges = edges_of(points, bins, range, 0, 1)
    return One(counted_in(points, [edges], weight, density), edges)


@composite(
    examples=[
        ((5, 2), 3),
        (fixed([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), [3, 2], {"weight": fixed([1.0, 2.0, 4.0])}),
    ],
)
def histogramdd(
    input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """How many points lie in each box of a grid, and the edges; there is no derivative.

    Parameters
    ----------
    input : Tensor
        Points; its last dimension is that of the coordinates.
    bins : int, sequence of int or sequence of Tensor
        As for :func:`histogram`, one for all coordinates or one for each.
    range : sequence of float, optional
        The first and the last edge for each coordinate.
    weight : Tensor, optional
        What each point counts, in the shape of `input` without its last dimension.
    density : bool, optional
        Whether to divide by the sum and the sizes of the boxes.

    Returns
    -------
    hist : Tensor
    bin_edges : tuple of Tensor

    Raises
    ------
    RuntimeError
        If `bins`, `range` or `weight` do not suit.
    """
    require_tensors("histogramdd", input=input)
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    count = input.shape[-1]
    listed = list(bins) if isinstance(bins, (tuple, list)) else [bins] * count
    if len(listed) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    weight = prepared("histogramdd", input, weight, input.shape[:-1])
    points = input.detach().reshape(-1, count)
    edges = [edges_of(points, each, range, dim, count) for dim, each in enumerate(listed)]
    return Grid(counted_in(points, edges, weight, density), tuple(edges))
