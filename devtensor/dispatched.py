"""Functions of layers at PyTorch's top that are called by place, as its dispatcher calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.ops import conv
from devtensor.tensor import Tensor

__all__ = ["convolution", "convolution_backward", "embedding_bag"]

MODES = ("sum", "mean", "max")


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """`nn.functional.conv1d` to `conv3d`, or `conv_transpose1d` and so on if `transposed`.

    Raises
    ------
    RuntimeError
        If the weight has not one to three dimensions besides those of the channels.
    """
    places = weight.ndim - 2
    if not 1 <= places <= 3:
        raise RuntimeError(
            f"weight should have at least three dimensions, and at most five: convolution() got "
            f"shape {list(weight.shape)}"
        )
    name = f"conv{'_transpose' if transposed else ''}{places}d"
    made: Tensor
    if transposed:
        made = getattr(F, name)(
            input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    else:
        made = getattr(F, name)(input, weight, bias, stride, padding, dilation, groups)
    return made


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`nn.functional.embedding_bag`, and how the bags were put together.

    Parameters
    ----------
    weight : Tensor
        Shape ``(rows, width)``.
    indices, offsets : Tensor of int
        Row numbers of all bags one after another, and where each bag begins.
    mode : int
        0 for the sum, 1 for the mean, 2 for the maximum.
    scale_grad_by_freq, sparse, per_sample_weights, include_last_offset, padding_idx
        As there.

    Returns
    -------
    output, offset2bag, bag_size, max_indices : Tensor
        The bags; the bag of each index; how many indices each has; and the rows of the maxima. As
        in PyTorch, what sums do not need is left empty or 0, and means repeat the sizes at the end.

    Raises
    ------
    ValueError, RuntimeError
        If shapes do not fit, or there is no such mode.
    """
    if not 0 <= mode < len(MODES):
        raise RuntimeError(f"embedding_bag(): mode must be 0, 1 or 2 for {MODES}, got {mode}")
    output = F.embedding_bag(
        indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=MODES[mode],
        sparse=sparse, per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset, padding_idx=padding_idx,
    )  # fmt: skip
    count = output.shape[0]
    places = dt.arange(indices.numel(), device=indices.device)
    bags = dt.searchsorted(offsets[:count].contiguous(), places, right=True) - 1
    none = places.new_zeros(count)
    if mode == 0:
        return output, bags if padding_idx is not None else bags[:0], none, none.clone()
    counted = dt.ones_like(bags, dtype=dt.bool)
    if padding_idx is not None:
        counted = indices != padding_idx % weight.shape[0]
    sizes = none.index_add(0, bags, counted.long())
    if mode == 1:
        return output, bags, sizes, sizes.clone()
    with dt.no_grad():
        largest = (weight[indices] == output[bags]) & counted.unsqueeze(1)
        last = len(indices)
        found = dt.where(largest, places.unsqueeze(1), last)
        first = none.new_full(output.shape, last).scatter_reduce(
            0, bags.unsqueeze(1).expand(found.shape), found, "amin"
        )
        rows = dt.cat([indices.long(), indices.new_zeros(1).long()])[first]
    return output, bags, sizes, rows


def convolution_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of `convolution`: of its input, weight and bias, as far as the mask asks.

    Parameters
    ----------
    grad_output : Tensor
        The gradient of the result.
    bias_sizes : sequence of int, optional
        The shape of the bias; without effect.
    output_mask : sequence of three bool
        Which of the three are wanted; the others are None.
    input, weight, stride, padding, dilation, transposed, output_padding, groups
        As there.
    """
    rest = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation)}
    back: Any = conv.convolution if transposed else conv.convolution_spread
    pair = (grad_output, input) if transposed else (input, grad_output)
    size, window = tuple(input.shape[2:]), tuple(weight.shape[2:])
    made: tuple[Callable[[], Tensor], ...] = (
        lambda: back(grad_output, weight, size=size, groups=groups, **rest),
        lambda: conv.convolution_weight(*pair, size=window, groups=groups, **rest),
        lambda: conv.channel_sum(grad_output),
    )
    first, second, third = [
        make() if wanted else None for make, wanted in zip(made, output_mask, strict=True)
    ]
    return first, second, third
