"""Losses of classes: a number in each row is read on the way along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.ops import loss as common
from devtensor_formulas.fuse import formula_of

from ..fuse import along, large
from ..memory import host_view


def class_weights(
    xp: Any, target: Any, weight: Any, input: Any, dim: int, ignore_index: int
) -> tuple[Any, Any]:
    """`class_weights`, for which the host looks at numbers that lie in its memory."""
    classes = input.shape[dim]
    if weight is None and target.sycl_device.is_cpu and not 0 <= ignore_index < classes:
        seen = host_view(target)
        if seen.min() >= 0 and seen.max() < classes:
            return xp.astype(target, xp.int64, copy=False), None
    return common.class_weights(xp, target, weight, input, dim, ignore_index)


def class_entropy(
    xp: Any, input: Any, target: Any, weight: Any = None, /, *, dim: int, reduction: str = "mean",
    ignore_index: int = -100,
) -> tuple[Any, Any]:  # fmt: skip
    """`class_entropy`: dpnp reads and broadcasts in 5 times NumPy's time."""
    if large(input):
        f = formula_of(xp)
        chosen, coefficient = class_weights(xp, target, weight, input, dim, ignore_index)

        def write(x: Any, chosen: Any) -> tuple[Any, Any]:
            shifted = x - f.max(x, axis=dim, keepdims=True)
            powers = f.exp(shifted)
            total = f.sum(powers, axis=dim, keepdims=True)
            there = f.places(x, dim) == f.expand_dims(chosen, axis=dim)
            read = f.sum(f.where(there, shifted, 0.0), axis=dim, keepdims=True)
            return f.squeeze(f.log(total) - read, axis=dim), powers / total

        found = along([input, chosen], write, "entropy", dim)
        if found is not None:
            return common.reduce_classes(xp, found[0], coefficient, reduction), found[1]
    kernel = common.class_entropy.kernel
    how = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
    return kernel(xp, input, target, weight, **how)


def class_slope(
    xp: Any, pull: Any, probabilities: Any, target: Any, weight: Any = None, /, *, dim: int,
    reduction: str = "mean", ignore_index: int = -100,
) -> Any:  # fmt: skip
    """`class_slope`."""
    how = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
    if large(probabilities):
        f = formula_of(xp)
        chosen, coefficient = class_weights(xp, target, weight, probabilities, dim, ignore_index)
        if coefficient is not None:
            part = pull * common.shares(xp, coefficient, reduction)
        else:
            part = pull / chosen.size if reduction == "mean" else pull
        part = xp.broadcast_to(part, chosen.shape)

        def write(x: Any, chosen: Any, part: Any) -> Any:
            chosen, part = [f.expand_dims(a, axis=dim) for a in (chosen, part)]
            there = f.places(x, dim) == chosen
            return x * part - f.where(there, part, 0.0)

        found = along([probabilities, chosen, part], write, "slope", dim)
        if found is not None:
            return found
    return common.class_slope.kernel(xp, pull, probabilities, target, weight, **how)


KERNELS: dict[str, Callable[..., Any]] = {
    "class_slope": class_slope,
    "class_entropy": class_entropy,
}
