"""The cross entropy of a linear layer's scores, of all rows at once or of some at a time."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["linear_cross_entropy"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How `linear_cross_entropy` goes through the rows of its input piece by piece.

    The scores of a piece are computed again when its gradients are, so those of all rows never
    exist at the same time.

    Attributes
    ----------
    allow_retain_graph : bool
        Accepted; here the graph can always be retained.
    batch_chunk_size : int, optional
        The rows of a piece; None leaves it to `chunking_method`.
    chunking_method : str, optional
        `"aspect_ratio"` takes so many rows that their scores are about as large as the input,
        `"aspect_ratio:N"` a part of that; `"auto"` is `"aspect_ratio:2"` unless a size is given.
    acc_policy : {"auto", "accurate", "balanced", "compact"}
        Accepted; here all are as accurate as `acc_dtype`.
    acc_dtype : dtype, optional
        In which the scores are computed: by default float32 for half-precision input with the
        policy `"auto"`, else the input's.

    Raises
    ------
    ValueError
        If a field has another value.

    Examples
    --------
    >>> from devtensor import nn
    >>> nn.LinearCrossEntropyOptions(batch_chunk_size=64).batch_chunk_size
    64
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(
                f"invalid acc_policy: {self.acc_policy!r}; choose 'auto', 'accurate', 'balanced' "
                "or 'compact'"
            )
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = self.chunking_method.partition(":")
            if name != "aspect_ratio" or (colon and not (factor.isdigit() and int(factor))):
                raise ValueError(
                    f"invalid chunking_method: {self.chunking_method!r}; choose None, 'auto', "
                    "'aspect_ratio' or 'aspect_ratio:N'"
                )
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in (None, dt.float16, dt.bfloat16, dt.float32, dt.float64):
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {self.acc_dtype!r}"
            )

    def rows(self, batch: int, features: int, classes: int) -> int:
        """Give how many rows a piece has."""
        given, method = self.batch_chunk_size, self.chunking_method
        if method == "auto":
            method = "aspect_ratio:2" if given is None else None
        size = batch if given is None else min(given, batch)
        if method is not None:
            wanted = -(-batch // -(-classes // features))
            even = 1 << (wanted - 1).bit_length()
            size = min(even // int(method.partition(":")[2] or 1), batch)
            if given is not None and given != size:
                raise ValueError(
                    f"batch_chunk_size (={given}) and chunking_method ({method!r}) give different "
                    f"chunk sizes ({given} vs {size}); pass only one."
                )
        return max(size, 1)

    def type_for(self, input: Tensor) -> Any:
        """Give the type in which the scores are computed."""
        if self.acc_dtype is None and self.acc_policy == "auto" and input.dtype.itemsize == 2:
            return dt.float32
        return self.acc_dtype or input.dtype


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """Give the cross entropy of `linear(input, linear_weight, linear_bias)` and `target`.

    Parameters
    ----------
    input : Tensor
        Of shape (features) or (N, features).
    linear_weight : Tensor
        Of shape (C, features), or (C, d1, ..., features) for several losses to a row.
    target : Tensor
        Classes of shape () or (N, d1, ...), or probabilities of shape (N, C, d1, ...).
    linear_bias : Tensor, optional
        Of shape (C, d1, ...).
    weight : Tensor, optional
        The weight of each class.
    reduction : {"mean", "sum", "none"}
        What becomes of the losses.
    ignore_index : int, optional
        A class that does not count; -100 by default.
    label_smoothing : float
        How much of the target is spread over all classes.
    options : LinearCrossEntropyOptions, optional
        Go piece by piece. This needs classes of type int64, one loss to a row and no smoothing.

    Raises
    ------
    RuntimeError
        If the shapes do not belong together.

    Examples
    --------
    >>> import devtensor as dt
    >>> x, w, classes = dt.ones(2, 3), dt.ones(4, 3), dt.tensor([0, 3])
    >>> dt.nn.functional.linear_cross_entropy(x, w, classes)
    tensor(1.3863)
    """
    scores_shape = checked(input, linear_weight, target, linear_bias, ignore_index)
    settings: dict[str, Any] = {
        "weight": weight,
        "ignore_index": -100 if ignore_index is None else ignore_index,
        "label_smoothing": label_smoothing,
    }
    if options is not None:
        plain = linear_weight.ndim == 2 and not label_smoothing and target.dtype is dt.int64
        if plain and reduction in ("mean", "sum", "none"):
            return piecewise(
                options, input, linear_weight, target, linear_bias, settings, reduction
            )
        warnings.warn(
            "linear_cross_entropy: `options` ignored: going piece by piece needs reduction in "
            "{'mean','sum','none'}, label_smoothing == 0, target.dtype == int64 and "
            f"linear_weight of 2 dimensions. Got reduction={reduction!r}, label_smoothing="
            f"{label_smoothing}, target.dtype={target.dtype}, linear_weight.ndim="
            f"{linear_weight.ndim}",
            stacklevel=3,
        )
    rows = linear_weight.flatten(0, -2)
    bias = None if linear_bias is None else linear_bias.flatten()
    scores = dt.nn.functional.linear(input, rows, bias).reshape(scores_shape)
    loss: Tensor = dt.nn.functional.cross_entropy(scores, target, reduction=reduction, **settings)
    return loss


def checked(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    ignore_index: int | None,
) -> tuple[int, ...]:
    """Refuse what does not fit together; give the shape of the scores."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    outputs = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise RuntimeError(f"expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {input.shape[0]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    shape = (*input.shape[:-1], *outputs)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    return shape


def piecewise(
    options: LinearCrossEntropyOptions,
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    settings: dict[str, Any],
    reduction: str,
) -> Tensor:
    """Go through the rows piece by piece; what backward needs of a piece is computed again."""
    from devtensor.utils.checkpoint import checkpoint

    single, kind = input.ndim == 1, options.type_for(input)
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    batch, features = input.shape
    size = options.rows(batch, features, linear_weight.shape[0])
    each = "none" if reduction == "none" else "sum"
    if settings["weight"] is not None:
        settings = {**settings, "weight": settings["weight"].to(kind)}

    # Changed here and not in the pieces, so that the gradients of all are added in this type.
    matrix = linear_weight.to(kind)
    bias = None if linear_bias is None else linear_bias.to(kind)

    def losses(x: Tensor, matrix: Tensor, bias: Tensor | None, classes: Tensor) -> Tensor:
        scores = dt.nn.functional.linear(x.to(kind), matrix, bias)
        loss: Tensor = dt.nn.functional.cross_entropy(scores, classes, reduction=each, **settings)
        return loss

    parts = [
        checkpoint(losses, x, matrix, bias, classes, use_reentrant=False)
        for x, classes in zip(input.split(size), target.split(size), strict=True)
    ]
    if reduction == "none":
        found = dt.cat(parts)
        return (found[0] if single else found).to(input.dtype)
    total = dt.stack(parts).sum()
    if reduction == "mean":
        counted = target != settings["ignore_index"]
        weight = settings["weight"]
        total = total / (counted.sum() if weight is None else weight[target[counted]].sum())
    return total.to(input.dtype)
