"""Losses written with other functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import devtensor as dt
from devtensor.nn._functional_distance import cosine_similarity, pairwise_distance
from devtensor.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "legacy_reduction",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "reduced",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Say in one word what the old arguments `size_average` and `reduce` said in two."""
    if size_average is None and reduce is None:
        return reduction
    average = size_average is None or size_average
    word = "none" if reduce is False else ("mean" if average else "sum")
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{word}' instead.",
        stacklevel=4,
    )
    return word


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Take the mean or the sum, or leave the loss as it is."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Take the distance where `target` is 1, and what it lacks to `margin` where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    lacking = (margin - input).clamp(min=0)
    zero = dt.zeros_like(input)
    loss = dt.where(target != 1, lacking, zero) + dt.where(target != -1, input, zero)
    return reduced(loss, reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Pull pairs with target 1 into one direction, push those with -1 below cosine `margin`.

    Parameters
    ----------
    input1, input2 : Tensor
        Shape (N, D), or (D,) with a 0-d target.
    target : Tensor
        Shape (N,), of 1 and -1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = target.ndim + 1
    if input1.ndim != wanted or input2.ndim != wanted:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {wanted}D input tensors, but found inputs "
            f"with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    cosine = cosine_similarity(input1, input2, dim=-1)
    zero = dt.zeros_like(cosine)
    apart = dt.where(target == -1, (cosine - margin).clamp(min=0), zero)
    return reduced(dt.where(target == 1, 1 - cosine, zero) + apart, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Want `input1` above `input2` by `margin` where `target` is 1, below where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((margin - target * (input1 - input2)).clamp(min=0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute `log(1 + exp(-target * input))` for targets 1 and -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return reduced(dt.log1p(dt.exp(-target * input)), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Take the mean over classes of the binary cross entropy of logits."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    # log(sigmoid(x)) = -softplus(-x), without overflow: min(x, 0) - log1p(exp(-|x|))
    tail = dt.log1p(dt.exp(-input.abs()))
    positive = input.clamp(max=0) - tail
    negative = (-input).clamp(max=0) - tail
    loss = -(target * positive + (1 - target) * negative)
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Want the score of the target class above all others by `margin`.

    Parameters
    ----------
    input : Tensor
        Scores, shape (N, C) or (C,).
    target : Tensor of int64
        Class numbers, shape (N,) or ().
    p : int
        The power of each shortfall, 1 or 2.
    weight : Tensor, optional
        Shape (C,), the weight of each target class.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    index = target.unsqueeze(-1)
    lacking = (margin - input.gather(-1, index) + input).clamp(min=0) ** p
    if weight is not None:
        lacking = lacking * weight.index_select(0, target.reshape(-1)).reshape(index.shape)
    classes = dt.arange(input.shape[-1], device=input.device)
    lacking = dt.where(classes == index, dt.zeros_like(lacking), lacking)
    return reduced(lacking.sum(-1) / input.shape[-1], reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Want the scores of all target classes above those of all others by 1.

    Parameters
    ----------
    input : Tensor
        Scores, shape (N, C) or (C,).
    target : Tensor of int64
        The same shape; class numbers, and -1 after the last one.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {tuple(target.shape)} for input of size: "
            f"{tuple(input.shape)}"
        )
    count = input.shape[-1]
    named = (target >= 0).to(dt.int64).cumprod(-1).bool()  # up to the first -1
    index = dt.where(named, target, dt.zeros_like(target))
    classes = dt.arange(count, device=input.device)
    is_target = ((index.unsqueeze(-1) == classes) & named.unsqueeze(-1)).any(-2)
    scores = input.gather(-1, index)
    lacking = (1 - scores.unsqueeze(-1) + input.unsqueeze(-2)).clamp(min=0)
    counted = named.unsqueeze(-1) & ~is_target.unsqueeze(-2)
    loss = dt.where(counted, lacking, dt.zeros_like(lacking)).sum((-2, -1)) / count
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Give the negative log likelihood of counts under a Poisson distribution.

    Parameters
    ----------
    input : Tensor
        The rate, or its logarithm if `log_input`.
    target : Tensor
        Counts.
    full : bool
        Add Stirling's approximation of `log(target!)`.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + dt.where(target > 1, stirling, dt.zeros_like(stirling))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Give the negative log likelihood under normal distributions of mean `input`.

    Parameters
    ----------
    input, target : Tensor
        The same shape.
    var : Tensor or float
        Variances: the same shape, or with a last dimension less or of 1.
    full : bool
        Add the constant term.
    eps : float
        The least variance; below it no gradient flows to `var`.
    """
    if isinstance(var, int | float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = dt.full_like(input, var)
    elif (var < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif input.size()[:-1] != var.size()[:-1] or var.size(-1) != 1:
            raise ValueError(
                f"var is of incorrect size: {tuple(var.shape)} for input {tuple(input.shape)}"
            )
    least = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (least.log() + (input - target) ** 2 / least)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Want `positive` nearer to `anchor` than `negative` by `margin`, in the p-norm.

    With `swap`, `negative` counts as near to either of the other two.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Do as `triplet_margin_loss` with any distance function."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, "
            f"and negative {negative.ndim}D inputs"
        )
    near = distance(anchor, positive)
    far = distance(anchor, negative)
    if swap:
        far = dt.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp(min=0), reduction)
