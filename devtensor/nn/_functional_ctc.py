"""The connectionist temporal classification loss."""

from __future__ import annotations

import math
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Give the negative log likelihood of label sequences, summed over all their alignments.

    Parameters
    ----------
    log_probs : Tensor
        Log-probabilities, shape (T, N, C) or (T, C).
    targets : Tensor of int
        Labels, shape (N, S), or all sequences one after another, shape (sum(target_lengths),).
    input_lengths, target_lengths : Tensor or sequence of int
        Lengths, N of each.
    blank : int
        The class that stands for no label.
    zero_infinity : bool
        Count sequences that cannot be aligned as 0 rather than infinite.
    """
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    steps = integers(input_lengths)
    sizes = integers(target_lengths)
    total, batch, classes = log_probs.shape
    if len(steps) != batch or len(sizes) != batch:
        raise RuntimeError("input_lengths and target_lengths must be of size batch_size")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if any(not 0 <= step <= total for step in steps):
        raise RuntimeError(f"Expected input_lengths to have value at most {total}")

    longest = max(sizes, default=0)
    labels = targets.tolist()
    if targets.ndim == 1 and not (single and len(labels) >= longest and batch == 1):
        start, rows = 0, []
        for size in sizes:
            rows.append(labels[start : start + size])
            start += size
    else:
        rows = [labels] if targets.ndim == 1 else labels
    states = [[blank] * (2 * longest + 1) for _ in range(batch)]
    for state, row, size in zip(states, rows, sizes, strict=True):
        state[1 : 2 * size : 2] = row[:size]
    place = log_probs.device
    labels_at = dt.tensor(states, device=place)
    # From two places before one may come where a label differs from the label before it.
    may_skip = dt.tensor(
        [[k > 1 and k % 2 and s[k] != s[k - 2] for k in range(len(s))] for s in states],
        dtype=dt.bool,
        device=place,
    )
    # Not minus infinity: the gradient of a sum of those would not be a number.
    never = -1e30 if log_probs.dtype != dt.float16 else -6e4
    emitted = log_probs.gather(2, labels_at.unsqueeze(0).expand(total, -1, -1))
    first = dt.arange(2 * longest + 1, device=place) < 2
    nowhere = dt.full_like(emitted[0], never)
    before = dt.where(first, emitted[0], nowhere)
    lasts = dt.tensor(steps, device=place)
    for t in range(1, total):
        one = dt.cat([nowhere[:, :1], before[:, :-1]], 1)
        two = dt.cat([nowhere[:, :2], before[:, :-2]], 1)[:, : before.shape[1]]
        ways = dt.stack([before, one, dt.where(may_skip, two, nowhere)])
        here = dt.logsumexp(ways, 0) + emitted[t]
        before = dt.where((lasts > t).unsqueeze(1), here, before)
    ends = dt.tensor([[2 * size, max(2 * size - 1, 0)] for size in sizes], device=place)
    at_end = before.gather(1, ends)
    empty = dt.tensor([[False, size == 0] for size in sizes], device=place)
    loss = -dt.logsumexp(dt.where(empty, nowhere[:, :1], at_end), 1)
    impossible = loss > -never / 2
    infinite = dt.zeros_like(loss) if zero_infinity else dt.full_like(loss, math.inf)
    loss = dt.where(impossible, infinite, loss)
    if reduction == "mean":
        return (loss / dt.tensor(sizes, device=place).clamp(min=1)).mean()
    loss = reduced(loss, reduction)
    return loss.squeeze(0) if single and reduction == "none" else loss


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Take the mean or the sum, or leave the loss as it is."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def integers(lengths: Any) -> list[int]:
    """Read lengths from a tensor, a sequence or a number."""
    values = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    return [int(values)] if isinstance(values, int) else [int(value) for value in values]
