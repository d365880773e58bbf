"""A softmax over very many classes, most of them rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn.container import ModuleList, Sequential
from devtensor.nn.linear import Linear
from devtensor.nn.module import Module
from devtensor.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class ASMoutput(NamedTuple):
    """Log-probabilities of the targets, and the mean loss."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Gives log-probabilities in two steps: of a frequent class or a cluster, then within it.

    Parameters
    ----------
    in_features, n_classes : int
        The width of the input and the number of classes, the most frequent first.
    cutoffs : sequence of int
        Where each cluster of rarer classes begins, increasing.
    div_value : float
        By how much each cluster's inner width is smaller than the one before.
    head_bias : bool
        Whether the first step has a bias.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        places = list(cutoffs)
        if not places:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            places != sorted(set(places))
            or places[0] <= 0
            or places[-1] > n_classes - 1
            or any(int(place) != place for place in places)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an "
                "increasing order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*places, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        place = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **place)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **place),
                    Linear(width, size, bias=False, **place),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for narrow, wide in self.tail:
            narrow.reset_parameters()
            wide.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMoutput:
        if input_.ndim - 1 != target_.ndim or target_.ndim > 1:
            raise RuntimeError(
                "0D or 1D target tensor expected, with one dimension less than the input; got "
                f"input {tuple(input_.shape)} and target {tuple(target_.shape)}"
            )
        if target_.ndim and len(input_) != len(target_):
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension, but they have "
                f"{len(input_)} and {len(target_)}"
            )
        low, high = int(target_.min().item()), int(target_.max().item())
        if low < 0 or high >= self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], "
                f"but values in range [{low}, {high}] were found. "
            )
        all_scores = self.log_prob(input_ if input_.ndim == 2 else input_.unsqueeze(0))
        index = target_.reshape(-1, 1)
        output = all_scores.gather(1, index).squeeze(1)
        loss = (-output).mean()
        return ASMoutput(output if target_.ndim else output.squeeze(0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """Give the log-probabilities of all classes: shape (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(tail(input), dim=1) + cluster)
        return dt.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """Give the most probable class of each row."""
        return self.log_prob(input).argmax(1)
