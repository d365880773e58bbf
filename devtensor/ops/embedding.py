"""Tables whose rows are looked up by number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from devtensor.coo import gradient
from devtensor.dtype import int32, int64, of
from devtensor.example import fixed, ints
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import batched, written_by

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


@op(
    public=False,
    promotes=None,
    node="EmbeddingBackward0",
    examples=[
        ((4, 3), ints(2, 5, high=4)),
        ((4, 3), ints(6, high=4)),
        ((4, 3), fixed(2)),
    ],
)
def embedding_at(xp, weight, indices, /, padding=-1, by_frequency=False):
    """The rows of `weight` that `indices` list.

    Parameters
    ----------
    weight : Tensor
        Shape ``(rows, width)``.
    indices : Tensor of int
    padding : int, optional
        A row that gets no gradient; none if negative.
    by_frequency : bool, optional
        Divide the gradient of each row by how often it is listed.
    """
    found = xp.index_select_at(weight, xp.reshape(indices, (-1,)), 0)
    return xp.reshape(found, (*indices.shape, weight.shape[1]))


def in_a_list(xp, g, indices, weight_shape, by_frequency):
    """The gradients of single rows, and which those are."""
    count = math.prod(indices.shape)
    g, listed = xp.reshape(g, (count, weight_shape[1])), xp.reshape(indices, (count,))
    if by_frequency:
        times = xp.occurrences(listed, weight_shape[0])
        g = g / xp.expand_dims(xp.astype(times, g.dtype), axis=-1)
    return g, listed


def embedding_rule(xp, g, indices, weight_shape, padding, by_frequency):
    g, listed = in_a_list(xp, g, indices, weight_shape, by_frequency)
    if padding >= 0:
        g = xp.where(xp.expand_dims(listed == padding, axis=-1), xp.zeros_like(g), g)
    return xp.index_select_spread(g, listed, weight_shape, 0)


derivative(embedding_at, weight=embedding_rule)


@op(public=False, promotes=None, node="EmbeddingBackward0", complex_rules=True)
def embedding_of(xp, weight, indices, /, padding=-1, by_frequency=False):
    """The same with a gradient that is sparse."""
    return xp.embedding_at(weight, indices, padding, by_frequency)


def embedding_of_rule(xp, g, indices, weight_shape, padding, by_frequency):
    rows, listed = in_a_list(xp, g, indices, weight_shape, by_frequency)
    if padding >= 0:
        (kept,) = xp.nonzero(listed != padding)
        rows, listed = xp.take(rows, kept, axis=0), xp.take(listed, kept, axis=0)
    listed = xp.astype(xp.expand_dims(listed, axis=0), xp.int64)
    return gradient(xp, listed, rows, weight_shape)


derivative(embedding_of, weight=embedding_of_rule)


@op(public=False, promotes=None, examples=[(ints(7, high=4), 5)])
def occurrences(xp, indices, /, rows):
    """How often the list `indices` has each of its entries, which are below `rows`."""
    ones = xp.ones(indices.shape, dtype=xp.int64)
    counts = xp.index_add(xp.zeros((rows,), dtype=xp.int64), 0, indices, ones)
    return xp.take(counts, indices, axis=0)


@op(
    public=False,
    promotes=None,
    writes=("weight",),
    examples=[((4, 3), ints(6, high=4), 0.5, 2.0), ((4, 3), ints(2, high=4), 0.5, math.inf)],
)
def embedding_renorm(xp, weight, indices, /, max_norm, norm_type):
    """The rows of `weight` that `indices` list scaled down to `max_norm`, where they are longer."""
    listed, rows = shortened(xp, weight, indices, max_norm, norm_type)
    return (xp.put(weight, (listed,), rows, False),)


def shortened(
    xp: Any, weight: Any, indices: Any, max_norm: float, norm_type: float
) -> tuple[Any, Any]:
    """The numbers of the rows listed, each once, and these rows, none longer than `max_norm`."""
    listed = xp.unique_values(xp.reshape(indices, (-1,)))
    rows = xp.index_select_at(weight, listed, 0)
    norms = xp.linalg_vector_norm(rows, norm_type, (1,), True)
    factor = max_norm / (norms + 1e-7)  # PyTorch adds this much
    return listed, xp.where(norms > max_norm, rows * factor, rows)


@composite(
    home="nn",
    examples=[
        (ints(2, 5, high=4), (4, 3)),
        (ints(6, high=4), (4, 3)),
        (fixed(2), (4, 3)),
    ],
)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Look up rows of a table by number.

    Parameters
    ----------
    input : Tensor of int64 or int32
        Numbers of rows, of any shape.
    weight : Tensor
        The table, shape ``(rows, width)``.
    padding_idx : int, optional
        A row that gets no gradient.
    max_norm : float, optional
        Rows longer than this are scaled down to it, in place, before they are looked up.
    norm_type : float, optional
        The norm of `max_norm`.
    scale_grad_by_freq : bool, optional
        Divide the gradient of each row by how often it is looked up.
    sparse : bool, optional
        Let the gradient of `weight` be a sparse tensor of the rows that were looked up, if it is
        a leaf.

    Returns
    -------
    Tensor
        Shape ``(*input.shape, width)``.

    Raises
    ------
    AssertionError
        If `padding_idx` is no row.
    IndexError
        If a number in `input` is no row.
    RuntimeError
        If `weight` is no matrix, or `input` does not hold integers.
    """
    size = weight.shape
    if padding_idx is None:
        padding_idx = -1
    elif not -size[0] <= padding_idx < size[0]:
        raise AssertionError("Padding_idx must be within num_embeddings")
    elif padding_idx < 0:
        padding_idx += size[0]
    if len(size) != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(size)}")
    dtype = input.dtype
    if dtype is not int64 and dtype is not int32:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{of(dtype).legacy}Tensor instead (while checking arguments "
            "for embedding)"
        )
    if max_norm is not None:
        # A view that wants no gradient: it may be written to in every mode.
        (rows,) = written_by(weight, input)
        embedding_renorm(weight.detach(), rows, float(max_norm), float(norm_type))
    look_up = embedding_at
    if sparse and weight.is_leaf and not batched(weight, input):
        look_up = embedding_of
    result: Tensor = look_up(weight, input, padding_idx, bool(scale_grad_by_freq))
    return result
