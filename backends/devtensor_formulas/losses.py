"""Losses of classes: a number in each row is read on the way along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.ops import loss as common

from .fuse import Fuser, formula_of

Look = Callable[[Any, int, int], Callable[[], bool]]
"""Of labels, how many classes there are, and the label that is ignored: begins to look at all, and
gives a function that says whether none but these was found.
"""


def kernels(fuser: Fuser, look: Look) -> dict[str, Callable[..., Any]]:
    """The kernels of both ways through the cross entropy."""
    along, large = fuser.along, fuser.large

    def shares(f: Any, x: Any, target: Any, counts: Any, reduction: str, ignored: int) -> Any:
        """What each sample counts, and what all do together if that matters."""
        counts = f.astype(target != ignored, x.dtype) if counts is None else counts
        return counts, f.sum(counts) if reduction == "mean" else 1.0

    def class_entropy(
        xp: Any, input: Any, target: Any, weight: Any = None, /, *, dim: int,
        reduction: str = "mean", ignore_index: int = -100,
    ) -> tuple[Any, Any]:  # fmt: skip
        """`class_entropy`: the softmax, and what is read of it, on one way through the memory."""
        how = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
        if not large(input):
            return common.class_entropy.kernel(xp, input, target, weight, **how)
        f = formula_of(xp)
        given = [input, *weighed(xp, input, target, weight, dim, ignore_index)]
        seen = look(target, input.shape[dim], ignore_index) if weight is None else None

        def write(x: Any, *rows: Any) -> tuple[Any, Any]:
            target, counts = [*[f.expand_dims(a, axis=dim) for a in rows], None][:2]
            shifted = x - f.max(x, axis=dim, keepdims=True)
            powers = f.exp(shifted)
            total = f.sum(powers, axis=dim, keepdims=True)
            there = f.where(f.places(x, dim) == target, shifted, 0.0)
            loss = f.log(total) - f.sum(there, axis=dim, keepdims=True)
            counts, together = shares(f, x, target, counts, reduction, ignore_index)
            loss = f.where(counts == 0.0, 0.0, loss * counts)
            loss = f.squeeze(loss, axis=dim) if reduction == "none" else f.sum(loss) / together
            return loss, powers / total

        found = along(given, write, "entropy", *how.values())
        if found is not None and (seen is None or seen()):
            return found
        return common.class_entropy.kernel(xp, input, target, weight, **how)

    def class_slope(
        xp: Any, pull: Any, probabilities: Any, target: Any, weight: Any = None, /, *, dim: int,
        reduction: str = "mean", ignore_index: int = -100,
    ) -> Any:  # fmt: skip
        """`class_slope`; the way forth has looked at the labels."""
        how = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
        if not large(probabilities):
            return common.class_slope.kernel(xp, pull, probabilities, target, weight, **how)
        f = formula_of(xp)
        given = [probabilities, pull]
        given += weighed(xp, probabilities, target, weight, dim, ignore_index)

        def write(x: Any, pull: Any, *rows: Any) -> Any:
            target, counts = [*[f.expand_dims(a, axis=dim) for a in rows], None][:2]
            pull = pull if reduction != "none" else f.expand_dims(pull, axis=dim)
            counts, together = shares(f, x, target, counts, reduction, ignore_index)
            part = f.where(counts == 0.0, 0.0, pull * (counts / together))
            return x * part - f.where(f.places(x, dim) == target, part, 0.0)

        found = along(given, write, "slope", *how.values())
        if found is None:
            return common.class_slope.kernel(xp, pull, probabilities, target, weight, **how)
        return found

    return {"class_entropy": class_entropy, "class_slope": class_slope}


def weighed(
    xp: Any, input: Any, target: Any, weight: Any, dim: int, ignore_index: int
) -> list[Any]:
    """Labels, and what each sample counts where classes have weights.

    Raises
    ------
    IndexError
        If a class does not exist; without weights nobody looks.
    """
    if weight is None:
        return [xp.astype(target, xp.int64, copy=False)]
    return list(common.class_weights(xp, target, weight, input, dim, ignore_index))
