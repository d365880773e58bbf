"""A linear layer and the cross entropy of its scores as one layer."""

from __future__ import annotations

import math
from typing import Any

from devtensor.nn import functional as F
from devtensor.nn._functional_linear_loss import LinearCrossEntropyOptions
from devtensor.nn.linear import Linear
from devtensor.nn.loss import WeightedLoss
from devtensor.tensor import Tensor

__all__ = ["LinearCrossEntropyLoss", "LinearCrossEntropyOptions"]


class LinearCrossEntropyLoss(WeightedLoss):
    """Gives the cross entropy of the scores that a linear layer of its own computes.

    Parameters
    ----------
    in_features, num_classes : int
        The sizes of a row of the input and of its scores.
    out_features : tuple of int
        The shape of the losses that each row has; () for one loss.
    bias : bool
        Whether the linear layer has a bias.
    weight : Tensor, optional
        The weight of each class.
    ignore_index : int, optional
        A target that does not count; -100 by default.
    label_smoothing : float
        How much of the target is spread over all classes.
    options : LinearCrossEntropyOptions, optional
        Go through the rows piece by piece, to save memory.

    Raises
    ------
    RuntimeError
        If `weight` has another shape than (num_classes,), or the smoothing is not in [0, 1].

    Examples
    --------
    >>> from devtensor import nn, ones, tensor
    >>> nn.LinearCrossEntropyLoss(3, 4)(ones(2, 3), tensor([0, 3])).shape
    torch.Size([])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        rows = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        loss: Tensor = F.linear_cross_entropy(
            input,
            self.linear.weight.reshape((*shape, self.linear.in_features)),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )
        return loss

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
